"""Minima: the same as plain descent finds, to machine precision, in few steps."""

import numpy as np
import pytest

from glassmodes.errors import InputError, SampleError
from glassmodes.kernels import dynamics
from glassmodes.kernels.dynamics import PairDynamics
from glassmodes.kernels.neighbours import minimum_image
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import HarmonicSpheres, named
from glassmodes.preparation import minimise, newton
from glassmodes.sample import Sample

CASES = {
    "ipl_2d": 200,
    "ipl_3d": 150,
    "ipl_4d": 260,
    "poly_3d": 180,
    "kob_andersen": 200,
    "mblj": 200,
    "harmonic_spheres": 200,
    "hertzian_spheres": 200,
}


def random_start(name, seed=0, n=None, density=None):
    potential = named(name)
    usual = potential.defaults
    n, d = n or CASES[name], usual.dimension
    rng = np.random.default_rng(seed)
    box = np.full(d, (n / (density or usual.density)) ** (1 / d))
    diameters = None if usual.diameters is None else rng.permutation(usual.diameters.quantiles(n))
    species = (np.arange(n) >= round(usual.composition[0] * n)).astype(int)
    x = rng.uniform(0, 1, (n, d)) * box
    return Sample(x, box, species, diameters, model=potential.spec()), potential


def negative_and_zero(sample):
    """Count negative and vanishing eigenvalues of the Hessian, densely."""
    values = np.linalg.eigvalsh(hessian.sparse(find_interactions(sample)).toarray())
    scale = values.max()
    return int((values < -1e-10 * scale).sum()), int((np.abs(values) < 1e-10 * scale).sum())


@pytest.mark.parametrize("name", CASES)
def test_minimum_is_reached_without_crawling(name):
    """From random positions: force ratio below 1e-10, a stable Hessian, energy not above."""
    sample, _ = random_start(name)
    found, info = minimise(sample)
    inter = find_interactions(found)
    assert forces.force_ratio(inter) <= 1e-10
    # printed numbers belong to the sample handed back; wrapping costs some rounding
    assert info.energy_per_particle == pytest.approx(forces.energy(inter) / len(found.positions))
    assert info.typical_contact_force == pytest.approx(forces.typical_contact_force(inter))
    negative, zero = negative_and_zero(found)
    assert negative == 0
    if "spheres" not in name:  # packings may hold rattlers, power laws and mixtures may not
        assert zero == found.dimension
    # plain descent needs 10^4 and more for the last digits of a soft basin
    assert info.force_evaluations < 10_000 and 0 < info.newton_steps < 40
    assert found.provenance["minimisation"]["newton_steps"] == info.newton_steps


@pytest.mark.parametrize("name", ["ipl_2d", "ipl_3d", "kob_andersen", "harmonic_spheres"])
def test_same_minimum_as_plain_fire(name):
    sample, potential = random_start(name, seed=1)
    motion = PairDynamics(sample, potential)
    inside, _ = motion.fire(sample.positions, 1e-2 * potential.energies.max(), 20_000)
    if name == "harmonic_spheres":  # its forces are a hundred times smaller
        inside, _ = motion.fire(inside, 1e-5, 20_000)
    by_fire, info = motion.fire(inside, 1e-12, 200_000)
    assert info.converged
    sample.positions = inside
    by_newton, newton_info = minimise(sample, tolerance=1e-11)
    apart = minimum_image(by_newton.positions - by_fire, sample.box)
    apart -= apart.mean(axis=0)
    if name == "harmonic_spheres":  # rattlers stop anywhere within their cage
        touching = np.unique(np.concatenate([find_interactions(by_newton).i,
                                             find_interactions(by_newton).j]))  # fmt: skip
        apart = apart[touching] - apart[touching].mean(axis=0)
    # forces of 1e-11 of a contact force over soft eigenvalues of order 1e-3 of a typical one
    assert np.abs(apart).max() < 1e-7
    energy = motion.exact_forces(by_fire)[0] / len(apart)
    assert newton_info.energy_per_particle == pytest.approx(energy, rel=1e-12)


def test_a_minimum_stays_where_it_is():
    sample, _ = random_start("ipl_2d")
    first, _ = minimise(sample)
    second, info = minimise(first)
    assert info.force_evaluations <= 2 and info.newton_steps == 0
    np.testing.assert_array_equal(second.positions, first.positions)


def test_particles_that_come_apart_are_at_a_minimum():
    """Far below jamming nothing touches: zero energy, zero force, no failure."""
    sample, _ = random_start("harmonic_spheres", density=0.3)
    found, info = minimise(sample)
    assert info.energy_per_particle == 0.0
    assert info.max_force == info.force_ratio == 0.0
    assert len(find_interactions(found)) == 0


def test_fading_contacts_are_refused():
    """Just below jamming overlaps shrink for ever: no rigid glass, and no endless descent."""
    sample, _ = random_start("harmonic_spheres", seed=1, density=1.15)
    with pytest.raises(SampleError, match="come apart") as caught:
        minimise(sample)
    assert caught.value.reason == "unjammed"


def test_rattlers_do_not_move_the_rest():
    """A small disk in the place of a large one: its free directions are left alone."""
    potential = HarmonicSpheres(lengths=[[1.0, 0.6], [0.6, 0.2]])
    cell = np.array([0.9, 0.9 * 3**0.5])
    grid = np.stack(np.meshgrid(*[np.arange(8), np.arange(5)], indexing="ij"), -1).reshape(-1, 2)
    x = np.concatenate([grid, grid + 0.5]) * cell
    x = x + 0.01 * np.random.default_rng(3).standard_normal(x.shape)
    loose, box = 17, np.array([8, 5]) * cell
    species = (np.arange(len(x)) == loose).astype(int)
    found, info = minimise(Sample(x, box, species, model=potential.spec()))
    assert np.abs(minimum_image(found.positions[loose] - x[loose], box)).max() < 1e-12
    assert info.force_ratio <= 1e-10 and info.energy_per_particle > 1e-4
    inter = find_interactions(found)
    assert loose not in inter.i and loose not in inter.j
    assert negative_and_zero(found) == (0, 4)  # two translations and one rattler
    pull = np.random.default_rng(4).standard_normal(x.shape)
    pull[loose] = 0.0
    pull -= pull.sum(axis=0) / (len(x) - 1) * (np.arange(len(x)) != loose)[:, None]
    direction = newton.solve(newton.HessianProduct(inter), pull.ravel(), 1e-8, 5000)
    assert not direction.negative
    assert not direction.step.reshape(x.shape)[loose].any()


def test_networks_with_floppy_parts_relax():
    """Springs below the isostatic number: stretched ones relax, free directions stay finite."""
    rng = np.random.default_rng(4)
    n, box = 100, np.full(2, 10.0)
    x = np.stack(np.meshgrid(np.arange(10), np.arange(10), indexing="ij"), -1).reshape(-1, 2)
    index = np.arange(n).reshape(10, 10)
    bonds = [np.stack([index, np.roll(index, -1, axis)], -1).reshape(-1, 2) for axis in (0, 1)]
    bonds = np.concatenate([*bonds, np.stack([index, np.roll(index, (-1, -1), (0, 1))], -1)
                            .reshape(-1, 2)])  # fmt: skip
    bonds = bonds[rng.permutation(len(bonds))[:180]]  # Z = 3.6 < 4
    apart = minimum_image(x[bonds[:, 1]] - x[bonds[:, 0]].astype(float), box)
    rest = np.linalg.norm(apart, axis=1) + 0.05 * rng.standard_normal(180)
    sample = Sample(x.astype(float), box, bonds=bonds, rest_lengths=rest)
    before = forces.energy(find_interactions(sample))
    found, info = minimise(sample)
    assert np.isfinite(found.positions).all()
    assert 0 < info.energy_per_particle * n < 1e-20 < before
    assert info.max_force < 1e-10
    negative, zero = negative_and_zero(found)
    assert negative == 0 and zero >= 2 * n - len(bonds)  # Maxwell's count


def test_negative_curvature_ends_a_solve_with_a_descent_direction():
    sample, potential = random_start("ipl_2d")
    x, _ = PairDynamics(sample, potential).fire(sample.positions, 10.0, 200)
    sample.positions = x
    inter = find_interactions(sample)
    assert negative_and_zero(sample)[0] > 0
    force = forces.forces(inter).ravel()
    direction = newton.solve(newton.HessianProduct(inter), force, 1e-8, 2000)
    assert direction.negative
    assert direction.step @ force > 0


def test_newton_solve_inverts_the_hessian():
    found, _ = minimise(random_start("ipl_2d")[0])
    inter = find_interactions(found)
    h = hessian.sparse(inter)
    rhs = np.random.default_rng(5).standard_normal(found.positions.shape)
    rhs = (rhs - rhs.mean(axis=0)).ravel()
    direction = newton.solve(newton.HessianProduct(inter), rhs, 1e-9, 5000)
    assert not direction.negative
    assert np.linalg.norm(h @ direction.step - rhs) < 1e-8 * np.linalg.norm(rhs)
    sums = direction.step.reshape(found.positions.shape).sum(axis=0)
    assert np.abs(sums).max() < 1e-10 * np.abs(direction.step).sum()


def test_newton_converges_quadratically_in_a_smooth_basin():
    """From a ratio of 1e-3 the number of correct digits grows with each step."""
    found, _ = minimise(random_start("ipl_3d")[0])
    rng = np.random.default_rng(6)
    found.positions = found.positions + 1e-4 * rng.standard_normal(found.positions.shape)

    def interactions(x):
        return find_interactions(Sample(x, found.box, found.species, model=found.model))

    point = newton.Point.at(interactions, found.positions)
    ratios = [point.ratio]
    for _ in range(3):
        product = newton.HessianProduct(point.inter)
        step = newton.solve(product, point.force.ravel(), 1e-13, 5000).step
        point, evaluations = newton.search(interactions, point, step, 0.1)
        assert evaluations == 1
        ratios.append(point.ratio)
    assert ratios[0] > 1e-3 and ratios[1] < 1e-4 and ratios[2] < 1e-9


def test_out_of_reach_tolerances_are_refused_with_evidence():
    sample, _ = random_start("ipl_2d")
    with pytest.raises(SampleError, match="minimisation stopped at") as caught:
        minimise(sample, tolerance=1e-20, fire_steps=5000)
    assert caught.value.reason == "not_converged"
    assert 0 < caught.value.evidence["force_ratio"] < 1e-9
    with pytest.raises(SampleError, match=r"after \d+ force evaluations"):
        minimise(sample, fire_steps=30)


def test_fire_alone_reaches_the_same_minimum_with_more_force_evaluations():
    sample, potential = random_start("ipl_3d", seed=3)
    motion = PairDynamics(sample, potential)
    sample.positions, _ = motion.fire(sample.positions, 1e-2, 20_000)
    by_newton, effort = minimise(sample)
    by_fire, plain = minimise(sample, method="fire")
    assert plain.force_ratio <= 1e-10
    assert plain.newton_steps == plain.hessian_products == 0
    assert plain.force_evaluations > 1.5 * effort.force_evaluations
    apart = minimum_image(by_newton.positions - by_fire.positions, sample.box)
    assert np.abs(apart - apart.mean(axis=0)).max() < 1e-7
    with pytest.raises(InputError, match="unknown method"):
        minimise(sample, method="lbfgs")


def test_samples_that_do_not_fit_are_refused():
    sample, potential = random_start("ipl_2d")
    with pytest.raises(InputError, match="twice the cutoff"):
        minimise(Sample(sample.positions, sample.box / 5, sample.species), potential)
    with pytest.raises(InputError, match="knows the species"):
        minimise(Sample(sample.positions, sample.box, sample.species + 2), potential)
    with pytest.raises(InputError, match="no model"):
        minimise(Sample(sample.positions, sample.box))


def test_numpy_kernels_reach_the_same_minimum(monkeypatch):
    sample, potential = random_start("ipl_2d", seed=2)
    motion = PairDynamics(sample, potential)
    sample.positions, _ = motion.fire(sample.positions, 0.05, 20_000)
    compiled, _ = minimise(sample)
    monkeypatch.setattr(dynamics, "load", lambda: None)
    plain, _ = minimise(sample)
    apart = minimum_image(plain.positions - compiled.positions, sample.box)
    assert np.abs(apart - apart.mean(axis=0)).max() < 1e-8
