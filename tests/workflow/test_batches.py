"""Batches: nothing that is done is done again, and nothing wrong is taken over."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.locks import Lock, LockedError
from glassmodes.campaign.manifest import batches_of, sample_seed
from glassmodes.campaign.processes import Process
from glassmodes.campaign.records import read_records, read_sample, read_timings
from glassmodes.campaign.stopping import Stopped


def everything(folder):
    """Return path and content of all files below a folder but timings."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "timings" not in p.parts
    }


def run_all(comm, config):
    for batch in batches_of(config, "small"):
        prepare_batch(comm, config, batch)
        analyse_batch(comm, config, batch)


def test_a_batch_leaves_its_samples_and_one_file_per_analysis(config, work, comm_self):
    first, second = batches_of(config, "small")
    assert prepare_batch(comm_self, config, second)["computed"] == 2
    assert analyse_batch(comm_self, config, second)["refused"] == 0
    samples = read_records(second.samples_path(config.results))
    assert samples["index"].tolist() == [3, 4]
    seeds = [sample_seed(5, "small", k) for k in (3, 4)]
    assert samples["seed"].tolist() == seeds
    sample = read_sample(second.samples_path(config.results), 4)
    assert sample.provenance == {"seed": seeds[1]}
    for name in ("modes", "moduli", "dipoles"):
        assert read_records(second.analysis_path(config.results, name)).samples == 2
    timings = read_timings(second.timings_path(config.results, "analyse"))
    assert timings[3]["modes.seconds_solve"] == 0.1
    assert not first.samples_path(config.results).exists()
    assert not list(config.results.rglob("parts/*/*/*"))


def test_the_same_batches_give_the_same_bytes(content, work, comm_self, tmp_path):
    run_all(comm_self, check_config(content))
    content["campaign"]["results"] = str(tmp_path / "again")
    run_all(comm_self, check_config(content))
    once = everything(tmp_path / "results")
    assert once and once == everything(tmp_path / "again")


@pytest.mark.parametrize("stage", ["prepared", "analysed"])
def test_a_kill_costs_one_sample_and_changes_no_byte(content, work, comm_self, tmp_path, stage):
    run_all(comm_self, check_config(content))
    undisturbed = everything(tmp_path / "results")
    content["campaign"]["results"] = str(tmp_path / "killed")
    config = check_config(content)
    batch = batches_of(config, "small")[0]
    calls = getattr(work, stage)
    calls.clear()
    work.die_at = 3
    with pytest.raises(KeyboardInterrupt):
        prepare_batch(comm_self, config, batch)
        analyse_batch(comm_self, config, batch)
    assert len(calls) == 3
    run_all(comm_self, config)
    assert len(calls) == 5 + 1, "five samples, and the one in flight a second time"
    assert everything(tmp_path / "killed") == undisturbed


def test_a_damaged_part_is_computed_again(config, work, comm_self):
    batch = batches_of(config, "small")[0]
    work.die_at = 3
    with pytest.raises(KeyboardInterrupt):
        prepare_batch(comm_self, config, batch)
    part = sorted(batch.parts_folder(config.results, "prepare").glob("*.h5"))[0]
    part.write_bytes(part.read_bytes()[:-100])
    work.prepared.clear()
    work.die_at = None
    assert prepare_batch(comm_self, config, batch)["computed"] == 2


def test_changed_settings_void_the_parts(content, work, comm_self):
    config = check_config(content)
    batch = batches_of(config, "small")[0]
    work.die_at = 3
    with pytest.raises(KeyboardInterrupt):
        prepare_batch(comm_self, config, batch)
    work.prepared.clear()
    work.die_at = None
    content["ensembles"]["small"]["protocol"]["temperature"] = 3.0
    assert prepare_batch(comm_self, check_config(content), batch)["computed"] == 3


def test_a_growing_campaign_computes_only_new_samples(content, work, comm_self):
    run_all(comm_self, check_config(content))
    old = everything(check_config(content).results)
    content["ensembles"]["small"]["samples"] = 7
    config = check_config(content)
    work.prepared.clear()
    work.analysed.clear()
    for batch in batches_of(config, "small")[1:]:
        prepare_batch(comm_self, config, batch)
        analyse_batch(comm_self, config, batch)
    assert work.prepared == [sample_seed(5, "small", k) for k in (5, 6)]
    assert work.analysed == [5, 6]
    grown = read_records(batches_of(config, "small")[1].samples_path(config.results))
    assert grown["index"].tolist() == [3, 4, 5]
    full = {name: data for name, data in old.items() if "000003-000004" not in name}
    new = everything(config.results)
    assert full and full.items() <= new.items()
    assert not any("000003-000004" in name for name in new), "the short batch is part of a longer"


def test_refused_samples_are_listed_and_the_rest_goes_on(config, work, comm_self):
    batch = batches_of(config, "small")[0]
    work.refuse = {sample_seed(5, "small", 1), 2}
    assert prepare_batch(comm_self, config, batch)["refused"] == 1
    samples = read_records(batch.samples_path(config.results))
    assert samples["status"].tolist() == ["ok", "refused", "ok"]
    assert samples["reason"][1] == "not_converged"
    analyse_batch(comm_self, config, batch)
    assert work.analysed == [0, 2]
    moduli = read_records(batch.analysis_path(config.results, "moduli"))
    assert moduli["reason"].tolist() == ["", "not_converged", "saddle"]
    assert np.isnan(moduli["shear_modulus"]).tolist() == [False, True, True]


def test_a_signal_stops_after_the_sample_in_flight(config, work, comm_self, monkeypatch):
    batch = batches_of(config, "small")[0]
    plain = work.prepare

    def interrupted(comm, ensemble, seed):
        if len(work.prepared) == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        return plain(comm, ensemble, seed)

    monkeypatch.setattr("glassmodes.campaign.batches.prepare_ensemble_sample", interrupted)
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(Stopped):
        prepare_batch(comm_self, config, batch)
    assert len(work.prepared) == 2 and signal.getsignal(signal.SIGUSR1) is before
    assert not batch.samples_path(config.results).exists()
    assert prepare_batch(comm_self, config, batch)["computed"] == 1


def test_a_living_owner_keeps_its_lock(tmp_path):
    with Lock(tmp_path / "x.lock", "batch x"):
        with pytest.raises(LockedError, match=f"batch x is in work by process {os.getpid()}"):
            Lock(tmp_path / "x.lock", "batch x").acquire()
    Lock(tmp_path / "x.lock", "batch x").acquire()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / "x.lock"
    code = (
        "import sys; from pathlib import Path; from glassmodes.campaign.locks import Lock\n"
        "Lock(Path(sys.argv[1]), 'x').acquire(); print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ,
    )
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(LockedError):
        Lock(path, "x").acquire()
    owner = Process.from_json(path.read_text())
    assert owner.pid == child.pid and owner.alive
    child.kill()
    child.communicate()
    assert not owner.alive
    with Lock(path, "x"):
        pass
    assert not path.exists()


def test_a_process_number_used_again_is_another_process():
    me = Process.current()
    assert me.alive
    assert not Process(me.host, me.pid, "12").alive
    assert Process("elsewhere", me.pid, "12").alive
