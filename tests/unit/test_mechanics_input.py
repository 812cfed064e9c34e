"""What mechanics refuses, and bonds as interactions."""

from dataclasses import replace

import numpy as np
import pytest

from glassmodes.errors import InputError, SampleError
from glassmodes.mechanics import born, forces, hessian, non_affine
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import HarmonicSpheres
from glassmodes.sample import Sample


def test_no_model_and_no_bonds(glass_3d):
    with pytest.raises(InputError, match="no model"):
        find_interactions(replace(glass_3d, model={}))


def test_box_below_twice_the_cutoff(glass_3d):
    shrunk = replace(glass_3d, box=glass_3d.box * 0.9, positions=glass_3d.positions * 0.9)
    with pytest.raises(InputError, match="twice the cutoff"):
        find_interactions(shrunk)


def test_a_box_of_twice_the_cutoff_is_accepted(glass_3d):
    edge = 2 * 1.4 * 1.48
    scale = edge / glass_3d.box
    find_interactions(replace(glass_3d, box=np.full(3, edge), positions=glass_3d.positions * scale))


@pytest.mark.parametrize("separation", (0.0, 1e-3, 0.05))
def test_overlapping_particles(glass_3d, separation):
    positions = glass_3d.positions.copy()
    positions[7] = positions[3] + [separation, 0, 0] + 2 * glass_3d.box
    with pytest.raises(SampleError, match="particles 3 and 7 overlap") as caught:
        find_interactions(replace(glass_3d, positions=positions))
    assert caught.value.reason == "overlap"


@pytest.mark.parametrize("value", (np.nan, np.inf))
def test_positions_that_are_not_numbers(glass_3d, value):
    positions = glass_3d.positions.copy()
    positions[5, 1] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        find_interactions(replace(glass_3d, positions=positions))


def test_species_unknown_to_the_model(glass_3d):
    with pytest.raises(InputError, match="species 2"):
        find_interactions(replace(glass_3d, species=glass_3d.species + 1))


def test_derivatives_beyond_those_asked_for(glass_3d):
    inter = find_interactions(glass_3d, order=1)
    with pytest.raises(ValueError, match="derivative 2"):
        _ = inter.A2


def test_a_bond_that_reaches_half_the_box():
    sample = Sample([[0.0, 0.0], [5.0, 1.0]], [10.0, 10.0], bonds=[[0, 1]])
    with pytest.raises(InputError, match="half the box"):
        find_interactions(sample)


def test_bonds_default_to_unit_springs_at_rest():
    sample = Sample([[0.5, 0.5], [9.5, 0.5], [1.5, 1.5]], [10.0, 10.0], bonds=[[2, 0], [0, 1]])
    inter = find_interactions(sample)
    assert inter.i.tolist() == [0, 0] and inter.j.tolist() == [1, 2]
    np.testing.assert_allclose(inter.vector, [[-1, 0], [1, 1]])
    np.testing.assert_allclose(inter.derivatives, [[0, 0], [0, 0], [1, 1]])
    assert forces.force_ratio(inter) == 0.0


def test_a_stretched_spring_pulls_its_ends_together():
    """φ = k (r - l)²/2 with k = 3, r = 2, l = 1.5: the force is k (r - l) = 1.5."""
    sample = Sample(
        [[1.0, 1.0], [3.0, 1.0]], [10.0, 10.0], bonds=[[0, 1]], stiffness=[3.0], rest_lengths=[1.5]
    )
    inter = find_interactions(sample)
    assert forces.energy(inter) == pytest.approx(3 * 0.5**2 / 2)
    np.testing.assert_allclose(forces.forces(inter), [[1.5, 0], [-1.5, 0]])
    assert forces.typical_contact_force(inter) == pytest.approx(1.5)


def test_bonds_add_to_the_pairs_of_the_model(glass_3d):
    """A spring between particles that already interact adds to their pair."""
    plain = find_interactions(glass_3d)
    bonds = np.array([[plain.i[5], plain.j[5]]])
    both = find_interactions(
        replace(glass_3d, bonds=bonds, stiffness=[2.0], rest_lengths=[plain.distance[5] - 0.1])
    )
    assert len(both) == len(plain) + 1
    extra = forces.forces(both) - forces.forces(plain)
    assert forces.energy(both) - forces.energy(plain) == pytest.approx(0.01, rel=1e-9)
    normal = plain.vector[5] / plain.distance[5]
    np.testing.assert_allclose(extra[plain.i[5]], 0.2 * normal, rtol=1e-9, atol=1e-12)


def test_particles_out_of_reach_have_no_mechanics():
    model = HarmonicSpheres(lengths=1.0)
    inter = find_interactions(Sample([[1.0, 1], [4, 4], [7, 7]], [9.0, 9], model=model.spec()))
    assert len(inter) == 0 and forces.energy(inter) == 0.0
    assert forces.force_ratio(inter) == forces.typical_contact_force(inter) == 0.0
    assert not forces.forces(inter).any() and not hessian.sparse(inter).toarray().any()
    assert not non_affine.non_affine_block(inter).any() and not born.born_tensor(inter).any()


def test_springs_without_any_stiffness():
    sample = Sample(
        [[1.0, 1], [2, 1], [1, 2]], [9.0, 9], bonds=[[0, 1], [1, 2]], stiffness=[0.0, 0.0]
    )
    with pytest.raises(InputError, match="every bond has the stiffness 0"):
        find_interactions(sample)
