"""Chebyshev moments and densities of states against all eigenvalues and against Lanczos."""

import numpy as np
import pytest
import scipy.sparse as sp
from lattices import SpringLattice, disordered_operator, translation_vectors, vacant_lattice
from scipy.integrate import trapezoid

from glassmodes.errors import InputError, SolverError
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.spectra.chebyshev import (
    SpectralBound,
    chebyshev_moments,
    jackson_factors,
    largest_eigenvalue,
    random_starts,
    spectral_bound,
)
from glassmodes.spectra.kernel_polynomial import (
    density_of_states,
    frequency_density,
    products_for,
    zero_weights,
)
from glassmodes.spectra.operators import MatrixOperator
from glassmodes.spectra.spectral_measure import gaussian_density, lanczos_density

SURE = 6.0  # standard errors: with 16 vectors the errors themselves are known to 20 %


@pytest.fixture(scope="module")
def network(comm_self):
    operator = disordered_operator(comm_self, 200, 3, 11)
    operator.null_space = translation_vectors(operator)
    return operator


def dense(operator):
    return operator.local_rows().toarray()


def kernel_density(values, bound, frequency, products):
    """The density of known eigenvalues, broadened by the same kernel, of integral 1."""
    angle = np.arccos(bound.position(values))
    moments = np.cos(np.outer(np.arange(2 * products), angle)).sum(axis=1)
    return frequency_density(moments, bound, frequency)[:, 0] / len(values)


def floppy_chain(comm, rows, free):
    """A chain between walls with `free` more sites that nothing holds: known zero modes."""
    chain = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(rows, rows))
    exact = 2 - 2 * np.cos(np.pi * np.arange(1, rows + 1) / (rows + 1))
    # An orthogonal mixture, so that no row of the matrix is zero by itself.
    matrix = sp.block_diag([chain, sp.csr_matrix((free, free))]).tolil()
    mirror = np.random.default_rng(1).permutation(rows + free)
    return MatrixOperator(comm, sp.csr_matrix(matrix)[mirror][:, mirror]), exact


@pytest.mark.parametrize("columns", [1, 3, 8, 17])
def test_moments_are_those_of_the_dense_polynomials(network, columns):
    start = network.random_block(columns, 4)
    bound = spectral_bound(network)
    moments = chebyshev_moments(network, start, bound, 12)
    values, modes = np.linalg.eigh(dense(network))
    angle = np.arccos(bound.position(values))
    expected = np.cos(np.outer(np.arange(24), angle)) @ (modes.T @ start) ** 2
    # Rounding of a recursion of 12 steps; no moment exceeds the zeroth.
    np.testing.assert_allclose(moments, expected, atol=1e-12 * expected[0].max())


def test_moments_of_an_indefinite_matrix(comm_self):
    operator = disordered_operator(comm_self, 60, 2, 3, signed=True)
    bound = spectral_bound(operator)
    values, modes = np.linalg.eigh(dense(operator))
    assert bound.lower < values[0] < 0 < values[-1] < bound.upper
    start = operator.random_block(2, 1)
    expected = np.cos(np.outer(np.arange(20), np.arccos(bound.position(values))))
    expected = expected @ (modes.T @ start) ** 2
    moments = chebyshev_moments(operator, start, bound, 10)
    np.testing.assert_allclose(moments, expected, atol=1e-12 * expected[0].max())
    frequency = np.linspace(0, np.sqrt(bound.upper), 4001)
    whole = frequency_density(moments[:, :1], bound, frequency)[:, 0]
    positive = (modes.T @ start[:, 0])[values > 0] ** 2
    # Frequencies are those of positive eigenvalues; the kernel moves little across zero.
    assert trapezoid(whole, frequency) == pytest.approx(positive.sum(), rel=0.2)


def test_the_largest_eigenvalue(comm_self, network):
    assert largest_eigenvalue(network) == pytest.approx(np.linalg.eigvalsh(dense(network))[-1])
    lattice = SpringLattice("fcc", 4)
    found = largest_eigenvalue(lattice.operator(comm_self))
    assert found == pytest.approx(lattice.exact_eigenvalues()[-1], rel=1e-6)
    assert largest_eigenvalue(MatrixOperator(comm_self, sp.csr_matrix((5, 5)))) == 0.0


def test_a_rare_stiff_place_is_inside_the_bound(comm_self):
    """One site in 20,000 holds an eigenvalue a third above the band: a short run misses it."""
    rows = 20_000
    diagonal = np.full(rows, 2.0)
    diagonal[777] = 4.8
    chain = sp.diags([-np.ones(rows - 1), diagonal, -np.ones(rows - 1)], [-1, 0, 1])
    operator = MatrixOperator(comm_self, chain)
    exact = 2 + np.sqrt(2.8**2 + 4)  # of an impurity 2.8 in an endless chain
    assert exact < spectral_bound(operator).upper < 1.1 * exact
    assert largest_eigenvalue(operator) == pytest.approx(exact, rel=1e-6)


def test_random_starts_are_seeded_signs_without_translations(comm_self, network):
    plain = disordered_operator(comm_self, 200, 3, 11)
    starts = random_starts(plain, 6, 5)
    assert set(np.unique(starts)) == {-1.0, 1.0}
    np.testing.assert_array_equal(random_starts(plain, 2, 5, first=3), starts[:, 3:5])
    # Independent signs: means and overlaps are 1/sqrt(n) wide.
    gram = starts.T @ starts / plain.n - np.eye(6)
    assert np.abs(gram).max() < 5 / np.sqrt(plain.n)
    assert not np.array_equal(random_starts(plain, 1, 6)[:, 0], starts[:, 0])
    clean = random_starts(network, 6, 5)
    assert np.abs(network.null_space.T @ clean).max() < 1e-12
    network_part = network.null_space @ (network.null_space.T @ starts)
    np.testing.assert_allclose(clean, starts - network_part, atol=1e-12)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.8])
def test_the_kernel_is_a_peak_of_integral_one_and_the_stated_width(place):
    bound = SpectralBound(4.0, 3.9)
    products = products_for(0.1, bound)
    frequency = np.linspace(0, 2, 20001)
    line = kernel_density(np.array([(2 * place) ** 2]), bound, frequency, products)
    assert line.min() > -1e-10 * line.max()
    assert trapezoid(line, frequency) == pytest.approx(1, abs=1e-4)
    high = frequency[line >= line.max() / 2]
    width = high[-1] - (high[0] if place else -high[-1])
    # In angle the width is uniform: in frequency it shrinks as the root of 1 - (w/w_top)^2.
    assert width == pytest.approx(0.1 * np.sqrt(1 - place**2), rel=0.03)


def test_jackson_factors_fall_from_one_to_nothing():
    factors = jackson_factors(50)
    assert factors[0] == pytest.approx(1) and np.all(np.diff(factors) < 0)
    assert 0 < factors[-1] < 1e-3


def test_the_density_agrees_with_all_eigenvalues_and_with_lanczos(network):
    states = density_of_states(network, resolution=0.4, vectors=16, seed=1)
    values = np.linalg.eigvalsh(dense(network))[3:]
    bound = spectral_bound(network)
    expected = kernel_density(values, bound, states.frequency, states.products)
    floor = 1e-3 * expected.max()
    assert np.all(np.abs(states.density - expected) < SURE * states.error + floor)
    # Chance agreement would be as easy with errors ten times too large.
    assert np.mean(np.abs(states.density - expected)) < 2 * np.mean(states.error)
    assert states.error.max() < 0.15 * expected.max()
    assert states.vibrations == network.n - 3 and states.zero_modes == 3
    assert states.max_frequency == pytest.approx(np.sqrt(values[-1]), rel=1e-6)
    assert trapezoid(states.density, states.frequency) == pytest.approx(1, abs=1e-3)
    other, spread = lanczos_density(network, states.frequency, resolution=0.4, seed=1)
    # The same vectors, but a Gaussian of constant width in place of the kernel.
    low = states.frequency < 0.5 * states.max_frequency
    difference = np.abs(states.density - other)[low]
    assert np.all(difference < SURE * spread[low] + 0.05 * expected.max())


@pytest.mark.parametrize(("kind", "cells"), [("triangular", 8), ("fcc", 4), ("hypercubic", 4)])
def test_degenerate_lattices(comm_self, kind, cells):
    lattice = SpringLattice(kind, cells)
    values = lattice.exact_eigenvalues()[lattice.d :]
    operator = lattice.operator(comm_self)
    states = density_of_states(operator, resolution=0.2, vectors=24, seed=3)
    bound = spectral_bound(operator)
    expected = kernel_density(values, bound, states.frequency, states.products)
    floor = 1e-3 * expected.max()
    assert np.all(np.abs(states.density - expected) < SURE * states.error + floor)
    assert states.zero_modes == lattice.d and states.zero_weight == 0


def test_more_vectors_lower_the_error_and_keep_the_first_ones(network):
    frequency = np.linspace(0.1, 6, 40)
    few, many = (
        density_of_states(network, resolution=0.4, frequency=frequency, vectors=k) for k in (8, 32)
    )
    # 1/sqrt(4) with errors of errors of a quarter.
    assert 0.3 < np.mean(many.error) / np.mean(few.error) < 0.75
    again = density_of_states(network, resolution=0.4, frequency=frequency, vectors=8)
    np.testing.assert_array_equal(few.density, again.density)


def test_exact_modes_are_spliced_in(network):
    values = np.linalg.eigvalsh(dense(network))[3:]
    edge = np.sqrt((values[199] + values[200]) / 2)
    options = {"resolution": 0.4, "vectors": 16, "seed": 1}
    plain = density_of_states(network, **options)
    states = density_of_states(network, exact_below=edge, **options)
    bound = spectral_bound(network)
    expected = kernel_density(values, bound, plain.frequency, plain.products)
    assert states.exact_modes == 200 and states.exact_below == edge
    soft = plain.frequency < edge - 0.6  # a kernel and a half away
    # Only the tails of the kernel of the random part are left to chance there.
    assert states.error[soft].max() < 0.1 * plain.error[soft].max()
    np.testing.assert_allclose(
        states.density[soft], expected[soft], atol=SURE * states.error[soft].max()
    )
    rest = ~soft
    floor = 1e-3 * expected.max()
    miss = np.abs(states.density - expected)[rest]
    assert np.all(miss < SURE * states.error[rest] + floor)
    fine = np.linspace(0, edge - 0.3, 400)
    narrow = density_of_states(
        network, frequency=fine, exact_below=edge, exact_resolution=0.05, **options
    )
    lines = gaussian_density(fine, np.sqrt(values[:200]), np.ones(200), 0.05) / len(values)
    rest = kernel_density(values[200:], bound, fine, plain.products) * (1 - 200 / len(values))
    np.testing.assert_allclose(narrow.density, lines + rest, atol=SURE * narrow.error.max())
    assert lines.max() > 100 * narrow.error.max()


def test_weight_at_zero_is_counted_and_taken_out(comm_self):
    rows, free = 3000, 400
    operator, exact = floppy_chain(comm_self, rows, free)
    bound = SpectralBound(5.0, 4.0)  # room for the kernel at the singular band edge
    options = {"resolution": 0.05, "vectors": 16, "bound": bound}
    raw = density_of_states(operator, **options)
    known = density_of_states(operator, zero_modes=free, **options)
    estimate = density_of_states(operator, zero_modes="estimate", **options)
    expected = kernel_density(exact, bound, known.frequency, known.products)
    assert raw.density[0] > 10 * expected[0]  # the peak is there unless taken out
    floor = 1e-3 * expected.max()
    for states in (known, estimate):
        assert np.all(np.abs(states.density - expected) < SURE * states.error + floor)
        assert states.error[0] < 0.1 * raw.density[0]
        assert abs(states.zero_weight - free) < 4 * states.zero_weight_error
        assert trapezoid(states.density, states.frequency) == pytest.approx(1, abs=2e-3)
    assert known.vibrations == rows and known.zero_modes == free
    assert abs(estimate.zero_modes - free) < 4 * estimate.zero_weight_error
    assert estimate.zero_weight_error < 0.1 * free


def test_floppy_modes_of_a_lattice_with_vacancies(comm_self):
    """Zero modes that no vector is known of, beside many soft ones."""
    incidence = vacant_lattice("fcc", 6, 0.5, 2)
    operator = MatrixOperator(comm_self, incidence.T @ incidence)
    values = np.linalg.eigvalsh(dense(operator))
    floppy = int(np.sum(values < 1e-10))
    assert 0.03 * operator.n < floppy < 0.3 * operator.n
    options = {"resolution": 0.05, "vectors": 16}
    known = density_of_states(operator, zero_modes=floppy, **options)
    estimate = density_of_states(operator, zero_modes="estimate", **options)
    assert estimate.zero_modes == round(estimate.zero_weight)
    assert abs(known.zero_weight - floppy) < 4 * known.zero_weight_error
    assert known.vibrations == operator.n - floppy
    bound = spectral_bound(operator)
    expected = kernel_density(values[floppy:], bound, known.frequency, known.products)
    floor = 1e-3 * expected.max()
    for states in (known, estimate):
        assert np.all(np.abs(states.density - expected) < SURE * states.error + floor)
    assert known.error[0] <= estimate.error[0]


def test_a_wrong_count_shows_in_the_weight_at_zero(comm_self):
    operator, _ = floppy_chain(comm_self, 3000, 400)
    states = density_of_states(operator, resolution=0.05, zero_modes=200)
    assert states.zero_weight - 200 > 5 * states.zero_weight_error


def test_the_weight_of_a_pure_zero_mode_is_exact():
    n = np.arange(100)
    smooth = np.exp(-n / 3.0)[:, None]  # moments of a smooth density
    moments = 7.0 * (-1.0) ** n[:, None] + smooth
    assert zero_weights(moments)[0] == pytest.approx(7.0, abs=1e-6)


def test_a_glass_from_its_sample(comm_self, glass_3d):
    system = HarmonicSystem(comm_self, glass_3d)
    try:
        operator = system.operator
        values = np.linalg.eigvalsh(dense(operator))[3:]
        top = np.sqrt(values[-1])
        states = density_of_states(operator, resolution=top / 20, vectors=32)
        bound = spectral_bound(operator)
        expected = kernel_density(values, bound, states.frequency, states.products)
        floor = 1e-3 * expected.max()
        assert np.all(np.abs(states.density - expected) < SURE * states.error + floor)
        assert states.max_frequency == pytest.approx(top, rel=1e-6)
    finally:
        system.destroy()


def test_rows_that_are_zero_stay_out(comm_self):
    operator, exact = floppy_chain(comm_self, 500, 30)
    rows = np.abs(operator.local_rows()).sum(axis=1).A1 == 0
    assert rows.sum() == 30
    operator.null_rows = rows
    states = density_of_states(operator, resolution=0.1, vectors=16)
    bound = spectral_bound(operator)
    expected = kernel_density(exact, bound, states.frequency, states.products)
    floor = 1e-3 * expected.max()
    assert np.all(np.abs(states.density - expected) < SURE * states.error + floor)
    assert states.vibrations == 500 and states.zero_modes == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 0.0}, "positive"),
        ({"resolution": 0.1, "vectors": 1}, "at least 2"),
        ({"resolution": 0.1, "zero_modes": 2}, "3 are known"),
        ({"resolution": 0.1, "zero_modes": 10_000}, "600 rows"),
        ({"resolution": 0.1, "zero_modes": "many"}, "estimate"),
        ({"resolution": 0.1, "frequency": [-1.0]}, "not negative"),
        ({"resolution": 0.1, "frequency": [np.nan]}, "finite"),
    ],
)
def test_requests_without_sense_are_refused(network, options, message):
    with pytest.raises(InputError, match=message):
        density_of_states(network, **options)


def test_a_matrix_without_vibrations_is_refused(comm_self):
    for matrix in (sp.csr_matrix((5, 5)), -sp.identity(5)):
        with pytest.raises(InputError, match="no positive eigenvalue"):
            density_of_states(MatrixOperator(comm_self, matrix), resolution=0.1)


def test_an_eigenvalue_outside_the_bound_is_noticed(comm):
    """Moments inside are at most the norm; outside they grow exponentially."""
    operator = MatrixOperator(comm, sp.diags([1.0, 2.0, 4.2]).tocsr())
    with pytest.raises(SolverError, match="outside the bound"):
        chebyshev_moments(operator, np.ones((3, 1)), SpectralBound(4.0, 4.0), 40)
