"""Lowest modes: filtered block Lanczos against what scipy and SLEPc offer."""

from __future__ import annotations

import machine
import numpy as np
import peers
from isolated import DoesNotApply
from mpi4py import MPI
from rows import Measured, Row, measure

from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.spectra.eigenmodes import lowest_modes

COUNT = 100
CASE = f"lowest {COUNT} modes"
CERTIFIED_ROWS = {2: 150_000, 3: 100_000, 4: 40_000}
"""Rows up to which the inertia is counted: a minute of factorisation."""
AIMS = {("scipy", 8000): 60.0, ("slepc", 8000): 12.0, ("ours", 32_000): 10.0}


def ours(sample) -> Measured:
    """Time the lowest `COUNT` modes, and the inertia count that certifies them."""
    n, d = sample.positions.shape
    operator, startup = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).operator)
    modes, seconds = measure(lambda: lowest_modes(operator, count=COUNT, certificate=False))
    row = Row(CASE, n, "glassmodes: filtered block Lanczos", seconds, startup=startup)
    row.accuracy = f"residual {modes.residuals.max():.0e}"
    row.details = {"products": modes.solver["products"]}
    if operator.n <= CERTIFIED_ROWS[d]:
        machine.reset_peak_memory()
        certified = lowest_modes(operator, count=COUNT).solver
        row.certificate = certified["certificate_seconds"]
        row.accuracy += f", complete in round {certified['rounds']}"
        row.details["certificate memory"] = machine.memory()
    else:
        row.accuracy += ", not counted"
    row.aim = AIMS.get(("ours", n), float("nan")) if d == 3 else float("nan")
    return Measured([row], (modes.values, modes.solver["spectral_bound"]))


def scipy_eigsh(sample, numbers) -> Row:
    """ARPACK on SuperLU's factor; the peer also finds the translations."""
    values, _ = numbers
    matrix, startup = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).matrix())
    count = COUNT + sample.dimension
    found, seconds = measure(lambda: peers.scipy_modes(matrix, count, _shift(values)))
    return _row(sample, "scipy eigsh(sigma)", seconds, startup, found, values, "scipy")


def slepc_shift_invert(sample, numbers) -> Row:
    """Krylov-Schur on a MUMPS factor."""
    values, _ = numbers
    matrix, startup = _assembled(sample)
    count = COUNT + sample.dimension
    found, seconds = measure(lambda: peers.slepc_modes(matrix, count, _shift(values)))
    name = "SLEPc Krylov-Schur, shift-invert, MUMPS"
    return _row(sample, name, seconds, startup, found, values, "slepc")


def slepc_filter(sample, numbers) -> Row:
    """Krylov-Schur on SLEPc's polynomial filter; interval and range are given to it."""
    values, bound = numbers
    matrix, startup = _assembled(sample)
    inside = (0.5 * values[0], values[-1] * (1 + 1e-6))
    found, seconds = measure(lambda: peers.slepc_filtered_modes(matrix, COUNT, inside, bound))
    nearest = values[np.abs(values[:, None] - found).argmin(axis=0)]
    row = _row(sample, "SLEPc Krylov-Schur, STFILTER", seconds, startup, found, nearest)
    if len(found) < len(values):
        row.accuracy = f"found {len(found)} of {len(values)}, which {row.accuracy}"
    return row


def scipy_lobpcg(sample, numbers) -> Row:
    """LOBPCG with the translations as constraints and inverse diagonal blocks."""
    values, _ = numbers
    if sample.masses.min() != sample.masses.max():
        raise DoesNotApply("the constraints are written for equal masses")
    d = sample.dimension
    matrix, startup = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).matrix())
    found, seconds = measure(lambda: peers.lobpcg_modes(matrix, COUNT, d, values[0]), repeats=1)
    name = "scipy LOBPCG, block Jacobi"
    return _row(sample, name, seconds, startup, found, values)


def _shift(values: np.ndarray) -> float:
    """Lie below zero by a hundredth of the lowest mode: outside the spectrum, near it."""
    return -0.01 * float(values[0])


def _assembled(sample):
    return measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).operator.assembled())


def _row(sample, method, seconds, startup, found, values, aim="") -> Row:
    n, d = sample.positions.shape
    row = Row(CASE, n, method, seconds, startup=startup)
    row.aim = AIMS.get((aim, n), float("nan")) if d == 3 else float("nan")
    row.accuracy = f"differ {np.abs(found[-len(values) :] / values - 1).max():.0e}"
    return row
