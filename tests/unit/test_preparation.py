"""Glasses from nothing: reproducible, at a minimum, and with evidence that means something."""

import numpy as np
import pytest
from scipy.special import roots_gegenbauer

from glassmodes.errors import InputError, SampleError
from glassmodes.kernels import dynamics
from glassmodes.kernels.neighbours import hilbert_order
from glassmodes.mechanics import forces
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import InversePowerLaw, ModelDefaults
from glassmodes.preparation import evidence, prepare_sample
from glassmodes.preparation.liquid import random_sample
from glassmodes.preparation.protocols import (
    InstantaneousQuench,
    RandomStart,
    SlowCooling,
    describe,
    protocol_from,
)
from glassmodes.sample import Sample

SIZES = {"ipl_2d": 200, "ipl_3d": 120, "ipl_4d": 260}
QUENCH = InstantaneousQuench(temperature=2.0, equilibration_time=5.0)
EVIDENCE = (
    *("energy_per_particle", "pressure", "max_force", "typical_contact_force", "force_ratio"),
    *("equilibration_drift", "mean_squared_displacement", "temperature_mean", "crystal_order"),
    *("force_evaluations", "newton_steps"),
)


@pytest.fixture(scope="module", params=SIZES)
def quenched(request):
    return request.param, prepare_sample(request.param, SIZES[request.param], QUENCH, seed=1)


def test_quenches_end_at_a_minimum_with_evidence(quenched):
    name, sample = quenched
    found = sample.provenance["evidence"]
    inter = find_interactions(sample)
    assert forces.force_ratio(inter) <= 1e-10
    assert all(np.isfinite(found[key]) for key in EVIDENCE)
    assert found["energy_per_particle"] == pytest.approx(forces.energy(inter) / inter.n, rel=1e-12)
    assert found["pressure"] == pytest.approx(forces.pressure(inter), rel=1e-12)
    # half of 5 time units, some 20 independent values of spread sqrt(2/(dN)) at T = 2
    assert found["temperature_mean"] == pytest.approx(2.0, rel=0.06)
    assert found["mean_squared_displacement"] > 0.5  # five time units at twice the onset
    assert abs(found["equilibration_drift"]) < 6
    assert sample.model["name"] == name and sample.provenance["seed"] == 1
    assert protocol_from(sample.provenance["protocol"]) == QUENCH
    np.testing.assert_array_equal(np.bincount(sample.species), [inter.n // 2] * 2)


def test_pressure_of_the_three_dimensional_glass():
    """The instantly quenched binary power law at density 0.82 has p = 18.9 (prestress term)."""
    sample = prepare_sample("ipl_3d", 400, QUENCH, seed=5)
    # spread of one such sample at N = 400: about 0.1
    assert sample.provenance["evidence"]["pressure"] == pytest.approx(18.9, abs=0.5)


def test_particles_are_numbered_along_a_curve(quenched):
    """Neighbours in space are neighbours in memory: far closer than for random numbers."""
    _, sample = quenched
    inter = find_interactions(sample)
    # four particles along an edge in 4D leave little order: 43 to 47 there, 76 for random numbers
    assert np.median(np.abs(inter.j - inter.i)) < 0.75 * inter.n * (1 - 0.5**0.5)
    # the descent moves particles by a fraction of their distance only
    rank = np.argsort(hilbert_order(sample.positions, sample.box))
    assert np.median(np.abs(rank - np.arange(inter.n))) < 0.05 * inter.n
    assert (sample.positions >= 0).all() and (sample.positions < sample.box).all()


def test_same_seed_same_bytes(tmp_path):
    protocol = {"name": "instantaneous_quench", "temperature": 1.0, "equilibration_time": 1.0}
    seeds = (7, 7, np.random.SeedSequence(7, spawn_key=(1, 2)), 8)
    for k, seed in enumerate(seeds):
        prepare_sample("ipl_2d", 64, protocol, seed).write(tmp_path / f"{k}.h5")
    first, again, spawned, other = ((tmp_path / f"{k}.h5").read_bytes() for k in range(4))
    assert first == again
    assert len({first, spawned, other}) == 3


@pytest.mark.parametrize(("name", "n", "samples"), [("ipl_2d", 100, 12), ("ipl_3d", 120, 6)])
def test_slow_cooling_goes_deeper_than_a_quench(name, n, samples):
    """Means over a few samples: expected 4 to 6 standard errors apart, on any machine above 2."""
    cooling = SlowCooling(temperature=1.0, final_temperature=0.1, rate=0.01, equilibration_time=2.0)
    energies = np.array(
        [
            [
                prepare_sample(name, n, protocol, seed).provenance["evidence"][
                    "energy_per_particle"
                ]
                for seed in range(samples)
            ]
            for protocol in (QUENCH, cooling)
        ]
    )
    error = np.hypot(*(energies.std(axis=1, ddof=1) / samples**0.5))
    assert energies[0].mean() - energies[1].mean() > 2 * error


def test_cooling_in_four_dimensions_takes_the_steps_of_its_rate():
    protocol = SlowCooling(temperature=1.2, final_temperature=0.2, rate=0.2, equilibration_time=1.0)
    sample = prepare_sample("ipl_4d", SIZES["ipl_4d"], protocol, seed=1)
    # 20 redraws after 0.2, 1 time unit of liquid, 0.2 / 0.2 at dt = 0.0025, 0.8 / 0.2 at 0.005
    steps = sample.provenance["evidence"]["molecular_dynamics_steps"]
    assert steps == (20 * 0.2 + 1.0 + 1.0) / 0.0025 + 4.0 / 0.005


def test_random_start_needs_no_liquid():
    sample = prepare_sample("harmonic_spheres", 300, {"name": "random_start"}, seed=2)
    found = sample.provenance["evidence"]
    assert found["force_ratio"] <= 1e-10 and "temperature_mean" not in found
    # packing fraction 0.73: p = 0.05 in the literature, a few per cent of scatter at N = 300
    assert found["pressure"] == pytest.approx(0.05, rel=0.15)


def test_one_component_crystals_are_refused():
    """Equal disks crystallise at once when cooled: no glass, and told so."""
    law = InversePowerLaw(exponent=10, smoothing=3, cutoffs=1.48, lengths=1.18)
    law.defaults = ModelDefaults(2, 0.86)
    protocol = SlowCooling(
        temperature=2.0, final_temperature=0.2, rate=0.05, equilibration_time=2.0
    )
    with pytest.raises(SampleError, match="crystallised") as caught:
        prepare_sample(law, 120, protocol, seed=3)
    assert caught.value.reason == "crystallised"
    assert caught.value.evidence["crystal_order"] >= evidence.CRYSTALLINE[2]


def test_numpy_kernels_prepare_too(monkeypatch):
    monkeypatch.setattr(dynamics, "load", lambda: None)
    protocol = InstantaneousQuench(temperature=0.5, equilibration_time=0.2, time_step=0.01)
    sample = prepare_sample("ipl_2d", 40, protocol, seed=1)
    assert sample.provenance["evidence"]["force_ratio"] <= 1e-10


# --- evidence -------------------------------------------------------------------------------


def correlated_series(rng, length, memory):
    """An equilibrium series with correlation time `memory`."""
    noise = rng.standard_normal(length)
    decay = np.exp(-1 / memory)
    series = np.empty(length)
    series[0] = noise[0]
    for k in range(1, length):
        series[k] = decay * series[k - 1] + np.sqrt(1 - decay**2) * noise[k]
    return series


def test_drift_is_a_z_score():
    """Of unit spread for correlated equilibrium series, large for a series that drifts."""
    rng = np.random.default_rng(0)
    scores = [evidence.drift(correlated_series(rng, 1024, 10.0)) for _ in range(200)]
    # blocks of 8 values broaden a normal distribution to Student's; 200 scores give 5 %
    assert 0.8 < np.std(scores) < 1.5
    assert abs(np.mean(scores)) < 0.3
    drifting = correlated_series(rng, 1024, 10.0) + np.linspace(0, 3, 1024)
    assert evidence.drift(drifting) > 4
    assert np.isnan(evidence.drift(np.zeros(31)))
    assert evidence.drift(np.ones(64)) == 0.0


def test_mean_squared_displacement_ignores_a_common_motion():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 10, (500, 3))
    moved = rng.standard_normal((500, 3))
    found = evidence.mean_squared_displacement(x, x + moved + 7.0, volume=1000.0)
    variance = moved.var(axis=0).sum()
    assert found == pytest.approx(variance / (1000 / 500) ** (2 / 3), rel=1e-12)


LATTICES = {
    "triangular": ([[0, 0], [0.5, 0.5]], [1, 3**0.5], 12),
    "fcc": ([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [1, 1, 1], 5),
    "bcc": ([[0, 0, 0], [0.5, 0.5, 0.5]], [1, 1, 1], 6),
    "d4": (
        [[a, b, c, (a + b + c) % 1] for a in (0, 0.5) for b in (0, 0.5) for c in (0, 0.5)],
        [1, 1, 1, 1],
        3,
    ),
}


@pytest.mark.parametrize("name", LATTICES)
def test_crystals_have_like_bond_order(name):
    """1 in hot crystals whatever their orientation in the box, below the threshold in a gas."""
    basis, cell, repeats = LATTICES[name]
    cell = np.asarray(cell, float)
    d = len(cell)
    grid = np.stack(np.meshgrid(*[np.arange(repeats)] * d, indexing="ij"), -1).reshape(-1, 1, d)
    x, box = ((grid + np.asarray(basis)) * cell).reshape(-1, d), repeats * cell
    rng = np.random.default_rng(2)
    spacing = (box.prod() / len(x)) ** (1 / d)
    hot = x + 0.05 * spacing * rng.standard_normal(x.shape)
    assert evidence.crystal_order(hot, box) > 0.99
    mirrored = hot[:, ::-1] + 0.3
    order = evidence.crystal_order(hot, box)
    assert evidence.crystal_order(mirrored, box[::-1]) == pytest.approx(order, abs=1e-12)
    gas = rng.uniform(0, 1, x.shape) * box
    assert evidence.crystal_order(gas, box) < 0.5 * evidence.CRYSTALLINE[d]


@pytest.mark.parametrize("d", [2, 3, 4])
def test_zonal_polynomials_are_those_of_degree_six(d):
    """Normalised at 1, and orthogonal to all lower even degrees on the sphere in d dimensions."""
    cosine, weight = roots_gegenbauer(8, (d - 2) / 2)  # exact up to degree 15
    value = np.polyval(evidence._ZONAL[d][::-1], cosine**2)
    assert evidence._ZONAL[d].sum() == pytest.approx(1.0)
    for degree in (0, 2, 4):
        assert abs((weight * value * cosine**degree).sum()) < 1e-14


def test_glasses_lie_below_the_threshold(quenched):
    name, sample = quenched
    order = sample.provenance["evidence"]["crystal_order"]
    assert order < (0.65 if name == "ipl_2d" else 0.1)


# --- protocols and starts -------------------------------------------------------------------


def test_protocols_round_trip_and_refuse_what_they_do_not_know():
    for protocol in (QUENCH, RandomStart(), SlowCooling(temperature=1.0, final_temperature=0.1,
                                                         rate=1e-3)):  # fmt: skip
        assert protocol_from(describe(protocol)) == protocol
    with pytest.raises(InputError, match="did you mean 'slow_cooling'"):
        protocol_from({"name": "slow_coolin"})
    with pytest.raises(InputError, match="did you mean 'temperature'"):
        protocol_from({"name": "instantaneous_quench", "temprature": 1.0})
    with pytest.raises(InputError, match=r"not given: temperature$"):
        protocol_from({"name": "instantaneous_quench"})
    with pytest.raises(InputError, match="not below its start"):
        SlowCooling(temperature=1.0, final_temperature=1.0, rate=0.1)
    with pytest.raises(InputError, match="rate is 0"):
        SlowCooling(temperature=1.0, final_temperature=0.5, rate=0)
    with pytest.raises(InputError, match="time_step is -1"):
        InstantaneousQuench(temperature=1.0, time_step=-1)


def test_random_samples_count_out_their_composition():
    from glassmodes.models import named

    rng = np.random.default_rng(0)
    mixture = random_sample(named("kob_andersen"), 1001, rng)
    np.testing.assert_array_equal(np.bincount(mixture.species), [801, 200])
    assert mixture.density == pytest.approx(1.2)
    flat = random_sample(named("ipl_3d"), 100, rng, dimension=2, density=0.9)
    assert flat.dimension == 2 and flat.density == pytest.approx(0.9)
    spheres = random_sample(named("poly_3d"), 50, rng)
    sizes = named("poly_3d").defaults.diameters.quantiles(50)
    np.testing.assert_array_equal(np.sort(spheres.diameters), sizes)


def test_preparations_that_cannot_work_are_refused():
    with pytest.raises(InputError, match="did you mean 'ipl_3d'"):
        prepare_sample("ipl3d", 100, QUENCH, seed=0)
    with pytest.raises(InputError, match="twice the cutoff"):
        prepare_sample("ipl_3d", 20, QUENCH, seed=0)
    with pytest.raises(InputError, match="give dimension and density"):
        law = InversePowerLaw(exponent=10, smoothing=3, cutoffs=1.48, lengths=1.0)
        prepare_sample(law, 100, QUENCH, seed=0)
    with pytest.raises(InputError, match="cannot prepare 1 particles"):
        prepare_sample("ipl_3d", 1, QUENCH, seed=0)
    with pytest.raises(SampleError, match="diverged"):
        hot = InstantaneousQuench(temperature=2.0, equilibration_time=5.0, time_step=0.2)
        prepare_sample("ipl_3d", 120, hot, seed=0)


def test_samples_can_be_read_back(tmp_path, quenched):
    _, sample = quenched
    sample.write(tmp_path / "glass.h5")
    again = Sample.read(tmp_path / "glass.h5")
    np.testing.assert_array_equal(again.positions, sample.positions)
    assert (
        again.provenance["evidence"]["newton_steps"]
        == sample.provenance["evidence"]["newton_steps"]
    )
    assert forces.force_ratio(find_interactions(again)) <= 1e-10
