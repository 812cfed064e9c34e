"""A tiny real campaign of networks: springs to tables, fits, figures and report."""

import re
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import yaml

from glassmodes.campaign.config import load_config
from glassmodes.campaign.products import figures_of, tables_of
from glassmodes.campaign.table_files import read_table, table_path

BOTH = ["spectra", "viscoelasticity"]
CONTENT = {
    "campaign": {"title": "tiny networks", "seed": 3},
    "ensembles": {
        "cut": {
            "model": "harmonic_network",
            "particles": 500,
            "protocol": {"name": "bond_depleted_lattice", "coordination": 7.0},
            "samples": 3,
            "batch_size": 3,
            "analyses": BOTH,
        },
        "vacancies": {
            "model": "harmonic_network",
            "particles": 500,
            "protocol": {"name": "lattice_vacancies", "coordination": 7.0},
            "samples": 2,
            "batch_size": 2,
            "analyses": BOTH,
        },
        # Below the percolation of sites at p = 0.2, Z = 2.4.
        "fragments": {
            "model": "harmonic_network",
            "particles": 300,
            "protocol": {"name": "lattice_vacancies", "coordination": 1.2},
            "samples": 1,
            "analyses": BOTH,
        },
        "flat_glass": {
            "model": "ipl_2d",
            "particles": 100,
            "protocol": {"name": "random_start"},
            "samples": 2,
            "analyses": ["moduli", *BOTH],
            "settings": {"spectra": {"resolution": 1.0, "maximum": 40.0}},
        },
    },
    "analyses": {
        "spectra": {"resolution": 0.1, "maximum": 3.0, "points": 61, "vectors": 8},
        "viscoelasticity": {
            "frequencies": {"minimum": 1e-7, "maximum": 1e3, "points": 41},
            "times": {"minimum": 1.0, "maximum": 1e9, "points": 37},
        },
    },
    "statistics": {"bootstrap_resamples": 50},
}


def run(folder, *words):
    """Run the campaign of `folder` and return everything it printed."""
    command = [sys.executable, "-m", "glassmodes", "campaign", "run", "--config", "config.yaml"]
    result = subprocess.run(
        [*command, "--cores", "2", *words], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of the finished campaign."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONTENT), encoding="utf-8")
    run(folder)
    return folder


@pytest.fixture(scope="module")
def config(finished):
    """Return its configuration with the results where they are."""
    checked = load_config(finished / "config.yaml")
    place = checked.campaign.model_copy(update={"results": str(finished / "results")})
    return checked.model_copy(update={"campaign": place})


def test_it_leaves_its_tables_fits_and_figures_and_no_others(config):
    tables = {table_path(config.results, name) for name in tables_of(config)}
    written = {p for stage in ("tables", "fits") for p in (config.results / stage).iterdir()}
    assert written == tables | {config.results / "tables" / "units.csv"}
    for path in tables:
        rows = (
            pq.read_metadata(path).num_rows
            if path.suffix == ".parquet"
            else len(path.read_text(encoding="utf-8").splitlines()) - 1
        )
        # No group has two sizes here.
        assert (rows > 0) == (path.stem != "size_scaling"), path
    figures = {p.stem for p in (config.results / "figures").glob("*.png")}
    assert figures == set(figures_of(config))
    assert not {"modes", "exponents", "dipoles"} & set(tables_of(config))
    assert "participation" not in figures


def test_the_report_shows_networks_and_what_fell_apart(config):
    page = (config.results / "report.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h3>([^<]+)</h3>", page)
    assert {"Networks", "The cubic form", "Exponents of the response"} <= set(titles)
    assert "Exponents of the density of states" not in titles
    assert "fragments: 1 sample refused by prepare (falls apart)." in page
    refused = [r for r in read_table(config.results, "samples") if r["status"] == "refused"]
    assert [(r["ensemble"], r["reason"]) for r in refused] == [("fragments", "falls_apart")]
    networks = {r["ensemble"]: r for r in read_table(config.results, "networks")}
    assert networks["fragments"]["samples"] == 0 and networks["fragments"]["coordination"] is None


def test_sum_rule_of_order_minus_one_joins_the_two_analyses(config):
    # One Lanczos measure serves both; the tables keep ten digits.
    samples = [r for r in read_table(config.results, "spectral_samples") if r["coordination"]]
    assert len(samples) == 5
    for r in samples:
        volume = config.ensembles[r["ensemble"]].particles / r["number_density"]
        drop = volume * (r["affine_modulus"] - r["static_modulus"])
        assert r["moment_minus_one"] == pytest.approx(drop, abs=1e-8 * volume * r["affine_modulus"])


def test_static_modulus_is_that_of_the_factorised_solve(config):
    shear = {
        r["sample"]: r["shear_modulus"]
        for r in read_table(config.results, "moduli_by_direction")
        if r["direction"] == "xy"
    }
    samples = [r for r in read_table(config.results, "spectral_samples") if r["sample"] in shear]
    glasses = [r for r in samples if r["ensemble"] == "flat_glass"]
    assert glasses
    for r in glasses:
        # The tolerance is 1e-6 of the affine modulus.
        expected = pytest.approx(shear[r["sample"]], abs=2e-6 * r["affine_modulus"])
        assert r["static_modulus"] == expected


def test_a_second_run_does_nothing_and_a_changed_grid_leaves_the_samples(finished, tmp_path):
    assert "Nothing to be done" in run(finished, "--", "--dry-run")
    content = yaml.safe_load((finished / "config.yaml").read_text(encoding="utf-8"))
    content["analyses"]["spectra"]["points"] = 31
    try:
        (finished / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        text = run(finished, "--", "--dry-run")
    finally:
        (finished / "config.yaml").write_text(yaml.safe_dump(CONTENT), encoding="utf-8")
    rules = set(re.findall(r"^rule (\w+):", text, re.MULTILINE))
    assert "analyse_batch_spectra_viscoelasticity" in rules and "write_report" in rules
    assert "prepare_batch" not in rules
