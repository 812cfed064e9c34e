"""Files that appear whole or not at all.

Everything the package writes goes to a fresh name in the target's own folder,
is flushed to the disk and then renamed over the target: a reader never meets
half a file, and a job that is killed leaves the previous file as it was.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from glassmodes.errors import InputError


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
    except OSError as error:
        raise InputError(f"cannot write {target}: {_describe(error)}") from error
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
    memory with ease.  The layout is that of HDF5 1.8, whose metadata carry
    checksums: the library can loop for ever on a damaged file of the older one.
    """
    layout = ("v108", "v108")
    with h5py.File(".", "w", driver="core", backing_store=False, libver=layout) as file:
        fill(file)
        file.flush()
        image = file.id.get_file_image()
    write_bytes(path, image)


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


def _describe(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space or choose another folder"
    if error.errno == errno.EDQUOT:
        return "the disk quota is used up; free some space or choose another folder"
    return (error.strerror or str(error) or type(error).__name__).splitlines()[0]
