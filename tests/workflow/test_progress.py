"""Counting finished samples, and the verbs that only look."""

import json

import pytest
import yaml

from glassmodes.campaign import costs
from glassmodes.campaign.batches import prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.manifest import batches_of
from glassmodes.campaign.progress import CampaignProgress, Estimate, render_duration, render_line
from glassmodes.campaign.run import stage_rules
from glassmodes.cli import main


def test_parts_and_batches_are_counted(config, work, comm_self):
    progress = CampaignProgress(config)
    assert [c.done for c in progress.count().values()] == [0, 0]
    first, second = batches_of(config, "small")
    prepare_batch(comm_self, config, second)
    work.prepared.clear()
    work.die_at = 2
    with pytest.raises(KeyboardInterrupt):
        prepare_batch(comm_self, config, first)
    counts = progress.count()
    assert (counts["prepare"].done, counts["prepare"].total) == (3, 5)
    assert counts["analyse"].done == 0
    assert counts["prepare"].seconds_left == pytest.approx(0.4 * counts["prepare"].seconds_total)


def test_time_left_follows_the_work_done(config, monkeypatch):
    counts = CampaignProgress(config).count()
    clock = iter([100.0, 130.0])
    monkeypatch.setattr("glassmodes.campaign.progress.time.monotonic", lambda: next(clock))
    estimate = Estimate(counts)
    assert estimate.seconds_left(counts) is None
    half = {
        name: type(c)(c.total // 2, c.total, c.seconds_left / 2, c.seconds_total)
        for name, c in counts.items()
    }
    assert estimate.seconds_left(half) == pytest.approx(30.0)
    line = render_line(half, 30.0, "")
    assert line == "samples: prepare 2/5, analyse 2/5 | about 30 s left"
    assert [render_duration(s) for s in (0.2, 400, 7200, 3e5)] == [
        "1 s",
        "7 min",
        "2.0 h",
        "3.5 days",
    ]


def test_larger_samples_and_later_attempts_ask_for_more(content):
    content["ensembles"]["large"] = content["ensembles"]["small"] | {"particles": 20000}
    content["ensembles"]["deep"] = content["ensembles"]["large"] | {"model": "ipl_4d"}
    config = check_config(content)
    for stage in ("prepare", "analyse"):
        memory = [costs.job_megabytes(config, name, stage) for name in config.ensembles]
        minutes = [costs.job_minutes(config, 500, name, stage) for name in config.ensembles]
        assert memory == sorted(set(memory)) and minutes == sorted(set(minutes))


def test_networks_ask_for_what_their_products_and_zero_modes_take(content):
    network = {
        "model": "harmonic_network",
        "particles": 5000,
        "protocol": {"name": "lattice_vacancies", "coordination": 7.0},
        "samples": 2,
        "batch_size": 1,
        "analyses": ["viscoelasticity"],
    }
    content["analyses"]["spectra"] = {"resolution": 0.1, "maximum": 3.0}
    content["ensembles"] = {
        "moduli": network,
        "spectra": network | {"analyses": ["spectra", "viscoelasticity"]},
        "finer": network
        | {
            "analyses": ["spectra", "viscoelasticity"],
            "settings": {"spectra": {"resolution": 0.01}},
        },
        "large": network | {"particles": 50000, "analyses": ["spectra", "viscoelasticity"]},
        "huge": network | {"particles": 1000000, "analyses": ["spectra", "viscoelasticity"]},
    }
    config = check_config(content)
    seconds = [costs.analysis_seconds(config, name) for name in config.ensembles]
    assert seconds == sorted(set(seconds))
    # A million particles must fit 12 GB: no factor is made there.
    assert costs.job_megabytes(config, "huge", "analyse") < 12_000
    assert costs.job_megabytes(config, "spectra", "analyse") > costs.job_megabytes(
        config, "moduli", "analyse"
    )


def test_ranks_share_time_and_memory_of_a_large_packing(content):
    """Per rank both fall, and what rank 0 or a factor needs does not grow with N for ever."""
    content["ensembles"]["small"] |= {
        "model": "harmonic_spheres",
        "particles": 512000,
        "protocol": {"name": "random_start"},
        "samples": 1,
        "batch_size": 1,
        "analyses": ["modes", "moduli"],
    }
    found = {}
    for ranks in (2, 8):
        content["ensembles"]["small"]["ranks"] = ranks
        config = check_config(content)
        found[ranks] = [costs.job_megabytes(config, "small", "prepare")]
        found[ranks] += [costs.preparation_seconds(config, "small")]
        assert costs.batch_seconds(config, batches_of(config, "small")[0], "prepare") > 0
    assert all(more > less for more, less in zip(found[2], found[8], strict=True))
    # A factor of 1.5 million rows on two ranks takes hours: no memory is asked for it.
    content["ensembles"]["small"]["ranks"] = 2
    assert costs.job_megabytes(check_config(content), "small", "analyse") < 4000


def test_forced_stages_are_the_rules_that_are_in_use(content):
    content["ensembles"]["shared"] = content["ensembles"]["small"] | {
        "ranks": 2,
        "analyses": ["modes"],
    }
    config = check_config(content)
    assert stage_rules(config, "prepare") == ["prepare_batch", "prepare_batch_mpi"]
    assert stage_rules(config, "analyse") == [
        "analyse_batch_modes_moduli_dipoles",
        "analyse_batch_mpi_modes",
    ]


@pytest.fixture
def config_file(content, tmp_path):
    """Return a configuration file."""
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_plan_and_status_compute_nothing(config_file, tmp_path, capfd):
    assert main(["campaign", "plan", "--config", str(config_file), "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert plan["jobs"] == 4
    assert plan["ensembles"]["small"]["batches"] == ["small/000000-000002", "small/000003-000004"]
    assert main(["campaign", "status", "--config", str(config_file), "--json"]) == 0
    status = json.loads(capfd.readouterr().out)
    assert status["prepare"] == {"done": 0, "samples": 5}
    assert not (tmp_path / "results").exists()


def test_bad_calls_end_in_one_line(config_file, content, tmp_path, capfd):
    for words, text in (
        (["prepare", "--config", str(config_file), "--batch", "smal/0"], "did you mean 'small'"),
        (["plan", "--config", str(tmp_path / "none.yaml")], "cannot read the configuration"),
        (["rum"], "did you mean 'run'"),
        (["run", "--config", str(config_file), "--profile", "nowhere"], "no profile folder"),
    ):
        assert main(["campaign", *words]) == 2
        error = capfd.readouterr().err
        assert error.count("\n") == 1 and text in error
    content["ensembles"]["small"] |= {"sampels": 3, "ranks": 0}
    config_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["campaign", "plan", "--config", str(config_file)]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3 and "2 problems" in lines[-1]
