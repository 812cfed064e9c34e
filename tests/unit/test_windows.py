"""Windows inside the spectrum against dense LAPACK and closed forms, degenerate and empty ones."""

import numpy as np
import pytest
import scipy.sparse as sp
from lattices import SpringLattice, disordered_operator, translation_vectors

from glassmodes.errors import InputError, ResourceError, SolverError
from glassmodes.spectra import window_costs, windows
from glassmodes.spectra.chebyshev import spectral_bound
from glassmodes.spectra.operators import MatrixOperator
from glassmodes.spectra.slices import GAP, cut_window, settle, window_density
from glassmodes.spectra.window_transforms import BandPass, Incomplete, ShiftInvert
from glassmodes.spectra.windows import modes_in_window

# As in test_eigenmodes: second order in the residual, and the rounding of LAPACK.
EXACT = 1e-12
METHODS = ["filtered", "shift-invert", "lowest", "dense", "slepc"]
LANCZOS = ["filtered", "shift-invert", "lowest"]


@pytest.fixture(scope="module")
def network(comm_self):
    operator = disordered_operator(comm_self, 300, 3, 1)
    operator.null_space = translation_vectors(operator)
    return operator


@pytest.fixture(scope="module")
def spectrum(network):
    """All eigenvalues but the three translations."""
    values = np.linalg.eigvalsh(network.local_rows().toarray())
    return np.sort(values[np.argsort(np.abs(values))[3:]])


def between(spectrum, first, last):
    """Return a window that holds the eigenvalues `first` ... `last` - 1, its ends in gaps."""
    padded = np.concatenate([[0.5 * spectrum[0]], spectrum, [1.1 * spectrum[-1]]])
    return tuple((padded[k] + padded[k + 1]) / 2 for k in (first, last))


def check(operator, spectrum, modes, first, last, orthogonal=1e-9):
    np.testing.assert_allclose(modes.values, spectrum[first:last], atol=EXACT * spectrum[-1])
    assert modes.residuals.max(initial=0.0) < 1e-8
    size = last - first
    np.testing.assert_allclose(modes.vectors.T @ modes.vectors, np.eye(size), atol=orthogonal)
    images = operator.local_rows() @ modes.vectors
    residuals = np.linalg.norm(images - modes.vectors * modes.values, axis=0) / modes.values
    # Residuals below 1e-9 are rounding, which differs between the two ways to multiply.
    np.testing.assert_allclose(residuals, modes.residuals, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_methods_agree_with_dense_lapack(network, spectrum, method):
    modes = modes_in_window(network, *between(spectrum, 150, 190), method=method)
    check(network, spectrum, modes, 150, 190)
    assert modes.certified and modes.counted == 40
    assert modes.solver["slices"][0]["method"] == method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("first", "last"), [(0, 25), (5, 6), (860, 897)])
def test_windows_at_the_ends_of_the_spectrum(network, spectrum, method, first, last):
    if method == "lowest" and last > 25:
        with pytest.raises(InputError, match="a quarter of the spectrum"):
            modes_in_window(network, *between(spectrum, first, last), method=method)
        return
    modes = modes_in_window(network, *between(spectrum, first, last), method=method)
    check(network, spectrum, modes, first, last)


@pytest.mark.parametrize("method", LANCZOS)
def test_slices_join_to_the_window(network, spectrum, method):
    window = between(spectrum, 30, 210)
    whole = modes_in_window(network, *window, slices=4, method=method)
    # Vectors of two slices overlap by residual / distance, 1e-8 / 1e-4 at worst.
    check(network, spectrum, whole, 30, 210, orthogonal=1e-4)
    assert whole.counted == 180 and len(whole.cuts) == 5
    assert np.all(np.diff(whole.slices) >= 0)
    parts = [modes_in_window(network, *window, slices=4, only=k, method=method) for k in range(4)]
    np.testing.assert_array_equal(np.concatenate([p.values for p in parts]), whole.values)
    np.testing.assert_array_equal([p.low for p in parts] + [parts[-1].high], whole.cuts)
    # Equal shares up to what the kernel and eight random vectors blur.
    sizes = np.bincount(whole.slices, minlength=4)
    assert abs(sizes - 45).max() < 25
    # Eight vectors: the count of 180 modes scatters by sqrt(2 180 / 8) at most, times 3.
    assert abs(whole.expected - 180) < 3 * np.sqrt(180 / 4) + 5
    assert 0 < whole.expected_error < 20


def test_slices_across_the_whole_spectrum(network, spectrum):
    modes = modes_in_window(network, 0.0, 2 * spectrum[-1], slices=6, method="shift-invert")
    check(network, spectrum, modes, 0, len(spectrum), orthogonal=1e-4)
    assert modes.certified
    modes = modes_in_window(network, 0.0, 2 * spectrum[-1])
    check(network, spectrum, modes, 0, len(spectrum))


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_a_window_without_modes(network, spectrum, method):
    gap = np.argmax(np.diff(spectrum[:50]))
    low, high = spectrum[gap] + 1e-3 * np.diff(spectrum)[gap], spectrum[gap + 1] * (1 - 1e-4)
    modes = modes_in_window(network, low, high, method=method)
    assert len(modes.values) == 0 and modes.vectors.shape == (network.n_local, 0)
    assert modes.certified and modes.counted == 0
    above = modes_in_window(network, 2 * spectrum[-1], 3 * spectrum[-1], method=method)
    assert above.certified and len(above.values) == 0


@pytest.mark.parametrize("method", [*LANCZOS, "slepc"])
@pytest.mark.parametrize(
    ("kind", "cells", "window"),
    [("triangular", 12, (0.55, 0.95)), ("fcc", 5, (1.0, 1.9)), ("hypercubic", 4, (3.0, 5.2))],
)
def test_degenerate_lattices_come_out_complete(comm_self, kind, cells, window, method):
    lattice = SpringLattice(kind, cells)
    exact = lattice.exact_eigenvalues()
    inside = exact[(exact > window[0]) & (exact < window[1])]
    _, copies = np.unique(np.round(inside, 9), return_counts=True)
    assert copies.max() > 8  # more than the block of 8 meets at once
    modes = modes_in_window(lattice.operator(comm_self), *window, method=method)
    np.testing.assert_allclose(modes.values, inside, atol=EXACT * exact[-1])
    assert modes.certified and modes.counted == len(inside)


@pytest.mark.parametrize("method", LANCZOS)
def test_slices_of_a_degenerate_lattice_lose_and_double_nothing(comm_self, method):
    """Ends at an eigenvalue, given to rounding, take the whole multiplet in."""
    lattice = SpringLattice("fcc", 4)
    exact = lattice.exact_eigenvalues()
    levels, copies = np.unique(np.round(exact, 9), return_counts=True)
    many = np.flatnonzero(copies > 8)
    assert len(many) > 2
    low, high = levels[many[0]], levels[many[2]]
    inside = exact[(exact > low - 1e-6) & (exact < high + 1e-6)]
    modes = modes_in_window(lattice.operator(comm_self), low, high, slices=3, method=method)
    np.testing.assert_allclose(modes.values, inside, atol=EXACT * exact[-1])
    assert modes.low < low and modes.high > high
    assert modes.counted == len(inside)
    parts = [
        modes_in_window(lattice.operator(comm_self), low, high, slices=3, only=k, method=method)
        for k in range(3)
    ]
    assert sum(len(part.values) for part in parts) == len(inside)
    np.testing.assert_allclose(
        [part.low for part in parts[1:]], [part.high for part in parts[:-1]], rtol=1e-10
    )


@pytest.fixture(scope="module")
def multiplet(comm_self):
    """216 copies of 1 among 600 rows, the others from 1.5 to 4."""
    values = np.concatenate([np.ones(216), np.linspace(1.5, 4.0, 384)])
    return MatrixOperator(comm_self, sp.diags(values).tocsr()), values


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("certificate", ["inertia", "count", "none"])
@pytest.mark.parametrize("slices", [1, 3])
def test_a_multiplet_at_an_end_is_listed_by_one_rule(comm_self, method, certificate, slices):
    """Eight copies, as many as a block meets, a little inside, at or outside the ends."""
    values = np.concatenate([np.linspace(0.5, 0.9, 100), np.ones(8), np.linspace(1.1, 2.0, 60)])
    values = np.concatenate([values, np.full(8, 2.5), np.linspace(3.0, 9.0, 600)])
    operator = MatrixOperator(comm_self, sp.diags(values).tocsr())
    inside = values[(values > 0.99) & (values < 2.6)]
    for inwards in (-1, 0, 1) if slices == 1 else (1,):
        low, high = 1 + inwards * 1e-13, 2.5 - inwards * 1e-13
        modes = modes_in_window(
            operator, low, high, slices=slices, method=method, certificate=certificate
        )
        np.testing.assert_allclose(modes.values, inside, atol=1e-11)
        assert modes.low == pytest.approx(1 - GAP, rel=1e-12)
        assert modes.high == pytest.approx(2.5 * (1 + GAP), rel=1e-12)


@pytest.mark.parametrize("method", ["dense", "slepc"])
def test_what_needs_no_certificate_lists_hundreds_of_copies(multiplet, method):
    operator, values = multiplet
    modes = modes_in_window(operator, 0.9, 1 - 1e-13, method=method, certificate="none")
    np.testing.assert_allclose(modes.values, values[:216], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_search_reaches_on_where_a_multiplet_does(comm_self, method):
    """A ladder of modes 1.5 gaps apart leads both ends away from where they were."""
    ladder = 1.5 * GAP * np.arange(12)
    bulk = np.linspace(0.5, 0.9, 100), np.linspace(1.1, 1.9, 50), np.linspace(2.1, 9.0, 600)
    values = np.sort(np.concatenate([*bulk, 1 - ladder, 2 + 2 * ladder]))
    operator = MatrixOperator(comm_self, sp.diags(values).tocsr())
    inside = values[(values > 0.95) & (values < 2.05)]
    for certificate in ("inertia", "none"):
        modes = modes_in_window(operator, 1.0, 2.0, method=method, certificate=certificate)
        np.testing.assert_allclose(modes.values, inside, atol=1e-11)
        assert modes.low == pytest.approx(1 - ladder[-1] - GAP, rel=1e-11)
        assert modes.high == pytest.approx(2 + 2 * ladder[-1] + 2 * GAP, rel=1e-11)


@pytest.mark.parametrize("method", ["auto", "shift-invert", "slepc", "dense"])
def test_a_narrow_window_at_a_large_multiplet(multiplet, method):
    operator, values = multiplet
    modes = modes_in_window(operator, 1 - 2e-12, 1 + 2e-12, method=method)
    np.testing.assert_allclose(modes.values, values[:216], atol=1e-12)
    assert modes.certified and modes.counted == 216


def test_no_polynomial_of_any_degree(multiplet):
    operator, _ = multiplet
    with pytest.raises(SolverError, match=r"degree \d+, more than 1000: .* slepc or dense"):
        modes_in_window(operator, 1 - 2e-12, 1 + 2e-12, method="filtered")
    bound = spectral_bound(operator)
    for low, high, fits in ((1 - 2e-12, 1 + 2e-12, False), (1.5, 2.5, True)):
        density = window_density(operator, bound, low, high)
        costs = window_costs.estimate_methods(operator, bound, density, low, high)
        assert (costs["filtered"].bytes < np.inf) == fits


def reluctant(honest, columns):
    """Return `honest`, which does not converge for fewer expected modes than `columns`."""

    def solve(operator, transform, low, high, expected, **options):
        if expected < columns:
            raise Incomplete("the basis is full")
        return honest(operator, transform, low, high, expected, **options)

    return solve


def test_the_count_sizes_the_basis_of_a_multiplet(multiplet, monkeypatch):
    operator, _ = multiplet
    monkeypatch.setattr(windows, "window_lanczos", reluctant(windows.window_lanczos, 216))
    calls = {"method": "shift-invert", "certificate": "count"}
    with pytest.raises(SolverError, match="full"):
        modes_in_window(operator, 0.9999, 1.0001, **calls)
    monkeypatch.setattr(windows._Slice, "_complete", lambda self, pairs, solve: (pairs, 1))
    modes = modes_in_window(operator, 0.9999, 1.0001, **calls | {"certificate": "inertia"})
    np.testing.assert_allclose(modes.values, 1.0, atol=1e-12)
    assert len(modes.values) > 8


@pytest.mark.parametrize(("soon", "method"), [(4000, "dense"), (0, "slepc")])
@pytest.mark.parametrize("certificate", ["inertia", "count"])
def test_what_lanczos_does_not_get_others_do(multiplet, monkeypatch, soon, method, certificate):
    operator, values = multiplet
    monkeypatch.setattr(windows, "window_lanczos", reluctant(None, np.inf))
    monkeypatch.setattr(window_costs, "_DENSE_SOON", soon)
    monkeypatch.setattr(window_costs, "choose", lambda costs, room: "shift-invert")
    window = {"low": 0.9999, "high": 1.0001, "certificate": certificate}
    modes = modes_in_window(operator, **window)
    np.testing.assert_allclose(modes.values, values[:216], atol=1e-12)
    assert modes.solver["slices"][0]["method"] == method
    with pytest.raises(SolverError, match="full"):
        modes_in_window(operator, **window, method="shift-invert")


def test_more_slices_than_modes_are_refused(network, spectrum):
    window = between(spectrum, 150, 160)
    with pytest.raises(InputError, match=r"1000 slices for about \d+ modes"):
        modes_in_window(network, *window, slices=1000, only=3)
    with pytest.raises(InputError, match="at most 10000 slices can be cut, found 1000000"):
        modes_in_window(network, *window, slices=1_000_000)
    assert len(modes_in_window(network, *window, slices=8, certificate="none").values) == 10


def test_neighbours_move_a_cut_to_the_same_place():
    values = np.array([3.0, 4.9, 5.0, 5.0 + 1e-12, 5.0 + 0.8 * GAP * 5, 5.2])
    for cut in (5.0, 5.0 - 0.5 * GAP * 5, 5.0 + 0.9 * GAP * 5):
        above = settle(cut, values)
        assert above == values[4] + GAP * cut
        # The slice above knows the multiplet and what follows, the one below knows one copy more.
        assert settle(cut, values[2:]) == settle(cut, values[:5]) == above
    assert settle(5.0, values, upwards=False) == values[2] - GAP * 5.0
    assert settle(5.1, values) == 5.1 and settle(4.95, values, upwards=False) == 4.95
    assert settle(5.0, np.zeros(0)) == 5.0


def test_a_shift_that_meets_an_eigenvalue_moves_on(comm_self):
    half = 0.7
    meant = 5.0 + 0.0437 * half  # where the first shift of this window lies
    values = np.sort(np.append(np.linspace(1, 9, 500), [meant]))
    operator = MatrixOperator(comm_self, sp.diags(values).tocsr())
    transform = ShiftInvert(operator, 5 - half, 5 + half)
    assert abs(transform.shift - meant) > 1e-3
    transform.destroy()
    modes = modes_in_window(operator, 5 - half, 5 + half, method="shift-invert")
    np.testing.assert_allclose(modes.values, values[np.abs(values - 5) < half], atol=1e-11)


def test_zero_and_negative_modes_are_in_no_window(comm_self):
    values = np.concatenate([[-2.0, -1.0], np.zeros(20), np.linspace(0.5, 30, 600)])
    operator = MatrixOperator(comm_self, sp.diags(values).tocsr())
    for method in METHODS:
        modes = modes_in_window(operator, 0.0, 2.0, method=method)
        np.testing.assert_allclose(modes.values, values[(values > 0.1) & (values < 2)], atol=1e-11)
        assert modes.low > 0 and modes.certified


@pytest.mark.parametrize("method", ["filtered", "shift-invert"])
def test_the_window_stands_out_under_its_transform(network, spectrum, method):
    low, high = between(spectrum, 400, 440)
    bound = spectral_bound(network)
    if method == "filtered":
        density = window_density(network, bound, low, high)
        transform = BandPass(network, bound, low, high, density.count)
    else:
        transform = ShiftInvert(network, low, high)
    values, vectors = np.linalg.eigh(network.local_rows().toarray())
    places = [396, 400, 405, 412, 420, 430, 439, 447]  # the ends of the window and across
    chosen, x = values[places], np.asfortranarray(vectors[:, places])
    out = np.empty_like(x)
    transform.apply(x, out)
    theta = np.einsum("rk,rk->k", x, out)
    # The recursion's rounding grows with the height of the lobe, 200.
    np.testing.assert_allclose(out, x * theta, atol=1e-10 * np.abs(theta).max())
    inside = (chosen > low) & (chosen < high)
    np.testing.assert_array_equal(np.abs(theta) >= transform.bar, inside)
    if method == "filtered":
        np.testing.assert_allclose(transform.value(chosen), theta, rtol=1e-9)
        outside = np.abs(transform._angle(spectrum[0]) - transform.middle) > transform.delta
        assert outside
        far = transform.value(spectrum)[(spectrum < low / 2) | (spectrum > 2 * high)]
        assert np.abs(far).max() <= 2.0 + 1e-9
        lower = transform.values(theta)
        ends = np.cos(transform.middle + np.abs(transform._angle(chosen[1]) - transform.middle))
        assert lower[1] == pytest.approx(
            (bound.upper + bound.lower + (bound.upper - bound.lower) * ends) / 2,
            rel=1e-3,  # the other lobe's ripple
        )
    else:
        np.testing.assert_allclose(transform.values(theta), chosen, rtol=1e-10)
    transform.destroy()


def forgetful(honest, calls):
    """Return `honest`, which loses its fifth pair on the first call."""

    def solve(*arguments, **options):
        pairs = honest(*arguments, **options)
        if not calls:
            keep = np.arange(len(pairs.values)) != 4
            pairs.values, pairs.residuals = pairs.values[keep], pairs.residuals[keep]
            pairs.vectors = pairs.vectors[:, keep]
        calls.append(options)
        return pairs

    return solve


@pytest.mark.parametrize("method", ["filtered", "shift-invert"])
@pytest.mark.parametrize("certificate", ["inertia", "count"])
def test_a_missing_mode_is_noticed_and_found(network, spectrum, monkeypatch, method, certificate):
    calls = []
    monkeypatch.setattr(windows, "window_lanczos", forgetful(windows.window_lanczos, calls))
    window = between(spectrum, 150, 190)
    modes = modes_in_window(network, *window, method=method, certificate=certificate)
    check(network, spectrum, modes, 150, 190)
    assert len(calls) == (2 if certificate == "inertia" else 3)
    assert modes.certified == (certificate == "inertia")
    assert modes.certificate == {"inertia": "inertia", "count": "second start"}[certificate]


def test_without_a_certificate_nothing_is_claimed(network, spectrum):
    window = between(spectrum, 150, 190)
    modes = modes_in_window(network, *window, certificate="none")
    assert modes.certificate == "none" and not modes.certified and modes.counted is None
    assert modes.solver["certificate_seconds"] == 0.0


def test_a_spurious_mode_is_refused(network, spectrum, monkeypatch):
    monkeypatch.setattr(windows._Inertia, "between", lambda self, low, high: 39)
    with pytest.raises(SolverError, match=r"40 modes found .* counts 39"):
        modes_in_window(network, *between(spectrum, 150, 190))


def test_a_factor_that_does_not_fit_gives_way_to_a_second_start(network, spectrum, monkeypatch):
    def full(operator, edge):
        raise windows.FactorDoesNotFit("no room for the factor")

    monkeypatch.setattr(windows, "count_below", full)
    window = between(spectrum, 150, 190)
    modes = modes_in_window(network, *window, method="filtered")
    check(network, spectrum, modes, 150, 190)
    assert modes.certificate == "second start"
    with pytest.raises(windows.FactorDoesNotFit):
        modes_in_window(network, *window, method="filtered", certificate="inertia")


def test_cuts_share_the_modes_evenly(network, spectrum):
    bound = spectral_bound(network)
    low, high = between(spectrum, 100, 700)
    density = window_density(network, bound, low, high, 5)
    cuts = cut_window(density, low, high, 5)
    assert cuts[0] == low and cuts[-1] == high and np.all(np.diff(cuts) > 0)
    shares = np.histogram(spectrum, cuts)[0]
    assert abs(shares - 120).max() < 30  # eight random vectors
    again = cut_window(window_density(network, bound, low, high, 5), low, high, 5)
    np.testing.assert_array_equal(cuts, again)


def test_methods_are_chosen_by_time_and_memory():
    cost = window_costs.MethodCost
    costs = {"filtered": cost(10.0, 2e9), "shift-invert": cost(3.0, 8e9), "lowest": cost(50, 1e9)}
    assert window_costs.choose(costs, 1e10) == "shift-invert"
    assert window_costs.choose(costs, 5e9) == "filtered"
    assert window_costs.choose(costs, 1.5e9) == "lowest"
    with pytest.raises(ResourceError, match=r"1 GB.*more slices"):
        window_costs.choose(costs, 1e8)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"low": 2.0, "high": 1.0}, "0 <= low < high"),
        ({"low": -1.0, "high": 1.0}, "0 <= low < high"),
        ({"low": 0.0, "high": np.inf}, "0 <= low < high"),
        ({"low": 0.0, "high": 1e-12}, "zero modes"),
        ({"low": 1.0, "high": 2.0, "slices": 0}, "at least 1"),
        ({"low": 1.0, "high": 2.0, "slices": 2, "only": 2}, "slice 2 of 2"),
        ({"low": 1.0, "high": 2.0, "only": 0}, "give their number"),
        ({"low": 1.0, "high": 2.0, "method": "filterd"}, "did you mean 'filtered'"),
        ({"low": 1.0, "high": 2.0, "certificate": "inert"}, "did you mean 'inertia'"),
    ],
)
def test_requests_without_sense_are_refused(network, request_, message):
    with pytest.raises(InputError, match=message):
        modes_in_window(network, **request_)
