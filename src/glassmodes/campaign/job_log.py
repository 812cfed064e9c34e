"""What Snakemake's log says about its jobs: waiting, at work, done, failed.

The log is read as it grows, a piece at a time, by the run itself and by ``campaign status`` from
another terminal; nobody writes to it but Snakemake.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_START = re.compile(r"^(?:local)?rule (\w+):$")
_ERROR = re.compile(r"^Error in rule (\w+)(?:, jobid: (\d+))?:?$")
_FIELD = re.compile(r"^    ([\w ]+): (.*)$")
_FINISHED = re.compile(r"^Finished (?:job(?:id)?:? )(\d+)")
_RESTART = re.compile(r"^Trying to restart job (\d+)")
_STEPS = re.compile(r"^(\d+) of (\d+) steps")
_TOTAL = re.compile(r"^total\s+(\d+)$")
_SUBMITTED = re.compile(r"^(?:Job (\d+) has been submitted|Submitted job (\d+) with)")
_TARGETS = ("all", "prepare", "analyse", "tables", "fits", "figures", "report", "partial_tables")
"""Rules without a command: they end as soon as their inputs are there."""


@dataclass
class Job:
    """One job of Snakemake.

    Attributes
    ----------
    state : {"running", "done", "failed", "restarting"}
        ``running`` from when Snakemake starts it or hands it to a scheduler.
    attempts : int
        How often it was started.
    message : str
        What a scheduler said of its failure.
    """

    number: str
    rule: str
    state: str = "running"
    attempts: int = 0
    message: str = ""
    submitted: bool = False
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """Path of its own log, empty if it has none."""
        return self.fields.get("log", "").split(" (check log file")[0].split(",")[0].strip()

    @property
    def wildcards(self) -> dict[str, str]:
        """Values of the wildcards, such as ensemble and batch."""
        pairs = (pair.partition("=") for pair in self.fields.get("wildcards", "").split(", "))
        return {name: value for name, sign, value in pairs if sign}

    @property
    def name(self) -> str:
        """Rule, ensemble and batch as a person says them."""
        wildcards = self.wildcards
        where = "/".join(wildcards[k] for k in ("ensemble", "batch") if k in wildcards)
        part = f" slice {wildcards['slice']}" if "slice" in wildcards else ""
        return f"{self.rule} {where}{part}".strip()


@dataclass(frozen=True)
class JobCounts:
    """How many jobs are in which state; `cut_off` are those that ended with their run."""

    total: int
    done: int
    running: int
    failed: int
    cut_off: int = 0

    @property
    def waiting(self) -> int:
        """Jobs that Snakemake has not started yet."""
        return max(0, self.total - self.done - self.running - self.failed - self.cut_off)


class JobLog:
    """The jobs of one run of Snakemake, from its log.

    Parameters
    ----------
    path
        The log; it need not exist yet.

    Notes
    -----
    `read` costs what was appended since the last one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs: dict[str, Job] = {}
        self.total = 0
        self._offset = 0
        self._rest = b""
        self._block: tuple[str, str, dict[str, str]] | None = None

    def read(self) -> JobLog:
        """Read what was appended, and return self."""
        try:
            with open(self.path, "rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:  # a new run has begun
                    self.__init__(self.path)  # type: ignore[misc]
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return self
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(line.decode("utf-8", "replace").rstrip())
        return self

    def counts(self, ended: bool = False) -> JobCounts:
        """Return how many jobs are in which state, jobs without a command left out.

        ended : whether Snakemake is gone; its own jobs are then cut off, but not those that it
        handed to a scheduler.
        """
        jobs = [job for job in self.jobs.values() if job.rule not in _TARGETS]
        states = [job.state for job in jobs]
        done, failed = states.count("done"), states.count("failed")
        lost = sum(job.state == "running" and not job.submitted for job in jobs) if ended else 0
        return JobCounts(
            max(self.total - 1, len(jobs)) if self.total else len(jobs),
            done,
            states.count("running") - lost,
            failed,
            lost,
        )

    def __iter__(self) -> Iterator[Job]:
        """Yield the jobs in the order in which they were first started."""
        return iter(self.jobs.values())

    def failed(self) -> list[Job]:
        """Return the jobs that failed and were not started again."""
        return [job for job in self.jobs.values() if job.state == "failed"]

    def current_rules(self) -> list[str]:
        """Return the rules of the jobs at work."""
        return [job.rule for job in self.jobs.values() if job.state == "running"]

    def _take(self, line: str) -> None:
        if self._block is not None:
            found = _FIELD.match(line)
            if found:
                self._block[2][found[1]] = found[2]
                if self._block[0] == "error" or found[1] == "resources":
                    self._apply(ended=found[1] == "resources")
                return
            if line.startswith("        ") or line.startswith("    "):
                return
            self._apply(ended=True)
        if found := _START.match(line):
            self._block = ("start", found[1], {})
        elif found := _ERROR.match(line):
            self._block = ("error", found[1], {"jobid": found[2]} if found[2] else {})
        elif found := _FINISHED.match(line):
            self._of(found[1]).state = "done"
        elif found := _RESTART.match(line):
            self._of(found[1]).state = "restarting"
        elif found := _SUBMITTED.match(line):
            self._of(found[1] or found[2]).submitted = True
        elif found := _STEPS.match(line):
            self.total = int(found[2])
        elif found := _TOTAL.match(line):
            self.total = int(found[1])

    def _apply(self, ended: bool) -> None:
        """Note what the block of lines so far says about its job."""
        assert self._block is not None
        kind, rule, fields = self._block
        if ended:
            self._block = None
        number = fields.get("jobid")
        if number is None:
            return
        job = self._of(number, rule)
        if kind == "start":
            job.fields |= fields
            if ended:
                job.state, job.attempts = "running", job.attempts + 1
            return
        job.state = "failed"
        message = fields.get("message", "None")
        job.message = "" if message == "None" else message
        job.fields |= {"log": fields["log"]} if "log" in fields else {}

    def _of(self, number: str, rule: str = "") -> Job:
        return self.jobs.setdefault(number, Job(number, rule))
