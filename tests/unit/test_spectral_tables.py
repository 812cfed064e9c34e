"""Tables of spectra and viscoelasticity from batch files whose laws are known."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest

from glassmodes.campaign.compare import write_comparison
from glassmodes.campaign.config import check_config
from glassmodes.campaign.figures import draw_figure
from glassmodes.campaign.fits import write_fits
from glassmodes.campaign.manifest import build_manifest
from glassmodes.campaign.products import features_of, figures_of, tables_of
from glassmodes.campaign.provenance import fingerprints_of
from glassmodes.campaign.record_schema import SCHEMAS
from glassmodes.campaign.records import Header, Row, refused, write_batch
from glassmodes.campaign.table_files import read_table, table_path
from glassmodes.campaign.table_schema import TABLES
from glassmodes.campaign.tables import write_tables
from glassmodes.errors import InputError
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.observables.cubic_form import CubicForm
from glassmodes.observables.lattice_theory import SPRING_LATTICES
from glassmodes.observables.strains import affine_moduli, non_affine_columns, shear_strains
from glassmodes.preparation.networks import make_network, realised

EDGE, FORCE, DAMPING = 2.5, 0.27, 1e4
FREQUENCY = np.linspace(0.0, 3.0, 61)
STRAIN_FREQUENCY = np.geomspace(1e-13, 1e3, 81)
TIME = np.geomspace(1.0, 1e13, 66)
UNIT = CubicForm(EDGE, 1.0)
UNIT_RESPONSE = UNIT.complex_modulus(STRAIN_FREQUENCY, DAMPING)
UNIT_DECAY = UNIT.relaxation(TIME, DAMPING) - UNIT.static_modulus
SAMPLES = 12
REFUSED = {3: "spectra", 5: "samples"}
NARROW = {"name": "bond_depleted_lattice", "coordination": 7.0}
ENSEMBLES = {
    "cut": {
        "model": "harmonic_network",
        "particles": 500,
        "protocol": NARROW,
        "samples": SAMPLES,
        "batch_size": 5,
        "analyses": ["spectra", "viscoelasticity"],
    },
    "glass": {
        "model": "ipl_3d",
        "particles": 400,
        "protocol": {"name": "instantaneous_quench", "temperature": 2.0},
        "samples": 3,
        "analyses": ["viscoelasticity"],
    },
}


def configure(folder, ensembles=ENSEMBLES):
    return check_config(
        {
            "campaign": {"title": "Synthetic", "seed": 1, "results": str(folder)},
            "ensembles": ensembles,
            "analyses": {"spectra": {"resolution": 0.05, "maximum": 3.0}},
            "statistics": {"bootstrap_resamples": 200},
        }
    )


def records_of(index, ensemble):
    """Return records of one sample that obeys the cubic form; its force varies by 10 %."""
    rng = np.random.default_rng(index)
    n, density = ensemble.particles, ensemble.density
    force = FORCE * (1 + 0.1 * rng.normal())
    vibrations = 3 * n - 24
    form = CubicForm(EDGE, force * density, affine=0.4)
    per_mode = CubicForm(EDGE, n * force / vibrations)
    modulus = form.affine + form.weight * UNIT_RESPONSE
    decay = form.weight * UNIT_DECAY
    product, flat = per_mode.density(FREQUENCY), np.where(FREQUENCY <= EDGE, 1 / EDGE, 0.0)
    return {
        "samples": {
            "density": density,
            "mass_density": density,
            "coordination": 7.0,
            "coordination_deviation": 0.25,
            "bond_order": 1.0,
            "largest_cluster": 1.0,
        },
        "spectra": {
            "frequency": FREQUENCY,
            "density": flat,
            "density_error": 0.01 * flat,
            "density_times_correlator": product,
            "correlator": np.divide(product, flat, out=np.zeros(61), where=flat > 0),
            "zero_modes": 24.0,
            "zero_modes_method": "inertia",
            "vibrations": float(vibrations),
            "max_frequency": EDGE,
            "non_affine_force_squared_mean": force,
            "moment_minus_one": n * form.static_drop / density,
            "moment_zero": n * force,
            "moment_one": 0.4 * EDGE**2 * n * force,
            "resolution": 0.05,
        },
        "viscoelasticity": {
            "frequency": STRAIN_FREQUENCY,
            "storage_modulus": modulus.real,
            "loss_modulus": modulus.imag,
            "time": TIME,
            "relaxation_modulus": form.static_modulus + decay,
            "decay": decay,
            "overdamped_decay": decay,
            "affine_modulus": form.affine,
            "static_modulus": form.static_modulus,
            "non_affine_force_squared_mean": force,
            "max_frequency": EDGE,
            "number_density": density,
            "damping": DAMPING,
            "error": 1e-9,
            "steps": 100,
        },
    }


def complete(kind, record, d, n):
    """Fill the columns of a record that a test does not care about."""
    full = {
        c.name: np.zeros(c.sizes(d, n), dtype=c.dtype)
        for c in SCHEMAS[kind]
        if c.kind != "text" and not (c.optional or c.ragged)
    }
    return {**full, "status": "ok", **record}


def write_results(config, change=lambda kind, index, record: record):
    for batch in build_manifest(config):
        ensemble = config.ensembles[batch.ensemble]
        d, n = ensemble.dimension, ensemble.particles
        network = ensemble.model == "harmonic_network"
        for kind in ("samples", *config.analyses_of(batch.ensemble)):
            rows = []
            for index in batch.indices:
                stage = REFUSED.get(index) if network else None
                record = {"index": index, **records_of(index, ensemble)[kind]}
                if not network:
                    record = {k: v for k, v in record.items() if k not in _OPTIONAL}
                if stage in ("samples", kind):
                    rows.append(Row(refused(index, "falls_apart", "in two parts")))
                else:
                    rows.append(Row(complete(kind, change(kind, index, record), d, n)))
            path = (
                batch.samples_path(config.results)
                if kind == "samples"
                else batch.analysis_path(config.results, kind)
            )
            made = fingerprints_of(config, batch.ensemble)[kind]
            write_batch(path, Header(kind, d, n, made), rows)


_OPTIONAL = {c.name for c in SCHEMAS["samples"] if c.optional}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    config = configure(tmp_path_factory.mktemp("spectral") / "results")
    write_results(config)
    write_tables(config)
    return config


def rows_of(config, table, **where):
    return [
        r
        for r in read_table(config.results, table)
        if all(r[key] == value for key, value in where.items())
    ]


def column(rows, name):
    return np.array([r[name] for r in rows], dtype=float)


def test_a_campaign_has_the_tables_of_its_analyses_and_no_others(campaign):
    assert features_of(campaign) == {"spectra", "viscoelasticity", "networks", "glasses"}
    names = [n for n in tables_of(campaign, "tables/") if n != "comparison"]
    for name in names:
        path = table_path(campaign.results, name)
        if path.suffix == ".parquet":
            assert pq.read_schema(path).names == TABLES[name].names
            assert pq.read_metadata(path).num_rows > 0, name
        else:
            assert read_table(campaign.results, name), name
    written = {p.name for p in (campaign.results / "tables").iterdir()}
    assert written == {table_path("", n).name for n in names} | {"units.csv"}
    with open(campaign.results / "tables" / "units.csv", encoding="utf-8", newline="") as file:
        assert {r["table"] for r in csv.DictReader(file)} == set(tables_of(campaign))
    assert not {"density_of_states", "shear_modulus"} & set(figures_of(campaign))


def test_a_refused_sample_leaves_the_other_analysis_its_row(campaign):
    rows = {r["sample"]: r for r in rows_of(campaign, "spectral_samples", ensemble="cut")}
    assert sorted(rows) == [k for k in range(SAMPLES) if REFUSED.get(k) != "samples"]
    assert rows[3]["vibrations"] is None and rows[3]["zero_modes_method"] == ""
    assert rows[3]["static_modulus"] is not None and rows[3]["max_frequency"] == EDGE
    assert rows[4]["zero_modes_method"] == "inertia" and rows[4]["zero_modes"] == 24
    spectra = rows_of(campaign, "spectral_densities", ensemble="cut")
    moduli = rows_of(campaign, "oscillatory_moduli", ensemble="cut")
    assert {r["samples"] for r in spectra} == {SAMPLES - 2}
    assert {r["samples"] for r in moduli} == {SAMPLES - 1}


def test_samples_that_obey_the_cubic_form_have_it_in_every_table(campaign):
    # Every curve is linear in <|Xi|^2>, so the form of the means is the mean of the forms;
    # tables keep ten digits.
    same = {"rtol": 1e-8, "atol": 1e-14}
    spectra = rows_of(campaign, "spectral_densities", ensemble="cut")
    np.testing.assert_allclose(
        column(spectra, "density_times_correlator"), column(spectra, "cubic_form"), **same
    )
    moduli = rows_of(campaign, "oscillatory_moduli", ensemble="cut")
    for name in ("storage_modulus", "loss_modulus", "loss_exponent"):
        np.testing.assert_allclose(column(moduli, name), column(moduli, f"cubic_{name}"), **same)
    relaxation = rows_of(campaign, "relaxation", ensemble="cut")
    np.testing.assert_allclose(
        column(relaxation, "decay"), column(relaxation, "cubic_decay"), **same
    )
    kept = [r for r in relaxation if r["decay_exponent"] is not None]
    np.testing.assert_allclose(
        column(kept, "decay_exponent"), column(kept, "cubic_exponent"), rtol=1e-6
    )


def test_exponents_are_those_of_the_law_where_it_holds(campaign):
    # Deep between w_min^2/nu and w_D^2/nu the form gives 1/2, above nu it gives -3; the next
    # term of the expansion is of the order of the root of the distance, here a thousandth.
    moduli = rows_of(campaign, "oscillatory_moduli", ensemble="cut")
    edge = EDGE**2 / DAMPING
    slow = [r for r in moduli if r["frequency"] < 1e-6 * edge][1:]
    assert len(slow) > 3
    assert column(slow, "loss_exponent") == pytest.approx(0.5, abs=3e-3)
    relaxation = rows_of(campaign, "relaxation", ensemble="cut")
    late = [r for r in relaxation if r["time"] > 1e6 / edge][:-1]
    assert len(late) > 3
    assert column(late, "decay_exponent") == pytest.approx(-0.5, abs=3e-3)
    assert column(relaxation, "modulus_exponent").max() <= 0.0


def test_no_exponent_below_the_error_of_the_solver(campaign):
    for row in rows_of(campaign, "relaxation", ensemble="cut"):
        assert (row["decay_exponent"] is None) == (row["decay"] <= 1e-9)


def test_window_lies_between_the_first_phonon_and_the_band_edge(campaign):
    row = rows_of(campaign, "spectral_ensembles", ensemble="cut")[0]
    length = (row["particles"] / row["density"]) ** (1 / 3)
    phonon = 2 * np.pi * np.sqrt(row["static_modulus"] / row["density"]) / length
    low, high = phonon**2 / DAMPING, EDGE**2 / DAMPING
    for r in rows_of(campaign, "oscillatory_moduli", ensemble="cut"):
        assert r["inside_window"] == (low < r["frequency"] < high)
    for r in rows_of(campaign, "relaxation", ensemble="cut"):
        assert r["inside_window"] == (low < 1 / r["time"] < high)


def test_means_normalisations_and_sum_rules(campaign):
    samples = rows_of(campaign, "spectral_samples", ensemble="cut")
    row = rows_of(campaign, "spectral_ensembles", ensemble="cut")[0]
    force = column(samples, "non_affine_force_squared_mean")
    assert row["non_affine_force_squared_mean"] == pytest.approx(force.mean(), rel=1e-9)
    # the bootstrap's error of a mean is its standard error, to the 5 % that 200 resamples give
    assert row["non_affine_force_squared_mean_error"] == pytest.approx(
        force.std() / np.sqrt(force.size), rel=0.2
    )
    assert row["zero_mode_fraction"] == pytest.approx(24 / 1500)
    drop = row["density"] * row["moment_minus_one"]
    known = [r for r in samples if r["moment_minus_one"] is not None]
    moduli = column(known, "affine_modulus") - column(known, "static_modulus")
    assert drop == pytest.approx(moduli.mean(), rel=1e-8)
    for r in rows_of(campaign, "spectral_densities", ensemble="cut"):
        spectral = column(known, "non_affine_force_squared_mean").mean()
        reduced = r["density_times_correlator"] * row["density"] / spectral
        assert r["reduced_product"] == pytest.approx(reduced, rel=1e-8, abs=1e-14)
        assert (r["correlator"] is None) == (r["frequency"] > EDGE)


def test_curves_of_single_samples_come_back(campaign):
    table = pq.read_table(
        table_path(campaign.results, "sample_relaxations"), filters=[("ensemble", "=", "cut")]
    ).to_pydict()
    index = np.array(table["sample"]).reshape(-1, TIME.size)
    assert index[:, 0].tolist() == [k for k in range(SAMPLES) if k != 5]
    np.testing.assert_array_equal(np.array(table["time"])[: TIME.size], TIME)
    ensemble = campaign.ensembles["cut"]
    expected = records_of(7, ensemble)["viscoelasticity"]["decay"]
    decay = np.array(table["decay"]).reshape(-1, TIME.size)
    np.testing.assert_array_equal(decay[index[:, 0] == 7][0], expected)


def test_networks_carry_their_structure_and_glasses_have_no_row(campaign):
    rows = read_table(campaign.results, "networks")
    assert [r["ensemble"] for r in rows] == ["cut"]
    row = rows[0]
    assert (row["coordination_asked"], row["coordination"], row["bond_order"]) == (7.0, 7.0, 1.0)
    assert row["crystal_order"] in (None, 0.0)
    # physics of S000: narrow cuts at Z = 7 give 0.2652 without a spread of the coordination
    assert row["expected_force_squared"] == pytest.approx(35 / 132 - 0.25**2 / 132, rel=1e-8)
    assert row["expected_affine_modulus"] == pytest.approx(2**0.5 * 7 / 24, rel=1e-8)
    assert row["effective_medium_modulus"] == pytest.approx(0.1179, abs=5e-5)
    glass = rows_of(campaign, "spectral_ensembles", ensemble="glass")[0]
    assert glass["coordination"] is None and glass["resolution"] is None
    assert glass["damping"] == DAMPING


def test_no_closed_form_is_expected_of_pruned_or_random_networks(tmp_path):
    others = {
        "pruned": {**NARROW, "prune_floppy": True},
        "random": {"name": "random_network", "coordination": 7.0},
        "perfect": {"name": "bond_depleted_lattice"},
    }
    ensembles = {name: {**ENSEMBLES["cut"], "protocol": p} for name, p in others.items()}
    config = configure(tmp_path, ensembles)
    write_results(config)
    write_tables(config)
    rows = {r["ensemble"]: r for r in read_table(tmp_path, "networks")}
    known = {name: r["expected_affine_modulus"] is not None for name, r in rows.items()}
    assert known == {"pruned": False, "random": False, "perfect": True}
    assert rows["perfect"]["coordination_asked"] is None
    groups = {r["group"] for r in rows.values()}
    assert len(groups) == 3


def test_samples_with_different_grids_are_refused(tmp_path):
    def stretch(kind, index, record):
        if kind == "viscoelasticity" and index == 1:
            record = {**record, "time": 2 * TIME}
        return record

    config = configure(tmp_path)
    write_results(config, stretch)
    with pytest.raises(InputError, match="grid differs"):
        write_tables(config)


@pytest.mark.parametrize(
    ("protocol", "dimension"),
    [
        (NARROW, 3),
        ({**NARROW, "cut": "independent"}, 3),
        ({"name": "lattice_vacancies", "coordination": 7.0}, 3),
        ({**NARROW, "lattice": "triangular", "coordination": 4.6}, 2),
    ],
)
def test_closed_forms_of_lattices_hold_in_real_networks(protocol, dimension):
    network = make_network(protocol, 4000, seed=3, dimension=dimension)
    inter = find_interactions(network)
    found = network.provenance["evidence"]
    lattice = SPRING_LATTICES[protocol.get("lattice", "fcc")]
    names = shear_strains(dimension)
    force = np.square(non_affine_columns(inter, names)).sum() / (network.particles * len(names))
    z, s = found["coordination"], found["coordination_deviation"]
    # 12,000 components with a spread of 40 % each give the mean of the squares to 1 %.
    assert force == pytest.approx(lattice.force_squared(z, s, 1.0), rel=0.04)
    affine = affine_moduli(inter, names).mean()
    # fcc bonds of one plane are cut alike on average: three planes and 14,000 bonds
    assert affine == pytest.approx(lattice.affine_modulus(z, network.density, 1.0), rel=0.02)


def test_perfect_lattices_reach_their_moduli():
    for name in SPRING_LATTICES:
        lattice = SPRING_LATTICES[name]
        protocol = {"name": "bond_depleted_lattice", "lattice": name}
        n, density = realised(protocol, 500, lattice.dimension)
        assert density == pytest.approx(lattice.density, rel=1e-12)
        network = make_network(protocol, n, seed=0, dimension=lattice.dimension)
        affine = affine_moduli(find_interactions(network), ["xy"])[0]
        assert affine == pytest.approx(
            lattice.affine_modulus(lattice.coordination, density, 1.0), rel=1e-10
        )
        assert lattice.force_squared(lattice.coordination, 0.0, 1.0) == 0.0
        full = lattice.effective_medium_modulus(lattice.coordination, 1.0)
        assert full == pytest.approx(affine, rel=1e-10)
        assert lattice.effective_medium_modulus(2.0 * lattice.dimension, 1.0) == 0.0


def test_fits_comparison_and_figures_follow_from_the_tables(campaign):
    write_fits(campaign)
    write_comparison(campaign)
    for name in tables_of(campaign):
        assert table_path(campaign.results, name).is_file(), name
    decay = {r["quantity"]: r for r in rows_of(campaign, "response_exponents", ensemble="cut")}
    assert decay["loss_high"]["exponent"] == pytest.approx(-1.0, abs=0.01)
    papers = {r["paper"] for r in rows_of(campaign, "comparison")}
    assert papers == {"Milkus and Zaccone", "closed form", "prediction"}
    for name in figures_of(campaign):
        axes = draw_figure(campaign.results, name).axes
        assert all(ax.lines or ax.texts for ax in axes), name
        # the glass has no spectra, and preparation shows points of real glasses
        assert any(ax.lines for ax in axes) or name in ("preparation", "glass_spectra")


def test_a_campaign_of_glasses_without_spectra_has_no_comparison_with_lattices(tmp_path):
    config = configure(tmp_path, {"glass": {**ENSEMBLES["glass"], "analyses": ["viscoelasticity"]}})
    write_results(config)
    write_tables(config)
    write_fits(config)
    write_comparison(config)
    assert {r["paper"] for r in rows_of(config, "comparison")} == {"prediction"}
    assert "cubic_forms" not in tables_of(config)
    for name in figures_of(config):
        draw_figure(config.results, name)
