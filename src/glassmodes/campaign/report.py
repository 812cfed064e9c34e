"""The stage ``report``: one HTML file with figures, tables and verdicts, readable offline."""

from __future__ import annotations

import base64
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from glassmodes.campaign.compare_verdicts import VERDICTS
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.efficiency import COLUMNS, in_one_line, measure_jobs, summarise
from glassmodes.campaign.figures import FIGURES
from glassmodes.campaign.job_log import JobLog
from glassmodes.campaign.limits import limits_in_words, words
from glassmodes.campaign.products import figures_of, read_tables, tables_of
from glassmodes.campaign.progress import snakemake_log
from glassmodes.campaign.provenance import describe_run
from glassmodes.campaign.report_blocks import BLOCKS, Block
from glassmodes.campaign.table_files import replacing, table_path
from glassmodes.campaign.table_schema import TABLES
from glassmodes.errors import InputError

_SYMBOLS = (
    (r"\bw\^(\d)", r"ω^\1"),
    (r"\bw\b", "ω"),
    (r"\bw_([cDi])\b", r"ω_\1"),
    (r"<mu>", "⟨μ⟩"),
    (r"\bmu\b", "μ"),
    (r"\bkappa\b", "κ"),
    (r"\+-", "±"),
    (r"(?<=\d) x (?=\d)", " × "),
)
"""Plain letters of the tables (first) and what the page shows for them."""

_UNITLESS = ("1", "see law", "see quantity")
_ROUND_OFF = 1e-9
"""Errors below this part of their value are not statistical: all samples say the same."""

_ALWAYS = ("ensembles", "samples", "mode_solves", "spectral_samples", "comparison")
"""Tables that tiles and limits count, beside those of the blocks."""


def write_report(config: CampaignConfig) -> Path:
    """Write ``report.html`` from tables, fits, comparison and figures; return its path.

    Command, date, machine and versions are those of ``run.json`` in the results folder.
    """
    results = config.results
    page = _environment().get_template("report_template.html").render(_content(config))
    path = results / "report.html"
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _environment() -> jinja2.Environment:
    folder = resources.files("glassmodes.campaign")

    def load(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _content(config: CampaignConfig) -> dict[str, Any]:
    results = config.results
    tables = read_tables(config, {*_ALWAYS, *(block.table for block in BLOCKS)})
    there = tables_of(config)
    ensembles = tables["ensembles"]
    counts = Counter(r["verdict"] for r in tables["comparison"])
    return {
        "title": config.campaign.title,
        "subtitle": "; ".join(dict.fromkeys(e["group"] for e in ensembles)),
        "tiles": _tiles(tables),
        "verdicts": [{"name": v, "style": _style(v), "count": counts[v]} for v in VERDICTS],
        "comparisons": _comparison_blocks(tables["comparison"]),
        "limits": limits_in_words(tables),
        "figures": [_figure(results, name) for name in figures_of(config)],
        "blocks": [_block(b, tables[b.table]) for b in BLOCKS if b.table in there],
        "efficiency": _efficiency(config),
        "files": [
            {"path": t.path, "rows": t.rows}
            for t in (TABLES[name] for name in there)
            if table_path(results, t.name).is_file()
        ],
        "provenance": _provenance(config, _run(config)),
    }


def _tiles(tables: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    ensembles = tables["ensembles"]
    total = {
        name: sum(e[name] for e in ensembles)
        for name in ("samples_prepared", "samples_refused", "samples_certified")
    }
    counted = (
        ("mode_solves", "modes", "modes"),
        ("dipole_stiffness", "dipoles", "dipole responses"),
    )
    tiles = [
        (len(ensembles), "ensembles"),
        (total["samples_prepared"], "samples"),
        (total["samples_refused"], "refused"),
        *((sum(r[name] for r in tables[t]), label) for t, name, label in counted if tables[t]),
    ]
    if tables["mode_solves"]:
        tiles.append((total["samples_certified"], "certified spectra"))
    if tables["spectral_samples"]:
        tiles.append((len(tables["spectral_samples"]), "spectral functions"))
    return [{"value": f"{value:,}", "label": label} for value, label in tiles]


def _pretty(text: str) -> str:
    """Return the plain letters of the CSV files as a reader of a web page expects them."""
    for plain, symbol in _SYMBOLS:
        text = re.sub(plain, symbol, text)
    return text


def _style(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _cell(value: Any, digits: int = 4) -> dict[str, Any]:
    """Text of a cell; numbers are rounded for reading, the CSV holds all digits."""
    if value is None:
        return {"text": "", "number": True, "verdict": ""}
    if isinstance(value, bool):
        return {"text": "yes" if value else "no", "number": False, "verdict": ""}
    if isinstance(value, int):
        return {
            "text": f"{value:,}" if value >= 10000 else str(value),
            "number": True,
            "verdict": "",
        }
    if isinstance(value, float):
        return {"text": f"{value:.{digits}g}", "number": True, "verdict": ""}
    return {"text": _pretty(str(value)), "number": False, "verdict": ""}


def with_error(value: float | None, error: float | None) -> str:
    """Return ``12.34 ± 0.05`` with the error to two digits, the value to the same place."""
    if value is None:
        return "" if error is None else f"± {error:.2g}"
    if error is None or not (error > _ROUND_OFF * abs(value) and math.isfinite(error)):
        return f"{value:.4g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}"


def _measured(value: float | None, error: float | None) -> dict[str, Any]:
    return {"text": with_error(value, error), "number": True, "verdict": ""}


def _verdict(value: str) -> dict[str, Any]:
    return {"text": value, "number": False, "verdict": _style(value)}


def _comparison_blocks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one block for every paper."""
    papers = dict.fromkeys(r["paper"] for r in rows)
    return [_comparison_block(p, [r for r in rows if r["paper"] == p]) for p in papers]


def _comparison_block(paper: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    labels = (
        "quantity",
        "d",
        "N",
        "our samples",
        "paper says",
        "where",
        "we measure",
        "verdict",
        "samples needed",
        "why",
    )
    return {
        "title": paper[:1].upper() + paper[1:],
        "note": "Errors are standard errors over resampled samples. A number of the paper is "
        "granted its rounding and the spread of independent reproductions.",
        "columns": [{"label": name, "unit": ""} for name in labels],
        "rows": [
            [
                _cell(words(r["quantity"])),
                _cell(r["dimension"]),
                _cell(r["particles"]),
                _cell(r["protocol"]),
                _cell(r["paper_says"]),
                _cell(r["place"]),
                _measured(r["measured"], r["measured_error"]),
                _verdict(r["verdict"]),
                _cell(r["samples_needed"]),
                _cell(r["explanation"]),
            ]
            for r in rows
        ],
    }


def _block(block: Block, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the cells of a block of the report."""
    table = TABLES[block.table]
    units = {c.name: c.unit for c in table.columns}
    columns = [
        {
            "label": words(n.rstrip("±")),
            "unit": units[n.rstrip("±")] if units[n.rstrip("±")] not in _UNITLESS else "",
        }
        for n in block.columns
    ]
    return {
        "title": block.title,
        "note": _pretty(f"{table.rows[:1].upper()}{table.rows[1:]}."),
        "columns": columns,
        "rows": [
            [
                _measured(r[n[:-1]], r[f"{n[:-1]}_error"])
                if n.endswith("±")
                else _verdict(r[n])
                if n == "verdict"
                else _cell(r[n])
                for n in block.columns
            ]
            for r in rows
        ],
    }


def _efficiency(config: CampaignConfig) -> dict[str, Any] | None:
    """Return what jobs used against what they had asked for, None without benchmark files.

    The jobs of the samples and of all stages so far: this one is not finished.
    """
    rows = summarise(measure_jobs(config))
    if not rows:
        return None
    repeated = sum(job.attempts > 1 for job in JobLog(snakemake_log(config.results)).read())
    again = f" {repeated} jobs of the last run needed more than one attempt." if repeated else ""
    return {
        "title": "Time and memory",
        "note": f"{in_one_line(rows)}.{again} Memory is that of a job, all its ranks together.",
        "columns": [
            {"label": words(name), "unit": unit if unit not in _UNITLESS else ""}
            for name, unit, _ in COLUMNS
        ],
        "rows": [[_cell(row[name], 3) for name, *_ in COLUMNS] for row in rows],
    }


def _figure(results: Path, name: str) -> dict[str, str]:
    path = Path(results) / "figures" / f"{name}.png"
    try:
        image = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as exc:
        raise InputError(f"{path}: cannot read the figure; run the stage figures") from exc
    spec = FIGURES[name]
    return {"name": name, "title": spec.title, "caption": spec.caption, "image": image}


def _provenance(config: CampaignConfig, run: dict[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of what the numbers depend on and where they were computed."""
    s = config.statistics
    machine = run["machine"]
    return [
        ("command", " ".join(run["command"])),
        ("started", run["started"]),
        ("written", datetime.now(UTC).isoformat(timespec="seconds")),
        ("campaign seed", str(config.campaign.seed)),
        *(
            (f"seed of {name}", str(e.seed))
            for name, e in config.ensembles.items()
            if e.seed is not None
        ),
        (
            "errors",
            f"{s.bootstrap_resamples} resamples of glasses, seed {s.bootstrap_seed}, "
            f"{100 * s.confidence:g} % intervals",
        ),
        ("versions", ", ".join(f"{k} {v}" for k, v in run["versions"].items())),
        ("stages", ", ".join(f"{k} {v}" for k, v in run["stage_versions"].items())),
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"),
    ]


def _run(config: CampaignConfig) -> dict[str, Any]:
    """Return the description of the run that made the results, of this one if it left none."""
    path = config.results / "run.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    return describe_run(sys.argv)
