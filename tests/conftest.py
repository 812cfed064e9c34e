"""Fixtures that every test may use; those for several ranks are in mpi/conftest.py."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run and on every rank; no deadline, because machines are shared.
settings.register_profile("glassmodes", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("glassmodes")


@pytest.fixture(autouse=True, scope="session")
def plain_environment():
    """Give every test the same settings, whatever shell it was started from."""
    for name in ("GLASSMODES_KERNELS", "GLASSMODES_CACHE"):
        os.environ.pop(name, None)
    os.environ["MPLBACKEND"] = "Agg"
    # glassmodes, snakemake and the mpiexec with our settings, also outside of make
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = own + os.pathsep + os.environ.get("PATH", os.defpath)


@pytest.fixture(scope="session")
def comm():
    """Return the communicator of all ranks that run the tests (one rank without mpiexec)."""
    from mpi4py import MPI

    return MPI.COMM_WORLD


@pytest.fixture(scope="session")
def comm_self():
    """Return the communicator of this rank alone."""
    from mpi4py import MPI

    return MPI.COMM_SELF
