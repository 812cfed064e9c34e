"""The part of a sample that one rank holds: its own particles and ghosts of those it touches.

The particles of a sample are sorted along a Hilbert curve and cut into even pieces, one a
rank: pieces are compact, balanced whatever the density, and the order does not depend on the
number of ranks.  A particle's number in this order is its *place*.  From the file to the
eigenvector no rank holds more than its piece and its ghosts.

Particles of one rank are numbered locally: the owned ones by place, then the ghosts by place.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import h5py
import numpy as np

from glassmodes.errors import InputError
from glassmodes.files import check_input, located, stream_hdf5
from glassmodes.kernels.neighbours import compact_frame, find_pairs, hilbert_keys, wrap
from glassmodes.parallel import agreement, lookup, owner_of, send_rows, split_range
from glassmodes.sample import Sample, first_line, write_h5md_header
from glassmodes.spectra.halo import Halo

_PER_PARTICLE = ("positions", "species", "masses", "diameters")
_PER_BOND = ("stiffness", "rest_lengths")


@dataclass(frozen=True)
class Domain:
    """One rank's part of a sample.

    Attributes
    ----------
    halo : Halo
        Places of the owned particles and of the ghosts; communicator.
    sample : Sample
        Owned particles, then ghosts; bonds with at least one owned end, in local numbers.
    file_index : (n_owned,) int64
        Number of each owned particle in the file, or in the sample the domain was made of.
    bonds : (M, 2) int64 or None
        The bonds of `sample` by place.
    """

    halo: Halo
    sample: Sample
    file_index: np.ndarray
    bonds: np.ndarray | None = None

    @classmethod
    def of(cls, comm, sample: Sample) -> Domain:
        """Return this rank's part of a sample that every rank holds in full.  Collective."""
        sample.validate()
        if comm.size == 1:
            return cls.from_slice(comm, sample)
        first, last = split_range(sample.particles, comm.size, comm.rank)
        columns = {
            name: getattr(sample, name)[first:last]
            for name in _PER_PARTICLE
            if getattr(sample, name) is not None
        }
        if sample.bonds is not None:
            cut = slice(*split_range(len(sample.bonds), comm.size, comm.rank))
            for name in ("bonds", *_PER_BOND):
                if getattr(sample, name) is not None:
                    columns[name] = getattr(sample, name)[cut]
        return cls.from_slice(comm, replace(sample, **columns))

    @classmethod
    def read(cls, comm, path: str | os.PathLike, group: str = "/") -> Domain:
        """Read this rank's part of a sample file; nobody reads all of it.  Collective.

        group : where the sample lies in the file, of a batch for instance.

        Raises
        ------
        InputError
            On every rank, if the file is missing, damaged or foreign.
        """
        with agreement(comm):
            source = check_input(path)
            try:
                with h5py.File(source, "r") as file:
                    piece = Sample.from_group(file[group], (comm.size, comm.rank))
            except InputError as error:
                raise located(source, error) from error
            except Exception as error:  # h5py reports damage with half a dozen exception types
                raise InputError(
                    f"cannot read {source} as a glassmodes sample: {first_line(error)}; "
                    "the file is damaged or of another kind"
                ) from error
        return cls.from_slice(comm, piece)

    @classmethod
    def from_slice(cls, comm, piece: Sample) -> Domain:
        """Return the domain of a sample whose rows lie on the ranks as `split_range` cuts them.

        Bonds, if any, are cut likewise and join particles by their number in the whole sample.
        Collective.
        """
        n = comm.allreduce(piece.particles)
        first = split_range(n, comm.size, comm.rank)[0]
        index = first + np.arange(piece.particles)
        with agreement(comm):
            keys = hilbert_keys(piece.positions, piece.box)
        places = _places(comm, keys, index)
        names = [name for name in _PER_PARTICLE if getattr(piece, name) is not None]
        rows = [getattr(piece, name) for name in names]
        place, index, *rows = send_rows(comm, owner_of(n, comm.size, places), places, index, *rows)
        order = np.argsort(place)
        columns: dict[str, Any] = {name: row[order] for name, row in zip(names, rows, strict=True)}
        bonds = None
        if piece.bonds is not None:
            bonds, columns = _spread_bonds(comm, n, piece, places, columns)
        sample = replace(piece, **columns)
        domain = cls(Halo(comm, n, np.zeros(0, np.int64)), sample, index[order], bonds)
        return domain._with_ghosts(np.zeros(0, np.int64))

    @property
    def comm(self):
        """Communicator of the sample."""
        return self.halo.comm

    @property
    def particles(self) -> int:
        """Particles of the whole sample, N."""
        return self.halo.n_sites

    @property
    def dimension(self) -> int:
        """Dimension d."""
        return self.sample.dimension

    @property
    def box(self) -> np.ndarray:
        """Edge lengths of the whole sample, (d,)."""
        return self.sample.box

    @cached_property
    def names(self) -> np.ndarray:
        """Numbers in the file of the local particles, ghosts included, (n_total,).

        Collective at its first use.
        """
        return np.concatenate(
            [self.file_index, lookup(self.comm, self.file_index, self.halo.ghosts)]
        )

    @cached_property
    def place_table(self) -> np.ndarray:
        """Places of this rank's share of the file's particles, (split_range of N,).  Collective."""
        places = np.arange(self.halo.first, self.halo.last)
        return self.to_file_order(places)

    def places_of(self, file_index: np.ndarray) -> np.ndarray:
        """Return the places of particles by their numbers in the file, any on any rank.

        Collective.
        """
        return lookup(self.comm, self.place_table, file_index)

    def owned(self, name: str) -> np.ndarray:
        """Return a per-particle array of the sample without the ghosts."""
        return getattr(self.sample, name)[: self.halo.n_owned]

    def with_reach(self, reach: float) -> Domain:
        """Return the domain with ghosts of all particles within `reach` of an owned one.

        The other ends of bonds are ghosts too.  `reach` may be 0.  Collective; near pairs of
        the domain are searched once.
        """
        if self.comm.size == 1:
            return self
        ghosts, positions, rim = _near_particles(self, reach)
        if len(ghosts):
            own = self.owned("positions")[rim]
            near = _near_mask(own, positions, self.box, reach)
            ghosts = ghosts[near]
        return self._with_ghosts(ghosts)

    def keep(self, used: np.ndarray) -> Domain:
        """Return the domain with only the ghosts that `used` (n_total,) marks.  Collective."""
        n_owned = self.halo.n_owned
        return self._with_ghosts(self.halo.ghosts[used[n_owned:]])

    def _with_ghosts(self, ghosts: np.ndarray) -> Domain:
        """Return the domain with these ghosts, and those that bonds need.  Collective."""
        needed = ghosts if self.bonds is None else np.concatenate([ghosts, self.bonds.ravel()])
        halo = Halo(self.comm, self.particles, needed)
        columns = {}
        for name in _PER_PARTICLE:
            if getattr(self.sample, name) is not None:
                own = self.owned(name)
                columns[name] = np.concatenate([own, lookup(self.comm, own, halo.ghosts)])
        if self.bonds is not None:
            columns["bonds"] = halo.local(self.bonds).astype(np.int32)
        return replace(self, halo=halo, sample=replace(self.sample, **columns))

    def to_file_order(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of this rank's piece of the file, (split_range of N, ...).

        rows : (n_owned, ...), of the owned particles.  Collective.
        """
        destination = owner_of(self.particles, self.comm.size, self.file_index)
        index, rows = send_rows(self.comm, destination, self.file_index, rows)
        return rows[np.argsort(index)]

    def from_file_order(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of the owned particles; the inverse of `to_file_order`.  Collective."""
        return lookup(self.comm, rows, self.file_index)

    def write(self, path: str | os.PathLike) -> None:
        """Write the whole sample in the order of the file, atomically.  Collective.

        Raises
        ------
        InputError
            On every rank, if the file cannot be written.
        """
        columns: dict[str, Any] = {
            name: self.owned(name)
            for name in _PER_PARTICLE
            if getattr(self.sample, name) is not None
        }
        owned = replace(
            self.sample,
            bonds=None,
            stiffness=None,
            rest_lengths=None,
            **columns,
        )
        arrays = {
            f"particles/all/{name}": self.to_file_order(rows)
            for name, rows in owned.particle_arrays().items()
        }
        if self.bonds is not None:
            arrays |= self._bond_arrays()

        def fill(file: h5py.File) -> None:
            write_h5md_header(file)
            replace(owned, bonds=self.sample.bonds).to_group_header(file)

        stream_hdf5(self.comm, path, fill, arrays)

    def _bond_arrays(self) -> dict[str, np.ndarray]:
        """Return the bonds by file index, each on the rank of its first end."""
        local = self.sample.bonds
        mine = local[:, 0] < self.halo.n_owned
        arrays = {"connectivity/bonds": self.names[local[mine]].astype(np.int32)}
        for name in _PER_BOND:
            values = getattr(self.sample, name)
            if values is not None:
                arrays[f"connectivity/{name}"] = values[mine]
        return arrays


def _places(comm, keys: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the place of every row in the order of (key, index) over all ranks.  Collective.

    A sample sort: rows meet in buckets of near keys, where they are numbered.
    """
    if comm.size == 1:
        places = np.empty(len(keys), np.int64)
        places[np.argsort(keys, kind="stable")] = np.arange(len(keys))
        return places
    probes = 16 * comm.size
    chosen = np.sort(keys)[np.linspace(0, len(keys) - 1, probes).astype(int)] if len(keys) else keys
    pool = np.sort(np.concatenate(comm.allgather(chosen)))
    cuts = pool[len(pool) * np.arange(1, comm.size) // comm.size]
    bucket = np.searchsorted(cuts, keys, side="right")
    key, number, source = send_rows(comm, bucket, keys, index, np.full(len(keys), comm.rank))
    before = sum(comm.allgather(len(key))[: comm.rank])
    places = np.empty(len(key), np.int64)
    places[np.lexsort((number, key))] = before + np.arange(len(key))
    number, places = send_rows(comm, source, number, places)
    return places[np.argsort(number)]


def _spread_bonds(comm, n, piece, places, columns):
    """Send bonds to the owners of their ends; return them by place, and `columns` with the rest."""
    ends = lookup(comm, places, piece.bonds.ravel()).reshape(-1, 2)
    names = [name for name in _PER_BOND if getattr(piece, name) is not None]
    rows = [ends, *(getattr(piece, name) for name in names)]
    owner = owner_of(n, comm.size, ends)
    across = owner[:, 0] != owner[:, 1]
    destination = np.concatenate([owner[:, 0], owner[across, 1]])
    rows = [np.concatenate([row, row[across]]) for row in rows]
    bonds, *rest = send_rows(comm, destination, *rows)
    # an order of its own, whatever ranks they came from
    order = np.lexsort((bonds.max(axis=1), bonds.min(axis=1)))
    columns |= {name: row[order] for name, row in zip(names, rest, strict=True)}
    return bonds[order], columns


def _near_particles(domain: Domain, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places and positions of other ranks' particles in cells next to owned ones.

    Also the local numbers of those owned ones, all that can lie within `reach` of another rank's.

    The box is cut into cells of at least `reach`; a directory spread over the ranks knows who
    has particles in each.  Collective; three exchanges.
    """
    comm, box, d = domain.comm, domain.box, domain.dimension
    own = wrap(domain.owned("positions"), box)
    if not reach > 0:
        return np.zeros(0, np.int64), own[:0], np.zeros(0, np.int64)
    counts = np.maximum(1, np.floor(box / reach)).astype(np.int64)
    most = int((2.0**62) ** (1 / d))
    counts = np.minimum(counts, most)
    cell = np.minimum((own / box * counts).astype(np.int64), counts - 1)
    cells = int(np.prod(counts))

    def number(coordinates: np.ndarray) -> np.ndarray:
        return np.ravel_multi_index(tuple(coordinates.T), tuple(counts))

    ids = number(cell)
    occupied = np.unique(ids)
    corner = np.stack(np.unravel_index(occupied, tuple(counts)), axis=1)
    steps = itertools.product((-1, 0, 1), repeat=d)
    near = np.unique(np.concatenate([number((corner + np.array(step)) % counts) for step in steps]))
    known, holder = send_rows(
        comm, owner_of(cells, comm.size, occupied), occupied, np.full(len(occupied), comm.rank)
    )
    asked, asker = send_rows(
        comm, owner_of(cells, comm.size, near), near, np.full(len(near), comm.rank)
    )
    order = np.argsort(known, kind="stable")
    row, entry = _matches(known[order], asked)
    holder, wanted, asker = holder[order][entry], asked[row], asker[row]
    others = holder != asker
    wanted, asker = send_rows(comm, holder[others], wanted[others], asker[others])
    order = np.argsort(ids, kind="stable")
    row, entry = _matches(ids[order], wanted)
    sent = order[entry]
    places, positions = send_rows(comm, asker[row], domain.halo.first + sent, own[sent])
    return places, positions, np.unique(sent)


def _matches(table: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (k, t) for every equal pair ``values[k] == table[t]`` of a sorted table."""
    low, high = (np.searchsorted(table, values, side) for side in ("left", "right"))
    found = high - low
    row = np.repeat(np.arange(len(values)), found)
    start = np.cumsum(found) - found
    return row, low[row] + np.arange(len(row)) - start[row]


def _near_mask(own: np.ndarray, others: np.ndarray, box: np.ndarray, reach: float) -> np.ndarray:
    """Mark the `others` (k, d) that lie within `reach` of one of `own` (m, d)."""
    x, edges = compact_frame(np.concatenate([own, others]), box, reach)
    i, j = find_pairs(x, edges, reach)
    cross = (i < len(own)) & (j >= len(own))
    mask = np.zeros(len(others), bool)
    mask[j[cross] - len(own)] = True
    return mask
