"""The long tables of a campaign, one row per mode and per dipole, as Parquet.

Written batch by batch and read ensemble by ensemble, so neither side needs them whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from glassmodes.campaign.table_files import replacing, table_path
from glassmodes.campaign.table_schema import TABLES
from glassmodes.errors import InputError

_TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}


def arrow_schema(name: str) -> pa.Schema:
    """Return the Arrow schema of the table; units and meanings are field metadata."""
    return pa.schema(
        [
            pa.field(
                c.name,
                pa.dictionary(pa.int32(), pa.string()) if c.kind == "text" else _TYPES[c.kind],
                metadata={"unit": c.unit, "description": c.description},
            )
            for c in TABLES[name].columns
        ]
    )


class LongTableWriter:
    """Write blocks of columns (one per batch) of one long table; a context manager.

    `note` goes into the metadata of the file.
    """

    def __init__(
        self, results: str | Path, name: str, note: Mapping[str, str] | None = None
    ) -> None:
        self.path = table_path(results, name)
        self.schema = arrow_schema(name)
        if note:
            self.schema = self.schema.with_metadata(dict(note))

    def __enter__(self) -> LongTableWriter:
        self._context = replacing(self.path)
        temporary = self._context.__enter__()
        self._writer = pq.ParquetWriter(temporary, self.schema, compression="zstd")
        return self

    def __exit__(self, *exc) -> None:
        self._writer.close()
        self._context.__exit__(*exc)

    def write(self, block: dict[str, Any]) -> None:
        """Append one block; its keys are the columns of the schema."""
        arrays = [
            pa.array(block[f.name], type=pa.string()).dictionary_encode()
            if pa.types.is_dictionary(f.type)
            else pa.array(block[f.name], type=f.type)
            for f in self.schema
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self.schema))


def _read(results: str | Path, name: str, ensemble: str, columns: list[str]) -> dict[str, NDArray]:
    path = table_path(results, name)
    if not path.is_file():
        raise InputError(f"{path}: the table is missing; run the stage tables")
    table = pq.read_table(path, columns=columns, filters=[("ensemble", "=", ensemble)])
    return {c: table.column(c).to_numpy() for c in columns}


def read_modes(results: str | Path, ensemble: str) -> dict[str, NDArray]:
    """Read the complete modes of one ensemble.

    Returns
    -------
    dict
        ``frequency``, ``participation_ratio`` ``(M,)`` and ``row`` ``(M,)``, a number per
        sample that counts only samples with a complete mode; samples without one have no
        number, which is why the number of samples must come from the table `ensembles`.
    """
    columns = ["sample", "frequency", "participation_ratio", "complete"]
    data = _read(results, "modes", ensemble, columns)
    keep = data["complete"].astype(bool)
    return {
        "frequency": data["frequency"][keep],
        "participation_ratio": data["participation_ratio"][keep],
        "row": _rows(data["sample"][keep]),
    }


def read_stiffness(results: str | Path, ensemble: str) -> dict[str, NDArray]:
    """Read the dipole stiffnesses of one ensemble: ``stiffness`` and ``row``, ``(M,)``."""
    data = _read(results, "dipoles", ensemble, ["sample", "stiffness"])
    return {"stiffness": data["stiffness"], "row": _rows(data["sample"])}


def read_window_modes(results: str | Path, ensemble: str) -> dict[str, NDArray]:
    """Read the modes of one ensemble's windows: frequency and participation_number, ``(M,)``."""
    return _read(results, "window_modes", ensemble, ["frequency", "participation_number"])


def _rows(sample: NDArray) -> NDArray[np.int64]:
    return np.unique(sample, return_inverse=True)[1].astype(np.int64)
