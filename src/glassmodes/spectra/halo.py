"""Ownership of sites by ranks and the exchange of their ghost copies."""

from __future__ import annotations

from collections.abc import Callable

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
        self._buffers: tuple[tuple, list[np.ndarray]] | None = None

    @property
    def sites(self) -> np.ndarray:
        """Global numbers of the owned sites and of the ghosts, (n_total,)."""
        return np.concatenate([np.arange(self.first, self.last), self.ghosts])

    @property
    def shared(self) -> np.ndarray:
        """Local numbers of the owned sites that are ghosts of other ranks, ascending."""
        sent = [ids for _, ids in self._send]
        return np.unique(np.concatenate(sent)) if sent else np.zeros(0, np.int64)

    def local(self, sites: np.ndarray) -> np.ndarray:
        """Return the local numbers of owned or ghost `sites`."""
        sites = np.asarray(sites, np.int64)
        own = (sites >= self.first) & (sites < self.last)
        return np.where(own, sites - self.first, self.n_owned + np.searchsorted(self.ghosts, sites))

    def refresh(self, block: np.ndarray, rows_per_site: int) -> None:
        """Overwrite the ghost rows of `block` (n_total rows_per_site, width) in place.

        Collective; one message a neighbouring rank.
        """
        self.start(block, rows_per_site)()

    def start(self, block: np.ndarray, rows_per_site: int) -> Callable[[], None]:
        """Begin a `refresh` and return what ends it.

        In between, the owned rows of `block` may be read but not written, the ghost rows
        neither; one exchange at a time.  Collective.
        """
        if not self._receive and not self._send:
            return _nothing
        from mpi4py import MPI

        sites = block.reshape(self.n_total, rows_per_site * block.shape[1])
        packed = self._packed(sites.shape[1], sites.dtype)
        requests = [self.comm.Irecv(sites[a:b], source=r) for r, a, b in self._receive]
        for (r, ids), data in zip(self._send, packed, strict=True):
            np.take(sites, ids, axis=0, out=data)
            requests.append(self.comm.Isend(data, dest=r))

        def finish() -> None:
            MPI.Request.Waitall(requests)

        return finish

    def _packed(self, numbers: int, dtype: np.dtype) -> list[np.ndarray]:
        """Return one send buffer a neighbour, (sites, numbers); kept for the next exchange."""
        if self._buffers is None or self._buffers[0] != (numbers, dtype):
            parts = [np.empty((len(ids), numbers), dtype) for _, ids in self._send]
            self._buffers = (numbers, dtype), parts
        return self._buffers[1]


def _nothing() -> None:
    """End an exchange that had nothing to do."""
