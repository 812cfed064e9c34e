"""Near pairs in a periodic box in linear time, and the order that puts near sites together.

The pairs come from a compiled cell list, one template for d = 2, 3 and 4; scipy's periodic
k-d tree is its oracle and serves where no compiler is.
"""

from __future__ import annotations

import ctypes
import math

import numpy as np

from glassmodes.errors import InputError
from glassmodes.kernels.library import load

_HILBERT_BITS = 62  # of a signed 64-bit key, shared by the d axes
COMPILED_DIMENSIONS = (2, 3, 4)
"""Dimensions the C++ templates are instantiated for; the numpy twins serve any."""


def _checked(positions: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return C-contiguous float64 positions (N, d) and box (d,), or refuse them."""
    x = np.ascontiguousarray(positions, np.float64)
    edges = np.ascontiguousarray(box, np.float64)
    if x.ndim != 2 or edges.shape != x.shape[1:]:
        raise InputError(
            f"positions of shape {x.shape} and a box of shape {edges.shape} do not fit together: "
            "expected (N, d) and (d,)"
        )
    if not (np.isfinite(edges).all() and (edges > 0).all()):
        raise InputError(f"box edges must be positive numbers, found {edges.tolist()}")
    if not np.isfinite(x).all():
        bad = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        raise InputError(f"the position of particle {bad} is not finite: {x[bad].tolist()}")
    if len(x) >= 2**31:
        raise InputError(f"{len(x)} particles do not fit 32-bit indices")
    return x, edges


def wrap(positions: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the images of `positions` (N, d) in ``[0, box)``."""
    wrapped = positions - box * np.floor(positions / box)
    wrapped[wrapped >= box] = 0.0  # -1e-20 + box rounds to box
    return wrapped


def minimum_image(vectors: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the shortest periodic images of `vectors` (..., d)."""
    return vectors - box * np.rint(vectors / box)


def find_pairs(
    positions: np.ndarray, box: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find all pairs whose minimum-image distance is below `cutoff`.

    Parameters
    ----------
    positions : (N, d) float64
        Any real numbers; they are wrapped here.
    box : (d,) float64
        Edge lengths, same unit.
    cutoff : float
        Distance, same unit.  Any value: beyond half an edge a pair is still listed once.

    Returns
    -------
    i, j : (P,) int32
        ``i < j``, ordered by (i, j).

    Raises
    ------
    InputError
        If shapes do not fit, a number is not finite or an edge or the cutoff is not positive.

    Notes
    -----
    Cells of edge `cutoff`: O(3^d n_cell) distances a particle, whatever N is.
    """
    x, edges = _checked(positions, box)
    if not (math.isfinite(cutoff) and cutoff > 0):
        raise InputError(f"the cutoff must be a positive number, found {cutoff}")
    library = load() if x.shape[1] in COMPILED_DIMENSIONS else None
    if library is None:
        return _find_pairs_by_tree(x, edges, cutoff)
    return _find_pairs_compiled(library, x, edges, cutoff)


def compact_frame(
    positions: np.ndarray, box: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and box of a smaller periodic cell with the same pairs within `reach`.

    Along every axis that the sites leave empty over two reaches or more, the origin moves to
    the end of the widest gap and all but one reach of the gap is cut out: the cell list of a
    rank then grows with its own part of the box, not with the whole.
    """
    x, edges = wrap(positions, box), np.array(box, np.float64)
    for axis in range(x.shape[1]):
        bins = int(min(edges[axis] / reach, 4.0 * len(x) + 4))
        if bins < 4 or not len(x):
            continue
        width = edges[axis] / bins
        occupied = np.unique(np.minimum((x[:, axis] / width).astype(np.int64), bins - 1))
        gaps = np.diff(np.append(occupied, occupied[0] + bins)) - 1
        widest = int(np.argmax(gaps))
        if gaps[widest] < 2:
            continue
        origin = (occupied[widest] + gaps[widest] + 1) % bins * width
        x[:, axis] = (x[:, axis] - origin) % edges[axis]
        # a site in the first bin may have rounded to just below the origin
        x[x[:, axis] > (bins - 0.5) * width, axis] = 0.0
        edges[axis] = (bins - gaps[widest]) * width + 1.001 * reach
    return x, edges


def _expected_pairs(n: int, box: np.ndarray, cutoff: float) -> int:
    d = len(box)
    ball = math.pi ** (d / 2) / math.gamma(d / 2 + 1) * cutoff**d
    return int(min(n * (n - 1) / 2, 0.65 * n * n * ball / box.prod() + 16 * n)) + 64


def _search(library, x, box, cutoff, i, j) -> tuple[int, int]:
    """Fill i and j as far as they reach; return the numbers of pairs and of distances."""
    search = library.gm_find_pairs
    search.restype = ctypes.c_int64
    examined = ctypes.c_int64(0)
    found = search(
        *(x.shape[1], ctypes.c_int64(len(x))),
        *(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(box.ctypes.data)),
        *(ctypes.c_double(cutoff), ctypes.c_int64(len(i))),
        *(ctypes.c_void_p(i.ctypes.data), ctypes.c_void_p(j.ctypes.data)),
        ctypes.byref(examined),
    )
    return found, examined.value


def _find_pairs_compiled(library, x, box, cutoff) -> tuple[np.ndarray, np.ndarray]:
    capacity = _expected_pairs(len(x), box, cutoff)
    while True:
        i, j = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
        found, _ = _search(library, x, box, cutoff, i, j)
        if found <= capacity:
            return i[:found].copy(), j[:found].copy()
        capacity = found


def distances_examined(positions: np.ndarray, box: np.ndarray, cutoff: float) -> int | None:
    """Return how many distances `find_pairs` computes: its cost, free of any clock.

    None where the k-d tree serves.
    """
    x, edges = _checked(positions, box)
    library = load() if x.shape[1] in COMPILED_DIMENSIONS else None
    none = np.empty(0, np.int32)
    return None if library is None else _search(library, x, edges, cutoff, none, none)[1]


def _find_pairs_by_tree(x, box, cutoff) -> tuple[np.ndarray, np.ndarray]:
    from scipy.spatial import cKDTree

    x = wrap(x, box)
    # the tree's own rounding must not lose a pair: ask for slightly more, then decide here
    pairs = cKDTree(x, boxsize=box).query_pairs(cutoff * (1 + 1e-12), output_type="ndarray")
    distance = np.linalg.norm(minimum_image(x[pairs[:, 1]] - x[pairs[:, 0]], box), axis=1)
    pairs = pairs[distance < cutoff]
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].astype(np.int32)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def hilbert_order(positions: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the permutation (N,) that sorts sites along a Hilbert curve; ties keep their order."""
    return np.argsort(hilbert_keys(positions, box), kind="stable")


def hilbert_keys(positions: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the places of sites along a Hilbert curve.

    Parameters
    ----------
    positions : (N, d) float64
        Wrapped here.
    box : (d,) float64
        Edge lengths; the curve fills the cube on the longest edge, so its cells are cubes.

    Returns
    -------
    (N,) int64
        Near sites have near keys; a key depends on its site and the box alone.

    Notes
    -----
    Skilling, AIP Conf. Proc. 707, 381 (2004), for any d.  O(N bits).
    """
    x, edges = _checked(positions, box)
    d = x.shape[1]
    bits = min(16, _HILBERT_BITS // d)
    scaled = wrap(x, edges) / edges.max() * 2.0**bits
    axes = np.minimum(scaled.astype(np.int64), 2**bits - 1).T.copy()

    level = 1 << (bits - 1)
    while level > 1:  # undo the rotations and reflections of each level
        below = level - 1
        for a in range(d):
            reflect = (axes[a] & level) != 0
            swap = np.where(reflect, 0, (axes[0] ^ axes[a]) & below)
            axes[0] ^= np.where(reflect, below, swap)
            axes[a] ^= swap
        level >>= 1
    for a in range(1, d):  # Gray code
        axes[a] ^= axes[a - 1]
    carry = np.zeros_like(axes[0])
    level = 1 << (bits - 1)
    while level > 1:
        carry ^= np.where(axes[d - 1] & level, level - 1, 0)
        level >>= 1
    axes ^= carry

    key = np.zeros(len(x), np.int64)
    for bit in range(bits - 1, -1, -1):
        for a in range(d):
            key = (key << 1) | ((axes[a] >> bit) & 1)
    return key
