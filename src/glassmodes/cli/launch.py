"""What the MPI launcher told this process, read without starting MPI.

``glassmodes --help`` must answer at once, on one rank only, and an argument that
cannot be parsed must be reported once: both need the rank before MPI is up.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

#: (number of ranks, own rank) as Open MPI, MPICH or Intel MPI, PMIx and Slurm export them.
_VARIABLES = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("PMIX_SIZE", "PMIX_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)


def launched_size(environment: Mapping[str, str] | None = None) -> int:
    """Return the number of ranks the launcher announced, 1 without a launcher."""
    return _read(environment, 0, 1)


def launched_rank(environment: Mapping[str, str] | None = None) -> int:
    """Return the rank the launcher gave this process, 0 without a launcher."""
    return _read(environment, 1, 0)


def _read(environment: Mapping[str, str] | None, which: int, default: int) -> int:
    environment = os.environ if environment is None else environment
    for names in _VARIABLES:
        text = environment.get(names[which], "")
        if text.isdigit() and environment.get(names[0], "").isdigit():
            return int(text)
    return default
