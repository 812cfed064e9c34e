"""Dense LAPACK as an oracle and for small operators."""

from __future__ import annotations

import time

import numpy as np
import scipy.linalg as sl

from glassmodes.parallel import on_root
from glassmodes.spectra.filtered_lanczos import EigenPairs, Target, rayleigh_ritz
from glassmodes.spectra.operators import BlockOperator


def gather_dense(operator: BlockOperator) -> np.ndarray | None:
    """Return the whole matrix on rank 0, None elsewhere.  Collective."""
    rows = operator.comm.gather(operator.local_rows(), root=0)
    return None if rows is None else np.vstack([part.toarray() for part in rows])


def dense_eigenpairs(operator: BlockOperator, target: Target, locked=None) -> EigenPairs:
    """Diagonalise the whole matrix on one rank and return what `target` asks for.

    Null and `locked` vectors are moved above the spectrum by a rank-m shift.  Collective;
    O(n^3) time, O(n^2) memory on rank 0.
    """
    clock = time.perf_counter()
    held = [operator.null_space] + ([] if locked is None else [locked])
    held_rows = operator.comm.gather(np.column_stack(held), root=0)
    marks = operator.comm.gather(operator.null_rows, root=0)
    matrix = gather_dense(operator)

    def diagonalise():
        known, marked = np.vstack(held_rows), np.concatenate(marks)
        top = 4.0 * np.abs(matrix).sum(axis=1).max() + 1.0
        lifted = matrix + top * known @ known.T
        lifted[marked, marked] += top
        values, vectors = sl.eigh(lifted, check_finite=False)
        free = len(values) - known.shape[1] - int(marked.sum())
        keep = min(target.needed(values[:free]), free)
        return values[:keep], vectors[:, :keep]

    values, vectors = on_root(operator.comm, diagonalise)
    mine = vectors[operator.first_row : operator.first_row + operator.n_local]
    pairs = EigenPairs(values, np.asfortranarray(mine), np.zeros(len(values)))
    if len(values):
        pairs = rayleigh_ritz(operator, pairs.vectors)
    pairs.info = {
        "method": "dense",
        "products": 0,
        "memory_bytes": 16 * operator.n**2,
        "seconds": time.perf_counter() - clock,
    }
    return pairs
