"""Moduli and dipole stiffness do not depend on the number of ranks.

The sample is a lattice of springs at rest with random stiffness: a minimum by construction,
with non-affine response, in any dimension.
"""

from dataclasses import replace

import numpy as np
import pytest

from glassmodes.domain import Domain
from glassmodes.mechanics.interactions import domain_interactions
from glassmodes.observables.dipoles import all_contacts, dipole_stiffness, random_contacts
from glassmodes.observables.elasticity import measure_moduli
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.stability import find_floppy_modes, require_stable
from glassmodes.sample import Sample


@pytest.fixture(scope="module", params=(2, 3), ids=("2D", "3D"))
def sample(request):
    """A body-centred lattice with springs to first and second neighbours."""
    d = request.param
    side = {2: 6, 3: 4}[d]
    rng = np.random.default_rng(8)
    corners = np.stack(np.meshgrid(*[np.arange(side)] * d, indexing="ij"), -1).reshape(-1, d)
    positions = np.concatenate([corners, corners + 0.5]).astype(float)
    box = np.full(d, float(side))
    i, j = np.triu_indices(len(positions), 1)
    vector = positions[j] - positions[i]
    vector -= box * np.rint(vector / box)
    near = np.linalg.norm(vector, axis=1) < 1.01
    bonds = np.stack([i[near], j[near]], axis=1)
    return Sample(
        positions,
        box,
        bonds=bonds,
        stiffness=rng.uniform(0.2, 2.0, len(bonds)),
        masses=rng.uniform(0.5, 3.0, len(positions)),
    )


@pytest.mark.parametrize("solver", ("factor", "cg"))
def test_ranks_do_not_matter(comm, comm_self, sample, solver):
    answers = []
    for communicator in (comm, comm_self):
        system = HarmonicSystem(communicator, sample, solver=solver)
        try:
            pairs = all_contacts(system.interactions)[::13]
            answers.append((measure_moduli(system), dipole_stiffness(system, pairs)))
        finally:
            system.destroy()
    (moduli, dipoles), (alone, dipoles_alone) = answers
    # solves are verified to 1e-9; quadratic forms of them are far better
    np.testing.assert_allclose(moduli.elastic.relaxed, alone.elastic.relaxed, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(dipoles.stiffness, dipoles_alone.stiffness, rtol=1e-8)
    assert moduli.residual < 1e-9 and dipoles.residuals.max() < 1e-9
    assert np.nanmin(alone.squared_mean_by_direction) > 1e-3


@pytest.mark.parametrize("solver", ("factor", "cg"))
def test_floppy_particles_are_found_at_any_number_of_ranks(comm, comm_self, sample, solver):
    """One particle on a single bond, one without any."""
    n, d = sample.positions.shape
    floppy = replace(
        sample,
        positions=np.vstack([sample.positions, np.full((2, d), 0.3)]),
        species=None,
        bonds=np.vstack([sample.bonds, [[0, n]]]),
        stiffness=np.append(sample.stiffness, 1.0),
        masses=np.append(sample.masses, [2.0, 5.0]),
    )
    floppy.positions[-1, 0] += 1.4
    pairs = np.vstack([sample.bonds[::17], [[0, n], [3, n], [4, n + 1]]])
    answers = []
    for communicator in (comm, comm_self):
        system = HarmonicSystem(communicator, floppy, solver=solver)
        try:
            require_stable(system)
            find_floppy_modes(system)
            assert system.floppy_modes == d - 1
            answers.append(dipole_stiffness(system, pairs))
        finally:
            system.destroy()
    np.testing.assert_allclose(answers[0].stiffness, answers[1].stiffness, rtol=1e-8)
    assert answers[0].residuals[:-2].max() < 1e-9


def test_contacts_have_one_number_on_any_number_of_ranks(comm, comm_self, sample):
    """All of them, and the same random ones, by their indices in the sample."""
    expected = np.unique(np.sort(sample.bonds, axis=1), axis=0)
    inter, alone = (domain_interactions(Domain.of(c, sample)) for c in (comm, comm_self))
    np.testing.assert_array_equal(all_contacts(inter), expected)
    for count in (1, 7, len(expected)):
        drawn = random_contacts(inter, count, seed=4)
        np.testing.assert_array_equal(drawn, random_contacts(alone, count, seed=4))
        assert {tuple(pair) for pair in drawn} <= {tuple(pair) for pair in expected}
    assert not np.array_equal(random_contacts(inter, 7, seed=5), random_contacts(inter, 7, seed=4))


@pytest.mark.parametrize("solver", ("factor", "cg"))
def test_both_ways_to_dipoles_agree_on_any_number_of_ranks(comm, comm_self, sample, solver):
    system, alone = (HarmonicSystem(c, sample, solver=solver) for c in (comm, comm_self))
    pairs = all_contacts(system.interactions)
    pairs = pairs[(pairs < 25).all(axis=1)]
    try:
        by_pairs = dipole_stiffness(system, pairs, column_memory=0)
        every = all_contacts(system.interactions)
        by_columns = dipole_stiffness(system, every)
        expected = dipole_stiffness(alone, every, column_memory=0)
    finally:
        system.destroy()
        alone.destroy()
    assert by_columns.solves == sample.positions.size < expected.solves == len(every)
    np.testing.assert_allclose(by_columns.stiffness, expected.stiffness, rtol=1e-8)
    chosen = (every < 25).all(axis=1)
    np.testing.assert_allclose(by_pairs.stiffness, expected.stiffness[chosen], rtol=1e-8)
    assert max(by_pairs.residuals.max(), by_columns.residuals.max()) < 1e-9


def test_columns_count_the_rows_of_a_rank(comm, comm_self, sample):
    """What does not fit on one rank fits on two: the limit is that of each rank."""

    def by_columns(system, limit):
        return dipole_stiffness(system, every, column_memory=limit).solves == rows

    alone, system = HarmonicSystem(comm_self, sample), HarmonicSystem(comm, sample)
    every = all_contacts(system.interactions)
    rows = sample.positions.size
    try:
        # what all responses at once would take; a sweep that drops them needs less
        enough = next(k for k in range(1, 33) if by_columns(alone, k * rows**2 * 8 // 32))
        # less than one rank needs, more than each of two does
        limit = int(0.7 * (enough - 1) * rows**2 * 8 / 32)
        assert by_columns(system, limit) == (comm.size > 1)
    finally:
        alone.destroy()
        system.destroy()


def test_every_rank_has_the_same_answer(comm, sample):
    system = HarmonicSystem(comm, sample)
    try:
        record = measure_moduli(system).to_record()
    finally:
        system.destroy()
    for other in comm.allgather(record):
        for name, value in record.items():
            np.testing.assert_array_equal(other[name], value)
