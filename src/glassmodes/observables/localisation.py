"""Participation of modes against frequency, averaged over an ensemble.

The participation ratio ``e`` (thesis Eq. 2.3) is of order 1 for an extended mode and
``~ 1/N`` for a localised one; ``N e`` counts the particles that take part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassmodes.statistics.bootstrap import Estimate, bootstrap, ratio


def participation_sums(
    frequency: ArrayLike,
    participation_ratio: ArrayLike,
    sample: ArrayLike,
    samples: int,
    edges: ArrayLike,
) -> NDArray[np.float64]:
    """Reduce modes to counts and sums of `e` per sample and bin, shape ``(samples, B, 2)``.

    `sample` says which row each mode belongs to; modes outside the bins are dropped.
    """
    w = np.asarray(frequency, dtype=np.float64)
    e = np.asarray(participation_ratio, dtype=np.float64)
    owner = np.asarray(sample, dtype=np.int64)
    ends = np.asarray(edges, dtype=np.float64)
    bins = ends.size - 1
    place = np.searchsorted(ends, w, side="right") - 1
    inside = (place >= 0) & (place < bins)
    flat = owner[inside] * bins + place[inside]
    size = samples * bins
    counts = np.bincount(flat, minlength=size)
    sums = np.bincount(flat, weights=e[inside], minlength=size)
    return np.stack([counts.astype(np.float64), sums], axis=1).reshape(samples, bins, 2)


def running_average(sums: ArrayLike, **options) -> Estimate:
    """Mean participation ratio of the modes in each bin, error over samples, shape ``(B,)``.

    `sums` as from `participation_sums`; NaN in empty bins.
    """
    return bootstrap(lambda t: ratio(t[..., 1], t[..., 0]), sums, **options)
