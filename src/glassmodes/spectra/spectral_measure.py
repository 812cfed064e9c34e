r"""Spectral functions of single vectors, b·f(A) b, by Lanczos and Gauss quadrature.

A vector b and a symmetric positive semi-definite A define the measure

    m(x) = sum_p (b·psi_p)^2 delta(x - lambda_p),      b·f(A) b = int f dm.

k steps of Lanczos give the Gauss quadrature of m with k nodes, the eigenvalues of the
tridiagonal matrix T, and the resolvent b·(A - z)^-1 b at every complex z as a continued
fraction of its entries.  No eigenvector of A is needed.

The recursion stops on the quantity asked for.  With d_1 = alpha_1 - z and
d_j = alpha_j - z - beta_{j-1}^2 / d_{j-1}, the estimate of the resolvent and the residual
r = b - (A - z) x of the Galerkin solution x behind it are, in units of |b|^2 and |b|,

    y_k = sum_{j<=k} (prod_{i<j} beta_i / d_i)^2 / d_j,     |r_k| = prod_{i<=k} |beta_i / d_i|,

and the error is r·(A - z)^-1 r <= |r|^2 / dist(z, [0, inf)).  Source: Golub and Meurant,
Matrices, Moments and Quadrature (2010), chapters 6 and 7; Strakos and Tichy, Electron.
Trans. Numer. Anal. 13, 56 (2002).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from glassmodes.errors import InputError
from glassmodes.kernels.quadrature import gauss_quadrature
from glassmodes.spectra.chebyshev import random_starts
from glassmodes.spectra.lanczos import MAX_COLUMNS, LockStepLanczos
from glassmodes.spectra.operators import BlockOperator

log = logging.getLogger(__name__)

FULL_WIDTH = 2 * math.sqrt(2 * math.log(2))
"""Full width at half maximum over the standard deviation of a Gaussian."""

_CHECKS = 50  # at most a fiftieth of the steps is taken in vain
_LEAST_STEPS = 50  # before increments are believed
_INCREMENT = 4.0  # error over the change in the last quarter of the steps: covers 1/k
_ROUND_OFF = 1e-14  # of a resolvent, and of the largest node
ZERO = 1e-10
"""Node / largest below which a node of a random vector is a zero mode."""
BATCH = 8  # random vectors at once: bounds the memory
_NO_WEIGHT = 1e-12  # of |b|^2: a node at zero with less is round-off


@dataclass(frozen=True)
class SpectralMeasure:
    """Gauss quadrature of the spectral measure of one vector.

    alpha : (k,), beta : (k - 1,) entries of the tridiagonal matrix.
    norm_squared : |b|^2, with known null vectors projected out of b.
    error : estimated absolute error of the resolvents asked for (the largest).
    converged : whether that met the tolerance.
    """

    alpha: np.ndarray
    beta: np.ndarray
    norm_squared: float
    error: float = 0.0
    converged: bool = True

    @property
    def steps(self) -> int:
        """Products it took."""
        return len(self.alpha)

    @cached_property
    def _quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        if not self.steps:
            return np.zeros(0), np.zeros(0)
        nodes, shares = gauss_quadrature(self.alpha, self.beta)
        weights = self.norm_squared * shares
        void = np.abs(nodes) <= _ROUND_OFF * np.abs(nodes).max()
        void &= weights <= _NO_WEIGHT * self.norm_squared
        return nodes[~void], weights[~void]

    @property
    def nodes(self) -> np.ndarray:
        """Eigenvalues of T, ascending, (k,); nodes that are zero by round-off left out."""
        return self._quadrature[0]

    @property
    def weights(self) -> np.ndarray:
        """Weights of the nodes; they sum to `norm_squared`."""
        return self._quadrature[1]

    def resolvent(self, z: ArrayLike) -> np.ndarray:
        """Return b·(A - z)^-1 b for complex `z` of any shape, by continued fraction."""
        z = np.asarray(z, np.complex128)
        if not self.steps:
            return np.zeros(z.shape, np.complex128)
        value = self.alpha[-1] - z  # from the bottom up: no products that under- or overflow
        for alpha, beta in zip(self.alpha[-2::-1], self.beta[::-1], strict=True):
            value = alpha - z - beta**2 / value
        return self.norm_squared / value

    def moment(self, power: int) -> float:
        """Return b·A^power b; power -1 stands for the pseudo-inverse."""
        if power == 0 or not self.steps:
            return self.norm_squared
        if power == 1:
            return float(self.norm_squared * self.alpha[0])
        if power == -1:
            return float(self.resolvent(0.0).real)
        return float(self.apply(lambda nodes: nodes ** float(power)))

    def apply(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return b·f(A) b for f that maps nodes (k,) to values (..., k)."""
        return np.asarray(function(self.nodes)) @ self.weights

    def density(self, frequency: ArrayLike, width: float) -> np.ndarray:
        """Return the measure over frequency sqrt(x), broadened by Gaussians, (F,).

        `width` is their full width at half maximum.  Weight that would fall below zero is
        reflected, so the integral over positive frequencies is `norm_squared`.
        """
        places = np.sqrt(np.maximum(self.nodes, 0.0))
        return gaussian_density(np.asarray(frequency, np.float64), places, self.weights, width)


def gaussian_density(frequency, places, weights, width) -> np.ndarray:
    """Return sum_j weights_j g(frequency - places_j), reflected at zero; `width` is the FWHM."""
    deviation = width / FULL_WIDTH
    density = np.zeros(frequency.shape)
    at_a_time = 512  # bounds the temporary arrays
    for first in range(0, len(places), at_a_time):
        part = slice(first, first + at_a_time)
        for sign in (1.0, -1.0):
            distance = (frequency[..., None] - sign * places[part]) / deviation
            density += np.exp(-0.5 * distance**2) @ weights[part]
    return density / (deviation * math.sqrt(2 * math.pi))


def spectral_measures(
    operator: BlockOperator,
    vectors: np.ndarray,
    *,
    points: ArrayLike = (),
    tolerance: ArrayLike = 0.0,
    resolution: float | None = None,
    max_steps: int | None = None,
    check_every: int = 25,
) -> list[SpectralMeasure]:
    """Return the spectral measure of every column, good enough at the points asked for.

    Parameters
    ----------
    operator
        Positive semi-definite operator A.
    vectors : (n_local, m)
        Start vectors b; known null vectors are projected out.
    points : (p,) complex
        Where the resolvent b·(A - z)^-1 b must be right: z < 0, z off the real axis, or 0
        if b has no part in the null space.
    tolerance : float or (m,)
        Absolute error of the resolvents allowed.
    resolution : float or None
        Frequency distance the nodes should resolve as well: asks for pi sqrt(|A|) / resolution
        steps.
    max_steps
        Default 100 sqrt(n) + 1000.  A column that needs more comes back not converged.
    check_every
        Least number of steps between tests of the error.

    Returns
    -------
    list of SpectralMeasure, one a column.

    Notes
    -----
    Collective.  One block product a step for up to 16 columns; two work blocks.
    """
    points = np.atleast_1d(np.asarray(points, np.complex128))
    tolerance = np.broadcast_to(np.asarray(tolerance, np.float64), (vectors.shape[1],))
    if not len(points) and resolution is None:
        raise InputError("a spectral measure needs points or a resolution to stop at")
    if not np.all(np.isfinite(points)) or np.any((points.imag == 0) & (points.real > 0)):
        raise InputError("resolvents are for finite points off the spectrum, which is z > 0")
    if resolution is not None and not resolution > 0:
        raise InputError(f"the resolution must be positive, found {resolution}")
    limit = max_steps or int(100 * np.sqrt(operator.n)) + 1000
    measures = []
    for first in range(0, vectors.shape[1], MAX_COLUMNS):
        part = slice(first, first + MAX_COLUMNS)
        run = LockStepLanczos(operator, vectors[:, part])
        watch = _Watch(points, run.norm_squared)
        error, enough = np.zeros(len(run.norm_squared)), True
        due = check_every
        while np.any(run.alive):
            watch.step(*run.step())
            finished = not np.any(run.alive) or run.taken >= limit
            if not finished and run.taken < due:
                continue
            due = run.taken + max(check_every, run.taken // _CHECKS)
            error = watch.error(run.taken)
            enough = resolution is None or run.taken >= _steps_for(resolution, watch.largest)
            done = enough and bool(np.all(error <= tolerance[part]))
            if operator.comm.bcast(finished or done):
                break
        log.debug("Lanczos: %d steps, errors up to %.1e", run.taken, error.max(initial=0.0))
        for q, estimate in enumerate(error):
            measures.append(
                SpectralMeasure(
                    *run.tridiagonal(q),
                    norm_squared=float(run.norm_squared[q]),
                    error=float(estimate),
                    converged=bool(estimate <= tolerance[part][q]) and (enough or not run.alive[q]),
                )
            )
    return measures


def _steps_for(resolution: float, largest: float) -> int:
    """Return the steps after which nodes lie half a resolution apart in frequency."""
    return math.ceil(np.pi * math.sqrt(max(largest, 0.0)) / resolution)


class _Watch:
    """Streams resolvents and their errors along the recursion, for m columns and p points."""

    def __init__(self, points: np.ndarray, norm_squared: np.ndarray) -> None:
        self.points = points
        self.scale = norm_squared[:, None]
        self.distance = np.where(points.real > 0, np.abs(points.imag), np.abs(points))
        shape = (len(norm_squared), len(points))
        self._value = np.zeros(shape, np.complex128)
        self._product = np.ones(shape, np.complex128)  # of all beta / d
        self._pivot = np.zeros(shape, np.complex128)
        self._out = np.zeros((len(norm_squared), 1))
        self._past: list[tuple[int, np.ndarray]] = []
        self._started = False
        self.largest = 0.0

    def step(self, alpha: np.ndarray, previous: np.ndarray, beta: np.ndarray) -> None:
        """Take in row k of T: alpha_k, beta_{k-1} and the beta_k that leads out of it."""
        self.largest = max(self.largest, float(np.max(alpha + previous + beta)))
        self._out = beta[:, None]
        pivot = alpha[:, None] - self.points
        if self._started:
            link = previous[:, None] / self._pivot
            self._product *= link
            pivot -= previous[:, None] * link
        pivot[pivot == 0] = 1.0  # columns that ended, whose product is zero
        self._pivot = pivot
        self._value += self._product**2 / pivot
        self._started = True

    def error(self, steps: int) -> np.ndarray:
        """Return the estimated absolute error of each column, the largest of its points."""
        if not len(self.points):
            return np.zeros(len(self.scale))
        residual = np.abs(self._product * self._out / self._pivot)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(residual > 0, residual**2 / self.distance, 0.0)
        while len(self._past) > 1 and self._past[1][0] <= 0.75 * steps:
            del self._past[0]  # what stays covers the last quarter of the steps or more
        if steps >= _LEAST_STEPS and self._past:
            moved = np.max([np.abs(self._value - value) for _, value in self._past], axis=0)
            error = np.minimum(error, _INCREMENT * moved)
        self._past.append((steps, self._value.copy()))
        error = np.maximum(error, _ROUND_OFF * np.abs(self._value))
        return (error * self.scale).max(axis=1)


def lanczos_density(
    operator: BlockOperator,
    frequency: ArrayLike,
    *,
    resolution: float,
    vectors: int = 16,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Density of states by stochastic Lanczos quadrature, the second opinion on moments.

    The mean of the measures of random vectors, the same as `kernel_polynomial` takes, with
    Gaussians of full width `resolution` in place of their nodes.  Nodes at zero to round-off
    are zero modes and left out.

    Returns
    -------
    density, error : (F,) each
        Normalised to 1 over positive frequencies; standard error over the vectors.

    Notes
    -----
    Collective.  pi sqrt(|A|) / resolution products a vector.
    """
    if vectors < 2:
        raise InputError(f"an error over vectors needs at least 2 of them, found {vectors}")
    frequency = np.asarray(frequency, np.float64)
    densities = []
    for first in range(0, vectors, BATCH):
        starts = random_starts(operator, min(BATCH, vectors - first), seed, first)
        for measure in spectral_measures(operator, starts, resolution=resolution):
            nodes, weights = measure.nodes, measure.weights
            moving = nodes > ZERO * nodes.max(initial=0.0)
            places, shares = np.sqrt(nodes[moving]), weights[moving] / weights[moving].sum()
            densities.append(gaussian_density(frequency, places, shares, resolution))
    spread = np.std(densities, axis=0, ddof=1) / math.sqrt(vectors)
    return np.mean(densities, axis=0), spread
