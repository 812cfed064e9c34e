"""Lowest modes against closed forms, dense LAPACK and SLEPc, with and without degeneracy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg as sl
import scipy.sparse as sp
from lattices import SpringLattice, disordered_operator, translation_vectors

from glassmodes.errors import InputError, ResourceError, SolverError
from glassmodes.spectra import completeness
from glassmodes.spectra.basis_plan import plan_basis
from glassmodes.spectra.block_lanczos import WIDTH, BlockLanczos
from glassmodes.spectra.chebyshev import ChebyshevFilter, spectral_bound
from glassmodes.spectra.eigenmodes import lowest_modes
from glassmodes.spectra.eigenvalue_counts import check_count, kernel_polynomial_count
from glassmodes.spectra.factorisations import FactorDoesNotFit, count_below
from glassmodes.spectra.filtered_lanczos import Target, filtered_lanczos
from glassmodes.spectra.operators import MatrixOperator

# Eigenvalue errors are of second order in the residual (1e-8 relative), so 1e-12 relative to
# the spectrum's width is what is left, and it is also a few times the rounding of LAPACK.
EXACT = 1e-12


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


def test_the_bound_is_above_the_spectrum_and_close(network, spectrum):
    bound = spectral_bound(network)
    assert spectrum[-1] <= bound.upper < 1.2 * spectrum[-1]
    assert bound.estimate <= spectrum[-1] * (1 + EXACT)


def test_the_bound_holds_for_one_stiff_place_in_a_large_system(comm_self):
    """A chain of unit springs, band [0, 4], with one of stiffness k has a mode 4k^2 / (2k - 1)."""
    n, k = 20_000, 1.3
    springs = np.ones(n)
    springs[n // 2] = k
    left = np.arange(n)
    right = (left + 1) % n
    coupling = sp.coo_matrix((springs, (left, right)), shape=(n, n)).tocsr()
    chain = sp.diags(springs + np.roll(springs, 1)) - coupling - coupling.T
    exact = 4 * k**2 / (2 * k - 1)
    bound = spectral_bound(MatrixOperator(comm_self, chain))
    assert exact <= bound.upper < 1.05 * exact


def test_the_filter_is_the_chebyshev_polynomial(network, spectrum):
    low, high = spectrum[40], spectral_bound(network).upper
    polynomial = ChebyshevFilter(network, low, high, 12, 8)
    values, vectors = np.linalg.eigh(network.local_rows().toarray())
    out = np.empty((network.n_local, 8))
    polynomial.apply(vectors[:, 3:11], out)
    lifted = np.einsum("rk,rk->k", vectors[:, 3:11], out)
    argument = (2 * values[3:11] - low - high) / (high - low)
    np.testing.assert_allclose(lifted, np.cosh(12 * np.arccosh(-argument)), rtol=1e-10)
    np.testing.assert_allclose(polynomial.eigenvalues(lifted), values[3:11], rtol=1e-10)


def test_the_kernel_polynomial_counts_eigenvalues(network, spectrum):
    counter = kernel_polynomial_count(network, spectral_bound(network), 100)
    for rank in (100, 450, 800):
        edge = (spectrum[rank - 1] + spectrum[rank]) / 2
        # Eight random vectors: the trace of a projector of rank m scatters by
        # sqrt(2 m / 8) at most; the kernel's width adds a few states.
        assert abs(counter.below(edge) - rank) < 3 * np.sqrt(rank / 4) + 5
    assert counter.below(counter.edge(200)) == pytest.approx(200, abs=0.5)


@pytest.mark.parametrize("method", ["filtered", "slepc", "dense"])
def test_methods_agree_with_dense_lapack(network, spectrum, method):
    modes = lowest_modes(network, count=25, method=method)
    np.testing.assert_allclose(modes.values, spectrum[:25], atol=EXACT * spectrum[-1])
    assert modes.certified and modes.zero_modes == 3
    assert modes.residuals.max() < 1e-8
    gram = modes.vectors.T @ modes.vectors
    np.testing.assert_allclose(gram, np.eye(25), atol=1e-10)
    assert np.abs(network.null_space.T @ modes.vectors).max() < 1e-10
    images = network.local_rows() @ modes.vectors
    residuals = np.linalg.norm(images - modes.vectors * modes.values, axis=0) / modes.values
    np.testing.assert_allclose(residuals, modes.residuals, atol=1e-10)


@pytest.mark.parametrize("method", ["filtered", "slepc", "dense"])
def test_all_modes_below_an_edge(network, spectrum, method):
    # Closer to the mode above: the middle of the gap would leave a part unverified.
    edge = 0.1 * spectrum[16] + 0.9 * spectrum[17]
    modes = lowest_modes(network, below=edge, method=method)
    np.testing.assert_allclose(modes.values, spectrum[:17], atol=EXACT * spectrum[-1])
    assert edge <= modes.complete_below
    assert len(lowest_modes(network, below=spectrum[0] / 2, method=method).values) == 0


@pytest.mark.parametrize("certificate", ["inertia", "count", "none"])
@pytest.mark.parametrize("request_", [{"count": 7}, {"count": 20}, {"count": 33}, {}])
def test_every_mode_below_the_edge_is_listed(network, spectrum, request_, certificate):
    if not request_:  # an edge just under a mode
        request_ = {"below": spectrum[12] * (1 - 1e-4)}
    modes = lowest_modes(network, **request_, certificate=certificate)
    below = int(np.sum(spectrum < modes.complete_below))
    assert below == np.sum(modes.values < modes.complete_below) == len(modes.values)
    if certificate == "inertia":
        assert modes.counted == below


@pytest.mark.parametrize("count", [5, 14, 23])
def test_a_multiplet_that_the_count_cuts_is_not_claimed(comm_self, count):
    lattice = SpringLattice("triangular", 12)
    exact = lattice.exact_eigenvalues()[2:]
    modes = lowest_modes(lattice.operator(comm_self), count=count)
    assert len(modes.values) == count and modes.certified
    claimed = np.sum(exact < modes.complete_below)
    assert claimed == np.sum(modes.values < modes.complete_below) == modes.counted
    cut = np.isclose(exact[count], exact[count - 1], rtol=1e-9)
    assert (claimed < count) == cut


@pytest.mark.parametrize("method", ["filtered", "slepc"])
@pytest.mark.parametrize("share", [0.6, 4.0])
def test_an_edge_high_in_the_spectrum_or_above_it(network, spectrum, method, share):
    edge = share * spectrum[-1]
    inside = spectrum[spectrum < edge]
    assert len(inside) > len(spectrum) / 2
    modes = lowest_modes(network, below=edge, method=method)
    np.testing.assert_allclose(modes.values, inside, atol=EXACT * spectrum[-1])
    assert modes.certified


def test_the_edge_of_the_certificate_lies_in_a_gap(network, spectrum):
    modes = lowest_modes(network, count=10)
    position = np.searchsorted(spectrum, modes.complete_below)
    assert position >= 10
    assert modes.complete_below - spectrum[position - 1] > 1e-7 * spectrum[position]
    assert spectrum[position] - modes.complete_below > 1e-7 * spectrum[position]


@pytest.mark.parametrize(
    ("kind", "cells", "count", "multiplicity"),
    [("triangular", 12, 25, 12), ("fcc", 5, 133, 48), ("hypercubic", 5, 30, 48)],
)
def test_degenerate_lattices_come_out_complete(comm_self, kind, cells, count, multiplicity):
    lattice = SpringLattice(kind, cells)
    exact = lattice.exact_eigenvalues()
    assert len(exact) == lattice.n * lattice.d
    assert np.abs(exact[: lattice.d]).max() < 1e-12
    exact = exact[lattice.d :]
    # The request ends inside a multiplet with more copies than the block of 8 meets at once.
    assert np.sum(np.abs(exact - exact[count - 1]) < 1e-9) == multiplicity
    modes = lowest_modes(lattice.operator(comm_self), count=count)
    np.testing.assert_allclose(modes.values, exact[:count], atol=EXACT * exact[-1])
    assert modes.certified and modes.solver["method"] == "filtered_lanczos"
    assert modes.solver["rounds"] > 1


def test_a_missing_mode_is_noticed_and_found(network, spectrum, monkeypatch):
    from glassmodes.spectra import eigenmodes as module

    honest = module.filtered_lanczos
    calls = []

    def forgetful(operator, target, **options):
        pairs = honest(operator, target, **options)
        if not calls:  # the first answer loses its fifth mode
            keep = np.arange(len(pairs.values)) != 4
            pairs.values, pairs.residuals = pairs.values[keep], pairs.residuals[keep]
            pairs.vectors = pairs.vectors[:, keep]
        calls.append(target)
        return pairs

    monkeypatch.setattr(module, "filtered_lanczos", forgetful)
    modes = lowest_modes(network, count=20)
    assert len(calls) == 2
    np.testing.assert_allclose(modes.values, spectrum[:20], atol=EXACT * spectrum[-1])
    calls.clear()
    lossy = lowest_modes(network, count=20, certificate=False)
    assert not lossy.certified
    assert not np.allclose(lossy.values, spectrum[:20], atol=1e-6)


def test_zero_modes_beyond_the_known_ones_are_counted_and_left_out(comm_self):
    chain = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(500, 500)).tolil()
    chain[0, 0] = chain[499, 499] = 1.0  # free ends: one zero mode
    free = sp.block_diag([chain, sp.csr_matrix((3, 3))])  # and three more
    exact = 2 - 2 * np.cos(np.pi * np.arange(1, 13) / 500)
    modes = lowest_modes(MatrixOperator(comm_self, free), count=12)
    assert modes.zero_modes == 4
    np.testing.assert_allclose(modes.values, exact, atol=EXACT * 4)


@pytest.mark.parametrize("rows", [200, 500])
@pytest.mark.parametrize("free", [2, 30])
def test_one_mode_above_many_zero_modes(comm_self, rows, free):
    """The edge never falls among zero modes, whose signs are rounding."""
    chain = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(rows, rows))
    operator = MatrixOperator(comm_self, sp.block_diag([chain, sp.csr_matrix((free, free))]))
    modes = lowest_modes(operator, count=1)
    assert modes.zero_modes == modes.zero_vectors.shape[1] == free
    exact = 2 - 2 * np.cos(np.pi / (rows + 1))
    np.testing.assert_allclose(modes.values, [exact], atol=EXACT * 4)
    assert np.abs(operator.apply(modes.zero_vectors)).max() < 1e-9
    below = lowest_modes(operator, below=exact / 2)
    assert len(below.values) == 0 and below.zero_modes == free and below.certified


def limit_for(operator, modes, columns):
    """Return the bytes in which a solve for `modes` keeps a basis of `columns` vectors."""
    plan = plan_basis(operator, modes, 10**9, 10**15)
    return plan.bytes(columns)


@pytest.mark.parametrize(("columns", "least"), [(72, 2), (96, 1)])
def test_restarts_with_little_memory_change_nothing(network, spectrum, columns, least, caplog):
    """Twenty-three modes in 72 vectors: six blocks beside them, the least that is accepted."""
    limit = limit_for(network, 20 + 3, columns)
    free = filtered_lanczos(network, Target(count=20))
    assert free.info["restarts"] == 0 and free.info["basis_columns"] > 50
    with caplog.at_level("WARNING"):
        tight = lowest_modes(network, count=20, memory_limit=limit, tolerance=1e-11)
    assert "with restarts" in caplog.text
    assert tight.solver["restarts"] >= least and tight.solver["basis_columns"] <= columns
    np.testing.assert_allclose(tight.values, spectrum[:20], atol=EXACT * spectrum[-1])
    assert tight.certified and tight.residuals.max() < 1e-10


def test_a_restart_keeps_the_recursion(network):
    """F V = V T + Q L E^T, with T an arrow at first, to rounding of the largest Ritz value."""
    bound = spectral_bound(network)
    low_pass = ChebyshevFilter(network, 0.2 * bound.upper, bound.upper, 8, WIDTH)
    run = BlockLanczos(network, low_pass, [network.null_space], 10 * WIDTH, 0)
    for _ in range(5):
        run.step()
    theta, weights = sl.eigh(run.projected(), lower=True)
    run.restart(theta[-15:], weights[:, -15:])
    for _ in range(3):
        run.step()
    basis = run.basis.krylov()
    assert basis.shape[1] == run.columns == 15 + 3 * WIDTH and run.taken == 8 * WIDTH
    np.testing.assert_allclose(basis.T @ basis, np.eye(run.columns), atol=1e-13)
    assert np.abs(network.null_space.T @ basis).max() < 1e-13
    images = np.empty_like(basis)
    for first in range(0, run.columns - WIDTH + 1):  # the last block ends at the last column
        low_pass.apply(basis[:, first : first + WIDTH], images[:, first : first + WIDTH])
    lower = run.projected()
    full = np.tril(lower) + np.tril(lower, -1).T
    remainder = images - basis @ full
    remainder[:, -WIDTH:] -= run.following @ run.link
    assert np.abs(remainder).max() < 1e-12 * theta[-1]


def test_numbers_that_are_not_finite_end_the_solve(comm_self):
    operator = disordered_operator(comm_self, 300, 3, 1)
    bound = spectral_bound(operator)
    operator._product._inner.parameters[7] = np.nan
    low_pass = ChebyshevFilter(operator, 0.2 * bound.upper, bound.upper, 8, WIDTH)
    run = BlockLanczos(operator, low_pass, [], 10 * WIDTH, 0)
    with pytest.raises(SolverError, match="NaN"):
        run.step()


def test_vectors_that_do_not_fit_are_refused_before_anything_is_taken(network):
    with pytest.raises(ResourceError, match=r"20 modes of 900 rows.*more ranks"):
        filtered_lanczos(network, Target(count=17), memory_limit=limit_for(network, 20, 60))


def test_the_count_beside_known_modes_has_an_honest_error(network, spectrum):
    known = lowest_modes(network, count=60)
    edge, bound = known.complete_below, spectral_bound(network)
    exact = np.sum(spectrum < edge)
    draws = [
        check_count(network, bound, edge, known.values, known.vectors, seed=seed)
        for seed in range(12)
    ]
    counts, errors = np.transpose(draws)
    # Eight vectors that know nothing scatter by sqrt(2 60 / 8) = 4, these by the modes in the
    # tail of the step: 1.0, with a spread of 0.2 for twelve draws.
    assert np.std(counts) < 2
    assert np.all(np.abs(counts - exact) < errors) and np.all(errors < 6)
    blind, error = check_count(network, bound, edge, known.values[30:], known.vectors[:, 30:])
    assert abs(blind - exact) < 3 * error  # thirty modes that only the random vectors know


def test_a_second_start_certifies_without_a_factor(network, spectrum, monkeypatch):
    def refuse(*_):
        raise AssertionError("a factor was made")

    monkeypatch.setattr(completeness, "count_below", refuse)
    modes = lowest_modes(network, count=40, certificate="count")
    np.testing.assert_allclose(modes.values, spectrum[:40], atol=EXACT * spectrum[-1])
    assert modes.certificate == "second start" and not modes.certified
    exact = np.sum(spectrum < modes.complete_below)
    assert abs(modes.counted - exact) < 4 * modes.counted_error < 20
    monkeypatch.setattr(completeness, "affordable", lambda operator: False)
    assert lowest_modes(network, count=5).certificate == "second start"


@pytest.mark.parametrize(("kind", "cells", "count"), [("triangular", 12, 25), ("fcc", 4, 70)])
def test_a_second_start_completes_degenerate_lattices(comm_self, kind, cells, count):
    lattice = SpringLattice(kind, cells)
    exact = lattice.exact_eigenvalues()[lattice.d :]
    modes = lowest_modes(lattice.operator(comm_self), count=count, certificate="count")
    np.testing.assert_allclose(modes.values, exact[:count], atol=EXACT * exact[-1])
    assert modes.certificate == "second start" and modes.solver["rounds"] > 1


def test_a_factor_that_does_not_fit_gives_way_to_a_second_start(network, spectrum, monkeypatch):
    def too_large(*_):
        raise FactorDoesNotFit("the factor does not fit")

    monkeypatch.setattr(completeness, "count_below", too_large)
    modes = lowest_modes(network, count=10)
    assert modes.certificate == "second start"
    np.testing.assert_allclose(modes.values, spectrum[:10], atol=EXACT * spectrum[-1])
    with pytest.raises(FactorDoesNotFit):
        lowest_modes(network, count=10, certificate="inertia")


def test_factors_of_large_packings_are_not_affordable(comm_self, monkeypatch):
    """The estimate decides: ten minutes, or the memory there is."""
    operator = disordered_operator(comm_self, 300, 3, 1)
    assert completeness.affordable(operator)
    monkeypatch.setattr(completeness.memory, "available", lambda comm=None: 1000)
    assert not completeness.affordable(operator)


def test_the_solve_takes_little_more_than_basis_and_answer():
    """Peak memory of a process of its own: 1.3 (basis + answer) + operator."""
    script = Path(__file__).with_name("peak_memory_of_modes.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, timeout=170
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    vectors = measured["vector_bytes"] * (measured["basis_columns"] + measured["modes"])
    assert measured["peak"] <= 1.3 * vectors + measured["operator"]
    assert measured["peak"] <= 1.1 * measured["planned"]


def test_negative_eigenvalues_are_kept(comm_self):
    operator = disordered_operator(comm_self, 200, 3, 2, signed=True)
    operator.null_space = translation_vectors(operator)
    exact = np.linalg.eigvalsh(operator.local_rows().toarray())
    assert exact[0] < -1
    modes = lowest_modes(operator, count=10)
    np.testing.assert_allclose(modes.values, exact[:10], atol=EXACT * abs(exact).max())


def test_inertia_counts_what_lapack_counts(network, spectrum):
    for edge in (0.5 * spectrum[0], (spectrum[99] + spectrum[100]) / 2):
        assert count_below(network, edge)[0] == 3 + np.sum(spectrum < edge)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"count": 0}, "at least 1"),
        ({"count": -3}, "at least 1"),
        ({"count": 10_000}, "there are only 897"),
        ({"below": -1.0}, "positive"),
        ({}, "either"),
        ({"count": 3, "below": 1.0}, "either"),
        ({"count": 3, "method": "fltered"}, "did you mean 'filtered'"),
        ({"count": 3, "certificate": "counts"}, "did you mean 'count'"),
    ],
)
def test_requests_without_sense_are_refused(network, request_, message):
    with pytest.raises(InputError, match=message):
        lowest_modes(network, **request_)
