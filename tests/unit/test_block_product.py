"""The compiled block products against scipy, and the algebra of the operators."""

import numpy as np
import pytest
import scipy.sparse as sp
from lattices import disordered_edges, disordered_operator, translation_vectors

from glassmodes.errors import InputError
from glassmodes.kernels.block import WIDTHS, EdgeProduct, RowProduct, aligned_block
from glassmodes.kernels.library import load
from glassmodes.spectra.operators import MatrixOperator

# Sums of about 20 products of order one: rounding stays far below 1e-12.
ROUNDING = 1e-12


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("width", [*WIDTHS, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_edge_product_equals_the_assembled_matrix(d, width, weighted):
    n, rng = 60, np.random.default_rng(d)
    weights = 0.5 + rng.random(n) if weighted else None
    product = EdgeProduct(n, n, *disordered_edges(n, d, 1, signed=True), weights=weights)
    assert load() is not None, "the compiled kernels must be tested, not their twin"
    x, y = aligned_block(n * d, width), aligned_block(n * d, width)
    x[:], y[:] = rng.normal(size=x.shape), rng.normal(size=y.shape)
    expected = y + 0.3 * (product.to_csr() @ x) - 0.7 * x
    gram = np.empty((3, width))
    product.accumulate(x, y, 0.3, -0.7, gram)
    np.testing.assert_allclose(y, expected, atol=ROUNDING)
    # Sums of 4 n = 240 products of up to some hundred: rounding stays below 1e-12 of them.
    inner = [np.sum(a * b, axis=0) for a, b in ((x, x), (x, expected), (expected, expected))]
    np.testing.assert_allclose(gram, inner, rtol=ROUNDING, atol=ROUNDING * np.max(inner))


def test_edges_of_the_matrix_are_their_definition():
    i, j, u, sign, t = disordered_edges(20, 3, 2, signed=True)
    dense = np.zeros((20, 3, 20, 3))
    for p in range(len(i)):
        k = t[p] * np.eye(3) + sign[p] * np.outer(u[p], u[p])
        dense[i[p], :, i[p]] += k
        dense[j[p], :, j[p]] += k
        dense[i[p], :, j[p]] -= k
        dense[j[p], :, i[p]] -= k
    product = EdgeProduct(20, 20, i, j, u, sign, t)
    np.testing.assert_allclose(product.to_csr().toarray(), dense.reshape(60, 60), atol=ROUNDING)


@pytest.mark.parametrize("n", [60, 20000])
def test_the_order_of_edges_and_of_their_ends_does_not_matter(n):
    """20,000 sites take the variant that prefetches; sums then differ by their order only."""
    i, j, u, sign, t = disordered_edges(n, 2, 12, signed=True)
    rng = np.random.default_rng(13)
    sequence, turned = rng.permutation(len(i)), rng.random(len(i)) < 0.5
    ends = np.where(turned, j, i), np.where(turned, i, j)
    shuffled = [values[sequence] for values in (*ends, u, sign, t)]
    x = aligned_block(2 * n, 8)
    x[:] = rng.normal(size=x.shape)
    results = []
    for edges in ((i, j, u, sign, t), shuffled):
        product, y, gram = EdgeProduct(n, n, *edges), aligned_block(2 * n, 8), np.empty((3, 8))
        y[:] = 0.0
        product.accumulate(x, y, 1.0, 0.0, gram)
        np.testing.assert_allclose(gram[1], np.einsum("rk,rk->k", x, y), rtol=ROUNDING)
        results.append(y)
    np.testing.assert_allclose(results[0], results[1], atol=ROUNDING)
    np.testing.assert_allclose(results[0], product.to_csr() @ x, atol=ROUNDING)


def accumulated(product, rows, x, y):
    """Return y + 0.3 A x - 0.7 x and the sums that come with it, made in two parts."""
    result, gram = aligned_block(*y.shape), np.empty((3, y.shape[1]))
    result[:] = y
    ghosts = x[rows:].copy()
    x[rows:] = np.nan  # not here yet
    product.interior(x, result, 0.3, -0.7, gram)
    x[rows:] = ghosts
    product.rim(x, result, 0.3, gram)
    return result[:rows], gram


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("weighted", [False, True])
def test_edges_to_ghosts_come_last_and_give_the_same_rows(d, width, weighted, compiled):
    """The first 35 of 60 sites as one rank would have them, the others as ghosts."""
    n, owned, rng = 60, 35, np.random.default_rng(d)
    weights = 0.5 + rng.random(n) if weighted else None
    i, j, u, sign, t = disordered_edges(n, d, 1, signed=True)
    whole = EdgeProduct(n, n, i, j, u, sign, t, weights)
    mine = (i < owned) | (j < owned)
    part = EdgeProduct(owned, n, i[mine], j[mine], u[mine], sign[mine], t[mine], weights)
    if not compiled:
        part._library = None
    x, y = aligned_block(n * d, width), aligned_block(n * d, width)
    x[:], y[:] = rng.normal(size=x.shape), rng.normal(size=y.shape)
    expected = (y + 0.3 * (whole.to_csr() @ x) - 0.7 * x)[: owned * d]
    result, gram = accumulated(part, owned * d, x, y)
    np.testing.assert_allclose(result, expected, atol=ROUNDING)
    x = x[: owned * d]
    inner = [np.sum(a * b, axis=0) for a, b in ((x, x), (x, expected), (expected, expected))]
    np.testing.assert_allclose(gram, inner, rtol=ROUNDING, atol=ROUNDING * np.max(inner))
    rows = whole.to_csr()[: owned * d]
    np.testing.assert_allclose(part.to_csr().toarray(), rows.toarray(), atol=ROUNDING)
    np.testing.assert_allclose(
        part.diagonal_blocks(), whole.diagonal_blocks()[:owned], atol=ROUNDING
    )
    assert part.ends == np.sum(i < owned) + np.sum(j < owned)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_entries_in_ghost_columns_come_last_and_give_the_same_rows(width, compiled):
    rng = np.random.default_rng(5)
    matrix = sp.random(30, 50, 0.2, random_state=4).tocsr()
    product = RowProduct(matrix)
    if not compiled:
        product._library = None
    x, y = aligned_block(50, width), aligned_block(50, width)
    x[:], y[:] = rng.normal(size=x.shape), rng.normal(size=y.shape)
    expected = y[:30] + 0.3 * (matrix @ x) - 0.7 * x[:30]
    result, gram = accumulated(product, 30, x, y)
    np.testing.assert_allclose(result, expected, atol=ROUNDING)
    own = x[:30]
    inner = [np.sum(a * b, axis=0) for a, b in ((own, own), (own, expected), (expected, expected))]
    np.testing.assert_allclose(gram, inner, rtol=ROUNDING, atol=ROUNDING * np.max(inner))


@pytest.mark.parametrize("weighted", [False, True])
def test_diagonal_blocks_are_those_of_the_matrix(weighted):
    n, d = 30, 3
    weights = 0.5 + np.random.default_rng(14).random(n) if weighted else None
    product = EdgeProduct(n, n, *disordered_edges(n, d, 15, signed=True), weights=weights)
    dense = product.to_csr().toarray().reshape(n, d, n, d)
    expected = np.stack([dense[k, :, k] for k in range(n)])
    np.testing.assert_allclose(product.diagonal_blocks(), expected, atol=ROUNDING)


@pytest.mark.parametrize("width", WIDTHS)
def test_row_product_equals_scipy(width):
    rng = np.random.default_rng(3)
    matrix = sp.random(50, 50, 0.2, random_state=4).tocsr()
    x, y = aligned_block(50, width), aligned_block(50, width)
    x[:], y[:] = rng.normal(size=x.shape), 0.0
    gram = np.empty((3, width))
    RowProduct(matrix).accumulate(x, y, 2.0, 0.5, gram)
    np.testing.assert_allclose(y, 2 * (matrix @ x) + 0.5 * x, atol=ROUNDING)
    inner = [np.sum(a * b, axis=0) for a, b in ((x, x), (x, y), (y, y))]
    np.testing.assert_allclose(gram, inner, rtol=ROUNDING, atol=ROUNDING * np.max(inner))


def test_translations_are_null_vectors_and_the_operator_is_symmetric(comm_self):
    operator = disordered_operator(comm_self, 40, 3, 5, signed=True)
    assert np.abs(operator.apply(translation_vectors(operator))).max() < ROUNDING
    x = operator.random_block(2, 1)
    y = operator.random_block(2, 2)
    left, right = operator.inner(x, operator.apply(y)), operator.inner(operator.apply(x), y)
    np.testing.assert_allclose(left, right, atol=ROUNDING)


def test_weights_act_on_both_sides(comm_self):
    weights = 0.5 + np.random.default_rng(6).random(30)
    plain = disordered_operator(comm_self, 30, 2, 7).local_rows().toarray()
    weighted = disordered_operator(comm_self, 30, 2, 7, weights).local_rows().toarray()
    scale = np.repeat(weights, 2)
    np.testing.assert_allclose(weighted, scale[:, None] * plain * scale, atol=ROUNDING)


def test_shell_and_assembled_matrix_agree(comm_self):
    operator = disordered_operator(comm_self, 40, 3, 8)
    shell, assembled = operator.shell(), operator.assembled()
    x, y, z = shell.createVecRight(), shell.createVecRight(), shell.createVecRight()
    x.setArray(operator.random_block(1, 9)[:, 0])
    shell.mult(x, y)
    assembled.mult(x, z)
    np.testing.assert_allclose(y.getArray(), z.getArray(), atol=ROUNDING)
    assert assembled.getBlockSize() == 3


def test_random_numbers_are_uniform_and_differ_between_streams(comm_self):
    operator = disordered_operator(comm_self, 4000, 2, 10)
    first, second = operator.random_block(4, 1, 0), operator.random_block(4, 1, 1)
    # 32,000 uniform numbers in [-1, 1): mean 0 +- 0.0032, variance 1/3 +- 0.0017 (one sigma).
    assert abs(first.mean()) < 5 * 0.0032
    assert abs(first.var() - 1 / 3) < 5 * 0.0017
    assert abs(np.mean(first * second)) < 5 * 0.0019


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (sp.random(4, 5, 0.5, random_state=1), "square"),
        (sp.csr_matrix(np.array([[1.0, 2.0], [0.0, 1.0]])), "symmetric"),
        (sp.csr_matrix(np.array([[np.nan, 0.0], [0.0, 1.0]])), "NaN"),
    ],
)
def test_foreign_matrices_that_cannot_be_used_are_refused(comm_self, matrix, message):
    with pytest.raises(InputError, match=message):
        MatrixOperator(comm_self, matrix)


def test_operators_give_their_diagonal_blocks(comm_self):
    edges = disordered_operator(comm_self, 30, 2, 16, 0.5 + np.random.default_rng(17).random(30))
    for operator in (edges, MatrixOperator(comm_self, edges.local_rows())):
        size = operator.site_size
        dense = operator.local_rows().toarray().reshape(60 // size, size, 60 // size, size)
        expected = np.stack([dense[k, :, k] for k in range(60 // size)])
        np.testing.assert_allclose(operator.diagonal_blocks(), expected, atol=ROUNDING)
