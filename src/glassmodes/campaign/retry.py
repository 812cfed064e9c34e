"""Try refused samples again: their batches lose what was refused and keep the rest.

A refused sample stays refused, because the same settings would refuse it again.  Where the
reason lay outside (memory, a library that has been mended), `retry_refused` puts the
records of the other samples under the name from which jobs take finished work over
(`campaign.kept`) and removes the batch file, so that the next run computes the refused samples
only.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign import kept
from glassmodes.campaign.config import WINDOWS, CampaignConfig
from glassmodes.campaign.damage import files_of
from glassmodes.campaign.failures import count_refusals
from glassmodes.campaign.manifest import Batch, build_manifest
from glassmodes.campaign.records import (
    DamagedError,
    Records,
    Row,
    read_records,
    read_sample,
    set_aside,
    write_batch,
)
from glassmodes.errors import nearest, printable


def retry_refused(config: CampaignConfig, reason: str = "") -> int:
    """Make the next run compute refused samples again and return how many there are.

    Parameters
    ----------
    config : CampaignConfig
    reason
        Only those with this reason, as ``tables/samples.csv`` has it; empty: all.

    Notes
    -----
    A sample refused by several analyses counts once.  Reads the records of all batch files.
    Where no sample has the reason, a line on stderr says which reasons there are.
    """
    samples: set[tuple[str, int]] = set()
    for batch in build_manifest(config):
        refusals = {
            path: found
            for path in files_of(config, batch)
            if path.is_file() and (found := _refusals(path, reason)) is not None
        }
        retired = {path for path, (_, again) in refusals.items() if again.any()}
        stages = {_stage(config, batch, path) for path in retired}
        for path, (records, again) in refusals.items():
            if _stage(config, batch, path) in stages:
                _retire(config, path, records, again)
        for path in retired:
            path.unlink()
            records, again = refusals[path]
            samples |= {(batch.ensemble, int(k)) for k in np.asarray(records["index"])[again]}
    if reason and not samples:
        print(f"glassmodes: {_no_such_reason(config, reason)}", file=sys.stderr)
    return len(samples)


def _no_such_reason(config: CampaignConfig, reason: str) -> str:
    """Say which reasons there are, with their samples."""
    counts: Counter[str] = Counter()
    for (_, _, found), samples in count_refusals(config).items():
        counts[found] += samples
    there = ", ".join(f"{found} ({counts[found]})" for found in sorted(counts))
    said = f"the reasons there are: {there}" if there else "none was refused at all"
    return printable(f"no sample was refused for {reason!r}; {said}{nearest(reason, counts)}")


def _refusals(path: Path, reason: str) -> tuple[Records, NDArray[np.bool_]] | None:
    """Return the records of a file and which of them to try again."""
    try:
        records = read_records(path)
    except DamagedError:
        set_aside(path)
        return None
    again = ~records.accepted
    return records, again & (np.asarray(records["reason"]) == reason) if reason else again


def _retire(config: CampaignConfig, path: Path, records: Records, again: NDArray[np.bool_]) -> None:
    """Keep the other samples of a file for its job: Snakemake deletes all outputs of a job."""
    if not again.any():
        kept.keep(config.results, path)
        return
    kept.drop(config.results, path)
    if not again.all():
        rows = [_row(path, records, k) for k in np.flatnonzero(~again)]
        write_batch(kept.second_name(config.results, path), records.header, rows)


def _row(path: Path, records: Records, k: int) -> Row:
    record = records.record(int(k))
    is_sample = records.header.kind == "samples" and record["status"] == "ok"
    return Row(record, read_sample(path, int(record["index"])) if is_sample else None)


def _stage(config: CampaignConfig, batch: Batch, path: Path) -> str:
    """Return the stage whose job writes a batch file."""
    if path == batch.samples_path(config.results):
        return "prepare"
    return path.stem if path.stem.startswith(f"{WINDOWS}-") else "analyse"
