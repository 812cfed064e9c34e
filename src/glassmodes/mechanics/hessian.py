r"""The Hessian H = ∂²U/∂x∂x of interacting pairs, as edges and as sparse blocks.

A pair contributes the stiffness K = t I + s u uᵀ between its ends, with

    t = φ'/r,    s u uᵀ = (φ'' - φ'/r) n nᵀ,    n = r/|r|,

+K on the two diagonal blocks and -K on the two others.  With masses m the matrix is
D = M^(-1/2) H M^(-1/2), whose eigenvalues are squared frequencies; moduli want H itself.

`edges` serves samples that are spread over ranks (`observables.harmonic`); the sparse matrix and
the plain product are for a whole sample on one rank.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from glassmodes.mechanics.interactions import PairInteractions


def edges(inter: PairInteractions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (u (P, d), sign (P,), t (P,)) of every pair, the input of `spectra.EdgeOperator`."""
    t = inter.A1
    axial = inter.derivatives[2] - t
    u = inter.vector * (np.sqrt(np.abs(axial)) / inter.distance)[:, None]
    return u, np.where(axial < 0, -1.0, 1.0), t


def stiffnesses(inter: PairInteractions) -> np.ndarray:
    """Return K = A2 r rᵀ + A1 I of every pair, (P, d, d)."""
    k_pcc = inter.vector[:, :, None] * (inter.A2[:, None] * inter.vector)[:, None, :]
    k_pcc.reshape(len(inter), inter.d**2)[:, :: inter.d + 1] += inter.A1[:, None]
    return k_pcc


def sparse(inter: PairInteractions, masses: np.ndarray | None = None) -> sp.bsr_matrix:
    """Assemble the Hessian of a whole sample.

    Parameters
    ----------
    inter
        All pairs, from `find_interactions`.
    masses : (N,) or None
        Weights the matrix if given.

    Returns
    -------
    bsr_matrix (dN, dN) with d x d blocks
        Block columns sorted in each row; every diagonal block is stored.
    """
    i, j, n, d = inter.i, inter.j, inter.n, inter.d
    sites = np.arange(n)
    k_pcc = stiffnesses(inter)
    # For pairs sorted by (i, j) each of the three parts ascends within a block row, and so
    # does their sequence: one stable sort by row leaves the columns in order.
    row = np.concatenate([j, sites, i])
    column = np.concatenate([i, sites, j])
    sequence = np.argsort(row, kind="stable")
    blocks = np.empty((len(row), d, d))
    np.negative(k_pcc, out=blocks[: len(inter)])
    blocks[len(inter) : len(inter) + n] = _diagonal(inter, k_pcc)
    np.negative(k_pcc, out=blocks[len(inter) + n :])
    if masses is not None:
        weights = 1.0 / np.sqrt(np.asarray(masses, np.float64))
        blocks *= (weights[row] * weights[column])[:, None, None]
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
    matrix = sp.bsr_matrix((blocks[sequence], column[sequence], start), shape=(n * d, n * d))
    matrix.sum_duplicates()
    return matrix


def multiply(inter: PairInteractions, x: np.ndarray) -> np.ndarray:
    """Return H x for x of shape (dN,) or (dN, k) without assembling H; H is not mass-weighted.

    Plain numpy on the pairs: the oracle of the assembled and the compiled products.
    """
    columns = x.reshape(inter.n * inter.d, -1)
    result = np.empty_like(columns, dtype=np.float64)
    at_a_time = 8  # bounds the temporary arrays to 8 d doubles a pair
    for first in range(0, columns.shape[1], at_a_time):
        part = columns[:, first : first + at_a_time].reshape(inter.n, inter.d, -1)
        delta = inter.difference(part)
        along = np.einsum("pc,pck->pk", inter.vector, delta) * inter.A2[:, None]
        pull = delta * inter.A1[:, None, None]
        pull += inter.vector[:, :, None] * along[:, None, :]
        result[:, first : first + at_a_time] = inter.scatter(pull).reshape(len(columns), -1)
    return result.reshape(x.shape)


def _diagonal(inter: PairInteractions, k_pcc: np.ndarray) -> np.ndarray:
    """Return the sum of K over the pairs of each particle, (N, d, d)."""
    diagonal = np.empty((inter.n, inter.d, inter.d))
    for a in range(inter.d):
        for b in range(a + 1):
            entry = np.zeros(inter.n)
            for end in (inter.i, inter.j):
                entry += np.bincount(end, weights=k_pcc[:, a, b], minlength=inter.n)
            diagonal[:, a, b] = diagonal[:, b, a] = entry
    return diagonal
