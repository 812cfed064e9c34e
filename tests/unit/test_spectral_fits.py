"""Fits of spectral functions: exponents, cubic form and collapse of curves whose laws are known."""

import math

import numpy as np
import pytest
from cubic_samples import DAMPING, EDGE, PARTICLES, STATIC, source

from glassmodes.campaign.collapse_fits import NONE, PAPER_FACTOR, PER_MODE, SUM_RULE, collapse_rows
from glassmodes.campaign.spectral_curves import (
    ABOVE_PHONON,
    BEFORE_PHONON,
    BELOW_EDGE,
    Regimes,
    first_phonon,
    near_isostatic,
    state_label,
)
from glassmodes.campaign.spectral_fits import cubic_row, exponent_rows
from glassmodes.campaign.table_schema import TABLES
from glassmodes.observables.cubic_form import CubicForm, deviation
from glassmodes.observables.cubic_form import fit_edge as fit_edge_by_scipy
from glassmodes.statistics.collapse import collapse_spread, logarithmic_spread
from glassmodes.statistics.local_exponents import decades_of_law, fit_window, local_exponents

OPTIONS = {"resamples": 200, "confidence": 0.95, "seed": 3}


def by_quantity(rows):
    return {r["quantity"]: r for r in rows}


def test_local_exponent_of_a_power_law_is_its_exponent():
    x = np.geomspace(1e-3, 1e3, 61)
    assert local_exponents(x, 7.0 * x**-0.625) == pytest.approx(np.full(61, -0.625))
    assert np.isnan(local_exponents(x, np.where(x > 1, x, -x))[:29]).all()


def test_window_exponent_covers_the_truth_and_its_error_is_that_of_the_samples():
    rng = np.random.default_rng(2)
    x = np.geomspace(1.0, 1e3, 31)
    slopes = 0.5 + 0.02 * rng.normal(size=100)
    fit = fit_window(x, x ** slopes[:, None], 1.0, 1e3, **OPTIONS)
    # mean of curves, not of slopes: larger by (var/2) d<ln^2 x>/d ln x, about 0.001 here
    assert float(fit.exponent.value) == pytest.approx(slopes.mean(), abs=0.003)
    # a bootstrap of 200 resamples knows its error to about 5 %, 100 samples theirs to 7 %
    assert float(fit.exponent.error) == pytest.approx(0.02 / math.sqrt(100), rel=0.3)
    assert fit.decades == pytest.approx(3.0)


def test_window_exponent_of_a_ratio_divides_the_means():
    x = np.geomspace(1.0, 1e2, 21)
    scale = np.array([1.0, 3.0, 8.0])[:, None]
    rows = np.stack([scale * x**3, scale * x], axis=1)
    assert float(fit_window(x, rows, 1.0, 1e2, **OPTIONS).exponent.value) == pytest.approx(2.0)


def test_window_without_points_gives_no_number():
    x = np.geomspace(1.0, 1e3, 31)
    for low, high in ((1e4, 1e5), (10.0, 5.0), (math.nan, 10.0)):
        fit = fit_window(x, np.ones((3, 31)), low, high, **OPTIONS)
        assert math.isnan(float(fit.exponent.value))


def test_decades_of_a_law_are_those_between_its_crossovers():
    x = np.geomspace(1e-4, 1e4, 161)
    curve = x**0.5 / (1.0 + (x / 10.0) ** 4)  # exponent 1/2 far below 10, -7/2 far above
    found = decades_of_law(x, np.tile(curve, (3, 1)), (0.4, 0.6), **OPTIONS)
    # 1/2 - 4 y/(1 + y) with y = (x/10)^4 leaves 0.4 at y = 1/39; two steps of the grid are 0.1
    assert float(found.value) == pytest.approx(4 + math.log10(10 * 39**-0.25), abs=0.1)
    assert float(found.error) < 1e-12
    half = decades_of_law(x, np.tile(curve, (3, 1)), (0.4, 0.6), inside=x > 0.099, **OPTIONS)
    assert float(half.value) == pytest.approx(1 + math.log10(10 * 39**-0.25), abs=0.15)


def test_spread_of_curves_a_factor_apart_is_known_and_division_removes_it():
    curve = np.geomspace(1.0, 9.0, 30)
    scaled = np.stack([curve, math.e**2 * curve])
    assert logarithmic_spread(scaled) == pytest.approx(1.0)
    systems = [np.tile(curve, (3, 1)), np.tile(math.e**2 * curve, (4, 1))]
    plain = collapse_spread(systems, [np.ones(3), np.ones(4)], **OPTIONS)
    divided = collapse_spread(systems, [np.ones(3), np.full(4, math.e**2)], **OPTIONS)
    assert float(plain.value) == pytest.approx(1.0) and float(plain.error) < 1e-12
    assert float(divided.value) < 1e-12


def test_first_phonon_and_the_windows_it_sets():
    row = source().row
    length = (PARTICLES / 1.4) ** (1 / 3)
    expected = 2 * math.pi * math.sqrt(STATIC / 1.4) / length
    assert first_phonon(row) == pytest.approx(expected)
    regimes = Regimes.of(row)
    assert regimes.slow() == pytest.approx(
        (ABOVE_PHONON * expected**2 / DAMPING, EDGE**2 / DAMPING / BELOW_EDGE)
    )
    slowest = DAMPING / expected**2
    assert regimes.times() == pytest.approx((1 / regimes.slow()[1], slowest / BEFORE_PHONON))
    assert regimes.spectrum()[0] == pytest.approx(max(2 * expected, 0.06))
    assert math.isnan(first_phonon({**row, "static_modulus": -0.1}))
    assert math.isnan(first_phonon({**row, "static_modulus": None}))


def test_labels_follow_the_paper():
    row = source().row
    labels = {z: state_label({**row, "coordination_asked": z}) for z in (6.0, 6.1, 7.0, None)}
    assert labels == {6.0: "Z near 6", 6.1: "Z near 6", 7.0: "Z = 7", None: ""}
    flat = {**row, "dimension": 2, "coordination_asked": 4.1}
    assert state_label(flat) == "Z near 4" and near_isostatic(flat)


def test_exponents_of_the_cubic_form_are_one_half_for_every_coordination():
    """The contradiction of the paper: its form gives W^(1/2) and t^(-1/2) also at Z = 7."""
    for coordination in (6.1, 7.0):
        rows = by_quantity(exponent_rows(source(coordination=coordination), OPTIONS))
        # G'' ~ W^(1/2) (1 - x ln(1/x) / pi ...), x = w/w_D: 1/2 is reached from below, slowly
        assert 0.42 < rows["loss_low"]["exponent"] < rows["loss_low"]["largest_local"] < 0.5
        assert rows["loss_high"]["exponent"] == pytest.approx(-1.0, abs=0.01)
        assert rows["decay"]["exponent"] == pytest.approx(-0.5, abs=0.03)
        assert rows["decay"]["smallest_local"] > -0.5  # never reaches -3/4
        assert rows["density_times_correlator"]["exponent"] == pytest.approx(2.0, abs=0.15)
        assert rows["correlator"]["exponent"] == pytest.approx(2.0, abs=0.15)
        assert rows["density"]["exponent"] == pytest.approx(0.0, abs=1e-9)
        for row in rows.values():
            assert row["verdict"] == "resolved"
            if not math.isnan(row["cubic_exponent"]):
                assert row["cubic_exponent"] == pytest.approx(
                    row["exponent"], abs=0.02
                )  # one sample


def test_rows_of_exponents_fit_their_table_and_expect_what_the_paper_says():
    near = by_quantity(exponent_rows(source(), OPTIONS))
    far = by_quantity(exponent_rows(source(coordination=7.0), OPTIONS))
    glass = by_quantity(exponent_rows(source(coordination=None), OPTIONS))
    for row in [*near.values(), *far.values(), *glass.values()]:
        assert not row.keys() ^ set(TABLES["response_exponents"].names)
    assert (near["loss_low"]["expected"], far["loss_low"]["expected"]) == (0.5, 1.0)
    assert glass["decay"]["expected"] == glass["decay_late"]["expected"] == -1.5
    # four samples are too few for what only the slowest of them decides
    assert glass["decay_late"]["verdict"] == "not resolved"
    assert glass["decay_late"]["samples_needed"] >= 16
    assert "modulus" not in glass and "decay_late" not in near
    assert near["loss_low"]["law_decades"] > 1.5 > far["loss_low"]["law_decades"]


def test_narrow_windows_and_single_samples_are_not_resolved():
    short = source()
    short.row["particles"] = 100
    row = by_quantity(exponent_rows(short, OPTIONS))["loss_low"]
    assert row["verdict"] == "not resolved" and row["exponent"] is None
    assert row["samples_needed"] is None  # more samples do not widen a window
    unstable = source()
    unstable.row["static_modulus"] = -0.01
    assert by_quantity(exponent_rows(unstable, OPTIONS))["loss_low"]["exponent"] is None


def test_cubic_form_is_recognised_in_moments_and_edge():
    row = cubic_row(source(), OPTIONS)
    assert not row.keys() ^ set(TABLES["cubic_forms"].names)
    assert row["drop_ratio"] == pytest.approx(1.0)
    assert row["moment_one_ratio"] == pytest.approx(1.0)
    assert row["deviation"] < 1e-12
    assert row["fitted_edge"] == pytest.approx(EDGE, rel=1e-3)  # the grid of edges
    assert row["edge"] == EDGE


def test_deviation_and_fitted_edge_are_those_of_the_observable():
    """The vectorised fit of the campaign against `observables.cubic_form`."""
    other = source(edge=2.3)
    for name in ("max_frequency",):
        other.scalars[name][:] = EDGE
    row = cubic_row(other, OPTIONS)
    grid = other.spectra.grid
    inside = (grid >= row["window_low"]) & (grid <= row["window_high"])
    mean = other.spectra["density_times_correlator"].mean(axis=0)
    weight = float(np.mean(other.scalars["moment_zero"] / other.scalars["vibrations"]))
    form = fit_edge_by_scipy(grid[inside], mean[inside], weight)
    assert row["fitted_edge"] == pytest.approx(form.edge, rel=1e-3)  # the grid of edges
    plain = deviation(CubicForm(EDGE, weight), grid[inside], mean[inside])
    assert row["deviation"] == pytest.approx(plain, rel=0.01)  # sum against trapezoid
    assert row["deviation_fitted"] < 0.01 < row["deviation"]


def test_collapse_finds_the_sum_rules():
    """Same cubic form at two densities: G'' goes with rho <|Xi|^2>, D Gamma with the force."""
    systems = [source(density=1.4, system="a"), source(density=0.7, system="b", seed=2)]
    rows = list(collapse_rows(systems, OPTIONS))
    spread = {(r["quantity"], r["normalisation"]): r["spread"] for r in rows}
    best = {r["quantity"]: r["normalisation"] for r in rows if r["best"]}
    for row in rows:
        assert not row.keys() ^ set(TABLES["collapse"].names)
        assert row["label"] == "Z near 6" and row["ensembles"] == "a b"
    assert best["loss_modulus"] == best["decay"] == SUM_RULE
    assert spread["loss_modulus", SUM_RULE] < 1e-6
    # the paper's factor drives the curves apart: half of ln(1.4/0.7) each without it, doubled
    assert spread["loss_modulus", NONE] == pytest.approx(0.5 * math.log(2), abs=0.02)
    assert spread["loss_modulus", PAPER_FACTOR] == pytest.approx(math.log(2), abs=0.02)
    assert spread["density_times_correlator", PER_MODE] < 1e-6
    assert spread["density_times_correlator", PAPER_FACTOR] == pytest.approx(0.5 * math.log(2))


def test_a_single_system_or_a_glass_has_nothing_to_collapse_with():
    assert list(collapse_rows([source()], OPTIONS)) == []
    assert list(collapse_rows([source(coordination=None), source(system="b")], OPTIONS)) == []
