"""Verdicts on the paper of viscoelastic lattices for samples that are the cubic form."""

import math

import pytest
from cubic_samples import PARTICLES, source

from glassmodes.campaign.collapse_fits import PAPER_FACTOR, SUM_RULE, collapse_rows
from glassmodes.campaign.compare_claims import largest_of_each_state
from glassmodes.campaign.compare_verdicts import (
    AGREE,
    CONTRADICTION,
    DISAGREE,
    NOT_RESOLVED,
    VERDICTS,
)
from glassmodes.campaign.compare_viscoelastic_lattices import comparison_rows
from glassmodes.campaign.spectral_fits import cubic_row, exponent_rows
from glassmodes.campaign.table_schema import TABLES
from glassmodes.statistics.local_exponents import local_exponents

OPTIONS = {"resamples": 100, "confidence": 0.95, "seed": 3}
NEAR, STABLE, GLASS = 6.1, 7.0, None


def network(one, **changes):
    row = {
        **one.row,
        "samples": 4,
        "bond_order": 0.97,
        "bond_order_error": 0.001,
        "crystal_order": None,
        "non_affine_force_squared_mean": 0.2714,
        "non_affine_force_squared_mean_error": 0.0002,
        "expected_force_squared": 0.2727,
        "affine_modulus": 0.3594,
        "affine_modulus_error": 1e-6,
        "expected_affine_modulus": 0.3594,
        "static_modulus_error": 1e-4,
        "effective_medium_modulus": 0.0118,
    }
    return {**row, **changes}


def tables_of(sources, networks=()):
    """Tables that the comparison reads, from the fits of synthetic samples."""
    rows = {
        "ensembles": [
            {"ensemble": s.row["ensemble"], "protocol_details": "made up"} for s in sources
        ],
        "networks": list(networks),
        "spectral_ensembles": [s.row for s in sources],
        "cubic_forms": [cubic_row(s, OPTIONS) for s in sources],
        "response_exponents": [r for s in sources for r in exponent_rows(s, OPTIONS)],
        "collapse": list(collapse_rows(sources, OPTIONS)),
        "oscillatory_moduli": [],
        "relaxation": [],
    }
    for s in sources:
        name = s.row["ensemble"]
        loss = local_exponents(s.oscillations.grid, s.cubic["cubic_loss_modulus"])
        decay = local_exponents(s.relaxations.grid, s.cubic["cubic_decay"])
        for w, value in zip(s.oscillations.grid, loss, strict=True):
            cells = {"ensemble": name, "frequency": w, "cubic_loss_exponent": float(value)}
            cells |= {
                "loss_modulus": w * s.row.get("viscosity", 1.0),
                "loss_modulus_error": 1e-3 * w,
            }
            rows["oscillatory_moduli"].append(cells)
        for t, value in zip(s.relaxations.grid, decay, strict=True):
            cell = None if math.isnan(value) else float(value)
            rows["relaxation"].append({"ensemble": name, "time": t, "cubic_exponent": cell})
    return rows


def compare(*sources, networks=()):
    """Rows with empty cells where the CSV would have them."""
    tables = tables_of(sources, networks)
    for rows in tables.values():
        for row in rows:
            for name, value in row.items():
                if hasattr(value, "dtype") or isinstance(value, float):
                    row[name] = float(value) if math.isfinite(value) else None
    return list(comparison_rows(tables))


def the_row(rows, quantity, says=""):
    (row,) = [r for r in rows if r["quantity"] == quantity and says in r["paper_says"]]
    return row


@pytest.fixture(scope="module")
def near():
    return compare(source(coordination=NEAR, system="bond_depleted_lattice"))


@pytest.fixture(scope="module")
def stable():
    return compare(source(coordination=STABLE, system="bond_depleted_lattice"))


def test_a_cubic_spectral_function_agrees_with_the_cubic_form_and_its_sum_rules(near):
    for quantity in (
        "deviation from the cubic form",
        "w_D of the cubic form from G_A - G, over the band edge",
        "w_D of the cubic form from Xi.H.Xi, over the band edge",
        "exponent of Gamma(w)",
        "exponent of D(w)",
        "exponent of G''(W), high W",
    ):
        assert the_row(near, quantity)["verdict"] == AGREE, quantity


def test_one_half_at_z_7_is_the_contradiction_of_the_paper(near, stable):
    quantity = "exponent of G''(W), low W, cubic form"
    assert the_row(near, quantity)["verdict"] == AGREE
    row = the_row(stable, quantity)
    assert row["verdict"] == CONTRADICTION
    assert row["measured"] == pytest.approx(0.5, abs=0.01)
    assert "for every Z" in row["explanation"]


@pytest.mark.parametrize(("viscosity", "verdict"), [(1.02, AGREE), (1.4, DISAGREE)])
def test_a_linear_law_of_the_bulk_has_one_viscosity_for_all_sizes(viscosity, verdict):
    small = source(coordination=STABLE, system="s", seed=4)
    small.row.update(ensemble="small", particles=20000)
    large = source(coordination=STABLE, system="s")
    large.row["viscosity"] = viscosity
    row = the_row(compare(small, large), "G''/W at the lowest W, larger N over smaller N")
    assert row["verdict"] == verdict and row["measured"] == pytest.approx(viscosity)


def test_cubic_form_never_reaches_three_quarters(near):
    row = the_row(near, "steepest exponent of G(t) - G, cubic form")
    assert row["verdict"] == CONTRADICTION and row["measured"] >= -0.5 - 1e-6


def test_a_power_law_that_does_not_break_down_at_z_7_is_a_disagreement():
    same = source(coordination=STABLE, system="s")
    same.row["ensemble"] = "stable"
    rows = compare(source(coordination=NEAR, system="s"), same)
    quantity = "decades of power-law G(t) - G"
    assert the_row(rows, quantity, "breaks down")["verdict"] == DISAGREE
    assert the_row(rows, quantity, "orders of magnitude")["measured"] is not None


def test_state_points_are_judged_by_their_largest_samples_and_name_the_others():
    small = source(coordination=NEAR, system="s", seed=4)
    small.row.update(ensemble="small", particles=20000)
    large = source(coordination=NEAR, system="s")
    assert [r["ensemble"] for r in largest_of_each_state([small.row, large.row])] == ["s"]
    rows = compare(small, large)
    row = the_row(rows, "exponent of G''(W), high W")
    assert row["particles"] == PARTICLES and "at N = 20,000" in row["explanation"]


def test_collapse_goes_with_the_sum_rule_and_not_with_the_paper():
    rows = compare(
        source(density=1.4, system="a", coordination=NEAR),
        source(density=0.7, system="b", coordination=NEAR, seed=2),
    )
    by_paper = the_row(rows, f"spread of loss_modulus / ({PAPER_FACTOR})")
    assert by_paper["verdict"] == CONTRADICTION and "3 rho" in by_paper["explanation"]
    ours = the_row(rows, f"spread of loss_modulus / ({SUM_RULE})")
    assert ours["verdict"] == AGREE and "our choice" in ours["paper_says"]
    product = the_row(rows, f"spread of density_times_correlator / ({PAPER_FACTOR})")
    assert product["verdict"] == DISAGREE
    assert product["ensemble"] == "a b"


def test_closed_forms_and_bond_order_are_judged():
    one = source(coordination=NEAR, system="bond_depleted_lattice")
    rows = compare(one, networks=[network(one)])
    assert the_row(rows, "<|Xi|^2>")["verdict"] == AGREE  # 0.5 % of the 2 % granted
    assert the_row(rows, "affine modulus G_A")["verdict"] == AGREE
    assert the_row(rows, "static modulus G")["verdict"] == AGREE  # 0.012 against 0.0118
    assert the_row(rows, "F6")["verdict"] == AGREE
    off = compare(one, networks=[network(one, non_affine_force_squared_mean=0.25, bond_order=0.5)])
    assert the_row(off, "<|Xi|^2>")["verdict"] == the_row(off, "F6")["verdict"] == DISAGREE
    none = compare(one, networks=[network(one, effective_medium_modulus=None)])
    assert not [r for r in none if r["quantity"] == "static modulus G"]


def test_glasses_are_asked_for_the_prediction_only():
    rows = compare(source(coordination=GLASS, system="instantaneous_quench"))
    assert {r["paper"] for r in rows} == {"prediction"} and len(rows) == 2
    among = rows[0]
    assert among["verdict"] == DISAGREE  # -1/2 is no -3/2
    assert among["measured"] == pytest.approx(-0.5, abs=0.05)


def test_windows_that_are_too_short_say_that_larger_samples_are_needed():
    small = source(coordination=STABLE, system="s")
    small.row["particles"] = 100
    row = the_row(compare(small), "exponent of G''(W), low W")
    assert row["verdict"] == NOT_RESOLVED and row["measured"] is None
    assert "larger N" in row["explanation"] or "empty" in row["explanation"]


def test_every_row_fits_the_table_and_explains_itself(near, stable):
    for row in [*near, *stable]:
        assert not row.keys() ^ set(TABLES["comparison"].names)
        assert row["verdict"] in VERDICTS
        assert row["explanation"] and row["place"] and row["paper_says"]
        assert row["samples_needed"] is None or row["verdict"] == NOT_RESOLVED
