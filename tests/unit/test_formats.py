"""Foreign formats: round trips without loss, independent writers, and files meant to break us."""

import logging
import os
import zipfile
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glassmodes.errors import InputError
from glassmodes.formats import (
    parse_type_map,
    read_sample,
    write_extended_xyz,
    write_lammps_data,
    write_npz,
)
from glassmodes.formats.assembly import map_labels
from glassmodes.sample import Sample


def make_sample(d=3, n=20, seed=5, **changes):
    rng = np.random.default_rng(seed)
    species = rng.integers(0, 2, n)
    arguments = {
        "positions": rng.normal(size=(n, d)) * 10,
        "box": 2 + rng.random(d),
        "species": species,
        "masses": np.where(species == 0, 1 / 3, 2.5),
    }
    return Sample(**(arguments | changes))


def same(before, after, *names):
    for name in ("box", "species", *names):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    return True


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("sized", [False, True])
def test_extended_xyz_returns_the_same_bits(tmp_path, d, sized):
    rng = np.random.default_rng(0)
    sizes = 1 + rng.random(20) if sized else None
    sample = make_sample(d, diameters=sizes, masses=1 + rng.random(20))
    write_extended_xyz(tmp_path / "s.xyz", sample)
    again = read_sample(tmp_path / "s.xyz")
    assert same(sample, again, "masses")
    assert np.array_equal(again.positions, sample.wrapped())
    assert (again.diameters is None) is not sized
    assert not sized or np.array_equal(again.diameters, sizes)


@pytest.mark.parametrize("d", [2, 3])
def test_lammps_data_returns_the_same_bits(tmp_path, d):
    sample = make_sample(d, bonds=[[0, 19], [3, 2]])
    write_lammps_data(tmp_path / "s.data", sample)
    again = read_sample(tmp_path / "s.data")
    assert same(sample, again, "masses", "bonds")
    assert np.array_equal(again.positions, sample.wrapped())


@pytest.mark.parametrize("d", [2, 3])
def test_lammps_data_keeps_diameters(tmp_path, d):
    rng = np.random.default_rng(0)
    sample = make_sample(d, diameters=1 + rng.random(20), masses=1 + rng.random(20))
    write_lammps_data(tmp_path / "s.data", sample)
    again = read_sample(tmp_path / "s.data")
    assert same(sample, again, "diameters")
    assert np.array_equal(again.positions, sample.wrapped())
    # the mass makes its way through a density: four roundings
    assert np.allclose(again.masses, sample.masses, rtol=1e-15)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_archives_and_our_own_file_return_the_same_bits(tmp_path, d):
    rng = np.random.default_rng(0)
    sample = make_sample(d, diameters=1 + rng.random(20), bonds=[[0, 1]], stiffness=[2.0])
    write_npz(tmp_path / "s.npz", sample)
    sample.write(tmp_path / "s.h5")
    for name in ("s.npz", "s.h5"):
        again = read_sample(tmp_path / name)
        assert same(sample, again, "positions", "masses", "diameters", "bonds", "stiffness")


def test_archives_of_networks_need_no_species(tmp_path):
    arrays = {"positions": np.eye(3), "box": np.full(3, 5.0)}
    np.savez(tmp_path / "bare.npz", **arrays)
    with pytest.raises(InputError, match=r"'species' is missing.*may be left out with bonds"):
        read_sample(tmp_path / "bare.npz")
    np.savez(tmp_path / "network.npz", **arrays, bonds=[[0, 1]])
    assert read_sample(tmp_path / "network.npz").species.tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="type map"):
        read_sample(tmp_path / "network.npz", type_map={"1": 0})


def test_a_sample_of_a_batch_is_chosen_by_its_number(tmp_path):
    with h5py.File(tmp_path / "batch.h5", "w") as file:
        for k in range(3):
            make_sample(seed=k).to_group(file.create_group(f"samples/{k:06d}"))
    for frame, seed in ((0, 0), (1, 1), (None, 2)):
        again = read_sample(tmp_path / "batch.h5", frame=frame)
        assert np.array_equal(again.positions, make_sample(seed=seed).positions)
    with pytest.raises(InputError, match=r"3 frame\(s\)"):
        read_sample(tmp_path / "batch.h5", frame=3)


@pytest.mark.parametrize("d", [2, 3])
def test_modes_are_one_frame_each_with_vectors_that_ase_reads(tmp_path, d):
    ase_io = pytest.importorskip("ase.io")
    sample = make_sample(d)
    modes = np.random.default_rng(1).normal(size=(3, 20, d))
    write_extended_xyz(tmp_path / "m.xyz", sample, modes, frequencies=[0.5, 1.5, 2.5])
    frames = ase_io.read(tmp_path / "m.xyz", index=":")
    assert [frame.info["frequency"] for frame in frames] == [0.5, 1.5, 2.5]
    for frame, mode in zip(frames, modes, strict=True):
        assert np.array_equal(frame.arrays["disp"][:, :d], mode)
        assert np.array_equal(frame.positions[:, :d], sample.wrapped())
        assert not frame.arrays["disp"][:, d:].any()
        assert np.array_equal(frame.get_masses(), sample.masses)
        assert np.array_equal(np.diag(frame.cell)[:d], sample.box)
        assert frame.pbc.tolist() == [True, True, d == 3]
    assert np.array_equal(read_sample(tmp_path / "m.xyz", frame=0).positions, sample.wrapped())


def test_one_mode_fits_into_lammps_data_as_velocities(tmp_path):
    ase_io = pytest.importorskip("ase.io")
    sample = make_sample()
    modes = np.random.default_rng(1).normal(size=(2, 20, 3))
    write_lammps_data(tmp_path / "m.data", sample, modes[:1])
    atoms = ase_io.read(
        tmp_path / "m.data", format="lammps-data", atom_style="atomic", units="metal"
    )
    velocities = atoms.get_velocities()
    assert np.allclose(velocities / velocities[0, 0], modes[0] / modes[0, 0, 0], rtol=1e-12)
    with pytest.raises(InputError, match="choose one mode"):
        write_lammps_data(tmp_path / "m.data", sample, modes)


def test_xyz_written_by_ase(tmp_path):
    ase = pytest.importorskip("ase")
    ase_io = pytest.importorskip("ase.io")
    rng = np.random.default_rng(0)
    positions = rng.random((6, 3)) * 4
    atoms = ase.Atoms("ZrCuZrCuCuCu", positions=positions, cell=[4, 5, 6], pbc=True)
    ase_io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    sample = read_sample(tmp_path / "a.xyz")
    assert sample.box.tolist() == [4, 5, 6]
    assert sample.species.tolist() == [1, 0, 1, 0, 0, 0]  # alphabetical
    assert sample.provenance["type_map"] == {"Cu": 0, "Zr": 1}
    assert np.allclose(sample.positions, positions, atol=1e-8)  # ASE writes eight decimals
    again = read_sample(tmp_path / "a.xyz", type_map={"Zr": 0, "Cu": 1})
    assert again.species.tolist() == [0, 1, 0, 1, 1, 1]
    with pytest.raises(InputError, match="type 'Zr'"):
        read_sample(tmp_path / "a.xyz", type_map={"Cu": 0})


DATA = """LAMMPS data file via write_data, version 1, timestep = 0

4 atoms
2 atom types

-1 3 xlo xhi
0 5 ylo yhi
1 7 zlo zhi
{extra}
Masses

1 1.5
2 2.5

Atoms{style}

{atoms}

Velocities

1 0 0 0
2 0 0 0
3 0 0 0
4 0 0 0
"""
ATOMS = "3 2 {0}0.5 1 2 0 0 -1\n1 1 {0}-0.5 2 3 0 0 0\n4 2 {0}2 3 4 1 0 0\n2 1 {0}0 0 1 0 0 0"


def write_data(path, extra="", style=" # atomic", atoms=None):
    path.write_text(DATA.format(extra=extra, style=style, atoms=atoms or ATOMS.format("")))
    return path


@pytest.mark.parametrize(("style", "column"), [(" # atomic", ""), ("", ""), (" # charge", "0.3 ")])
def test_lammps_data_sorted_by_id_with_its_origin_moved(tmp_path, style, column):
    path = write_data(tmp_path / "d.lmp", style=style, atoms=ATOMS.format(column))
    sample = read_sample(path)
    assert sample.positions.tolist() == [[0.5, 2, 2], [1, 0, 0], [1.5, 1, 1], [3, 3, 3]]
    assert sample.species.tolist() == [0, 0, 1, 1]
    assert sample.masses.tolist() == [1.5, 1.5, 2.5, 2.5]
    assert sample.box.tolist() == [4, 5, 6]
    assert read_sample(path, type_map={1: 1, 2: 0}).species.tolist() == [1, 1, 0, 0]


def test_lammps_data_with_zero_tilt_is_orthorhombic(tmp_path):
    assert read_sample(write_data(tmp_path / "d.data", "0 0.0 0 xy xz yz\n")).dimension == 3


def dump(step, rows, columns="id type x y z", bounds="pp pp pp", box="-1 3\n0 5\n1 7"):
    count = len(rows.splitlines())
    return (
        f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{count}\n"
        f"ITEM: BOX BOUNDS {bounds}\n{box}\nITEM: ATOMS {columns}\n{rows}\n"
    )


ROWS = "3 2 0.5 1 2\n1 1 -0.5 2 3\n4 2 2 3 4\n2 1 0 0 1"
EXPECTED = np.array([[0.5, 2, 2], [1, 0, 0], [1.5, 1, 1], [3, 3, 3]])


@pytest.mark.parametrize("names", ["x y z", "xu yu zu", "xs ys zs", "xsu ysu zsu"])
def test_dump_coordinates_of_every_kind(tmp_path, names):
    rows = ROWS
    if "s" in names:
        low, edges = np.array([-1, 0, 1]), np.array([4, 5, 6])
        words = [row.split() for row in ROWS.splitlines()]
        scaled = [(np.array(w[2:], dtype=float) - low) / edges for w in words]
        rows = "\n".join(
            " ".join([*w[:2], *map(repr, s.tolist())]) for w, s in zip(words, scaled, strict=True)
        )
    (tmp_path / "d.dump").write_text(dump(7, rows, f"id type {names}"))
    sample = read_sample(tmp_path / "d.dump")
    assert np.allclose(sample.positions, EXPECTED, atol=1e-15, rtol=1e-15)
    assert sample.species.tolist() == [0, 0, 1, 1]
    assert sample.provenance["timestep"] == "7"


def test_dump_frames_types_and_extra_columns(tmp_path):
    first = dump(0, "2 9.5 B 0 0 1 0.25\n1 0.5 A 0 0 2 0.5", "id mass element x y z radius")
    (tmp_path / "d.dump").write_text(first + dump(10, ROWS))
    assert read_sample(tmp_path / "d.dump").particles == 4
    start = read_sample(tmp_path / "d.dump", frame=0)
    assert start.species.tolist() == [0, 1]
    assert start.masses.tolist() == [0.5, 9.5] and start.diameters.tolist() == [1.0, 0.5]
    with pytest.raises(InputError, match=r"2 frame\(s\)"):
        read_sample(tmp_path / "d.dump", frame=2)


def test_a_flat_dump_is_two_dimensional(tmp_path):
    rows = "\n".join(f"{k} 1 {0.1 * k} {0.2 * k} 0" for k in range(1, 7))
    text = dump(0, rows, bounds="pp pp ff", box="0 1\n0 2\n-0.5 0.5")
    (tmp_path / "d.lammpstrj").write_text(text)
    sample = read_sample(tmp_path / "d.lammpstrj")
    assert sample.dimension == 2 and sample.box.tolist() == [1, 2]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_gsd_is_read_with_a_warning_about_its_precision(tmp_path, caplog, dimensions):
    hoomd = pytest.importorskip("gsd.hoomd")
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(2):
        frame = hoomd.Frame()
        frame.particles.N = 5
        frame.particles.position = rng.random((5, 3)).astype(np.float32) - 0.5
        frame.particles.position[:, dimensions:] = 0
        frame.particles.types = ["S", "L"]
        frame.particles.typeid = [0, 1, 1, 0, 1]
        frame.particles.mass = [1, 2, 2, 1, 2]
        frame.particles.diameter = [1, 1.5, 1.5, 1, 1.5]
        frame.configuration.box = [3, 4, 5 if dimensions == 3 else 0, 0, 0, 0]
        frame.configuration.dimensions = dimensions
        frame.bonds.N, frame.bonds.group = 1, [[0, 4]]
        frames.append(frame)
    with hoomd.open(tmp_path / "g.gsd", "w") as file:
        file.extend(frames)
    with caplog.at_level(logging.WARNING):
        sample = read_sample(tmp_path / "g.gsd")
    assert "single-precision" in caplog.text
    half = np.array([1.5, 2, 2.5])[:dimensions]
    expected = np.float64(frames[1].particles.position[:, :dimensions]) + half
    assert np.array_equal(sample.positions, expected)
    assert sample.species.tolist() == [0, 1, 1, 0, 1] and sample.masses.tolist() == [1, 2, 2, 1, 2]
    assert sample.diameters.tolist() == [1, 1.5, 1.5, 1, 1.5] and sample.bonds.tolist() == [[0, 4]]
    assert not np.array_equal(read_sample(tmp_path / "g.gsd", frame=0).positions, expected)
    swapped = read_sample(tmp_path / "g.gsd", type_map={"L": 0, "S": 1})
    assert swapped.species.tolist() == [1, 0, 0, 1, 0]


def test_labels():
    assert map_labels(["2", "1", "2"])[0].tolist() == [1, 0, 1]
    assert map_labels(["2", "2"])[0].tolist() == [1, 1]
    assert map_labels(["0", "1"])[0].tolist() == [0, 1]
    assert map_labels(["L", "S", "L"])[0].tolist() == [0, 1, 0]
    assert parse_type_map("1=0, 2 : 1") == {"1": 0, "2": 1}
    for text in ("1-0", "1=", "=1", "1=a", "1=-1", ""):
        with pytest.raises(InputError, match="type map"):
            parse_type_map(text)


def xyz(lattice="4 0 0 0 5 0 0 0 6", properties="species:S:1:pos:R:3", rows=("A 1 2 3",), extra=""):
    return f'{len(rows)}\nLattice="{lattice}" Properties={properties}{extra}\n' + "\n".join(rows)


TILTED = "ITEM: BOX BOUNDS xy xz yz pp pp pp\n0 1 0.2\n0 1 0\n0 1 0"
BAD_TEXT = {
    "tilted.xyz": (xyz("4 0 0 1 5 0 0 0 6"), "triclinic"),
    "box.xyz": (xyz("0 0 0 0 5 0 0 0 6"), "must be > 0"),
    "lattice.xyz": (xyz("4 5 6"), "expected 9"),
    "plain.xyz": ("1\ncomment\nA 1 2 3\n", "no Lattice"),
    "nan.xyz": (xyz(rows=["A nan 2 3"]), "NaN or infinite"),
    "inf.xyz": (xyz(rows=["A inf 2 3"]), "NaN or infinite"),
    "word.xyz": (xyz(rows=["A x 2 3"]), "expected a number"),
    "narrow.xyz": (xyz(rows=["A 2 3"]), "3 columns; expected 4"),
    "short.xyz": ("3" + xyz()[1:], "truncated"),
    "none.xyz": ('0\nLattice="4 0 0 0 5 0 0 0 6"\n', "no particles"),
    "mass.xyz": (xyz(properties="pos:R:3:mass:R:1", rows=["1 2 3 -1"]), "must be > 0"),
    "slab.xyz": (xyz(extra=' pbc="T F T"'), "not periodic"),
    "columns.xyz": (xyz(properties="species:S"), "Properties"),
    "tilted.data": (DATA.format(extra="0.5 0 0 xy xz yz\n", style="", atoms=ATOMS.format("")),
                    "triclinic"),
    "style.data": (DATA.format(extra="", style=" # dipole", atoms=ATOMS.format("")), "atom style"),
    "types.data": (DATA.format(extra="", style="", atoms=ATOMS.format("").replace("4 2", "4 3")),
                   "no line for the type 3"),
    "twice.data": (DATA.format(extra="", style="", atoms=ATOMS.format("").replace("4 2", "3 2")),
                   "comes twice"),
    "short.data": (DATA.format(extra="", style="", atoms="1 1 0 0 0"), "truncated"),
    "masses.data": (DATA.format(extra="", style="", atoms=ATOMS.format("")).replace("1.5", "-1"),
                    "must be > 0"),
    "cut.data": (DATA.split("Atoms")[0].format(extra=""), "no section Atoms"),
    "boxless.data": ("x\n\n1 atoms\n\nAtoms\n\n1 1 0 0 0\n", "xlo xhi"),
    "tilted.dump": (dump(0, ROWS).replace("ITEM: BOX BOUNDS pp pp pp\n-1 3\n0 5\n1 7", TILTED),
                    "triclinic"),
    "open.dump": (dump(0, ROWS, bounds="pp ff pp"), "not periodic"),
    "short.dump": (dump(0, ROWS).rsplit("\n", 2)[0], "truncated"),
    "item.dump": ("ITEM: TIMESTEP\n0\n", "no ITEM: NUMBER OF ATOMS"),
    "names.dump": (dump(0, ROWS, "id type a b c"), "no coordinates"),
    "count.dump": (dump(0, ROWS).replace("ATOMS\n4", "ATOMS\n99999999999999"), "whole number"),
    "letter.txt": ("Dear reader,\n", "not known"),
    "text.h5": ("hello", "it is not HDF5"),
    "text.npz": ("hello", "it is not npz"),
    "text.gsd": ("hello", "it is not GSD"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TEXT)
def test_bad_text_files_are_one_line(tmp_path, name):
    text, words = BAD_TEXT[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_sample(tmp_path / name)
    message = str(caught.value)
    assert words in message and name in message and "\n" not in message


def archive(**changes):
    arrays = {"positions": np.ones((4, 3)), "box": np.ones(3), "species": np.zeros(4)} | changes
    buffer = BytesIO()
    np.savez(buffer, **{k: v for k, v in arrays.items() if v is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive(box=None), "'box' is missing"),
        (archive(species=None), "'species' is missing"),
        (archive(diameter=np.ones(4)), "did you mean 'diameters'"),
        (archive(species=np.array([None] * 4, dtype=object)), "has the type object"),
        (archive(box=np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]])), "triclinic"),
        (archive(positions=np.ones((4, 5))), "d = 2, 3 or 4"),
        (archive(positions=np.array([["a"] * 3] * 4)), "not an array of numbers"),
        (archive(species=np.zeros(3)), "species has shape"),
        (archive(masses=-np.ones(4)), "must be > 0"),
        (archive()[:300], "damaged"),
        (b"PK\x03\x04" + b"x" * 100, "damaged"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 500, "damaged"),
        (bytes.fromhex("df65df65df65df65") + b"\0" * 500, "damaged"),
        (b"", "is empty"),
    ],
)
def test_bad_binary_files_are_one_line(tmp_path, content, words):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_sample(tmp_path / "bad")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_foreign_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match="missing"):
        read_sample(tmp_path / "z.npz")


def test_a_diagonal_cell_in_an_archive_is_a_box(tmp_path):
    (tmp_path / "a.npz").write_bytes(archive(box=np.diag([1.0, 2.0, 3.0])))
    assert read_sample(tmp_path / "a.npz").box.tolist() == [1, 2, 3]


def test_what_cannot_be_exported_says_why(tmp_path):
    rng = np.random.default_rng(0)
    for write in (write_extended_xyz, write_lammps_data):
        with pytest.raises(InputError, match="three coordinates"):
            write(tmp_path / "s", make_sample(4))
        with pytest.raises(InputError, match=r"expected \('K', 20, 3\)"):
            write(tmp_path / "s", make_sample(), rng.normal(size=(2, 19, 3)))
        with pytest.raises(InputError, match="NaN"):
            write(tmp_path / "s", make_sample(), np.full((1, 20, 3), np.nan))
        with pytest.raises(InputError, match="does not exist"):
            write(tmp_path / "nowhere" / "s", make_sample())
    with pytest.raises(InputError, match="one mass per type"):
        write_lammps_data(tmp_path / "s", make_sample(masses=1 + rng.random(20)))
    with pytest.raises(InputError, match="1 frequencies for 2 modes"):
        write_extended_xyz(tmp_path / "s", make_sample(), np.ones((2, 20, 3)), [1.0])
    assert os.listdir(tmp_path) == []


# The parsers against noise: a sample or one line, nothing else, whatever the bytes.
WORDS = st.sampled_from(
    [
        *"0 1 2 3 -1 0.5 nan inf 1e400 A x y z id type pos atoms Atoms Masses Bonds #".split(),
        "\n", "ITEM: TIMESTEP\n", "ITEM: NUMBER OF ATOMS\n", "ITEM: BOX BOUNDS pp pp pp\n",
        "ITEM: ATOMS id type x y z\n", "0 4 xlo xhi\n", "0 4 ylo yhi\n", "0 4 zlo zhi\n",
        'Lattice="4 0 0 0 4 0 0 0 4"', "Properties=species:S:1:pos:R:3", "pos:R:3", "xy xz yz",
        "99999999999999999999", "\n\nAtoms # atomic\n\n", "1 1 0 0 0\n", "٣", "\0",
    ]
)  # fmt: skip
SUFFIXES = st.sampled_from(["xyz", "data", "dump", "h5", "npz", "gsd", "txt"])
NOISE = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survives(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        sample = read_sample(path, isolated=False)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        sample.validate()
    path.unlink()


@NOISE
@given(content=st.binary(max_size=400), suffix=SUFFIXES)
def test_random_bytes(tmp_path, content, suffix):
    survives(tmp_path / f"f.{suffix}", content)


@NOISE
@given(words=st.lists(WORDS, max_size=60), suffix=SUFFIXES)
def test_random_words_of_the_formats(tmp_path, words, suffix):
    survives(tmp_path / f"f.{suffix}", " ".join(words).encode())


@pytest.fixture(scope="module")
def valid_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    sample = make_sample(n=4)
    write_extended_xyz(folder / "s.xyz", sample)
    write_lammps_data(folder / "s.data", sample)
    (folder / "s.dump").write_text(dump(0, ROWS))
    write_npz(folder / "s.npz", sample)
    sample.write(folder / "s.h5")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", [".xyz", ".data", ".dump", ".npz", ".h5"])
@NOISE
@given(data=st.data())
def test_damaged_files(tmp_path, valid_files, suffix, data):
    """Valid files with bytes replaced, removed or the end cut off."""
    content = bytearray(valid_files[suffix])
    for _ in range(data.draw(st.integers(1, 6))):
        if not content:
            break
        where = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["replace", "remove", "cut"]))
        if kind == "replace":
            content[where] = data.draw(st.integers(0, 255))
        elif kind == "remove":
            del content[where : where + data.draw(st.integers(1, 20))]
        else:
            del content[where:]
    survives(tmp_path / f"f{suffix}", bytes(content))


def test_damaged_gsd_files(tmp_path):
    hoomd = pytest.importorskip("gsd.hoomd")
    frame = hoomd.Frame()
    frame.particles.N = 3
    frame.particles.position = np.eye(3)
    frame.configuration.box = [3, 4, 5, 0, 0, 0]
    with hoomd.open(tmp_path / "g.gsd", "w") as file:
        file.append(frame)
    content = np.frombuffer((tmp_path / "g.gsd").read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = content.copy()
        damaged[rng.integers(8, len(damaged), 6)] = rng.integers(0, 256, 6)
        survives(tmp_path / "f.gsd", damaged[: rng.integers(8, 2 * len(damaged))].tobytes())
