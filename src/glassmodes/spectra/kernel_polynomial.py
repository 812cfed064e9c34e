r"""Density of states of a symmetric operator by the kernel polynomial method.

Moments mu_n = <x|T_n(l(A))|x> of random vectors x, damped by the Jackson kernel, give the
density in the angle theta = arccos l(omega^2),

    D(theta) = (1/pi) [g_0 mu_0 + 2 sum_n g_n mu_n cos(n theta)].

On [0, upper] the frequency is omega = sqrt(upper) cos(theta/2): the kernel's width, uniform
in theta, is uniform in omega up to the sine of theta/2, and D is even in omega, so that
nothing special happens at zero.  Source: Weisse, Wellein, Alvermann and Fehske, Rev. Mod.
Phys. 78, 275 (2006).

Zero modes that are not projected out leave w_r (-1)^n in the moments of vector r, with w_r
the square of its part among them.  The smooth rest of the density decays in n, so a tapered
average of (-1)^n mu_n over the last moments is w_r: it is taken out of each vector, with its
noise, and its mean over the vectors is a count of the zero modes.  Soft modes within a few
resolutions of zero bias it; how much shows in the change when half of the moments are left
out, and a known count of the zero modes corrects the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from glassmodes.errors import InputError
from glassmodes.spectra.chebyshev import (
    SpectralBound,
    chebyshev_moments,
    jackson_factors,
    largest_eigenvalue,
    random_starts,
    spectral_bound,
)
from glassmodes.spectra.eigenmodes import Eigenmodes, lowest_modes
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.spectral_measure import FULL_WIDTH, gaussian_density

BATCH = 8  # random vectors at once
_GRID = 4  # default grid points a resolution
_TAIL = 0.5  # first moment of the tail, as a share of all


@dataclass(frozen=True)
class DensityOfStates:
    """Density of states in frequency, normalised to 1 over the vibrations.

    frequency, density, error : (F,); error is the standard error over random vectors, and
        near zero that of the weight of zero modes which was taken out.
    vibrations, zero_modes : n = rows - zero_modes, and all null vectors, projected or not.
    max_frequency : the band edge, square root of the largest eigenvalue.
    resolution : full width at half maximum of the kernel at frequency 0.
    vectors, products : random vectors, and products for each of them.
    zero_weight, zero_weight_error : null vectors beyond the projected ones as the moments
        see them, with the standard error over the vectors and the change from half of the
        moments to all; 0 where none were looked for.
    exact_modes, exact_below : eigenmodes found one by one, and the frequency they end at.
    """

    frequency: np.ndarray
    density: np.ndarray
    error: np.ndarray
    vibrations: int
    zero_modes: int
    max_frequency: float
    resolution: float
    vectors: int
    products: int
    zero_weight: float
    zero_weight_error: float
    exact_modes: int = 0
    exact_below: float = 0.0


def products_for(resolution: float, bound: SpectralBound) -> int:
    """Return the products a vector that make the kernel's FWHM at zero frequency `resolution`.

    The deviation in the angle is pi / K for K moments, in frequency sqrt(upper) pi / (2 K);
    every product gives two moments.
    """
    if not resolution > 0:
        raise InputError(f"the resolution must be positive, found {resolution}")
    moments = FULL_WIDTH * math.pi * math.sqrt(bound.upper - bound.lower) / (2 * resolution)
    return max(2, math.ceil(moments / 2))


def frequency_density(
    moments: np.ndarray, bound: SpectralBound, frequency: ArrayLike
) -> np.ndarray:
    """Return the Jackson-damped density over frequency, (F, m); it integrates to moment 0.

    moments : (K, m) from `chebyshev_moments`; frequency : (F,), not negative.  Zero beyond
    the square root of the bound.
    """
    frequency = np.asarray(frequency, np.float64)
    moments = np.asarray(moments, np.float64).reshape(len(moments), -1)
    series = jackson_factors(len(moments))[:, None] * moments
    series[1:] *= 2
    inside = frequency**2 < bound.upper * (1 - 1e-12)
    values = frequency[inside] ** 2
    theta = np.arccos(np.clip(bound.position(values), -1, 1))
    slope = 2 / np.sqrt(bound.upper - values)  # d theta / d frequency
    if bound.lower < 0:
        slope *= frequency[inside] / np.sqrt(values - bound.lower)
    density = np.zeros((len(frequency), series.shape[1]))
    density[inside] = _cosine_series(series, theta) * (slope / np.pi)[:, None]
    return density


def _cosine_series(series: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return sum_n series_n cos(n theta), (F, m)."""
    total = np.empty((len(theta), series.shape[1]))
    at_a_time = max(1, 4_000_000 // len(series))  # 32 MB of cosines
    n = np.arange(len(series))
    for first in range(0, len(theta), at_a_time):
        part = slice(first, first + at_a_time)
        total[part] = np.cos(np.outer(theta[part], n)) @ series
    return total


def zero_weights(moments: np.ndarray) -> np.ndarray:
    """Return the weight of a delta at the lower end of the spectrum in each column, (m,)."""
    count = len(moments)
    first = max(1, int(_TAIL * count))
    n = np.arange(first, count)
    taper = np.sin(np.pi * (n - first + 1) / (count - first + 1)) ** 2  # Hann: no side lobes
    return (taper * (-1.0) ** n) @ moments[first:] / taper.sum()


@dataclass(frozen=True)
class _ZeroPeak:
    """Weight of zero modes in every vector, its mean with two errors: of chance, of bias."""

    weights: np.ndarray
    chance: float = 0.0
    bias: float = 0.0

    @property
    def error(self) -> float:
        return math.hypot(self.chance, self.bias)

    @classmethod
    def of(cls, moments: np.ndarray) -> _ZeroPeak:
        """Weigh the peak in the moments of every vector."""
        weights = zero_weights(moments)
        coarse = zero_weights(moments[: max(2, len(moments) // 2)])
        chance = float(np.std(weights, ddof=1)) / math.sqrt(len(weights))
        return cls(weights, chance, float(abs(np.mean(weights - coarse))))

    def knowing(self, count: int) -> _ZeroPeak:
        """Pull the mean towards the true count, the more the larger the bias."""
        believed = self.bias**2 / max(self.error**2, 1e-300)
        shift = believed * (count - self.weights.mean())
        # By chance these vectors hold a little more or less than the count.
        return _ZeroPeak(self.weights + shift, math.sqrt(believed) * self.chance)


def density_of_states(
    operator: BlockOperator,
    *,
    resolution: float,
    frequency: ArrayLike | None = None,
    vectors: int = 16,
    seed: int = 0,
    zero_modes: int | str | None = None,
    exact_below: float | None = None,
    exact_resolution: float | None = None,
    bound: SpectralBound | None = None,
) -> DensityOfStates:
    """Return the density of states over frequency, the square root of the eigenvalue.

    Parameters
    ----------
    operator
        Symmetric operator; known null vectors are projected out and not counted.
    resolution
        Full width at half maximum of the kernel at zero frequency, where it is widest.
    frequency : (F,) or None
        Default: from 0 to the top of the spectrum, four points a resolution.
    vectors : int
        Random vectors; the error falls as 1 / sqrt(vectors).
    seed
        Of the random vectors.
    zero_modes : int, None or "estimate"
        Null vectors in all, the known ones included (default: those).  More than the known
        ones, or "estimate": the weight at zero is taken out of the density and counted.
    exact_below : float or None
        Find all modes below this frequency one by one and put them in exactly.
    exact_resolution : float or None
        Full width of the Gaussians that stand for the exact modes; default: the same kernel.
    bound
        Spectral bound, estimated unless given.

    Raises
    ------
    InputError
        If the request makes no sense for this operator.

    Notes
    -----
    Collective.  Products: vectors x `products_for(resolution)`.  Memory: three blocks of 8
    vectors.
    """
    _check_request(operator, vectors, zero_modes, frequency)
    bound = bound or spectral_bound(operator)
    if not bound.estimate > 0:
        raise InputError("the matrix has no positive eigenvalue, so no vibration")
    products = products_for(resolution, bound)
    if frequency is None:
        frequency = np.arange(0.0, math.sqrt(bound.upper), resolution / _GRID)
    frequency = np.asarray(frequency, np.float64)
    exact = None if exact_below is None else lowest_modes(operator, below=exact_below**2)
    known = operator.nullity if exact is None else exact.zero_modes
    moments = _random_moments(operator, exact, vectors, seed, bound, products)
    found, taken, unknown = _floppy_peak(moments, zero_modes, known)
    peak = (-1.0) ** np.arange(len(moments))[:, None]  # the moments of one zero mode
    moments -= peak * taken.weights
    vibrations = operator.n - known - unknown
    single = 0 if exact is None else len(exact.values)
    share = 1 - single / vibrations
    density = frequency_density(moments / moments[0] * share, bound, frequency)
    line = frequency_density(peak, bound, frequency)[:, 0] / vibrations
    result = DensityOfStates(
        frequency=frequency,
        density=density.mean(axis=1),
        error=np.hypot(density.std(axis=1, ddof=1) / math.sqrt(vectors), taken.error * line),
        vibrations=vibrations,
        zero_modes=known + unknown,
        max_frequency=math.sqrt(largest_eigenvalue(operator)),
        resolution=resolution,
        vectors=vectors,
        products=products,
        zero_weight=float(found.weights.mean()),
        zero_weight_error=found.error,
    )
    if exact is None:
        return result
    lines = _exact_lines(exact.values, bound, frequency, products, exact_resolution) / vibrations
    return replace(
        result, density=result.density + lines, exact_modes=single, exact_below=float(exact_below)
    )


def _check_request(operator, vectors, zero_modes, frequency) -> None:
    if vectors < 2:
        raise InputError(f"an error over vectors needs at least 2 of them, found {vectors}")
    if isinstance(zero_modes, str):
        if zero_modes != "estimate":
            raise InputError(f'zero_modes is a number or "estimate", found {zero_modes!r}')
    elif zero_modes is not None and not operator.nullity <= zero_modes < operator.n:
        raise InputError(
            f"{zero_modes} zero modes cannot be: {operator.nullity} are known and the matrix "
            f"has {operator.n} rows"
        )
    if operator.nullity >= operator.n:
        raise InputError("all eigenvectors are known null vectors: there is no density of states")
    if frequency is not None:
        grid = np.asarray(frequency, np.float64)
        if grid.ndim != 1 or not np.all(np.isfinite(grid)) or np.any(grid < 0):
            raise InputError("frequencies must be a list of finite numbers that are not negative")


def _floppy_peak(
    moments: np.ndarray, zero_modes: int | str | None, known: int
) -> tuple[_ZeroPeak, _ZeroPeak, int]:
    """Return the peak at zero as found and as it is to be taken out, and its number of modes.

    `zero_modes` as in `density_of_states`; `known` null vectors are not in the moments.
    """
    if isinstance(zero_modes, str):
        found = _ZeroPeak.of(moments)
        return found, found, max(0, round(float(found.weights.mean())))
    if zero_modes is None or zero_modes <= known:
        nothing = _ZeroPeak(np.zeros(moments.shape[1]))
        return nothing, nothing, 0
    found = _ZeroPeak.of(moments)
    return found, found.knowing(zero_modes - known), zero_modes - known


def _random_moments(operator, exact: Eigenmodes | None, vectors, seed, bound, products):
    """Return the moments of the random vectors, (2 products, vectors)."""
    parts = []
    for first in range(0, vectors, BATCH):
        starts = random_starts(operator, min(BATCH, vectors - first), seed, first)
        if exact is not None:
            for found in (exact.zero_vectors, exact.vectors):
                starts -= found @ operator.inner(found, starts)
        parts.append(chebyshev_moments(operator, starts, bound, products))
    return np.concatenate(parts, axis=1)


def _exact_lines(values, bound, frequency, products, resolution) -> np.ndarray:
    """Return the density of modes with the eigenvalues `values`, each of integral 1, (F,)."""
    if resolution is not None:
        return gaussian_density(frequency, np.sqrt(values), np.ones(len(values)), resolution)
    angle = np.arccos(np.clip(bound.position(values), -1, 1))
    n = np.arange(2 * products)
    moments = sum((np.cos(n * theta) for theta in angle), np.zeros(len(n)))
    return frequency_density(moments[:, None], bound, frequency)[:, 0]
