"""Sparse symmetric matrices as files: scipy's ``.npz`` and PETSc's binary format.

Both are complete without glassmodes: ``scipy.sparse.load_npz`` and ``MatLoad`` read what is
written here.  What a solver should know beyond the entries rides along where readers of the
matrix alone do not look:

- ``.npz``: the extra arrays ``null_space`` (n, m) and ``block_size`` (rows a particle),
- PETSc binary: the null vectors follow the matrix as ``Vec`` objects.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import scipy.sparse as sp

from glassmodes.errors import InputError
from glassmodes.files import atomic_path, check_input, located
from glassmodes.formats.numpy_files import read_archive
from glassmodes.hdf5_structure import allowed_bytes

NPZ_SUFFIXES = (".npz",)
PETSC_SUFFIXES = (".petsc", ".bin", ".dat")
_MATRIX = 1211216  # class identifiers of the PETSc binary format
_VECTOR = 1211214
_INTEGER = np.dtype(">i4")
_REAL = np.dtype(">f8")
_COMPRESSED = ("data", "indices", "indptr", "row", "col", "offsets")


@dataclass
class SparseMatrix:
    """A matrix (n, n) with its known null vectors (n, m) and its rows a particle."""

    matrix: sp.csr_matrix
    null_space: np.ndarray
    block_size: int = 1


def is_matrix_file(path: str | os.PathLike) -> bool:
    """Tell whether a readable file holds a sparse matrix (and not a sample)."""
    source = check_input(path)
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            return "format.npy" in archive.namelist() and "shape.npy" in archive.namelist()
    with open(source, "rb") as file:
        head = np.frombuffer(file.read(4), _INTEGER)
    return len(head) == 1 and head[0] == _MATRIX


def read_matrix(path: str | os.PathLike) -> SparseMatrix:
    """Read a matrix of either format, recognised by its content.

    Raises
    ------
    InputError
        The file is missing, truncated or holds no sparse matrix.
    """
    source = check_input(path)
    try:
        if not is_matrix_file(source):
            raise InputError(
                f"{source} holds no sparse matrix: expected scipy .npz or PETSc binary"
            )
        return _read_npz(source) if zipfile.is_zipfile(source) else _read_petsc(source)
    except InputError as error:
        raise located(source, error) from error
    except Exception as error:  # zipfile, zlib, numpy and scipy each have their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot read {source} as a sparse matrix: {reason}") from error


def write_matrix(path: str | os.PathLike, content: SparseMatrix) -> None:
    """Write a matrix atomically, in the format that the suffix names."""
    suffix = Path(path).suffix.lower()
    if suffix not in NPZ_SUFFIXES + PETSC_SUFFIXES:
        known = ", ".join(NPZ_SUFFIXES + PETSC_SUFFIXES)
        raise InputError(f"cannot write {path}: expected one of the suffixes {known}")
    write = _write_npz if suffix in NPZ_SUFFIXES else _write_petsc
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        write(file, content)


def _read_npz(source: Path) -> SparseMatrix:
    arrays = read_archive(source, ("format", "shape", "null_space", "block_size", *_COMPRESSED))
    missing = [name for name in ("format", "shape", "data") if name not in arrays]
    if missing:
        raise InputError(f"the array {missing[0]!r} is missing")
    kind = arrays["format"].item()
    kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    shape = _shape_of(arrays["shape"])
    matrix = sp.csr_matrix(_compressed(kind, arrays, shape, source))
    null_space = np.asarray(arrays.get("null_space", np.zeros((shape[0], 0))), np.float64)
    block_size = int(arrays["block_size"]) if "block_size" in arrays else 1
    return _checked(SparseMatrix(matrix, null_space, block_size), source)


def _shape_of(values: np.ndarray) -> tuple[int, int]:
    if values.shape != (2,) or values.dtype.kind not in "iu" or values.min() < 0:
        raise InputError(f"the shape of the matrix is {str(values)[:60]}; expected two numbers")
    if int(values.max()) >= 2**31:
        raise InputError(f"the matrix has {values.max()} rows or columns; at most 2^31 - 1 work")
    return int(values[0]), int(values[1])


def _expect_filled(shape: tuple[int, int], source: Path) -> None:
    """Raise `InputError` for an almost empty matrix: its users take memory for every row."""
    if max(shape) * 8 > allowed_bytes(source.stat().st_size):
        raise InputError(
            f"a matrix of {shape[0]} x {shape[1]} has far more rows or columns than entries"
        )


def _compressed(
    kind: str, arrays: dict[str, np.ndarray], shape: tuple[int, int], source: Path
) -> sp.spmatrix:
    """Return the matrix of scipy's ``kind``, with indices that were checked."""
    parts = {
        "csr": ("indices", "indptr"),
        "csc": ("indices", "indptr"),
        "bsr": ("indices", "indptr"),
        "coo": ("row", "col"),
        "dia": ("offsets",),
    }.get(kind)
    if parts is None:
        raise InputError(f"the format {kind[:20]!r} is not known; expected csr, csc, bsr, coo, dia")
    for name in ("data", *parts):
        if name not in arrays:
            raise InputError(f"the array {name!r} is missing")
        if name != "data" and arrays[name].dtype.kind not in "iu":
            raise InputError(f"the array {name!r} has the type {arrays[name].dtype}, not integers")
    _expect_filled(shape, source)
    content = (arrays["data"], *(arrays[name] for name in parts))
    if kind == "dia":
        return sp.dia_matrix(content, shape=shape)
    if kind == "coo":
        return sp.coo_matrix((content[0], content[1:]), shape=shape)
    matrix = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "bsr": sp.bsr_matrix}[kind](
        content, shape=shape
    )
    matrix.check_format(full_check=True)  # compiled products trust the indices
    return matrix


def _write_npz(file: BinaryIO, content: SparseMatrix) -> None:
    matrix = content.matrix
    arrays = {
        "format": np.array(b"csr"),
        "shape": np.array(matrix.shape),
        "data": matrix.data,
        "indices": matrix.indices,
        "indptr": matrix.indptr,
        "null_space": content.null_space,
        "block_size": np.array(content.block_size),
    }
    # numpy.savez does not close its archive when the disk is full; Python complains at exit.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _read_petsc(source: Path) -> SparseMatrix:
    with open(source, "rb") as file:
        _, rows, columns, entries = _take(file, _INTEGER, 4).tolist()
        if rows < 0 or columns < 0:
            raise InputError(f"{source} is damaged: it declares {rows} x {columns} numbers")
        if entries < 0:
            raise InputError(f"{source} holds a dense PETSc matrix; a sparse one is expected")
        _expect_filled((rows, columns), source)
        lengths = _take(file, _INTEGER, rows)
        if lengths.sum() != entries or lengths.min(initial=0) < 0:
            raise InputError(
                f"{source} is damaged, or of a PETSc with 64-bit indices: its {rows} rows hold "
                f"{lengths.sum()} entries, its header says {entries}"
            )
        indices = _take(file, _INTEGER, entries).astype(np.int32)
        data = _take(file, _REAL, entries).astype(np.float64)
        start = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        matrix = sp.csr_matrix((data, indices, start), shape=(rows, columns))
        matrix.check_format(full_check=True)  # compiled products trust the indices
        null_space = list(_vectors(file))
    vectors = np.column_stack(null_space) if null_space else np.zeros((rows, 0))
    return _checked(SparseMatrix(matrix, vectors), source)


def _vectors(file: BinaryIO):
    while head := file.read(8):
        if len(head) < 8:
            raise InputError(f"{file.name} is truncated: half a header of a vector follows")
        kind, rows = np.frombuffer(head, _INTEGER).tolist()
        if kind != _VECTOR:
            return
        yield _take(file, _REAL, rows).astype(np.float64)


def _write_petsc(file: BinaryIO, content: SparseMatrix) -> None:
    matrix = content.matrix
    if matrix.nnz > np.iinfo(np.int32).max:
        raise InputError(
            f"{matrix.nnz} entries are too many for PETSc's 32-bit files: write .npz instead"
        )
    head = [_MATRIX, *matrix.shape, matrix.nnz]
    file.write(np.array(head, _INTEGER).tobytes())
    file.write(np.diff(matrix.indptr).astype(_INTEGER).tobytes())
    file.write(matrix.indices.astype(_INTEGER).tobytes())
    file.write(matrix.data.astype(_REAL).tobytes())
    for vector in content.null_space.T:
        file.write(np.array([_VECTOR, len(vector)], _INTEGER).tobytes())
        file.write(vector.astype(_REAL).tobytes())


def _take(file: BinaryIO, kind: np.dtype, count: int) -> np.ndarray:
    left = os.fstat(file.fileno()).st_size - file.tell()
    if not 0 <= count * kind.itemsize <= left:
        raise InputError(f"{file.name} is truncated: {count} numbers expected, fewer found")
    content = file.read(int(count) * kind.itemsize)
    if len(content) < count * kind.itemsize:
        raise InputError(f"{file.name} is truncated: {count} numbers expected, fewer found")
    return np.frombuffer(content, kind)


def _checked(content: SparseMatrix, source: Path) -> SparseMatrix:
    rows = content.matrix.shape[0]
    if not rows:
        raise InputError(f"{source} holds an empty matrix")
    if content.matrix.dtype.kind not in "fiub":
        raise InputError(
            f"{source} holds entries of type {content.matrix.dtype}; a real matrix is expected"
        )
    for name, values in (("entries", content.matrix.data), ("null vectors", content.null_space)):
        if not np.all(np.isfinite(values)):
            raise InputError(f"{source}: the {name} hold NaN or infinite values")
    if content.null_space.ndim != 2 or content.null_space.shape[0] != rows:
        raise InputError(
            f"{source}: null_space has shape {content.null_space.shape}, expected ({rows}, m)"
        )
    if content.block_size < 1 or rows % content.block_size:
        raise InputError(f"{source}: {rows} rows do not divide into blocks of {content.block_size}")
    return content
