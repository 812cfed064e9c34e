"""What an archive says about itself: README, meaning of the columns, machine-readable metadata.

The metadata are a Frictionless Data Package (``datapackage.json``, specification 1.0), which
data repositories and table readers know: every file with size and SHA-256, every table with
name, type, unit and meaning of its columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from glassmodes import __version__
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.products import tables_of
from glassmodes.campaign.table_schema import TABLES
from glassmodes.campaign.versions import STAGE_VERSIONS
from glassmodes.memory import in_words

_TYPES = {"text": "string", "integer": "integer", "number": "number", "flag": "boolean"}
_FORMATS = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".h5": "application/x-hdf5",
    ".json": "application/json",
    ".html": "text/html",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".yaml": "application/yaml",
}

REPRODUCE = """\
#!/bin/sh
# Checks every file, makes tables and fits again from the records of all samples, and compares.
# Needs glassmodes on PATH, of the version that README.md names.
set -eu
cd "$(dirname "$0")"
if command -v sha256sum >/dev/null; then
    sha256sum -c --quiet SHA256SUMS
fi
exec glassmodes archive verify .
"""


@dataclass(frozen=True)
class Contents:
    """What an archive holds.

    Attributes
    ----------
    config : CampaignConfig
    sizes : mapping of str to int
        Bytes of the files by name.
    complete : bool
        Whether nothing is missing, no result file and no table.
    batches, planned : int
        Batch files of all stages that are there, and those of a complete campaign.
    records, samples : bool
        Whether the records of the samples, and the samples themselves, are packed.
    run : dict
        ``run.json`` of the results; empty if it is not there.
    licence : str
        Of the data, as the depositor gives it; empty if not given.
    folder : Path
        Where ``CITATION.cff`` and ``LICENSE`` of the program lie.
    """

    config: CampaignConfig
    sizes: Mapping[str, int]
    complete: bool
    batches: int
    planned: int
    records: bool
    samples: bool
    run: Mapping[str, Any]
    licence: str
    folder: Path

    @property
    def tables(self) -> list[str]:
        """Names of the tables that are packed."""
        there = [n for n in tables_of(self.config) if f"results/{TABLES[n].path}" in self.sizes]
        return there


def citation(folder: Path) -> dict[str, Any]:
    """Return the content of the program's ``CITATION.cff``; empty if it is not there."""
    try:
        content = yaml.safe_load((folder / "CITATION.cff").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def readme(contents: Contents) -> str:
    """Return ``README.md``."""
    config, run = contents.config, contents.run
    lines = [f"# {_plain(config.campaign.title)}", ""]
    if not contents.complete:
        lines += [
            f"**PARTIAL: {contents.batches} of {contents.planned} result files.** The campaign was "
            "not finished when this was packed. Tables of a part are biased where samples of one "
            "kind finish first: do not cite numbers from it.",
            "",
        ]
    lines += [
        f"Results of a campaign of glassmodes {__version__}: "
        f"{sum(e.samples for e in config.ensembles.values()):,} samples, "
        f"{len(config.ensembles)} " + ("ensembles." if len(config.ensembles) > 1 else "ensemble."),
        "",
        "| ensemble | model | N | d | samples | measured |",
        "|---|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {name} | {_plain(e.model)} | {e.particles} | {e.dimension} | {e.samples} | "
        f"{', '.join(e.analyses)} |"
        for name, e in config.ensembles.items()
    ]
    lines += ["", "## Files", "", "| files | what they hold | bytes |", "|---|---|---:|"]
    lines += [
        f"| `{pattern}` | {meaning} | {in_words(size)} |"
        for pattern, meaning, size in _groups(contents)
    ]
    lines += ["", "## Check and reproduce", ""]
    lines += _reproduction(contents)
    lines += ["", "## Where the numbers come from", ""]
    if run.get("command"):
        lines += [
            f"Command: `{_plain(' '.join(map(str, run['command'])))}`, started "
            f"{run.get('started')}. `results/run.json` names the machine and the versions of all "
            "libraries.",
            "",
        ]
    lines += [
        "Stage versions (they rise when the numbers of a stage change): "
        + ", ".join(f"{stage} {version}" for stage, version in STAGE_VERSIONS.items())
        + ".",
        "",
        "## Units",
        "",
        "Length, energy and mass are those of the model, time is length sqrt(mass/energy),",
        "k_B = 1. Frequencies are angular. `TABLES.md` gives the unit and the meaning of every",
        "column, `results/tables/units.csv` and `datapackage.json` the same for programs. Empty",
        "cells mean: not measured, not defined or not resolved. Errors are standard errors over",
        "samples.",
        "",
        "## Citation and licence",
        "",
    ]
    cited = citation(contents.folder)
    lines += [
        f"Program: {_plain(str(cited.get('title', 'glassmodes')))}, version {__version__}, "
        f"{cited.get('license', 'BSD-3-Clause')} (`CITATION.cff`, `LICENSE`).",
        f"Data: {_plain(contents.licence)}."
        if contents.licence
        else "Data: no licence was stated when this was packed; see where it was deposited.",
    ]
    return "\n".join(lines) + "\n"


def _reproduction(contents: Contents) -> list[str]:
    lines = ["    sha256sum -c SHA256SUMS", "", "checks every file."]
    if not contents.records:
        return [*lines, "The records of single samples are not here: tables cannot be made again."]
    if not contents.complete:
        return [*lines, "Tables of a part are not compared."]
    return [
        "    sh reproduce.sh",
        "",
        f"checks every file and, with glassmodes {__version__} on the PATH, makes all tables and",
        "fits again from the records and compares them with those here. The same versions of numpy",
        "and pyarrow give the same bytes; others the same numbers to 1e-7.",
        "`glassmodes archive verify ARCHIVE` does the same without unpacking by hand.",
    ]


def _groups(contents: Contents) -> list[tuple[str, str, int]]:
    """Return pattern, meaning and size of each kind of file that is there."""
    samples = "records of the preparation" + (
        " and the samples themselves" if contents.samples else "; positions are not here"
    )
    known = (
        ("results/tables/", "tables/*", "tables, see `TABLES.md`"),
        ("results/fits/", "fits/*", "fits with their verdicts"),
        ("results/partial/", "partial/*", "tables of what was finished"),
        ("results/figures/", "figures/*", "figures"),
        ("results/report.html", "report.html", "everything on one page"),
        ("results/samples/", "samples/ENSEMBLE/FIRST-LAST.h5", samples),
        ("results/analyses/", "analyses/ENSEMBLE/FIRST-LAST/*.h5", "records of the analyses"),
        ("results/config.json", "config.json", "the configuration with all defaults"),
        ("results/run.json", "run.json", "command, date, machine, versions"),
        ("results/efficiency.csv", "efficiency.csv", "what jobs asked for and used"),
    )
    rows = [(f"results/{pattern}", meaning, start) for start, pattern, meaning in known]
    rows += [
        ("config/*", "the configuration as it was written", "config/"),
        ("models/*", "model files that it names", "models/"),
    ]
    found = [
        (pattern, meaning, sum(s for n, s in contents.sizes.items() if n.startswith(start)))
        for pattern, meaning, start in rows
    ]
    return [row for row in found if row[2]]


def tables_page(contents: Contents) -> str:
    """Return ``TABLES.md``: unit and meaning of every column of every table that is packed."""
    lines = ["# Tables"]
    for table in (TABLES[name] for name in contents.tables):
        lines += ["", f"## {table.name}", "", f"`results/{table.path}`: {table.rows}.", ""]
        lines += ["| column | unit | meaning |", "|---|---|---|"]
        lines += [
            f"| `{c.name}` | {c.unit} | {c.description.replace('|', chr(92) + '|')} |"
            for c in table.columns
        ]
    return "\n".join(lines) + "\n"


def data_package(contents: Contents, digests: Mapping[str, str], title: str) -> dict[str, Any]:
    """Return ``datapackage.json``."""
    cited = citation(contents.folder)
    package: dict[str, Any] = {
        "$schema": "https://specs.frictionlessdata.io/schemas/data-package.json",
        "name": re.sub(r"[^a-z0-9._-]", "-", title.lower()),
        "title": contents.config.campaign.title,
        "profile": "data-package",
        "version": __version__,
        "keywords": cited.get("keywords", []),
        "contributors": [
            {"title": str(a.get("name", a.get("family-names", ""))), "role": "author"}
            for a in cited.get("authors", [])
        ],
        "sources": [{"title": f"glassmodes {__version__}, seed {contents.config.campaign.seed}"}],
        "glassmodes": {
            "complete": contents.complete,
            "result_files": contents.batches,
            "result_files_planned": contents.planned,
            "records": contents.records,
            "samples": contents.samples,
            "stage_versions": STAGE_VERSIONS,  # those of the records, which were checked
        },
        "resources": [
            _resource(path, contents.sizes[path], digest)
            for path, digest in sorted(digests.items())
        ],
    }
    if contents.licence:
        package["licenses"] = [{"name": contents.licence}]
    if contents.run.get("started"):
        package["created"] = contents.run["started"]
    return package


def _resource(path: str, size: int, digest: str) -> dict[str, Any]:
    suffix = Path(path).suffix
    resource: dict[str, Any] = {
        "name": re.sub(r"[^a-z0-9._-]", "-", path.lower().replace("/", ".")),
        "path": path,
        "bytes": size,
        "hash": f"sha256:{digest}",
    }
    if suffix in _FORMATS:
        resource |= {"format": suffix[1:], "mediatype": _FORMATS[suffix]}
    if suffix == ".csv":
        resource["encoding"] = "utf-8"
    by_path = {f"results/{t.path}": t for t in TABLES.values()}
    if path in by_path:
        table = by_path[path]
        resource["description"] = table.rows
        if suffix == ".csv":
            resource["profile"] = "tabular-data-resource"
        resource["schema"] = {
            "fields": [
                {
                    "name": c.name,
                    "type": _TYPES[c.kind],
                    "description": c.description,
                    **({"unit": c.unit} if c.unit else {}),
                }
                for c in table.columns
            ],
            "missingValues": [""],
        }
    return resource


def as_json(content: Any) -> bytes:
    """Return JSON for people and programs."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _plain(text: str) -> str:
    """Return text of a configuration on one line, without what Markdown would read."""
    return re.sub(r"[\s`|<>\[\]]+", " ", text).strip()
