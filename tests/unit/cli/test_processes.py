"""The program as a process: full disks, closed pipes, interrupts, two ranks."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import arrays, assert_one_line, triangular


def process(*words, **options):
    """Run a command; a hang fails after two minutes.

    The environment is passed on explicitly: MPI in this process adds variables to the one of
    the C library that must not reach another mpiexec.
    """
    words = [str(word) for word in words]
    options = {"env": dict(os.environ), "timeout": 120, **options}
    return subprocess.run(words, capture_output=True, text=True, **options)


PROGRAM = (sys.executable, "-m", "glassmodes")


def full_disk(folder, words):
    """Run the program where `folder` is a file system of 16 kB of its own."""
    script = f"mount -t tmpfs -o size=16k none {folder} && {' '.join(words)}; code=$?; "
    script += f"ls -A {folder} >&2; exit $code"
    return process("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script)


def may_mount(folder):
    try:
        return full_disk(folder, ["true"]).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize(
    "words",
    [
        ["import", "{folder}/big.npz", "--model", "ipl_2d", "-o", "{disk}/out.h5"],
        ["modes", "{folder}/good.h5", "--count", "60", "-o", "{disk}/out.h5"],
        ["hessian", "{folder}/big.h5", "-o", "{disk}/out.npz"],
        ["export", "{folder}/big.h5", "-o", "{disk}/out.xyz"],
    ],
)
def test_a_full_disk_leaves_no_file(words, folder):
    disk = folder / "disk"
    disk.mkdir()
    if not may_mount(disk):
        pytest.skip("no permission to mount a small file system here")
    big = triangular(40, 40)
    big.write(folder / "big.h5")
    np.savez(folder / "big.npz", **arrays(big))
    words = [word.format(folder=folder, disk=disk) for word in words]
    done = full_disk(disk, [*PROGRAM, *words])
    assert_one_line(done.returncode, done.stdout, done.stderr, "free some space")


@pytest.mark.usefixtures("comm_self")  # MPI makes larger files of its own when it starts
@pytest.mark.parametrize(
    ("verb", "name"), [("hessian", "H.npz"), ("hessian", "H.petsc"), ("export", "x.xyz")]
)
def test_a_file_size_limit_leaves_no_file(verb, name, folder, call):
    """A write that falls short, without the permission to mount a small file system."""
    triangular(40, 40).write(folder / "big.h5")
    before = set(folder.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
    try:
        result = call(verb, folder / "big.h5", "-o", folder / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_one_line(*result, name)
    assert set(folder.iterdir()) == before


def test_a_closed_pipe_ends_quietly(folder):
    """As in `glassmodes modes ... | head -1`, with PETSc loaded."""
    words = [*PROGRAM, "modes", str(folder / "good.h5"), "--count", "3"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_ends_in_one_line(folder):
    """Ctrl-C while a verb waits for its input, here a pipe that nobody writes to."""
    pipe = folder / "pipe.xyz"
    os.mkfifo(pipe)
    words = [*PROGRAM, "import", str(pipe), "--model", "ipl_2d", "-o", str(folder / "S.h5")]
    child = subprocess.Popen(
        words,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        # tests that run in the background inherit "ignore" and would pass it on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with open(pipe, "wb"):  # waits until the program has opened it, then reads nothing
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "glassmodes: error: interrupted\n")
    assert not (folder / "S.h5").exists()


def mpiexec(*words, **options):
    beside = Path(sys.executable).with_name("mpiexec")
    launcher = beside if beside.exists() else "mpiexec"
    return process(launcher, "-n", 2, *PROGRAM, *words, **options)


def test_two_ranks_give_one_answer(folder):
    done = mpiexec("modes", folder / "good.h5", "--count", 4, "--json", "--", "-log_view")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["frequencies"]) == 4
    assert "Petsc Release" in done.stderr  # the profile of -log_view, kept off stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["modul"], "'moduli'"),
        (["modes", "{folder}/none.h5", "--count", "3", "-o", "{folder}/m.h5"], "no such file"),
        (["modes", "{folder}/good.h5", "--count", "3", "-o", "{folder}/no/m.h5"], "folder"),
    ],
)
def test_two_ranks_give_one_error(words, text, folder):
    before = set(folder.iterdir())
    done = mpiexec(*[word.format(folder=folder) for word in words])
    assert done.returncode == 2
    assert done.stdout == ""
    ours = [line for line in done.stderr.splitlines() if "glassmodes" in line]
    assert len(ours) == 1 and ours[0].startswith("glassmodes: error: "), done.stderr
    assert text in ours[0]
    assert "Traceback" not in done.stderr
    assert set(folder.iterdir()) == before


def test_two_ranks_print_help_once():
    done = mpiexec("modes", "--help")
    assert done.returncode == 0
    assert done.stdout.count("usage:") == 1
