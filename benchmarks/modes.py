"""Lowest modes: filtered block Lanczos against scipy's ARPACK and stock SLEPc."""

from __future__ import annotations

import numpy as np
import peers
from mpi4py import MPI
from rows import Row, measure

from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.spectra.eigenmodes import lowest_modes

COUNT = 100
AIMS = {8000: {"scipy": 60.0, "slepc": 12.0}}


def run(sample, with_peers: bool = True) -> list[Row]:
    """Time the lowest `COUNT` modes of one sample; peers also find the translations."""
    n, d = sample.positions.shape
    case = f"lowest {COUNT} modes"
    operator, startup = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).operator)
    modes, seconds = measure(lambda: lowest_modes(operator, count=COUNT, certificate=False))
    certified = lowest_modes(operator, count=COUNT).solver
    ours = Row(
        *(case, n, "glassmodes: filtered block Lanczos", seconds),
        startup=startup,
        certificate=certified["certificate_seconds"],
        accuracy=f"residual {modes.residuals.max():.0e}, complete in round {certified['rounds']}",
    )
    rows = [ours]
    if not with_peers:
        return rows
    # The shift lies below zero by a hundredth of the lowest mode: outside the spectrum, near it.
    shift = -0.01 * float(modes.values[0])
    aims = AIMS.get(n, {})

    matrix, startup = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).matrix())
    values, seconds = measure(lambda: peers.scipy_modes(matrix, COUNT + d, shift))
    rows.append(_peer_row(case, n, "scipy eigsh(sigma)", seconds, startup, ours, values[d:], modes))
    rows[-1].aim = aims.get("scipy", float("nan"))

    petsc, startup = measure(lambda: HarmonicSystem(MPI.COMM_SELF, sample).operator.assembled())
    values, seconds = measure(lambda: peers.slepc_modes(petsc, COUNT + d, shift))
    name = "SLEPc Krylov-Schur, shift-invert, MUMPS"
    rows.append(_peer_row(case, n, name, seconds, startup, ours, values[d:], modes))
    rows[-1].aim = aims.get("slepc", float("nan"))
    petsc.destroy()
    return rows


def _peer_row(case, n, method, seconds, startup, ours, values, modes) -> Row:
    difference = np.abs(values / modes.values - 1).max()
    return Row(
        *(case, n, method, seconds),
        startup=startup,
        gain=seconds / ours.value,
        accuracy=f"differs {difference:.0e}",
    )
