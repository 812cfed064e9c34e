"""Crystal order of a sample spread over ranks; see `evidence`."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from glassmodes.domain import Domain
from glassmodes.kernels.neighbours import wrap
from glassmodes.preparation.evidence import NEIGHBOURS, SIMILAR, bond_moments, correlations

_FIRST_REACH = 1.7  # mean distances of particles: beyond the nearest k of most glasses
_WIDER = 1.3


def domain_crystal_order(domain: Domain) -> float:
    """Return `evidence.crystal_order` of a sample spread over ranks.  Collective.

    The k nearest particles of each are sought among those within a reach that grows until it
    holds them all; bond moments of ghosts come from their owners.
    """
    comm, n, d = domain.comm, domain.particles, domain.dimension
    k = NEIGHBOURS[d]
    if n <= k:
        return float("nan")
    reach = _FIRST_REACH * float((np.prod(domain.box) / n) ** (1 / d))
    while True:
        domain = domain.with_reach(reach)
        near, bonds, farthest = _nearest(domain, k)
        # with one rank everything is at hand
        if comm.size == 1 or max(comm.allgather(float(farthest.max(initial=0.0)))) <= reach:
            break
        reach *= _WIDER
    own, total = domain.halo.n_owned, domain.halo.n_total
    first = np.repeat(np.arange(own), k)
    moments = bond_moments(bonds, [first], own)
    table = np.zeros((total, moments.shape[1] + 1))
    table[:own, :-1], table[:own, -1] = moments, farthest
    domain.halo.refresh(table, 1)
    similar = correlations(table[:, :-1], d, first, near) > SIMILAR
    # a pair counts once: in halves where each is among the nearest of the other
    mutual = np.linalg.norm(bonds, axis=1) <= table[near, -1] * (1 + 1e-12)
    weight = np.where(mutual, 0.5, 1.0)
    sums = np.array(comm.allgather([float(weight[similar].sum()), float(weight.sum())]))
    return float(sums[:, 0].sum() / sums[:, 1].sum())


def _nearest(domain: Domain, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the k nearest sites of each owned one: numbers and bonds (n_owned k,), (n_owned k, d).

    Also the distance of the last, (n_owned,), infinite where there are not as many at hand.
    """
    own, box = domain.halo.n_owned, domain.box
    x = wrap(domain.sample.positions, box)
    distance, near = cKDTree(x, boxsize=box).query(x[:own], k + 1)
    # two particles on one spot may be listed in either order: take each one's own index off
    itself = near == np.arange(own)[:, None]
    itself[~itself.any(axis=1), 0] = True
    farthest = distance[:, -1]
    near = np.minimum(near[~itself], len(x) - 1)
    bonds = x[near] - np.repeat(x[:own], k, axis=0)
    bonds -= box * np.rint(bonds / box)
    return near, bonds, farthest
