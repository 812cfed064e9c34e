"""A growing orthonormal basis of block columns, distributed by rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg as sl
from scipy.linalg.blas import dgemm, dtrsm

from glassmodes.errors import SolverError
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.rayleigh_ritz import combine_columns

_ILL_CONDITIONED = 1e-6  # Cholesky QR loses orthogonality as the square of this
_INVARIANT = 1e-10  # relative norm below which a direction carries nothing new


class BlockBasis:
    """Orthonormal Krylov columns, orthogonal to vectors held by others.

    Parameters
    ----------
    operator
        Operator whose rows and communicator the basis shares.
    held : sequence of (n_local, q)
        Orthonormal vectors (null space, found modes) every new block is kept orthogonal to.
        They are used in place and not copied.
    capacity : int
        Largest number of Krylov columns.
    seed : int
        Of the random vectors that replace directions lost to an invariant subspace.
    """

    def __init__(self, operator: BlockOperator, held: Sequence[np.ndarray], capacity: int,
                 seed: int) -> None:  # fmt: skip
        self.operator = operator
        self.columns = 0
        self.capacity = capacity
        self._held = [np.asfortranarray(part) for part in held if part.shape[1]]
        self._seed, self._stream = seed, 0
        # The system hands out pages when columns are first written: capacity costs nothing.
        self._storage = np.empty((operator.n_local, capacity), order="F")

    def krylov(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """Return the Krylov columns [first, last) as a view."""
        return self._storage[:, first : self.columns if last is None else last]

    def append(self, block: np.ndarray) -> None:
        """Add orthonormal columns."""
        width = block.shape[1]
        self.columns += width
        self.krylov(self.columns - width)[:] = block

    def combine(self, weights: np.ndarray) -> None:
        """Replace the Krylov columns V by V @ weights, weights of shape (columns, fewer)."""
        combine_columns(self.krylov(), weights)
        self.columns = weights.shape[1]

    def orthogonalise(self, block: np.ndarray) -> np.ndarray:
        """Remove the components of `block` in all columns: one pass, one reduction."""
        parts = [*self._held, self.krylov()] if self.columns else self._held
        if not parts:
            return block
        overlaps = np.concatenate([dgemm(1.0, part, block, trans_a=1) for part in parts])
        overlaps = self.operator.reduce(overlaps)
        first = 0
        for part in parts:
            last = first + part.shape[1]
            block = dgemm(-1.0, part, overlaps[first:last], 1.0, block, overwrite_c=1)
            first = last
        return block

    def random_start(self, width: int) -> np.ndarray:
        """Return orthonormal random columns orthogonal to the basis."""
        self._stream += 1
        block = np.asfortranarray(self.operator.random_block(width, self._seed, self._stream))
        block[self.operator.null_rows] = 0.0
        return self.orthonormalise(self.orthogonalise(block), 0.0)[0]

    def orthonormalise(self, block: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (Q, R), block = Q R, with Q orthonormal and orthogonal to the basis.

        Directions whose norm is below 1e-10 x max(scale, largest norm) mean that the Krylov
        space is invariant: they are replaced by fresh random vectors with zero rows in R.
        SolverError if `block` is not finite.
        """
        gram = self.operator.inner(block, block)
        if not np.all(np.isfinite(gram)):
            raise SolverError("the operator gave NaN or infinite numbers: look at its entries")
        values = np.linalg.eigvalsh(gram)
        floor = max(scale, np.sqrt(max(values[-1], 0.0)))
        if values[0] > (_ILL_CONDITIONED * floor) ** 2:
            first, r = _cholesky_qr(block, gram)
            second, r2 = _cholesky_qr(first, self.operator.inner(first, first))
            return second, r2 @ r
        return self._rank_revealing(block, gram, _INVARIANT * floor)

    def _rank_revealing(self, block, gram, threshold):
        width = block.shape[1]
        _, vectors = self.operator.agree(*np.linalg.eigh(gram))
        # The Gram matrix resolves norms down to sqrt(eps) of the largest only: look again
        # at what a first pass leaves behind.
        rotated = np.asfortranarray(block @ vectors[:, ::-1])
        kept = np.zeros((block.shape[0], 0), order="F")
        for column in range(width):
            v = rotated[:, column : column + 1].copy(order="F")
            for _ in range(2):
                v = self.orthogonalise(v)
                v -= kept @ self.operator.inner(kept, v)
            norm = float(np.sqrt(self.operator.inner(v, v)[0, 0]))
            if norm > max(threshold, np.finfo(float).tiny):
                kept = np.column_stack([kept, v / norm])
        while kept.shape[1] < width:
            self._stream += 1
            v = np.asfortranarray(self.operator.random_block(1, self._seed, self._stream))
            v[self.operator.null_rows] = 0.0
            for _ in range(3):
                v = self.orthogonalise(v)
                v -= kept @ self.operator.inner(kept, v)
                v /= np.sqrt(self.operator.inner(v, v)[0, 0])
            kept = np.column_stack([kept, v])
        kept = np.asfortranarray(kept)
        r = self.operator.inner(kept, block)
        r[np.abs(r) < threshold] = 0.0
        return kept, r

    @property
    def memory(self) -> int:
        """Bytes of the columns in use on this rank."""
        return 8 * self._storage.shape[0] * self.columns


def _cholesky_qr(block: np.ndarray, gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r = sl.cholesky(gram, check_finite=False)
    return dtrsm(1.0, r, np.asfortranarray(block), side=1), r
