r"""Complex modulus and relaxation modulus of a damped sample, from one vector and no eigenvector.

The particles obey m_i (x'' + ν x') + H x = Ξ γ(t) with the damping rate ν.  With D the
mass-weighted Hessian, b = M^(-1/2) Ξ and its spectral measure Σ_p (b·ψ_p)² δ(λ - λ_p),

    G*(W) = G_A - (1/V) b·(D - z)⁺ b,      z = W² - i W ν,      G' = Re G*,  G'' = Im G* >= 0
    G(t)  = G   + (1/V) Σ_p (b·ψ_p)²/λ_p f(λ_p, t),      G = G*(0),  G(0) = G_A.

The measure is that of a Lanczos recursion started from b, stopped on the error of G* itself.
Zero modes of an unstressed network are orthogonal to b and never met.

Source: R. Milkus and A. Zaccone, Eqs. 1-5; the relaxation function is that of the same
oscillators (`observables.relaxation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from glassmodes.errors import InputError, SolverError
from glassmodes.observables.relaxation import decay_sum, response_sum
from glassmodes.observables.stability import require_stable
from glassmodes.observables.strains import (
    affine_moduli,
    mass_weighted_forces,
    non_affine_columns,
)
from glassmodes.spectra.chebyshev import largest_eigenvalue
from glassmodes.spectra.spectral_measure import SpectralMeasure, spectral_measures

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem

_BAND_POINTS = 33  # frequencies inside the band whose resonances must be resolved too


@dataclass(frozen=True)
class Viscoelasticity:
    """Moduli of S strains in the units of the model; frequencies are angular.

    Attributes
    ----------
    strains : list of S names
    damping : float
        ν, a rate.
    frequency : (F,), time : (T,)
        The grids asked for.
    storage_modulus, loss_modulus : (S, F)
        G'(W) and G''(W).
    relaxation_modulus, overdamped_relaxation : (S, T)
        G(t), and its limit without inertia, G + (1/V) Σ (b·ψ)²/λ exp(-λ t/ν).
    affine_modulus, static_modulus : (S,)
        G_A with its prestress part, and G.
    non_affine_force_squared_mean : (S,)
        (1/N) Σ_i |Ξ_i|², not mass-weighted.
    error : (S,)
        Estimated absolute error of the moduli.
    steps : (S,) int
        Lanczos steps.
    max_frequency : float
        Band edge.
    """

    strains: list[str]
    damping: float
    frequency: np.ndarray
    time: np.ndarray
    storage_modulus: np.ndarray
    loss_modulus: np.ndarray
    relaxation_modulus: np.ndarray
    overdamped_relaxation: np.ndarray
    affine_modulus: np.ndarray
    static_modulus: np.ndarray
    non_affine_force_squared_mean: np.ndarray
    error: np.ndarray
    steps: np.ndarray
    max_frequency: float


def viscoelastic_response(
    system: HarmonicSystem,
    strains: Sequence[str],
    damping: float,
    frequencies: ArrayLike = (),
    times: ArrayLike = (),
    tolerance: float = 1e-6,
    max_steps: int | None = None,
) -> Viscoelasticity:
    """Measure G*(W) and G(t) of several strains at once.

    Parameters
    ----------
    system
        Sample at a minimum.
    strains
        Names such as "xy", see `observables.strains`.
    damping
        Rate ν > 0 per unit mass.
    frequencies, times : (F,), (T,)
        Angular frequencies W >= 0 and times t >= 0.
    tolerance
        Error of the moduli over the affine modulus at which Lanczos stops.
    max_steps
        Limit of Lanczos steps, by default that of `spectra.spectral_measure`.

    Raises
    ------
    InputError
        Impossible damping, grids, tolerance or strains.
    SampleError
        ``"not_at_minimum"`` or ``"saddle"``.
    SolverError
        If Lanczos does not converge.

    Notes
    -----
    Collective.  One block product of S columns a step.  Steps grow as the root of the condition
    number max(ω_D²/max(λ_min, W ν)), or as ω_D/ν for underdamped samples.
    """
    damping, frequency, time = _checked(damping, frequencies, times, tolerance)
    require_stable(system)
    inter = system.interactions
    affine = affine_moduli(inter, strains)
    xi = non_affine_columns(inter, strains)
    edge = float(np.sqrt(largest_eigenvalue(system.operator)))
    vectors = mass_weighted_forces(system, xi)
    points = stopping_points(frequency, time, damping, edge)
    measures = response_measures(
        system, strains, affine, vectors, points, edge, tolerance, max_steps
    )
    static = affine - np.array([m.moment(-1) for m in measures]) / inter.volume
    response = _stack(response_sum(m.nodes, m.weights, frequency, damping) for m in measures)
    decays = _stack(decay_sum(m.nodes, m.weights, time, damping) for m in measures)
    slow = _stack(decay_sum(m.nodes, m.weights, time, damping, inertia=False) for m in measures)
    return Viscoelasticity(
        strains=list(strains),
        damping=damping,
        frequency=frequency,
        time=time,
        storage_modulus=affine[:, None] - response.real / inter.volume,
        loss_modulus=-response.imag / inter.volume,
        relaxation_modulus=static[:, None] + decays / inter.volume,
        overdamped_relaxation=static[:, None] + slow / inter.volume,
        affine_modulus=affine,
        static_modulus=static,
        non_affine_force_squared_mean=inter.reduce(np.square(xi).sum(axis=0)) / inter.n,
        error=np.array([m.error for m in measures]) / inter.volume,
        steps=np.array([m.steps for m in measures]),
        max_frequency=edge,
    )


def stopping_points(
    frequency: np.ndarray, time: np.ndarray, damping: float, edge: float
) -> np.ndarray:
    """Return the points z at which b·(D - z)⁻¹ b must have converged, complex.

    0 for the static modulus; W² - i W ν for G*(W); -ν/t for G(t) of slow modes, which is a
    Laplace transform of it; and, for modes that ring, the band with the width that the damping
    or the longest time resolves.
    """
    later = time[time > 0]
    points = [np.zeros(1), frequency**2 - 1j * frequency * damping, -damping / later]
    if len(later) and damping < 2 * edge:
        band = np.linspace(0.0, edge, _BAND_POINTS)[1:]
        points.append(band**2 - 1j * band * max(damping, 1 / later.max()))
    return np.unique(np.concatenate(points).astype(complex))


def require_damping(damping: float) -> float:
    """Return the damping, refused unless it is a finite positive rate."""
    value = float(damping)
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"the damping must be a finite rate above zero, found {damping!r}")
    return value


def _checked(damping, frequencies, times, tolerance) -> tuple[float, np.ndarray, np.ndarray]:
    if not (np.isfinite(tolerance) and 0 < tolerance < 1):
        raise InputError(f"the tolerance must lie between 0 and 1, found {tolerance!r}")
    frequency, time = _grid("frequencies", frequencies), _grid("times", times)
    return require_damping(damping), frequency, time


def _grid(name: str, values: ArrayLike) -> np.ndarray:
    grid = np.atleast_1d(np.asarray(values, np.float64))
    if grid.ndim != 1 or not np.all(np.isfinite(grid) & (grid >= 0)):
        raise InputError(f"the {name} must be a list of finite numbers of at least zero")
    return grid


@dataclass(frozen=True)
class KnownMeasures:
    """Converged measures, with the points and the tolerance that they were converged to."""

    points: np.ndarray
    tolerance: float
    measures: list[SpectralMeasure]

    def covers(self, points: np.ndarray, tolerance: float) -> bool:
        """Tell whether they are good enough for these points and this tolerance."""
        return self.tolerance <= tolerance and bool(np.isin(points, self.points).all())


def response_measures(
    system: HarmonicSystem,
    strains: Sequence[str],
    affine: np.ndarray,
    vectors: np.ndarray,
    points: np.ndarray,
    edge: float,
    tolerance: float,
    max_steps: int | None = None,
) -> list[SpectralMeasure]:
    """Return the spectral measures of b, converged at `points` to `tolerance` V G_A.

    Parameters
    ----------
    system
        Stable sample.
    strains, affine, vectors
        Names (S), affine moduli (S,) and b (n_local, S).
    points
        Complex z, see `stopping_points`.
    edge
        Band edge, which gives the scale where prestress cancels the affine modulus.
    tolerance, max_steps
        As in `viscoelastic_response`.

    Raises
    ------
    SolverError
        If a measure does not converge.

    Notes
    -----
    Measures are kept with the system: a later call that asks for no more takes them over.
    """
    known = system.response_measures.get(tuple(strains))
    if known is not None and known.covers(points, tolerance):
        return known.measures
    volume = system.interactions.volume
    squares = system.operator.reduce(np.einsum("rs,rs->s", vectors, vectors))
    scale = np.maximum(np.abs(affine) * volume, squares / edge**2)
    measures = spectral_measures(
        system.operator, vectors, points=points, tolerance=tolerance * scale, max_steps=max_steps
    )
    for name, measure, unit in zip(strains, measures, scale, strict=True):
        if not measure.converged:
            raise SolverError(
                f"the response to strain {name!r} is known to {measure.error / unit:.1e} of the "
                f"affine modulus after {measure.steps} Lanczos steps (wanted {tolerance:.0e}): use "
                "a looser tolerance or, for moduli, a larger damping or fewer decades"
            )
    system.response_measures[tuple(strains)] = KnownMeasures(points, tolerance, measures)
    return measures


def _stack(rows) -> np.ndarray:
    return np.stack(list(rows))
