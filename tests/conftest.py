"""Fixtures that every test may use; those for several ranks are in mpi/conftest.py."""

import os

import pytest
from hypothesis import settings

# The same examples in every run and on every rank; no deadline, because machines are shared.
settings.register_profile("glassmodes", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("glassmodes")


@pytest.fixture(autouse=True, scope="session")
def plain_environment():
    """Keep the caller's glassmodes settings out of the tests and figures off the screen."""
    for name in ("GLASSMODES_KERNELS", "GLASSMODES_CACHE"):
        os.environ.pop(name, None)
    os.environ["MPLBACKEND"] = "Agg"


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
