"""Histograms of pooled values with errors over samples, and moments of pooled draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassmodes.statistics.bootstrap import Estimate, bootstrap, ratio


def counts_by_sample(
    values: ArrayLike, sample: ArrayLike, samples: int, edges: ArrayLike
) -> NDArray[np.int64]:
    """Count the values of every sample in every bin, shape ``(samples, bins)``.

    Bins are half open, ``edges[k] <= value < edges[k + 1]``; values outside are dropped.
    """
    x = np.asarray(values, dtype=np.float64)
    owner = np.asarray(sample, dtype=np.int64)
    e = np.asarray(edges, dtype=np.float64)
    bins = e.size - 1
    place = np.searchsorted(e, x, side="right") - 1
    inside = (place >= 0) & (place < bins)
    flat = owner[inside] * bins + place[inside]
    return np.bincount(flat, minlength=samples * bins).reshape(samples, bins)


@dataclass(frozen=True)
class Histogram:
    """Probability density of pooled values; `density` integrates to 1 over all values."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    density: Estimate


def density_histogram(
    values: ArrayLike, sample: ArrayLike, samples: int, edges: ArrayLike, **options
) -> Histogram:
    """Probability density per bin with bootstrap errors over samples.

    Normalised by all values given, also those outside the bins.  `options` go to
    `bootstrap.bootstrap`.
    """
    e = np.asarray(edges, dtype=np.float64)
    owner = np.asarray(sample, dtype=np.int64)
    counts = counts_by_sample(values, owner, samples, e)
    totals = np.bincount(owner, minlength=samples)
    rows = np.concatenate([counts, totals[:, None]], axis=1)
    width = np.diff(e)
    density = bootstrap(lambda t: ratio(t[:, :-1], t[:, -1:] * width), rows, **options)
    return Histogram(e, counts.sum(axis=0), density)


@dataclass(frozen=True)
class Moments:
    """Mean, standard deviation (n - 1), skewness of pooled draws, each with its error."""

    draws: int
    mean: Estimate
    standard_deviation: Estimate
    skewness: Estimate
    relative_variance: Estimate


def pooled_moments(values: ArrayLike, **options) -> Moments:
    """Moments of draws pooled over samples, errors from resampled samples.

    Parameters
    ----------
    values
        Shape ``(S, K)``: `K` draws from each of `S` samples, NaN where there is none.
    options
        Go to `bootstrap.bootstrap`.

    Returns
    -------
    Moments
        `relative_variance` is ``(standard deviation / mean)**2``.

    Notes
    -----
    Power sums are taken about the pooled mean, so nothing cancels.  The draws of
    one sample are correlated; that enters the errors (samples are resampled), not
    the ``n - 1``.
    """
    x = np.asarray(values, dtype=np.float64)
    known = np.isfinite(x)
    draws = int(known.sum())
    if draws == 0:
        raise ValueError("no finite value to take moments of")
    centre = float(x[known].mean())
    shifted = np.where(known, x - centre, 0.0)
    powers = [known.astype(float), shifted, shifted**2, shifted**3]
    rows = np.stack([p.sum(axis=1) for p in powers], axis=1)

    def statistic(t: NDArray[np.float64]) -> NDArray[np.float64]:
        n = t[:, 0]
        m1, m2, m3 = (ratio(t[:, k], n) for k in (1, 2, 3))
        second = m2 - m1**2
        third = m3 - 3.0 * m1 * m2 + 2.0 * m1**3
        mean = centre + m1
        variance = np.maximum(second, 0.0) * ratio(n, n - 1.0)
        skewness = ratio(third, np.maximum(second, 0.0) ** 1.5)
        return np.stack([mean, np.sqrt(variance), skewness, ratio(variance, mean**2)], axis=1)

    e = bootstrap(statistic, rows, **options)
    parts = [Estimate(e.value[k], e.error[k], e.low[k], e.high[k], e.samples) for k in range(4)]
    return Moments(draws, *parts)


def logarithmic_edges(low: float, high: float, per_decade: int) -> NDArray[np.float64]:
    """Edges on the fixed grid ``10**(k / per_decade)`` that cover ``[low, high]``.

    The grid does not depend on the data, so ensembles and reruns share their bins.
    """
    first = int(np.floor(np.log10(low) * per_decade + 1e-9))
    last = int(np.ceil(np.log10(high) * per_decade - 1e-9))
    return 10.0 ** (np.arange(first, max(last, first + 1) + 1) / per_decade)


def linear_edges(values: ArrayLike, most: int = 40) -> NDArray[np.float64]:
    """Evenly spaced edges over all values; the width follows Freedman and Diaconis.

    At most `most` bins and at least 5; a constant set gets one bin of width one
    part in a thousand (or 1 about zero).
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[np.isfinite(x)]
    low, high = float(x.min()), float(x.max())
    if high <= low:
        half = 5e-4 * abs(low) or 0.5
        return np.array([low - half, low + half])
    quartiles = np.quantile(x, [0.25, 0.75])
    width = 2.0 * float(quartiles[1] - quartiles[0]) / x.size ** (1.0 / 3.0)
    bins = most if width <= 0 else int(np.clip(np.ceil((high - low) / width), 5, most))
    pad = 1e-9 * (high - low)
    return np.linspace(low, high + pad, bins + 1)


def geometric_centres(edges: ArrayLike) -> NDArray[np.float64]:
    """Centres of logarithmic bins."""
    e = np.asarray(edges, dtype=np.float64)
    return np.sqrt(e[:-1] * e[1:])
