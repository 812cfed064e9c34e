"""Windows in a campaign: a job and a file for each slice, tables that join them."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from glassmodes.campaign import window_jobs
from glassmodes.campaign.batches import prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.figures.windows import draw_windows
from glassmodes.campaign.kept import drop
from glassmodes.campaign.manifest import batches_of, build_manifest
from glassmodes.campaign.plan import describe_plan
from glassmodes.campaign.progress import describe_status
from glassmodes.campaign.records import read_records, read_sample
from glassmodes.campaign.run import stage_rules
from glassmodes.campaign.table_files import read_table
from glassmodes.campaign.tables import write_tables
from glassmodes.campaign.window_jobs import search_slice
from glassmodes.errors import InputError, SolverError
from glassmodes.observables.harmonic import HarmonicSystem

ROOT = Path(__file__).parents[2]
SLICES = 3


@pytest.fixture
def content(content):
    """Three glasses in two batches, their modes between two frequencies in three slices."""
    content["ensembles"]["small"] |= {
        "particles": 64,
        "samples": 3,
        "batch_size": 2,
        "analyses": ["windows"],
        "protocol": {
            "name": "instantaneous_quench",
            "temperature": 2.0,
            "equilibration_time": 0.5,
        },
    }
    content["analyses"] = {"windows": {"between": [2.0, 9.0], "slices": SLICES}}
    return content


def search_all(comm, config):
    for batch in batches_of(config, "small"):
        prepare_batch(comm, config, batch)
        for number in range(SLICES):
            search_slice(comm, config, batch, number)


def test_slices_join_to_all_modes_of_the_window(content, comm_self):
    config = check_config(content)
    search_all(comm_self, config)
    write_tables(config)
    table = pq.read_table(config.results / "tables" / "window_modes.parquet").to_pandas()
    rows = read_table(config.results, "windows")
    assert len(rows) == 3 * SLICES and all(r["certified"] and r["joined"] for r in rows)
    assert all(r["modes"] == r["modes_counted"] for r in rows)
    for batch in batches_of(config, "small"):
        for index in batch.indices:
            system = HarmonicSystem(
                comm_self, read_sample(batch.samples_path(config.results), index)
            )
            exact = np.sqrt(np.abs(np.linalg.eigvalsh(system.matrix().toarray())))
            exact = np.sort(exact[(exact > 2) & (exact < 9)])
            found = table[table["sample"] == index].sort_values(["slice", "frequency"])
            # Frequencies to half the relative error of eigenvalues, 1e-12 of the largest.
            np.testing.assert_allclose(found["frequency"], exact, rtol=1e-9)
            assert len(exact) > 15
            system.destroy()
    samples = read_table(config.results, "samples")
    assert [r["status"] for r in samples] == ["ok"] * 3
    assert describe_status(config)["windows"] == {"done": 3, "samples": 3}
    assert len(draw_windows(config.results).axes) == 2


def test_the_same_slices_give_the_same_bytes_and_are_not_done_again(content, comm_self):
    config = check_config(content)
    first = batches_of(config, "small")[0]
    prepare_batch(comm_self, config, first)
    assert search_slice(comm_self, config, first, 1)["computed"] == 2
    path = first.slice_path(config.results, 1)
    before = path.read_bytes()
    path.unlink()
    assert search_slice(comm_self, config, first, 1)["computed"] == 0, "it has a second name"
    assert path.read_bytes() == before
    drop(config.results, path)
    path.unlink()
    assert search_slice(comm_self, config, first, 1)["computed"] == 2
    assert path.read_bytes() == before
    content["ensembles"]["small"]["batch_size"] = 3  # a longer batch takes the records over
    config = check_config(content)
    (longer,) = batches_of(config, "small")
    prepare_batch(comm_self, config, longer)
    assert search_slice(comm_self, config, longer, 1)["computed"] == 1
    assert search_slice(comm_self, config, longer, 0)["computed"] == 3
    records = read_records(longer.slice_path(config.results, 1))
    assert records["slice"].tolist() == [1, 1, 1]


def test_a_slice_that_fails_refuses_its_sample_alone(content, comm_self, monkeypatch):
    config = check_config(content)
    honest = window_jobs.vibrational_window

    def failing(system, *arguments, only, **options):
        if only == 1:
            raise SolverError("no way")
        return honest(system, *arguments, only=only, **options)

    monkeypatch.setattr(window_jobs, "vibrational_window", failing)
    search_all(comm_self, config)
    write_tables(config)
    assert {r["slice"] for r in read_table(config.results, "windows")} == {0, 2}
    # The slice above cannot tell whether it joins.
    assert not any(r["joined"] for r in read_table(config.results, "windows") if r["slice"] == 2)
    samples = read_table(config.results, "samples")
    assert {(r["refused_by"], r["reason"]) for r in samples} == {("windows, slice 1", "solver")}


def test_without_a_certificate_the_table_claims_no_completeness(content, comm_self):
    content["analyses"]["windows"] |= {"certificate": "none", "method": "dense"}
    config = check_config(content)
    search_all(comm_self, config)
    write_tables(config)
    rows = read_table(config.results, "windows")
    assert len(rows) == 3 * SLICES and all(r["joined"] for r in rows)
    assert all(r["complete_above"] is None and r["complete_below"] is None for r in rows)


def planned_jobs(folder, config):
    """Return the numbers of jobs by rule that the analysis of a configuration takes."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--dry-run"]
    command += ["--configfile", config, "--cores", "2", "--quiet", "rules"]
    command += ["--workflow-profile", ROOT / "workflow" / "profiles" / "slurm", "analyse"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.MULTILINE)
    return {rule: int(count) for rule, count in rows}


def test_every_slice_of_every_batch_is_a_job(content, tmp_path):
    small = content["ensembles"]["small"]
    content["ensembles"]["shared"] = small | {"ranks": 2, "analyses": ["modes", "windows"]}
    content["ensembles"]["shared"]["settings"] = {
        "windows": {"slices": 5},
        "modes": {"count": 3},
    }
    content["ensembles"]["plain"] = small | {"analyses": ["modes"]}
    content["analyses"]["modes"] = {"count": 5}
    config = check_config(content)
    assert config.slices_of("shared") == 5 and config.slices_of("plain") == 0
    assert config.settings_of("shared", "windows").between == (2.0, 9.0)
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    jobs = planned_jobs(tmp_path, path)
    assert (jobs["search_slice"], jobs["search_slice_mpi"]) == (2 * SLICES, 2 * 5)
    assert (jobs["analyse_batch_modes"], jobs["analyse_batch_mpi_modes"]) == (2, 2)
    assert stage_rules(config, "analyse") == [
        "analyse_batch_modes",
        "analyse_batch_mpi_modes",
        "search_slice",
        "search_slice_mpi",
    ]
    plan = describe_plan(config)
    assert plan["jobs"] == 3 * 2 * 2 + 2 * SLICES + 2 * 5 - 2
    assert plan["ensembles"]["shared"]["core_hours_windows"] > 0
    assert plan["ensembles"]["plain"]["core_hours_windows"] == 0
    assert len(build_manifest(config)) == 6


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"slices": 2}, "settings.windows.between: not given"),
        ({"between": [2.0, 1.0]}, "2 is not below 1"),
        ({"between": [-1.0, 1.0]}, "greater than or equal to 0|at least 0|>= 0"),
        ({"between": [1.0, 2.0], "slices": 0}, "slices"),
        ({"between": [1.0, 2.0], "slice": 3}, "did you mean 'slices'"),
    ],
)
def test_wrong_windows_are_named(content, windows, message):
    content["analyses"] = {"windows": windows}
    with pytest.raises(InputError, match=message):
        check_config(content)


def test_slices_that_do_not_exist_are_refused(content, comm_self):
    config = check_config(content)
    batch = batches_of(config, "small")[0]
    with pytest.raises(InputError, match="slices 0 to 2"):
        search_slice(comm_self, config, batch, 3)
    content["ensembles"]["small"]["analyses"] = ["modes"]
    content["analyses"] = {"modes": {"count": 3}}
    with pytest.raises(InputError, match="no windows"):
        search_slice(comm_self, check_config(content), batch, 0)
