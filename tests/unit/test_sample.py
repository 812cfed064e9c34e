"""The sample: one gate for bad arrays, storage without loss, files that appear whole."""

import os

import h5py
import numpy as np
import pytest

from glassmodes.errors import InputError
from glassmodes.files import atomic_path, write_bytes
from glassmodes.sample import Sample


def make_sample(d=3, n=12, seed=1, **changes):
    rng = np.random.default_rng(seed)
    arguments = {
        "positions": rng.normal(size=(n, d)) * 10,
        "box": 2 + rng.random(d),
        "species": rng.integers(0, 2, n),
        "diameters": 1 + rng.random(n),
        "masses": 1 + rng.random(n),
        "bonds": [[0, 1], [2, 3]],
        "stiffness": [1.0, 2.0],
        "rest_lengths": [0.5, 0.25],
        "model": {"name": "m", "class": "C", "constants": {"a": [[0.1, 1 / 3]]}},
        "provenance": {"seed": 7, "note": "Å"},
    }
    return Sample(**(arguments | changes))


ARRAYS = ("positions", "box", "species", "diameters", "masses", "bonds", "stiffness")


@pytest.mark.parametrize("d", [2, 3, 4])
def test_storage_returns_the_same_bits(tmp_path, d):
    sample = make_sample(d)
    sample.write(tmp_path / "s.h5")
    again = Sample.read(tmp_path / "s.h5")
    for name in (*ARRAYS, "rest_lengths"):
        before, after = getattr(sample, name), getattr(again, name)
        assert np.array_equal(before, after) and before.dtype == after.dtype, name
    assert again.model == sample.model
    assert again.provenance == sample.provenance


def test_optional_arrays_stay_absent(tmp_path):
    Sample(np.zeros((1, 2)), [1, 1]).write(tmp_path / "s.h5")
    again = Sample.read(tmp_path / "s.h5")
    assert again.diameters is None and again.bonds is None and again.rest_lengths is None
    assert again.masses.tolist() == [1.0] and again.species.tolist() == [0]


def test_same_sample_same_bytes(tmp_path):
    for name in "ab":
        make_sample().write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_numpy_numbers_and_nan_in_the_provenance_survive_as_json(tmp_path):
    evidence = {"steps": np.int64(3), "list": np.arange(2), "drift": np.nan, "ok": np.bool_(True)}
    make_sample(provenance=evidence).write(tmp_path / "s.h5")
    stored = Sample.read(tmp_path / "s.h5").provenance
    assert stored == {"steps": 3, "list": [0, 1], "drift": None, "ok": True}


@pytest.mark.parametrize("d", [2, 3, 4])
def test_wrapping_moves_particles_by_whole_boxes_into_the_box(d):
    sample = make_sample(d)
    sample.positions[0] = -1e-18  # rounds to the edge when a box is added
    sample.positions[1] = sample.box
    wrapped = sample.wrapped()
    assert np.all(wrapped >= 0) and np.all(wrapped < sample.box)
    images = (sample.positions - wrapped) / sample.box
    # positions are up to 20 boxes away: rounding of the division, 20 times the unit roundoff
    assert np.abs(images - np.rint(images)).max() < 1e-13


def test_densities():
    sample = Sample(np.zeros((6, 3)), [1, 2, 3], masses=np.full(6, 0.5))
    assert (sample.particles, sample.dimension, sample.volume) == (6, 3, 6.0)
    assert (sample.density, sample.mass_density) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"positions": np.zeros(5)}, "shape"),
        ({"positions": np.zeros((5, 5))}, "d = 2, 3 or 4"),
        ({"positions": np.zeros((0, 3))}, "N >= 1"),
        ({"positions": [["a", "b", "c"]]}, "not an array of numbers"),
        ({"positions": np.zeros((12, 3), dtype=complex)}, "not an array of numbers"),
        ({"positions": np.full((12, 3), np.nan)}, "NaN or infinite"),
        ({"positions": np.full((12, 3), np.inf)}, "NaN or infinite"),
        ({"box": [1, 1]}, "box has shape (2,)"),
        ({"box": np.eye(3)}, "box has shape (3, 3)"),
        ({"box": [1, 1, 0]}, "must be > 0"),
        ({"box": [1, 1, np.inf]}, "NaN or infinite"),
        ({"species": np.zeros(3)}, "species has shape (3,)"),
        ({"species": np.full(12, 0.5)}, "whole numbers"),
        ({"species": np.full(12, -1)}, "label -1"),
        ({"species": np.full(12, 1e12)}, "whole numbers"),
        ({"masses": np.full(12, -1.0)}, "must be > 0"),
        ({"diameters": np.zeros(12)}, "must be > 0"),
        ({"bonds": [[0, 12]]}, "indices run from 0 to 11"),
        ({"bonds": [[3, 3], [0, 1]]}, "to itself"),
        ({"bonds": [[0, 1], [1, 0]]}, "particles 0 and 1 have more than one bond"),
        ({"bonds": [[5, 11], [0, 1], [5, 11], [1, 2]]}, "particles 5 and 11 have more than one"),
        ({"bonds": [0, 1]}, "expected (M, 2)"),
        ({"bonds": None}, "there are no bonds"),
        ({"stiffness": [1.0]}, "stiffness has shape (1,)"),
        ({"rest_lengths": [1.0, np.nan]}, "NaN or infinite"),
        ({"rest_lengths": [1.0, -0.5]}, "rest_lengths holds -0.5"),
    ],
)
def test_the_gate_names_what_is_wrong(changes, words):
    with pytest.raises(InputError) as caught:
        make_sample(**changes).validate()
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_unusable_files_end_in_one_line(tmp_path):
    good = tmp_path / "good.h5"
    make_sample().write(good)
    content = good.read_bytes()
    (tmp_path / "empty.h5").touch()
    (tmp_path / "short.h5").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.h5").write_text("hello")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    with h5py.File(tmp_path / "newer.h5", "w") as file:
        make_sample().to_group(file)
        file.attrs["format_version"] = 99
    with h5py.File(tmp_path / "poisoned.h5", "w") as file:
        make_sample().to_group(file)
        file["particles/all/position"][0, 0] = np.nan
    with h5py.File(tmp_path / "lacking.h5", "w") as file:
        make_sample().to_group(file)
        del file["particles/all/mass"]
    names = "missing empty short text foreign newer poisoned lacking".split()
    for name in names:
        with pytest.raises(InputError) as caught:
            Sample.read(tmp_path / f"{name}.h5")
        assert "\n" not in str(caught.value) and f"{name}.h5" in str(caught.value)
    with pytest.raises(InputError, match="it is a folder"):
        Sample.read(tmp_path)


def test_a_damaged_file_never_raises_anything_else(tmp_path):
    make_sample().write(tmp_path / "good.h5")
    content = np.frombuffer((tmp_path / "good.h5").read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = content.copy()
        where = rng.integers(0, len(damaged), 8)
        damaged[where] = rng.integers(0, 256, 8)
        (tmp_path / "bad.h5").write_bytes(damaged.tobytes())
        try:
            Sample.read(tmp_path / "bad.h5").validate()
        except InputError:
            refused += 1
    assert refused > 0


def test_output_folder_must_exist(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        make_sample().write(tmp_path / "nowhere" / "s.h5")
    with pytest.raises(InputError, match="it is a folder"):
        make_sample().write(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "s.h5"
    write_bytes(target, b"old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("killed")
    with pytest.raises(InputError, match="JSON"):
        make_sample(model={"x": object()}).write(target)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["s.h5"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line(tmp_path):
    target = tmp_path / "s.h5"
    with pytest.raises(InputError, match="disk is full"), atomic_path(target) as temporary:
        temporary.touch()
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
    assert os.listdir(tmp_path) == []


def test_new_files_have_ordinary_permissions(tmp_path):
    make_sample().write(tmp_path / "s.h5")
    reference = tmp_path / "plain"
    reference.touch()
    assert (tmp_path / "s.h5").stat().st_mode == reference.stat().st_mode
