"""Jobs that a killed run left in the queue of Slurm, with stand-ins for squeue and scancel."""

import os

import pytest

from glassmodes.campaign.locks import LockedError
from glassmodes.campaign.slurm_jobs import end_left_jobs, require_answer
from glassmodes.errors import InputError

NAME = "5d26c2e2-cfbf-4c13-8eb7-9d7971d0bf94"


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """Return a file of jobs, `number name` a line, that stand-ins list and strike out."""
    jobs = tmp_path / "jobs"
    jobs.write_text("")
    folder = tmp_path / "bin"
    folder.mkdir()
    programs = {
        "squeue": "for word; do case $word in --name=*) name=${word#--name=};; esac; done\n"
        f'sed -n "s/ $name\\$//p" {jobs}',
        "scancel": f'echo "$@" >> {tmp_path}/cancelled\n'
        f'for number; do sed -i "/^$number /d" {jobs}; done',
    }
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return jobs


@pytest.fixture
def log(tmp_path):
    """Return the log of a run that submitted jobs."""
    path = tmp_path / "snakemake.log"
    path.write_text(f"Building DAG of jobs...\nSLURM run ID: {NAME}\nUsing shell: bash\n")
    return path


def test_the_jobs_of_the_run_before_are_ended_and_no_others(queue, log):
    queue.write_text(f"11 other\n12 {NAME}\n13 {NAME}\n14 {NAME}x\n")
    assert end_left_jobs(log) == ["12", "13"]
    assert queue.read_text() == f"11 other\n14 {NAME}x\n"
    assert end_left_jobs(log) == []


def test_a_run_that_submitted_nothing_asks_nobody(queue, log, tmp_path):
    queue.write_text(f"12 {NAME}\n")
    log.write_text("Building DAG of jobs...\nSLURM run ID: `touch bad`\n")
    assert end_left_jobs(log) == end_left_jobs(tmp_path / "missing") == []
    assert queue.read_text() and not (tmp_path / "cancelled").exists()


def test_jobs_that_do_not_end_are_named(queue, log, tmp_path):
    (tmp_path / "bin" / "scancel").write_text("#!/bin/bash\n")
    queue.write_text(f"12 {NAME}\n")
    with pytest.raises(LockedError, match=r"still in the queue of Slurm \(12\)"):
        end_left_jobs(log, wait_s=0)


@pytest.fixture
def silent(tmp_path, queue):
    """Let squeue fail as it does where no controller answers."""
    words = "echo 'line one' >&2; echo 'Unable to contact slurm controller' >&2; exit 1"
    for name in ("squeue", "sbatch"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{words}\n")
        (tmp_path / "bin" / name).chmod(0o755)


def test_a_scheduler_that_does_not_answer_is_one_line(silent, log):
    with open(log, "a") as file:
        file.write("Job 3 has been submitted with SLURM jobid 12 (log: x).\n")
    with pytest.raises(LockedError, match=r"squeue: Unable to contact .* or remove ") as caught:
        end_left_jobs(log)
    assert "\n" not in str(caught.value)


def test_a_run_that_could_submit_nothing_does_not_block_the_next(silent, log):
    assert end_left_jobs(log) == []


def test_a_campaign_is_not_handed_to_a_scheduler_that_does_not_answer(silent):
    with pytest.raises(InputError, match="does not answer: squeue: Unable to contact"):
        require_answer()


def test_a_campaign_is_not_handed_to_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no sbatch"):
        require_answer()
