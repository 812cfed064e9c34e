"""Ownership of sites by ranks and the exchange of their ghost copies."""

from __future__ import annotations

import numpy as np

from glassmodes.parallel import split_range


class Halo:
    """Contiguous ownership of `n_sites` sites and the ghosts that one rank needs.

    Local numbering: the owned sites in global order, then the ghosts in global order.
    Construction is collective.

    Parameters
    ----------
    comm
        mpi4py communicator.
    n_sites
        Global number of sites.
    needed
        Global indices of sites whose values this rank reads (owned ones are ignored).
    """

    def __init__(self, comm, n_sites: int, needed: np.ndarray) -> None:
        self.comm = comm
        self.n_sites = int(n_sites)
        self.first, self.last = split_range(self.n_sites, comm.size, comm.rank)
        self.n_owned = self.last - self.first
        needed = np.asarray(needed, np.int64)
        self.ghosts = np.unique(needed[(needed < self.first) | (needed >= self.last)])
        self.n_total = self.n_owned + len(self.ghosts)
        starts = np.array([split_range(self.n_sites, comm.size, r)[0] for r in range(comm.size)])
        cuts = np.concatenate([np.searchsorted(self.ghosts, starts), [len(self.ghosts)]])
        wanted = [self.ghosts[cuts[r] : cuts[r + 1]] for r in range(comm.size)]
        requested = comm.alltoall(wanted) if comm.size > 1 else [wanted[0]]
        self._receive = [
            (r, self.n_owned + cuts[r], self.n_owned + cuts[r + 1])
            for r in range(comm.size)
            if cuts[r + 1] > cuts[r]
        ]
        self._send = [(r, ids - self.first) for r, ids in enumerate(requested) if len(ids)]

    @property
    def sites(self) -> np.ndarray:
        """Global numbers of the owned sites and of the ghosts, (n_total,)."""
        return np.concatenate([np.arange(self.first, self.last), self.ghosts])

    def local(self, sites: np.ndarray) -> np.ndarray:
        """Return the local numbers of owned or ghost `sites`."""
        sites = np.asarray(sites, np.int64)
        own = (sites >= self.first) & (sites < self.last)
        return np.where(own, sites - self.first, self.n_owned + np.searchsorted(self.ghosts, sites))

    def refresh(self, block: np.ndarray, rows_per_site: int) -> None:
        """Overwrite the ghost rows of `block` (n_total rows_per_site, width) in place.

        Collective; one message a neighbouring rank.
        """
        if self.comm.size == 1:
            return
        from mpi4py import MPI

        sites = block.reshape(self.n_total, rows_per_site * block.shape[1])
        packed = [(r, np.ascontiguousarray(sites[ids])) for r, ids in self._send]
        requests = [self.comm.Irecv(sites[a:b], source=r) for r, a, b in self._receive]
        requests += [self.comm.Isend(data, dest=r) for r, data in packed]
        MPI.Request.Waitall(requests)
