"""The distributed Hessian equals the serial one on any number of ranks."""

import numpy as np
import pytest

from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import named
from glassmodes.parallel import split_range
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


@pytest.mark.parametrize("weighted", (False, True), ids=("plain", "weighted"))
def test_rows_of_each_rank_are_those_of_the_whole(comm, sample, weighted):
    inter = find_interactions(sample)
    masses = sample.masses if weighted else None
    whole = hessian.sparse(inter, masses).toarray()
    matrix = hessian.petsc(comm, inter, masses)
    try:
        first, last = matrix.getOwnershipRange()
        particles = split_range(sample.particles, comm.size, comm.rank)
        assert (first, last) == tuple(inter.d * p for p in particles)
        assert matrix.getBlockSize() == inter.d
        starts, columns, values = matrix.getValuesCSR()
        rows = np.zeros((last - first, len(whole)))
        row = np.repeat(np.arange(last - first), np.diff(starts))
        rows[row, columns] = values
        # the same sums in the same order: only the compiler may reassociate them
        np.testing.assert_allclose(rows, whole[first:last], rtol=1e-13, atol=1e-12)
    finally:
        matrix.destroy()


def test_products_agree_with_the_serial_matrix(comm, sample):
    inter = find_interactions(sample)
    matrix = hessian.petsc(comm, inter, sample.masses)
    x, y = matrix.createVecs()
    try:
        first, last = matrix.getOwnershipRange()
        vector = np.random.default_rng(5).normal(size=inter.n * inter.d)
        x.setArray(vector[first:last])
        matrix.mult(x, y)
        expected = hessian.sparse(inter, sample.masses) @ vector
        np.testing.assert_allclose(y.getArray(), expected[first:last], rtol=1e-10, atol=1e-10)
        assert matrix.isSymmetric(tol=1e-10)
    finally:
        for item in (matrix, x, y):
            item.destroy()
