"""Densities of states and spectral measures do not depend on the number of ranks."""

import numpy as np
import pytest
import scipy.sparse as sp
from lattices import SpringLattice, disordered_operator, translation_vectors

from glassmodes.spectra.chebyshev import (
    chebyshev_moments,
    largest_eigenvalue,
    random_starts,
    spectral_bound,
)
from glassmodes.spectra.complex_shift import solve_shifted
from glassmodes.spectra.conjugate_gradient import conjugate_gradient
from glassmodes.spectra.eigenmodes import lowest_modes
from glassmodes.spectra.kernel_polynomial import density_of_states
from glassmodes.spectra.operators import MatrixOperator
from glassmodes.spectra.spectral_measure import lanczos_density, spectral_measures

POINTS = np.array([0.0, -0.5, 2.0 - 1.0j, 1e-4 - 0.1j])


def network(comm):
    operator = disordered_operator(comm, 200, 3, 9)
    operator.null_space = translation_vectors(operator)
    return operator


def weighted(comm):
    weights = 0.5 + np.random.default_rng(1).random(150)
    return disordered_operator(comm, 150, 4, 10, weights)


def foreign(comm):
    """With rows that are zero on every rank."""
    lattice = SpringLattice("triangular", 6).operator(_alone(comm))
    hole = sp.csr_matrix((7, 7))
    matrix = sp.block_diag([hole, lattice.local_rows(), hole]).tocsr()
    operator = MatrixOperator(comm, matrix)
    rows = np.ones(operator.n, bool)
    rows[7:-7] = False
    operator.null_rows = mine(operator, rows)
    return operator


def _alone(comm):
    from mpi4py import MPI

    return MPI.COMM_SELF


def mine(operator, full):
    return full[operator.first_row : operator.first_row + operator.n_local]


@pytest.fixture(params=(network, weighted, foreign), ids=lambda make: make.__name__)
def pair(request, comm, comm_self):
    return request.param(comm), request.param(comm_self)


def test_random_starts_bounds_and_moments(pair):
    operator, alone = pair
    starts = random_starts(alone, 5, 3)
    # Translations are projected out with sums over ranks.
    np.testing.assert_allclose(random_starts(operator, 5, 3), mine(operator, starts), atol=1e-12)
    assert operator.nullity == alone.nullity
    bound, expected = spectral_bound(operator), spectral_bound(alone)
    # Short recursions: rounding has not grown.
    np.testing.assert_allclose(bound.upper, expected.upper, rtol=1e-10)
    assert largest_eigenvalue(operator) == pytest.approx(largest_eigenvalue(alone), rel=1e-6)
    moments = chebyshev_moments(operator, mine(operator, starts), expected, 30)
    scale = alone.n  # the zeroth moment
    np.testing.assert_allclose(
        moments, chebyshev_moments(alone, starts, expected, 30), atol=1e-12 * scale
    )


def test_density_of_states(pair):
    operator, alone = pair
    grid = np.linspace(0, 1.1 * np.sqrt(largest_eigenvalue(alone)), 40)
    for options in ({}, {"zero_modes": "estimate"}, {"exact_below": 0.5 * grid[-1]}):
        answers = [
            density_of_states(each, resolution=0.3, frequency=grid, vectors=4, **options)
            for each in (operator, alone)
        ]
        # The bound differs by rounding, the exact modes by their residuals.
        for name in ("density", "error"):
            found, expected = (getattr(answer, name) for answer in answers)
            np.testing.assert_allclose(found, expected, atol=1e-7 * answers[1].density.max())
        assert answers[0].vibrations == answers[1].vibrations
        assert answers[0].exact_modes == answers[1].exact_modes
        for other in operator.comm.allgather(answers[0].density):
            np.testing.assert_array_equal(other, answers[0].density)


def test_spectral_measures(pair):
    operator, alone = pair
    b = alone.apply(alone.random_block(3, 4))  # no part in the null space
    tolerance = 1e-8 * np.einsum("rk,rk->k", b, b)
    measures = spectral_measures(
        operator, mine(operator, b), points=POINTS, tolerance=tolerance, check_every=10
    )
    expected = spectral_measures(alone, b, points=POINTS, tolerance=tolerance, check_every=10)
    for q, (one, other) in enumerate(zip(measures, expected, strict=True)):
        assert one.converged and one.steps == other.steps
        difference = np.abs(one.resolvent(POINTS) - other.resolvent(POINTS))
        assert difference.max() <= 2 * tolerance[q]
        assert one.moment(1) == pytest.approx(other.moment(1), rel=1e-12)
    solution, _ = conjugate_gradient(operator, mine(operator, b), tolerance=1e-10)
    static = operator.reduce(np.einsum("rk,rk->k", mine(operator, b), solution))
    found = np.array([measure.moment(-1) for measure in measures])
    assert np.all(np.abs(found - static) <= tolerance)


def test_lanczos_densities(pair):
    operator, alone = pair
    grid = np.linspace(0.2, 3, 20)
    found, _ = lanczos_density(operator, grid, resolution=0.4, vectors=4)
    expected, _ = lanczos_density(alone, grid, resolution=0.4, vectors=4)
    # Recursions part where Ritz values converge, the measures do not.
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())


def test_direct_solves_at_complex_shifts(pair):
    operator, alone = pair
    b = alone.random_block(2, 6)
    for z in (-0.7, 1.3 - 0.4j):
        np.testing.assert_allclose(
            solve_shifted(operator, mine(operator, b), z),
            mine(operator, solve_shifted(alone, b, z)),
            atol=1e-10 * np.abs(b).max(),
        )


@pytest.mark.parametrize("method", ["filtered", "slepc", "dense"])
def test_modes_beside_rows_that_are_zero(comm, method):
    """More than 400 rows, so that every method is really used."""
    lattice = SpringLattice("triangular", 12)
    matrix = lattice.operator(_alone(comm)).local_rows()
    padded = sp.block_diag([sp.csr_matrix((9, 9)), matrix, sp.csr_matrix((4, 4))])
    operator = MatrixOperator(comm, padded)
    rows = np.ones(operator.n, bool)
    rows[9:-4] = False
    operator.null_rows = mine(operator, rows)
    modes = lowest_modes(operator, count=10, method=method)
    np.testing.assert_allclose(modes.values, lattice.exact_eigenvalues()[2:12], atol=1e-10)
    assert modes.zero_modes == 13 + 2 and modes.certified
    assert not modes.vectors[operator.null_rows].any()


@pytest.mark.parametrize("rows", (1, 2))
def test_fewer_rows_than_ranks(comm, rows):
    operator = MatrixOperator(comm, sp.diags([4.0] * rows).tocsr())
    states = density_of_states(operator, resolution=0.2, vectors=2)
    assert states.vibrations == rows
    assert states.max_frequency == pytest.approx(2.0)
