"""Symmetric operators that apply to blocks of vectors, distributed by rows over ranks.

Everything in `spectra` works on a `BlockOperator`; it knows products, rows and null
vectors, and nothing of glasses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from glassmodes.errors import InputError
from glassmodes.kernels.block import EdgeProduct, RowProduct, aligned_block, padded_width
from glassmodes.parallel import distributed_matrix
from glassmodes.spectra.halo import Halo


class BlockOperator(ABC):
    """A real symmetric matrix A whose rows are spread over the ranks of `comm`.

    Attributes
    ----------
    n, n_local, first_row : int
        Global rows, rows of this rank, first row of this rank.
    site_size : int
        Rows that belong to one site (d for a Hessian, 1 for a matrix without structure).
    null_space : (n_local, m) float64
        Orthonormal known null vectors, projected out by every solver.
    null_rows : (n_local,) bool
        Rows and columns of A that are zero: unit vectors of the null space, kept as marks.
    nullity : int
        Known null vectors in all: columns of `null_space` and marked rows of all ranks.
    products : int
        Matrix times one vector products so far.
    """

    def __init__(self, comm, product, halo: Halo, site_size: int) -> None:
        self.comm = comm
        self.halo = halo
        self.site_size = site_size
        self.n = halo.n_sites * site_size
        self.n_local = halo.n_owned * site_size
        self.first_row = halo.first * site_size
        self.products = 0
        self._product = product
        self._null_space = np.zeros((self.n_local, 0), order="F")
        self._null_rows = np.zeros(self.n_local, bool)
        self._marked = 0
        self.bounds: dict = {}  # of `spectral_bound`, by its arguments

    @property
    def null_space(self) -> np.ndarray:
        return self._null_space

    @null_space.setter
    def null_space(self, vectors: np.ndarray) -> None:
        vectors = np.asfortranarray(vectors, np.float64)
        if vectors.shape[0] != self.n_local:
            raise InputError(f"null vectors have {vectors.shape[0]} rows, expected {self.n_local}")
        gram = self.reduce(vectors.T @ vectors)
        if gram.size and not np.allclose(gram, np.eye(len(gram)), atol=1e-10):
            factor = np.linalg.cholesky(gram)
            vectors = np.asfortranarray(np.linalg.solve(factor, vectors.T).T)
        self._null_space = vectors
        self.bounds.clear()

    @property
    def null_rows(self) -> np.ndarray:
        return self._null_rows

    @null_rows.setter
    def null_rows(self, marks: np.ndarray) -> None:
        marks = np.asarray(marks, bool)
        if marks.shape != (self.n_local,):
            raise InputError(f"null rows have shape {marks.shape}, expected ({self.n_local},)")
        self._null_rows = marks
        self.bounds.clear()
        self._marked = int(self.reduce(np.array(marks.sum())))

    @property
    def nullity(self) -> int:
        return self._null_space.shape[1] + self._marked

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """Sum `values` over the ranks.  Collective."""
        if self.comm.size == 1:
            return np.asarray(values)
        mine = np.ascontiguousarray(values)  # dgemm answers in Fortran order
        total = np.empty_like(mine)
        self.comm.Allreduce(mine, total)
        return total.reshape(np.shape(values))

    def inner(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the global Gram matrix x^T y.  Collective."""
        return self.reduce(x.T @ y)

    def project(self, x: np.ndarray) -> np.ndarray:
        """Remove the null vectors from the columns of `x`, in place.  Collective."""
        if self._marked:
            x[self._null_rows] = 0.0
        if self._null_space.shape[1]:
            x -= self._null_space @ self.inner(self._null_space, x)
        return x

    def work_block(self, width: int) -> np.ndarray:
        """Return an aligned row-major block with room for the ghosts, filled with zeros."""
        block = aligned_block(self.halo.n_total * self.site_size, width)
        block[:] = 0.0
        return block

    def accumulate(self, x: np.ndarray, y: np.ndarray, alpha: float, shift: float,
                   gram: np.ndarray | None = None) -> None:  # fmt: skip
        """Add ``alpha A x + shift x`` to the owned rows of work block `y`.  Collective.

        gram : (3, width) or None, set to this rank's x.x, x.y and y.y of each column.
        """
        finish = self.halo.start(x, self.site_size)
        self._product.interior(x, y, alpha, shift, gram)
        finish()
        self._product.rim(x, y, alpha, gram)
        self.products += x.shape[1]

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x for x of shape (n_local, k) or (n_local,).  Collective."""
        vectors = x if x.ndim == 2 else x[:, None]
        result = np.empty_like(vectors, order="F")
        for part, image in self.images(vectors):
            result[:, part] = image
        return result.reshape(x.shape)

    def images(self, x: np.ndarray, width: int | None = None) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (columns, A x[:, columns]) for `width` columns of `x` (n_local, k) at a time.

        The image, row-major, may be changed; the next one takes its place.  Collective.
        """
        count = x.shape[1]
        width = width or padded_width(count)
        source, target = self.work_block(width), self.work_block(width)
        for first in range(0, count, width):
            part = slice(first, min(first + width, count))
            used = part.stop - first
            source[: self.n_local, :used] = x[:, part]
            source[:, used:] = 0.0
            target[: self.n_local] = 0.0
            self.accumulate(source, target, 1.0, 0.0)
            yield part, target[: self.n_local, :used]

    def agree(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the arrays of rank 0 on every rank.

        For small eigenproblems that all ranks solve alike: processors may differ in the signs
        of vectors and in the last bit.  Collective.
        """
        if self.comm.size == 1:
            return arrays
        shared = tuple(np.ascontiguousarray(array) for array in arrays)
        for array in shared:
            self.comm.Bcast(array, root=0)
        return shared

    def random_block(self, width: int, seed: int, stream: int = 0) -> np.ndarray:
        """Return uniform numbers in [-1, 1), (n_local, width), the same on any number of ranks.

        Counter-based (Philox) and addressed by the global row.
        """
        per_call = 4  # numbers a Philox counter step
        begin, end = self.first_row * width, (self.first_row + self.n_local) * width
        generator = np.random.Philox(key=np.array([seed, stream], np.uint64))
        generator.advance(begin // per_call)
        raw = generator.random_raw(end - begin // per_call * per_call)[begin % per_call :]
        return (raw.astype(np.float64) / 2.0**63 - 1.0).reshape(self.n_local, width)

    def shell(self):
        """Return a PETSc shell matrix of A: any KSP or EPS can drive the block product."""
        from petsc4py import PETSc

        size = (self.n_local, self.n)
        matrix = PETSc.Mat().createPython((size, size), _ShellContext(self), comm=self.comm)
        matrix.setUp()
        return matrix

    @abstractmethod
    def local_rows(self) -> sp.csr_matrix:
        """Return the rows of this rank with global columns, (n_local, n)."""

    @abstractmethod
    def diagonal_blocks(self) -> np.ndarray:
        """Return the diagonal blocks of this rank's sites, (sites, site_size, site_size)."""

    def mean_diagonal(self) -> float:
        """Return trace(A) / n, a typical eigenvalue.  Collective."""
        trace = np.einsum("saa->", self.diagonal_blocks())
        return float(self.reduce(np.array(trace))) / self.n

    def assembled(self):
        """Return A as a PETSc AIJ matrix with the site size as its block size.  Collective."""
        rows = with_diagonal(self.local_rows(), self.first_row)
        return distributed_matrix(self.comm, rows, self.site_size)

    @property
    def memory(self) -> int:
        """Bytes of the stored operator on this rank."""
        return self._product.memory


class _ShellContext:
    def __init__(self, operator: BlockOperator) -> None:
        self._operator = operator

    def mult(self, matrix, x, y) -> None:
        y.setArray(self._operator.apply(x.getArray(readonly=True)))


class EdgeOperator(BlockOperator):
    """A sum of edges with d x d stiffnesses K = t I + s u u^T between sites (see `EdgeProduct`).

    Parameters
    ----------
    halo : Halo
        Sites of this rank and their ghosts.
    i, j : (P,) int
        Ends of the edges of this rank in the local numbering of `halo`, at least one of them
        owned; an edge between two ranks is passed by both.
    u : (P, d), sign : (P,), t : (P,)
        Stiffness of the edges.
    weights : (halo.n_total,) or None
        Site weights, for instance the inverse square roots of the masses, ghosts included.
    """

    def __init__(self, halo: Halo, i, j, u, sign, t, weights=None) -> None:
        product = EdgeProduct(halo.n_owned, halo.n_total, i, j, u, sign, t, weights)
        super().__init__(halo.comm, product, halo, product.d)

    @classmethod
    def of_all_edges(cls, comm, n_sites: int, i, j, u, sign, t, weights=None) -> EdgeOperator:
        """Return the operator of an edge list that every rank knows in full.

        i, j are global numbers of sites, each edge once; weights : (n_sites,).
        """
        i, j = np.asarray(i, np.int64), np.asarray(j, np.int64)
        i, j = np.minimum(i, j), np.maximum(i, j)
        parts = Halo(comm, n_sites, np.zeros(0, np.int64))
        i_owned = (i >= parts.first) & (i < parts.last)
        touch = i_owned | ((j >= parts.first) & (j < parts.last))
        i, j, i_owned = i[touch], j[touch], i_owned[touch]
        i, j = np.where(i_owned, i, j), np.where(i_owned, j, i)
        halo = Halo(comm, n_sites, j)
        if weights is not None:
            weights = np.asarray(weights, np.float64)[halo.sites]
        u, sign, t = (np.asarray(values)[touch] for values in (u, sign, t))
        return cls(halo, halo.local(i), halo.local(j), u, sign, t, weights)

    def mean_neighbours(self) -> float:
        """Return the mean number of edges that meet at a site.  Collective."""
        ends = np.array(self._product.ends, float)
        return float(self.reduce(ends)) / max(self.halo.n_sites, 1)

    def local_rows(self) -> sp.csr_matrix:
        return _global_columns(self._product.to_csr(), self.halo, self.site_size)

    def diagonal_blocks(self) -> np.ndarray:
        return self._product.diagonal_blocks()


class MatrixOperator(BlockOperator):
    """A sparse symmetric matrix from elsewhere.

    Parameters
    ----------
    comm
        Communicator.
    matrix : scipy sparse (n, n)
        The whole matrix on every rank; each keeps its rows.
    """

    def __init__(self, comm, matrix: sp.spmatrix) -> None:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"the matrix must be square, found shape {matrix.shape}")
        matrix = sp.csr_matrix(matrix, dtype=np.float64)
        if not np.all(np.isfinite(matrix.data)):
            raise InputError("the matrix holds NaN or infinite entries")
        largest = abs(matrix).max() if matrix.nnz else 0.0
        if matrix.nnz and abs(matrix - matrix.T).max() > 1e-10 * largest:
            raise InputError("the matrix is not symmetric: symmetrise it first, (A + A.T) / 2")
        parts = Halo(comm, matrix.shape[0], np.zeros(0, np.int64))
        rows = matrix[parts.first : parts.last].tocoo()
        halo = Halo(comm, matrix.shape[0], rows.col)
        shape = (halo.n_owned, halo.n_total)
        local = sp.csr_matrix((rows.data, (rows.row, halo.local(rows.col))), shape=shape)
        super().__init__(comm, RowProduct(local), halo, 1)

    def local_rows(self) -> sp.csr_matrix:
        return _global_columns(self._product.matrix, self.halo, 1)

    def diagonal_blocks(self) -> np.ndarray:
        return self._product.matrix.diagonal()[:, None, None]


def with_diagonal(rows: sp.csr_matrix, first: int) -> sp.csr_matrix:
    """Return rows `first`, ... with every diagonal entry stored: PETSc shifts no other ones."""
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    missing = np.ones(rows.shape[0], bool)
    missing[row[rows.indices == row + first]] = False
    if not missing.any():
        return rows
    bare = np.flatnonzero(missing)
    entries = np.concatenate([rows.data, np.zeros(len(bare))])
    places = np.concatenate([row, bare]), np.concatenate([rows.indices, bare + first])
    return sp.csr_matrix((entries, places), shape=rows.shape).sorted_indices()


def _global_columns(rows: sp.csr_matrix, halo: Halo, size: int) -> sp.csr_matrix:
    """Renumber the columns of local rows (owned, then ghosts) to global ones."""
    columns = (halo.sites[:, None] * size + np.arange(size)).ravel()
    shape = (rows.shape[0], halo.n_sites * size)
    renumbered = sp.csr_matrix((rows.data, columns[rows.indices], rows.indptr), shape=shape)
    return renumbered.sorted_indices()  # a copy: sorting in place would shuffle the owner's data
