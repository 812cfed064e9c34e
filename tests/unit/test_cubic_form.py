"""The cubic form: sum rules, quadrature of its definition, limits, and its fit."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from glassmodes.errors import InputError
from glassmodes.observables.cubic_form import CubicForm, deviation, fit_edge
from glassmodes.observables.relaxation import relaxation_function

FORM = CubicForm(edge=2.5, weight=0.27, volume=0.7, affine=0.41)


def complex_by_quadrature(form, w, nu):
    z = w**2 - 1j * w * nu
    scales = sorted({0.0, min(w, form.edge), min(np.sqrt(w * nu), form.edge), form.edge})

    def part(select):
        return sum(
            quad(lambda x: select(form.density(x) / (x**2 - z)), a, b, limit=500, epsabs=1e-13)[0]
            for a, b in pairwise(scales)
        )

    return form.affine - (part(np.real) + 1j * part(np.imag)) / form.volume


@pytest.mark.parametrize("power", (-1, 0, 1, 2))
def test_moments(power):
    integral = quad(lambda w: w ** (2 * power) * FORM.density(w), 0, FORM.edge, epsabs=0)[0]
    assert FORM.moment(power) == pytest.approx(integral, rel=1e-10)  # quadrature


def test_its_own_sum_rules_fix_the_edge():
    """0.4 e² = moment 1 / moment 0 and 6/e² = moment -1 / moment 0."""
    assert FORM.moment(0) == pytest.approx(FORM.weight, rel=1e-14)
    assert FORM.moment(1) == pytest.approx(0.4 * FORM.edge**2 * FORM.weight, rel=1e-14)
    assert FORM.static_drop == pytest.approx(FORM.moment(-1) / FORM.volume, rel=1e-14)


def test_density_vanishes_outside_the_band():
    assert np.all(FORM.density([-1.0, 0.0, 2.5, 3.0]) == 0)


@pytest.mark.parametrize("nu", (0.3, 5.0, 1e4))
@pytest.mark.parametrize("w", (1e-6, 1e-2, 1.0, 2.4, 9.0, 40.0))
def test_complex_modulus_is_the_integral_of_its_definition(w, nu):
    expected = complex_by_quadrature(FORM, w, nu)
    found = complex(FORM.complex_modulus(w, nu))
    assert found.real == pytest.approx(expected.real, abs=1e-9)  # quadrature
    assert found.imag == pytest.approx(expected.imag, rel=1e-6, abs=1e-13)
    assert found.imag > 0


def test_closed_form_and_series_meet():
    """Where the series takes over, |z| = 16 e², both give the same to the digits left by it."""
    w = FORM.edge * 4 * np.array([1 - 1e-12, 1 + 1e-12])
    near, far = FORM.complex_modulus(w, 1e-6)
    # the closed form loses a factor 12 * 16 to cancellation
    assert abs(near - far) < 1e-11 * abs(FORM.affine - far)


def test_limits_of_the_complex_modulus():
    low, high = FORM.complex_modulus([1e-14, 1e8], 1e4)
    assert low.real == pytest.approx(FORM.static_modulus, rel=1e-4)  # sqrt(W nu)/e = 4e-6
    assert high.real == pytest.approx(FORM.affine, rel=1e-12)
    assert complex(FORM.complex_modulus(0.0, 1e4)) == pytest.approx(FORM.static_modulus)


def test_loss_rises_as_the_square_root():
    """Deep inside the band G'' = (1/V) 12 A/e³ (π/2) sqrt(W ν)/√2 for any weight and edge."""
    w, nu = np.array([1e-13, 1e-12]), 1e4
    loss = FORM.complex_modulus(w, nu).imag
    slope = 12 * FORM.weight / (FORM.volume * FORM.edge**3) * np.pi / 2 / np.sqrt(2)
    np.testing.assert_allclose(loss, slope * np.sqrt(w * nu), rtol=2e-3)  # + O(W ν ln W ν)


@pytest.mark.parametrize("nu", (0.05, 4.0, 6.0, 1e4))
@pytest.mark.parametrize("t", (0.0, 0.3, 20.0, 3e5))
def test_relaxation_is_the_integral_of_its_definition(t, nu):
    def integrand(w):
        share = 12 * FORM.weight / FORM.edge**4 * (FORM.edge - w)
        return share * relaxation_function(w**2, t, nu) / FORM.volume

    top = FORM.edge if t < 1 else min(FORM.edge, 12 * np.sqrt(max(nu, 2 * FORM.edge) / t))
    tail = 0.0
    if top < FORM.edge:
        tail = quad(integrand, top, FORM.edge, limit=2000, epsabs=1e-14)[0]
    expected = quad(integrand, 0, top, limit=2000, epsabs=1e-13)[0] + tail
    found = float(FORM.relaxation(t, nu)) - FORM.static_modulus
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-11)  # quadrature


def test_relaxation_starts_at_the_affine_modulus_and_ends_as_an_inverse_root():
    nu = 1e4
    t = np.array([0.0, 1e13, 1e15])
    decay = FORM.relaxation(t, nu) - FORM.static_modulus
    assert decay[0] == pytest.approx(FORM.static_drop, rel=1e-12)
    root = 6 * FORM.weight / (FORM.volume * FORM.edge**3) * np.sqrt(np.pi * nu / t[1:])
    # next order: sqrt(ν/π t)/e = 7e-6 and 7e-7
    np.testing.assert_allclose(decay[1:], root, rtol=1e-5)


def test_extensive_and_per_vibration_agree():
    n = 300
    extensive = CubicForm(2.5, 0.27 * n, 0.7 * n, 0.41)
    w, t = np.geomspace(1e-6, 10, 9), np.geomspace(0.1, 1e6, 9)
    np.testing.assert_allclose(extensive.complex_modulus(w, 5.0), FORM.complex_modulus(w, 5.0))
    np.testing.assert_allclose(extensive.relaxation(t, 5.0), FORM.relaxation(t, 5.0))


def test_fit_finds_the_edge_it_was_made_with():
    w = np.linspace(0, 3.5, 400)
    made = CubicForm(2.31, 0.8)
    found = fit_edge(w, made.density(w), 0.8)
    assert found.edge == pytest.approx(2.31, rel=1e-6)  # of the minimiser
    assert deviation(found, w, made.density(w)) < 1e-6
    # the trapezoid rule on 400 points knows the weight to 1e-4
    assert fit_edge(w, made.density(w)).weight == pytest.approx(0.8, rel=1e-3)


def test_deviation_measures_a_known_excess():
    w = np.linspace(0, 2.5, 500)
    assert deviation(FORM, w, 1.1 * FORM.density(w)) == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize("edge, weight, volume", [(0.0, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_impossible_forms_are_refused(edge, weight, volume):
    with pytest.raises(InputError, match="cubic form needs"):
        CubicForm(edge, weight, volume)


@pytest.mark.parametrize(
    "w, values, text",
    [
        ([0, 1, 2], [0, 0, 0], "zero"),
        ([0, 1], [0, 1], "3 or more"),
        ([0, 2, 1], [0, 1, 0], "ascend"),
        ([0, 1, 2], [0, 1, 1, 0], "shapes"),
    ],
)
def test_data_that_cannot_be_fitted(w, values, text):
    with pytest.raises(InputError, match=text):
        fit_edge(w, values)
