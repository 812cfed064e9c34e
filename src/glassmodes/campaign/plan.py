"""What a campaign will take, before anything is submitted: jobs, core-hours, memory, disk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from glassmodes.campaign import costs, disk
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.cost_laws import STAGES
from glassmodes.campaign.cost_table import LAW, MEASURED, load_costs
from glassmodes.campaign.manifest import batches_of
from glassmodes.campaign.progress import render_duration
from glassmodes.campaign.site_profile import Limits

_LONG_S = 4 * 3600.0
_SHORT_S, _MANY = 60.0, 200
_GOOD_S = 1800.0
"""Batches of more than four hours, or many of less than a minute, are said; this is a good one."""
_COLUMN_S = (
    ("ensemble", 26),
    ("stage", 9),
    ("jobs", 8),
    ("ranks", 7),
    ("core-hours", 12),
    ("a job takes", 13),
    ("asks for", 10),
    ("MB a rank", 11),
    ("time", 14),
    ("memory", 14),
)


def describe_plan(
    config: CampaignConfig, cores: int | None = None, limits: Limits | None = None
) -> dict[str, Any]:
    """Return what a campaign takes, as if nothing were there yet; computes nothing.

    Parameters
    ----------
    cores
        For the wall time on so many cores.
    limits
        Of the site: requests end there, and what goes beyond is said.

    Returns
    -------
    dict
        Jobs (of batches), core_hours, hours_on_cores, largest_job, longest_job, disk_mb by
        folder, on what the estimate rests, notes; and by ensemble and stage the same.
    """
    limits = limits or Limits()
    ensembles = {name: _ensemble(config, name, limits) for name in config.ensembles}
    stages = [
        {"ensemble": name, "stage": stage, **entry}
        for name, found in ensembles.items()
        for stage, entry in found["stages"].items()
    ]
    disk_mb = {name: _short(size / 1e6) for name, size in disk.estimate_disk(config).items()}
    hours = sum(stage["core_hours"] for stage in stages)
    largest = max(stages, key=lambda s: s["ranks"] * s["memory_mb"])
    longest = max(stages, key=lambda s: s["seconds"])
    table = load_costs()
    return {
        "jobs": sum(stage["jobs"] for stage in stages),
        "jobs_after_the_samples": 5,
        "samples": sum(ensemble.samples for ensemble in config.ensembles.values()),
        "core_hours": _short(hours),
        "cores": cores,
        "hours_on_cores": _short(_wall_seconds(ensembles, hours, cores) / 3600) if cores else None,
        "largest_job": _pick(largest),
        "longest_job": _pick(longest),
        "disk_mb": disk_mb,
        "estimate": _basis_in_words(stages, table.machine),
        "notes": [*_notes(config, stages, limits)],
        "ensembles": {name: _rounded(found) for name, found in ensembles.items()},
    }


def _ensemble(config: CampaignConfig, name: str, limits: Limits) -> dict[str, Any]:
    settings, batches = config.ensembles[name], batches_of(config, name)
    stages: dict[str, dict[str, Any]] = {}
    for stage in STAGES:
        slices = config.slices_of(name)
        wanted = {"prepare": 1, "analyse": bool(config.analyses_of(name)), "windows": slices}[stage]
        if not wanted:
            continue
        cost = costs.time_of_sample(config, name, stage)
        size, jobs = len(batches[0].indices), len(batches) * int(wanted)
        minutes = costs.minutes_of(size * cost.asked)
        memory = costs.job_megabytes(config, name, stage)
        memory += math.ceil(limits.overhead / settings.ranks)
        work = jobs * costs.start_seconds() + settings.samples * int(wanted) * cost.value
        stages[stage] = {
            "jobs": jobs,
            "ranks": settings.ranks,
            "core_hours": settings.ranks * work / 3600,
            "seconds": costs.start_seconds() + size * cost.value,
            "seconds_a_sample": cost.value,
            "minutes": costs.scaled(minutes, 1, limits.minutes),
            "memory_mb": costs.scaled(memory, 1, limits.megabytes),
            "beyond": [
                *(["minutes"] if limits.minutes and minutes > limits.minutes else []),
                *(["memory"] if limits.megabytes and memory > limits.megabytes else []),
            ],
            "time_basis": cost.basis,
            "memory_basis": costs.memory(config, name, stage).basis,
        }
    return {
        "samples": settings.samples,
        "ranks": settings.ranks,
        "slices": config.slices_of(name),
        **{f"core_hours_{s}": stages[s]["core_hours"] if s in stages else 0.0 for s in STAGES},
        "memory_mb": max(stage["memory_mb"] for stage in stages.values()),
        "disk_mb": disk.ensemble_bytes(config, name) / 1e6,
        "stages": stages,
        "batches": [batch.name for batch in batches],
    }


def _wall_seconds(ensembles: Mapping[str, Any], hours: float, cores: int) -> float:
    """Return about how long all takes: all cores busy, or the longest chain of jobs."""
    chains = []
    for found in ensembles.values():
        seconds = {name: entry["seconds"] for name, entry in found["stages"].items()}
        after = max((s for name, s in seconds.items() if name != "prepare"), default=0.0)
        chains.append(seconds["prepare"] + after)
    usable = [max(1, cores // found["ranks"]) * found["ranks"] for found in ensembles.values()]
    return max(*chains, 3600 * hours / min(cores, *usable), 0.0)


def _notes(
    config: CampaignConfig, stages: Sequence[Mapping[str, Any]], limits: Limits
) -> Iterable[str]:
    """Yield what should be changed before the first run."""
    slowest: dict[str, float] = {}  # all stages of an ensemble share its batches
    for stage in stages:
        name, each = stage["ensemble"], stage["seconds_a_sample"]
        slowest[name] = max(each, slowest.get(name, 0.0))
    for stage in stages:
        name = stage["ensemble"]
        each = slowest[name]
        here = f"{name}, {stage['stage']}"
        size = config.ensembles[name].batch_size
        good = max(1, min(config.ensembles[name].samples, int(_GOOD_S / max(each, 1e-9))))
        if "minutes" in stage["beyond"]:
            yield (
                f"{here}: a batch may need more than the {limits.minutes} minutes of the site; it "
                f"is stopped and goes on in its next attempt. batch_size {good} lasts half an hour"
            )
        elif stage["seconds"] > _LONG_S and size > 1:
            yield (
                f"{here}: a batch takes {render_duration(stage['seconds'])}; "
                f"batch_size {good} lasts half an hour"
            )
        if "memory" in stage["beyond"]:
            yield (
                f"{here}: a rank may need more than the {limits.megabytes} MB of the site; "
                "more ranks share a sample"
            )
        if size * each < _SHORT_S and stage["jobs"] > _MANY and good > size:
            yield (
                f"{here}: {stage['jobs']} jobs of {render_duration(stage['seconds'])} each; "
                f"batch_size {good} makes fewer, of half an hour"
            )


def _basis_in_words(stages: Iterable[Mapping[str, Any]], machine: Mapping[str, Any]) -> str:
    known = {stage[name] for stage in stages for name in ("time_basis", "memory_basis")}
    where = machine.get("processor")
    if known == {LAW} or not where:
        return "from simple laws, good to a factor of three"
    text = f"measured on {where}"
    if known != {MEASURED}:
        text += (
            "; extrapolated or from laws where the table says so, good to a factor of three there"
        )
    return text


def _pick(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ensemble": stage["ensemble"],
        "stage": stage["stage"],
        "ranks": stage["ranks"],
        "memory_mb": stage["ranks"] * stage["memory_mb"],
        "minutes": stage["minutes"],
    }


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return _short(value)
    return {k: _rounded(v) for k, v in value.items()} if isinstance(value, dict) else value


def render_plan(plan: Mapping[str, Any]) -> str:
    """Return a plan as a page for a terminal."""
    lines = ["".join(_cell(name, width, k < 2) for k, (name, width) in enumerate(_COLUMN_S))]
    for name, ensemble in plan["ensembles"].items():
        label = name
        for stage, entry in ensemble["stages"].items():
            values = (
                label,
                stage,
                entry["jobs"],
                entry["ranks"],
                f"{entry['core_hours']:.3g}",
                render_duration(entry["seconds"]),
                f"{entry['minutes']} min",
                entry["memory_mb"],
                entry["time_basis"],
                entry["memory_basis"],
            )
            widths = (width for _, width in _COLUMN_S)
            cells = zip(values, widths, strict=True)
            lines.append("".join(_cell(v, w, k < 2) for k, (v, w) in enumerate(cells)))
            label = ""
    largest, longest = plan["largest_job"], plan["longest_job"]
    total = sum(plan["disk_mb"].values())
    parts = ", ".join(f"{k.replace('_', ' ')} {_size(v)}" for k, v in plan["disk_mb"].items())
    lines += [
        "",
        f"jobs         {plan['jobs']} for {plan['samples']} samples, and "
        f"{plan['jobs_after_the_samples']} for tables, fits, figures and report",
        f"core-hours   {plan['core_hours']:.3g}",
    ]
    if plan["hours_on_cores"] is not None:
        wall = render_duration(3600 * plan["hours_on_cores"])
        lines.append(f"wall time    about {wall} on {plan['cores']} cores")
    lines += [
        f"memory       at most {largest['memory_mb']} MB a job: {largest['stage']} "
        f"{largest['ensemble']} on {largest['ranks']} "
        + ("rank" if largest["ranks"] == 1 else "ranks"),
        f"longest job  asks for {longest['minutes']} min: {longest['stage']} {longest['ensemble']}",
        f"disk         {_size(total)} ({parts})",
        f"estimate     {plan['estimate']}",
    ]
    lines += [f"note         {note}" for note in plan["notes"]]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: Any, width: int, left: bool) -> str:
    text = str(value)
    if left:
        return f"{text[: width - 2]:<{width}}"
    return f"{text:>{width}}"


def _size(megabytes: float) -> str:
    for unit in ("MB", "GB"):
        if megabytes < 1000:
            return f"{megabytes:.3g} {unit}"
        megabytes /= 1000
    return f"{megabytes:.3g} TB"
