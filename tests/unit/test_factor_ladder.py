"""A factor that does not fit is made in another way, every way is right, and the last is to say no.

The memory that can be had is set by hand, between what the ways need.
"""

import logging

import numpy as np
import pytest
from lattices import SpringLattice

from glassmodes import memory
from glassmodes.errors import SolverError
from glassmodes.observables.zero_modes import count_null_vectors
from glassmodes.spectra import cholmod, mumps
from glassmodes.spectra.factorisations import (
    FactorDoesNotFit,
    NotPositiveDefiniteError,
    count_below,
    factorise,
)

LATTICE = SpringLattice("fcc", 8)


@pytest.fixture(scope="module")
def operator(comm_self):
    return LATTICE.operator(comm_self, translations=False)


@pytest.fixture(scope="module")
def right(operator):
    return np.asfortranarray(operator.random_block(5, 1))


@pytest.fixture
def matrix(operator):
    matrix = operator.assembled()
    matrix.shift(0.3)
    yield matrix
    matrix.destroy()


@pytest.fixture
def room(monkeypatch):
    """Return a function that sets the memory that can be had, in megabytes."""

    def set_room(megabytes):
        limit = memory.Limit(int(megabytes * 1e6), "a test")
        monkeypatch.setattr(memory, "tightest", lambda comm=None: limit)

    return set_room


def residual(operator, solution, right):
    found = operator.apply(solution) + 0.3 * solution
    return np.linalg.norm(found - right) / np.linalg.norm(right)


def needed(matrix):
    """Return the megabytes of the planned factor."""
    factor = factorise(matrix, definite=False)
    megabytes = factor.statistics["bytes"] / 1e6
    factor.destroy()
    return megabytes


def steps(factor):
    return [(a["step"], a["outcome"]) for a in factor.statistics["attempts"]]


def test_a_factor_tells_what_it_cost(matrix):
    entries = []
    for backend in ("cholmod", "mumps"):
        factor = factorise(matrix, definite=True, backend=backend)
        found = factor.statistics
        assert found["backend"] == backend and steps(factor) == [("as planned", "done")]
        assert found["bytes"] > 8 * found["entries"] and found["seconds"] > 0
        assert found["ordering"]
        entries.append(found["entries"])
        # From a bare triangle to a dense one.
        n = matrix.getSize()[0]
        assert 1 < found["fill"] < n**2 / matrix.getInfo()["nz_used"]
        if backend == "mumps":  # a dense triangle has n^3 / 3
            assert found["entries"] < found["flops"] < n**3 / 3
        factor.destroy()
    assert 0.3 < entries[0] / entries[1] < 1.5  # the same matrix, other orderings


def test_too_little_workspace_is_made_good(matrix, operator, right, monkeypatch, caplog):
    monkeypatch.setattr(mumps, "_WORKSPACE", -60)
    with caplog.at_level(logging.WARNING):
        factor = factorise(matrix, definite=True, backend="mumps")
    first, *_, last = steps(factor)
    assert first[0] == "as planned" and "INFOG(1) = -9" in first[1]
    assert last == ("with more workspace", "done")
    assert "INFOG(1) = -9" in caplog.text and "more workspace" in caplog.text
    # Backward stable: rounding times the growth of a positive definite factor, which is one.
    assert residual(operator, factor.solve(right), right) < 1e-13
    factor.destroy()


def test_a_factor_that_fits_without_reserve_takes_all_memory(matrix, operator, right, room):
    room(0.9 * needed(matrix))
    factor = factorise(matrix, definite=True, backend="mumps")
    (planned, refused), last = steps(factor)
    assert planned == "as planned" and refused.startswith("not tried")
    assert last == ("with all memory", "done")
    assert residual(operator, factor.solve(right), right) < 1e-13
    factor.destroy()


def test_a_factor_larger_than_memory_goes_to_disk(
    matrix, operator, right, room, tmp_path, monkeypatch
):
    monkeypatch.setenv("MUMPS_OOC_TMPDIR", str(tmp_path))
    room(0.55 * needed(matrix))
    factor = factorise(matrix, definite=True, backend="mumps")
    assert steps(factor)[-1] == ("out of core", "done")
    assert factor.statistics["out_of_core"]
    assert any(tmp_path.iterdir())
    assert residual(operator, factor.solve(right), right) < 1e-13
    factor.destroy()
    assert not any(tmp_path.iterdir())


def test_low_rank_blocks_are_refined_by_whoever_solves(matrix, operator, right, monkeypatch):
    step = mumps._ladder(None, 10**9)[-2]
    assert step.name == "block low-rank"
    start = step._replace(follows=frozenset({"start"}))
    monkeypatch.setattr(mumps, "_ladder", lambda plan, room: [start])
    factor = factorise(matrix, definite=True, backend="mumps")
    assert factor.statistics["low_rank"]
    solution = factor.solve(right)
    solution += factor.solve(right - operator.apply(solution) - 0.3 * solution)
    assert residual(operator, solution, right) < 1e-13
    factor.destroy()


def test_what_fits_nowhere_is_said(matrix, operator, room):
    room(1)
    for definite in (True, False):
        with pytest.raises(FactorDoesNotFit, match=r"no factor .* 1 MB can be had \(a test\)"):
            factorise(matrix, definite=definite)
    with pytest.raises(FactorDoesNotFit):
        count_below(operator, 0.1)
    assert count_null_vectors(operator) is None  # the caller estimates them


def test_cholmod_hands_over_to_mumps(matrix, operator, right, monkeypatch, caplog):
    monkeypatch.setattr(cholmod, "_INDEX_LIMIT", 1000)
    factor = factorise(matrix, definite=True)
    assert factor.name == "mumps" and "CHOLMOD" in caplog.text
    assert residual(operator, factor.solve(right), right) < 1e-13
    factor.destroy()


def test_the_cheapest_ordering_is_taken(matrix, monkeypatch):
    monkeypatch.setattr(mumps, "_LARGE", 0.0)
    monkeypatch.setattr(mumps, "_SLOW", 0.0)
    factor = factorise(matrix, definite=False)
    compared = factor.statistics["analysis"]
    assert len(compared) > 2
    # Within what the plan calls equal, 5 %, and what pivoting may add.
    assert factor.statistics["flops"] < 1.1 * min(compared.values())
    factor.destroy()


def test_options_of_petsc_win(matrix, monkeypatch):
    from petsc4py import PETSc

    options = PETSc.Options()
    options["gm_mumps_mat_mumps_icntl_7"] = 6
    try:
        factor = factorise(matrix, definite=False)
        assert factor.statistics["ordering"] == "QAMD"
        factor.destroy()
        options["gm_mumps_mat_mumps_icntl_23"] = 1  # a cap below every need
        with pytest.raises(FactorDoesNotFit):
            factorise(matrix, definite=False)
        assert options.getInt("gm_mumps_mat_mumps_icntl_23") == 1
    finally:
        options.delValue("gm_mumps_mat_mumps_icntl_7")
        options.delValue("gm_mumps_mat_mumps_icntl_23")
    factor = factorise(matrix, definite=False)
    assert factor.statistics["ordering"] != "QAMD"
    factor.destroy()


@pytest.mark.parametrize(
    ("status", "second"),
    [
        *((status, "with more workspace") for status in (-8, -9, -14, -15, -17, -18, -20)),
        *((status, "with all memory") for status in (-7, -13, -19)),
    ],
)
def test_every_want_of_memory_climbs_the_ladder(matrix, monkeypatch, status, second):
    tries, infog, set_up = [], mumps._infog, mumps._set_up

    def pretend(preconditioner, index):
        return status if index == 1 and len(tries) == 1 else infog(preconditioner, index)

    def count(*arguments, **options):
        tries.append(arguments)
        return set_up(*arguments, **options)

    monkeypatch.setattr(mumps, "_infog", pretend)
    monkeypatch.setattr(mumps, "_set_up", count)
    factor = factorise(matrix, definite=True, backend="mumps")
    (planned, failure), last = steps(factor)
    assert planned == "as planned" and f"INFOG(1) = {status}" in failure
    assert last == (second, "done")
    factor.destroy()


def test_other_failures_are_no_question_of_memory(matrix, monkeypatch):
    monkeypatch.setattr(mumps, "_OUT_OF_MEMORY", set())
    monkeypatch.setattr(mumps, "_WORKSPACE", 50)
    from petsc4py import PETSc

    options = PETSc.Options()
    options["gm_mumps_mat_mumps_icntl_23"] = 1
    try:
        with pytest.raises(SolverError, match=r"INFOG\(1\) = -19"):
            factorise(matrix, definite=False)
    finally:
        options.delValue("gm_mumps_mat_mumps_icntl_23")


def test_an_indefinite_matrix_is_refused_on_every_way(operator, room, matrix):
    room(0.9 * needed(matrix))
    shifted = operator.assembled()
    shifted.shift(-0.3)
    with pytest.raises(NotPositiveDefiniteError) as caught:
        factorise(shifted, definite=True, backend="mumps")
    shifted.destroy()
    assert caught.value.negatives == np.sum(LATTICE.exact_eigenvalues() < 0.3)
