"""Potentials: derivatives, cutoffs, published constants, an independent code, storage."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from glassmodes import models
from glassmodes.errors import InputError
from glassmodes.sample import Sample

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def tabulated_kob_andersen(columns=("phi",), rows=1500):
    source = models.named("mblj")
    tables = []
    for i, j in ((0, 0), (0, 1), (1, 1)):
        cutoff = source.lengths[i, j] * source.cutoffs[i, j]
        r = np.linspace(0.75 * source.lengths[i, j], cutoff, rows)
        inside = np.append(r[:-1], np.nextafter(cutoff, 0))
        values = source.derivatives(inside, *np.full((2, rows), [[i], [j]]), order=1)
        table = {"pair": [i, j], "r": r.tolist(), "phi": values[0].tolist()}
        if "dphi" in columns:
            table["dphi"] = values[1].tolist()
        tables.append(table)
    return models.TabulatedPotential(tables=tables)


POTENTIALS = {
    name: model
    for name in models.known_models()
    if isinstance(model := models.named(name), models.PairPotential)
}
POTENTIALS["energy_shifted"] = models.LennardJones(
    lengths=1.0, cutoffs=2.5, truncation="energy_shifted"
)
POTENTIALS["smooth_7"] = models.InversePowerLaw(
    exponent=18, smoothing=7, lengths=[[1.0, 0.9], [0.9, 1.3]], cutoffs=1.6, energies=2.5
)
POTENTIALS["tabulated"] = tabulated_kob_andersen()
POTENTIALS["tabulated_forces"] = tabulated_kob_andersen(("phi", "dphi"))


@pytest.mark.parametrize("name", POTENTIALS)
def test_each_derivative_is_the_derivative_of_the_one_before(name):
    potential = POTENTIALS[name]
    rng = np.random.default_rng(3)
    pairs = 200
    i, j = rng.integers(0, potential.n_species, (2, pairs))
    diameters = 1 + 0.3 * rng.random((2, pairs))
    length, _, cutoff = potential.pair_parameters(i, j, *diameters)
    r = length * (0.85 + rng.random(pairs) * 0.6 * (cutoff - 0.85))
    h = 1e-3 * length
    shifts = np.array([-2, -1, 1, 2])
    weights = np.array([1, -8, 8, -1]) / 12  # fourth-order central difference
    around = [potential.derivatives(r + k * h, i, j, *diameters, order=4) for k in shifts]
    numeric = sum(w * a for w, a in zip(weights, around, strict=True)) / h
    exact = potential.derivatives(r, i, j, *diameters, order=4)
    for k in range(4):
        # the last term is for derivatives that are exactly 0: rounding of the difference
        scale = np.abs(exact[k + 1]).max() + 1e-6 * np.abs(exact[k]).max()
        # Truncation (h/x)^4 times six further derivatives of x^-18 is 1e-7; the splines'
        # fourth derivative is piecewise linear with kinks, seen at h / spacing.
        tolerance = 2e-2 if name.startswith("tabulated") and k == 3 else 2e-6
        assert np.abs(numeric[k] - exact[k + 1]).max() <= tolerance * scale, k


@pytest.mark.parametrize("name", POTENTIALS)
def test_nothing_beyond_the_cutoff_and_symmetric_in_the_species(name):
    potential = POTENTIALS[name]
    s = range(potential.n_species)
    for i in s:
        for j in s:
            a, b = np.array([i]), np.array([j])
            one = np.array([1.1]), np.array([1.3])
            length, _, cutoff = potential.pair_parameters(a, b, *one)
            for factor in (1.0, 1.5, 1e6):
                r = length * cutoff * factor
                r = np.maximum(r, np.nextafter(length * cutoff, np.inf))
                assert not potential.derivatives(r, a, b, *one, order=4).any()
            r = length * 0.9
            forth = potential.derivatives(r, a, b, *one, order=4)
            back = potential.derivatives(r, b, a, *one[::-1], order=4)
            assert np.array_equal(forth, back) and forth[:3].any()


@pytest.mark.parametrize(
    ("n", "q", "cutoff"), [(10, 3, 1.48), (10, 3, 1.4), (12, 2, 1.25), (12, 1, 1.25), (18, 6, 1.7)]
)
def test_inverse_power_law_is_smooth_to_order_q_and_no_further(n, q, cutoff):
    potential = models.InversePowerLaw(exponent=n, smoothing=q, lengths=1.0, cutoffs=cutoff)
    at_cutoff = potential.radial(np.array([cutoff]), np.array([cutoff]), q + 1)[:, 0]
    unsmoothed = np.abs(models.potential.power(np.array([cutoff]), -n, q + 1)[:, 0])
    # q + 2 terms cancel, the largest (q = 6) 1e4 times x^-n: rounding 1e4 times 1e-16, amplified
    # tenfold by the derivatives of x^2q
    assert np.all(np.abs(at_cutoff[: q + 1]) < 1e-10 * unsmoothed[: q + 1])
    assert abs(at_cutoff[q + 1]) > 0.1 * unsmoothed[q + 1]


@pytest.mark.parametrize(
    ("n", "q", "cutoff", "published"),
    [
        (10, 3, 1.48, (-1.1106337662511798, 1.2676152372297065, -0.4960406072849212,
                       0.0660511826415732)),
        (10, 3, 1.40, (-1.936010329882036, 2.469400930971986, -1.079912943573755,
                       0.1607013308889516)),
        (12, 2, 1.25, (-28 / 1.25**12, 48 / 1.25**14, -21 / 1.25**16)),
        (12, 1, 1.25, (-0.481036337152, 0.26388279066624)),
        (12, 3, 1.25, (-5.772436045824, 9.49978046398464, -5.319877059831398, 1.008806316530991)),
    ],
)  # fmt: skip
def test_smoothing_constants_of_published_codes(n, q, cutoff, published):
    potential = models.InversePowerLaw(exponent=n, smoothing=q, lengths=1.0, cutoffs=cutoff)
    # the published values carry 15 to 16 digits
    assert np.allclose(potential.coefficients(cutoff), published, rtol=3e-15, atol=0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ipl_3d", (0.7269920463, -9.052624859, 108.5642787)),
        ("poly_3d", (0.6141789884, -8.416641927, 106.8008865)),
        ("nbc_3d", (0.5958195256, -10.14226515, 153.1289552)),
    ],
)
def test_values_at_unit_distance(name, values):
    found = models.named(name).reduced(0, 0, np.array([1.0]), 2)[:, 0]
    assert np.allclose(found, values, rtol=1e-9, atol=0)  # quoted to ten digits


def test_force_shift_constants_of_the_modified_mixture():
    potential = models.named("mblj")
    plain = models.LennardJones(
        lengths=potential.lengths, energies=potential.energies, cutoffs=1000.0
    )
    published = {
        (0, 0): (1.5, -0.320336594279, 1.158028831046),
        (0, 1): (2.0, -0.024475336704, 0.073124020224),
        (1, 1): (1.5, -0.078216953599, 0.299569795548),
    }
    for (i, j), (cutoff, energy, slope) in published.items():
        labels = np.array([i, i]), np.array([j, j])
        r = np.array([1.1, 1.2]) * potential.lengths[i, j]
        shifted = potential.derivatives(r, *labels, order=2)
        bare = plain.derivatives(r, *labels, order=2)
        expected = bare[0] - energy - (r - cutoff) * slope
        # cutting at 1000 sigma leaves 4e-17; the constants have twelve decimals
        assert np.allclose(shifted[0], expected, rtol=0, atol=2e-12)
        assert np.allclose(shifted[1], bare[1] - slope, rtol=0, atol=2e-12)
        assert np.allclose(shifted[2], bare[2], rtol=1e-13)


def test_energy_shifted_lennard_jones_has_its_minimum_where_the_textbook_says():
    potential = POTENTIALS["energy_shifted"]
    value, slope, curvature = potential.reduced(0, 0, np.array([2 ** (1 / 6)]), 2)[:, 0]
    assert value == pytest.approx(-1 + 0.016316891136, abs=1e-12)
    assert abs(slope) < 1e-13
    assert curvature == pytest.approx(72 / 2 ** (1 / 3), rel=1e-13)


def test_against_matscipy():
    calculators = pytest.importorskip("matscipy.calculators.pair_potential")
    r = np.linspace(0.8, 2.4, 50)
    zero = np.zeros(50, dtype=int)
    peer = calculators.LennardJonesCut(1.0, 1.0, 2.5)
    ours = POTENTIALS["energy_shifted"].derivatives(r, zero, zero, order=2)
    for mine, theirs in zip(ours, (peer, peer.first_derivative, peer.second_derivative)):  # noqa: B905
        assert np.allclose(mine, theirs(r), rtol=1e-12, atol=1e-12)


def test_against_matscipy_polydisperse():
    calculators = pytest.importorskip("matscipy.calculators.polydisperse")
    potential = models.named("poly_3d")
    rng = np.random.default_rng(0)
    first, second = 1 + 1.2 * rng.random((2, 60))
    peer = calculators.InversePowerLawPotential(1.0, 1.4, 0.1, 3, 1.0, 2.22)
    length = peer.mix_sizes(first, second)
    r = length * (0.85 + 0.5 * rng.random(60))
    zero = np.zeros(60, dtype=int)
    ours = potential.derivatives(r, zero, zero, first, second, order=2)
    assert np.allclose(potential.pair_parameters(zero, zero, first, second)[0], length, rtol=1e-15)
    theirs = peer(r, length), peer.first_derivative(r, length), peer.second_derivative(r, length)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.allclose(mine, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("columns", [("phi",), ("phi", "dphi")])
def test_tables_reproduce_the_potential_they_were_made_from(columns):
    table, source = tabulated_kob_andersen(columns), models.named("mblj")
    rng = np.random.default_rng(1)
    i, j = rng.integers(0, 2, (2, 300))
    length, _, cutoff = source.pair_parameters(i, j)
    r = length * (0.9 + rng.random(300) * (cutoff - 0.9))
    exact, found = source.derivatives(r, i, j, order=4), table.derivatives(r, i, j, order=4)
    # spacing h = 0.001 of a length over which the potential changes by 1/12: the spline's error
    # is (12 h)^6, and each derivative loses a power of 12 h
    for k, tolerance in enumerate((1e-10, 1e-9, 1e-7, 1e-5, 1e-2)):
        assert np.abs(found[k] - exact[k]).max() < tolerance * np.abs(exact[k]).max(), k


def test_table_continues_as_a_parabola_below_its_first_row():
    table = tabulated_kob_andersen()
    start = table.tables[0]["r"][0]
    zero = np.zeros(3, dtype=int)
    inside = table.derivatives(np.full(3, start), zero, zero, order=2)[:, 0]
    below = table.derivatives(start - np.array([0.1, 0.2, 0.3]), zero, zero, order=4)
    step = np.array([0.1, 0.2, 0.3])
    assert np.allclose(below[0], inside[0] - inside[1] * step + inside[2] * step**2 / 2)
    assert np.allclose(below[1], inside[1] - inside[2] * step)
    assert not below[3:].any()


@pytest.mark.parametrize("name", POTENTIALS)
def test_specification_rebuilds_the_same_potential(name):
    potential = POTENTIALS[name]
    spec = json.loads(json.dumps(potential.spec()))
    again = models.from_spec(spec)
    assert again.spec() == spec and type(again) is type(potential)
    r = np.linspace(0.8, 1.4, 20)
    labels = np.full((2, 20), potential.n_species - 1)
    sizes = np.full((2, 20), 1.2)
    before = potential.derivatives(r, *labels, *sizes, order=4)
    assert np.array_equal(again.derivatives(r, *labels, *sizes, order=4), before)


@pytest.mark.parametrize("name", sorted(set(POTENTIALS) & set(models.known_models())))
def test_named_models_have_a_state_point_that_fits_them(name):
    model = models.named(name)
    defaults = model.defaults
    n = 100
    species = np.repeat(np.arange(len(defaults.composition)), n)
    diameters = None
    if defaults.diameters is not None:
        diameters = defaults.diameters.quantiles(len(species))
    positions = np.zeros((len(species), defaults.dimension))
    sample = Sample(positions, np.ones(defaults.dimension), species, diameters)
    model.check(sample)
    assert model.name == name and 0 < model.interaction_range(sample) < 4
    suffix = re.search(r"_(\d)d$", name)
    assert suffix is None or int(suffix[1]) == defaults.dimension


def test_diameters_of_the_swap_model_have_unit_mean_and_the_published_spread():
    diameters = models.named("nbc_3d").defaults.diameters.quantiles(200_000)
    assert diameters.mean() == pytest.approx(1, abs=1e-6)  # quantiles: error ~ 1/N
    assert diameters.std() == pytest.approx(0.2289, abs=1e-4)  # quoted as 22.89 %
    assert diameters.min() >= 0.72533 - 1e-5 and diameters.max() <= 1.60950 + 1e-5
    poly = models.named("poly_3d").defaults.diameters.quantiles(200_000)
    assert poly.mean() == pytest.approx(1.3789, abs=1e-4)
    u = (np.arange(50) + 0.5) / 50
    closed = (1 - u * (1 - 2.22**-2)) ** -0.5
    assert np.allclose(models.named("poly_3d").defaults.diameters.quantiles(50), closed, rtol=1e-14)


def test_range_is_the_largest_distance_at_which_any_pair_interacts():
    rng = np.random.default_rng(2)
    diameters = 1 + 1.2 * rng.random(40)
    i, j = np.triu_indices(40)
    model = models.named("poly_3d")
    sample = Sample(rng.random((40, 3)), np.ones(3), diameters=diameters)
    zero = np.zeros(len(i), dtype=int)
    length, _, cutoff = model.pair_parameters(zero, zero, diameters[i], diameters[j])
    assert model.interaction_range(sample) == pytest.approx((length * cutoff).max(), rel=1e-15)
    binary = models.named("ipl_2d")
    small = Sample(rng.random((4, 2)), np.ones(2), species=np.zeros(4))
    assert binary.interaction_range(small) == pytest.approx(1.48, rel=1e-15)


def test_wrong_samples_are_refused():
    positions = np.zeros((4, 3))
    with pytest.raises(InputError, match="species 2 but the model ipl_3d knows the species 0 to 1"):
        models.named("ipl_3d").check(Sample(positions, np.ones(3), species=[0, 1, 2, 0]))
    with pytest.raises(InputError, match="needs diameters"):
        models.named("poly_3d").check(Sample(positions, np.ones(3)))
    with pytest.raises(InputError, match="unit of length"):
        sizes = [1.0, 100.0, 1.0, 1.0]
        models.named("poly_3d").check(Sample(positions, np.ones(3), diameters=sizes))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: models.named("ipl_3"), "did you mean 'ipl_3d'"),
        (lambda: models.from_spec({}), "carries no model"),
        (lambda: models.from_spec({"class": "InversePowrLaw"}), "did you mean 'InversePowerLaw'"),
        (lambda: models.from_spec({"klass": "x"}), "did you mean 'class'"),
        (lambda: models.from_spec({"class": "os:path"}), "GLASSMODES_TRUSTED_MODELS=os"),
        (lambda: models.from_spec({"class": "no_such_module:X"}), "may not load code by itself"),
        (lambda: ipl(exponents=10), "did you mean 'exponent'"),
        (lambda: models.from_spec({"class": "InversePowerLaw"}), "needs the constant"),
        (lambda: ipl(exponent=11), "even"),
        (lambda: ipl(exponent="10"), "expected a number"),
        (lambda: ipl(smoothing=-1), ">= 0"),
        (lambda: ipl(cutoffs=-1.0), "must be positive"),
        (lambda: ipl(cutoffs=float("nan")), "NaN"),
        (lambda: ipl(lengths=[[1, 2], [3, 1]]), "not symmetric"),
        (lambda: ipl(lengths=[1, 2]), "square matrix"),
        (lambda: ipl(lengths=None), "either lengths or non_additivity"),
        (lambda: ipl(lengths=np.eye(2) + 1, energies=np.eye(3)), "for 2 species"),
        (lambda: models.LennardJones(lengths=1.0), "cutoffs"),
        (
            lambda: models.LennardJones(lengths=1.0, cutoffs=2.5, truncation="force_shift"),
            "did you mean 'force_shifted'",
        ),
        (lambda: models.HarmonicSpheres(lengths=1.0, exponent=1.5), ">= 2"),
        (lambda: models.TabulatedPotential(tables=[]), "one table per pair"),
        (lambda: table(r=[1.0, 2.0], phi=[1.0, 0.0]), "rows"),
        (lambda: table(r=list(range(20, 0, -1))), "ascend"),
        (lambda: table(phi=[float("nan")] * 20), "NaN"),
        (lambda: table(dphi=[1.0] * 20), "not the derivative"),
        (lambda: table(pair=[0, 1]), "no table is given for the pair of species [0, 0]"),
        (lambda: table(phy=[1.0]), "did you mean 'phi'"),
    ],
)  # fmt: skip
def test_errors_name_the_constant_and_the_nearest_name(build, words):
    with pytest.raises(InputError) as caught:
        build()
    assert words in str(caught.value) and "\n" not in str(caught.value)


def ipl(**changes):
    constants = {"exponent": 10, "smoothing": 3, "lengths": 1.0, "cutoffs": 1.48} | changes
    return models.from_spec({"class": "InversePowerLaw", "constants": constants})


def table(**changes):
    r = np.linspace(1.0, 2.0, 20)
    content = {"pair": [0, 0], "r": r.tolist(), "phi": ((2 - r) ** 3).tolist()} | changes
    return models.TabulatedPotential(tables=[content])


def test_model_file_equals_the_named_model(tmp_path):
    spec = models.named("ipl_2d").spec()
    spec["defaults"] = {"dimension": 2, "density": 0.86, "composition": [0.5, 0.5]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(spec))
    model = models.resolve(tmp_path / "mine.yaml")
    assert model.spec() == models.resolve("ipl_2d").spec()
    assert model.defaults.density == 0.86 and model.defaults.composition == (0.5, 0.5)


def test_model_file_reads_tables_beside_it(tmp_path):
    r = np.linspace(0.8, 2.0, 200)
    np.savetxt(tmp_path / "phi.txt", np.column_stack([r, (2 - r) ** 4]), fmt="%.17g")
    text = "class: TabulatedPotential\nconstants: {tables: [{pair: [0, 0], file: phi.txt}]}\n"
    (tmp_path / "soft.yaml").write_text(text)
    model = models.from_yaml(tmp_path / "soft.yaml")
    x = np.array([1.0, 1.7])
    zero = np.zeros(2, dtype=int)
    # a polynomial of degree 4 is its own quintic spline; derivatives amplify rounding by 1/h
    values = model.derivatives(x, zero, zero, order=2)
    assert np.allclose(values, [(2 - x) ** 4, -4 * (2 - x) ** 3, 12 * (2 - x) ** 2], atol=1e-10)
    (tmp_path / "phi.txt").unlink()
    assert models.from_spec(model.spec()).spec() == model.spec()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clas: InversePowerLaw", "did you mean 'class'"),
        ("class: InversePowerLaw\nconstants: {exponent: 10, smoothing: 3, cutof: 1}", "'cutoffs'"),
        ("class: LennardJones\nconstants: {lengths: 1, cutoffs: 2}\ndefaults: {densty: 1}",
         "'density'"),
        ("class: LennardJones\nconstants: {lengths: 1, cutoffs: 2}\n"
         "defaults: {dimension: 3, density: 1, composition: [0.5, 0.5]}", "for 2 species"),
        ("class: [1", "not valid YAML"),
        ("- a list", "holds no model"),
        ("class: {a: 1}", "unknown model class"),
        ("class: TabulatedPotential\nconstants: {tables: [{pair: [0, 0], file: no.txt}]}",
         "no such file"),
    ],
)  # fmt: skip
def test_bad_model_files_are_one_line(tmp_path, text, words):
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        models.from_yaml(tmp_path / "m.yaml")
    message = str(caught.value)
    assert words in message and "m.yaml" in message and "\n" not in message


def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch):
    """A potential of one's own is one class and one file: the page's blocks, word by word."""
    page = PAGE.read_text()
    blocks = dict(re.findall(r"<!-- file: (\S+) -->\n+```\w+\n(.*?)```", page, re.DOTALL))
    for name, content in blocks.items():
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = models.from_yaml(tmp_path / "yukawa.yaml")
    monkeypatch.delitem(sys.modules, "yukawa")
    r = np.array([0.9, 1.3, 2.0])
    zero = np.zeros(3, dtype=int)
    values = model.derivatives(r, zero, zero, order=4)
    h = 1e-4
    numeric = model.derivatives(r + h, zero, zero, order=4)[:-1]
    numeric = (numeric - model.derivatives(r - h, zero, zero, order=4)[:-1]) / (2 * h)
    assert np.allclose(values[1:], numeric, rtol=1e-5)  # second-order difference, h = 1e-4
    assert models.from_spec(model.spec()).spec() == model.spec()
