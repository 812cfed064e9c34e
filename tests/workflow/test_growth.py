"""Campaigns that grow or change compute only what is new, whatever Snakemake deletes before."""

import os
import subprocess
import sys

import h5py
import pytest
import yaml

from glassmodes.campaign import kept
from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.manifest import batches_of, sample_seed
from glassmodes.campaign.provenance import fingerprints_of
from glassmodes.campaign.records import read_records


def run_like_snakemake(comm, config, work):
    """Do all batches; as Snakemake does, delete the outputs of a job before it starts."""
    work.prepared.clear()
    work.analysed.clear()
    work.kinds.clear()
    for batch in batches_of(config, "small"):
        batch.samples_path(config.results).unlink(missing_ok=True)
        prepare_batch(comm, config, batch)
        for kind in config.analyses_of("small"):
            batch.analysis_path(config.results, kind).unlink(missing_ok=True)
        analyse_batch(comm, config, batch)


@pytest.fixture
def counted(work, monkeypatch):
    """Return synthetic work that also notes the kinds of each analysis."""
    work.kinds = []
    plain = work.analyse

    def analyse(comm, domain, index, analyses, seed):
        work.kinds += [(index, kind) for kind in analyses]
        return plain(comm, domain, index, analyses, seed)

    monkeypatch.setattr("glassmodes.campaign.batches.analyse_sample", analyse)
    return work


def files(results):
    """Return content by relative path of the batch files."""
    found = {}
    for folder in ("samples", "analyses"):
        for path in sorted((results / folder).rglob("*.h5")):
            found[str(path.relative_to(results))] = path.read_bytes()
    return found


def test_repeated_jobs_take_everything_over_and_leave_the_same_bytes(content, counted, comm_self):
    config = check_config(content)
    run_like_snakemake(comm_self, config, counted)
    assert len(counted.prepared) == 5 and len(counted.kinds) == 15
    before = files(config.results)
    run_like_snakemake(comm_self, config, counted)
    assert counted.prepared == [] and counted.kinds == []
    assert files(config.results) == before


def test_a_new_analysis_computes_that_analysis_only(content, counted, comm_self):
    content["ensembles"]["small"]["analyses"] = ["modes"]
    run_like_snakemake(comm_self, check_config(content), counted)
    old = files(check_config(content).results)
    content["ensembles"]["small"]["analyses"] = ["modes", "moduli"]
    run_like_snakemake(comm_self, check_config(content), counted)
    assert counted.prepared == []
    assert counted.kinds == [(k, "moduli") for k in range(5)]
    assert old.items() <= files(check_config(content).results).items()


def test_changed_settings_of_one_analysis_leave_the_others(content, counted, comm_self):
    run_like_snakemake(comm_self, check_config(content), counted)
    content["analyses"]["dipoles"] = {"count": 7}
    run_like_snakemake(comm_self, check_config(content), counted)
    assert counted.prepared == []
    assert counted.kinds == [(k, "dipoles") for k in range(5)]


def test_changed_samples_repeat_their_analyses(content, counted, comm_self):
    run_like_snakemake(comm_self, check_config(content), counted)
    content["ensembles"]["small"]["protocol"]["temperature"] = 3.0
    run_like_snakemake(comm_self, check_config(content), counted)
    assert len(counted.prepared) == 5 and len(counted.kinds) == 15


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 9])
def test_another_batch_size_computes_nothing(content, counted, comm_self, batch_size):
    run_like_snakemake(comm_self, check_config(content), counted)
    records = {
        kind: {
            int(r["index"][k]): str(r.record(k))
            for b in batches_of(check_config(content), "small")
            for r in [read_records(b.analysis_path(check_config(content).results, kind))]
            for k in range(r.samples)
        }
        for kind in ("modes", "moduli")
    }
    content["ensembles"]["small"]["batch_size"] = batch_size
    config = check_config(content)
    run_like_snakemake(comm_self, config, counted)
    assert counted.prepared == [] and counted.kinds == []
    for kind, expected in records.items():
        found = {}
        for batch in batches_of(config, "small"):
            r = read_records(batch.analysis_path(config.results, kind))
            assert r["index"].tolist() == list(batch.indices)
            found |= {int(r["index"][k]): str(r.record(k)) for k in range(r.samples)}
        assert found == expected
    # Files of the old ranges are gone, here and under their second names.
    there = {batch.id for batch in batches_of(config, "small")}
    for root in kept.roots(config.results):
        assert {path.stem for path in (root / "samples" / "small").glob("*.h5")} == there
        assert {path.name for path in (root / "analyses" / "small").iterdir()} == there


def test_fewer_and_more_samples_again_compute_nothing(content, counted, comm_self):
    run_like_snakemake(comm_self, check_config(content), counted)
    before = files(check_config(content).results)
    content["ensembles"]["small"]["samples"] = 4
    run_like_snakemake(comm_self, check_config(content), counted)
    content["ensembles"]["small"]["samples"] = 5
    config = check_config(content)
    run_like_snakemake(comm_self, config, counted)
    assert counted.prepared == [] and counted.kinds == []
    assert files(config.results).items() >= before.items()


def test_second_names_take_no_space(content, counted, comm_self):
    config = check_config(content)
    run_like_snakemake(comm_self, config, counted)
    for path in kept.existing_files(config):
        second = config.results / kept.KEPT / path.relative_to(config.results)
        assert os.path.samefile(path, second)


def test_results_without_second_names_get_them(content, counted, comm_self, monkeypatch):
    config = check_config(content)
    monkeypatch.setattr(kept, "keep", lambda results, path: False)
    run_like_snakemake(comm_self, config, counted)
    assert not (config.results / kept.KEPT).exists()
    monkeypatch.undo()
    monkeypatch.setattr("glassmodes.campaign.batches.prepare_ensemble_sample", counted.prepare)
    monkeypatch.setattr("glassmodes.campaign.batches.analyse_sample", counted.analyse)
    assert kept.keep_all(config) == 2 * 4
    assert kept.keep_all(config) == 0
    run_like_snakemake(comm_self, config, counted)
    assert counted.prepared == [] and counted.analysed == []


def test_only_files_of_other_ranges_are_superseded(content, counted, comm_self):
    config = check_config(content)
    run_like_snakemake(comm_self, config, counted)
    batch = batches_of(config, "small")[0]
    made = fingerprints_of(config, "small")["moduli"]
    own = batch.analysis_path(config.results, "moduli")
    elsewhere = config.results / "parts" / "small" / batch.id / "moduli.h5"
    assert not kept.remove_superseded(config, own, made) and own.exists()
    assert not kept.remove_superseded(config, elsewhere, made)


def test_a_forced_stage_computes_again(content, counted, comm_self):
    config = check_config(content)
    run_like_snakemake(comm_self, config, counted)
    kept.forget(config, "analyse")
    run_like_snakemake(comm_self, config, counted)
    assert counted.prepared == [] and len(counted.kinds) == 15
    kept.forget(config, "prepare")
    run_like_snakemake(comm_self, config, counted)
    assert counted.prepared == [sample_seed(5, "small", k) for k in range(5)]
    assert len(counted.kinds) == 15


def test_a_damaged_file_is_not_taken_over(content, counted, comm_self):
    config = check_config(content)
    run_like_snakemake(comm_self, config, counted)
    batch = batches_of(config, "small")[0]
    path = batch.analysis_path(config.results, "moduli")
    with h5py.File(path, "r+") as file:
        file["records/shear_modulus"][1] += 1.0
    run_like_snakemake(comm_self, config, counted)
    assert counted.kinds == [(k, "moduli") for k in batch.indices]


def test_analyses_of_other_samples_made_by_several_ranks_are_not_taken_over(
    content, counted, comm_self
):
    content["ensembles"]["small"]["ranks"] = 2  # rounding makes each preparation another glass
    config = check_config(content)
    run_like_snakemake(comm_self, config, counted)
    batch = batches_of(config, "small")[0]
    for root in kept.roots(config.results):
        batch.samples_path(root).unlink()
    counted.kinds.clear()
    prepare_batch(comm_self, config, batch)
    analyse_batch(comm_self, config, batch)
    assert len(counted.kinds) == 9


def test_a_real_run_adds_an_analysis_and_a_sample_to_what_is_there(tmp_path):
    """Wall times never come out the same twice: equal ones were taken over."""

    def run(samples, analyses):
        protocol = {"name": "instantaneous_quench", "temperature": 2.0, "equilibration_time": 2.0}
        ensemble = {"model": "ipl_2d", "particles": 100, "protocol": protocol, "batch_size": 3}
        ensemble |= {"samples": samples, "analyses": analyses}
        content = {"campaign": {"seed": 1}, "ensembles": {"flat": ensemble}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
        words = [sys.executable, "-m", "glassmodes", "campaign", "run", "analyse"]
        words += ["--config", "config.yaml", "--cores", "1"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr

    def timings(identifier):
        rows = {}
        for stage in ("prepare", "analyse"):
            path = tmp_path / "results" / "timings" / stage / "flat" / f"{identifier}.csv"
            rows |= {line.rpartition(",")[0]: line for line in path.read_text().splitlines()[1:]}
        return rows

    run(2, ["moduli"])
    first, old = timings("000000-000001"), files(tmp_path / "results")
    assert first.keys() >= {"0,samples.seconds", "1,samples.seconds", "1,moduli.seconds"}
    run(2, ["moduli", "dipoles"])
    second, new = timings("000000-000001"), files(tmp_path / "results")
    assert first.items() <= second.items() and "1,dipoles.seconds" in second
    assert old.items() <= new.items() and len(new) == len(old) + 1
    run(3, ["moduli", "dipoles"])
    log = tmp_path / "results" / "logs" / "analyse" / "flat" / "000000-000002.log"
    assert "1 of 3 samples to do" in log.read_text()
    assert set(timings("000000-000002")) >= {"2,samples.seconds", "2,dipoles.seconds"}
    assert {path.split("/")[-1] for path in files(tmp_path / "results") if "samples" in path} == {
        "000000-000002.h5"
    }
