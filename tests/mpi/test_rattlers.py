"""Rattlers of a packing that is spread over ranks are those of the packing on one rank."""

import numpy as np
import pytest
from packings import LOOSE, make_packing, with_loose_spheres

from glassmodes.domain import Domain
from glassmodes.mechanics.interactions import domain_interactions
from glassmodes.mechanics.rattlers import without_rattlers
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.modes import vibrational_modes
from glassmodes.parallel import on_root


@pytest.fixture(scope="module", params=[2, 3])
def packing(request, comm):
    d = request.param

    def make():
        whole = make_packing(d, {2: 200, 3: 300}[d], seed=1)
        return with_loose_spheres(whole, [1, d, 2, d, 1, d])

    return on_root(comm, make)


def held_pairs(inter):
    """Return the pairs by the numbers of the file, each as often as it is held, sorted."""
    domain = inter.domain
    places = domain.halo.sites
    index = np.concatenate(domain.comm.allgather(domain.file_index))
    pairs = np.sort(np.column_stack([index[places[inter.i]], index[places[inter.j]]]), axis=1)
    return sorted(map(tuple, np.concatenate(domain.comm.allgather(pairs)).tolist()))


def test_the_same_contacts_stay(comm, comm_self, packing):
    alone = without_rattlers(domain_interactions(Domain.of(comm_self, packing)))
    spread = without_rattlers(domain_interactions(Domain.of(comm, packing)))
    everywhere = domain_interactions(Domain.of(comm, packing))
    assert spread.contacts == alone.contacts < everywhere.contacts
    assert sorted(set(held_pairs(spread))) == held_pairs(alone)
    # A pair between two ranks leaves on both: counted once by halves, held twice.
    shared = comm.allreduce(0.0 if spread.share is None else float(np.sum(spread.share == 0.5)))
    assert len(held_pairs(spread)) == alone.contacts + shared / 2


def test_the_same_rattlers_are_found(comm, comm_self, packing):
    found = []
    for c in (comm, comm_self):
        system = HarmonicSystem(c, packing)
        own = system.domain.file_index[system.rattlers]
        found.append(sorted(np.concatenate(c.allgather(own)).tolist()))
        assert system.rattler_count == len(found[-1])
        assert np.all(system.operator.null_rows == np.repeat(system.rattlers, system.d))
    assert found[0] == found[1]
    assert set(found[0]) >= set(np.flatnonzero(packing.species == LOOSE).tolist())


def test_the_same_modes(comm, comm_self, packing):
    found = []
    for c in (comm, comm_self):
        system = HarmonicSystem(c, packing)
        modes = vibrational_modes(system, count=5)
        assert modes.zero_modes == system.d * (1 + system.rattler_count)
        found.append(modes.frequencies)
        system.destroy()
    # The tolerance of residuals is 1e-8 of an eigenvalue; frequencies have it to second order.
    np.testing.assert_allclose(found[0], found[1], rtol=1e-8)
