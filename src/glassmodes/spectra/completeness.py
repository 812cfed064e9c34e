"""Whether modes are missing below an edge, and finding those that are.

A block of 8 vectors meets at most 8 copies of a degenerate eigenvalue at first, and the
estimates of an iteration are heuristic, so a list of modes is not complete by itself.

- "inertia": an L D L^T factorisation counts the eigenvalues below the edge exactly, and fresh
  start blocks find what is missing.  A proof, up to the round-off of the factor.
- "count": for samples whose factor would not fit.  A second, independent start block, kept
  orthogonal to all modes found, looks for the lowest eigenvalue that is left; modes below the
  edge are merged and the search is repeated until there is none.  A kernel-polynomial count
  with its error stands beside it.  Evidence, not proof: a mode escapes only if both random
  blocks are orthogonal to it to the accuracy of the search.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np

from glassmodes import memory
from glassmodes.errors import SolverError
from glassmodes.spectra.chebyshev import SpectralBound
from glassmodes.spectra.eigenvalue_counts import check_count
from glassmodes.spectra.factor_costs import estimate
from glassmodes.spectra.factorisations import FactorDoesNotFit, count_below
from glassmodes.spectra.filtered_lanczos import Target, filtered_lanczos
from glassmodes.spectra.operators import BlockOperator, EdgeOperator
from glassmodes.spectra.rayleigh_ritz import EigenPairs

log = logging.getLogger(__name__)

CERTIFICATES = ("auto", "inertia", "count", "none")
INERTIA, SECOND_START, NONE = "inertia", "second start", "none"

_LONGEST = 600.0  # seconds of a factorisation whose only use is a count
_MAX_ROUNDS = 40
_SEARCH_TOLERANCE = 1e-3  # of an eigenvalue that only has to be above the edge
_DEVIATION = 5.0  # standard errors between two counts that are worth a warning


@dataclass(frozen=True)
class Completion:
    """Pairs that are complete below the edge as far as `kind` says, and what it took.

    kind : {"inertia", "second start", "none"}.  count, count_error : eigenvalues below the edge
    outside the known null vectors; None without a certificate.
    """

    pairs: EigenPairs
    kind: str
    rounds: int = 1
    seconds: float = 0.0
    count: float | None = None
    count_error: float | None = None


def certify(operator: BlockOperator, pairs: EigenPairs, edge: float, bound: SpectralBound,
            solve, certificate: str, seed: int) -> Completion:  # fmt: skip
    """Make `pairs` complete below `edge`.

    Parameters
    ----------
    operator
        Operator A.
    pairs
        Eigenpairs found, ascending.
    edge : float
        In a gap of the spectrum.
    bound
        Of the spectrum.
    solve
        ``solve(target, locked, seed)`` returns eigenpairs outside the locked vectors.
    certificate : {"auto", "inertia", "count", "none"}
        "auto" takes the inertia if its factor fits in memory and is done within ten minutes, by
        estimate.  Dense solves are always counted by inertia: they are small.
    seed
        Of the solve that gave `pairs`; others follow from it.

    Raises
    ------
    SolverError
        If the count cannot be reconciled with what is found.
    ResourceError
        If the inertia was asked for and its factor does not fit.

    Notes
    -----
    Collective.
    """
    if certificate == NONE:
        return Completion(pairs, NONE)
    clock = time.perf_counter()
    counting = certificate == "count" or (certificate == "auto" and not affordable(operator))
    if not counting or pairs.info["method"] == "dense":
        try:
            return _by_inertia(operator, pairs, edge, solve, seed)
        except FactorDoesNotFit as refusal:
            if certificate != "auto":
                raise
            log.warning("%s; the certificate goes without a factor", refusal)
    pairs, rounds = _by_second_start(operator, pairs, edge, bound, solve, seed)
    count, error = check_count(operator, bound, edge, pairs.values, pairs.vectors, seed=seed)
    found = int(np.sum(pairs.values < edge))
    if abs(count - found) > _DEVIATION * error + 1:
        log.warning("%d modes found below %.6g, %.1f +- %.1f counted", found, edge, count, error)
    seconds = time.perf_counter() - clock
    return Completion(pairs, SECOND_START, rounds, seconds, count, error)


def affordable(operator: BlockOperator) -> bool:
    """Tell whether an L D L^T factor of the operator fits and is quick enough.  Collective."""
    d, neighbours = 3, None  # nobody knows them of a foreign matrix
    if isinstance(operator, EdgeOperator):
        d, neighbours = operator.site_size, operator.mean_neighbours()
    cost = estimate(operator.n, d, "ldlt", neighbours=neighbours, ranks=operator.comm.size)
    room = memory.available(operator.comm)
    return bool(operator.agree(np.array(cost.bytes < room and cost.seconds < _LONGEST))[0])


def _by_inertia(operator, pairs, edge, solve, seed) -> Completion:
    """Compare with the inertia below `edge`; find what is missing with fresh start blocks."""
    count, seconds = count_below(operator, edge)
    expected = count - (operator.nullity if edge > 0 else 0)
    for rounds in range(1, _MAX_ROUNDS + 2):
        found = int(np.sum(pairs.values < edge))
        if found == expected:
            return Completion(pairs, INERTIA, rounds, seconds, float(expected), 0.0)
        if found > expected:
            raise SolverError(
                f"{found} modes found below {edge:.6g} but the inertia counts {expected}: "
                "the solver returned a spurious mode; please report this"
            )
        log.info("round %d: %d of %d modes below the edge", rounds, found, expected)
        locked = pairs.vectors[:, :found]
        more = solve(Target(count=expected - found, extra=0), locked, seed + 1000 * rounds)
        pairs = _merged(pairs, found, more, len(more.values))
    raise SolverError(
        f"{expected - found} modes below {edge:.6g} stay missing after {_MAX_ROUNDS} rounds"
    )


def _by_second_start(operator, pairs, edge, bound, solve, seed) -> tuple[EigenPairs, int]:
    """Search beside all modes found until nothing is below `edge`; return also the rounds."""
    space = operator.n - operator.nullity
    for rounds in range(1, _MAX_ROUNDS + 1):
        if len(pairs.values) >= space:
            return pairs, rounds
        beside = {"locked": pairs.vectors, "bound": bound, "seed": seed + 1000 * rounds}
        lowest = filtered_lanczos(
            operator, Target(count=1, extra=0), tolerance=_SEARCH_TOLERANCE, **beside
        )
        if lowest.values[0] - lowest.residuals[0] > edge:
            return pairs, rounds
        more = solve(Target(below=edge, extra=1), pairs.vectors, seed + 1000 * rounds + 500)
        missing = int(np.sum(more.values < edge))
        if not missing:
            return pairs, rounds
        log.info("round %d: %d more modes below the edge", rounds, missing)
        pairs = _merged(pairs, len(pairs.values), more, missing)
    raise SolverError(f"modes below {edge:.6g} still turn up after {_MAX_ROUNDS} rounds")


def _merged(pairs: EigenPairs, kept: int, more: EigenPairs, added: int) -> EigenPairs:
    """Return the first `kept` of `pairs` and the first `added` of `more`, ascending.

    The second were found orthogonal to the first, and both have verified residuals.
    """
    values = np.concatenate([pairs.values[:kept], more.values[:added]])
    residuals = np.concatenate([pairs.residuals[:kept], more.residuals[:added]])
    order = np.argsort(values, kind="stable")
    vectors = np.empty((len(pairs.vectors), len(order)), order="F")
    for place, source in enumerate(order):
        vectors[:, place] = (
            pairs.vectors[:, source] if source < kept else more.vectors[:, source - kept]
        )
    return EigenPairs(values[order], vectors, residuals[order], pairs.info)
