"""Block Lanczos on a function of an operator, with one full orthogonalisation a block.

The recursion runs on F = f(A) for any `Transform` that applies F to a block: a low-pass or
band-pass polynomial, or shift-invert on a factor.  After k blocks V = [Q_1 ... Q_k]

    F V = V T + Q_{k+1} L E_k^T,     T = T^T block tridiagonal,

with E_k the last block of columns of the identity and L the `link` to the block that follows.
A Ritz pair T w = theta w has the residual |L w_k|, w_k being the last rows of w.

A thick restart keeps some Ritz vectors instead of the basis; T then begins with their Ritz
values, and L w_k couples them to the next block.
Source: Wu and Simon, SIAM J. Matrix Anal. Appl. 22, 602 (2000).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.linalg.blas import dgemm

from glassmodes.spectra.basis import BlockBasis
from glassmodes.spectra.operators import BlockOperator

WIDTH = 8  # one AVX-512 register a row


class Transform(Protocol):
    """A symmetric function f(A) of an operator."""

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write f(A) x to `out`; both (n_local, `WIDTH`) in Fortran order.  Collective."""


class BlockLanczos:
    """The recursion, one block at a time.

    Parameters
    ----------
    operator
        Operator A; its marked null rows stay zero.
    transform
        Applies F = f(A).
    held : sequence of (n_local, q)
        Orthonormal vectors to stay orthogonal to: null vectors, eigenvectors already known.
    capacity : int
        Largest number of basis columns.
    seed : int
        Of the random start block.

    Attributes
    ----------
    basis : BlockBasis
        Q_1 ... Q_k.
    following : (n_local, WIDTH)
        Q_{k+1}, the block that the next step appends.
    link : (WIDTH, WIDTH)
        L, after the first step.
    restarts : int
    taken : int
        Columns appended since the start, those lost to restarts included.
    seconds : dict
        Wall time of "transform" and "orthogonalise".

    Notes
    -----
    Collective.
    """

    def __init__(self, operator: BlockOperator, transform: Transform,
                 held: Sequence[np.ndarray], capacity: int, seed: int) -> None:  # fmt: skip
        self.operator, self.transform = operator, transform
        self.basis = BlockBasis(operator, held, capacity, seed)
        self.following = self.basis.random_start(WIDTH)
        self.link = np.zeros((0, 0))
        self.seconds = {"transform": 0.0, "orthogonalise": 0.0}
        self._image = np.empty((operator.n_local, WIDTH), order="F")
        self.restarts = self.taken = 0
        self._kept = np.zeros(0)  # Ritz values kept at the last restart
        self._arrow = np.zeros((WIDTH, 0))  # their links to the first block after it
        self._diagonal: list[np.ndarray] = []
        self._links: list[np.ndarray] = []

    @property
    def columns(self) -> int:
        """Columns of the basis."""
        return self.basis.columns

    @property
    def full(self) -> bool:
        """Tell whether no further block fits."""
        return self.basis.columns + WIDTH > self.basis.capacity

    def step(self) -> None:
        """Append the block that follows, apply F to it and find the next one.  Collective."""
        operator, basis = self.operator, self.basis
        if self._diagonal:
            self._links.append(self.link)
        basis.append(self.following)
        self.taken += WIDTH
        last = basis.columns
        clock = time.perf_counter()
        current, image = basis.krylov(last - WIDTH), self._image
        self.transform.apply(current, image)
        clock = self._spend("transform", clock)
        link = self._links[-1] if self._links else self._arrow
        if link.shape[1]:
            older = basis.krylov(last - WIDTH - link.shape[1], last - WIDTH)
            image = dgemm(-1.0, older, link, 1.0, image, trans_b=1, overwrite_c=1)
        diagonal = operator.reduce(dgemm(1.0, current, image, trans_a=1))
        self._diagonal.append((diagonal + diagonal.T) / 2)
        image = dgemm(-1.0, current, self._diagonal[-1], 1.0, image, overwrite_c=1)
        image = basis.orthogonalise(image)
        scale = np.abs(self._diagonal[-1]).max()
        self.following, self.link = basis.orthonormalise(image, scale)
        self._spend("orthogonalise", clock)

    def restart(self, theta: np.ndarray, weights: np.ndarray) -> None:
        """Shrink the basis to the Ritz vectors V w of the values `theta`.

        theta : (k,); weights : (columns, k).  In place, without reductions.
        """
        clock = time.perf_counter()
        self._kept, self._arrow = theta, self.link @ weights[-WIDTH:]
        self._diagonal, self._links = [], []
        self.basis.combine(weights)
        self.restarts += 1
        self._spend("orthogonalise", clock)

    def projected(self) -> np.ndarray:
        """Return T with its lower triangle filled, (columns, columns)."""
        size, kept = self.columns, len(self._kept)
        matrix = np.zeros((size, size))
        matrix[range(kept), range(kept)] = self._kept
        if self._diagonal:
            matrix[kept : kept + WIDTH, :kept] = self._arrow
        for p, block in enumerate(self._diagonal):
            a = kept + p * WIDTH
            matrix[a : a + WIDTH, a : a + WIDTH] = block
        for p, block in enumerate(self._links):
            a = kept + p * WIDTH
            matrix[a + WIDTH : a + 2 * WIDTH, a : a + WIDTH] = block
        return matrix

    def residuals(self, weights: np.ndarray) -> np.ndarray:
        """Return ||F x - theta x|| of the Ritz vectors x = V w, w the columns of `weights`."""
        return np.linalg.norm(self.link @ weights[-WIDTH:], axis=0)

    def ritz_vectors(self, weights: np.ndarray, theta: np.ndarray | None = None) -> np.ndarray:
        """Return V w for the columns w of `weights`, (n_local, k).

        With their Ritz values `theta` they are taken one step of F further, F V w / theta, which
        the block that follows gives for free.
        """
        x = dgemm(1.0, self.basis.krylov(), np.asfortranarray(weights))
        if theta is None:
            return x
        beyond = (self.link @ weights[-WIDTH:]) / theta
        return dgemm(1.0, self.following, beyond, 1.0, x, overwrite_c=1)

    def _spend(self, part: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[part] += now - since
        return now
