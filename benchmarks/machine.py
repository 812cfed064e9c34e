"""What the numbers depend on: processor, memory, load, versions, commit."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IDLE = 0.3
"""Load average above which a recording is not to be quoted."""
PACKAGES = ("numpy", "scipy", "petsc4py", "slepc4py", "mpi4py", "matscipy", "ase")


def describe() -> dict[str, str]:
    """Return machine, versions, date, commit and load as text."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB",
        "system": platform.platform(),
        "compiler": _first_line(["g++", "--version"]),
        "python": platform.python_version(),
        "packages": versions,
        "blas": ", ".join(
            f"{name}={value}"
            for name, value in sorted(os.environ.items())
            if name.startswith(("OPENBLAS_", "OMP_NUM", "MKL_"))
        ),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def start_up_seconds() -> float:
    """Return the seconds that a new process needs to import numpy, PETSc, SLEPc and glassmodes."""
    code = "import glassmodes, numpy; from slepc4py import SLEPc; import glassmodes.spectra"
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begin


_baseline: float | None = None  # GB after the imports


def start_memory() -> None:
    """Let `memory` leave out what this process holds now."""
    global _baseline
    reset_peak_memory()
    _baseline = peak_memory()


def memory() -> float:
    """Return the peak since the last reset above that of `start_memory`, in GB, or NaN."""
    return float("nan") if _baseline is None else peak_memory() - _baseline


def reset_peak_memory() -> None:
    """Let `peak_memory` count from what is in use now."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """Return the largest memory this process had since the last reset, in GB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024e-9


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def _commit() -> str:
    commit = _first_line(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
    changed = _first_line(["git", "-C", str(ROOT), "status", "--porcelain", "-uno", "--", "src"])
    return commit + (" with local changes" if changed else "")


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return next(iter(done.stdout.splitlines()), "")
