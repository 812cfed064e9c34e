"""The command line: names, answers, exit codes, bad calls in one line, nothing left behind."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from glassmodes import cli, models
from glassmodes.cli import answer, failure, launch, petsc
from glassmodes.cli.parser import build_parser, parse, verb_parsers
from glassmodes.errors import InputError, SampleError, SolverError
from glassmodes.sample import Sample

VERBS = ("import", "export", "prepare", "minimize", "hessian", "moduli", "modes", "dipoles", "info")


def triangular(columns=6, rows=6, density=0.86):
    """Return a triangular lattice of one species: force-free by symmetry and stable."""
    a = np.sqrt(2 / (np.sqrt(3) * density))
    x, y = np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij")
    positions = np.stack([(x + 0.5 * (y % 2)) * a, y * a * np.sqrt(3) / 2], axis=-1).reshape(-1, 2)
    box = [columns * a, rows * a * np.sqrt(3) / 2]
    return Sample(positions, box, model=models.named("ipl_2d").spec())


def square(edge=6, density=0.86):
    """Return a square lattice: force-free by symmetry, unstable against shear."""
    a = density**-0.5
    sites = np.stack(np.meshgrid(*[np.arange(edge)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    return Sample(sites * a, [edge * a] * 2, model=models.named("ipl_2d").spec())


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a good sample in several formats and a foreign matrix."""
    sample = triangular()
    sample.write(tmp_path / "good.h5")
    np.savez(tmp_path / "good.npz", **arrays(sample))
    sp.save_npz(tmp_path / "matrix.npz", chain(40))
    return tmp_path


def arrays(sample, **changes):
    content = {"positions": sample.positions, "box": sample.box, "species": sample.species}
    return content | changes


def chain(n):
    """Return the Laplacian of a ring of n masses: eigenvalues 4 sin²(πk/n)."""
    return sp.diags([2.0, -1.0, -1.0, -1.0, -1.0], [0, 1, -1, n - 1, 1 - n], shape=(n, n)).tocsr()


@pytest.fixture
def call(capfd):
    """Call the program in this process; return (exit code, stdout, stderr)."""

    def run(*words):
        code = cli.main([str(word) for word in words])
        return code, *capfd.readouterr()

    return run


def assert_one_line(code, out, err, *expected):
    """A bad call: exit code 2, an empty stdout, one line on stderr that says `expected`."""
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("glassmodes: error: ")
    for text in expected:
        assert re.search(text, err), f"{text!r} not in {err!r}"


# --- the frame ------------------------------------------------------------------------------


def test_help_imports_nothing_heavy():
    """`glassmodes --help` must answer at once: what it imports decides that, not the load."""
    heavy = ("numpy", "scipy", "h5py", "mpi4py.MPI", "petsc4py", "pandas", "pydantic", "yaml")
    program = (
        "import sys; from glassmodes.cli import main; code = main(['--help']);"
        f"print(code, [m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert all(verb in done.stdout for verb in VERBS)
    assert done.stderr == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_complete_help(verb, call):
    code, out, _ = call(verb, "--help")
    assert code == 0
    parser = verb_parsers(build_parser())[verb]
    assert parser.description and parser.description in out
    for action in parser._actions:
        assert action.help, f"{verb}: {action.dest} has no help"


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["modul", "S.h5"], "'moduli'"),
        (["minimise", "S.h5"], "'minimize'"),
        (["moduli", "S.h5", "--jsn"], "'--json'"),
        (["modes", "S.h5", "--cout", "3", "-o", "M.h5"], "'--count'"),
        (["modes", "S.h5", "--count", "3", "--metod", "dense"], "'--method'"),
        (["modes", "S.h5", "--count", "3", "--method", "densee"], "'dense'"),
        (["--versio"], "'--version'"),
    ],
)
def test_unknown_names_come_with_the_nearest(words, nearest, call):
    assert_one_line(*call(*words), nearest)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["moduli"],
        ["moduli", "S.h5", "T.h5"],
        ["dipoles", "S.h5"],
        ["dipoles", "S.h5", "--all", "--count", "3"],
        ["dipoles", "S.h5", "--count", "-3"],
        ["dipoles", "S.h5", "--count", "0"],
        ["dipoles", "S.h5", "--count", "many"],
        ["modes", "S.h5", "--count", "-3"],
        ["modes", "S.h5", "--below", "-1"],
        ["modes", "S.h5", "--below", "nan"],
        ["modes", "S.h5", "--count", "3", "--below", "1"],
        ["prepare", "--model", "ipl_2d", "--particles", "-4", "--seed", "1", "-o", "S.h5"],
        ["import", "S.xyz", "--type-map", "1=x", "-o", "S.h5"],
        ["import", "S.xyz", "--frame", "-2", "-o", "S.h5"],
    ],
)
def test_wrong_arguments_end_in_one_line(words, call):
    assert_one_line(*call(*words))


def test_options_are_not_abbreviated():
    """A shortened option would change its meaning when a verb gains another option."""
    with pytest.raises(InputError, match="--ver"):
        parse(build_parser(), ["--ver"])


def test_petsc_options_follow_the_bare_dashes():
    words, options = petsc.split_options(["modes", "S.h5", "--", "-log_view", "--", "x"])
    assert words == ["modes", "S.h5"]
    assert options == ["-log_view", "--", "x"]
    petsc.check_options(["-log_view", ":times.txt"])
    for prefix in petsc.PREFIXES:
        petsc.check_options([f"-{prefix}ksp_rtol", "-1e-9"])


@pytest.mark.parametrize("options", [["-nonsense_rtol", "1"], ["1e-9"], ["-log_vew"]])
def test_unknown_petsc_options_are_refused(options, folder, call):
    assert_one_line(*call("info", folder / "good.h5", "--", *options), "PETSc option")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (1, 0)),
        ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"}, (3, 2)),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, (2, 1)),
        ({"SLURM_PROCID": "0"}, (1, 0)),
    ],
)
def test_ranks_are_known_before_mpi_starts(environment, expected):
    assert (launch.launched_size(environment), launch.launched_rank(environment)) == expected


def test_json_has_no_nan_and_no_numpy():
    result = {
        "scalar": np.float64(1.5),
        "count": np.int32(3),
        "flag": np.bool_(True),
        "hole": float("nan"),
        "matrix": np.array([[np.nan, 1.0], [np.inf, 2.0]]),
        "path": Path("a/b"),
        "nested": {"x": (1, None)},
    }
    assert json.loads(answer.render_json(result)) == {
        "scalar": 1.5,
        "count": 3,
        "flag": True,
        "hole": None,
        "matrix": [[None, 1.0], [None, 2.0]],
        "path": "a/b",
        "nested": {"x": [1, None]},
    }
    assert answer.render_json(result).count("\n") == 1


def test_text_answers_summarise_long_lists():
    text = answer.render_text({"omega": np.arange(100.0), "by": {"matrix": np.eye(2)}, "no": None})
    assert text == (
        "omega: 0 1 2 ... 99 (100 values)\n"
        "by:\n  matrix: 2 x 2 values\n    1 0\n    0 1\n"
        "no: none\n"
    )


def test_stdout_is_kept_for_the_answer(capfd):
    """Whatever a library prints on descriptor 1 or through Python ends on stderr."""
    with answer.clean_stdout(permanent=False) as stream:
        os.write(1, b"from C\n")
        print("from Python")
        stream.write("answer\n")
    print("afterwards")
    out, err = capfd.readouterr()
    assert out == "answer\nafterwards\n"
    assert "from C\n" in err and "from Python\n" in err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("two\nlines"), 2, "two; lines"),
        (SampleError("saddle", "3 negative eigenvalues"), 2, "3 negative eigenvalues"),
        (SolverError("did not converge"), 2, "did not converge"),
        (OSError(28, "No space left on device", "x.h5"), 2, "disk full while writing x.h5"),
        (OSError("1024 requested and 512 written"), 2, "disk full"),
        (RuntimeError("write failed: errno = 28, error message = ..."), 2, "disk full"),
        (PermissionError(13, "Permission denied", "x.h5"), 2, "x.h5: Permission denied"),
        (MemoryError(), 2, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("x"), 1, None),
    ],
)
def test_errors_have_one_line_and_a_code(error, code, text):
    found_code, line = failure.describe(error)
    assert found_code == code
    assert line is None if text is None else text in line and "\n" not in line


def test_a_full_disk_is_found_behind_other_errors():
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("cannot close file") from None
    except RuntimeError as error:
        assert failure.is_disk_full(error)


def test_a_bug_shows_its_traceback(folder, call, monkeypatch):
    monkeypatch.setattr("glassmodes.cli.info._describe", lambda path: 1 / 0)
    code, out, err = call("info", folder / "good.h5", "--json")
    assert code == 1 and out == ""
    assert "Traceback" in err and "ZeroDivisionError" in err


def test_a_full_stdout_is_an_error(folder):
    """An answer that could not be written must not end with exit code 0."""
    program = [sys.executable, "-m", "glassmodes", "info", str(folder / "good.h5"), "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True)
    assert_one_line(done.returncode, "", done.stderr, "disk full")


# --- samples in and out ---------------------------------------------------------------------


def test_import_and_info_answer_alike(folder, call):
    imported = folder / "imported.h5"
    code, out, _ = call(
        "import", folder / "good.npz", "--model", "ipl_2d", "-o", imported, "--json"
    )
    assert code == 0
    first = json.loads(out)
    assert first["particles"] == 36 and first["dimension"] == 2 and first["model"] == "ipl_2d"
    assert first["force_free"] is True
    code, out, _ = call("info", imported, "--json")
    second = json.loads(out)
    assert second["kind"] == "sample"
    assert second["provenance"]["import"]["file"].endswith("good.npz")
    for key in ("energy_per_particle", "pressure", "density", "contacts", "species"):
        assert first[key] == second[key]


@pytest.mark.parametrize("suffix", [".xyz", ".data"])
def test_export_and_import_give_the_sample_back(suffix, folder, call):
    foreign, back = folder / f"out{suffix}", folder / "back.h5"
    assert call("export", folder / "good.h5", "-o", foreign)[0] == 0
    assert call("import", foreign, "--model", "ipl_2d", "-o", back)[0] == 0
    before, after = Sample.read(folder / "good.h5"), Sample.read(back)
    np.testing.assert_allclose(after.wrapped(), before.wrapped(), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(after.box, before.box)
    assert after.model == before.model


def test_type_maps_swap_species(folder, call):
    labels = np.arange(36) % 2
    np.savez(folder / "two.npz", **arrays(triangular(), species=labels))
    swapped = folder / "swapped.h5"
    words = ("import", folder / "two.npz", "--model", "ipl_2d", "-o", swapped)
    assert call(*words, "--type-map", "0=1,1=0")[0] == 0
    np.testing.assert_array_equal(Sample.read(swapped).species, 1 - labels)


def test_model_files_need_no_name(folder, call):
    spec = models.named("ipl_2d").spec()
    (folder / "mine.yaml").write_text(json.dumps({k: spec[k] for k in ("class", "constants")}))
    mine = folder / "mine.h5"
    assert call("import", folder / "good.npz", "--model", folder / "mine.yaml", "-o", mine)[0] == 0
    assert Sample.read(mine).model["constants"] == spec["constants"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"class": "InversePowerLaw", "constants": {"exponnt": 10}}, "'exponent'"),
        ({"class": "InversePowerLow", "constants": {}}, "'InversePowerLaw'"),
        ({"class": "InversePowerLaw", "constant": {}}, "'constants'"),
        ([1, 2], "model"),
    ],
)
def test_model_files_are_checked(content, text, folder, call):
    (folder / "mine.yaml").write_text(json.dumps(content))
    words = ("--model", folder / "mine.yaml", "-o", folder / "S.h5")
    assert_one_line(*call("import", folder / "good.npz", *words), text)
    assert not (folder / "S.h5").exists()


@pytest.mark.parametrize("name", ["x.xyz", "x.data"])
def test_four_dimensions_do_not_fit_three_columns(name, folder, call):
    sites = np.stack(np.meshgrid(*[np.arange(3.0)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    Sample(sites, [3.0] * 4).write(folder / "4d.h5")
    result = call("export", folder / "4d.h5", "-o", folder / name)
    assert_one_line(*result, "three coordinates")
    assert not (folder / name).exists()


def test_networks_need_no_model(folder, call):
    """Springs between neighbours of the triangular lattice: stable, at rest, G = √3/4 k."""
    lattice = triangular()
    from glassmodes.mechanics.interactions import find_interactions

    contacts = find_interactions(lattice)
    network = Sample(lattice.positions, lattice.box, bonds=np.stack([contacts.i, contacts.j], 1))
    network.write(folder / "network.h5")
    moduli = json.loads(call("moduli", folder / "network.h5", "--json")[1])
    assert moduli["shear_modulus"] == pytest.approx(np.sqrt(3) / 4, rel=1e-10)
    assert moduli["pressure"] == 0
    modes = json.loads(call("modes", folder / "network.h5", "--count", 5, "--json")[1])
    assert modes["zero_modes"] == 2 and min(modes["frequencies"]) > 0.1


def test_info_tells_batches_from_samples(folder, call):
    import h5py

    with h5py.File(folder / "batch.h5", "w") as file:
        for index in range(3):
            triangular().to_group(file.create_group(f"samples/{index:06d}"))
        file["records/status"] = np.array([b"ok", b"refused", b"ok"])
        file["records/pressure"] = np.ones(3)
        file["records/pressure"].attrs["unit"] = "energy/length^d"
    found = json.loads(call("info", folder / "batch.h5", "--json")[1])
    assert (found["kind"], found["samples"]) == ("batch", 3)
    assert found["records"] == {"ok": 2, "refused": 1}
    assert found["columns"]["pressure"] == {"shape": [3], "unit": "energy/length^d"}
    taken = folder / "one.h5"
    assert call("import", folder / "batch.h5", "--frame", 1, "-o", taken)[0] == 0
    np.testing.assert_array_equal(Sample.read(taken).positions, triangular().positions)


@pytest.mark.parametrize("name", ["H.npz", "H.petsc"])
def test_the_hessian_leaves_as_a_matrix_that_others_read(name, folder, call):
    code, out, _ = call("hessian", folder / "good.h5", "-o", folder / name, "--json")
    assert code == 0 and json.loads(out)["rows"] == 72
    if name.endswith(".npz"):
        matrix = sp.load_npz(folder / name)
    else:
        from petsc4py import PETSc

        viewer = PETSc.Viewer().createBinary(str(folder / name), "r", comm=PETSc.COMM_SELF)
        loaded = PETSc.Mat().load(viewer)
        start, columns, values = loaded.getValuesCSR()
        matrix = sp.csr_matrix((values, columns, start))
        translation = PETSc.Vec().load(viewer)  # behind the matrix, for those who know
        assert np.abs(matrix @ translation.array).max() < 1e-12
        for handle in (viewer, loaded, translation):
            handle.destroy()
    # a triangular lattice with first neighbours: its bulk stiffness is positive, rows sum to 0
    assert np.abs(matrix - matrix.T).max() < 1e-12
    assert np.abs(matrix @ np.tile([1.0, 2.0], 36)).max() < 1e-11
    assert np.linalg.eigvalsh(matrix.toarray())[2] > 0.1
    assert json.loads(call("info", folder / name, "--json")[1])["null_vectors"] == 2


# --- bad calls ------------------------------------------------------------------------------


def spoil(folder, kind):
    """Write a file that import must refuse; return its path."""
    good = triangular()
    path = folder / f"{kind.replace(' ', '_')}.npz"
    x = good.positions.copy()
    changes = {}
    if kind == "missing":
        return path
    if kind == "truncated":
        path.write_bytes((folder / "good.npz").read_bytes()[:500])
        return path
    if kind == "foreign":
        path.write_text("this is a letter to a friend\n")
        return path
    if kind == "empty":
        path.write_bytes(b"")
        return path
    if kind == "NaN":
        x[7, 1] = np.nan
        changes = {"positions": x}
    elif kind == "infinite":
        x[7, 1] = np.inf
        changes = {"positions": x}
    elif kind == "wrong shape":
        changes = {"positions": x.ravel()}
    elif kind == "five dimensions":
        changes = {"positions": np.zeros((36, 5)), "box": np.ones(5)}
    elif kind == "wrong number of species":
        changes = {"species": np.zeros(35, int)}
    elif kind == "wrong species":
        changes = {"species": np.full(36, 2)}
    elif kind == "negative species":
        changes = {"species": np.full(36, -1)}
    elif kind == "negative box":
        changes = {"box": -good.box}
    elif kind == "triclinic":
        changes = {"box": np.array([[7.0, 1.0], [0.0, 6.0]])}
    elif kind == "small box":
        small = triangular(2, 2)
        changes = {"positions": small.positions, "box": small.box, "species": small.species}
    elif kind == "overlap":
        x[7] = x[8] + 1e-3
        changes = {"positions": x}
    elif kind == "no species":
        np.savez(path, positions=x, box=good.box)
        return path
    np.savez(path, **arrays(good, **changes))
    return path


BAD_FILES = {
    "missing": "no such file",
    "truncated": "damaged|truncated",
    "foreign": "npz",
    "empty": "empty",
    "NaN": "NaN",
    "infinite": "infinite",
    "wrong shape": "shape",
    "five dimensions": "shape|dimension",
    "wrong number of species": r"species.*\(35,\)",
    "wrong species": "species",
    "negative species": "species",
    "negative box": "box",
    "triclinic": "triclinic|orthorhombic",
    "small box": "twice the cutoff",
    "overlap": "overlap",
    "no species": "species",
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_import_refuses_bad_files(kind, folder, call):
    output = folder / "out.h5"
    before = set(folder.iterdir())
    path = spoil(folder, kind)
    result = call("import", path, "--model", "ipl_2d", "-o", output, "--json")
    assert_one_line(*result, BAD_FILES[kind])
    assert set(folder.iterdir()) <= before | {path}


READERS = {
    "export": ["-o", "{folder}/out.xyz"],
    "minimize": ["-o", "{folder}/out.h5"],
    "hessian": ["-o", "{folder}/out.npz"],
    "moduli": [],
    "modes": ["--count", "3", "-o", "{folder}/out.h5"],
    "dipoles": ["--count", "3", "-o", "{folder}/out.csv"],
    "info": [],
}


@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize("kind", ["missing", "truncated", "foreign", "folder", "modes of nothing"])
def test_every_verb_refuses_bad_samples(verb, kind, folder, call):
    path = folder / "bad.h5"
    if kind == "truncated":
        path.write_bytes((folder / "good.h5").read_bytes()[:5000])
    elif kind == "foreign":
        path.write_text("42\nno sample at all\n")
    elif kind == "folder":
        path.mkdir()
    elif kind == "modes of nothing":
        import h5py

        with h5py.File(path, "w") as file:
            file["x"] = 1
    before = set(folder.iterdir())
    words = [word.format(folder=folder) for word in READERS[verb]]
    assert_one_line(*call(verb, path, *words), "bad.h5")
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("verb", [verb for verb in READERS if READERS[verb]])
@pytest.mark.parametrize("kind", ["missing folder", "folder is a file", "is a folder"])
def test_outputs_are_checked_first(verb, kind, folder, call):
    """The output is refused before the (missing) input is even looked at."""
    target = {
        "missing folder": folder / "none" / "out",
        "folder is a file": folder / "good.h5" / "out",
        "is a folder": folder / "out",
    }[kind]
    words = [word.replace("{folder}/out", str(target)) for word in READERS[verb]]
    if kind == "is a folder":
        Path(words[-1]).mkdir()
    before = set(folder.rglob("*"))
    assert_one_line(*call(verb, folder / "missing.h5", *words), "cannot write", "folder")
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("verb", ["export", "minimize", "hessian", "dipoles"])
def test_unknown_suffixes_are_refused(verb, folder, call):
    words = [word.format(folder=folder) for word in READERS[verb]]
    words[-1] = str(Path(words[-1]).with_suffix(".foo"))
    assert_one_line(*call(verb, folder / "good.h5", *words), "suffix")


@pytest.mark.parametrize("verb", ["moduli", "modes", "dipoles"])
def test_verbs_that_need_a_minimum_refuse_other_samples(verb, folder, call):
    shaken = triangular()
    rng = np.random.default_rng(1)
    shaken.positions = shaken.positions + 0.02 * rng.standard_normal(shaken.positions.shape)
    shaken.write(folder / "shaken.h5")
    before = set(folder.iterdir())
    words = [word.format(folder=folder) for word in READERS[verb]]
    assert_one_line(*call(verb, folder / "shaken.h5", *words), "minimum", "minimize")
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("verb", ["moduli", "modes", "dipoles"])
def test_saddles_are_refused_with_their_negative_eigenvalues(verb, folder, call):
    """The square lattice is force-free by symmetry; LAPACK counts its unstable modes."""
    from glassmodes.mechanics import hessian
    from glassmodes.mechanics.interactions import find_interactions

    sample = square()
    sample.write(folder / "square.h5")
    values = np.linalg.eigvalsh(hessian.sparse(find_interactions(sample)).toarray())
    negatives = int(np.sum(values < -1e-8 * values[-1]))
    assert negatives > 0
    words = [word.format(folder=folder) for word in READERS[verb]]
    expected = rf"\b{negatives} negative eigenvalue"
    assert_one_line(*call(verb, folder / "square.h5", *words), expected)


@pytest.mark.parametrize("verb", ["minimize", "hessian", "moduli", "modes", "dipoles"])
def test_samples_without_a_model_say_how_to_get_one(verb, folder, call):
    words = [word.format(folder=folder) for word in READERS[verb]]
    assert_one_line(*call(verb, folder / "good.npz", *words), "--model")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a,b\n0,1\n", "header"),
        ("", "empty"),
        ("i,j\n", "no pairs"),
        ("i,j\n0,1.5\n", "whole numbers"),
        ("i,j\n0\n", "whole numbers"),
        ("i,j\n0,99999999999999999999\n", "whole numbers"),
        ("i,j\n0,36\n", "36"),
        ("i,j\n-1,3\n", "-1"),
        ("i,j\n3,3\n", "itself"),
    ],
)
def test_pairs_files_are_checked(content, text, folder, call):
    (folder / "pairs.csv").write_text(content)
    result = call("dipoles", folder / "good.h5", "--pairs", folder / "pairs.csv")
    assert_one_line(*result, text)


# --- measurements ---------------------------------------------------------------------------


def test_moduli_have_the_documented_keys(folder, call):
    code, out, _ = call("moduli", folder / "good.h5", "--json")
    assert code == 0
    found = json.loads(out)
    means = ("shear_modulus", "born_shear_modulus", "non_affine_force_squared_mean")
    assert set(found) >= {"energy_per_particle", "pressure", *means, "by_direction"}
    assert set(found) >= {"bulk_modulus", "elastic_tensor", "max_force"}
    for name in means:
        rows = found["by_direction"][name]
        assert rows[0][0] is None and rows[1][1] is None
        assert found[name] == pytest.approx((rows[0][1] + rows[1][0]) / 2, rel=1e-12, abs=1e-14)
    # a Bravais lattice has no non-affine forces: the shear modulus is the Born modulus
    assert found["shear_modulus"] == pytest.approx(found["born_shear_modulus"], rel=1e-9)
    assert np.shape(found["elastic_tensor"]) == (2, 2, 2, 2)


@pytest.mark.parametrize("count", [9, 37, 39])
def test_modes_of_a_ring_in_closed_form(count, folder, call):
    """A ring of n masses has ω = 2 sin(πk/n), every one twice but the translation (and π)."""
    n = 40
    output = folder / "modes.h5"
    words = ("--count", count, "-o", output, "--json")
    code, out, err = call("modes", folder / "matrix.npz", *words)
    assert code == 0, err
    found = json.loads(out)
    exact = np.sort(2 * np.sin(np.pi * np.arange(1, n) / n))[:count]
    np.testing.assert_allclose(found["frequencies"], exact, rtol=1e-10)
    assert found["zero_modes"] == 1 and found["certified"] is True
    assert found["solver"]["method"] and max(found["residuals"]) < 1e-8
    stored = mode_file(output)
    np.testing.assert_array_equal(stored.frequency, found["frequencies"])
    vectors = stored.vectors[:, :, 0]
    residual = vectors @ chain(n) - stored.frequency[:, None] ** 2 * vectors
    assert np.abs(residual).max() < 1e-8
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(count), atol=1e-10)


def mode_file(path):
    from glassmodes.formats.mode_file import ModeFile

    return ModeFile.read(path)


@pytest.mark.parametrize("suffix", [".npz", ".petsc"])
def test_an_exported_hessian_has_the_modes_of_its_sample(suffix, folder, call):
    """The matrix carries its null vectors; for PETSc the block size must be said again."""
    matrix = folder / f"H{suffix}"
    assert call("hessian", folder / "good.h5", "-o", matrix)[0] == 0
    options = ["--block-size", 2] if suffix == ".petsc" else []
    answers = [
        json.loads(call("modes", *words, "--below", 3.0, "--json")[1])
        for words in ([folder / "good.h5"], [matrix, *options])
    ]
    assert len(answers[0]["frequencies"]) > 2
    np.testing.assert_allclose(*[a["frequencies"] for a in answers], rtol=1e-9)
    assert [a["zero_modes"] for a in answers] == [2, 2]
    # degenerate modes are any rotation of each other: only sums over a multiplet agree
    assert all(0 < e <= 1 for a in answers for e in a["participation_ratios"])
    assert max(answers[0]["frequencies"]) < 3.0 <= answers[0]["complete_below"] * (1 + 1e-9)


@pytest.mark.parametrize("method", ["filtered", "slepc", "dense"])
def test_methods_agree(method, folder, call):
    words = ("modes", folder / "matrix.npz", "--below", 0.5, "--method", method, "--json")
    found = json.loads(call(*words)[1])
    exact = 2 * np.sin(np.pi * np.array([1, 1, 2, 2, 3, 3]) / 40)
    np.testing.assert_allclose(found["frequencies"], exact, rtol=1e-9)


def test_known_null_vectors_can_be_given(folder, call):
    np.save(folder / "null.npy", np.ones(40))
    words = ("modes", folder / "matrix.npz", "--count", 2, "--null-space", folder / "null.npy")
    found = json.loads(call(*words, "--json")[1])
    assert found["zero_modes"] == 1
    np.testing.assert_allclose(found["frequencies"], 2 * np.sin(np.pi / 40), rtol=1e-10)


def test_without_certificate_and_vectors(folder, call):
    output = folder / "modes.h5"
    words = ("--count", 3, "--no-certificate", "--no-vectors", "-o", output, "--json")
    found = json.loads(call("modes", folder / "good.h5", *words)[1])
    assert found["certified"] is False
    assert mode_file(output).vectors is None
    result = call("export", folder / "good.h5", "--modes", output, "-o", folder / "x.xyz")
    assert_one_line(*result, "--vectors")


@pytest.mark.parametrize(("name", "options"), [("x.xyz", []), ("x.data", ["--mode", 2])])
def test_modes_leave_as_displacements(name, options, folder, call):
    """With masses the displacement is the eigenvector over the square root of the mass."""
    sample = triangular()
    sample.masses = 1.0 + np.arange(36) % 4
    sample.species = (np.arange(36) % 4).astype(np.int32)
    sample.model = models.HarmonicSpheres(lengths=np.full((4, 4), 1.3)).spec()
    sample.write(folder / "heavy.h5")
    modes, output = folder / "m.h5", folder / name
    code, _, err = call("modes", folder / "heavy.h5", "--count", 3, "-o", modes)
    assert code == 0, err
    words = ("--modes", modes, *options, "-o", output, "--json")
    code, out, err = call("export", folder / "heavy.h5", *words)
    assert code == 0, err
    assert json.loads(out)["modes"] == (1 if options else 3)
    vector = mode_file(modes).vectors[2] / np.sqrt(sample.masses)[:, None]
    text = output.read_text().splitlines()
    if options:
        start = next(k for k, line in enumerate(text) if line.startswith("Velocities")) + 2
        found = [[float(word) for word in line.split()[1:3]] for line in text[start : start + 36]]
    else:
        found = [[float(word) for word in line.split()[-3:-1]] for line in text[-36:]]
        assert f"frequency={float(mode_file(modes).frequency[2])!r}" in text[-37]
    np.testing.assert_allclose(found, vector, rtol=1e-12)


def test_modes_of_another_sample_are_refused(folder, call):
    triangular(8, 6).write(folder / "other.h5")
    assert call("modes", folder / "other.h5", "--count", 2, "-o", folder / "m.h5")[0] == 0
    words = ("--modes", folder / "m.h5", "-o", folder / "x.xyz")
    assert_one_line(*call("export", folder / "good.h5", *words), "48 particles")
    words = ("--modes", folder / "good.h5", "-o", folder / "x.xyz")
    assert_one_line(*call("export", folder / "good.h5", *words), "no modes")
    assert not (folder / "x.xyz").exists()


@pytest.mark.parametrize(
    ("change", "words", "text"),
    [
        (lambda m: m, ["--count", "41"], "41 modes"),
        (lambda m: m, ["--count", "40"], "40 modes"),
        (lambda m: m[:30], ["--count", "3"], "square"),
        (lambda m: sp.triu(m), ["--count", "3"], "symmetric"),
        (lambda m: -m, ["--count", "3"], "39 negative"),
        (lambda m: m * np.nan, ["--count", "3"], "NaN"),
        (lambda m: m, ["--count", "3", "--block-size", "7"], "blocks of 7"),
        (lambda m: m, ["--count", "3", "--null-space", "{folder}/none.npy"], "no such file"),
        (lambda m: m, ["--count", "3", "--null-space", "{folder}/matrix.npz"], "shape|array"),
    ],
)
def test_matrices_are_checked(change, words, text, folder, call):
    sp.save_npz(folder / "bad.npz", sp.csr_matrix(change(chain(40))))
    words = [word.format(folder=folder) for word in words]
    result = call("modes", folder / "bad.npz", *words, "-o", folder / "m.h5")
    assert_one_line(*result, text)
    assert not (folder / "m.h5").exists()


@pytest.mark.parametrize("suffix", [".npz", ".petsc"])
def test_truncated_matrices_are_refused(suffix, folder, call):
    whole, part = folder / f"H{suffix}", folder / f"part{suffix}"
    assert call("hessian", folder / "good.h5", "-o", whole)[0] == 0
    part.write_bytes(whole.read_bytes()[:6000])
    assert_one_line(*call("modes", part, "--count", 2), "part")


def test_more_modes_than_exist(folder, call):
    """36 particles in 2D have 72 - 2 vibrations."""
    result = call("modes", folder / "good.h5", "--count", 71, "-o", folder / "m.h5")
    assert_one_line(*result, "71 modes", "70")
    assert not (folder / "m.h5").exists()
    assert call("modes", folder / "good.h5", "--count", 70, "-o", folder / "m.h5")[0] == 0
    assert len(mode_file(folder / "m.h5").frequency) == 70


def test_dipoles_of_given_random_and_all_pairs(folder, call):
    """In a periodic cell that is no hexagon the contacts form two classes, by their direction."""
    (folder / "pairs.csv").write_text("i,j,name\n0,1,a\n5,20,b\n")
    good = folder / "good.h5"
    given = json.loads(call("dipoles", good, "--pairs", folder / "pairs.csv", "--json")[1])
    assert given["pairs"] == [[0, 1], [5, 20]]
    output = folder / "d.csv"
    everything = json.loads(call("dipoles", good, "--all", "-o", output, "--json")[1])
    assert len(everything["pairs"]) == 108 == len({tuple(p) for p in everything["pairs"]})
    _, sizes = np.unique(np.round(everything["stiffness"], 8), return_counts=True)
    np.testing.assert_array_equal(np.sort(sizes), [36, 72])
    by_pair = dict(zip(map(tuple, everything["pairs"]), everything["stiffness"], strict=True))
    assert given["stiffness"][0] == pytest.approx(by_pair[0, 1], rel=1e-9)
    assert max(everything["residuals"]) < 1e-8
    words = ("--count", 5, "--seed", 3, "--json")
    first, second = (json.loads(call("dipoles", good, *words)[1]) for _ in range(2))
    assert first == second and len(first["pairs"]) == 5
    table = np.genfromtxt(output, delimiter=",", names=True)
    np.testing.assert_array_equal(table["stiffness"], everything["stiffness"])
    again = json.loads(call("dipoles", good, "--pairs", output, "--json")[1])
    assert again["pairs"] == everything["pairs"]


def test_minimize_brings_a_shaken_sample_back(folder, call):
    shaken = triangular()
    rng = np.random.default_rng(1)
    shaken.positions = shaken.positions + 0.02 * rng.standard_normal(shaken.positions.shape)
    shaken.write(folder / "shaken.h5")
    relaxed = folder / "relaxed.h5"
    code, out, err = call("minimize", folder / "shaken.h5", "-o", relaxed, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["force_ratio"] < 1e-10 and answer["force_free"]
    expected = json.loads(call("info", folder / "good.h5", "--json")[1])["energy_per_particle"]
    assert answer["energy_per_particle"] == pytest.approx(expected, rel=1e-12)
    assert Sample.read(relaxed).provenance["minimisation"]["force_ratio"] < 1e-10


# --- prepare --------------------------------------------------------------------------------

LIQUID = ("--equilibration-time", 1, "--temperature", 2)


def test_prepare_makes_a_glass_at_a_minimum(folder, call):
    output = folder / "glass.h5"
    words = ("--model", "ipl_2d", "--particles", 100, "--seed", 3, *LIQUID)
    code, out, err = call("prepare", *words, "-o", output, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["particles"] == 100 and found["species"] == [50, 50]
    assert found["density"] == pytest.approx(0.86)
    assert found["force_ratio"] < 1e-10
    assert {"equilibration_drift", "pressure", "crystal_order", "force_evaluations"} <= set(found)
    sample = Sample.read(output)
    assert sample.provenance["seed"] == 3
    assert sample.provenance["protocol"]["name"] == "instantaneous_quench"
    assert sample.provenance["evidence"]["energy_per_particle"] == found["energy_per_particle"]
    assert call("moduli", output)[0] == 0
    first = output.read_bytes()
    assert call("prepare", *words, "-o", output)[0] == 0
    assert output.read_bytes() == first, "the same seed gives the same bytes"


def test_prepare_follows_its_options(folder, call):
    output = folder / "glass.h5"
    words = ("--model", "ipl_2d", "--particles", 80, "--seed", 3, "--density", 0.9)
    cooling = ("--final-temperature", 0.5, "--rate", 5, *LIQUID)
    code, _, err = call("prepare", *words, "--protocol", "slow_cooling", *cooling, "-o", output)
    assert code == 0, err
    sample = Sample.read(output)
    assert sample.density == pytest.approx(0.9)
    protocol = sample.provenance["protocol"]
    assert (protocol["final_temperature"], protocol["rate"]) == (0.5, 5)
    assert call("prepare", *words, "--protocol", "random_start", "-o", output)[0] == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--model", "ipl_2"], "did you mean 'ipl_2d'"),
        (["--model", "none.yaml"], "no such file"),
        (["--particles", "4"], "twice the cutoff"),
        (["--dimension", "5"], "5"),
        (["--protocol", "slow_cooling"], "rate"),
        (["--protocol", "random_start", "--temperature", "1"], "temperature"),
        (["--protocol", "slow_coolin"], "'slow_cooling'"),
        (["--model", "harmonic_spheres"], "--temperature"),
        (["--temperature", "0"], "above zero"),
    ],
)
def test_prepare_refuses_bad_calls(words, text, folder, call):
    good = {"--model": "ipl_2d", "--particles": "100", "--seed": "1"}
    good |= dict(zip(words[::2], words[1::2], strict=True))
    words = [word for pair in good.items() for word in pair]
    assert_one_line(*call("prepare", *words, "-o", folder / "out.h5"), text)
    assert not (folder / "out.h5").exists()


def test_prepare_offers_the_protocols_that_exist():
    from glassmodes.cli import prepare
    from glassmodes.preparation.protocols import PROTOCOLS

    assert set(prepare.PROTOCOLS) == set(PROTOCOLS)


# --- as a process ---------------------------------------------------------------------------


def process(*words, **options):
    """Run a command; a hang fails after two minutes.

    The environment is passed on explicitly: MPI in this process adds variables to the one of
    the C library that must not reach another mpiexec.
    """
    words = [str(word) for word in words]
    options = {"env": dict(os.environ), "timeout": 120, **options}
    return subprocess.run(words, capture_output=True, text=True, **options)


PROGRAM = (sys.executable, "-m", "glassmodes")


def full_disk(folder, words):
    """Run the program where `folder` is a file system of 16 kB of its own."""
    script = f"mount -t tmpfs -o size=16k none {folder} && {' '.join(words)}; code=$?; "
    script += f"ls -A {folder} >&2; exit $code"
    return process("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script)


def may_mount(folder):
    try:
        return full_disk(folder, ["true"]).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize(
    "words",
    [
        ["import", "{folder}/big.npz", "--model", "ipl_2d", "-o", "{disk}/out.h5"],
        ["modes", "{folder}/good.h5", "--count", "60", "-o", "{disk}/out.h5"],
        ["hessian", "{folder}/big.h5", "-o", "{disk}/out.npz"],
        ["export", "{folder}/big.h5", "-o", "{disk}/out.xyz"],
    ],
)
def test_a_full_disk_leaves_no_file(words, folder):
    disk = folder / "disk"
    disk.mkdir()
    if not may_mount(disk):
        pytest.skip("no permission to mount a small file system here")
    big = triangular(40, 40)
    big.write(folder / "big.h5")
    np.savez(folder / "big.npz", **arrays(big))
    words = [word.format(folder=folder, disk=disk) for word in words]
    done = full_disk(disk, [*PROGRAM, *words])
    assert_one_line(done.returncode, done.stdout, done.stderr, "disk is full")


@pytest.mark.parametrize(
    ("verb", "name"), [("hessian", "H.npz"), ("hessian", "H.petsc"), ("export", "x.xyz")]
)
def test_a_file_size_limit_leaves_no_file(verb, name, folder, call):
    """A write that falls short, without the permission to mount a small file system."""
    triangular(40, 40).write(folder / "big.h5")
    before = set(folder.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        result = call(verb, folder / "big.h5", "-o", folder / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_one_line(*result, name)
    assert set(folder.iterdir()) == before


def test_a_closed_pipe_ends_quietly(folder):
    """As in `glassmodes modes ... | head -1`, with PETSc loaded."""
    words = [*PROGRAM, "modes", str(folder / "good.h5"), "--count", "3"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_ends_in_one_line(folder):
    """Ctrl-C while a verb waits for its input, here a pipe that nobody writes to."""
    pipe = folder / "pipe.xyz"
    os.mkfifo(pipe)
    words = [*PROGRAM, "import", str(pipe), "--model", "ipl_2d", "-o", str(folder / "S.h5")]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    with open(pipe, "wb"):  # waits until the program has opened it, then reads nothing
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "glassmodes: error: interrupted\n")
    assert not (folder / "S.h5").exists()


def mpiexec(*words, **options):
    beside = Path(sys.executable).with_name("mpiexec")
    launcher = beside if beside.exists() else "mpiexec"
    return process(launcher, "-n", 2, *PROGRAM, *words, **options)


def test_two_ranks_give_one_answer(folder):
    done = mpiexec("modes", folder / "good.h5", "--count", 4, "--json", "--", "-log_view")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["frequencies"]) == 4
    assert "Petsc Release" in done.stderr  # the profile of -log_view, kept off stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["modul"], "'moduli'"),
        (["modes", "{folder}/none.h5", "--count", "3", "-o", "{folder}/m.h5"], "no such file"),
        (["modes", "{folder}/good.h5", "--count", "3", "-o", "{folder}/no/m.h5"], "folder"),
    ],
)
def test_two_ranks_give_one_error(words, text, folder):
    before = set(folder.iterdir())
    done = mpiexec(*[word.format(folder=folder) for word in words])
    assert done.returncode == 2
    assert done.stdout == ""
    ours = [line for line in done.stderr.splitlines() if "glassmodes" in line]
    assert len(ours) == 1 and ours[0].startswith("glassmodes: error: "), done.stderr
    assert text in ours[0]
    assert "Traceback" not in done.stderr
    assert set(folder.iterdir()) == before


def test_two_ranks_print_help_once():
    done = mpiexec("modes", "--help")
    assert done.returncode == 0
    assert done.stdout.count("usage:") == 1
