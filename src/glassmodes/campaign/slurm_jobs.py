"""Jobs that a killed run left in the queue of Slurm.

Snakemake's Slurm executor takes its jobs back when it is asked to stop, but not when it is
killed.  Such a job may wait for hours and then start beside the job of the next run.  All jobs
of a run bear one random name, which Snakemake's log gives near its top; the next run reads it
there and takes them back before it submits its own.  A job at work gets SIGTERM first, finishes
its sample and keeps it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from pathlib import Path

from glassmodes.campaign.locks import LockedError
from glassmodes.errors import InputError

WAIT_S = 180.0
"""How long jobs may take to end: Slurm's KillWait, and some slowness."""

_POLL_S = 1.0
_CLIENT_S = 60.0
_RUN_ID = re.compile(rb"^SLURM run ID: ([\w-]{36,87})\s*$", re.MULTILINE)
_SUBMITTED = re.compile(rb"has been submitted with SLURM jobid")


def require_answer() -> None:
    """Ask Slurm for an answer before a campaign is handed to it.

    Raises
    ------
    InputError
        If its commands are not here, or its controller does not answer.
    """
    if shutil.which("sbatch") is None:
        raise InputError("the profile submits to Slurm, but there is no sbatch on this machine")
    try:
        _ask(["squeue", "--noheader", "--me", "--states=RUNNING"])
    except _NoAnswerError as error:
        raise InputError(f"the profile submits to Slurm, which does not answer: {error}") from error


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
    left = _queued(name, log)
    if not left:
        return []
    with contextlib.suppress(_NoAnswerError):  # the queue says below whether they end
        _ask(["scancel", *left])
    deadline = time.monotonic() + wait_s
    while _queued(name, log):
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


def _queued(name: str, log: Path) -> list[str]:
    try:
        lines = _ask(["squeue", "--noheader", "--format=%A", f"--name={name}"]).splitlines()
    except _NoAnswerError as error:
        if not _SUBMITTED.search(log.read_bytes()):
            return []
        raise LockedError(
            f"jobs of a killed run may be in the queue of Slurm, which does not answer: {error}; "
            f"run again where it does, or remove {log} if none of its jobs can be left"
        ) from error
    return sorted({line.strip() for line in lines if line.strip().isdigit()}, key=int)


class _NoAnswerError(Exception):
    """Why a command of Slurm gave no answer."""


def _ask(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_CLIENT_S
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise _NoAnswerError(f"{command[0]}: {said[-1] if said else error}") from error
