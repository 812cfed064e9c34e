"""Faults that every rank must hear of: none waits for one that has failed."""

import resource

import h5py
import numpy as np
import pytest

from glassmodes.errors import InputError
from glassmodes.files import SpreadColumns, stream_hdf5


@pytest.fixture
def short_files(comm):
    """Let no file grow beyond 100 kB, as a quota or a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("spread", [False, True], ids=["rows", "columns"])
def test_a_write_that_falls_short_ends_on_every_rank(comm, shared_path, short_files, spread):
    rows = np.ones(20_000)
    array = SpreadColumns((4, 20_000 * comm.size, 1), lambda a, b: np.ones((20_000, b - a, 1)), 1)
    with pytest.raises(InputError) as refusal:
        stream_hdf5(comm, shared_path / "x.h5", lambda f: None, {"x": array if spread else rows})
    assert "a limit allows" in str(refusal.value) and len(str(refusal.value).splitlines()) == 1
    assert len(set(comm.allgather(str(refusal.value)))) == 1
    comm.barrier()
    assert list(shared_path.iterdir()) == []


def test_the_same_write_with_room(comm, shared_path):
    stream_hdf5(comm, shared_path / "x.h5", lambda f: None, {"x": np.full(20_000, comm.rank)})
    comm.barrier()
    with h5py.File(shared_path / "x.h5") as file:
        assert file["x"].shape == (20_000 * comm.size,) and file["x"][-1] == comm.size - 1
