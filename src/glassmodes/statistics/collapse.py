"""How well curves of several systems fall onto one: their spread after division by a factor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassmodes.statistics.bootstrap import Estimate, resampling_weights


def logarithmic_spread(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square of ``ln(curve / geometric mean of the curves)``.

    Parameters
    ----------
    curves
        Positive values, shape ``(..., K, F)``: `K` systems at `F` points.

    Returns
    -------
    ndarray
        Shape ``(...)``; 0 for a perfect collapse, 0.1 for curves 10 % apart, NaN where a
        curve is not positive.
    """
    logarithm = np.log(np.where(curves > 0, curves, np.nan))
    deviation = logarithm - logarithm.mean(axis=-2, keepdims=True)
    return np.sqrt((deviation**2).mean(axis=(-2, -1)))


def collapse_spread(
    systems: Sequence[ArrayLike],
    scales: Sequence[ArrayLike],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Spread of the mean curves of several systems, each divided by its mean factor.

    Parameters
    ----------
    systems
        One array ``(S_k, F)`` per system: a curve per sample on the same `F` points.
    scales
        One array ``(S_k,)`` per system: the factor of each sample; its mean divides the
        mean curve.

    Returns
    -------
    Estimate
        `logarithmic_spread` with errors from samples resampled in every system on its own;
        the spread cannot be negative, so that noise raises it.
    """
    curves = [np.asarray(c, dtype=np.float64) for c in systems]
    factors = [np.asarray(f, dtype=np.float64) for f in scales]
    means = np.stack([c.mean(axis=0) / f.mean() for c, f in zip(curves, factors, strict=True)])
    value = logarithmic_spread(means)
    samples = min(c.shape[0] for c in curves)
    if samples < 2 or resamples < 2:
        unknown = np.array(np.nan)
        return Estimate(value, unknown, unknown, unknown, samples)
    drawn = logarithmic_spread(
        np.stack(
            [
                _resampled(c, f, resamples, seed + k)
                for k, (c, f) in enumerate(zip(curves, factors, strict=True))
            ],
            axis=1,
        )
    )
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Estimate(value, np.array(drawn.std(ddof=1)), low, high, samples)


def _resampled(
    curves: NDArray[np.float64], factors: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Mean curves over mean factors of resampled samples, shape ``(resamples, F)``."""
    return np.concatenate(
        [
            (weights @ curves) / (weights @ factors)[:, None]
            for weights in resampling_weights(curves.shape[0], resamples, seed)
        ]
    )
