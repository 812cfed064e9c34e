"""Any eigensolver of SLEPc that its options reach finds the modes of LAPACK, or says why not."""

import numpy as np
import pytest
from lattices import disordered_operator, translation_vectors

from glassmodes import memory
from glassmodes.errors import ResourceError, SolverError
from glassmodes.spectra.chebyshev import spectral_bound
from glassmodes.spectra.eigenmodes import lowest_modes
from glassmodes.spectra.filtered_lanczos import Target
from glassmodes.spectra.operators import EdgeOperator
from glassmodes.spectra.shift_invert import shift_invert

SITES, COUNT = 150, 12


@pytest.fixture(scope="module")
def operator(comm_self):
    """A network with one site that nothing holds."""
    whole = disordered_operator(comm_self, SITES, 3, 7)
    edges = whole._product.edge_list()
    operator = EdgeOperator.of_all_edges(comm_self, SITES + 1, *edges)
    operator.null_rows = np.repeat(np.arange(SITES + 1) == SITES, 3)
    operator.null_space = np.vstack([translation_vectors(whole), np.zeros((3, 3))])
    return operator


@pytest.fixture(scope="module")
def exact(operator):
    return np.linalg.eigvalsh(operator.local_rows().toarray())[6:]


def find(operator, count=COUNT):
    return shift_invert(operator, Target(count=count, extra=0), spectral_bound(operator))


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"gm_eps_type": "arnoldi", "gm_eps_ncv": 60},
        {"gm_eps_type": "lobpcg", "gm_mat_type": "shell", "gm_eps_max_it": 2000},
        {"gm_eps_type": "krylovschur", "gm_mat_type": "shell", "gm_eps_max_it": 2000},
        {"gm_eps_type": "gd", "gm_eps_max_it": 5000},
        {"gm_st_type": "filter", "gm_st_filter_degree": 40},
        {"gm_st_type": "filter", "gm_mat_type": "shell", "gm_st_filter_degree": 40},
        {"gm_eps_type": "ciss"},
        {"gm_mat_type": "sbaij"},
    ],
    ids=lambda chosen: "-".join(map(str, chosen.values())) or "default",
)
def test_options_choose_the_eigensolver(operator, exact, options, chosen):
    options(**chosen)
    pairs = find(operator)
    assert pairs.info["eps_type"] == chosen.get("gm_eps_type", "krylovschur")
    # Eigenvalues are second order in the residual, which is 1e-7 of them at most.
    np.testing.assert_allclose(pairs.values[:COUNT], exact[:COUNT], rtol=1e-9)
    gram = pairs.vectors.T @ pairs.vectors
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-10)


def test_modes_below_an_edge(operator, exact):
    edge = (exact[80] + exact[81]) / 2  # more than the first guess of 64
    pairs = shift_invert(operator, Target(below=edge, extra=0), spectral_bound(operator))
    np.testing.assert_allclose(pairs.values[:81], exact[:81], rtol=1e-9)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"gm_eps_type": "lobpcg", "gm_mat_type": "shell", "gm_eps_max_it": 2},
            r"converged \d+ of",
        ),
        ({"gm_eps_type": "nonsense"}, "PETSc: .*nonsense"),
        ({"gm_mat_type": "nonsense"}, "PETSc: .*nonsense"),
        ({"gm_st_type": "nonsense"}, "PETSc: .*nonsense"),
        ({"gm_eps_tol": 0.1, "gm_eps_type": "lobpcg", "gm_mat_type": "shell"}, "miss the residual"),
    ],
)
def test_what_slepc_cannot_do_is_one_line(operator, options, chosen, message):
    options(**chosen)
    with pytest.raises(SolverError, match=message) as caught:
        lowest_modes(operator, count=COUNT, method="slepc")
    assert "\n" not in str(caught.value)


def test_a_factor_that_does_not_fit_is_not_begun(operator, monkeypatch):
    monkeypatch.setattr(memory, "tightest", lambda comm=None: memory.Limit(10**3, "a test"))
    with pytest.raises(ResourceError, match="factor of shift-invert"):
        find(operator)
