"""The pressure of a packing against the paper's, with the error of samples of other sizes."""

import math

import pytest

from glassmodes.campaign.compare_packings import comparison_rows
from glassmodes.campaign.compare_verdicts import AGREE, DISAGREE, NOT_RESOLVED, VERDICTS
from glassmodes.campaign.table_schema import TABLES


def ensemble(name, n, **changes):
    row = {
        "ensemble": name,
        "model": "harmonic_spheres",
        "protocol": "random_start",
        "protocol_details": "quenched from random positions",
        "dimension": 3,
        "particles": n,
        "density": 0.73 * 6 / math.pi,
    }
    return {**row, **changes}


def rows(ensembles, **pressures):
    samples = [
        {"ensemble": name, "status": "ok", "pressure": p}
        for name, values in pressures.items()
        for p in values
    ]
    samples.append({"ensemble": "small", "status": "refused", "pressure": None})
    return list(comparison_rows({"ensembles": ensembles, "samples": samples}))


def test_a_single_large_sample_borrows_the_spread_of_small_ones():
    both = [ensemble("small", 16000), ensemble("large", 512000)]
    small, large = rows(both, small=[0.050, 0.052], large=[0.0508])
    spread = math.sqrt(2) * 1e-3  # standard deviation of two samples, 16,000 particles each
    assert small["measured"] == pytest.approx(0.051)
    assert small["measured_error"] == pytest.approx(spread / math.sqrt(2))
    assert large["measured_error"] == pytest.approx(spread * math.sqrt(16000 / 512000))
    assert small["verdict"] == large["verdict"] == AGREE
    for row in (small, large):
        assert set(row) == set(TABLES["comparison"].names) and row["verdict"] in VERDICTS


def test_another_pressure_disagrees_and_one_sample_alone_tells_nothing():
    (far,) = rows([ensemble("small", 1000)], small=[0.070, 0.071])
    assert far["verdict"] == DISAGREE
    (alone,) = rows([ensemble("small", 1000)], small=[0.050])
    assert alone["verdict"] == NOT_RESOLVED and alone["measured_error"] is None
    (none,) = rows([ensemble("small", 1000)])
    assert none["verdict"] == NOT_RESOLVED and none["measured"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"density": 1.3},
        {"dimension": 2},
        {"model": "hertzian_spheres"},
        {"protocol": "instantaneous_quench"},
    ],
    ids=str,
)
def test_other_packings_are_not_compared(changes):
    assert not rows([ensemble("small", 1000, **changes)], small=[0.05])
