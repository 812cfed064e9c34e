"""Factors, their ladder of ways and PETSc's solvers give one answer on any number of ranks."""

import numpy as np
import pytest
from lattices import SpringLattice, disordered_operator, translation_vectors

from glassmodes import memory
from glassmodes.errors import ResourceError
from glassmodes.spectra.chebyshev import spectral_bound
from glassmodes.spectra.factorisations import FactorDoesNotFit, count_below, factorise
from glassmodes.spectra.filtered_lanczos import Target
from glassmodes.spectra.linear_solver import METHODS, LinearSolver
from glassmodes.spectra.shift_invert import shift_invert

LATTICE = SpringLattice("fcc", 6)


@pytest.fixture
def operator(comm):
    return LATTICE.operator(comm)


@pytest.fixture
def room(monkeypatch):
    def set_room(megabytes):
        limit = memory.Limit(int(megabytes * 1e6), "a test")
        monkeypatch.setattr(memory, "tightest", lambda comm=None: limit)

    return set_room


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("matrix_type", ("aij", "shell"))
def test_every_way_solves(operator, method, matrix_type):
    from petsc4py import PETSc

    options = PETSc.Options()
    options["gm_mat_type"] = matrix_type
    pinned = np.zeros(operator.n_local // 3, bool)
    pinned[:1] = operator.first_row == 0
    right = np.asfortranarray(operator.project(operator.random_block(3, 1)))
    solver = LinearSolver(operator, method, pinned=pinned)
    try:
        solution = solver.solve(right.copy(order="F"))
        record = solver.describe()
    finally:
        solver.destroy()
        options.delValue("gm_mat_type")
    difference = operator.apply(solution) - right
    size = np.sqrt(operator.reduce((difference**2).sum(axis=0)))
    # The residual that every way promises, and rounding of this test's own product.
    assert np.all(size <= 2e-9 * np.sqrt(operator.reduce((right**2).sum(axis=0))))
    assert record["residual"] <= 1e-9 and record["columns"] == 3
    records = operator.comm.allgather((record["method"], record["why"], record["iterations"]))
    assert all(other == records[0] for other in records)


def test_ranks_climb_the_ladder_together(comm, operator, room):
    edge = 0.3
    expected = int(np.sum(LATTICE.exact_eigenvalues() < edge))
    assert count_below(operator, edge)[0] == expected
    matrix = operator.assembled()
    matrix.shift(-edge)
    try:
        factor = factorise(matrix, definite=False)
        planned = factor.statistics["bytes"] / 1e6
        factor.destroy()
        room(0.85 * planned)
        factor = factorise(matrix, definite=False)
        steps = [attempt["step"] for attempt in factor.statistics["attempts"]]
        assert len(steps) > 1 and all(other == steps for other in comm.allgather(steps))
        assert factor.negatives == expected
        factor.destroy()
        room(1)
        with pytest.raises(FactorDoesNotFit):
            factorise(matrix, definite=False)
    finally:
        matrix.destroy()


def test_memory_missing_on_one_rank_is_an_error_on_all(comm):
    needed = 10**15 if comm.rank == comm.size - 1 else 1
    with pytest.raises(ResourceError, match="1e\\+03 TB"):
        memory.require(comm, needed, "the basis", "use more ranks")
    memory.require(comm, 10**6, "a megabyte", "nothing")


@pytest.mark.parametrize("kind", ("aij", "shell"))
def test_filters_of_slepc_run_on_every_rank(comm, kind):
    from petsc4py import PETSc

    operator = disordered_operator(comm, 150, 3, 7)
    operator.null_space = translation_vectors(operator)
    options = PETSc.Options()
    chosen = {"gm_st_type": "filter", "gm_mat_type": kind, "gm_st_filter_degree": 40}
    for name, value in chosen.items():
        options[name] = value
    try:
        pairs = shift_invert(operator, Target(count=12, extra=0), spectral_bound(operator))
    finally:
        for name in chosen:
            options.delValue(name)
    rows = np.vstack(comm.allgather(operator.local_rows().toarray()))
    exact = np.linalg.eigvalsh(rows)[3:]
    # Eigenvalues are second order in the residual, which is 1e-7 of them at most.
    np.testing.assert_allclose(pairs.values[:12], exact[:12], rtol=1e-9)
