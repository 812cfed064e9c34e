"""Every shipped configuration and profile makes a valid plan of jobs, and computes nothing."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from glassmodes.campaign.config import load_config
from glassmodes.campaign.manifest import build_manifest
from glassmodes.campaign.products import FIGURE_NEEDS

ROOT = Path(__file__).parents[2]
PROFILES = [path.name for path in sorted((ROOT / "workflow" / "profiles").iterdir())]
CAMPAIGNS = sorted((ROOT / "config" / "campaigns").glob("*.yaml"))


def snakemake(folder, config, profile, *words):
    """Run Snakemake in `folder` without computing anything."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--configfile", config, "--cores", "2", "--quiet", "rules"]
    command += ["--workflow-profile", ROOT / "workflow" / "profiles" / profile, *words]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def dry_run(folder, config, profile="local", *words):
    """Return the numbers of jobs by rule of a dry run in `folder`."""
    result = snakemake(folder, config, profile, "--dry-run", *words)
    text = result.stdout + result.stderr
    statistics = text[text.index("Job stats:") :] if "Job stats:" in text else ""
    statistics = statistics.partition("\n\n")[0]
    rows = re.findall(r"^(\w+) +(\d+)$", statistics, re.MULTILINE)
    return Counter({rule: int(count) for rule, count in rows if rule != "total"})


def batches_by_kind(config):
    """Return the number of serial and of parallel batches."""
    checked = load_config(config)
    parallel = sum(checked.ensembles[b.ensemble].ranks > 1 for b in build_manifest(checked))
    return len(build_manifest(checked)) - parallel, parallel


@pytest.mark.parametrize("profile", PROFILES)
def test_default_campaign(profile, tmp_path):
    jobs = dry_run(tmp_path, ROOT / "config" / "config.yaml", profile)
    serial, parallel = batches_by_kind(ROOT / "config" / "config.yaml")
    assert (jobs["prepare_batch"], parallel) == (serial, 0)
    assert jobs["analyse_batch_modes_moduli_dipoles"] == serial
    assert jobs["write_tables"] == jobs["write_fits"] == jobs["write_report"] == 1
    assert not (tmp_path / "results").exists(), "a dry run writes nothing"


@pytest.mark.parametrize("config", CAMPAIGNS, ids=lambda path: path.stem)
def test_campaigns_of_papers_have_a_plan(config, tmp_path):
    jobs = dry_run(tmp_path, config, "slurm", "prepare")
    serial, parallel = batches_by_kind(config)
    assert (jobs["prepare_batch"], jobs["prepare_batch_mpi"]) == (serial, parallel)


def test_stages_need_what_comes_before_them_and_nothing_else(content, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    stages = ["prepare", "analyse", "tables", "fits", "figures", "report"]
    graph = snakemake(tmp_path, config, "local", "--rulegraph", "dot", "--", *stages).stdout
    labels = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', graph, re.MULTILINE))
    needs = {rule: set() for rule in labels.values()}
    for before, after in re.findall(r"^\s*(\d+) -> (\d+)", graph, re.MULTILINE):
        needs[labels[after]].add(labels[before])

    def all_before(rule):
        return needs[rule].union(*(all_before(other) for other in needs[rule]))

    rules = {stage: all_before(stage) for stage in stages}
    assert rules["prepare"] == {"prepare_batch"}
    assert rules["analyse"] == {"prepare_batch", "analyse_batch_modes_moduli_dipoles"}
    assert rules["tables"] == rules["analyse"] | {"write_tables"}
    assert rules["fits"] == rules["tables"] | {"write_fits", "write_comparison"}
    assert rules["figures"] == rules["fits"] | {"draw_figures"}
    assert rules["report"] == rules["figures"] | {"write_report"}


def test_a_wrong_key_is_named_before_anything_runs(tmp_path):
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    config = tmp_path / "c.yaml"
    config.write_text(text.replace("batch_size: 50", "batchsize: 50", 1), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--dry-run"]
    result = subprocess.run(
        [*command, "--configfile", config], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode != 0
    message = "ensembles.ipl_2d_400.batchsize: unknown key; did you mean 'batch_size'?"
    assert message in result.stdout + result.stderr


def test_the_list_of_figures_is_that_of_the_library():
    from glassmodes.campaign.figures import FIGURES

    assert list(FIGURE_NEEDS) == list(FIGURES)
