"""Damaged results: found before a run, set aside, and made again by the workflow.

What is looked at, and when:

- before every run: the structure of each batch file (it opens as HDF5 and is not shorter than
  it says) and the checksums of tables, fits, figures and report;
- by every job: the digests of the records and samples that it reads;
- by ``glassmodes campaign verify``: all digests of all batch files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.manifest import Batch, build_manifest
from glassmodes.campaign.records import DamagedError, check_structure, set_aside, verify
from glassmodes.files import write_bytes

_FILES = {
    "tables": "tables/*",
    "fits": "fits/*",
    "comparison": "tables/comparison.csv",
    "figures": "figures/*",
    "report": "report.html",
}
_CLOCKS_AGREE_NS = 2 * 10**9
_SUFFIXES = {".csv", ".parquet", ".pdf", ".png", ".html"}
LATER_STAGES = tuple(_FILES)
"""Stages after the batches, in their order."""


def batch_files(config: CampaignConfig) -> Iterator[Path]:
    """Yield the paths of all batch files that the campaign asks for, there or not."""
    for batch in build_manifest(config):
        yield from files_of(config, batch)


def files_of(config: CampaignConfig, batch: Batch) -> Iterator[Path]:
    """Yield the paths of the batch files of one batch."""
    results = config.results
    yield batch.samples_path(results)
    for analysis in config.analyses_of(batch.ensemble):
        yield batch.analysis_path(results, analysis)
    for number in range(config.slices_of(batch.ensemble)):
        yield batch.slice_path(results, number)


def set_aside_broken(config: CampaignConfig) -> list[Path]:
    """Set aside every result that a cheap check finds damaged, and return their names.

    Cost: about half a millisecond a batch file, and one reading of the tables.
    """
    broken = _set_aside_failing(config, check_structure)
    return broken + [path for stage in LATER_STAGES for path in _changed(config.results, stage)]


def pull_back(config: CampaignConfig) -> int:
    """Give batch files that are dated in the future the time of now, their order kept.

    A machine whose clock runs ahead leaves such files, and whatever is made from them looks
    outdated until that time has come.  "Now" is what the file system says.  Returns their number.
    """
    ahead = []
    config.results.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=config.results) as probe:
        now = os.stat(probe.name).st_mtime_ns
    for path in batch_files(config):
        with contextlib.suppress(FileNotFoundError):
            time = path.stat().st_mtime_ns
            if time > now + _CLOCKS_AGREE_NS:
                ahead.append((time, path))
    times = sorted({time for time, _ in ahead})
    place = {time: k for k, time in enumerate(times)}
    for time, path in ahead:
        pulled = now - 1000 * (len(times) - 1 - place[time])
        os.utime(path, ns=(pulled, pulled))
    return len(ahead)


def verify_campaign(config: CampaignConfig) -> dict[str, object]:
    """Read every batch file, verify all digests, and set aside what is damaged.

    Returns
    -------
    dict
        Files there, files damaged, and the names that those have now.
    """
    damaged = _set_aside_failing(config, verify)
    damaged += [path for stage in LATER_STAGES for path in _changed(config.results, stage)]
    there = sum(path.is_file() for path in batch_files(config))
    return {
        "files": there + len(damaged),
        "damaged": len(damaged),
        "set_aside": [f"{path}.damaged" for path in damaged],
    }


def damaged_files(results: Path) -> dict[Path, tuple[int, int]]:
    """Return all files set aside so far, with what tells them from later ones."""
    found = {}
    for path in results.rglob("*.damaged"):
        status = path.stat()
        found[path] = (status.st_ino, status.st_mtime_ns)
    return found


@contextmanager
def sealed(results: Path, stage: str) -> Iterator[None]:
    """Check what a later stage reads, let it write, and write the checksums of its files.

    ``sha256sum -c checksums/tables.sha256`` in the results folder reads them as well.

    Raises
    ------
    DamagedError
        A result of the stages before differs from its checksum.
    """
    require_unchanged(results, LATER_STAGES[: LATER_STAGES.index(stage)])
    seal = _seal_path(results, stage)
    seal.unlink(missing_ok=True)  # of files that are about to change
    yield
    folder, _, pattern = _FILES[stage].rpartition("/")
    found = [
        path
        for path in sorted((results / folder).glob(pattern))
        if path.suffix in _SUFFIXES and not path.name.startswith(".")
    ]
    if stage == "tables":
        found = [path for path in found if path.name != "comparison.csv"]
    lines = [f"{_sha256(path)}  {path.relative_to(results)}\n" for path in found]
    seal.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(seal, "".join(lines).encode())


def require_unchanged(results: Path, stages: tuple[str, ...]) -> None:
    """Check the results of later stages before another stage reads them.

    Raises
    ------
    DamagedError
        A file differs from what its stage has written; it names the first one.
    """
    for stage in stages:
        for path in _differing(results, stage):
            raise DamagedError(
                f"cannot read {path}: it does not match its checksum in "
                f"{_seal_path(results, stage)}; the file is damaged",
                path,
            )


def _set_aside_failing(config: CampaignConfig, check: Callable[[Path], object]) -> list[Path]:
    broken = []
    for path in batch_files(config):
        if not path.is_file():
            continue
        try:
            check(path)
        except DamagedError:
            set_aside(path)
            broken.append(path)
    return broken


def _changed(results: Path, stage: str) -> list[Path]:
    changed = list(_differing(results, stage))
    for path in changed:
        set_aside(path)
    return changed


def _differing(results: Path, stage: str) -> Iterator[Path]:
    """Yield the files of a stage that are there and differ from their checksum."""
    try:
        text = _seal_path(results, stage).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        path = results / name
        if name and path.is_file() and _sha256(path) != digest:
            yield path


def _seal_path(results: Path, stage: str) -> Path:
    return results / "checksums" / f"{stage}.sha256"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
