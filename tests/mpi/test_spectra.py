"""The same answers at any number of ranks."""

import numpy as np
import pytest
from lattices import SpringLattice, disordered_operator, translation_vectors

from glassmodes.errors import ResourceError
from glassmodes.spectra.basis_plan import plan_basis
from glassmodes.spectra.conjugate_gradient import conjugate_gradient
from glassmodes.spectra.eigenmodes import lowest_modes
from glassmodes.spectra.factorisations import count_below, factorise
from glassmodes.spectra.operators import MatrixOperator


def build(comm, d=3, weights=None):
    operator = disordered_operator(comm, 260, d, 1, weights)
    if weights is None:
        operator.null_space = translation_vectors(operator)
    return operator


def mine(operator, full):
    return full[operator.first_row : operator.first_row + operator.n_local]


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("width", [1, 3, 8, 16])
def test_products_and_random_vectors_do_not_depend_on_the_ranks(comm, comm_self, d, width):
    weights = 0.5 + np.random.default_rng(1).random(260)
    operator, alone = build(comm, d, weights), build(comm_self, d, weights)
    x = alone.random_block(width, 5, 7)
    np.testing.assert_array_equal(operator.random_block(width, 5, 7), mine(operator, x))
    np.testing.assert_allclose(
        operator.apply(mine(operator, x)), mine(operator, alone.apply(x)), atol=1e-12
    )


def test_rows_of_the_assembled_matrix(comm, comm_self):
    operator, alone = build(comm), build(comm_self)
    difference = (
        operator.local_rows()
        - alone.local_rows()[operator.first_row : operator.first_row + operator.n_local]
    )
    assert abs(difference).max() < 1e-12
    matrix = operator.assembled()
    assert matrix.getSize() == (alone.n, alone.n)
    assert matrix.getOwnershipRange() == (operator.first_row, operator.first_row + operator.n_local)


def test_diagonal_blocks_and_inner_products_of_a_step(comm, comm_self):
    weights = 0.5 + np.random.default_rng(2).random(260)
    operator, alone = build(comm, 3, weights), build(comm_self, 3, weights)
    first, last = operator.halo.first, operator.halo.last
    np.testing.assert_allclose(
        operator.diagonal_blocks(), alone.diagonal_blocks()[first:last], atol=1e-12
    )
    x, y, gram = operator.work_block(8), operator.work_block(8), np.empty((3, 8))
    full = alone.random_block(8, 5)
    x[: operator.n_local] = mine(operator, full)
    operator.accumulate(x, y, 1.0, 0.2, gram)
    image = alone.apply(full) + 0.2 * full
    expected = [np.sum(a * b, axis=0) for a, b in ((full, full), (full, image), (image, image))]
    # Sums of 780 products of order one, in another order on each number of ranks.
    np.testing.assert_allclose(operator.reduce(gram), expected, rtol=1e-11)


@pytest.mark.parametrize("method", ["filtered", "slepc", "dense"])
def test_modes(comm, comm_self, method):
    operator = build(comm)
    modes = lowest_modes(operator, count=15, method=method)
    exact = np.linalg.eigvalsh(build(comm_self).local_rows().toarray())[3:18]
    np.testing.assert_allclose(modes.values, exact, rtol=1e-9)
    gram = operator.inner(modes.vectors, modes.vectors)
    np.testing.assert_allclose(gram, np.eye(15), atol=1e-10)
    assert modes.certified


def test_an_exchange_that_is_under_way_needs_only_owned_rows(comm, comm_self):
    operator, alone = build(comm), build(comm_self)
    halo, width = operator.halo, 8
    full = alone.random_block(width, 3)
    for _ in range(2):  # the second one finds its buffers used
        block = operator.work_block(width)
        block[:] = np.nan
        block[: operator.n_local] = mine(operator, full)
        finish = halo.start(block, 3)
        assert not np.isnan(block[: operator.n_local]).any()
        finish()
        expected = full.reshape(-1, 3 * width)[halo.sites].reshape(-1, width)
        np.testing.assert_array_equal(block, expected)
        full = full + 1


@pytest.mark.parametrize("certificate", ["inertia", "count"])
def test_modes_with_little_memory(comm, comm_self, certificate):
    """The rank with the least room sets the basis of all."""
    operator = build(comm)
    plan = plan_basis(operator, 18, 10**9, 10**15)
    limit = plan.bytes(18 + 6 * 8) if comm.rank == comm.size - 1 else 10**15
    modes = lowest_modes(operator, count=15, certificate=certificate, memory_limit=limit)
    exact = np.linalg.eigvalsh(build(comm_self).local_rows().toarray())[3:]
    np.testing.assert_allclose(modes.values, exact[:15], rtol=1e-9)
    assert modes.solver["restarts"] > 0
    assert abs(modes.counted - np.sum(exact < modes.complete_below)) <= 4 * modes.counted_error
    with pytest.raises(ResourceError):
        lowest_modes(operator, count=15, memory_limit=plan.bytes(50) - 10**15 * (comm.rank > 0))


def test_degenerate_lattice(comm):
    lattice = SpringLattice("fcc", 4)
    exact = lattice.exact_eigenvalues()[3:]
    modes = lowest_modes(lattice.operator(comm), count=70)
    np.testing.assert_allclose(modes.values, exact[:70], atol=1e-11)


def test_foreign_matrix(comm, comm_self):
    full = build(comm_self).local_rows()
    operator = MatrixOperator(comm, full)
    modes = lowest_modes(operator, count=10)
    assert modes.zero_modes == 3
    np.testing.assert_allclose(modes.values, np.linalg.eigvalsh(full.toarray())[3:13], rtol=1e-9)


def test_solves_and_inertia(comm, comm_self):
    operator, alone = build(comm), build(comm_self)
    dense = alone.local_rows().toarray()
    right = alone.random_block(5, 3)
    expected = np.linalg.pinv(dense, hermitian=True) @ right
    solution, _ = conjugate_gradient(operator, mine(operator, right), tolerance=1e-12)
    np.testing.assert_allclose(solution, mine(operator, expected), atol=1e-9 * abs(expected).max())
    matrix = operator.assembled()
    matrix.shift(0.1)
    factor = factorise(matrix, definite=True)
    shifted = np.linalg.solve(dense + 0.1 * np.eye(len(dense)), right)
    np.testing.assert_allclose(
        factor.solve(mine(operator, right)), mine(operator, shifted), atol=1e-11
    )
    factor.destroy()
    matrix.destroy()
    values = np.linalg.eigvalsh(dense)
    assert count_below(operator, 1.0)[0] == np.sum(values < 1.0)
