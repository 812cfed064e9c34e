"""SLEPc's eigensolvers: Krylov-Schur with shift-invert, or what its options ask for.

Kept as an alternative that users know, and as oracle.  Options have the prefix ``gm_``:
``-gm_eps_type lobpcg``, ``-gm_st_type filter``, ``-gm_mat_type shell`` (the block product instead
of an assembled matrix), ``-gm_eps_ncv 300``, ``-gm_st_mat_mumps_icntl_14 100`` and so on.
"""

from __future__ import annotations

import time
from contextlib import suppress

import numpy as np

from glassmodes import memory
from glassmodes.errors import SolverError
from glassmodes.spectra.eigenvalue_counts import kernel_polynomial_count
from glassmodes.spectra.factor_interface import expected_cost
from glassmodes.spectra.filtered_lanczos import Target, residual_target
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.petsc_solver import (
    PREFIX,
    SHELL,
    JacobiContext,
    as_solver_error,
    petsc_matrix,
)
from glassmodes.spectra.rayleigh_ritz import EigenPairs, rayleigh_ritz

_SHIFT = -1e-7  # times the bound: close to the wanted end, and A - shift is positive definite
_INVERTING = {"krylovschur", "subspace", "arnoldi", "lanczos", "power", "arpack", "blopex"}
_WHOLE_INTERVAL = {"ciss"}  # solvers that find all modes of an interval
_SPARE = 1.3  # modes in the interval over those wanted: its end comes from an estimate
_WIDENINGS = 6
_MOST_ITERATIONS = 10_000  # of solvers without a factor


def shift_invert(operator: BlockOperator, target: Target, bound, locked=None,
                 tolerance: float = 1e-8) -> EigenPairs:  # fmt: skip
    """Find the lowest eigenpairs with SLEPc.

    Raises
    ------
    ResourceError
        If the factor of shift-invert does not fit in memory.
    SolverError
        If SLEPc does not converge, or lacks what its options ask for.

    Notes
    -----
    Collective.
    """
    clock = time.perf_counter()
    wanted = target.needed(np.zeros(0)) if target.count is not None else 64
    space = operator.n - operator.nullity - (0 if locked is None else locked.shape[1])
    while True:
        wanted = min(wanted, space)
        run = _Run(operator, wanted, bound, locked, tolerance)
        try:
            pairs = run.solve()
        except Exception as error:
            raise as_solver_error(error) from None
        finally:
            run.destroy()
        if target.count is not None or len(pairs.values) >= min(target.needed(pairs.values), space):
            break
        wanted *= 2
    limit = 10 * residual_target(pairs.values, bound, tolerance)
    worst = float(np.max(pairs.residuals / limit, initial=0.0))
    if not worst <= 1:
        raise SolverError(
            f"modes of SLEPc miss the residual asked for {10 * worst:.1e} times: "
            f"try a smaller -{PREFIX}eps_tol or another -{PREFIX}eps_type"
        )
    pairs.info |= {"method": "slepc", "seconds": time.perf_counter() - clock}
    return pairs


class _Run:
    """One call of SLEPc for the lowest `wanted` modes; the owner calls `destroy`."""

    def __init__(self, operator, wanted, bound, locked, tolerance) -> None:
        from petsc4py import PETSc

        self.operator, self.wanted, self.bound = operator, wanted, bound
        self.tolerance = tolerance
        options = PETSc.Options()
        self.type = options.getString(f"{PREFIX}eps_type", "krylovschur")
        self.transform = options.getString(f"{PREFIX}st_type", "")
        self.known = np.column_stack([operator.null_space] + ([] if locked is None else [locked]))
        self._owned: list = []

    def solve(self) -> EigenPairs:
        """Return the converged eigenpairs after a Rayleigh-Ritz step in A.  Collective."""
        solver, matrix = self._create()
        upper = None
        if self.type in _WHOLE_INTERVAL or self.transform == "filter":
            upper = self._interval(solver, _SPARE)
        solver.setFromOptions()
        for widening in range(1, _WIDENINGS):
            solver.solve()
            found = solver.getConverged()
            if found >= self.wanted or upper is None:
                break
            upper = self._interval(solver, _SPARE ** (widening + 1))
        if found < self.wanted:
            raise SolverError(
                f"{solver.getType()} of SLEPc converged {found} of {self.wanted} modes: raise "
                f"-{PREFIX}eps_max_it or -{PREFIX}eps_ncv, or take another -{PREFIX}eps_type"
            )
        vectors = np.empty((self.operator.n_local, found), order="F")
        vector = matrix.createVecRight()
        for k in range(found):
            solver.getEigenvector(k, vector)
            vectors[:, k] = vector.getArray()
        vector.destroy()
        pairs = rayleigh_ritz(self.operator, self.operator.project(vectors))
        pairs.info = {
            "restarts": solver.getIterationNumber(),
            "products": 0,
            "eps_type": solver.getType(),
            "st_type": solver.getST().getType(),
        }
        return pairs

    def _create(self):
        from petsc4py import PETSc
        from slepc4py import SLEPc

        matrix, kind = petsc_matrix(self.operator, self.bound.upper)
        self._owned.append(matrix)
        solver = SLEPc.EPS().create(self.operator.comm)
        self._owned.append(solver)
        solver.setOptionsPrefix(PREFIX)
        solver.setOperators(matrix)
        solver.setProblemType(SLEPc.EPS.ProblemType.HEP)
        solver.setDimensions(self.wanted)
        solver.setTolerances(self.tolerance * 1e-2)
        transform = solver.getST()
        inner = transform.getKSP()
        inverts = kind != SHELL and self.type in _INVERTING and self.transform in ("", "sinvert")
        if inverts or (kind != SHELL and self.type in _WHOLE_INTERVAL):
            cost = expected_cost(matrix, "ldlt")
            advice = (
                f"take the filtered method, or -{PREFIX}mat_type shell -{PREFIX}eps_type lobpcg"
            )
            memory.require(self.operator.comm, cost.bytes, "the factor of shift-invert", advice)
            inner.setType(PETSc.KSP.Type.PREONLY)
            inner.getPC().setType("cholesky")
            inner.getPC().setFactorSolverType("mumps")
        if inverts:
            solver.setWhichEigenpairs(SLEPc.EPS.Which.TARGET_MAGNITUDE)
            solver.setTarget(_SHIFT * self.bound.upper)
            transform.setType(SLEPc.ST.Type.SINVERT)
        else:
            solver.setWhichEigenpairs(SLEPc.EPS.Which.SMALLEST_REAL)
            solver.setTolerances(max_it=_MOST_ITERATIONS)
            if kind == SHELL:
                inner.getPC().setType("python")
                inner.getPC().setPythonContext(JacobiContext(self.operator, self.bound.upper))
        deflated = []
        for column in self.known.T:
            vector = matrix.createVecRight()
            vector.setArray(column)
            deflated.append(vector)
        self._owned += deflated
        if deflated:
            solver.setDeflationSpace(deflated)
        return solver, matrix

    def _interval(self, solver, spare: float) -> float:
        """Ask for all modes below an edge that should hold `spare` times those wanted."""
        from slepc4py import SLEPc

        bound = self.bound
        products = int(min(2000, 40 + 8 * np.sqrt(self.operator.n / self.wanted)))
        counted = kernel_polynomial_count(self.operator, bound, products)
        number = min(spare * self.wanted + 2, 0.9 * (self.operator.n - self.operator.nullity))
        edge = counted.edge(number)
        low = min(bound.lower, 0.0) + _SHIFT * bound.upper
        solver.setWhichEigenpairs(SLEPc.EPS.Which.ALL)
        solver.setInterval(low, edge)
        if self.type in _WHOLE_INTERVAL:
            region = solver.getRG()
            region.setType("interval")
            # It deflates nothing: known null vectors must stay outside.
            region.setIntervalEndpoints(-low if self.known.shape[1] else low, edge, 0.0, 0.0)
        else:
            transform = solver.getST()
            transform.setType(SLEPc.ST.Type.FILTER)
            transform.setFilterInterval(low, edge)
            transform.setFilterRange(low, bound.upper)
        return edge

    def destroy(self) -> None:
        """Free what PETSc holds."""
        from petsc4py import PETSc

        for item in reversed(self._owned):
            with suppress(PETSc.Error):  # a solver that failed may refuse; its own error counts
                item.destroy()
