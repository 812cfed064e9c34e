"""Block products Y += alpha A X + shift X of edge lists and sparse rows, compiled or in scipy.

Blocks are row-major arrays ``(rows, width)`` aligned to 64 bytes whose width is one of
`WIDTHS`; `aligned_block` makes them.  The scipy twins are the test oracle and serve where
no compiler is.
"""

from __future__ import annotations

import ctypes

import numpy as np
import scipy.sparse as sp

from glassmodes.kernels.library import load

WIDTHS = (1, 4, 8, 16)
"""Block widths with a compiled product; one AVX-512 register holds a row of 8."""

_SIGN_BIT = np.int32(-(2**31))
_PADDING = 64  # the kernels prefetch ahead of the index they use


def aligned_block(rows: int, width: int) -> np.ndarray:
    """Return an uninitialised float64 array ``(rows, width)`` aligned to 64 bytes."""
    raw = np.empty(rows * width * 8 + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + rows * width * 8].view(np.float64).reshape(rows, width)


def padded_width(columns: int) -> int:
    """Return the smallest compiled width that holds `columns` (the largest if none does)."""
    return next((w for w in WIDTHS if w >= columns), WIDTHS[-1])


def _pointer(array: np.ndarray | None) -> ctypes.c_void_p | None:
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


def _check(x: np.ndarray, y: np.ndarray, rows: int, gram: np.ndarray | None) -> None:
    for block in (x, y):
        if block.shape[0] < rows or not block.flags.c_contiguous or block.dtype != np.float64:
            raise ValueError(f"blocks must be C-contiguous float64 with at least {rows} rows")
    width = x.shape[1]
    if y.shape[1] != width:
        raise ValueError(f"blocks of widths {width} and {y.shape[1]} do not fit together")
    if gram is not None and not (
        gram.shape == (3, width) and gram.flags.c_contiguous and gram.dtype == np.float64
    ):
        raise ValueError(f"gram must be a C-contiguous float64 array (3, {width})")


def _set_gram(x: np.ndarray, y: np.ndarray, gram: np.ndarray | None) -> None:
    if gram is not None:
        for row, (a, b) in zip(gram, ((x, x), (x, y), (y, y)), strict=True):
            row[:] = np.einsum("rk,rk->k", a, b)


class EdgeProduct:
    """The matrix ``y_i = sum_edges w_i K (w_i x_i - w_j x_j)`` with K = t I + s u u^T.

    Parameters
    ----------
    n_owned, n_total
        Sites whose rows are computed, and sites in a block (owned first, then ghosts).
    i, j : (P,) int
        Ends of each edge in any order, at least one owned; each edge once.
    u : (P, d) float64
        Direction scaled by the square root of |K_parallel - t|.
    sign : (P,) int or float
        Sign s of the rank-one part.
    t : (P,) float64
        Isotropic part of K.
    weights : (n_total,) float64 or None
        Site weights w, the inverse square roots of the masses.

    Notes
    -----
    (d + 1) doubles and one 32-bit index an edge; 8 d width bytes of traffic per visited site.
    """

    def __init__(self, n_owned, n_total, i, j, u, sign, t, weights=None) -> None:
        self.d = u.shape[1]
        self.n_owned, self.n_total = int(n_owned), int(n_total)
        i, j = np.minimum(i, j), np.maximum(i, j)  # ghosts follow the owned sites
        order = np.argsort(i * np.int64(self.n_total) + j, kind="stable")
        i, j = i[order], j[order]
        counts = np.bincount(i, minlength=self.n_owned)[: self.n_owned]
        self.start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        index = np.zeros(len(j) + _PADDING, np.int32)
        index[: len(j)] = j
        index[: len(j)][np.asarray(sign)[order] < 0] |= _SIGN_BIT
        self.index = index
        self.parameters = np.empty((len(j), self.d + 1))
        self.parameters[:, : self.d] = u[order]
        self.parameters[:, self.d] = t[order]
        self.weights = None if weights is None else np.ascontiguousarray(weights, np.float64)
        self._library = load() if self.d in (2, 3, 4) else None
        self._sparse: sp.csr_matrix | None = None

    @property
    def memory(self) -> int:
        """Bytes of the stored edges."""
        return self.start.nbytes + self.index.nbytes + self.parameters.nbytes

    def edge_list(self) -> tuple[np.ndarray, ...]:
        """Return (i, j, u, sign, t) in the stored order."""
        edges = len(self.parameters)
        i = np.repeat(np.arange(self.n_owned), np.diff(self.start))
        j = self.index[:edges] & np.int32(2**31 - 1)
        sign = np.where(self.index[:edges] < 0, -1.0, 1.0)
        return i, j, self.parameters[:, : self.d], sign, self.parameters[:, self.d]

    def stiffness_blocks(self) -> np.ndarray:
        """Return K of every edge, (P, d, d)."""
        _, _, u, sign, t = self.edge_list()
        k = np.einsum("p,pa,pb->pab", sign, u, u)
        k += t[:, None, None] * np.eye(self.d)
        return k

    def to_csr(self) -> sp.csr_matrix:
        """Assemble the owned rows, (n_owned d, n_total d): the scipy twin of the kernel."""
        i, j, *_ = self.edge_list()
        k = self.stiffness_blocks()
        w = np.ones(self.n_total) if self.weights is None else self.weights
        coupling = -k * (w[i] * w[j])[:, None, None]
        back = np.flatnonzero(j < self.n_owned)
        sites = np.arange(self.n_owned)
        row = np.concatenate([sites, i, j[back]])
        column = np.concatenate([sites, j, i[back]])
        sequence = np.argsort(row * np.int64(self.n_total) + column, kind="stable")
        blocks = np.concatenate([self.diagonal_blocks(), coupling, coupling[back]])[sequence]
        start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=self.n_owned))])
        shape = (self.n_owned * self.d, self.n_total * self.d)
        matrix = sp.bsr_matrix((blocks, column[sequence], start), shape=shape)
        matrix.sum_duplicates()
        return matrix.tocsr()

    def diagonal_blocks(self) -> np.ndarray:
        """Return the diagonal block of every owned site, (n_owned, d, d), without the matrix."""
        i, j, *_ = self.edge_list()
        k = self.stiffness_blocks()
        back = np.flatnonzero(j < self.n_owned)
        diagonal = np.empty((self.n_owned, self.d, self.d))
        for a in range(self.d):
            for b in range(a + 1):
                entry = np.bincount(i, k[:, a, b], self.n_owned)
                entry += np.bincount(j[back], k[back, a, b], self.n_owned)
                diagonal[:, a, b] = diagonal[:, b, a] = entry
        if self.weights is not None:
            diagonal *= self.weights[: self.n_owned, None, None] ** 2
        return diagonal

    def accumulate(self, x: np.ndarray, y: np.ndarray, alpha: float, shift: float,
                   gram: np.ndarray | None = None) -> None:  # fmt: skip
        """Add ``alpha A x + shift x`` to `y`; ghost rows of `x` must be fresh.

        x, y : (n_total d, width).  Ghost rows of `y` are rubbish afterwards.  gram : (3, width)
        or None, set to x.x, x.y and y.y of the columns over the owned rows, as `columns.gram`
        gives them: nearly free here, another pass through memory there.
        """
        _check(x, y, self.n_total * self.d, gram)
        if self._library is None or x.shape[1] not in WIDTHS:
            if self._sparse is None:
                self._sparse = self.to_csr()
            rows = self.n_owned * self.d
            y[:rows] += alpha * (self._sparse @ x[: self.n_total * self.d]) + shift * x[:rows]
            _set_gram(x[:rows], y[:rows], gram)
            return
        self._library.gm_edge_product(
            *(self.d, x.shape[1], ctypes.c_int64(self.n_owned)),
            *map(_pointer, (self.start, self.index, self.parameters, self.weights, x, y)),
            *(ctypes.c_double(alpha), ctypes.c_double(shift), _pointer(gram)),
        )


class RowProduct:
    """Rows of a sparse matrix times a block: the form for matrices that come from elsewhere.

    matrix : scipy sparse (n_owned, n_total), columns in local numbering (owned, then ghosts).
    """

    def __init__(self, matrix: sp.spmatrix) -> None:
        self.matrix = sp.csr_matrix(matrix)
        self.start = self.matrix.indptr.astype(np.int64)
        self.index = np.zeros(self.matrix.nnz + _PADDING, np.int32)
        self.index[: self.matrix.nnz] = self.matrix.indices
        self.value = np.ascontiguousarray(self.matrix.data, np.float64)
        self._library = load()

    @property
    def memory(self) -> int:
        """Bytes of the stored rows."""
        return self.start.nbytes + self.index.nbytes + self.value.nbytes

    def accumulate(self, x: np.ndarray, y: np.ndarray, alpha: float, shift: float,
                   gram: np.ndarray | None = None) -> None:  # fmt: skip
        """Add ``alpha A x + shift x`` to the owned rows of `y`; `gram` as in `EdgeProduct`."""
        rows, columns = self.matrix.shape
        _check(x, y, rows, gram)
        if self._library is None or x.shape[1] not in WIDTHS:
            y[:rows] += alpha * (self.matrix @ x[:columns]) + shift * x[:rows]
            _set_gram(x[:rows], y[:rows], gram)
            return
        self._library.gm_row_product(
            *(x.shape[1], ctypes.c_int64(rows)),
            *map(_pointer, (self.start, self.index, self.value, x, y)),
            *(ctypes.c_double(alpha), ctypes.c_double(shift), _pointer(gram)),
        )
