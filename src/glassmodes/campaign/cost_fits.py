"""From benchmark files and timings of campaigns to the table that corrects the laws of cost.

For each part of the work and kind of sample, one row per job: the mean seconds of its samples,
over what the law says.  Seconds count only as far as the job had a processor (its processor time
over its wall time and ranks), so that a machine shared with others does not slow the model.
Memory is fitted above the base, which is what the smallest job of a stage took; how it follows
modes and ranks is left to the law, which counts arrays.  Each ensemble counts once, however many
jobs it has.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from glassmodes.campaign.benchmark_files import JobUse, read_uses
from glassmodes.campaign.config import WINDOWS, CampaignConfig, load_config
from glassmodes.campaign.cost_laws import (
    PARTS,
    kind_of,
    law_megabytes,
    law_seconds,
    memory_part,
    sizes_of,
)
from glassmodes.campaign.cost_table import MEGABYTES, SECONDS, CostTable, Entry, Exponent
from glassmodes.campaign.records import read_timings
from glassmodes.errors import InputError

_QUANTITIES = {
    "modes.seconds": "modes",
    "moduli.seconds": "responses",
    "dipoles.seconds": "responses",
    "spectra.seconds": "spectral",
    "viscoelasticity.seconds": "spectral",
    "windows.seconds": "slice",
}
"""Parts of the work by the quantities of the files in ``timings/``."""

_SPAN = 1.8
"""An exponent needs sizes that differ by this factor at least."""
_RESOLVED = 0.5
"""Memory above the base counts from this part of the base on: below, libraries decide."""
_LEAST_SHARE = 0.05
_LEAST_OF_RANKS = 0.7
"""Ranks that wait for one another on a busy machine do not tell their work."""
_SYMBOLS = {"particles": "N", "modes": "modes", "ranks": "ranks"}


@dataclass(frozen=True)
class _Row:
    """One job: measured over law, its sizes, and the ensemble it belongs to."""

    ratio: float
    sizes: Mapping[str, float]
    ensemble: str


def fit_costs(folders: Sequence[str | Path]) -> CostTable:
    """Fit a table of costs to the jobs of finished campaigns.

    Parameters
    ----------
    folders
        Results folders; each needs ``config.json``, ``benchmarks/`` and ``timings/``.

    Raises
    ------
    InputError
        If a folder holds no such campaign, or no job was measured.
    """
    seconds: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    memory: dict[str, list[tuple[float, str, str, _Row]]] = defaultdict(list)
    starts, titles, machines = [], [], []
    for folder in map(Path, folders):
        config = load_config(folder / "config.json")
        titles.append(config.campaign.title)
        machines.append(_machine(folder))
        for use in read_uses(folder):
            ensemble = config.ensembles.get(use.ensemble)
            if ensemble is None or not law_seconds(config, use.ensemble, use.stage):
                continue
            name, kind = f"{folder}/{use.ensemble}", kind_of(config, use.ensemble)
            parts, start = _parts_of(config, folder, use)
            starts += start
            for part, ratio in parts.items():
                sizes = sizes_of(config, use.ensemble, part)
                seconds[part, kind].append(_Row(ratio, sizes, name))
            law = law_megabytes(config, use.ensemble, use.stage)
            if use.megabytes:
                part = memory_part(config, use.ensemble, use.stage)
                row = _Row(
                    use.megabytes / ensemble.ranks, sizes_of(config, use.ensemble, part), name
                )
                memory[use.stage].append((law, part, kind, row))
    entries = [_fit(part, kind, SECONDS, rows) for (part, kind), rows in seconds.items()]
    bases = {}
    for stage, found in memory.items():
        # Ranks share what starts them: a job of one rank shows the base.
        fewest = min(row.sizes["ranks"] for *_, row in found)
        base = min(row.ratio for *_, row in found if row.sizes["ranks"] == fewest)
        bases[stage] = base
        kinds: dict[tuple[str, str], list[_Row]] = defaultdict(list)
        for law, part, kind, row in found:
            above = row.ratio - base
            if above > _RESOLVED * base:
                kinds[part, kind].append(_Row(above / law, row.sizes, row.ensemble))
        entries += [_fit(part, kind, MEGABYTES, rows) for (part, kind), rows in kinds.items()]
    if not entries:
        raise InputError(
            f"{', '.join(map(str, folders))}: no finished job with a benchmark file; run a "
            "campaign there first"
        )
    order = [part for parts in PARTS.values() for part in parts]
    entries.sort(
        key=lambda e: (
            e.quantity != SECONDS,
            [*order, *PARTS, "analyse, factor"].index(e.part),
            e.kind,
        )
    )
    return CostTable(
        entries=tuple(entries),
        start_seconds=median(starts) if starts else None,
        base_megabytes=bases,
        machine=_common(machines),
        campaigns=tuple(dict.fromkeys(titles)),
    )


def _parts_of(
    config: CampaignConfig, folder: Path, use: JobUse
) -> tuple[dict[str, float], list[float]]:
    """Return measured over law by part of the work, and the seconds beside all samples."""
    stage = f"{WINDOWS}-{use.part}" if use.part else use.stage
    timings = read_timings(folder / "timings" / stage / use.ensemble / f"{use.batch}.csv")
    laws = law_seconds(config, use.ensemble, use.stage)
    totals: dict[str, float] = defaultdict(float)
    for quantities in timings.values():
        for quantity, seconds in quantities.items():
            part = _QUANTITIES.get(quantity)
            if quantity == "samples.seconds":
                part = next(iter(laws))
            if part in laws:
                totals[part] += seconds
    if not totals or not use.seconds or not use.cpu_seconds:
        return {}, []
    ranks = config.ensembles[use.ensemble].ranks
    share = min(1.0, max(_LEAST_SHARE, use.cpu_seconds / (use.seconds * ranks)))
    if ranks > 1 and share < _LEAST_OF_RANKS:
        return {}, []
    ratios = {
        part: share * total / len(timings) / laws[part] for part, total in totals.items() if total
    }
    outside = use.seconds - sum(totals.values())
    return ratios, [share * outside] if outside > 0 else []


def _fit(part: str, kind: str, quantity: str, rows: Sequence[_Row]) -> Entry:
    """Fit factor and exponents of one correction by least squares in logs."""
    jobs = Counter(row.ensemble for row in rows)
    weights = np.sqrt([1.0 / jobs[row.ensemble] for row in rows])
    y = np.log([row.ratio for row in rows])
    sizes = {name: np.array([row.sizes[name] for row in rows]) for name in rows[0].sizes}
    middle = {n: float(np.exp(np.mean(np.log(sorted(set(v)))))) for n, v in sizes.items()}
    columns = {
        name: np.log(values / middle[name])
        for name, values in sizes.items()
        if values.max() > _SPAN * values.min() and (quantity == SECONDS or name == "particles")
    }
    chosen = _independent(columns, len(jobs))
    matrix = np.stack([np.ones(len(rows)), *(columns[name] for name in chosen)], axis=1)
    solution = np.linalg.lstsq(matrix * weights[:, None], y * weights, rcond=None)[0]
    residuals = (y - matrix @ solution) ** 2 * weights**2
    freedom = max(1.0, len(jobs) - matrix.shape[1])
    scatter = math.sqrt(float(residuals.sum()) / max(freedom, weights @ weights / 2))
    fitted = dict(zip(chosen, solution[1:].tolist(), strict=True))
    # Sizes without an exponent of their own still say what was measured.
    exponents = {
        name: Exponent(
            fitted.get(name, 0.0), middle[name], float(values.min()), float(values.max())
        )
        for name, values in sizes.items()
    }
    return Entry(
        part, kind, quantity, math.exp(solution[0]), math.exp(scatter), len(rows), exponents
    )


def _independent(columns: Mapping[str, np.ndarray], ensembles: int) -> list[str]:
    """Return the sizes whose exponents the jobs can tell apart, in the order of `columns`."""
    chosen: list[str] = []
    for name in columns:
        trial = np.stack([np.ones_like(columns[name]), *(columns[n] for n in (*chosen, name))], 1)
        if len(chosen) + 2 <= ensembles and np.linalg.cond(trial) < 50:
            chosen.append(name)
    return chosen


def _machine(folder: Path) -> dict[str, object]:
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        machine = {name: run["machine"][name] for name in ("processor", "cores")}
        return {**machine, "date": run["started"][:10], "stage_versions": run["stage_versions"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _common(machines: Iterable[dict[str, object]]) -> dict[str, object]:
    """Return the description of the newest run; all should come from machines alike."""
    known = [machine for machine in machines if machine]
    return max(known, key=lambda machine: str(machine["date"])) if known else {}


def describe_costs(table: CostTable) -> dict[str, Any]:
    """Return what was fitted: start, base, and a row for each part and kind of sample."""
    return {
        "start_seconds": table.start_seconds,
        "base_megabytes": dict(table.base_megabytes),
        "rows": [
            {
                "part": entry.part,
                "kind": entry.kind,
                "quantity": entry.quantity,
                "factor": entry.factor,
                "exponents": {name: e.value for name, e in entry.exponents.items()},
                "ranges": {name: [e.low, e.high] for name, e in entry.exponents.items()},
                "spread": entry.spread,
                "jobs": entry.jobs,
            }
            for entry in table.entries
        ],
    }


def render_costs(found: Mapping[str, Any]) -> str:
    """Return the fits as a table in Markdown, for a terminal or a page of documentation."""
    lines = [
        "| part | samples | quantity | measured / law | exponents beyond the law | measured at "
        "| spread | jobs |",
        "|---|---|---|---:|---|---|---:|---:|",
    ]
    for row in found["rows"]:
        exponents = ", ".join(
            f"{_SYMBOLS[name]}^{value:+.2f}" for name, value in row["exponents"].items() if value
        )
        measured = "; ".join(
            f"{_SYMBOLS[name]} {_range(*limits)}"
            for name, limits in row["ranges"].items()
            if name == "particles" or limits[1] > limits[0]
        )
        lines.append(
            f"| {row['part']} | {row['kind']} | {row['quantity']} | {row['factor']:.2f} | "
            f"{exponents} | {measured} | {row['spread']:.2f} | {row['jobs']} |"
        )
    start = found["start_seconds"]
    lines += ["", f"start of a job: {'not measured' if start is None else f'{start:.2g} s'}"]
    for stage, base in found["base_megabytes"].items():
        lines.append(f"base of a rank, {stage}: {base:.0f} MB")
    lines.append(f"table: {found['table']}")
    return "".join(f"{line}\n" for line in lines)


def _range(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
