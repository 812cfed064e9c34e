"""Hessian, elastic tensor and moduli against matscipy."""

from __future__ import annotations

import numpy as np
import peers
from mpi4py import MPI
from rows import Row, measure

from glassmodes.observables.elasticity import moduli
from glassmodes.observables.harmonic import HarmonicSystem

AIMS = {8000: 5.0}


def run(sample, with_peers: bool = True) -> list[Row]:
    """Time the assembled Hessian and all moduli of a 3D sample, neighbour search included."""
    n = sample.positions.shape[0]
    matrix, seconds = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).matrix())
    hessian = Row("Hessian, assembled", n, "glassmodes", seconds)
    answer, seconds = measure(lambda: _moduli(sample))
    elastic = Row("elastic tensor", n, "glassmodes: moduli, all directions", seconds)
    elastic.accuracy = f"residual {answer['residual']:.0e}"
    rows = [hessian, elastic]
    if not with_peers:
        return rows

    atoms = peers.matscipy_atoms(sample)
    other, seconds = measure(lambda: atoms.calc.get_hessian(atoms, format="sparse"))
    row = Row(hessian.case, n, "matscipy", seconds, gain=seconds / hessian.value)
    row.accuracy = f"differs {abs(matrix - other.tocsr()).max() / abs(matrix).max():.0e}"
    rows.insert(1, row)

    tensor, seconds = measure(lambda: atoms.calc.get_elastic_constants(atoms))
    row = Row(elastic.case, n, "matscipy, CG to 1e-5", seconds, gain=seconds / elastic.value)
    row.aim = AIMS.get(n, float("nan"))
    row.accuracy = f"G differs {_shear(tensor) / answer['shear_modulus'] - 1:.0e}"
    rows.append(row)
    return rows


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
