"""The Hessian of a sample spread over ranks equals that of the whole sample."""

import numpy as np
import pytest

from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import named
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.sample import Sample

SIDE = {2: 6, 3: 4, 4: 4}


@pytest.fixture(scope="module", params=(2, 3, 4), ids=("2D", "3D", "4D"))
def sample(request):
    """A jittered lattice: the Hessian is defined away from a minimum too."""
    d = request.param
    rng = np.random.default_rng(4)
    n = SIDE[d] ** d
    model = named(f"ipl_{d}d")
    edge = (n / model.defaults.density) ** (1 / d)
    grid = np.stack(np.meshgrid(*[np.arange(SIDE[d])] * d, indexing="ij"), axis=-1).reshape(n, d)
    return Sample(
        (grid + rng.uniform(-0.2, 0.2, (n, d))) * edge / SIDE[d],
        np.full(d, edge),
        species=np.arange(n) % 2,
        masses=rng.uniform(0.5, 3.0, n),
        model=model.spec(),
    )


@pytest.fixture(params=(False, True), ids=("plain", "weighted"))
def case(request, comm, sample):
    """Return the matrix of the whole sample in the order of the places, and the spread operator."""
    system = HarmonicSystem(comm, sample)
    order = np.concatenate(comm.allgather(system.domain.file_index))
    rows = (order[:, None] * sample.dimension + np.arange(sample.dimension)).ravel()
    masses = sample.masses if request.param else None
    whole = hessian.sparse(find_interactions(sample), masses).toarray()
    operator = system.operator if request.param else system.stiffness
    return whole[np.ix_(rows, rows)], operator


def test_rows_of_each_rank_are_those_of_the_whole(case):
    whole, operator = case
    matrix = operator.assembled()
    try:
        first, last = matrix.getOwnershipRange()
        assert (first, last) == (operator.first_row, operator.first_row + operator.n_local)
        assert matrix.getBlockSize() == operator.site_size
        starts, columns, values = matrix.getValuesCSR()
        rows = np.zeros((last - first, len(whole)))
        row = np.repeat(np.arange(last - first), np.diff(starts))
        rows[row, columns] = values
        # the same sums in another order
        scale = np.abs(whole).max()
        np.testing.assert_allclose(rows, whole[first:last], rtol=1e-12, atol=1e-14 * scale)
        assert matrix.isSymmetric(tol=1e-10)
    finally:
        matrix.destroy()


def test_products_agree_with_the_whole_matrix(case):
    whole, operator = case
    own = slice(operator.first_row, operator.first_row + operator.n_local)
    vectors = np.random.default_rng(5).normal(size=(len(whole), 3))
    expected = whole @ vectors
    found = operator.apply(vectors[own])
    np.testing.assert_allclose(found, expected[own], atol=1e-13 * np.abs(whole).max() * 10)
    matrix = operator.assembled()
    x, y = matrix.createVecs()
    try:
        x.setArray(vectors[own, 0])
        matrix.mult(x, y)
        np.testing.assert_allclose(y.getArray(), found[:, 0], rtol=1e-10, atol=1e-10)
    finally:
        for item in (matrix, x, y):
            item.destroy()
