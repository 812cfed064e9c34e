r"""The cubic form of the non-affine spectral density and what it predicts, nothing fitted.

    D(ω) Γ(ω) = C ω² (e - ω),  0 < ω < e,      C = 12 A / e⁴,      ∫ D Γ dω = A.

Symbols: ``e`` the band edge, ``A`` the weight, ``V`` the volume, ``z = W² - i W ν`` with the
damping rate ν, ``f(λ, t)`` the relaxation function of `observables.relaxation`.  With
``A = Ξ·Ξ`` and the volume of the sample the density is the sum over modes; with ``A = Ξ·Ξ / n``
and ``V / n`` it is the one per vibration.  Moduli are the same either way:

    G*(W)     = G_A - (1/V) ∫ D Γ / (ω² - z) dω
    G_A - G   = 6 A / (V e²)
    G(t) - G  = (1/V) ∫ (D Γ / ω²) f(ω², t) dω  ->  6 A sqrt(π ν / t) / (V e³)   for t >> ν/e².

Source: R. Milkus and A. Zaccone, Eqs. 3-5; the edge and the weight from the sum rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from scipy.optimize import minimize_scalar

from glassmodes.errors import InputError
from glassmodes.observables.relaxation import relaxation_function

_FAR = 16.0  # |z| / e² beyond which the moment series replaces the closed form, which cancels
_TERMS = 16  # of that series: the last is below 1e-19
_NODES = 16  # Gauss-Legendre nodes a panel
_DECADES = 13  # of frequency that the graded panels resolve below the edge
_FORGOTTEN = 80.0  # ν t / 2 beyond which underdamped modes are below 1e-34
_CHUNK = 4096  # panels evaluated at once
_EDGE_RANGE = (0.25, 4.0)  # of the highest frequency with data, where a fitted edge is looked for


@dataclass(frozen=True)
class CubicForm:
    """A cubic spectral density with its moduli.

    Parameters
    ----------
    edge : float
        Band edge e, an angular frequency.
    weight : float
        Integral A of the density.
    volume : float
        V in the units that belong to the weight (see the module).
    affine : float
        Affine modulus G_A.
    """

    edge: float
    weight: float
    volume: float = 1.0
    affine: float = 0.0

    def __post_init__(self) -> None:
        if not (self.edge > 0 and self.volume > 0 and self.weight >= 0):
            raise InputError(
                "the cubic form needs a positive band edge and volume and no negative weight, "
                f"found {self.edge:.6g}, {self.volume:.6g} and {self.weight:.6g}"
            )

    @property
    def static_drop(self) -> float:
        """G_A - G = 6 A / (V e²)."""
        return 6 * self.weight / (self.volume * self.edge**2)

    @property
    def static_modulus(self) -> float:
        """G."""
        return self.affine - self.static_drop

    def moment(self, power: int) -> float:
        """Return ∫ ω^(2 power) D Γ dω = 12 A e^(2 power) / ((2 power + 3)(2 power + 4))."""
        k = 2 * power
        return 12 * self.weight * self.edge**k / ((k + 3) * (k + 4))

    def density(self, frequency: ArrayLike) -> NDArray[np.float64]:
        """Return D(ω) Γ(ω), zero outside the band, of the shape of `frequency`."""
        x = np.asarray(frequency, np.float64) / self.edge
        inside = (x > 0) & (x < 1)
        return np.where(inside, 12 * self.weight / self.edge * x**2 * (1 - x), 0.0)

    def complex_modulus(self, frequency: ArrayLike, damping: float) -> NDArray[np.complex128]:
        """Return G*(W) = G' + i G'', of the shape of `frequency`.

        Closed form: ∫ ω² (e - ω)/(ω² - z) dω = e²/2 + z [(e/p) arctan(e/p) - ln(1 + e²/p²)/2]
        with p = sqrt(-z); far from the band the series in 1/z.
        """
        w = np.asarray(frequency, np.float64)
        shift = (w**2 - 1j * w * damping) / self.edge**2  # z / e²
        return self.affine - self.weight / (self.volume * self.edge**2) * _response(shift)

    def relaxation(self, time: ArrayLike, damping: float) -> NDArray[np.float64]:
        """Return G(t), of the shape of `time`.

        Gauss-Legendre quadrature on panels graded towards ω = 0, where the slow modes of an
        overdamped sample are; cost grows with the oscillations e min(t, 160/ν) / 2π of an
        underdamped one.
        """
        t = np.asarray(time, np.float64)
        scale = 12 * self.weight / (self.volume * self.edge**2)
        drops = [self._remaining(float(one), damping) for one in t.ravel()]
        return self.static_modulus + scale * np.reshape(drops, t.shape)

    def _remaining(self, t: float, damping: float) -> float:
        """∫ (1 - x) f(e² x², t) dx over 0 < x < 1: 1/2 at t = 0."""
        oscillations = self.edge * min(t, 2 * _FORGOTTEN / damping) / (2 * np.pi)
        graded = np.concatenate([[0.0], np.logspace(-_DECADES, 0, 4 * _DECADES + 1)])
        even = np.linspace(0.0, 1.0, int(np.ceil(oscillations)) + 1)
        edges = np.union1d(graded, even)
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        total = 0.0
        for first in range(0, len(edges) - 1, _CHUNK):
            part = edges[first : first + _CHUNK + 1]
            half = np.diff(part)[:, None] / 2
            x = part[:-1, None] + half * (1 + nodes)
            f = relaxation_function((self.edge * x) ** 2, np.array(t), damping)
            total += float(np.sum(half * weights * (1 - x) * f))
        return total


def _response(shift: NDArray) -> NDArray[np.complex128]:
    """12 ∫ x² (1 - x)/(x² - z) dx over 0 < x < 1; 6 at z = 0."""
    z = np.atleast_1d(shift)
    far = np.abs(z) > _FAR
    result = np.full(z.shape, 6.0 + 0j)
    near = ~far & (z != 0)
    p = np.sqrt(-z[near])
    result[near] += 12 * z[near] * (np.arctan(1 / p) / p - np.log1p(1 / p**2) / 2)
    k = 2 * np.arange(_TERMS)
    terms = 12 / ((k + 3) * (k + 4)) / z[far][..., None] ** np.arange(1, _TERMS + 1)
    result[far] = -terms.sum(axis=-1)
    return result.reshape(np.shape(shift))


def fit_edge(
    frequency: ArrayLike, density_times_correlator: ArrayLike, weight: float | None = None
) -> CubicForm:
    """Fit the band edge of the cubic form, its one free parameter, by least squares.

    Parameters
    ----------
    frequency, density_times_correlator : (F,)
        Measured density on an ascending grid; every interval counts by its width.
    weight
        Integral of the density, by default that of the data (trapezoid).

    Returns
    -------
    CubicForm
        Without volume and affine modulus.

    Raises
    ------
    InputError
        If there are fewer than 3 frequencies or no density.
    """
    w, values = _measured(frequency, density_times_correlator)
    total = float(trapezoid(values, w)) if weight is None else float(weight)
    if not total > 0:
        raise InputError("the cubic form cannot be fitted: the spectral density is zero")
    top = float(w[values > 0].max())
    low, high = (factor * top for factor in _EDGE_RANGE)

    def misfit(edge: float) -> float:
        return _square(values - CubicForm(edge, total).density(w), w)

    coarse = np.geomspace(low, high, 65)  # the misfit has one deep minimum, flat far from it
    best = int(np.argmin([misfit(edge) for edge in coarse]))
    bounds = coarse[max(best - 1, 0)], coarse[min(best + 1, len(coarse) - 1)]
    found = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-9 * top})
    return CubicForm(float(found.x), total)


def deviation(form: CubicForm, frequency: ArrayLike, density_times_correlator: ArrayLike) -> float:
    """Return sqrt(∫ (measured - cubic)² dω / ∫ cubic² dω), by the trapezoid rule."""
    w, values = _measured(frequency, density_times_correlator)
    cubic = form.density(w)
    scale = _square(cubic, w)
    if not scale > 0:
        raise InputError("the cubic form vanishes on the whole grid: it has no deviation")
    return float(np.sqrt(_square(values - cubic, w) / scale))


def _measured(frequency: ArrayLike, values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    w, y = np.asarray(frequency, np.float64), np.asarray(values, np.float64)
    if w.ndim != 1 or w.shape != y.shape or len(w) < 3:
        raise InputError(
            "a density needs the same 3 or more frequencies and values, "
            f"found shapes {w.shape} and {y.shape}"
        )
    if not np.all(np.diff(w) > 0):
        raise InputError("the frequencies of a density must ascend")
    return w, y


def _square(values: np.ndarray, frequency: np.ndarray) -> float:
    return float(trapezoid(values**2, frequency))
