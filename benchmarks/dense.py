"""Full diagonalisation by LAPACK against spectral functions without eigenvectors.

The same quantities with the same broadening from both, so that only the methods differ.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl
from mpi4py import MPI
from rows import Measured, Row, measure

from glassmodes.observables.correlator import non_affine_correlator
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.strains import mass_weighted_forces, non_affine_columns
from glassmodes.observables.vibrational_density import density_bound
from glassmodes.observables.viscoelasticity import viscoelastic_response
from glassmodes.spectra.dense import gather_dense
from glassmodes.spectra.kernel_polynomial import frequency_density

RESOLUTION = 0.05  # 1.9 % of the band: some 100 modes a resolution
VECTORS = 64
DAMPING = 1.0  # underdamped and overdamped modes in one sample
FREQUENCIES = np.logspace(-4, 1, 101)
ZERO = 1e-10  # of the largest eigenvalue


FUNCTIONS, MODULI = "D, Gamma and moments", "G*(W), 101 frequencies"


def ours(sample) -> Measured:
    """Time D(omega), D Gamma, Gamma and G* of one network."""
    n = sample.particles
    system, startup = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample), repeats=1)
    _, spent = measure(lambda: _functions(system), budget=2.0)
    answer, more = measure(lambda: _response(system), budget=2.0)
    functions = Row(FUNCTIONS, n, f"glassmodes: {VECTORS} vectors", spent, startup=startup)
    moduli = Row(MODULI, n, "glassmodes: Lanczos", more, startup=startup)
    moduli.accuracy = f"{answer.steps[0]} steps"
    return Measured([functions, moduli])


def lapack(sample, _) -> list[Row]:
    """Time all eigenvectors, which give the same functions."""
    n = sample.particles
    system = HarmonicSystem(MPI.COMM_SELF, sample)
    matrix = gather_dense(system.operator)
    (values, vectors), seconds = measure(
        lambda: sl.eigh(matrix, overwrite_a=True, check_finite=False, driver="evd"), repeats=1
    )
    rows = [Row(case, n, f"LAPACK, {len(values):,} eigenvectors", seconds) for case in
            (FUNCTIONS, MODULI)]  # fmt: skip
    rows[0].accuracy = _compare_functions(system, _functions(system), values, vectors)
    rows[1].accuracy = _compare_moduli(system, _response(system), values, vectors)
    return rows


def _functions(system):
    return non_affine_correlator(system, ["xy"], RESOLUTION, vectors=VECTORS)


def _response(system):
    return viscoelastic_response(system, ["xy"], DAMPING, FREQUENCIES)


def _weights(system, vectors: np.ndarray) -> np.ndarray:
    """Return (b.psi_p)^2 of the strain xy for every eigenvector, (3N,)."""
    force = mass_weighted_forces(system, non_affine_columns(system.interactions, ["xy"]))
    return (vectors.T @ force)[:, 0] ** 2


def _compare_functions(system, ours, values: np.ndarray, vectors: np.ndarray) -> str:
    """Give the exact spectrum the kernel of ours; say by how much both differ."""
    moving = values > ZERO * values[-1]
    found = int(np.sum(~moving))
    bound = density_bound(system.operator)
    angles = np.arccos(bound.position(values[moving]))
    exact_weights = _weights(system, vectors)[moving]
    moments = np.zeros((2 * ours.products, 2))
    for n in range(len(moments)):
        cosines = np.cos(n * angles)
        moments[n] = cosines.sum(), cosines @ exact_weights
    density, product = (frequency_density(moments, bound, ours.frequency) / moving.sum()).T
    difference, noise = ours.density - density, ours.density_error
    known = density > 0.05 * density.max()
    correlator = product[known] / density[known]
    scatter = np.sqrt(np.mean(difference**2) / np.mean(noise**2))
    return (
        f"D differs {_rms(difference, density):.1e} rms ({scatter:.2f} standard errors), "
        f"D Gamma {_rms(ours.density_times_correlator[:, 0] - product, product):.0e}, "
        f"Gamma {_rms(ours.correlator[known, 0] - correlator, correlator):.1e}, "
        f"zero modes {ours.zero_modes} and {found}, "
        f"edge {ours.max_frequency / np.sqrt(values[-1]) - 1:.0e}"
    )


def _compare_moduli(system, ours, values: np.ndarray, vectors: np.ndarray) -> str:
    weights = _weights(system, vectors)
    moving = values > ZERO * values[-1]
    z = FREQUENCIES**2 - 1j * FREQUENCIES * DAMPING
    drop = (weights[moving] / (values[moving] - z[:, None])).sum(axis=1)
    volume, affine = system.interactions.volume, ours.affine_modulus[0]
    modulus = affine - drop / volume
    difference = ours.storage_modulus[0] + 1j * ours.loss_modulus[0] - modulus
    static = affine - (weights[moving] / values[moving]).sum() / volume
    lost = weights[~moving].sum() / weights.sum()
    return (
        f"G* differs {np.abs(difference).max() / affine:.0e} of G_A at most, "
        f"G {abs(ours.static_modulus[0] - static) / affine:.0e}, "
        f"weight of Xi on zero modes {lost:.0e}"
    )


def _rms(difference: np.ndarray, values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(difference**2) / np.mean(values**2)))
