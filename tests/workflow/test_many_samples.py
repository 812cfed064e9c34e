"""Tables of many samples: the same bytes in any order, and memory that does not hold files."""

import random
import shutil
import tracemalloc

import numpy as np
import pytest

from glassmodes.campaign.config import check_config
from glassmodes.campaign.ensemble_source import ensemble_sources
from glassmodes.campaign.kept import file_names, path_of
from glassmodes.campaign.manifest import build_manifest
from glassmodes.campaign.provenance import fingerprint, settings_by_file
from glassmodes.campaign.records import Header, Row, read_records, refused, write_batch
from glassmodes.campaign.stale import describe_stale, find_stale
from glassmodes.campaign.table_files import read_table
from glassmodes.campaign.tables import write_tables
from glassmodes.campaign.versions import STAGE_VERSIONS
from glassmodes.errors import InputError
from glassmodes.statistics import bootstrap as resampling
from glassmodes.statistics.bootstrap import mean_estimate, resampling_weights
from tests.workflow.conftest import synthetic_record


def write_results(config, batches=None, length=4):
    """Write batch files with numbers that follow from the sample, in the order given."""
    for batch in batches or build_manifest(config):
        ensemble = config.ensembles[batch.ensemble]
        for name in file_names(config, batch.ensemble):
            rows = []
            for index in batch.indices:
                if index == 3 and name == "moduli":
                    rows.append(Row(refused(index, "saddle", "2 negative")))
                    continue
                record = synthetic_record(name, ensemble.dimension, ensemble.particles, index)
                if name == "modes":
                    rng = np.random.default_rng(index)
                    record["frequency"] = np.sort(rng.random(length)) + 0.1
                    record["participation_ratio"] = rng.random(length)
                    record["residual"] = rng.random(length)
                    record["complete_below"] = 0.9
                rows.append(Row({**record, "index": index, "status": "ok"}))
            settings = settings_by_file(config, batch.ensemble)[name]
            header = Header(
                name,
                ensemble.dimension,
                ensemble.particles,
                fingerprint(settings),
                {"settings": settings},
            )
            write_batch(path_of(config.results, batch, name), header, rows)


def tables_of(config):
    """Write the tables and return their content by name."""
    write_tables(config)
    return {path.name: path.read_bytes() for path in sorted((config.results / "tables").iterdir())}


@pytest.fixture
def many(content):
    """Return a configuration of two ensembles in several batches."""
    content["ensembles"]["small"] |= {"samples": 23, "batch_size": 5}
    content["ensembles"]["other"] = {**content["ensembles"]["small"], "samples": 7}
    content["statistics"] = {"bootstrap_resamples": 20}
    return check_config(content)


def test_the_same_bytes_whatever_the_order(many, content, tmp_path):
    write_results(many)
    expected = tables_of(many)
    assert len(expected) >= 15 and len(read_table(many.results, "samples")) == 30
    # Batches that finish in another order, files that are copied in another, and dates anew.
    shuffled = build_manifest(many)
    random.Random(1).shuffle(shuffled)
    content["campaign"]["results"] = str(tmp_path / "again")
    again = check_config(content)
    write_results(again, shuffled)
    assert tables_of(again) == expected
    content["campaign"]["results"] = str(tmp_path / "copied")
    copied = check_config(content)
    paths = list(again.results.rglob("*.h5"))
    random.Random(2).shuffle(paths)
    for path in paths:
        target = copied.results / path.relative_to(again.results)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    assert tables_of(copied) == expected
    paths[0].touch()
    assert tables_of(again) == expected


def test_another_batch_size_gives_the_same_small_tables(many, content, tmp_path):
    write_results(many)
    expected = tables_of(many)
    content["campaign"]["results"] = str(tmp_path / "other")
    for ensemble in content["ensembles"].values():
        ensemble["batch_size"] = 4
    other = check_config(content)
    write_results(other)
    found = tables_of(other)
    for name in expected:
        if name.endswith(".csv") and name != "samples.csv":  # which names the batch
            assert found[name] == expected[name], name


def test_refusals_of_all_stages_are_listed_once(many):
    write_results(many)
    write_tables(many)
    listed = [row for row in read_table(many.results, "samples") if row["status"] == "refused"]
    assert [(r["ensemble"], r["sample"], r["refused_by"], r["reason"]) for r in listed] == [
        ("small", 3, "moduli", "saddle"),
        ("other", 3, "moduli", "saddle"),
    ]


def test_records_of_other_settings_are_never_aggregated(many, content):
    write_results(many)
    content["analyses"]["dipoles"] = {"count": 7}
    changed = check_config(content)
    with pytest.raises(InputError, match="was made with other settings"):
        write_tables(changed)


def test_every_file_is_read_once_but_those_of_modes_twice(many, monkeypatch):
    write_results(many)
    seen = []
    monkeypatch.setattr(
        "glassmodes.campaign.ensemble_source.read_records",
        lambda path: seen.append(path.stem) or read_records(path),
    )
    write_tables(many)
    batches = len(build_manifest(many))
    assert seen.count("modes") == 2 * batches
    assert seen.count("moduli") == seen.count("dipoles") == batches
    assert len(seen) == 5 * batches


def peak_of_tables(content, folder, samples, length):
    """Return the largest memory that Python holds while tables are written, in bytes."""
    content["campaign"]["results"] = str(folder)
    content["ensembles"]["small"] |= {"samples": samples, "batch_size": 10}
    config = check_config(content)
    write_results(config, length=length)
    tracemalloc.start()
    try:
        write_tables(config)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_hold_the_modes_of_all_samples(content, tmp_path):
    content["ensembles"]["small"]["analyses"] = ["modes"]
    content["statistics"] = {"bootstrap_resamples": 10}
    length = 2000
    few = peak_of_tables(content, tmp_path / "few", 20, length)
    many = peak_of_tables(content, tmp_path / "many", 80, length)
    # Frequencies, participation ratios and residuals of 60 more samples are 2.9 MB; a
    # sample's counts in all bins are 150 numbers, and the rest is that of one batch.
    modes = 60 * 3 * length * 8
    assert many - few < 0.25 * modes


def test_kept_weights_change_nothing_and_are_bounded(monkeypatch):
    values = np.random.default_rng(0).random((300, 4))
    monkeypatch.setattr(resampling, "_kept", {})
    first = mean_estimate(values, resamples=50, seed=3)
    assert len(resampling._kept) == 1
    second = mean_estimate(values, resamples=50, seed=3)
    drawn = list(resampling_weights(300, 50, 3))
    monkeypatch.setattr(resampling, "_KEPT_BYTES", 100)
    monkeypatch.setattr(resampling, "_kept", {})
    third = mean_estimate(values, resamples=50, seed=3)
    assert resampling._kept == {}
    for other in (second, third):
        assert np.array_equal(first.error, other.error) and np.array_equal(first.low, other.low)
    anew = list(resampling_weights(300, 50, 3))
    assert all(np.array_equal(a, b) for a, b in zip(drawn, anew, strict=True))
    assert all((block.sum(axis=1) == 300).all() for block in drawn)


def test_stale_results_are_named_with_the_reason(many, content, monkeypatch):
    write_results(many)
    assert find_stale(many) == []
    version = STAGE_VERSIONS["modes"]
    monkeypatch.setitem(STAGE_VERSIONS, "modes", version + 1)
    lines = describe_stale(find_stale(check_config(content)))
    because = f"because stage version {version} -> {version + 1}"
    assert lines == [
        f"modes of small: 5 batches (23 samples), {because}",
        f"modes of other: 2 batches (7 samples), {because}",
    ]
    monkeypatch.undo()
    content["ensembles"]["other"]["protocol"] = {
        "name": "instantaneous_quench",
        "temperature": 3.0,
    }
    lines = describe_stale(find_stale(check_config(content)))
    assert lines[0].endswith("because protocol.temperature 2.0 -> 3.0")
    assert lines[1:] == [
        f"{name} of other: 2 batches (7 samples), because its samples change"
        for name in ("modes", "moduli", "dipoles")
    ]


def test_sources_read_the_manifest_not_the_folder(many):
    write_results(many)
    for source in ensemble_sources(many):
        stray = many.results / "samples" / source.name / "000099-000199.h5"
        stray.write_bytes(b"not a batch of this campaign")
        indices = [int(i) for block in source.blocks("samples") for i in block.array("index")]
        assert indices == list(range(source.samples))
