"""Jobs of Snakemake's executor ``cluster-generic``, on PBS, SGE and LSF.

``python -m glassmodes.campaign.cluster_jobs submit SCHEDULER [OPTIONS] JOBSCRIPT`` takes
what a job needs from the properties in Snakemake's job script and hands it to the
scheduler; ``status ID`` answers ``running``, ``success`` or ``failed``; ``cancel ID...``
ends jobs.  Run in the working folder of the campaign.

A job says how it ended in a file of its own (``.snakemake/cluster/TOKEN.exit``), so a job
that has left the queue is judged without the scheduler's accounting.  A job that has left
it without such a file (killed by a limit, node lost) counts as failed once it has been
missing for the grace time, in which a slow network file system may still show the file.
When the scheduler does not answer, jobs count as running.
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glassmodes.campaign.cluster_dialects import DIALECTS, Job, Site

FOLDER = Path(".snakemake/cluster")
GRACE_S = 120.0
LISTING_S = 20.0
"""Seconds for which one listing of the queue serves the questions about all jobs."""
COMMAND_S = 60.0
"""Seconds that the scheduler may take for an answer."""

_HANDED_ON = re.compile(
    r"PATH|LD_LIBRARY_PATH|PYTHONPATH|(GLASSMODES|OMPI_MCA|OMPI_ALLOW|PRTE_MCA|UCX|HDF5)_\w+"
)
"""Variables of the shell that started the campaign which its jobs get as well."""


def submit(scheduler: str, site: Site, grace: float, jobscript: Path) -> str:
    """Hand a job script to the scheduler and return Snakemake's identifier of the job.

    A job of an earlier run for the same files, left in the queue by a kill, is ended first.
    """
    properties = read_properties(jobscript)
    FOLDER.mkdir(parents=True, exist_ok=True)
    same = FOLDER / f"{_same_files(properties)}.last"
    _end_predecessor(same)
    token = secrets.token_hex(6)
    script = FOLDER / f"{token}.sh"
    script.write_text(wrap(jobscript.read_text(encoding="utf-8"), token), encoding="utf-8")
    script.chmod(0o755)
    job = describe(properties, (FOLDER / f"{token}.log").absolute())
    dialect = DIALECTS[scheduler]
    words = dialect.submit(job, site)
    answer = subprocess.run(
        words if dialect.takes_stdin else [*words, str(script.absolute())],
        input=script.read_text(encoding="utf-8") if dialect.takes_stdin else None,
        stdin=None if dialect.takes_stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=COMMAND_S,
    )
    number = dialect.number(answer.stdout) if answer.returncode == 0 else ""
    if not number:
        script.unlink()
        raise OSError(f"{shlex.join(words)}: exit code {answer.returncode}, {answer.stdout!r}")
    identifier = f"{number}:{token}"
    state = {
        "scheduler": scheduler,
        "number": number,
        "grace": grace,
        "same": same.name,
        "submitted": time.time(),
    }
    _write(FOLDER / f"{token}.json", json.dumps(state))
    _write(same, identifier)
    return identifier


def status(identifier: str) -> str:
    """Return ``running``, ``success`` or ``failed``."""
    token = _token(identifier)
    state = _state(token)
    if state is None:
        return "failed"
    code = _exit_code(token)
    if code is not None:
        _tidy(token, state, succeeded=code == 0)
        return "success" if code == 0 else "failed"
    dialect = DIALECTS[state["scheduler"]]
    asked, listed = _listing(state["scheduler"], min(LISTING_S, state["grace"] / 2))
    missing = FOLDER / f"{token}.missing"
    if listed is None or asked < state["submitted"]:
        return "running"
    where = listed.get(state["number"].partition(".")[0])
    if where in dialect.broken:
        print(f"job {state['number']} is in the error state {where}", file=sys.stderr)
        _end([identifier])
        _tidy(token, state, succeeded=False)
        return "failed"
    if where is not None and where not in dialect.gone:
        missing.unlink(missing_ok=True)
        return "running"
    if not missing.exists():
        _write(missing, str(asked))
    if asked - float(missing.read_text(encoding="utf-8")) < state["grace"]:
        return "running"
    print(
        f"job {state['number']} left the queue without an exit code (killed, out of memory or "
        f"time, or its node was lost); what the scheduler wrote: {FOLDER / f'{token}.log'}",
        file=sys.stderr,
    )
    _tidy(token, state, succeeded=False)
    return "failed"


def cancel(identifiers: Sequence[str]) -> None:
    """End jobs, without waiting for the scheduler: Snakemake grants two seconds."""
    _end(identifiers)


def read_properties(jobscript: Path) -> dict[str, Any]:
    """Return what Snakemake writes into a job script about the job."""
    for line in jobscript.read_text(encoding="utf-8").splitlines():
        if line.startswith("# properties = "):
            return json.loads(line.partition("=")[2])
    raise OSError(f"{jobscript} is no job script of Snakemake: it has no properties")


def describe(properties: dict[str, Any], log: Path) -> Job:
    """Return what a job needs; rules with ranks give memory for each, others for the job."""
    resources = properties.get("resources", {})
    tasks = int(resources.get("tasks", 1))
    cores = max(1, int(resources.get("cpus_per_task", properties.get("threads", 1))))
    memory = resources.get("mem_mb_per_cpu")
    memory = resources.get("mem_mb", 1000) if memory is None else int(memory) * cores
    name = f"gm{properties.get('jobid', '')}-{properties.get('rule', 'group')}"
    return Job(
        name=re.sub(r"[^A-Za-z0-9_-]", "_", name)[:15],
        tasks=tasks,
        cores=cores,
        megabytes=max(1, int(memory)),
        minutes=max(1, int(resources.get("runtime", 60))),
        log=log,
    )


def wrap(jobscript: str, token: str) -> str:
    """Return a script that runs a job script and leaves its exit code.

    Shells and Snakemake ignore the signals that come before the wall time; the job itself
    sets its own handlers and ends after the sample in flight.
    """
    folder = FOLDER.absolute()
    exported = "".join(
        f"export {name}={shlex.quote(value)}\n"
        for name, value in sorted(os.environ.items())
        if _HANDED_ON.fullmatch(name)
    )
    left = shlex.quote(str(folder / f"{token}.exit"))
    return (
        "#!/bin/sh\n"
        "trap '' TERM USR1 USR2 XCPU\n"
        f"{exported}"
        f"cd {shlex.quote(os.getcwd())} || exit 1\n"
        f"(\n{jobscript.rstrip()}\n) </dev/null\n"
        "code=$?\n"
        f"echo $code > {left}.part && mv {left}.part {left}\n"
        "exit $code\n"
    )


def _same_files(properties: dict[str, Any]) -> str:
    """Return a name that a later job for the same files has as well."""
    what = [properties.get("rule"), properties.get("groupid"), properties.get("wildcards")]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]


def _end_predecessor(same: Path) -> None:
    try:
        before = same.read_text(encoding="utf-8")
    except OSError:
        return
    state = _state(_token(before))
    if state is not None and _exit_code(_token(before)) is None:
        print(f"ending job {state['number']} of an earlier run", file=sys.stderr)
        _end([before])


def _end(identifiers: Sequence[str]) -> None:
    by_command: dict[str, list[str]] = {}
    for identifier in identifiers:
        state = _state(_token(identifier))
        if state is not None:
            command = DIALECTS[state["scheduler"]].cancel
            by_command.setdefault(command, []).append(state["number"])
    for command, numbers in by_command.items():
        subprocess.Popen(
            [command, *numbers],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def _listing(scheduler: str, oldest: float) -> tuple[float, dict[str, str] | None]:
    """Return when the queue was listed and the state of each job of ours by number.

    A listing serves until it is `oldest` seconds old.  The states are None if the scheduler
    does not answer.  Times are those of this machine, whatever the file server's clock says.
    """
    dialect, kept = DIALECTS[scheduler], FOLDER / f"{scheduler}.queue"
    now = time.time()
    try:
        asked, listed = json.loads(kept.read_text(encoding="utf-8"))
        if 0 <= now - asked < oldest:
            return asked, listed
    except (OSError, ValueError):
        pass
    try:
        answer = subprocess.run(
            dialect.list_command(getpass.getuser()),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return now, None
    # Having no job at all is an error to some versions; they say so.
    empty = re.search(r"no (unfinished )?jobs? found", answer.stderr, re.IGNORECASE)
    listed = dialect.states(answer.stdout) if answer.returncode == 0 or empty else None
    _write(kept, json.dumps([now, listed]))
    return now, listed


def _token(identifier: str) -> str:
    token = identifier.rpartition(":")[2]
    return token if re.fullmatch(r"[0-9a-f]{12}", token) else "unknown"


def _state(token: str) -> dict[str, Any] | None:
    try:
        return json.loads((FOLDER / f"{token}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _exit_code(token: str) -> int | None:
    try:
        return int((FOLDER / f"{token}.exit").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _tidy(token: str, state: dict[str, Any], succeeded: bool) -> None:
    """Remove what a finished job no longer needs; a failed one keeps its log and its state."""
    ends = ["sh", "missing", *(["json", "exit", "log"] if succeeded else [])]
    for end in ends:
        (FOLDER / f"{token}.{end}").unlink(missing_ok=True)
    if not succeeded and _exit_code(token) is None:
        _write(FOLDER / f"{token}.exit", "1")  # it is judged once
    same = FOLDER / state["same"]
    if same.is_file() and _token(same.read_text(encoding="utf-8")) == token:
        same.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def main(words: Sequence[str] | None = None) -> int:
    """Run one of the three commands; the answer is one line on stdout."""
    parser = argparse.ArgumentParser(prog="cluster_jobs", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    to_submit = verbs.add_parser("submit", allow_abbrev=False)
    to_submit.add_argument("scheduler", choices=sorted(DIALECTS))
    to_submit.add_argument("jobscript", type=Path)
    to_submit.add_argument("--queue", default="")
    to_submit.add_argument("--account", default="")
    to_submit.add_argument("--environment", default=Site.environment)
    to_submit.add_argument("--memory", default=Site.memory)
    to_submit.add_argument("--memory-unit", default="MB", choices=("KB", "MB", "GB"))
    to_submit.add_argument("--memory-of", default="job", choices=("job", "task"))
    to_submit.add_argument("--options", default="", type=shlex.split)
    to_submit.add_argument("--grace", default=GRACE_S, type=float)
    verbs.add_parser("status").add_argument("identifier")
    verbs.add_parser("cancel").add_argument("identifiers", nargs="+")
    args = parser.parse_args(words)
    try:
        if args.verb == "submit":
            names = ("queue", "account", "environment", "memory", "memory_unit", "memory_of")
            site = Site(**{n: getattr(args, n) for n in names}, options=tuple(args.options))
            print(submit(args.scheduler, site, args.grace, args.jobscript))
        elif args.verb == "status":
            print(_patient_status(args.identifier))
        else:
            cancel(args.identifiers)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"glassmodes: {error}", file=sys.stderr)
        return 1
    return 0


def _patient_status(identifier: str) -> str:
    try:
        return status(identifier)
    except OSError as error:  # a network file system that hesitates is no reason to give a job up
        print(f"glassmodes: {error}; asking again later", file=sys.stderr)
        return "running"


if __name__ == "__main__":
    sys.exit(main())
