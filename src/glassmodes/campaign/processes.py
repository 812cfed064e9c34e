"""Processes of a campaign: who they are, whether they live, and that none is orphaned."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Process:
    """One process; the start time tells it from a later one with the same number.

    Attributes
    ----------
    host : str
    pid : int
    started : str
        Clock ticks after the machine's start; empty where the system does not say.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Process:
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), _start_time(os.getpid()))

    @classmethod
    def from_json(cls, text: str) -> Process | None:
        """Return the process of `to_json`, None if the text is not one."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError):
            return None

    def to_json(self) -> str:
        """Return the process as one line."""
        return json.dumps(asdict(self))

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

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
        return f"process {self.pid} on {self.host}"


def _start_time(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def die_with_parent(wanted: int = signal.SIGKILL) -> None:
    """Ask the kernel to send `wanted` to this process when its parent dies (Linux)."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(wanted), 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        os.kill(os.getpid(), wanted)


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
