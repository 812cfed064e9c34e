"""Rattlers: what bears no load has no stiffness, and everything else keeps its own."""

from dataclasses import replace

import numpy as np
import pytest
from packings import LOOSE, make_packing, model_of, with_loose_spheres

from glassmodes.errors import SampleError
from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.mechanics.rattlers import can_rattle, without_rattlers
from glassmodes.models import HarmonicSpheres, PairPotential, named
from glassmodes.observables.elasticity import measure_moduli
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.modes import vibrational_modes
from glassmodes.sample import Sample

SIZES = {2: 150, 3: 200, 4: 200}


@pytest.fixture(scope="module", params=[(2, 2.0), (3, 2.0), (3, 2.5), (4, 2.0)], ids=str)
def packing(request):
    d, exponent = request.param
    return make_packing(d, SIZES[d], seed=4, exponent=exponent)


@pytest.fixture(scope="module")
def loose(packing):
    """The packing with spheres in its holes that touch 1 to d neighbours."""
    return with_loose_spheres(packing, [*range(1, packing.dimension + 1), 1])


def contact_numbers(inter):
    return np.bincount(np.concatenate([inter.i, inter.j]), minlength=inter.n)


def test_loose_spheres_touch_what_they_were_pushed_against(loose):
    """The premise of the tests below: contacts that no force would show."""
    inter = find_interactions(loose)
    d = loose.dimension
    assert list(contact_numbers(inter)[loose.species == LOOSE]) == [*range(1, d + 1), 1]


def test_a_rattler_has_no_stiffness_wherever_it_rests(loose, packing):
    """Against its cage or taken away: the rest of the packing has the same Hessian."""
    d, n = packing.dimension, packing.particles
    matrix = hessian.sparse(without_rattlers(find_interactions(loose))).toarray()
    alone = hessian.sparse(without_rattlers(find_interactions(packing))).toarray()
    np.testing.assert_array_equal(matrix[: n * d, : n * d], alone)
    assert not matrix[n * d :].any() and not matrix[:, n * d :].any()


def test_zero_modes_are_translations_and_rattlers(comm_self, loose):
    d = loose.dimension
    system = HarmonicSystem(comm_self, loose)
    count = system.rattler_count
    assert set(system.domain.file_index[system.rattlers]) >= set(
        np.flatnonzero(loose.species == LOOSE)
    )
    held = without_rattlers(find_interactions(loose))
    values = np.linalg.eigvalsh(hessian.sparse(held, loose.masses).toarray())
    zero, positive = values[: d + d * count], values[d + d * count :]
    # Round-off of LAPACK against the softest mode of a packing this small.
    assert np.abs(zero).max() < 1e-12 and positive[0] > 1e-6
    modes = vibrational_modes(system, count=10)
    assert modes.zero_modes == len(zero) and modes.certified
    np.testing.assert_allclose(modes.frequencies, np.sqrt(positive[:10]), rtol=1e-8)
    system.destroy()


def test_left_in_they_would_be_stiff(loose):
    """What the removal is for: every idle contact hides a zero mode."""
    d = loose.dimension
    held = without_rattlers(find_interactions(loose))
    values = np.linalg.eigvalsh(hessian.sparse(find_interactions(loose)).toarray())
    rattlers = int((contact_numbers(held) == 0).sum())
    assert np.sum(np.abs(values) < 1e-12) < d + d * rattlers


def test_who_bears_a_load_has_more_than_d_contacts(loose):
    """Bucklers, with d + 1 contacts, are kept."""
    d = loose.dimension
    held = without_rattlers(find_interactions(loose))
    numbers = contact_numbers(held)
    assert numbers[numbers > 0].min() >= d + 1
    # Contacts are only ever taken from rattlers, so at least Maxwell's count is left.
    bearing = int((numbers > 0).sum())
    assert len(held) >= d * (bearing - 1)


def test_rattlers_change_no_modulus(comm_self, loose, packing):
    """Two different samples, the same box: nobody asks where the loose spheres lie."""
    found = []
    for sample in (loose, packing):
        system = HarmonicSystem(comm_self, sample)
        found.append(measure_moduli(system).elastic)
        system.destroy()
    scale = found[1].bulk
    # Two factorisations that pin different particles.
    np.testing.assert_allclose(found[0].shear, found[1].shear, atol=1e-9 * scale)
    assert abs(found[0].bulk - found[1].bulk) < 1e-9 * scale


def test_what_hangs_on_a_rattler_is_one():
    """A chain into the empty, each link barely touching the next: the last goes first."""
    d, links = 2, 5
    x = np.column_stack([3.0 + np.arange(links) * (1 - 1e-13), np.full(links, 5.0)])
    corner = np.array([[10.0, 5.0], [10.9, 5.0], [10.45, 5.85], [10.45, 4.15]])
    sample = Sample(
        np.vstack([x, corner]), np.full(d, 20.0), model=HarmonicSpheres(lengths=1.0).spec()
    )
    inter = find_interactions(sample)
    assert list(contact_numbers(inter)) == [1, 2, 2, 2, 1, 3, 3, 2, 2]
    held = without_rattlers(inter)
    # The pushing spheres stay although two of them have d contacts: they are no rattlers.
    assert list(contact_numbers(held)) == [0] * links + [3, 3, 2, 2]


def test_three_contacts_become_two_once_a_rattler_is_gone():
    """The rounds: in 2D a sphere with d + 1 idle contacts goes after its neighbour went."""
    top = 1 - 1e-13
    middle = np.array([5.0, 5.0])
    turns = np.deg2rad([90.0, 210.0, 330.0])
    around = middle + top * np.column_stack([np.cos(turns), np.sin(turns)])
    # Two of the three are held by spheres that push; the third has the middle one alone.
    wall = np.array([[-0.45, -0.8], [0.45, -0.8], [0.0, -1.6]])
    x = np.vstack([middle, around, around[1] + wall, around[2] + wall])
    sample = Sample(x, np.full(2, 12.0), model=HarmonicSpheres(lengths=1.0).spec())
    before = contact_numbers(find_interactions(sample))
    after = contact_numbers(without_rattlers(find_interactions(sample)))
    assert before[0] == 3 and before[1] == 1
    assert after[0] == after[1] == 0
    assert np.all(after[4:] == before[4:]) and np.all(after[2:4] == before[2:4] - 1)


def test_a_saddle_is_refused_and_not_taken_for_rattlers(comm_self):
    """A straight chain under pressure: two contacts each in 2D, balanced, ready to buckle."""
    x = np.column_stack([0.9 * np.arange(10), np.full(10, 5.0)])
    chain = Sample(x, np.array([9.0, 10.0]), model=HarmonicSpheres(lengths=1.0).spec())
    system = HarmonicSystem(comm_self, chain)
    assert system.rattler_count == 0 and system.interactions.contacts == 10
    with pytest.raises(SampleError) as refused:
        vibrational_modes(system, count=2)
    assert refused.value.reason == "saddle"


def test_a_packing_in_which_nothing_bears_a_load_is_refused(comm_self):
    x = np.column_stack([np.arange(4) * (1 - 1e-13) + 1.0, np.full(4, 5.0)])
    sample = Sample(x, np.full(2, 10.0), model=HarmonicSpheres(lengths=1.0).spec())
    system = HarmonicSystem(comm_self, sample)
    with pytest.raises(SampleError, match="bears a load") as refused:
        system.require_minimum()
    assert refused.value.reason == "no_contacts"


def test_only_contacts_can_rattle(packing):
    """Attraction, a tail or a bond can hold a particle with fewer neighbours."""
    assert can_rattle(packing) and can_rattle(packing, named("hertzian_spheres"))
    bonded = replace(packing, bonds=np.array([[0, 1]]), stiffness=np.ones(1))
    assert not can_rattle(bonded)
    for name in ("ipl_3d", "lennard_jones", "kob_andersen"):
        model = named(name)
        assert isinstance(model, PairPotential) and not model.contact
        assert not can_rattle(packing, model)
    assert not HarmonicSpheres(lengths=1.0, energies=-1.0).contact
    assert not can_rattle(replace(packing, model={}))


def test_the_flag_survives_storage(packing, tmp_path):
    packing.write(tmp_path / "packing.h5")
    assert can_rattle(Sample.read(tmp_path / "packing.h5"))
    assert model_of(3).contact
