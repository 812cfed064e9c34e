"""Results of other machines join those of a campaign.

Both sides have worked on the same configuration: samples of the same settings and seeds, other
ranges of them or other ensembles.  A batch is taken as a whole, samples and what was measured in
them, because another machine makes another glass of the same seed (rounding grows in a liquid).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glassmodes.campaign import kept
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.kept import SAMPLES
from glassmodes.campaign.manifest import Batch, batches_of, range_of
from glassmodes.campaign.provenance import fingerprint, settings_by_file
from glassmodes.campaign.records import content_digest, read_header, verify
from glassmodes.campaign.stale import describe_changes
from glassmodes.errors import InputError, nearest
from glassmodes.files import atomic_path


@dataclass
class Merged:
    """What a merge has done, or would do.

    Attributes
    ----------
    taken, here : int
        Files that were taken, and files whose records were here already.
    refused : list of str
        One line for each file or batch that was not taken, with the reason.
    sources : dict
        By folder of the campaign and file name, which file was taken for it, or would be: so a
        dry run counts as the merge does.
    """

    taken: int = 0
    here: int = 0
    refused: list[str] = field(default_factory=list)
    sources: dict[Path, dict[str, Path]] = field(default_factory=dict)

    def content_of(self, path: Path) -> Path:
        """Return the file that holds what lies, or would lie, at a path of the campaign."""
        return self.sources.get(path.parent, {}).get(path.name, path)

    def take(self, results: Path, source: Path, target: Path) -> None:
        """Count a file that is taken for a path, and for its second name."""
        self.taken += 1
        places = [target]
        if not target.is_relative_to(kept.roots(results)[1]):
            places.append(kept.second_name(results, target))
        for place in places:
            self.sources.setdefault(place.parent, {})[place.name] = source

    def files_in(self, folder: Path) -> list[Path]:
        """Return the batch files that lie, or would lie, in a folder of the campaign."""
        taken = {folder / name for name in self.sources.get(folder, ())}
        return sorted(taken.union(folder.glob("*.h5")))


@dataclass(frozen=True)
class _Foreign:
    """The files of one batch of another results folder, by name; samples first."""

    batch: Batch
    files: dict[str, Path]


def merge_results(
    config: CampaignConfig, others: list[Path], link: bool = False, dry_run: bool = False
) -> Merged:
    """Take valid batch files from other results folders.

    Parameters
    ----------
    config
        Of the campaign that grows.
    others
        Results folders of other runs of it.
    link
        Hard links instead of copies; only within one file system.
    dry_run
        Only say what would be done.

    Raises
    ------
    InputError
        A folder holds no results, or is that of the campaign itself.

    Notes
    -----
    Every file is read once to verify its digests.  Files are dated now, samples before their
    analyses, so that the workflow finds them up to date.  A file whose range is no batch of
    this configuration waits below `kept.KEPT` for the job that takes its records over.
    """
    merged = Merged()
    for other in others:
        if not (other / "samples").is_dir():
            raise InputError(f"{other}: no results of a campaign there (no folder samples)")
        if config.results.exists() and other.samefile(config.results):
            raise InputError(f"{other}: these are the results of the campaign itself")
        for folder in sorted((other / "samples").iterdir()):
            if not folder.is_dir():
                continue
            if folder.name not in config.ensembles:
                near = nearest(folder.name, config.ensembles)
                merged.refused.append(f"{folder}: the configuration has no such ensemble{near}")
                continue
            for foreign in _batches_in(config, other, folder.name):
                _take_batch(config, foreign, merged, link, dry_run)
    return merged


def _batches_in(config: CampaignConfig, other: Path, ensemble: str) -> Iterator[_Foreign]:
    for path in sorted((other / "samples" / ensemble).glob("*.h5")):
        if (covered := range_of(path.stem)) is None:
            continue
        batch = Batch(ensemble, *covered, config.seed_of(ensemble))
        found = sorted((other / "analyses" / ensemble / path.stem).glob("*.h5"))
        yield _Foreign(batch, {SAMPLES: path} | {file.stem: file for file in found})


def _take_batch(
    config: CampaignConfig, foreign: _Foreign, merged: Merged, link: bool, dry_run: bool
) -> None:
    settings = settings_by_file(config, foreign.batch.ensemble)
    samples = foreign.files[SAMPLES]
    reason = _what_is_wrong(samples, settings[SAMPLES])
    planned = config.ensembles[foreign.batch.ensemble].samples
    if reason is None and foreign.batch.first >= planned:
        reason = f"the configuration plans samples 0 to {planned - 1} only; raise samples first"
    own = None
    if reason is None:
        own, reason = _our_samples(config, foreign, fingerprint(settings[SAMPLES]), merged)
    if reason is not None:
        merged.refused.append(f"{samples}: {reason}")
        return
    ids = {batch.id for batch in batches_of(config, foreign.batch.ensemble)}
    root = kept.roots(config.results)[0 if foreign.batch.id in ids else 1]
    for name, path in foreign.files.items():
        if name != SAMPLES:
            reason = (
                _what_is_wrong(path, settings[name])
                if name in settings
                else "the configuration does not ask for this analysis"
            )
            if reason is not None:
                merged.refused.append(f"{path}: {reason}")
                continue
        target = kept.path_of(root, foreign.batch, name)
        if name == SAMPLES and own is not None:
            merged.here += 1
        elif _is_made_with(merged.content_of(target), fingerprint(settings[name])):
            merged.here += 1
        else:
            if not dry_run:
                _place(config, path, target, link)
            merged.take(config.results, path, target)
    if not dry_run:
        _take_timings(config, foreign)


def _what_is_wrong(path: Path, settings: dict[str, Any]) -> str | None:
    """Return why a file cannot be taken, None if it can."""
    try:
        header = read_header(path)
        if header.fingerprint != fingerprint(settings):
            because = describe_changes(header.provenance.get("settings"), settings)
            return f"made with other settings ({because})"
        verify(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _our_samples(
    config: CampaignConfig, foreign: _Foreign, wanted: str, merged: Merged
) -> tuple[Path | None, str | None]:
    """Return our file of the same samples, or why theirs are in conflict with ours."""
    mine = foreign.batch
    for root in kept.roots(config.results):
        for path in merged.files_in(mine.samples_path(root).parent):
            covered = range_of(path.stem)
            if covered is None or covered[0] >= mine.last or mine.first >= covered[1]:
                continue
            content = merged.content_of(path)
            if not _is_made_with(content, wanted):
                continue
            where = str(path) if content == path else f"{path} (taken from {content})"
            if covered == (mine.first, mine.last):
                if content_digest(content) == content_digest(foreign.files[SAMPLES]):
                    return path, None
                return None, f"in conflict with {where}: other glasses of the same seeds"
            return None, (
                f"its range {mine.id} overlaps {path.stem} of the same settings and seed; "
                f"kept is {where}"
            )
    return None, None


def _is_made_with(path: Path, wanted: str) -> bool:
    try:
        return read_header(path).fingerprint == wanted
    except InputError:
        return False


def _place(config: CampaignConfig, path: Path, target: Path, link: bool) -> None:
    if target.exists():
        if target.is_relative_to(kept.roots(config.results)[1]):
            target.unlink()
        else:
            kept.park(config.results, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        if link:
            try:
                os.link(path, temporary)
            except OSError as error:
                raise InputError(
                    f"{path}: cannot be linked ({error.strerror}); copy it: leave out --link"
                ) from error
        else:
            shutil.copyfile(path, temporary)
    if target.is_relative_to(kept.roots(config.results)[1]):
        return
    kept.keep(config.results, target)


def _take_timings(config: CampaignConfig, foreign: _Foreign) -> None:
    """Copy the wall times of the samples, which efficiency and plans learn from."""
    other = foreign.files[SAMPLES].parents[2]
    for stage in ("prepare", "analyse"):
        source = foreign.batch.timings_path(other, stage)
        target = foreign.batch.timings_path(config.results, stage)
        if source.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
