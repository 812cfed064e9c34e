"""Density of states of a glass by moments against all eigenvalues by LAPACK."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl
from mpi4py import MPI
from rows import Measured, Row, measure

from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.stability import require_stable
from glassmodes.observables.vibrational_density import vibrational_density
from glassmodes.spectra.dense import gather_dense

CASE = "density of states of a glass, 1 %"
VECTORS = 16


def ours(sample) -> Measured:
    """Time D(omega) at the default resolution; the check of stability is part of the start-up."""
    system, startup = measure(lambda: _stable(sample), repeats=1)
    states, seconds = measure(lambda: vibrational_density(system, vectors=VECTORS))
    row = Row(CASE, len(sample.positions), f"glassmodes: {VECTORS} vectors", seconds)
    row.startup = startup
    noise = np.sqrt(np.mean(states.error**2) / np.mean(states.density**2))
    row.accuracy = f"{states.products} products a vector, rms error {noise:.1%}"
    steps = np.diff(states.frequency)
    cumulative = np.concatenate(
        [[0.0], np.cumsum((states.density[1:] + states.density[:-1]) / 2 * steps)]
    )
    return Measured([row], (states.frequency, cumulative))


def lapack(sample, numbers) -> Row:
    """Time all eigenvalues, without vectors, of the dense matrix."""
    frequency, cumulative = numbers
    matrix = gather_dense(HarmonicSystem(MPI.COMM_SELF, sample).operator)
    values, seconds = measure(
        lambda: sl.eigh(matrix, eigvals_only=True, overwrite_a=True, check_finite=False), repeats=1
    )
    row = Row(CASE, len(sample.positions), f"LAPACK, {len(values):,} eigenvalues", seconds)
    moving = np.sqrt(values[sample.dimension :])
    exact = np.searchsorted(moving, frequency) / len(moving)
    row.accuracy = f"cumulated states differ {np.abs(exact - cumulative).max():.1e} at most"
    return row


def _stable(sample) -> HarmonicSystem:
    system = HarmonicSystem(MPI.COMM_SELF, sample)
    require_stable(system)
    return system
