"""Elastic tensor and moduli against matscipy."""

from __future__ import annotations

import numpy as np
import peers
from mpi4py import MPI
from rows import Measured, Row, measure

from glassmodes.observables.elasticity import moduli
from glassmodes.observables.harmonic import HarmonicSystem

CASE = "elastic tensor"
AIMS = {8000: 5.0}


def ours(sample) -> Measured:
    """Time all moduli of a sample, neighbour search included."""
    answer, seconds = measure(lambda: _moduli(sample))
    row = Row(CASE, len(sample.positions), "glassmodes: moduli, all directions", seconds)
    row.accuracy = f"residual {answer['residual']:.0e}"
    return Measured([row], answer["shear_modulus"])


def matscipy_moduli(sample, shear: float) -> Row:
    """Time matscipy's elastic tensor; it solves by conjugate gradients to 1e-5."""
    atoms = peers.matscipy_atoms(sample)
    tensor, seconds = measure(lambda: atoms.calc.get_elastic_constants(atoms))
    n = len(sample.positions)
    row = Row(CASE, n, "matscipy, CG to 1e-5", seconds, aim=AIMS.get(n, float("nan")))
    row.accuracy = f"G differs {_shear(tensor) / shear - 1:.0e}"
    return row


def _moduli(sample) -> dict:
    system = HarmonicSystem(MPI.COMM_SELF, sample)
    try:
        return moduli(system)
    finally:
        system.destroy()


def _shear(tensor: np.ndarray) -> float:
    """Return the mean of C_abab over the ordered pairs of directions."""
    d = len(tensor)
    return float(np.mean([tensor[a, b, a, b] for a in range(d) for b in range(d) if a != b]))
