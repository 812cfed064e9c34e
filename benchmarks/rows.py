"""One row a measurement; rows become a CSV file and a Markdown table."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import machine

T = TypeVar("T")
NAN = float("nan")


@dataclass
class Row:
    """A measured value.

    Attributes
    ----------
    case, particles, method
        What was computed, for how many particles, by whom.
    value, unit
        Time of the solve alone, or a rate; NaN where it was stopped.
    startup, certificate
        Seconds from a sample in memory to a matrix, operator or factor that is ready, and
        seconds for the proof that no mode is missing; NaN where there is none.
    memory
        Peak of the process in the last `measure` before the row was made, above what the imports
        take, in GB; of the rank that takes most.
    gain, aim
        How many times better ours is than this peer, and what was aimed at; on a row of ours
        without a peer the value itself and its aim.  For several ranks the speed-up.
    accuracy
        What bounds the error of the result: a residual or the difference from ours; or what
        stopped it.
    dimension, ranks
        Of space; of the communicator.
    load, load_after
        Load average of the machine before, and after.
    details
        Numbers for the scaling page.
    """

    case: str
    particles: int
    method: str
    value: float
    unit: str = "s"
    startup: float = NAN
    certificate: float = NAN
    memory: float = field(default_factory=machine.memory)
    gain: float = NAN
    aim: float = NAN
    accuracy: str = ""
    dimension: int = 3
    ranks: int = 1
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    load_after: float = NAN
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return self.method.startswith("glassmodes")


@dataclass
class Measured:
    """Rows of ours, and the numbers that peers are compared with."""

    rows: list[Row]
    numbers: Any = None


one_pass = 0.0
"""Seconds of all `measure` calls of this process, each counted once whatever its repeats."""


def measure(call: Callable[[], T], repeats: int = 5, budget: float = 10.0) -> tuple[T, float]:
    """Return the result of `call` and its shortest time in seconds.

    Repeats stop at `budget` seconds, so that a call of a minute runs once.  The peak memory of
    the process counts from here on.
    """
    global one_pass
    machine.reset_peak_memory()
    best, spent = float("inf"), 0.0
    for _ in range(repeats):
        begin = time.perf_counter()
        result = call()
        seconds = time.perf_counter() - begin
        best, spent = min(best, seconds), spent + seconds
        if spent + seconds > budget:
            break
    one_pass += best
    return result, best


def write_csv(path: Path, facts: dict[str, str], rows: Iterable[Row]) -> None:
    """Write `# name: value` lines with the facts, then the rows."""
    with path.open("w", newline="") as file:
        file.writelines(f"# {name}: {value}\n" for name, value in facts.items())
        writer = csv.DictWriter(file, [f.name for f in fields(Row)])
        writer.writeheader()
        for row in rows:
            writer.writerow(asdict(row) | {"details": json.dumps(row.details)})


def read_csv(path: Path) -> tuple[dict[str, str], list[Row]]:
    """Return the facts and the rows of a file of `write_csv`."""
    lines = path.read_text().splitlines()
    head = [line[2:].split(": ", 1) for line in lines if line.startswith("# ")]
    table = csv.DictReader(line for line in lines if not line.startswith("# "))
    types = {"float": float, "int": int, "str": str, "dict[str, Any]": json.loads}
    rows = [
        Row(**{f.name: types[str(f.type)](line[f.name]) for f in fields(Row)}) for line in table
    ]
    return dict(head), rows


def markdown(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table; empty cells where a column does not apply."""
    names = ["case", "d", "N", "ranks", "method", "solve", "start-up s", "certificate s", "GB"]
    names += ["gain", "aim", "accuracy", "load"]
    return table(names, [_cells(row) for row in rows], left=("case", "method", "accuracy"))


def table(names: Sequence[str], lines: Iterable[Sequence[str]], left: Sequence[str] = ()) -> str:
    """Return a Markdown table; the columns named in `left` are text."""
    rule = ["---" if name in left else "---:" for name in names]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in (names, rule, *lines))


def _cells(row: Row) -> list[str]:
    solve = f"{number(row.value)} {row.unit}" if row.value == row.value else "—"
    return [
        *(row.case, str(row.dimension), f"{row.particles:,}", str(row.ranks), row.method),
        solve.rstrip(),
        *(number(row.startup), number(row.certificate), number(row.memory)),
        f"**{number(row.gain)}**" if row.gain == row.gain else "",
        *(number(row.aim), row.accuracy, f"{row.load:.2f}"),
    ]


def number(value: float) -> str:
    """Return three digits, nothing for NaN."""
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
