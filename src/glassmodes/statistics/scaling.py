"""Scaling of a measured quantity with system size: slope in double-logarithmic form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Scaling:
    """Exponent `slope` of ``value ~ size**slope`` and its propagated error.

    `misfit` is chi-squared per degree of freedom, NaN for two sizes.
    """

    slope: float
    error: float
    misfit: float


def fit_scaling(sizes: ArrayLike, values: ArrayLike, errors: ArrayLike) -> Scaling:
    """Weighted least squares of ``ln(value)`` against ``ln(size)``.

    Parameters
    ----------
    sizes, values, errors
        Shape ``(K,)`` with ``K >= 2`` different sizes; positive values, independent errors.

    Raises
    ------
    ValueError
        For fewer than two different sizes or values that are not positive.
    """
    x = np.log(np.asarray(sizes, dtype=float))
    v = np.asarray(values, dtype=float)
    if np.unique(x).size < 2 or np.any(v <= 0):
        raise ValueError("a scaling needs two different sizes and positive values")
    y = np.log(v)
    weight = (v / np.asarray(errors, dtype=float)) ** 2
    mean_x = np.average(x, weights=weight)
    spread = float(np.sum(weight * (x - mean_x) ** 2))
    slope = float(np.sum(weight * (x - mean_x) * y)) / spread
    residual = y - np.average(y, weights=weight) - slope * (x - mean_x)
    free = x.size - 2
    misfit = float(np.sum(weight * residual**2)) / free if free > 0 else math.nan
    return Scaling(slope, math.sqrt(1.0 / spread), misfit)
