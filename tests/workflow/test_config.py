"""The configuration: complete messages, defaults, generated documents."""

import math
from pathlib import Path

import pytest

from glassmodes.campaign.config import CampaignConfig, check_config, load_config
from glassmodes.campaign.documents import DOCUMENTS
from glassmodes.campaign.provenance import analysis_settings, write_resolved
from glassmodes.errors import InputError

ROOT = Path(__file__).parents[2]


def problems(content):
    """Return the lines of the error that a configuration causes."""
    with pytest.raises(InputError) as caught:
        check_config(content, "c.yaml")
    return str(caught.value).splitlines()


def change(content, path, value):
    """Set (or, with `None`, remove) the key at a dotted path."""
    *above, last = path.split(".")
    for name in above:
        content = content.setdefault(name, {})
    if value is None:
        del content[last]
    else:
        content[last] = value


def test_defaults_are_filled_in(content):
    config = check_config(content)
    small = config.ensembles["small"]
    assert (small.dimension, small.density, small.ranks) == (2, 0.86, 1)
    assert config.analyses_of("small") == ("modes", "moduli", "dipoles")
    assert config.statistics.confidence == 0.95


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("campaign.titel", "x", "campaign.titel: unknown key; did you mean 'title'?"),
        ("campaign.seed", None, "campaign.seed: this key is compulsory"),
        ("ensembles.small.particles", "many", "ensembles.small.particles: input should be"),
        ("ensembles.small.particles", -4, "ensembles.small.particles: input should be greater"),
        ("ensembles.small.model", "ipl_2", "ensembles.small.model: unknown model 'ipl_2'"),
        ("ensembles.small.model", "m.yaml", "ensembles.small.model: cannot read m.yaml"),
        (
            "ensembles.small.protocol.name",
            "instant_quench",
            "ensembles.small.protocol: unknown name 'instant_quench', expected one of "
            "instantaneous_quench, slow_cooling, random_start, bond_depleted_lattice, "
            "lattice_vacancies, random_network; did you mean 'instantaneous_quench'?",
        ),
        ("ensembles.small.protocol.temprature", 1, "ensembles.small.protocol.temprature: unknown"),
        ("ensembles.small.protocol.temperature", float("nan"), "ensembles.small.protocol.temp"),
        ("ensembles.small.analyses", ["mods"], "ensembles.small.analyses.0: unknown value 'mods'"),
        ("ensembles.small.analyses", ["modes", "modes"], "ensembles.small: analyses names one"),
        ("ensembles.small.settings.modes.count", 31, "ensembles.small.settings.modes.count: 31"),
        ("ensembles.Big", {}, "ensembles.Big: use small letters, digits and underscores"),
        (
            "ensembles.small.packing_fraction",
            0.7,
            "ensembles.small.packing_fraction: 'ipl_2d' has no spheres that fill a volume",
        ),
        ("analyses.modes.below", 1.0, "analyses.modes: count and below are both given"),
        ("analyses.modes", {}, "ensembles.small.settings.modes: neither count nor below"),
        ("statistic", {}, "statistic: unknown key; did you mean 'statistics'?"),
    ],
)
def test_each_problem_is_one_line_with_its_key(content, path, value, line):
    change(content, path, value)
    found = problems(content)
    assert any(text.startswith(f"c.yaml: {line}") for text in found), found


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("harmonic_spheres", 3, 0.73 / (math.pi / 6)),
        ("harmonic_spheres", 2, 0.73 / (math.pi / 4)),
        ("hertzian_spheres", 3, 0.73 / (math.pi / 6 * (1 + 1.4**3) / 2)),
    ],
)
def test_a_packing_fraction_gives_the_density(content, model, d, expected):
    small = content["ensembles"]["small"]
    small |= {"model": model, "dimension": d, "packing_fraction": 0.73}
    config = check_config(content)
    assert config.ensembles["small"].density == pytest.approx(expected, rel=1e-12)
    # A checked configuration is one: jobs read it again.
    assert check_config(config.model_dump(mode="json")) == config
    small["density"] = 1.01 * expected
    (line,) = problems(content)
    assert "packing_fraction: asks for the density" in line and "is given beside it" in line


@pytest.fixture
def networks(content):
    """Return a configuration of one ensemble of networks, to change and to check."""
    content["ensembles"]["small"] = {
        "model": "harmonic_network",
        "particles": 1000,
        "protocol": {"name": "lattice_vacancies", "coordination": 7.0},
        "samples": 2,
        "analyses": ["spectra", "viscoelasticity"],
    }
    content["analyses"]["spectra"] = {"resolution": 0.1, "maximum": 3.0}
    return content


def test_networks_know_their_numbers_and_keep_them_when_read_again(networks, tmp_path):
    config = check_config(networks)
    small = config.ensembles["small"]
    # 4 x 8^3 sites of fcc are nearest to 1000 / (7/12) atoms; 7/12 of them stay
    assert (small.dimension, small.particles) == (3, round(2048 * 7 / 12))
    assert small.density == pytest.approx(2**0.5 * small.particles / 2048)
    write_resolved(config, tmp_path / "c.json")
    assert load_config(tmp_path / "c.json") == config
    change(networks, "ensembles.small.protocol", {"name": "bond_depleted_lattice"})
    change(networks, "ensembles.small.protocol.lattice", "triangular")
    assert check_config(networks).ensembles["small"].dimension == 2


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("ensembles.small.model", "ipl_3d", "ensembles.small.model: 'ipl_3d' with lattice_vac"),
        ("ensembles.small.protocol.coordination", 13.0, "ensembles.small.protocol: "),
        ("ensembles.small.protocol.coordination", 0, "ensembles.small.protocol.coordination: "),
        ("ensembles.small.protocol.lattice", "bcc", "ensembles.small.protocol.lattice: unknown"),
        ("ensembles.small.protocol.cut", "narrow", "ensembles.small.protocol.cut: unknown key"),
        ("ensembles.small.density", 2.0, "ensembles.small.density: 2 given, but the network has"),
        ("ensembles.small.dimension", 2, "ensembles.small.protocol: "),
        ("analyses.spectra.maximum", None, "ensembles.small.settings.spectra.maximum: not given"),
        ("analyses.spectra.strains", ["xx"], "ensembles.small.settings.spectra.strains: 'xx'"),
        ("analyses.spectra.strains", ["xw"], "ensembles.small.settings.spectra.strains: 'xw'"),
        ("analyses.spectra.strains", ["12"], "analyses.spectra.strains.0: "),
        ("analyses.spectra.strains", [], "analyses.spectra.strains: "),
        ("analyses.viscoelasticity.damping", 0, "analyses.viscoelasticity.damping: "),
        (
            "analyses.viscoelasticity.times",
            {"minimum": 10, "maximum": 1, "points": 5},
            "analyses.viscoelasticity.times: maximum 1 is not above minimum 10",
        ),
    ],
)
def test_problems_of_networks_and_grids_are_one_line_each(networks, path, value, line):
    change(networks, path, value)
    found = problems(networks)
    assert any(text.startswith(f"c.yaml: {line}") for text in found), found
    assert all("\n" not in text and "Traceback" not in text for text in found)


def test_a_glass_without_spectra_needs_no_resolution(content):
    assert check_config(content).settings_of("small", "spectra").resolution is None


def test_all_problems_are_named_at_once(content):
    change(content, "campaign.titel", "x")
    change(content, "ensembles.small.samples", 0)
    change(content, "analyses.modes.cuont", 5)
    assert len(problems(content)) == 3


def test_settings_of_an_ensemble_replace_the_common_ones(content):
    change(content, "analyses.modes.certificate", False)
    change(content, "ensembles.small.settings.modes.below", 1.5)
    modes = check_config(content).settings_of("small", "modes")
    assert (modes.count, modes.below, modes.certificate) == (None, 1.5, False)
    assert check_config(content).settings_of("small", "dipoles").count == 50


def test_files_that_are_no_configuration(tmp_path):
    path = tmp_path / "c.yaml"
    with pytest.raises(InputError, match="cannot read the configuration"):
        load_config(path)
    for text, message in (
        ("campaign: {seed: 1, seed: 2}", "stands there twice"),
        ("campaign: [", "not valid YAML"),
        ("just words", "expected a mapping"),
        ("", "expected a mapping"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            load_config(path)


def test_a_checked_configuration_survives_being_written(content, tmp_path):
    change(content, "ensembles.small.settings.modes.below", 1.5)
    change(content, "analyses.dipoles.count", 7)
    config = check_config(content)
    write_resolved(config, tmp_path / "c.json")
    again = load_config(tmp_path / "c.json")
    assert again == config
    for analysis in ("modes", "dipoles"):
        assert again.settings_of("small", analysis) == config.settings_of("small", analysis)
        assert analysis_settings(again, "small", analysis) == analysis_settings(
            config, "small", analysis
        )


def sections():
    """Return the JSON schema of all sections of the configuration."""
    schema = CampaignConfig.model_json_schema()
    return [schema, *schema["$defs"].values()]


def test_every_key_has_description_unit_and_a_name_of_its_own():
    for section in sections():
        for name, value in section["properties"].items():
            assert len(name) > 1, "Snakemake cannot set single-letter keys on the command line"
            assert value["description"], name
            assert "unit" in value, name


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_generated_documents_are_up_to_date(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text == DOCUMENTS[path](), "run `python -m glassmodes.campaign.documents`"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("campaign.seed", "seed"),
        ("ensembles.small.samples", "samples"),
        ("ensembles.small.protocol.temperature", "temperature"),
        ("analyses.modes.count", "count"),
    ],
)
def test_flags_are_no_numbers(content, path, name):
    """YAML reads yes and no as flags, which Python counts as 1 and 0."""
    change(content, path, True)
    assert any(f"{name} is true, a flag" in line for line in problems(content))


def test_flags_are_taken_where_they_belong(content):
    change(content, "analyses.modes.keep_vectors", True)
    assert check_config(content).analyses.modes.keep_vectors is True


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("statistics.bins_per_decade", 10**8),
        ("statistics.bootstrap_resamples", 10**8),
        ("ensembles.small.ranks", 10**30),
        ("ensembles.small.batch_size", 10**30),
        ("analyses.dipoles.count", 10**30),
    ],
)
def test_numbers_that_no_stage_could_bear_are_refused_at_once(content, path, value):
    change(content, path, value)
    assert any(line.startswith("c.yaml") and "less than" in line for line in problems(content))
