"""The shared harmonic system: solves, null space, modes and refusals, in every dimension."""

from dataclasses import replace

import numpy as np
import pytest

from glassmodes.errors import InputError, SampleError
from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import HarmonicSpheres, named
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.modes import vibrational_modes
from glassmodes.observables.participation import participation_ratio
from glassmodes.sample import Sample
from glassmodes.spectra import mumps
from glassmodes.spectra.eigenmodes import lowest_modes


@pytest.fixture
def system(comm_self, glass):
    system = HarmonicSystem(comm_self, glass)
    yield system
    system.destroy()


def test_the_operator_is_the_mass_weighted_hessian_in_another_order(system, glass):
    # Eigenvalues do not know the order of the particles.
    inter = find_interactions(glass)
    expected = np.linalg.eigvalsh(hessian.sparse(inter, glass.masses).toarray())
    found = np.linalg.eigvalsh(system.operator.local_rows().toarray())
    np.testing.assert_allclose(found, expected, atol=1e-12 * expected[-1])
    x = np.random.default_rng(1).normal(size=(system.n * system.d, 2))
    np.testing.assert_array_equal(system.gather(system.scatter(x)), x)
    product = system.gather(system.stiffness.apply(system.scatter(x)))
    np.testing.assert_allclose(product, hessian.multiply(inter, x), atol=1e-9)


@pytest.mark.parametrize("solver", ["factor", "cg", "ksp"])
def test_solves_give_the_pseudo_inverse(comm_self, glass, dense_system, solver):
    system = HarmonicSystem(comm_self, glass, solver=solver)
    load = np.random.default_rng(2).normal(size=(system.n * system.d, 5))
    translations = np.tile(np.eye(system.d), (system.n, 1)) / np.sqrt(system.n)
    load -= translations @ (translations.T @ load)
    expected = dense_system.respond(load)
    # Residuals of 1e-11 times a condition number of about 1e3 to 1e4.
    tolerance = 1e-8 * abs(expected).max()
    found = system.gather(system.solve(system.scatter(load)))
    np.testing.assert_allclose(found, expected, atol=tolerance)
    system.destroy()


def test_pins_leave_no_trace_in_factorised_solves(comm_self, glass):
    # The pins are as stiff as particles are: a force on them would show in every digit.
    system = HarmonicSystem(comm_self, glass, solver="factor")
    load = np.random.default_rng(3).normal(size=(system.n * system.d, 1))
    load = system.stiffness.project(system.scatter(load))
    x = system.gather(system.solve(load))
    residual = hessian.multiply(find_interactions(glass), x) - system.gather(load)
    assert np.linalg.norm(residual) < 1e-11 * np.linalg.norm(load)
    system.destroy()


def test_modes_against_dense_lapack(system, glass):
    matrix = hessian.sparse(find_interactions(glass), glass.masses).toarray()
    values, vectors = np.linalg.eigh(matrix)
    count = 12
    modes = vibrational_modes(system, count=count)
    expected = np.sqrt(values[system.d : system.d + count])
    np.testing.assert_allclose(modes.frequencies, expected, rtol=1e-10)
    assert modes.zero_modes == system.d and modes.certified
    psi = modes.vectors()
    assert psi.shape == (count, system.n, system.d)
    overlap = psi.reshape(count, -1) @ vectors[:, system.d : system.d + count]
    np.testing.assert_allclose(np.abs(np.diag(overlap)), 1.0, atol=1e-6)
    np.testing.assert_allclose(modes.participation_ratios, participation_ratio(psi), rtol=1e-10)
    flat = psi.reshape(count, -1).T
    residuals = np.linalg.norm(matrix @ flat - flat * expected**2, axis=0) / expected**2
    assert residuals.max() < 1e-8


def test_all_modes_below_a_frequency(system, glass):
    matrix = hessian.sparse(find_interactions(glass), glass.masses).toarray()
    values = np.linalg.eigvalsh(matrix)
    frequencies = np.sqrt(values[system.d :])
    edge = (frequencies[6] + frequencies[7]) / 2
    modes = vibrational_modes(system, below=edge)
    np.testing.assert_allclose(modes.frequencies, frequencies[:7], rtol=1e-10)
    assert modes.complete_below > frequencies[6]


def test_particles_without_contacts_are_known_null_vectors(comm_self, glass):
    # Two rattlers far away from everything: in the empty part of a longer box.
    d = glass.dimension
    box = glass.box.copy()
    box[0] *= 4.0
    rattlers = np.tile(box / 2, (2, 1))
    rattlers[:, 0] = np.array([0.45, 0.7]) * box[0]  # out of reach of everything
    bigger = replace(
        glass,
        positions=np.vstack([glass.positions, rattlers]),
        box=box,
        species=np.append(glass.species, [0, 1]).astype(np.int32),
        masses=np.append(glass.masses, [1.0, 1.0]),
    )
    system = HarmonicSystem(comm_self, bigger)
    loose = system.domain.file_index[system.rattlers]
    assert sorted(loose) == [glass.particles, glass.particles + 1]
    # The stretched box opens the glass at its faces: it is no minimum any more, but the null
    # space of its matrix stays what geometry says.
    operator = system.operator
    assert operator.nullity == 3 * d and operator.null_rows.sum() == 2 * d
    null = np.column_stack([operator.null_space, np.eye(operator.n)[:, operator.null_rows]])
    assert np.abs(operator.apply(null)).max() < 1e-9
    assert not operator.project(null).round(14).any()


def test_a_sample_without_contacts_is_refused(comm_self):
    model = HarmonicSpheres(lengths=1.0).spec()
    gas = Sample(np.array([[1.0, 1.0], [4.0, 4.0]]), np.full(2, 6.0), model=model)
    system = HarmonicSystem(comm_self, gas)
    with pytest.raises(SampleError, match="no two of the 2") as refused:
        vibrational_modes(system, below=1.0)
    assert refused.value.reason == "no_contacts"
    with pytest.raises(InputError, match="no mode to find"):
        lowest_modes(system.operator, below=1.0)


def test_a_sample_with_net_forces_is_refused(comm_self, glass):
    moved = replace(glass, positions=glass.positions.copy())
    moved.positions[0] += 1e-3
    with pytest.raises(SampleError, match="not at a minimum") as caught:
        vibrational_modes(HarmonicSystem(comm_self, moved), count=3)
    assert caught.value.reason == "not_at_minimum"
    assert caught.value.evidence["force_ratio"] > 1e-6


def test_a_saddle_is_refused_with_its_negative_eigenvalues(comm_self, square_lattice_saddle):
    sample, negative = square_lattice_saddle
    system = HarmonicSystem(comm_self, sample)
    with pytest.raises(SampleError, match=f"{negative} negative") as caught:
        vibrational_modes(system, count=3)
    assert caught.value.reason == "saddle"
    assert caught.value.evidence["negative_eigenvalues"] == negative


@pytest.mark.parametrize("solver", ["cg", "ksp"])  # the pin of a factor may hold a few
def test_a_solve_says_that_the_sample_is_at_a_saddle(
    comm_self, square_lattice_saddle, solver, monkeypatch
):
    sample, negative = square_lattice_saddle
    system = HarmonicSystem(comm_self, sample, solver=solver)
    load = system.stiffness.project(system.stiffness.random_block(2, 1))
    with pytest.raises(SampleError, match=f": {negative} negative") as caught:
        system.solve(load)
    assert caught.value.reason == "saddle"
    monkeypatch.setattr(mumps, "_ladder", lambda plan, room: [])  # no factor that counts fits
    with pytest.raises(SampleError, match="at least 1 negative") as caught:
        system.solve(load)
    assert caught.value.reason == "saddle"
    system.destroy()


@pytest.fixture
def square_lattice_saddle():
    """A square lattice of repelling particles: force-free by symmetry, unstable to shear."""
    side, density = 8, 0.86
    points = np.stack(np.meshgrid(*[np.arange(side)] * 2, indexing="ij"), -1).reshape(-1, 2)
    edge = side / np.sqrt(density)
    sample = Sample(
        positions=(points + 0.5) * edge / side,
        box=np.full(2, edge),
        species=np.zeros(side**2, np.int32),
        model=named("ipl_2d").spec(),
    )
    values = np.linalg.eigvalsh(hessian.sparse(find_interactions(sample)).toarray())
    negative = int(np.sum(values < -1e-9 * values[-1]))
    assert negative > 0
    return sample, negative
