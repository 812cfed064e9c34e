"""Motion over ranks: the forces, steps and minima of one rank, whatever the number of them."""

from dataclasses import replace

import numpy as np
import pytest

from glassmodes.domain import Domain
from glassmodes.errors import InputError, SampleError
from glassmodes.kernels import domain_forces, dynamics
from glassmodes.kernels.dynamics import PairDynamics
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.interactions import domain_interactions, find_interactions
from glassmodes.models import named
from glassmodes.parallel import split_range
from glassmodes.preparation import domain_dynamics, evidence, prepare_domain
from glassmodes.preparation.domain_dynamics import DomainDynamics, at_positions, with_fresh_owners
from glassmodes.preparation.domain_evidence import domain_crystal_order
from glassmodes.preparation.domain_minimise import minimise_domain
from glassmodes.preparation.domain_start import CountedRandom, random_domain, thermal_velocities
from glassmodes.preparation.liquid import random_sample
from glassmodes.sample import Sample

CASES = {
    "ipl_2d": 260,
    "ipl_3d": 500,
    "ipl_4d": 600,
    "poly_3d": 500,
    "kob_andersen": 500,
    "harmonic_spheres": 500,
}


NUMPY = ("ipl_2d", "poly_3d")


@pytest.fixture(
    params=[(name, True) for name in CASES] + [(name, False) for name in NUMPY],
    ids=lambda case: f"{case[0]}-{'compiled' if case[1] else 'numpy'}",
)
def liquid(request, monkeypatch):
    """A configuration on its way down, with masses of its own: forces and motion in earnest."""
    name, compiled = request.param
    potential = named(name)
    rng = np.random.default_rng(1)
    sample = random_sample(potential, CASES[name], rng)
    x, _ = PairDynamics(sample, potential).fire(sample.positions, 1e-9, 150)
    if not compiled:
        for module in (dynamics, domain_forces):
            monkeypatch.setattr(module, "load", lambda: None)
    return replace(sample, positions=x, masses=rng.uniform(0.5, 2.0, len(x))), potential


def whole(comm, domain, rows):
    """Return the rows of all ranks in the order of the file."""
    return np.concatenate(comm.allgather(domain.to_file_order(rows)))


def test_forces_are_those_of_one_rank(comm, liquid):
    sample, potential = liquid
    energy, force, virial = PairDynamics(sample, potential).forces(sample.positions)
    domain = Domain.of(comm, sample)
    found = DomainDynamics(domain, potential).forces(domain)
    # the same terms in another order: round-off of sums of some 50 terms of the largest size
    size = np.abs(PairDynamics(sample, potential).exact_forces(sample.positions)[1]).max()
    assert found[0] == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(whole(comm, domain, found[1]), force, atol=1e-11 * size)
    np.testing.assert_allclose(found[2], virial, atol=1e-12 * np.abs(virial).max())


def test_first_steps_of_fire_are_those_of_one_rank(comm, liquid):
    """Rounding grows exponentially: 30 steps still agree to 10^-9 of a particle's distance."""
    sample, potential = liquid
    expected, info = PairDynamics(sample, potential).fire(sample.positions, 1e-12, 30)
    domain = Domain.of(comm, sample)
    domain, found = DomainDynamics(domain, potential).fire(domain, 1e-12, 30)
    x = whole(comm, domain, domain.owned("positions"))
    np.testing.assert_allclose(x, expected, atol=1e-9)
    assert found.evaluations == info.evaluations == 31 and not found.converged
    assert found.max_force == pytest.approx(info.max_force, rel=1e-7)


def test_longest_step_of_fire_follows_the_largest_eigenvalue(comm, liquid):
    """It is 1.15 / omega_max, well below the stability limit 2 / omega_max."""
    sample, potential = liquid
    sample = replace(sample, masses=None)
    dense = hessian.sparse(find_interactions(sample, potential)).toarray()
    stiffest = np.linalg.eigvalsh(dense)[-1]
    domain = Domain.of(comm, sample)
    motion = DomainDynamics(domain, potential)
    domain, moving = motion._begin(domain)
    with moving:
        found = motion._longest_fire_step(domain, moving) * np.sqrt(stiffest)
    # Lanczos stops within 2 % below the eigenvalue, hence within 1 % above the step
    assert 1.15 * (1 - 1e-9) <= found <= 1.15 * 1.011


@pytest.mark.parametrize("thermostat_time", (0.0, 0.2), ids=("free", "thermostat"))
def test_first_steps_of_dynamics_are_those_of_one_rank(comm, liquid, thermostat_time):
    sample, potential = liquid
    v = np.random.default_rng(2).normal(0.0, 0.5, sample.positions.shape)
    words = (60, 0.001, 1.0, 0.8)
    options = {"thermostat_time": thermostat_time, "every": 20}
    expected = PairDynamics(sample, potential).run(sample.positions, v, *words, **options)
    domain = Domain.of(comm, sample)
    found = DomainDynamics(domain, potential).run(domain, v[domain.file_index], *words, **options)
    end = found.positions
    for rows, there in ((end.owned("positions"), expected.positions),
                        (found.velocities, expected.velocities)):  # fmt: skip
        np.testing.assert_allclose(whole(comm, end, rows), there, atol=1e-9)
    np.testing.assert_allclose(found.thermostat, expected.thermostat, atol=1e-10)
    for name, values in expected.trace.items():
        np.testing.assert_allclose(found.trace[name], values, rtol=1e-9)


def test_energy_is_conserved_while_lists_ghosts_and_owners_change(comm, monkeypatch):
    """A hot liquid in which every list, ghost and owner is renewed many times."""
    potential = named("ipl_2d")
    monkeypatch.setattr(domain_dynamics, "_WORN", 0.0)  # new owners with every set of ghosts
    renewals = []

    def counted(domain, *rows):
        renewals.append(len(domain.halo.ghosts))
        return with_fresh_owners(domain, *rows)

    monkeypatch.setattr(domain_dynamics, "with_fresh_owners", counted)
    domain = random_domain(comm, potential, 300, CountedRandom(3))
    motion = DomainDynamics(domain, potential)
    domain, _ = motion.fire(domain, 20.0, 300)
    v = thermal_velocities(domain, 2.0, CountedRandom(4), 1)
    found = motion.run(domain, v, 1500, 0.001, every=50)
    energy = found.trace["conserved"]
    # velocity Verlet errs by 10^-4 of the kinetic energy here; one pair lost is 2 x 10^-3
    assert np.ptp(energy) < 5e-4 * found.trace["kinetic"].mean()
    assert found.list_builds > 20
    if comm.size > 1:
        assert len(renewals) >= 3
    end = found.positions
    index = np.sort(np.concatenate(comm.allgather(end.file_index)))
    np.testing.assert_array_equal(index, np.arange(300))
    momentum = np.array(comm.allgather(found.velocities.sum(axis=0))).sum(axis=0)
    assert np.abs(momentum).max() < 1e-9
    # particles kept their identity: species by number are those of the start
    before = whole(comm, domain, domain.owned("species"))
    np.testing.assert_array_equal(whole(comm, end, end.owned("species")), before)
    # and unwrapped positions run on: with the kinetic energy known, nobody jumped by a box
    moved = whole(comm, end, end.owned("positions")) - whole(
        comm, domain, domain.owned("positions")
    )
    assert np.abs(moved).max() < 1500 * 0.001 * 8


def test_divergence_is_an_error_on_every_rank(comm):
    potential = named("ipl_2d")
    domain = random_domain(comm, potential, 200, CountedRandom(1))
    v = np.zeros((domain.halo.n_owned, 2))
    with pytest.raises(SampleError, match="diverged") as caught:
        DomainDynamics(domain, potential).run(domain, v, 50, 0.05)
    assert caught.value.reason == "diverged"


@pytest.mark.parametrize("name", ["ipl_2d", "ipl_3d", "harmonic_spheres"])
@pytest.mark.parametrize("method", ["newton", "fire"])
def test_minima_are_reached(comm, name, method):
    potential = named(name)
    domain = random_domain(comm, potential, 300, CountedRandom(5))
    found, info, _ = minimise_domain(domain, method=method)
    assert info.force_ratio <= 1e-10
    assert (info.newton_steps > 0) == (method == "newton")
    # whole on one rank the sample is the same minimum
    x = whole(comm, found, found.owned("positions"))
    species = whole(comm, found, found.owned("species"))
    sample = Sample(x, found.box, species, model=potential.spec())
    inter = find_interactions(sample)
    # positions wrapped: rounding by half an ulp of the box
    assert forces.force_ratio(inter) <= 1.2e-10
    assert forces.energy(inter) / 300 == pytest.approx(info.energy_per_particle, rel=1e-12)
    assert found.sample.provenance["minimisation"]["force_ratio"] == info.force_ratio


def test_a_minimum_found_on_all_ranks_stays_where_it_is(comm):
    potential = named("ipl_3d")
    found, _, _ = minimise_domain(random_domain(comm, potential, 300, CountedRandom(6)))
    again, info, _ = minimise_domain(found, tolerance=2e-10)
    assert info.newton_steps == 0 and info.force_evaluations <= 2
    np.testing.assert_array_equal(again.owned("positions"), found.owned("positions"))


def test_unjammed_packings_are_refused_on_every_rank(comm):
    potential = named("harmonic_spheres")
    domain = random_domain(comm, potential, 200, CountedRandom(1), density=1.15)
    with pytest.raises(SampleError, match="come apart") as caught:
        minimise_domain(domain)
    assert caught.value.reason == "unjammed"


def test_random_starts_do_not_depend_on_the_ranks(comm, comm_self):
    for name in ("poly_3d", "kob_andersen"):
        potential = named(name)
        n = 503
        domain = random_domain(comm, potential, n, CountedRandom(7))
        alone = random_domain(comm_self, potential, n, CountedRandom(7)).sample
        for column in ("positions", "species", "diameters"):
            if getattr(alone, column) is not None:
                rows = np.concatenate(comm.allgather(domain.owned(column)))
                np.testing.assert_array_equal(rows, getattr(alone, column))
        expected = random_sample(potential, n, np.random.default_rng(0))
        # the composition is counted out, and diameters are the quantiles, each once
        np.testing.assert_array_equal(np.bincount(alone.species), np.bincount(expected.species))
        if alone.diameters is not None:
            np.testing.assert_allclose(np.sort(alone.diameters), np.sort(expected.diameters))
        v = thermal_velocities(domain, 0.7, CountedRandom(7), 2)
        pieces = np.concatenate(comm.allgather(v))
        # zero momentum and the temperature asked for, to round-off of 1,500 terms
        assert np.abs(pieces.sum(axis=0)).max() < 1e-11
        assert (pieces**2).sum() == pytest.approx(0.7 * 3 * (n - 1), rel=1e-12)
        # fourth moment of a normal distribution: 3, with an error of sqrt(96 / 1509)
        kurtosis = (pieces**4).mean() / (pieces**2).mean() ** 2
        assert abs(kurtosis - 3) < 4 * np.sqrt(96 / pieces.size)


def test_permutations_are_permutations_without_pattern():
    random = CountedRandom(8)
    for n in (1, 2, 3, 64, 65, 1000):
        image = random.permuted(1, np.arange(n), n)
        np.testing.assert_array_equal(np.sort(image), np.arange(n))
    # Spearman's correlation with the identity: standard deviation 1/sqrt(n)
    assert abs(np.corrcoef(image, np.arange(1000))[0, 1]) < 4 / np.sqrt(1000)
    assert (image == np.arange(1000)).sum() < 8  # Poisson with mean 1


@pytest.mark.parametrize("n", (400, 60), ids=("several shells", "a few shells"))
def test_crystal_order_is_that_of_one_rank(comm, n):
    rng = np.random.default_rng(9)
    box = np.full(3, n ** (1 / 3))
    sample = Sample(rng.uniform(0, 1, (n, 3)) * box, box)
    expected = evidence.crystal_order(sample.positions, box)
    assert 0 < expected < 0.5
    found = domain_crystal_order(Domain.of(comm, sample))
    assert found == pytest.approx(expected, abs=1e-12)


def test_prepared_glasses_are_written_with_their_evidence(comm, shared_path):
    protocol = {"name": "instantaneous_quench", "temperature": 2.0, "equilibration_time": 2.0}
    domain = prepare_domain(comm, "ipl_2d", 250, protocol, 11)
    domain.write(shared_path / "glass.h5")
    sample = Sample.read(shared_path / "glass.h5")
    found = sample.provenance["evidence"]
    inter = find_interactions(sample)
    assert forces.force_ratio(inter) <= 1.2e-10
    assert found["pressure"] == pytest.approx(forces.pressure(inter), rel=1e-10)
    assert found["energy_per_particle"] == pytest.approx(forces.energy(inter) / 250, rel=1e-12)
    assert found["crystal_order"] == pytest.approx(
        evidence.crystal_order(sample.positions, sample.box), abs=1e-12
    )
    # a thousand momenta, ten independent values
    assert found["temperature_mean"] == pytest.approx(2.0, rel=0.1)
    assert found["mean_squared_displacement"] > 0.2
    assert sample.provenance["seed"] == 11 and sample.provenance["ranks"] == comm.size
    np.testing.assert_array_equal(np.bincount(sample.species), [125, 125])
    # numbered along the curve: the pieces of the file are those of the ranks
    first, last = split_range(250, comm.size, comm.rank)
    np.testing.assert_array_equal(domain.file_index, np.arange(first, last))


def test_samples_that_cannot_move_are_refused_on_every_rank(comm):
    potential = named("ipl_2d")
    sample = random_sample(potential, 100, np.random.default_rng(0))
    small = replace(sample, box=sample.box / 5)
    with pytest.raises(InputError, match="twice the cutoff"):
        DomainDynamics(Domain.of(comm, small), potential)
    bonded = replace(sample, bonds=np.array([[0, 1]]))
    with pytest.raises(InputError, match="bonds"):
        DomainDynamics(Domain.of(comm, bonded), potential)
    if comm.size > 1:
        single = Sample(np.zeros((1, 2)), sample.box, np.zeros(1))
        with pytest.raises(InputError, match="at most one"):
            DomainDynamics(Domain.of(comm, single), potential)


def test_forces_at_new_positions_follow_the_particles(comm):
    """`at_positions` moves owned particles only; ghosts follow when they are fetched."""
    potential = named("ipl_3d")
    domain = random_domain(comm, potential, 400, CountedRandom(2))
    domain, _ = DomainDynamics(domain, potential).fire(domain, 5.0, 200)
    shift = np.array([0.3, -0.2, 7.0])
    moved = at_positions(domain, domain.owned("positions") + shift)
    here, there = (forces.energy(domain_interactions(x, potential)) for x in (domain, moved))
    assert there == pytest.approx(here, rel=1e-11)
