"""What a profile of Snakemake says about a site: its limits, and how many jobs it may hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassmodes.errors import InputError
from glassmodes.yaml_files import read_yaml

_NAMES = ("config.v9+.yaml", "config.v8+.yaml", "config.yaml", "profile.yaml")


@dataclass(frozen=True)
class Limits:
    """What a job may ask for at most, None where the site does not say.

    Attributes
    ----------
    minutes, megabytes : int or None
        Wall time of a job, memory of a rank.
    overhead : int
        MB that Snakemake takes in a job, beside the work.
    """

    minutes: int | None = None
    megabytes: int | None = None
    overhead: int = 0


def read_limits(profile: Path | None) -> Limits:
    """Return the limits among the default-resources of a profile.

    Those are ``max_minutes``, ``max_memory_mb`` and ``overhead_mb``.

    Raises
    ------
    InputError
        If there is no such profile, or a limit is no whole number.
    """
    if profile is None:
        return Limits()
    entries = _read(profile).get("default-resources") or {}
    if isinstance(entries, list):
        pairs = (str(entry).partition("=") for entry in entries)
        entries = {name: value for name, sign, value in pairs if sign}
    found = []
    for name in ("max_minutes", "max_memory_mb", "overhead_mb"):
        value = entries.get(name) if isinstance(entries, dict) else None
        try:
            found.append(None if value is None else max(1, int(value)))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{profile}: default-resources.{name} is {value!r}; expected a whole number"
            ) from error
    minutes, megabytes, overhead = found
    return Limits(minutes, megabytes, overhead or 0)


def executor_of(profile: Path | None) -> str:
    """Return what starts the jobs of a profile: ``local``, ``slurm``, ``cluster-generic``."""
    return "local" if profile is None else str(_read(profile).get("executor", "local"))


def jobs_at_a_time(cores: int | None, profile: Path | None) -> int:
    """Return how many ranks may run at a time: cores here, or the jobs that a profile allows."""
    if profile is not None:
        content = _read(profile)
        jobs = content.get("jobs")
        if content.get("executor", "local") != "local" and isinstance(jobs, int):
            return jobs
    return cores or len(os.sched_getaffinity(0))


def _read(profile: Path) -> dict[str, Any]:
    for name in _NAMES:
        if (profile / name).is_file():
            content = read_yaml(profile / name, "the profile")
            return content if isinstance(content, dict) else {}
    raise InputError(f"no profile folder {profile}; see workflow/profiles for those that exist")
