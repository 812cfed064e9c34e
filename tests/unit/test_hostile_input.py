"""Files and names made to do harm: they end in one line, and nothing else happens."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from glassmodes import models
from glassmodes.campaign.config import check_config, load_config
from glassmodes.campaign.report import _environment
from glassmodes.campaign.table_columns import text
from glassmodes.campaign.table_files import _cell, _value
from glassmodes.cli import main
from glassmodes.cli.answer import render_text
from glassmodes.cli.failure import describe
from glassmodes.errors import InputError, printable
from glassmodes.formats import isolated, numpy_files, read_sample
from glassmodes.formats.isolated import Limits, ReaderError, read_isolated
from glassmodes.formats.mode_file import ModeFile
from glassmodes.formats.numpy_files import read_npy
from glassmodes.formats.sparse_matrix import read_matrix
from glassmodes.hdf5_structure import require_plain
from glassmodes.sample import Sample
from glassmodes.yaml_files import read_yaml

FUZZ = Path(__file__).parents[1] / "fuzz"


def make_sample(**changes):
    arguments = {"positions": np.arange(12.0).reshape(4, 3), "box": [9.0, 9.0, 9.0]}
    return Sample(**(arguments | changes))


def refused(action, words):
    """Assert that `action` ends in one line with `words`."""
    with pytest.raises(InputError) as caught:
        action()
    line = str(caught.value)
    assert words in line and "\n" not in line
    return line


# --- a few of the cases that tests/fuzz/run.py records by the ten thousand


@pytest.fixture(scope="module")
def fuzzer():
    sys.path.insert(0, str(FUZZ))
    import run

    yield run
    sys.path.remove(str(FUZZ))


FORMATS = (
    "extended_xyz", "lammps_data", "lammps_dump", "gsd", "npz", "hdf5", "sample", "modes",
    "matrix_npz", "matrix_petsc", "model", "config",
)  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_spoiled_files_are_refused_in_one_line_or_consistent(fuzzer, kind):
    if kind == "gsd":
        pytest.importorskip("gsd")
    assert set(FORMATS) == set(fuzzer.KINDS)
    result = fuzzer.fuzz(kind, seed=12, count=60, show=False)
    assert not result["failures"], result["failures"][0]
    assert sum(result["outcomes"].values()) == 60
    assert result["outcomes"]["accepted"] < 60  # the cases are hostile


def test_the_files_that_are_spoiled_are_valid(fuzzer, tmp_path, monkeypatch):
    pytest.importorskip("gsd")
    monkeypatch.chdir(tmp_path)
    for kind, contents in fuzzer.seeds().items():
        for content in contents:
            path = tmp_path / f"valid{fuzzer.SUFFIX[kind]}"
            path.write_bytes(content)
            assert fuzzer.attempt(kind, path) == "accepted", kind


# --- numbers that are finite and still of no use


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"positions": [[1e17, 0, 0], [1, 1, 1]]}, "boxes away"),
        ({"positions": [[-1e308, 0, 0], [1, 1, 1]]}, "boxes away"),
        ({"box": [1e200, 1e200, 9.0]}, "beyond double precision"),
        ({"box": [1e-200, 1e-200, 1e200], "positions": np.zeros((2, 3))}, "beyond double"),
        ({"masses": [1e308, 1e308]}, "beyond double precision"),
        ({"species": [0, 2 * 10**6]}, "species has the label"),
    ],
)
def test_numbers_beyond_double_precision_are_refused(changes, words):
    arguments = {"positions": np.ones((2, 3)), "box": np.full(3, 9.0)} | changes
    refused(lambda: Sample(**arguments).validate(), words)


@pytest.mark.parametrize("far", [1.0, 1e3, 0.99e6])
def test_positions_that_are_accepted_fold_into_the_box(far):
    rng = np.random.default_rng(0)
    box = np.array([9.0, 7.0, 1e-3])
    inside = rng.random((500, 3)) * box
    sample = Sample(inside + box * np.rint(rng.uniform(-far, far, (500, 3))), box).validate()
    folded = sample.wrapped()
    assert np.all((folded >= 0) & (folded < box))
    error = folded - inside
    error -= box * np.rint(error / box)
    assert np.abs(error / box).max() <= 1e-15 * far + 1e-15  # one rounding of the position


def test_a_gsd_file_that_counts_more_than_it_holds_is_refused(tmp_path):
    """The library would fill in default values for two billion bonds."""
    hoomd = pytest.importorskip("gsd.hoomd")
    frame = hoomd.Frame()
    frame.particles.N, frame.particles.position = 3, np.eye(3)
    frame.configuration.box = [3, 4, 5, 0, 0, 0]
    with hoomd.open(tmp_path / "g.gsd", "w") as file:
        file.append(frame)
        file.file.write_chunk("dihedrals/N", np.array([2**31 - 1], np.uint32))
        file.file.end_frame()
    refused(lambda: read_sample(tmp_path / "g.gsd"), "dihedrals/N is 2147483647")


# --- HDF5


def spoiled(path, change):
    make_sample(bonds=[[0, 1]]).write(path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace_with(path, make):
    def change(file):
        del file[path]
        make(file, path)

    return change


def virtual(file, path):
    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f8")
    layout[:] = h5py.VirtualSource("secret.h5", "numbers", shape=(4, 3))
    file.create_virtual_dataset(path, layout)


POSITION = "particles/all/position"
HOSTILE = {
    "external link": (lambda f, p: f.__setitem__(p, h5py.ExternalLink("secret.h5", "/numbers")),
                      "a link to another place or file"),
    "soft link": (lambda f, p: f.__setitem__(p, h5py.SoftLink("/h5md")), "a link to another place"),
    "external storage": (lambda f, p: f.create_dataset(p, (4, 3), "f8",
                                                       external=[("secret.raw", 0, 96)]),
                         "from other files"),
    "virtual dataset": (virtual, "from other files"),
    "terabytes": (lambda f, p: f.create_dataset(p, (2**40, 3), "f8", chunks=(9, 3)), "declares"),
    "terabytes unwritten": (lambda f, p: f.create_dataset(p, (2**40, 3), "f8"), "declares"),
    "empty but declared": (lambda f, p: f.create_dataset(p, (4, 3), "f8"), "more than it holds"),
    "references": (lambda f, p: f.create_dataset(p, data=[f.ref] * 4, dtype=h5py.ref_dtype),
                   "expected numbers or text"),
    "compound": (lambda f, p: f.create_dataset(p, data=np.zeros(4, [("a", "f8")])), "the type"),
    "text": (lambda f, p: f.create_dataset(p, data=["a"] * 4), "not an array of numbers"),
    "a group": (lambda f, p: f.create_group(p), "has no dataset"),
    "itself": (lambda f, p: f.__setitem__(p, f["/"]), "hold the same"),
}  # fmt: skip


@pytest.mark.parametrize("isolation", [True, False])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hdf5_that_leaves_its_file_or_declares_what_it_lacks(tmp_path, kind, isolation):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["numbers"] = np.ones((4, 3))
    (tmp_path / "secret.raw").write_bytes(b"\0" * 96)
    make, words = HOSTILE[kind]
    path = spoiled(tmp_path / "s.h5", replace_with(POSITION, make))
    refused(lambda: read_sample(path, isolated=isolation), words)


def test_a_group_around_itself_is_no_endless_walk(tmp_path):
    path = spoiled(tmp_path / "s.h5", lambda f: f.__setitem__("particles/again", f["/"]))
    refused(lambda: read_sample(path), "hold the same")


def test_a_dataset_outside_the_sample_is_checked_too(tmp_path):
    path = spoiled(tmp_path / "s.h5", lambda f: f.__setitem__("x", h5py.ExternalLink("a", "/")))
    refused(lambda: read_sample(path), "a link to another place")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 1e999}', "not finite"),
        ("[1]", "no JSON object"),
        ("{", "no JSON text"),
        ("[" * 100_000, "no JSON text"),
    ],
)
@pytest.mark.parametrize("name", ["model", "provenance"])
def test_headers_of_samples_are_finite_json_objects(tmp_path, name, text, words):
    def change(file):
        del file[f"parameters/{name}"]
        file[f"parameters/{name}"] = np.bytes_(text)

    path = spoiled(tmp_path / "s.h5", change)
    refused(lambda: Sample.read(path), words)


@pytest.mark.parametrize("isolation", [True, False])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{}", ""),
        ("no JSON", "the text parameters/model is no JSON text"),
        (["{}", "{}"], "/parameters/model is not one text"),
        (3.0, "/parameters/model is not one text"),
        (b"\xff", "/parameters/model is no UTF-8 text"),
    ],
)
def test_texts_of_variable_length_are_read_or_refused(tmp_path, value, words, isolation):
    def change(file):
        del file["parameters/model"]
        kind = None if isinstance(value, float) else h5py.string_dtype()
        file["parameters"].create_dataset("model", data=value, dtype=kind)

    path = spoiled(tmp_path / "s.h5", change)
    if words:
        refused(lambda: read_sample(path, isolated=isolation), words)
    else:
        assert read_sample(path, isolated=isolation).model == {}


def test_a_filter_that_is_a_shared_library_is_not_looked_for(tmp_path):
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((2,))
        layout.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, space, layout)
        refused(lambda: require_plain(file, "x"), "the filter 32015")


def test_plain_hdf5_with_named_arrays_is_a_sample(tmp_path):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["positions"], file["box"] = np.eye(3), np.full(3, 5.0)
        file["species"], file["velocities"] = [0, 1, 0], np.zeros(3)
    sample = read_sample(tmp_path / "plain.h5", type_map={"0": 1, "1": 0})
    assert sample.species.tolist() == [1, 0, 1] and np.array_equal(sample.positions, np.eye(3))


def test_modes_that_do_not_fit_together_are_refused(tmp_path):
    ModeFile(np.ones(3), np.ones(3), np.ones(3), None, 3, True, 1.0).write(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        del file["residual"]
        file["residual"] = np.ones(2)
    refused(lambda: ModeFile.read(tmp_path / "m.h5"), "residual has shape")
    vectors = np.full((3, 4, 2), np.nan)
    ModeFile(np.ones(3), np.ones(3), np.ones(3), vectors, 3, True, 1.0).write(tmp_path / "v.h5")
    refused(lambda: ModeFile.read(tmp_path / "v.h5"), "vectors hold NaN")


# --- numpy


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("reader", [read_sample, read_matrix])
def test_nothing_is_unpickled(tmp_path, reader):
    array = np.array([Trap(tmp_path / "X")], dtype=object)
    names = ("positions", "box", "species", "data", "format", "shape", "indices", "indptr")
    np.savez(tmp_path / "t.npz", **dict.fromkeys(names, array))
    refused(lambda: reader(tmp_path / "t.npz"), "the type object")
    np.save(tmp_path / "t.npy", array)
    refused(lambda: read_npy(tmp_path / "t.npy"), "the type object")
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Trap(tmp_path / "X")))
    refused(lambda: read_npy(tmp_path / "raw.npy"), "no header of numpy's")
    assert not (tmp_path / "X").exists()


def npy(shape, content=b"", kind="<f8"):
    buffer = BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue() + content


@pytest.mark.parametrize("shape", [(10**12,), (10**9, 10**9), (3,)])
def test_arrays_are_as_long_as_they_say(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy(shape))
    words = "truncated" if shape == (3,) else "holds less"
    refused(lambda: read_npy(tmp_path / "a.npy"), words)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("positions", "box", "species"):
            archive.writestr(f"{name}.npy", npy(shape))
    refused(lambda: read_sample(tmp_path / "a.npz"), words)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(numpy_files, "allowed_bytes", lambda size: 10_000)
    arrays = {name: np.zeros(1000) for name in ("positions", "box", "species")}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    refused(lambda: read_sample(tmp_path / "a.npz", isolated=False), "unpack to more")


def test_two_arrays_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("box.npy", npy((1,), b"\0" * 8))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("box.npy", npy((1,), b"\0" * 8))
    refused(lambda: read_sample(tmp_path / "a.npz"), "same name")


@pytest.mark.parametrize("index", [-1, 4, 2**31 - 1])
def test_indices_of_a_matrix_stay_inside_it(tmp_path, index):
    """Compiled products trust them: one outside reads or writes memory of others."""
    matrix = sp.csr_matrix(np.eye(4))
    matrix.indices[2] = index
    sp.save_npz(tmp_path / "m.npz", matrix)
    refused(lambda: read_matrix(tmp_path / "m.npz"), "m.npz")


def test_a_matrix_of_nan_or_of_endless_rows_is_refused(tmp_path):
    sp.save_npz(tmp_path / "m.npz", sp.csr_matrix(np.diag([1.0, np.nan])))
    refused(lambda: read_matrix(tmp_path / "m.npz"), "NaN")
    np.savez(tmp_path / "l.npz", format=b"coo", shape=[2**31 - 1] * 2, data=[1.0], row=[0], col=[0])
    refused(lambda: read_matrix(tmp_path / "l.npz"), "more rows or columns than entries")
    head = np.array([1211216, 1, 2**31 - 1, 0, 0], ">i4")
    (tmp_path / "l.petsc").write_bytes(head.tobytes())
    refused(lambda: read_matrix(tmp_path / "l.petsc"), "more rows or columns than entries")


# --- the child process


def child(monkeypatch, tmp_path, program):
    script = tmp_path / "child.py"
    script.write_text(
        "import json, os, resource, sys, time\n"
        "for name, value in json.loads(sys.argv[5]).items():\n"
        "    resource.setrlimit(getattr(resource, name), (value, value))\n" + program
    )
    monkeypatch.setattr(isolated.isolated_child, "__file__", str(script))
    (tmp_path / "f").write_bytes(b"x")
    wall = 3.0 if "sleep" in program else 60.0
    limits = Limits(memory=2**30, answer=1000, cpu=1, wall=wall)
    return lambda: read_isolated(tmp_path / "f", "HDF5", limits=limits)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("os.abort()", "crashed (SIGABRT)"),
        ("import ctypes; ctypes.string_at(0)", "crashed (SIGSEGV)"),
        ("while True: pass", "more than 1 s of computing"),
        ("sys.exit(3)", "crashed (exit code 3)"),
        ("x = bytearray(2**31)", "crashed"),
        ("print('no json')", "no answer"),
        ("print(json.dumps({'arrays': [['a', '|O', [1]]]})); print('x' * 8)", "no answer"),
        ("print(json.dumps({'arrays': [['a', '<f8', [10**9]]]}))", "no answer"),
        ("print(json.dumps({'arrays': [['a', '<f8', [-1]]]}))", "no answer"),
        ("print(json.dumps({'arrays': 3}))", "no answer"),
        ("print(json.dumps({'memory': True, 'arrays': []}))", "more memory"),
        ("sys.stdout.write('x' * 2**26)", "unpacks to more"),
        ("os.close(1); time.sleep(60)", "more than 3 s"),
    ],
)  # fmt: skip
def test_whatever_happens_to_the_child_is_one_line(monkeypatch, tmp_path, program, words):
    with pytest.raises(ReaderError) as caught:
        child(monkeypatch, tmp_path, program)()
    assert words in str(caught.value)


def test_the_child_writes_no_file_and_is_no_rank(monkeypatch, tmp_path):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    monkeypatch.setenv("PMIX_RANK", "1")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    program = """
try:
    open("written", "w").write("x")
    written = os.path.getsize("written")
except OSError:
    written = 0
print(json.dumps({"arrays": [], "written": written, "names": sorted(os.environ)}))
"""
    facts, _ = child(monkeypatch, tmp_path, f"os.chdir({str(tmp_path)!r})\n{program}")()
    assert facts["written"] == 0
    found = [n for n in facts["names"] if n.startswith(("OMPI", "PMI", "SLURM", "SECRET"))]
    assert not found


def test_a_module_beside_the_data_is_not_imported_by_the_child(tmp_path, monkeypatch):
    for name in ("numpy", "h5py", "json", "glassmodes"):
        (tmp_path / f"{name}.py").write_text("open('X', 'w')")
    monkeypatch.chdir(tmp_path)
    make_sample().write(tmp_path / "s.h5")
    assert read_sample("s.h5").particles == 4
    assert not (tmp_path / "X").exists()


# --- models


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Return the name of a module whose import leaves a file behind."""
    name = f"stranger_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        f"open({str(tmp_path / 'X')!r}, 'w').close()\n"
        "from glassmodes.models import LennardJones\n"
        "class Mine(LennardJones):\n    pass\n"
        "class Other:\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def test_a_sample_cannot_make_us_import_a_module(stranger, tmp_path, monkeypatch):
    spec = {"class": f"{stranger}:Mine", "constants": {"lengths": 1.0, "cutoffs": 2.5}}
    make_sample(model=spec).write(tmp_path / "s.h5")
    sample = read_sample(tmp_path / "s.h5")
    line = refused(lambda: models.from_spec(sample.model), "may not load code by itself")
    assert f"GLASSMODES_TRUSTED_MODELS={stranger}" in line
    assert not (tmp_path / "X").exists()
    monkeypatch.setenv("GLASSMODES_TRUSTED_MODELS", f"other,{stranger}")
    assert type(models.from_spec(sample.model)).__name__ == "Mine"
    refused(lambda: models.from_spec(spec | {"class": f"{stranger}:Other"}), "complete model class")


def test_a_model_file_that_the_user_names_is_trusted(stranger, tmp_path):
    (tmp_path / "m.yaml").write_text(
        f"class: {stranger}:Mine\nconstants: {{lengths: 1, cutoffs: 2}}"
    )
    model = models.from_yaml(tmp_path / "m.yaml")
    assert models.from_spec(model.spec()).spec() == model.spec()


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "builtins:eval", "os.path:join"])
def test_what_is_loaded_but_no_model_is_never_called(name):
    refused(lambda: models.from_spec({"class": name, "constants": {}}), "may not load code")


@pytest.mark.parametrize(
    "constants",
    [
        {"exponent": 12, "smoothing": 2**31, "cutoffs": 1.25, "lengths": 1.0},
        {"exponent": 10**9, "smoothing": 1, "cutoffs": 1.25, "lengths": 1.0},
        {"exponent": 12, "smoothing": 1, "cutoffs": 1e-200, "lengths": 1.0},
        {"exponent": 12, "smoothing": 1, "cutoffs": 1.25, "lengths": 1e-300},
    ],
)
def test_constants_that_give_no_finite_energies_are_refused(constants):
    with pytest.raises(InputError):
        models.from_spec({"class": "InversePowerLaw", "constants": constants})


def test_a_table_of_a_model_file_is_plain_text(tmp_path):
    (tmp_path / "t.txt.gz").write_bytes(b"\x1f\x8b" + b"\0" * 50)
    (tmp_path / "m.yaml").write_text(
        "class: TabulatedPotential\nconstants: {tables: [{pair: [0, 0], file: t.txt.gz}]}"
    )
    refused(lambda: models.from_yaml(tmp_path / "m.yaml"), "not a table of numbers")


# --- YAML


LAUGHS = "\n".join(
    ["a0: &a0 [1, 2]"] + [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
)
MERGED = "\n".join(
    ["a0: &a0 {x: 1}"]
    + [f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 9)}]}}" for k in range(1, 12)]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "aliases stand for more than"),
        (MERGED, "aliases stand for more than"),
        ("a: &a [*a]", "part of"),
        ("[" * 5000, "levels"),
        ("a: 1\na: 2", "twice"),
        ("? [a]\n: 1", "not valid YAML"),
        ("!!python/object/apply:os.system ['touch X']", "not valid YAML"),
        ("!!set 3", "not valid YAML"),
        ("a: !!int x", "not valid YAML"),
        ("a: 2001-99-99", "not valid YAML"),
        ("a: " + "9" * 5000, "not valid YAML"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_yaml_is_plain_bounded_data(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.yaml").write_text(text)
    refused(lambda: read_yaml(tmp_path / "f.yaml"), words)
    with pytest.raises(InputError):
        load_config(tmp_path / "f.yaml")
    assert os.listdir(tmp_path) == ["f.yaml"]


def test_anchors_and_merges_of_ordinary_use_work(tmp_path):
    (tmp_path / "f.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]")
    content = read_yaml(tmp_path / "f.yaml")
    assert content["b"] == {"x": 1, "y": 3} and content["c"] == [{"x": 1, "y": 2}] * 2


# --- text


@pytest.mark.parametrize("header", ["a" * 2**24, "a " * 2**14, "a={ " * 2**13, 'a="' * 10**4])
def test_headers_of_any_length_are_read_in_no_time(tmp_path, header):
    """A pattern that starts anew at every letter takes the square of the length."""
    (tmp_path / "s.xyz").write_text(f"1\n{header}\nA 1 2 3\n")
    with pytest.raises(InputError):
        read_sample(tmp_path / "s.xyz")


# --- names


CONTENT = {
    "campaign": {"seed": 1},
    "ensembles": {
        "a": {
            "model": "ipl_2d",
            "particles": 16,
            "protocol": {"name": "random_start"},
            "samples": 1,
            "analyses": ["moduli"],
        }
    },
}


@pytest.mark.parametrize("name", ["A", "a b", "a;id", "$(id)", "-a", "a\n", "a/b", "ä", "", "{a}"])
def test_names_of_ensembles_are_plain_words(name):
    content = CONTENT | {"ensembles": {name: CONTENT["ensembles"]["a"]}}
    with pytest.raises(InputError):
        check_config(content)


@pytest.mark.parametrize("name", ["{x}", "a*", "a?", "[a]", "-rf", "", " ", "a\nb", "a\x1b[2J"])
def test_results_folders_that_snakemake_takes_for_patterns_are_refused(name):
    with pytest.raises(InputError, match=r"campaign\.results"):
        check_config(CONTENT | {"campaign": {"seed": 1, "results": name}})


@pytest.mark.parametrize("name", ["a b", "a'b\"c", "$(touch X)", "`id`;&|", "ü/x", "a\\b", "#~%"])
def test_other_results_folders_are_only_names(name):
    config = check_config(CONTENT | {"campaign": {"seed": 1, "results": name}})
    assert config.campaign.results == name


NASTY = "\x1b[2J\x07\r‮\x9b31m name"


def test_messages_cannot_steer_a_terminal(tmp_path, capsys):
    assert printable(NASTY) == r"\x1b[2J\x07\r\u202e\x9b31m name"
    assert printable("plain ü ω\n") == "plain ü ω\n"
    code, line = describe(InputError(f"{NASTY}\nsecond"))
    assert code == 2 and line.isprintable()
    path = tmp_path / "\x1b[2J\x9b.xyz"
    path.write_text("1\nno\n")
    for words in (["info", str(path)], ["import", f"{path}.no", "-o", str(tmp_path / "s.h5")]):
        assert main(words) == 2
        assert capsys.readouterr().err.rstrip("\n").isprintable()
    shown = render_text({"file": NASTY, "provenance": {NASTY: f"a\nkey: {NASTY}"}})
    assert all(line.isprintable() for line in shown.splitlines()) and len(shown.splitlines()) == 3


def test_names_that_are_not_utf_8_end_in_one_line(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.h5"
    Path(os.fsdecode(path)).write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    words = [sys.executable, "-m", "glassmodes", "info", path]
    done = subprocess.run(words, capture_output=True)
    assert done.returncode == 2 and len(done.stderr.decode().splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["a b.xyz", "-rf.xyz", "$(touch X).xyz", "'\".xyz", "a\nb.xyz", "ü{x}%s.xyz"]
)
def test_files_of_any_name_are_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    sample = make_sample()
    for suffix, write in ((".h5", sample.write), (".xyz", None)):
        path = Path(name).with_suffix(suffix)
        if write:
            write(path)
        else:
            path.write_text(
                '1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nA 1 2 3\n'
            )
        assert read_sample(path).dimension == 3
    assert not Path("X").exists()


@pytest.mark.parametrize("value", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "'=x"])
def test_text_of_tables_is_no_formula_and_comes_back(value):
    column = text("title", "any")
    cell = _cell(value, column)
    assert cell[0] == "'" and _value(cell, column) == value


@pytest.mark.parametrize("value", ["plain", "'quoted'", "-0.03 % from theory", "+4.5 % from x", ""])
def test_ordinary_text_of_tables_stays_as_it_is(value):
    column = text("title", "any")
    assert _cell(value, column) == value == _value(value, column)


def test_pages_escape_what_comes_from_elsewhere():
    page = _environment().from_string("<td>{{ t }}</td>").render(t="<script>alert(1)</script>\"'&")
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_titles_with_dollar_signs_are_drawn():
    from glassmodes.campaign.figures.style import drawable

    assert drawable("$T_p = 2$") == "$T_p = 2$"
    assert drawable(r"cost $\frac$ and $5") == r"cost \$\frac\$ and \$5"


def test_the_log_of_a_header_stays_json():
    sample = make_sample(provenance={"name": NASTY})
    assert json.loads(json.dumps(sample.provenance)) == {"name": NASTY}
