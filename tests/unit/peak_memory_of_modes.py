"""Print what the lowest modes of a large lattice take, as JSON: run by test_eigenmodes."""

import json
import re
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

sys.path.insert(0, str(Path(__file__).parents[1]))
from lattices import SpringLattice, translation_vectors

from glassmodes.spectra.filtered_lanczos import Target, filtered_lanczos
from glassmodes.spectra.operators import EdgeOperator


def memory(line: str) -> int:
    """Return a number of bytes of this process: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"^{line}:\s+(\d+) kB", status, re.MULTILINE)[1])


def operator(cells: int) -> EdgeOperator:
    """Return an fcc lattice with springs of unequal strength."""
    lattice = SpringLattice("fcc", cells)
    strength = np.random.default_rng(1).uniform(0.5, 1.5, len(lattice.i))
    ones, zeros = np.ones(len(strength)), np.zeros(len(strength))
    u = lattice.u * np.sqrt(strength)[:, None]
    built = EdgeOperator.of_all_edges(
        MPI.COMM_SELF, lattice.n, lattice.i, lattice.j, u, ones, zeros
    )
    built.null_space = translation_vectors(built)
    return built


filtered_lanczos(operator(6), Target(count=20))  # imports and libraries take their memory here
system = operator(16)
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
pairs = filtered_lanczos(system, Target(count=100))
print(
    json.dumps(
        {
            "peak": memory("VmHWM") - before + system.memory,
            "operator": system.memory,
            "planned": pairs.info["memory_bytes"],
            "vector_bytes": 8 * system.n_local,
            "basis_columns": pairs.info["basis_columns"],
            "modes": pairs.vectors.shape[1],
        }
    )
)
