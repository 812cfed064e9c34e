"""How PBS, SGE and LSF are asked to take a job, to list jobs and to end them.

Only command lines and the reading of answers, so that each can be tested without the
scheduler; `cluster_jobs` runs them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

WARNING_S = 120
"""Seconds before the wall time at which SGE and LSF send SIGUSR1, so that a batch ends cleanly."""


@dataclass(frozen=True)
class Job:
    """What one job needs.

    Attributes
    ----------
    name : str
        Letters, digits, ``_`` and ``-``; at most 15 of them.
    tasks, cores : int
        MPI ranks, and cores of each.
    megabytes : int
        Memory of one task.
    minutes : int
        Wall time.
    log : Path
        For the output that the scheduler collects.
    """

    name: str
    tasks: int
    cores: int
    megabytes: int
    minutes: int
    log: Path

    @property
    def slots(self) -> int:
        """Cores of all tasks."""
        return self.tasks * self.cores


@dataclass(frozen=True)
class Site:
    """What a site wants to be told; empty where it does not ask.

    Attributes
    ----------
    queue, account : str
        Queue and project.
    environment : str
        SGE: parallel environment of jobs with more than one slot.
    memory : str
        SGE: name of the memory request, which counts a slot.
    memory_unit : str
        LSF: unit of its limits, ``KB``, ``MB`` or ``GB`` (``LSF_UNIT_FOR_LIMITS``).
    memory_of : str
        LSF: whether a memory request counts a ``job`` or a ``task``.
    options : tuple of str
        More words for the submit command.
    """

    queue: str = ""
    account: str = ""
    environment: str = "mpi"
    memory: str = "h_vmem"
    memory_unit: str = "MB"
    memory_of: str = "job"
    options: tuple[str, ...] = ()


class Pbs:
    """OpenPBS and PBS Professional."""

    cancel = "qdel"
    broken: frozenset[str] = frozenset()
    gone = frozenset("CFX")
    takes_stdin = False

    @staticmethod
    def submit(job: Job, site: Site) -> list[str]:
        """Return the words before the name of the script."""
        chunk = f"select={job.tasks}:ncpus={job.cores}:mpiprocs=1:mem={job.megabytes}mb"
        words = ["qsub", "-N", job.name, "-j", "oe", "-o", str(job.log), "-r", "n"]
        words += ["-l", chunk, "-l", f"walltime={_clock(60 * job.minutes)}"]
        words += _if(site.queue, "-q") + _if(site.account, "-A")
        return words + list(site.options)

    @staticmethod
    def number(answer: str) -> str:
        """Return the job's identifier from the answer to its submission."""
        return _last_line(answer, r"(\d+(?:\.[\w.-]+)?)$")

    @staticmethod
    def list_command(user: str) -> list[str]:
        """Return the command that lists the jobs of a user."""
        return ["qstat", "-u", user]

    @staticmethod
    def states(listing: str) -> dict[str, str]:
        """Return the state of each job by the number before the first point."""
        rows = (line.split() for line in listing.splitlines())
        return {w[0].partition(".")[0]: w[-2] for w in rows if len(w) > 4 and w[0][:1].isdigit()}


class Sge:
    """Sun, Son of, Univa and Altair Grid Engine."""

    cancel = "qdel"
    broken = frozenset({"Eqw", "Ehqw", "EhRqw"})
    gone: frozenset[str] = frozenset()
    takes_stdin = False

    @staticmethod
    def submit(job: Job, site: Site) -> list[str]:
        """Return the words before the name of the script."""
        seconds = 60 * job.minutes
        limits = f"h_rt={seconds},s_rt={max(seconds - WARNING_S, seconds // 2)}"
        words = ["qsub", "-terse", "-N", job.name, "-S", "/bin/sh", "-cwd", "-r", "n"]
        words += ["-j", "y", "-o", str(job.log), "-l", limits]
        words += ["-l", f"{site.memory}={-(-job.megabytes // job.cores)}M"] if site.memory else []
        words += ["-pe", site.environment, str(job.slots)] if job.slots > 1 else []
        words += _if(site.queue, "-q") + _if(site.account, "-P")
        return words + list(site.options)

    @staticmethod
    def number(answer: str) -> str:
        """Return the job's identifier from the answer to its submission."""
        return _last_line(answer, r"(\d+)$")

    @staticmethod
    def list_command(user: str) -> list[str]:
        """Return the command that lists the jobs of a user."""
        return ["qstat", "-u", user]

    @staticmethod
    def states(listing: str) -> dict[str, str]:
        """Return the state of each job by its number."""
        rows = (line.split() for line in listing.splitlines())
        return {w[0]: w[4] for w in rows if len(w) > 4 and w[0].isdigit()}


class Lsf:
    """IBM Spectrum LSF, 9.1 and newer."""

    cancel = "bkill"
    broken: frozenset[str] = frozenset()
    gone = frozenset({"DONE", "EXIT", "ZOMBI"})
    takes_stdin = True

    @staticmethod
    def submit(job: Job, site: Site) -> list[str]:
        """Return the words; the script goes to the standard input."""
        unit = {"KB": 1000.0, "MB": 1.0, "GB": 0.001}[site.memory_unit]
        tasks = job.tasks if site.memory_of == "job" else 1
        memory = math.ceil(job.megabytes * tasks * unit)
        words = ["bsub", "-J", job.name, "-o", str(job.log), "-W", str(job.minutes)]
        words += ["-wa", "USR1", "-wt", str(WARNING_S // 60)] if job.minutes > 5 else []
        words += ["-n", str(job.slots), "-M", str(memory), "-R", f"rusage[mem={memory}]"]
        words += _if(site.queue, "-q") + _if(site.account, "-P")
        return words + list(site.options)

    @staticmethod
    def number(answer: str) -> str:
        """Return the job's identifier from the answer to its submission."""
        return _last_line(answer, r"Job <(\d+)> is submitted")

    @staticmethod
    def list_command(user: str) -> list[str]:
        """Return the command that lists the jobs of a user, finished ones for a while too."""
        return ["bjobs", "-u", user, "-a", "-noheader", "-o", "jobid stat"]

    @staticmethod
    def states(listing: str) -> dict[str, str]:
        """Return the state of each job by its number."""
        rows = (line.split() for line in listing.splitlines())
        return {w[0]: w[1] for w in rows if len(w) > 1 and w[0].isdigit()}


Dialect = type[Pbs] | type[Sge] | type[Lsf]
DIALECTS: dict[str, Dialect] = {"pbs": Pbs, "sge": Sge, "lsf": Lsf}


def _if(value: str, option: str) -> list[str]:
    return [option, value] if value else []


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _last_line(answer: str, pattern: str) -> str:
    """Return what `pattern` finds in the last line that has it, the empty text if none has."""
    found = [m for line in answer.splitlines() if (m := re.search(pattern, line.strip()))]
    return found[-1][1] if found else ""
