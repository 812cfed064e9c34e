"""The relaxation of one damped mode: equation of motion, limits, transforms, extreme numbers."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from glassmodes.observables.relaxation import (
    decay_sum,
    overdamped_function,
    relaxation_function,
    response_sum,
)

CASES = [(1.0, 0.1), (1.0, 2.0), (1.0, 2.0 + 1e-9), (1.0, 2.0 - 1e-9), (0.3, 5.0), (7.0, 1.0)]


@pytest.mark.parametrize("lam, nu", CASES)
def test_it_solves_the_equation_of_motion(lam, nu):
    t = np.linspace(0, 6, 13)
    exact = solve_ivp(
        lambda _, y: [y[1], -nu * y[1] - lam * y[0]],
        (0, 6), [1.0, 0.0], t_eval=t, rtol=1e-11, atol=1e-13, method="DOP853",
    ).y[0]  # fmt: skip
    np.testing.assert_allclose(relaxation_function(lam, t, nu), exact, atol=1e-9)  # the integrator


def test_critical_damping():
    t = np.linspace(0, 20, 50)
    expected = np.exp(-t) * (1 + t)
    for nu in (2.0, 2.0 * (1 + 1e-15), 2.0 * (1 - 1e-15)):
        # next to critical damping f differs by 4 s² t²/6, 1e-13 here
        np.testing.assert_allclose(relaxation_function(1.0, t, nu), expected, rtol=1e-12)


def test_without_damping_it_is_a_cosine():
    t = np.linspace(0, 30, 50)
    np.testing.assert_allclose(relaxation_function(4.0, t, 0.0), np.cos(2 * t), atol=1e-13)


def test_overdamped_modes_keep_their_digits():
    """At ν = 10^10, λ = 10^-12 the rate is λ/ν to 32 digits: ν/2 - s would be zero."""
    t = np.array([0.0, 1e20, 1e22, 1e24])
    found = relaxation_function(1e-12, t, 1e10)
    np.testing.assert_allclose(found, overdamped_function(1e-12, t, 1e10), rtol=1e-13)
    assert found[2] == pytest.approx(np.exp(-1.0), rel=1e-13)


def test_extreme_times_are_finite_and_bounded():
    lam = np.array([1e-30, 1e-12, 1e-3, 1.0, 1e6])[:, None]
    t = np.array([0.0, 1e-300, 1e-9, 1.0, 1e11, 1e200, 1e300])
    for nu in (1e-6, 1.0, 1e4, 1e12):
        f = relaxation_function(lam, t, nu)
        assert np.all(np.isfinite(f)) and np.all(np.abs(f) <= 1 + 1e-15)
        assert np.all(f[:, 0] == 1.0)


def test_no_stiffness_no_relaxation():
    np.testing.assert_array_equal(relaxation_function(0.0, [0.0, 1.0, 1e12], 3.0), 1.0)


@pytest.mark.parametrize("lam, nu", CASES)
@pytest.mark.parametrize("w", (0.01, 0.7, 5.0))
def test_it_is_the_transform_of_the_response(lam, nu, w):
    """-1 + i W ∫ f e^(-i W t) dt = -λ/(λ - z)."""
    end = 40 / min(nu / 2, lam / nu)
    real, imag = (
        quad(
            lambda t: relaxation_function(lam, t, nu), 0, end, weight=kind, wvar=w,
            limit=2000, epsabs=1e-12,
        )[0]
        for kind in ("cos", "sin")
    )  # fmt: skip
    transform = -1 + 1j * w * (real - 1j * imag)
    expected = -lam * response_sum(np.array([lam]), np.array([1.0]), w, nu)
    assert complex(transform) == pytest.approx(complex(expected), abs=1e-8)  # quadrature


def test_sums_are_sums_over_modes():
    rng = np.random.default_rng(1)
    lam, weight = rng.uniform(0.1, 9, 50), rng.random(50)
    w, t = np.geomspace(1e-6, 1e3, 40).reshape(8, 5), np.geomspace(1e-3, 1e3, 7)
    expected = sum(b / (a - w**2 + 1j * w * 2.5) for a, b in zip(lam, weight, strict=True))
    np.testing.assert_allclose(response_sum(lam, weight, w, 2.5), expected, rtol=1e-12)
    by_mode = [b / a * relaxation_function(a, t, 2.5) for a, b in zip(lam, weight, strict=True)]
    np.testing.assert_allclose(decay_sum(lam, weight, t, 2.5), sum(by_mode), rtol=0, atol=1e-13)


def test_long_sums_are_cut_into_slices(monkeypatch):
    lam, weight = np.linspace(1, 2, 30), np.ones(30)
    w = np.geomspace(0.1, 10, 23)
    whole = response_sum(lam, weight, w, 1.0), decay_sum(lam, weight, w, 1.0, inertia=False)
    monkeypatch.setattr("glassmodes.observables.relaxation._AT_ONCE", 64)
    again = response_sum(lam, weight, w, 1.0), decay_sum(lam, weight, w, 1.0, inertia=False)
    for a, b in zip(whole, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)  # summation order


def test_the_loss_keeps_its_sign_and_digits():
    """At W ν = 10^-18 λ the imaginary part is W ν/λ² to all digits."""
    found = response_sum(np.array([2.0]), np.array([1.0]), 1e-20, 200.0)
    assert -complex(found).imag == pytest.approx(1e-20 * 200 / 4, rel=1e-14)
