"""Tables, fits, figures and report from synthetic batch files whose laws are known."""

import csv
import re
import shutil

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest

from glassmodes.campaign.compare import write_comparison
from glassmodes.campaign.config import check_config
from glassmodes.campaign.figures import draw_figure, write_figure, write_figures
from glassmodes.campaign.fits import write_fits
from glassmodes.campaign.manifest import build_manifest
from glassmodes.campaign.products import figures_of, tables_of
from glassmodes.campaign.provenance import fingerprints_of, write_run
from glassmodes.campaign.record_schema import SCHEMAS
from glassmodes.campaign.records import Header, Row, refused, write_batch
from glassmodes.campaign.report import with_error, write_report
from glassmodes.campaign.table_files import read_table, table_path, write_table
from glassmodes.campaign.table_schema import TABLES, documentation
from glassmodes.campaign.tables import write_tables
from glassmodes.errors import InputError

MODULUS = {2: 15.8, 3: 12.4}
SPREAD = 1.5
BULK = 90.0
STIFFNESS = 20.0
AMPLITUDE = 300.0
PARTICIPATING = 40.0
REFUSED = {"ipl_2d": {3: "prepare", 7: "modes"}}
QUENCH = {"name": "instantaneous_quench", "temperature": 2.0}
COOLING = {"name": "slow_cooling", "temperature": 1.0, "final_temperature": 0.1, "rate": 0.02}


def configure(folder, ensembles):
    return check_config(
        {
            "campaign": {"title": "Synthetic", "seed": 1, "results": str(folder)},
            "ensembles": ensembles,
            "analyses": {"modes": {"count": 12}},
            "statistics": {"bootstrap_resamples": 200},
        }
    )


def complete(kind, record, d, n):
    """Fill the columns of a record that a test does not care about."""
    full = {}
    for column in SCHEMAS[kind]:
        if column.kind == "text" or column.optional or column.ragged:
            continue
        full[column.name] = np.zeros(column.sizes(d, n), dtype=column.dtype)
    return {**full, "status": "ok", **record}


def frequencies(rng, amplitude, count):
    """Lowest `count` of a Poisson process with cumulative ``amplitude * w**5``."""
    return (np.cumsum(rng.exponential(size=count)) / amplitude) ** 0.2


def write_results(config):
    """Write batch files: law ``w**4``, normal moduli, lognormal stiffnesses."""
    for batch in build_manifest(config):
        ensemble = config.ensembles[batch.ensemble]
        d, n = ensemble.dimension, ensemble.particles
        rows = {kind: [] for kind in SCHEMAS}
        for index in batch.indices:
            rng = np.random.default_rng([index, d, n])
            stage = REFUSED.get(batch.ensemble, {}).get(index)
            w = frequencies(rng, 3.0 if batch.ensemble == "cooled" else AMPLITUDE, 12)
            shear = np.full((d, d), MODULUS[d]) + SPREAD * rng.normal(size=(d, d))
            np.fill_diagonal(shear, np.nan)
            records = {
                "samples": {"energy_per_particle": 8.0, "force_ratio": 1e-11},
                "modes": {
                    "frequency": w,
                    "participation_ratio": np.full(12, PARTICIPATING / n),
                    "residual": np.full(12, 1e-11),
                    "zero_modes": d,
                    "certified": True,
                    "complete_below": w[-1],
                },
                "moduli": {
                    "shear_modulus_by_direction": shear,
                    "shear_modulus": np.nanmean(shear),
                    "bulk_modulus": BULK,
                    "mass_density": ensemble.density,
                },
                "dipoles": {
                    "pair": rng.integers(0, n, (20, 2)),
                    "stiffness": STIFFNESS * np.exp(0.3 * rng.normal(size=20)),
                    "residual": np.full(20, 1e-10),
                },
            }
            for kind, record in records.items():
                if stage == "prepare" or (stage == kind):
                    rows[kind].append(Row(refused(index, "saddle", "2 negative eigenvalues")))
                else:
                    rows[kind].append(Row(complete(kind, {"index": index, **record}, d, n)))
        for kind, content in rows.items():
            if kind == "samples":
                path = batch.samples_path(config.results)
            else:
                path = batch.analysis_path(config.results, kind)
            made = fingerprints_of(config, batch.ensemble).get(kind, "")
            write_batch(path, Header(kind, d, n, made), content)


def write_all(config):
    write_tables(config)
    write_fits(config)
    write_comparison(config)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    ensembles = {
        "ipl_2d": {
            "model": "ipl_2d",
            "particles": 400,
            "protocol": QUENCH,
            "samples": 90,
            "batch_size": 40,
        },
        "ipl_3d": {"model": "ipl_3d", "particles": 1000, "protocol": QUENCH, "samples": 60},
        "ipl_3d_large": {"model": "ipl_3d", "particles": 2000, "protocol": QUENCH, "samples": 60},
        "cooled": {"model": "ipl_3d", "particles": 1000, "protocol": COOLING, "samples": 20},
    }
    config = configure(tmp_path_factory.mktemp("campaign") / "results", ensembles)
    write_results(config)
    write_all(config)
    return config


def rows_of(config, table, **where):
    return [
        r
        for r in read_table(config.results, table)
        if all(r[key] == value for key, value in where.items())
    ]


def within(row, name, truth, sigmas=4.0):
    """Tell whether the truth lies within `sigmas` errors (a chance of 1e-4 to miss it at 4)."""
    return abs(row[name] - truth) < sigmas * row[f"{name}_error"]


def test_every_table_has_its_schema_and_its_units(campaign):
    names = tables_of(campaign)
    assert set(names) < set(TABLES)
    for name, schema in TABLES.items():
        path = table_path(campaign.results, name)
        if name not in names:
            assert not path.exists(), name
            continue
        assert path.is_file(), name
        if path.suffix == ".parquet":
            arrow = pq.read_schema(path)
            assert arrow.names == schema.names
            assert [f.metadata[b"unit"].decode() for f in arrow] == [c.unit for c in schema.columns]
        else:
            with open(path, encoding="utf-8", newline="") as file:
                assert next(csv.reader(file)) == schema.names
    with open(campaign.results / "tables" / "units.csv", encoding="utf-8", newline="") as file:
        listed = {(r["table"], r["column"]): r["unit"] for r in csv.DictReader(file)}
    assert listed == {(name, c.name): c.unit for name in names for c in TABLES[name].columns}
    assert all(c.unit for t in TABLES.values() for c in t.columns if c.kind == "number")


def test_documentation_page_is_the_schema(request):
    page = request.config.rootpath / "docs" / "tables.md"
    assert page.read_text(encoding="utf-8") == documentation()


def test_refused_samples_are_listed_with_stage_and_reason(campaign):
    refused_rows = rows_of(campaign, "samples", ensemble="ipl_2d", status="refused")
    assert [(r["sample"], r["refused_by"], r["reason"]) for r in refused_rows] == [
        (3, "prepare", "saddle"),
        (7, "modes", "saddle"),
    ]
    assert len(rows_of(campaign, "samples", ensemble="ipl_2d")) == 90
    ensemble = rows_of(campaign, "ensembles", ensemble="ipl_2d")[0]
    assert ensemble["samples_planned"] == 90
    assert ensemble["samples_prepared"] == 89
    assert ensemble["samples_refused"] == 2
    assert ensemble["samples_with_modes"] == 88
    assert ensemble["samples_with_moduli"] == 89


def test_complete_window_is_the_smallest_of_the_ensemble(campaign):
    solves = rows_of(campaign, "mode_solves", ensemble="ipl_3d")
    window = rows_of(campaign, "ensembles", ensemble="ipl_3d")[0]["complete_below"]
    assert window == min(r["complete_below"] for r in solves)
    modes = pq.read_table(
        table_path(campaign.results, "modes"), filters=[("ensemble", "=", "ipl_3d")]
    ).to_pydict()
    complete_flags = np.array(modes["complete"])
    # the CSV carries ten digits of the window, the Parquet file all of them
    np.testing.assert_array_equal(
        complete_flags, np.array(modes["frequency"]) < window * (1 - 1e-9)
    )
    assert 0 < complete_flags.sum() < complete_flags.size
    for table in ("density_of_states", "participation"):
        highs = [r["frequency_high"] for r in rows_of(campaign, table, ensemble="ipl_3d")]
        assert max(highs) <= window


def test_density_of_states_is_unbiased_by_the_fixed_number_of_modes(campaign):
    # the law has no cutoff, so F(w) = AMPLITUDE w^5 / n up to the end of the complete window;
    # counting all 12 modes of every sample instead would lose most of the last bins
    n = 3 * 1000 - 3
    for row in rows_of(campaign, "cumulative", ensemble="ipl_3d"):
        if row["modes"] >= 30:
            assert within(row, "reduced_cumulative", AMPLITUDE / n)
    for row in rows_of(campaign, "density_of_states", ensemble="ipl_3d"):
        if row["modes"] >= 10:
            low, high = row["frequency_low"], row["frequency_high"]
            truth = AMPLITUDE * (high**5 - low**5) / n / (high - low)
            assert within(row, "density_of_states", truth)
            centre = np.sqrt(low * high)
            assert row["reduced_density"] == pytest.approx(row["density_of_states"] / centre**2)


def test_density_of_states_integrates_to_the_cumulative(campaign):
    rows = rows_of(campaign, "density_of_states", ensemble="ipl_2d")
    total = sum(r["density_of_states"] * (r["frequency_high"] - r["frequency_low"]) for r in rows)
    end = rows[-1]["frequency_high"]
    at_end = [
        r
        for r in rows_of(campaign, "cumulative", ensemble="ipl_2d")
        if r["frequency"] == pytest.approx(end)
    ]
    # ten digits in the CSV, a few dozen terms
    assert at_end and total == pytest.approx(at_end[0]["cumulative"], rel=1e-8)


def test_shear_modulus_statistics_recover_mean_spread_and_disorder(campaign):
    for name, d, n in (("ipl_2d", 2, 400), ("ipl_3d", 3, 1000)):
        row = rows_of(campaign, "shear_modulus", ensemble=name)[0]
        assert row["draws"] == row["samples"] * d * (d - 1)
        assert within(row, "mean", MODULUS[d])
        assert within(row, "standard_deviation", SPREAD)
        assert within(row, "disorder_parameter", n * (SPREAD / MODULUS[d]) ** 2)
        assert within(row, "skewness", 0.0)
        draws = [
            r["shear_modulus"] for r in rows_of(campaign, "moduli_by_direction", ensemble=name)
        ]
        # the table is what the convention says of its own rows, to the ten digits of a CSV
        assert row["mean"] == pytest.approx(np.mean(draws), rel=1e-8)
        gamma = n * np.var(draws, ddof=1) / np.mean(draws) ** 2
        assert row["disorder_parameter"] == pytest.approx(gamma, rel=1e-7)


def test_shear_modulus_distribution_is_normalised(campaign):
    rows = rows_of(campaign, "shear_modulus_distribution", ensemble="ipl_3d")
    area = sum(
        r["probability_density"] * (r["shear_modulus_high"] - r["shear_modulus_low"]) for r in rows
    )
    assert area == pytest.approx(1.0, rel=1e-6)
    assert sum(r["draws"] for r in rows) == 60 * 6


def test_debye_frequency_is_that_of_the_mean_moduli(campaign):
    row = rows_of(campaign, "ensembles", ensemble="ipl_3d")[0]
    mean = rows_of(campaign, "shear_modulus", ensemble="ipl_3d")[0]["mean"]
    density = row["density"]
    transverse = np.sqrt(mean / density)
    longitudinal = np.sqrt((BULK + 4 * mean / 3) / density)
    debye = (18 * np.pi**2 * density / (2 / transverse**3 + 1 / longitudinal**3)) ** (1 / 3)
    assert row["debye_frequency"] == pytest.approx(debye, rel=1e-8)
    box = (1000 / density) ** (1 / 3)
    assert row["first_phonon_frequency"] == pytest.approx(2 * np.pi * transverse / box, rel=1e-8)
    level = rows_of(campaign, "density_of_states", ensemble="ipl_3d")[0]["debye_level"]
    assert level == pytest.approx(3 / debye**3, rel=1e-8)


def test_dipole_statistics_recover_the_mean(campaign):
    row = rows_of(campaign, "dipole_stiffness", ensemble="ipl_3d")[0]
    assert row["dipoles"] == 60 * 20
    assert within(row, "mean", STIFFNESS * np.exp(0.3**2 / 2))
    rows = rows_of(campaign, "dipole_stiffness_distribution", ensemble="ipl_3d")
    area = sum(r["probability_density"] * (r["stiffness_high"] - r["stiffness_low"]) for r in rows)
    assert area == pytest.approx(1.0, rel=1e-6)


def test_participation_number_and_its_scaling_recover_localised_modes(campaign):
    for row in rows_of(campaign, "participation", ensemble="ipl_3d"):
        assert row["participation_number"] == pytest.approx(PARTICIPATING, rel=1e-8)
    scaling = rows_of(campaign, "size_scaling", dimension=3, quantity="shear_modulus")[0]
    assert scaling["ensembles"].split() == ["ipl_3d", "ipl_3d_large"]
    assert scaling["verdict"] == "resolved"
    assert abs(scaling["slope"]) < 4 * scaling["slope_error"]


def test_resolved_exponent_recovers_the_law_and_the_unresolved_one_is_not_fitted(campaign):
    for row in rows_of(campaign, "exponents"):
        limit = min(row["phonon_limit"], row["cutoff"])
        assert row["window_upper"] <= limit * (1 + 1e-9)
        if row["verdict"] == "resolved":
            assert within(row, "exponent", 4.0)
            assert row["goodness"] > 1e-3
        else:
            assert row["exponent"] is None
            assert row["samples_needed"] > row["samples"]
            assert row["modes"] < row["modes_needed"]
    verdicts = {r["ensemble"]: r["verdict"] for r in rows_of(campaign, "exponents")}
    assert verdicts["ipl_3d"] == "resolved"
    assert verdicts["cooled"] == "not resolved"


def test_exponent_scan_says_where_the_law_is_not_tested(campaign):
    for e in rows_of(campaign, "exponents"):
        for row in rows_of(campaign, "exponent_scan", ensemble=e["ensemble"]):
            assert (row["regime"] == "inside") == (row["window_upper"] <= e["window_upper"])


def test_same_files_give_the_same_bytes(campaign):
    kept = {p: p.read_bytes() for p in (campaign.results / "tables").iterdir()}
    kept |= {p: p.read_bytes() for p in (campaign.results / "fits").iterdir()}
    write_all(campaign)
    changed = [p.name for p, content in kept.items() if p.read_bytes() != content]
    assert changed == []


def test_batches_do_not_matter(tmp_path):
    whole = {
        "model": "ipl_2d",
        "particles": 400,
        "protocol": QUENCH,
        "samples": 30,
        "batch_size": 30,
    }
    tables = []
    for size in (30, 7):
        config = configure(tmp_path / str(size), {"ipl_2d": {**whole, "batch_size": size}})
        write_results(config)
        write_all(config)
        tables.append(config)
    for name in ("density_of_states", "shear_modulus", "dipole_stiffness", "exponents"):
        first, second = (read_table(c.results, name) for c in tables)
        assert first == second, name


def test_missing_batch_is_named(tmp_path):
    config = configure(
        tmp_path,
        {"ipl_2d": {"model": "ipl_2d", "particles": 400, "protocol": QUENCH, "samples": 3}},
    )
    with pytest.raises(InputError, match="000000-000002"):
        write_tables(config)
    assert not (tmp_path / "tables" / "samples.csv").exists()
    with pytest.raises(InputError, match="run the stage"):
        write_fits(config)


def test_ensemble_without_modes_and_without_accepted_samples(tmp_path):
    ensembles = {
        "ipl_2d": {
            "model": "ipl_2d",
            "particles": 400,
            "protocol": QUENCH,
            "samples": 6,
            "analyses": ["moduli"],
        },
        "none": {"model": "ipl_3d", "particles": 500, "protocol": QUENCH, "samples": 2},
    }
    config = configure(tmp_path, ensembles)
    write_results(config)
    batch = build_manifest(config)[-1]
    for kind in SCHEMAS:
        path = (
            batch.samples_path(tmp_path)
            if kind == "samples"
            else batch.analysis_path(tmp_path, kind)
        )
        rows = [Row(refused(i, "not_converged", "stuck")) for i in batch.indices]
        made = fingerprints_of(config, batch.ensemble).get(kind, "")
        write_batch(path, Header(kind, 3, 500, made), rows)
    write_all(config)
    counts = {r["ensemble"]: r["samples_with_modes"] for r in rows_of(config, "ensembles")}
    assert counts == {"ipl_2d": 0, "none": 0}
    for name in figures_of(config):
        draw_figure(config.results, name)
    with pytest.raises(InputError, match="run the stage figures"):
        write_report(config)


def test_figures_are_drawn_and_the_report_stands_alone(campaign):
    written = write_figures(campaign)
    assert [p.stem for p in written[::2]] == figures_of(campaign)
    for pdf, png in zip(written[::2], written[1::2], strict=True):
        assert pdf.read_bytes().startswith(b"%PDF")
        pixels = matplotlib.image.imread(png)
        assert pixels[..., :3].std() > 0.01  # not a blank page
    write_run(campaign.results, ["make", "campaign"])
    page = write_report(campaign).read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert "@import" not in page and "<script" not in page
    assert page.count("data:image/png;base64,") == len(figures_of(campaign))
    for path in re.findall(r'href="((?:tables|fits|figures)/[^"]+)"', page):
        assert (campaign.results / path).is_file(), path
    assert "saddle" in page and "make campaign" in page


def test_figure_bytes_repeat(campaign):
    first = write_figure(campaign, "disorder_parameter")
    kept = [p.read_bytes() for p in first]
    assert [p.read_bytes() for p in write_figure(campaign, "disorder_parameter")] == kept


def test_unknown_names_suggest_the_nearest(campaign):
    with pytest.raises(InputError, match="density_of_states"):
        write_figure(campaign, "densty_of_states")
    with pytest.raises(InputError, match="'moduli'"):
        read_table(campaign.results, "modulli")


def test_table_of_another_version_is_refused(campaign, tmp_path):
    (tmp_path / "tables").mkdir()
    shutil.copy(table_path(campaign.results, "moduli"), tmp_path / "tables" / "samples.csv")
    with pytest.raises(InputError, match="write it again"):
        read_table(tmp_path, "samples")
    with pytest.raises(InputError, match="do not match"):
        write_table(tmp_path, "moduli", [{"ensemble": "x", "colour": 3}])
    assert not (tmp_path / "tables" / "moduli.csv").exists()


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (12.3456, 0.0521, "12.346 ± 0.052"),
        (12.3456, 1.7, "12.3 ± 1.7"),
        (1234.5, 22.0, "1234 ± 22"),
        (12.3456, None, "12.35"),
        (None, None, ""),
        (0.41247895, 5.6e-17, "0.4125"),
    ],
)
def test_numbers_carry_the_digits_of_their_error(value, error, text):
    assert with_error(value, error) == text
