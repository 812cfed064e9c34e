"""A test that fails on one rank ends the whole run, with its message, and does not hang it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = Path(sys.executable).with_name("mpiexec")

TESTS = """
import pytest

def test_passes(comm, shared_path):
    assert comm.allreduce(1) == comm.size and shared_path.exists()

def test_fails_on_one_rank(comm):
    assert comm.rank == 0, "only rank 0 is right"

@pytest.fixture
def broken(comm):
    assert comm.rank == 0, "broken set-up"

def test_with_broken_fixture(broken):
    pass

def test_skipped_on_one_rank(comm):
    if comm.rank == 0:
        pytest.skip("not here")

def test_raises_before_a_collective_call(comm):
    if comm.rank == 1:
        raise ValueError("rank 1 gave up")
    comm.barrier()

def test_never_ends(comm):
    if comm.rank == 0:
        comm.recv(source=1)
"""


@pytest.mark.skipif(not LAUNCHER.exists(), reason="no mpiexec beside this Python")
@pytest.mark.parametrize(
    ("chosen", "summary", "texts"),
    [
        (
            "passes or one_rank or broken",
            "2 failed, 1 passed, 2 deselected, 1 error in",
            ["rank 1 failed:", "broken set-up", "rank 0 skipped: not here"],
        ),
        ("before_a_collective", "", ["rank 1 gave up"]),
        ("never_ends", "", ["Timeout", "in test_never_ends"]),
    ],
)
def test_outcomes_agree_on_two_ranks(tmp_path, chosen, summary, texts):
    for source, target in (("conftest.py", "conftest.py"), ("mpi/conftest.py", "mpi/conftest.py")):
        (tmp_path / target).parent.mkdir(exist_ok=True)
        (tmp_path / target).write_bytes((ROOT / "tests" / source).read_bytes())
    (tmp_path / "mpi" / "test_probe.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    # Two ranks that clear old temporary folders at once may warn, which is not the point here.
    options = ["--color=no", "-p", "no:warnings", "-k", chosen]
    done = subprocess.run(
        [LAUNCHER, "-n", "2", sys.executable, "-m", "pytest", *options, "mpi"],
        cwd=tmp_path,
        env=os.environ | {"GLASSMODES_TEST_GRACE": "1", "GLASSMODES_TEST_LIMIT": "3"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert output.count(summary) == 1 or not summary, output  # rank 0 alone reports
    assert all(text in output for text in texts), output


@pytest.mark.skipif(not LAUNCHER.exists(), reason="no mpiexec beside this Python")
def test_a_process_that_started_mpi_can_launch_ranks():
    program = (
        "from mpi4py import MPI; import subprocess, sys; "
        "sys.exit(subprocess.run([sys.argv[1], '-n', '2', sys.executable, '-c', "
        "'from mpi4py import MPI; print(MPI.COMM_WORLD.size)']).returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, LAUNCHER], capture_output=True, text=True, timeout=120
    )
    # the lines of the two ranks may run into each other
    assert done.returncode == 0 and done.stdout.count("2") == 2, done.stdout + done.stderr
