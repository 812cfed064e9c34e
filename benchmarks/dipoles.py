"""Cholesky factor and dipole stiffness: batches on one factor against one solve at a time."""

from __future__ import annotations

import numpy as np
import peers
from mpi4py import MPI
from rows import Measured, Row, measure

from glassmodes.observables.dipoles import dipole_stiffness, random_contacts
from glassmodes.observables.harmonic import HarmonicSystem

CASE = "dipole stiffness, per dipole"
FACTOR = "Cholesky factor"
COUNT = 256  # dipoles in batches
ONE_BY_ONE = 16  # dipoles solved one at a time
AIMS = {(8000, 3): 8.0}
SHIFT = 1e-6  # of the peer's factor; it does not refine, so its answer keeps this error


def ours(sample) -> Measured:
    """Time the factor, then `COUNT` random contacts in batches and some one at a time."""
    n = len(sample.positions)
    system = HarmonicSystem(MPI.COMM_SELF, sample, solver="factor")
    _, startup = measure(lambda: system.operator, repeats=1)
    pairs = random_contacts(system.interactions, COUNT, seed=1)
    few = pairs[:: COUNT // ONE_BY_ONE]
    _, first = measure(lambda: dipole_stiffness(system, few[:1]), repeats=1)
    factor = Row(FACTOR, n, "glassmodes", first, startup=startup)
    _, again = measure(lambda: dipole_stiffness(system, few[:1]))
    factor.value -= again
    startup += first
    answer, seconds = measure(lambda: dipole_stiffness(system, pairs), 3)
    batches = Row(CASE, n, f"glassmodes: {COUNT} in batches", seconds / COUNT, startup=startup)
    batches.accuracy = f"residual {answer.residuals.max():.0e}"
    _, seconds = measure(lambda: dipole_stiffness(system, few, batch=1), 3)
    single = Row(CASE, n, "glassmodes: one at a time", seconds / len(few), startup=startup)
    single.gain = single.value / batches.value
    system.destroy()
    return Measured([factor, batches, single], (few, answer.stiffness[:: COUNT // ONE_BY_ONE]))


def mumps_one_at_a_time(sample, numbers) -> Row:
    """Time one solve at a time with PETSc's MUMPS Cholesky; factor and matrix are the start-up."""
    pairs, expected = numbers
    (matrix, solver), startup = measure(lambda: _peer_factor(sample), repeats=1)

    def stiffness() -> np.ndarray:
        forces = [_dipole(sample, i, j) for i, j in pairs]
        responses = [solver(force) for force in forces]
        return np.array([f @ u / (u @ u) for f, u in zip(forces, responses, strict=True)])

    values, seconds = measure(stiffness, 3)
    solver.destroy()
    matrix.destroy()
    n = len(sample.positions)
    row = Row(CASE, n, "PETSc MUMPS, one at a time", seconds / len(pairs), startup=startup)
    row.aim = AIMS.get((n, sample.dimension), float("nan"))
    row.accuracy = f"differs {np.abs(values / expected - 1).max():.0e}"
    return row


def _peer_factor(sample) -> tuple:
    matrix = peers.petsc_matrix(HarmonicSystem(MPI.COMM_SELF, sample).matrix(), sample.dimension)
    return matrix, peers.MumpsSolver(matrix, SHIFT)


def _dipole(sample, i: int, j: int) -> np.ndarray:
    """Return opposite unit forces on i and j along their line, over sqrt(2), (N d,)."""
    vector = sample.positions[j] - sample.positions[i]
    vector -= sample.box * np.rint(vector / sample.box)
    vector /= np.linalg.norm(vector) * np.sqrt(2)
    force = np.zeros_like(sample.positions)
    force[i], force[j] = -vector, vector
    return force.ravel()
