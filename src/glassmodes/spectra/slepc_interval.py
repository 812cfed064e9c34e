"""SLEPc's spectrum slicing: all eigenpairs in an interval, as an alternative and oracle."""

from __future__ import annotations

import time

import numpy as np

from glassmodes.errors import SolverError
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.rayleigh_ritz import EigenPairs, rayleigh_ritz

_PREFIX = "gm_eps_"
_FACTOR_OPTIONS = {"icntl_13": "1", "icntl_24": "1"}  # inertia on ranks, and at null pivots

_KNOWN = 0.5  # share of a vector in the locked space from which it is nothing new


def interval_eigenpairs(
    operator: BlockOperator, low: float, high: float, locked: np.ndarray | None = None,
    tolerance: float = 1e-8,
) -> EigenPairs:  # fmt: skip
    """Find all eigenpairs in [low, high], low > 0, with SLEPc's Krylov-Schur spectrum slicing.

    Spectrum slicing takes no deflation space: what lies in the span of the `locked` vectors is
    left out afterwards.

    Options under the prefix ``gm_eps_`` reach the solver.  Collective.

    Raises
    ------
    SolverError
        If SLEPc gives up.
    """
    from petsc4py import PETSc
    from slepc4py import SLEPc

    clock = time.perf_counter()
    options = PETSc.Options()
    for name, value in _FACTOR_OPTIONS.items():
        key = f"{_PREFIX}st_mat_mumps_{name}"
        if not options.hasName(key):
            options[key] = value
    matrix = operator.assembled()
    solver = SLEPc.EPS().create(operator.comm)
    solver.setOptionsPrefix(_PREFIX)
    solver.setOperators(matrix)
    solver.setProblemType(SLEPc.EPS.ProblemType.HEP)
    solver.setType(SLEPc.EPS.Type.KRYLOVSCHUR)
    solver.setWhichEigenpairs(SLEPc.EPS.Which.ALL)
    solver.setInterval(low, high)
    solver.setKrylovSchurDetectZeros(True)
    solver.setTolerances(tolerance * 1e-2)
    transform = solver.getST()
    transform.setType(SLEPc.ST.Type.SINVERT)
    # Slices have a solver of their own, which versions before 3.18 set up from this one.
    own = hasattr(solver, "getKrylovSchurKSP")
    factor = solver.getKrylovSchurKSP() if own else transform.getKSP()
    factor.setType(PETSc.KSP.Type.PREONLY)
    factor.getPC().setType("cholesky")
    factor.getPC().setFactorSolverType("mumps")
    solver.setFromOptions()
    PETSc.Sys.pushErrorHandler("ignore")
    try:
        solver.solve()
    except PETSc.Error as error:
        raise SolverError(
            f"SLEPc's spectrum slicing of [{low:.6g}, {high:.6g}] failed (PETSc error "
            f"{error.ierr}): an end at an eigenvalue is not for it, choose another method"
        ) from None
    finally:
        PETSc.Sys.popErrorHandler()
    vector = matrix.createVecRight()
    found = solver.getConverged()
    vectors = np.empty((operator.n_local, found), order="F")
    for k in range(found):
        solver.getEigenvector(k, vector)
        vectors[:, k] = vector.getArray()
    for item in (solver, matrix, vector):
        item.destroy()
    operator.project(vectors)
    if locked is not None:
        shares = np.square(operator.inner(locked, vectors)).sum(axis=0)
        vectors = np.asfortranarray(vectors[:, shares < _KNOWN])
    pairs = EigenPairs(np.zeros(0), vectors, np.zeros(0))
    if vectors.shape[1]:
        pairs = rayleigh_ritz(operator, vectors)
    pairs.info = {"products": 0, "seconds": time.perf_counter() - clock}
    return pairs
