"""A rank that fails in the middle of the work ends the job soon, with a message and no file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 60  # a hang fails; the program itself waits ten for ranks that do not answer

PROGRAM = """
import os, signal, sys
from mpi4py import MPI
from glassmodes import errors
from glassmodes.cli import main
from glassmodes.spectra.operators import BlockOperator

products, calls = BlockOperator.accumulate, 0

def accumulate(self, *arguments):
    global calls
    calls += 1
    if calls == 20 and MPI.COMM_WORLD.rank == {rank}:
        {deed}
    return products(self, *arguments)

BlockOperator.accumulate = accumulate
sys.exit(main(sys.argv[1:]))
"""


def run(deed, rank, *words):
    beside = Path(sys.executable).with_name("mpiexec")
    launcher = str(beside) if beside.exists() else "mpiexec"
    program = PROGRAM.format(deed=deed, rank=rank)
    command = [launcher, "-n", "2", sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, env=dict(os.environ)
    )


@pytest.mark.parametrize(
    ("rank", "deed", "said"),
    [
        (0, "os.kill(os.getpid(), signal.SIGKILL)", ("signal 9", "EXIT CODE: 9", "KILLED")),
        (1, "os.kill(os.getpid(), signal.SIGKILL)", ("signal 9", "EXIT CODE: 9", "KILLED")),
        (1, "raise ZeroDivisionError('a bug')", ("ZeroDivisionError: a bug",)),
        (1, "raise MemoryError", ("glassmodes: error: out of memory",)),
        (0, "raise errors.SolverError('no way')", ("glassmodes: error: no way",)),
    ],
    ids=("killed-0", "killed-1", "bug-1", "memory-1", "solver-0"),
)
def test_a_rank_that_fails_alone_ends_the_job(folder, rank, deed, said):
    output = folder / "modes.h5"
    done = run(deed, rank, "modes", folder / "good.h5", "--count", 40, "-o", output)
    assert done.returncode != 0
    assert any(words in done.stderr for words in said), done.stderr
    assert done.stdout == "" and not output.exists()


def test_the_same_program_without_a_fault_succeeds(folder):
    """The fault is what the tests above see, and it comes in the middle."""
    done = run("sys.stderr.write('here')", 1, "modes", folder / "good.h5", "--count", 40)
    assert done.returncode == 0, done.stderr
    assert "here" in done.stderr
