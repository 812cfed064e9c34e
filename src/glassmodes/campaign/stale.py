"""Results that no longer fit the configuration or the program: named before they are repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from glassmodes.campaign import kept
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.manifest import batches_of
from glassmodes.campaign.provenance import fingerprint, settings_by_file
from glassmodes.campaign.records import read_fingerprint, read_header
from glassmodes.errors import InputError

_CHANGES_NAMED = 4
_LINES = 12


@dataclass(frozen=True)
class StaleFile:
    """One batch file that will be repeated.

    Attributes
    ----------
    path : Path
    ensemble, name : str
        ``samples``, an analysis, or a slice of the window.
    samples : int
    because : str
        What changed: ``stage version 2 -> 3``.
    """

    path: Path
    ensemble: str
    name: str
    samples: int
    because: str


def find_stale(config: CampaignConfig) -> list[StaleFile]:
    """Return the batch files whose settings or stage version are not those of now.

    Notes
    -----
    Opens each file, half a millisecond each: a campaign of 10^5 samples has a few thousand.
    Files that cannot be read are left to the jobs.
    """
    found = []
    for ensemble in config.ensembles:
        wanted = settings_by_file(config, ensemble)
        prints = {name: fingerprint(settings) for name, settings in wanted.items()}
        for batch in batches_of(config, ensemble):
            for name in kept.file_names(config, ensemble):
                path = kept.path_of(config.results, batch, name)
                if not path.is_file():
                    continue
                try:
                    if read_fingerprint(path) == prints[name]:
                        continue
                    old = read_header(path).provenance.get("settings")
                except InputError:
                    continue
                because = describe_changes(old, wanted[name])
                found.append(StaleFile(path, ensemble, name, len(batch.indices), because))
    return found


def describe_changes(old: Any, new: Mapping[str, Any]) -> str:
    """Return in words what differs between the settings in a file and those of now."""
    if not isinstance(old, Mapping):
        return "the file does not say with which settings it was made"
    before, after = dict(_flat(old)), dict(_flat(new))
    changes = []
    for name in sorted(before.keys() | after.keys(), key=lambda n: (n != "stage_version", n)):
        if before.get(name) == after.get(name) and (name in before) == (name in after):
            continue
        if name == "stage_version":
            changes.append(f"stage version {before.get(name)} -> {after.get(name)}")
        elif name == "samples":
            changes.append("its samples change")
        elif name == "model_content":
            changes.append("the model file changed")
        else:
            changes.append(f"{name} {_word(before, name)} -> {_word(after, name)}")
    more = len(changes) - _CHANGES_NAMED
    return ", ".join(changes[:_CHANGES_NAMED]) + (f" and {more} more" if more > 0 else "")


def _flat(settings: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    pairs = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{above}{name}.")
        else:
            pairs.append((f"{above}{name}", value))
    return pairs


def _word(settings: Mapping[str, Any], name: str) -> str:
    if name not in settings:
        return "not there"
    value = settings[name]
    return "null" if value is None else str(value)


def describe_stale(files: list[StaleFile]) -> list[str]:
    """Return a line for each ensemble, kind of records and reason."""
    batches: Counter = Counter()
    samples: Counter = Counter()
    for file in files:
        what = (file.ensemble, file.name, file.because)
        batches[what] += 1
        samples[what] += file.samples
    return [
        f"{name} of {ensemble}: {count} {'batch' if count == 1 else 'batches'} "
        f"({samples[ensemble, name, because]} samples), because {because}"
        for (ensemble, name, because), count in batches.items()
    ]


def announce(
    config: CampaignConfig, screen: TextIO, only_looks: bool = False, force: str | None = None
) -> None:
    """Say what a run will repeat and why, and make sure that nothing else is lost.

    Stale files move to their second names (`campaign.kept`): the workflow then repeats them
    whether or not it remembers how they were made, and they are there until new ones replace
    them, in case the configuration is changed back.

    Parameters
    ----------
    config
    screen
        Where to say it.
    only_looks
        Leave everything as it is.
    force
        Stage that is to be computed anew.
    """
    files = find_stale(config)
    lines = describe_stale(files)
    verb = "would repeat" if only_looks else "will repeat"
    for line in lines[:_LINES]:
        print(f"glassmodes: {verb} {line}", file=screen)
    if len(lines) > _LINES:
        print(f"glassmodes: ... and {len(lines) - _LINES} more; see status", file=screen)
    screen.flush()
    if only_looks:
        return
    kept.keep_all(config)
    for file in files:
        kept.park(config.results, file.path)
    if force is not None:
        kept.forget(config, force)
