"""One gate for every file that becomes a sample."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py

from glassmodes.errors import InputError
from glassmodes.files import check_input, located
from glassmodes.formats.arrays import ARRAYS, from_arrays, read_foreign, read_gsd, read_npz
from glassmodes.formats.assembly import choose_frame
from glassmodes.formats.extended_xyz import read_extended_xyz
from glassmodes.formats.lammps import read_lammps_data, read_lammps_dump
from glassmodes.sample import Sample, first_line

_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"PK\x03\x04": "npz",
    b"PK\x05\x06": "npz",
    bytes.fromhex("df65df65df65df65"): "GSD",
}
_SUFFIXES = {
    ".xyz": "extended XYZ", ".extxyz": "extended XYZ",
    ".data": "LAMMPS data", ".lmp": "LAMMPS data",
    ".dump": "LAMMPS dump", ".lammpstrj": "LAMMPS dump",
    ".gsd": "GSD", ".npz": "npz", ".h5": "HDF5", ".hdf5": "HDF5",
}  # fmt: skip
_BINARY = ("HDF5", "npz", "GSD")


def read_sample(
    path: str | os.PathLike,
    type_map: Mapping[Any, int] | None = None,
    frame: int | None = None,
    isolated: bool = True,
) -> Sample:
    """Read a sample from any of the known formats.

    The content decides about the format, and the suffix where the content is
    plain text: extended XYZ, LAMMPS data or dump, GSD, ``.npz``, HDF5 with the same arrays, and
    our HDF5.

    Parameters
    ----------
    type_map : mapping, optional
        Label in the file -> species.
    frame : int, optional
        Of a file with several; the last if left out.  In our batch files, the sample.
    isolated : bool
        Read or check binary files in a child process (`glassmodes.formats.isolated`), which
        costs 0.3 s; False for many files that you wrote yourself.

    Returns
    -------
    Sample
        Validated; without a model unless the file is ours.

    Raises
    ------
    InputError
        The file is missing, truncated, damaged or foreign, or its content is
        unusable: one line, whatever a parser or library underneath raised.
    """
    source = check_input(path)
    kind = "a sample"
    try:
        kind = _recognise(source)
        return _reader(kind, type_map, frame, isolated)(source)
    except InputError as error:
        raise located(source, error) from error
    except Exception as error:  # parsers and C libraries fail in too many ways to list
        raise InputError(
            f"cannot read {source} as {kind}: {first_line(error)}; the file is damaged"
        ) from error


def sample_group(path: str | os.PathLike) -> str | None:
    """Return the HDF5 group of the sample that `read_sample` takes from a file of ours, else None.

    For readers that take a part of it (`Domain.read`).

    Raises
    ------
    InputError
        The file is missing, truncated, damaged or of an unknown format.
    """
    source = check_input(path)
    try:
        if _recognise(source) != "HDF5":
            return None
        if not read_foreign(source, "HDF5", ARRAYS)[0]["ours"]:
            return None
        with h5py.File(source, "r") as file:
            return _group(file, None).name
    except InputError as error:
        raise located(source, error) from error
    except Exception as error:  # h5py reports damage with half a dozen exception types
        raise InputError(
            f"cannot read {source} as HDF5: {first_line(error)}; the file is damaged"
        ) from error


def is_hdf5(path: str | os.PathLike) -> bool:
    """Tell whether a readable file begins as HDF5 does."""
    with check_input(path).open("rb") as file:
        return _MAGIC.get(file.read(8)) == "HDF5"


def require_readable(path: str | os.PathLike) -> None:
    """Raise `InputError` unless a child process reads an HDF5 file of any kind without trouble."""
    source = check_input(path)
    try:
        read_foreign(source, "HDF5", ())
    except InputError as error:
        raise located(source, error) from error
    except Exception as error:
        raise InputError(
            f"cannot read {source} as HDF5: {first_line(error)}; the file is damaged"
        ) from error


def _reader(
    kind: str, type_map: Mapping[Any, int] | None, frame: int | None, isolated: bool
) -> Callable[[Path], Sample]:
    if kind == "GSD":
        return lambda source: read_gsd(source, type_map, frame, isolated)
    if kind == "HDF5":
        return lambda source: _read_hdf5(source, type_map, frame, isolated)
    framed = {"extended XYZ": read_extended_xyz, "LAMMPS dump": read_lammps_dump}
    if kind in framed:
        return lambda source: framed[kind](source, type_map, frame)
    if frame not in (None, 0, -1):
        raise InputError(f"frame {frame} is asked for but {kind} holds only one")
    if kind == "npz":
        return lambda source: read_npz(source, type_map, isolated)
    return lambda source: read_lammps_data(source, type_map)


def _read_hdf5(
    source: Path, type_map: Mapping[Any, int] | None, frame: int | None, isolated: bool
) -> Sample:
    facts, arrays = read_foreign(source, "HDF5", ARRAYS, isolated=isolated)
    if not facts["ours"]:
        if not arrays:
            raise InputError(
                "it holds neither a glassmodes sample nor the arrays "
                "positions, box and species at its top; convert it to one of the known formats"
            )
        if frame not in (None, 0, -1):
            raise InputError(f"frame {frame} is asked for but the file holds one sample")
        # Other names are normal in such files: none is taken for a misspelt one.
        return from_arrays(source, "HDF5", (), arrays, type_map)
    if type_map is not None:
        raise InputError("a type map is for foreign files; this one already has species")
    with h5py.File(source, "r") as file:
        return Sample.from_group(_group(file, frame))


def _group(file: h5py.File, frame: int | None) -> h5py.Group:
    """Return the group of a sample file, or of one sample of a batch."""
    if "particles" not in file and isinstance(file.get("samples"), h5py.Group):
        names = sorted(file["samples"])
        if not names:
            raise InputError("the batch holds no samples")
        item = file["samples"][names[choose_frame(frame, len(names))]]
        if not isinstance(item, h5py.Group):
            raise InputError(f"{item.name} is no sample; the file is damaged")
        return item
    if frame not in (None, 0, -1):
        raise InputError(f"frame {frame} is asked for but the file holds one sample")
    return file


def _recognise(source: Path) -> str:
    with source.open("rb") as file:
        head = file.read(8192)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    text = head.decode("utf-8", errors="replace")
    by_suffix = _SUFFIXES.get(source.suffix.lower())
    if by_suffix in _BINARY:
        raise InputError(f"it is not {by_suffix} although its name ends in {source.suffix}")
    if "ITEM: TIMESTEP" in text:
        return "LAMMPS dump"
    if by_suffix:
        return by_suffix
    if re.search(r"^[ \t]*\S+[ \t]+\S+[ \t]+xlo[ \t]+xhi", text, re.MULTILINE):
        return "LAMMPS data"
    if re.match(r"\s*\d+\s*\n.*lattice", text, re.IGNORECASE):
        return "extended XYZ"
    raise InputError(
        "its format is not known; expected extended XYZ, LAMMPS data or dump, GSD, .npz or our HDF5"
    )
