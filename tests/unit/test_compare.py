"""Verdicts on the thesis: what each rule must say for measurements made up to test it."""

import math

import pytest

from glassmodes.campaign.compare_soft_excitations import comparison_rows
from glassmodes.campaign.compare_verdicts import (
    AGREE,
    CONTRADICTION,
    DIFFERENT_PROTOCOL,
    DISAGREE,
    NOT_RESOLVED,
    VERDICTS,
    judge,
)
from glassmodes.campaign.paper_values_soft_excitations import PAPER_VALUES, QUENCH, SLOW_COOLING
from glassmodes.campaign.table_schema import TABLES


def ensemble(d, n=2000, protocol=QUENCH, rate=None, debye=16.0, name=None):
    return {
        "ensemble": name or f"e{d}",
        "group": f"{d} {protocol}",
        "model": f"ipl_{d}d",
        "dimension": d,
        "particles": n,
        "protocol": protocol,
        "protocol_details": protocol,
        "cooling_rate": rate,
        "samples_with_moduli": 100,
        "debye_frequency": debye,
        "debye_frequency_error": 0.1,
    }


def shear(name, mean, error, samples=100):
    return {
        "ensemble": name,
        "quantity": "shear_modulus",
        "mean": mean,
        "standard_error": error,
        "samples": samples,
    }


def exponent(name, value=None, error=None, modes=200, source="plateau", cutoff=0.8):
    return {
        "ensemble": name,
        "samples": 100,
        "window_upper": 0.8,
        "window_set_by": "cutoff",
        "cutoff": cutoff,
        "cutoff_source": source,
        "plateau": "end of the flat part",
        "modes": modes,
        "exponent": value,
        "exponent_error": error,
        "inner_exponent": value,
        "inner_exponent_error": error,
        "verdict": "resolved" if value is not None else "not resolved",
        "modes_needed": 100,
        "samples_needed": 5000,
    }


def scaling(d, slope, error, sizes="1000 2000"):
    return {
        "group": "g",
        "dimension": d,
        "quantity": "participation_number",
        "ensembles": f"e{d}",
        "sizes": sizes,
        "values": "30 31",
        "errors": "1 1",
        "counts": "90 80",
        "window_upper": 1.4,
        "slope": slope,
        "slope_error": error,
        "samples_needed": 700,
    }


def compare(ensembles=(), moduli=(), exponents=(), tails=(), scalings=()):
    return list(
        comparison_rows(
            {
                "ensembles": list(ensembles),
                "moduli_means": list(moduli),
                "exponents": list(exponents),
                "tails": list(tails),
                "size_scaling": list(scalings),
            }
        )
    )


def the_row(rows, quantity):
    (row,) = [r for r in rows if r["quantity"] == quantity]
    return row


@pytest.mark.parametrize(
    ("measured", "error", "verdict"),
    [
        (10.2, 0.1, AGREE),
        (10.53, 0.1, AGREE),  # 0.5 of tolerance and 2 x 0.1 give 0.539 in quadrature
        (10.55, 0.1, DISAGREE),
        (10.2, 0.6, NOT_RESOLVED),
        (14.0, 0.6, DISAGREE),  # a large error does not save a large difference
        (math.nan, 0.1, NOT_RESOLVED),
        (10.0, math.nan, NOT_RESOLVED),
    ],
)
def test_judgement_of_a_number(measured, error, verdict):
    assert judge(measured, error, value=10.0, tolerance=0.5) == verdict


def test_shear_modulus_of_quenches_is_compared_and_that_of_cooled_glasses_is_not():
    quench = the_row(compare([ensemble(3)], [shear("e3", 12.3, 0.1)]), "shear_modulus")
    assert quench["verdict"] == AGREE
    off = the_row(compare([ensemble(3)], [shear("e3", 10.4, 0.1)]), "shear_modulus")
    assert off["verdict"] == DISAGREE
    cooled = ensemble(3, protocol=SLOW_COOLING, rate=0.02)
    row = the_row(compare([cooled], [shear("e3", 15.0, 0.1)]), "shear_modulus")
    assert row["verdict"] == DIFFERENT_PROTOCOL
    assert row["place"] == "Table 3.2"


def test_noisy_shear_modulus_says_how_many_samples_it_takes():
    rows = compare([ensemble(3)], [shear("e3", 12.0, 0.744, samples=100)])
    row = the_row(rows, "shear_modulus")
    assert row["verdict"] == NOT_RESOLVED
    # the tolerance is 3 % of 12.4 = 0.372, half of the error
    assert row["samples_needed"] == 400


def test_table_3_2_contradicts_itself_for_cooled_glasses_in_two_and_four_dimensions():
    for d in (2, 4):
        cooled = ensemble(d, protocol=SLOW_COOLING, rate=1e-3)
        row = the_row(compare([cooled], [shear(f"e{d}", 18.0, 0.1)]), "shear_modulus")
        assert row["verdict"] == CONTRADICTION


def test_debye_frequency_belongs_to_slow_cooling():
    row = the_row(compare([ensemble(3, debye=16.1)]), "debye_frequency")
    assert row["verdict"] == DIFFERENT_PROTOCOL
    cooled = ensemble(3, protocol=SLOW_COOLING, rate=0.02, debye=17.32)
    row = the_row(compare([cooled]), "debye_frequency")
    assert row["verdict"] == AGREE
    assert "20 times faster" in row["explanation"]
    fast = ensemble(3, protocol=SLOW_COOLING, rate=0.02, debye=16.0)
    assert the_row(compare([fast]), "debye_frequency")["verdict"] == DIFFERENT_PROTOCOL
    same = ensemble(3, protocol=SLOW_COOLING, rate=1e-3, debye=16.0)
    assert the_row(compare([same]), "debye_frequency")["verdict"] == DISAGREE


def test_four_dimensional_debye_frequency_is_a_contradiction_whatever_is_measured():
    for protocol in (QUENCH, SLOW_COOLING):
        row = the_row(compare([ensemble(4, protocol=protocol, debye=23.3)]), "debye_frequency")
        assert row["verdict"] == CONTRADICTION


def test_exponent_verdicts():
    cases = [
        (QUENCH, None, None, NOT_RESOLVED),
        (QUENCH, 3.9, 0.3, AGREE),
        (QUENCH, 3.0, 0.2, DIFFERENT_PROTOCOL),
        (SLOW_COOLING, 3.0, 0.2, DISAGREE),
    ]
    for protocol, value, error, verdict in cases:
        rate = 1e-3 if protocol == SLOW_COOLING else None
        rows = compare(
            [ensemble(3, protocol=protocol, rate=rate)], exponents=[exponent("e3", value, error)]
        )
        row = the_row(rows, "exponent")
        assert row["verdict"] == verdict
        assert (row["samples_needed"] is None) == (verdict != NOT_RESOLVED)
        assert (row["measured"] is None) == (verdict == NOT_RESOLVED)


def test_cutoff_is_compared_only_where_a_plateau_was_seen():
    found = compare([ensemble(3)], exponents=[exponent("e3", 4.0, 0.2)])
    assert the_row(found, "cutoff_over_debye_frequency")["verdict"] == AGREE
    taken = exponent("e3", 4.0, 0.2, source="0.05 of the Debye frequency")
    row = the_row(compare([ensemble(3)], exponents=[taken]), "cutoff_over_debye_frequency")
    assert row["verdict"] == NOT_RESOLVED
    four = compare([ensemble(4)], exponents=[exponent("e4", 4.0, 0.2)])
    assert the_row(four, "cutoff_over_debye_frequency")["verdict"] == CONTRADICTION


def test_participation_scaling_expects_a_constant_in_3d_and_the_logarithm_in_2d():
    quantity = "slope of ln(N e) against ln(N)"
    slow = ensemble(3, protocol=SLOW_COOLING, rate=1e-3)
    assert the_row(compare([slow], scalings=[scaling(3, 0.1, 0.05)]), quantity)["verdict"] == AGREE
    extended = the_row(compare([slow], scalings=[scaling(3, 1.0, 0.05)]), quantity)
    assert extended["verdict"] == DISAGREE
    unknown = the_row(compare([slow], scalings=[scaling(3, None, 0.4)]), quantity)
    assert unknown["verdict"] == NOT_RESOLVED and unknown["samples_needed"] == 700
    flat = ensemble(2, protocol=SLOW_COOLING, rate=1e-3)
    row = the_row(compare([flat], scalings=[scaling(2, 0.33, 0.02, "400 1600")]), quantity)
    # (ln 1600 / ln 400)^2 = 1.516 = 4^0.300
    assert row["paper_value"] == pytest.approx(2 * math.log(math.log(1600) / math.log(400), 4))
    assert row["verdict"] == AGREE


def test_modes_of_other_models_are_not_held_against_the_thesis():
    packing = ensemble(3) | {"model": "harmonic_spheres"}
    assert not compare([packing], scalings=[scaling(3, 0.1, 0.05)])


def test_every_row_fits_the_table_and_explains_itself():
    rows = compare(
        [ensemble(2), ensemble(3), ensemble(4)],
        [shear("e2", 15.0, 0.2), shear("e3", 12.0, 0.1)],
        [exponent("e2"), exponent("e3", 4.0, 0.2)],
        [
            {
                "ensemble": "e2",
                "quantity": "shear_modulus",
                "exponent": None,
                "exponent_error": None,
                "values": 9,
                "samples_used": 5,
                "samples_needed": 3000,
            }
        ],
        [scaling(3, None, None)],
    )
    for row in rows:
        assert list(row.keys() ^ set(TABLES["comparison"].names)) == []
        assert row["verdict"] in VERDICTS
        assert row["explanation"] and row["place"] and row["paper_protocol"]
        assert row["samples_needed"] is None or row["verdict"] == NOT_RESOLVED
    assert {r["dimension"] for r in rows} == {2, 3, 4}


def test_foreign_models_are_not_compared():
    other = {**ensemble(3), "model": "kob_andersen"}
    assert compare([other], [shear("e3", 20.0, 0.1)]) == []


def test_printed_values_are_those_of_the_tables():
    printed = {(p.quantity, p.dimension): p.value for p in PAPER_VALUES}
    assert [printed["shear_modulus", d] for d in (2, 3, 4)] == [15.8, 12.4, 10.9]
    assert [printed["debye_frequency", d] for d in (2, 3, 4)] == [20.2, 17.3, 23.3]
