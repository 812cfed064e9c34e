"""Chebyshev-filtered block Lanczos: the lowest eigenpairs without a factorisation.

The Lanczos recursion runs on the low-pass filter T_m(l(A)) instead of A, which spreads the
low end of the spectrum exponentially while everything above a cut stays in [-1, 1].  The cut
is placed with a kernel-polynomial count, the basis is kept orthogonal by one full pass and
two Cholesky QR per block, and the answer is a Rayleigh-Ritz projection of A itself with
explicitly computed residuals.

Method: Zhou, Saad, Tiago and Chelikowsky, J. Comput. Phys. 219, 172 (2006), in a block
Lanczos form without restarts.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg as sl
from scipy.linalg.blas import dgemm

from glassmodes.errors import SolverError
from glassmodes.spectra.basis import BlockBasis
from glassmodes.spectra.chebyshev import ChebyshevFilter, SpectralBound, spectral_bound
from glassmodes.spectra.eigenvalue_counts import kernel_polynomial_count
from glassmodes.spectra.operators import BlockOperator

log = logging.getLogger(__name__)

WIDTH = 8  # one AVX-512 register a row
_CUT_RATIO = 1.7  # eigenvalues below the cut per wanted one
_DEGREE_FACTOR = 3.2  # filter degree over sqrt(bound / cut)
_FIRST_LOOK = 2.0  # basis size per wanted mode at the first convergence test
_LOOK_EVERY = 2  # blocks between tests
_RECUT = 1.6
_MAX_RECUTS = 6
ZERO = 1e-11
"""|eigenvalue| / largest below which a mode is a zero mode."""


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


@dataclass(frozen=True)
class Target:
    """What to find: the lowest `count`, or all below `below`; `extra` more mark the edge."""

    count: int | None = None
    below: float | None = None
    extra: int = 3

    def needed(self, values: np.ndarray) -> int:
        """Return how many of the ascending Ritz `values` must converge."""
        if self.count is not None:
            return self.count + self.extra
        return int(np.sum(values < self.below)) + self.extra


def residual_target(values: np.ndarray, bound: SpectralBound, tolerance: float) -> np.ndarray:
    """Return the absolute residual each mode must reach: max(tolerance |x|, 50 eps ||A||).

    Zero modes, which are only counted, need to be as small as what makes them zero.
    """
    floor = np.where(is_zero(values, bound), ZERO, 50 * np.finfo(float).eps) * bound.estimate
    return np.maximum(tolerance * np.abs(values), floor)


def is_zero(values: np.ndarray, bound: SpectralBound) -> np.ndarray:
    """Mark the eigenvalues that are zero to the accuracy of the solver."""
    return np.abs(values) <= ZERO * bound.estimate


def filtered_lanczos(
    operator: BlockOperator,
    target: Target,
    *,
    locked: np.ndarray | None = None,
    bound: SpectralBound | None = None,
    tolerance: float = 1e-8,
    seed: int = 0,
) -> EigenPairs:
    """Find the lowest eigenpairs of `operator` outside its null space and the `locked` vectors.

    Parameters
    ----------
    operator
        Symmetric operator.
    target
        How many, or below which eigenvalue.
    locked : (n_local, q) or None
        Orthonormal eigenvectors already known.
    bound
        Spectral bound, estimated unless given.
    tolerance
        Residual ||A v - x v|| / |x| to reach (see `residual_target` for the floor).
    seed
        Of the random start block.

    Raises
    ------
    SolverError
        If the residuals do not converge.

    Notes
    -----
    Collective.  About 2.3 basis vectors a mode; products grow as sqrt(bound / cut).
    """
    clock = time.perf_counter()
    products = operator.products
    bound = bound or spectral_bound(operator)
    known = 0 if locked is None else locked.shape[1]
    space = operator.n - operator.nullity - known
    cut, expected = _place_cut(operator, target, bound, known)
    for attempt in range(_MAX_RECUTS):
        capacity = min(space, 6 * int(expected) + 40 * WIDTH) // WIDTH * WIDTH
        run = _Run(operator, target, locked, bound, cut, tolerance, seed + attempt, capacity)
        pairs = run.solve()
        if pairs is not None:
            pairs.info |= {
                "method": "filtered_lanczos",
                "cut": cut,
                "spectral_bound": bound.upper,
                "products": operator.products - products,
                "seconds": time.perf_counter() - clock,
            }
            return pairs
        log.info("filter cut %.4g holds too few modes, raising it", cut)
        cut = min(bound.lower + (cut - bound.lower) * _RECUT, 0.9 * bound.upper)
        expected *= _RECUT
    raise SolverError(
        f"filtered Lanczos did not converge with cuts up to {cut:.3g}: "
        "try another --method or fewer modes"
    )


def _place_cut(
    operator: BlockOperator, target: Target, bound: SpectralBound, known: int
) -> tuple[float, float]:
    """Place the cut where the kernel polynomial counts enough modes besides the `known` ones.

    Returns the cut and the number of modes to expect.
    """
    products = max(60, int(80 * (operator.n / 24000) ** (1 / 3)))
    counter = kernel_polynomial_count(operator, bound, products, WIDTH)
    margin = operator.site_size + WIDTH
    if target.count is not None:
        expected = float(target.count + target.extra)
        return counter.edge(_CUT_RATIO * (known + expected) + margin), expected
    expected = max(counter.below(target.below), 0.0) + target.extra
    edge = counter.edge(_CUT_RATIO * expected + margin)
    return min(max(edge, 1.3 * target.below), 0.9 * bound.upper), expected


class _Run:
    """One filtered Lanczos run at a fixed cut."""

    def __init__(self, operator, target, locked, bound, cut, tolerance, seed, capacity) -> None:
        self.operator, self.target, self.bound = operator, target, bound
        self.tolerance, self.cut = tolerance, cut
        spread = (bound.upper - bound.lower) / max(cut - bound.lower, 1e-12 * bound.upper)
        self.degree = 2 * max(2, round(_DEGREE_FACTOR * np.sqrt(spread) / 2))
        self.filter = ChebyshevFilter(operator, cut, bound.upper, self.degree, WIDTH)
        held = operator.null_space
        if locked is not None:
            held = np.column_stack([held, locked])
        self.capacity = capacity
        self._lifted = self._needed = 0
        self.basis = BlockBasis(operator, held, self.capacity + WIDTH, seed)
        self.seconds = {"filter": 0.0, "orthogonalise": 0.0, "project": 0.0, "verify": 0.0}

    def solve(self) -> EigenPairs | None:
        """Return the verified pairs, or None if the cut holds too few modes."""
        operator, basis = self.operator, self.basis
        basis.append(basis.random_start(WIDTH))
        blocks: list[np.ndarray] = []  # diagonal blocks of the projected filter
        links: list[np.ndarray] = []  # sub-diagonal blocks
        image = np.empty((operator.n_local, WIDTH), order="F")
        look = self._first_look()
        while True:
            last = basis.columns
            clock = time.perf_counter()
            current = basis.krylov(last - WIDTH)
            self.filter.apply(current, image)
            clock = self._spend("filter", clock)
            if links:
                older = basis.krylov(last - 2 * WIDTH, last - WIDTH)
                image = dgemm(-1.0, older, links[-1], 1.0, image, trans_b=1, overwrite_c=1)
            diagonal = operator.reduce(dgemm(1.0, current, image, trans_a=1))
            blocks.append((diagonal + diagonal.T) / 2)
            image = dgemm(-1.0, current, blocks[-1], 1.0, image, overwrite_c=1)
            image = basis.orthogonalise(image)
            scale = np.abs(blocks[-1]).max()
            following, link = basis.orthonormalise(image, scale)
            clock = self._spend("orthogonalise", clock)
            full = last + WIDTH > self.capacity
            if last >= look or full:
                verdict = self._converged(blocks, links, link)
                self._spend("project", clock)
                if verdict is not None:
                    pairs = self._verify(*verdict, following, link)
                    if pairs is not None:
                        return pairs
                elif self._hopeless(last):
                    return None
                if full:
                    return None
                look = last + _LOOK_EVERY * WIDTH
            basis.append(following)
            links.append(link)

    def _first_look(self) -> int:
        count = self.target.count
        return int(_FIRST_LOOK * count) if count is not None else 4 * WIDTH

    def _spend(self, part: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[part] += now - since
        return now

    def _hopeless(self, columns: int) -> bool:
        """Tell whether the basis outgrew the modes that the cut can give."""
        return self._lifted < self._needed and columns > 3.5 * self._needed + 8 * WIDTH

    def _converged(self, blocks, links, link) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (theta, weights) of the needed Ritz pairs if all estimates are met, else None."""
        size = len(blocks) * WIDTH
        projected = np.zeros((size, size))
        for p, block in enumerate(blocks):
            a = p * WIDTH
            projected[a : a + WIDTH, a : a + WIDTH] = block
        for p, block in enumerate(links):
            a = p * WIDTH
            projected[a + WIDTH : a + 2 * WIDTH, a : a + WIDTH] = block
        if self.target.count is not None:
            wanted = min(self.target.needed(np.zeros(0)), size)
        else:
            theta = sl.eigvalsh(projected, lower=True, check_finite=False)[::-1]
            theta = theta[theta > 1.0]
            wanted = min(self.target.needed(self.filter.eigenvalues(theta)), size)
        theta, weights = sl.eigh(
            projected, lower=True, check_finite=False, driver="evr",
            subset_by_index=[size - wanted, size - 1],
        )  # fmt: skip
        theta, weights = theta[::-1], weights[:, ::-1]
        self._lifted, self._needed = int(np.sum(theta > 1.0)), wanted
        residual = np.linalg.norm(link @ weights[-WIDTH:], axis=0)
        values = self.filter.eigenvalues(theta)
        # Two readings of the filtered residual: along the filter's slope, and the part that
        # lies above the cut, where the filter is of order one.
        estimate = np.maximum(
            residual / self.filter.slope(theta),
            0.1 * self.bound.estimate * residual / np.abs(theta),
        )
        done = self._lifted >= wanted and bool(
            np.all(estimate < residual_target(values, self.bound, self.tolerance))
        )
        done = self.operator.comm.bcast(done) if self.operator.comm.size > 1 else done
        return (theta, weights) if done else None

    def _verify(self, theta, weights, following, link) -> EigenPairs | None:
        """Project A on the converged vectors; return them if the true residuals agree."""
        clock = time.perf_counter()
        operator = self.operator
        x = dgemm(1.0, self.basis.krylov(), np.asfortranarray(weights))
        # One more filter step, for free: theta x = F x needs the next block too.
        x = dgemm(1.0, following, (link @ weights[-WIDTH:]) / theta, 1.0, x, overwrite_c=1)
        pairs = rayleigh_ritz(operator, x)
        self._spend("verify", clock)
        needed = max(len(theta) - self.target.extra, 1)
        limit = residual_target(pairs.values, self.bound, self.tolerance)
        good = pairs.residuals <= limit
        keep = len(good) if good.all() else int(np.argmin(good))
        if keep < needed:
            log.debug("residuals not yet met: %d of %d", keep, needed)
            return None
        pairs.values, pairs.residuals = pairs.values[:keep], pairs.residuals[:keep]
        pairs.vectors = pairs.vectors[:, :keep]
        pairs.info = {
            "degree": self.degree,
            "block_width": WIDTH,
            "basis_columns": self.basis.columns,
            "memory_bytes": self.basis.memory + operator.memory + 2 * x.nbytes,
            "seconds_by_part": dict(self.seconds),
        }
        return pairs


def rayleigh_ritz(operator: BlockOperator, x: np.ndarray) -> EigenPairs:
    """Diagonalise A in the span of the independent columns of `x` (n_local, k).  Collective."""
    for _ in range(2):
        factor = sl.cholesky(operator.inner(x, x), check_finite=False)
        x = sl.blas.dtrsm(1.0, factor, np.asfortranarray(x), side=1)
    image = operator.apply(x)
    small = operator.inner(x, image)
    values, rotation = np.linalg.eigh((small + small.T) / 2)
    x = dgemm(1.0, x, rotation)
    image = dgemm(1.0, image, rotation)
    image -= x * values
    squares = operator.reduce(np.einsum("rk,rk->k", image, image))
    return EigenPairs(values, x, np.sqrt(squares))
