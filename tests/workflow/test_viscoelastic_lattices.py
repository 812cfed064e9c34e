"""The paper campaign at laptop scale, two samples a state point: what its claims rest on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from glassmodes.campaign.table_files import read_table

ROOT = Path(__file__).resolve().parents[2]
LAPTOP = ROOT / "config" / "campaigns" / "viscoelastic_lattices_laptop.yaml"
SMALLEST = 4000  # particles; the smaller ensembles and the glasses are left out


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the results of the networks of the laptop campaign."""
    folder = tmp_path_factory.mktemp("paper")
    content = yaml.safe_load(LAPTOP.read_text())
    content["campaign"]["results"] = "results"
    content["statistics"] = {"bootstrap_resamples": 50}
    content["ensembles"] = {
        name: ensemble | {"samples": 2, "batch_size": 1}
        for name, ensemble in content["ensembles"].items()
        if ensemble["model"] == "harmonic_network" and ensemble["particles"] >= SMALLEST
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    cores = str(min(2, os.cpu_count() or 1))
    command = [sys.executable, "-m", "glassmodes", "campaign", "run", "--config", "config.yaml"]
    done = subprocess.run(
        [*command, "--cores", cores], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results"


def rows_of(results, table, **wanted):
    rows = [
        r
        for r in read_table(results, table)
        if all(r[name] == value for name, value in wanted.items())
    ]
    assert rows, f"{table} has no rows with {wanted}"
    return rows


def test_six_state_points_are_measured_in_full(results):
    networks = rows_of(results, "networks")
    assert len(networks) == 6
    assert {r["samples"] for r in networks} == {2}


def test_order_and_disorder_of_the_systems(results):
    """F6 is 1 on a lattice whatever bonds are cut, and far lower in the random network."""
    for row in rows_of(results, "networks", system="bond_depleted_lattice"):
        assert row["bond_order"] == pytest.approx(1.0, abs=1e-9)  # positions are exact
    for row in rows_of(results, "networks", system="random_network"):
        assert row["bond_order"] < 0.4


def test_closed_forms(results):
    """<|Xi|^2> and G_A of lattices; 2 x 4,000 atoms leave about 1 % of noise in the first."""
    for row in rows_of(results, "networks"):
        if row["system"] == "random_network":
            continue
        expected = row["expected_force_squared"]
        assert row["non_affine_force_squared_mean"] == pytest.approx(expected, rel=0.03)
        assert row["affine_modulus"] == pytest.approx(row["expected_affine_modulus"], rel=0.02)


def test_cubic_form_holds_to_a_fifth(results):
    for row in rows_of(results, "cubic_forms"):
        assert row["deviation_fitted"] < 0.2
        assert row["moment_one_ratio"] == pytest.approx(1.0, abs=0.15)


def test_which_factor_collapses_the_loss_modulus(results):
    """The sum rule asks for rho <|Xi|^2>; the printed <|Xi|^2> / rho leaves a factor of rho^2."""
    for label in {r["label"] for r in rows_of(results, "collapse")}:
        spread = {
            r["normalisation"]: r["spread"]
            for r in rows_of(results, "collapse", label=label, quantity="loss_modulus")
        }
        assert spread["rho <|Xi|^2>"] < 0.1 < 0.3 < spread["<|Xi|^2> / rho"]


def test_loss_falls_as_the_inverse_frequency_above_the_band(results):
    """G'' = Xi.Xi / (V nu W) above the band and below inertia, an exact limit."""
    for row in rows_of(results, "response_exponents", quantity="loss_high"):
        assert row["exponent"] == pytest.approx(-1.0, abs=0.02)  # corrections of (w_D^2/nu W)^2


def test_softening_towards_isostaticity(results):
    """G falls by a factor of five and more from Z = 7 to Z near 6; G_A by less than a third."""
    for system in ("bond_depleted_lattice", "lattice_vacancies", "random_network"):
        soft, stiff = sorted(
            rows_of(results, "networks", system=system), key=lambda r: r["coordination_asked"]
        )
        assert 0 < 5 * soft["static_modulus"] < stiff["static_modulus"]
        assert soft["affine_modulus"] > 0.66 * stiff["affine_modulus"]
