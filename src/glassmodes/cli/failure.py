"""How a verb ends when it cannot do its work: one line, an exit code, never a hang.

Errors that a user can act on reach every rank through `glassmodes.parallel`; rank 0
prints them.  Should one rank fail alone, the others may wait for it in a collective
call: it notices that nobody joins it within `PATIENCE_S` and aborts the job.
"""

from __future__ import annotations

import errno
import sys
import time
import traceback

from glassmodes.errors import GlassmodesError, ResourceError, printable

#: Seconds that a failing rank waits for the other ranks before it aborts them.
PATIENCE_S = 10.0

UNEXPECTED = 1
BAD_CALL = 2
NO_MEMORY = ResourceError.exit_code
INTERRUPTED = 130

_PETSC_NO_MEMORY = 55  # PETSC_ERR_MEM

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: What HDF5 and numpy say when a write falls short without an errno of their own.
_FULL_TEXTS = (
    "no space left on device",
    "disk quota exceeded",
    "file too large",
    "requested and",
    "errno = 28",
)


def describe(error: BaseException) -> tuple[int, str | None]:
    """Return the exit code and the line for the user; no line means a bug to trace."""
    if isinstance(error, GlassmodesError):
        return error.exit_code, _one_line(str(error))
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if isinstance(error, MemoryError) or getattr(error, "ierr", None) == _PETSC_NO_MEMORY:
        return NO_MEMORY, "out of memory: use more ranks or nodes, a smaller sample or fewer modes"
    if is_disk_full(error):
        place = getattr(error, "filename", None)
        where = f" while writing {place}" if place else ""
        return BAD_CALL, f"disk full{where}: free some space or choose another output folder"
    if isinstance(error, OSError) and error.filename is not None:
        return BAD_CALL, _one_line(f"{error.filename}: {error.strerror}")
    return UNEXPECTED, None


def is_disk_full(error: BaseException) -> bool:
    """Tell whether `error`, or what caused it, is a write that found no space."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, OSError) and current.errno in _FULL:
            return True
        text = str(current).lower()
        if isinstance(current, (OSError, RuntimeError)) and any(t in text for t in _FULL_TEXTS):
            return True
        current = current.__cause__ or current.__context__
    return False


def finish(error: BaseException, comm) -> int:
    """Report `error` and return the exit code; aborts all ranks where that is the way out.

    Parameters
    ----------
    error
        What the verb raised on this rank.
    comm
        The communicator of the verb, or None before MPI is up.
    """
    code, line = describe(error)
    size = 1 if comm is None else comm.size
    if line is None:
        _write("".join(traceback.format_exception(error)))
        if size > 1:
            comm.Abort(code)
        return code
    message = f"glassmodes: error: {line}\n"
    if size == 1:
        _write(message)
        return code
    if comm.rank == 0:
        _write(message)
    if code == INTERRUPTED or not _all_failed(comm):
        if comm.rank != 0 and code != INTERRUPTED:
            _write(message)
        comm.Abort(code)
    return code


def _all_failed(comm) -> bool:
    """Wait until every rank has come here; False when some rank does not."""
    request = comm.Ibarrier()
    deadline = time.monotonic() + PATIENCE_S
    while not request.Test():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _one_line(text: str) -> str:
    return printable("; ".join(part.strip() for part in text.splitlines() if part.strip()))
