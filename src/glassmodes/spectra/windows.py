"""All eigenpairs in a window inside the spectrum, slice by slice, with a certificate.

A slice is found by block Lanczos on a band-pass polynomial or on shift-invert, from below by the
low-pass filter where few eigenvalues lie under the window, or by dense LAPACK: whichever is
estimated to be fastest and fits in memory.  The certificate is the difference of two inertia
counts at the ends of the slice; where no factor fits, a second start that must find nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glassmodes.errors import InputError, SolverError, nearest
from glassmodes.spectra import window_costs
from glassmodes.spectra.chebyshev import SpectralBound, spectral_bound
from glassmodes.spectra.completeness import (
    CERTIFICATES,
    INERTIA,
    NONE,
    SECOND_START,
    affordable,
)
from glassmodes.spectra.dense import dense_eigenpairs
from glassmodes.spectra.factorisations import FactorDoesNotFit, count_below
from glassmodes.spectra.filtered_lanczos import ZERO, Target, filtered_lanczos
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.rayleigh_ritz import EigenPairs, rayleigh_ritz
from glassmodes.spectra.slepc_interval import interval_eigenpairs
from glassmodes.spectra.slices import GAP, WindowDensity, cut_window, settle, window_density
from glassmodes.spectra.window_lanczos import GUARD, window_lanczos
from glassmodes.spectra.window_transforms import BandPass, Incomplete, ShiftInvert, WindowTransform

log = logging.getLogger(__name__)

METHODS = ("auto", *window_costs.METHODS, "slepc")
PER_SLICE = 300
"""Eigenvalues that a slice holds if no number of slices is given."""
MOST_SLICES = 10_000
_FEW_SLICES = 8  # which no window is refused, however few eigenvalues are expected in it
_MAX_ROUNDS = 40
_REACH = 4 * GAP
"""How far beyond its ends a slice is searched, relative: `settle` looks as far as 3 `GAP`."""

Solve = Callable[[np.ndarray | None, int, int], EigenPairs]
"""solve(locked, missing, seed): eigenpairs of the slice; `missing` as many, 0 for all."""


@dataclass
class WindowModes:
    """The eigenpairs in a window, or in one slice of it, ascending.

    low, high : the ends of what was searched, moved off eigenvalues that they touched.
    values, residuals : (k,); residuals are ||A v - x v|| / |x|.
    vectors : (n_local, k) orthonormal.
    slices : (k,) slice of each, from 0.
    cuts : (s + 1,) ends of the slices that were searched.
    expected, expected_error : estimate of k from the density, with its standard error.
    counted : eigenvalues that the inertia counts in the window, None if it was not asked.
    certificate : "inertia", "second start" or "none".
    solver : products and times; "slices" has method and numbers of each.
    """

    low: float
    high: float
    values: np.ndarray
    residuals: np.ndarray
    vectors: np.ndarray
    slices: np.ndarray
    cuts: np.ndarray
    expected: float
    expected_error: float
    counted: int | None
    certificate: str
    solver: dict[str, Any] = field(default_factory=dict)

    @property
    def certified(self) -> bool:
        """Tell whether the inertia confirms that nothing is missing."""
        return self.certificate == INERTIA


@dataclass(frozen=True)
class Slicing:
    """A window cut into slices.

    cuts : (S + 1,) ascending.  density : the estimate behind them.  bound : of the spectrum.
    """

    cuts: np.ndarray
    density: WindowDensity
    bound: SpectralBound

    @property
    def count(self) -> int:
        """Number of slices."""
        return len(self.cuts) - 1


def slice_window(
    operator: BlockOperator, low: float, high: float, slices: int | None = None
) -> Slicing:
    """Cut the window [low, high] of eigenvalues into slices; the same for every job.

    Zero modes are in no window: an end below them is put above them.

    Parameters
    ----------
    operator
        Symmetric operator.
    low, high : float
        Window of eigenvalues.
    slices : int or None
        Number of slices; None: so many that each holds about `PER_SLICE` eigenvalues and fits
        in memory.

    Raises
    ------
    InputError
        If the window lies among the zero modes, or more slices than eigenvalues are asked for.

    Notes
    -----
    Collective.
    """
    bound = spectral_bound(operator)
    low = max(low, 100 * ZERO * bound.estimate)
    if not high > low:
        raise InputError(f"the window [{low:.6g}, {high:.6g}] lies among the zero modes")
    if low >= bound.upper:
        density = window_density(operator, bound, 0.0, bound.upper)
        return Slicing(np.linspace(low, high, (slices or 1) + 1), density, bound)
    top = min(high, bound.upper)  # nothing lies beyond
    if slices is None or slices > _FEW_SLICES:
        expected, error = window_density(operator, bound, low, top).between(low, top)
        if slices is not None and slices > expected + 3 * error:
            raise InputError(
                f"{slices} slices for about {max(expected, 0.0):.0f} modes: ask for fewer, 200 to "
                "300 modes in each are a good size"
            )
    if slices is None:
        fits = min(PER_SLICE, window_costs.modes_that_fit(operator))
        slices = min(max(1, int(np.ceil(expected / max(fits, 1)))), MOST_SLICES)
    density = window_density(operator, bound, low, top, slices)
    cuts = cut_window(density, low, top, slices)
    cuts[-1] = high
    return Slicing(cuts, density, bound)


def modes_in_window(
    operator: BlockOperator,
    low: float,
    high: float,
    *,
    slices: int | None = None,
    only: int | None = None,
    method: str = "auto",
    certificate: str = "auto",
    tolerance: float = 1e-8,
    seed: int = 0,
) -> WindowModes:
    """Find all eigenpairs with eigenvalues in [low, high], or those of one slice.

    Parameters
    ----------
    operator
        Symmetric operator; its known null vectors are projected out, and no eigenvalue that is
        zero to the accuracy of the solver belongs to a window.
    low, high : float
        Window of eigenvalues; 0 <= low < high.
    slices, only
        Number of slices (None: see `slice_window`), and which one to search, from 0 (None: all).
    method : {"auto", "filtered", "shift-invert", "lowest", "dense", "slepc"}
        Solver of each slice; "auto" takes what is estimated fastest and fits in memory.
        Matrices of up to 400 rows go to dense LAPACK.
    certificate : {"auto", "inertia", "count", "none"}
        "inertia" counts at both ends of a slice; "count" starts a second time and must find
        nothing; "auto" takes the first where a factor fits.  What is missing is found.
    tolerance
        Residual relative to the eigenvalue.
    seed
        Of the start vectors.

    Raises
    ------
    InputError
        If the request makes no sense for this operator.
    SolverError
        If a slice does not converge or its count cannot be reconciled.

    Notes
    -----
    Collective.
    """
    _check_request(operator, low, high, slices, only, method, certificate)
    clock = time.perf_counter()
    products = operator.products
    plan = slice_window(operator, low, high, slices)
    if only is not None and only >= plan.count:
        raise InputError(f"slice {only} asked for, but they are numbered 0 to {plan.count - 1}")
    chosen = range(plan.count) if only is None else [only]
    counter = _Inertia(operator, certificate)
    parts = [_Slice(operator, plan, k, method, counter, tolerance, seed).solve() for k in chosen]
    values = np.concatenate([part.pairs.values for part in parts])
    residuals = np.concatenate([part.pairs.residuals for part in parts])
    lengths = [len(part.pairs.values) for part in parts]
    counts = [part.counted for part in parts]
    expected, error = plan.density.between(plan.cuts[chosen[0]], plan.cuts[chosen[-1] + 1])
    return WindowModes(
        low=parts[0].low,
        high=parts[-1].high,
        values=values,
        residuals=residuals / np.abs(values),
        vectors=_joined([part.pairs.vectors for part in parts]),
        slices=np.repeat(np.array(chosen, np.int64), lengths),
        cuts=np.array([part.low for part in parts] + [parts[-1].high]),
        expected=max(expected, 0.0),
        expected_error=error,
        counted=None if None in counts else sum(c for c in counts if c is not None),
        certificate=parts[0].certificate,
        solver={
            "slices": [part.info for part in parts],
            "slices_in_all": plan.count,
            "products": operator.products - products,
            "solve_seconds": time.perf_counter() - clock - counter.seconds,
            "certificate_seconds": counter.seconds,
            "spectral_bound": plan.bound.upper,
        },
    )


def _check_request(operator, low, high, slices, only, method, certificate) -> None:
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}{nearest(method, METHODS)}; one of {METHODS}")
    if certificate not in CERTIFICATES:
        raise InputError(
            f"unknown certificate {certificate!r}{nearest(certificate, CERTIFICATES)}; one of "
            f"{CERTIFICATES}"
        )
    if not (np.isfinite(low) and np.isfinite(high) and 0 <= low < high):
        raise InputError(f"a window needs 0 <= low < high, found [{low}, {high}]")
    if slices is not None and slices < 1:
        raise InputError(f"the number of slices must be at least 1, found {slices}")
    if slices is not None and slices > MOST_SLICES:
        raise InputError(f"at most {MOST_SLICES} slices can be cut, found {slices}")
    if only is not None and (slices is None or not 0 <= only < slices):
        raise InputError(
            f"slice {only} of {slices or 'an unknown number of'} slices: give their number, and "
            "one of them counted from 0"
        )
    if operator.n <= operator.nullity:
        raise InputError("all eigenvectors are known null vectors: there is no mode to find")


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.asfortranarray(np.hstack(parts))


class _Inertia:
    """Counts below the ends of slices, each end counted once; `None` where no factor fits."""

    def __init__(self, operator: BlockOperator, certificate: str) -> None:
        self.operator, self.kind = operator, certificate
        if certificate == "auto":
            self.kind = INERTIA if affordable(operator) else "count"
        self._may_change = certificate == "auto"
        self._known: dict[float, int] = {}
        self.seconds = 0.0

    def knows(self, low: float, high: float) -> bool:
        """Tell whether `between` needs no factor."""
        return self.kind != INERTIA or {low, high} <= self._known.keys()

    def between(self, low: float, high: float) -> int | None:
        """Return the number of eigenvalues in [low, high], None if it is not to be had."""
        if self.kind != INERTIA:
            return None
        try:
            return self._below(high) - self._below(low)
        except FactorDoesNotFit as error:
            if not self._may_change:
                raise
            log.warning("no inertia count (%s): a second start takes its place", error)
            self.kind = "count"
            return None

    def _below(self, edge: float) -> int:
        if edge not in self._known:
            self._known[edge], seconds = count_below(self.operator, edge)
            self.seconds += seconds
        return self._known[edge]


class _Slice:
    """The search of one slice."""

    def __init__(self, operator, plan, number, method, counter, tolerance, seed) -> None:
        self.operator, self.plan, self.number, self.counter = operator, plan, number, counter
        self.start, self.end = float(plan.cuts[number]), float(plan.cuts[number + 1])
        self.tolerance, self.seed = tolerance, seed
        self.expected, self.error = plan.density.between(self.start, self.end)
        self.reach = self.start * (1 - _REACH), self.end * (1 + _REACH)
        costs = window_costs.estimate_methods(operator, plan.bound, plan.density, *self.reach)
        self.method, self._costs = method, costs
        self._may_change = method == "auto"
        if operator.n <= window_costs.SMALL and method != "slepc":
            self.method = "dense"
        elif method == "auto":
            self.method = window_costs.choose(costs, window_costs.available(operator))
        self.estimates = {name: cost.seconds for name, cost in costs.items()}
        self.low, self.high = self.start, self.end
        self._transform: WindowTransform | None = None
        self.counted: int | None = None
        self.certificate = NONE

    def solve(self) -> _Slice:
        """Find, complete and trim the pairs; return this slice.  Collective."""
        clock = time.perf_counter()
        before = self.counter.seconds
        try:
            pairs, info, rounds = self._search()
        except Incomplete as error:
            room = window_costs.available(self.operator)
            other = window_costs.last_resort(self.operator, self._costs, room)
            if not self._may_change or other is None:
                raise
            log.warning("slice %d goes on by %s: %s", self.number, other, error)
            self.method = other
            pairs, info, rounds = self._search()
        inside = np.flatnonzero((pairs.values > self.low) & (pairs.values < self.high))
        part = slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0)
        self.pairs = EigenPairs(pairs.values[part], pairs.vectors[:, part], pairs.residuals[part])
        self.info = {
            **info,
            "slice": self.number,
            "low": self.low,
            "high": self.high,
            "modes": len(inside),
            "expected": self.expected,
            "expected_error": self.error,
            "counted": self.counted,
            "certificate": self.certificate,
            "method": self.method,
            "rounds": rounds,
            "estimated_seconds": self.estimates,
            "seconds": time.perf_counter() - clock - (self.counter.seconds - before),
        }
        log.info(
            "slice %d [%.6g, %.6g]: %d modes by %s, %.1f +- %.1f expected",
            *(self.number, self.low, self.high, len(inside), self.method),
            *(self.expected, self.error),
        )
        return self

    def _search(self) -> tuple[EigenPairs, dict[str, Any], int]:
        """Return complete pairs, what is known of the first start, and the rounds."""
        solve = self._solver()
        try:
            pairs = solve(None, 0, self.seed)
            info = pairs.info
            pairs, rounds = self._complete(pairs, solve)
        finally:
            self._release()
        return pairs, info, rounds

    def _acquire(self) -> WindowTransform:
        if self._transform is None:
            if self.method == "filtered":
                count = self.plan.density.count
                bound = self.plan.bound
                self._transform = BandPass(self.operator, bound, *self.reach, count)
            else:
                self._transform = ShiftInvert(self.operator, *self.reach)
        return self._transform

    def _release(self) -> None:
        if self._transform is not None:
            self._transform.destroy()
            self._transform = None

    def _solver(self) -> Solve:
        operator, bound = self.operator, self.plan.bound
        if self.start >= bound.upper:
            return lambda locked, missing, seed: _nothing(operator)
        if self.method == "filtered":
            window_costs.require_degree(operator, bound, self.plan.density, *self.reach)
        if self.method in ("filtered", "shift-invert"):
            return self._by_lanczos
        if self.method == "slepc":
            return lambda locked, missing, seed: interval_eigenpairs(
                operator, *self.reach, locked, self.tolerance
            )
        if self.method == "dense":
            window_costs.require_dense(operator)
            return lambda locked, missing, seed: dense_eigenpairs(
                operator, Target(below=self.reach[1], extra=GUARD), locked
            )

        window_costs.require_low(operator, self.plan.density, self.end)

        def from_below(locked, missing, seed):
            target = Target(below=self.reach[1], extra=GUARD)
            if missing:
                target = Target(count=missing, extra=0)
            return filtered_lanczos(
                operator, target, locked=locked, bound=bound, tolerance=self.tolerance, seed=seed
            )

        return from_below

    def _by_lanczos(self, locked: np.ndarray | None, missing: int, seed: int) -> EigenPairs:
        """Find pairs by block Lanczos, in a basis for as many as are counted if need be."""

        def search(expected: float) -> EigenPairs:
            return window_lanczos(
                self.operator, self._acquire(), *self.reach, max(expected, 0.0),
                bound=self.plan.bound, locked=locked, tolerance=self.tolerance, seed=seed,
            )  # fmt: skip

        if locked is not None:
            return search(missing)
        try:
            return search(self.expected)
        except Incomplete:
            self._release()
            count = self.counter.between(*self.reach)
            if count is None or count <= self.expected:
                raise
            log.info("%.0f modes expected, %d counted: the basis grows", self.expected, count)
            return search(count)

    def _complete(self, pairs: EigenPairs, solve: Solve) -> tuple[EigenPairs, int]:
        """Move the ends off eigenvalues, and find what the certificate says is missing."""
        for rounds in range(1, _MAX_ROUNDS + 1):
            self.low = settle(self.start, pairs.values, upwards=self.number > 0)
            self.high = max(settle(self.end, pairs.values), self.low)
            if self._reach_on():
                pairs = self._with(pairs, solve(self._locked(pairs), 0, self.seed + 1000 * rounds))
                continue
            inside = int(np.sum((pairs.values > self.low) & (pairs.values < self.high)))
            if not self.counter.knows(self.low, self.high):
                self._release()  # two factors at a time would take twice the memory
            self.counted = self.counter.between(self.low, self.high)
            missing = 0 if self.counted is None else self.counted - inside
            if missing < 0:
                raise SolverError(
                    f"{inside} modes found in [{self.low:.6g}, {self.high:.6g}] but the inertia "
                    f"counts {self.counted}: the solver returned a spurious mode; please report "
                    "this"
                )
            if self.counted is not None and not missing:
                self.certificate = INERTIA
                return pairs, rounds
            if self.counter.kind == NONE:
                return pairs, rounds
            more = solve(self._locked(pairs), missing, self.seed + 1000 * rounds)
            new = (more.values > self.low) & (more.values < self.high)
            if self.counted is None and not new.any():
                self.certificate = SECOND_START
                return pairs, rounds
            log.info("round %d: %d modes missing in the slice", rounds, missing or new.sum())
            pairs = self._with(pairs, more)
        raise Incomplete(
            f"modes in [{self.low:.12g}, {self.high:.12g}] stay missing after {_MAX_ROUNDS} "
            "rounds: choose the method slepc or dense"
        )

    def _reach_on(self) -> bool:
        """Tell whether an end moved to where nothing was searched; the search then reaches on."""
        low, high = self.reach
        self.reach = (
            self.low - _REACH * self.start if self.low - GAP * self.start < low else low,
            self.high + _REACH * self.end if self.high + GAP * self.end > high else high,
        )
        moved = self.reach != (low, high)
        if moved:
            self._release()
        return moved

    def _with(self, pairs: EigenPairs, more: EigenPairs) -> EigenPairs:
        """Return the locked ones of `pairs` and those found beside them."""
        if not len(more.values):
            return pairs
        return rayleigh_ritz(self.operator, np.hstack([self._locked(pairs), more.vectors]))

    def _locked(self, pairs: EigenPairs) -> np.ndarray:
        """Return the vectors that a further start leaves out."""
        if self.method in ("lowest", "dense"):  # which find all that lies below the end
            return np.asfortranarray(pairs.vectors[:, pairs.values < self.high])
        return pairs.vectors


def _nothing(operator: BlockOperator) -> EigenPairs:
    return EigenPairs(np.zeros(0), np.zeros((operator.n_local, 0), order="F"), np.zeros(0))
