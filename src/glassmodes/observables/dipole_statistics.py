"""Ensemble statistics of the stiffness of responses to local force dipoles (thesis, 6.A.1).

``kappa_ij = (d . M^-1 . d) / (d . M^-2 . d)`` (Eq. 6.7) of randomly chosen interacting
pairs; the mesoscopic stiffness ``kappa`` is its mean over pairs.  The lower tail is
inherited from the soft modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from glassmodes.statistics.bootstrap import Estimate, bootstrap, ratio


@dataclass(frozen=True)
class StiffnessSummary:
    """Mean and standard deviation over pairs with errors over samples, and the softest pair."""

    dipoles: int
    mean: Estimate
    standard_deviation: Estimate
    smallest: float
    median: float


def summarise_stiffness(
    stiffness: ArrayLike, sample: ArrayLike, samples: int, **options
) -> StiffnessSummary:
    """Mean dipole stiffness over pairs, error from resampled samples.

    Parameters
    ----------
    stiffness, sample
        Stiffness of every pair and the row of its sample, shape ``(M,)``, ``M >= 1``.
    samples
        Number of samples.
    """
    k = np.asarray(stiffness, dtype=np.float64)
    owner = np.asarray(sample, dtype=np.int64)
    centre = float(k.mean())
    shifted = k - centre
    rows = np.stack(
        [np.bincount(owner, weights=shifted**p, minlength=samples) for p in (0, 1, 2)], axis=1
    )

    def statistic(t):
        first, second = ratio(t[:, 1], t[:, 0]), ratio(t[:, 2], t[:, 0])
        return np.stack([centre + first, np.sqrt(np.maximum(second - first**2, 0.0))], axis=1)

    e = bootstrap(statistic, rows, **options)
    mean, spread = (
        Estimate(e.value[m], e.error[m], e.low[m], e.high[m], e.samples) for m in (0, 1)
    )
    return StiffnessSummary(k.size, mean, spread, float(k.min()), float(np.median(k)))
