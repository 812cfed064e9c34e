r"""Density of states D(ω) of one sample by moments, with its zero modes counted and left out.

D integrates to 1 over the n = d N - zero_modes vibrations.  The kernel polynomial method takes
time linear in N (`spectra.kernel_polynomial`); the zero modes come from `observables.zero_modes`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from glassmodes.errors import InputError
from glassmodes.observables.zero_modes import (
    ZeroModes,
    count_zero_modes,
    deflate_zero_modes,
    estimated,
)
from glassmodes.spectra.chebyshev import SpectralBound, spectral_bound
from glassmodes.spectra.kernel_polynomial import DensityOfStates, density_of_states
from glassmodes.spectra.operators import BlockOperator

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem

RESOLUTION = 0.01
"""Default resolution over the band edge."""

_FINEST, _COARSEST = 1e-4, 0.3  # of the band: hours of products, and nothing to be seen
_ROOM = 1.25  # bound over the largest eigenvalue


def vibrational_density(
    system: HarmonicSystem,
    resolution: float | None = None,
    frequency: ArrayLike | None = None,
    vectors: int = 16,
    seed: int = 0,
    exact_below: float | None = None,
) -> DensityOfStates:
    """Return D(ω) of a sample at a minimum.

    Parameters
    ----------
    system
        Sample at a minimum.
    resolution
        Full width at half maximum of the broadening, a frequency; default 1 % of the band.
    frequency : (F,)
        Frequencies; default: even steps from 0 to the top, a quarter of the resolution.
    vectors, seed
        Random vectors and their seed.
    exact_below
        Frequency below which modes are found one by one and spliced in.

    Raises
    ------
    SampleError
        ``"not_at_minimum"`` or ``"saddle"``.

    Notes
    -----
    Collective.  Vectors x 2.1 ω_D/resolution products.
    """
    zero = count_zero_modes(system)
    return counted_density(
        system.operator, zero, resolution, frequency, vectors, seed, exact_below
    )[0]


def density_bound(operator: BlockOperator) -> SpectralBound:
    """Return a bound of the spectrum with room above the band.  Collective.

    On [0, L] the kernel narrows towards the top as sqrt(1 - ω²/L).  With the band edge at L a
    peak there is ten times narrower than at ω = 0, and lost between the points of an even grid;
    a quarter more keeps half of the width for 12 % more products.
    """
    bound = spectral_bound(operator)
    return replace(bound, upper=_ROOM * bound.upper)


def _resolution(resolution: float | None, bound: SpectralBound) -> float:
    """Return the resolution as a frequency, checked against a bound of `density_bound`."""
    highest = math.sqrt(bound.upper / _ROOM)
    if resolution is None:
        return RESOLUTION * highest
    if not _FINEST * highest <= resolution <= _COARSEST * highest:
        raise InputError(
            f"a resolution of {resolution:.6g} is no use for frequencies up to {highest:.6g}: "
            f"choose one between {_FINEST * highest:.2g} and {_COARSEST * highest:.2g}"
        )
    return resolution


def counted_density(
    operator: BlockOperator,
    zero: ZeroModes | None,
    resolution: float | None = None,
    frequency: ArrayLike | None = None,
    vectors: int = 16,
    seed: int = 0,
    exact_below: float | None = None,
) -> tuple[DensityOfStates, ZeroModes]:
    """Return the density of an operator whose zero modes are counted, or estimated if None.

    Collective.
    """
    if zero is not None:
        deflate_zero_modes(operator, zero)
    bound = density_bound(operator)
    states = density_of_states(
        operator,
        resolution=_resolution(resolution, bound),
        frequency=frequency,
        vectors=vectors,
        seed=seed,
        zero_modes="estimate" if zero is None else zero.count,
        exact_below=exact_below,
        bound=bound,
    )
    return states, estimated(states) if zero is None else zero
