"""numpy's .npy and .npz files, whose headers are checked against what is really there.

Nothing is unpickled, and no array is allocated before the file has shown that it holds it: an
archive of a kilobyte may declare a terabyte, or unpack to one.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from glassmodes.errors import InputError
from glassmodes.hdf5_structure import allowed_bytes
from glassmodes.memory import in_words

_PLAIN = "biufcSU"


def archive_names(source: Path) -> list[str]:
    """Return the names of the arrays of an archive, in its order."""
    with zipfile.ZipFile(source) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read_archive(source: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return those of the arrays `names` that an .npz archive has.

    Raises
    ------
    InputError
        Two arrays of one name, an array of Python objects, one that is not as long as its header
        says, or arrays that unpack to more than `allowed_bytes`.
    """
    left, arrays = allowed_bytes(source.stat().st_size), {}
    with zipfile.ZipFile(source) as archive:
        entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(entries) < len(archive.infolist()):
            raise InputError("two arrays of the archive have the same name")
        for name in names:
            if name not in entries:
                continue
            info = entries[name]
            left -= info.file_size
            if left < 0:
                raise InputError("its arrays unpack to more than a file of this size can hold")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(f"the array {name!r} is packed in a way that numpy never uses")
            with archive.open(info) as entry:
                arrays[name] = _read_array(entry, info.file_size, f"the array {name!r}")
    return arrays


def read_npy(source: Path) -> np.ndarray:
    """Return the array of a .npy file; `InputError` as in `read_archive`."""
    with source.open("rb") as file:
        return _read_array(file, os.fstat(file.fileno()).st_size, "the array")


def _read_array(file: IO[bytes], size: int, what: str) -> np.ndarray:
    """Read an array from a stream of `size` bytes."""
    try:
        version = np.lib.format.read_magic(file)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, kind = reader(file)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(f"{what} has no header of numpy's; the file is damaged") from error
    if kind.kind not in _PLAIN or kind.hasobject:
        raise InputError(f"{what} has the type {str(kind)[:60]}; expected numbers or text")
    if any(isinstance(edge, bool) or edge < 0 for edge in shape) or len(shape) > 8:
        raise InputError(f"{what} has no usable shape; the file is damaged")
    needed = math.prod(shape) * kind.itemsize
    if needed > size:
        raise InputError(
            f"{what} declares {in_words(needed)} and holds less; the file is truncated or damaged"
        )
    content = file.read(needed)
    if len(content) < needed:
        raise InputError(f"{what} is truncated")
    flat = np.frombuffer(content, kind) if kind.itemsize else np.zeros(math.prod(shape), kind)
    return flat.reshape(shape, order="F" if fortran_order else "C")
