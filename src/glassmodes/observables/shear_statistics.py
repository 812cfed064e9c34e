"""Sample-to-sample fluctuations of the shear modulus (thesis, chapter 5).

Symbols: ``mu`` is the modulus of one sample for one strain direction ``x_a += gamma x_b``;
``gamma(N) = N (Delta mu / <mu>)**2`` (Eq. 5.7) is the disorder parameter.  Single
directions are pooled as separate draws: the mean over directions would shrink
``gamma(N)`` by about 2 in three and 4 in four dimensions.  Negative moduli belong to
the distribution (a glass in a fixed box is stable if its eigenvalues are positive).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassmodes.statistics.bootstrap import Estimate
from glassmodes.statistics.distributions import Moments, pooled_moments

AXES = "xyzw"


def direction_names(dimension: int) -> list[str]:
    """Return ``["xy", "xz", ..., "yx", ...]``: ordered pairs of different axes."""
    return [AXES[a] + AXES[b] for a in range(dimension) for b in range(dimension) if a != b]


def single_directions(by_direction: ArrayLike) -> NDArray[np.float64]:
    """Flatten ``(S, d, d)`` moduli to ``(S, d (d - 1))`` without the diagonal.

    The order is that of `direction_names`.
    """
    values = np.asarray(by_direction, dtype=np.float64)
    d = values.shape[-1]
    return values[:, ~np.eye(d, dtype=bool)]


def shear_moments(single: ArrayLike, **options) -> Moments:
    """Moments of the pooled single-direction moduli, shape of `single` ``(S, K)``."""
    return pooled_moments(single, **options)


def disorder_parameter(moments: Moments, particles: int) -> Estimate:
    """Return ``gamma(N) = N (Delta mu / <mu>)**2`` with its error over samples."""
    return moments.relative_variance.scaled(particles)


def relative_deficit(single: ArrayLike, mean: float) -> NDArray[np.float64]:
    """Return ``(<mu> - mu) / <mu>``, whose upper tail is expected to decay as ``y**(-7/2)``."""
    return (mean - np.asarray(single, dtype=np.float64)) / mean
