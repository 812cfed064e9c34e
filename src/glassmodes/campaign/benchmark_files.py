"""What jobs really used: Snakemake's benchmark files beside the results.

``benchmarks/STAGE/ENSEMBLE/FIRST-LAST.tsv`` for a batch, with ``.SLICE`` for a slice of a window,
``benchmarks/JOB.tsv`` for the rest.  Snakemake writes one when a job ends well; a job that took
over samples of an earlier attempt shows its own share only.
"""

from __future__ import annotations

import ast
import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glassmodes.campaign.config import WINDOWS
from glassmodes.campaign.manifest import range_of
from glassmodes.campaign.usage import read_usage, usage_path

BATCH_STAGES = ("prepare", "analyse", WINDOWS)
EXTENDED = "--benchmark-extended"
"""Snakemake's option that keeps in a benchmark file what the job had asked for."""


@dataclass(frozen=True)
class JobUse:
    """What one job used.

    Attributes
    ----------
    stage : str
        Of the batch, or the name of a single job such as ``tables``.
    ensemble, batch, part : str
        ``part`` is the number of a slice; empty where there is none.
    seconds, cpu_seconds : float
        Wall time, and processor time of all its processes.
    megabytes : float or None
        Largest resident memory of all its processes together, as sampled every half second and
        later every 30 seconds, or by the ranks' own account (`campaign.usage`), whichever is
        larger; None if the job was too short for a sample and left no account.
    asked_megabytes, asked_minutes : float or None
        What its attempt had asked for, of all ranks together, if the file says so.
    """

    stage: str
    ensemble: str
    batch: str
    part: str
    seconds: float
    cpu_seconds: float
    megabytes: float | None
    asked_megabytes: float | None = None
    asked_minutes: float | None = None

    @property
    def samples(self) -> int:
        """Samples of the batch, 0 for a single job."""
        found = range_of(self.batch)
        return found[1] - found[0] if found else 0


def read_uses(results: Path) -> list[JobUse]:
    """Return what the jobs of a campaign used, in the order of their paths.

    A file that is empty or broken, as a full disk leaves it, is skipped.
    """
    folder = results / "benchmarks"
    uses = [_read(path, path.stem, "", "", "") for path in sorted(folder.glob("*.tsv"))]
    for stage in BATCH_STAGES:
        for path in sorted(folder.glob(f"{stage}/*/*.tsv")):
            batch, _, part = path.stem.partition(".")
            if range_of(batch):
                uses.append(_read(path, stage, path.parent.name, batch, part))
    return [_with_usage(results, use) for use in uses if use is not None]


def _with_usage(results: Path, use: JobUse) -> JobUse:
    """Return what a job used with what its own ranks say."""
    stage = f"{use.stage}-{use.part}" if use.part else use.stage
    told = read_usage(usage_path(results, stage, use.ensemble, use.batch)) if use.batch else None
    if told is None:
        return use
    return replace(
        use,
        megabytes=max(use.megabytes or 0.0, told.ranks * told.megabytes),
        cpu_seconds=max(use.cpu_seconds, told.cpu_seconds),
    )


def _read(path: Path, stage: str, ensemble: str, batch: str, part: str) -> JobUse | None:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        return JobUse(
            stage,
            ensemble,
            batch,
            part,
            float(row["s"]),
            _number(row["cpu_time"]),
            _number(row["max_rss"]) or None,
            *_asked(row.get("resources") or ""),
        )
    except (OSError, UnicodeError, StopIteration, KeyError, ValueError, TypeError, csv.Error):
        return None


def _number(text: str) -> float:
    value = 0.0 if text in ("NA", "-", "") else float(text)
    return value if math.isfinite(value) else 0.0


def _asked(text: str) -> tuple[float | None, float | None]:
    """Return MB of all ranks and minutes from Snakemake's list of resources."""
    try:
        resources: Any = ast.literal_eval(text) if text else {}
        memory = resources.get("mem_mb")
        per_core = resources.get("mem_mb_per_cpu")
        if per_core:
            cores = int(resources.get("tasks", 1)) * int(resources.get("cpus_per_task", 1))
            memory = per_core * cores
        minutes = resources.get("runtime")
        return (float(memory) if memory else None, float(minutes) if minutes else None)
    except (ValueError, SyntaxError, TypeError, AttributeError, RecursionError, MemoryError):
        return None, None
