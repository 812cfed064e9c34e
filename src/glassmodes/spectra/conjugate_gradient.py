"""Conjugate gradients on blocks of right-hand sides with point-block Jacobi preconditioning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassmodes.errors import SolverError
from glassmodes.kernels import columns
from glassmodes.kernels.block import aligned_block, padded_width
from glassmodes.spectra.operators import BlockOperator


class NegativeCurvatureError(SolverError):
    """A search direction p has p.A p < 0: the operator is not positive semi-definite."""


@dataclass(frozen=True)
class SolveInfo:
    """residuals : (k,) relative to the projected right-hand sides; iterations; products."""

    residuals: np.ndarray
    iterations: int
    products: int


def conjugate_gradient(
    operator: BlockOperator,
    right: np.ndarray,
    *,
    tolerance: float = 1e-10,
    max_iterations: int | None = None,
) -> tuple[np.ndarray, SolveInfo]:
    """Solve A x = P b for all columns at once, with P the projector off the null space.

    Parameters
    ----------
    operator
        Positive semi-definite operator.
    right : (n_local, k)
        Right-hand sides.
    tolerance
        Residual norm relative to that of each right-hand side.
    max_iterations
        Default 200 sqrt(n) + 5000: networks close to losing their rigidity need thousands.

    Returns
    -------
    (n_local, k) array and `SolveInfo`; the solution is orthogonal to the null space.

    Raises
    ------
    NegativeCurvatureError
        If A has a negative direction.
    SolverError
        If the iteration does not converge.

    Notes
    -----
    Collective.  Two reductions and one block product an iteration.  Null vectors that are not
    known do no harm if the right-hand sides have no part in them; the solution may have one.
    """
    start = operator.products
    width = padded_width(right.shape[1])
    limit = max_iterations or int(200 * np.sqrt(operator.n)) + 5000
    jacobi = BlockJacobi(operator)
    solution = np.empty_like(right, order="F")
    residuals = np.empty(right.shape[1])
    iterations = 0
    for first in range(0, right.shape[1], width):
        part = slice(first, min(first + width, right.shape[1]))
        x, norms, steps = _solve_block(operator, jacobi, right[:, part], width, tolerance, limit)
        solution[:, part], residuals[part] = x, norms
        iterations = max(iterations, steps)
    return solution, SolveInfo(residuals, iterations, operator.products - start)


class BlockJacobi:
    """Inverses of the d x d diagonal blocks of an operator."""

    def __init__(self, operator: BlockOperator) -> None:
        # Directions without stiffness (rattlers, zero rows) are left alone.
        values, vectors = np.linalg.eigh(operator.diagonal_blocks())
        stiff = values > 1e-8 * values.max(initial=0.0)
        inverse = np.divide(1.0, values, out=np.zeros_like(values), where=stiff)
        self._inverses = np.ascontiguousarray(
            np.einsum("sab,sb,scb->sac", vectors, inverse, vectors)
        )

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write M^-1 x to `out`; both (n_local, k)."""
        columns.block_diagonal(self._inverses, x, out)


def _solve_block(operator, jacobi, right, width, tolerance, limit):
    rows, active = operator.n_local, right.shape[1]

    def dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return operator.reduce(columns.dots(a, b))

    r, x, z = (aligned_block(rows, width) for _ in range(3))
    r[:], x[:] = 0.0, 0.0
    r[:, :active] = right
    operator.project(r)
    scale = np.sqrt(dots(r, r))
    scale[scale == 0] = 1.0
    source, target = operator.work_block(width), operator.work_block(width)
    p, q, gram = source[:rows], target[:rows], np.empty((3, width))
    # Null components of z and p do no harm: A does not see them, nor does r, which has none.
    jacobi.apply(r, z)
    rho = dots(r, z)
    p[:] = z
    steps = 0
    while True:
        steps += 1
        q[:] = 0.0
        operator.accumulate(source, target, 1.0, 0.0, gram)
        curvature = operator.reduce(gram[1])
        if np.any(curvature < -1e-12 * np.abs(curvature).max()):
            raise NegativeCurvatureError(
                "conjugate gradients met negative curvature: the sample is at a saddle"
            )
        alpha = np.divide(rho, curvature, out=np.zeros_like(rho), where=curvature > 0)
        norms = np.sqrt(operator.reduce(columns.descend(alpha, p, q, x, r))) / scale
        if np.all(norms <= tolerance):
            return operator.project(x)[:, :active], norms[:active], steps
        if steps == limit:
            raise SolverError(
                f"conjugate gradients stopped at a residual of {norms.max():.1e} after {limit} "
                f"iterations (wanted {tolerance:.0e})"
            )
        jacobi.apply(r, z)
        new = dots(r, z)
        columns.turn(np.divide(new, rho, out=np.zeros_like(rho), where=rho != 0), z, p)
        rho = new
