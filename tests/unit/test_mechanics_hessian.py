"""Structure of the Hessian: symmetry, null vectors, masses, and its three forms."""

from dataclasses import replace

import numpy as np
import pytest

from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import find_interactions


@pytest.fixture(scope="module")
def inter(glass):
    return find_interactions(glass)


def test_symmetric_with_sorted_block_rows(inter):
    matrix = hessian.sparse(inter)
    assert matrix.blocksize == (inter.d, inter.d)
    assert matrix.has_canonical_format
    assert len(matrix.indices) == 2 * len(inter) + inter.n
    assert abs(matrix - matrix.T).max() < 1e-12 * abs(matrix).max()


def test_translations_are_null_vectors(inter):
    translations = np.tile(np.eye(inter.d), (inter.n, 1))
    matrix = hessian.sparse(inter)
    assert np.abs(matrix @ translations).max() < 1e-12 * abs(matrix).max()


def test_weighted_translations_are_null_vectors_of_the_weighted_matrix(glass, inter):
    weights = np.repeat(np.sqrt(glass.masses), inter.d)
    translations = weights[:, None] * np.tile(np.eye(inter.d), (inter.n, 1))
    matrix = hessian.sparse(inter, glass.masses)
    assert np.abs(matrix @ translations).max() < 1e-12 * abs(matrix).max()


def test_exactly_d_null_eigenvalues_at_a_minimum(dense_system):
    d = dense_system.interactions.d
    assert dense_system.null.sum() == d
    assert dense_system.eigenvalues[d] > 0.1


def test_masses_weight_rows_and_columns(glass, inter):
    scale = 1 / np.sqrt(np.repeat(glass.masses, inter.d))
    expected = scale[:, None] * hessian.sparse(inter).toarray() * scale
    np.testing.assert_allclose(hessian.sparse(inter, glass.masses).toarray(), expected, atol=1e-11)


def test_a_common_mass_divides_eigenvalues(glass, inter, dense_system):
    heavy = hessian.sparse(inter, np.full(inter.n, 4.0)).toarray()
    found = np.linalg.eigvalsh(heavy)
    np.testing.assert_allclose(4 * found, dense_system.eigenvalues, atol=1e-9 * found[-1])


def test_edges_rebuild_the_pair_stiffness(inter):
    """t I + s u uᵀ = φ'/r (I - n nᵀ) + φ'' n nᵀ."""
    u, sign, t = hessian.edges(inter)
    k = t[:, None, None] * np.eye(inter.d) + np.einsum("p,pa,pb->pab", sign, u, u)
    n = inter.vector / inter.distance[:, None]
    along = np.einsum("pa,pb->pab", n, n)
    slope = inter.derivatives[1] / inter.distance
    expected = slope[:, None, None] * (np.eye(inter.d) - along)
    expected += inter.derivatives[2][:, None, None] * along
    np.testing.assert_allclose(k, expected, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_allclose(hessian.stiffnesses(inter), expected, atol=1e-12 * expected.max())


def test_product_without_assembly_equals_the_matrix(inter):
    x = np.random.default_rng(0).normal(size=(inter.n * inter.d, 11))
    expected = hessian.sparse(inter) @ x
    np.testing.assert_allclose(hessian.multiply(inter, x), expected, atol=1e-11 * expected.max())
    np.testing.assert_allclose(hessian.multiply(inter, x[:, 0]), expected[:, 0], atol=1e-9)


def test_order_of_particles_does_not_matter(glass, inter):
    order = np.random.default_rng(1).permutation(inter.n)
    shuffled = replace(
        glass,
        positions=glass.positions[order],
        species=glass.species[order],
        masses=glass.masses[order],
    )
    matrix = hessian.sparse(find_interactions(shuffled)).toarray()
    rows = (order[:, None] * inter.d + np.arange(inter.d)).ravel()
    expected = hessian.sparse(inter).toarray()[np.ix_(rows, rows)]
    np.testing.assert_allclose(matrix, expected, atol=1e-11)


def test_periodic_images_and_shifts_do_not_matter(glass, inter):
    rng = np.random.default_rng(2)
    shift = rng.integers(-3, 4, glass.positions.shape) * glass.box + rng.normal(size=inter.d)
    moved = find_interactions(replace(glass, positions=glass.positions + shift))
    difference = hessian.sparse(moved) - hessian.sparse(inter)
    assert abs(difference).max() < 1e-10 * abs(hessian.sparse(inter)).max()
