"""Dipole stiffness: batches on one factor against one solve at a time."""

from __future__ import annotations

import time

import numpy as np
import peers
from mpi4py import MPI
from rows import Row, measure

from glassmodes.observables.dipoles import dipole_stiffness, random_contacts
from glassmodes.observables.harmonic import HarmonicSystem

COUNT = 256  # dipoles in batches
ONE_BY_ONE = 16  # dipoles solved one at a time
AIMS = {8000: 8.0}
SHIFT = 1e-6  # of the peer's factor; it does not refine, so its answer keeps this error


def run(sample, with_peers: bool = True) -> list[Row]:
    """Time `COUNT` random contacts, per dipole; the factor is the start-up."""
    n = sample.positions.shape[0]
    case = "dipole stiffness, per dipole"
    begin = time.perf_counter()
    system = HarmonicSystem(MPI.COMM_SELF, sample, solver="factor")
    pairs = random_contacts(system.interactions, COUNT, seed=1)
    few = pairs[:: COUNT // ONE_BY_ONE]
    dipole_stiffness(system, few[:1])
    startup = time.perf_counter() - begin
    answer, seconds = measure(lambda: dipole_stiffness(system, pairs), 3)
    ours = Row(
        *(case, n, f"glassmodes: {COUNT} in batches", seconds / COUNT),
        startup=startup,
        accuracy=f"residual {answer.residuals.max():.0e}",
    )
    rows = [ours]
    if with_peers:
        _, seconds = measure(lambda: dipole_stiffness(system, few, batch=1), 3)
        rows.append(Row(case, n, "glassmodes: one at a time", seconds / len(few), startup=startup))
        rows[-1].gain = rows[-1].value / ours.value
        rows.append(_mumps_row(sample, system, few, ours, answer.stiffness[:: COUNT // ONE_BY_ONE]))
    system.destroy()
    return rows


def _mumps_row(sample, system, pairs, ours, expected) -> Row:
    begin = time.perf_counter()
    matrix = HarmonicSystem(MPI.COMM_SELF, sample).stiffness.assembled()
    solver = peers.MumpsSolver(matrix, SHIFT)
    startup = time.perf_counter() - begin

    def stiffness() -> np.ndarray:
        values = np.empty(len(pairs))
        for k, (i, j) in enumerate(pairs):
            force = _dipole(sample, i, j)
            response = solver(system.scatter(force[:, None])[:, 0])
            work = system.scatter(force[:, None])[:, 0] @ response
            values[k] = work / (response @ response)
        return values

    values, seconds = measure(stiffness, 3)
    solver.destroy()
    matrix.destroy()
    row = Row(ours.case, ours.particles, "PETSc MUMPS, one at a time", seconds / len(pairs))
    row.startup, row.gain = startup, seconds / len(pairs) / ours.value
    row.aim = AIMS.get(ours.particles, float("nan"))
    row.accuracy = f"differs {np.abs(values / expected - 1).max():.0e}"
    return row


def _dipole(sample, i: int, j: int) -> np.ndarray:
    """Return opposite unit forces on i and j along their line, over sqrt(2), (N d,)."""
    vector = sample.positions[j] - sample.positions[i]
    vector -= sample.box * np.rint(vector / sample.box)
    vector /= np.linalg.norm(vector) * np.sqrt(2)
    force = np.zeros_like(sample.positions)
    force[i], force[j] = -vector, vector
    return force.ravel()
