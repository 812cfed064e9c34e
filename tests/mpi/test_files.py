"""Files that ranks read and write in pieces hold what one rank would have read and written."""

import h5py
import numpy as np
import pytest
from command_line import triangular

from glassmodes.campaign.records import Header, Row, refused, write_batch
from glassmodes.cli.inputs import read_domain
from glassmodes.errors import InputError
from glassmodes.files import SpreadColumns, stream_hdf5
from glassmodes.formats import write_lammps_data
from glassmodes.formats.mode_file import ModeFile
from glassmodes.parallel import on_root, split_range
from glassmodes.sample import Sample

WHOLE = np.random.default_rng(0).normal(size=(7, 50, 3))


@pytest.fixture
def spread(comm):
    """Return `WHOLE` with every rank's piece of its second axis, two columns at a time."""
    own = slice(*split_range(WHOLE.shape[1], comm.size, comm.rank))

    def part(first, last):
        assert last - first <= 2
        return WHOLE[first:last, own].swapaxes(0, 1).copy()

    return SpreadColumns(WHOLE.shape, part, at_once=2)


@pytest.fixture
def folder(comm, tmp_path_factory):
    return on_root(comm, lambda: tmp_path_factory.mktemp("files"))


def test_columns_of_all_ranks_meet_in_one_dataset(comm, spread, folder):
    rows = np.arange(*split_range(11, comm.size, comm.rank))

    def fill(file):
        file.attrs["kind"] = "test"

    stream_hdf5(comm, folder / "a.h5", fill, {"columns": spread, "deep/rows": rows})
    whole = spread.on_root(comm)
    if comm.rank == 0:
        np.testing.assert_array_equal(whole, WHOLE)
        with h5py.File(folder / "a.h5") as file:
            assert file.attrs["kind"] == "test"
            np.testing.assert_array_equal(file["columns"], WHOLE)
            np.testing.assert_array_equal(file["deep/rows"], np.arange(11))
    else:
        assert whole is None
    comm.Barrier()


def test_a_failed_write_fails_everywhere_and_leaves_nothing(comm, spread, folder):
    def fill(file):
        raise InputError("no room for this")

    with pytest.raises(InputError, match="no room"):
        stream_hdf5(comm, folder / "b.h5", fill, {"columns": spread})
    assert on_root(comm, lambda: list(folder.iterdir())) == []


def test_spread_vectors_make_the_mode_file_of_whole_ones(comm, spread, folder):
    numbers = np.arange(7.0)
    plain = ModeFile(numbers, numbers, numbers, None, 3, True, 8.0, solver={"method": "x"})
    plain.stream(comm, folder / "spread.h5", spread)

    def check():
        plain.vectors = WHOLE
        plain.write(folder / "whole.h5")
        return ModeFile.read(folder / "spread.h5"), ModeFile.read(folder / "whole.h5")

    found, expected = on_root(comm, check)
    assert vars(found).keys() == vars(expected).keys()
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), value)


def network() -> Sample:
    """Return a triangular lattice of springs, its particles in no order."""
    sample = triangular(8, 6)
    order = np.random.default_rng(1).permutation(48)
    side = sample.box[0] / 8
    i, j = np.triu_indices(48, 1)
    vector = sample.positions[j] - sample.positions[i]
    vector -= sample.box * np.rint(vector / sample.box)
    near = np.abs(np.linalg.norm(vector, axis=1) - side) < 1e-6 * side
    bonds = np.stack([i[near], j[near]], axis=1)
    assert len(bonds) == 3 * 48
    return Sample(sample.positions[order], sample.box, bonds=np.argsort(order)[bonds])


@pytest.mark.parametrize("name", ["sample.h5", "batch.h5", "sample.data"])
def test_every_rank_has_its_part_of_any_file(comm, folder, name):
    """Of our samples, of the last sample of a batch, and of a foreign format with bonds."""
    sample = network()

    def write():
        if name == "sample.data":
            write_lammps_data(folder / name, sample)
        elif name == "batch.h5":
            header = Header("samples", 2, 48, "print", {})
            rows = [Row({**refused(k, "none", ""), "seed": 1}, sample) for k in range(3)]
            write_batch(folder / name, header, rows)
        else:
            sample.write(folder / name)

    on_root(comm, write)
    domain = read_domain(comm, str(folder / name))
    positions, index, bonds = (
        np.concatenate(comm.allgather(rows))
        for rows in (domain.owned("positions"), domain.file_index, domain.bonds)
    )
    assert comm.allgather(domain.halo.n_owned) == [
        last - first for first, last in (split_range(48, comm.size, r) for r in range(comm.size))
    ]
    np.testing.assert_allclose(positions[np.argsort(index)], sample.positions)
    found = {tuple(sorted(pair)) for pair in index[bonds].tolist()}
    assert found == {tuple(sorted(pair)) for pair in sample.bonds.tolist()}


def test_a_sample_without_interactions_is_refused_on_every_rank(comm, folder):
    on_root(comm, lambda: Sample(np.eye(2), np.ones(2) * 3).write(folder / "bare.h5"))
    with pytest.raises(InputError, match="says nothing about interactions"):
        read_domain(comm, str(folder / "bare.h5"))
