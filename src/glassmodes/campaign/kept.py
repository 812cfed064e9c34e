"""Finished batch files under a second name, so that nothing computed is computed again.

Snakemake deletes the declared outputs of a job before it starts.  A job whose analyses, settings
or batch size changed would find nothing to take over.  Each batch file therefore has a hard link
below ``RESULTS/.kept``, with the same path as below ``RESULTS``: it takes no space of its own, and
jobs look there for records that still hold.  On file systems without hard links there is no
second name, and such jobs compute all of their samples.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.manifest import Batch, batches_of, build_manifest, range_of
from glassmodes.campaign.records import read_header
from glassmodes.errors import InputError

KEPT = ".kept"
SAMPLES = "samples"


def roots(results: str | Path) -> tuple[Path, Path]:
    """Return the folders below which batch files lie: the results, and the second names."""
    return Path(results), Path(results) / KEPT


def file_names(config: CampaignConfig, ensemble: str) -> list[str]:
    """Return the names of the files of a batch: samples, its analyses and slices."""
    slices = [f"windows-{k:03d}" for k in range(config.slices_of(ensemble))]
    return [SAMPLES, *config.analyses_of(ensemble), *slices]


def path_of(root: Path, batch: Batch, name: str) -> Path:
    """Return the path of a file of a batch below one of the `roots`."""
    return batch.samples_path(root) if name == SAMPLES else batch.analysis_path(root, name)


def second_name(results: str | Path, path: Path) -> Path:
    """Return the second name of a batch file."""
    return roots(results)[1] / path.relative_to(results)


def keep(results: str | Path, path: Path) -> bool:
    """Give a batch file its second name; False where the file system cannot."""
    second = second_name(results, path)
    try:
        second.parent.mkdir(parents=True, exist_ok=True)
        if second.exists() and os.path.samefile(path, second):
            return True
        temporary = second.with_name(f".{second.name}.{secrets.token_hex(4)}.tmp")
        os.link(path, temporary)
        os.replace(temporary, second)
    except OSError:
        return False
    return True


def keep_all(config: CampaignConfig) -> int:
    """Give a second name to each finished file of a campaign that has none; return how many.

    For results that another version left, or another machine.  Costs two looks at the file
    system for each file.
    """
    count = 0
    for path in existing_files(config):
        second = config.results / KEPT / path.relative_to(config.results)
        if not second.exists():
            count += keep(config.results, path)
    return count


def existing_files(config: CampaignConfig) -> Iterator[Path]:
    """Yield the batch files of the manifest that are there."""
    for batch in build_manifest(config):
        for name in file_names(config, batch.ensemble):
            path = path_of(config.results, batch, name)
            if path.is_file():
                yield path


def park(results: str | Path, path: Path) -> None:
    """Move a batch file to its second name, where it stays until a new one replaces it."""
    second = roots(results)[1] / path.relative_to(results)
    second.parent.mkdir(parents=True, exist_ok=True)
    if second.exists() and os.path.samefile(path, second):
        path.unlink()
    else:
        os.replace(path, second)


def drop(results: str | Path, path: Path) -> None:
    """Remove the second name of a batch file, whose records are not to be taken over."""
    (roots(results)[1] / path.relative_to(results)).unlink(missing_ok=True)


def forget(config: CampaignConfig, stage: str) -> None:
    """Drop the second names of a stage that is forced, and of what follows: it computes anew."""
    if stage not in ("prepare", "analyse"):
        return
    names = {SAMPLES} if stage == "prepare" else set()
    for batch in build_manifest(config):
        for name in file_names(config, batch.ensemble):
            if name in names or name != SAMPLES:
                path_of(roots(config.results)[1], batch, name).unlink(missing_ok=True)


def remove_superseded(config: CampaignConfig, path: Path, fingerprint: str) -> bool:
    """Remove a file whose samples all lie in other files of the manifest; tell whether it did.

    A last batch that grew and a changed batch size leave such files behind.

    Parameters
    ----------
    config
    path
        A batch file below one of the `roots`.
    fingerprint
        Of the settings that its records were taken over for.
    """
    root = next(r for r in reversed(roots(config.results)) if path.is_relative_to(r))
    place = path.relative_to(root)
    if place.parts[0] not in ("samples", "analyses"):
        return False
    name = SAMPLES if place.parts[0] == "samples" else place.stem
    covered = range_of(place.stem if name == SAMPLES else place.parent.name)
    ensemble = place.parts[1]
    if covered is None or covered[1] > config.ensembles[ensemble].samples:
        return False
    batches = batches_of(config, ensemble)
    first, last = covered
    if any((b.first, b.last) == covered for b in batches):
        return False
    for batch in batches:
        if batch.first < last and first < batch.last:
            try:
                header = read_header(path_of(config.results, batch, name))
            except InputError:
                return False
            if header.fingerprint != fingerprint:
                return False
    for folder in roots(config.results):
        (folder / place).unlink(missing_ok=True)
        if name != SAMPLES:
            with contextlib.suppress(OSError):  # other analyses are still there
                (folder / place).parent.rmdir()
    return True
