"""Campaigns on a real Slurm of one node (`one_node`), with the shipped profiles.

Each scenario is a campaign in a folder of its own; they run at the same time, because a job of
the Slurm executor spends most of its time waiting.  A test asks one scenario for its outcome.
The profiles are the shipped ones but for their blocks of site facts.
"""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import yaml
from slurm import one_node
from slurm.one_node import PARTITION, NoSlurm, OneNode

from glassmodes.campaign.config import load_config
from glassmodes.campaign.manifest import build_manifest

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "workflow" / "profiles"
PATIENCE_S = 900
LONG = 2000
"""Samples of a batch that takes longer than a minute on any machine."""

FLAT = {
    "model": "ipl_2d",
    "particles": 100,
    "protocol": {"name": "instantaneous_quench", "temperature": 2.0, "equilibration_time": 5.0},
    "samples": 4,
    "batch_size": 4,
}
SOLID = {
    "model": "ipl_3d",
    "particles": 180,
    "protocol": {"name": "random_start"},
    "samples": 1,
    "batch_size": 1,
    "ranks": 2,
}
CONTENT = {
    "campaign": {"title": "tiny", "seed": 1},
    "ensembles": {"flat": FLAT, "solid": SOLID},
    "analyses": {"modes": {"count": 20}, "dipoles": {"count": 5}},
    "statistics": {"bootstrap_resamples": 50},
}
SITE = {
    "default-resources": {
        "slurm_partition": PARTITION,
        "launcher": "srun --mpi=pmix",
        "memory_per_core_mb": 4000,
        "overhead_mb": 400,
        "max_minutes": 60,
        "slurm_extra": "--signal=USR1@60",
    },
    "slurm-no-account": True,
    "slurm-status-command": "squeue",
    "slurm-init-seconds-before-status-checks": 1,
    "seconds-between-status-checks": 1,
    "jobs": 20,
    "latency-wait": 20,
}


def block_of_site(text):
    """Return what stands before, in and after the block of site facts of a profile."""
    before, _, rest = text.partition("# --- site facts")
    first, _, rest = rest.partition("\n")
    block, mark, after = rest.partition("\n# ------")
    assert first and mark, "the profile has no block of site facts"
    return before, block, f"# ------{after}"


class Campaign:
    """A tiny campaign in a folder of its own.

    Parameters
    ----------
    folder
        Made here.
    content
        The configuration.
    site
        Entries of `default-resources` that differ from `SITE`.
    """

    def __init__(self, folder, content, site=()):
        self.folder = folder
        self.results = folder / "results"
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        before, block, after = block_of_site((PROFILES / "slurm" / "config.yaml").read_text())
        facts = SITE | {"default-resources": SITE["default-resources"] | dict(site)}
        assert set(facts) <= set(yaml.safe_load(block)), "a site fact outside the block"
        (folder / "profile").mkdir()
        profile = f"{before}\n{yaml.safe_dump(facts)}\n{after}"
        (folder / "profile" / "config.yaml").write_text(profile, encoding="utf-8")

    @property
    def batches(self):
        """The batches, in the order of the configuration."""
        return build_manifest(load_config(self.folder / "config.yaml"))

    def start(self, *words, profile="profile"):
        """Start the run command and return its process."""
        command = [sys.executable, "-m", "glassmodes", "campaign", "run", "--config", "config.yaml"]
        command += ["--profile", str(profile), "--cores", "2", *words]
        self.output = self.folder / "output"
        with open(self.output, "wb") as output:
            # tests that are killed leave no campaign at work
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def finish(self):
        """Wait for the end of the run command, which must be a good one."""
        code = self.process.wait(timeout=PATIENCE_S)
        assert code == 0, self.tell()

    def tell(self):
        """Return what was printed, for messages."""
        log = self.results / "logs" / "snakemake.log"
        return self.output.read_text() + (log.read_text()[-6000:] if log.is_file() else "")

    def wait_for(self, condition):
        """Wait until `condition` holds, as long as the run command lives, and return its value."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            assert self.process.poll() is None, f"the run ended first\n{self.tell()}"
            assert time.monotonic() < deadline, f"it did not happen in time\n{self.tell()}"
            time.sleep(0.05)
        return value

    def slurm_jobs(self):
        """Return the numbers of the jobs that this campaign submitted, in their order."""
        log = self.results / "logs" / "snakemake.log"
        text = log.read_text() if log.is_file() else ""
        return [int(number) for number in re.findall(r"with SLURM jobid (\d+)", text)]

    def parts(self):
        """Return the finished samples of batches in work, with what tells one file from another."""
        found = {}
        for path in (self.results / "parts").rglob("[0-9]*.h5"):
            with contextlib.suppress(FileNotFoundError):  # merged since it was listed
                found[path.name] = path.stat().st_ino
        return found

    def parts_by_path(self):
        """Return the paths of the finished samples of batches in work."""
        return list((self.results / "parts").rglob("[0-9]*.h5"))

    def log(self, stage, number=0):
        """Return the log of the job of a batch; empty before there is one."""
        batch = self.batches[number]
        path = self.results / "logs" / stage / f"{batch.name}.log"
        return path.read_text() if path.is_file() else ""


def only_flat(**changes):
    """Return the configuration with the serial ensemble alone."""
    return CONTENT | {"ensembles": {"flat": FLAT | changes}}


def slow(samples):
    """Return the configuration of a batch of samples that take about half a second each."""
    protocol = FLAT["protocol"] | {"equilibration_time": 150.0}
    return only_flat(protocol=protocol, samples=samples, batch_size=samples)


def contents(folder, pattern="*"):
    """Return the content of files by relative path."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def is_over(slurm, number, *states):
    """Tell whether a job is in one of `states`."""
    return slurm.jobs().get(number) in states


def ended(slurm, number):
    """Tell whether Slurm has done with a job."""
    return slurm.jobs().get(number) not in ("PENDING", "RUNNING", "COMPLETING")


# --- the scenarios -----------------------------------------------------------------------------


def on_the_cluster(slurm, folder):
    """Everything to the tables, batches and ranks, through the executor."""
    campaign = Campaign(folder, CONTENT)
    campaign.start("tables")
    campaign.finish()
    jobs = [slurm.details(number) for number in campaign.slurm_jobs()]
    return campaign, jobs


def on_this_machine(slurm, folder):
    """The same campaign without Slurm."""
    campaign = Campaign(folder, CONTENT)
    campaign.start("tables", profile=PROFILES / "local")
    campaign.finish()
    return campaign


def inside_one_allocation(slurm, folder):
    """The same campaign inside one job, by the shipped script."""
    campaign = Campaign(folder, CONTENT)
    number = submit_allocation(slurm, campaign, "tables")
    wait_until(lambda: ended(slurm, number))
    return campaign, slurm.jobs()[number]


def told_inside_an_allocation(slurm, folder):
    """The allocation is told that its wall time ends, as --signal=B:USR1 does."""
    content = slow(LONG)
    content["ensembles"] |= {"solid": SOLID | {"particles": 400, "samples": LONG}}
    content["ensembles"]["solid"] |= {"batch_size": LONG}
    campaign = Campaign(folder, content)
    number = submit_allocation(slurm, campaign, "prepare")
    wait_until(lambda: all("done" in campaign.log("prepare", k) for k in (0, 1)))
    slurm.client("scancel", "--batch", "--signal=USR1", str(number))
    wait_until(lambda: ended(slurm, number))
    logs = [campaign.log("prepare", k) for k in (0, 1)]
    return campaign, slurm.details(number)["ExitCode"], logs


def submit_allocation(slurm, campaign, target):
    """Submit the shipped script with the shipped profile, and return the number of the job."""
    profile = PROFILES / "slurm-single-allocation"
    campaign.output = campaign.folder / "output"
    answer = slurm.client(
        *["sbatch", "--parsable", f"--chdir={campaign.folder}", f"--output={campaign.output}"],
        *[f"--partition={PARTITION}", "--ntasks=3", "--mem-per-cpu=1000", "--time=20"],
        *[str(profile / "campaign.sh"), "config.yaml", "--profile", str(profile), target],
    )
    return int(answer)


def wait_until(condition):
    """Wait until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def drained_and_cancelled(slurm, folder):
    """The node is drained and resumed; then the job is cancelled in the middle of its batch."""
    campaign = Campaign(folder, slow(12))
    slurm.client("scontrol", "update", f"nodename={slurm.host}", "state=drain", "reason=test")
    try:
        campaign.start("prepare")
        first = campaign.wait_for(campaign.slurm_jobs)[0]
        time.sleep(3)
        waiting = slurm.jobs()[first]
    finally:
        slurm.client("scontrol", "update", f"nodename={slurm.host}", "state=resume")
    campaign.wait_for(lambda: len(campaign.parts()) > 1)
    slurm.client("scancel", str(first))
    campaign.wait_for(lambda: ended(slurm, first))
    kept, state, log = campaign.parts(), slurm.jobs()[first], campaign.log("prepare")
    seen = {}

    def all_parts():
        seen.update(campaign.parts())
        return campaign.process.poll() is not None

    while not all_parts():
        time.sleep(0.02)
    campaign.finish()
    return campaign, waiting, state, kept, seen, log


def short_of_memory(slurm, folder):
    """The first attempt has less memory than Python takes."""
    campaign = Campaign(folder, only_flat())
    memory = "prepare_batch:mem_mb=150 * 6 ** (attempt - 1)"
    campaign.start("prepare", "--", "--set-resources", memory)
    campaign.finish()
    return campaign, [slurm.details(number) for number in campaign.slurm_jobs()]


def short_of_time(slurm, folder):
    """The first attempt, which nobody warns, waits for a lock until its minute is over."""
    campaign = Campaign(folder, only_flat(), {"slurm_extra": "--nice=0"})
    lock = campaign.batches[0].lock_path(campaign.results, "prepare")
    lock.parent.mkdir(parents=True)
    with open(lock, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        campaign.start("prepare", "--", "--set-resources", "prepare_batch:runtime=attempt")
        first = campaign.wait_for(campaign.slurm_jobs)[0]
        campaign.wait_for(lambda: is_over(slurm, first, "TIMEOUT"))
    campaign.finish()
    return campaign, [slurm.details(number) for number in campaign.slurm_jobs()]


def told_before_the_wall_time(slurm, folder):
    """A batch of more than the site allows is told; then the user has seen enough.

    Slurm looks every 30 s and tells what would otherwise hear of it less than 30 s before the
    end: after 60 to 90 s of the two minutes.
    """
    site = {"max_minutes": 2, "slurm_extra": "--signal=USR1@30"}
    campaign = Campaign(folder, slow(LONG), site)
    campaign.start("prepare")
    first = campaign.wait_for(lambda: log_of_a_stop(campaign))
    second = campaign.wait_for(lambda: log_of_another(campaign, first))
    campaign.process.send_signal(signal.SIGTERM)
    code = campaign.process.wait(timeout=PATIENCE_S)
    jobs = campaign.slurm_jobs()
    wait_until(lambda: all(ended(slurm, number) for number in jobs))
    return first, second, code, [slurm.jobs()[number] for number in jobs]


def log_of_a_stop(campaign):
    """Return the log of a job that was told at work and has ended, else nothing."""
    text = campaign.log("prepare")
    return text if "was asked to stop" in text and "exit code" in text else ""


def log_of_another(campaign, old):
    """Return the log of a later job once it says what it has to do, else nothing."""
    text = campaign.log("prepare")
    return text if "samples to do" in text and not text.startswith(old[:500]) else ""


def left_by_a_kill(slurm, folder):
    """The run command is killed while its job is at work; then it is simply run again."""
    campaign = Campaign(folder, slow(12))
    campaign.start("prepare")
    first = campaign.wait_for(campaign.slurm_jobs)[0]
    campaign.wait_for(lambda: len(campaign.parts()) > 1)
    campaign.process.send_signal(signal.SIGKILL)
    campaign.process.wait()
    campaign.start("prepare")
    campaign.finish()
    return campaign, slurm.jobs()[first], campaign.log("prepare")


# --- the tests ---------------------------------------------------------------------------------


START = [sys.executable, one_node.__file__, "start"]


def test_what_a_killed_test_run_left_is_cleared():
    start_or_skip().stop()
    # the daemons of `start` have lost the process that asked for them
    result = subprocess.run(START, capture_output=True, text=True, check=True)
    folder = result.stdout.strip()
    assert len(one_node.processes_with(folder)) == 3
    start_or_skip().stop()
    assert not one_node.processes_with(folder) and not Path(folder).exists()
    assert not [name for name in one_node.LINKED if (one_node.SITE_FOLDER / name).is_symlink()]


def test_a_configuration_of_the_machine_is_left_alone(tmp_path, monkeypatch):
    start_or_skip().stop()
    (tmp_path / "slurm.conf").write_text("ClusterName=real")
    monkeypatch.setattr(one_node, "SITE_FOLDER", tmp_path)
    with pytest.raises(NoSlurm, match="has a Slurm of its own"):
        OneNode.start()
    assert [path.name for path in tmp_path.iterdir()] == ["slurm.conf"]


def test_two_test_runs_do_not_meet(slurm):
    result = subprocess.run(START, capture_output=True, text=True)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
    assert f"process {os.getpid()}" in result.stderr
    assert slurm.state() in ("idle", "mixed", "allocated")


def start_or_skip():
    """Return a running Slurm."""
    try:
        return OneNode.start()
    except NoSlurm as reason:
        pytest.skip(f"no Slurm: {reason}")


@pytest.fixture(scope="module")
def slurm():
    """Return a running Slurm."""
    with start_or_skip() as node:
        yield node


@pytest.fixture(scope="module")
def outcome(slurm, request, tmp_path_factory):
    """Return a function that waits for a scenario; those that are needed have been started."""
    wanted = [item.get_closest_marker("scenarios") for item in request.session.items]
    chosen = dict.fromkeys(name for marker in wanted if marker for name in marker.args)
    folder = tmp_path_factory.mktemp("slurm")
    with ThreadPoolExecutor(len(chosen)) as pool:
        running = {one: pool.submit(globals()[one], slurm, folder / one) for one in chosen}
        yield lambda name: running[name].result()


def is_clean(campaign):
    """Tell whether no part file is left."""
    return not list((campaign.results / "parts").rglob("*.h5"))


@pytest.mark.scenarios("on_the_cluster", "on_this_machine")
def test_the_tables_are_those_of_a_local_run(outcome):
    (cluster, jobs), local = outcome("on_the_cluster"), outcome("on_this_machine")
    assert [job["JobState"] for job in jobs] == ["COMPLETED"] * 5
    assert sorted(job["NumTasks"] for job in jobs) == ["1", "1", "1", "2", "2"]
    check_same_results(cluster, local)
    assert is_clean(cluster)


@pytest.mark.scenarios("inside_one_allocation", "on_this_machine")
def test_one_allocation_gives_the_same_tables(outcome):
    (inside, state), local = outcome("inside_one_allocation"), outcome("on_this_machine")
    assert state == "COMPLETED", inside.tell()
    check_same_results(inside, local)


@pytest.mark.scenarios("told_inside_an_allocation")
def test_an_allocation_stops_its_batches_before_its_wall_time(outcome):
    campaign, code, logs = outcome("told_inside_an_allocation")
    assert code == "130:0", campaign.tell()
    for log in logs:  # of a serial batch, and of one of two ranks
        assert "was asked to stop" in log and "exit code 75" in log, log
    done = sum(len(re.findall(r"sample \d+ done", log)) for log in logs)
    assert len(campaign.parts_by_path()) == done


def check_same_results(one, other):
    """Serial batches promise bytes, several ranks the solver's tolerance."""
    for kind in ("samples", "analyses"):
        expected = contents(other.results / kind, "flat/**/*.h5")
        assert expected and contents(one.results / kind, "flat/**/*.h5") == expected
    tables = contents(other.results / "tables", "*.csv")
    assert set(contents(one.results / "tables", "*.csv")) == set(tables)
    for name in tables:
        mine, theirs = (
            pd.read_csv(each.results / "tables" / name, comment="#") for each in (one, other)
        )
        if "ensemble" in mine:
            serial = [table[table["ensemble"] == "flat"] for table in (mine, theirs)]
            pd.testing.assert_frame_equal(*serial, check_exact=True, obj=name)
        # certified eigenpairs to 1e-8, times the curvature of what is derived from them
        pd.testing.assert_frame_equal(mine, theirs, check_exact=False, rtol=1e-5, atol=1e-8)


@pytest.mark.scenarios("drained_and_cancelled")
def test_a_drained_node_and_a_cancelled_job_cost_nothing_but_time(outcome):
    campaign, waiting, state, kept, seen, log = outcome("drained_and_cancelled")
    assert waiting == "PENDING", "a drained node takes no job"
    assert state == "CANCELLED"
    assert "was asked to stop" in log and len(kept) > 1
    done_again = {name for name, inode in kept.items() if seen[name] != inode}
    assert not done_again, "finished samples were computed twice"
    assert f"{12 - len(kept)} of 12 samples to do" in campaign.log("prepare")
    assert is_clean(campaign)


@pytest.mark.scenarios("short_of_memory")
def test_a_job_that_runs_out_of_memory_gets_more(outcome):
    campaign, (first, *_, last) = outcome("short_of_memory")
    assert first["JobState"] in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")
    assert (first["MinMemoryNode"], last["MinMemoryNode"]) == ("150M", "900M")
    assert last["JobState"] == "COMPLETED" and is_clean(campaign)


@pytest.mark.scenarios("short_of_time")
def test_a_job_that_runs_out_of_time_gets_more(outcome):
    campaign, (first, *_, last) = outcome("short_of_time")
    assert (first["JobState"], last["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert (first["TimeLimit"], last["TimeLimit"]) == ("00:01:00", "00:02:00")
    assert is_clean(campaign)


@pytest.mark.scenarios("told_before_the_wall_time")
def test_a_batch_stops_before_its_wall_time_and_goes_on(outcome):
    first, second, code, states = outcome("told_before_the_wall_time")
    assert "exit code 75" in first
    done = len(re.findall(r"sample \d+ done", first))
    assert 0 < done < LONG
    assert f"{LONG - done} of {LONG} samples to do" in second, "one was lost or computed twice"
    # a run that is asked to stop takes its jobs along
    assert code == 130 and states[-1] == "CANCELLED" and set(states[:-1]) == {"FAILED"}


@pytest.mark.scenarios("left_by_a_kill")
def test_a_killed_run_leaves_no_job_that_works_beside_the_next(outcome):
    campaign, state, log = outcome("left_by_a_kill")
    assert state == "CANCELLED"
    assert "took jobs of a run that was killed out of the queue" in campaign.output.read_text()
    todo = int(re.search(r"(\d+) of 12 samples to do", log)[1])
    assert todo < 11 and log.count("exit code 0") == 1
    assert is_clean(campaign)
