"""Processes of a campaign: who they are, whether they live, and that none is orphaned."""

from __future__ import annotations

import ctypes
import getpass
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
SNAKEMAKE = "GLASSMODES_SNAKEMAKE"
"""Environment variable with the Snakemake process that started a job, as JSON."""


@dataclass(frozen=True)
class Process:
    """One process; the start time tells it from a later one with the same number.

    Attributes
    ----------
    host : str
    pid : int
    started : str
        Clock ticks after the machine's start; empty where the system does not say.
    user : str
        Who runs it, for messages.
    space : str
        Its space of process numbers: containers may have their own.
    """

    host: str
    pid: int
    started: str
    user: str = ""
    space: str = ""

    @classmethod
    def current(cls) -> Process:
        """Return this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _start_time(pid), _user_name(), _space())

    @classmethod
    def from_json(cls, text: str) -> Process | None:
        """Return the process of `to_json`, None if the text is not one."""
        try:
            found = cls(**json.loads(text))
        except (TypeError, ValueError):
            return None
        texts = (found.host, found.started, found.user, found.space)
        sensible = isinstance(found.pid, int) and found.pid > 0
        return found if sensible and all(isinstance(t, str) for t in texts) else None

    def to_json(self) -> str:
        """Return the process as one line."""
        return json.dumps(asdict(self))

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, where we can see it: on this machine and in our container."""
        return self.host == socket.gethostname() and self.space in ("", _space())

    @property
    def alive(self) -> bool:
        """Whether it runs; a process of another machine counts as running."""
        if not self.here:
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _start_time(self.pid) == self.started

    def __str__(self) -> str:
        owner = f" of user {self.user}" if self.user else ""
        return f"process {self.pid}{owner} on {self.host}"


def _start_time(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user number without a name, as in containers
        return str(os.getuid())


def die_with_parent(wanted: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Ask the kernel to send `wanted` to this process when its parent dies (Linux).

    Parameters
    ----------
    wanted
        The signal.
    parent
        Number of the parent where the caller knows it, such as before a fork; a parent that
        died before this call is noticed only then.
    """
    if sys.platform != "linux":
        return
    expected = os.getppid() if parent is None else parent
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(wanted), 0, 0, 0)
    if os.getppid() != expected:  # it died before the kernel knew
        os.kill(os.getpid(), wanted)


def announce_snakemake() -> None:
    """Tell the jobs that this process starts who started them; see `starter_is_gone`."""
    os.environ[SNAKEMAKE] = Process.current().to_json()


def starter_is_gone() -> bool:
    """Tell whether the Snakemake that started this job died before the job could notice."""
    starter = Process.from_json(os.environ.get(SNAKEMAKE, ""))
    return starter is not None and not starter.alive


def descendants(pid: int) -> list[int]:
    """Return the processes that `pid` started, and those that they started (Linux)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def runs_module(pid: int, module: str) -> bool:
    """Tell whether a process runs ``python -m module`` (Linux)."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return [b"-m", module.encode()] in (words[k : k + 2] for k in range(1, 4))


def snakemakes_in(folder: Path) -> list[int]:
    """Return the processes on this machine that run Snakemake in `folder` (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            inside = os.path.samefile(entry / "cwd", folder)
        except OSError:
            continue
        names = {os.path.basename(word) for word in words[:4]}
        if inside and names & {b"snakemake", b"snakemake.cli"} and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found
