"""The direct solve at complex shifts against dense linear algebra and continued fractions."""

import numpy as np
import pytest
from lattices import SpringLattice, disordered_operator, translation_vectors

from glassmodes.errors import InputError, SolverError
from glassmodes.spectra.complex_shift import solve_shifted
from glassmodes.spectra.spectral_measure import spectral_measures

SHIFTS = (-0.3, 0.7 - 0.05j, 2.0 + 1.5j, 1e-4 - 1e-2j)


@pytest.fixture(scope="module")
def network(comm_self):
    operator = disordered_operator(comm_self, 80, 3, 5)
    operator.null_space = translation_vectors(operator)
    return operator


@pytest.mark.parametrize("z", SHIFTS)
def test_the_solution_solves_the_shifted_system(network, z):
    right = network.random_block(3, 1)
    shifted = network.local_rows().toarray() - z * np.eye(network.n)
    expected = np.linalg.solve(shifted, right)
    solution = solve_shifted(network, right, z)
    # Backward stable solves: rounding times the condition number of the shifted matrix.
    tolerance = 1e-15 * np.linalg.cond(shifted) * abs(expected).max()
    np.testing.assert_allclose(solution, expected, atol=10 * tolerance)


@pytest.mark.parametrize("z", SHIFTS)
def test_the_continued_fraction_is_the_direct_resolvent(comm_self, network, z):
    for operator in (network, SpringLattice("fcc", 3).operator(comm_self)):
        b = operator.project(operator.random_block(2, 2))
        direct = np.einsum("rk,rk->k", b, solve_shifted(operator, b, z))
        measures = spectral_measures(operator, b, points=[z], tolerance=1e-9 * abs(direct))
        found = np.array([measure.resolvent(z) for measure in measures])
        np.testing.assert_allclose(found, direct, rtol=2e-9)


def test_a_shift_in_the_spectrum_is_an_error_not_an_answer(network):
    with pytest.raises(SolverError, match="eigenvalue"):
        solve_shifted(network, network.random_block(1, 3), 0.0)
    with pytest.raises(InputError, match="finite"):
        solve_shifted(network, network.random_block(1, 3), complex(np.nan, 1.0))
