"""Every way of solving gives the pseudo-inverse, and the choice between them follows its rules."""

import numpy as np
import pytest
from lattices import disordered_operator, translation_vectors, vacant_lattice

from glassmodes import memory
from glassmodes.errors import InputError, SolverError
from glassmodes.spectra import linear_solver
from glassmodes.spectra.conjugate_gradient import NegativeCurvatureError
from glassmodes.spectra.factorisations import FactorDoesNotFit, NotPositiveDefiniteError
from glassmodes.spectra.linear_solver import LinearSolver, expected_costs
from glassmodes.spectra.operators import EdgeOperator, MatrixOperator


@pytest.fixture(params=(2, 3), ids=("2D", "3D"))
def operator(comm_self, request):
    operator = disordered_operator(comm_self, 90, request.param, 3)
    operator.null_space = translation_vectors(operator)
    return operator


def first_pinned(operator):
    pinned = np.zeros(operator.n_local // operator.site_size, bool)
    pinned[0] = operator.first_row == 0
    return pinned


def check(operator, solver, columns=3):
    """Compare with the pseudo-inverse; return the record."""
    right = np.asfortranarray(operator.random_block(columns, 2))
    exact = np.linalg.pinv(operator.local_rows().toarray(), hermitian=True) @ right
    try:
        solution = solver.solve(right.copy(order="F"))
        record = solver.describe()
    finally:
        solver.destroy()
    # A relative residual of 1e-9 at most, times a condition number of about 1e3.
    np.testing.assert_allclose(solution, exact, atol=1e-6 * abs(exact).max())
    assert record["residual"] <= linear_solver.ACCEPTED
    assert record["columns"] == columns and record["seconds"] > 0
    return record


@pytest.mark.parametrize("pins", (True, False), ids=("pinned", "shifted"))
def test_a_factor_solves(operator, pins):
    pinned = first_pinned(operator) if pins else None
    record = check(operator, LinearSolver(operator, "factor", pinned=pinned))
    assert record["method"] == "factor" and record["factor"]["entries"] > operator.n
    assert record["iterations"] <= (0 if pins else 2)  # pins leave nothing to remove
    assert record["residual"] < 1e-11


def test_conjugate_gradients_solve(operator):
    record = check(operator, LinearSolver(operator, "cg"))
    assert record["method"] == "cg" and record["factor"] is None
    assert record["iterations"] > 5 and record["products"] >= 3 * record["iterations"]


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"gm_mat_type": "shell"},
        {"gm_mat_type": "baij", "gm_ksp_type": "minres", "gm_pc_type": "jacobi"},
        {"gm_ksp_type": "fgmres", "gm_pc_type": "gamg"},
        {"gm_mat_type": "shell", "gm_ksp_type": "pipecg", "gm_ksp_rtol": 1e-4},  # refined
    ],
    ids=lambda chosen: "-".join(map(str, chosen.values())) or "default",
)
def test_krylov_solvers_of_petsc_solve(operator, options, chosen):
    options(**chosen)
    record = check(operator, LinearSolver(operator, "ksp"))
    assert record["ksp"]["matrix_type"] == chosen.get("gm_mat_type", "aij")
    assert record["ksp"]["ksp_type"] == chosen.get("gm_ksp_type", "cg")
    assert record["iterations"] > 0


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"gm_ksp_max_it": 2}, "did not converge .* after 2 iterations"),
        ({"gm_mat_type": "nonsense"}, "PETSc: .*nonsense"),
        ({"gm_ksp_type": "nonsense"}, "PETSc: .*nonsense"),
        ({"gm_pc_type": "nonsense"}, "PETSc: .*nonsense"),
    ],
)
def test_what_petsc_cannot_do_is_one_line(operator, options, chosen, message):
    options(**chosen)
    with pytest.raises(SolverError, match=message) as caught:
        LinearSolver(operator, "ksp").solve(np.asfortranarray(operator.random_block(1, 2)))
    assert "\n" not in str(caught.value)


def test_gpu_matrices_are_reached_by_an_option(operator, options):
    from petsc4py import PETSc

    options(gm_mat_type="aijcusparse")
    solver = LinearSolver(operator, "ksp")
    if PETSc.Sys.hasExternalPackage("cuda"):
        assert check(operator, solver)["ksp"]["matrix_type"] == "aijcusparse"
        return
    with pytest.raises(SolverError, match=r"PETSc: .*aijcusparse"):
        solver.solve(np.asfortranarray(operator.random_block(1, 2)))


@pytest.mark.parametrize("method", linear_solver.METHODS)
def test_rattlers_stay_where_they_are(comm_self, method):
    whole = disordered_operator(comm_self, 60, 3, 4)
    i, j, u, sign, t = whole._product.edge_list()
    operator = EdgeOperator.of_all_edges(comm_self, 61, i, j, u, sign, t)
    lonely = np.arange(61) == 60
    operator.null_rows = np.repeat(lonely, 3)
    translations = translation_vectors(whole)
    operator.null_space = np.vstack([translations, np.zeros((3, 3))])
    pinned = lonely | (np.arange(61) == 0)
    record = check(operator, LinearSolver(operator, method, pinned=pinned))
    assert record["method"] == ("factor" if method == "auto" else method) or method == "auto"


@pytest.mark.parametrize("method", ("auto", "factor", "ksp"))
def test_floppy_modes_that_nobody_knows_do_no_harm(comm_self, method):
    incidence = vacant_lattice("fcc", 4, 0.6, 6)
    operator = MatrixOperator(comm_self, incidence.T @ incidence)
    tensions = np.random.default_rng(1).normal(size=(incidence.shape[0], 2))
    force = np.asfortranarray(incidence.T @ tensions)
    solver = LinearSolver(operator, method, hidden_null_vectors=True)
    x = solver.solve(force.copy(order="F"))
    if method == "auto":
        assert solver.describe()["why"] == "null vectors are not known"
    values, modes = np.linalg.eigh(operator.local_rows().toarray())
    stiff = values > 1e-10 * values[-1]
    assert stiff.sum() < operator.n - 3
    exact = np.sum((modes[:, stiff].T @ force) ** 2 / values[stiff, None], axis=0)
    # Energies are second order in the residual of 1e-9.
    np.testing.assert_allclose(np.einsum("rk,rk->k", force, x), exact, rtol=1e-9)
    solver.destroy()


def test_a_force_on_null_vectors_alone_moves_nothing(operator):
    for method in ("factor", "cg", "ksp"):
        solver = LinearSolver(operator, method, pinned=first_pinned(operator))
        assert not solver.solve(operator.null_space.copy(order="F")).any()
        solver.destroy()


def test_a_saddle_is_an_error(comm_self):
    operator = disordered_operator(comm_self, 100, 3, 4, signed=True)
    operator.null_space = translation_vectors(operator)
    right = np.asfortranarray(operator.random_block(2, 3))
    with pytest.raises(NotPositiveDefiniteError):
        LinearSolver(operator, "factor", pinned=first_pinned(operator)).solve(right)
    for method in ("cg", "ksp"):
        with pytest.raises(NegativeCurvatureError):
            LinearSolver(operator, method).solve(right)


def test_few_columns_take_conjugate_gradients_and_many_a_factor(comm_self):
    operator = disordered_operator(comm_self, 2000, 3, 4)
    few, many = expected_costs(operator, 1), expected_costs(operator, 3000)
    assert few.cg_seconds < few.factor_seconds and many.factor_seconds < many.cg_seconds
    for columns, expected in ((1, "cg"), (3000, "factor")):
        assert LinearSolver(operator)._choose(columns) == expected


def test_memory_decides_too(operator, monkeypatch):
    monkeypatch.setattr(memory, "tightest", lambda comm=None: memory.Limit(1000, "a test"))
    solver = LinearSolver(operator, pinned=first_pinned(operator))
    right = np.asfortranarray(operator.random_block(2, 3))
    expected = LinearSolver(operator, "cg").solve(right.copy(order="F"))
    np.testing.assert_array_equal(solver.solve(right.copy(order="F"), planned=10**6), expected)
    record = solver.describe()
    assert record["method"] == "cg" and "1 kB are left" in record["why"]
    assert record["estimated"]["columns"] == 10**6


def test_a_factor_that_turns_out_too_large_is_replaced(operator, monkeypatch, caplog):
    """The estimate can be wrong: MUMPS and CHOLMOD then say no, and the solve goes on."""

    def refuse(matrix, definite):
        raise FactorDoesNotFit("no factor fits")

    monkeypatch.setattr(linear_solver, "factorise", refuse)
    solver = LinearSolver(operator, pinned=first_pinned(operator))
    right = np.asfortranarray(operator.random_block(2, 3))
    solution = solver.solve(right.copy(order="F"), planned=10**6)
    assert "going on with conjugate gradients" in caplog.text
    np.testing.assert_allclose(operator.apply(solution), operator.project(right), atol=1e-8)
    caplog.clear()
    solver.solve(right, planned=10**6)
    assert solver.describe()["why"] == "no factor fits" and not caplog.text
    with pytest.raises(FactorDoesNotFit):
        LinearSolver(operator, "factor").solve(right)


def test_a_factor_is_used_again(operator, monkeypatch):
    solver = LinearSolver(operator, pinned=first_pinned(operator))
    right = np.asfortranarray(operator.random_block(2, 3))
    solver.solve(right, planned=10**6)
    monkeypatch.setattr(linear_solver, "factorise", None)  # would fail
    solver.solve(right, planned=1)
    record = solver.describe()
    assert record["method"] == "factor" and record["columns"] == 4
    solver.destroy()


def test_an_unknown_way_is_refused(operator):
    with pytest.raises(InputError, match="pardiso"):
        LinearSolver(operator, "pardiso")
