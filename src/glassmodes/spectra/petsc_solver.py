"""Any Krylov solver and preconditioner of PETSc on a `BlockOperator`, chosen by options.

``-gm_mat_type`` takes ``shell`` (the block product) or a matrix type of PETSc (``aij``, the
default, ``baij``, ``sbaij``, ``aijcusparse``, ...); ``-gm_ksp_type``, ``-gm_pc_type`` and their
further options set the solver.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glassmodes.errors import SolverError
from glassmodes.spectra.conjugate_gradient import BlockJacobi, NegativeCurvatureError
from glassmodes.spectra.operators import BlockOperator

PREFIX = "gm_"
MATRIX_TYPE = f"{PREFIX}mat_type"
SHELL = "shell"

_INDEFINITE = -10  # KSP_DIVERGED_INDEFINITE_MAT
_INDEFINITE_PRECONDITIONER = -8  # KSP_DIVERGED_INDEFINITE_PC
_BLOCKS_OF_A = {"jacobi", "pbjacobi", "python"}  # indefinite only if A is

_TOLERANCE = 1e-10  # of PETSc's own test, which may be in a preconditioned norm
_ACCEPTED = 1e-9  # of the true residual, relative
_REFINEMENTS = 3  # solves of the residual equation before a solution is refused


class PetscSolver:
    """A PETSc KSP for one operator; the owner calls `destroy`.

    Parameters
    ----------
    operator
        Positive semi-definite operator A.

    Attributes
    ----------
    description : dict
        ``matrix_type``, ``ksp_type`` and ``pc_type`` in force.

    Raises
    ------
    SolverError
        With PETSc's own words, if it lacks the types asked for.

    Notes
    -----
    Construction is collective.
    """

    def __init__(self, operator: BlockOperator) -> None:
        self.operator = operator
        self._nullspace: Any = None
        try:
            lift = operator.mean_diagonal()
            self._matrix, kind = petsc_matrix(operator, lift)
            self._solver = self._set_up(kind, lift)
        except Exception as error:
            raise as_solver_error(error) from None
        self.description = {
            "matrix_type": kind,
            "ksp_type": self._solver.getType(),
            "pc_type": self._solver.getPC().getType(),
        }

    def _set_up(self, kind: str, lift: float):
        from petsc4py import PETSc

        matrix, operator = self._matrix, self.operator
        if operator.null_space.shape[1]:
            vectors = [_vector(matrix, column) for column in operator.null_space.T]
            self._nullspace = PETSc.NullSpace().create(vectors=vectors, comm=matrix.getComm())
            matrix.setNullSpace(self._nullspace)
            matrix.setNearNullSpace(self._nullspace)
            for vector in vectors:
                vector.destroy()
        solver = PETSc.KSP().create(matrix.getComm())
        solver.setOptionsPrefix(PREFIX)
        solver.setOperators(matrix)
        solver.setType("cg")
        solver.setTolerances(rtol=_TOLERANCE, max_it=int(200 * np.sqrt(operator.n)) + 5000)
        preconditioner = solver.getPC()
        if kind == SHELL:
            preconditioner.setType("python")
            preconditioner.setPythonContext(JacobiContext(operator, lift))
        else:
            preconditioner.setType("pbjacobi")
        solver.setFromOptions()
        solver.setUp()
        return solver

    def solve(self, right: np.ndarray) -> tuple[np.ndarray, float, int]:
        """Return A^+ b for (n_local, k) columns, the worst relative residual and iterations.

        Raises
        ------
        SolverError
            If a column does not converge.

        Notes
        -----
        Collective.  One column after another: PETSc's Krylov methods take one vector.
        """
        solution = np.empty_like(right, order="F")
        worst, iterations = 0.0, 0
        for k in range(right.shape[1]):
            solution[:, k], residual, steps = self._solve_column(right[:, k])
            worst, iterations = max(worst, residual), max(iterations, steps)
        return solution, worst, iterations

    def _solve_column(self, right: np.ndarray) -> tuple[np.ndarray, float, int]:
        operator, solver = self.operator, self._solver
        norm = self._norm(right)
        solution, residual, steps = np.zeros_like(right), right.copy(), 0
        size = 1.0 if norm > 0 else 0.0
        b, x = self._matrix.createVecs(side="l"), self._matrix.createVecs(side="r")
        try:
            for _ in range(1 + _REFINEMENTS):
                if size <= _ACCEPTED:
                    break
                b.setArray(residual)
                solver.solve(b, x)
                steps += solver.getIterationNumber()
                self._check(solver)
                step = x.getArray().reshape(-1, 1).copy()
                solution += operator.project(step)[:, 0]
                residual = operator.project((right - operator.apply(solution))[:, None])[:, 0]
                size = self._norm(residual) / norm
        finally:
            b.destroy()
            x.destroy()
        if not size <= _ACCEPTED:
            raise SolverError(
                f"{solver.getType()} of PETSc left a relative residual of {size:.1e}, wanted "
                f"{_ACCEPTED:.0e}: try a smaller -{PREFIX}ksp_rtol"
            )
        return solution, size, steps

    def _check(self, solver) -> None:
        reason, preconditioner = solver.getConvergedReason(), solver.getPC().getType()
        bad_blocks = reason == _INDEFINITE_PRECONDITIONER and preconditioner in _BLOCKS_OF_A
        if reason == _INDEFINITE or bad_blocks:
            raise NegativeCurvatureError(f"{solver.getType()} of PETSc met negative curvature")
        if reason < 0:
            raise SolverError(
                f"{solver.getType()} of PETSc did not converge (reason {reason}) after "
                f"{solver.getIterationNumber()} iterations: choose another -{PREFIX}ksp_type, "
                f"-{PREFIX}pc_type or -{PREFIX}ksp_max_it"
            )

    def _norm(self, vector: np.ndarray) -> float:
        return float(np.sqrt(self.operator.reduce(np.array(vector @ vector))))

    def destroy(self) -> None:
        """Free the solver and its matrix."""
        for item in (self._solver, self._nullspace, self._matrix):
            if item is not None:
                item.destroy()


def petsc_matrix(operator: BlockOperator, lift: float):
    """Return A + lift on its null rows, of the type in ``-gm_mat_type``, and that type.

    Null rows are lifted out of the way of preconditioners and of low modes.  Collective; the
    caller destroys the matrix.
    """
    from petsc4py import PETSc

    kind = PETSc.Options().getString(MATRIX_TYPE, "aij")
    lifted = np.where(operator.null_rows, lift, 0.0)
    if kind == SHELL:
        return _ShellProduct(operator, lifted).matrix(), kind
    matrix = operator.assembled()
    if operator.reduce(np.array(operator.null_rows.sum())):
        diagonal = _vector(matrix, lifted)
        matrix.setDiagonal(diagonal, addv=True)
        diagonal.destroy()
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)  # the change has cleared it
    if kind != "aij":
        try:
            matrix.convert(kind)
        except PETSc.Error:
            matrix.destroy()
            raise
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    return matrix, kind


def as_solver_error(error: Exception) -> Exception:
    """Return a `SolverError` with the message of a PETSc error, and other errors as they are."""
    from petsc4py import PETSc

    if not isinstance(error, PETSc.Error):
        return error
    # "error code 86", then lines "[rank] Function() at file:line", then the message.
    lines = [line.partition("] ")[2] for line in str(error).splitlines()[1:]]
    words = [line for line in lines if "() at " not in line]
    return SolverError(f"PETSc: {'; '.join(words) or f'error {error.ierr}'}")


def _vector(matrix, values: np.ndarray):
    vector = matrix.createVecRight()
    vector.setArray(values)
    return vector


class _ShellProduct:
    """factor A + diag(values), as PETSc calls it; values : (n_local,)."""

    def __init__(self, operator: BlockOperator, values: np.ndarray, factor: float = 1.0) -> None:
        self._operator, self._values, self._factor = operator, values, factor

    def matrix(self):
        """Return a PETSc shell matrix with this product.  Collective."""
        from petsc4py import PETSc

        size = (self._operator.n_local, self._operator.n)
        matrix = PETSc.Mat().createPython((size, size), self, comm=self._operator.comm)
        matrix.setUp()
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        return matrix

    def mult(self, matrix, x, y) -> None:
        vector = x.getArray(readonly=True)
        y.setArray(self._factor * self._operator.apply(vector) + self._values * vector)

    def getDiagonal(self, matrix, vector) -> None:
        diagonal = np.einsum("saa->sa", self._operator.diagonal_blocks()).ravel()
        vector.setArray(self._factor * diagonal + self._values)

    def duplicate(self, matrix, copy):  # this and the next two are for polynomial filters
        return _ShellProduct(self._operator, self._values, self._factor).matrix()

    def scale(self, matrix, factor: float) -> None:
        self._factor, self._values = factor * self._factor, factor * self._values

    def shift(self, matrix, shift: float) -> None:
        self._values = self._values + shift


class JacobiContext:
    """The point-block Jacobi preconditioner of A + `lift` on its null rows, as PETSc calls it."""

    def __init__(self, operator: BlockOperator, lift: float) -> None:
        self._jacobi = BlockJacobi(operator)
        self._lifted = np.where(operator.null_rows, 1.0 / lift, 0.0)

    def apply(self, preconditioner, x, y) -> None:
        source = x.getArray(readonly=True)
        target = np.empty((len(source), 1))
        self._jacobi.apply(source.reshape(-1, 1), target)
        y.setArray(target[:, 0] + self._lifted * source)
