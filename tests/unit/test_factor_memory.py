"""A destroyed factor gives its memory back, or long batches would grow without bound."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from glassmodes.spectra.factorisations import BACKENDS, factorise


def resident_megabytes():
    """Return the memory that this process occupies (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize("backend", [b.name for b in BACKENDS])
def test_factors_are_freed(backend):
    from petsc4py import PETSc

    side = 16
    line = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(side, side))
    one = sp.identity(side)
    laplacian = sum(
        sp.kron(sp.kron(*pair), last)
        for pair, last in (((line, one), one), ((one, line), one), ((one, one), line))
    ).tocsr()
    csr = (laplacian.indptr.astype(np.int32), laplacian.indices.astype(np.int32), laplacian.data)
    matrix = PETSc.Mat().createAIJ(laplacian.shape, csr=csr, comm=PETSc.COMM_SELF)
    try:
        serving = next(b for b in BACKENDS if b.name == backend)
        if not serving.serves(matrix, True):
            pytest.skip(f"{backend} is not part of this PETSc")

        def work():
            factor = factorise(matrix, definite=True, backend=backend)
            factor.solve(np.ones((laplacian.shape[0], 1)))
            factor.destroy()

        for _ in range(5):  # pools of the allocator fill up
            work()
        before = resident_megabytes()
        for _ in range(30):
            work()
        # A factor of this matrix takes 6 to 10 MB: leaking them would be 200 MB.
        assert resident_megabytes() - before < 40
    finally:
        matrix.destroy()
