"""Chebyshev-filtered block Lanczos: the lowest eigenpairs without a factorisation.

The Lanczos recursion runs on the low-pass filter T_m(l(A)) instead of A, which spreads the
low end of the spectrum exponentially while everything above a cut stays in [-1, 1].  The cut
is placed with a kernel-polynomial count, the basis is kept orthogonal by one full pass and
two Cholesky QR per block, and the answer is a Rayleigh-Ritz projection of A itself with
explicitly computed residuals.

The basis grows without restarts if memory allows, else with thick restarts.
Method: Zhou, Saad, Tiago and Chelikowsky, J. Comput. Phys. 219, 172 (2006), in a block
Lanczos form.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from glassmodes.errors import ResourceError, SolverError
from glassmodes.spectra.basis_plan import BasisPlan, plan_basis
from glassmodes.spectra.block_lanczos import WIDTH, BlockLanczos
from glassmodes.spectra.chebyshev import ChebyshevFilter, SpectralBound, spectral_bound
from glassmodes.spectra.eigenvalue_counts import kernel_polynomial_count
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.rayleigh_ritz import EigenPairs, rayleigh_ritz

log = logging.getLogger(__name__)

_CUT_RATIO = 1.7  # eigenvalues below the cut per wanted one
_KNOWN_RATIO = 1.3  # the same per mode that is known: only the count's error matters
_DEGREE_FACTOR = 3.2  # filter degree over sqrt(bound / cut)
_FIRST_LOOK = 2.0  # basis size per wanted mode at the first convergence test
_LOOK_EVERY = 2  # blocks between tests
_PATIENCE = 3.5  # basis columns per wanted mode after which the cut must be too low
_LEAST_SPARE = 4  # blocks beside the wanted modes: half of them survive a restart
_MAX_RESTARTS = 100
_RECUT = 1.6
_MAX_RECUTS = 6
ZERO = 1e-11
"""|eigenvalue| / largest below which a mode is a zero mode."""


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
    memory_limit: int | None = None,
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
    memory_limit
        Bytes that this rank may take for vectors; by default what the machine has left.

    Raises
    ------
    SolverError
        If the residuals do not converge.
    ResourceError
        If the vectors do not fit.

    Notes
    -----
    Collective.  About 2.4 basis vectors a mode, or as few as one and 48 with restarts, and one
    more for the answer; products grow as sqrt(bound / cut).
    """
    clock = time.perf_counter()
    products = operator.products
    bound = bound or spectral_bound(operator)
    known = 0 if locked is None else locked.shape[1]
    space = operator.n - operator.nullity - known
    cut, expected = _place_cut(operator, target, bound, known)
    for attempt in range(_MAX_RECUTS):
        largest = min(space, int(_PATIENCE * expected) + 10 * WIDTH)
        plan = plan_basis(operator, int(np.ceil(min(expected, space))), largest, memory_limit)
        pairs = _Run(operator, target, locked, bound, cut, tolerance, seed + attempt, plan).solve()
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
    margin = operator.site_size + WIDTH + _KNOWN_RATIO * known
    if target.count is not None:
        expected = float(target.count + target.extra)
        return counter.edge(_CUT_RATIO * expected + margin), expected
    expected = max(counter.below(target.below) - known, 0.0) + target.extra
    edge = counter.edge(_CUT_RATIO * expected + margin)
    return min(max(edge, 1.3 * target.below), 0.9 * bound.upper), expected


class _Run:
    """One filtered Lanczos run at a fixed cut."""

    def __init__(self, operator, target, locked, bound, cut, tolerance, seed,
                 plan: BasisPlan) -> None:  # fmt: skip
        self.operator, self.target, self.bound = operator, target, bound
        self.tolerance, self.cut, self.plan = tolerance, cut, plan
        spread = (bound.upper - bound.lower) / max(cut - bound.lower, 1e-12 * bound.upper)
        self.degree = 2 * max(2, round(_DEGREE_FACTOR * np.sqrt(spread) / 2))
        self.filter = ChebyshevFilter(operator, cut, bound.upper, self.degree, WIDTH)
        held = [operator.null_space] + ([] if locked is None else [locked])
        self._lifted = self._needed = 0
        self.lanczos = BlockLanczos(operator, self.filter, held, plan.columns, seed)
        self.seconds = {"project": 0.0, "verify": 0.0}

    def solve(self) -> EigenPairs | None:
        """Return the verified pairs, or None if the cut holds too few modes."""
        lanczos = self.lanczos
        look = self._first_look()
        while True:
            lanczos.step()
            if lanczos.columns < look and not lanczos.full:
                continue
            clock = time.perf_counter()
            verdict = self._converged()
            self._spend("project", clock)
            if verdict is not None:
                pairs = self._verify(*verdict)
                if pairs is not None:
                    return pairs
            elif self._hopeless():
                return None
            if lanczos.full and not self._restart():
                return None
            look = lanczos.columns + max(_LOOK_EVERY * WIDTH, lanczos.columns // 20)

    def _first_look(self) -> int:
        count = self.target.count
        return int(_FIRST_LOOK * count) if count is not None else 4 * WIDTH

    def _restart(self) -> bool:
        """Make room by a thick restart; False if the basis holds too little beside the modes."""
        size = self.lanczos.columns
        spare = size - self._needed
        if spare < _LEAST_SPARE * WIDTH or self.lanczos.restarts == _MAX_RESTARTS:
            if self.plan.limited:
                raise ResourceError(
                    f"{self._needed} modes do not converge with the {size} vectors of "
                    f"{self.operator.n} rows that fit in memory: take more ranks on more nodes, "
                    "or ask for fewer modes"
                )
            return False
        self.lanczos.restart(*self._highest(self._needed + spare // 2))
        return True

    def _spend(self, part: str, since: float) -> None:
        self.seconds[part] += time.perf_counter() - since

    def _hopeless(self) -> bool:
        """Tell whether the basis outgrew the modes that the cut can give."""
        patience = 3 * _PATIENCE if self.lanczos.restarts else _PATIENCE  # restarts forget
        taken = self.lanczos.taken
        return self._lifted < self._needed and taken > patience * self._needed + 8 * WIDTH

    def _highest(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the `count` largest Ritz values of the filter and their weights, descending."""
        projected = self.lanczos.projected()
        size = len(projected)
        theta, weights = sl.eigh(
            projected, lower=True, check_finite=False, driver="evr",
            subset_by_index=[size - count, size - 1],
        )  # fmt: skip
        return self.operator.agree(theta[::-1], weights[:, ::-1])

    def _converged(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (theta, weights) of the needed Ritz pairs if all estimates are met, else None."""
        if self.target.count is not None:
            wanted = self.target.needed(np.zeros(0))
        else:
            projected = self.lanczos.projected()
            theta = sl.eigvalsh(projected, lower=True, check_finite=False)[::-1]
            theta = theta[theta > 1.0]
            wanted = self.target.needed(self.filter.eigenvalues(theta))
            (agreed,) = self.operator.agree(np.array([wanted]))
            wanted = int(agreed[0])
        wanted = min(wanted, self.lanczos.columns)
        theta, weights = self._highest(wanted)
        self._lifted, self._needed = int(np.sum(theta > 1.0)), wanted
        residual = self.lanczos.residuals(weights)
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
        return (theta, weights) if self.operator.agree(np.array(done))[0] else None

    def _verify(self, theta, weights) -> EigenPairs | None:
        """Project A on the converged vectors; return them if the true residuals agree."""
        clock = time.perf_counter()
        operator = self.operator
        x = self.lanczos.ritz_vectors(weights, theta)
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
        columns = self.plan.columns if self.lanczos.restarts else self.lanczos.columns
        pairs.info = {
            "degree": self.degree,
            "block_width": WIDTH,
            "basis_columns": columns,
            "restarts": self.lanczos.restarts,
            "memory_bytes": self.plan.bytes(columns) + operator.memory,
            "seconds_by_part": self.lanczos.seconds | self.seconds,
        }
        return pairs
