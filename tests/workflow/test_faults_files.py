"""Full disks, damaged files, refused samples, wrong clocks: nothing wrong is aggregated."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import yaml

from glassmodes.campaign import batches, kept, window_jobs
from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.damage import (
    pull_back,
    require_unchanged,
    sealed,
    set_aside_broken,
    verify_campaign,
)
from glassmodes.campaign.manifest import batches_of, sample_seed
from glassmodes.campaign.records import DamagedError, read_records, read_timings
from glassmodes.campaign.retry import retry_refused
from glassmodes.cli import main
from glassmodes.errors import InputError, ResourceError, SolverError
from glassmodes.files import SpreadColumns, stream_hdf5


@pytest.fixture(autouse=True)
def own_log():
    """Take down the handlers that the command line leaves: their stderr ends with the test."""
    yield
    logging.getLogger("glassmodes").handlers.clear()


def run_all(comm, config):
    for batch in batches_of(config, "small"):
        prepare_batch(comm, config, batch)
        analyse_batch(comm, config, batch)


def results_of(config):
    """Return the content of all batch files by path."""
    folders = ("samples", "analyses")
    found = [p for name in folders for p in sorted((config.results / name).rglob("*.h5"))]
    return {str(path.relative_to(config.results)): path.read_bytes() for path in found}


def rewrite(path, content):
    """Change a file in place, second names included, as a failing disk does."""
    with open(path, "wb") as file:
        file.write(content)


def truncated(path):
    rewrite(path, path.read_bytes()[:-50])


def empty(path):
    rewrite(path, b"")


def text(path):
    rewrite(path, b"this is not HDF5\n" * 100)


def foreign(path):
    path.unlink()
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)


def beginning_lost(path):
    rewrite(path, bytes(4096) + path.read_bytes()[4096:])


def values_changed(path):
    """Change numbers without a trace in the structure: only a digest notices."""
    with h5py.File(path, "r+") as file:
        group = file["records"]
        name = next(n for n in group if group[n].dtype.kind == "f" and group[n].size)
        values = group[name][()]
        values.flat[0] += 1.0
        group[name][...] = values


STRUCTURAL = (truncated, empty, text, foreign, beginning_lost)
EVERY = (*STRUCTURAL, values_changed)


@pytest.fixture
def config_file(content, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("damage", EVERY, ids=lambda f: f.__name__)
@pytest.mark.parametrize("stage", ["analyse", "tables"])
def test_a_job_sets_a_damaged_input_aside(
    config, config_file, work, comm_self, capsys, stage, damage
):
    """Never aggregated: one line, exit code 2, and the name is free for a new file."""
    run_all(comm_self, config)
    before = results_of(config)
    batch = batches_of(config, "small")[0]
    samples = batch.samples_path(config.results)
    victim = samples if stage == "analyse" else batch.analysis_path(config.results, "moduli")
    if stage == "analyse":  # there is something to do
        for name in ("modes", "moduli", "dipoles"):
            path = batch.analysis_path(config.results, name)
            kept.drop(config.results, path)
            path.unlink()
    damage(victim)
    words = ["--batch", batch.name] if stage == "analyse" else []
    capsys.readouterr()
    assert main(["campaign", stage, *words, "--config", str(config_file), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1, said
    assert str(victim) in said and f"set aside as {victim.name}.damaged" in said
    assert not victim.exists() and victim.with_name(f"{victim.name}.damaged").exists()
    run_all(comm_self, config)  # what the workflow does, which misses the file
    assert results_of(config) == before


@pytest.mark.parametrize("damage", STRUCTURAL, ids=lambda f: f.__name__)
def test_a_run_begins_with_a_look_at_the_structure_of_all_files(config, work, comm_self, damage):
    run_all(comm_self, config)
    first, second = batches_of(config, "small")
    broken = [first.samples_path(config.results), second.analysis_path(config.results, "modes")]
    for path in broken:
        damage(path)
    assert set_aside_broken(config) == broken
    assert set_aside_broken(config) == []
    assert not any(path.exists() for path in broken)


def test_verify_reads_everything(config, work, comm_self):
    run_all(comm_self, config)
    assert verify_campaign(config)["damaged"] == 0
    path = batches_of(config, "small")[1].samples_path(config.results)
    with h5py.File(path, "r+") as file:
        file["samples/000004/positions" if "positions" in file["samples/000004"] else _first(file)][
            0
        ] += 0.5
    assert set_aside_broken(config) == []  # a digest was not asked for
    found = verify_campaign(config)
    assert (found["files"], found["damaged"]) == (8, 1)
    assert found["set_aside"] == [f"{path}.damaged"]


def _first(file):
    names = []
    file["samples/000004"].visititems(
        lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
    )
    return f"samples/000004/{next(n for n in names if 'position' in n)}"


def test_a_disk_that_cannot_be_read_is_no_damage(config, work, comm_self, monkeypatch):
    run_all(comm_self, config)
    path = batches_of(config, "small")[0].samples_path(config.results)

    def fail(*_, **__):
        raise OSError("Can't read data (file read failed: errno = 5, 'Input/output error')")

    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(InputError, match=r"Input/output error.*try again") as refusal:
        read_records(path)
    assert not isinstance(refusal.value, DamagedError)


def test_tables_that_changed_after_they_were_written_are_not_read(tmp_path):
    table = tmp_path / "tables" / "moduli.csv"
    table.parent.mkdir()
    with sealed(tmp_path, "tables"):
        table.write_text("ensemble,G\na,1.0\nb,2.0\n")
    with sealed(tmp_path, "fits"):
        pass
    table.write_text("ensemble,G\na,1.0\n")
    with pytest.raises(DamagedError, match=r"moduli.csv: it does not match its checksum"):
        require_unchanged(tmp_path, ("tables",))
    with pytest.raises(DamagedError), sealed(tmp_path, "fits"):
        raise AssertionError("the fits began")
    with sealed(tmp_path, "tables"):  # written again: what was there does not matter
        table.write_text("ensemble,G\na,1.0\nb,2.5\n")
    require_unchanged(tmp_path, ("tables", "fits"))


def test_a_part_that_is_damaged_in_its_sample_is_made_again(config, work, comm_self):
    batch = batches_of(config, "small")[0]
    work.die_at = 3
    with pytest.raises(KeyboardInterrupt):
        prepare_batch(comm_self, config, batch)
    part = sorted(batch.parts_folder(config.results, "prepare").glob("*.h5"))[0]
    with h5py.File(part, "r+") as file:
        file["samples/000000"].attrs["digest"] = "0"
    work.die_at = None
    work.prepared.clear()
    assert prepare_batch(comm_self, config, batch)["computed"] == 2


def test_a_finished_batch_survives_that_its_output_is_deleted(config, work, comm_self):
    """Snakemake deletes it when the job is killed between its last sample and its end."""
    run_all(comm_self, config)
    before, batch = results_of(config), batches_of(config, "small")[0]
    timings = read_timings(batch.timings_path(config.results, "analyse"))
    batch.samples_path(config.results).unlink()
    shutil.rmtree(batch.analysis_path(config.results, "modes").parent)
    assert prepare_batch(comm_self, config, batch)["computed"] == 0
    assert analyse_batch(comm_self, config, batch)["computed"] == 0
    assert results_of(config) == before
    assert read_timings(batch.timings_path(config.results, "analyse")) == timings != {}


def test_half_written_files_of_killed_jobs_are_removed(config, work, comm_self):
    batch = batches_of(config, "small")[0]
    path = batch.samples_path(config.results)
    path.parent.mkdir(parents=True)
    leftover = path.with_name(f".{path.name}.123.abcd.tmp")
    other = path.with_name(".000003-000004.h5.123.abcd.tmp")
    leftover.touch()
    other.touch()  # of another batch, whose job may be writing
    prepare_batch(comm_self, config, batch)
    assert not leftover.exists() and other.exists()


@pytest.mark.parametrize("error", [ResourceError("needs 3 TB"), SolverError("no convergence")])
def test_a_sample_that_cannot_be_computed_is_refused_and_can_be_tried_again(
    config, work, comm_self, monkeypatch, capsys, error
):
    reason = "memory" if isinstance(error, ResourceError) else "solver"
    healthy, seed = work.prepare, sample_seed(5, "small", 1)

    def fail(comm, ensemble, k):
        if k == seed:
            raise error
        return healthy(comm, ensemble, k)

    monkeypatch.setattr(batches, "prepare_ensemble_sample", fail)
    run_all(comm_self, config)
    first, second = batches_of(config, "small")
    samples = read_records(first.samples_path(config.results))
    assert samples["reason"].tolist() == ["", reason, ""]
    moduli = read_records(first.analysis_path(config.results, "moduli"))
    assert moduli["reason"].tolist() == ["", reason, ""]

    monkeypatch.setattr(batches, "prepare_ensemble_sample", healthy)
    capsys.readouterr()
    assert retry_refused(config, "nosuch") == 0
    assert capsys.readouterr().err == (
        f"glassmodes: no sample was refused for 'nosuch'; the reasons there are: {reason} (1)\n"
    )
    assert retry_refused(config, reason) == 1
    assert capsys.readouterr().err == ""
    assert second.samples_path(config.results).exists()
    assert not first.samples_path(config.results).exists()
    work.prepared.clear()
    work.analysed.clear()
    run_all(comm_self, config)
    assert work.prepared == [seed] and work.analysed == [1]
    for path in (first.samples_path, lambda r: first.analysis_path(r, "moduli")):
        assert read_records(path(config.results)).accepted.all()
    assert retry_refused(config) == 0


def test_what_an_analysis_refuses_is_tried_again_alone(config, work, comm_self):
    work.refuse = {2}
    run_all(comm_self, config)
    first = batches_of(config, "small")[0]
    work.refuse = set()
    assert retry_refused(config) == 1
    assert first.samples_path(config.results).exists()
    work.analysed.clear()
    analyse_batch(comm_self, config, first)
    assert work.analysed == [2]
    assert read_records(first.analysis_path(config.results, "dipoles")).accepted.all()


@pytest.mark.parametrize("error", [ResourceError("2 TB"), SolverError("x")])
def test_a_slice_refuses_a_sample_for_want_of_memory(monkeypatch, error, comm_self):
    class Refusing:
        def __init__(self, *_):
            raise error

    monkeypatch.setattr(window_jobs, "HarmonicSystem", Refusing)
    job = object.__new__(window_jobs.SliceJob)
    job.stage, job.number = "windows-000", 0
    job.config = type("C", (), {"settings_of": lambda *_: None})()
    job.batch = type("B", (), {"ensemble": "small", "seed": 1})()
    record = job.measure(comm_self, None, 4)["windows"]
    assert (record["index"], record["status"]) == (4, "refused")
    assert record["reason"] == ("memory" if isinstance(error, ResourceError) else "solver")


def test_files_from_the_future_get_the_time_of_now_in_their_order(config, work, comm_self):
    run_all(comm_self, config)
    first, second = batches_of(config, "small")
    ahead = time.time() + 7200
    later = first.analysis_path(config.results, "modes")
    os.utime(first.samples_path(config.results), (ahead, ahead))
    os.utime(later, (ahead + 5, ahead + 5))
    untouched = second.samples_path(config.results).stat().st_mtime_ns
    assert pull_back(config) == 2
    times = [p.stat().st_mtime for p in (first.samples_path(config.results), later)]
    assert times[0] < times[1] <= time.time() + 2
    assert second.samples_path(config.results).stat().st_mtime_ns == untouched
    assert pull_back(config) == 0


class SmallDisk:
    """A file system of its own of a given size."""

    def __init__(self, path):
        self.path = path

    def fill(self, leave):
        """Fill it up to some bytes."""
        free = shutil.disk_usage(self.path).free
        with open(self.path / "filler", "wb") as file:
            file.write(bytes(max(0, free - leave)))

    def empty(self):
        """Make room again."""
        (self.path / "filler").unlink()


@pytest.fixture
def small_disk(tmp_path):
    """Return a disk of 2 MB; needs the right to mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk is not allowed here; the limit on files is tested")
    yield SmallDisk(path)
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("stage", ["prepare", "analyse"])
def test_a_full_disk_ends_in_one_line_and_the_rest_is_done_later(
    content, tmp_path, small_disk, work, comm_self, capsys, stage, monkeypatch
):
    content["campaign"]["results"] = str(small_disk.path / "results")
    config_file = tmp_path / "config.yaml"
    config_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    config = check_config(content)
    batch = batches_of(config, "small")[0]
    if stage == "analyse":
        prepare_batch(comm_self, config, batch)
    name = {"prepare": "prepare_ensemble_sample", "analyse": "analyse_sample"}[stage]
    plain, calls = getattr(batches, name), []

    def fill_up(*words):
        calls.append(words)
        if len(calls) == 2:
            small_disk.fill(leave=4096)
        return plain(*words)

    monkeypatch.setattr(batches, name, fill_up)
    words = ["campaign", stage, "--batch", batch.name, "--config", str(config_file), "--quiet"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "the disk is full; free some space" in said
    small_disk.empty()
    for path in config.results.rglob("*.h5"):
        read_records(path)  # whole, or not there
    assert not list(config.results.rglob("*.tmp"))
    assert main(words) == 0
    undone = 2  # of three; the first was stored
    assert len(calls) == 2 + undone


def test_a_full_disk_during_a_streamed_write(small_disk, comm_self, tmp_path):
    """The space is there at the start and gone in the middle."""
    target = small_disk.path / "large.h5"

    def part(first, last):
        if first >= 2:
            small_disk.fill(leave=8192)
        return np.full((20000, last - first, 1), 1.0)

    columns = SpreadColumns((4, 20000, 1), part, at_once=1)
    with pytest.raises(InputError, match="the disk is full") as refusal:
        stream_hdf5(comm_self, target, lambda file: None, {"x": columns})
    assert len(str(refusal.value).splitlines()) == 1
    assert [p.name for p in small_disk.path.iterdir()] == ["filler"]
    small_disk.empty()
    whole = SpreadColumns((4, 20000, 1), lambda a, b: np.ones((20000, b - a, 1)), at_once=1)
    stream_hdf5(comm_self, target, lambda file: None, {"x": whole})
    with h5py.File(target) as file:
        assert (file["x"][()] == 1.0).all()


def test_a_limit_on_files_leaves_no_half_file(tmp_path):
    """What a quota does, for those who may not mount: the system refuses a longer file."""
    code = (
        "import resource, signal, sys, numpy as np; from mpi4py import MPI\n"
        "from glassmodes.files import stream_hdf5\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    stream_hdf5(MPI.COMM_SELF, sys.argv[1], lambda f: None, {'x': np.ones(50_000)})\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.h5"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("InputError cannot write") and not result.stderr
    assert len(result.stdout.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert signal.SIGXFSZ  # Linux and macOS have it


def test_second_names_do_not_hide_damage(config, work, comm_self):
    """A second name is the same file: damage in one is damage in both."""
    run_all(comm_self, config)
    before, batch = results_of(config), batches_of(config, "small")[0]
    path = batch.samples_path(config.results)
    truncated(path)
    set_aside_broken(config)
    assert kept.second_name(config.results, path).exists()
    work.prepared.clear()
    assert prepare_batch(comm_self, config, batch)["computed"] == 3
    assert results_of(config) == before
