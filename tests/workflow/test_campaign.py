"""A tiny real campaign: what runs again, what does not, and what a kill costs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from glassmodes.campaign.config import load_config
from glassmodes.campaign.efficiency import measure_jobs, read_efficiency
from glassmodes.campaign.manifest import build_manifest
from glassmodes.campaign.records import read_records

CONTENT = {
    "campaign": {"title": "tiny", "seed": 1},
    "ensembles": {
        "flat": {
            "model": "ipl_2d",
            "particles": 100,
            "protocol": {
                "name": "instantaneous_quench",
                "temperature": 2.0,
                "equilibration_time": 5.0,
            },
            "samples": 6,
            "batch_size": 4,
        },
        "solid": {
            "model": "ipl_3d",
            "particles": 180,
            "protocol": {"name": "random_start"},
            "samples": 2,
            "batch_size": 2,
            "ranks": 2,
        },
    },
    "analyses": {"modes": {"count": 20}, "dipoles": {"count": 10}},
    "statistics": {"bootstrap_resamples": 50},
}
MOST_UNUSED = 5
"""No job of samples asks for more than so many times the memory that it takes."""
EVERYTHING_AFTER_ANALYSE = {
    "write_tables",
    "write_fits",
    "write_comparison",
    "draw_figures",
    "write_report",
}


def write_config(folder, content=CONTENT):
    """Write the configuration of the tiny campaign."""
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def changed(path, value):
    """Return the configuration with another value at a dotted path."""
    content = json.loads(json.dumps(CONTENT))
    *above, last = path.split(".")
    section = content
    for name in above:
        section = section.setdefault(name, {})
    section[last] = value
    return content


def command(*words):
    """Return the command that runs the tiny campaign of the working folder."""
    start = [sys.executable, "-m", "glassmodes", "campaign", "run", "--config", "config.yaml"]
    return [*start, "--cores", "2", *words]


def run(folder, *words):
    """Run the tiny campaign in `folder` and return the rules that ran, with counts."""
    result = subprocess.run(
        command(*words), cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    text = (folder / "results" / "logs" / "snakemake.log").read_text(encoding="utf-8")
    return rules_of(text)


def would_run(folder, *words):
    """Return the rules that a run would execute."""
    result = subprocess.run(
        command(*words, "--", "--dry-run"), cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return rules_of(result.stdout + result.stderr)


def rules_of(text):
    """Return the rules in Snakemake's output, stage targets left out."""
    return set(re.findall(r"^(?:local)?rule (\w+):", text, re.MULTILINE)) - {
        "all",
        "prepare",
        "analyse",
        "tables",
        "fits",
        "figures",
        "report",
    }


def contents(folder, pattern="*"):
    """Return the content of the files below a folder by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob(pattern))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a finished tiny campaign; not to be changed."""
    folder = tmp_path_factory.mktemp("campaign")
    write_config(folder)
    run(folder)
    return folder


@pytest.fixture
def campaign(finished, tmp_path):
    """Return a copy of the finished campaign, times included."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_every_stage_leaves_its_files(finished):
    results = finished / "results"
    for batch in build_manifest(load_config(finished / "config.yaml")):
        assert read_records(batch.samples_path(results)).accepted.all()
        for name in ("modes", "moduli", "dipoles"):
            assert read_records(batch.analysis_path(results, name)).accepted.all()
    assert (results / "tables" / "moduli.csv").stat().st_size > 0
    assert (results / "report.html").stat().st_size > 0
    log = (results / "logs" / "prepare" / "flat" / "000000-000003.log").read_text()
    assert log.splitlines()[-1] == (
        "glassmodes campaign prepare --batch flat/000000-000003 --config results/config.json"
    )
    assert not list((results / "parts").rglob("*.h5"))


def test_every_job_used_less_than_it_had_asked_for(finished, monkeypatch):
    """Time and memory of each job, MPI jobs too, against what its own attempt had asked for."""
    monkeypatch.chdir(finished)
    config = load_config("config.yaml")
    jobs = measure_jobs(config)
    assert len(jobs) == 2 * len(build_manifest(config)) + len(EVERYTHING_AFTER_ANALYSE)
    for job in jobs:
        assert job.use.asked_minutes == job.asked_minutes  # from its file, not from the model
        assert job.use.asked_megabytes == job.asked_megabytes
        assert 0 < job.time_used <= 1
        if job.use.megabytes is not None:
            # Jobs after the last sample ask for what a hundred thousand samples take.
            least = 1 / MOST_UNUSED if job.use.ensemble else 0.0
            assert least < job.memory_part <= 1, job
    rows = read_efficiency(Path("results"))
    assert {(row["stage"], row["ensemble"]) for row in rows} >= {
        (stage, name) for stage in ("prepare", "analyse") for name in ("flat", "solid")
    }
    assert "What the jobs used" in Path("results/report.html").read_text(encoding="utf-8")


def test_a_second_run_does_nothing(campaign):
    before = contents(campaign / "results")
    assert run(campaign) == set()
    after = contents(campaign / "results")
    mutable = {"logs/snakemake.log", "logs/progress.json", "run.json"}
    assert {k: v for k, v in after.items() if k not in mutable} == {
        k: v for k, v in before.items() if k not in mutable
    }


def test_deleting_the_tables_rebuilds_only_the_tables(campaign):
    before = contents(campaign / "results" / "tables", "*.csv")
    (campaign / "results" / "tables" / "moduli.csv").unlink()
    assert run(campaign, "tables") == {"write_tables"}
    assert contents(campaign / "results" / "tables", "*.csv") == before


@pytest.mark.parametrize(
    ("missing", "rule"),
    [
        ("analyses/flat/*/moduli.h5", "analyse_batch_modes_moduli_dipoles"),
        ("samples/flat/*.h5", "prepare_batch"),
        ("tables/moduli.csv", "write_tables"),
        ("fits/exponents.csv", "write_fits"),
    ],
)
def test_what_is_missing_behind_finished_files_is_made_again(campaign, missing, rule):
    """Snakemake alone takes a report that is up to date for a finished campaign."""
    results = campaign / "results"
    next(results.glob(missing)).unlink()
    assert rule in would_run(campaign)
    assert ("tables" in missing or "fits" in missing) or rule in would_run(campaign, "tables")


def test_forcing_a_stage_reruns_it_and_what_follows(campaign):
    analysis = "analyse_batch_modes_moduli_dipoles"
    assert would_run(campaign, "--force", "tables") == EVERYTHING_AFTER_ANALYSE
    assert would_run(campaign, "--force", "analyse") == EVERYTHING_AFTER_ANALYSE | {
        analysis,
        "analyse_batch_mpi_modes_moduli_dipoles",
    }
    assert would_run(campaign, "--force", "fits") == EVERYTHING_AFTER_ANALYSE - {"write_tables"}


@pytest.mark.parametrize(
    ("path", "value", "rules"),
    [
        ("statistics.confidence", 0.9, EVERYTHING_AFTER_ANALYSE),
        (
            "ensembles.flat.settings",
            {"dipoles": {"count": 12}},
            EVERYTHING_AFTER_ANALYSE | {"analyse_batch_modes_moduli_dipoles"},
        ),
        (
            "ensembles.flat.samples",
            9,
            EVERYTHING_AFTER_ANALYSE | {"prepare_batch", "analyse_batch_modes_moduli_dipoles"},
        ),
    ],
)
def test_a_changed_setting_reruns_what_depends_on_it(campaign, path, value, rules):
    write_config(campaign, changed(path, value))
    assert would_run(campaign) == rules


def alive_in(folder):
    """Return the processes whose working folder is `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(folder) and (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_for(condition, seconds=90):
    """Wait until `condition` holds; it is looked at often, because samples are fast."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_kill_loses_at_most_one_sample_and_leaves_no_orphan(tmp_path):
    # Half a second or more a sample: a kill in the middle of the batch is certain.
    content = changed("ensembles.flat.protocol.equilibration_time", 150.0)
    del content["ensembles"]["solid"]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        folder.mkdir()
        write_config(folder, content)
    parts = killed / "results" / "parts" / "prepare" / "flat" / "000000"
    with open(tmp_path / "output", "wb") as output:
        first = subprocess.Popen(
            command("prepare"), cwd=killed, stdout=output, stderr=subprocess.STDOUT
        )
        wait_for(lambda: any(parts.glob("0*.h5")) or first.poll() is not None)
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_for(lambda: not alive_in(killed))
    done = len(list(parts.glob("0*.h5")))
    assert 1 <= done < 4, (tmp_path / "output").read_text()
    run(killed, "prepare")
    log = killed / "results" / "logs" / "prepare" / "flat" / "000000-000003.log"
    assert f"{4 - done} of 4 samples to do" in log.read_text()
    # Serial batches promise bytes; the killed campaign must end as the undisturbed one.
    run(undisturbed, "prepare")
    samples = contents(undisturbed / "results" / "samples")
    assert len(samples) == 2 and contents(killed / "results" / "samples") == samples


def test_two_runs_in_one_folder(campaign):
    from glassmodes.campaign.locks import Lock

    with Lock(campaign / ".snakemake" / "glassmodes.run.lock", "x", keep=True):
        result = subprocess.run(command(), cwd=campaign, capture_output=True, text=True)
    assert result.returncode == 3
    assert f"is in work by process {os.getpid()}" in result.stderr


def test_a_failed_job_is_named_with_the_end_of_its_log(tmp_path):
    # Twelve particles fill a box that is smaller than twice the cutoff.
    write_config(tmp_path, changed("ensembles.flat.particles", 12))
    result = subprocess.run(
        command("prepare"), cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 1
    assert "results/logs/prepare/flat/000000-000003.log" in result.stderr
    assert "run the same command again to go on" in result.stderr
