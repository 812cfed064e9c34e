"""D, D Γ and Γ against LAPACK and against Lanczos; zero modes counted three ways."""

import numpy as np
import pytest
from mpi4py import MPI
from networks import DenseResponse, floppy_network
from scipy.integrate import trapezoid

from glassmodes.errors import InputError, SampleError
from glassmodes.observables.correlator import non_affine_correlator
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.strains import mass_weighted_forces, non_affine_columns, shear_strains
from glassmodes.observables.vibrational_density import counted_density, vibrational_density
from glassmodes.observables.viscoelasticity import viscoelastic_response
from glassmodes.observables.zero_modes import (
    ESTIMATE,
    INERTIA,
    TRANSLATIONS,
    count_matrix_zero_modes,
    count_zero_modes,
)
from glassmodes.spectra.operators import MatrixOperator
from glassmodes.spectra.spectral_measure import spectral_measures

NETWORKS = {"fcc": ("fcc", 2, 0.55), "triangular": ("triangular", 5, 0.7)}

LIKE = 0.06  # of the peak: the kernel is 3 % narrower at 0.25 ω_D, and no exact Gaussian


@pytest.fixture(scope="module", params=("glass", *NETWORKS))
def sample(request, glass_3d):
    return glass_3d if request.param == "glass" else floppy_network(*NETWORKS[request.param])


@pytest.fixture(scope="module")
def oracle(sample):
    return DenseResponse(sample)


@pytest.fixture
def system(sample):
    system = HarmonicSystem(MPI.COMM_SELF, sample)
    yield system
    system.destroy()


def broadened(places, weights, frequency, width):
    """Return the sum of Gaussians of full width `width`, reflected at zero."""
    deviation = width / (2 * np.sqrt(2 * np.log(2)))
    total = np.zeros(len(frequency))
    for sign in (1, -1):
        distance = (frequency[:, None] - sign * places) / deviation
        total += np.exp(-(distance**2) / 2) @ weights
    return total / (deviation * np.sqrt(2 * np.pi))


def test_product_is_the_broadened_sum_over_modes(system, oracle):
    """At low frequency the Jackson kernel is a Gaussian of the stated width, to its tails."""
    width = 0.05 * np.sqrt(oracle.eigenvalues[-1])
    found = non_affine_correlator(system, ["xy"], width)
    low = found.frequency < 0.25 * found.max_frequency
    expected = broadened(
        np.sqrt(oracle.eigenvalues), oracle.weights("xy"), found.frequency[low], width
    )
    product = found.density_times_correlator[low, 0] * oracle.vibrations
    assert np.abs(product - expected).max() < LIKE * expected.max()


def test_moments_are_those_of_all_eigenvectors(system, oracle):
    strains = shear_strains(oracle.d)
    found = non_affine_correlator(system, strains, 0.1 * np.sqrt(oracle.eigenvalues[-1]))
    for k, strain in enumerate(strains):
        weight, scale = oracle.weights(strain), oracle.affine(strain) * oracle.volume
        assert found.moments["0"][k] == pytest.approx(weight.sum(), rel=1e-10)
        first = np.sum(weight * oracle.eigenvalues)
        assert found.moments["1"][k] == pytest.approx(first, rel=1e-10)
        inverse = np.sum(weight / oracle.eigenvalues)
        assert found.moments["-1"][k] == pytest.approx(inverse, abs=1e-6 * scale)


def test_moments_are_the_integrals_of_the_product(system, oracle):
    """∫ D Γ ω^2k dω = moment k / n for k = 0, 1; the kernel adds its variance to the second."""
    width = 0.02 * np.sqrt(oracle.eigenvalues[-1])
    found = non_affine_correlator(system, ["xy"], width)
    w, product = found.frequency, found.density_times_correlator[:, 0] * found.vibrations
    assert trapezoid(product, w) == pytest.approx(found.moments["0"][0], rel=1e-5)  # quadrature
    variance = (width / 2.35) ** 2 * found.moments["0"][0]
    second = trapezoid(product * w**2, w)
    assert second == pytest.approx(found.moments["1"][0], abs=variance)


def test_product_agrees_with_lanczos(system, oracle):
    """Moments and Lanczos nodes of the same vector, broadened alike."""
    width = 0.05 * np.sqrt(oracle.eigenvalues[-1])
    found = non_affine_correlator(system, ["xy"], width)
    xi = mass_weighted_forces(system, non_affine_columns(system.interactions, ["xy"]))
    (measure,) = spectral_measures(system.operator, xi, resolution=width / 4)
    low = found.frequency < 0.25 * found.max_frequency
    expected = measure.density(found.frequency[low], width) / oracle.vibrations
    product = found.density_times_correlator[low, 0]
    assert np.abs(product - expected).max() < LIKE * expected.max()


def test_static_modulus_from_the_moment(system):
    """G_A - G = moment(-1) / V, and without masses the mean square force is moment(0) / N."""
    found = non_affine_correlator(system, ["xy"])
    moduli = viscoelastic_response(system, ["xy"], 1.0)
    drop = moduli.affine_modulus - moduli.static_modulus
    np.testing.assert_allclose(
        found.moments["-1"] / system.interactions.volume,
        drop,
        rtol=0,
        atol=2e-6 * moduli.affine_modulus[0],  # both to 1e-6 of the affine modulus
    )
    assert found.non_affine_force_squared_mean == pytest.approx(
        moduli.non_affine_force_squared_mean[0], rel=1e-13
    )


def test_zero_modes_are_counted(system, oracle, sample):
    zero = count_zero_modes(system)
    assert zero.count == oracle.zero_modes and zero.error == 0 and zero.exact
    assert zero.method == (TRANSLATIONS if sample.bonds is None else INERTIA)


def test_few_zero_modes_are_found_and_leave_no_noise(system, oracle):
    """The density is positive everywhere: the kernel is, and nothing was subtracted."""
    states = vibrational_density(system, 0.05 * np.sqrt(oracle.eigenvalues[-1]))
    assert system.operator.nullity == oracle.zero_modes
    left = system.operator.apply(system.operator.null_space)
    assert np.abs(left).max(initial=0) < 1e-10 * oracle.eigenvalues[-1]
    below = states.frequency < states.max_frequency
    assert np.all(states.density[below] > 0) and states.zero_weight == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_zero_modes_are_estimated_where_no_factor_fits(name):
    sample = floppy_network(*NETWORKS[name])
    oracle = DenseResponse(sample)
    system = HarmonicSystem(MPI.COMM_SELF, sample)
    assert count_zero_modes(system, limit_rows=10) is None
    width = 0.1 * np.sqrt(oracle.eigenvalues[-1])
    states, zero = counted_density(system.operator, None, width, vectors=200)
    system.destroy()
    assert zero.method == ESTIMATE and not zero.exact
    # four standard errors, and the soft modes that this width cannot tell from zero
    soft = np.sum(np.sqrt(oracle.eigenvalues) < width)
    assert abs(zero.count - oracle.zero_modes) < 4 * zero.error + soft
    assert states.vibrations == oracle.d * oracle.n - zero.count
    assert trapezoid(states.density, states.frequency) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("share", (0.01, 0.05, 0.2))
def test_density_integrates_to_one_at_any_resolution(system, oracle, share):
    states = vibrational_density(system, share * np.sqrt(oracle.eigenvalues[-1]))
    assert trapezoid(states.density, states.frequency) == pytest.approx(1, abs=1e-3)
    assert states.vibrations == oracle.vibrations


def test_density_is_the_spectrum_to_its_error(system, oracle):
    width = 0.1 * np.sqrt(oracle.eigenvalues[-1])
    states = vibrational_density(system, width, vectors=64)
    low = states.frequency < 0.25 * states.max_frequency
    modes = np.sqrt(oracle.eigenvalues)
    exact = broadened(modes, np.ones(len(modes)), states.frequency[low], width) / len(modes)
    error = np.hypot(states.error[low], LIKE * exact.max())
    assert np.all(np.abs(states.density[low] - exact) < 4 * error)


def test_correlator_is_unknown_where_no_modes_are(system):
    found = non_affine_correlator(system, ["xy"], frequency=[1.0, 1e3])
    assert np.isfinite(found.correlator[0, 0]) and np.isnan(found.correlator[1, 0])
    assert found.density_times_correlator[1, 0] == 0


def test_matrices_that_are_no_squared_frequencies():
    def count(values):
        return count_matrix_zero_modes(MatrixOperator(MPI.COMM_SELF, np.diag(values)), "it")

    assert count([1.0, 2.0, 0.0, 1e-14, -1e-14]).count == 3
    with pytest.raises(SampleError, match="it has 2 negative") as refused:
        count([1.0, -1.0, -1e-6, 0.0])
    assert refused.value.evidence["negative_eigenvalues"] == 2
    with pytest.raises(SampleError, match="it has 3 negative"):
        count([-1.0, -2.0, -3.0])
    with pytest.raises(InputError, match="no eigenvalue beside zero"):
        count([0.0, 0.0])
