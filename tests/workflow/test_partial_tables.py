"""Tables of what is there: honest about counts, apart from the results, without any job."""

import csv
import subprocess
import sys
from pathlib import Path

import h5py
import pyarrow.parquet as pq
import pytest
import yaml

from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.locks import results_lock
from glassmodes.campaign.manifest import batches_of
from glassmodes.campaign.partial_tables import write_partial_tables
from glassmodes.campaign.table_files import read_table
from glassmodes.campaign.tables import write_tables


def counts_of(config):
    """Return the rows of counts.csv by stage, numbers as numbers."""
    with open(config.results / "partial" / "counts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["stage"]: {k: int(v) for k, v in row.items() if k not in ("ensemble", "stage")}
        for row in rows
    }


def samples_in(folder, name):
    """Return the samples that a table has rows of."""
    return sorted({row["sample"] for row in read_table(folder, name)})


def outside(results):
    """Return content and date of all files that are not partial tables."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(results.rglob("*"))
        if path.is_file() and "partial" not in path.relative_to(results).parts
    }


def test_nothing_there_gives_empty_tables(config):
    write_partial_tables(config)
    assert {count["samples_there"] for count in counts_of(config).values()} == {0}
    assert read_table(config.results / "partial", "samples") == []
    assert read_table(config.results / "partial", "ensembles")[0]["samples_prepared"] == 0


def test_a_finished_campaign_gives_the_tables_of_the_campaign(config, work, comm_self):
    for batch in batches_of(config, "small"):
        prepare_batch(comm_self, config, batch)
        analyse_batch(comm_self, config, batch)
    write_tables(config)
    before = outside(config.results)
    write_partial_tables(config)
    assert outside(config.results) == before
    for path in sorted((config.results / "tables").glob("*.csv")):
        partial = config.results / "partial" / "tables" / path.name
        assert partial.read_bytes() == path.read_bytes(), path.name
    modes = pq.read_table(config.results / "tables" / "modes.parquet")
    assert modes.equals(pq.read_table(config.results / "partial" / "tables" / "modes.parquet"))


def test_counts_and_tables_tell_what_is_there(config, work, comm_self):
    first, second = batches_of(config, "small")
    prepare_batch(comm_self, config, first)
    prepare_batch(comm_self, config, second)
    work.refuse = {1}
    analyse_batch(comm_self, config, first)
    found = write_partial_tables(config)
    assert found["samples"]["modes"] == "3 of 5"
    counts = counts_of(config)
    assert counts["prepare"]["samples_there"] == 5 and counts["prepare"]["batches_there"] == 2
    assert counts["moduli"] == counts["modes"]
    assert counts["modes"]["samples_there"] == 3 and counts["modes"]["samples_refused"] == 1
    assert (counts["modes"]["samples_planned"], counts["modes"]["batches_planned"]) == (5, 2)
    partial = config.results / "partial"
    assert samples_in(partial, "samples") == [0, 1, 2, 3, 4]
    assert samples_in(partial, "moduli") == samples_in(partial, "mode_solves") == [0, 2]
    readme = (partial / "README.txt").read_text()
    assert readme.startswith("PARTIAL") and "small, modes: 3 of 5 samples (1 refused" in readme
    metadata = pq.read_schema(partial / "tables" / "modes.parquet").metadata
    assert metadata[b"partial"].decode() == readme
    assert not (config.results / "tables").exists(), "the tables of fits are not touched"


def test_finished_samples_of_a_batch_in_work_count(config, work, comm_self):
    first, _ = batches_of(config, "small")
    prepare_batch(comm_self, config, first)
    work.die_at = 3
    with pytest.raises(KeyboardInterrupt):
        analyse_batch(comm_self, config, first)
    write_partial_tables(config)
    counts = counts_of(config)
    assert counts["modes"]["samples_of_batches_in_work"] == counts["modes"]["samples_there"] == 2
    assert counts["modes"]["batches_there"] == 0
    assert samples_in(config.results / "partial", "moduli") == [0, 1]
    # The parts are still there for the job, which takes them over.
    work.die_at = None
    assert analyse_batch(comm_self, config, first)["computed"] == 1


def test_damaged_files_and_those_of_other_settings_are_left_out_and_named(content, work, comm_self):
    config = check_config(content)
    for batch in batches_of(config, "small"):
        prepare_batch(comm_self, config, batch)
        analyse_batch(comm_self, config, batch)
    first, second = batches_of(config, "small")
    damaged = first.analysis_path(config.results, "moduli")
    with h5py.File(damaged, "r+") as file:
        file["records/shear_modulus"][0] += 1.0
    content["analyses"]["dipoles"] = {"count": 7}
    config = check_config(content)
    found = write_partial_tables(config)
    assert str(damaged) in found["left_out"]
    assert str(second.analysis_path(config.results, "dipoles")) in found["left_out"]
    partial = config.results / "partial"
    assert samples_in(partial, "moduli") == [3, 4]
    assert read_table(partial, "ensembles")[0]["samples_with_dipoles"] == 0
    counts = counts_of(config)
    assert counts["moduli"]["files_damaged"] == 1, "its second name is no other file"
    assert len([name for name in found["left_out"] if name.endswith("moduli.h5")]) == 1
    assert counts["dipoles"]["files_of_other_settings"] == 2
    assert f"left out, damaged: {damaged}" in (partial / "README.txt").read_text()


def test_the_target_starts_no_other_job_and_heeds_no_lock(content, work, comm_self, tmp_path):
    content["campaign"]["results"] = "results"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    here = check_config(
        content | {"campaign": {**content["campaign"], "results": str(tmp_path / "results")}}
    )
    prepare_batch(comm_self, here, batches_of(here, "small")[0])
    before = {p: d for p, d in outside(here.results).items() if "locks" not in p.parts}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "snakemake", "--snakefile", root / "Snakefile"]
    command += ["--configfile", "config.yaml", "--cores", "1", "--", "partial_tables"]
    with results_lock(here.results):  # as if the campaign were at work
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule prepare_batch" not in done.stdout + done.stderr
    assert counts_of(here)["prepare"]["samples_there"] == 3
    after = outside(here.results)
    assert before.items() <= after.items()
    new = {path.relative_to(here.results).parts[0] for path in after.keys() - before.keys()}
    assert new <= {"logs", "locks"}
