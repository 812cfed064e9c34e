"""Block products Y += alpha A X + shift X of edge lists and sparse rows, compiled or in scipy.

Blocks are row-major arrays ``(rows, width)`` aligned to 64 bytes whose width is one of
`WIDTHS`; `aligned_block` makes them.  The scipy twins are the test oracle and serve where
no compiler is.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

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


@dataclass(frozen=True)
class _EdgeRows:
    """Edges stored by the row of their first end, with the sign in the top bit of the index.

    start : (rows + 1,) int64; index : (P + padding,) int32; parameters : (P, d + 1).
    """

    start: np.ndarray
    index: np.ndarray
    parameters: np.ndarray

    @classmethod
    def of(cls, rows: int, row, j, u, sign, t) -> _EdgeRows:
        """Store edges that are sorted by `row`."""
        index = np.zeros(len(j) + _PADDING, np.int32)
        index[: len(j)] = j
        index[: len(j)][sign < 0] |= _SIGN_BIT
        start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
        return cls(start.astype(np.int64), index, np.column_stack([u, t]))

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def row(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    @property
    def nbytes(self) -> int:
        return self.start.nbytes + self.index.nbytes + self.parameters.nbytes


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
        order = np.argsort(i.astype(np.int64) * self.n_total + j, kind="stable")
        own = order[j[order] < self.n_owned]
        out = order[j[order] >= self.n_owned]
        u, sign, t = np.asarray(u), np.asarray(sign), np.asarray(t)
        self._inner = _EdgeRows.of(self.n_owned, i[own], j[own], u[own], sign[own], t[own])
        self._rim_sites, row = np.unique(i[out], return_inverse=True)
        self._rim_sites = self._rim_sites.astype(np.int64)
        self._rim = _EdgeRows.of(len(self._rim_sites), row, j[out], u[out], sign[out], t[out])
        self.weights = None if weights is None else np.ascontiguousarray(weights, np.float64)
        self._library = load() if self.d in (2, 3, 4) else None
        self._sparse: tuple[sp.csr_matrix, sp.csr_matrix] | None = None

    @property
    def memory(self) -> int:
        """Bytes of the stored edges."""
        return self._inner.nbytes + self._rim.nbytes + self._rim_sites.nbytes

    @property
    def ends(self) -> int:
        """Ends of edges at owned sites."""
        return 2 * len(self._inner) + len(self._rim)

    def edge_list(self) -> tuple[np.ndarray, ...]:
        """Return (i, j, u, sign, t) in the stored order: edges to ghosts come last."""
        i = np.concatenate([self._inner.row, self._rim_sites[self._rim.row]])
        index = np.concatenate([part.index[: len(part)] for part in (self._inner, self._rim)])
        parameters = np.concatenate([self._inner.parameters, self._rim.parameters])
        j = index & np.int32(2**31 - 1)
        sign = np.where(index < 0, -1.0, 1.0)
        return i, j, parameters[:, : self.d], sign, parameters[:, self.d]

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
        """Add ``alpha A x + shift x`` to the owned rows of `y`; ghost rows of `x` must be fresh.

        x, y : (n_total d, width).  gram : (3, width) or None, set to x.x, x.y and y.y of the
        columns over the owned rows, as `columns.gram` gives them: nearly free here, another pass
        through memory there.
        """
        self.interior(x, y, alpha, shift, gram)
        self.rim(x, y, alpha, gram)

    def interior(self, x: np.ndarray, y: np.ndarray, alpha: float, shift: float,
                 gram: np.ndarray | None = None) -> None:  # fmt: skip
        """Do the part of `accumulate` that reads no ghost."""
        _check(x, y, self.n_total * self.d, gram)
        if self._library is None or x.shape[1] not in WIDTHS:
            rows = self.n_owned * self.d
            y[:rows] += alpha * (self._twin[0] @ x[:rows]) + shift * x[:rows]
            _set_gram(x[:rows], y[:rows], gram)
            return
        edges = self._inner
        self._library.gm_edge_product(
            *(self.d, x.shape[1], ctypes.c_int64(self.n_owned)),
            *map(_pointer, (edges.start, edges.index, edges.parameters, self.weights, x, y)),
            *(ctypes.c_double(alpha), ctypes.c_double(shift), _pointer(gram)),
        )

    def rim(self, x: np.ndarray, y: np.ndarray, alpha: float,
            gram: np.ndarray | None = None) -> None:  # fmt: skip
        """Add the edges to ghosts after `interior`, and correct `gram`."""
        if not len(self._rim_sites):
            return
        if self._library is None or x.shape[1] not in WIDTHS:
            rows = self.n_owned * self.d
            y[:rows] += alpha * (self._twin[1] @ x[: self.n_total * self.d])
            _set_gram(x[:rows], y[:rows], gram)
            return
        edges = self._rim
        self._library.gm_edge_rim(
            *(self.d, x.shape[1], ctypes.c_int64(len(self._rim_sites)), _pointer(self._rim_sites)),
            *map(_pointer, (edges.start, edges.index, edges.parameters, self.weights, x, y)),
            *(ctypes.c_double(alpha), _pointer(gram)),
        )

    @property
    def _twin(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Sparse matrices of the interior, (n_owned d)^2, and of the rim, (n_owned d, n_total d).

        The rim holds its share of the diagonal blocks, so the interior has to go without.
        """
        if self._sparse is None:
            rows = self.n_owned * self.d
            i, j, u, sign, t = (values[: len(self._inner)] for values in self.edge_list())
            weights = None if self.weights is None else self.weights[: self.n_owned]
            own = EdgeProduct(self.n_owned, self.n_owned, i, j, u, sign, t, weights)
            inner = own.to_csr()
            padded = sp.csr_matrix(
                (inner.data, inner.indices, inner.indptr), shape=(rows, self.n_total * self.d)
            )
            self._sparse = inner, self.to_csr() - padded
        return self._sparse


class RowProduct:
    """Rows of a sparse matrix times a block: the form for matrices that come from elsewhere.

    matrix : scipy sparse (n_owned, n_total), columns in local numbering (owned, then ghosts).
    """

    def __init__(self, matrix: sp.spmatrix) -> None:
        self.matrix = sp.csr_matrix(matrix)
        rows = self.matrix.shape[0]
        self._inner = sp.csr_matrix(self.matrix[:, :rows])
        ghosts = sp.coo_matrix(self.matrix[:, rows:])
        rim = sp.csr_matrix((ghosts.data, (ghosts.row, ghosts.col + rows)), self.matrix.shape)
        self._rim_rows = np.flatnonzero(np.diff(rim.indptr)).astype(np.int64)
        self._rim = rim[self._rim_rows]
        self._arrays = [_row_arrays(part) for part in (self._inner, self._rim)]
        self._library = load()

    @property
    def memory(self) -> int:
        """Bytes of the stored rows."""
        return sum(array.nbytes for part in self._arrays for array in part)

    def accumulate(self, x: np.ndarray, y: np.ndarray, alpha: float, shift: float,
                   gram: np.ndarray | None = None) -> None:  # fmt: skip
        """Add ``alpha A x + shift x`` to the owned rows of `y`; `gram` as in `EdgeProduct`."""
        self.interior(x, y, alpha, shift, gram)
        self.rim(x, y, alpha, gram)

    def interior(self, x: np.ndarray, y: np.ndarray, alpha: float, shift: float,
                 gram: np.ndarray | None = None) -> None:  # fmt: skip
        """Do the part of `accumulate` that reads no ghost."""
        rows = self.matrix.shape[0]
        _check(x, y, rows, gram)
        if self._library is None or x.shape[1] not in WIDTHS:
            y[:rows] += alpha * (self._inner @ x[:rows]) + shift * x[:rows]
            _set_gram(x[:rows], y[:rows], gram)
            return
        self._library.gm_row_product(
            *(x.shape[1], ctypes.c_int64(rows)),
            *map(_pointer, (*self._arrays[0], x, y)),
            *(ctypes.c_double(alpha), ctypes.c_double(shift), _pointer(gram)),
        )

    def rim(self, x: np.ndarray, y: np.ndarray, alpha: float,
            gram: np.ndarray | None = None) -> None:  # fmt: skip
        """Add the entries in ghost columns after `interior`, and correct `gram`."""
        if not len(self._rim_rows):
            return
        rows, columns = self.matrix.shape
        if self._library is None or x.shape[1] not in WIDTHS:
            y[self._rim_rows] += alpha * (self._rim @ x[:columns])
            _set_gram(x[:rows], y[:rows], gram)
            return
        self._library.gm_row_rim(
            *(x.shape[1], ctypes.c_int64(len(self._rim_rows)), _pointer(self._rim_rows)),
            *map(_pointer, (*self._arrays[1], x, y)),
            *(ctypes.c_double(alpha), _pointer(gram)),
        )


def _row_arrays(matrix: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (start, index, value) for the kernel, the index padded for its look ahead."""
    index = np.zeros(matrix.nnz + _PADDING, np.int32)
    index[: matrix.nnz] = matrix.indices
    return matrix.indptr.astype(np.int64), index, np.ascontiguousarray(matrix.data, np.float64)
