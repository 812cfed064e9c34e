"""Solves A x = b with a positive semi-definite operator, by whichever way suits time and memory.

A is singular: its known null vectors are projected out of b and x, so that x = A^+ b.  Three ways:

- a Cholesky factor of A + pins, verified by one residual, or of A + s I, s removed by refinement;
- conjugate gradients on the block product;
- any KSP and PC of PETSc, by options (`spectra.petsc_solver`).
"""

from __future__ import annotations

import logging
import time
from typing import Any, NamedTuple

import numpy as np

from glassmodes import memory
from glassmodes.errors import InputError, SolverError
from glassmodes.spectra.conjugate_gradient import conjugate_gradient
from glassmodes.spectra.factor_costs import FactorCost, estimate
from glassmodes.spectra.factorisations import FactorDoesNotFit, Factorisation, factorise
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.petsc_solver import PetscSolver

log = logging.getLogger(__name__)

METHODS = ("auto", "factor", "cg", "ksp")

ACCEPTED = 1e-9
"""Relative residual above which a solution is an error."""

_SHIFT = 1e-10  # s / mean diagonal of A: so small that one step of refinement removes it
_PIN = 1.0  # stiffness of a pin / mean diagonal of A
_REFINED = 1e-11  # relative residual that refinement reaches
_MAX_REFINEMENTS = 12
_CG_TOLERANCE = 1e-11
_ROUND_OFF = 1e-14  # of a projected right-hand side
_PEAK = 1.3  # bytes while a factor is made, over those it keeps

_CG_SECONDS = {2: (8000, 6.3, 36e-3), 3: (8000, 17.3, 35e-3), 4: (1500, 37.3, 8e-3)}
"""Sites, neighbours and seconds of a column, inverse-power-law glasses on one core."""
_CG_PRODUCT = 0.6  # share of the product, which grows with the neighbours, in an iteration
_CG_RANKS_EXPONENT = 0.85  # of the speed-up over ranks


class Estimates(NamedTuple):
    """Expected seconds for `columns` solves by each way, and bytes of the factor on a rank."""

    columns: int
    factor_seconds: float
    factor_bytes: int
    cg_seconds: float


class LinearSolver:
    """Solves with one operator; keeps the factor it made.  The owner calls `destroy`.

    Parameters
    ----------
    operator
        Positive semi-definite operator A.
    method : {"auto", "factor", "cg", "ksp"}
        "auto" takes what is estimated faster among what fits in memory, at the first solve, and
        the factor from then on once there is one.
    pinned : (n_local / site_size,) bool or None
        Sites of this rank held by springs to make A positive definite.  Loads without a part in
        the null space leave them at rest, so the pinned solution solves A x = b itself.  None:
        there is no such choice, A + s I is factorised and s removed by refinement.
    hidden_null_vectors
        A has null vectors that are not known, and right-hand sides have no part in them:
        "auto" takes conjugate gradients, whatever is faster.

    Attributes
    ----------
    record : dict
        What the solves so far did, for JSON: see `describe`.
    """

    def __init__(
        self,
        operator: BlockOperator,
        method: str = "auto",
        *,
        pinned: np.ndarray | None = None,
        hidden_null_vectors: bool = False,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"unknown solver {method!r}, expected one of {', '.join(METHODS)}")
        self.operator = operator
        self.method = method
        self.pinned = pinned
        self.hidden_null_vectors = hidden_null_vectors
        self._factor: Factorisation | None = None
        self._matrix: Any = None
        self._petsc: PetscSolver | None = None
        self._refused: str | None = None  # why no factor is made
        self._record: dict[str, Any] = {
            "columns": 0,
            "iterations": 0,
            "products": 0,
            "residual": 0.0,
            "seconds": 0.0,
        }

    def solve(self, right: np.ndarray, planned: int | None = None) -> np.ndarray:
        """Return A^+ b for the columns of `right`.

        Parameters
        ----------
        right : (n_local, k)
            Rows of this rank of the right-hand sides; overwritten by their part in the range
            of A.
        planned
            Columns that this and the following calls will solve in all, by default k: many
            small batches are worth a factor that one of them is not.

        Raises
        ------
        NotPositiveDefiniteError, NegativeCurvatureError
            If A has a negative eigenvalue.
        FactorDoesNotFit
            If the factor was asked for by name and does not fit.
        SolverError
            If a relative residual stays above 1e-9.

        Notes
        -----
        Collective.
        """
        clock = time.perf_counter()
        before = self.operator.products
        right = in_range(self.operator, right)
        columns = right.shape[1]
        chosen = self._choose(planned or columns)
        if chosen == "factor":
            try:
                solution, residual, iterations = self._by_factor(right)
            except FactorDoesNotFit as error:
                if self.method == "factor":
                    raise
                chosen, self._refused = "cg", str(error)
                log.warning("%s; going on with conjugate gradients", error)
        if chosen == "ksp":
            solution, residual, iterations = self._by_ksp(right)
        elif chosen == "cg":
            solution, info = conjugate_gradient(self.operator, right, tolerance=_CG_TOLERANCE)
            residual, iterations = float(info.residuals.max(initial=0.0)), info.iterations
        record = self._record
        record["method"] = chosen
        record["columns"] += columns
        record["products"] += self.operator.products - before
        record["iterations"] = max(record["iterations"], iterations)
        record["residual"] = max(record["residual"], residual)
        record["seconds"] += time.perf_counter() - clock
        return solution

    def describe(self) -> dict[str, Any]:
        """Return what was done and why, for JSON.

        Keys: method ("factor", "cg", "ksp" or None before the first solve), why, columns,
        iterations (largest number of one column; refinements of a factor), products, residual
        (largest, relative), seconds, estimated (columns, factor_seconds, factor_bytes,
        cg_seconds; None where the method was given), factor (its statistics, or None) and ksp
        (types, or None).
        """
        factor, petsc = self._factor, self._petsc
        return {
            "method": None,
            "why": None,
            "estimated": None,
            **self._record,
            "factor": None if factor is None else factor.statistics,
            "ksp": None if petsc is None else petsc.description,
        }

    def destroy(self) -> None:
        """Free the factor."""
        if self._factor is not None:
            self._factor.destroy()
            self._matrix.destroy()
            self._factor = self._matrix = None
        if self._petsc is not None:
            self._petsc.destroy()
            self._petsc = None

    def _choose(self, columns: int) -> str:
        if self.method != "auto":
            return self._chosen(self.method, "asked for")
        if self.hidden_null_vectors:
            return self._chosen("cg", "null vectors are not known")
        if self._factor is not None:
            return "factor"
        if self._refused is not None:
            return self._chosen("cg", self._refused)
        expected = expected_costs(self.operator, columns)
        self._record["estimated"] = expected._asdict()
        room = memory.available(self.operator.comm)
        room = min(self.operator.comm.allgather(room)) if self.operator.comm.size > 1 else room
        times = f"{expected.factor_seconds:.2g} s by factor, {expected.cg_seconds:.2g} s by cg"
        if expected.factor_seconds >= expected.cg_seconds:
            return self._chosen("cg", f"estimated faster: {times}")
        if _PEAK * expected.factor_bytes > room:
            needed = memory.in_words(_PEAK * expected.factor_bytes)
            return self._chosen("cg", f"a factor needs {needed}, {memory.in_words(room)} are left")
        return self._chosen("factor", f"estimated faster: {times}")

    def _chosen(self, method: str, why: str) -> str:
        if self._record.get("why") != why:
            log.debug("solves by %s: %s", method, why)
        self._record["why"] = why
        return method

    def _by_factor(self, right: np.ndarray) -> tuple[np.ndarray, float, int]:
        operator, factor = self.operator, self._cholesky()
        norm = norms(operator, right)
        solution = operator.project(factor.solve(right))
        previous, refinements = np.inf, 0
        while True:
            residual = operator.project(right - operator.apply(solution))
            worst = float(
                (norms(operator, residual) / np.where(norm > 0, norm, 1.0)).max(initial=0)
            )
            if worst < _REFINED or worst > 0.5 * previous or refinements == _MAX_REFINEMENTS:
                break
            previous = worst
            solution += operator.project(factor.solve(residual))
            refinements += 1
        if not worst <= ACCEPTED:
            raise SolverError(
                f"refinement of the factorised solve stopped at a residual of {worst:.1e}: "
                "the Hessian has nearly singular directions that are not known null vectors"
            )
        return solution, worst, refinements

    def _cholesky(self) -> Factorisation:
        if self._factor is None:
            matrix = self.operator.assembled()
            diagonal = matrix.createVecRight()
            diagonal.setArray(self._regularisation() * self.operator.mean_diagonal())
            matrix.setDiagonal(diagonal, addv=True)
            diagonal.destroy()
            try:
                self._factor = factorise(matrix, definite=True)
            except Exception:
                matrix.destroy()
                raise
            self._matrix = matrix
            log.debug("%s factor in %.2f s", self._factor.name, self._factor.seconds)
        return self._factor

    def _regularisation(self) -> np.ndarray:
        """Return what makes A positive definite when added to its diagonal, (n_local,)."""
        if self.pinned is None or self.hidden_null_vectors:
            return np.full(self.operator.n_local, _SHIFT)
        return np.repeat(np.where(self.pinned, _PIN, 0.0), self.operator.site_size)

    def _by_ksp(self, right: np.ndarray) -> tuple[np.ndarray, float, int]:
        if self._petsc is None:
            self._petsc = PetscSolver(self.operator)
        return self._petsc.solve(right)


def in_range(operator: BlockOperator, right: np.ndarray) -> np.ndarray:
    """Project null vectors out of `right`, in place, exactly to zero where nothing else was there.

    Collective.
    """
    before = norms(operator, right)
    operator.project(right)
    right[:, norms(operator, right) <= _ROUND_OFF * before] = 0.0
    return right


def norms(operator: BlockOperator, vectors: np.ndarray) -> np.ndarray:
    """Return the lengths of the columns of (n_local, k) vectors.  Collective."""
    return np.sqrt(operator.reduce(np.einsum("rk,rk->k", vectors, vectors)))


def expected_costs(operator: BlockOperator, columns: int) -> Estimates:
    """Estimate `columns` solves by a Cholesky factor and by conjugate gradients.

    Iterations of conjugate gradients grow as N^(1/d) with the N sites of a glass.  Collective.
    """
    d = operator.site_size if operator.site_size > 1 else 3
    ranks, z = operator.comm.size, _neighbours(operator, d)
    factor: FactorCost = estimate(operator.n, d, "cholesky", neighbours=z, ranks=ranks)
    sites, neighbours, seconds = _CG_SECONDS[min(max(d, 2), 4)]
    scale = operator.n / d / sites
    iteration = 1 - _CG_PRODUCT + _CG_PRODUCT * z / neighbours
    column = seconds * scale ** (1 + 1 / d) * iteration / ranks**_CG_RANKS_EXPONENT
    return Estimates(
        columns,
        factor.seconds + columns * factor.solve_seconds,
        factor.bytes,
        columns * column,
    )


def _neighbours(operator: BlockOperator, d: int) -> float:
    """Return the mean number of neighbours of a site, from the bytes of the stored operator."""
    stored = float(operator.reduce(np.array(operator.memory)))
    if operator.site_size > 1:  # d + 1 doubles and an index an edge
        return max(2 * d * stored / (8 * d + 12) / operator.n, 1.0)
    return max(stored / 12 / operator.n / d - 1, 1.0)  # a double and an index an entry
