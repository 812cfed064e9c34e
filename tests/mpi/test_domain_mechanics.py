"""Mechanics of a sample spread over ranks equal those of the whole sample on one."""

import numpy as np
import pytest

from glassmodes.domain import Domain
from glassmodes.errors import InputError, SampleError
from glassmodes.mechanics import born, forces, hessian, non_affine
from glassmodes.mechanics.interactions import domain_interactions, find_interactions
from glassmodes.models import named
from glassmodes.observables.dipoles import dipole_stiffness
from glassmodes.observables.elasticity import measure_moduli
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.modes import vibrational_modes
from glassmodes.sample import Sample

SIDE = {2: 12, 3: 7, 4: 4}
MODELS = {"2D": (2, "ipl_2d"), "3D": (3, "ipl_3d"), "4D": (4, "ipl_4d"), "swap": (3, "nbc_3d")}


@pytest.fixture(scope="module", params=[*MODELS, "bonds", "both"])
def sample(request) -> Sample:
    """A jittered lattice, numbered at random: every quantity is defined away from a minimum too."""
    d, name = MODELS.get(request.param, (3, "ipl_3d"))
    rng = np.random.default_rng(4)
    n = SIDE[d] ** d
    model = named(name)
    edge = (n / model.defaults.density) ** (1 / d)
    grid = np.stack(np.meshgrid(*[np.arange(SIDE[d])] * d, indexing="ij"), axis=-1).reshape(n, d)
    x = (grid + rng.uniform(-0.15, 0.15, (n, d))) * edge / SIDE[d]
    order = rng.permutation(n)
    bonds = None
    if request.param in ("bonds", "both"):
        place = np.ravel_multi_index(tuple(((grid + [1, 0, 2]) % SIDE[d]).T), (SIDE[d],) * d)
        number = np.argsort(order)
        bonds = number[np.stack([np.arange(n), place], axis=1)]
    diameters = None
    if model.lengths is None:
        diameters = rng.uniform(0.7, 1.3, n)
    return Sample(
        x[order],
        np.full(d, edge),
        species=np.arange(n) % model.n_species,
        masses=rng.uniform(0.5, 3.0, n),
        diameters=diameters,
        bonds=bonds,
        stiffness=None if bonds is None else rng.uniform(1, 2, n),
        rest_lengths=None if bonds is None else rng.uniform(1, 2, n),
        model={} if request.param == "bonds" else model.spec(),
    )


def in_file_order(domain, rows):
    index = np.concatenate(domain.comm.allgather(domain.file_index))
    whole = np.concatenate(domain.comm.allgather(rows))
    result = np.empty_like(whole)
    result[index] = whole
    return result


def test_sums_over_pairs(comm, sample):
    whole = find_interactions(sample)
    inter = domain_interactions(Domain.of(comm, sample))
    assert inter.n == whole.n and inter.contacts == len(whole)
    # sums of thousands of terms of order one in another order
    close = {"rtol": 1e-11, "atol": 1e-11 * np.abs(whole.derivatives[1]).max()}
    for law in (
        forces.energy,
        forces.pressure,
        forces.max_force,
        forces.typical_contact_force,
        forces.force_ratio,
        forces.stress,
        born.born_tensor,
    ):
        np.testing.assert_allclose(law(inter), law(whole), err_msg=law.__name__, **close)


def test_rows_of_particles(comm, sample):
    whole = find_interactions(sample)
    inter = domain_interactions(Domain.of(comm, sample))
    scale = np.abs(whole.derivatives[1]).max()
    found = in_file_order(inter.domain, forces.forces(inter))
    np.testing.assert_allclose(found, forces.forces(whole), atol=1e-12 * scale)
    block = non_affine.non_affine_block(inter).reshape(inter.owned, -1)
    expected = non_affine.non_affine_block(whole).reshape(whole.n, -1)
    size = np.abs(whole.A2[:, None] * whole.vector**2).max()
    np.testing.assert_allclose(in_file_order(inter.domain, block), expected, atol=1e-12 * size)


def test_the_hessian(comm, sample):
    system = HarmonicSystem(comm, sample)
    x = np.random.default_rng(5).normal(size=(sample.particles * sample.dimension, 3))
    plain = hessian.sparse(find_interactions(sample))
    found = system.gather(system.product(system.scatter(x)))
    np.testing.assert_allclose(found, plain @ x, atol=1e-12 * abs(plain).sum(axis=1).max())
    weighted = hessian.sparse(find_interactions(sample), sample.masses)
    found = system.gather(system.operator.apply(system.scatter(x)))
    np.testing.assert_allclose(found, weighted @ x, atol=1e-12 * abs(weighted).sum(axis=1).max())


def test_ghosts_are_those_of_pairs_and_no_more(comm, sample):
    inter = domain_interactions(Domain.of(comm, sample))
    halo = inter.domain.halo
    used = np.unique(inter.j[inter.j >= halo.n_owned])
    assert np.array_equal(used, np.arange(halo.n_owned, halo.n_total))
    assert np.all(inter.i < halo.n_owned) and np.all(inter.i < inter.j)


def test_an_overlap_on_one_rank_is_an_error_on_all(comm, sample):
    if not sample.model:
        pytest.skip("springs do not overlap")
    crowded = Sample(**{**vars(sample), "positions": sample.positions.copy()})
    crowded.positions[3] = crowded.positions[5] + 1e-6
    with pytest.raises(SampleError, match=r"particles (3 and 5|5 and 3) overlap"):
        domain_interactions(Domain.of(comm, crowded))


def test_a_small_box_is_refused(comm, sample):
    if not sample.model:
        pytest.skip("springs have no cutoff")
    small = Sample(sample.positions[:4] * 0.1, sample.box * 0.1, model=named("ipl_3d").spec())
    if sample.dimension != 3:
        pytest.skip("one dimension will do")
    with pytest.raises(InputError, match="twice the cutoff"):
        domain_interactions(Domain.of(comm, small))


def few_bonds(atoms: int, bonded: int) -> Sample:
    """A ring of springs with atoms that have none: ranks may be left without a bond."""
    turn = 2 * np.pi * np.arange(bonded) / bonded
    ring = 2.0 + np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rest = np.random.default_rng(1).uniform(5.0, 9.0, (atoms - bonded, 2))
    around = np.arange(bonded)
    steps = [np.stack([around, (around + k) % bonded], axis=1) for k in (1, 2)]
    bonds = np.unique(np.sort(np.concatenate(steps), axis=1), axis=0)
    return Sample(np.concatenate([ring, rest]), [10.0, 10.0], bonds=bonds)


@pytest.mark.parametrize("atoms", [5, 60])
@pytest.mark.parametrize("name", ["", "harmonic_network"])
def test_ranks_without_bonds_or_atoms(comm, comm_self, atoms, name):
    sample = few_bonds(atoms, 5)
    sample.model = named(name).spec() if name else {}
    alone, system = HarmonicSystem(comm_self, sample), HarmonicSystem(comm, sample)
    x = np.random.default_rng(5).normal(size=(2 * atoms, 2))
    found = system.gather(system.product(system.scatter(x)))
    np.testing.assert_allclose(found, alone.matrix() @ x, atol=1e-13)
    modes, expected = vibrational_modes(system, count=3), vibrational_modes(alone, count=3)
    np.testing.assert_allclose(modes.frequencies, expected.frequencies, rtol=1e-9)
    assert modes.zero_modes == expected.zero_modes
    moduli, expected = measure_moduli(system), measure_moduli(alone)
    np.testing.assert_allclose(moduli.elastic.relaxed, expected.elastic.relaxed, atol=1e-12)
    pairs = np.array([[0, 1], [2, 4]])
    np.testing.assert_allclose(
        dipole_stiffness(system, pairs).stiffness,
        dipole_stiffness(alone, pairs).stiffness,
        rtol=1e-9,
    )
