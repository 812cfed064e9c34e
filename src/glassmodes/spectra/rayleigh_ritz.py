"""Rayleigh-Ritz projection of an operator on given columns, in their own memory.

Columns are long and few: everything of their number squared is done by chunks of rows or blocks
of columns, so that no second array of their size is ever needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg as sl
from scipy.linalg.blas import dgemm, dtrsm

from glassmodes.spectra.operators import BlockOperator

_WIDTH = 8  # columns multiplied at once
_CHUNK = 2048  # rows: chunk and result stay in the cache


@dataclass
class EigenPairs:
    """Eigenpairs in ascending order.

    values : (k,); vectors : (n_local, k) orthonormal; residuals : (k,) absolute ||A v - x v||;
    info : parameters, products, times, memory of the solve.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    info: dict = field(default_factory=dict)


def rayleigh_ritz(operator: BlockOperator, x: np.ndarray) -> EigenPairs:
    """Diagonalise A in the span of the independent columns of `x` (n_local, k).

    `x` is overwritten if it is in Fortran order: it becomes the vectors of the answer.
    Collective; 2 k products and O(n k²) flops, memory for one block beside `x`.
    """
    x = np.asfortranarray(x)
    count = x.shape[1]
    for _ in range(2):
        factor = sl.cholesky(operator.inner(x, x), check_finite=False)
        x = dtrsm(1.0, factor, x, side=1, overwrite_b=1)
    small = np.empty((count, count))
    for part, image in operator.images(x, _WIDTH):
        small[:, part] = dgemm(1.0, x, image, trans_a=1)
    small = operator.reduce(small)
    values, rotation = operator.agree(*np.linalg.eigh((small + small.T) / 2))
    combine_columns(x, rotation)
    squares = np.empty(count)
    for part, image in operator.images(x, _WIDTH):
        image -= x[:, part] * values[part]
        squares[part] = np.einsum("rk,rk->k", image, image)
    return EigenPairs(values, x, np.sqrt(operator.reduce(squares)))


def combine_columns(x: np.ndarray, weights: np.ndarray) -> None:
    """Overwrite the first k columns of `x` (n, m) with x @ weights, weights of shape (m, k)."""
    kept = weights.shape[1]
    weights = np.ascontiguousarray(weights)  # reversed columns would miss the fast product
    work = np.empty((min(_CHUNK, len(x)), kept), order="F")
    for first in range(0, len(x), _CHUNK):
        rows = x[first : first + _CHUNK]
        np.matmul(rows, weights, out=work[: len(rows)])
        rows[:, :kept] = work[: len(rows)]
