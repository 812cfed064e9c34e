"""SLEPc's Krylov-Schur with shift-invert: what users know, kept as an alternative and oracle."""

from __future__ import annotations

import time

import numpy as np

from glassmodes.errors import SolverError
from glassmodes.spectra.filtered_lanczos import EigenPairs, Target, rayleigh_ritz
from glassmodes.spectra.operators import BlockOperator

_SHIFT = -1e-7  # times the bound: close to the wanted end, and A - shift is positive definite


def shift_invert(operator: BlockOperator, target: Target, bound, locked=None,
                 tolerance: float = 1e-8) -> EigenPairs:  # fmt: skip
    """Find the lowest eigenpairs with SLEPc.

    Options under the prefix ``gm_eps_`` reach the solver (``-gm_eps_st_...`` its factor).
    Collective.
    """
    clock = time.perf_counter()
    wanted = target.needed(np.zeros(0)) if target.count is not None else 64
    space = operator.n - operator.nullity - (0 if locked is None else locked.shape[1])
    while True:
        wanted = min(wanted, space)
        pairs = _krylov_schur(operator, wanted, bound, locked, tolerance)
        if target.count is not None or len(pairs.values) >= min(target.needed(pairs.values), space):
            break
        wanted *= 2
    pairs.info |= {"method": "slepc", "seconds": time.perf_counter() - clock}
    return pairs


def _krylov_schur(operator, wanted, bound, locked, tolerance) -> EigenPairs:
    from petsc4py import PETSc
    from slepc4py import SLEPc

    matrix = operator.assembled()
    _lift(matrix, np.where(operator.null_rows, bound.upper, 0.0))
    solver = SLEPc.EPS().create(operator.comm)
    solver.setOptionsPrefix("gm_eps_")
    solver.setOperators(matrix)
    solver.setProblemType(SLEPc.EPS.ProblemType.HEP)
    solver.setWhichEigenpairs(SLEPc.EPS.Which.TARGET_MAGNITUDE)
    shift = _SHIFT * bound.upper
    solver.setTarget(shift)
    solver.setDimensions(wanted)
    solver.setTolerances(tolerance * 1e-2)
    transform = solver.getST()
    transform.setType(SLEPc.ST.Type.SINVERT)
    factor = transform.getKSP()
    factor.setType(PETSc.KSP.Type.PREONLY)
    factor.getPC().setType("cholesky")
    factor.getPC().setFactorSolverType("mumps")
    known = np.column_stack([operator.null_space] + ([] if locked is None else [locked]))
    deflated = []
    for column in known.T:
        vector = matrix.createVecRight()
        vector.setArray(column)
        deflated.append(vector)
    if deflated:
        solver.setDeflationSpace(deflated)
    solver.setFromOptions()
    solver.solve()
    found = solver.getConverged()
    if found < wanted:
        raise SolverError(f"SLEPc converged {found} of {wanted} modes")
    vectors = np.empty((operator.n_local, found), order="F")
    vector = matrix.createVecRight()
    for k in range(found):
        solver.getEigenvector(k, vector)
        vectors[:, k] = vector.getArray()
    solves = solver.getIterationNumber()
    for item in (solver, matrix, vector, *deflated):
        item.destroy()
    pairs = rayleigh_ritz(operator, operator.project(vectors))
    pairs.info = {"restarts": solves, "products": 0}
    return pairs


def _lift(matrix, diagonal: np.ndarray) -> None:
    """Add `diagonal` (n_local,) to a PETSc matrix: null rows move to the top of the spectrum."""
    vector = matrix.createVecRight()
    vector.setArray(diagonal)
    matrix.setDiagonal(vector, addv=True)
    vector.destroy()
