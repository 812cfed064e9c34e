"""Files that appear whole or not at all.

Everything the package writes goes to a fresh name in the target's own folder,
is flushed to the disk and then renamed over the target: a reader never meets
half a file, and a job that is killed leaves the previous file as it was.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from glassmodes.errors import InputError
from glassmodes.memory import in_words
from glassmodes.parallel import agreement, rows_to_root

LAYOUT = ("v108", "v108")
"""Of HDF5 1.8, whose metadata carry checksums: damaged files of the older one can hang."""


def check_output(path: str | os.PathLike) -> Path:
    """Return `path` if a file can be created there.

    Raises
    ------
    InputError
        The folder does not exist, is no folder or cannot be written to, or
        `path` itself is a folder.
    """
    target = Path(path)
    folder = target.parent
    if not folder.is_dir():
        raise InputError(f"cannot write {target}: the folder {folder} does not exist; create it")
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder; give a file name")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {target}: no permission to create files in {folder}")
    return target


def check_input(path: str | os.PathLike) -> Path:
    """Return `path` if it is a readable, non-empty file; `InputError` says what it is instead."""
    source = Path(path)
    if source.is_dir():
        raise InputError(f"cannot read {source}: it is a folder; give a file")
    if not source.exists():
        raise InputError(f"cannot read {source}: no such file; check the path")
    if not os.access(source, os.R_OK):
        raise InputError(f"cannot read {source}: permission denied")
    if source.is_file() and source.stat().st_size == 0:
        raise InputError(f"cannot read {source}: the file is empty")
    return source


def located(path: str | os.PathLike, error: InputError) -> InputError:
    """Return `error` with the file's name in front, unless it already says it."""
    text = str(error)
    return error if str(path) in text else InputError(f"{path}: {text}")


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` if the body succeeds.

    The body creates the file; it is flushed to the disk before the rename, and
    its folder after it.  On any exception the temporary file is removed.

    Raises
    ------
    InputError
        The folder is missing, or the operating system refuses the write (disk
        full, quota, permission).
    """
    target = check_output(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, target)
        _flush_to_disk(target.parent)
    except (OSError, RuntimeError) as error:
        refusal = _system_error(error)
        if refusal is None:
            raise
        raise InputError(f"cannot write {target}: {_describe(refusal)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_hdf5(path: str | os.PathLike, fill: Callable[[h5py.File], None]) -> None:
    """Write the HDF5 file that `fill` describes atomically.

    The file is composed in memory and written in one piece: HDF5 itself does
    not recover from a full disk, plain writes do.  Use it for files that fit in
    memory with ease.
    """
    with h5py.File(".", "w", driver="core", backing_store=False, libver=LAYOUT) as file:
        fill(file)
        file.flush()
        image = file.id.get_file_image()
    write_bytes(path, image)


@dataclass(frozen=True)
class SpreadColumns:
    """A dataset (columns, rows, width) whose rows are spread over the ranks.

    Attributes
    ----------
    shape : tuple of int
        Of the whole dataset, the same on every rank.
    part
        ``part(first, last)`` returns this rank's rows of some columns, (rows of this rank,
        last - first, width), float64; collective.
    at_once : int
        Columns that are asked for at once.
    """

    shape: tuple[int, int, int]
    part: Callable[[int, int], np.ndarray]
    at_once: int = 8

    @property
    def nbytes(self) -> int:
        """Bytes of the whole dataset."""
        return 8 * int(np.prod(self.shape))

    def on_root(self, comm) -> np.ndarray | None:
        """Return the whole dataset on rank 0, None elsewhere.  Collective."""
        whole = np.empty(self.shape) if comm.rank == 0 else None
        for place, values in self.pieces(comm):
            whole[place] = values
        return whole

    def pieces(self, comm) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
        """Yield (place, values) of the whole dataset on rank 0, nothing elsewhere.  Collective."""
        for first in range(0, self.shape[0], self.at_once):
            last = min(first + self.at_once, self.shape[0])
            done = 0
            for rows in rows_to_root(comm, self.part(first, last)):
                yield (slice(first, last), slice(done, done + len(rows))), rows.swapaxes(0, 1)
                done += len(rows)


def stream_hdf5(comm, path: str | os.PathLike, fill: Callable[[h5py.File], None],
                arrays: Mapping[str, np.ndarray | SpreadColumns]) -> None:  # fmt: skip
    """Write an HDF5 file atomically whose large arrays are spread over the ranks.

    Rank 0 writes to the disk and holds one piece of another rank's rows at a time.  Collective.

    Parameters
    ----------
    fill
        Called on rank 0 with the open file, to write what is small.
    arrays : name -> (rows of this rank, ...), or SpreadColumns
        Datasets whose rows follow rank order; the same names on every rank.

    Raises
    ------
    InputError
        On every rank, if the file cannot be written.
    """
    shapes = {name: _whole_shape(comm, rows) for name, rows in arrays.items()}
    pieces = (
        (name, place, values)
        for name, rows in arrays.items()
        for place, values in (
            rows.pieces(comm) if isinstance(rows, SpreadColumns) else _row_pieces(comm, rows)
        )
    )

    def write() -> None:
        types = {name: getattr(rows, "dtype", np.dtype(float)) for name, rows in arrays.items()}
        needed = sum(types[name].itemsize * int(np.prod(shapes[name])) for name in arrays)
        require_space(path, needed)
        with atomic_path(path) as temporary, h5py.File(temporary, "w", libver=LAYOUT) as file:
            fill(file)
            for name, shape in shapes.items():
                file.create_dataset(name, shape, types[name])
            for name, place, values in pieces:
                file[name][place] = values

    with agreement(comm):
        try:
            if comm.rank == 0:
                write()
        finally:
            for _ in pieces:  # other ranks send; rank 0 takes what a failed write has left
                pass


def _whole_shape(comm, rows: np.ndarray | SpreadColumns) -> tuple[int, ...]:
    if isinstance(rows, SpreadColumns):
        return rows.shape
    return (comm.allreduce(len(rows)), *rows.shape[1:])


def _row_pieces(comm, rows: np.ndarray) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Yield (place, rows) of a dataset whose rows follow rank order, on rank 0.  Collective."""
    done = 0
    for piece in rows_to_root(comm, rows):
        yield (slice(done, done + len(piece)),), piece
        done += len(piece)


def require_space(path: str | os.PathLike, needed: int) -> None:
    """Refuse a file of `needed` bytes that the disk has no room for: HDF5 cannot recover later."""
    free = shutil.disk_usage(check_output(path).absolute().parent).free
    if free < needed:
        raise InputError(
            f"cannot write {path}: it needs {in_words(needed)} and the disk has {in_words(free)} "
            "left; free some space or choose another folder"
        )


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush folders; the rename has happened all the same.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.EBADF, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)


def _system_error(error: Exception) -> OSError | None:
    """Return the refusal of the operating system; HDF5 hides it in a RuntimeError on closing."""
    found = re.search(r"errno = (\d+)", str(error))
    if found and not getattr(error, "errno", None):
        return OSError(int(found[1]), os.strerror(int(found[1])))
    return error if isinstance(error, OSError) else None


def _describe(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space or choose another folder"
    if error.errno == errno.EDQUOT:
        return "the disk quota is used up; free some space or choose another folder"
    if error.errno == errno.EFBIG:
        return "the file is larger than a limit allows (ulimit -f); raise it"
    return (error.strerror or str(error) or type(error).__name__).splitlines()[0]
