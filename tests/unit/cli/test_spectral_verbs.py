"""dos, correlator and viscoelastic: their keys, their laws against LAPACK, and bad calls."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from command_line import assert_one_line, chain
from networks import DenseResponse, floppy_network
from scipy.integrate import trapezoid

GRIDS = ("--frequencies", "1e-4,1e4,33", "--times", "1e-3,1e6,31")
VERBS = {
    "dos": ["--resolution", "0.5"],
    "correlator": ["--resolution", "0.5", "--strain", "xy"],
    "viscoelastic": ["--damping", "10", *GRIDS, "--strain", "xy"],
}
KEYS = {
    "dos": {"frequency", "density", "vibrations", "error", "max_frequency"},
    "correlator": {"frequency", "density_times_correlator", "correlator", "moments"},
    "viscoelastic": {
        *("frequency", "storage_modulus", "loss_modulus", "affine_modulus", "static_modulus"),
        *("non_affine_force_squared_mean", "time", "relaxation_modulus"),
    },
}


@pytest.fixture(params=("glass", "network"))
def sample(request, glass_3d):
    return glass_3d if request.param == "glass" else floppy_network("fcc", 2, 0.55)


@pytest.fixture
def path(folder, sample):
    sample.write(folder / "sample.h5")
    return folder / "sample.h5"


@pytest.fixture
def answer(call):
    def run(*words):
        code, out, err = call(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_keys(verb, path, answer):
    assert KEYS[verb] <= set(answer(verb, path, *VERBS[verb]))


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_call_gives_the_same_numbers(verb, path, answer):
    assert answer(verb, path, *VERBS[verb]) == answer(verb, path, *VERBS[verb])


def test_density_integrates_to_one_over_the_vibrations(path, sample, answer):
    exact = DenseResponse(sample)
    found = answer("dos", path, "--resolution", 0.2)
    assert trapezoid(found["density"], found["frequency"]) == pytest.approx(1, abs=1e-3)
    assert found["vibrations"] == exact.vibrations
    assert found["zero_modes"] == exact.zero_modes
    assert found["zero_modes_method"] == ("inertia" if sample.bonds is not None else "translations")
    top = np.sqrt(exact.eigenvalues[-1])
    assert found["max_frequency"] == pytest.approx(top, rel=1e-5)
    # moments of ω² of the density: trace of D/n, within the noise of 16 vectors and the width
    w, density, error = (np.array(found[name]) for name in ("frequency", "density", "error"))
    second = trapezoid(w**2 * density, w)
    noise = trapezoid(w**2 * error, w)
    assert second == pytest.approx(exact.eigenvalues.mean(), abs=3 * noise + 0.2**2)


def test_more_vectors_bring_the_error_down(path, answer):
    few, many = (answer("dos", path, *VERBS["dos"], "--vectors", k, "--seed", 3) for k in (4, 64))
    ratio = np.linalg.norm(few["error"]) / np.linalg.norm(many["error"])
    assert 2 < ratio < 8  # 4, and the error of the first is known to 1/sqrt(6)


def test_soft_modes_are_spliced_in(path, sample, answer):
    exact = np.sqrt(DenseResponse(sample).eigenvalues)
    edge = (exact[4] + exact[5]) / 2
    found = answer("dos", path, "--resolution", 0.2, "--exact-below", edge)
    assert found["exact_modes"] == 5
    assert trapezoid(found["density"], found["frequency"]) == pytest.approx(1, abs=1e-3)


def test_matrix_and_sample_have_the_same_density(path, folder, answer):
    """The matrix has another order of particles, so other random vectors."""
    matrix = folder / "H.petsc"
    answer("hessian", path, "-o", matrix)
    words = ("--resolution", 0.5, "--vectors", 32)
    first, second = answer("dos", path, *words), answer("dos", matrix, *words)
    assert second["vibrations"] == first["vibrations"]
    w = np.array(first["frequency"])
    other = np.interp(w, second["frequency"], second["density"])
    noise = np.hypot(first["error"], np.interp(w, second["frequency"], second["error"]))
    difference = np.abs(np.array(first["density"]) - other)
    assert trapezoid(difference, w) < 2 * trapezoid(noise, w)


def test_a_foreign_matrix_without_null_vectors(folder, answer):
    """A ring of 40 springs: one zero mode, found by inertia; D is even steps in arcsin."""
    for options in ([], ["--null-space", folder / "null.npy"]):
        np.save(folder / "null.npy", np.ones(40))
        found = answer("dos", folder / "matrix.npz", "--resolution", 0.1, *options)
        assert found["zero_modes"] == 1 and found["vibrations"] == 39
        assert trapezoid(found["density"], found["frequency"]) == pytest.approx(1, abs=1e-3)
        assert found["max_frequency"] == pytest.approx(2, rel=1e-6)


def test_moments_and_products_of_the_correlator(path, sample, answer):
    exact = DenseResponse(sample)
    found = answer("correlator", path, "--resolution", 0.2, "--strain", "xz")
    weight = exact.weights("xz")
    assert set(found["moments"]) == {"-1", "0", "1"}
    for power, value in found["moments"].items():
        # moment -1 to the tolerance of Lanczos, 1e-6 of V G_A, the others to round-off
        expected = np.sum(weight * exact.eigenvalues ** int(power))
        slack = 1e-6 * exact.volume * exact.affine("xz") if power == "-1" else 1e-9 * expected
        assert value == pytest.approx(expected, abs=slack)
    w, product = np.array(found["frequency"]), np.array(found["density_times_correlator"])
    assert product.min() > -1e-12 * product.max()
    n = exact.vibrations
    assert trapezoid(product, w) == pytest.approx(weight.sum() / n, rel=1e-3)
    # one kernel broadens both: Γ D is the product wherever Γ is known
    known = np.array([value is not None for value in found["correlator"]])
    gamma = np.array([value or 0.0 for value in found["correlator"]])
    again = gamma * np.array(found["density"])
    np.testing.assert_allclose(again[known], product[known], rtol=1e-12)
    inside = w <= found["max_frequency"]
    assert known[inside].mean() > 0.8
    assert not known[~inside].any()


def test_moduli_are_those_of_all_eigenvectors(path, sample, answer):
    exact = DenseResponse(sample)
    found = answer("viscoelastic", path, *VERBS["viscoelastic"])
    w, t = np.array(found["frequency"]), np.array(found["time"])
    assert (w[0], w[-1], len(w)) == (1e-4, 1e4, 33) and (t[0], t[-1], len(t)) == (1e-3, 1e6, 31)
    modulus = exact.complex_modulus("xy", w, 10.0)
    atol = 2e-6 * found["affine_modulus"]  # the tolerance is an estimate
    np.testing.assert_allclose(found["storage_modulus"], modulus.real, rtol=0, atol=atol)
    np.testing.assert_allclose(found["loss_modulus"], modulus.imag, rtol=0, atol=atol)
    relaxed = exact.relaxation("xy", t, 10.0)
    np.testing.assert_allclose(found["relaxation_modulus"], relaxed, rtol=0, atol=atol)
    moduli = answer("moduli", path)
    by_direction = moduli["by_direction"]
    for ours, theirs in (
        ("static_modulus", "shear_modulus"),
        ("affine_modulus", "born_shear_modulus"),
        ("non_affine_force_squared_mean", "non_affine_force_squared_mean"),
    ):
        assert found[ours] == pytest.approx(by_direction[theirs][0][1], abs=atol)


@pytest.mark.parametrize("verb", VERBS)
def test_tables(verb, path, folder, answer):
    found = answer(verb, path, *VERBS[verb], "-o", folder / "table.csv")
    table = np.genfromtxt(folder / "table.csv", delimiter=",", names=True)
    for name in table.dtype.names:
        column = np.array(found[name], float)  # null becomes NaN
        np.testing.assert_array_equal(table[name][: len(column)], column)
        assert np.all(np.isnan(table[name][len(column) :]))


GOOD = ["--damping", "1", *GRIDS]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["viscoelastic", *GRIDS], "--damping"),
        (["viscoelastic", "--damping", "1"], "--frequencies or --times"),
        *((["viscoelastic", *GRIDS, "--damping", x], "above zero") for x in ("0", "-3", "nan")),
        (["viscoelastic", *GOOD, "--tolerance", "2"], "tolerance"),
        *(
            (["viscoelastic", *GOOD, "--strain", name], "unknown strain")
            for name in ("x", "xw", "xyz", "ab", "")
        ),
        (["correlator", "--strain", "zq"], "unknown strain"),
        *(
            (["viscoelastic", "--damping", "1", option, value], "MIN,MAX,POINTS")
            for option in ("--frequencies", "--times")
            for value in ("1,2", "2,1,5", "0,1,5", "1,2,1", "1,2,x", "nan,1,5", "1,inf,5")
        ),
        (["viscoelastic", "--damping", "1", "--times", "1,2,9999999"], "points"),
        (["viscoelastic", "--damping", "1", "--times=-1,1,5"], "MIN,MAX,POINTS"),
        (["dos", "--frequencies", "3,2,5"], "MIN,MAX,POINTS"),
        (["dos", "--resolution", "0"], "above zero"),
        *((["dos", "--resolution", x], "choose one between") for x in ("1e-9", "1e9")),
        (["dos", "--vectors", "1"], "from 2 to"),
        (["dos", "--vectors", "100000000000"], "from 2 to"),
        (["dos", "--seed", str(2**64)], "from 0 to 2"),
        (["correlator", "--seed", str(2**64)], "from 0 to 2"),
        (["viscoelastic", "--damping", "1e200", "--times", "1,2,3"], r"1e\+100"),
        (["viscoelastic", "--damping", "1", "--frequencies", "1,1e200,3"], r"1e\+100"),
        (["viscoelastic", "--damping", "1", "--times", "1e-200,1,3"], "1e-100"),
        (["dos", "--null-space", "x.npy"], "--null-space is for matrices"),
    ],
)
def test_bad_calls(words, text, folder, call, glass_3d):
    glass_3d.write(folder / "sample.h5")
    output = folder / "out.csv"
    assert_one_line(*call(words[0], folder / "sample.h5", *words[1:], "-o", output), text)
    assert not output.exists()


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        (lambda m: -m, [], "39 negative"),
        (lambda m: m - 0.02 * sp.identity(40), [], "1 negative"),
        (lambda m: 0 * m, [], "no eigenvalue beside zero"),
        (lambda m: m[:30], [], "square"),
        (lambda m: sp.triu(m), [], "symmetric"),
        (lambda m: m * np.nan, [], "NaN"),
        (lambda m: m[:0, :0], [], "empty"),
        (lambda m: m * (1 + 1j), [], "real matrix"),
        (lambda m: m, ["--null-space", "{folder}/wrong.npy"], "null vectors"),
    ],
)
def test_bad_matrices(change, options, text, folder, call):
    np.save(folder / "wrong.npy", np.arange(40.0))
    sp.save_npz(folder / "bad.npz", sp.csr_matrix(change(chain(40))))
    words = [word.format(folder=folder) for word in options]
    assert_one_line(*call("dos", folder / "bad.npz", "--resolution", 0.1, *words), text)
