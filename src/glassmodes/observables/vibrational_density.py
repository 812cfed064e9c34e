r"""Density of states D(ω) of one sample by moments, with its zero modes counted and left out.

D integrates to 1 over the n = d N - zero_modes vibrations.  The kernel polynomial method takes
time linear in N (`spectra.kernel_polynomial`); the zero modes come from `observables.zero_modes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from glassmodes.errors import SampleError
from glassmodes.observables.zero_modes import (
    ZeroModes,
    count_negative,
    count_null_vectors,
    count_zero_modes,
    estimated,
)
from glassmodes.spectra.chebyshev import spectral_bound
from glassmodes.spectra.kernel_polynomial import DensityOfStates, density_of_states
from glassmodes.spectra.operators import BlockOperator

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem

RESOLUTION = 0.01
"""Default resolution over the band edge."""


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
    Collective.  Vectors x 3.7 ω_D/resolution products.
    """
    zero = count_zero_modes(system)
    return counted_density(
        system.operator, zero, resolution, frequency, vectors, seed, exact_below
    )[0]


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
    bound = spectral_bound(operator)
    states = density_of_states(
        operator,
        resolution=RESOLUTION * bound.upper**0.5 if resolution is None else resolution,
        frequency=frequency,
        vectors=vectors,
        seed=seed,
        zero_modes="estimate" if zero is None else zero.count,
        exact_below=exact_below,
        bound=bound,
    )
    return states, estimated(states) if zero is None else zero


def count_matrix_zero_modes(operator: BlockOperator, name: str) -> ZeroModes | None:
    """Count the null vectors of a foreign matrix and refuse negative eigenvalues.

    Its eigenvalues are squared frequencies.  By inertia; beyond `zero_modes.FACTOR_ROWS` rows
    None is returned and only negative eigenvalues that a Lanczos bound sees are refused.

    Raises
    ------
    SampleError
        ``"saddle"``, with the number of negative eigenvalues; `name` is that of the matrix.

    Notes
    -----
    Collective.
    """
    zero = count_null_vectors(operator)
    if zero is not None and zero.count > operator.nullity:
        negative = count_negative(operator)
        zero = ZeroModes(zero.count - negative, zero.error, zero.method)
    else:
        negative = int(spectral_bound(operator).lower < 0)
    if negative:
        at_least = "at least " if zero is None else ""
        raise SampleError(
            "saddle",
            f"{name} has {at_least}{negative} negative eigenvalue(s): a density of states needs "
            "a matrix without, whose eigenvalues are squared frequencies",
            negative_eigenvalues=negative,
        )
    return zero
