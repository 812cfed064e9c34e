"""``glassmodes archive``: a finished campaign as one file for a data repository.

Packed are tables, fits, figures, report, configuration, provenance, checksums and the records of
all samples, from which the archive makes its own tables again (`archive_check`).  The samples
themselves (positions) and mode vectors are left out unless they are asked for.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassmodes.campaign.archive_check import verify_folder
from glassmodes.campaign.archive_files import (
    Entry,
    checksums,
    render_checksums,
    safe_name,
    stem_of,
    unpack,
    write_archive,
)
from glassmodes.campaign.archive_texts import (
    REPRODUCE,
    Contents,
    as_json,
    data_package,
    readme,
    tables_page,
)
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.kept import SAMPLES, path_of
from glassmodes.campaign.manifest import build_manifest
from glassmodes.campaign.products import figures_of, tables_of
from glassmodes.campaign.provenance import fingerprints_of, model_content
from glassmodes.campaign.records import Records, Row, read_records, write_batch
from glassmodes.campaign.table_schema import TABLES
from glassmodes.errors import InputError
from glassmodes.files import check_output

_SHOWN = 3


@dataclass(frozen=True)
class Request:
    """What shall be packed.

    Attributes
    ----------
    config_path, output
        The configuration as it was written, and the archive.
    records, samples
        Whether to pack the records of all samples, and the samples themselves with all vectors.
    partial
        Pack what is there of a campaign that is not complete.
    check
        Make the tables again from the archive before it appears under its name.
    licence
        Of the data, for the metadata.
    """

    config_path: Path
    output: Path
    records: bool = True
    samples: bool = False
    partial: bool = False
    check: bool = True
    licence: str = ""


def pack_campaign(config: CampaignConfig, request: Request) -> dict[str, Any]:
    """Write the archive of a campaign.

    Returns
    -------
    dict
        The path, numbers and sizes of what is in it, and what its check found.

    Raises
    ------
    InputError
        The campaign is not complete (and `partial` was not asked for), a result is damaged or
        made with other settings, or the tables are not those of the records.
    """
    name = stem_of(request.output)
    check_output(request.output)
    with tempfile.TemporaryDirectory(prefix="glassmodes-archive-") as scratch:
        staged, planned, problems = _stage_records(config, request, Path(scratch))
        missing = _missing_products(config)
        if not request.partial and (problems or missing):
            _refuse(problems, missing)
        complete = not problems and not missing
        entries = staged if request.records else []
        entries = entries + _products(config, complete) + _configuration(config, request)
        if not entries:
            raise InputError(f"{config.results}: nothing to pack; run the campaign first")
        contents = Contents(
            config=config,
            sizes={entry.name: entry.size for entry in entries},
            complete=complete,
            batches=len(staged),
            planned=planned,
            records=request.records,
            samples=request.samples and request.records,
            run=_run(config.results),
            licence=request.licence,
            folder=_program_folder(),
        )
        entries += _about(contents, entries, name)
        entries.append(Entry("SHA256SUMS", render_checksums(checksums(entries))))
        # It appears under its name only when its check has passed.
        draft = request.output.with_name(f".{request.output.name}.draft{_suffix(request.output)}")
        try:
            write_archive(draft, name, entries)
            checked = _check(draft, Path(scratch)) if request.check else {"tables": "not compared"}
            size = draft.stat().st_size
            draft.replace(request.output)
        finally:
            draft.unlink(missing_ok=True)
    return {
        "archive": request.output,
        "complete": complete,
        "bytes": size,
        "files": len(entries),
        "result_files": f"{len(staged)} of {planned}",
        **checked,
    }


def _suffix(path: Path) -> str:
    return ".zip" if path.name.lower().endswith(".zip") else ".tar.gz"


def _check(draft: Path, scratch: Path) -> dict[str, Any]:
    target = scratch / "check"
    target.mkdir()
    return verify_folder(unpack(draft, target))


def _refuse(problems: list[str], missing: list[str]) -> None:
    found = problems or [f"{name} is missing" for name in missing]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise InputError(
        f"the campaign is not complete: {'; '.join(found[:_SHOWN])}{more}; run `glassmodes "
        "campaign run` to its end, or pack what is there with --partial"
    )


def _stage_records(
    config: CampaignConfig, request: Request, scratch: Path
) -> tuple[list[Entry], int, list[str]]:
    """Check every result file; return those to pack, how many there should be, and problems."""
    entries, problems, planned = [], [], 0
    wanted = {name: fingerprints_of(config, name) for name in config.ensembles}
    for batch in build_manifest(config):
        for name, fingerprint in wanted[batch.ensemble].items():
            planned += 1
            path = path_of(config.results, batch, name)
            try:
                records = _read(path, fingerprint)
            except InputError as error:
                problems.append(str(error))
                continue
            source = path
            if not request.samples and (name == SAMPLES or "vectors" in records):
                source = scratch / f"{planned}.h5"
                if request.records:
                    _write_stripped(source, records)
            below = path.relative_to(config.results).as_posix()
            entries.append(Entry(f"results/{below}", source))
    return entries, planned, problems


def _read(path: Path, fingerprint: str) -> Records:
    """Read a result file, with its digest, if it was made with the settings of now."""
    if not path.is_file():
        raise InputError(f"{path} is missing")
    records = read_records(path)
    if records.header.fingerprint != fingerprint:
        raise InputError(f"{path} was made with other settings")
    return records


def _write_stripped(path: Path, records: Records) -> None:
    """Write the records of a batch without its samples and without vectors."""
    rows = []
    for k in range(records.samples):
        record = records.record(k)
        record.pop("vectors", None)
        rows.append(Row(record))
    write_batch(path, records.header, rows)


def _product_names(config: CampaignConfig) -> list[str]:
    names = [TABLES[name].path for name in tables_of(config)] + ["tables/units.csv"]
    names += [f"figures/{name}.{kind}" for name in figures_of(config) for kind in ("pdf", "png")]
    return [*names, "report.html"]


def _missing_products(config: CampaignConfig) -> list[str]:
    paths = [config.results / name for name in _product_names(config)]
    return [str(path) for path in paths if not path.is_file()]


def _products(config: CampaignConfig, complete: bool) -> list[Entry]:
    """Return tables, fits, figures and report; of a part only what says that it is one."""
    results = config.results
    names = _product_names(config) if complete else []
    names += ["run.json", "efficiency.csv"]
    found = [results / name for name in names]
    if not complete:
        found += sorted((results / "partial").rglob("*"))
    return [
        Entry(f"results/{path.relative_to(results).as_posix()}", path)
        for path in found
        if path.is_file() and not path.name.startswith(".")
    ]


def _configuration(config: CampaignConfig, request: Request) -> list[Entry]:
    """Return the configuration as written and as resolved, and the model files it names."""
    resolved = config.model_dump(mode="json")
    resolved["campaign"]["results"] = "results"
    entries = [
        Entry(f"config/{safe_name(request.config_path.name)}", request.config_path.read_bytes()),
        Entry("results/config.json", as_json(resolved)),
    ]
    models = {e.model for e in config.ensembles.values() if model_content(e.model)}
    packed = {model: f"models/{model_content(model)[:16]}.yaml" for model in sorted(models)}
    entries += {name: Entry(name, Path(m).read_bytes()) for m, name in packed.items()}.values()
    if packed:
        entries.append(Entry("models/index.json", as_json(packed)))
    return entries


def _about(contents: Contents, entries: list[Entry], name: str) -> list[Entry]:
    about = [
        Entry("README.md", readme(contents).encode()),
        Entry("TABLES.md", tables_page(contents).encode()),
        Entry("reproduce.sh", REPRODUCE.encode(), executable=True),
    ]
    if not contents.complete:
        counts = f"{contents.batches} of {contents.planned} result files\n"
        about.append(Entry("PARTIAL.txt", counts.encode()))
    about += [
        Entry(file, contents.folder / file)
        for file in ("CITATION.cff", "LICENSE")
        if (contents.folder / file).is_file()
    ]
    package = data_package(contents, checksums(entries), name)
    return [*about, Entry("datapackage.json", as_json(package))]


def _program_folder() -> Path:
    return Path(__file__).resolve().parents[3]


def _run(results: Path) -> dict[str, Any]:
    try:
        content = json.loads((results / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
