"""What every factorisation back end offers: solve many, count negatives, tell what it cost."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from glassmodes.errors import ResourceError, SolverError
from glassmodes.spectra.factor_costs import FactorCost, estimate

_COLUMNS_AT_ONCE = 64
_INDEX_LIMIT = 2**31 - 1  # columns x rows of a dense block


class NotPositiveDefiniteError(SolverError):
    """A Cholesky factorisation met a negative pivot; `negatives` is their number or None."""

    def __init__(self, message: str, negatives: int | None) -> None:
        super().__init__(message)
        self.negatives = negatives

    def __reduce__(self):
        return (NotPositiveDefiniteError, (str(self), self.negatives))


class FactorDoesNotFit(ResourceError):
    """No back end can hold the factor in memory, or on disk: take a method without one."""


class Factorisation(ABC):
    """A factorised symmetric PETSc matrix; the owner calls `destroy`.

    Parameters
    ----------
    matrix : PETSc.Mat
        Assembled AIJ matrix; kept by reference, not changed.
    definite : bool
        Refuse a matrix with negative pivots.

    Attributes
    ----------
    statistics : dict
        ``backend``, ``ordering``, ``entries`` of the factor, ``fill`` (entries over those of a
        triangle of the matrix), ``flops`` (None where the back end does not tell), ``bytes`` on
        the fullest rank, ``seconds`` in all, and ``attempts``: settings and outcome of each.
    """

    name: str

    @staticmethod
    @abstractmethod
    def serves(matrix, definite: bool) -> bool:
        """Tell whether this back end can factorise the matrix on its ranks."""

    def __init__(self, matrix, definite: bool) -> None:
        self.matrix = matrix
        self.statistics: dict[str, Any] = {"backend": self.name, "attempts": []}
        clock = time.perf_counter()
        self._preconditioner = self._factorise(definite)
        self.seconds = time.perf_counter() - clock
        self._factor = self._preconditioner.getFactorMatrix()
        self.statistics |= self._measured()
        n, stored = matrix.getSize()[0], matrix.getInfo(matrix.InfoType.GLOBAL_SUM)["nz_used"]
        self.statistics["fill"] = self.statistics["entries"] / ((stored + n) / 2)
        self.statistics["seconds"] = self.seconds

    @abstractmethod
    def _factorise(self, definite: bool):
        """Return the set-up PETSc preconditioner or raise a `SolverError`."""

    @abstractmethod
    def _measured(self) -> dict[str, Any]:
        """Return entries, flops, bytes and the ordering of the finished factor."""

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


def expected_cost(matrix, kind: str) -> FactorCost:
    """Estimate the cost of a factor of an assembled matrix from its size and entries.

    Blocks of 2 to 4 rows tell the dimension; other matrices are taken for three-dimensional ones.
    Collective.
    """
    rows, block = matrix.getSize()[0], matrix.getBlockSize()
    stored = matrix.getInfo(matrix.InfoType.GLOBAL_SUM)["nz_used"]
    d = block if block in (2, 3, 4) else 3
    neighbours = max(stored / max(rows, 1) / d - 1, 1.0)
    return estimate(rows, d, kind, neighbours=neighbours, ranks=matrix.getComm().getSize())


def cholesky(matrix, package: str):
    """Return a PETSc Cholesky preconditioner with its options under ``gm_<package>_``."""
    from petsc4py import PETSc

    preconditioner = PETSc.PC().create(matrix.getComm())
    preconditioner.setOptionsPrefix(f"gm_{package}_")
    preconditioner.setType("cholesky")
    preconditioner.setFactorSolverType(package)
    preconditioner.setOperators(matrix)
    return preconditioner
