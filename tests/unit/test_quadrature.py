"""Gauss quadratures of tridiagonal matrices against closed forms, moments and LAPACK."""

import numpy as np
import pytest
from scipy.linalg import eigh_tridiagonal

from glassmodes.kernels import quadrature
from glassmodes.kernels.quadrature import gauss_quadrature

# Errors of QL grow at most as k roundings of the norm; k <= 400 and norms of order one to ten.
ROUNDING = 1e-12


@pytest.mark.parametrize("k", [1, 2, 7, 400])
def test_chebyshev_polynomials_of_the_second_kind(k):
    """Zero diagonal, links 1/2: nodes cos(j pi / (k + 1)), weights 2 sin^2(...) / (k + 1)."""
    nodes, weights = gauss_quadrature(np.zeros(k), np.full(k - 1, 0.5))
    angle = np.pi * np.arange(k, 0, -1) / (k + 1)
    np.testing.assert_allclose(nodes, np.cos(angle), atol=ROUNDING)
    np.testing.assert_allclose(weights, 2 / (k + 1) * np.sin(angle) ** 2, atol=ROUNDING)


@pytest.mark.parametrize("compiled", [True, False])
def test_moments_of_the_first_vector(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(quadrature, "load", lambda: None)
    rng = np.random.default_rng(1)
    alpha, beta = 7 * rng.random(300), 2 * rng.random(299)
    beta[150] = 0.0  # two parts, of which the second has no weight
    nodes, weights = gauss_quadrature(alpha, beta)
    expected, vectors = eigh_tridiagonal(alpha, beta)
    np.testing.assert_allclose(nodes, expected, atol=ROUNDING)
    np.testing.assert_allclose(weights, vectors[0] ** 2, atol=ROUNDING)
    matrix = np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1)
    first = np.eye(300)[0]
    for power in range(6):  # sums of nodes^5 < 11^5 with weights that sum to 1
        np.testing.assert_allclose(weights @ nodes**power, first[0], rtol=1e-11)
        first = matrix @ first


def test_the_arguments_are_left_as_they_were():
    alpha, beta = np.array([1.0, 2.0]), np.array([0.5])
    gauss_quadrature(alpha, beta)
    assert alpha.tolist() == [1.0, 2.0] and beta.tolist() == [0.5]
