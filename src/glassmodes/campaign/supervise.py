"""Run one job's command: its log, its threads, and an end with its parent.

``python -m glassmodes.campaign.supervise LOG COMMAND...`` is what a Snakemake rule
executes.  It writes the output of the command to LOG, ends LOG with the command that
repeats the job by hand, passes signals on, and makes the kernel end the command when
Snakemake is killed, so that no orphan goes on writing.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from glassmodes.campaign.processes import die_with_parent

SUPERVISED = "GLASSMODES_SUPERVISED"
_PASSED_ON = (signal.SIGTERM, signal.SIGUSR1)


def supervise(log: Path, command: list[str]) -> int:
    """Run `command` with its output in `log` and return its exit code."""
    die_with_parent()
    log.parent.mkdir(parents=True, exist_ok=True)
    # Snakemake sets the thread counts to the ranks of the rule; a rank has one thread.
    environment = os.environ | {
        SUPERVISED: "1",
        "OMP_NUM_THREADS": "1",
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "PYTHONUNBUFFERED": "1",
    }
    with open(log, "wb") as output:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child as well
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            preexec_fn=lambda: _prepare_child(command),
        )
        for number in _PASSED_ON:
            signal.signal(number, lambda received, _: child.send_signal(received))
        code = child.wait()
        output.write(f"\n# exit code {code}; to repeat this job by hand:\n".encode())
        output.write(f"{shlex.join(command)}\n".encode())
    return code if code >= 0 else 128 - code


def _prepare_child(command: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A launcher gets a signal that it can catch, to end its ranks on all nodes; the ranks
    # are tied to the launcher in turn.
    alone = os.path.basename(command[0]) == "glassmodes"
    die_with_parent(signal.SIGKILL if alone else signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), sys.argv[2:]))
