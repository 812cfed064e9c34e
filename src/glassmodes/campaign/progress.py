"""How far a campaign is: finished samples by stage, and the time that is left.

The run itself shows it on a line and leaves it in ``logs/progress.json``; ``campaign status`` looks
at the same files from another terminal and writes nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from glassmodes.campaign import costs
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.cost_laws import STAGES
from glassmodes.campaign.efficiency import in_one_line, measure_jobs, summarise
from glassmodes.campaign.failures import count_refusals, find_failures
from glassmodes.campaign.job_log import JobCounts, JobLog
from glassmodes.campaign.locks import results_in_work
from glassmodes.campaign.manifest import Batch, build_manifest
from glassmodes.files import write_bytes

_STALE_S = 120.0
"""Beyond this age the last word of a run says that it is no longer there."""
_FAILURES_LISTED = 10


@dataclass(frozen=True)
class StageCount:
    """Finished and planned samples of a stage, and the work left in core-seconds."""

    done: int
    total: int
    seconds_left: float
    seconds_total: float


class CampaignProgress:
    """Counts finished samples by looking at batch files and part files.

    Parameters
    ----------
    config : CampaignConfig
    stages
        Which of `STAGES` to count.

    Notes
    -----
    A look costs one `stat` a batch and one folder listing for each batch in work.
    """

    def __init__(self, config: CampaignConfig, stages: tuple[str, ...] = STAGES) -> None:
        sliced = any(config.slices_of(name) for name in config.ensembles)
        self.config = config
        self.stages = tuple(stage for stage in stages if sliced or stage != "windows")
        self.batches = build_manifest(config)
        self._finished: dict[str, set[str]] = {stage: set() for stage in stages}
        self._start = costs.start_seconds()
        self._seconds = {
            (name, stage): costs.sample_core_seconds(config, name, stage)
            for name in config.ensembles
            for stage in self.stages
        }

    @property
    def longest_sample(self) -> float:
        """Seconds of the longest sample of any stage, on all its ranks together."""
        ensembles = self.config.ensembles
        return max(
            seconds / ensembles[name].ranks / max(1, self.config.slices_of(name))
            for (name, _), seconds in self._seconds.items()
        )

    def count(self) -> dict[str, StageCount]:
        """Return the counts of each stage now."""
        return {stage: self._count(stage) for stage in self.stages}

    def _count(self, stage: str) -> StageCount:
        done = total = 0
        left = whole = 0.0
        for batch in self.batches:
            if stage == "windows" and not self.config.slices_of(batch.ensemble):
                continue
            if stage == "analyse" and not self.config.analyses_of(batch.ensemble):
                continue
            size = len(batch.indices)
            ready = self._ready(batch, stage)
            seconds = self._start + size * self._seconds[batch.ensemble, stage]
            done, total = done + ready, total + size
            whole += seconds
            left += seconds * (1.0 - ready / size)
        return StageCount(done, total, left, whole)

    def _ready(self, batch: Batch, stage: str) -> int:
        """Return the finished samples of one batch."""
        finished = self._finished[stage]
        if batch.name in finished:
            return len(batch.indices)
        results = self.config.results
        if stage == "windows":
            slices = self.config.slices_of(batch.ensemble)
            there = sum(batch.slice_path(results, k).is_file() for k in range(slices))
            if there == slices:
                finished.add(batch.name)
            return len(batch.indices) * there // slices
        kinds: tuple[str, ...] = ("samples",)
        if stage == "prepare":
            files = [batch.samples_path(results)]
        else:
            kinds = self.config.analyses_of(batch.ensemble)
            files = [batch.analysis_path(results, kind) for kind in kinds]
        if all(path.is_file() for path in files):
            finished.add(batch.name)
            return len(batch.indices)
        try:
            parts = Counter(
                path.name.partition(".")[0]
                for path in batch.parts_folder(results, stage).iterdir()
                if path.suffix == ".h5" and not path.name.startswith(".")
            )
        except OSError:
            return 0
        return min(len(batch.indices), sum(count == len(kinds) for count in parts.values()))


class Estimate:
    """The time left, from the cost model and from the work done since the start.

    Work is counted in the model's core-seconds, so samples of all sizes and stages count by what
    they take.  Its rate starts at one core-second a second for each core, and follows what is
    seen: after a time T in which the samples that were finished are worth D,

        rate = (D + W cores) / (T + W),

    where W is twice the longest sample's time, and at least one minute or a twentieth of the
    whole.  So neither the first sample nor a wait for the first large one decides, and in the end
    the model's unit of time cancels.

    Parameters
    ----------
    counts
        Where the run started.
    cores
        Cores, or ranks that may run at a time.
    longest
        Seconds of the longest sample.
    """

    def __init__(
        self, counts: Mapping[str, StageCount], cores: float = 1.0, longest: float = 0.0
    ) -> None:
        self._started = time.monotonic()
        self._at_start = _left(counts)
        self._cores = max(1.0, cores)
        self._weight = max(2.0 * longest, min(60.0, 0.05 * self._at_start / self._cores))

    def rate(self, counts: Mapping[str, StageCount]) -> float:
        """Return the work done per second, in the model's core-seconds."""
        elapsed = time.monotonic() - self._started
        done = max(0.0, self._at_start - _left(counts))
        return (done + self._weight * self._cores) / (elapsed + self._weight)

    def seconds_left(self, counts: Mapping[str, StageCount]) -> float:
        """Return the estimate."""
        return _left(counts) / self.rate(counts)


def _left(counts: Mapping[str, StageCount]) -> float:
    return sum(count.seconds_left for count in counts.values())


def render_line(
    counts: Mapping[str, StageCount],
    seconds_left: float,
    running: str,
    jobs: JobCounts | None = None,
) -> str:
    """Return the progress in one line."""
    stages = ", ".join(f"{stage} {c.done}/{c.total}" for stage, c in counts.items())
    parts = [f"samples: {stages}"]
    if jobs is not None and jobs.total:
        failed = f", {jobs.failed} failed" if jobs.failed else ""
        parts.append(f"jobs: {jobs.running} at work, {jobs.waiting} waiting{failed}")
    if all(c.done == c.total for c in counts.values()):
        parts.append(running or "tables, fits, figures, report")
    else:
        parts.append(f"about {render_duration(seconds_left)} left")
    return " | ".join(parts)


def render_duration(seconds: float) -> str:
    """Return a duration as people say it: ``40 s``, ``6 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def snakemake_log(results: Path) -> Path:
    """Return where the run command keeps Snakemake's log."""
    return results / "logs" / "snakemake.log"


def write_progress(results: Path, rate: float, seconds_left: float, ended: str = "") -> None:
    """Leave a run's own view for ``campaign status``: ``logs/progress.json``.

    A folder that cannot be written to must not end the run.
    """
    content = {
        "written": time.time(),
        "process": os.getpid(),
        "rate": rate,
        "seconds_left": seconds_left,
        "ended": ended,
    }
    try:
        write_bytes(_progress_path(results), (json.dumps(content) + "\n").encode())
    except OSError:
        pass


def _progress_path(results: Path) -> Path:
    return results / "logs" / "progress.json"


def _run_state(results: Path, in_work: bool, begun: bool) -> tuple[str, float | None]:
    """Return in words whether a run is at work, and its rate.

    in_work, begun : whether the lock of the results is held, and whether any job ever started.
    """
    try:
        content = json.loads(_progress_path(results).read_text(encoding="utf-8"))
        age, ended = time.time() - float(content["written"]), str(content["ended"])
        rate = float(content["rate"])
    except (OSError, ValueError, KeyError, TypeError):
        if not begun:
            return "none so far", None
        return ("at work, just started" if in_work else "none at work; the last was cut off"), None
    ago = f"{render_duration(max(1.0, age))} ago"
    if ended:
        return f"{ended} {ago}", None
    if not in_work:
        return f"none at work; the last was cut off, last seen {ago}", None
    if age > _STALE_S:
        return f"last seen {ago}; it may have been killed", None
    return f"at work, last seen {ago}", rate if rate > 0 else None


def describe_status(config: CampaignConfig) -> dict[str, Any]:
    """Return how far a campaign is, what failed and what was refused; writes nothing.

    Returns
    -------
    dict
        By stage finished and planned samples and the part of the work; the state of the run,
        jobs by state, the seconds left (None without a run at work), failed jobs, refused samples
        by ensemble, stage and reason, and the efficiency so far in one line.
    """
    progress = CampaignProgress(config)
    counts = progress.count()
    in_work = results_in_work(config.results)
    log = JobLog(snakemake_log(config.results)).read()
    failures = find_failures(log)
    jobs = log.counts(ended=not in_work)
    state, rate = _run_state(config.results, in_work, jobs.total > 0)
    rows = summarise(measure_jobs(config))
    refused = count_refusals(config, progress.batches)
    return {
        **{stage: {"done": c.done, "samples": c.total} for stage, c in counts.items()},
        "work": {
            stage: {
                "percent_done": _percent(c),
                "core_hours_left": float(f"{c.seconds_left / 3600:.3g}"),
            }
            for stage, c in counts.items()
        },
        "run": state,
        "jobs": {**asdict(jobs), "waiting": jobs.waiting} if jobs.total else None,
        "seconds_left": round(_left(counts) / rate) if rate else None,
        "failed_jobs": len(failures),
        "failures": [asdict(failure) for failure in failures[:_FAILURES_LISTED]],
        "refused": [
            {"ensemble": name, "stage": stage, "reason": reason, "samples": count}
            for (name, stage, reason), count in sorted(refused.items())
        ],
        "efficiency": in_one_line(rows) if rows else None,
    }


def _percent(count: StageCount) -> float:
    if not count.seconds_total:
        return 100.0 * (count.done == count.total)
    return round(100.0 * (1.0 - count.seconds_left / count.seconds_total), 1)


def render_status(status: Mapping[str, Any]) -> str:
    """Return what `describe_status` found as a page for a terminal."""
    lines = [f"run: {status['run']}"]
    if status["jobs"]:
        jobs = status["jobs"]
        words = [f"{jobs['done']} done"]
        if jobs["cut_off"]:
            words.append(f"{jobs['cut_off']} cut off")
        if jobs["running"] or not jobs["cut_off"]:
            words.append(f"{jobs['running']} at work or in the queue")
        waiting = "not started" if jobs["cut_off"] else "waiting"
        words += [f"{jobs['waiting']} {waiting}", f"{jobs['failed']} failed"]
        lines.append(f"jobs of the last run: {', '.join(words)}")
    lines += ["", f"{'stage':10}{'samples':>20}{'of its work':>14}{'core-hours left':>18}"]
    for stage in STAGES:
        if stage in status:
            samples = f"{status[stage]['done']} of {status[stage]['samples']}"
            work = status["work"][stage]
            lines.append(
                f"{stage:10}{samples:>20}{work['percent_done']:>12.1f} %"
                f"{work['core_hours_left']:>18.3g}"
            )
    if status["seconds_left"] is not None:
        lines += ["", f"about {render_duration(status['seconds_left'])} left"]
    if status.get("to_repeat"):
        lines += ["", "made with other settings, repeated by the next run:"]
        lines += [f"  {line}" for line in status["to_repeat"]]
    if status["failed_jobs"]:
        lines += ["", f"{status['failed_jobs']} failed jobs of the last run:"]
        for failure in status["failures"]:
            tries = f" ({failure['attempts']} attempts)" if failure["attempts"] > 1 else ""
            lines.append(f"  {failure['job']}{tries}: {failure['reason']}")
            lines.append(f"    {failure['log']}")
        more = status["failed_jobs"] - len(status["failures"])
        lines += [f"  ... and {more} more"] if more else []
    if status["refused"]:
        lines += ["", "refused samples:"]
        lines += [
            f"  {r['samples']} of {r['ensemble']} by {r['stage']}: {r['reason']}"
            for r in status["refused"]
        ]
    if status.get("to_repeat"):
        lines += ["", "a run would repeat:", *(f"  {line}" for line in status["to_repeat"])]
    if status["efficiency"]:
        lines += ["", f"efficiency: {status['efficiency']}"]
    return "".join(f"{line}\n" for line in lines)
