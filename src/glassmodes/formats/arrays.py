"""numpy .npz archives and GSD files."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from glassmodes.errors import InputError, nearest
from glassmodes.files import write_bytes
from glassmodes.formats.assembly import assemble, choose_frame, edges_of_cell, map_labels
from glassmodes.sample import Sample

_REQUIRED = ("positions", "box", "species")
_OPTIONAL = ("diameters", "masses", "bonds", "stiffness", "rest_lengths")
ARRAYS = _REQUIRED + _OPTIONAL
_log = logging.getLogger(__name__)


def read_npz(source: Path, type_map: Mapping[Any, int] | None = None) -> Sample:
    """Read the arrays positions, box and species, and diameters, masses and bonds if present.

    A network, with the array bonds, needs no species.

    Species are taken as they are unless `type_map` is given.  The box may be
    its edges, (d,), or a diagonal (d, d) cell.  Pickled objects are not read.

    Raises
    ------
    InputError
        A missing array, one whose name is nearly right, or one that cannot be used.
    """
    with np.load(source, allow_pickle=False) as archive:
        for name in archive.files:
            if name not in ARRAYS and nearest(name, ARRAYS):
                raise InputError(f"unknown array {name!r}{nearest(name, ARRAYS)}")
        for name in _REQUIRED:
            if name not in archive.files and not (name == "species" and "bonds" in archive.files):
                raise InputError(
                    f"the array {name!r} is missing; expected {', '.join(_REQUIRED)} (species may "
                    f"be left out with bonds) and, if wanted, {', '.join(_OPTIONAL)}"
                )
        arrays = {name: archive[name] for name in ARRAYS if name in archive.files}
    box = arrays["box"]
    if box.ndim == 2 and box.shape[0] == box.shape[1] and box.size and box.dtype.kind in "iuf":
        arrays["box"] = edges_of_cell(box)
    provenance: dict[str, Any] = {"imported_from": source.name, "format": "npz"}
    if type_map is not None:
        if "species" not in arrays:
            raise InputError("a type map was given but the array 'species' is missing")
        labels = [str(label) for label in arrays["species"].ravel().tolist()]
        species, provenance["type_map"] = map_labels(labels, type_map)
        arrays["species"] = species.reshape(arrays["species"].shape)
    return Sample(**arrays, provenance=provenance).validate()


def write_npz(path: str | os.PathLike, sample: Sample) -> None:
    """Write the arrays of a sample, in any dimension; model and provenance stay behind."""
    sample.validate()
    present = {name: getattr(sample, name) for name in ARRAYS}
    buffer = BytesIO()
    np.savez(buffer, **{name: array for name, array in present.items() if array is not None})
    write_bytes(path, buffer.getvalue())


def read_gsd(
    source: Path, type_map: Mapping[Any, int] | None = None, frame: int | None = None
) -> Sample:
    """Read one frame of a GSD (HOOMD) file, the last unless `frame` says otherwise.

    GSD stores single precision: a sample from it is at rest to about 1e-6 at
    best, and a warning asks to minimise it again.  A type map may use type
    names or type ids.
    """
    from gsd import hoomd

    with hoomd.open(os.fspath(source), "r") as trajectory:
        index = choose_frame(frame, len(trajectory))
        content = trajectory[index]
    particles, box = content.particles, np.asarray(content.configuration.box, dtype=np.float64)
    if particles.position is None or box.shape != (6,):
        raise InputError("the frame has no positions or no box")
    if np.any(box[3:] != 0):
        raise InputError("the box is triclinic; only orthorhombic boxes are supported")
    if particles.position.dtype == np.float32:
        _log.warning(
            "%s holds single-precision positions: forces are at rest to about 1e-6 only; "
            "minimise the sample again before taking its Hessian",
            source.name,
        )
    typeid = np.asarray(particles.typeid)
    labels = [str(t) for t in typeid.tolist()]
    if type_map is not None and not set(labels) <= {str(key) for key in type_map}:
        labels = [str(particles.types[t]) for t in typeid]
    elif type_map is None:
        type_map = {t: int(t) for t in labels}
    arrays: dict[str, Any] = {"masses": np.asarray(particles.mass, dtype=np.float64)}
    diameters = np.asarray(particles.diameter, dtype=np.float64)
    if np.ptp(diameters) > 0:  # HOOMD fills in 1 where no diameter was given
        arrays["diameters"] = diameters
    if content.bonds is not None and content.bonds.N:
        arrays["bonds"] = np.asarray(content.bonds.group)
    flat = content.configuration.dimensions == 2
    return assemble(
        source,
        positions=np.asarray(particles.position, dtype=np.float64),
        edges=box[:3],
        origin=-box[:3] / 2,
        labels=labels,
        periodic=(True, True, True),
        dimension=2 if flat else None,
        type_map=type_map,
        provenance={"format": "GSD", "frame": index, "precision": str(particles.position.dtype)},
        **arrays,
    )
