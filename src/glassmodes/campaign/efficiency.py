"""What jobs used against what they had asked for, by stage and ensemble.

A request that is far too small kills jobs, one that is far too large keeps them waiting in the
queue.  Used: the benchmark files.  Asked: what the file says of its own attempt, or what a first
attempt asks for now (campaigns run by an older version, or by Snakemake alone).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from glassmodes.campaign import costs
from glassmodes.campaign.benchmark_files import BATCH_STAGES, JobUse, read_uses
from glassmodes.campaign.config import WINDOWS, CampaignConfig
from glassmodes.campaign.manifest import build_manifest
from glassmodes.errors import InputError
from glassmodes.files import write_bytes

EFFICIENCY_FILE = "efficiency.csv"

SINGLE_JOBS = {
    "tables": (2000, 30),
    "fits": (2000, 30),
    "compare": (1000, 10),
    "figures": (1000, 10),
    "report": (1000, 10),
}
"""MB and minutes that the jobs after the last sample ask for, as in workflow/rules."""

COLUMNS = (
    ("stage", "", "prepare, analyse, windows, or the name of a single job"),
    ("ensemble", "", "ensemble; empty for a single job"),
    ("ranks", "1", "MPI ranks of a job"),
    ("jobs", "1", "finished jobs with a benchmark file"),
    ("minutes_used", "min", "wall time of a job, median"),
    ("minutes_used_most", "min", "wall time of the longest job"),
    ("minutes_asked", "min", "wall time asked for, of the job that came closest to it"),
    ("time_used", "1", "largest part of the wall time asked for that a job used"),
    ("memory_used", "MB", "memory of a job, all ranks together, median"),
    ("memory_used_most", "MB", "memory of the largest job, all ranks together"),
    ("memory_asked", "MB", "memory asked for, of the job that came closest to it"),
    ("memory_part", "1", "largest part of the memory asked for that a job used"),
    ("processor_used", "1", "processor time over wall time and ranks, of all jobs together"),
    ("core_hours", "h", "wall time times ranks, of all jobs together"),
)
"""Name, unit and meaning of each column of ``efficiency.csv``."""


@dataclass(frozen=True)
class JobEfficiency:
    """One job: what it used and what it had asked for, all ranks together."""

    use: JobUse
    ranks: int
    asked_megabytes: float
    asked_minutes: float

    @property
    def time_used(self) -> float:
        """Part of the wall time asked for."""
        return self.use.seconds / (60 * self.asked_minutes)

    @property
    def memory_part(self) -> float | None:
        """Part of the memory asked for, None if it was not measured."""
        used = self.use.megabytes
        return None if used is None else used / self.asked_megabytes


def measure_jobs(config: CampaignConfig) -> list[JobEfficiency]:
    """Return used and asked of every finished job that the campaign still has."""
    known = {(batch.ensemble, batch.id) for batch in build_manifest(config)}
    first: dict[tuple[str, str], tuple[int, float]] = {}
    found = []
    for use in read_uses(config.results):
        if use.ensemble:
            if (use.ensemble, use.batch) not in known or not _is_asked_for(config, use):
                continue
            ranks = config.ensembles[use.ensemble].ranks
            kind = (use.ensemble, use.stage)
            if kind not in first:
                cost = costs.time_of_sample(config, use.ensemble, use.stage)
                memory = costs.job_megabytes(config, use.ensemble, use.stage)
                first[kind] = memory * ranks, cost.asked
            megabytes, seconds = first[kind]
            minutes = costs.minutes_of(use.samples * seconds)
        elif use.stage in SINGLE_JOBS:
            (megabytes, minutes), ranks = SINGLE_JOBS[use.stage], 1
        else:
            continue
        found.append(
            JobEfficiency(
                use, ranks, use.asked_megabytes or megabytes, use.asked_minutes or minutes
            )
        )
    return found


def _is_asked_for(config: CampaignConfig, use: JobUse) -> bool:
    """Tell whether the configuration of now has such jobs."""
    if use.stage == WINDOWS:
        return config.slices_of(use.ensemble) > 0
    return use.stage == "prepare" or bool(config.analyses_of(use.ensemble))


def summarise(jobs: Iterable[JobEfficiency]) -> list[dict[str, Any]]:
    """Return a row of `COLUMNS` for each stage and ensemble, in the order of the work."""
    groups: dict[tuple[str, str], list[JobEfficiency]] = {}
    for job in jobs:
        groups.setdefault((job.use.stage, job.use.ensemble), []).append(job)
    order = [*BATCH_STAGES, *SINGLE_JOBS]
    names = sorted(groups, key=lambda key: order.index(key[0]))
    return [_row(stage, ensemble, groups[stage, ensemble]) for stage, ensemble in names]


def _row(stage: str, ensemble: str, jobs: Sequence[JobEfficiency]) -> dict[str, Any]:
    slowest = max(jobs, key=lambda job: job.time_used)
    sampled = [job for job in jobs if job.use.megabytes is not None]
    largest = max(sampled, key=lambda job: job.memory_part or 0.0, default=None)
    memory = [job.use.megabytes or 0.0 for job in sampled]
    wall = sum(job.use.seconds * job.ranks for job in jobs)
    return {
        "stage": stage,
        "ensemble": ensemble,
        "ranks": jobs[0].ranks,
        "jobs": len(jobs),
        "minutes_used": _round(median(job.use.seconds for job in jobs) / 60),
        "minutes_used_most": _round(max(job.use.seconds for job in jobs) / 60),
        "minutes_asked": _round(slowest.asked_minutes),
        "time_used": _round(slowest.time_used),
        "memory_used": _round(median(memory)) if memory else None,
        "memory_used_most": _round(max(memory)) if memory else None,
        "memory_asked": _round(largest.asked_megabytes) if largest else None,
        "memory_part": _round(largest.memory_part or 0.0) if largest else None,
        "processor_used": _round(sum(job.use.cpu_seconds for job in jobs) / wall) if wall else None,
        "core_hours": _round(wall / 3600),
    }


def write_efficiency(config: CampaignConfig) -> list[dict[str, Any]]:
    """Write ``efficiency.csv`` into the results and return its rows; none, no file."""
    rows = summarise(measure_jobs(config))
    if rows:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, [name for name, *_ in COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_bytes(config.results / EFFICIENCY_FILE, buffer.getvalue().encode())
    return rows


def describe_efficiency(config: CampaignConfig) -> dict[str, Any]:
    """Write ``efficiency.csv`` and return its rows, and the same in one line.

    Raises
    ------
    InputError
        If no job has ended yet.
    """
    rows = write_efficiency(config)
    if not rows:
        raise InputError(f"{config.results}: no finished job with a benchmark file yet")
    return {"file": config.results / EFFICIENCY_FILE, "rows": rows, "summary": in_one_line(rows)}


def render_efficiency(found: Mapping[str, Any]) -> str:
    """Return used against asked as a page for a terminal."""
    head = (
        f"{'stage':10}{'ensemble':28}{'jobs':>6}{'min used':>10}{'asked':>7}{'part':>7}"
        f"{'MB used':>10}{'asked':>8}{'part':>7}{'processor':>11}"
    )
    lines = [head]
    for row in found["rows"]:
        lines.append(
            f"{row['stage']:10}{row['ensemble'][:26]:28}{row['jobs']:>6}"
            f"{row['minutes_used_most']:>10.3g}{row['minutes_asked']:>7.0f}"
            f"{_percent(row['time_used']):>7}{_number(row['memory_used_most']):>10}"
            f"{_number(row['memory_asked']):>8}{_percent(row['memory_part']):>7}"
            f"{_percent(row['processor_used']):>11}"
        )
    return "".join(f"{line}\n" for line in (*lines, "", found["summary"], str(found["file"])))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def in_one_line(rows: Sequence[dict[str, Any]]) -> str:
    """Return the efficiency of a campaign in one line, for the end of a run."""
    hours = sum(row["core_hours"] for row in rows)
    busy = sum(row["core_hours"] * (row["processor_used"] or 0.0) for row in rows)
    times = max(rows, key=lambda row: row["time_used"])
    memories = [row for row in rows if row["memory_part"] is not None]
    parts = [
        f"{hours:.3g} core-hours in {sum(row['jobs'] for row in rows)} jobs",
        f"processors busy {busy / hours:.0%}" if hours else "",
        f"at most {times['time_used']:.0%} of the wall time asked for ({_label(times)})",
    ]
    if memories:
        most = max(memories, key=lambda row: row["memory_part"])
        parts.append(f"{most['memory_part']:.0%} of the memory ({_label(most)})")
    return ", ".join(part for part in parts if part)


def _label(row: dict[str, Any]) -> str:
    return f"{row['stage']} {row['ensemble']}".strip()


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def read_efficiency(results: Path) -> list[dict[str, str]]:
    """Return the rows of ``efficiency.csv`` as they stand there, none without the file."""
    try:
        with open(results / EFFICIENCY_FILE, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []
