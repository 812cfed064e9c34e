"""Spectral functions without eigenvectors: their cost from N = 10^4 to 10^6, and the product.

Networks of unit springs, fcc with vacancies at Z = 7.
"""

from __future__ import annotations

import itertools
import math

import ceilings
import machine
import numpy as np
import peers
from mpi4py import MPI
from networks import network
from rows import Row, measure

from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.vibrational_density import counted_density
from glassmodes.observables.viscoelasticity import viscoelastic_response
from glassmodes.observables.zero_modes import count_null_vectors

sample = network
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


def run(sample, with_peers: bool = True) -> list[Row]:
    """Time D(omega), G*(W) and G(t), and the product they rest on, for one network."""
    n = sample.particles
    machine.reset_peak_memory()
    system, startup = measure(lambda: _system(sample), repeats=1)
    rows = [_density(system, n, startup), _modulus(system, n, startup)]
    for row in rows:
        row.aim = AIMS.get(round(n, -5), math.nan)
    rows += _products(system.operator, n, len(system.interactions))
    if with_peers:
        rows += _petsc_products(system.operator, n, rows[-1].value)
    return rows


def compare_sizes(rows: list[Row]) -> list[Row]:
    """Return the exponents of N between the smallest and the largest network."""
    found = []
    for case in (DENSITY, MODULUS, PRODUCT):
        best: dict[int, Row] = {}
        for row in rows:
            if row.case == case and row.method.startswith("glassmodes"):
                best[row.particles] = row  # the widest block comes last
        sizes = sorted(best)
        if len(sizes) < 2:
            continue
        steps = [_exponent(best[a], best[b]) for a, b in itertools.pairwise(sizes)]
        overall = _exponent(best[sizes[0]], best[sizes[-1]])
        row = Row(f"{case}: exponent of N", sizes[-1], best[sizes[-1]].method, overall, "")
        row.accuracy = f"from N = {sizes[0]:,}; size by size {', '.join(f'{s:.2f}' for s in steps)}"
        found.append(row)
    return found


def _exponent(small: Row, large: Row) -> float:
    return math.log(large.value / small.value) / math.log(large.particles / small.particles)


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
        f"{zero.count:,} ± {max(1, math.ceil(zero.error))} zero modes, "
        f"peak {machine.peak_memory():.2g} GB"
    )
    if system.operator.n <= INERTIA_ROWS:
        exact, row.certificate = measure(
            lambda: count_null_vectors(system.operator, INERTIA_ROWS), budget=1.0
        )
        row.accuracy += f", inertia {exact.count:,}"
        machine.reset_peak_memory()
    return row


def _modulus(system, n: int, startup: float) -> Row:
    answer, seconds = measure(
        lambda: viscoelastic_response(system, ["xy"], DAMPING, FREQUENCIES, TIMES), budget=2.0
    )
    row = Row(MODULUS, n, "glassmodes: Lanczos", seconds, startup=startup)
    error = answer.error[0] / answer.affine_modulus[0]
    row.accuracy = (
        f"{answer.steps[0]} steps, error {error:.0e} of G_A, peak {machine.peak_memory():.2g} GB"
    )
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
        row.accuracy = (
            f"{flops:.3g} GF/s of {ceilings.dgemm():.3g} (dgemm), "
            f"{traffic:.3g} GB/s of {ceilings.triad():.3g} (triad)"
        )
        rows.append(row)
    return rows


def _petsc_products(operator, n: int, ours: float) -> list[Row]:
    rows = []
    for kind, matrix in peers.petsc_matrices(operator.local_rows(), operator.site_size):
        milliseconds = 1e3 * peers.petsc_product_seconds(matrix)
        row = Row(PRODUCT, n, f"PETSc {kind}, one vector", milliseconds, "ms")
        row.gain = milliseconds / ours
        rows.append(row)
        matrix.destroy()
    return rows
