"""Bad calls end in one line on stderr, exit code 2 and no output file."""

from pathlib import Path

import numpy as np
import pytest
from command_line import arrays, assert_one_line, square, triangular


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
    "dos": ["--resolution", "1", "-o", "{folder}/out.csv"],
    "correlator": ["--resolution", "1", "-o", "{folder}/out.csv"],
    "viscoelastic": ["--damping", "1", "--times", "1,9,3", "-o", "{folder}/out.csv"],
    "info": [],
}
SPECTRAL = ["dos", "correlator", "viscoelastic"]


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


@pytest.mark.parametrize(
    "words",
    [
        *(["moduli"], ["modes", "--count", 1], ["modes", "--below", 1], ["dipoles", "--all"]),
        *(["dos"], ["correlator"], ["viscoelastic", "--damping", 1, "--times", "1,9,3"]),
    ],
    ids=["moduli", "count", "below", "dipoles", *SPECTRAL],
)
def test_a_gas_is_refused(words, folder, call):
    gas = triangular()
    gas.positions, gas.box = 3.0 * gas.positions, 3.0 * gas.box
    gas.write(folder / "gas.h5")
    assert_one_line(*call(words[0], folder / "gas.h5", *words[1:]), "no two of the 36")


@pytest.mark.parametrize("verb", ["import", "modes", "dipoles", "link"])
def test_an_input_is_not_overwritten_by_something_else(verb, folder, call):
    sample, pairs, link = folder / "good.h5", folder / "pairs.csv", folder / "link.h5"
    pairs.write_text("i,j\n0,1\n")
    link.symlink_to(sample)
    words = {
        "import": ["import", sample, "-o", sample],
        "modes": ["modes", sample, "--count", 2, "-o", sample],
        "dipoles": ["dipoles", sample, "--pairs", pairs, "-o", pairs],
        "link": ["modes", sample, "--count", 2, "-o", link],
    }[verb]
    before = sample.read_bytes(), pairs.read_text()
    assert_one_line(*call(*words), "it is an input")
    assert (sample.read_bytes(), pairs.read_text()) == before


@pytest.mark.parametrize("verb", ["export", "minimize", "hessian", "dipoles", *SPECTRAL])
def test_unknown_suffixes_are_refused(verb, folder, call):
    words = [word.format(folder=folder) for word in READERS[verb]]
    words[-1] = str(Path(words[-1]).with_suffix(".foo"))
    assert_one_line(*call(verb, folder / "good.h5", *words), "suffix")


@pytest.mark.parametrize("verb", ["moduli", "modes", "dipoles", *SPECTRAL])
def test_verbs_that_need_a_minimum_refuse_other_samples(verb, folder, call):
    shaken = triangular()
    rng = np.random.default_rng(1)
    shaken.positions = shaken.positions + 0.02 * rng.standard_normal(shaken.positions.shape)
    shaken.write(folder / "shaken.h5")
    before = set(folder.iterdir())
    words = [word.format(folder=folder) for word in READERS[verb]]
    assert_one_line(*call(verb, folder / "shaken.h5", *words), "minimum", "minimize")
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("verb", ["moduli", "modes", "dipoles", *SPECTRAL])
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


@pytest.mark.parametrize("verb", ["minimize", "hessian", "moduli", "modes", "dipoles", *SPECTRAL])
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
