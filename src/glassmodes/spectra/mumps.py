"""MUMPS L D L^T: any number of ranks, any inertia, and a ladder of ways to fit in memory.

Large factors are analysed first: entries, flops and memory with each ordering that MUMPS was
built with, of which the one with the fewest flops is taken.  Then these steps are tried in turn:

1. as planned, if that fits in memory;
2. with more workspace, where MUMPS found its own estimate too short;
3. with all the memory that can be had (ICNTL 23);
4. block low-rank (ICNTL 35), exact to `_LOW_RANK`: solves need refinement;
5. out of core (ICNTL 22), in ``$TMPDIR``.

When all fail `FactorDoesNotFit` is raised.  Every step is logged and kept in ``statistics``.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import scipy.sparse as sp

from glassmodes import memory
from glassmodes.errors import SolverError
from glassmodes.parallel import distributed_matrix
from glassmodes.spectra.factor_interface import (
    FactorDoesNotFit,
    Factorisation,
    NotPositiveDefiniteError,
    cholesky,
    expected_cost,
)

log = logging.getLogger(__name__)

_PREFIX = "gm_mumps_mat_mumps_"
_MEGABYTE = 10**6
_WORKSPACE = 50  # percent beyond MUMPS' own estimate, ICNTL(14)
_MORE_WORKSPACE = (100, 200, 400)
_LOW_RANK = 1e-10  # CNTL(7), relative to the largest entries
_LARGE = 0.05  # of the memory that can be had: factors estimated larger are analysed first
_SLOW = 10.0  # seconds: factors estimated slower are worth a comparison of orderings

_SHORT_OF_WORKSPACE = {-8, -9, -14, -15, -17, -18, -20}
_OUT_OF_MEMORY = {-7, -13, -19}
_OUT_OF_DISK = {-90}
_ORDERINGS = {0: "AMD", 2: "AMF", 3: "SCOTCH", 4: "PORD", 5: "METIS", 6: "QAMD"}
_METIS, _SCOTCH, _PORD, _AMF = 5, 3, 4, 2

_ALWAYS = {
    "icntl_13": 1,  # no ScaLAPACK root: it hides pivots from the inertia
    "icntl_24": 1,  # detect null pivots
}


class Analysis(NamedTuple):
    """What MUMPS expects of a factor; `megabytes` in core, on the fullest rank."""

    settings: dict[str, Any]
    ordering: str
    flops: float
    megabytes: int


class _Step(NamedTuple):
    name: str
    settings: dict[str, Any]
    megabytes: float  # expected on the fullest rank; 0 where MUMPS has to find out
    follows: frozenset[str]  # outcomes of the step before after which this one makes sense


class MumpsFactorisation(Factorisation):
    """A factor by MUMPS.

    ``statistics`` has, beside the common entries, ``analysis``: the flops of every ordering that
    was compared, empty for small factors; ``low_rank`` and ``out_of_core``.
    """

    name = "mumps"

    @staticmethod
    def serves(matrix, definite: bool) -> bool:
        """MUMPS takes everything."""
        return True

    def _factorise(self, definite: bool):
        comm = self.matrix.getComm().tompi4py()
        limit = memory.tightest(comm)
        if comm.size > 1:
            limit = min(comm.allgather(limit))
        cost = expected_cost(self.matrix, "ldlt")
        plan = None
        if cost.bytes > _LARGE * limit.bytes:
            plan = self._plan(compare=cost.seconds > _SLOW)
        preconditioner = self._climb(plan, limit)
        negatives = _infog(preconditioner, 12)
        if definite and negatives:
            preconditioner.destroy()
            raise NotPositiveDefiniteError(f"the matrix has {negatives} negative pivots", negatives)
        return preconditioner

    def _plan(self, compare: bool) -> Analysis:
        """Return the analysis with the fewest flops."""
        trials: list[dict[str, Any]] = [{}]
        if compare and not _is_chosen("icntl_7"):
            trials = [{"icntl_7": ordering} for ordering in _orderings()]
        found = [self._analyse(settings) for settings in trials]
        best = min(found, key=lambda a: a.flops)
        if len(found) > 1 and self.matrix.getBlockSize() > 1:
            found.append(self._analyse(best.settings | {"icntl_15": 0}))
            best = min(found, key=lambda a: a.flops)
        self.statistics["analysis"] = {
            a.ordering + (", no blocks" if "icntl_15" in a.settings else ""): a.flops for a in found
        }
        log.debug("flops with each ordering: %s", self.statistics["analysis"])
        return best

    def _analyse(self, settings: dict[str, Any]) -> Analysis:
        """Return what MUMPS expects.

        A cap of one megabyte makes it stop between analysis and factorisation.
        """
        tried = settings | {"icntl_14": _WORKSPACE, "icntl_23": 1}
        preconditioner = _set_up(self.matrix, tried, override=("icntl_23",))
        try:
            status = _infog(preconditioner, 1)
            if status not in _OUT_OF_MEMORY | _SHORT_OF_WORKSPACE | {0}:
                raise _failure(preconditioner)
            return Analysis(
                settings,
                _ORDERINGS.get(_infog(preconditioner, 7), "other"),
                _rinfog(preconditioner, 1),
                _infog(preconditioner, 16),
            )
        finally:
            preconditioner.destroy()

    def _climb(self, plan: Analysis | None, limit: memory.Limit):
        outcome = "start"
        for step in _ladder(plan, limit.bytes):
            if outcome not in step.follows:
                continue
            if step.megabytes * _MEGABYTE > limit.bytes:
                self._note(
                    step,
                    f"not tried: needs {memory.in_words(step.megabytes * _MEGABYTE)}, "
                    f"{memory.in_words(limit.bytes)} can be had",
                )
                outcome = "memory"
                continue
            clock = time.perf_counter()
            preconditioner = _set_up(self.matrix, step.settings)
            status = _infog(preconditioner, 1)
            seconds = time.perf_counter() - clock
            if status >= 0:
                self._note(step, "done", seconds)
                return preconditioner
            error = _failure(preconditioner)
            preconditioner.destroy()
            if status in _SHORT_OF_WORKSPACE:
                outcome = "workspace"
            elif status in _OUT_OF_MEMORY:
                outcome = "memory"
            elif status not in _OUT_OF_DISK:
                raise error
            self._note(step, str(error), seconds)
        expected = "" if plan is None else f", about {plan.megabytes / 1e3:.3g} GB on each rank"
        raise FactorDoesNotFit(
            f"no factor of the matrix of {self.matrix.getSize()[0]} rows fits in memory{expected}; "
            f"{memory.in_words(limit.bytes)} can be had ({limit.source}): use more ranks or nodes, "
            "or a method without a factor"
        )

    def _note(self, step: _Step, outcome: str, seconds: float = 0.0) -> None:
        attempt = {"step": step.name, "settings": step.settings, "outcome": outcome}
        attempts = self.statistics["attempts"]
        attempts.append(attempt | {"seconds": seconds})
        if outcome != "done":
            log.warning("factor %s: %s", step.name, outcome)
        elif len(attempts) > 1:
            log.warning("factor %s: done in %.3g s", step.name, seconds)

    def _measured(self) -> dict[str, Any]:
        info = self._factor.getMumpsInfog
        return {
            "ordering": _ORDERINGS.get(int(info(7)), "other"),
            "entries": _count(info(29)),
            "flops": float(self._factor.getMumpsRinfog(3)),
            "bytes": int(info(18)) * _MEGABYTE,
            "low_rank": bool(self._factor.getMumpsIcntl(35)),
            "out_of_core": bool(self._factor.getMumpsIcntl(22)),
            "null_pivots": int(info(28)),
            "analysis": self.statistics.get("analysis", {}),
        }

    @property
    def negatives(self) -> int:
        return int(self._factor.getMumpsInfog(12))


def _ladder(plan: Analysis | None, room: int) -> list[_Step]:
    """Return the steps in the order in which they are tried, with `room` bytes on a rank."""
    base = {} if plan is None else plan.settings
    megabytes = 0 if plan is None else plan.megabytes
    cap = {"icntl_14": _WORKSPACE, "icntl_23": max(1, room // _MEGABYTE)}
    short, failed = frozenset({"workspace"}), frozenset({"workspace", "memory"})

    def growth(workspace: int) -> float:
        return (100 + workspace) / (100 + _WORKSPACE)

    return [
        _Step("as planned", base | {"icntl_14": _WORKSPACE}, megabytes, frozenset({"start"})),
        *(
            _Step("with more workspace", base | {"icntl_14": w}, megabytes * growth(w), short)
            for w in _MORE_WORKSPACE
        ),
        _Step("with all memory", base | cap, 0, failed),
        _Step("block low-rank", base | cap | {"icntl_35": 2, "cntl_7": _LOW_RANK}, 0, failed),
        _Step("out of core", base | cap | {"icntl_22": 1}, 0, failed),
    ]


def _set_up(matrix, settings: dict[str, Any], override: tuple[str, ...] = ()):
    """Return the preconditioner after PETSc's set-up, successful or not.

    What the user set stays in force, except the names in `override`.
    """
    preconditioner = cholesky(matrix, "mumps")
    with _as_options(_ALWAYS | settings, override):
        preconditioner.setFactorSetUpSolverType()
        factor = preconditioner.getFactorMatrix()
        factor.setOptionsPrefix("gm_mumps_")  # PETSc would set it too late
        factor.destroy()  # this reference only
        preconditioner.setFromOptions()
        preconditioner.setUp()
    return preconditioner


@cache
def _orderings() -> tuple[int, ...]:
    """Return the good orderings that this MUMPS was built with: it falls back in silence."""
    from petsc4py import PETSc

    chain = sp.diags([-1.0, 4.0, -1.0], [-1, 0, 1], shape=(400, 400), format="csr")
    matrix = distributed_matrix(PETSc.COMM_SELF, chain, 1)
    built = []
    for ordering in (_METIS, _SCOTCH, _PORD, _AMF):
        preconditioner = _set_up(matrix, {"icntl_7": ordering}, ("icntl_7",))
        if _infog(preconditioner, 7) == ordering:
            built.append(ordering)
        preconditioner.destroy()
    matrix.destroy()
    return tuple(built)


@contextmanager
def _as_options(settings: dict[str, Any], override: tuple[str, ...]) -> Iterator[None]:
    """Set MUMPS' controls as PETSc options; what the user set stays, except `override`."""
    from petsc4py import PETSc

    options = PETSc.Options()
    chosen = {name: options.getString(_PREFIX + name) for name in override if _is_chosen(name)}
    ours = [name for name in settings if name in override or not _is_chosen(name)]
    folder = "MUMPS_OOC_TMPDIR"
    if folder not in os.environ:
        os.environ[folder] = tempfile.gettempdir()
    for name in ours:
        options[_PREFIX + name] = settings[name]
    try:
        yield
    finally:
        for name in ours:
            options.delValue(_PREFIX + name)
        for name, value in chosen.items():
            options[_PREFIX + name] = value


def _is_chosen(name: str) -> bool:
    from petsc4py import PETSc

    return PETSc.Options().hasName(_PREFIX + name)


def _infog(preconditioner, index: int) -> int:
    factor = preconditioner.getFactorMatrix()
    value = int(factor.getMumpsInfog(index))
    factor.destroy()  # this reference only
    return value


def _rinfog(preconditioner, index: int) -> float:
    factor = preconditioner.getFactorMatrix()
    value = float(factor.getMumpsRinfog(index))
    factor.destroy()
    return value


def _failure(preconditioner) -> SolverError:
    status, detail = (_infog(preconditioner, index) for index in (1, 2))
    return SolverError(f"MUMPS failed with INFOG(1) = {status}, INFOG(2) = {detail}")


def _count(value: int) -> float:
    """Return a number that MUMPS writes negative, in millions, where it overflows."""
    return float(value) if value >= 0 else -1e6 * value
