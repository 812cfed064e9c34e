"""Counting finished samples, and the verbs that only look."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
import yaml

from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.failures import Failure, count_refusals, find_failures, render_failures
from glassmodes.campaign.job_log import JobCounts, JobLog
from glassmodes.campaign.locks import results_lock
from glassmodes.campaign.manifest import batches_of, sample_seed
from glassmodes.campaign.processes import Process, _start_time
from glassmodes.campaign.progress import (
    CampaignProgress,
    Estimate,
    StageCount,
    render_duration,
    render_line,
    render_status,
    write_progress,
)
from glassmodes.campaign.run import stage_rules
from glassmodes.cli import main


def test_parts_and_batches_are_counted(config, work, comm_self, monkeypatch):
    monkeypatch.setattr("glassmodes.campaign.costs.start_seconds", lambda: 0.0)
    progress = CampaignProgress(config)
    assert [c.done for c in progress.count().values()] == [0, 0]
    first, second = batches_of(config, "small")
    prepare_batch(comm_self, config, second)
    work.prepared.clear()
    work.die_at = 2
    with pytest.raises(KeyboardInterrupt):
        prepare_batch(comm_self, config, first)
    counts = progress.count()
    assert (counts["prepare"].done, counts["prepare"].total) == (3, 5)
    assert counts["analyse"].done == 0
    assert counts["prepare"].seconds_left == pytest.approx(0.4 * counts["prepare"].seconds_total)


def counts_with(counts, left):
    """Return counts with this part of the work left in each stage."""
    return {
        name: StageCount(
            round(c.total * (1 - left)), c.total, c.seconds_total * left, c.seconds_total
        )
        for name, c in counts.items()
    }


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose last entry is the time of day."""
    times = [100.0]
    monkeypatch.setattr("glassmodes.campaign.progress.time.monotonic", lambda: times[-1])
    return times


def test_time_left_starts_from_the_model_and_ends_with_what_is_seen(config, clock):
    counts = CampaignProgress(config).count()
    work = sum(c.seconds_total for c in counts.values())
    estimate = Estimate(counts, cores=2)
    assert estimate.seconds_left(counts) == pytest.approx(work / 2)
    # A machine a hundred times slower than the model: half the work takes 50 times its seconds.
    clock.append(100.0 + 1e5 * work)
    half = counts_with(counts, 0.5)
    assert estimate.seconds_left(half) == pytest.approx(1e5 * work, rel=0.15)
    almost = counts_with(counts, 0.01)
    assert estimate.seconds_left(almost) == pytest.approx(1e5 * work * 0.01 / 0.99, rel=0.12)


def test_the_first_large_sample_does_not_decide(config, clock):
    """While it is at work the estimate moves little; when it ends it jumps little."""
    counts = CampaignProgress(config).count()
    scale = 36000.0 / sum(c.seconds_total for c in counts.values())  # ten hours on one core
    counts = {
        name: StageCount(0, c.total, c.seconds_left * scale, c.seconds_total * scale)
        for name, c in counts.items()
    }
    longest = 600.0
    estimate = Estimate(counts, cores=1, longest=longest)
    before = estimate.seconds_left(counts)
    clock.append(100.0 + longest)
    waiting = estimate.seconds_left(counts)
    after = estimate.seconds_left(counts_with(counts, 1 - longest / 36000))
    assert before == pytest.approx(36000)
    assert before < waiting < 1.6 * before
    assert after == pytest.approx(36000 - longest)


def test_progress_is_a_line(config):
    counts = counts_with(CampaignProgress(config).count(), 0.6)
    assert render_line(counts, 30.0, "") == "samples: prepare 2/5, analyse 2/5 | about 30 s left"
    jobs = JobCounts(total=9, done=3, running=2, failed=1)
    assert render_line(counts, 30.0, "", jobs) == (
        "samples: prepare 2/5, analyse 2/5 | jobs: 2 at work, 3 waiting, 1 failed | about 30 s left"
    )
    done = counts_with(counts, 0.0)
    assert render_line(done, 0.0, "fitting") == "samples: prepare 5/5, analyse 5/5 | fitting"
    assert [render_duration(s) for s in (0.2, 400, 7200, 3e5)] == [
        "1 s",
        "7 min",
        "2.0 h",
        "3.5 days",
    ]


LOG = """\
Building DAG of jobs...
Job stats:
job              count
-------------  -------
prepare              1
prepare_batch        4
total                5

[Sat Nov 21 10:00:00 2026]
localrule prepare_batch:
    output: results/samples/small/000000-000002.h5
    log: results/logs/prepare/small/000000-000002.log
    jobid: 2
    wildcards: ensemble=small, batch=000000-000002
    resources: tmpdir=/tmp, runtime=5, mem_mb=410
Shell command: exec python ...
rule prepare_batch:
    output: results/samples/small/000003-000004.h5
    log: results/logs/prepare/small/000003-000004.log
    jobid: 3
    wildcards: ensemble=small, batch=000003-000004
    resources: tmpdir=<TBD>, runtime=5, mem_mb=410
Job 3 has been submitted with SLURM jobid 12 (log: somewhere).
"""
FAILS = """\
Error in rule prepare_batch:
    message: SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'. For further details see ...
    jobid: 3
    log: results/logs/prepare/small/000003-000004.log (check log file(s) for error details)
    external_jobid: 12
"""
AGAIN = """\
Trying to restart job 3.
rule prepare_batch:
    jobid: 3
    wildcards: ensemble=small, batch=000003-000004
    resources: tmpdir=<TBD>, runtime=10, mem_mb=820
"""


def test_the_log_of_snakemake_counts_jobs(tmp_path):
    """Read as it grows, cut at any place, it says the same as read at once."""
    path = tmp_path / "snakemake.log"
    growing = JobLog(path)
    assert growing.read().counts() == JobCounts(0, 0, 0, 0)
    text = ""
    for piece, expected, waiting in (
        (LOG, JobCounts(4, 0, 2, 0), 2),
        ("[Sat]\nFinished jobid: 2 (Rule: prepare_batch)\n", JobCounts(4, 1, 1, 0), 2),
        (FAILS, JobCounts(4, 1, 0, 1), 2),
        (AGAIN, JobCounts(4, 1, 1, 0), 2),
        (FAILS, JobCounts(4, 1, 0, 1), 2),
        ("Finished jobid: 9 (Rule: prepare_batch)\n", JobCounts(4, 2, 0, 1), 1),
    ):
        for end in range(1, len(piece) + 1, 7):
            path.write_text(text + piece[:end], encoding="utf-8")
            growing.read()
        text += piece
        path.write_text(text, encoding="utf-8")
        assert growing.read().counts() == JobLog(path).read().counts() == expected
        assert growing.counts().waiting == waiting
    (failure,) = find_failures(growing)
    assert failure.job == "prepare_batch small/000003-000004"
    assert failure.attempts == 2 and "memory" in failure.reason


def test_a_failure_says_why(tmp_path, monkeypatch):
    """The scheduler's word first, then the last error of the job's log, then its exit code."""
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "results/logs/prepare/small/000003-000004.log"
    log.parent.mkdir(parents=True)
    path = tmp_path / "snakemake.log"
    quiet = FAILS.replace("SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'. For", "None")
    quiet = quiet.replace("None further details see ...", "None")
    path.write_text(LOG + quiet, encoding="utf-8")

    def reason(text):
        log.write_text(text, encoding="utf-8")
        (failure,) = find_failures(JobLog(path).read())
        return failure.reason

    assert reason("glassmodes: error: no\x1b[2Jspring\n# exit code 2; to") == r"no\x1b[2Jspring"
    assert "signal" in reason(
        "\n# exit code 75; to repeat this job by hand:\nglassmodes campaign x\n"
    )
    assert "SIGKILL" in reason("half a line\n# exit code 137; to repeat\n")
    assert "Bus error" in reason("Bus error\n\n# exit code 1; to repeat\nglassmodes campaign x\n")
    log.unlink()
    (failure,) = find_failures(JobLog(path).read())
    assert "killed before" in failure.reason and failure.log == str(path)


def test_all_failures_are_counted_and_the_first_are_shown(tmp_path):
    failures = [
        Failure(f"prepare_batch a/{k}", "no room", str(tmp_path / "x"), 1) for k in range(40)
    ]
    (tmp_path / "x").write_text("the end of a log\n", encoding="utf-8")
    text = render_failures(failures, tmp_path / "snakemake.log")
    assert "40 jobs failed" in text and "40 x no room" in text
    assert text.count("the end of a log") == 3
    assert "... and 17 more" in text


def test_refused_samples_are_counted_by_reason(config, work, comm_self):
    seeds = [sample_seed(5, "small", k) for k in range(5)]
    work.refuse = {seeds[1], seeds[4], 2}  # two preparations and the analysis of sample 2
    for batch in batches_of(config, "small"):
        prepare_batch(comm_self, config, batch)
        analyse_batch(comm_self, config, batch)
    assert count_refusals(config) == {
        ("small", "prepare", "not_converged"): 2,
        ("small", "modes", "saddle"): 1,
    }
    # A file that cannot be read is for others to report.
    batches_of(config, "small")[0].samples_path(config.results).write_bytes(b"no HDF5")
    assert count_refusals(config)["small", "prepare", "not_converged"] == 1


def test_forced_stages_are_the_rules_that_are_in_use(content):
    content["ensembles"]["shared"] = content["ensembles"]["small"] | {
        "ranks": 2,
        "analyses": ["modes"],
    }
    config = check_config(content)
    assert stage_rules(config, "prepare") == ["prepare_batch", "prepare_batch_mpi"]
    assert stage_rules(config, "analyse") == [
        "analyse_batch_modes_moduli_dipoles",
        "analyse_batch_mpi_modes",
    ]


@pytest.fixture
def config_file(content, tmp_path):
    """Return a configuration file."""
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_plan_and_status_compute_nothing(config_file, tmp_path, capfd):
    assert main(["campaign", "plan", "--config", str(config_file), "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert plan["jobs"] == 4
    assert plan["ensembles"]["small"]["batches"] == ["small/000000-000002", "small/000003-000004"]
    assert main(["campaign", "status", "--config", str(config_file), "--json"]) == 0
    status = json.loads(capfd.readouterr().out)
    assert status["prepare"] == {"done": 0, "samples": 5}
    assert status["seconds_left"] is None and status["failed_jobs"] == 0
    for verb in ("plan", "status"):
        assert main(["campaign", verb, "--config", str(config_file)]) == 0
        assert "prepare" in capfd.readouterr().out
    assert not (tmp_path / "results").exists()


def test_status_follows_a_run_from_another_terminal(config_file, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    (results / "logs").mkdir(parents=True)
    (results / "logs" / "snakemake.log").write_text(LOG + FAILS, encoding="utf-8")
    write_progress(results, rate=2.0, seconds_left=1.0)
    lock = results_lock(results)
    lock.acquire()
    before = sorted(path.name for path in results.rglob("*"))
    words = ["campaign", "status", "--config", str(config_file)]
    assert main([*words, "--json"]) == 0
    status = json.loads(capfd.readouterr().out)
    assert status["run"].startswith("at work")
    jobs = {"total": 4, "done": 0, "running": 1, "failed": 1, "cut_off": 0, "waiting": 2}
    assert status["jobs"] == jobs
    assert status["failed_jobs"] == 1 and "memory" in status["failures"][0]["reason"]
    work = sum(w["core_hours_left"] for w in status["work"].values())
    assert status["seconds_left"] == pytest.approx(3600 * work / 2, abs=2)
    assert main(words) == 0
    page = capfd.readouterr().out
    assert "a run would repeat" not in page
    assert "modes of small" in render_status(status | {"to_repeat": ["modes of small"]})
    assert "1 failed jobs" in page and "prepare_batch small/000003-000004" in page
    assert sorted(path.name for path in results.rglob("*")) == before
    # A run that was killed leaves no last word: its age says so.
    path = results / "logs" / "progress.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"written": 0.0}), encoding="utf-8")
    assert main(words) == 0
    assert "may have been killed" in capfd.readouterr().out
    lock.release()
    assert main(words) == 0
    page = capfd.readouterr().out
    assert "run: none at work; the last was cut off, last seen" in page
    assert "0 done, 1 cut off, 2 not started, 1 failed\n" in page


@pytest.mark.parametrize("word", [False, True])
def test_status_after_a_kill_says_that_jobs_were_cut_off(
    config_file, tmp_path, capfd, monkeypatch, word
):
    """The lock names a dead owner; jobs of a scheduler may live on."""
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    (results / "logs").mkdir(parents=True)
    (results / "locks").mkdir()
    (results / "logs" / "snakemake.log").write_text(LOG, encoding="utf-8")
    if word:
        write_progress(results, rate=2.0, seconds_left=1.0)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alive = asdict(Process.current()) | {"pid": child.pid, "started": _start_time(child.pid)}
    (results / "locks" / "campaign.lock").write_text(json.dumps(alive), encoding="utf-8")
    words = ["campaign", "status", "--config", str(config_file)]
    assert main(words) == 0
    page = capfd.readouterr().out
    assert "run: at work" in page and "0 done, 2 at work or in the queue, 2 waiting" in page
    child.kill()
    child.wait()
    child.stdin.close()
    assert main(words) == 0
    page = capfd.readouterr().out
    assert "run: none at work; the last was cut off" in page and " left\n\n" not in page
    assert "0 done, 1 cut off, 1 at work or in the queue, 2 not started, 0 failed" in page


def test_bad_calls_end_in_one_line(config_file, content, tmp_path, capfd):
    for words, text in (
        (["prepare", "--config", str(config_file), "--batch", "smal/0"], "did you mean 'small'"),
        (["plan", "--config", str(tmp_path / "none.yaml")], "cannot read the configuration"),
        (["rum"], "did you mean 'run'"),
        (["run", "--config", str(config_file), "--profile", "nowhere"], "no profile folder"),
    ):
        assert main(["campaign", *words]) == 2
        error = capfd.readouterr().err
        assert error.count("\n") == 1 and text in error
    content["ensembles"]["small"] |= {"sampels": 3, "ranks": 0}
    config_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["campaign", "plan", "--config", str(config_file)]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3 and "2 problems" in lines[-1]
