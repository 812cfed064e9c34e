"""Write docs/scaling.md and its figures from recorded tables.

.venv/bin/python benchmarks/page.py benchmarks/results/NAME.csv [MORE.csv ...]
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import figures
import jinja2
import machine
from exponents import SUFFIX
from rows import Row, number, read_csv, table

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
TEMPLATE = "scaling_page.md.j2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", type=Path, help="files of benchmarks/run.py")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder (default: docs)")
    arguments = parser.parse_args()
    recorded = [read_csv(path) for path in arguments.tables]
    rows = list(itertools.chain.from_iterable(rows for _, rows in recorded))
    pictures = arguments.output / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    drawn = figures.draw_all(rows, pictures)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    values = {name: section(rows) for name, section in SECTIONS.items()}
    files = [path.name for path in arguments.tables]
    facts = [found for found, _ in recorded]
    busy = [name for name, found in zip(files, facts, strict=True) if _was_busy(found)]
    text = environment.get_template(TEMPLATE).render(
        recorded=list(zip(files, facts, strict=True)), busy=busy, figures=drawn, **values,
        **_model_facts(rows),
    )  # fmt: skip
    page = arguments.output / "scaling.md"
    page.write_text(text)
    print(page)


def _was_busy(facts: dict[str, str]) -> bool:
    """Tell whether other things ran when the recording began."""
    return float(facts["load before"].split()[0]) > machine.IDLE


def kind(row: Row) -> str:
    """Return "strong", "weak", "large" or "model" for rows over ranks, "" for others."""
    return row.details.get("scaling", "")


def series(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the timed rows of ours on one rank in 3D by case and method, three sizes or more."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.ours and not kind(row) and row.dimension == 3 and row.unit in ("s", "ms"):
            found[row.case, row.method].append(row)
    return {key: points for key, points in found.items() if len(points) > 2}


def _by_size(rows: list[Row], suffix: str, value: Callable[[Row], str]) -> str:
    """Return a table for each set of sizes: a line a series, its exponent of N at the end."""
    exponents = {(row.case, row.method): row for row in rows if row.case.endswith(SUFFIX)}
    groups: dict[tuple[int, ...], list[list[str]]] = defaultdict(list)
    for (case, method), points in series(rows).items():
        points = sorted(points, key=lambda row: row.particles)
        slope = exponents.get((case + suffix + SUFFIX, method))
        if slope is None:
            continue
        exponent = f"{slope.value:.2f} ± {slope.details['error']:.2f}"
        cells = [f"{case} ({method.removeprefix('glassmodes').strip(': ') or 'ours'})"]
        groups[tuple(row.particles for row in points)].append(
            [*cells, *(value(row) for row in points), exponent]
        )
    tables = []
    for sizes, lines in groups.items():
        head = ["", *(f"N = {size:,}" for size in sizes), "exponent"]
        tables.append(table(head, lines, left=("",)))
    return "\n".join(tables)


def times(rows: list[Row]) -> str:
    return _by_size(rows, "", lambda row: f"{number(row.value)} {row.unit}")


def memory(rows: list[Row]) -> str:
    return _by_size(rows, ", memory", lambda row: f"{number(1e6 * row.memory / row.particles)} kB")


def dimensions(rows: list[Row]) -> str:
    lines = [
        [row.case, str(row.dimension), f"{row.particles:,}", _time(row), number(row.memory)]
        for row in rows
        if row.dimension != 3 and row.ours and not kind(row) and SUFFIX not in row.case
    ]
    return table(["", "d", "N", "solve", "GB"], lines, left=("",))


def peers(rows: list[Row]) -> str:
    """Return every peer beside the fastest of ours for the same case and sample."""
    ours: dict[tuple, float] = {}
    for row in rows:
        key = row.case, row.particles, row.dimension
        if row.ours and not kind(row) and row.value == row.value:
            ours[key] = min(row.value, ours.get(key, math.inf))
    lines = []
    for row in rows:
        key = row.case, row.particles, row.dimension
        if row.ours or SUFFIX in row.case or key not in ours:
            continue
        gain = f"{number(row.gain)}x" if row.gain == row.gain else ""
        lines.append(
            [row.case, f"{row.particles:,}", str(row.dimension), row.method, _time(row)]
            + [f"{number(ours[key])} {row.unit}", gain, number(row.memory), row.accuracy]
        )
    head = ["", "N", "d", "peer", "peer's time", "ours", "gain", "peer's GB", "how it ended"]
    return table(head, lines, left=("", "peer", "how it ended"))


def scaling(rows: list[Row], which: str) -> str:
    """Return a line for every workload and number of ranks of strong or weak scaling."""
    strong = which == "strong"
    chosen = [row for row in rows if kind(row) == which]
    order = list(dict.fromkeys(row.case for row in chosen))
    size = (lambda row: row.particles) if strong else (lambda row: 0)
    lines = []
    for row in sorted(chosen, key=lambda r: (order.index(r.case), size(r), r.ranks)):
        efficiency = row.gain / row.ranks if strong else row.gain
        lines.append(
            [row.case, f"{row.particles:,}", str(row.ranks), _time(row)]
            + ([number(row.gain)] if strong else [])
            + [f"{efficiency:.0%}", number(max(row.details["cpu"]))]
            + [f"{max(row.details['ghosts']):,}", number(row.memory)]
            + [f"{row.load:.2f}, {row.load_after:.2f}"]
        )
    gain = ["speed-up"] if strong else []
    head = ["", "N", "ranks", "time", *gain, "efficiency", "processor s a rank", "ghosts a rank"]
    return table([*head, "GB a rank", "load before, after"], lines, left=("",))


def large(rows: list[Row]) -> str:
    lines = [
        [row.case, f"{row.particles:,}", str(row.ranks), _time(row), number(row.memory)]
        + [row.accuracy, f"{row.load:.2f}, {row.load_after:.2f}"]
        for row in rows
        if kind(row) == "large"
    ]
    if not lines:
        return ""
    head = ["", "N", "ranks", "time", "GB a rank", "", "load before, after"]
    return table(head, lines, left=("",))


def predictions(rows: list[Row]) -> str:
    """Return the model's times; the largest measured number of ranks is its calibration."""
    measured = {
        (row.case, row.particles, row.ranks): row.value
        for row in rows
        if kind(row) in ("strong", "large")
    }
    lines = []
    for row in rows:
        if kind(row) == "model":
            runs = {r: t for (case, n, r), t in measured.items()
                    if (case, n) == (row.case, row.particles)}  # fmt: skip
            beside = f"{number(runs[row.ranks])} s" if row.ranks in runs else "not measured"
            if row.ranks == max(runs):
                beside += " (calibration)"
            lines.append(
                [row.case, f"{row.particles:,}", f"{row.ranks:,}", _time(row)]
                + [beside, row.accuracy]
            )
    head = ["", "N", "ranks", "model", "measured", "of the model's time"]
    return table(head, lines, left=("", "of the model's time"))


def _time(row: Row) -> str:
    return f"{number(row.value)} {row.unit}".strip() if row.value == row.value else "—"


def _model_facts(rows: list[Row]) -> dict:
    """Return what the text says of the model: latency and bandwidths of the largest run."""
    runs = [row for row in rows if kind(row) in ("strong", "large") and row.ranks > 1]
    machine = max(runs, key=lambda row: row.ranks).details["machine"] if runs else {}
    single = [row.details["machine"]["triad"] for row in rows if kind(row) and row.ranks == 1
              and "machine" in row.details]  # fmt: skip
    return {
        "latency": number(1e6 * machine.get("latency", math.nan)),
        "bandwidth": number(1e-9 * machine.get("bandwidth", math.nan)),
        "reduction": number(1e6 * machine.get("reduction", math.nan)),
        "triad": number(machine.get("triad", math.nan)),
        "single_triad": number(max(single, default=math.nan)),
        "parts": _parts_table(rows),
    }


def _parts_table(rows: list[Row]) -> str:
    """Return how the samples fall apart into ranks: counted, not modelled."""
    lines = {
        (row.particles, row.ranks): [f"{row.particles:,}", f"{row.ranks:,}"]
        + [number(row.details["part"]["share"] * row.ranks)]
        + [f"{row.details['part'][key]:,}" for key in PART_KEYS]
        for row in rows
        if kind(row) == "model"
    }
    head = ["N", "ranks", "edges of the largest rank / mean", *PART_KEYS]
    return table(head, [lines[key] for key in sorted(lines)])


PART_KEYS = ("ghosts", "messages", "far ghosts", "far messages")
SECTIONS: dict[str, Callable[[list[Row]], str]] = {
    "times": times,
    "memory": memory,
    "dimensions": dimensions,
    "peers": peers,
    "strong": lambda rows: scaling(rows, "strong"),
    "weak": lambda rows: scaling(rows, "weak"),
    "large": large,
    "predictions": predictions,
}

if __name__ == "__main__":
    main()
