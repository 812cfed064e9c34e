"""Vector operations on all columns of a row-major block at once, compiled or in numpy.

Blocks are those of `kernels.block`: C-contiguous float64 ``(rows, width)``.  Each function
works on the rows of this rank; sums over ranks are the caller's.
"""

from __future__ import annotations

import ctypes

import numpy as np

from glassmodes.kernels.block import WIDTHS
from glassmodes.kernels.library import load


def _compiled(*blocks: np.ndarray) -> ctypes.CDLL | None:
    shape = blocks[0].shape
    for block in blocks:
        if block.shape != shape or not block.flags.c_contiguous or block.dtype != np.float64:
            raise ValueError(f"blocks must be C-contiguous float64 of one shape {shape}")
    return load() if shape[1] in WIDTHS else None


def _sizes(block: np.ndarray) -> tuple[ctypes.c_int, ctypes.c_int64]:
    return ctypes.c_int(block.shape[1]), ctypes.c_int64(block.shape[0])


def _pointers(*arrays: np.ndarray) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(array.ctypes.data) for array in arrays]


def dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the inner product of each column of `x` with that of `y`, (width,)."""
    library = _compiled(x, y)
    if library is None:
        return np.einsum("rk,rk->k", x, y)
    total = np.empty(x.shape[1])
    library.gm_dots(*_sizes(x), *_pointers(x, y, total))
    return total


def rotate(
    part: np.ndarray, scale: np.ndarray, factor: np.ndarray, x: np.ndarray, y: np.ndarray
) -> None:
    """Set `y` to scale (y - part x) and `x` to factor x in one pass, in place.

    part, scale, factor : (width,); x, y : (rows, width).
    """
    library = _compiled(x, y)
    if library is None:
        y -= part * x
        y *= scale
        x *= factor
        return
    scalars = [np.ascontiguousarray(values, np.float64) for values in (part, scale, factor)]
    library.gm_rotate(*_sizes(x), *_pointers(*scalars, x, y))


def descend(
    step: np.ndarray, p: np.ndarray, q: np.ndarray, x: np.ndarray, residual: np.ndarray
) -> np.ndarray:
    """Add step p to `x`, take step q from `residual`; return |residual|² of each column.

    step : (width,); p, q, x, residual : (rows, width), the last two changed in place.
    """
    library = _compiled(p, q, x, residual)
    if library is None:
        x += step * p
        residual -= step * q
        return np.einsum("rk,rk->k", residual, residual)
    step = np.ascontiguousarray(step, np.float64)
    squares = np.empty(x.shape[1])
    library.gm_descend(*_sizes(x), *_pointers(step, p, q, x, residual, squares))
    return squares


def turn(factor: np.ndarray, z: np.ndarray, p: np.ndarray) -> None:
    """Set `p` to z + factor p in place; factor : (width,)."""
    library = _compiled(z, p)
    if library is None:
        p *= factor
        p += z
        return
    factor = np.ascontiguousarray(factor, np.float64)
    library.gm_turn(*_sizes(p), *_pointers(factor, z, p))


def block_diagonal(blocks: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Write the product of the (sites, d, d) diagonal `blocks` with `x` into `y`."""
    library = _compiled(x, y)
    sites, d, _ = blocks.shape
    if sites * d != len(x) or not blocks.flags.c_contiguous:
        raise ValueError(f"{sites} C-contiguous blocks of {d} rows do not fit {len(x)} rows")
    if library is None:
        np.matmul(blocks, x.reshape(sites, d, -1), out=y.reshape(sites, d, -1))
        return
    width, _ = _sizes(x)
    library.gm_block_diagonal(width, ctypes.c_int64(sites), d, *_pointers(blocks, x, y))
