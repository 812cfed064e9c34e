"""Lanczos measures of single vectors against products, solves and dense LAPACK."""

import numpy as np
import pytest
import scipy.sparse as sp
from lattices import SpringLattice, disordered_operator, translation_vectors, vacant_lattice
from scipy.integrate import trapezoid

from glassmodes.errors import InputError
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.spectra.conjugate_gradient import conjugate_gradient
from glassmodes.spectra.operators import MatrixOperator
from glassmodes.spectra.spectral_measure import (
    SpectralMeasure,
    gaussian_density,
    lanczos_density,
    spectral_measures,
)

# Damped drives from far below the spectrum to far above it, relaxation, and the static limit.
DRIVES = np.logspace(-6, 3, 19)
POINTS = np.concatenate(
    [[0.0], -np.logspace(-7, 2, 10), DRIVES**2 - 1j * DRIVES, DRIVES**2 - 100j * DRIVES]
)
ROUND_OFF = 1e-12  # of sums over a thousand modes, relative to the largest resolvent


class Oracle:
    """Resolvents and moments of vectors from all eigenpairs."""

    def __init__(self, operator, vectors):
        values, modes = np.linalg.eigh(operator.local_rows().toarray())
        moving = values > 1e-10 * values[-1]
        self.values, self.squares = values[moving], (modes[:, moving].T @ vectors) ** 2
        self.zero_modes = int(np.sum(~moving))

    def resolvent(self, z):
        """(p, m)"""
        return (1 / (self.values - z[:, None])) @ self.squares

    def moment(self, power):
        return self.values**power @ self.squares


def network(comm):
    operator = disordered_operator(comm, 200, 3, 7)
    operator.null_space = translation_vectors(operator)
    return operator, operator.project(operator.random_block(3, 1))


def weighted_network(comm):
    weights = np.random.default_rng(3).uniform(0.5, 2.0, 150)
    operator = disordered_operator(comm, 150, 2, 8, weights)
    return operator, operator.apply(operator.random_block(3, 2))


def degenerate_lattice(comm):
    operator = SpringLattice("fcc", 4).operator(comm)
    return operator, operator.project(operator.random_block(3, 3))


def floppy_network(comm):
    incidence = vacant_lattice("fcc", 4, 0.55, 4)
    operator = MatrixOperator(comm, incidence.T @ incidence)
    rng = np.random.default_rng(5)
    return operator, incidence.T @ rng.normal(size=(incidence.shape[0], 3))


SYSTEMS = (network, weighted_network, degenerate_lattice, floppy_network)


@pytest.fixture(scope="module", params=SYSTEMS, ids=lambda make: make.__name__)
def case(request, comm_self):
    operator, vectors = request.param(comm_self)
    return operator, vectors, Oracle(operator, vectors)


def test_moments_are_those_of_products_and_solves(case):
    operator, b, oracle = case
    static = oracle.moment(-1.0)
    measures = spectral_measures(operator, b, points=[0.0], tolerance=1e-9 * static)
    solution, _ = conjugate_gradient(operator, b, tolerance=1e-10)
    for q, measure in enumerate(measures):
        assert measure.converged
        assert measure.moment(0) == pytest.approx(b[:, q] @ b[:, q], rel=1e-13)
        image = operator.apply(b[:, q])
        assert measure.moment(1) == pytest.approx(b[:, q] @ image, rel=1e-13)
        assert measure.moment(2) == pytest.approx(image @ image, rel=1e-11)
        # the stated error of the measure; that of the solve is of second order
        assert measure.moment(-1) == pytest.approx(b[:, q] @ solution[:, q], rel=2e-9)
        assert measure.moment(-1) == pytest.approx(static[q], rel=1e-9)


def test_the_measure_is_positive_and_sums_to_the_norm(case):
    operator, b, oracle = case
    for q, measure in enumerate(spectral_measures(operator, b, points=[-0.1], tolerance=1e-6)):
        assert np.all(measure.weights >= 0) and np.all(np.diff(measure.nodes) >= 0)
        assert measure.weights.sum() == pytest.approx(b[:, q] @ b[:, q], rel=1e-12)
        assert measure.nodes[-1] <= oracle.values[-1] * (1 + 1e-12)
        assert measure.apply(lambda x: x) == pytest.approx(measure.moment(1), rel=1e-11)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_stated_error_bounds_the_true_one(case, tolerance):
    """At every point alone, so that no harder point makes it better than it says."""
    operator, b, oracle = case
    exact = oracle.resolvent(POINTS)
    for z, expected in zip(POINTS, exact, strict=True):
        absolute = tolerance * np.abs(expected)
        measures = spectral_measures(operator, b, points=[z], tolerance=absolute)
        for q, measure in enumerate(measures):
            true = abs(measure.resolvent(z) - expected[q])
            assert measure.converged and measure.error <= absolute[q]
            assert true <= measure.error + ROUND_OFF * abs(expected[q])


def test_more_steps_are_taken_where_more_is_asked(comm_self):
    operator, b = floppy_network(comm_self)
    easy, hard = (
        spectral_measures(operator, b, points=[z], tolerance=1e-6)[0] for z in (-10.0, -1e-3)
    )
    assert easy.steps < hard.steps / 3
    short = spectral_measures(operator, b, points=[-1e-3], tolerance=1e-6, max_steps=20)[0]
    assert short.steps == 20 and not short.converged
    assert 1e-6 < abs(short.resolvent(-1e-3) - hard.resolvent(-1e-3)) <= short.error


def test_a_resolution_out_of_reach_is_said(comm_self):
    operator, b = network(comm_self)
    reached, missed = (
        spectral_measures(operator, b, resolution=0.1, max_steps=steps)[0] for steps in (None, 40)
    )
    assert reached.converged and reached.steps > 100
    assert missed.steps == 40 and not missed.converged


def test_columns_know_nothing_of_each_other(comm_self):
    operator, b = network(comm_self)
    together = spectral_measures(operator, b, points=[-1.0], tolerance=1e-8)
    for q, measure in enumerate(together):
        alone = spectral_measures(operator, b[:, [q]], points=[-1.0], tolerance=1e-8)[0]
        steps = min(20, alone.steps)  # before round-off, which is shared, has grown
        np.testing.assert_allclose(alone.alpha[:steps], measure.alpha[:steps], rtol=1e-9)
        np.testing.assert_allclose(alone.beta[:steps], measure.beta[:steps], rtol=1e-9)


def test_an_invariant_subspace_ends_the_recursion_exactly(comm_self):
    values = np.linspace(1.0, 3.0, 60)
    b = np.zeros((60, 3))
    b[[10, 30, 50], 0], b[30, 1] = (1.0, 2.0, 3.0), 2.0
    operator = MatrixOperator(comm_self, sp.diags(values))
    some, one, none = spectral_measures(operator, b, points=[-1.0], tolerance=1e-12)
    assert (some.steps, one.steps, none.steps) == (3, 1, 0)
    np.testing.assert_allclose(some.nodes, values[[10, 30, 50]], rtol=1e-14)
    np.testing.assert_allclose(some.weights, [1, 4, 9], rtol=1e-13)
    exact = np.sum(np.array([1, 4, 9]) / (values[[10, 30, 50]] + 1))
    assert some.resolvent(-1.0) == pytest.approx(exact, rel=1e-14) and some.converged
    assert none.moment(-1) == 0 and not none.density([0.0, 1.0], 0.1).any()


def test_the_broadened_density_is_that_of_all_modes(comm_self):
    """Nodes finer than the width: broadening cannot tell them from the eigenvalues."""
    operator, b = network(comm_self)
    oracle = Oracle(operator, b)
    frequency, width = np.arange(0.0, 1.2 * np.sqrt(oracle.values[-1]), 0.05), 0.4
    for q, measure in enumerate(spectral_measures(operator, b, resolution=width / 2)):
        places = np.sqrt(oracle.values)
        expected = gaussian_density(frequency, places, oracle.squares[:, q], width)
        found = measure.density(frequency, width)
        assert np.all(found >= 0)
        np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())
        total = trapezoid(found, frequency)
        assert total == pytest.approx(measure.norm_squared, rel=1e-3)


def test_a_gaussian_has_the_width_it_is_asked_for():
    frequency = np.linspace(0, 2, 2001)
    line = gaussian_density(frequency, np.array([1.0]), np.array([3.0]), 0.2)
    half = frequency[line >= line.max() / 2]
    assert half[-1] - half[0] == pytest.approx(0.2, abs=0.002)  # two grid steps
    assert trapezoid(line, frequency) == pytest.approx(3.0, rel=1e-9)


def test_the_density_of_states_of_a_lattice(comm_self):
    """Against all frequencies in closed form; six standard errors and the quadrature's share."""
    lattice = SpringLattice("fcc", 4)
    exact = np.sqrt(np.maximum(lattice.exact_eigenvalues(), 0))[3:]
    frequency, width = np.linspace(0, 3.2, 100), 0.2
    expected = gaussian_density(frequency, exact, np.ones(len(exact)), width) / len(exact)
    density, error = lanczos_density(
        lattice.operator(comm_self), frequency, resolution=width, vectors=20, seed=2
    )
    assert np.all(np.abs(density - expected) < 6 * error + 1e-3 * expected.max())
    assert trapezoid(density, frequency) == pytest.approx(1, abs=1e-3)
    assert error.max() < 0.1 * expected.max()


def test_a_glass_answers_its_non_affine_forces(comm_self, glass_3d):
    from glassmodes.mechanics.non_affine import non_affine_block

    system = HarmonicSystem(comm_self, glass_3d)
    try:
        b = non_affine_block(system.interactions) / system.amplitude
        oracle = Oracle(system.operator, b)
        z = np.array([0.0, -0.5, 4.0 - 2.0j])
        exact = oracle.resolvent(z)
        scale = 1e-8 * np.abs(exact).min(axis=0)
        measures = spectral_measures(system.operator, b, points=z, tolerance=scale)
        found = np.array([measure.resolvent(z) for measure in measures]).T
        assert np.all(np.abs(found - exact) <= scale)
    finally:
        system.destroy()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "points or a resolution"),
        ({"points": [1.0]}, "off the spectrum"),
        ({"points": [np.nan]}, "finite"),
        ({"resolution": 0.0}, "positive"),
    ],
)
def test_questions_without_an_answer_are_refused(comm_self, options, message):
    operator, b = network(comm_self)
    with pytest.raises(InputError, match=message):
        spectral_measures(operator, b, **options)
    with pytest.raises(InputError, match="at least 2"):
        lanczos_density(operator, [1.0], resolution=0.1, vectors=1)


def test_a_resolvent_of_one_step_is_that_of_one_node():
    measure = SpectralMeasure(np.array([2.0]), np.zeros(0), 3.0)
    np.testing.assert_allclose(measure.resolvent([0.0, 1j]), [1.5, 3 / (2 - 1j)], rtol=1e-15)
    assert measure.moment(-1) == 1.5 and measure.moment(1) == 6.0
