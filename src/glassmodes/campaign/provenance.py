"""Where numbers come from: settings, versions and the fingerprint that ties files together.

Files carry only what determines their numbers, no date and no machine, so that the same
batch gives the same bytes; the run itself is described in ``run.json`` of the results.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from glassmodes import __version__
from glassmodes.campaign.config import WINDOWS, CampaignConfig
from glassmodes.campaign.versions import STAGE_VERSIONS
from glassmodes.files import write_bytes

COMMAND_VARIABLE = "GLASSMODES_COMMAND"

_assumed_contents: dict[str, str] = {}
_PACKAGES = ("numpy", "scipy", "h5py", "petsc4py", "slepc4py", "mpi4py")


def preparation_settings(config: CampaignConfig, ensemble: str) -> dict[str, Any]:
    """Return everything that decides what the samples of an ensemble are."""
    chosen = config.ensembles[ensemble].model_dump(
        include={"model", "particles", "dimension", "density", "protocol"}, mode="json"
    )
    return {
        "stage_version": STAGE_VERSIONS["prepare"],
        "ensemble": ensemble,
        "seed": config.seed_of(ensemble),
        "model_content": model_content(config.ensembles[ensemble].model),
        **chosen,
    }


def analysis_settings(config: CampaignConfig, ensemble: str, analysis: str) -> dict[str, Any]:
    """Return everything that decides the records of one analysis, the samples included."""
    return {
        "stage_version": STAGE_VERSIONS[analysis],
        "analysis": analysis,
        **config.settings_of(ensemble, analysis).model_dump(mode="json"),
        "samples": fingerprint(preparation_settings(config, ensemble)),
    }


def slice_settings(config: CampaignConfig, ensemble: str, number: int) -> dict[str, Any]:
    """Return everything that decides the records of one slice of a window."""
    return {**analysis_settings(config, ensemble, WINDOWS), "slice": number}


def settings_by_file(config: CampaignConfig, ensemble: str) -> dict[str, dict[str, Any]]:
    """Return what the records of each file of a batch depend on, by the name of the file.

    The names are ``samples``, those of the analyses, and ``windows-000`` and so on.
    """
    settings = {"samples": preparation_settings(config, ensemble)}
    for analysis in config.analyses_of(ensemble):
        settings[analysis] = analysis_settings(config, ensemble, analysis)
    for number in range(config.slices_of(ensemble)):
        settings[f"{WINDOWS}-{number:03d}"] = slice_settings(config, ensemble, number)
    return settings


def fingerprints_of(config: CampaignConfig, ensemble: str) -> dict[str, str]:
    """Return the fingerprint of each of `settings_by_file`."""
    return {name: fingerprint(s) for name, s in settings_by_file(config, ensemble).items()}


def assume_model_contents(contents: Mapping[str, str]) -> None:
    """Take the digests of model files as given: those of an archive, which are not at hand."""
    _assumed_contents.update(contents)


def model_content(model: str) -> str:
    """Return the digest of a model file, the empty text for a named model."""
    if model in _assumed_contents:
        return _assumed_contents[model]
    if not model.lower().endswith((".yaml", ".yml")):
        return ""
    return hashlib.sha256(Path(model).read_bytes()).hexdigest()


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return a short digest of settings: equal exactly if the settings are equal."""
    text = json.dumps(settings, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of glassmodes, Python and the numerical libraries."""
    versions = {"glassmodes": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def typed_command() -> list[str]:
    """Return the command that a person typed to start this run, without the folders it lies in.

    The run command hands its own on through the environment to the Snakemake it starts.
    """
    handed = os.environ.get(COMMAND_VARIABLE)
    if handed:
        return shlex.split(handed)
    program = "snakemake" if sys.argv[0].endswith("__main__.py") else Path(sys.argv[0]).name
    return [program, *sys.argv[1:]]


def describe_run(command: list[str]) -> dict[str, Any]:
    """Return command, date, machine and versions of a run of the campaign."""
    return {
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
        },
        "interpreter": sys.implementation.name,
        "versions": library_versions(),
        "stage_versions": STAGE_VERSIONS,
    }


def write_run(results: Path, command: list[str]) -> None:
    """Write ``run.json`` into the results folder."""
    results.mkdir(parents=True, exist_ok=True)
    text = json.dumps(describe_run(command), indent=2) + "\n"
    write_bytes(results / "run.json", text.encode())


def write_resolved(config: CampaignConfig, path: Path) -> None:
    """Write the checked configuration with all its defaults, for jobs and for repetition."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config.model_dump(mode="json"), indent=2) + "\n"
    write_bytes(path, text.encode())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
