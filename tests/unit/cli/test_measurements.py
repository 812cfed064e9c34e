"""Verbs that measure: moduli, modes, dipoles; and minimize."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from command_line import assert_one_line, chain, triangular

from glassmodes import models
from glassmodes.sample import Sample


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


@pytest.mark.parametrize("name", ["good.h5", "matrix.npz"])
def test_no_mode_below_the_lowest_is_an_answer(name, folder, call):
    output = folder / "none.h5"
    code, out, err = call("modes", folder / name, "--below", 1e-3, "-o", output, "--json")
    assert code == 0, err
    found = json.loads(out)
    empty = ("frequencies", "participation_ratios", "residuals")
    assert [found[key] for key in empty] == [[], [], []]
    assert found["certified"] and found["complete_below"] >= 1e-3
    stored = mode_file(output)
    assert len(stored.frequency) == len(stored.vectors) == 0
    assert json.loads(call("info", output, "--json")[1])["kind"] == "modes"


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
    assert first.pop("solver")["columns"] == second.pop("solver")["columns"]  # it has its seconds
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
