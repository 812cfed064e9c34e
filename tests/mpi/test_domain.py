"""A sample spread over ranks: nothing lost, nothing twice, the same order on any number of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from glassmodes.domain import Domain
from glassmodes.errors import InputError
from glassmodes.kernels.neighbours import hilbert_order, minimum_image
from glassmodes.parallel import lookup, owner_of, rows_to_root, send_rows, split_range
from glassmodes.sample import Sample


def gas(n=700, d=3, seed=0, bonds=False) -> Sample:
    """Particles at random in a box of unequal edges, numbered in no order, half of it empty."""
    rng = np.random.default_rng(seed)
    box = np.array([7.0, 9.0, 11.0, 8.0])[:d]
    x = rng.uniform(-1.0, 1.0, (n, d)) * box * np.array([0.3, 1.0, 1.0, 1.0])[:d]
    joined = None
    if bonds:
        joined = np.unique(np.sort(rng.integers(0, n, (3 * n, 2)), axis=1), axis=0)
        joined = rng.permutation(joined[joined[:, 0] != joined[:, 1]])
    return Sample(
        x,
        box,
        species=rng.integers(0, 3, n),
        diameters=rng.uniform(1, 2, n),
        masses=rng.uniform(1, 2, n),
        bonds=joined,
        stiffness=None if joined is None else rng.uniform(1, 2, len(joined)),
        model={"name": "x"},
        provenance={"seed": 1},
    )


def together(comm, rows):
    return np.concatenate(comm.allgather(rows))


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_owners_are_those_of_the_ranges(n):
    for parts in (1, 2, 3, 8):
        owner = owner_of(n, parts, np.arange(n))
        for part in range(parts):
            first, last = split_range(n, parts, part)
            assert np.all(owner[first:last] == part)


def test_rows_arrive_once_and_in_order(comm):
    n = 50 + comm.rank
    destination = np.random.default_rng(comm.rank).integers(0, comm.size, n)
    number = 1000 * comm.rank + np.arange(n)
    got, wide = send_rows(comm, destination, number, np.outer(number, [1.0, 2.0]))
    assert np.all(np.diff(got) > 0)
    assert np.array_equal(wide, np.outer(got, [1.0, 2.0]))
    expected = np.concatenate([1000 * r + np.arange(50 + r) for r in range(comm.size)])
    assert np.array_equal(np.sort(together(comm, got)), expected)


def test_a_table_answers_every_rank(comm):
    n = 31
    first, last = split_range(n, comm.size, comm.rank)
    table = np.arange(n) ** 2
    index = np.random.default_rng(comm.rank).integers(0, n, 17 * (comm.rank + 1))
    assert np.array_equal(lookup(comm, table[first:last], index), table[index])
    assert len(lookup(comm, table[first:last], index[:0])) == 0


def test_root_receives_all_rows_in_small_pieces(comm):
    rows = np.full((10 + comm.rank, 3), float(comm.rank))
    pieces = list(rows_to_root(comm, rows, piece=4 * 24))
    if comm.rank:
        assert not pieces
        return
    assert max(map(len, pieces)) == 4
    expected = np.repeat(np.arange(comm.size), 10 + np.arange(comm.size))
    assert np.array_equal(np.concatenate(pieces)[:, 0], expected)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_places_are_those_of_the_curve(comm, d):
    sample = gas(d=d)
    domain = Domain.of(comm, sample)
    order = together(comm, domain.file_index)
    assert np.array_equal(order, hilbert_order(sample.positions, sample.box))
    assert np.array_equal(domain.owned("masses"), sample.masses[domain.file_index])
    assert np.array_equal(domain.places_of(domain.file_index),
                          np.arange(domain.halo.first, domain.halo.last))  # fmt: skip


def test_equal_positions_keep_their_order(comm):
    sample = gas()
    sample.positions[100:400] = sample.positions[0]
    domain = Domain.of(comm, sample)
    assert np.array_equal(
        together(comm, domain.file_index), hilbert_order(sample.positions, sample.box)
    )


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("reach", [0.4, 1.5, 6.0])
def test_ghosts_are_exactly_the_near_particles(comm, d, reach):
    sample = gas(d=d)
    domain = Domain.of(comm, sample).with_reach(reach)
    order = hilbert_order(sample.positions, sample.box)
    x = sample.positions[order]
    own = np.zeros(len(x), bool)
    own[domain.halo.first : domain.halo.last] = True
    delta = minimum_image(x[own][:, None] - x[~own][None], sample.box)
    near = (np.linalg.norm(delta, axis=2) < reach).any(axis=0)
    assert np.array_equal(domain.halo.ghosts, np.flatnonzero(~own)[near])
    sites = domain.halo.sites
    assert np.array_equal(domain.sample.diameters, sample.diameters[order][sites])
    shift = (domain.sample.positions - x[sites]) / sample.box
    assert np.allclose(shift, np.rint(shift), atol=1e-12)


def test_bonds_follow_their_ends(comm):
    sample = gas(bonds=True)
    domain = Domain.of(comm, sample).with_reach(0.0)
    order = hilbert_order(sample.positions, sample.box)
    names = order[domain.halo.sites]
    seen = np.sort(names[domain.sample.bonds], axis=1)
    bonds = zip(sample.bonds.tolist(), sample.stiffness, strict=True)
    stiffness = {tuple(sorted(b)): k for b, k in bonds}
    mine = set(order[domain.halo.first : domain.halo.last].tolist())
    expected = {bond for bond in stiffness if mine & set(bond)}
    assert {tuple(bond) for bond in seen.tolist()} == expected and len(seen) == len(expected)
    for bond, k in zip(seen.tolist(), domain.sample.stiffness, strict=True):
        assert stiffness[tuple(bond)] == k


@pytest.mark.parametrize("bonds", [False, True])
def test_a_file_comes_back_in_its_own_order(comm, tmp_path_factory, bonds):
    sample = gas(bonds=bonds)
    folder = comm.bcast(str(tmp_path_factory.mktemp("domain")) if comm.rank == 0 else None)
    if comm.rank == 0:
        sample.write(f"{folder}/whole.h5")
    comm.Barrier()
    domain = Domain.read(comm, f"{folder}/whole.h5").with_reach(1.0)
    domain.write(f"{folder}/again.h5")
    comm.Barrier()
    again = Sample.read(f"{folder}/again.h5")
    for name in ("positions", "box", "species", "diameters", "masses"):
        assert np.array_equal(getattr(again, name), getattr(sample, name)), name
    assert again.model == sample.model and again.provenance == sample.provenance
    if bonds:

        def table(s):
            rows = np.column_stack([np.sort(s.bonds, axis=1), s.stiffness])
            return rows[np.lexsort(rows.T[1::-1])]

        assert np.array_equal(table(again), table(sample))
    rows = np.arange(domain.halo.n_owned) + 0.5
    assert np.array_equal(domain.from_file_order(domain.to_file_order(rows)), rows)
    comm.Barrier()


def test_a_failed_write_fails_everywhere(comm, tmp_path_factory):
    folder = comm.bcast(str(tmp_path_factory.mktemp("domain")) if comm.rank == 0 else None)
    domain = Domain.of(comm, gas())
    with pytest.raises(InputError, match="does not exist"):
        domain.write(f"{folder}/missing/sample.h5")
    with pytest.raises(InputError, match="no such file"):
        Domain.read(comm, f"{folder}/nothing.h5")


def test_domains_are_balanced_and_compact(comm):
    domain = Domain.of(comm, gas(4000)).with_reach(0.5)
    sizes = comm.allgather(domain.halo.n_owned)
    assert max(sizes) - min(sizes) <= 1
    if comm.size > 1:
        starts = comm.allgather(domain.halo.first)
        assert all(a < b for a, b in pairwise(starts))
        assert len(domain.halo.ghosts) < domain.halo.n_owned
