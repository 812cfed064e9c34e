"""The calls of other programs that ours are measured against, used as their manuals say."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from petsc4py import PETSc
from rows import measure
from slepc4py import SLEPc

TOLERANCE = 1e-8


def scipy_modes(matrix: sp.spmatrix, count: int, shift: float) -> np.ndarray:
    """Return the lowest `count` eigenvalues, ascending: ARPACK on SuperLU's factor of A - shift I.

    `shift` is a little below zero, because the matrix itself is singular.
    """
    values = sla.eigsh(
        matrix.tocsc(), k=count, sigma=shift, which="LM", tol=TOLERANCE, return_eigenvectors=True
    )[0]
    return np.sort(values)


def slepc_modes(matrix: PETSc.Mat, count: int, shift: float) -> np.ndarray:
    """Return the lowest `count` eigenvalues: Krylov-Schur with shift-invert, MUMPS Cholesky.

    Everything else is SLEPc's default.
    """
    solver = SLEPc.EPS().create(matrix.comm)
    solver.setOperators(matrix)
    solver.setProblemType(SLEPc.EPS.ProblemType.HEP)
    solver.setDimensions(count)
    solver.setTolerances(TOLERANCE)
    solver.setWhichEigenpairs(SLEPc.EPS.Which.TARGET_MAGNITUDE)
    solver.setTarget(shift)
    transform = solver.getST()
    transform.setType(SLEPc.ST.Type.SINVERT)
    inner = transform.getKSP()
    inner.setType(PETSc.KSP.Type.PREONLY)
    inner.getPC().setType(PETSc.PC.Type.CHOLESKY)
    inner.getPC().setFactorSolverType("mumps")
    solver.solve()
    found = solver.getConverged()
    if found < count:
        raise RuntimeError(f"SLEPc converged {found} of {count} modes")
    values = np.array([solver.getEigenvalue(k).real for k in range(count)])
    solver.destroy()
    return np.sort(values)


def slepc_filtered_modes(
    matrix: PETSc.Mat, count: int, inside: tuple[float, float], upper: float
) -> np.ndarray:
    """Return the eigenvalues in an interval, ascending: Krylov-Schur on the polynomial STFILTER.

    The range of the spectrum is given, because its own estimate leaves out the translations
    that rounding made negative, and the `count` of eigenvalues, because its own estimate leaves
    the basis too small (error 63 at N = 8,000).  Everything else is SLEPc's default.
    """
    solver = SLEPc.EPS().create(matrix.comm)
    solver.setOperators(matrix)
    solver.setProblemType(SLEPc.EPS.ProblemType.HEP)
    solver.setDimensions(count)
    solver.setTolerances(TOLERANCE)
    solver.setWhichEigenpairs(SLEPc.EPS.Which.ALL)
    solver.setInterval(*inside)
    transform = solver.getST()
    transform.setType(SLEPc.ST.Type.FILTER)
    transform.setFilterRange(-1e-6 * upper, upper)
    solver.solve()
    values = np.array([solver.getEigenvalue(k).real for k in range(solver.getConverged())])
    solver.destroy()
    return np.sort(values)


def lobpcg_modes(matrix: sp.spmatrix, count: int, d: int, lowest: float) -> np.ndarray:
    """Return the lowest `count` eigenvalues above the translations by LOBPCG.

    Preconditioned with the inverses of the d x d diagonal blocks.  Residuals to 1e-5 of the
    lowest eigenvalue: eigenvalues are then right to 1e-10 where they lie apart.
    """
    n = matrix.shape[0]
    translations = np.kron(np.ones((n // d, 1)), np.eye(d)) / np.sqrt(n / d)
    blocks = matrix.tobsr((d, d))
    row = np.repeat(np.arange(n // d), np.diff(blocks.indptr))
    inverse = np.linalg.inv(blocks.data[blocks.indices == row])
    precondition = sp.bsr_matrix((inverse, np.arange(n // d), np.arange(n // d + 1)))
    start = np.random.default_rng(0).standard_normal((n, count))
    values, _, history = sla.lobpcg(
        matrix, start, M=precondition, Y=translations, tol=1e-5 * lowest, largest=False,
        maxiter=5000, retResidualNormsHistory=True,
    )  # fmt: skip
    if max(history[-1]) > 2e-5 * lowest:
        raise RuntimeError(f"LOBPCG ended at a residual of {max(history[-1]) / lowest:.0e}")
    return np.sort(values)


def petsc_matrix(rows: sp.csr_matrix, size: int) -> PETSc.Mat:
    """Return a symmetric PETSc AIJ matrix with blocks of `size` rows, on one process."""
    rows = rows.sorted_indices()  # PETSc takes their order for granted
    parts = rows.indptr.astype(PETSc.IntType), rows.indices.astype(PETSc.IntType), rows.data
    matrix = PETSc.Mat().createAIJ(rows.shape, bsize=size, csr=parts, comm=PETSc.COMM_SELF)
    matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    return matrix


def petsc_matrices(rows: sp.csr_matrix, size: int):
    """Yield the name and the matrix of PETSc's scalar and blocked formats, one at a time.

    rows : (n, n) with symmetric blocks of `size` rows, so that their order does not matter.
    """
    parts = rows.indptr.astype(PETSc.IntType), rows.indices.astype(PETSc.IntType), rows.data
    yield "AIJ", PETSc.Mat().createAIJ(rows.shape, bsize=size, csr=parts, comm=PETSc.COMM_SELF)
    blocks = rows.tobsr((size, size))
    parts = (*(x.astype(PETSc.IntType) for x in (blocks.indptr, blocks.indices)), blocks.data)
    yield "BAIJ", PETSc.Mat().createBAIJ(rows.shape, bsize=size, csr=parts, comm=PETSc.COMM_SELF)


def petsc_product_seconds(matrix: PETSc.Mat) -> float:
    """Return the seconds of one product of a PETSc matrix with one vector."""
    x, y = matrix.createVecs()
    x.setRandom()
    matrix.mult(x, y)
    _, seconds = measure(lambda: matrix.mult(x, y), repeats=10)
    x.destroy()
    y.destroy()
    return seconds


class MumpsSolver:
    """One solve at a time with a Cholesky factor of A + s I, as a PETSc user would write it."""

    def __init__(self, matrix: PETSc.Mat, shift: float) -> None:
        self._matrix = matrix.copy()
        self._matrix.shift(shift)
        self._solver = PETSc.KSP().create(matrix.comm)
        self._solver.setOperators(self._matrix)
        self._solver.setType(PETSc.KSP.Type.PREONLY)
        self._solver.getPC().setType(PETSc.PC.Type.CHOLESKY)
        self._solver.getPC().setFactorSolverType("mumps")
        self._solver.setUp()
        self._x, self._b = self._matrix.createVecs()

    def __call__(self, right_hand_side: np.ndarray) -> np.ndarray:
        self._b.setArray(right_hand_side)
        self._solver.solve(self._b, self._x)
        return self._x.getArray().copy()

    def destroy(self) -> None:
        for item in (self._solver, self._matrix, self._x, self._b):
            item.destroy()


def matscipy_atoms(sample):
    """Return a 3D sample as ASE atoms with matscipy's pair calculator and our radial functions.

    Both programs evaluate the same potential; what is compared is neighbours, assembly and
    solves.
    """
    from ase import Atoms
    from isolated import DoesNotApply
    from matscipy.calculators.pair_potential import PairPotential

    from glassmodes import models

    if sample.dimension != 3:
        raise DoesNotApply("matscipy is for three dimensions")
    model = models.from_spec(sample.model)
    species = np.unique(sample.species)
    interactions = {
        (int(a) + 1, int(b) + 1): _cutoff_interaction(model, int(a), int(b))
        for a in species
        for b in species[species >= a]
    }
    atoms = Atoms(numbers=sample.species + 1, positions=sample.wrapped(), cell=sample.box, pbc=True)
    atoms.set_masses(sample.masses)
    atoms.calc = PairPotential(interactions)
    return atoms


def _cutoff_interaction(model, a: int, b: int):
    from matscipy.calculators.pair_potential.calculator import CutoffInteraction

    length, _, reach = (
        float(value[0]) for value in model.pair_parameters(np.array([a]), np.array([b]))
    )

    class Interaction(CutoffInteraction):
        def __init__(self) -> None:
            super().__init__(reach * length)

        def _order(self, order: int, r: np.ndarray) -> np.ndarray:
            first, second = np.full(len(r), a), np.full(len(r), b)
            return model.derivatives(r, first, second, order=order)[order]

        def __call__(self, r, *_):
            return self._order(0, r)

        def first_derivative(self, r, *_):
            return self._order(1, r)

        def second_derivative(self, r, *_):
            return self._order(2, r)

    return Interaction()
