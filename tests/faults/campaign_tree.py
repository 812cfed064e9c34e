"""A tiny campaign, its processes by role, its ledger of samples, and its tables compared."""

from __future__ import annotations

import copy
import csv
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

CONTENT = {
    "campaign": {"title": "faults", "seed": 1},
    "ensembles": {
        "flat": {
            "model": "ipl_2d",
            "particles": 100,
            "protocol": {
                "name": "instantaneous_quench",
                "temperature": 2.0,
                "equilibration_time": 60.0,
            },
            "samples": 3,
            "batch_size": 2,
        },
        "solid": {
            "model": "ipl_3d",
            "particles": 180,
            "protocol": {"name": "random_start"},
            "samples": 2,
            "batch_size": 2,
            "ranks": 2,
        },
    },
    "analyses": {"modes": {"count": 20}, "dipoles": {"count": 10}},
    "statistics": {"bootstrap_resamples": 50},
}
LONGER = copy.deepcopy(CONTENT)
"""With samples of a second: most kills come in the middle of a batch."""
LONGER["ensembles"]["flat"]["protocol"]["equilibration_time"] = 150.0
LONGER["ensembles"]["flat"] |= {"samples": 8, "batch_size": 4}
LONGER["ensembles"]["solid"] |= {"particles": 400, "samples": 4, "batch_size": 4}
ROLES = ("run", "snakemake", "job", "worker", "launcher", "rank")


def write_config(folder: Path, content: dict = CONTENT) -> None:
    """Write the configuration of the tiny campaign into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def command(*words: str) -> list[str]:
    """Return the command that runs the campaign of the working folder up to its tables."""
    start = [sys.executable, "-m", "glassmodes", "campaign", "run", "--config", "config.yaml"]
    return [*start, "--cores", "2", *(words or ("tables",))]


def start(folder: Path, *words: str) -> subprocess.Popen:
    """Start the campaign of a folder; what it says goes to the file ``said`` there."""
    with open(folder / "said", "ab") as said:
        return subprocess.Popen(
            command(*words),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


@dataclass(frozen=True)
class Found:
    """One living process of a campaign."""

    pid: int
    started: str
    role: str
    work: str

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        status = _status(self.pid)
        return status is not None and status[1] == self.started


def processes_in(folder: Path) -> list[Found]:
    """Return the living processes that work in a folder, with their roles."""
    words, parents, started = {}, {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") != str(folder):
                continue
            line = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        status = _status(int(entry.name))
        if status is not None and line != [""]:
            words[int(entry.name)] = line
            parents[int(entry.name)], started[int(entry.name)] = status
    return [
        Found(pid, started[pid], _role(line, words.get(parents[pid], [])), _work(line))
        for pid, line in words.items()
    ]


def _status(pid: int) -> tuple[int, str] | None:
    """Return parent and start time of a process, None if it is dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else (int(fields[0]), fields[18])


def _role(words: list[str], parent: list[str]) -> str:
    if "glassmodes.campaign.supervise" in words:
        return "job"
    if "snakemake" in words:
        return "snakemake"
    if any(os.path.basename(word) == "mpiexec" for word in words[:2]):
        return "launcher"
    if "campaign" in words and "run" in words:
        return "run"
    if "campaign" in words:
        launched = any(os.path.basename(word) == "mpiexec" for word in parent[:2])
        return "rank" if launched else "worker"
    return "other"


def _work(words: list[str]) -> str:
    """Return what a job does: ``prepare flat/000000-000002``."""
    if "campaign" not in words:
        return ""
    at = words.index("campaign") + 1
    batch = words[words.index("--batch") + 1] if "--batch" in words else ""
    return f"{words[at]} {batch}".strip()


class Ledger:
    """Which samples the jobs reported as done, over all attempts; logs are its source."""

    def __init__(self) -> None:
        self._logs: list[tuple[Path, str]] = []

    def collect(self, folder: Path) -> None:
        """Take in the logs of all batch jobs as they are now."""
        for stage in ("prepare", "analyse"):
            for path in sorted((folder / "results" / "logs" / stage).rglob("*.log")):
                text = path.read_text(encoding="utf-8", errors="replace")
                # the same attempt, looked at again
                self._logs = [(p, t) for p, t in self._logs if p != path or not text.startswith(t)]
                self._logs.append((path, text))

    def done(self) -> Counter:
        """Return how often each (stage, ensemble, sample) was finished."""
        found: Counter = Counter()
        for path, text in self._logs:
            stage, ensemble = path.parts[-3], path.parts[-2]
            for index in re.findall(r": sample (\d+) done", text):
                found[stage, ensemble, int(index)] += 1
        return found

    def computed_twice(self) -> int:
        """Return how many finished samples were computed again."""
        return sum(count - 1 for count in self.done().values())


def differences(folder: Path, reference: Path) -> list[str]:
    """Return what differs between the results of two campaigns: nothing, if all is well.

    Batch files of the serial ensemble must have the same bytes, and so must its rows in the
    tables; numbers of the MPI ensemble must agree to 1e-6 of themselves.
    """
    found = []
    for wanted in sorted(reference.glob("results/**/flat/**/*.h5")):
        path = folder / wanted.relative_to(reference)
        if not path.is_file() or path.read_bytes() != wanted.read_bytes():
            found.append(str(wanted.relative_to(reference)))
    for wanted in sorted((reference / "results" / "tables").glob("*.csv")):
        path = folder / wanted.relative_to(reference)
        if not path.is_file() or not _same_rows(_rows(path), _rows(wanted)):
            found.append(str(wanted.relative_to(reference)))
    for wanted in sorted((reference / "results" / "tables").glob("*.parquet")):
        path = folder / wanted.relative_to(reference)
        if not path.is_file() or not _same_columns(path, wanted):
            found.append(str(wanted.relative_to(reference)))
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _same_rows(rows: list[dict[str, str]], wanted: list[dict[str, str]]) -> bool:
    return len(rows) == len(wanted) and all(
        row.keys() == other.keys()
        and all(row[k] == other[k] or (_is_mpi(other) and _close(row[k], other[k])) for k in row)
        for row, other in zip(rows, wanted, strict=True)
    )


def _is_mpi(row: dict[str, str]) -> bool:
    return row.get("ensemble", "solid") == "solid"


def _close(one: str, other: str) -> bool:
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-6, abs_tol=1e-9)
    except ValueError:
        return False


def _same_columns(path: Path, wanted: Path) -> bool:
    import numpy as np
    import pyarrow.parquet as parquet

    table, other = parquet.read_table(path), parquet.read_table(wanted)
    if table.column_names != other.column_names or table.num_rows != other.num_rows:
        return False
    serial = np.array(other["ensemble"].to_pylist()) == "flat"
    for name in other.column_names:
        one, two = (np.array(t[name].to_pylist(), dtype=object) for t in (table, other))
        if list(one[serial]) != list(two[serial]):
            return False
        if not all(a == b or _close(str(a), str(b)) for a, b in zip(one, two, strict=True)):
            return False
    return True
