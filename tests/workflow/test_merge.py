"""Results of two machines join, or one line says why not; afterwards nothing is computed twice."""

import os
import subprocess
import sys

import h5py
import pytest
import yaml

from glassmodes.campaign import kept
from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.manifest import batches_of
from glassmodes.campaign.merge import merge_results
from glassmodes.campaign.records import read_records
from glassmodes.errors import InputError
from glassmodes.sample import Sample


def do(comm, config, numbers):
    """Do some batches of the small ensemble."""
    for number in numbers:
        batch = batches_of(config, "small")[number]
        prepare_batch(comm, config, batch)
        analyse_batch(comm, config, batch)


def files(results):
    """Return content by relative path of the batch files."""
    return {
        str(path.relative_to(results)): path.read_bytes()
        for folder in ("samples", "analyses")
        for path in sorted((results / folder).rglob("*.h5"))
    }


@pytest.fixture
def machines(content, tmp_path, work):
    """Return a function that gives the configuration of one machine, changed as asked."""

    def configuration(name, **changes):
        own = {**content, "campaign": {**content["campaign"], "results": str(tmp_path / name)}}
        own["ensembles"] = {"small": {**content["ensembles"]["small"], **changes}}
        return check_config(own)

    return configuration


def test_two_halves_make_the_whole(machines, work, comm_self):
    here, there, whole = machines("here"), machines("there"), machines("whole")
    do(comm_self, here, [0])
    do(comm_self, there, [1])
    do(comm_self, whole, [0, 1])
    before = files(there.results)
    dry = merge_results(here, [there.results], dry_run=True)
    assert len(files(here.results)) == 4, "a dry run takes nothing"
    merged = merge_results(here, [there.results])
    assert (
        (merged.taken, merged.here, merged.refused)
        == (4, 0, [])
        == (
            dry.taken,
            dry.here,
            dry.refused,
        )
    )
    assert files(here.results) == files(whole.results)
    assert files(there.results) == before
    again = merge_results(here, [there.results])
    assert (again.taken, again.here, again.refused) == (0, 4, [])


def test_samples_are_older_than_their_analyses(machines, work, comm_self):
    here, there = machines("here"), machines("there")
    do(comm_self, there, [0, 1])
    for path in sorted(there.results.rglob("*.h5")):  # as an archive or a copy may leave them
        os.utime(path, (0, 0) if "analyses" in path.parts else (9, 9))
    merge_results(here, [there.results])
    for batch in batches_of(here, "small"):
        made = batch.samples_path(here.results).stat().st_mtime_ns
        for name in here.analyses_of("small"):
            assert batch.analysis_path(here.results, name).stat().st_mtime_ns >= made > 10**15


def test_links_take_no_space(machines, work, comm_self):
    here, there = machines("here"), machines("there")
    do(comm_self, there, [1])
    merge_results(here, [there.results], link=True)
    batch = batches_of(here, "small")[1]
    assert os.path.samefile(batch.samples_path(here.results), batch.samples_path(there.results))


def test_other_ranges_are_taken_over_by_the_jobs(machines, work, comm_self):
    here, there = machines("here"), machines("there", batch_size=2)
    do(comm_self, there, [0, 1, 2])
    assert merge_results(here, [there.results]).taken == 12
    assert not (here.results / "samples").exists(), "these are no batches of this configuration"
    work.prepared.clear()
    work.analysed.clear()
    do(comm_self, here, [0, 1])
    assert work.prepared == [] and work.analysed == []
    samples = read_records(batches_of(here, "small")[0].samples_path(here.results))
    assert samples["index"].tolist() == [0, 1, 2]
    left = {path.stem for path in (here.results / kept.KEPT / "samples" / "small").glob("*.h5")}
    assert left == {batch.id for batch in batches_of(here, "small")}


def refusal(here, there):
    """Return the only refusal of a merge that takes nothing of a batch."""
    before = files(here.results)
    merged = merge_results(here, [there.results])
    assert merged.taken == 0 and len(merged.refused) == 1 and files(here.results) == before
    assert "\n" not in merged.refused[0]
    return merged.refused[0]


def test_other_settings_are_refused(machines, work, comm_self):
    there = machines("there", protocol={"name": "instantaneous_quench", "temperature": 3.0})
    do(comm_self, there, [0])
    line = refusal(machines("here"), there)
    assert "made with other settings (protocol.temperature 3.0 -> 2.0)" in line
    assert str(batches_of(there, "small")[0].samples_path(there.results)) in line


def test_another_seed_is_refused(machines, work, comm_self):
    there = machines("there", seed=9)
    do(comm_self, there, [0])
    assert "seed 9 -> 5" in refusal(machines("here"), there)


def test_samples_beyond_the_plan_are_refused(machines, work, comm_self):
    here, there = machines("here", samples=3), machines("there")
    do(comm_self, there, [1])
    assert "samples 0 to 2 only" in refusal(here, there)


def test_overlapping_ranges_are_refused(machines, work, comm_self):
    here, there = machines("here"), machines("there", batch_size=4)
    do(comm_self, here, [0])
    do(comm_self, there, [0])
    line = refusal(here, there)
    assert "its range 000000-000003 overlaps 000000-000002 of the same settings and seed" in line
    assert line.endswith(f"kept is {batches_of(here, 'small')[0].samples_path(here.results)}")


def test_a_dry_run_counts_what_it_would_have_taken_before(machines, work, comm_self):
    here, first, second = machines("here"), machines("first"), machines("second")
    wide, narrow = machines("wide", batch_size=4), machines("narrow", batch_size=1)
    do(comm_self, first, [0])
    do(comm_self, second, [0, 1])
    do(comm_self, wide, [0])
    do(comm_self, narrow, [0, 4])
    others = [config.results for config in (narrow, first, second, wide)]
    for order in (others, others[::-1], others[1:] + others[:1]):
        target = machines(f"target-{order[0].name}-{order[1].name}")
        dry = merge_results(target, order, dry_run=True)
        assert not target.results.exists()
        merged = merge_results(target, order)
        assert (dry.taken, dry.here, dry.refused) == (merged.taken, merged.here, merged.refused)
        assert merged.refused and all("overlaps" in line for line in merged.refused)
    dry = merge_results(here, [first.results, second.results, narrow.results], dry_run=True)
    assert (dry.taken, dry.here, len(dry.refused)) == (8, 4, 2)
    source = batches_of(first, "small")[0].samples_path(first.results)
    assert f"(taken from {source})" in dry.refused[0]


def test_other_glasses_of_the_same_seeds_are_refused(machines, work, comm_self, monkeypatch):
    here, there = machines("here"), machines("there")
    do(comm_self, here, [0])

    def elsewhere(comm, ensemble, seed):  # rounding of another processor
        record, sample = work.prepare(comm, ensemble, seed)
        moved = Sample(sample.positions + 1e-9, sample.box, provenance=sample.provenance)
        return record, moved

    monkeypatch.setattr("glassmodes.campaign.batches.prepare_ensemble_sample", elsewhere)
    do(comm_self, there, [0])
    assert "other glasses of the same seeds" in refusal(here, there)


def test_damage_is_refused_and_the_rest_taken(machines, work, comm_self):
    here, there = machines("here"), machines("there")
    do(comm_self, there, [0, 1])
    first, second = batches_of(there, "small")
    with h5py.File(first.samples_path(there.results), "r+") as file:
        file["samples/000001/particles/all/position"][0] += 1.0
    with h5py.File(second.analysis_path(there.results, "moduli"), "r+") as file:
        file["records/shear_modulus"][0] += 1.0
    merged = merge_results(here, [there.results])
    assert merged.taken == 3 and len(merged.refused) == 2
    assert all("does not match its digest" in line for line in merged.refused)
    work.prepared.clear()
    work.analysed.clear()
    do(comm_self, here, [0, 1])
    assert len(work.prepared) == 3 and work.analysed == [0, 1, 2, 3, 4]


def test_a_missing_analysis_is_taken_for_the_same_samples(machines, work, comm_self):
    here, there = machines("here", analyses=["modes"]), machines("there")
    do(comm_self, here, [0, 1])
    do(comm_self, there, [0, 1])
    merged = merge_results(machines("here"), [there.results])
    assert (merged.taken, merged.here) == (4, 4)
    assert files(here.results) == files(there.results)


def test_folders_without_results_are_errors(machines, tmp_path, work, comm_self):
    here = machines("here")
    with pytest.raises(InputError, match="no results of a campaign"):
        merge_results(here, [tmp_path])
    do(comm_self, here, [0])
    with pytest.raises(InputError, match="the results of the campaign itself"):
        merge_results(here, [here.results])


def test_the_command_answers_and_ends_with_2_if_nothing_fits(
    content, machines, work, comm_self, tmp_path
):
    there = machines("there")
    do(comm_self, there, [0])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    words = [sys.executable, "-m", "glassmodes", "campaign", "merge", str(there.results)]
    words += ["--config", "config.yaml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "taken: 4" in done.stdout, done.stderr
    content["campaign"]["seed"] = 6
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "not taken" in done.stderr and "seed 5 -> 6" in done.stderr
    assert "Traceback" not in done.stderr
