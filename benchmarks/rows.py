"""One row a measurement; rows become a CSV file and a Markdown table."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Row:
    """A measured value.

    Attributes
    ----------
    case, particles, method
        What was computed, for how many particles, by whom.
    value, unit
        Time of the solve alone, or a rate.
    startup, certificate
        Seconds from a sample in memory to a matrix, operator or factor that is ready, and
        seconds for the proof that no mode is missing; NaN where there is none.
    gain, aim
        How many times better ours is than this peer, and what was aimed at; on a row of ours
        without a peer the value itself and its aim.
    accuracy
        What bounds the error of the result: a residual or the difference from ours.
    """

    case: str
    particles: int
    method: str
    value: float
    unit: str = "s"
    startup: float = float("nan")
    certificate: float = float("nan")
    gain: float = float("nan")
    aim: float = float("nan")
    accuracy: str = ""
    load: float = field(default_factory=lambda: os.getloadavg()[0])


def measure(call: Callable[[], T], repeats: int = 5, budget: float = 10.0) -> tuple[T, float]:
    """Return the result of `call` and its shortest time in seconds.

    Repeats stop at `budget` seconds, so that a call of a minute runs once.
    """
    best, spent = float("inf"), 0.0
    for _ in range(repeats):
        begin = time.perf_counter()
        result = call()
        seconds = time.perf_counter() - begin
        best, spent = min(best, seconds), spent + seconds
        if spent + seconds > budget:
            break
    return result, best


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def markdown(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table; empty cells where a column does not apply."""
    header = (
        "| case | N | method | solve | start-up s | certificate s | gain | aim |"
        " accuracy | load |\n"
        "|---|---:|---|---:|---:|---:|---:|---:|---|---:|\n"
    )
    return header + "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    gain = f"**{row.gain:.3g}**" if row.gain == row.gain else ""
    cells = [
        row.case,
        f"{row.particles:,}",
        row.method,
        f"{_number(row.value)} {row.unit}",
        _number(row.startup),
        _number(row.certificate),
        gain,
        _number(row.aim),
        row.accuracy,
        f"{row.load:.2f}",
    ]
    return "| " + " | ".join(cells) + " |\n"


def _number(value: float) -> str:
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
