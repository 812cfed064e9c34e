"""Profiles for PBS, SGE and LSF: stub schedulers take a tiny campaign from dry run to tables."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from glassmodes.campaign import cluster_jobs
from glassmodes.campaign import run as run_module
from glassmodes.campaign.cluster_dialects import DIALECTS, Job, Site
from glassmodes.campaign.config import check_config
from glassmodes.campaign.run import RunRequest

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "workflow" / "profiles" / "cluster-generic"
CONTENT = {
    "campaign": {"title": "tiny", "seed": 1},
    "ensembles": {
        "flat": {
            "model": "ipl_2d",
            "particles": 100,
            "protocol": {"name": "random_start"},
            "samples": 2,
            "batch_size": 2,
            "analyses": [],
        }
    },
    "statistics": {"bootstrap_resamples": 20},
}
PROGRAMS = {
    "pbs": ("qsub", "qstat", "qdel"),
    "sge": ("qsub", "qstat", "qdel"),
    "lsf": ("bsub", "bjobs", "bkill"),
}


class Cluster:
    """A stub scheduler, a profile for it and a folder for campaigns."""

    def __init__(self, folder, dialect):
        self.folder, self.queue = folder / "work folder", folder / "queue"
        self.folder.mkdir()
        self.queue.mkdir()
        self.fact("dialect", dialect)
        for name in PROGRAMS[dialect]:
            program = folder / "bin" / name
            program.parent.mkdir(exist_ok=True)
            stub = Path(__file__).with_name("stub_scheduler.py")
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {stub} {name} "$@"\n')
            program.chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "STUB_QUEUE": str(self.queue),
            "GLASSMODES_MARK": "kept: it's $HOME",
        }
        self.profile = folder / "site"
        self.profile.mkdir()
        (self.profile / "cancel.sh").symlink_to(PROFILE / "cancel.sh")
        (self.profile / "config.yaml").write_text(shipped(dialect))

    def fact(self, name, text):
        (self.queue / name).write_text(text)

    def command(self, *words):
        start = [sys.executable, "-m", "glassmodes", "campaign", "run", "--config", "c.yaml"]
        return [*start, "--profile", str(self.profile), "--cores", "2", *words]

    def run(self, *words, content=CONTENT, code=0):
        (self.folder / "c.yaml").write_text(yaml.safe_dump(content))
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == code, done.stdout + done.stderr + self.log
        return done

    @property
    def log(self):
        path = self.folder / "results" / "logs" / "snakemake.log"
        return path.read_text() if path.exists() else ""

    @property
    def submissions(self):
        return len(list(self.queue.glob("*.script")))


def shipped(dialect):
    """Return the shipped profile with the command of one scheduler, for a hasty test."""
    lines = (PROFILE / "config.yaml").read_text().splitlines()
    start = "cluster-generic-submit-cmd: "
    lines = [
        line.lstrip("#") + " --grace 1.5"
        if f"submit {dialect} " in line
        else "#" + line
        if line.startswith(start)
        else line
        for line in lines
    ]
    assert sum(line.startswith(start) for line in lines) == 1
    text = "\n".join(lines) + "\n"
    return text.replace("seconds-between-status-checks: 30", "seconds-between-status-checks: 1")


@pytest.mark.parametrize("dialect", PROGRAMS)
def test_a_campaign_comes_to_its_tables(dialect, tmp_path):
    cluster = Cluster(tmp_path, dialect)
    content = CONTENT
    if dialect == "pbs":  # ranks, one of the jobs lost, and a queue that lets jobs wait
        ensemble = CONTENT["ensembles"]["flat"] | {"ranks": 3, "analyses": ["moduli"]}
        content = CONTENT | {"ensembles": {"flat": ensemble}}
        cluster.fact("vanish", "1")
        cluster.fact("delay", "2")
    cluster.run("tables", content=content)
    name = "moduli.csv" if dialect == "pbs" else "samples.csv"
    rows = (cluster.folder / "results" / "tables" / name).read_text().splitlines()
    assert len(rows) == 3
    assert cluster.submissions == (4 if dialect == "pbs" else 2)
    assert not list(cluster.queue.glob("*.state")), "nothing is left in the queue"
    assert not list((cluster.folder / ".snakemake" / "cluster").glob("*.sh"))


def test_a_failing_job_is_tried_again_and_named(tmp_path):
    cluster = Cluster(tmp_path, "sge")
    # Twelve particles fill a box that is smaller than twice the cutoff.
    ensemble = CONTENT["ensembles"]["flat"] | {"particles": 12}
    content = CONTENT | {"ensembles": {"flat": ensemble}}
    text = cluster.profile.joinpath("config.yaml").read_text()
    cluster.profile.joinpath("config.yaml").write_text(text.replace("retries: 3", "retries: 1"))
    done = cluster.run("prepare", content=content, code=1)
    assert "results/logs/prepare/flat/000000-000001.log" in done.stderr
    assert cluster.submissions == 2


def deaf_to_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_an_interrupted_run_takes_its_jobs_out_of_the_queue(tmp_path):
    cluster = Cluster(tmp_path, "lsf")
    cluster.fact("delay", "600")
    (cluster.folder / "c.yaml").write_text(yaml.safe_dump(CONTENT))
    with open(tmp_path / "output", "wb") as output:
        run = subprocess.Popen(
            cluster.command("prepare"),
            cwd=cluster.folder,
            env=cluster.environment,
            stdout=output,
            stderr=output,
            preexec_fn=deaf_to_interrupts,  # as what a script starts in the background
        )
        wait_for(lambda: "Submitted job" in cluster.log or run.poll() is not None, 300)
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=300) == 130, (tmp_path / "output").read_text() + cluster.log
    wait_for((cluster.queue / "ended").exists)
    assert not list(cluster.queue.glob("*.state"))


# --- one job at a time, without Snakemake ----------------------------------------------------


def jobscript(folder, command, **properties):
    """Write what Snakemake hands to the submit command."""
    known = {"rule": "prepare_batch", "jobid": 7, "threads": 1, "wildcards": {"batch": "0-1"}}
    resources = {"mem_mb": 1500, "runtime": 90} | properties.pop("resources", {})
    text = json.dumps(known | {"resources": resources} | properties)
    path = folder / "job script.sh"
    path.write_text(f"#!/bin/sh\n# properties = {text}\n{command} && exit 0 || exit 1\n")
    return path


@pytest.fixture(params=sorted(PROGRAMS))
def cluster(request, tmp_path, monkeypatch):
    """Return a stub scheduler whose programs this process finds, in its work folder."""
    made = Cluster(tmp_path, request.param)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.folder)
    made.dialect = request.param
    return made


def submitted(cluster, command, grace=0.5):
    path = jobscript(cluster.folder, command)
    return cluster_jobs.submit(cluster.dialect, Site(), grace, path)


def final(identifier, seconds=60):
    """Ask until a job has ended and return what is said then."""
    deadline = time.monotonic() + seconds
    while (said := cluster_jobs.status(identifier)) == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return said


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_job_runs_where_and_with_what_it_was_submitted(cluster):
    cluster.fact("delay", "0.3")
    identifier = submitted(cluster, 'echo "$GLASSMODES_MARK" > mark')
    assert cluster_jobs.status(identifier) == "running"
    assert final(identifier) == "success"
    assert Path("mark").read_text() == "kept: it's $HOME\n"


def test_a_job_that_fails_has_failed_and_stays_so(cluster):
    identifier = submitted(cluster, "exit 5")
    assert final(identifier) == "failed"
    assert cluster_jobs.status(identifier) == "failed"


def test_a_job_that_vanishes_has_failed_after_the_grace_time(cluster, capsys):
    cluster.fact("vanish", "1")
    identifier = submitted(cluster, "true", grace=0.5)
    start = time.monotonic()
    assert cluster_jobs.status(identifier) == "running"
    assert final(identifier) == "failed"
    assert time.monotonic() - start >= 0.5
    assert "left the queue without an exit code" in capsys.readouterr().err


def test_jobs_run_while_the_scheduler_does_not_answer(cluster):
    cluster.fact("vanish", "1")
    identifier = submitted(cluster, "true", grace=0.1)
    cluster.fact("silent", "yes")
    for _ in range(4):
        assert cluster_jobs.status(identifier) == "running"
        time.sleep(0.1)
    cluster.fact("silent", "")
    assert final(identifier) == "failed"


def test_cancelled_jobs_end(cluster):
    identifier = submitted(cluster, "sleep 60")
    wait_for(lambda: [p for p in cluster.queue.glob("*.state") if p.read_text() == "R"])
    cluster_jobs.cancel([identifier, "12:unknown"])
    assert final(identifier) == "failed"


def test_a_job_of_a_killed_run_is_ended_before_its_successor_is_submitted(cluster):
    first = submitted(cluster, "sleep 60")
    assert cluster_jobs.status(first) == "running"
    second = submitted(cluster, "true")
    assert final(second) == "success"
    wait_for((cluster.queue / "ended").exists)
    assert json.loads((cluster.queue / "ended").read_text()) == "1"


def test_signals_before_the_wall_time_reach_only_who_waits_for_them(cluster):
    """As glassmodes and its supervisor do, a child that sets a handler gets it."""
    child = "import signal, sys; signal.signal(10, lambda *_: sys.exit(75)); "
    child += "open('ready', 'w').close(); signal.pause()"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(child)}; echo $? > code; test -s code"
    identifier = submitted(cluster, command)
    wait_for(Path("ready").exists)
    os.killpg(int((cluster.queue / "1.pid").read_text()), 0)
    script = int((cluster.queue / "1.pid").read_text())
    for pid in members(script):
        if pid != script:
            os.kill(pid, 10)
    assert final(identifier) == "success"
    assert Path("code").read_text() == "75\n"


def members(group):
    """Return the processes of a process group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == group:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


# --- what is asked of the schedulers, and what their answers mean ----------------------------

MPI = Job("gm1-analyse", tasks=16, cores=2, megabytes=6000, minutes=90, log=Path("/w/t.log"))


def test_requests_in_the_words_of_each_scheduler():
    site = Site(queue="long", account="glass", options=("-l", "feature=fast"))
    pbs = shlex.join(DIALECTS["pbs"].submit(MPI, site))
    assert "-l select=16:ncpus=2:mpiprocs=1:mem=6000mb -l walltime=01:30:00" in pbs
    assert pbs.endswith("-q long -A glass -l feature=fast")
    sge = shlex.join(DIALECTS["sge"].submit(MPI, site))
    assert "-l h_rt=5400,s_rt=5280 -l h_vmem=3000M -pe mpi 32 -q long -P glass" in sge
    lsf = shlex.join(DIALECTS["lsf"].submit(MPI, site))
    assert "-W 90 -wa USR1 -wt 2 -n 32 -M 96000 -R 'rusage[mem=96000]' -q long -P glass" in lsf
    task = DIALECTS["lsf"].submit(MPI, Site(memory_of="task", memory_unit="GB"))
    assert task[task.index("-M") + 1] == "6"


def test_memory_and_time_come_from_the_rule(tmp_path):
    script = jobscript(tmp_path, "true", threads=3)
    serial = cluster_jobs.describe(cluster_jobs.read_properties(script), Path("l"))
    assert (serial.tasks, serial.cores, serial.megabytes, serial.minutes) == (1, 3, 1500, 90)
    resources = {"tasks": 4, "cpus_per_task": 2, "mem_mb_per_cpu": 700, "mpi": "mpiexec"}
    script = jobscript(tmp_path, "true", threads=8, resources=resources)
    ranks = cluster_jobs.describe(cluster_jobs.read_properties(script), Path("l"))
    assert (ranks.tasks, ranks.cores, ranks.megabytes, ranks.slots) == (4, 2, 1400, 8)
    assert ranks.name == "gm7-prepare_bat"


def test_answers_of_schedulers():
    openpbs = """
server:
                                                            Req'd  Req'd   Elap
Job ID          Username Queue    Jobname    SessID NDS TSK Memory Time  S Time
--------------- -------- -------- ---------- ------ --- --- ------ ----- - -----
1234.server     me       workq    gm1-prepar  11225   1   1    1gb 01:00 R 00:02
99.server       me       workq    gm2-analys    --    1   1    1gb 01:00 Q   --
"""
    assert DIALECTS["pbs"].states(openpbs) == {"1234": "R", "99": "Q"}
    assert DIALECTS["pbs"].number("1234.server-2.site\n") == "1234.server-2.site"
    sge = """job-ID  prior   name       user         state submit/start at     queue   slots
--------------------------------------------------------------------------------
      9 0.55500 gm1-prepar me           Eqw   11/21/2026 10:00:00              1
     10 0.55500 gm2-prepar me           r     11/21/2026 10:00:00 all.q@node1  1
"""
    assert DIALECTS["sge"].states(sge) == {"9": "Eqw", "10": "r"}
    assert DIALECTS["sge"].number("Warning: no queue given\n10\n") == "10"
    assert DIALECTS["lsf"].states("77 RUN\n78 EXIT\n") == {"77": "RUN", "78": "EXIT"}
    assert DIALECTS["lsf"].number("Job <77> is submitted to queue <normal>.\n") == "77"
    assert DIALECTS["lsf"].number("Request aborted by esub. Job not submitted.\n") == ""


def test_a_refused_submission_says_what_was_asked(tmp_path, monkeypatch, capsys):
    (tmp_path / "qsub").write_text("#!/bin/sh\necho 'qsub: unknown queue' >&2\nexit 168\n")
    (tmp_path / "qsub").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    script = str(jobscript(tmp_path, "true"))
    assert cluster_jobs.main(["submit", "pbs", "--queue", "nowhere", script]) == 1
    said = capsys.readouterr()
    assert "-q nowhere: exit code 168" in said.err and said.out == ""


def test_one_machine_is_told_its_memory_and_a_cluster_is_not(content, monkeypatch):
    monkeypatch.delenv("GLASSMODES_MEMORY_GB", raising=False)
    config = check_config(content)

    def words(**options):
        command = run_module._command(config, RunRequest(Path("c.yaml"), **options))
        return [word for word in command if word.startswith("mem_mb=")]

    (given,) = words()
    assert 0 < int(given.removeprefix("mem_mb=")) < 10**9
    assert len(words(profile=ROOT / "workflow" / "profiles" / "local")) == 1
    assert words(profile=PROFILE) == []
    assert words(extra=["--resources", "mem_mb=500"]) == ["mem_mb=500"]
    monkeypatch.setenv("GLASSMODES_MEMORY_GB", "1")
    assert words() == []


def test_the_shipped_profile_can_be_used_as_it_is():
    assert os.stat(PROFILE / "cancel.sh").st_mode & stat.S_IXUSR
    for dialect in PROGRAMS:
        profile = yaml.safe_load(shipped(dialect))
        words = shlex.split(profile["cluster-generic-submit-cmd"])
        assert words[:4] == ["python", "-m", "glassmodes.campaign.cluster_jobs", "submit"]
        assert profile["executor"] == "cluster-generic" and profile["rerun-incomplete"]
