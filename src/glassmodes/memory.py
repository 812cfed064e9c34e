"""How much memory a rank may still take, and the refusal to begin what does not fit.

Limits come from the machine (memory that is free now), from control groups (containers, batch
systems), from ``ulimit -v``, from Slurm's variables and from ``GLASSMODES_MEMORY_GB``.  Those of
a node are shared evenly by its ranks.
"""

from __future__ import annotations

import logging
import os
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from glassmodes.errors import InputError, ResourceError

log = logging.getLogger(__name__)

OVERRIDE = "GLASSMODES_MEMORY_GB"
"""Environment variable: gigabytes (10^9 bytes) that each rank may occupy in all."""

_KEPT_FREE = 0.05  # of what a rank may take: MPI, the file cache and what nobody planned
_UNLIMITED = 2**60  # control groups of version 1 write such numbers for "no limit"
_RANKS_HERE = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PALS_LOCAL_SIZE")


class Limit(NamedTuple):
    """Bytes that one rank may still take, and what says so."""

    bytes: int
    source: str


def available(comm=None) -> int:
    """Return the bytes that this rank may still take, the smallest of all limits.

    Parameters
    ----------
    comm
        Communicator, to count the ranks of this node where the launcher does not tell.

    Notes
    -----
    Collective if `comm` is given.  One twentieth is left free.  Other programs on the machine may
    take memory afterwards: on shared nodes a batch system's limit is the reliable one.
    """
    return tightest(comm).bytes


def tightest(comm=None) -> Limit:
    """Return the smallest limit of this rank with its source.  Collective if `comm` is given."""
    limit = min(limits(ranks_on_node(comm)))
    return Limit(int((1 - _KEPT_FREE) * max(limit.bytes, 0)), limit.source)


def require(comm, needed: int, what: str, advice: str) -> None:
    """Refuse to begin `what` on all ranks if `needed` bytes do not fit on one of them.

    Parameters
    ----------
    comm
        Communicator.
    needed
        Bytes that this rank is about to take; may differ between ranks.
    what
        Noun of the message, for instance ``"the basis of 240 vectors"``.
    advice
        What a user can do, in the imperative.

    Raises
    ------
    ResourceError
        The same on every rank.

    Notes
    -----
    Collective: no rank takes its memory before all have looked.
    """
    limit = tightest(comm)
    mine = (limit.bytes - int(needed), int(needed), limit)
    room, wanted, limit = min(comm.allgather(mine)) if comm.size > 1 else mine
    log.debug("%s: %s a rank, %s may be taken", what, in_words(wanted), in_words(limit.bytes))
    if room < 0:
        raise ResourceError(
            f"{what} needs {in_words(wanted)} of memory on each rank, {in_words(limit.bytes)} can "
            f"be had ({limit.source}): {advice}"
        )


def ranks_on_node(comm=None) -> int:
    """Return how many ranks share this node's memory.  Collective if `comm` is given."""
    for name in _RANKS_HERE:
        if os.environ.get(name, "").isdigit():
            return max(1, int(os.environ[name]))
    if comm is None or comm.size == 1:
        return 1
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    ranks = node.size
    node.Free()
    return ranks


def limits(
    ranks: int, root: Path = Path("/"), environment: Mapping[str, str] | None = None
) -> list[Limit]:
    """Return every limit that is known, in bytes that this process may still take.

    Parameters
    ----------
    ranks
        Processes that share the node.
    root, environment
        Where /proc and /sys hang, and the variables of the job: other ones in tests.
    """
    environment = os.environ if environment is None else environment
    size, resident = _own_pages(root)
    found = [Limit(_free_on_machine(root) // ranks, "memory free on the machine")]
    for source, room in _control_groups(root):
        found.append(Limit(room // ranks, source))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        found.append(Limit(soft - size, "limit of the address space, ulimit -v"))
    for source, share in _of_slurm(environment, ranks):
        found.append(Limit(share - resident, source))
    if environment.get(OVERRIDE):
        found.append(Limit(_override(environment[OVERRIDE]) - resident, OVERRIDE))
    return found


def in_words(size: float) -> str:
    """Return a number of bytes as people read it, in powers of ten."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{int(size)} bytes"


def _override(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise InputError(f"{OVERRIDE} must be gigabytes above zero, found {text!r}")
    return int(value * 1e9)


def _own_pages(root: Path) -> tuple[int, int]:
    """Return the size of this process and what of it is in memory, in bytes."""
    try:
        size, resident = (root / "proc/self/statm").read_text().split()[:2]
        page = resource.getpagesize()
        return int(size) * page, int(resident) * page
    except OSError:  # no /proc: the peak is the next best
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return peak, peak


def _free_on_machine(root: Path) -> int:
    try:
        text = (root / "proc/meminfo").read_text()
        return int(re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024
    except (OSError, TypeError):  # no /proc, or a kernel that does not say
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") - _own_pages(root)[1]


def _control_groups(root: Path) -> list[tuple[str, int]]:
    """Return the room that is left under each memory limit of the groups of this process."""
    found = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, top, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
            cache = "inactive_file"
        elif "memory" in controllers.split(","):
            base, top = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            used, cache = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        group = base / path.strip("/")
        for folder in (group, *group.parents):  # a limit above binds all groups below
            limit, usage = _read(folder / top).strip(), _read(folder / used).strip()
            if limit.isdigit() and usage.isdigit() and int(limit) < _UNLIMITED:
                # Cached files count as used and are given back when memory is wanted.
                match = re.search(rf"^{cache} (\d+)", _read(folder / "memory.stat"), re.MULTILINE)
                freed = int(match[1]) if match else 0
                found.append(("limit of the control group", int(limit) - int(usage) + freed))
            if folder == base:
                break
    return found


def _of_slurm(environment: Mapping[str, str], ranks: int) -> list[tuple[str, int]]:
    """Return what Slurm gives a rank in all, from its variables in megabytes; 0 is no limit."""
    found = []
    node, cpu = (environment.get(f"SLURM_MEM_PER_{what}", "") for what in ("NODE", "CPU"))
    if node.isdigit() and int(node):
        found.append(("SLURM_MEM_PER_NODE", int(node) * 2**20 // ranks))
    if cpu.isdigit() and int(cpu):
        cores = environment.get("SLURM_CPUS_PER_TASK", "1")
        found.append(("SLURM_MEM_PER_CPU", int(cpu) * 2**20 * int(cores or 1)))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
