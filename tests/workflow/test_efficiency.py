"""What jobs used against what they had asked for, and the plan that says it before."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from glassmodes.campaign import costs, disk
from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.benchmark_files import read_uses
from glassmodes.campaign.config import check_config
from glassmodes.campaign.efficiency import COLUMNS, SINGLE_JOBS, measure_jobs, summarise
from glassmodes.campaign.manifest import batches_of
from glassmodes.campaign.plan import describe_plan, render_plan
from glassmodes.campaign.site_profile import Limits, jobs_at_a_time, read_limits
from glassmodes.campaign.usage import read_usage, usage_path, write_usage
from glassmodes.cli import main
from glassmodes.errors import InputError

PLAIN = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
FULL = PLAIN + "\tjobid\trule_name\twildcards\tparams\tthreads\tcpu_usage\tresources\tinput_size_mb"


def write_use(results, name, seconds, memory, cpu, resources=None):
    """Write a benchmark file as Snakemake does, with or without its long form."""
    path = results / "benchmarks" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = [seconds, "0:00:01", memory, 0, 0, 0, 0, 0, 50.0, cpu]
    head = PLAIN
    if resources is not None:
        head = FULL
        row += [3, "prepare_batch", "{}", "{}", 1, 9.0, resources, "{}"]
    path.write_text(f"{head}\n" + "\t".join(map(str, row)) + "\n", encoding="utf-8")


def test_used_is_compared_with_what_the_job_itself_had_asked_for(config):
    """The second attempt of a job asks for more than the model does."""
    first = {"runtime": 5, "mem_mb": 400, "mem": "400 MB"}
    second = {"runtime": 10, "mem_mb": 800, "mem": "800 MB"}
    write_use(config.results, "prepare/small/000000-000002", 150.0, 300.0, 75.0, first)
    write_use(config.results, "prepare/small/000003-000004", 150.0, 600.0, 150.0, second)
    (row,) = summarise(measure_jobs(config))
    assert row["jobs"] == 2 and row["ensemble"] == "small"
    assert row["time_used"] == pytest.approx(0.5)
    assert row["minutes_asked"] == 5
    assert row["memory_part"] == pytest.approx(0.75)
    assert row["memory_used_most"] == 600
    assert row["processor_used"] == pytest.approx(0.75)
    assert row["core_hours"] == pytest.approx(300 / 3600, rel=1e-3)
    assert set(row) == {name for name, *_ in COLUMNS}


def test_ranks_count_together(content):
    content["ensembles"]["small"]["ranks"] = 2
    config = check_config(content)
    asked = {"runtime": 5, "mem_mb_per_cpu": 250, "tasks": 2, "cpus_per_task": 2}
    write_use(config.results, "analyse/small/000000-000002", 60.0, 500.0, 60.0, asked)
    write_use(config.results, "analyse/small/000003-000004", 60.0, 500.0, 60.0)
    found = {job.use.batch: job for job in measure_jobs(config)}
    assert found["000000-000002"].asked_megabytes == 1000
    plain = found["000003-000004"].asked_megabytes
    assert plain == 2 * costs.job_megabytes(config, "small", "analyse")
    (row,) = summarise(found.values())
    assert row["processor_used"] == pytest.approx(0.5)
    assert row["core_hours"] == pytest.approx(2 * 120 / 3600, rel=1e-3)


def test_ranks_that_snakemake_does_not_see_tell_their_own_use(content, comm_self):
    """As under srun: the benchmark file knows the launcher only."""
    content["ensembles"]["small"] |= {"ranks": 2, "analyses": ["windows"]}
    content["analyses"]["windows"] = {"between": [1.0, 2.0], "slices": 2}
    config = check_config(content)
    for stage in ("prepare", "windows"):
        name = f"{stage}/small/000000-000002{'.001' * (stage == 'windows')}"
        write_use(config.results, name, 100.0, 25.0, 0.1)
    for stage in ("prepare", "windows-001"):
        path = usage_path(config.results, stage, "small", "000000-000002")
        path.parent.mkdir(parents=True)
        path.write_text("ranks,megabytes,cpu_seconds\n2,300.0,150.0\n", encoding="utf-8")
    rows = summarise(measure_jobs(config))
    assert [row["memory_used"] for row in rows] == [600.0, 600.0]
    assert [row["processor_used"] for row in rows] == [0.75, 0.75]
    # The account of this process: no less than an array that it holds.
    array = np.ones(30_000_000)
    own = config.results / "own.csv"
    write_usage(comm_self, own)
    found = read_usage(own)
    assert found.ranks == 1 and found.megabytes > array.nbytes / 1e6 and found.cpu_seconds > 0
    own.write_text("ranks,megabytes,cpu_seconds\n2,nan,1\n", encoding="utf-8")
    assert read_usage(own) is None


def test_broken_and_foreign_benchmark_files_are_left_out(config, tmp_path):
    write_use(config.results, "prepare/small/000000-000002", 10.0, "NA", "NA")
    write_use(config.results, "prepare/small/000000-000001", 10.0, 100.0, 9.0)  # of no batch now
    write_use(config.results, "prepare/gone/000000-000002", 10.0, 100.0, 9.0)
    write_use(config.results, "windows/small/000000-000002.000", 10.0, 100.0, 9.0)
    write_use(config.results, "tables", 10.0, 100.0, 9.0, "__import__('os').abort()")
    folder = config.results / "benchmarks" / "prepare" / "small"
    for k, text in enumerate((b"", b"s\n", b"\xff\xfe\x00", b"s\tmax_rss\tcpu_time\nx\ty\tz\n")):
        (folder / f"00000{k + 3}-000009.tsv").write_bytes(text)
    assert len(read_uses(config.results)) == 5
    jobs = measure_jobs(config)
    assert [(job.use.stage, job.use.batch) for job in jobs] == [
        ("tables", ""),
        ("prepare", "000000-000002"),
    ]
    rows = summarise(jobs)
    assert [row["stage"] for row in rows] == ["prepare", "tables"]
    assert rows[0]["memory_part"] is None and rows[0]["processor_used"] == 0.0


def test_single_jobs_ask_for_what_the_rules_say():
    folder = Path(__file__).parents[2] / "workflow" / "rules"
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.smk")))
    rules = dict(re.findall(r"benchmark:\s+f.*?/(\w+)\.tsv\"(.*?)shell:", text, re.S))
    for name, (megabytes, minutes) in SINGLE_JOBS.items():
        assert f"attempt: {megabytes} * attempt" in rules[name]
        assert f"attempt: {minutes} * attempt" in rules[name]


def test_efficiency_is_a_table_and_a_page(content, tmp_path, capfd):
    config = check_config(content)
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    words = ["campaign", "efficiency", "--config", str(path)]
    assert main(words) == 2
    assert "no finished job" in capfd.readouterr().err
    write_use(config.results, "prepare/small/000000-000002", 60.0, 100.0, 54.0)
    assert main(words) == 0
    page = capfd.readouterr().out
    assert "prepare   small" in page and "processors busy 90%" in page
    with open(config.results / "efficiency.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == [name for name, *_ in COLUMNS]
    assert main([*words, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["rows"][0]["jobs"] == 1


def test_plan_adds_up(content):
    content["ensembles"]["large"] = content["ensembles"]["small"] | {
        "particles": 4000,
        "samples": 40,
        "ranks": 2,
    }
    content["analyses"]["windows"] = {"between": [1.0, 2.0], "slices": 3}
    content["ensembles"]["small"]["analyses"] = ["windows"]
    config = check_config(content)
    plan = describe_plan(config, cores=2)
    stages = [s for e in plan["ensembles"].values() for s in e["stages"].values()]
    assert plan["jobs"] == sum(s["jobs"] for s in stages) == 2 + 2 * 3 + 2 * 14
    assert plan["core_hours"] == pytest.approx(sum(s["core_hours"] for s in stages), rel=0.02)
    assert set(plan["ensembles"]["small"]["stages"]) == {"prepare", "windows"}
    work = sum(
        costs.batch_seconds(config, batch, stage)
        for name in config.ensembles
        for batch in batches_of(config, name)
        for stage in plan["ensembles"][name]["stages"]
    )
    starts = sum(s["jobs"] * s["ranks"] for s in stages) * costs.start_seconds()
    assert 3600 * plan["core_hours"] == pytest.approx(work + starts, rel=0.01)
    assert plan["largest_job"]["memory_mb"] == 2 * plan["ensembles"]["large"]["memory_mb"]
    # Never faster than all cores busy, never slower than one job after the other.
    assert work / 2 <= 3600 * 1.01 * plan["hours_on_cores"] <= 1.03 * (work + starts)
    page = render_plan(plan)
    assert "jobs         36 for 45 samples" in page and "on 2 cores" in page


def test_plan_names_what_a_site_does_not_give(content):
    content["ensembles"]["small"] |= {"particles": 100_000, "samples": 500, "batch_size": 100}
    plan = describe_plan(check_config(content), limits=Limits(minutes=60, megabytes=1000))
    stages = plan["ensembles"]["small"]["stages"].values()
    assert all(s["minutes"] <= 60 and s["memory_mb"] <= 1000 for s in stages)
    text = " ".join(plan["notes"])
    assert "60 minutes of the site" in text and "1000 MB of the site" in text
    # What it advises is a batch of half an hour at most.
    advised = re.findall(
        r"small, (\w+): a batch may need .* batch_size (\d+) ", "\n".join(plan["notes"])
    )
    assert advised
    each = max(s["seconds_a_sample"] for s in stages)
    for _, size in advised:
        assert 0.9 * 1800 < int(size) * each < 1.01 * 1800 or size == "1"


def test_disk_estimate_is_what_the_files_take(content, work, comm_self):
    """Samples within 15 %, records within a half: small files are mostly structure."""
    content["ensembles"]["small"] |= {"particles": 400, "samples": 16, "batch_size": 8}
    content["analyses"] = {"modes": {"count": 4}, "dipoles": {"count": 4}}  # of the synthetic work
    config = check_config(content)
    for batch in batches_of(config, "small"):
        prepare_batch(comm_self, config, batch)
        analyse_batch(comm_self, config, batch)
    folder = config.results / "samples" / "small"
    found = sum(path.stat().st_size for path in folder.glob("*.h5"))
    assert disk.samples_bytes(config, "small") == pytest.approx(found, rel=0.15)
    for kind in config.analyses_of("small"):
        paths = (config.results / "analyses" / "small").glob(f"*/{kind}.h5")
        found = sum(path.stat().st_size for path in paths)
        assert disk.analysis_bytes(config, "small", kind) == pytest.approx(found, rel=0.5)


@pytest.mark.parametrize(
    ("text", "limits", "jobs"),
    [
        ("executor: slurm\njobs: 70\n", Limits(), 70),
        (
            "executor: slurm\njobs: 70\ndefault-resources:\n  max_minutes: 90\n"
            "  max_memory_mb: 5000\n  overhead_mb: 300\n",
            Limits(90, 5000, 300),
            70,
        ),
        ("default-resources: [max_minutes=90, mem_mb=100]\n", Limits(90), 3),
        ("[]", Limits(), 3),
    ],
)
def test_limits_stand_in_the_profile(tmp_path, text, limits, jobs):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert read_limits(tmp_path) == limits
    assert jobs_at_a_time(3, tmp_path) == jobs
    assert jobs_at_a_time(3, None) == 3


@pytest.mark.parametrize("value", ["two hours", "[1]", "{a: 1}"])
def test_a_limit_that_is_no_number_is_refused(tmp_path, value):
    text = f"default-resources:\n  max_minutes: {value}\n"
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="max_minutes"):
        read_limits(tmp_path)


def test_no_profile_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no profile folder"):
        read_limits(tmp_path / "none")
