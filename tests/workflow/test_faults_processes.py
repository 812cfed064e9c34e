"""Signals, locks and process numbers: jobs that stop, end, or are taken for what they are not."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from glassmodes.campaign import locks, stopping
from glassmodes.campaign.locks import HELD, Lock, LockedError, claim_results, results_lock
from glassmodes.campaign.processes import SNAKEMAKE, Process, descendants
from glassmodes.campaign.stopping import StopRequest

COMMAND = """#!{python}
import os, signal, sys, time
heard = []
def note(number, frame):
    heard.append(number)
    with open("heard", "a") as file:
        file.write(f"{{signal.Signals(number).name}}\\n")
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    signal.signal(number, note)
open("began", "w").write(str(os.getpid()))
while not heard or {deaf}:
    time.sleep(0.02)
time.sleep(0.3)  # a second signal would be heard
sys.exit(75)
"""


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def supervised(tmp_path):
    """Return a function that starts a command under the supervisor; it is ended afterwards."""
    children = []

    def start(name="glassmodes", deaf=False, **environment):
        program = tmp_path / name
        program.write_text(COMMAND.format(python=sys.executable, deaf=deaf))
        program.chmod(0o755)
        words = [sys.executable, "-m", "glassmodes.campaign.supervise", "log", str(program)]
        child = subprocess.Popen(words, cwd=tmp_path, env=os.environ | environment)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize(
    ("name", "heard"), [("glassmodes", "SIGTERM"), ("mpiexec", "SIGUSR1")], ids=["alone", "ranks"]
)
def test_a_signal_asks_the_command_once(supervised, tmp_path, name, heard, number):
    """Several ways of the same request are one; launchers hear what they pass on to ranks."""
    job = supervised(name)
    wait_for(lambda: (tmp_path / "began").exists())
    for _ in range(3):
        job.send_signal(number)
        time.sleep(0.02)
    assert job.wait(timeout=60) == 75
    assert (tmp_path / "heard").read_text().split() == [heard]
    assert (tmp_path / "log").read_text().splitlines()[-1] == str(tmp_path / name)


def test_a_later_signal_ends_a_command_that_does_not_listen(supervised, tmp_path):
    """Python hears nothing inside a factorisation; the supervisor does."""
    job = supervised(deaf=True)
    wait_for(lambda: (tmp_path / "began").exists())
    job.send_signal(signal.SIGINT)
    time.sleep(stopping.SAME_REQUEST_S + 0.2)
    job.send_signal(signal.SIGINT)
    assert job.wait(timeout=60) == 128 + signal.SIGKILL


def test_a_command_that_is_stopped_while_it_starts_may_be_tried_again(supervised, tmp_path):
    program = tmp_path / "glassmodes"
    job = supervised()
    program.write_text("#!/bin/sh\necho > began; exec sleep 60\n")  # no handlers yet
    job.kill()
    job.wait()
    (tmp_path / "began").unlink(missing_ok=True)
    words = [sys.executable, "-m", "glassmodes.campaign.supervise", "log", str(program)]
    job = subprocess.Popen(words, cwd=tmp_path)
    wait_for(lambda: (tmp_path / "began").exists())
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=60) == 75


def test_a_killed_job_takes_its_command_along(supervised, tmp_path):
    job = supervised(deaf=True)
    wait_for(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text())
    command = int((tmp_path / "began").read_text())
    assert command in descendants(job.pid)
    job.kill()
    job.wait()
    wait_for(lambda: _is_dead(command))


def _is_dead(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_a_job_whose_snakemake_died_before_it_could_notice_does_nothing(supervised, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = Process(Process.current().host, gone.pid, "1").to_json()
    assert supervised(**{SNAKEMAKE: dead}).wait(timeout=60) == 128 + signal.SIGKILL
    assert not (tmp_path / "began").exists() and not (tmp_path / "log").exists()
    living = supervised(**{SNAKEMAKE: Process.current().to_json()})
    wait_for(lambda: (tmp_path / "began").exists())
    living.send_signal(signal.SIGTERM)
    assert living.wait(timeout=60) == 75


def test_a_child_of_a_parent_that_is_gone_ends_itself():
    code = "from glassmodes.campaign.processes import die_with_parent; die_with_parent(parent=1)"
    assert os.getpid() != 1
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL


def test_two_signals_at_once_are_one_request(monkeypatch):
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)  # would end this process
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.received is signal.SIGUSR1
    monkeypatch.setattr(stopping, "SAME_REQUEST_S", 0.0)
    with pytest.raises(KeyboardInterrupt), StopRequest():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(params=["flock", "no flock"])
def file_system(request, monkeypatch):
    """Run a test with the kernel's locks and on a file system that has none."""
    if request.param == "no flock":

        def refuse(descriptor, operation):
            raise OSError(errno.ENOLCK, "no locks available")

        monkeypatch.setattr(locks.fcntl, "flock", refuse)
    return request.param


def test_a_lock_is_held_by_one_and_free_afterwards(file_system, tmp_path):
    for keep in (False, True):
        path = tmp_path / f"{keep}.lock"
        with Lock(path, "x", keep=keep):
            with pytest.raises(LockedError, match=f"process {os.getpid()} of user .+ on "):
                Lock(path, "x").acquire()
        with Lock(path, "x"):
            pass
        assert not path.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("owner", ["dead", "number used again", "damaged", "empty"])
def test_a_lock_without_a_living_owner_is_taken_over(file_system, tmp_path, owner):
    me, path = Process.current(), tmp_path / "x.lock"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path.write_text(
        {
            "dead": Process(me.host, gone.pid, "1").to_json(),
            "number used again": Process(me.host, me.pid, "1").to_json(),
            "damaged": json.dumps({"host": me.host, "pid": "12", "started": 1}),
            "empty": "",
        }[owner]
    )
    with Lock(path, "x"):
        assert Process.from_json(path.read_text()) == me


@pytest.mark.parametrize("where", ["machine", "container"])
def test_a_lock_of_elsewhere_is_respected_where_only_files_lock(monkeypatch, tmp_path, where):
    path = tmp_path / "x.lock"
    host = Process.current().host if where == "container" else "elsewhere"
    path.write_text(Process(host, 2**22, "34", "anna", "pid:[1]").to_json())

    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.raises(LockedError, match=f"process {2**22} of user anna on {host}"):
        Lock(path, "batch x").acquire()
    assert Process.from_json(path.read_text()).user == "anna"


def test_a_lock_waits_for_the_children_of_a_dead_owner(tmp_path):
    """A killed run command leaves a Snakemake that is still dying and holds the lock."""
    path = tmp_path / "x.lock"
    code = (
        "import subprocess, sys; from pathlib import Path\n"
        "from glassmodes.campaign.locks import Lock\n"
        "lock = Lock(Path(sys.argv[1]), 'x'); lock.acquire()\n"
        "subprocess.Popen(['sleep', '1.5'], pass_fds=[lock.descriptor])\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout.readline() == b"held\n"
    with pytest.raises(LockedError):  # at once: the owner lives
        Lock(path, "x").acquire()
    owner.kill()
    owner.communicate()
    with Lock(path, "x"):
        pass


def test_results_are_locked_from_every_working_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(HELD, raising=False)
    with results_lock(tmp_path / "results") as lock:
        with pytest.raises(LockedError, match=f"campaign in {tmp_path}/results is in work by"):
            claim_results(tmp_path / "results")
        monkeypatch.setenv(HELD, str(lock.path.resolve()))
        assert claim_results(tmp_path / "results") is None
        with pytest.raises(LockedError):
            monkeypatch.chdir(tmp_path)
            monkeypatch.setenv(HELD, "elsewhere")
            claim_results("results")
    claimed = claim_results(tmp_path / "results")
    assert claimed is not None
    claimed.release()
