"""The lowest eigenpairs of an operator behind one interface, with a certificate of completeness.

Three methods answer the same question: the filtered block Lanczos of this package (default),
SLEPc's shift-invert Krylov-Schur and dense LAPACK.  What is complete is said by
`spectra.completeness`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import numpy as np

from glassmodes.errors import InputError, nearest
from glassmodes.spectra.chebyshev import spectral_bound
from glassmodes.spectra.completeness import CERTIFICATES, INERTIA, NONE, certify
from glassmodes.spectra.dense import dense_eigenpairs
from glassmodes.spectra.eigenvalue_counts import kernel_polynomial_count
from glassmodes.spectra.filtered_lanczos import ZERO, Target, filtered_lanczos, is_zero
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.shift_invert import shift_invert

log = logging.getLogger(__name__)

METHODS = ("filtered", "slepc", "dense")
DENSE_LIMIT = 12_000  # rows; dense LAPACK beyond needs gigabytes and minutes
_SMALL = 400  # rows below which dense LAPACK is faster than any iteration
_GAP = 1e-6  # relative distance that separates multiplets
_COUNT_PRODUCTS = 20  # moments of the count that finds requests for much of the spectrum


@dataclass
class Eigenmodes:
    """The lowest modes outside the null space, ascending.

    values : (k,) eigenvalues, zero modes left out; negative ones are kept.
    vectors : (n_local, k) orthonormal.
    residuals : (k,) ||A v - x v|| / |x|.
    zero_modes : null vectors known beforehand plus those found.
    zero_vectors : (n_local, z) orthonormal, those found.
    complete_below : every eigenvalue below this edge is among `values`, if `certified`.
    certified : a proof stands behind that, an inertia.
    certificate : {"inertia", "second start", "none"}
    counted, counted_error : eigenvalues below the edge, all null vectors left out, and the
        standard error of that count; None without a certificate.
    solver : method, parameters, products, times and memory.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    zero_modes: int
    zero_vectors: np.ndarray
    complete_below: float
    certified: bool
    certificate: str = NONE
    counted: float | None = None
    counted_error: float | None = None
    solver: dict = field(default_factory=dict)


def lowest_modes(
    operator: BlockOperator,
    *,
    count: int | None = None,
    below: float | None = None,
    method: str = "filtered",
    certificate: str | bool = "auto",
    tolerance: float = 1e-8,
    seed: int = 0,
    memory_limit: int | None = None,
) -> Eigenmodes:
    """Return the lowest `count` eigenmodes, or all with eigenvalues below `below`.

    Parameters
    ----------
    operator
        Symmetric operator; its known null vectors are projected out.
    count, below
        Exactly one of the two.
    method : {"filtered", "slepc", "dense"}
        Solver.  Matrices below 400 rows, and requests for a large part of the spectrum,
        go to dense LAPACK whatever the method.
    certificate : {"auto", "inertia", "count", "none"} or bool
        How to make sure that no mode is missing (see `spectra.completeness`); missing ones are
        found.  "auto", or True, takes the inertia where its factor is affordable.
    tolerance
        Residual relative to the eigenvalue.
    seed
        Of the start vectors.
    memory_limit
        Bytes that the filtered solver may take for vectors on this rank; by default what the
        machine has left.

    Raises
    ------
    InputError
        If the request makes no sense for this operator.
    SolverError
        If the solver does not converge or the count cannot be reconciled.
    ResourceError
        If the vectors, or a factor that was asked for by name, do not fit in memory.

    Notes
    -----
    Collective.
    """
    space = operator.n - operator.nullity
    if isinstance(certificate, bool):
        certificate = "auto" if certificate else NONE
    _check_request(count, below, method, space)
    _check_name("certificate", certificate, CERTIFICATES)
    clock = time.perf_counter()
    bound = spectral_bound(operator)
    wanted, certificate_seconds = count, 0.0
    while True:
        target = Target(count=wanted, below=below)
        solve = _solver(operator, target, method, space, bound, tolerance, memory_limit)
        pairs = solve(target, None, seed)
        edge = _edge(np.where(is_zero(pairs.values, bound), 0.0, pairs.values), target, space)
        edge = _above_zero(edge, bound)
        solver = dict(pairs.info)
        found = certify(operator, pairs, edge, bound, solve, certificate, seed)
        pairs, solver["rounds"] = found.pairs, found.rounds
        certificate_seconds += found.seconds
        zero = is_zero(pairs.values, bound)
        chosen = np.flatnonzero(~zero & (pairs.values < (edge if below is None else below)))
        if count is None or len(chosen) >= count or wanted >= space:
            break
        # Zero modes took places of modes that were asked for; there may be many more.
        wanted = min(count + max(2 * int(zero.sum()), wanted - count + 1), space)
    zero_modes = operator.nullity + int(zero.sum())
    if count is not None and len(chosen) < count:
        raise InputError(
            f"{count} modes asked for, but there are only {len(chosen)} "
            f"besides {zero_modes} zero modes"
        )
    chosen = chosen[:count]
    solver["certificate_seconds"] = certificate_seconds
    solver["solve_seconds"] = time.perf_counter() - clock - certificate_seconds
    solver["spectral_bound"] = bound.upper
    values = pairs.values[chosen]
    complete = _listed_edge(pairs.values[~zero], values, edge, below)
    counted = found.count
    if counted is not None:  # without the zero modes, and those found between the two edges
        left_out = (pairs.values < edge) & (zero | (pairs.values >= complete))
        counted -= int(np.sum(left_out))
    return Eigenmodes(
        values=values,
        vectors=_columns(pairs.vectors, chosen),
        residuals=pairs.residuals[chosen] / np.abs(values),
        zero_modes=zero_modes,
        zero_vectors=np.asfortranarray(pairs.vectors[:, zero]),
        complete_below=complete,
        certified=found.kind == INERTIA,
        certificate=found.kind,
        counted=counted,
        counted_error=found.count_error,
        solver=solver,
    )


def _columns(vectors: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return vectors[:, chosen], chosen ascending, without a copy where they are neighbours."""
    if len(chosen) and chosen[-1] - chosen[0] == len(chosen) - 1:
        return vectors[:, chosen[0] : chosen[-1] + 1]
    return np.asfortranarray(vectors[:, chosen])


def _check_request(count, below, method, space) -> None:
    _check_name("method", method, METHODS)
    if not space:
        raise InputError("all eigenvectors are known null vectors: there is no mode to find")
    if (count is None) == (below is None):
        raise InputError("give either a count of modes or an upper edge, not both")
    if count is not None and count < 1:
        raise InputError(f"the number of modes must be at least 1, found {count}")
    if count is not None and count > space:
        raise InputError(
            f"{count} modes asked for, but there are only {space} outside the null space"
        )
    if below is not None and not below > 0:
        raise InputError(f"the upper edge must be positive, found {below}")


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(f"unknown {what} {name!r}{nearest(name, known)}; one of {known}")


def _solver(operator, target, method, space, bound, tolerance, memory_limit):
    """Return solve(target, locked, seed) -> EigenPairs for the method that serves the request."""
    if method == "dense" or space <= _SMALL or 4 * _expected_modes(operator, target, bound) > space:
        if operator.n > DENSE_LIMIT:
            raise InputError(
                f"dense LAPACK is limited to {DENSE_LIMIT} rows, found {operator.n}: "
                "ask for fewer modes or a lower edge"
            )
        return lambda wanted, locked, _: dense_eigenpairs(operator, wanted, locked)
    if method == "slepc":
        return lambda wanted, locked, _: shift_invert(operator, wanted, bound, locked, tolerance)

    def filtered(wanted, locked, start):
        return filtered_lanczos(
            operator, wanted, locked=locked, bound=bound, tolerance=tolerance, seed=start,
            memory_limit=memory_limit,
        )  # fmt: skip

    return filtered


def _expected_modes(operator, target, bound) -> float:
    """Return how many modes the request is for, edge modes included; estimated for `below`."""
    if target.count is not None:
        return target.count + target.extra
    if target.below >= bound.upper:
        return operator.n
    # Only a large share matters: a coarse count will do.
    counter = kernel_polynomial_count(operator, bound, _COUNT_PRODUCTS)
    return counter.below(target.below) + target.extra


def _edge(values: np.ndarray, target: Target, space: int) -> float:
    """Place the edge in the widest gap beyond the last mode asked for, never in a multiplet."""
    first = target.count if target.count is not None else int(np.sum(values < target.below))
    if target.below is not None and first == len(values):
        return target.below  # nothing found beyond the edge asked for
    if first >= len(values):  # the whole spectrum
        return float(values[-1] + max(abs(values[-1]), 1e-12))
    left = values[max(first - 1, 0) : -1] if first else np.concatenate([[0.0], values[:-1]])
    right = values[max(first, 1) :] if first else values
    if target.below is not None:  # the certificate covers all that was asked for
        left = np.maximum(left, target.below)
    scale = np.maximum(np.maximum(np.abs(left), np.abs(right)), np.finfo(float).tiny)
    gaps = (right - left) / scale
    best = int(np.argmax(gaps))
    if gaps[best] < _GAP:
        if len(values) >= space:
            return float(values[-1] + _GAP * abs(values[-1]))
        # All extra modes belong to one multiplet: stop below it would lose modes asked for,
        # so the edge goes above what was found and the inertia says how many are missing.
        return float(values[-1] + 2 * _GAP * abs(values[-1]))
    return float((left[best] + right[best]) / 2)


def _listed_edge(found: np.ndarray, listed: np.ndarray, edge: float, below: float | None) -> float:
    """Return up to where the listed modes are all that were found below the certificate's edge.

    The certificate may reach beyond the last mode asked for.  Between the last listed mode and
    the next, or below a multiplet that the number of modes asked for has cut.

    found, listed : ascending; `listed` are the first of `found`.
    """
    count = len(listed)
    if count == len(found) or found[count] >= edge:
        return edge
    if below is not None:
        return below
    apart = np.diff(found[: count + 1]) > _GAP * np.abs(found[1 : count + 1])
    whole = np.flatnonzero(apart)  # gaps between multiplets
    if not len(whole):
        return float(found[0] * (1 - _GAP))
    return float((found[whole[-1]] + found[whole[-1] + 1]) / 2)


def _above_zero(edge: float, bound) -> float:
    """Move an edge among the zero modes above them: rounding decides on their signs."""
    least = 100 * ZERO * bound.estimate
    return least if abs(edge) < least else edge
