"""What each way through a slice of the spectrum costs, and which one to take.

Laws, not measurements on the spot: the same slice takes the same way in every run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from glassmodes import memory
from glassmodes.errors import InputError, ResourceError, SolverError
from glassmodes.spectra.block_lanczos import WIDTH
from glassmodes.spectra.chebyshev import SpectralBound
from glassmodes.spectra.eigenmodes import DENSE_LIMIT
from glassmodes.spectra.factor_costs import FactorCost, estimate
from glassmodes.spectra.operators import BlockOperator, EdgeOperator
from glassmodes.spectra.slices import WindowDensity
from glassmodes.spectra.window_lanczos import COLUMNS_PER_MODE, GUARD
from glassmodes.spectra.window_transforms import band_pass_degree

METHODS = ("filtered", "shift-invert", "lowest", "dense")

SMALL = 400
"""Rows up to which dense LAPACK is faster than any iteration."""
_PRODUCT_SECONDS = 2e-11  # per byte of the operator and vector, in blocks of 8
_SUM_SHARE = 1.2  # a band-pass polynomial against its products
_GEMM = 3e10  # flops a second of tall, narrow products
_DENSE_SECONDS = 1.7e-10  # per cubed row
_SMALL_SECONDS = 2e-9  # of all projected eigenproblems, per cubed column
_LIFT, _RATIO = 6.0, 1.7  # of the band-pass polynomial (`window_transforms`)
_LOW_PASS = 3.2 / math.sqrt(1.4)  # degree over sqrt(bound / end of the window)
_LOW = 0.25  # share of the spectrum that the low-pass filter finds without dense projections
_BLOCKS = 12  # work blocks
_LEAST_CAP, _DEGREE_CAP = 1000, 20_000  # of the band-pass polynomial's degree
_DENSE_SOON = 4000  # rows up to which LAPACK is no long wait


@dataclass(frozen=True)
class MethodCost:
    """Estimated seconds on this number of ranks, and bytes on a rank."""

    seconds: float
    bytes: float


def estimate_methods(
    operator: BlockOperator, bound: SpectralBound, density: WindowDensity, low: float, high: float
) -> dict[str, MethodCost]:
    """Estimate every method for the window [low, high].

    Collective.
    """
    ranks = operator.comm.size
    expected = density.count(low, high) + GUARD
    columns = COLUMNS_PER_MODE * expected + 3 * WIDTH
    product = float(operator.reduce(np.array(float(operator.memory)))) / ranks * _PRODUCT_SECONDS
    basis = _basis_seconds(operator, columns)
    width = _angle(bound, low) - _angle(bound, high)
    degree = _LIFT / max(_RATIO * width / 2, 1e-12)
    factor = _factor_cost(operator)
    below = max(density.below(high), 0.0) + GUARD
    all_columns = COLUMNS_PER_MODE * below + 3 * WIDTH
    low_pass = _LOW_PASS * math.sqrt(bound.upper / max(high, 1e-300))
    steep = band_pass_degree(bound, low, high, density.count) > most_degree(operator)
    return {
        "filtered": MethodCost(
            columns * degree * product * _SUM_SHARE + basis,
            math.inf if steep else _basis_bytes(operator, columns),
        ),
        "shift-invert": MethodCost(
            factor.seconds + columns * factor.solve_seconds + basis,
            factor.bytes + _basis_bytes(operator, columns),
        ),
        "lowest": MethodCost(
            all_columns * max(low_pass, 4.0) * product + _basis_seconds(operator, all_columns),
            _basis_bytes(operator, all_columns) if below < _LOW * operator.n else math.inf,
        ),
        "dense": MethodCost(
            _DENSE_SECONDS * operator.n**3 if operator.n > SMALL else 0.0,
            math.inf if operator.n > DENSE_LIMIT else 24.0 * operator.n**2,
        ),
    }


def choose(costs: dict[str, MethodCost], room: float) -> str:
    """Return the fastest method that fits into `room` bytes on a rank."""
    fitting = {name: cost for name, cost in costs.items() if cost.bytes < room}
    if not fitting:
        least = min(cost.bytes for cost in costs.values())
        raise ResourceError(
            f"no method fits: the smallest needs {memory.in_words(least)} on a rank, "
            f"{memory.in_words(room)} can be had; cut the window into more slices or take more "
            "ranks on more nodes"
        )
    return min(fitting, key=lambda name: fitting[name].seconds)


def last_resort(operator: BlockOperator, costs: dict[str, MethodCost], room: float) -> str | None:
    """Return the method for a slice whose multiplet no block Lanczos gets, None if none fits."""
    dense = costs["dense"].bytes < room
    if dense and operator.n <= _DENSE_SOON:
        return "dense"
    if costs["shift-invert"].bytes < room:  # the same factors
        return "slepc"
    return "dense" if dense else None


def most_degree(operator: BlockOperator) -> int:
    """Return the largest degree of a band-pass polynomial: n, between 1,000 and 20,000.

    With as many products as rows, dense LAPACK is the shorter way.
    """
    return min(max(operator.n, _LEAST_CAP), _DEGREE_CAP)


def require_degree(
    operator: BlockOperator, bound: SpectralBound, density: WindowDensity, low: float, high: float
) -> None:
    """Refuse the band-pass polynomial for a window that is too narrow for it."""
    degree, most = band_pass_degree(bound, low, high, density.count), most_degree(operator)
    if degree > most:
        raise SolverError(
            f"the band-pass polynomial for the window [{low:.12g}, {high:.12g}] needs degree "
            f"{degree}, more than {most}: choose the method shift-invert, slepc or dense, or a "
            "wider window"
        )


def modes_that_fit(operator: BlockOperator) -> int:
    """Return how many modes a slice may have so that its basis fits in memory.  Collective."""
    vector = 8.0 * max(operator.n_local, 1)
    free = available(operator) / vector - _BLOCKS * WIDTH
    return max(WIDTH, int(free / (COLUMNS_PER_MODE + 2) / 2))


def require_dense(operator: BlockOperator) -> None:
    """Refuse dense LAPACK for a matrix that is too large for it."""
    if operator.n > DENSE_LIMIT:
        raise InputError(
            f"dense LAPACK is limited to {DENSE_LIMIT} rows, found {operator.n}: choose another "
            "method"
        )


def require_low(operator: BlockOperator, density: WindowDensity, high: float) -> None:
    """Refuse the low-pass filter for a window too high in the spectrum."""
    if density.below(high) > _LOW * operator.n:
        raise InputError(
            f"the low-pass filter finds all that lies below {high:.6g}, more than a quarter of the "
            "spectrum: choose another method"
        )


def available(operator: BlockOperator) -> float:
    """Return the bytes that every rank may still take.  Collective."""
    room = memory.available(operator.comm)
    return min(operator.comm.allgather(room)) if operator.comm.size > 1 else room


def _basis_bytes(operator: BlockOperator, columns: float) -> float:
    return 8.0 * operator.n_local * (columns * (1 + 1 / COLUMNS_PER_MODE) + _BLOCKS * WIDTH)


def _basis_seconds(operator: BlockOperator, columns: float) -> float:
    """Return the seconds of orthogonalisation, projected eigenproblems and Rayleigh-Ritz."""
    return 4.0 * operator.n_local * columns**2 / _GEMM + _SMALL_SECONDS * columns**3


def _angle(bound: SpectralBound, value: float) -> float:
    return math.acos(min(max(float(bound.position(np.array(value))), -1.0), 1.0))


def _factor_cost(operator: BlockOperator) -> FactorCost:
    d, neighbours = 3, None  # nobody knows them of a foreign matrix
    if isinstance(operator, EdgeOperator):
        d, neighbours = operator.site_size, operator.mean_neighbours()
    return estimate(operator.n, d, "ldlt", neighbours=neighbours, ranks=operator.comm.size)
