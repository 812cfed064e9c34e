"""Tables of what is there: those of a campaign that is not finished, in a folder of their own.

They are made from whole batch files and from the samples that jobs in work have finished, start
no job, and nothing but a person reads them.  Links to the files are taken first, so that a
campaign that goes on meanwhile changes nothing under them.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glassmodes.campaign import kept
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.ensemble_source import PREPARE, Block, EnsembleSource, ensemble_sources
from glassmodes.campaign.manifest import Batch
from glassmodes.campaign.provenance import fingerprints_of
from glassmodes.campaign.records import (
    Header,
    Records,
    Row,
    read_header,
    read_records,
    write_batch,
)
from glassmodes.campaign.table_files import replacing
from glassmodes.campaign.tables import write_tables
from glassmodes.errors import InputError

FOLDER = "partial"
_SNAPSHOT = ".snapshot-"
_SNAPSHOT_LIFE_S = 86400.0

COLUMNS = (
    "ensemble",
    "stage",
    "samples_there",
    "samples_planned",
    "samples_refused",
    "samples_of_batches_in_work",
    "batches_there",
    "batches_planned",
    "files_damaged",
    "files_of_other_settings",
)
"""Of ``partial/counts.csv``."""


@dataclass
class Count:
    """What is there of one stage of one ensemble."""

    ensemble: str
    stage: str
    samples_planned: int
    batches_planned: int
    samples_there: int = 0
    samples_refused: int = 0
    samples_of_batches_in_work: int = 0
    batches_there: int = 0
    damaged: list[str] = field(default_factory=list)
    other_settings: list[str] = field(default_factory=list)

    @property
    def row(self) -> dict[str, Any]:
        """The row of ``counts.csv``."""
        values = {name: getattr(self, name) for name in COLUMNS[:-2]}
        return values | {
            "files_damaged": len(self.damaged),
            "files_of_other_settings": len(self.other_settings),
        }


@dataclass(frozen=True)
class PartialSource(EnsembleSource):
    """An ensemble of which files may be missing."""

    def read_block(self, batch: Batch, name: str) -> Block | None:
        path = kept.path_of(self.results, batch, name)
        return Block(batch, path, read_records(path)) if path.is_file() else None


def write_partial_tables(config: CampaignConfig) -> dict[str, Any]:
    """Write the tables of what is there into ``partial/tables`` of the results.

    Beside them lie ``counts.csv``, a row for each stage of each ensemble, and ``README.txt``;
    Parquet tables carry the words of the README in their metadata as well.

    Returns
    -------
    dict
        Folder, counts by stage, and the files that were left out.
    """
    folder = config.results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_SNAPSHOT}*"):  # of one that was killed
        if time.time() - left.stat().st_mtime > _SNAPSHOT_LIFE_S:
            shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=_SNAPSHOT, dir=folder))
    try:
        counts = list(_take_snapshot(config, scratch))
        readme = _readme(config, counts)
        sources = [_partial(source, scratch) for source in ensemble_sources(config)]
        write_tables(config, sources, folder, {"partial": readme})
        _write_counts(folder / "counts.csv", counts)
        with replacing(folder / "README.txt") as temporary:
            temporary.write_text(readme, encoding="utf-8")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    there: dict[str, list[int]] = {}
    for count in counts:
        total = there.setdefault(count.stage, [0, 0])
        total[0] += count.samples_there
        total[1] += count.samples_planned
    return {
        "tables": folder / "tables",
        "samples": {stage: f"{done} of {planned}" for stage, (done, planned) in there.items()},
        "left_out": [name for count in counts for name in count.damaged + count.other_settings],
    }


def _partial(source: EnsembleSource, scratch: Path) -> PartialSource:
    values = {f.name: getattr(source, f.name) for f in fields(EnsembleSource)}
    return PartialSource(**values | {"results": scratch})


def _take_snapshot(config: CampaignConfig, scratch: Path) -> Iterator[Count]:
    """Link all valid files of the campaign below `scratch` and count them."""
    for source in ensemble_sources(config):
        wanted = fingerprints_of(config, source.name)
        for name in kept.file_names(config, source.name):
            planned = config.ensembles[source.name].samples
            count = Count(source.name, _stage(name), planned, len(source.batches))
            for batch in source.batches:
                # Without its sample's own record an analysis is of no use to the tables.
                if name == PREPARE or batch.samples_path(scratch).is_file():
                    _take_batch(config, batch, name, wanted[name], scratch, count)
            yield count


def _stage(name: str) -> str:
    return "prepare" if name == PREPARE else name


def _take_batch(
    config: CampaignConfig, batch: Batch, name: str, wanted: str, scratch: Path, count: Count
) -> None:
    target = kept.path_of(scratch, batch, name)
    damaged = False
    for root in kept.roots(config.results):
        path = kept.path_of(root, batch, name)
        if not path.is_file():
            continue
        try:
            records = read_records(path)
        except InputError:
            if not damaged:  # the second name is mostly one of the same file
                count.damaged.append(str(path))
            damaged = True
            continue
        if records.header.fingerprint != wanted:
            if root == config.results:
                count.other_settings.append(str(path))
            continue
        if _link(path, target):
            count.batches_there += 1
            _add(count, records)
            return
    rows = list(_finished_parts(config, batch, name, wanted, count))
    if rows:
        header, records_of_parts = rows[0][0], [row for _, row in rows]
        write_batch(target, header, records_of_parts)
        count.samples_of_batches_in_work += len(rows)
        _add(count, read_records(target))


def _add(count: Count, records: Records) -> None:
    count.samples_there += records.samples
    count.samples_refused += int((~records.accepted).sum())


def _link(path: Path, target: Path) -> bool:
    """Give a file a name in the snapshot; False if it has gone meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except FileNotFoundError:
        return False
    except OSError:
        try:
            shutil.copyfile(path, target)
        except FileNotFoundError:
            return False
    return True


def _finished_parts(
    config: CampaignConfig, batch: Batch, name: str, wanted: str, count: Count
) -> Iterator[tuple[Header, Row]]:
    """Yield header and row of the finished samples of a batch in work."""
    if name == PREPARE:
        stage, kind = "prepare", PREPARE
    elif name.startswith("windows-"):
        stage, kind = name, "windows"
    else:
        stage, kind = "analyse", name
    folder = batch.parts_folder(config.results, stage)
    for index in batch.indices:
        path = folder / f"{index:06d}.{kind}.h5"
        if not path.is_file():
            continue
        try:
            if read_header(path).fingerprint != wanted:
                continue
            records = read_records(path)
        except InputError:
            if path.is_file():  # else its job has finished meanwhile
                count.damaged.append(str(path))
            continue
        yield records.header, Row(records.record(0))


def _readme(config: CampaignConfig, counts: list[Count]) -> str:
    lines = [
        "PARTIAL TABLES: not the results of the finished campaign.",
        "",
        f"Campaign: {config.campaign.title}",
        f"Written:  {datetime.now(UTC).isoformat(timespec='seconds')}",
        "",
        "The tables in tables/ are made from the samples that were finished at that time. Means,",
        "errors and windows belong to these samples only; no fit and no figure reads them.",
        "counts.csv holds the counts below.",
        "",
    ]
    for count in counts:
        lines.append(
            f"{count.ensemble}, {count.stage}: {count.samples_there} of {count.samples_planned} "
            f"samples ({count.samples_refused} refused; {count.batches_there} of "
            f"{count.batches_planned} batches, {count.samples_of_batches_in_work} samples of "
            "batches in work)"
        )
    for count in counts:
        lines += [f"left out, damaged: {path}" for path in count.damaged]
        lines += [f"left out, made with other settings: {path}" for path in count.other_settings]
    return "\n".join(lines) + "\n"


def _write_counts(path: Path, counts: list[Count]) -> None:
    with replacing(path) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(count.row for count in counts)
