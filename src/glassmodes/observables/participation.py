r"""Participation ratio of modes: which share of the particles moves.

    e = (Σ_i z_i·z_i)² / (N Σ_i (z_i·z_i)²)

1/N for one moving particle, 1 if all move alike, 2/3 for a standing plane wave and
(dN + 2)/((d + 2) N) for a Gaussian random vector.  The vectors are the eigenvectors of the
mass-weighted Hessian; any norm will do.
"""

from __future__ import annotations

import numpy as np


def participation_ratio(vectors: np.ndarray) -> np.ndarray:
    """Return e of modes given as vectors on particles.

    Parameters
    ----------
    vectors : (..., N, d)
        One or many modes.

    Returns
    -------
    (...)
        e of each mode; N e is the number of participating particles.
    """
    squares = np.einsum("...nc,...nc->...n", vectors, vectors)
    return squares.sum(-1) ** 2 / (squares.shape[-1] * (squares**2).sum(-1))


def distributed_participation_ratio(comm, block: np.ndarray, d: int) -> np.ndarray:
    """Return e of modes whose rows are spread over ranks by whole particles.  Collective.

    Parameters
    ----------
    comm
        Communicator that holds the rows.
    block : (n_local, K)
        Rows of this rank of K modes, d rows a particle.
    d
        Dimension.

    Returns
    -------
    (K,)
        The same on every rank.
    """
    squares = np.square(block).reshape(len(block) // d, d, block.shape[1]).sum(axis=1)
    sums = np.concatenate([[len(squares)], squares.sum(axis=0), np.square(squares).sum(axis=0)])
    if comm.size > 1:
        sums = sum(comm.allgather(sums))
    second, fourth = sums[1:].reshape(2, -1)
    return second**2 / (sums[0] * fourth)
