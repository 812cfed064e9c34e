"""All eigenpairs in a window inside the spectrum, by block Lanczos on a function of the operator.

The Ritz pairs of f(A) that stand above the window's bar, and a few next to it, are taken one
step of f(A) further; A itself is projected on them and the residuals are computed explicitly.
"""

from __future__ import annotations

import logging
import time

import numpy as np
import scipy.linalg as sl

from glassmodes.spectra.block_lanczos import WIDTH, BlockLanczos
from glassmodes.spectra.chebyshev import SpectralBound
from glassmodes.spectra.filtered_lanczos import residual_target
from glassmodes.spectra.operators import BlockOperator
from glassmodes.spectra.rayleigh_ritz import EigenPairs, rayleigh_ritz
from glassmodes.spectra.window_transforms import Incomplete, WindowTransform

log = logging.getLogger(__name__)

GUARD = 4  # eigenpairs found beside the window, which show where its ends lie
_FIRST_LOOK = 1.8  # basis columns per expected mode at the first convergence test
COLUMNS_PER_MODE = 2.4
"""Basis columns that a mode takes in the end."""
_ROOM = 6  # columns per expected mode that the basis may reach


def capacity(operator: BlockOperator, expected: float, known: int = 0) -> int:
    """Return how many basis columns a window of `expected` modes may take."""
    space = operator.n - operator.nullity - known
    return min(space, _ROOM * int(expected + GUARD) + 40 * WIDTH) // WIDTH * WIDTH


def window_lanczos(
    operator: BlockOperator,
    transform: WindowTransform,
    low: float,
    high: float,
    expected: float,
    *,
    bound: SpectralBound,
    locked: np.ndarray | None = None,
    tolerance: float = 1e-8,
    seed: int = 0,
) -> EigenPairs:
    """Find the eigenpairs in [low, high] outside the null space and the `locked` vectors.

    Parameters
    ----------
    operator
        Symmetric operator A.
    transform
        Function of A under which the window stands out.
    low, high : float
        Window of eigenvalues.
    expected : float
        Estimated number of eigenvalues in it.
    bound
        Spectral bound.
    locked : (n_local, q) or None
        Orthonormal eigenvectors already known.
    tolerance
        Residual ||A v - x v|| / |x| to reach (see `residual_target` for the floor).
    seed
        Of the random start block.

    Returns
    -------
    EigenPairs
        Those of the window and up to `GUARD` beside it, ascending.

    Raises
    ------
    Incomplete
        If the residuals do not converge before the basis is full.

    Notes
    -----
    Collective.  About `COLUMNS_PER_MODE` applications of the transform a mode.
    """
    clock = time.perf_counter()
    products = operator.products
    known = 0 if locked is None else locked.shape[1]
    held = [operator.null_space] + ([] if locked is None else [locked])
    room = capacity(operator, expected, known)
    if room < WIDTH:
        return _nothing(operator)
    lanczos = BlockLanczos(operator, transform, held, room, seed)
    look = min(int(_FIRST_LOOK * expected) + 4 * WIDTH, room)
    project = 0.0
    while True:
        lanczos.step()
        if lanczos.columns < look and not lanczos.full:
            continue
        started = time.perf_counter()
        pairs = _converged(lanczos, transform, low, high, bound, tolerance)
        project += time.perf_counter() - started
        if pairs is not None:
            break
        if lanczos.full:
            raise Incomplete(
                f"the window [{low:.12g}, {high:.12g}] did not converge with {lanczos.columns} "
                "basis vectors: choose the method slepc or dense if it holds eigenvalues of many "
                "copies, which no slices part, else cut it into more slices"
            )
        look = lanczos.columns + WIDTH * max(2, lanczos.columns // (20 * WIDTH))
    pairs.info = {
        **transform.describe(),
        "block_width": WIDTH,
        "basis_columns": lanczos.columns,
        "products": operator.products - products,
        "seconds": time.perf_counter() - clock,
        "seconds_by_part": {**lanczos.seconds, "project": project},
        "memory_bytes": lanczos.basis.memory + operator.memory + 2 * pairs.vectors.nbytes,
    }
    return pairs


def _converged(lanczos, transform, low, high, bound, tolerance) -> EigenPairs | None:
    """Return the verified pairs, or None if Lanczos has to go on.  Collective."""
    operator = lanczos.operator
    found = _needed(lanczos, transform)
    if found is None:
        return None
    theta, weights, inside = found
    limit = residual_target(transform.values(theta), bound, tolerance)
    done = bool(np.all(transform.error(theta, lanczos.residuals(weights)) < limit))
    done = operator.comm.bcast(done) if operator.comm.size > 1 else done
    if not done:
        return None
    if not len(theta):
        return _nothing(operator)
    pairs = rayleigh_ritz(operator, lanczos.ritz_vectors(weights, theta))
    good = pairs.residuals <= residual_target(pairs.values, bound, tolerance)
    reaches = pairs.values + pairs.residuals, pairs.values - pairs.residuals
    if np.any(~good & (reaches[0] >= low) & (reaches[1] <= high)):
        log.debug("%d Ritz pairs stand out, residuals not yet met", inside)
        return None
    if good.all():
        return pairs
    return EigenPairs(pairs.values[good], pairs.vectors[:, good], pairs.residuals[good])


def _needed(lanczos, transform) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Return the Ritz values and weights that must converge, and how many reach the bar.

    None if the basis is too small to believe that there are no more.
    """
    projected = lanczos.projected()
    theta, weights = sl.eigh(projected, lower=True, check_finite=False, driver="evd")
    theta, weights = lanczos.operator.agree(theta, weights)
    order = np.argsort(-np.abs(theta))
    theta, weights = theta[order], weights[:, order]
    size = np.abs(theta)
    inside = int(np.sum(size >= transform.bar))
    beside = int(np.sum(size > transform.floor)) - inside
    wanted = inside + min(GUARD, max(beside, 0))
    if not lanczos.full and lanczos.columns < inside + 2 * WIDTH:
        return None
    return theta[:wanted], weights[:, :wanted], inside


def _nothing(operator: BlockOperator) -> EigenPairs:
    return EigenPairs(np.zeros(0), np.zeros((operator.n_local, 0), order="F"), np.zeros(0))
