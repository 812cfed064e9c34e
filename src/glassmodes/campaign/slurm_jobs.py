"""Jobs that a killed run left in the queue of Slurm.

Snakemake's Slurm executor takes its jobs back when it is asked to stop, but not when it is
killed.  Such a job may wait for hours and then start beside the job of the next run.  All jobs
of a run bear one random name, which Snakemake's log gives near its top; the next run reads it
there and takes them back before it submits its own.  A job at work gets SIGTERM first, finishes
its sample and keeps it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

from glassmodes.campaign.locks import LockedError

WAIT_S = 180.0
"""How long jobs may take to end: Slurm's KillWait, and some slowness."""

_POLL_S = 1.0
_CLIENT_S = 60.0
_RUN_ID = re.compile(rb"^SLURM run ID: ([\w-]{36,87})\s*$", re.MULTILINE)


def end_left_jobs(log: Path, wait_s: float = WAIT_S) -> list[str]:
    """Take back the jobs of the run that wrote `log`, and return their numbers.

    Parameters
    ----------
    log
        Snakemake's log of the run before; it need not exist.
    wait_s
        How long the jobs may take to end.

    Raises
    ------
    LockedError
        If they do not end, or Slurm does not answer.
    """
    name = _run_name(log)
    if name is None or shutil.which("squeue") is None:
        return []
    left = _queued(name)
    if not left:
        return []
    _call(["scancel", *left])
    deadline = time.monotonic() + wait_s
    while _queued(name):
        if time.monotonic() > deadline:
            raise LockedError(
                f"jobs of a killed run are still in the queue of Slurm ({' '.join(left)}); "
                "end them with scancel, or wait"
            )
        time.sleep(_POLL_S)
    return left


def _run_name(log: Path) -> str | None:
    """Return the name that the jobs of a run bear in the queue, None without one."""
    try:
        with open(log, "rb") as file:
            found = _RUN_ID.search(file.read(65536))
    except OSError:
        return None
    return found[1].decode() if found else None


def _queued(name: str) -> list[str]:
    lines = _call(["squeue", "--noheader", "--format=%A", f"--name={name}"]).splitlines()
    return sorted({line.strip() for line in lines if line.strip().isdigit()}, key=int)


def _call(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_CLIENT_S
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise LockedError(
            f"jobs of a killed run may be in the queue, but {command[0]} fails: "
            f"{said[-1] if said else error}"
        ) from error
