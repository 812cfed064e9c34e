"""Neighbour search, block operator and assembled Hessian."""

from __future__ import annotations

import numpy as np
import peers
from mpi4py import MPI
from rows import Measured, Row, measure

from glassmodes.mechanics import hessian
from glassmodes.observables.harmonic import HarmonicSystem

HESSIAN = "Hessian, assembled"
ROUND_OFF = 1e-12  # of sums of some hundred terms


def ours(sample) -> Measured:
    """Time the operator that solvers use, and the sparse matrix that other programs want."""
    n, d = sample.positions.shape
    operator, seconds = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).operator)
    rows = [Row("block operator", n, "glassmodes", seconds)]
    rows[0].accuracy = f"{operator.memory / n:.0f} bytes a particle, "
    rows[0].accuracy += f"product differs {_difference(sample):.0e} from a sum over pairs"
    matrix, seconds = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).matrix())
    rows.append(Row(HESSIAN, n, "glassmodes", seconds))
    rows[1].accuracy = f"{matrix.nnz / (n * d):.0f} nonzeros a row"
    return Measured(rows)


def _difference(sample) -> float:
    """Return by how much H x differs from a sum over pairs that knows no rows and no edges.

    Product, rows, matrix and factors are made of one list of edges, and agree with each other
    if that list is wrong.
    """
    system = HarmonicSystem(MPI.COMM_SELF, sample)
    inter, operator = system.interactions, system.stiffness
    n, d = sample.positions.shape
    x = operator.random_block(1, 7).reshape(n, d)
    u, sign, t = hessian.edges(inter)
    i, j = inter.i.astype(np.int64), inter.j.astype(np.int64)
    step = x[i] - x[j]
    force = t[:, None] * step + (sign * np.einsum("pa,pa->p", u, step))[:, None] * u
    total = np.zeros_like(x)
    np.add.at(total, i, force)
    np.add.at(total, j, -force)
    got = operator.apply(x.reshape(-1, 1)).reshape(n, d)
    difference = float(np.abs(got - total).max() / np.abs(total).max())
    if not difference < ROUND_OFF:
        raise RuntimeError(f"the block product is wrong: it differs by {difference:.0e}")
    return difference


def matscipy_hessian(sample, _) -> Row:
    """Time matscipy's sparse Hessian of the same potential."""
    atoms = peers.matscipy_atoms(sample)
    other, seconds = measure(lambda: atoms.calc.get_hessian(atoms, format="sparse"))
    matrix = HarmonicSystem(MPI.COMM_SELF, sample).matrix()
    row = Row(HESSIAN, len(sample.positions), "matscipy", seconds)
    row.accuracy = f"differs {abs(matrix - other.tocsr()).max() / abs(matrix).max():.0e}"
    return row
