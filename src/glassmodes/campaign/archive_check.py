"""``glassmodes archive verify``: checksums, and the tables made again from the records.

Archives come from anywhere.  Names and sizes are checked before anything is written
(`archive_files`), the configuration is read as data (no model file of the archive is loaded,
which could name code), and the records are read in a child process, whose end, whatever it is,
becomes one line.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from glassmodes.campaign.archive_files import read_checksums, unpack
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.products import tables_of
from glassmodes.campaign.table_schema import TABLES
from glassmodes.campaign.versions import STAGE_VERSIONS
from glassmodes.errors import GlassmodesError, InputError, printable

TOLERANCE = 1e-7
"""Of numbers in tables that other versions of libraries made; tables carry ten digits."""
ROUND_OFF = 1e-14
"""Part of the largest number of a row below which another is round-off: errors of constants."""

_SPARE_BYTES = 8 * 2**30
_RECORDS = ("results/samples/", "results/analyses/")
_CHECKSUMS = "SHA256SUMS"


class ArchiveDiffers(GlassmodesError):
    """The tables of an archive are not those of its records."""

    exit_code = 1


def verify_archive(path: Path) -> dict[str, Any]:
    """Verify an archive, or the folder that it was unpacked to.

    Raises
    ------
    InputError
        It is no archive, or damaged.
    ArchiveDiffers
        Tables made from its records are not those that it holds.
    """
    if path.is_dir():
        return {"archive": path, **verify_folder(path)}
    with tempfile.TemporaryDirectory(prefix="glassmodes-archive-") as scratch:
        return {"archive": path, **verify_folder(unpack(path, Path(scratch)))}


def verify_folder(folder: Path) -> dict[str, Any]:
    """Verify an unpacked archive; its own files are left as they are."""
    digests = _verify_checksums(folder)
    _refuse_strangers(folder, digests)
    about = _read_json(folder, "datapackage.json").get("glassmodes")
    if not isinstance(about, dict):
        raise InputError("datapackage.json does not say what the archive holds")
    complete = about.get("complete") is True
    answer: dict[str, Any] = {"complete": complete, "files": len(digests), "checksums": "ok"}
    records = {name for name in digests if name.startswith(_RECORDS)}
    if not (records and about.get("records") and complete):
        why = "it holds no records" if complete else "the archive is partial"
        return answer | {"tables": f"not compared: {why}"}
    config = _read_config(folder, sum((folder / name).stat().st_size for name in records))
    versions = _stage_versions(about)
    found = _rebuild(folder, config, records, versions, _model_contents(folder, digests, config))
    if different := found.pop("different"):
        raise ArchiveDiffers(
            f"{len(different)} tables are not those of the records: {', '.join(different)}"
            + _other_versions(versions)
        )
    return answer | {"tables": found}


def _verify_checksums(folder: Path) -> dict[str, str]:
    digests = read_checksums(folder / _CHECKSUMS)
    inside = folder.resolve()
    for name, digest in digests.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or inside not in path.resolve().parents:
            raise InputError(f"{name} of SHA256SUMS is missing or no regular file")
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise InputError(f"{name} does not match its checksum; the archive is damaged")
    return digests


def _refuse_strangers(folder: Path, digests: dict[str, str]) -> None:
    """Raise `InputError` if anything but folders lies there that has no checksum."""
    known = {_CHECKSUMS, *digests}
    strangers = []
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        here = Path(place)
        found = [here / name for name in files]
        found += [here / name for name in folders if (here / name).is_symlink()]
        names = (path.relative_to(folder).as_posix() for path in found)
        strangers += [name for name in names if name not in known]
    if strangers:
        name = printable(min(strangers)[:200]).replace("\n", " ")
        raise InputError(f"{name} has no checksum in {_CHECKSUMS}: it is no part of the archive")


def _unreadable(error: OSError) -> None:
    raise InputError(f"a folder of the archive cannot be read ({error.strerror})") from error


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{name} is missing or no JSON") from error
    if not isinstance(content, dict):
        raise InputError(f"{name} is no JSON object")
    return content


def _read_config(folder: Path, record_bytes: int) -> CampaignConfig:
    """Read the resolved configuration as data: no model of it is looked up."""
    name = "results/config.json"
    try:
        config = CampaignConfig.model_validate(_read_json(folder, name))
    except ValidationError as error:
        raise InputError(f"{name} is no configuration of this version of glassmodes") from error
    samples = sum(e.samples for e in config.ensembles.values())
    filled = all(e.dimension and e.density for e in config.ensembles.values())
    if not filled or samples > record_bytes:
        raise InputError(f"{name} does not belong to the records of this archive")
    return config


def _stage_versions(about: dict[str, Any]) -> dict[str, int]:
    """Return the stage versions that the archive was made with."""
    made = about.get("stage_versions")
    made = made if isinstance(made, dict) else {}
    return {n: int(made[n]) for n in STAGE_VERSIONS if isinstance(made.get(n), int)}


def _model_contents(
    folder: Path, digests: dict[str, str], config: CampaignConfig
) -> dict[str, str]:
    """Return the digest of each model file by its name in the configuration."""
    index = "models/index.json"
    packed = _read_json(folder, index) if index in digests else {}
    models = {e.model for e in config.ensembles.values()}
    return {model: digests.get(str(packed.get(model)), "") for model in models}


def _rebuild(
    folder: Path,
    config: CampaignConfig,
    records: set[str],
    versions: dict[str, int],
    models: dict[str, str],
) -> dict[str, Any]:
    """Make the tables in a child process and compare them with those of the archive."""
    with tempfile.TemporaryDirectory(prefix="glassmodes-tables-") as work:
        size = 0
        for name in records:
            link = Path(work) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((folder / name).resolve())
            size += link.stat().st_size
        changed = config.campaign.model_copy(update={"results": str(Path(work) / "results")})
        changed_config = config.model_copy(update={"campaign": changed})
        text = json.dumps(
            {
                "config": changed_config.model_dump(mode="json"),
                "models": models,
                "stage_versions": versions,
            }
        )
        done = subprocess.run(
            [sys.executable, "-P", "-m", __spec__.name, str(folder.resolve())],
            input=text,
            capture_output=True,
            text=True,
            cwd=work,
            env=os.environ | {"OMP_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"},
            preexec_fn=lambda: _limit(_SPARE_BYTES + 8 * size),
        )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    if done.returncode < 0 or not answer:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"the records cannot be read: {lines[-1][:300]}")
    if "error" in answer:
        raise InputError(f"the tables cannot be made from the records: {answer['error']}")
    return answer


def _limit(memory: int) -> None:
    for kind, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory)):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _other_versions(made: dict[str, int]) -> str:
    names = [f"{n} {made.get(n)}, not {v}" for n, v in STAGE_VERSIONS.items() if made.get(n) != v]
    return f" (stages of the archive: {'; '.join(names)})" if names else ""


def _tables_again(folder: Path) -> dict[str, Any]:
    """Write tables, fits and comparison of the configuration on stdin; compare them.  The child."""
    from glassmodes.campaign.compare import write_comparison
    from glassmodes.campaign.fits import write_fits
    from glassmodes.campaign.provenance import assume_model_contents
    from glassmodes.campaign.tables import write_tables

    given = json.load(sys.stdin)
    config = CampaignConfig.model_validate(given["config"])
    # The records say which settings, model files and versions they were made with.
    assume_model_contents(given["models"])
    STAGE_VERSIONS.update(given["stage_versions"])
    try:
        for write in (write_tables, write_fits, write_comparison):
            write(config)
    except Exception as error:  # the records may be anything
        lines = str(error).splitlines() or [type(error).__name__]
        return {"error": lines[0][:300]}
    names = [TABLES[name].path for name in tables_of(config)] + ["tables/units.csv"]
    verdicts = {n: _compare(config.results / n, folder / "results" / n) for n in names}
    return {
        "identical": sum(verdict == "identical" for verdict in verdicts.values()),
        "equal_numbers": sum(verdict == "equal" for verdict in verdicts.values()),
        "different": sorted(name for name, verdict in verdicts.items() if verdict == "different"),
    }


def _compare(made: Path, packed: Path) -> str:
    if not packed.is_file():
        return "different"
    if made.read_bytes() == packed.read_bytes():
        return "identical"
    same = _same_parquet if made.suffix == ".parquet" else _same_csv
    try:
        return "equal" if same(made, packed) else "different"
    except Exception:  # whatever the packed table is, it is not ours
        return "different"


def _same_csv(made: Path, packed: Path) -> bool:
    """Tell whether two CSV tables have the same texts and numbers."""
    with open(made, encoding="utf-8") as ours, open(packed, encoding="utf-8") as theirs:
        for mine, other in zip_longest(csv.reader(ours), csv.reader(theirs), fillvalue=[]):
            if len(mine) != len(other) or not _same_row(mine, other):
                return False
    return True


def _same_row(mine: list[str], other: list[str]) -> bool:
    numbers = [x for cell in mine if (x := _number(cell)) is not None]
    round_off = ROUND_OFF * max(map(abs, numbers), default=0.0)
    for a, b in zip(mine, other, strict=True):
        if a == b:
            continue
        x, y = _number(a), _number(b)
        if x is None or y is None or not math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=round_off):
            return False
    return True


def _number(cell: str) -> float | None:
    """Return a number with a point or an exponent; counts and seeds must agree as texts."""
    try:
        return float(cell) if "." in cell or "e" in cell else None
    except ValueError:
        return None


def _same_parquet(made: Path, packed: Path) -> bool:
    """Tell whether two Parquet tables have the same texts and numbers."""
    import numpy as np
    import pyarrow.parquet as pq

    ours, theirs = pq.ParquetFile(made), pq.ParquetFile(packed)
    if ours.schema_arrow.names != theirs.schema_arrow.names:
        return False
    for name in ours.schema_arrow.names:  # column by column: tables of modes are long
        mine, other = (file.read([name]).column(0).to_numpy() for file in (ours, theirs))
        if mine.shape != other.shape:
            return False
        if mine.dtype.kind == "f":
            if not np.allclose(mine, other, rtol=TOLERANCE, atol=0.0, equal_nan=True):
                return False
        elif not np.array_equal(mine, other):
            return False
    return True


if __name__ == "__main__":
    print(json.dumps(_tables_again(Path(sys.argv[1]))))
