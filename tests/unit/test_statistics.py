"""Statistics against known laws: truth recovered within errors, errors that cover the truth."""

import numpy as np
import pytest

from glassmodes.statistics.bootstrap import (
    bootstrap,
    mean_estimate,
    ratio,
    resampling_weights,
    samples_needed,
)
from glassmodes.statistics.distributions import (
    counts_by_sample,
    density_histogram,
    geometric_centres,
    linear_edges,
    logarithmic_edges,
    pooled_moments,
)
from glassmodes.statistics.power_law import (
    find_plateau_end,
    fit_exponent,
    goodness_of_fit,
    values_needed,
)
from glassmodes.statistics.scaling import fit_scaling
from glassmodes.statistics.tails import fit_upper_tail


def power_law_modes(rng, samples, rate, exponent, upper=1.0):
    """Poisson numbers of values per sample from the density w**exponent below `upper`."""
    counts = rng.poisson(rate, samples)
    owner = np.repeat(np.arange(samples), counts)
    return upper * rng.random(owner.size) ** (1.0 / (exponent + 1.0)), owner


def test_bootstrap_error_of_the_mean_is_the_textbook_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    estimate = mean_estimate(values, resamples=2000, seed=5)
    assert estimate.value == pytest.approx(values.mean(), rel=1e-13)
    # 2,000 resamples give the error itself to 1/sqrt(4000) = 1.6 %; five of these
    assert estimate.error == pytest.approx(values.std() / 20.0, rel=0.08)
    # the interval of a mean is symmetric and +-1.96 errors wide
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * estimate.error, rel=0.1)


def test_resampling_weights_do_not_depend_on_the_cut_into_blocks(monkeypatch):
    whole = np.concatenate(list(resampling_weights(50, 40, seed=3)))
    monkeypatch.setattr("glassmodes.statistics.bootstrap._WEIGHTS_PER_CHUNK", 170)
    pieces = list(resampling_weights(50, 40, seed=3))
    assert len(pieces) > 5
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert (whole.sum(axis=1) == 50).all()


def test_bootstrap_resamples_glasses_and_not_their_modes():
    # ten identical modes per glass carry no more information than one
    rng = np.random.default_rng(2)
    one = rng.normal(1.0, 0.3, (100, 1))
    ten = np.repeat(one, 10, axis=1)
    errors = [pooled_moments(x, resamples=500, seed=1).mean.error for x in (one, ten)]
    assert errors[1] == pytest.approx(errors[0], rel=1e-9)


def test_single_sample_has_a_value_but_no_error():
    estimate = mean_estimate([2.5])
    assert estimate.value == 2.5
    assert np.isnan(estimate.error)


def test_missing_values_are_left_out_of_a_mean():
    estimate = mean_estimate([[1.0, np.nan], [3.0, 5.0]], resamples=50)
    np.testing.assert_allclose(estimate.value, [2.0, 5.0])


def test_ratio_is_nan_where_the_denominator_vanishes():
    np.testing.assert_array_equal(np.isnan(ratio([1.0, 2.0], [0.0, 4.0])), [True, False])


@pytest.mark.parametrize("exponent", [1.5, 4.0])
def test_maximum_likelihood_exponent_recovers_the_law(exponent):
    w, owner = power_law_modes(np.random.default_rng(7), 800, 2.0, exponent)
    fit = fit_exponent(w, owner, 800, 1.0, resamples=600, seed=2)
    error = float(fit.exponent.error[0])
    assert fit.used[0] == w.size
    # independent modes: relative error of s + 1 is 1/sqrt(n) (bootstrap noise 3 %, four of these)
    assert error == pytest.approx((exponent + 1) / np.sqrt(w.size), rel=0.15)
    assert abs(fit.exponent.value[0] - exponent) < 4 * error


def test_exponent_is_the_formula_of_the_conventions():
    w = np.array([0.2, 0.5, 0.9, 1.3])
    fit = fit_exponent(w, [0, 0, 1, 2], 3, [1.0, 2.0], resamples=20)
    expected = [3 / np.log(1.0 / w[:3]).sum() - 1, 4 / np.log(2.0 / w).sum() - 1]
    np.testing.assert_allclose(fit.exponent.value, expected, rtol=1e-13)
    np.testing.assert_array_equal(fit.used, [3, 4])
    np.testing.assert_array_equal(fit.samples_used, [2, 3])


def test_confidence_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    covered = 0
    for trial in range(120):
        w, owner = power_law_modes(rng, 150, 1.0, 4.0)
        fit = fit_exponent(w, owner, 150, 1.0, resamples=200, confidence=0.9, seed=trial)
        covered += bool(fit.exponent.low[0] <= 4.0 <= fit.exponent.high[0])
    # binomial sd of 120 trials at 0.9 is 0.027; four of these, and 0.02 of bootstrap bias
    assert abs(covered / 120 - 0.9) < 4 * 0.027 + 0.02


def test_empty_and_single_value_windows_give_no_exponent():
    fit = fit_exponent([0.5], [0], 3, [0.1, 1.0], resamples=20)
    assert np.isnan(fit.exponent.value).all()
    np.testing.assert_array_equal(fit.used, [0, 1])


def test_modes_needed_for_the_fourth_power():
    assert values_needed(4.0, 0.2) == 625
    assert values_needed(4.0, 0.1) == 2500
    assert samples_needed(100, 0.4, 0.2) == 400
    assert samples_needed(100, float("nan"), 0.2) is None


def test_goodness_of_fit_accepts_the_law_and_rejects_a_crossover():
    rng = np.random.default_rng(3)
    law = rng.random(600) ** 0.2
    # density w^4 below 0.6 that turns into w^1 above it
    mixed = np.concatenate([0.6 * rng.random(250) ** 0.2, np.sqrt(0.36 + 0.64 * rng.random(350))])
    assert goodness_of_fit(law, 1.0, seed=1) > 0.01
    assert goodness_of_fit(mixed, 1.0, seed=1) < 0.01
    assert np.isnan(goodness_of_fit(law[:3], 1.0))


def reduced_cumulative(w, owner, samples, grid, power):
    rows = np.stack([np.bincount(owner[w < g], minlength=samples) for g in grid], axis=1)
    level = bootstrap(lambda t: t / grid**power, rows, resamples=300, seed=4)
    return level.value, level.error, rows.sum(axis=0)


def test_plateau_end_is_found_where_the_law_breaks():
    rng = np.random.default_rng(5)
    samples = 20_000
    low, low_owner = power_law_modes(rng, samples, 0.2, 4.0, upper=1.0)
    # above 1 the density stays at its value at 1: 5 * 0.2 modes per sample and frequency
    counts = rng.poisson(1.0, samples)
    high_owner = np.repeat(np.arange(samples), counts)
    high = 1.0 + rng.random(high_owner.size)
    grid = np.geomspace(0.2, 2.0, 60)
    w, owner = np.concatenate([low, high]), np.concatenate([low_owner, high_owner])
    plateau = find_plateau_end(grid, *reduced_cumulative(w, owner, samples, grid, 5))
    assert plateau.found
    assert 0.9 < plateau.end < 1.35  # the cumulative must lose 2 sigma of 14 % before it shows
    assert plateau.level == pytest.approx(0.2 * samples, rel=0.5)


def test_no_plateau_is_invented():
    rng = np.random.default_rng(6)
    grid = np.geomspace(0.05, 1.0, 60)
    w, owner = power_law_modes(rng, 3000, 2.0, 2.0)
    flatter = find_plateau_end(grid, *reduced_cumulative(w, owner, 3000, grid, 5))
    assert not flatter.found and "flatter" in flatter.reason
    w, owner = power_law_modes(rng, 3000, 2.0, 7.0)
    steeper = find_plateau_end(grid, *reduced_cumulative(w, owner, 3000, grid, 5))
    assert not steeper.found and "steeper" in steeper.reason
    few = find_plateau_end(grid, *reduced_cumulative(w[:20], owner[:20], 3000, grid, 5))
    assert not few.found and "too few" in few.reason
    short = find_plateau_end(grid[:5], [1.0] * 5, [0.1] * 5, [60] * 5, minimum_span=1.5)
    assert not short.found and "only a factor" in short.reason


def test_upper_tail_recovers_seven_halves():
    rng = np.random.default_rng(8)
    y = rng.pareto(2.5, 4000) + 1.0  # density y**(-7/2) beyond 1
    fit = fit_upper_tail(y, np.arange(4000), 4000, [1.0, 2.0], resamples=200)
    assert (np.abs(fit.exponent.value - 3.5) < 4 * fit.exponent.error).all()
    assert fit.used[1] < fit.used[0]


def test_pooled_moments_are_numpys_and_survive_a_large_mean():
    x = np.random.default_rng(9).gamma(4.0, 1.0, (300, 6)) + 1e6
    m = pooled_moments(x, resamples=100)
    assert m.draws == 1800
    assert m.mean.value == pytest.approx(x.mean(), rel=1e-14)
    # power sums about the mean lose nothing to the offset of 1e6 but its own rounding (1e-10)
    assert m.standard_deviation.value == pytest.approx(x.std(ddof=1), rel=1e-8)
    z = (x - x.mean()) / x.std()
    assert m.skewness.value == pytest.approx((z**3).mean(), rel=1e-7)
    assert m.relative_variance.value == pytest.approx(x.var(ddof=1) / x.mean() ** 2, rel=1e-8)


def test_density_histogram_is_normalised_and_has_poisson_errors():
    rng = np.random.default_rng(10)
    samples = 2000
    x = rng.random(samples)
    edges = np.linspace(0.0, 1.0, 11)
    h = density_histogram(x, np.arange(samples), samples, edges, resamples=800)
    assert np.sum(h.density.value * 0.1) == pytest.approx(1.0, rel=1e-12)
    # one value per sample: binomial, sd = sqrt(p (1 - p) / S) / width
    np.testing.assert_allclose(h.density.error, np.sqrt(0.09 / samples) / 0.1, rtol=0.2)


def test_counts_by_sample_keeps_every_value_once():
    rng = np.random.default_rng(12)
    values, owner = rng.random(500) * 2, rng.integers(0, 7, 500)
    counts = counts_by_sample(values, owner, 7, [0.0, 0.5, 1.0, 2.0])
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(owner, minlength=7))
    assert counts[:, 0].sum() == (values < 0.5).sum()


def test_logarithmic_edges_lie_on_a_grid_that_ignores_the_data():
    a, b = logarithmic_edges(0.13, 2.1, 10), logarithmic_edges(0.3, 9.0, 10)
    shared = np.intersect1d(np.round(a, 12), np.round(b, 12))
    assert shared.size == 11  # 10**-0.6 to 10**0.4: from below 0.3 to above 2.1
    assert a[0] <= 0.13 and a[-1] >= 2.1
    np.testing.assert_allclose(geometric_centres([1.0, 100.0]), [10.0])


def test_linear_edges_cover_all_values():
    x = np.random.default_rng(13).normal(size=1000)
    edges = linear_edges(x)
    assert counts_by_sample(x, np.zeros(1000, int), 1, edges).sum() == 1000
    assert linear_edges([2.0, 2.0]).size == 2


def test_scaling_recovers_a_slope_and_its_error():
    sizes = np.array([100, 400, 1600, 6400])
    rng = np.random.default_rng(14)
    values = 3.0 * sizes**-1.0
    noisy = values * (1 + 0.05 * rng.normal(size=4))
    fit = fit_scaling(sizes, noisy, 0.05 * values)
    assert abs(fit.slope + 1.0) < 4 * fit.error
    exact = fit_scaling(sizes, values, 0.05 * values)
    assert exact.slope == pytest.approx(-1.0, abs=1e-12)
    assert exact.misfit == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="two different sizes"):
        fit_scaling([5, 5], [1, 2], [1, 1])
