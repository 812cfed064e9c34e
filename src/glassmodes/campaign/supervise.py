"""Run one job's command: its log, its threads, and an end with its parent.

``python -m glassmodes.campaign.supervise LOG COMMAND...`` is what a Snakemake rule
executes.  It writes the output of the command to LOG, ends LOG with the command that
repeats the job by hand, and makes the kernel end the command when Snakemake is killed, so
that no orphan goes on writing.

A first signal (SIGTERM, SIGUSR1 before the wall time, Ctrl-C) asks the command to stop after the
sample in work; a later one ends it at once, also in the middle of a factorisation.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from glassmodes.campaign.processes import die_with_parent, starter_is_gone
from glassmodes.campaign.stopping import SAME_REQUEST_S, SIGNALS, Stopped

SUPERVISED = "GLASSMODES_SUPERVISED"


def supervise(log: Path, command: list[str]) -> int:
    """Run `command` with its output in `log` and return its exit code."""
    die_with_parent()
    if starter_is_gone():  # while this program was starting: the kernel would not tell
        return 128 + signal.SIGKILL
    log.parent.mkdir(parents=True, exist_ok=True)
    # Snakemake sets the thread counts to the ranks of the rule; a rank has one thread.
    environment = os.environ | {
        SUPERVISED: "1",
        "OMP_NUM_THREADS": "1",
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "PYTHONUNBUFFERED": "1",
    }
    stopper = _Stopper(is_launched(command))
    for number in SIGNALS:
        signal.signal(number, stopper.note)
    with open(log, "wb") as output:
        me = os.getpid()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            preexec_fn=lambda: _prepare_child(stopper.launched, me),
        )
        stopper.attend(child)
        code = stopper.outcome(child.wait())
        output.write(f"\n# exit code {code}; to repeat this job by hand:\n".encode())
        output.write(f"{shlex.join(command)}\n".encode())
    return code if code >= 0 else 128 - code


def is_launched(command: list[str]) -> bool:
    """Tell whether a launcher such as mpiexec stands in front of ``glassmodes``."""
    return os.path.basename(command[0]) != "glassmodes"


class _Stopper:
    """Passes requests to stop on to the command.

    A command hears SIGTERM.  Launchers end their ranks at once on SIGTERM, so they are told
    SIGUSR1, which they forward; the ranks stop after the sample.
    """

    def __init__(self, launched: bool) -> None:
        self.launched = launched
        self._child: subprocess.Popen | None = None
        self._at: float | None = None

    def attend(self, child: subprocess.Popen) -> None:
        """Pass signals on to `child` from now on, and one that came before."""
        self._child = child
        if self._at is not None:
            child.send_signal(self._first)

    @property
    def _first(self) -> signal.Signals:
        return signal.SIGUSR1 if self.launched else signal.SIGTERM

    def outcome(self, code: int) -> int:
        """Return the exit code of the job: a command that was stopped while starting may resume."""
        # Only batch systems send SIGUSR1; they may reach the command first, and this process late.
        died = {-signal.SIGUSR1, 128 + signal.SIGUSR1}
        if self._at is not None:
            died |= {-self._first, 128 + self._first}
        return Stopped.exit_code if code in died else code

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        now = time.monotonic()
        if self._at is None:
            self._at = now
            if self._child is not None:
                self._child.send_signal(self._first)
        elif now - self._at >= SAME_REQUEST_S and self._child is not None:
            self._child.send_signal(signal.SIGTERM if self.launched else signal.SIGKILL)


def _prepare_child(launched: bool, parent: int) -> None:
    # Out of the terminal's group: a Ctrl-C comes once, from here, and not to launchers.
    os.setpgid(0, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    # A launcher gets a signal that it can catch, to end its ranks on all nodes; ranks that
    # lose their launcher end by themselves.
    die_with_parent(signal.SIGTERM if launched else signal.SIGKILL, parent)


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), sys.argv[2:]))
