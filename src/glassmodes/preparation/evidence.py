r"""Evidence that a glass comes from an equilibrated liquid and is no crystal.

Equilibration.  The drift of the potential energy between the two halves of the last part of
the liquid run, in standard errors from block averages, and the mean squared displacement.

Crystallisation.  Bond order of degree 6 in any dimension: with unit bond vectors n_a from a
particle to its k nearest neighbours (k = 6, 12, 24 in d = 2, 3, 4, the kissing numbers) and
P_6 the zonal harmonic of degree 6 (Chebyshev, Legendre or Gegenbauer polynomial, P_6(1) = 1),
the addition theorem turns the scalar product of the bond-order vectors of two particles into

    S_ij = (1/k²) Σ_{a of i, b of j} P_6(n_a·n_b),      c_ij = S_ij / sqrt(S_ii S_jj),

so no spherical harmonics are needed, only the moments of the bond vectors of degree 0, 2, 4
and 6, whose products give the powers of n_a·n_b.  `crystal_order` is the fraction of
neighbours with c_ij > 0.7, as in ten Wolde, Ruiz-Montero and Frenkel, J. Chem. Phys. 104,
9932 (1996); in 2D it measures the same as correlations of ψ_6, in 3D of Steinhardt's q_6, and
degree 6 is also the lowest that tells the densest lattice of 4D from a liquid.

Glasses and crystals lie far apart: 0.46-0.51 for glasses and 0.92 or more for a hot triangular
lattice in 2D; 0.02-0.14 (inverse power laws, Kob-Andersen, one-component spheres) against
0.6 or more for fcc, hcp and bcc with displacements of a tenth of a0 in 3D; 0.00 against 0.75
in 4D.  `CRYSTALLINE` lies between.

Networks.  F6 is the mean of c_ij over geometric neighbours, pairs nearer than
`NEIGHBOUR_DISTANCE` mean spring lengths whether a spring joins them or not: 1 in a lattice
with cut bonds, 0.90 and 0.87 in fcc with vacancies at Z = 7 and 6, 0.30 in a network from a
Lennard-Jones glass (published: near 1 and near 0.3).  The fraction of neighbours with
c_ij > 0.7 is 1, 0.96, 0.92 and 0.10.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np
from scipy.spatial import cKDTree

from glassmodes.kernels.neighbours import minimum_image, wrap

NEIGHBOURS = {2: 6, 3: 12, 4: 24}
"""Neighbours whose bonds count: as many as touch a sphere in the densest lattice."""

SIMILAR = 0.7
"""Bond-order correlation above which two neighbours count as parts of one crystal."""

NEIGHBOUR_DISTANCE = 1.3
"""Neighbours in a network are nearer than this many springs: before the second shell begins."""

CRYSTALLINE = {2: 0.75, 3: 0.4, 4: 0.4}
"""`crystal_order` from which a sample counts as crystallised."""

# P_6 as a polynomial in (cos θ)²
_ZONAL = {
    2: np.array([-1.0, 18.0, -48.0, 32.0]),
    3: np.array([-5.0, 105.0, -315.0, 231.0]) / 16.0,
    4: np.array([-1.0, 24.0, -80.0, 64.0]) / 7.0,
}
_PAIRS_AT_ONCE = 65536


def drift(series: np.ndarray) -> float:
    """Return the drift of a time series in standard errors: a z-score.

    The difference of the means of the two halves over its standard error.  Errors are block
    averages, the largest found when blocks are doubled down to 8 a half, so that correlated
    values are not taken for independent ones.  NaN for fewer than 32 values.
    """
    series = np.asarray(series, np.float64)
    half = len(series) // 2
    if half < 16:
        return float("nan")
    first, second = series[:half], series[half : 2 * half]
    error = np.hypot(_error_of_mean(first), _error_of_mean(second))
    difference = float(second.mean() - first.mean())
    return difference / float(error) if error > 0 else (0.0 if difference == 0 else float("inf"))


def _error_of_mean(values: np.ndarray) -> float:
    """Return the standard error of the mean by blocking, Flyvbjerg and Petersen (1989)."""
    largest = 0.0
    while len(values) >= 8:
        largest = max(largest, float(values.std(ddof=1)) / len(values) ** 0.5)
        even = len(values) // 2 * 2
        values = values[:even].reshape(-1, 2).mean(axis=1)
    return largest


def mean_squared_displacement(start: np.ndarray, end: np.ndarray, volume: float) -> float:
    """Return the mean squared displacement in units of a0² = (V/N)^(2/d).

    start, end : (N, d), unwrapped.  The common displacement is taken off.
    """
    moved = end - start
    moved = moved - moved.mean(axis=0)
    spacing = (volume / len(start)) ** (1 / start.shape[1])
    return float((moved**2).sum(axis=1).mean() / spacing**2)


def crystal_order(positions: np.ndarray, box: np.ndarray) -> float:
    """Return the fraction of neighbours with like bond order: 1 in a crystal.

    Parameters
    ----------
    positions : (N, d) float64
    box : (d,) float64

    Returns
    -------
    float
        NaN if there are too few particles to have that many neighbours.

    Notes
    -----
    Some k²/2 multiplications a particle and degree: 0.1 s at N = 1,000 in 4D.
    """
    n, d = positions.shape
    k = NEIGHBOURS[d]
    if n <= k:
        return float("nan")
    x = wrap(np.asarray(positions, np.float64), np.asarray(box, np.float64))
    near = cKDTree(x, boxsize=box).query(x, k + 1)[1]
    # two particles on one spot may be listed in either order: take each one's own index off
    own = near == np.arange(n)[:, None]
    own[~own.any(axis=1), 0] = True
    near = near[~own].reshape(n, k)
    bonds = minimum_image(x[near] - x[:, None, :], np.asarray(box))
    ends = np.stack([np.repeat(np.arange(n), k), near.ravel()], axis=1)
    ends = np.unique(np.sort(ends, axis=1), axis=0)
    moments = bond_moments(bonds.reshape(-1, d), [np.repeat(np.arange(n), k)], n)
    return float((correlations(moments, d, *ends.T) > SIMILAR).mean())


def neighbour_correlations(
    positions: np.ndarray, box: np.ndarray, i: np.ndarray, j: np.ndarray
) -> np.ndarray:
    """Return the bond-order correlation c_ij of given neighbours, (P,), 1 in a crystal.

    Parameters
    ----------
    positions : (N, d) float64
    box : (d,) float64
    i, j : (P,) int
        Neighbours, each pair once; the bonds of a particle are its pairs in this list.

    Notes
    -----
    Linear: 15 s for 6 x 10^6 pairs in 3D.
    """
    x, edges = np.asarray(positions, np.float64), np.asarray(box, np.float64)
    moments = bond_moments(minimum_image(x[j] - x[i], edges), [i, j], len(x))
    return correlations(moments, x.shape[1], i, j)


def correlations(moments: np.ndarray, d: int, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return S_ij / sqrt(S_ii S_jj) from moments (N, M) for pairs (P,)."""
    weights = np.array([weight for _, weight in _monomials(d)])
    own = np.sqrt(np.einsum("im,im,m->i", moments, moments, weights))
    result = np.empty(len(i))
    for first in range(0, len(i), _PAIRS_AT_ONCE):
        part = slice(first, first + _PAIRS_AT_ONCE)
        a, b = i[part], j[part]
        order = np.einsum("pm,pm->p", moments[a] * weights, moments[b])
        result[part] = order / np.maximum(own[a] * own[b], np.finfo(float).tiny)
    return result


def bond_moments(vector: np.ndarray, ends: list[np.ndarray], n: int) -> np.ndarray:
    """Return the sums over the bonds (P, d) of each particle of the monomials of P_6, (n, M)."""
    length = np.sqrt(np.einsum("pc,pc->p", vector, vector))
    axes = np.ascontiguousarray((vector / np.maximum(length, np.finfo(float).tiny)[:, None]).T)
    monomials = _monomials(vector.shape[1])
    moments = np.empty((n, len(monomials)))
    for column, (powers, _) in enumerate(monomials):
        value = np.ones(len(vector))
        for axis in powers:
            value *= axes[axis]
        moments[:, column] = sum(np.bincount(end, value, n) for end in ends)
    return moments


def _monomials(d: int) -> list[tuple[tuple[int, ...], float]]:
    """Return the axes multiplied in each monomial, and weights that make P_6(n·m) of them."""
    found = []
    for half_degree, coefficient in enumerate(_ZONAL[d]):
        degree = 2 * half_degree
        for axes in combinations_with_replacement(range(d), degree):
            repeats = [math.factorial(axes.count(c)) for c in range(d)]
            found.append((axes, coefficient * math.factorial(degree) / math.prod(repeats)))
    return found
