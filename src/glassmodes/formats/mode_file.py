"""Mode files: the lowest modes of one sample or matrix, with what vouches for them.

An HDF5 file with the datasets

- ``frequency`` (K,): angular frequencies ω, ascending, null space left out,
- ``residual`` (K,): ||Hψ - λψ|| / λ of each mode,
- ``participation_ratio`` (K,): e of each mode,
- ``vectors`` (K, N, d), if kept: eigenvectors ψ of the mass-weighted Hessian, of unit length;
  the displacements are ψ_i / sqrt(m_i).  The modes of a foreign matrix have N rows and d = 1,

and the attributes ``format``, ``format_version``, ``zero_modes``, ``certified``,
``complete_below`` and, of windows, ``complete_above`` (frequencies between which no mode is
missing) and, as JSON text, ``solver``
and ``provenance``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from glassmodes.errors import InputError
from glassmodes.files import SpreadColumns, check_input, located, stream_hdf5, write_hdf5
from glassmodes.formats.isolated import read_isolated
from glassmodes.hdf5_structure import read_json, read_numbers, require_plain, text_of
from glassmodes.sample import first_line

FORMAT = "glassmodes-modes"
FORMAT_VERSION = 1


@dataclass
class ModeFile:
    """Modes of one sample as they are stored; see the module for shapes and units."""

    frequency: np.ndarray
    residual: np.ndarray
    participation_ratio: np.ndarray
    vectors: np.ndarray | None
    zero_modes: int
    certified: bool
    complete_below: float
    complete_above: float = 0.0
    solver: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def write(self, path: str | os.PathLike) -> None:
        """Write the file atomically; `InputError` if that is impossible."""
        write_hdf5(path, self._fill)

    def stream(self, comm, path: str | os.PathLike, vectors: SpreadColumns | None = None) -> None:
        """Write the file with `vectors` that are spread over the ranks, atomically.

        Rank 0 writes and holds a few megabytes of another rank's rows at a time.  Collective.

        Raises
        ------
        InputError
            On every rank, if the file cannot be written.
        """
        stream_hdf5(comm, path, self._fill, {} if vectors is None else {"vectors": vectors})

    def _fill(self, file: h5py.File) -> None:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["zero_modes"] = int(self.zero_modes)
        file.attrs["certified"] = bool(self.certified)
        file.attrs["complete_below"] = float(self.complete_below)
        if self.complete_above > 0:
            file.attrs["complete_above"] = float(self.complete_above)
        file.attrs["solver"] = json.dumps(self.solver, sort_keys=True)
        file.attrs["provenance"] = json.dumps(self.provenance, sort_keys=True)
        for name in ("frequency", "residual", "participation_ratio", "vectors"):
            if getattr(self, name) is not None:
                file[name] = np.asarray(getattr(self, name), np.float64)

    @classmethod
    def read(cls, path: str | os.PathLike, isolated: bool = True) -> ModeFile:
        """Read a mode file.

        isolated : check the file in a child process first (`glassmodes.formats.isolated`).

        Raises
        ------
        InputError
            The file is missing, truncated or holds something else.
        """
        source = check_input(path)
        try:
            if isolated:
                read_isolated(source, "HDF5")
            with h5py.File(source, "r") as file:
                return cls._of(file)._checked()
        except InputError as error:
            raise located(source, error) from error
        except Exception as error:  # h5py reports damage with half a dozen exception types
            raise InputError(
                f"cannot read {source} as a mode file: {first_line(error)}; "
                "it is damaged or of another kind"
            ) from error

    @classmethod
    def _of(cls, file: h5py.File) -> ModeFile:
        if text_of(file.attrs.get("format", "")) != FORMAT:
            raise InputError("it holds no modes: make some with 'glassmodes modes'")
        if int(file.attrs["format_version"]) > FORMAT_VERSION:
            raise InputError("it was written by a newer glassmodes; update this one")
        arrays = {}
        for name in ("frequency", "residual", "participation_ratio", "vectors"):
            dataset = require_plain(file, name)
            if dataset is None and name != "vectors":
                raise InputError(f"it has no dataset {name!r}; it is damaged")
            arrays[name] = None if dataset is None else read_numbers(dataset)
        return cls(
            **arrays,
            zero_modes=int(file.attrs["zero_modes"]),
            certified=bool(file.attrs["certified"]),
            complete_below=float(file.attrs["complete_below"]),
            complete_above=float(file.attrs.get("complete_above", 0.0)),
            solver=read_json(text_of(file.attrs["solver"]), "the attribute solver"),
            provenance=read_json(text_of(file.attrs["provenance"]), "the attribute provenance"),
        )

    def _checked(self) -> ModeFile:
        """Return the modes; `InputError` if arrays do not fit together."""
        count = (np.size(self.frequency),)
        for name in ("frequency", "residual", "participation_ratio"):
            values = getattr(self, name)
            if values.shape != count:
                raise InputError(f"{name} has shape {values.shape}, expected {count}")
        if not np.all(np.isfinite(self.frequency)):
            raise InputError("frequency holds NaN or infinite values")
        if self.vectors is not None and (
            self.vectors.ndim != 3 or self.vectors.shape[:1] != count or not self.vectors.shape[2]
        ):
            raise InputError(f"vectors have shape {self.vectors.shape}, expected (K, N, d)")
        if self.vectors is not None and not np.all(np.isfinite(self.vectors)):
            raise InputError("vectors hold NaN or infinite values")
        return self
