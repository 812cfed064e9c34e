"""Forces, Hessian, stress, Born terms and non-affine forces against finite differences.

The reference energy is a plain sum over all pairs with its own image search and an explicit
deformation gradient; it shares only the potential with the code under test.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from glassmodes.mechanics import born, forces, hessian, non_affine
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import from_spec


def unit(d, a, b):
    """Return the deformation gradient of x_a += γ x_b per γ."""
    matrix = np.zeros((d, d))
    matrix[a, b] = 1.0
    return matrix


def mixed(function):
    """Return the mixed second difference of function(s, t) at 0 for unit steps."""
    return (function(1, 1) - function(1, -1) - function(-1, 1) + function(-1, -1)) / 4


@pytest.fixture(scope="module")
def strained(glass):
    """Return the glass moved off its minimum: net forces must not hide in any formula."""
    moved = np.random.default_rng(0).normal(size=glass.positions.shape)
    return replace(glass, positions=glass.positions + 0.02 * moved)


@pytest.fixture(scope="module")
def inter(strained):
    return find_interactions(strained, order=4)


@pytest.fixture(scope="module")
def plain(strained, plain_energy_of):
    return plain_energy_of(strained)


@pytest.fixture(scope="module")
def directions(strained):
    return np.random.default_rng(1).normal(size=(3, strained.positions.size))


def test_pairs_are_those_inside_their_own_cutoff(strained, inter, plain):
    model = from_spec(strained.model)
    reach = model.cutoffs * model.lengths
    r = np.linalg.norm(plain.vector, axis=1)
    inside = r < reach[strained.species[plain.i], strained.species[plain.j]]
    expected = sorted(zip(plain.i[inside], plain.j[inside], strict=True))
    assert list(zip(inter.i, inter.j, strict=True)) == expected


def test_energy_is_the_sum_over_pairs(inter, plain):
    assert forces.energy(inter) == pytest.approx(plain(), rel=1e-12)


def test_forces_are_minus_the_gradient(inter, plain, directions):
    h = 1e-5  # truncation h² U''' and round-off 1e-16 U/h meet near 1e-8
    for v in directions:
        slope = (plain(displacement=h * v) - plain(displacement=-h * v)) / (2 * h)
        assert -(forces.forces(inter).ravel() @ v) == pytest.approx(slope, rel=1e-6)


def test_forces_sum_to_zero(inter):
    assert np.abs(forces.forces(inter).sum(axis=0)).max() < 1e-10


def test_hessian_is_the_derivative_of_the_forces(strained, inter, directions):
    h = 1e-5
    matrix = hessian.sparse(inter)
    for v in directions:
        ends = [
            replace(
                strained, positions=strained.positions + s * h * v.reshape(strained.positions.shape)
            )
            for s in (1, -1)
        ]
        plus, minus = (forces.forces(find_interactions(e)).ravel() for e in ends)
        expected = -(plus - minus) / (2 * h)
        np.testing.assert_allclose(matrix @ v, expected, atol=1e-6 * np.abs(expected).max())


def test_higher_bond_tensors_are_derivatives_of_the_lower(strained, inter, directions):
    """U2:zz, U3:zzz and U4:zzzz as in the expansion of the energy along z."""
    h = 1e-5
    z = directions[0]

    def expansion(interactions):
        delta = interactions.difference(z.reshape(strained.positions.shape))
        s = np.einsum("pc,pc->p", interactions.vector, delta)
        w = np.einsum("pc,pc->p", delta, delta)
        a1, a2, a3, a4 = (getattr(interactions, name) for name in ("A1", "A2", "A3", "A4"))
        second = (a2 * s**2 + a1 * w).sum()
        third = (a3 * s**3 + 3 * a2 * s * w).sum()
        return second, third, (a4 * s**4 + 6 * a3 * s**2 * w + 3 * a2 * w**2).sum()

    def at(step):
        moved = strained.positions + step * z.reshape(strained.positions.shape)
        return expansion(find_interactions(replace(strained, positions=moved), order=4))

    _, third, fourth = expansion(inter)
    plus, minus = at(h), at(-h)
    assert third == pytest.approx((plus[0] - minus[0]) / (2 * h), rel=1e-5)
    # the pairs that enter the cutoff make φ'''' jump there: U3 is only once differentiable
    assert fourth == pytest.approx((plus[1] - minus[1]) / (2 * h), rel=1e-3)


def test_stress_and_pressure_are_strain_derivatives(strained, inter, plain):
    h, d = 1e-5, inter.d
    sigma = forces.stress(inter)
    for a, b in product(range(d), repeat=2):
        e = unit(d, a, b)
        slope = (plain(h * e) - plain(-h * e)) / (2 * h * strained.volume)
        assert sigma[a, b] == pytest.approx(slope, abs=1e-6 * np.abs(sigma).max())
    assert forces.pressure(inter) == pytest.approx(-np.trace(sigma) / d, rel=1e-12)


def test_born_tensor_with_prestress_is_the_second_strain_derivative(strained, inter, plain):
    d, h = inter.d, 2e-4
    tensor = born.gradient_tensor(born.born_tensor(inter), forces.stress(inter))
    rng = np.random.default_rng(2)
    every = list(product(range(d), repeat=4))
    chosen = every if d == 2 else [every[k] for k in rng.choice(len(every), 20, replace=False)]
    chosen += [(0, 1, 0, 1), (1, 0, 1, 0), (0, 1, 1, 0), (0, 0, 0, 0), (0, 0, 1, 1)]
    for a, b, c, e in chosen:
        first, second = h * unit(d, a, b), h * unit(d, c, e)
        expected = mixed(lambda s, t, f=first, g=second: plain(s * f + t * g)) / h**2
        # h² times a sixth of the fourth derivative is 1e-6 of the largest component
        found = strained.volume * tensor[a, b, c, e]
        assert found == pytest.approx(expected, abs=1e-5 * strained.volume * np.abs(tensor).max())


def test_bare_born_tensor_is_fully_symmetric(inter):
    tensor = born.born_tensor(inter)
    for order in ("bacd", "abdc", "cdab", "acbd"):
        swapped = np.einsum(f"abcd->{order}", tensor)
        np.testing.assert_allclose(tensor, swapped, rtol=1e-13, atol=1e-12)


def test_non_affine_force_is_the_mixed_derivative(inter, plain, directions):
    d, h = inter.d, 1e-4
    xi = non_affine.non_affine_forces(inter)
    for a, b in product(range(d), repeat=2):
        for v in directions[:2]:
            strain, moved = h * unit(d, a, b), h * v
            expected = mixed(lambda s, t, e=strain, u=moved: plain(s * e, t * u)) / h**2
            scale = np.linalg.norm(xi[a, b]) * np.linalg.norm(v)
            assert xi[a, b].ravel() @ v == pytest.approx(expected, abs=1e-5 * scale)


def test_non_affine_force_is_the_strain_derivative_of_minus_the_force(strained, inter):
    """A uniaxial strain keeps the box orthorhombic, so the forces of the package itself serve."""
    d, h = inter.d, 1e-5
    for a in range(d):
        moved = []
        for sign in (1, -1):
            stretch = np.ones(d)
            stretch[a] += sign * h
            deformed = replace(
                strained, positions=strained.positions * stretch, box=strained.box * stretch
            )
            moved.append(forces.forces(find_interactions(deformed)))
        expected = -(moved[0] - moved[1]) / (2 * h)
        xi = non_affine.non_affine_forces(inter)[a, a]
        np.testing.assert_allclose(xi, expected, atol=1e-6 * np.abs(xi).max())


def test_non_affine_forces_sum_to_zero(inter):
    xi = non_affine.non_affine_forces(inter)
    assert np.abs(xi.sum(axis=2)).max() < 1e-12 * np.abs(xi).max() * inter.n


def test_directions_ab_and_ba_are_equal_only_without_net_forces(glass, strained):
    at_rest = non_affine.non_affine_forces(find_interactions(glass))
    moved = non_affine.non_affine_forces(find_interactions(strained))
    scale = np.abs(at_rest).max()
    assert np.abs(at_rest - at_rest.swapaxes(0, 1)).max() < 1e-11 * scale
    assert np.abs(moved - moved.swapaxes(0, 1)).max() > 1e-3 * scale


def test_block_holds_the_distinct_directions_of_a_minimum(glass):
    interactions = find_interactions(glass)
    xi = non_affine.non_affine_forces(interactions)
    block = non_affine.non_affine_block(interactions)
    for k, (a, b) in enumerate(born.symmetric_directions(interactions.d)):
        expected = xi[a, b].ravel()
        np.testing.assert_allclose(block[:, k], expected, atol=1e-11 * np.abs(xi).max())


def test_isotropic_non_affine_force_is_the_volume_derivative(inter):
    """Σ_a Ξ_aa = -Σ_j (A2 r² + A1) r_kj, the force gradient of a uniform expansion."""
    weight = inter.A2 * inter.distance**2 + inter.A1
    expected = inter.scatter(weight[:, None] * inter.vector)
    xi = np.einsum("aanc->nc", non_affine.non_affine_forces(inter))
    np.testing.assert_allclose(xi, expected, atol=1e-10 * np.abs(xi).max())


def test_force_ratio_tells_a_minimum_from_a_moved_sample(glass, strained):
    assert forces.force_ratio(find_interactions(glass)) < 1e-11
    assert forces.force_ratio(find_interactions(strained)) > 1e-2
