"""Power laws at the lower end of a distribution: maximum likelihood, scans and plateaus.

Symbols: a density ``D(w) ~ w**s`` below ``w_max`` has the cumulative
``F(w) ~ w**(s + 1)``; with ``y = ln(w_max / w)`` the `n` values below ``w_max`` are
exponentially distributed with rate ``s + 1``, so the maximum-likelihood estimate is
``s + 1 = n / sum(y)`` with relative error ``n**(-1/2)`` for independent values.
Errors come from the bootstrap over samples, because modes of one glass repel each
other and samples differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassmodes.statistics.bootstrap import Estimate, bootstrap, ratio


@dataclass(frozen=True)
class PowerLawFit:
    """Exponent `s` of ``D(w) ~ w**s`` for values below `upper`.

    `exponent` is an `Estimate` with the shape of `upper`; `used` counts the values
    in each window and `samples_used` the samples that contributed at least one.
    """

    upper: NDArray[np.float64]
    exponent: Estimate
    used: NDArray[np.int64]
    samples_used: NDArray[np.int64]


def fit_exponent(
    values: ArrayLike,
    sample: ArrayLike,
    samples: int,
    upper: ArrayLike,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PowerLawFit:
    """Maximum-likelihood exponent for one or many upper ends of the window.

    Parameters
    ----------
    values
        Positive values (frequencies, stiffnesses) of all samples, shape ``(M,)``;
        complete below the largest `upper` in every sample.
    sample
        Which sample each value belongs to, integers in ``range(samples)``, ``(M,)``.
    samples
        Number of samples, those without any value in the window included.
    upper
        Upper end(s) of the window, scalar or shape ``(W,)``.

    Returns
    -------
    PowerLawFit
        NaN where fewer than two values lie in a window.
    """
    w = np.asarray(values, dtype=np.float64)
    owner = np.asarray(sample, dtype=np.int64)
    ends = np.atleast_1d(np.asarray(upper, dtype=np.float64))
    if w.shape != owner.shape:
        raise ValueError(f"{w.shape} values but {owner.shape} sample numbers")
    rows = np.zeros((samples, ends.size, 2))
    for k, end in enumerate(ends):
        inside = (w < end) & (w > 0)
        rows[:, k, 0] = np.bincount(owner[inside], minlength=samples)
        rows[:, k, 1] = np.bincount(
            owner[inside], weights=np.log(end / w[inside]), minlength=samples
        )

    def exponent(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        n = totals[..., 0]
        return np.where(n >= 2, ratio(n, totals[..., 1]) - 1.0, np.nan)

    estimate = bootstrap(exponent, rows, resamples=resamples, confidence=confidence, seed=seed)
    counts = rows[..., 0]
    return PowerLawFit(
        upper=ends,
        exponent=estimate,
        used=counts.sum(axis=0).astype(np.int64),
        samples_used=(counts > 0).sum(axis=0).astype(np.int64),
    )


def values_needed(exponent: float, precision: float) -> int:
    """Return how many independent values fix `exponent` to `precision`.

    The error is ``(s + 1) / sqrt(n)``: 625 modes for 4 +- 0.2.
    """
    return math.ceil(((exponent + 1.0) / precision) ** 2 * (1.0 - 1e-12))


def goodness_of_fit(
    values: ArrayLike, upper: float, *, resamples: int = 500, seed: int = 0
) -> float:
    """Probability that a true power law fitted the same way looks worse (Kolmogorov-Smirnov).

    The rate is fitted to the data, so the null distribution of the distance is
    sampled with the rate refitted to each synthetic set.  NaN for fewer than five
    values.  Values of one sample count as independent here.
    """
    w = np.asarray(values, dtype=np.float64)
    y = np.sort(np.log(upper / w[(w < upper) & (w > 0)]))
    n = y.size
    if n < 5:
        return math.nan
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    observed = _exponential_distance(y[None])[0]
    block = max(1, 2_000_000 // n)
    worse = 0
    for first in range(0, resamples, block):
        drawn = np.sort(rng.exponential(size=(min(block, resamples - first), n)), axis=1)
        worse += int((_exponential_distance(drawn) >= observed).sum())
    return (worse + 1) / (resamples + 1)


def _exponential_distance(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest distance between the empirical and the fitted exponential cumulative, per row."""
    n = y.shape[1]
    model = -np.expm1(-y / y.mean(axis=1, keepdims=True))
    steps = np.arange(n + 1) / n
    return np.maximum((steps[1:] - model).max(axis=1), (model - steps[:-1]).max(axis=1))


@dataclass(frozen=True)
class Plateau:
    """End of the flat part of ``F(w) / w**power``, or why none was found."""

    end: float
    level: float
    found: bool
    reason: str


def find_plateau_end(
    grid: ArrayLike,
    level: ArrayLike,
    error: ArrayLike,
    counts: ArrayLike,
    *,
    minimum_count: int = 50,
    minimum_span: float = 1.25,
    sigmas: float = 2.0,
) -> Plateau:
    """Read off where the reduced cumulative ``F(w)/w**power`` dips from its plateau.

    Parameters
    ----------
    grid
        Increasing frequencies, shape ``(W,)``.
    level, error
        ``F/w**power`` on the grid and its bootstrap error, shape ``(W,)``.
    counts
        Modes below each frequency, shape ``(W,)``.
    minimum_count
        Points with fewer modes carry no evidence and are not looked at.
    minimum_span
        The plateau must extend over this factor in frequency with `minimum_count`
        modes at its lower end.
    sigmas
        A point lies off the plateau when it falls by more than this many errors of
        the plateau level.

    Notes
    -----
    The reference level is the one at the lowest frequency that has `minimum_count`
    modes; the end is the grid point before the first that has dropped below it.
    A level that falls at once (a law flatter than the one divided out) gives no
    plateau; a level still flat at the end of the data gives a lower bound only.
    """
    w, y, e, n = (np.asarray(a, dtype=np.float64) for a in (grid, level, error, counts))
    usable = np.flatnonzero((n >= minimum_count) & np.isfinite(e) & (e > 0))
    if usable.size < 3:
        most = int(n.max()) if n.size else 0
        return Plateau(
            math.nan, math.nan, False, f"too few modes: {most}, at least {minimum_count} needed"
        )
    first = usable[0]
    if w[usable[-1]] < minimum_span * w[first]:
        reason = f"only a factor {w[usable[-1]] / w[first]:.2f} holds {minimum_count} modes or more"
        return Plateau(math.nan, math.nan, False, reason)
    reference, width = y[first], e[first]
    later = usable[1:]
    if np.any(y[later] > reference + sigmas * width):
        return Plateau(
            math.nan, reference, False, "the reduced cumulative rises: steeper than the law tested"
        )
    left = later[y[later] < reference - sigmas * width]
    if left.size == 0:
        return Plateau(float(w[usable[-1]]), reference, False, "flat up to the end of the window")
    end = float(w[left[0] - 1])
    if end < minimum_span * w[first]:
        return Plateau(math.nan, reference, False, "no flat part: flatter than the law tested")
    return Plateau(end, reference, True, "end of the flat part")
