"""How far a campaign is: finished samples by stage, and the time that is left."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from glassmodes.campaign import costs, window_costs
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.manifest import Batch, build_manifest

STAGES = ("prepare", "analyse", "windows")


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

    def count(self) -> dict[str, StageCount]:
        """Return the counts of each stage now."""
        return {stage: self._count(stage) for stage in self.stages}

    def _count(self, stage: str) -> StageCount:
        done = total = 0
        left = whole = 0.0
        for batch in self.batches:
            if stage == "windows" and not self.config.slices_of(batch.ensemble):
                continue
            size = len(batch.indices)
            ready = self._ready(batch, stage)
            seconds = stage_seconds(self.config, batch, stage)
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


def stage_seconds(config: CampaignConfig, batch: Batch, stage: str) -> float:
    """Estimate the core-seconds of a batch in one stage, of all slices for windows."""
    if stage != "windows":
        return costs.batch_seconds(config, batch, stage)
    slices, ranks = config.slices_of(batch.ensemble), config.ensembles[batch.ensemble].ranks
    if not slices:
        return 0.0
    each = window_costs.slice_seconds(config, batch.ensemble)
    return ranks * slices * len(batch.indices) * each


class Estimate:
    """The time left, from the work done since the start and the cost model's shares.

    The model's unit of time cancels, so it need not know the machine.
    """

    def __init__(self, counts: dict[str, StageCount]) -> None:
        self._started = time.monotonic()
        self._at_start = _left(counts)

    def seconds_left(self, counts: dict[str, StageCount]) -> float | None:
        """Return the estimate, None as long as nothing was finished."""
        left = _left(counts)
        done = self._at_start - left
        if done <= 0.0:
            return None
        return (time.monotonic() - self._started) * left / done


def _left(counts: dict[str, StageCount]) -> float:
    return sum(count.seconds_left for count in counts.values())


def render_line(counts: dict[str, StageCount], seconds_left: float | None, running: str) -> str:
    """Return the progress in one line."""
    stages = ", ".join(f"{stage} {c.done}/{c.total}" for stage, c in counts.items())
    parts = [f"samples: {stages}"]
    if all(c.done == c.total for c in counts.values()):
        parts.append(running or "tables, fits, figures, report")
    elif seconds_left is None:
        parts.append("time left unknown yet")
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


def describe_status(config: CampaignConfig) -> dict[str, Any]:
    """Return finished and planned samples by stage."""
    counts = CampaignProgress(config).count()
    return {stage: {"done": c.done, "samples": c.total} for stage, c in counts.items()}


def describe_plan(config: CampaignConfig) -> dict[str, Any]:
    """Return the batches of each ensemble with estimated core-hours."""
    ensembles: dict[str, Any] = {}
    for batch in build_manifest(config):
        entry = ensembles.setdefault(
            batch.ensemble,
            {
                "samples": config.ensembles[batch.ensemble].samples,
                "ranks": config.ensembles[batch.ensemble].ranks,
                "slices": config.slices_of(batch.ensemble),
                **{f"core_hours_{stage}": 0.0 for stage in STAGES},
                "memory_mb": costs.job_megabytes(config, batch.ensemble, "analyse"),
                "batches": [],
            },
        )
        entry["batches"].append(batch.name)
        for stage in STAGES:
            hours = stage_seconds(config, batch, stage) / 3600
            entry[f"core_hours_{stage}"] += hours
    for entry in ensembles.values():
        for stage in STAGES:
            entry[f"core_hours_{stage}"] = float(f"{entry[f'core_hours_{stage}']:.3g}")
    jobs = sum(
        len(entry["batches"]) * (1 + bool(config.analyses_of(name)) + entry["slices"])
        for name, entry in ensembles.items()
    )
    hours = sum(entry[f"core_hours_{stage}"] for entry in ensembles.values() for stage in STAGES)
    return {
        "jobs": jobs,
        "core_hours": float(f"{hours:.3g}"),
        "estimate": "from a simple cost model, good to a factor of three",
        "ensembles": ensembles,
    }
