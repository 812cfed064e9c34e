"""Spectral functions without eigenvectors: their cost from N = 10^4 to 10^6, and the product.

Networks of unit springs, fcc with vacancies at Z = 7.
"""

from __future__ import annotations

import math

import ceilings
import numpy as np
import peers
from mpi4py import MPI
from rows import Measured, Row, measure

from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.vibrational_density import counted_density
from glassmodes.observables.viscoelasticity import viscoelastic_response
from glassmodes.observables.zero_modes import count_null_vectors

RESOLUTION = 0.02  # 0.75 % of the band
DAMPING = 1e4
FREQUENCIES = np.logspace(-9, 3, 121)
TIMES = np.logspace(1, 11, 101)
WIDTHS = (1, 4, 8, 16)
INERTIA_ROWS = 150_000  # a factor beyond takes minutes
AIMS = {1_000_000: 600.0}

DENSITY = "density of states, 16 vectors"
MODULUS = "G*(W) and G(t), 12 decades"
PRODUCT = "block product, ms a vector"


def ours(sample) -> Measured:
    """Time D(omega), G*(W) and G(t), and the product they rest on, for one network."""
    n = sample.particles
    system, startup = measure(lambda: _system(sample), repeats=1)
    rows = [_density(system, n, startup), _modulus(system, n, startup)]
    for row in rows:
        row.aim = AIMS.get(round(n, -5), math.nan)
    return Measured(rows + _products(system.operator, n, len(system.interactions)))


def petsc_products(sample, _) -> list[Row]:
    """Time the same product by PETSc's matrices, one vector at a time."""
    operator, rows = _system(sample).operator, []
    for kind, matrix in peers.petsc_matrices(operator.local_rows(), operator.site_size):
        milliseconds = 1e3 * peers.petsc_product_seconds(matrix)
        rows.append(Row(PRODUCT, sample.particles, f"PETSc {kind}, one vector", milliseconds, "ms"))
        matrix.destroy()
    return rows


def _system(sample) -> HarmonicSystem:
    system = HarmonicSystem(MPI.COMM_SELF, sample)
    system.require_minimum()
    assert system.operator.n == 3 * sample.particles
    return system


def _density(system, n: int, startup: float) -> Row:
    call = lambda: counted_density(system.operator, None, RESOLUTION)  # noqa: E731
    (states, zero), seconds = measure(call, budget=2.0)
    row = Row(DENSITY, n, "glassmodes: kernel polynomials", seconds, startup=startup)
    noise = np.sqrt(np.mean(states.error**2) / np.mean(states.density**2))
    row.accuracy = (
        f"{states.products} products a vector, rms error {noise:.1%}, "
        f"{zero.count:,} ± {max(1, math.ceil(zero.error))} zero modes"
    )
    if system.operator.n <= INERTIA_ROWS:
        exact, row.certificate = measure(
            lambda: count_null_vectors(system.operator, INERTIA_ROWS), budget=1.0
        )
        row.accuracy += f", inertia {exact.count:,}"
    return row


def _modulus(system, n: int, startup: float) -> Row:
    answer, seconds = measure(
        lambda: viscoelastic_response(system, ["xy"], DAMPING, FREQUENCIES, TIMES), budget=2.0
    )
    row = Row(MODULUS, n, "glassmodes: Lanczos", seconds, startup=startup)
    error = answer.error[0] / answer.affine_modulus[0]
    row.accuracy = f"{answer.steps[0]} steps, error {error:.0e} of G_A"
    return row


def _products(operator, n: int, edges: int) -> list[Row]:
    """Time the block product at every width; speed and traffic against the machine's own.

    Traffic is what cannot be avoided: every edge once a block, x read, y read and written.
    """
    d, rows = operator.site_size, []
    for width in WIDTHS:
        x, y = operator.work_block(width), operator.work_block(width)
        x[:] = operator.random_block(width, 1)
        _, seconds = measure(lambda: operator.accumulate(x, y, 1e-3, 1e-3), repeats=20, budget=2)  # noqa: B023
        flops = (8 * d * edges + 3 * d * n) * width * 1e-9 / seconds
        traffic = (operator.memory + 3 * 8 * d * n * width) * 1e-9 / seconds
        row = Row(PRODUCT, n, f"glassmodes, {width} columns", 1e3 * seconds / width, "ms")
        row.memory = math.nan  # the ceilings' own arrays are in it
        row.accuracy = (
            f"{flops:.3g} GF/s of {ceilings.dgemm():.3g} (dgemm), "
            f"{traffic:.3g} GB/s of {ceilings.triad():.3g} (triad)"
        )
        rows.append(row)
    return rows
