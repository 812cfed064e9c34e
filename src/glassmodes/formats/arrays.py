"""Arrays by name (numpy .npz archives, plain HDF5) and GSD files."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from glassmodes.errors import InputError, nearest
from glassmodes.files import write_bytes
from glassmodes.formats import isolated_child
from glassmodes.formats.assembly import assemble, edges_of_cell, map_labels
from glassmodes.formats.isolated import read_isolated
from glassmodes.sample import Sample

_REQUIRED = ("positions", "box", "species")
_OPTIONAL = ("diameters", "masses", "bonds", "stiffness", "rest_lengths")
ARRAYS = _REQUIRED + _OPTIONAL
_log = logging.getLogger(__name__)


def read_npz(
    source: Path, type_map: Mapping[Any, int] | None = None, isolated: bool = True
) -> Sample:
    """Read the arrays positions, box and species, and diameters, masses and bonds if present.

    A network, with the array bonds, needs no species.

    Species are taken as they are unless `type_map` is given.  The box may be
    its edges, (d,), or a diagonal (d, d) cell.  Pickled objects are not read.

    Raises
    ------
    InputError
        A missing array, one whose name is nearly right, or one that cannot be used.
    """
    facts, arrays = read_foreign(source, "npz", ARRAYS, isolated=isolated)
    return from_arrays(source, "npz", facts["names"], arrays, type_map)


def from_arrays(
    source: Path,
    kind: str,
    names: Sequence[str],
    arrays: dict[str, Any],
    type_map: Mapping[Any, int] | None = None,
) -> Sample:
    """Return the sample of a file of `kind` that holds arrays by name, of which all are `names`."""
    for name in names:
        if name not in ARRAYS and nearest(name, ARRAYS):
            raise InputError(f"unknown array {name!r}{nearest(name, ARRAYS)}")
    for name in _REQUIRED:
        if name not in arrays and not (name == "species" and "bonds" in arrays):
            raise InputError(
                f"the array {name!r} is missing; expected {', '.join(_REQUIRED)} (species may "
                f"be left out with bonds) and, if wanted, {', '.join(_OPTIONAL)}"
            )
    box = arrays["box"]
    if box.ndim == 2 and box.shape[0] == box.shape[1] and box.size and box.dtype.kind in "iuf":
        arrays["box"] = edges_of_cell(box)
    provenance: dict[str, Any] = {"imported_from": source.name, "format": kind}
    if type_map is not None:
        if "species" not in arrays:
            raise InputError("a type map was given but the array 'species' is missing")
        labels = [str(label) for label in arrays["species"].ravel().tolist()]
        species, provenance["type_map"] = map_labels(labels, type_map)
        arrays["species"] = species.reshape(arrays["species"].shape)
    return Sample(**arrays, provenance=provenance).validate()


def read_foreign(
    source: Path,
    kind: str,
    names: tuple[str, ...] = (),
    frame: int | None = None,
    isolated: bool = True,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return facts and arrays of a binary file, read in a child process or, if trusted, in this."""
    if isolated:
        return read_isolated(source, kind, names, frame)
    return isolated_child.read(kind, source, frame, list(names))


def write_npz(path: str | os.PathLike, sample: Sample) -> None:
    """Write the arrays of a sample, in any dimension; model and provenance stay behind."""
    sample.validate()
    present = {name: getattr(sample, name) for name in ARRAYS}
    buffer = BytesIO()
    np.savez(buffer, **{name: array for name, array in present.items() if array is not None})
    write_bytes(path, buffer.getvalue())


def read_gsd(
    source: Path,
    type_map: Mapping[Any, int] | None = None,
    frame: int | None = None,
    isolated: bool = True,
) -> Sample:
    """Read one frame of a GSD (HOOMD) file, the last unless `frame` says otherwise.

    GSD stores single precision: a sample from it is at rest to about 1e-6 at
    best, and a warning asks to minimise it again.  A type map may use type
    names or type ids.
    """
    facts, content = read_foreign(source, "GSD", frame=frame, isolated=isolated)
    position, box = content.get("positions"), np.asarray(content.get("box", ()), dtype=np.float64)
    if position is None or position.ndim != 2 or position.shape[1] != 3 or box.shape != (6,):
        raise InputError("the frame has no positions or no box")
    if np.any(box[3:] != 0):
        raise InputError("the box is triclinic; only orthorhombic boxes are supported")
    if position.dtype == np.float32:
        _log.warning(
            "%s holds single-precision positions: forces are at rest to about 1e-6 only; "
            "minimise the sample again before taking its Hessian",
            source.name,
        )
    per_particle = {name: content.get(name) for name in ("typeid", "mass", "diameter")}
    for name, column in per_particle.items():
        if column is None or column.shape != position.shape[:1]:
            raise InputError(f"the frame has no {name} for each particle; the file is damaged")
    labels = [str(t) for t in content["typeid"].tolist()]
    if type_map is not None and not set(labels) <= {str(key) for key in type_map}:
        labels = _type_names(content["typeid"], facts["types"])
    elif type_map is None:
        type_map = {t: int(t) for t in labels}
    arrays: dict[str, Any] = {"masses": np.asarray(content["mass"], dtype=np.float64)}
    diameters = np.asarray(content["diameter"], dtype=np.float64)
    if np.any(diameters != diameters[:1]):  # HOOMD fills in 1 where no diameter was given
        arrays["diameters"] = diameters
    if "bonds" in content:
        arrays["bonds"] = content["bonds"]
    return assemble(
        source,
        positions=np.asarray(position, dtype=np.float64),
        edges=box[:3],
        origin=-box[:3] / 2,
        labels=labels,
        periodic=(True, True, True),
        dimension=2 if facts["dimensions"] == 2 else None,
        type_map=type_map,
        provenance={"format": "GSD", "frame": facts["frame"], "precision": str(position.dtype)},
        **arrays,
    )


def _type_names(typeid: np.ndarray, types: Sequence[str]) -> list[str]:
    if len(typeid) and not 0 <= int(typeid.min()) <= int(typeid.max()) < len(types):
        raise InputError(f"the frame has the type {typeid.max()} and {len(types)} names of types")
    return [types[t] for t in typeid.tolist()]
