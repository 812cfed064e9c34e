"""Sparse symmetric factorisations behind one small interface: solve many, count negatives.

CHOLMOD (METIS ordering inside) serves positive definite matrices on one rank; MUMPS serves
several ranks and every indefinite matrix, whose inertia it counts.  Another back end is one
more subclass of `Factorisation` in `BACKENDS`.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod

import numpy as np

from glassmodes.errors import SolverError

log = logging.getLogger(__name__)

_WORKSPACE_STEPS = (50, 100, 200, 400)  # percent, MUMPS ICNTL(14), after INFOG(1) = -8 or -9
_COLUMNS_AT_ONCE = 64
_INDEX_LIMIT = 2**31 - 1  # columns x rows of a dense block, and factor entries of CHOLMOD


class NotPositiveDefiniteError(SolverError):
    """A Cholesky factorisation met a negative pivot; `negatives` is their number or None."""

    def __init__(self, message: str, negatives: int | None) -> None:
        super().__init__(message)
        self.negatives = negatives

    def __reduce__(self):
        return (NotPositiveDefiniteError, (str(self), self.negatives))


class Factorisation(ABC):
    """A factorised symmetric PETSc matrix; the owner calls `destroy`.

    Parameters
    ----------
    matrix : PETSc.Mat
        Assembled AIJ matrix; kept by reference, not changed.
    definite : bool
        Refuse a matrix with negative pivots.
    """

    name: str

    @staticmethod
    @abstractmethod
    def serves(matrix, definite: bool) -> bool:
        """Tell whether this back end can factorise the matrix on its ranks."""

    def __init__(self, matrix, definite: bool) -> None:
        self.matrix = matrix
        clock = time.perf_counter()
        self._preconditioner = self._factorise(definite)
        self.seconds = time.perf_counter() - clock
        self._factor = self._preconditioner.getFactorMatrix()

    @abstractmethod
    def _factorise(self, definite: bool):
        """Return the set-up PETSc preconditioner or raise a `SolverError`."""

    @property
    @abstractmethod
    def negatives(self) -> int:
        """Number of negative eigenvalues of the matrix (Sylvester's law of inertia)."""

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Return the solutions for the columns of `right` (n_local, k).  Collective."""
        from petsc4py import PETSc

        n_local, n = right.shape[0], self.matrix.getSize()[0]
        step = max(1, min(_COLUMNS_AT_ONCE, _INDEX_LIMIT // max(n, 1)))
        result = np.empty_like(right, order="F")
        for first in range(0, right.shape[1], step):
            part = np.asfortranarray(right[:, first : first + step])
            size = ((n_local, n), (None, part.shape[1]))
            comm = self.matrix.getComm()
            b = PETSc.Mat().createDense(size, comm=comm)
            b.setUp()
            b.getDenseArray()[:] = part
            b.assemble()
            x = b.duplicate()
            self._factor.matSolve(b, x)
            result[:, first : first + step] = x.getDenseArray()
            b.destroy()
            x.destroy()
        return result

    def destroy(self) -> None:
        """Free the factor."""
        # petsc4py counts a reference for the matrix it handed out and would free it late.
        self._factor.destroy()
        self._preconditioner.destroy()


def _cholesky(matrix, package: str):
    from petsc4py import PETSc

    preconditioner = PETSc.PC().create(matrix.getComm())
    preconditioner.setOptionsPrefix(f"gm_{package}_")
    preconditioner.setType("cholesky")
    preconditioner.setFactorSolverType(package)
    preconditioner.setOperators(matrix)
    return preconditioner


class CholmodFactorisation(Factorisation):
    """CHOLMOD's supernodal Cholesky: one rank, positive definite only, fastest there."""

    name = "cholmod"

    @staticmethod
    def serves(matrix, definite: bool) -> bool:
        """Tell whether CHOLMOD is there and can take the matrix."""
        from petsc4py import PETSc

        return (
            definite
            and matrix.getComm().getSize() == 1
            and PETSc.Sys.hasExternalPackage("suitesparse")
        )

    def _factorise(self, definite: bool):
        from petsc4py import PETSc

        preconditioner = _cholesky(self.matrix, "cholmod")
        options = PETSc.Options()
        quiet = "gm_cholmod_mat_cholmod_print"
        if not options.hasName(quiet):
            options[quiet] = 0  # its warnings would go to stdout
        preconditioner.setFromOptions()
        PETSc.Sys.pushErrorHandler("ignore")
        try:
            preconditioner.setUp()
        except PETSc.Error as error:
            preconditioner.destroy()
            if error.ierr == 81:  # PETSC_ERR_MAT_CH_ZRPVT: not positive definite
                raise NotPositiveDefiniteError(
                    "the matrix is not positive definite", None
                ) from None
            raise SolverError(
                f"CHOLMOD cannot factorise the matrix (PETSc error {error.ierr}): choose MUMPS"
            ) from None
        finally:
            PETSc.Sys.popErrorHandler()
        return preconditioner

    @property
    def negatives(self) -> int:
        return 0  # otherwise it would have refused


class MumpsFactorisation(Factorisation):
    """MUMPS L D L^T: any number of ranks, any inertia."""

    name = "mumps"

    @staticmethod
    def serves(matrix, definite: bool) -> bool:
        """MUMPS takes everything."""
        return True

    def _factorise(self, definite: bool):
        for workspace in _WORKSPACE_STEPS:
            preconditioner = _cholesky(self.matrix, "mumps")
            preconditioner.setFactorSetUpSolverType()
            factor = preconditioner.getFactorMatrix()
            factor.setMumpsIcntl(14, workspace)
            factor.setMumpsIcntl(13, 1)  # no ScaLAPACK root: it hides pivots from the inertia
            factor.setMumpsIcntl(24, 1)  # detect null pivots
            preconditioner.setFromOptions()
            preconditioner.setUp()
            status, detail = factor.getMumpsInfog(1), factor.getMumpsInfog(2)
            negatives = factor.getMumpsInfog(12)
            factor.destroy()  # this reference only
            if status >= 0:
                break
            preconditioner.destroy()
            if status not in (-8, -9):
                raise SolverError(f"MUMPS failed with INFOG(1) = {status}, INFOG(2) = {detail}")
            log.warning("MUMPS wants more workspace than %d %%, trying again", workspace)
        else:
            raise SolverError("MUMPS ran out of workspace (ICNTL(14) up to 400 %)")
        if definite and negatives:
            preconditioner.destroy()
            raise NotPositiveDefiniteError(
                f"the matrix has {negatives} negative pivots", int(negatives)
            )
        return preconditioner

    @property
    def negatives(self) -> int:
        return int(self._factor.getMumpsInfog(12))


BACKENDS: tuple[type[Factorisation], ...] = (CholmodFactorisation, MumpsFactorisation)


def factorise(matrix, definite: bool, backend: str | None = None) -> Factorisation:
    """Factorise a symmetric PETSc matrix with the named or the first serving back end.

    Parameters
    ----------
    matrix : PETSc.Mat
        Assembled AIJ matrix.
    definite
        True: Cholesky, negative pivots are refused.  False: L D L^T with inertia.
    backend : {"cholmod", "mumps"} or None
        Back end to use.

    Raises
    ------
    NotPositiveDefiniteError
        If `definite` and the matrix is not.
    SolverError
        If the factorisation fails.
    """
    for candidate in BACKENDS:
        if backend in (None, candidate.name) and candidate.serves(matrix, definite):
            return candidate(matrix, definite)
    raise SolverError(f"no factorisation back end {backend!r} serves this matrix and rank count")


def count_below(operator, edge: float) -> tuple[int, float]:
    """Count the eigenvalues of a `BlockOperator` below `edge` by the inertia of A - edge I.

    All null vectors count when ``edge > 0``.  Returns the count and the seconds it took.
    Collective.
    """
    clock = time.perf_counter()
    matrix = operator.assembled()
    matrix.shift(-edge)
    try:
        factor = factorise(matrix, definite=False)
        count = factor.negatives
        factor.destroy()
    finally:
        matrix.destroy()
    return count, time.perf_counter() - clock
