"""Sparse symmetric factorisations behind one small interface: solve many, count negatives.

CHOLMOD (METIS ordering inside) serves positive definite matrices on one rank; MUMPS serves
several ranks and every indefinite matrix, whose inertia it counts.  Another back end is one
more subclass of `Factorisation` in `BACKENDS`.
"""

from __future__ import annotations

import logging
import time

from glassmodes.errors import SolverError
from glassmodes.spectra.cholmod import CholmodFactorisation
from glassmodes.spectra.factor_costs import FactorCost, estimate
from glassmodes.spectra.factor_interface import (
    FactorDoesNotFit,
    Factorisation,
    NotPositiveDefiniteError,
)
from glassmodes.spectra.mumps import MumpsFactorisation

log = logging.getLogger(__name__)

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
        Back end to use; by default the next one is tried where one lacks memory.

    Raises
    ------
    NotPositiveDefiniteError
        If `definite` and the matrix is not.
    FactorDoesNotFit
        If no back end can hold the factor; nothing is left in memory.
    SolverError
        If the factorisation fails.

    Notes
    -----
    Collective.
    """
    names = [c for c in BACKENDS if backend in (None, c.name) and c.serves(matrix, definite)]
    if not names:
        raise SolverError(
            f"no factorisation back end {backend!r} serves this matrix and rank count"
        )
    for candidate in names[:-1]:
        try:
            return candidate(matrix, definite)
        except FactorDoesNotFit as error:
            log.warning("%s; trying %s", error, names[-1].name)
    return names[-1](matrix, definite)


def count_below(operator, edge: float) -> tuple[int, float]:
    """Count the eigenvalues of a `BlockOperator` below `edge` by the inertia of A - edge I.

    All null vectors count when ``edge > 0``.  Returns the count and the seconds it took.
    Collective.

    Raises
    ------
    FactorDoesNotFit
        If the factor does not fit in memory.
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


__all__ = [
    "BACKENDS",
    "FactorCost",
    "FactorDoesNotFit",
    "Factorisation",
    "NotPositiveDefiniteError",
    "count_below",
    "estimate",
    "factorise",
]
