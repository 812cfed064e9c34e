"""Which jobs failed and why, and which samples were refused: for the end of a run and status."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.job_log import Job, JobLog
from glassmodes.campaign.manifest import Batch, build_manifest
from glassmodes.errors import printable

SHOWN = 3
"""Failed jobs whose log is shown."""
LINES = 12
_ENDS = (
    (r"OUT_OF_ME|out of memory|oom", "killed for memory: it needs more than it asked for"),
    (r"TIMEOUT|DUE TO TIME LIMIT", "the wall time ended: the next attempt goes on"),
    (r"NODE_FAIL|BOOT_FAIL", "its node failed"),
    (r"CANCELLED", "cancelled"),
    (r"PREEMPTED", "preempted"),
)
_EXITS = {
    75: "stopped by a signal before its wall time; its samples are kept",
    130: "interrupted",
    137: "killed (SIGKILL): by memory, or by the scheduler",
    139: "crashed (segmentation fault)",
    143: "ended by SIGTERM",
}


@dataclass(frozen=True)
class Failure:
    """One failed job.

    Attributes
    ----------
    job : str
        Rule, ensemble and batch.
    reason : str
        One line.
    log : str
        Path of its log, that of Snakemake if it left none.
    attempts : int
        How often it was tried.
    """

    job: str
    reason: str
    log: str
    attempts: int


def find_failures(log: JobLog) -> list[Failure]:
    """Return the failed jobs of a run, in the order in which they were first started."""
    return [_failure(job, log) for job in log.failed()]


def _failure(job: Job, log: JobLog) -> Failure:
    path = Path(job.log) if job.log else log.path
    own = path if path.is_file() else None
    lines = last_lines(own, 40) if own else []
    return Failure(
        job.name, printable(_reason(job, lines)), str(own or log.path), max(1, job.attempts)
    )


def _reason(job: Job, lines: Sequence[str]) -> str:
    """Return why a job failed: what the scheduler says, else its last message, else its code."""
    for pattern, meaning in _ENDS:
        if re.search(pattern, job.message):
            return meaning
    errors = [line for line in lines if "glassmodes: error:" in line]
    if errors:
        return errors[-1].split("glassmodes: error:", 1)[1].strip()
    codes = [found[1] for line in lines if (found := re.match(r"# exit code (-?\d+);", line))]
    if codes and int(codes[-1]) in _EXITS:
        return _EXITS[int(codes[-1])]
    said = [
        line for line in lines if line.strip() and not line.startswith(("#", "glassmodes camp"))
    ]
    if codes and said:
        return f"exit code {codes[-1]}: {said[-1].strip()}"
    return job.message or "no log: it was killed before it wrote one, or never started"


def last_lines(path: Path, count: int, size: int = 20_000) -> list[str]:
    """Return the last lines of a file, safe to print."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [printable(line) for line in text.rstrip().splitlines()[-count:]]


def render_failures(failures: Sequence[Failure], own_log: Path) -> str:
    """Return all failures in a few lines each: first the counts, then the first logs' ends."""
    if not failures:
        lines = last_lines(own_log, LINES)
        return f"\n--- {own_log}\n" + "".join(f"{line}\n" for line in lines)
    noun = "job" if len(failures) == 1 else "jobs"
    text = [f"\n{len(failures)} {noun} failed:"]
    for reason, count in Counter(f.reason for f in failures).most_common(SHOWN):
        text.append(f"  {count} x {reason}")
    for failure in failures[:SHOWN]:
        tries = f" after {failure.attempts} attempts" if failure.attempts > 1 else ""
        text += [
            f"\n--- {failure.job}{tries}: {failure.log}",
            *last_lines(Path(failure.log), LINES),
        ]
    if len(failures) > SHOWN:
        text.append("\nand:")
        text += [f"  {f.job}: {f.log}" for f in failures[SHOWN : SHOWN + 20]]
    if len(failures) > SHOWN + 20:
        text.append(f"  ... and {len(failures) - SHOWN - 20} more")
    return "\n".join(text) + "\n"


def render_refusals(refused: Mapping[tuple[str, str, str], int]) -> str:
    """Return the refused samples of a campaign in a line for each ensemble, stage and reason."""
    lines = [f"\n{sum(refused.values())} samples refused; the rest goes on without them:"]
    lines += [
        f"  {count} of {name} by {stage}: {printable(reason)}"
        for (name, stage, reason), count in sorted(refused.items())
    ]
    return "\n".join(lines) + "\n"


def count_refusals(
    config: CampaignConfig, batches: Iterable[Batch] | None = None
) -> Counter[tuple[str, str, str]]:
    """Count refused samples by ensemble, stage and reason, from the batch files that are there.

    Reads two small columns of one file a batch and stage; a file that cannot be read is for the
    jobs and the tables to report.
    """
    refused: Counter[tuple[str, str, str]] = Counter()
    results = config.results
    for batch in build_manifest(config) if batches is None else batches:
        unprepared = _reasons(batch.samples_path(results))
        for reason in unprepared.values():
            refused[batch.ensemble, "prepare", reason] += 1
        seen = set(unprepared)
        for kind in config.analyses_of(batch.ensemble):
            for index, reason in _reasons(batch.analysis_path(results, kind)).items():
                if index not in seen:  # several analyses refuse the same sample
                    seen.add(index)
                    refused[batch.ensemble, kind, reason] += 1
        for number in range(config.slices_of(batch.ensemble)):
            for index, reason in _reasons(batch.slice_path(results, number)).items():
                if index not in seen:
                    seen.add(index)
                    refused[batch.ensemble, "windows", reason] += 1
    return refused


def _column(file: Any, name: bytes) -> NDArray[np.bytes_]:
    column = h5py.h5d.open(file, name)
    values = np.empty(column.shape, column.dtype)
    column.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def _reasons(path: Path) -> dict[int, str]:
    """Return the reason of each refused sample of a batch file, by position."""
    try:
        # The plain interface of HDF5: four times faster, and there are thousands of files.
        file = h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY)
        status = _column(file, b"records/status")
        if (status == b"ok").all():
            return {}
        reasons = _column(file, b"records/reason")
    except (OSError, KeyError, RuntimeError, TypeError, ValueError):
        return {}
    return {
        k: reason.decode("utf-8", "replace")
        for k, (entry, reason) in enumerate(zip(status, reasons, strict=True))
        if entry != b"ok"
    }
