"""Cutting a window of the spectrum into slices that hold about as many eigenvalues each.

The density comes from Chebyshev moments of seeded random vectors, so every job that looks at
the same operator finds the same cuts.  A cut that turns out to touch an eigenvalue is moved
above its whole multiplet by a rule that needs the eigenvalues next to the cut only: the slices
on both sides of it, each in a job of its own, agree on the place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from glassmodes.spectra.chebyshev import (
    SpectralBound,
    chebyshev_moments,
    random_starts,
)
from glassmodes.spectra.eigenvalue_counts import KernelPolynomialCount
from glassmodes.spectra.operators import BlockOperator

GAP = 1e-7
"""Distance of a cut to the next eigenvalue, relative to the cut."""
VECTORS = 8
_STREAM_SEED = 2  # of the random vectors, whatever the start vectors of the solver
_FINENESS = 4.0  # resolution of the kernel: pi / (2 products) = slice / (2 x 4)
_FEWEST, _MOST = 60, 4000  # products for each vector
_GRID = 16_384  # points between which cuts are interpolated, more for more than 4,096 slices


@dataclass(frozen=True)
class WindowDensity:
    """Estimated numbers of eigenvalues in intervals, from several random vectors.

    counters : one count for each vector, scaled to the whole spectrum.
    products : products with each vector.
    """

    counters: tuple[KernelPolynomialCount, ...]
    products: int

    def between(self, low: float, high: float) -> tuple[float, float]:
        """Return the number in [low, high] with its standard error over the vectors."""
        counts = [c.below(high) - c.below(low) for c in self.counters]
        return float(np.mean(counts)), float(np.std(counts, ddof=1) / math.sqrt(len(counts)))

    def count(self, low: float, high: float) -> float:
        """Return the number in [low, high], not below 0."""
        return max(0.0, self.below(high) - self.below(low))

    @cached_property
    def _mean(self) -> KernelPolynomialCount:
        first = self.counters[0]
        moments = np.mean([c.moments for c in self.counters], axis=0)
        return KernelPolynomialCount(moments, first.lower, first.upper)

    def below(self, edge: float) -> float:
        """Return the number below `edge`."""
        return self._mean.below(edge)


def window_density(
    operator: BlockOperator, bound: SpectralBound, low: float, high: float, slices: int = 1
) -> WindowDensity:
    """Estimate the density in [low, high] finely enough to cut it into `slices`.

    Collective; 8 x 8 pi / width products, the width of a slice in the angle arccos l(x), between
    480 and 32,000.
    """
    ends = np.arccos(np.clip(bound.position(np.array([high, low])), -1, 1))
    width = max(float(ends[1] - ends[0]) / slices, 1e-12)
    products = int(min(max(_FEWEST, math.ceil(_FINENESS * math.pi / width)), _MOST))
    starts = random_starts(operator, VECTORS, _STREAM_SEED)
    moments = chebyshev_moments(operator, starts, bound, products)
    moments *= (operator.n - operator.nullity) / moments[0]
    counters = tuple(KernelPolynomialCount(m, bound.lower, bound.upper) for m in moments.T)
    return WindowDensity(counters, products)


def cut_window(density: WindowDensity, low: float, high: float, slices: int) -> np.ndarray:
    """Return the `slices` + 1 ascending cuts of [low, high], the ends exact.

    The cuts hold equal shares of the estimated count; where it is flat, of the width.
    """
    points = min(64 * slices, max(_GRID, 4 * slices))
    grid = np.linspace(low, high, points + 1)
    rise = np.maximum.accumulate([density.below(edge) for edge in grid])
    rise = rise - rise[0]
    rise = rise + 1e-3 * max(rise[-1], 1.0) * np.linspace(0, 1, len(grid))  # strictly ascending
    cuts = np.interp(np.linspace(0, rise[-1], slices + 1), rise, grid)
    cuts[0], cuts[-1] = low, high
    return cuts


def settle(cut: float, values: np.ndarray, upwards: bool = True) -> float:
    """Return `cut`, or the next place above (below) all eigenvalues that it touches.

    values : (k,) ascending, eigenvalues on both sides of the cut.  The place keeps a distance of
    `GAP` |cut| to them; those closer than twice that count as one multiplet.
    """
    gap = GAP * abs(cut)
    near = values[np.abs(values - cut) < gap]
    if not len(near):
        return cut
    if upwards:
        top = near[-1]
        for value in values[values > top]:
            if value - top >= 2 * gap:
                break
            top = value
        return float(top + gap)
    bottom = near[0]
    for value in values[values < bottom][::-1]:
        if bottom - value >= 2 * gap:
            break
        bottom = value
    return float(bottom - gap)
