"""The program of the child process that reads binary files of others, see `isolated`.

``python -P isolated_child.py KIND PATH FRAME NAMES LIMITS`` takes its own resources away before
any library is loaded, reads, and writes to stdout one line of JSON and the bytes of the arrays.
It knows neither samples nor MPI.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, BinaryIO

_OBJECTS = 100_000


def main(arguments: list[str]) -> None:
    """Read one file and write what it holds, or one line that says what is wrong with it."""
    kind, path, frame, names, limits = arguments
    _limit(json.loads(limits))
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is none of our answer
    answer: dict[str, Any]
    try:
        answer, arrays = read(kind, Path(path), json.loads(frame), json.loads(names))
    except MemoryError:
        answer, arrays = {"memory": True}, {}
    except Exception as error:  # libraries fail in too many ways to list
        from glassmodes.errors import InputError

        lines = str(error).strip().splitlines() or [type(error).__name__]
        answer, arrays = {"error": lines[0][:400], "refused": isinstance(error, InputError)}, {}
    _write(output, answer, arrays)


def read(kind: str, source: Path, frame: int | None, names: list[str]) -> tuple[dict, dict]:
    """Return facts and arrays of a file of `kind`: npz, HDF5 or GSD.

    names : arrays that a sample may have; others are not read.
    """
    return {"npz": _read_npz, "HDF5": _read_hdf5, "GSD": _read_gsd}[kind](source, frame, names)


def _read_npz(source: Path, frame: int | None, names: list[str]) -> tuple[dict, dict]:
    from glassmodes.formats.numpy_files import archive_names, read_archive

    return {"names": archive_names(source)[:_OBJECTS]}, read_archive(source, names)


def _read_hdf5(source: Path, frame: int | None, names: list[str]) -> tuple[dict, dict]:
    """Check a file of ours, to be read directly afterwards, or read the arrays of a plain one."""
    import h5py

    from glassmodes.hdf5_structure import check_whole_file, read_numbers, require_plain

    with h5py.File(source, "r") as file:
        if "format" in file.attrs or "samples" in file or "records" in file:
            check_whole_file(file)
            return {"ours": True}, {}
        found = {name: require_plain(file, name) for name in names}
        datasets = {name: d for name, d in found.items() if isinstance(d, h5py.Dataset)}
        arrays = {name: read_numbers(dataset) for name, dataset in datasets.items()}
        return {"ours": False}, arrays


def _read_gsd(source: Path, frame: int | None, names: list[str]) -> tuple[dict, dict]:
    import numpy as np
    from gsd import hoomd

    from glassmodes.formats.assembly import choose_frame

    with hoomd.open(os.fspath(source), "r") as trajectory:
        index = choose_frame(frame, len(trajectory))
        for used in {0, index}:  # what a frame lacks comes from the first one
            _refuse_large_counts(trajectory.file, used, source.stat().st_size)
        content = trajectory[index]
    particles = content.particles
    arrays = {
        "positions": particles.position,
        "typeid": particles.typeid,
        "mass": particles.mass,
        "diameter": particles.diameter,
        "box": content.configuration.box,
        "bonds": content.bonds.group if content.bonds is not None and content.bonds.N else None,
    }
    facts = {
        "frame": index,
        "types": [str(name)[:1000] for name in particles.types or []][:_OBJECTS],
        "dimensions": int(content.configuration.dimensions or 0),
    }
    return facts, {name: np.asarray(a) for name, a in arrays.items() if a is not None}


def _refuse_large_counts(file: Any, frame: int, size: int) -> None:
    """Raise `InputError` if a frame counts more of anything than its file has room for.

    The library fills in default values for as many particles, bonds, ... as it is told.
    """
    from glassmodes.errors import InputError

    for name in file.find_matching_chunk_names(""):
        if name.endswith("/N") and file.chunk_exists(frame=frame, name=name):
            counts = file.read_chunk(frame=frame, name=name).ravel()
            if len(counts) and 8 * int(counts[0]) > size:  # positions take 12, a bond 8 bytes
                raise InputError(f"{name} is {counts[0]}, more than the file holds")


def _limit(limits: dict[str, int]) -> None:
    """Give up what reading needs no more than: memory, time, writing files, core dumps."""
    for name, value in limits.items():
        # Some systems do not know every limit (macOS: RLIMIT_AS); the others hold all the same.
        with contextlib.suppress(ValueError, OSError, AttributeError):
            number = getattr(resource, name)
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (value, value))


def _write(output: BinaryIO, answer: dict[str, Any], arrays: dict[str, Any]) -> None:
    import numpy as np

    little = {
        name: np.ascontiguousarray(a, a.dtype.newbyteorder("<")).reshape(a.shape)
        for name, a in arrays.items()
    }
    answer["arrays"] = [[name, a.dtype.str, list(a.shape)] for name, a in little.items()]
    output.write(json.dumps(answer).encode() + b"\n")
    for array in little.values():
        output.write(array.tobytes())
    output.close()


if __name__ == "__main__":
    main(sys.argv[1:])
