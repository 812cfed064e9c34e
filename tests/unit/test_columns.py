"""Compiled block vector operations do what numpy does, at every width."""

import numpy as np
import pytest

from glassmodes.kernels import columns
from glassmodes.kernels.block import WIDTHS
from glassmodes.kernels.library import load

ROWS = 60
# Sums of 60 terms of order one, in another order: a few ulp of the largest partial sum.
CLOSE = {"rtol": 1e-13, "atol": 1e-13}


@pytest.fixture(params=[*WIDTHS, 3])  # 3 has no compiled kernel
def blocks(request):
    rng = np.random.default_rng(request.param)
    return [rng.standard_normal((ROWS, request.param)) for _ in range(4)]


def test_kernels_are_compiled_here():
    assert load() is not None  # else this file would compare numpy with itself


def test_dots(blocks):
    x, y, *_ = blocks
    np.testing.assert_allclose(columns.dots(x, y), (x * y).sum(axis=0), **CLOSE)


def test_descend_moves_and_returns_the_new_norms(blocks):
    p, q, x, residual = blocks
    step = np.linspace(-1, 2, x.shape[1])
    expected_x, expected_residual = x + step * p, residual - step * q
    squares = columns.descend(step, p, q, x, residual)
    np.testing.assert_allclose(x, expected_x, **CLOSE)
    np.testing.assert_allclose(residual, expected_residual, **CLOSE)
    np.testing.assert_allclose(squares, (expected_residual**2).sum(axis=0), **CLOSE)


def test_turn(blocks):
    z, p, *_ = blocks
    factor = np.linspace(-1, 2, p.shape[1])
    expected = z + factor * p
    columns.turn(factor, z, p)
    np.testing.assert_allclose(p, expected, **CLOSE)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def test_block_diagonal(blocks, d):
    x, y, *_ = blocks
    diagonal = np.random.default_rng(d).standard_normal((ROWS // d, d, d))
    dense = np.zeros((ROWS, ROWS))
    for s, block in enumerate(diagonal):
        dense[s * d : s * d + d, s * d : s * d + d] = block
    columns.block_diagonal(diagonal, x, y)
    np.testing.assert_allclose(y, dense @ x, **CLOSE)


def test_blocks_in_the_wrong_order_or_shape_are_refused(blocks):
    x, y, *_ = blocks
    with pytest.raises(ValueError, match="C-contiguous"):
        columns.dots(x, y[:-1])
    with pytest.raises(ValueError, match="C-contiguous"):
        columns.turn(np.ones(x.shape[1]), np.repeat(x, 2, axis=1)[:, ::2], y)
    with pytest.raises(ValueError, match="do not fit"):
        columns.block_diagonal(np.ones((ROWS, 2, 2)), x, y)


def test_rotate_exchanges_two_blocks_in_one_pass(blocks):
    x, y, *_ = blocks
    part, scale, factor = np.linspace(-1, 2, 3 * x.shape[1]).reshape(3, -1)
    expected_x, expected_y = factor * x, scale * (y - part * x)
    columns.rotate(part, scale, factor, x, y)
    np.testing.assert_allclose(x, expected_x, **CLOSE)
    np.testing.assert_allclose(y, expected_y, **CLOSE)
