"""Reading and writing the tables of a campaign as CSV, checked against their schema.

CSV as spreadsheets like it: comma, one header line, a point as decimal sign, UTF-8,
empty cells for what is not known.  Files appear under their name only when complete.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.table_columns import Column
from glassmodes.campaign.table_schema import TABLES, units_rows
from glassmodes.errors import InputError, nearest
from glassmodes.statistics.bootstrap import Estimate

Row = Mapping[str, Any]

_FORMULA = re.compile(r"'*(?![+-]\d+(\.\d+)? % from )[=+\-@\t\r]")
"""Text that a spreadsheet would compute; it gets an apostrophe in front, which readers drop.

The differences in percent that comparisons begin with are no formula to anybody.
"""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; move it into place if the body succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def table_path(results: str | Path, name: str) -> Path:
    """Return where the table `name` lies under the results folder."""
    if name not in TABLES:
        raise InputError(f"no table is called {name!r}{nearest(name, TABLES)}")
    return Path(results) / TABLES[name].path


class TableWriter:
    """Write rows of one table one after the other; use as a context manager.

    Raises
    ------
    InputError
        If a row's columns are not exactly those of the schema.
    """

    def __init__(self, results: str | Path, name: str) -> None:
        self.path = table_path(results, name)
        self.schema = TABLES[name]
        self._names = self.schema.names
        self._known = set(self._names)

    def __enter__(self) -> TableWriter:
        self._context = replacing(self.path)
        self._temporary = self._context.__enter__()
        self._file: TextIO = open(self._temporary, "w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(self._names)
        return self

    def __exit__(self, *exc) -> None:
        self._file.close()
        self._context.__exit__(*exc)

    def write(self, row: Row) -> None:
        if row.keys() != self._known:
            wrong = sorted(row.keys() ^ self._known)
            raise InputError(f"table {self.schema.name}: columns {wrong} do not match its schema")
        self._writer.writerow([_cell(row[c.name], c) for c in self.schema.columns])


def write_table(results: str | Path, name: str, rows: Iterable[Row]) -> Path:
    """Write all `rows` of the table `name` and return its path."""
    with TableWriter(results, name) as writer:
        for row in rows:
            writer.write(row)
    return writer.path


def _cell(value: Any, column: Column) -> str:
    if value is None:
        return ""
    if column.kind == "text":
        return f"'{value}" if _FORMULA.match(str(value)) else str(value)
    if column.kind == "flag":
        return "true" if value else "false"
    number = float(value)
    if not math.isfinite(number):
        return ""
    if column.kind == "integer":
        return str(int(value))
    return f"{number:.10g}"


def read_table(results: str | Path, name: str) -> list[dict[str, Any]]:
    """Read the table `name`; empty cells become None.

    Raises
    ------
    InputError
        If the file is missing or its header is not that of the schema.
    """
    path = table_path(results, name)
    schema = TABLES[name]
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            lines = list(reader)
    except OSError as exc:
        raise InputError(
            f"{path}: cannot read the table ({exc.strerror}); run the stage that writes it"
        ) from exc
    if header != schema.names:
        raise InputError(
            f"{path}: the header is not that of this version's table {name}; write it again"
        )
    return [
        {c.name: _value(cell, c) for c, cell in zip(schema.columns, line, strict=True)}
        for line in lines
    ]


def _value(cell: str, column: Column) -> Any:
    if column.kind == "text":
        return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
    if cell == "":
        return None
    if column.kind == "flag":
        return cell == "true"
    return int(cell) if column.kind == "integer" else float(cell)


def estimate_cells(name: str, estimate: Estimate, k: int | None = None) -> dict[str, Any]:
    """Return the four cells of an estimate (element `k` of it): value, error, low, high."""
    parts = (estimate.value, estimate.error, estimate.low, estimate.high)
    suffixes = ("", "_error", "_low", "_high")
    return {
        name + suffix: float(part if k is None else part[k])
        for suffix, part in zip(suffixes, parts, strict=True)
    }


def unknown_estimate(name: str) -> dict[str, Any]:
    """Return the four empty cells of an estimate that is not resolved."""
    return {name + suffix: None for suffix in ("", "_error", "_low", "_high")}


def column(rows: Iterable[Row], name: str) -> NDArray[np.float64]:
    """Return one numeric column of read rows, NaN where a cell is empty."""
    return np.array([math.nan if r[name] is None else r[name] for r in rows], dtype=np.float64)


def write_units(results: str | Path, names: Iterable[str]) -> Path:
    """Write ``tables/units.csv`` for the tables `names`: table, column, unit, description."""
    path = Path(results) / "tables" / "units.csv"
    with replacing(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(
                file, ["table", "column", "unit", "description"], lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(units_rows(names))
    return path
