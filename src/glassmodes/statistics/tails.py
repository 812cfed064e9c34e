"""Algebraic tails: exponents by maximum likelihood beyond a threshold (Hill's estimator).

For an upper tail ``P(y) ~ y**(-a)`` beyond ``y_min`` the logarithms
``ln(y / y_min)`` are exponential with rate ``a - 1``, so
``a = 1 + n / sum(ln(y / y_min))``.  A lower tail ``P(k) ~ k**b`` below ``k_max`` is a
power law at the origin, fitted by `power_law.fit_exponent`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassmodes.statistics.bootstrap import bootstrap, ratio
from glassmodes.statistics.power_law import PowerLawFit


def fit_upper_tail(
    values: ArrayLike,
    sample: ArrayLike,
    samples: int,
    lower: ArrayLike,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PowerLawFit:
    """Exponent `a` of ``P(y) ~ y**(-a)`` beyond one or many thresholds.

    Parameters
    ----------
    values, sample, samples
        As in `power_law.fit_exponent`.
    lower
        Threshold(s), scalar or shape ``(W,)``.

    Returns
    -------
    PowerLawFit
        `upper` holds the thresholds and `exponent` the (positive) tail exponent.
    """
    y = np.asarray(values, dtype=np.float64)
    owner = np.asarray(sample, dtype=np.int64)
    starts = np.atleast_1d(np.asarray(lower, dtype=np.float64))
    rows = np.zeros((samples, starts.size, 2))
    for k, start in enumerate(starts):
        beyond = y > start
        rows[:, k, 0] = np.bincount(owner[beyond], minlength=samples)
        rows[:, k, 1] = np.bincount(
            owner[beyond], weights=np.log(y[beyond] / start), minlength=samples
        )

    def exponent(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        n = totals[..., 0]
        return np.where(n >= 2, 1.0 + ratio(n, totals[..., 1]), np.nan)

    estimate = bootstrap(exponent, rows, resamples=resamples, confidence=confidence, seed=seed)
    counts = rows[..., 0]
    return PowerLawFit(
        upper=starts,
        exponent=estimate,
        used=counts.sum(axis=0).astype(np.int64),
        samples_used=(counts > 0).sum(axis=0).astype(np.int64),
    )
