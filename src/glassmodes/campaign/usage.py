"""What the ranks of a job used, by their own account: a line beside the results.

Snakemake's benchmark files sample the memory of its own children.  Short peaks escape them, and
so do all ranks that a scheduler's launcher starts (srun): those belong to a daemon of the node.
The kernel keeps the peak of each process; ranks tell theirs at the end of their job.
"""

from __future__ import annotations

import csv
import logging
import math
import resource
import sys
from pathlib import Path
from typing import NamedTuple

from glassmodes.errors import GlassmodesError
from glassmodes.files import write_bytes
from glassmodes.parallel import on_root

log = logging.getLogger(__name__)


class Usage(NamedTuple):
    """Peak memory of the largest rank in MB, and processor seconds of all ranks together."""

    ranks: int
    megabytes: float
    cpu_seconds: float


def usage_path(results: str | Path, stage: str, ensemble: str, batch: str) -> Path:
    """Return where a job leaves its usage; slices have a stage of their own, ``windows-000``."""
    return Path(results) / "timings" / "usage" / stage / ensemble / f"{batch}.csv"


def write_usage(comm, path: Path) -> None:
    """Write what the ranks of `comm` have used since they were started.  Collective."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3 / 1.024)
    every = comm.gather((peak, used.ru_utime + used.ru_stime), root=0)

    def write() -> None:
        found = Usage(comm.size, max(p for p, _ in every), sum(s for _, s in every))
        text = f"{','.join(Usage._fields)}\n{found.ranks},{found.megabytes:.1f}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, f"{text},{found.cpu_seconds:.2f}\n".encode())
        except (OSError, GlassmodesError) as error:  # the results are there: no reason to fail
            log.warning("what the job used is not kept: %s", error)

    on_root(comm, write)


def read_usage(path: Path) -> Usage | None:
    """Return what a job used, None without a whole file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file))
        found = Usage(int(row["ranks"]), float(row["megabytes"]), float(row["cpu_seconds"]))
    except (OSError, UnicodeError, StopIteration, KeyError, ValueError, TypeError, csv.Error):
        return None
    return found if all(math.isfinite(value) and value >= 0 for value in found) else None
