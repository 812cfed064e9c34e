"""Factorisations and conjugate gradients against dense linear algebra."""

import numpy as np
import pytest
from lattices import disordered_operator, translation_vectors, vacant_lattice

from glassmodes.errors import SolverError
from glassmodes.spectra.conjugate_gradient import NegativeCurvatureError, conjugate_gradient
from glassmodes.spectra.factorisations import NotPositiveDefiniteError, factorise
from glassmodes.spectra.operators import MatrixOperator


@pytest.fixture(scope="module")
def network(comm_self):
    operator = disordered_operator(comm_self, 150, 3, 3)
    operator.null_space = translation_vectors(operator)
    return operator


@pytest.mark.parametrize("backend", ["cholmod", "mumps"])
def test_factors_solve_many_right_hand_sides(network, backend):
    matrix = network.assembled()
    matrix.shift(0.1)
    dense = network.local_rows().toarray() + 0.1 * np.eye(network.n)
    right = network.random_block(70, 1)  # more columns than one batch
    factor = factorise(matrix, definite=True, backend=backend)
    expected = np.linalg.solve(dense, right)
    # Condition number about 1e3, so 1e-12 is a thousand times rounding.
    np.testing.assert_allclose(factor.solve(right), expected, atol=1e-12 * abs(expected).max())
    assert factor.negatives == 0
    factor.destroy()
    matrix.destroy()


@pytest.mark.parametrize("backend", ["cholmod", "mumps"])
def test_cholesky_refuses_an_indefinite_matrix(network, backend, capfd):
    matrix = network.assembled()
    matrix.shift(-0.5)
    with pytest.raises(NotPositiveDefiniteError) as caught:
        factorise(matrix, definite=True, backend=backend)
    values = np.linalg.eigvalsh(network.local_rows().toarray())
    if backend == "mumps":
        assert caught.value.negatives == np.sum(values < 0.5)
    assert capfd.readouterr().out == ""  # standard output belongs to --json
    matrix.destroy()


def test_an_unknown_backend_is_refused(network):
    with pytest.raises(SolverError, match="pardiso"):
        factorise(network.assembled(), definite=True, backend="pardiso")


@pytest.mark.parametrize("columns", [1, 3, 20])
def test_conjugate_gradients_give_the_pseudo_inverse(network, columns):
    right = network.random_block(columns, 2)
    solution, info = conjugate_gradient(network, right, tolerance=1e-12)
    expected = np.linalg.pinv(network.local_rows().toarray(), hermitian=True) @ right
    # Relative residual 1e-12 times the condition number of about 1e3.
    np.testing.assert_allclose(solution, expected, atol=1e-8 * abs(expected).max())
    assert info.residuals.max() <= 1e-12
    assert info.products >= columns


@pytest.mark.parametrize("kept", [0.5, 0.65, 0.8])
def test_forces_of_a_floppy_network_are_met_without_its_zero_modes(comm_self, kept):
    """Unknown floppy modes: singular, but a force of bonds meets none of them."""
    incidence = vacant_lattice("fcc", 4, kept, 6)
    operator = MatrixOperator(comm_self, incidence.T @ incidence)
    tensions = np.random.default_rng(1).normal(size=(incidence.shape[0], 3))
    force = incidence.T @ tensions
    x, info = conjugate_gradient(operator, force, tolerance=1e-11)
    assert info.residuals.max() <= 1e-11
    residual = np.linalg.norm(operator.apply(x) - force, axis=0) / np.linalg.norm(force, axis=0)
    # The recursive residual and the true one part by rounding times the size of x.
    assert residual.max() < 1e-10
    values, modes = np.linalg.eigh(operator.local_rows().toarray())
    stiff = values > 1e-10 * values[-1]
    assert stiff.sum() < operator.n - 3 or kept == 0.8
    exact = np.sum((modes[:, stiff].T @ force) ** 2 / values[stiff, None], axis=0)
    energy = np.einsum("rk,rk->k", force, x)
    np.testing.assert_allclose(energy, exact, rtol=1e-11)  # second order in the residual


def test_a_zero_right_hand_side_has_a_zero_answer(network):
    solution, _ = conjugate_gradient(network, np.zeros((network.n_local, 2)))
    assert not solution.any()


def test_negative_curvature_is_an_error(comm_self):
    operator = disordered_operator(comm_self, 100, 3, 4, signed=True)
    operator.null_space = translation_vectors(operator)
    with pytest.raises(NegativeCurvatureError, match="saddle"):
        conjugate_gradient(operator, operator.random_block(4, 3))


def test_too_few_iterations_are_an_error_not_an_answer(network):
    with pytest.raises(SolverError, match="after 3 iterations"):
        conjugate_gradient(network, network.random_block(1, 4), max_iterations=3)
