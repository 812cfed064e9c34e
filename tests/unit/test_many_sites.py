"""Operators of more sites than 32-bit products of two site numbers can hold (46,340)."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from glassmodes.kernels.block import EdgeProduct
from glassmodes.spectra.halo import Halo
from glassmodes.spectra.operators import EdgeOperator

SITES = 50_000


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_edges_keep_their_ends(kind):
    """A chain given in random order comes back as a chain, whatever the type of its numbers."""
    rng = np.random.default_rng(1)
    left = rng.permutation(SITES - 1).astype(kind)
    u = rng.standard_normal((SITES - 1, 3))
    ones = np.ones(SITES - 1)
    product = EdgeProduct(SITES, SITES, left, left + kind(1), u, ones, ones)
    i, j, kept, *_ = product.edge_list()
    assert np.array_equal(i, np.arange(SITES - 1)) and np.array_equal(j, i + 1)
    assert np.array_equal(kept[left], u)


def test_product_is_the_sum_over_edges():
    """Against a sum over the edges that never makes a matrix, with 32-bit numbers of sites."""
    rng = np.random.default_rng(2)
    i, j = rng.choice(SITES, (2, 3 * SITES)).astype(np.int32)
    i, j = i[i != j], j[i != j]
    u, t = rng.standard_normal((len(i), 3)), rng.standard_normal(len(i))
    sign = rng.choice([-1.0, 1.0], len(i))
    operator = EdgeOperator(Halo(MPI.COMM_SELF, SITES, np.zeros(0, np.int64)), i, j, u, sign, t)
    x = rng.standard_normal((SITES, 3))
    step = x[i] - x[j]
    force = t[:, None] * step + (sign * np.einsum("pa,pa->p", u, step))[:, None] * u
    expected = np.zeros_like(x)
    np.add.at(expected, i, force)
    np.add.at(expected, j, -force)
    got = operator.apply(x.reshape(-1, 1)).reshape(SITES, 3)
    # round-off of some ten terms a row
    assert np.abs(got - expected).max() < 1e-12 * np.abs(expected).max()
