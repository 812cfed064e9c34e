"""Forces, trajectories and ensembles of the compiled molecular dynamics."""

import numpy as np
import pytest
from scipy import stats

from glassmodes.errors import InputError, SampleError
from glassmodes.kernels import dynamics, library
from glassmodes.kernels.dynamics import PairDynamics
from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import HarmonicSpheres, InversePowerLaw, named
from glassmodes.sample import Sample

# what the numpy twin would take minutes for, or would only compare with itself
compiled = pytest.mark.skipif(library.load() is None, reason="no compiler here")

# N just large enough for boxes of twice the cutoff
CASES = {
    "ipl_2d": 100,
    "ipl_3d": 80,
    "ipl_4d": 260,
    "poly_3d": 180,
    "kob_andersen": 160,
    "harmonic_spheres": 40,
}


def liquid(name, seed=0, stretch=None):
    """A random mixture with its worst overlaps taken apart, and unequal masses."""
    potential = named(name)
    n, d = CASES[name], potential.defaults.dimension
    rng = np.random.default_rng(seed)
    box = np.full(d, (n / potential.defaults.density) ** (1 / d))
    if stretch is not None:
        box[0] *= stretch
        n *= stretch
    diameters = None
    if potential.lengths is None:
        diameters = rng.permutation(potential.defaults.diameters.quantiles(n))
    species = (rng.uniform(size=n) > potential.defaults.composition[0]).astype(int)
    masses = rng.uniform(0.5, 2.0, n)
    sample = Sample(rng.uniform(0, 1, (n, d)) * box, box, species, diameters, masses)
    sample.positions, _ = PairDynamics(sample, potential).fire(sample.positions, 2.0, 400)
    return sample, PairDynamics(sample, potential), rng


@pytest.mark.parametrize("name", CASES)
def test_forces_are_minus_the_gradient_of_the_energy(name):
    sample, motion, rng = liquid(name)
    x = sample.positions
    _, force, _ = motion.forces(x)
    assert np.abs(force.sum(axis=0)).max() < 1e-11 * np.abs(force).sum()
    for _ in range(3):
        direction = rng.standard_normal(x.shape)
        h = 1e-6  # error h² φ'''/6 ~ 1e-9 of the energy's scale, rounding 1e-16 U / h ~ 1e-8
        slope = (motion.forces(x + h * direction)[0] - motion.forces(x - h * direction)[0]) / (
            2 * h
        )
        assert slope == pytest.approx(-(force * direction).sum(), abs=1e-6 * np.abs(force).sum())


@pytest.mark.parametrize("name", CASES)
def test_compiled_forces_equal_the_numpy_twin_and_the_exact_formulas(name):
    """Far images and an elongated box included: the tables err by 1e-11, the twin by rounding."""
    sample, motion, rng = liquid(name, stretch=3)
    x = sample.positions + sample.box * rng.integers(-3, 4, sample.positions.shape)
    found, twin, exact = (f(x) for f in (motion.forces, motion.tabulated_forces,
                                         motion.exact_forces))  # fmt: skip
    scale = np.abs(exact[2]).sum()
    for other, tolerance in ((twin, 1e-13), (exact, 1e-10)):
        assert found[0] == pytest.approx(other[0], rel=tolerance, abs=1e-14 * scale)
        np.testing.assert_allclose(found[1], other[1], atol=tolerance * scale)
        np.testing.assert_allclose(found[2], other[2], atol=tolerance * scale)


@pytest.mark.parametrize("name", ["ipl_2d", "ipl_3d", "ipl_4d"])
def test_virial_is_the_response_of_the_energy_to_strain(name):
    sample, motion, _ = liquid(name)
    virial = motion.forces(sample.positions)[2]
    np.testing.assert_allclose(virial, virial.T, atol=1e-12 * np.abs(virial).max())
    for axis in range(sample.dimension):
        energies = []
        for strain in (1e-6, -1e-6):
            stretch = np.ones(sample.dimension)
            stretch[axis] += strain
            strained = Sample(sample.positions * stretch, sample.box * stretch, sample.species)
            strained_motion = PairDynamics(strained, motion.potential)
            energies.append(strained_motion.forces(strained.positions)[0])
        slope = (energies[0] - energies[1]) / 2e-6
        assert slope == pytest.approx(-virial[axis, axis], rel=1e-6)


def test_overlaps_have_finite_forces_and_fire_takes_them_apart():
    sample, motion, _ = liquid("ipl_3d")
    x = sample.positions.copy()
    x[1] = x[0] + 1e-9
    energy, force, _ = motion.forces(x)
    assert np.isfinite(energy) and np.isfinite(force).all()
    x, info = motion.fire(x, 1.0, 5000)
    assert info.converged and info.max_force <= 1.0
    assert np.abs(motion.exact_forces(x)[1]).max() == pytest.approx(info.max_force, rel=1e-6)


def equilibrated(name, temperature, seed=0):
    sample, motion, rng = liquid(name, seed)
    v = motion.thermal_velocities(temperature, rng)
    run = motion.run(sample.positions, v, 2000, 0.004, temperature, thermostat_time=0.2)
    return sample, motion, run


@pytest.mark.parametrize("name", ["ipl_2d", "ipl_3d", "ipl_4d"])
def test_energy_error_scales_with_the_square_of_the_time_step(name):
    """Velocity Verlet conserves a shadow energy that differs by O(dt²): 4 for half the step."""
    _, motion, start = equilibrated(name, 0.5)
    spread = []
    for steps, dt in ((400, 0.004), (800, 0.002)):
        run = motion.run(start.positions, start.velocities, steps, dt, every=steps // 200)
        total = run.trace["conserved"]
        np.testing.assert_allclose(total, run.trace["potential"] + run.trace["kinetic"])
        spread.append(total.std())
        # no drift: the means of both halves agree within the fluctuations
        assert abs(total[:100].mean() - total[100:].mean()) < 0.6 * total.std()
    assert 3.0 < spread[0] / spread[1] < 5.0


def test_trajectories_run_backwards():
    _, motion, start = equilibrated("ipl_3d", 0.5)
    there = motion.run(start.positions, start.velocities, 200, 0.004)
    back = motion.run(there.positions, -there.velocities, 200, 0.004)
    # rounding of 1e-15 grows by the chaos of 1.6 time units, some factors of e
    np.testing.assert_allclose(back.positions, start.positions, atol=1e-10)
    np.testing.assert_allclose(back.velocities, -start.velocities, atol=1e-9)


def test_thermostat_conserves_its_quantity_and_the_momentum():
    sample, motion, start = equilibrated("ipl_3d", 0.7)
    momentum = sample.masses @ start.velocities
    assert np.abs(momentum).max() < 1e-11
    spread = []
    for steps, dt in ((500, 0.004), (1000, 0.002)):
        run = motion.run(
            *(start.positions, start.velocities, steps, dt, 0.7),
            thermostat_time=0.2, thermostat=start.thermostat, every=steps // 250,
        )  # fmt: skip
        spread.append(run.trace["conserved"].std())
        # kinetic energy does change: it is not the conserved quantity
        assert run.trace["kinetic"].std() > 50 * spread[-1]
    assert 3.0 < spread[0] / spread[1] < 5.0


@compiled
@pytest.mark.parametrize("name", ["ipl_2d", "ipl_3d"])
def test_kinetic_energy_is_canonical(name):
    """2 E_kin / T is chi-squared with d(N-1) degrees of freedom; species share alike."""
    temperature = 0.8
    sample, motion, run = equilibrated(name, temperature, seed=3)
    values, per_particle = [], 0.0
    samples, gap = 600, 1.0
    for _ in range(samples):
        run = motion.run(
            *(run.positions, run.velocities, round(gap / 0.005), 0.005, temperature),
            thermostat_time=0.2, thermostat=run.thermostat, every=200,
        )  # fmt: skip
        per_particle = per_particle + sample.masses * (run.velocities**2).sum(axis=1)
        values.append(float(per_particle.sum()))
    twice_kinetic = np.diff(values, prepend=0.0)
    # the gap must make them independent, or the tests below would be too strict
    lag = np.corrcoef(twice_kinetic[1:], twice_kinetic[:-1])[0, 1]
    assert abs(lag) < 4 / samples**0.5
    chi2 = stats.chi2(motion.degrees_of_freedom)
    assert stats.kstest(twice_kinetic / temperature, chi2.cdf).pvalue > 1e-3
    # 3.3 standard errors of the variance of 600 nearly normal values
    assert (twice_kinetic / temperature).var() == pytest.approx(chi2.var(), rel=0.19)
    # equipartition over masses from 0.5 to 2: independent of the mass
    slope = stats.linregress(np.log(sample.masses), per_particle / samples)
    assert abs(slope.slope) < 4 * slope.stderr


@compiled
@pytest.mark.parametrize("name", ["ipl_2d", "ipl_4d", "poly_3d"])
def test_compiled_trajectory_equals_the_numpy_twin(name, monkeypatch):
    sample, motion, rng = liquid(name)
    v = motion.thermal_velocities(0.6, rng)
    arguments = (sample.positions, v, 40, 0.004, 0.6, 0.3, 0.2)
    found = motion.run(*arguments, every=10)
    monkeypatch.setattr(dynamics, "load", lambda: None)
    twin = PairDynamics(sample, motion.potential).run(*arguments, every=10)
    np.testing.assert_allclose(found.positions, twin.positions, atol=1e-11)
    np.testing.assert_allclose(found.velocities, twin.velocities, atol=1e-10)
    np.testing.assert_allclose(found.thermostat, twin.thermostat, rtol=1e-9)
    for column in dynamics.TRACE_COLUMNS:
        np.testing.assert_allclose(found.trace[column], twin.trace[column], rtol=1e-10)


@compiled
def test_compiled_fire_equals_the_numpy_twin(monkeypatch):
    sample, motion, rng = liquid("ipl_2d")
    x = sample.positions + 0.02 * rng.standard_normal(sample.positions.shape)
    found, info = motion.fire(x, 1e-6)
    monkeypatch.setattr(dynamics, "load", lambda: None)
    twin, twin_info = PairDynamics(sample, motion.potential).fire(x, 1e-6)
    assert info.converged and twin_info.converged
    np.testing.assert_allclose(found, twin, atol=1e-6)


@compiled
@pytest.mark.parametrize("name", ["ipl_2d", "ipl_3d", "ipl_4d"])
def test_neighbour_lists_are_renewed_in_time(name):
    """A hot liquid with lists of very different skins takes the same path."""
    sample, motion, rng = liquid(name)
    v = motion.thermal_velocities(2.0, rng)
    runs = []
    for skin in (0.05, 0.6):
        other = PairDynamics(sample, motion.potential, skin=skin)
        runs.append(other.run(sample.positions, v, 200, 0.0025))
    assert runs[0].list_builds > 5 * runs[1].list_builds
    # rounding differs by the order of the sums and grows by chaos over half a time unit
    np.testing.assert_allclose(runs[0].positions, runs[1].positions, atol=1e-9)


def test_positions_come_back_unwrapped():
    """Particles that never meet fly straight through the box, many times."""
    potential = HarmonicSpheres(lengths=0.1)
    box = np.array([2.0, 3.0])
    x = np.array([[0.5, 0.5], [0.5, 1.5], [0.5, 2.5]])
    motion = PairDynamics(Sample(x, box), potential)
    v = np.array([[1.0, 0.0], [-3.0, 0.0], [7.0, 0.0]])
    run = motion.run(x, v, 1000, 0.01)
    np.testing.assert_allclose(run.positions, x + 10 * v, rtol=1e-11)
    np.testing.assert_array_equal(run.velocities, v)


def test_pieces_of_a_run_add_up():
    sample, motion, rng = liquid("ipl_2d")
    v = motion.thermal_velocities(1.0, rng)
    whole = motion.run(sample.positions, v, 200, 0.004, 1.0, thermostat_time=0.2)
    half = motion.run(sample.positions, v, 100, 0.004, 1.0, thermostat_time=0.2)
    rest = motion.run(
        *(half.positions, half.velocities, 100, 0.004, 1.0),
        thermostat_time=0.2, thermostat=half.thermostat,
    )  # fmt: skip
    np.testing.assert_allclose(rest.positions, whole.positions, atol=1e-9)
    again = motion.run(sample.positions, v, 200, 0.004, 1.0, thermostat_time=0.2)
    assert again.positions.tobytes() == whole.positions.tobytes()


@compiled
def test_temperature_follows_a_ramp_through_chunks(monkeypatch):
    _, motion, start = equilibrated("ipl_2d", 1.0)
    monkeypatch.setattr(dynamics, "_CHUNK", 60_000)  # 600 steps of 100 particles
    calls = []
    run = motion.run(
        *(start.positions, start.velocities, 20_000, 0.004, 1.0, 0.2),
        thermostat_time=0.2, thermostat=start.thermostat, progress=calls.append,
    )  # fmt: skip
    assert len(calls) == -(-20_000 // 600) and calls[-1] == 20_000
    aim = run.trace["temperature"]
    np.testing.assert_allclose(aim, 1.0 - 0.8 * run.trace["time"] / 80.0, rtol=1e-12)
    found = 2 * run.trace["kinetic"] / motion.degrees_of_freedom
    late = slice(len(found) // 2, None)
    # 10^4 steps hold some 200 independent values of spread sqrt(2/198) each
    assert found[late].mean() == pytest.approx(aim[late].mean(), rel=0.03)


def test_thermal_velocities_have_no_momentum_and_the_exact_temperature():
    sample, motion, rng = liquid("ipl_3d")
    v = motion.thermal_velocities(1.7, rng)
    assert np.abs(sample.masses @ v).max() < 1e-12
    kinetic = 0.5 * (sample.masses @ (v**2).sum(axis=1))
    assert 2 * kinetic / motion.degrees_of_freedom == pytest.approx(1.7, rel=1e-12)


def test_stiffness_bound_holds():
    sample, motion, _ = liquid("ipl_3d")
    inter = find_interactions(sample, motion.potential)
    largest = np.linalg.eigvalsh(hessian.sparse(inter).toarray()).max()
    assert largest <= motion.stiffness_bound(sample.positions) < 4 * largest


def test_bad_runs_are_refused():
    sample, motion, rng = liquid("ipl_2d")
    v = motion.thermal_velocities(1.0, rng)
    with pytest.raises(SampleError, match="diverged") as caught:
        motion.run(sample.positions, 1e3 * v, 2000, 0.5)
    assert caught.value.reason == "diverged"
    with pytest.raises(InputError, match="temperatures"):
        motion.run(sample.positions, v, 10, 0.004, 0.0, thermostat_time=0.2)
    with pytest.raises(InputError, match="finite"):
        motion.forces(np.full_like(v, np.nan))
    law = InversePowerLaw(exponent=10, smoothing=3, cutoffs=1.48, lengths=5.0)
    with pytest.raises(InputError, match="twice the cutoff"):
        PairDynamics(Sample(sample.positions, sample.box), law)
