"""Facts of a site come from `default-resources` of a profile and reach the jobs they are for."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from glassmodes.campaign.config import load_config
from glassmodes.campaign.costs import job_megabytes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(content, tmp_path):
    """Return the path of a configuration with a serial and a parallel ensemble."""
    large = content["ensembles"]["small"] | {"particles": 4000, "ranks": 2, "samples": 1}
    content["ensembles"]["large"] = large
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def planned_jobs(config, *facts):
    """Return what a dry run says about the preparation of `small` and of `large`."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--dry-run"]
    command += ["--printshellcmds", "--cores", "64", "--configfile", config]
    command += ["--default-resources", *facts] if facts else []
    command += ["--", "prepare"]
    result = subprocess.run(command, cwd=config.parent, capture_output=True, text=True)
    text = result.stdout + result.stderr
    assert result.returncode == 0, text
    jobs = re.split(r"\n(?=rule \w+:)", text)
    return [
        next(job for job in jobs if job.startswith(f"rule {rule}:"))
        for rule in ("prepare_batch", "prepare_batch_mpi")
    ]


def resource(job, name):
    """Return a resource of a job of a dry run."""
    found = re.search(rf"^    resources: (?:.*, )?{name}=([^,\n]+)", job, re.MULTILINE)
    return found and found[1]


def command_of(job):
    """Return what the job starts under supervision."""
    return re.search(r"supervise \S+ +(.*)", job)[1]


def test_without_a_profile_ranks_are_started_by_mpiexec(config):
    serial, parallel = planned_jobs(config)
    assert command_of(serial).startswith("glassmodes campaign prepare")
    assert command_of(parallel).startswith("mpiexec -n 2 glassmodes campaign prepare")
    assert resource(serial, "mpi") is None


def test_launcher_and_step_of_the_site(config):
    facts = ["launcher=srun --mpi=pmix -c {cores}", "step=srun -n1", "max_memory_mb=200"]
    serial, parallel = planned_jobs(config, *facts)
    assert resource(serial, "mem_mb") == resource(parallel, "mem_mb_per_cpu") == "200"
    assert command_of(serial).startswith("srun -n1 glassmodes")
    assert command_of(parallel).startswith("srun --mpi=pmix -c 1 -n 2 glassmodes")
    assert resource(serial, "mpi") is None, "a serial job is not an MPI job"
    assert resource(parallel, "mpi") == "srun --mpi=pmix -c 1"


def test_a_rank_that_needs_the_memory_of_several_cores_gets_them(config):
    facts = ["memory_per_core_mb=100", "launcher=srun -c {cores}", "step=srun -c {cores}"]
    serial, parallel = planned_jobs(config, *facts)
    checked = load_config(config)
    cores = math.ceil(job_megabytes(checked, "small", "prepare") / 100)
    assert cores > 1 and f"    threads: {cores}\n" in serial
    assert command_of(serial).startswith(f"srun -c {cores} glassmodes")
    needed = job_megabytes(checked, "large", "prepare")
    cores = math.ceil(needed / 100)
    assert resource(parallel, "cpus_per_task") == str(cores)
    assert f"    threads: {2 * cores}\n" in parallel
    assert command_of(parallel).startswith(f"srun -c {cores} -n 2 glassmodes")
    of_a_core = int(resource(parallel, "mem_mb_per_cpu"))
    assert of_a_core <= 100 and needed <= cores * of_a_core < needed + cores


def test_snakemake_beside_the_work_and_the_longest_wall_time(config):
    serial, parallel = planned_jobs(config, "overhead_mb=1000", "max_minutes=2")
    checked = load_config(config)
    assert int(resource(serial, "mem_mb")) == job_megabytes(checked, "small", "prepare") + 1000
    # the ranks of a job share what runs once in it
    needed = job_megabytes(checked, "large", "prepare") + 500
    assert int(resource(parallel, "mem_mb_per_cpu")) == needed
    assert resource(serial, "runtime") == resource(parallel, "runtime") == "2"
