"""Direct solves with A - z at complex z: the independent check of resolvents.

With z = x + i y, (A - z) (u + i v) = b is the real symmetric indefinite system

    [ A - x     y   ] [ u ]   [ b ]
    [   y    x - A  ] [ v ] = [ 0 ]

of twice the size, whose rows alternate so that the factor's fill is that of A with blocks
of 2 d rows.  One L D L^T a shift: for small and middle sizes, not for spectra.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from glassmodes.errors import InputError, SolverError
from glassmodes.parallel import distributed_matrix
from glassmodes.spectra.factorisations import factorise
from glassmodes.spectra.operators import BlockOperator, with_diagonal

_RESIDUAL = 1e-9  # relative residual beyond which a solution is refused


def solve_shifted(operator: BlockOperator, right: np.ndarray, z: complex) -> np.ndarray:
    """Return (A - z)^-1 b for the columns of `right` (n_local, m), complex (n_local, m).

    Parameters
    ----------
    operator
        Symmetric operator A.
    right : (n_local, m) float64
        Right-hand sides; nothing is projected.
    z
        Shift, no eigenvalue of A.

    Raises
    ------
    InputError
        If z is not finite.
    SolverError
        If the residual exceeds 1e-9: z is an eigenvalue to round-off.

    Notes
    -----
    Collective.  One MUMPS factor of 2 n rows.
    """
    z = complex(z)
    if not np.isfinite(z):
        raise InputError(f"the shift must be a finite number, found {z}")
    matrix = distributed_matrix(operator.comm, _real_form(operator, z), 2 * operator.site_size)
    doubled = np.zeros((2 * operator.n_local, right.shape[1]), order="F")
    doubled[::2] = right
    try:
        factor = factorise(matrix, definite=False, backend="mumps")
        solution = factor.solve(doubled)
        factor.destroy()
    finally:
        matrix.destroy()
    solution = solution[::2] + 1j * solution[1::2]
    _check_residual(operator, right, solution, z)
    return solution


def _real_form(operator: BlockOperator, z: complex) -> sp.csr_matrix:
    """Return this rank's rows of the real system, (2 n_local, 2 n)."""
    rows = operator.local_rows()
    own = (np.arange(operator.n_local), operator.first_row + np.arange(operator.n_local))
    unit = sp.csr_matrix((np.ones(operator.n_local), own), shape=rows.shape)
    shifted = rows - z.real * unit
    signs, exchange = np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
    real = (sp.kron(shifted, signs) + sp.kron(z.imag * unit, exchange)).tocsr()
    real.sort_indices()
    return with_diagonal(real, 2 * operator.first_row)


def _check_residual(operator, right, solution, z) -> None:
    parts = [np.ascontiguousarray(part) for part in (solution.real, solution.imag)]
    image = operator.apply(parts[0]) + 1j * operator.apply(parts[1]) - z * solution
    squares = [np.einsum("rk,rk->k", np.abs(x), np.abs(x)) for x in (image - right, right)]
    residual, norm = np.sqrt(operator.reduce(np.array(squares)))
    worst = float(np.max(residual / np.where(norm > 0, norm, 1.0), initial=0.0))
    if not worst <= _RESIDUAL:
        raise SolverError(
            f"the shifted solve left a residual of {worst:.1e}: {z} is an eigenvalue to round-off"
        )
