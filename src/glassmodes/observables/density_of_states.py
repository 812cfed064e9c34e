"""Vibrational density of states of an ensemble from counted modes, and its Debye level.

Symbols: ``n_i = d N - zero_modes`` vibrations of sample ``i``; ``D(w)`` integrates to 1
over them; ``F(w)`` is its cumulative (``C(w)`` in the thesis, chapter 2); a law
``D ~ w**s`` shows as a plateau of ``F(w) / w**(s + 1)``.  All samples weigh the same.

Every function takes counts per sample, so an ensemble of any number of modes needs one
row per sample.  Only frequencies below which every sample is complete may be counted.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glassmodes.statistics.bootstrap import Estimate, bootstrap, ratio


def complete_window(complete_below: ArrayLike) -> float:
    """Return the frequency below which every sample of the ensemble has all its modes.

    `complete_below` has shape ``(S,)``: the frequency asked for, or the largest one
    found when a number of modes was asked for.  NaN without samples.
    """
    edges = np.asarray(complete_below, dtype=np.float64)
    return float(edges.min()) if edges.size else math.nan


def complete_bins(edges: ArrayLike, window: float) -> NDArray[np.float64]:
    """Return the leading edges whose bins end inside the complete window."""
    e = np.asarray(edges, dtype=np.float64)
    return e[e <= window * (1.0 + 1e-12)]


def density_of_states(
    counts: ArrayLike, vibrations: ArrayLike, edges: ArrayLike, **options
) -> Estimate:
    """Density of states per bin with bootstrap errors over samples.

    Parameters
    ----------
    counts
        Modes of each sample in each bin, shape ``(S, B)``.
    vibrations
        ``n_i``, shape ``(S,)``.
    edges
        Bin edges, shape ``(B + 1,)``; units of frequency.
    options
        Go to `statistics.bootstrap.bootstrap`.

    Returns
    -------
    Estimate
        Shape ``(B,)``, units of 1/frequency.
    """
    fraction = np.asarray(counts, dtype=float) / np.asarray(vibrations, dtype=float)[:, None]
    return _mean_of_rows(fraction / np.diff(np.asarray(edges, dtype=float)), **options)


def cumulative(counts_below: ArrayLike, vibrations: ArrayLike, **options) -> Estimate:
    """Fraction of vibrations below each frequency of a grid, shape ``(W,)``.

    `counts_below` has shape ``(S, W)``: modes of each sample below each grid frequency.
    """
    below = np.asarray(counts_below, dtype=float)
    return _mean_of_rows(below / np.asarray(vibrations, dtype=float)[:, None], **options)


def _mean_of_rows(rows: NDArray[np.float64], **options) -> Estimate:
    with_ones = np.concatenate([rows, np.ones((rows.shape[0], 1))], axis=1)
    return bootstrap(lambda t: ratio(t[:, :-1], t[:, -1:]), with_ones, **options)


def debye_level(debye_frequency: float, dimension: int) -> float:
    """Return ``d / w_D**d``, the value of ``D(w) / w**(d - 1)`` of the elastic continuum."""
    return dimension / debye_frequency**dimension
