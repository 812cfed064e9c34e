r"""Correlator Γ(ω) of the non-affine forces with the vibrations, without eigenvectors.

With b = M^(-1/2) Ξ, the eigenvectors ψ_p of the mass-weighted Hessian D and n vibrations,

    D(ω) Γ(ω) = (1/n) Σ_p (b·ψ_p)² δ(ω - ω_p),      Γ(ω) = D(ω) Γ(ω) / D(ω),

both broadened by the same kernel.  Moments are extensive and not divided by n: of power -1
Ξ·H⁺·Ξ (whatever the masses), of power 0 b·b and of power 1 b·D·b, which are Ξ·Ξ and Ξ·H·Ξ for
unit masses.  Zero modes of an unstressed network do not meet Ξ and enter D alone.

Source: R. Milkus and A. Zaccone, Eqs. 2-3; sum rules
∫ D Γ ω^(2k) dω = moment k / n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from glassmodes.observables.strains import (
    affine_moduli,
    mass_weighted_forces,
    non_affine_columns,
)
from glassmodes.observables.vibrational_density import counted_density, density_bound
from glassmodes.observables.viscoelasticity import response_measures
from glassmodes.observables.zero_modes import count_zero_modes
from glassmodes.spectra.chebyshev import chebyshev_moments
from glassmodes.spectra.kernel_polynomial import frequency_density

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem

MOMENTS = ("-1", "0", "1")

_TAIL = 1e-3  # of the peak of D: the kernel's tails reach 2e-4


@dataclass(frozen=True)
class Correlator:
    """D(ω), D(ω) Γ(ω) and Γ(ω) of S strains.

    Attributes
    ----------
    strains : list of S names
    frequency, density, density_error : (F,)
        Grid, D(ω) and its standard error over the random vectors.
    density_times_correlator, correlator : (F, S)
        D Γ and Γ; Γ is NaN where D is not above its error.
    moments : dict of (S,)
        Moments "-1", "0" and "1", extensive.
    vibrations, zero_modes : int
        n and what is left out of it.
    zero_modes_error : float, zero_modes_method : str
        See `observables.zero_modes`.
    max_frequency : float
        Band edge.
    non_affine_force_squared_mean : float
        (1/N) Σ |Ξ_i|², mean over the strains, not mass-weighted.
    resolution : float, vectors, products : int
        Width of the kernel, random vectors, and products for each of them.
    """

    strains: list[str]
    frequency: np.ndarray
    density: np.ndarray
    density_error: np.ndarray
    density_times_correlator: np.ndarray
    correlator: np.ndarray
    moments: dict[str, np.ndarray]
    vibrations: int
    zero_modes: int
    zero_modes_error: float
    zero_modes_method: str
    max_frequency: float
    non_affine_force_squared_mean: float
    resolution: float
    vectors: int
    products: int

    @property
    def resolved(self) -> np.ndarray:
        """Mark where there are modes to correlate with, (F,) bool.

        Below a thousandth of its peak, and beyond the band edge, D and D Γ are tails of the
        kernel, and so is their ratio.
        """
        inside = self.frequency <= self.max_frequency
        floor = np.maximum(self.density_error, _TAIL * self.density.max())
        return inside & (self.density > floor)


def non_affine_correlator(
    system: HarmonicSystem,
    strains: Sequence[str],
    resolution: float | None = None,
    frequency: ArrayLike | None = None,
    vectors: int = 16,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> Correlator:
    """Measure D, D Γ and Γ for several strains, and the moments of D Γ.

    Parameters
    ----------
    system
        Sample at a minimum.
    strains
        Names such as "xy", see `observables.strains`.
    resolution
        Full width at half maximum of the broadening; default 1 % of the band.
    frequency : (F,)
        Frequencies; default: even steps from 0 to the top, a quarter of the resolution.
    vectors, seed
        Random vectors of D and their seed.
    tolerance
        Error of moment -1 over V G_A.

    Raises
    ------
    SampleError
        ``"not_at_minimum"`` or ``"saddle"``.
    InputError, SolverError

    Notes
    -----
    Collective.  (vectors + S) x 2.1 ω_D/resolution products, and a Lanczos run for moment -1.
    """
    zero = count_zero_modes(system)
    inter, operator = system.interactions, system.operator
    affine = affine_moduli(inter, strains)
    xi = non_affine_columns(inter, strains)
    starts = mass_weighted_forces(system, xi)
    states, zero = counted_density(operator, zero, resolution, frequency, vectors, seed)
    bound = density_bound(operator)
    moments = chebyshev_moments(operator, starts, bound, states.products)
    product = frequency_density(moments, bound, states.frequency) / states.vibrations
    edge = states.max_frequency
    measures = response_measures(system, strains, affine, starts, np.zeros(1), edge, tolerance)
    powers = [[measure.moment(int(power)) for measure in measures] for power in MOMENTS]
    return Correlator(
        strains=list(strains),
        frequency=states.frequency,
        density=states.density,
        density_error=states.error,
        density_times_correlator=product,
        correlator=_ratio(product, states.density, states.error),
        moments=dict(zip(MOMENTS, np.array(powers), strict=True)),
        vibrations=states.vibrations,
        zero_modes=zero.count,
        zero_modes_error=zero.error,
        zero_modes_method=zero.method,
        max_frequency=edge,
        non_affine_force_squared_mean=float(
            inter.reduce(np.square(xi).sum()) / inter.n / len(strains)
        ),
        resolution=states.resolution,
        vectors=vectors,
        products=states.products,
    )


def _ratio(product: np.ndarray, density: np.ndarray, error: np.ndarray) -> np.ndarray:
    known = (density > error) & (density > 0)
    ratio = np.full_like(product, np.nan)
    ratio[known] = product[known] / density[known, None]
    return ratio
