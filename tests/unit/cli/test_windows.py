"""``glassmodes modes --between``: windows of samples and matrices, slices, and bad calls."""

import json

import numpy as np
import pytest

from glassmodes.formats.mode_file import ModeFile
from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.sample import Sample


@pytest.fixture
def spectrum(folder):
    """All frequencies of the good sample but the translations."""
    matrix = hessian.sparse(find_interactions(Sample.read(folder / "good.h5"))).toarray()
    return np.sqrt(np.sort(np.linalg.eigvalsh(matrix))[2:])


def window_of(spectrum, first, last):
    """Return ends in gaps of a degenerate spectrum, and the frequencies between them."""
    levels = np.unique(np.round(spectrum, 9))
    low, high = ((levels[k - 1] + levels[k]) / 2 for k in (first, last))
    return [float(low), float(high)], spectrum[(spectrum > low) & (spectrum < high)]


@pytest.mark.parametrize("method", ["auto", "filtered", "shift-invert", "dense", "slepc"])
def test_a_window_of_a_sample(folder, call, spectrum, method):
    window, inside = window_of(spectrum, 4, 9)
    words = ["--between", *window, "--method", method, "--json"]
    answer = json.loads(call("modes", folder / "good.h5", *words)[1])
    np.testing.assert_allclose(answer["frequencies"], inside, rtol=1e-9)
    assert answer["certificate"] == "inertia" and answer["certified"]
    assert answer["modes_counted"] == len(inside) > 8
    assert answer["complete_between"] == pytest.approx(window)


def test_slices_are_files_that_join(folder, call, spectrum, tmp_path):
    (low, high), inside = window_of(spectrum, 2, 11)
    parts = []
    for k in range(3):
        output = tmp_path / f"{k}.h5"
        words = ["--between", low, high, "--slices", 3, "--slice", k, "-o", output]
        assert call("modes", folder / "good.h5", *words)[0] == 0
        parts.append(ModeFile.read(output))
    frequency = np.concatenate([part.frequency for part in parts])
    np.testing.assert_allclose(frequency, inside, rtol=1e-9)
    ends = [part.complete_below for part in parts]
    assert [part.complete_above for part in parts[1:]] == pytest.approx(ends[:-1], rel=1e-10)
    assert parts[0].complete_above == pytest.approx(low) and ends[-1] == pytest.approx(high)
    vectors = np.concatenate([part.vectors for part in parts]).reshape(len(inside), -1)
    matrix = hessian.sparse(find_interactions(Sample.read(folder / "good.h5")))
    # Residuals are 1e-8 of the eigenvalues, which are below 400.
    np.testing.assert_allclose(matrix @ vectors.T, vectors.T * frequency**2, atol=4e-6)


def test_a_window_of_a_matrix(folder, call):
    matrix = folder / "matrix.npz"
    every = json.loads(call("modes", matrix, "--count", 30, "--json")[1])["frequencies"]
    (low, high), inside = window_of(np.array(every), 5, 10)
    words = ["--between", low, high, "--certificate", "count", "--json"]
    answer = json.loads(call("modes", matrix, *words)[1])
    np.testing.assert_allclose(answer["frequencies"], inside, rtol=1e-8)
    assert answer["certificate"] == "second start" and not answer["certified"]
    assert answer["modes_counted"] is None


@pytest.mark.parametrize("method", ["auto", "dense"])
def test_without_a_certificate_completeness_is_not_claimed(
    folder, call, spectrum, method, tmp_path
):
    window, inside = window_of(spectrum, 4, 9)
    words = ["--between", *window, "--method", method, "--no-certificate"]
    answer = json.loads(call("modes", folder / "good.h5", *words, "--json")[1])
    np.testing.assert_allclose(answer["frequencies"], inside, rtol=1e-9)
    assert answer["certificate"] == "none" and answer["complete_between"] is None
    assert [answer["cuts"][0], answer["cuts"][-1]] == pytest.approx(window)
    assert call("modes", folder / "good.h5", *words, "-o", tmp_path / "w.h5")[0] == 0
    assert np.isnan(ModeFile.read(tmp_path / "w.h5").complete_below)
    assert json.loads(call("info", tmp_path / "w.h5", "--json")[1])["complete_below"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--between", "2", "1"], "LOW below HIGH"),
        (["--between", "-1", "1"], "above zero"),
        (["--between", "1", "2", "--slice", "0"], "--slices"),
        (["--between", "1", "2", "--slices", "2", "--slice", "2"], "K above 2"),
        (["--count", "3", "--slices", "2"], "--between"),
        (["--count", "3", "--method", "shift-invert"], "--between"),
        (["--between", "1", "2", "--certificate", "inertia", "--no-certificate"], "not allowed"),
        (["--between", "1", "2", "--slices", "1000000"], "--slices 1000000: at most 10000"),
        (["--between", "1", "2", "--slices", "1000"], "1000 slices for about"),
        (["--count", "3", "--between", "1", "2"], "not allowed"),
    ],
)
def test_calls_without_sense_end_in_one_line(folder, call, words, message):
    code, out, err = call("modes", folder / "good.h5", *words)
    assert code == 2 and not out
    assert message in err and err.count("\n") == 1
