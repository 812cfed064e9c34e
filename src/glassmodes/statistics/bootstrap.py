"""Bootstrap over samples (glasses) of any statistic of summed per-sample quantities.

The modes, bonds and directions of one glass are correlated, so the unit that is
drawn with replacement is the glass.  Every statistic used here is a function of
totals over samples (counts per bin, sums of powers, sums of logarithms): a sample
is reduced once to a row of numbers, and a resample is a weighted sum of rows.
Memory is one row per sample, whatever the number of modes behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_WEIGHTS_PER_CHUNK = 4_000_000
"""Resampling weights held at once (32 MB as int64)."""

_KEPT_BYTES = 2**27
"""Weights, a byte each, that are kept from one statistic of an ensemble to its next one: drawing
them for 10^5 samples costs more than everything that is done with them."""

_kept: dict[tuple[int, int, int, int], list[NDArray[np.uint8]]] = {}


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap error and confidence interval.

    Attributes
    ----------
    value
        The statistic of the samples as they are, shape ``(...)``.
    error
        Standard deviation over the resamples, NaN for fewer than two samples.
    low, high
        Percentile confidence interval.
    samples
        Number of samples that were resampled.
    """

    value: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    samples: int

    def scaled(self, factor: ArrayLike) -> Estimate:
        """Return the estimate of ``factor * statistic`` for a constant positive `factor`."""
        f = np.asarray(factor, dtype=float)
        return Estimate(self.value * f, self.error * f, self.low * f, self.high * f, self.samples)


def resampling_weights(samples: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield blocks ``(b, samples)`` of how often each sample is drawn in each resample.

    The rows do not depend on how they are cut into blocks.  Those drawn last are kept, as far
    as they fit into 128 MiB.
    """
    rows = max(1, _WEIGHTS_PER_CHUNK // samples)
    key = (samples, resamples, seed, rows)
    if key in _kept:
        for block in _kept[key]:
            yield block.astype(np.int64)
        return
    fits = samples * resamples <= _KEPT_BYTES
    drawn: list[NDArray[np.uint8]] = []
    for weights in _draw_weights(samples, resamples, seed, rows):
        fits = fits and weights.max(initial=0) <= np.iinfo(np.uint8).max
        if fits:
            drawn.append(weights.astype(np.uint8))
        yield weights
    _kept.clear()
    if fits:
        _kept[key] = drawn


def _draw_weights(
    samples: int, resamples: int, seed: int, rows: int
) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    uniform = np.full(samples, 1.0 / samples)
    for first in range(0, resamples, rows):
        yield rng.multinomial(samples, uniform, size=min(rows, resamples - first))


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    per_sample: ArrayLike,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Estimate a statistic of sample totals with errors from resampled samples.

    Parameters
    ----------
    statistic
        Maps totals ``(b, ...)`` over samples to values ``(b, ...)``; vectorised over
        the first axis.  It must be homogeneous where a mean is meant: put a column
        of ones among the rows if it needs the number of samples.
    per_sample
        One row per sample, shape ``(S, ...)``.
    resamples
        Number of resamples; 1,000 give the error itself to about 2 %.
    confidence
        Probability content of the percentile interval.
    seed
        Seed of the resampling; equal seeds give equal numbers.

    Notes
    -----
    Cost: ``resamples * S * row length`` multiplications.  Resamples in which the
    statistic is undefined (NaN) are left out.  For heavy-tailed quantities whose
    fourth moment does not exist the interval is too narrow (physics of
    ``P(mu) ~ (<mu> - mu)**(-7/2)``).
    """
    rows = np.asarray(per_sample, dtype=np.float64)
    samples = rows.shape[0]
    shape = rows.shape[1:]
    if samples == 0:
        raise ValueError("a bootstrap needs at least one sample")
    value = np.asarray(statistic(rows.sum(axis=0)[None]))[0]
    undefined = np.full_like(value, np.nan, dtype=float)
    if samples == 1 or resamples < 2:
        return Estimate(value, undefined, undefined.copy(), undefined.copy(), samples)
    flat = rows.reshape(samples, -1)
    drawn = np.concatenate(
        [
            np.asarray(statistic((weights @ flat).reshape(-1, *shape)))
            for weights in resampling_weights(samples, resamples, seed)
        ]
    )
    error, low, high = _spread(drawn, confidence)
    return Estimate(value, error, low, high, samples)


def _spread(drawn: NDArray[np.float64], confidence: float):
    """Standard deviation and percentile interval over axis 0, NaN-aware, quiet when all NaN."""
    tail = 0.5 * (1.0 - confidence)
    defined = np.isfinite(drawn).sum(axis=0) >= 2
    padded = np.where(defined, drawn, 0.0)
    error = np.nanstd(padded, axis=0, ddof=1)
    low, high = np.nanquantile(padded, [tail, 1.0 - tail], axis=0)
    return tuple(np.where(defined, x, np.nan) for x in (error, low, high))


def mean_estimate(values: ArrayLike, **options) -> Estimate:
    """Mean of one number (or row) per sample with its bootstrap error.

    `values` has shape ``(S, ...)``; samples with NaN are left out column by column.
    """
    x = np.asarray(values, dtype=np.float64)
    known = np.isfinite(x)
    rows = np.stack([np.where(known, x, 0.0), known.astype(float)], axis=1)
    return bootstrap(lambda t: ratio(t[:, 0], t[:, 1]), rows, **options)


def ratio(numerator: NDArray, denominator: NDArray) -> NDArray[np.float64]:
    """Divide, giving NaN without a warning where the denominator vanishes."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    )
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)


def samples_needed(samples: int, error: float, target: float) -> int | None:
    """Return the samples that bring `error` down to `target`, as ``error ~ samples**(-1/2)``.

    None when the present error is unknown.
    """
    if not (math.isfinite(error) and error > 0 and target > 0):
        return None
    return max(samples, math.ceil(samples * (error / target) ** 2))
