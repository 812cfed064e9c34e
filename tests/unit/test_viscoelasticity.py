"""Complex and relaxation moduli against LAPACK, their transforms, sum rules and limits."""

from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI
from networks import DenseResponse, floppy_network
from scipy.integrate import trapezoid

from glassmodes.errors import InputError, SampleError, SolverError
from glassmodes.mechanics.born import born_tensor, gradient_tensor
from glassmodes.mechanics.forces import stress
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.mechanics.non_affine import non_affine_block
from glassmodes.observables.elasticity import measure_moduli
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.strains import (
    affine_moduli,
    non_affine_columns,
    shear_strains,
    strain_axes,
)
from glassmodes.observables.viscoelasticity import stopping_points, viscoelastic_response

FREQUENCY = np.concatenate([[0.0], np.geomspace(1e-7, 1e5, 49)])
TIME = np.concatenate([[0.0], np.geomspace(1e-4, 1e8, 49)])
TOLERANCE = 1e-9


@pytest.fixture(scope="module", params=("glass", "fcc", "triangular"))
def sample(request, glass_3d):
    if request.param == "glass":
        return glass_3d
    kind = {"fcc": ("fcc", 2, 0.55), "triangular": ("triangular", 4, 0.7)}[request.param]
    return floppy_network(*kind)


@pytest.fixture(scope="module")
def oracle(sample):
    return DenseResponse(sample)


@pytest.fixture
def measure(sample):
    """Return a function that measures the sample of the test."""
    system = HarmonicSystem(MPI.COMM_SELF, sample)

    def run(*arguments, **options):
        return viscoelastic_response(system, *arguments, **options)

    yield run
    system.destroy()


def test_the_networks_are_floppy(sample, oracle):
    """Their zero modes outnumber the translations and carry no non-affine force."""
    if sample.bonds is not None:
        assert oracle.zero_modes > 2 * oracle.d
    assert oracle.null_part < 1e-12 * np.sqrt(oracle.projections.max())


@pytest.mark.parametrize("damping", (0.5, 30.0, 1e4))
def test_agrees_with_all_eigenvectors(sample, oracle, measure, damping):
    strains = shear_strains(oracle.d) + ["yx"]
    found = measure(strains, damping, FREQUENCY, TIME, tolerance=TOLERANCE)
    for k, strain in enumerate(strains):
        scale = oracle.affine(strain)
        np.testing.assert_allclose(found.affine_modulus[k], scale, rtol=1e-12)
        modulus = oracle.complex_modulus(strain, FREQUENCY, damping)
        error = np.abs(found.storage_modulus[k] + 1j * found.loss_modulus[k] - modulus)
        assert error.max() < 10 * TOLERANCE * scale  # the tolerance is an estimate
        relaxed = oracle.relaxation(strain, TIME, damping)
        np.testing.assert_allclose(
            found.relaxation_modulus[k], relaxed, rtol=0, atol=10 * TOLERANCE * scale
        )
    assert np.all(found.error <= TOLERANCE * np.abs(found.affine_modulus))


def test_the_loss_is_positive_and_linear_far_below_the_lowest_mode(oracle, measure):
    """G'' = W ν (1/V) Σ (b·ψ)²/λ²: a relative statement, far below any absolute tolerance."""
    strain, damping = "xy", 1e4
    low = oracle.eigenvalues[0] / damping
    w = low * np.geomspace(1e-9, 1e-4, 6)
    found = measure([strain], damping, w).loss_modulus[0]
    assert np.all(found > 0)
    slope = np.sum(oracle.weights(strain) / oracle.eigenvalues**2) / oracle.volume
    np.testing.assert_allclose(found, w * damping * slope, rtol=1e-3)


def test_limits(measure):
    """G(0) = G_A = G*(inf), G(inf) = G = G*(0)."""
    found = measure(["xy"], 30.0, [0.0, 1e9], [0.0, 1e15])
    affine, static = found.affine_modulus[0], found.static_modulus[0]
    assert static < affine
    atol = 1e-12 * affine  # the triangular network has no static modulus
    np.testing.assert_allclose(found.relaxation_modulus[0], [affine, static], rtol=0, atol=atol)
    np.testing.assert_allclose(found.storage_modulus[0], [static, affine], rtol=0, atol=atol)
    assert found.loss_modulus[0, 0] == 0 and 0 < found.loss_modulus[0, 1] < 1e-6 * affine


def test_static_modulus_is_that_of_the_elastic_tensor(sample, measure):
    strains = shear_strains(sample.dimension)
    found = measure(strains, 1.0, tolerance=TOLERANCE)
    system = HarmonicSystem(MPI.COMM_SELF, sample)
    try:
        expected = measure_moduli(system).by_direction
    finally:
        system.destroy()
    for k, strain in enumerate(strains):
        at = strain_axes(strain, sample.dimension)
        pairs = (
            (found.static_modulus[k], expected["shear_modulus"][at]),
            (found.affine_modulus[k], expected["born_shear_modulus"][at]),
            (
                found.non_affine_force_squared_mean[k],
                expected["non_affine_force_squared_mean"][at],
            ),
        )
        for value, known in pairs:
            assert value == pytest.approx(known, rel=1e-8)  # the tolerance and the solver's


@pytest.mark.parametrize("damping", (3.0, 300.0))
def test_the_two_moduli_are_transforms_of_each_other(oracle, measure, damping):
    """G*(W) = G + i W ∫ (G(t) - G) e^(-i W t) dt, by quadrature of the measured G(t)."""
    fastest = min(1 / np.sqrt(oracle.eigenvalues[-1]), 1 / damping)
    slowest = max(damping / oracle.eigenvalues[0], 2 / damping)
    ringing = min(20 / damping, 40.0)  # even steps while modes ring, graded ones after
    even = np.arange(0, ringing, 0.04 * fastest)
    t = np.concatenate([even, np.geomspace(ringing, 30 * slowest, 4000)])
    w = np.array([0.01, 0.3, 4.0])
    found = measure(["xy"], damping, w, t, tolerance=TOLERANCE)
    decay = found.relaxation_modulus[0] - found.static_modulus[0]
    for k, one in enumerate(w):
        transform = found.static_modulus[0] + 1j * one * filon(decay, t, one)
        expected = found.storage_modulus[0, k] + 1j * found.loss_modulus[0, k]
        # linear interpolation errs by (0.04)²/8 = 2e-4 where G(t) bends, of either sign
        assert abs(transform - expected) < 1e-4 * found.affine_modulus[0]


def filon(values, t, w):
    """Integrate a piecewise linear function times e^(-i w t) exactly."""
    slope, phase = np.diff(values) / np.diff(t), np.exp(-1j * w * t)
    ends = np.diff(values * phase) / (-1j * w)
    return np.sum(ends - slope * np.diff(phase) / (-1j * w) ** 2)


def test_kramers_and_kronig(measure):
    """G'(W) - G = (2 W²/π) P∫ G''(x)/(x (W² - x²)) dx; x = W e^y pairs the sides of the pole."""
    y = (np.arange(-500, 500) + 0.5) * 0.05
    for w in (0.2, 2.0):
        found = measure(["xy"], 50.0, np.append(w * np.exp(y), w), tolerance=TOLERANCE)
        loss = found.loss_modulus[0, :-1]
        pairs = (loss * np.exp(-y) - loss[::-1] * np.exp(y)) / np.sinh(y)
        integral = -trapezoid(pairs, y) / (2 * np.pi)
        storage = found.storage_modulus[0, -1] - found.static_modulus[0]
        # exponentially accurate but for the sharpest resonance, of width ν/W >> dy
        assert storage == pytest.approx(integral, abs=1e-6 * found.affine_modulus[0])


def test_overdamped_limit(oracle, measure):
    """Without inertia G(t) - G = (1/V) Σ (b·ψ)²/λ e^(-λ t/ν); the difference is of order λ/ν²."""
    damping = 1e6
    found = measure(["xy"], damping, [], TIME[1:] * 1e3, tolerance=TOLERANCE)
    lam, weight = oracle.eigenvalues, oracle.weights("xy")
    t = TIME[1:, None] * 1e3
    exact = (weight / lam * np.exp(-lam * t / damping)).sum(axis=1) / oracle.volume
    scale = found.affine_modulus[0]
    overdamped = found.overdamped_relaxation[0] - found.static_modulus[0]
    np.testing.assert_allclose(overdamped, exact, rtol=0, atol=10 * TOLERANCE * scale)
    bound = 10 * lam[-1] / damping**2 + 10 * TOLERANCE
    difference = found.relaxation_modulus - found.overdamped_relaxation
    assert np.abs(difference).max() < bound * scale


def test_masses_move_the_spectrum_and_leave_the_static_modulus(glass_3d):
    found = []
    for masses in (glass_3d.masses, 4 * glass_3d.masses):
        system = HarmonicSystem(MPI.COMM_SELF, replace(glass_3d, masses=masses))
        scale = np.sqrt(masses[0] / glass_3d.masses[0])
        found.append(
            viscoelastic_response(
                system, ["xy"], 4.0 / scale, FREQUENCY / scale, TIME * scale, tolerance=TOLERANCE
            )
        )
        system.destroy()
    light, heavy = found
    atol = 10 * TOLERANCE * light.affine_modulus[0]
    for name in ("storage_modulus", "loss_modulus", "relaxation_modulus", "static_modulus"):
        np.testing.assert_allclose(getattr(heavy, name), getattr(light, name), rtol=0, atol=atol)
    assert heavy.max_frequency == pytest.approx(light.max_frequency / 2, rel=1e-5)


def test_a_perfect_lattice_only_answers_affinely():
    lattice = floppy_network(kept=1.1, masses=False)
    lattice = replace(lattice, bonds=None, stiffness=None)
    from lattices import SpringLattice

    bonds = SpringLattice("fcc", 2)
    system = HarmonicSystem(
        MPI.COMM_SELF, replace(lattice, bonds=np.stack([bonds.i, bonds.j], axis=1))
    )
    found = viscoelastic_response(system, ["xy"], 10.0, [0.0, 0.1, 1.0], [0.0, 1.0])
    system.destroy()
    # nearest neighbours at sqrt(2): C44 = 1/sqrt(2) for unit spring and distance
    assert found.affine_modulus[0] == pytest.approx(1 / np.sqrt(2) / np.sqrt(2), rel=1e-12)
    np.testing.assert_array_equal(found.storage_modulus, found.affine_modulus[0])
    np.testing.assert_array_equal(found.loss_modulus, 0.0)
    np.testing.assert_array_equal(found.relaxation_modulus, found.affine_modulus[0])
    assert found.non_affine_force_squared_mean[0] == 0.0


@pytest.mark.parametrize("kind, cells", [("triangular", 4), ("fcc", 2), ("hypercubic", 3)])
def test_strain_columns_are_those_of_the_tensors(kind, cells):
    """For stretched springs in 2, 3 and 4 dimensions, with prestress."""
    network = floppy_network(kind, cells)
    network.rest_lengths = np.random.default_rng(2).uniform(0.5, 1.5, len(network.bonds))
    inter = find_interactions(network)
    d = inter.d
    strains = [a + b for a in "xyzw"[:d] for b in "xyzw"[:d]]
    tensor = gradient_tensor(born_tensor(inter), stress(inter))
    expected = [tensor[a, b, a, b] for a, b in (strain_axes(s, d) for s in strains)]
    np.testing.assert_allclose(affine_moduli(inter, strains), expected, rtol=1e-11, atol=1e-13)
    upper = [strains[d * a + b] for a in range(d) for b in range(a, d)]
    np.testing.assert_allclose(
        non_affine_columns(inter, upper), non_affine_block(inter), rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("name", ("", "x", "xw", "XY", "xyz", "x y", "12"))
def test_unknown_strains_are_refused(name):
    with pytest.raises(InputError, match="unknown strain"):
        strain_axes(name, 3)


@pytest.mark.parametrize(
    "damping, w, t, tolerance, text",
    [
        (0.0, [1], [1], 1e-6, "damping"),
        (-1.0, [1], [1], 1e-6, "damping"),
        (np.nan, [1], [1], 1e-6, "damping"),
        (1.0, [-1], [1], 1e-6, "frequencies"),
        (1.0, [np.inf], [1], 1e-6, "frequencies"),
        (1.0, [1], [-1], 1e-6, "times"),
        (1.0, [1], [1], 0.0, "tolerance"),
    ],
)
def test_impossible_requests_are_refused(measure, damping, w, t, tolerance, text):
    with pytest.raises(InputError, match=text):
        measure(["xy"], damping, w, t, tolerance=tolerance)


def test_too_few_steps_are_an_error(measure):
    with pytest.raises(SolverError, match=r"after 7 Lanczos steps.*damping"):
        measure(["xy"], 100.0, FREQUENCY, max_steps=7)


def test_a_sample_off_its_minimum_is_refused(glass_3d):
    system = HarmonicSystem(MPI.COMM_SELF, replace(glass_3d, positions=1.001 * glass_3d.positions))
    with pytest.raises(SampleError, match="not at a minimum"):
        viscoelastic_response(system, ["xy"], 1.0, [1.0])
    system.destroy()


def test_points_never_touch_the_spectrum():
    for damping in (1e-6, 1.0, 1e4):
        points = stopping_points(FREQUENCY, TIME, damping, 2.0)
        assert 0.0 in points and np.all((points.real <= 0) | (points.imag < 0))
