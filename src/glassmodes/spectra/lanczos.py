"""Lanczos recursions of several vectors in lock step: one block product a step for all.

Every column q has its own tridiagonal matrix T_q,

    A v_k = beta_{k-1} v_{k-1} + alpha_k v_k + beta_k v_{k+1},     v_1 = b_q / |b_q|.

Nothing is reorthogonalised.  Round-off then makes copies ("ghosts") of eigenvalues that
have converged, but T_q stays the exact result for a measure whose weights sit within
round-off of the eigenvalues: a ghost shares the weight of its eigenvalue, so integrals
over the measure, which is all that is ever asked for here, do not notice.
Source: Greenbaum, Linear Algebra Appl. 113, 7 (1989); Golub and Meurant, Matrices, Moments
and Quadrature (2010), chapter 4.
"""

from __future__ import annotations

import numpy as np

from glassmodes.kernels import columns
from glassmodes.kernels.block import WIDTHS, padded_width
from glassmodes.spectra.operators import BlockOperator

MAX_COLUMNS = WIDTHS[-1]
_INVARIANT = 1e-12  # beta / |A|: the Krylov space holds nothing new
_CANCELLED = 1e-3  # share of |A v|^2 left after alpha v is taken off, below which it is recomputed


class LockStepLanczos:
    """Lanczos recursions of the columns of `vectors`, one step at a time.

    Parameters
    ----------
    operator
        Symmetric operator A.
    vectors : (n_local, m)
        Start vectors b, at most `MAX_COLUMNS`; known null vectors are projected out.

    Attributes
    ----------
    norm_squared : (m,)
        |P b|^2.
    alive : (m,) bool
        Columns whose Krylov space is not exhausted.

    Notes
    -----
    Collective.  A step is one block product, one pass over two blocks and one reduction;
    memory is two work blocks.
    """

    def __init__(self, operator: BlockOperator, vectors: np.ndarray) -> None:
        count = vectors.shape[1]
        if not 0 < count <= MAX_COLUMNS:
            raise ValueError(f"1 to {MAX_COLUMNS} vectors fit a block, found {count}")
        self.operator = operator
        self.width = padded_width(count)
        self._count = count
        self._x, self._y = operator.work_block(self.width), operator.work_block(self.width)
        x = self._x[: operator.n_local]
        x[:, :count] = vectors
        operator.project(x)
        squares = operator.reduce(columns.dots(x, x))
        self.norm_squared = squares[:count].copy()
        self._alive = squares > 0
        x *= np.divide(1.0, np.sqrt(squares), out=np.zeros_like(squares), where=self._alive)
        self._alpha: list[np.ndarray] = []
        self._beta: list[np.ndarray] = []
        self._steps = np.zeros(self.width, np.int64)
        self._shift = 0.0
        self._scale = np.zeros(self.width)

    @property
    def alive(self) -> np.ndarray:
        return self._alive[: self._count]

    @property
    def taken(self) -> int:
        """Steps taken by the columns that are alive."""
        return len(self._alpha)

    def step(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take one step; return (alpha_k, beta_{k-1}, estimate of beta_k), each (m,).

        beta_{k-1} is zero at the first step, and all are zero for exhausted columns.
        """
        rows = self.operator.n_local
        source, target = self._x, self._y
        # The shift keeps alpha small beside beta, so that beta comes from the same pass.
        gram = np.empty((3, self.width))
        self.operator.accumulate(source, target, 1.0, -self._shift, gram)
        x, y = source[:rows], target[:rows]
        xx, xy, yy = self.operator.reduce(gram)
        alive = self._alive.copy()
        xx[~alive] = 1.0
        norm = np.sqrt(xx)
        if self._beta:
            self._beta[-1] *= np.where(alive, norm, 1.0)  # the true length of what was scaled
        ratio = np.where(alive, xy / xx, 0.0)
        square = np.where(alive, yy / xx - ratio**2, 1.0)
        part = ratio
        if np.any(square[alive] < _CANCELLED * yy[alive] / xx[alive]):
            y -= ratio * x
            square = np.where(alive, self.operator.reduce(columns.dots(y, y)) / xx, 1.0)
            part = np.zeros_like(ratio)
        alpha = np.where(alive, ratio + self._shift, 0.0)
        beta = np.sqrt(np.where(alive, np.maximum(square, 0.0), 0.0))
        self._scale = np.maximum(self._scale, np.abs(alpha) + beta)
        self._steps[alive] += 1
        self._alive &= beta > _INVARIANT * self._scale
        going = self._alive
        inverse = np.divide(1.0, beta * norm, out=np.zeros_like(beta), where=going)
        columns.rotate(part, inverse, np.where(going, -beta / norm, 0.0), x, y)
        self._x, self._y = target, source
        previous = self._beta[-1] if self._beta else np.zeros(self.width)
        self._alpha.append(alpha)
        self._beta.append(np.where(going, beta, 0.0))
        if np.any(alive):
            self._shift = float(alpha[alive].mean())
        take = slice(0, self._count)
        return alpha[take], previous[take], self._beta[-1][take]

    def tridiagonal(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the diagonal (k,) and the off-diagonal (k - 1,) of one column's T."""
        steps = int(self._steps[column])
        alpha = np.array([values[column] for values in self._alpha[:steps]])
        beta = np.array([values[column] for values in self._beta[: max(steps - 1, 0)]])
        return alpha, beta
