"""Sparse matrices from elsewhere as the input of a verb, in place of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassmodes.cli.parser import positive_integer
from glassmodes.errors import InputError

if TYPE_CHECKING:
    import argparse

    from glassmodes.formats.sparse_matrix import SparseMatrix
    from glassmodes.spectra.operators import MatrixOperator

_NULL = 1e-6  # of the largest entry: null vectors may come with a few digits only


def add_matrix_options(parser: argparse.ArgumentParser, blocks: bool = True) -> None:
    """Give a verb the options that say what a matrix file leaves out."""
    group = parser.add_argument_group("matrices")
    if blocks:
        group.add_argument(
            "--block-size",
            type=positive_integer,
            metavar="D",
            help="rows that belong to one particle, for participation ratios and vectors "
            "(default: what the file says, else 1)",
        )
    group.add_argument(
        "--null-space",
        metavar="FILE.npy",
        help="known null vectors as the columns of a numpy array (rows, m); they are left out",
    )


def matrix_operator(comm, content: SparseMatrix) -> MatrixOperator:
    """Return a matrix with its null vectors, which are checked, as an operator.  Collective."""
    import numpy as np

    from glassmodes.spectra.operators import MatrixOperator

    operator = MatrixOperator(comm, content.matrix)
    own = slice(operator.first_row, operator.first_row + operator.n_local)
    operator.null_space = content.null_space[own]
    if operator.nullity:
        left = operator.apply(operator.null_space)
        norms = operator.reduce(np.einsum("rk,rk->k", left, left))
        if norms.max() > (_NULL * abs(content.matrix).max()) ** 2:
            raise InputError(
                "the null vectors that came with the matrix are none: the matrix turns one of "
                f"length 1 into one of length {np.sqrt(norms.max()):.1e}"
            )
    return operator


def read_matrix_input(args) -> SparseMatrix | None:
    """Return the matrix that the input is, or None if it should be a sample."""
    from glassmodes.formats.sparse_matrix import is_matrix_file, read_matrix

    block_size = getattr(args, "block_size", None)
    if not is_matrix_file(args.sample):
        if block_size or args.null_space:
            given = "--block-size" if block_size else "--null-space"
            raise InputError(f"{args.sample} is no sparse matrix: {given} is for matrices")
        return None
    content = read_matrix(args.sample)
    rows, columns = content.matrix.shape
    if rows != columns:
        raise InputError(f"{args.sample} holds a {rows} x {columns} matrix, expected a square one")
    if block_size:
        if rows % block_size:
            raise InputError(
                f"{args.sample} has {rows} rows: they do not divide into blocks of {block_size}"
            )
        content.block_size = block_size
    if args.null_space:
        content.null_space = _read_null_space(args.null_space, rows)
    return content


def _read_null_space(path: str, rows: int):
    """Return the null vectors of a ``.npy`` file, (rows, m)."""
    import numpy as np

    from glassmodes.files import check_input
    from glassmodes.formats.numpy_files import read_npy

    source = check_input(path)
    try:
        vectors = np.asarray(read_npy(source), np.float64)
    except (InputError, ValueError, OSError, TypeError) as error:
        raise InputError(f"cannot read {path} as a numpy array (.npy) of numbers") from error
    if vectors.ndim == 1:
        vectors = vectors[:, None]
    if vectors.ndim != 2 or len(vectors) != rows:
        raise InputError(f"{path} has shape {vectors.shape}, expected ({rows}, m)")
    if not np.all(np.isfinite(vectors)) or np.linalg.matrix_rank(vectors) < vectors.shape[1]:
        raise InputError(f"{path}: null vectors must be finite and linearly independent")
    return vectors
