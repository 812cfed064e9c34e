"""Laws of cost, their measured corrections, and what jobs ask for."""

import json
import math

import numpy as np
import pytest

from glassmodes.campaign import cost_laws, costs
from glassmodes.campaign.config import check_config
from glassmodes.campaign.cost_fits import fit_costs
from glassmodes.campaign.cost_table import (
    EXTRAPOLATED,
    LAW,
    MEASURED,
    MEGABYTES,
    SECONDS,
    CostTable,
    Entry,
    Exponent,
    load_costs,
    parse_costs,
    read_costs,
)
from glassmodes.campaign.manifest import batches_of, build_manifest
from glassmodes.campaign.records import write_timings
from glassmodes.cli import main
from glassmodes.errors import InputError

FACTOR, POWER, BASE, MEMORY = 1.7, 0.4, 120.0, 0.6
SIZES = {"tiny": 200, "small": 800, "medium": 6400, "large": 40000}
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def finished_campaign(content, share=1.0, ranks=1):
    """Write benchmark files and timings of a campaign whose costs follow a known correction.

    Parameters
    ----------
    share
        Part of the time in which a job has a processor.
    """
    small = content["ensembles"].pop("small")
    for name, size in SIZES.items():
        content["ensembles"][name] = small | {
            "particles": size,
            "samples": 4,
            "batch_size": 2,
            "ranks": ranks,
            "analyses": ["modes"],
        }
    content["ensembles"] = dict(sorted(content["ensembles"].items()))
    config = check_config(content)
    config.results.mkdir()
    (config.results / "config.json").write_text(json.dumps(config.model_dump(mode="json")))
    for batch in build_manifest(config):
        n = config.ensembles[batch.ensemble].particles
        for stage, part, quantity in (
            ("prepare", "liquid", "samples.seconds"),
            ("analyse", "modes", "modes.seconds"),
        ):
            law = cost_laws.law_seconds(config, batch.ensemble, stage)[part]
            each = law * FACTOR * (n / 1000) ** POWER / share
            rows = [(k, quantity, each) for k in batch.indices]
            write_timings(batch.timings_path(config.results, stage), rows)
            wall = 3.0 + len(rows) * each
            needed = cost_laws.law_megabytes(config, batch.ensemble, stage)
            rss = BASE + (MEMORY * needed if batch.ensemble != "tiny" else 0.0)
            path = config.results / "benchmarks" / stage / batch.ensemble / f"{batch.id}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            row = [wall, "0:00:01", ranks * rss, 0, 0, 0, 0, 0, 99.0, wall * share * ranks]
            path.write_text(HEADER + "\t".join(str(value) for value in row) + "\n")
    return config


@pytest.mark.parametrize(("share", "ranks"), [(1.0, 1), (0.25, 1), (1.0, 2)])
def test_fit_finds_what_the_jobs_follow(content, share, ranks):
    """Factor and exponent come back, however busy the machine was with other things."""
    config = finished_campaign(content, share, ranks)
    table = fit_costs([config.results])
    found = {(e.part, e.quantity): e for e in table.entries}
    for part in ("liquid", "modes"):
        entry = found[part, SECONDS]
        power = entry.exponents["particles"]
        at_1000 = entry.factor * (1000 / power.reference) ** power.value
        assert power.value == pytest.approx(POWER, abs=1e-3)
        # timings keep six digits
        assert at_1000 == pytest.approx(FACTOR, rel=1e-3)
        assert entry.spread == pytest.approx(1.0, abs=1e-3)
        assert (power.low, power.high) == (200, 40000)
    memory = found["analyse, factor", MEGABYTES]
    assert memory.factor == pytest.approx(MEMORY, rel=1e-3)
    assert table.base_megabytes == {"prepare": BASE, "analyse": BASE}
    assert table.start_seconds == pytest.approx(3.0 * share, rel=1e-3)
    # What a job asks for by this table is more than what it took.
    for name in config.ensembles:
        cost = costs.time_of_sample(config, name, "prepare", table)
        law = sum(cost_laws.law_seconds(config, name, "prepare").values())
        taken = law * FACTOR * (config.ensembles[name].particles / 1000) ** POWER
        assert cost.value == pytest.approx(taken, rel=2e-3)
        assert cost.asked >= 1.9 * taken
        assert cost.basis == MEASURED


def test_ranks_on_a_busy_machine_tell_their_memory_only(content):
    table = fit_costs([finished_campaign(content, share=0.3, ranks=2).results])
    assert {e.quantity for e in table.entries} == {MEGABYTES}
    assert table.start_seconds is None


def test_scatter_widens_what_is_asked_for(content):
    config = finished_campaign(content)
    rng = np.random.default_rng(0)
    for path in sorted((config.results / "timings").rglob("*.csv")):
        head, *lines = path.read_text().splitlines()
        noise = math.exp(0.5 * rng.standard_normal())
        rows = [line.split(",") for line in lines]
        text = "\n".join(f"{k},{name},{float(value) * noise}" for k, name, value in rows)
        path.write_text(f"{head}\n{text}\n")
    table = fit_costs([config.results])
    entry = next(e for e in table.entries if (e.part, e.quantity) == ("liquid", SECONDS))
    assert 1.2 < entry.spread < 2.7  # exp(0.5) = 1.65, from eight jobs
    cost = costs.time_of_sample(config, "medium", "prepare", table)
    assert cost.asked == pytest.approx(min(5.0, max(2.0, entry.spread**3)) * cost.value)


def test_outside_the_measured_sizes_the_law_carries_on(content):
    power = Exponent(1.0, 1000.0, 500.0, 4000.0)
    entry = Entry("liquid", "glass_2d", SECONDS, 2.0, 1.1, 9, {"particles": power})
    table = CostTable(entries=(entry,))
    ratios, bases = [], []
    for n in (500, 1000, 4000, 4001, 10**6):
        content["ensembles"]["small"]["particles"] = n
        config = check_config(content)
        law = cost_laws.law_seconds(config, "small", "prepare")["liquid"]
        cost = costs.time_of_sample(config, "small", "prepare", table)
        ratios.append(cost.value / law)
        bases.append(cost.basis)
        assert costs.time_of_sample(config, "small", "analyse", table).basis == LAW
    assert ratios == pytest.approx([1.0, 2.0, 8.0, 8.0, 8.0])
    assert bases == [MEASURED] * 4 + [EXTRAPOLATED]


def test_table_survives_its_file(content, tmp_path):
    table = fit_costs([finished_campaign(content).results])
    path = tmp_path / "costs.json"
    path.write_text(table.to_json(), encoding="utf-8")
    read = read_costs(path)
    assert [(e.part, e.kind, e.quantity, e.jobs) for e in read.entries] == [
        (e.part, e.kind, e.quantity, e.jobs) for e in table.entries
    ]
    for ours, theirs in zip(table.entries, read.entries, strict=True):
        assert theirs.factor == pytest.approx(ours.factor, rel=1e-3)
        assert set(theirs.exponents) == set(ours.exponents)


def test_a_site_replaces_the_table(content, tmp_path, monkeypatch):
    config = check_config(content)
    before = costs.job_megabytes(config, "small", "analyse")
    table = CostTable(base_megabytes={"analyse": 5000.0})
    path = tmp_path / "costs.json"
    path.write_text(table.to_json(), encoding="utf-8")
    monkeypatch.setenv("GLASSMODES_COSTS", str(path))
    assert load_costs().base_megabytes == {"analyse": 5000.0}
    assert costs.job_megabytes(config, "small", "analyse") > 5000 > before


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', "nul", "[" * 5000, '{"format": 1, "entries": [1]}'],
)
def test_a_broken_table_is_one_line(text, tmp_path, monkeypatch, content, capfd):
    with pytest.raises(InputError, match="no table of costs"):
        parse_costs(text, "costs.json")
    path = tmp_path / "costs.json"
    path.write_text(text, encoding="utf-8")
    config = tmp_path / "c.json"
    config.write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("GLASSMODES_COSTS", str(path))
    assert main(["campaign", "plan", "--config", str(config)]) == 2
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "x", None])
def test_numbers_of_a_table_are_positive(value):
    entry = Entry("liquid", "glass_2d", SECONDS, 1.0, 1.0, 1)
    content = json.loads(CostTable(entries=(entry,)).to_json())
    content["entries"][0]["factor"] = value
    with pytest.raises(InputError):
        parse_costs(json.dumps(content), "costs.json")


def test_the_table_of_the_package_is_measured(content):
    """The default campaign and its like rest on measurements, not on laws."""
    content["analyses"]["modes"]["count"] = 80
    table = load_costs()
    assert table.machine["processor"] and table.campaigns
    for n in (400, 1600):
        for model in ("ipl_2d", "ipl_3d", "ipl_4d"):
            content["ensembles"]["small"] |= {"particles": n, "model": model}
            config = check_config(content)
            for stage in ("prepare", "analyse"):
                assert costs.time_of_sample(config, "small", stage).basis == MEASURED
    assert set(table.base_megabytes) == {"prepare", "analyse", "windows"}


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
    seconds = [costs.time_of_sample(config, name, "analyse").value for name in config.ensembles]
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
        found[ranks] += [costs.time_of_sample(config, "small", "prepare").value]
        assert costs.batch_seconds(config, batches_of(config, "small")[0], "prepare") > 0
    assert all(more > less for more, less in zip(found[2], found[8], strict=True))
    # A factor of 1.5 million rows on two ranks takes hours: no memory is asked for it.
    content["ensembles"]["small"]["ranks"] = 2
    assert costs.job_megabytes(check_config(content), "small", "analyse") < 4000


def test_attempts_ask_for_more_up_to_the_limit():
    assert [costs.scaled(400, attempt) for attempt in (1, 2, 3)] == [400, 800, 1200]
    assert [costs.scaled(400, attempt, 1000) for attempt in (1, 2, 3)] == [400, 800, 1000]
    assert costs.scaled(4000, 1, 1000) == 1000


def test_batches_cost_what_their_samples_cost(content):
    content["analyses"]["windows"] = {"between": [1.0, 2.0], "slices": 4}
    content["ensembles"]["small"]["analyses"] = ["modes", "windows"]
    config = check_config(content)
    for batch in batches_of(config, "small"):
        for stage in cost_laws.STAGES:
            each = costs.time_of_sample(config, "small", stage).value
            slices = 4 if stage == "windows" else 1
            expected = slices * len(batch.indices) * each
            assert costs.batch_seconds(config, batch, stage) == pytest.approx(expected)


def test_no_finished_job_is_one_line(tmp_path, content, capfd):
    config = check_config(content)
    assert main(["campaign", "fit-costs", str(tmp_path / "none"), "-o", str(tmp_path / "t")]) == 2
    config.results.mkdir()
    (config.results / "config.json").write_text(json.dumps(config.model_dump(mode="json")))
    words = ["campaign", "fit-costs", str(config.results), "-o", str(tmp_path / "t.json")]
    assert main(words) == 2
    assert capfd.readouterr().err.count("\n") == 2
    assert not (tmp_path / "t.json").exists()
