"""Power laws of a measured curve: local exponents, slopes in a window, how far a law reaches.

A curve ``y(x)`` on a shared logarithmic grid is known for every sample.  All statistics are
those of the mean curve, with errors from resampled samples, so that the strong correlation
between neighbouring points of one sample enters the errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassmodes.statistics.bootstrap import Estimate, bootstrap

MINIMUM_POINTS = 4
"""Grid points below which a window holds no slope."""


@dataclass(frozen=True)
class WindowExponent:
    """Exponent of a curve in a window of its argument.

    Attributes
    ----------
    low, high
        Ends of the window.
    points
        Grid points inside.
    exponent
        Least-squares slope of ln y against ln x over them.
    smallest, largest
        Extreme local exponents of the mean curve inside the window.
    """

    low: float
    high: float
    points: int
    exponent: Estimate
    smallest: float
    largest: float

    @property
    def decades(self) -> float:
        """Width of the window in decades, 0 if it is empty."""
        return math.log10(self.high / self.low) if 0 < self.low < self.high else 0.0


def local_exponents(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Return ``d ln y / d ln x`` by centred differences along the last axis.

    Parameters
    ----------
    x
        Increasing positive grid, shape ``(F,)``.
    y
        Curves, shape ``(..., F)``; NaN comes out next to values that are not positive.
    """
    values = np.asarray(y, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.where(values > 0, values, np.nan))
        return np.gradient(logarithm, np.log(np.asarray(x, dtype=np.float64)), axis=-1)


def fit_window(
    x: ArrayLike, curves: ArrayLike, low: float, high: float, **options
) -> WindowExponent:
    """Exponent of the mean of `curves` between `low` and `high`.

    Parameters
    ----------
    x
        Shared grid, shape ``(F,)``.
    curves
        One curve per sample, shape ``(S, F)``; or numerator and denominator of a ratio,
        each averaged over samples first, shape ``(S, 2, F)``.
    options
        Go to `bootstrap.bootstrap`.

    Returns
    -------
    WindowExponent
        NaN for fewer than `MINIMUM_POINTS` points or a mean curve that is not positive.
    """
    grid = np.asarray(x, dtype=np.float64)
    rows = np.asarray(curves, dtype=np.float64)
    if rows.ndim == 2:
        rows = np.stack([rows, np.ones_like(rows)], axis=1)
    inside = (grid >= low) & (grid <= high)
    points = int(inside.sum())
    if points < MINIMUM_POINTS:
        unknown = np.array(math.nan)
        nothing = Estimate(unknown, unknown, unknown, unknown, rows.shape[0])
        return WindowExponent(low, high, points, nothing, math.nan, math.nan)
    centred = np.log(grid[inside]) - np.log(grid[inside]).mean()
    weights = centred / (centred @ centred)
    exponent = bootstrap(lambda t: _logarithm(t) @ weights, rows[..., inside], **options)
    local = local_exponents(grid, np.exp(_logarithm(rows.sum(axis=0))))[inside]
    if not np.isfinite(local).any():
        return WindowExponent(low, high, points, exponent, math.nan, math.nan)
    return WindowExponent(
        low, high, points, exponent, float(np.nanmin(local)), float(np.nanmax(local))
    )


def _logarithm(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """``ln(numerator / denominator)`` of totals ``(..., 2, F)``, NaN where undefined."""
    top, bottom = totals[..., 0, :], totals[..., 1, :]
    known = (top > 0) & (bottom > 0)
    return np.log(np.where(known, top, np.nan) / np.where(known, bottom, 1.0))


def decades_of_law(
    x: ArrayLike,
    curves: ArrayLike,
    exponents: tuple[float, float],
    *,
    inside: ArrayLike | None = None,
    **options,
) -> Estimate:
    """Longest stretch, in decades of `x`, where the local exponent lies between two bounds.

    Parameters
    ----------
    x, curves
        As in `fit_window`, one curve per sample, shape ``(S, F)``.
    exponents
        Smallest and largest exponent that count as the law.
    inside
        Which points may count, shape ``(F,)``; all if not given.  Their local exponents
        still use neighbours outside.
    options
        Go to `bootstrap.bootstrap`.
    """
    grid = np.asarray(x, dtype=np.float64)
    allowed = np.ones(grid.shape, bool) if inside is None else np.asarray(inside, dtype=bool)
    low, high = exponents

    def longest(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        slope = local_exponents(grid, totals)
        return _longest_run(np.log10(grid), (slope >= low) & (slope <= high) & allowed)

    return bootstrap(longest, curves, **options)


def _longest_run(position: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Length of the longest unbroken stretch of every row ``(b, F)``, shape ``(b,)``."""
    run = np.zeros(inside.shape[0])
    best = np.zeros(inside.shape[0])
    for k in range(1, position.size):
        both = inside[:, k] & inside[:, k - 1]
        run = np.where(both, run + position[k] - position[k - 1], 0.0)
        best = np.maximum(best, run)
    return best
