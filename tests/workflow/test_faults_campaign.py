"""Real jobs and campaigns that are signalled, killed and damaged; one plain rerun mends it."""

import copy
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

from glassmodes.campaign.locks import results_lock
from glassmodes.campaign.records import read_records

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from campaign_tree import CONTENT, command, differences, processes_in, start, write_config
from kill_runs import is_well, record_kills


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def run(folder, *words):
    result = subprocess.run(command(*words), cwd=folder, capture_output=True, text=True)
    return result.returncode, result.stderr


@pytest.fixture
def serial():
    """Return a configuration of one serial batch whose samples take a second or more."""
    content = copy.deepcopy(CONTENT)
    del content["ensembles"]["solid"]
    content["ensembles"]["flat"]["protocol"]["equilibration_time"] = 150.0
    content["ensembles"]["flat"] |= {"samples": 4, "batch_size": 4}
    return content


def test_four_kills_at_random_moments(tmp_path):
    """Fifty are recorded in results/reference/faults; the same script made them."""
    kills = record_kills(tmp_path / "work", 4, seed=11, out=tmp_path / "out", chain=4)
    assert len(kills) == 4 and all(is_well(kill) for kill in kills), kills
    with open(tmp_path / "out" / "kills.csv", newline="") as file:
        assert [int(row["kill"]) for row in csv.DictReader(file)] == [1, 2, 3, 4]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["kills"] == 4 and summary["orphans"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "Ctrl-C"])
def test_a_signal_ends_a_campaign_between_two_samples(tmp_path, serial, number):
    """Each job finishes the sample in work, says so by its exit code, and the rerun goes on."""
    write_config(tmp_path, serial)
    results = tmp_path / "results"
    parts = results / "parts" / "prepare" / "flat" / "000000"
    campaign = start(tmp_path, "prepare")
    wait_for(lambda: any(parts.glob("0*.h5")) or campaign.poll() is not None)
    began = len(list(parts.glob("0*.h5")))
    if number == signal.SIGINT:
        os.killpg(campaign.pid, number)  # as a terminal does
    else:
        campaign.send_signal(number)
    assert campaign.wait(timeout=120) == 130
    assert not processes_in(tmp_path)
    log = results / "logs" / "prepare" / "flat" / "000000-000003.log"
    assert "# exit code 75; to repeat" in log.read_text()
    done = len(list(parts.glob("0*.h5")))
    assert 1 <= began <= done < 4
    code, said = run(tmp_path, "prepare")
    assert code == 0, said
    assert f"{4 - done} of 4 samples to do" in log.read_text()


def supervised(folder, log, *words):
    """Start a job as the rules do."""
    start = [sys.executable, "-m", "glassmodes.campaign.supervise", log]
    return subprocess.Popen([*start, *words, "--config", "config.yaml"], cwd=folder)


@pytest.fixture
def solid(tmp_path):
    """Write a configuration of one batch on two ranks and return the command of its job."""
    content = copy.deepcopy(CONTENT)
    del content["ensembles"]["flat"]
    content["ensembles"]["solid"] |= {"particles": 500, "samples": 6, "batch_size": 6}
    write_config(tmp_path, content)
    job = ["glassmodes", "campaign", "prepare", "--batch", "solid/000000-000005"]
    return ["mpiexec", "-n", "2", *job]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_the_job_of_two_ranks_costs_no_sample(tmp_path, solid, number):
    parts = tmp_path / "results" / "parts" / "prepare" / "solid" / "000000"
    job = supervised(tmp_path, "first.log", *solid)
    wait_for(lambda: any(parts.glob("0*.h5")) or job.poll() is not None)
    job.send_signal(number)
    code = job.wait(timeout=120)
    log = (tmp_path / "first.log").read_text()
    assert code == 75, log
    done = [int(index) for index in re.findall(r"sample (\d+) done", log)]
    assert sorted(int(p.name[:6]) for p in parts.glob("0*.h5")) == done
    assert supervised(tmp_path, "second.log", *solid).wait(timeout=300) == 0
    again = (tmp_path / "second.log").read_text()
    assert f"{6 - len(done)} of 6 samples to do" in again
    assert (
        read_records(tmp_path / "results" / "samples" / "solid" / "000000-000005.h5").samples == 6
    )


@pytest.mark.parametrize("role", ["rank", "launcher"])
def test_a_killed_rank_leaves_nothing_hanging(tmp_path, solid, role):
    job = supervised(tmp_path, "log", *solid)
    parts = tmp_path / "results" / "parts" / "prepare" / "solid" / "000000"
    wait_for(lambda: any(parts.glob("0*.h5")) or job.poll() is not None)
    victim = next(p for p in processes_in(tmp_path) if p.role == role)
    os.kill(victim.pid, signal.SIGKILL)
    assert job.wait(timeout=60) not in (0, 75)
    wait_for(lambda: not processes_in(tmp_path), seconds=30)
    assert supervised(tmp_path, "second.log", *solid).wait(timeout=300) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a finished campaign of serial batches; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    content = copy.deepcopy(CONTENT)
    del content["ensembles"]["solid"]
    write_config(folder, content)
    code, said = run(folder)
    assert code == 0, said
    return folder


def test_a_run_mends_damage_that_a_job_finds_by_itself(finished, tmp_path):
    """Changed values are noticed when the tables are made again; the rest is made anew."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder, symlinks=True)
    results = folder / "results"
    victim = results / "analyses" / "flat" / "000000-000001" / "moduli.h5"
    with h5py.File(victim, "r+") as file:
        file["records/shear_modulus"][0] += 1.0
    kept = results / ".kept" / victim.relative_to(results)
    if kept.exists():  # copies of one file are two: damage both
        shutil.copy(victim, kept)
    (results / "tables" / "samples.csv").write_text("ensemble,sample\n")  # found before the run
    code, said = run(folder)
    assert code == 0, said
    assert "samples.csv is damaged and was set aside" in said
    assert "moduli.h5 is damaged and was set aside" in said and "starting once more" in said
    assert victim.with_name("moduli.h5.damaged").exists()
    assert differences(folder, finished) == []


def test_two_working_folders_with_the_same_results(finished, tmp_path):
    """The second is told who works there; when that one has died, it works."""
    folder = tmp_path / "other"
    content = copy.deepcopy(CONTENT)
    del content["ensembles"]["solid"]
    content["campaign"]["results"] = str(tmp_path / "results")
    write_config(folder, content)
    with results_lock(tmp_path / "results"):
        code, said = run(folder, "prepare")
        assert code == 3
        assert len(said.splitlines()) == 1
        assert f"the campaign in {tmp_path / 'results'} is in work by process {os.getpid()}" in said
        plain = [sys.executable, "-m", "snakemake", "--snakefile"]
        plain += [str(Path(__file__).parents[2] / "Snakefile"), "--configfile", "config.yaml"]
        plain += ["--cores", "1", "prepare"]
        result = subprocess.run(plain, cwd=folder, capture_output=True, text=True)
        assert result.returncode == 1 and "is in work by process" in result.stderr
        assert not (tmp_path / "results" / "samples").exists()
        code, said = run(folder, "prepare", "--", "--dry-run")  # looking is always allowed
        assert code == 0
    code, said = run(folder, "prepare")
    assert code == 0, said
