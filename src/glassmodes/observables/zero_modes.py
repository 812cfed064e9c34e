"""How many zero modes a sample has, and with what certainty.

A stable glass has its translations and whatever a particle without contacts adds.  An
unstressed network of springs may have thousands of floppy modes: its forces never meet them,
but a density of states must leave them out.  They are counted, not computed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glassmodes.errors import InputError, SampleError
from glassmodes.observables.stability import require_stable
from glassmodes.spectra.chebyshev import spectral_bound
from glassmodes.spectra.factorisations import (
    FactorDoesNotFit,
    NotPositiveDefiniteError,
    count_below,
    factorise,
)
from glassmodes.spectra.filtered_lanczos import rayleigh_ritz
from glassmodes.spectra.operators import BlockOperator

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.spectra.kernel_polynomial import DensityOfStates

log = logging.getLogger(__name__)

log = logging.getLogger(__name__)

FACTOR_ROWS = 200_000
"""Rows up to which an L D L^T factor of a network is worth a minute and 4 GB."""

_ZERO = 1e-11  # of the mean diagonal: a thousand times the round-off of zeros at 10^4 rows

_DEFLATED = 4_000_000  # numbers in the null vectors that are found: 32 MB and seconds
_DEFLATED_ROWS = 20_000  # beyond, one more factor is not worth it
_STREAM = 2**31  # random stream of the start vectors, apart from all others

TRANSLATIONS = "translations"
INERTIA = "inertia"
ESTIMATE = "kernel polynomial"


@dataclass(frozen=True)
class ZeroModes:
    """The number of null vectors, those known beforehand included.

    Attributes
    ----------
    count : int
    error : float
        Standard error of the count; 0 for a count that is exact.
    method : str
        "translations" (all null vectors are known), "inertia" (of a factor at an edge above
        zero) or "kernel polynomial" (the weight at zero of random vectors).
    """

    count: int
    error: float
    method: str

    @property
    def exact(self) -> bool:
        return self.method != ESTIMATE


def count_zero_modes(system: HarmonicSystem, limit_rows: int = FACTOR_ROWS) -> ZeroModes | None:
    """Count the zero modes of a sample, or return None where only an estimate is affordable.

    Parameters
    ----------
    system
        Sample at a minimum.
    limit_rows
        Rows of the Hessian beyond which a network is not factorised.

    Raises
    ------
    SampleError
        ``"not_at_minimum"`` or ``"saddle"``.

    Notes
    -----
    Collective.  One factorisation for networks, half a minute at 150,000 rows; the lowest mode
    for other samples.
    """
    require_stable(system)
    if not system.interactions.unstressed:
        return ZeroModes(system.operator.nullity, 0.0, TRANSLATIONS)
    return count_null_vectors(system.operator, limit_rows)


def count_null_vectors(
    operator: BlockOperator, limit_rows: int = FACTOR_ROWS, scale: float | None = None
) -> ZeroModes | None:
    """Count the null vectors of a positive semi-definite operator by inertia.

    `scale` is a typical eigenvalue, by default the mean diagonal.  None beyond `limit_rows`, or
    where the factor does not fit in memory.  Collective.
    """
    if operator.n > limit_rows:
        return None
    try:
        count, _ = count_below(operator, _ZERO * (scale or operator.mean_diagonal()))
    except FactorDoesNotFit as error:
        log.warning("%s; the zero modes are estimated", error)
        return None
    return ZeroModes(count, 0.0, INERTIA)


def count_matrix_zero_modes(
    operator: BlockOperator, name: str, limit_rows: int = FACTOR_ROWS
) -> ZeroModes | None:
    """Count the null vectors of a foreign matrix and refuse negative eigenvalues.

    By inertia.  Beyond `limit_rows` None is returned and only negative eigenvalues that a
    Lanczos bound sees are refused.

    Parameters
    ----------
    operator
        The matrix.
    name
        Where it comes from, for the message.

    Raises
    ------
    InputError
        If the matrix has no other eigenvalue than zero.
    SampleError
        ``"saddle"``, with the number of negative eigenvalues.

    Notes
    -----
    Collective.
    """
    bound = spectral_bound(operator)
    scale = max(bound.upper, -bound.lower)
    if not scale > 0 or operator.nullity >= operator.n:
        raise InputError(f"{name} has no eigenvalue beside zero: there is no density of states")
    zero = count_null_vectors(operator, limit_rows, scale)
    negative = int(bound.lower < 0)
    if zero is not None and (negative or zero.count > operator.nullity):
        negative, _ = count_below(operator, -_ZERO * scale)
    if negative:
        least = "" if operator.n <= limit_rows else "at least "
        raise SampleError(
            "saddle",
            f"{name} has {least}{negative} negative eigenvalue(s): a density of states needs "
            "a matrix without, whose eigenvalues are squared frequencies",
            negative_eigenvalues=negative,
        )
    return zero


def deflate_zero_modes(operator: BlockOperator, zero: ZeroModes) -> None:
    """Find the zero modes of an operator and add them to its null vectors, if they are few.

    Subspace iteration with the inverse of A + s I, s far below any stiffness: two solves for
    each of them.  Random vectors are then free of zero modes; where they are too many a density
    has to subtract what it sees of them, with its noise.  Collective.
    """
    missing = zero.count - operator.nullity
    few = missing * operator.n <= _DEFLATED and operator.n <= _DEFLATED_ROWS
    if not zero.exact or missing <= 0 or not few:
        return
    scale = operator.mean_diagonal()
    matrix = operator.assembled()
    matrix.shift(_ZERO * scale)
    vectors = operator.project(operator.random_block(missing, 0, _STREAM))
    try:
        factor = factorise(matrix, definite=True)
        for _ in range(2):
            solved = operator.project(factor.solve(np.asfortranarray(vectors)))
            solved /= np.sqrt(operator.reduce(np.einsum("rk,rk->k", solved, solved)))
            pairs = rayleigh_ritz(operator, solved)
            vectors = pairs.vectors
        factor.destroy()
    except (NotPositiveDefiniteError, FactorDoesNotFit, np.linalg.LinAlgError):
        return  # no harm: the density subtracts them
    finally:
        matrix.destroy()
    if np.all(pairs.residuals < 10 * _ZERO * scale):
        operator.null_space = np.column_stack([operator.null_space, vectors])


def estimated(states: DensityOfStates) -> ZeroModes:
    """Return the count that a density of states found by itself, with its error."""
    return ZeroModes(states.zero_modes, states.zero_weight_error, ESTIMATE)
