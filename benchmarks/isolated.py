"""One measurement in a process of its own, with a time limit and a memory cap.

So that a measurement finds a fresh heap, its peak memory is its own, and one that does not end
or does not fit becomes a row that says so.
"""

from __future__ import annotations

import multiprocessing
import resource
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

LOADING = 300.0  # seconds to import the libraries and read a sample


class DoesNotApply(Exception):
    """A peer that has nothing for this kind of sample."""


@dataclass(frozen=True)
class Outcome:
    """What a function returned, what stopped it ("" if nothing), and its `rows.one_pass`."""

    value: Any
    stopped: str = ""
    applies: bool = True
    seconds: float = float("nan")


def call(module: str, function: str, *arguments, seconds: float, gigabytes: float) -> Outcome:
    """Call ``module.function(*arguments)`` in a new process.

    An argument that is a path is read as a sample there.  The limit counts from when the
    libraries are loaded and the samples read; the cap is on private memory (RLIMIT_DATA).
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, gigabytes, module, function, arguments))
    process.start()
    theirs.close()
    try:
        for limit in (LOADING, seconds):
            if not ours.poll(limit):
                return Outcome(None, f"stopped after {limit:.0f} s")
            message = ours.recv()
            if isinstance(message, Outcome):
                return message
    except EOFError:
        process.join()
        return Outcome(None, f"ended by signal {-(process.exitcode or 0)}")
    finally:
        process.kill()
        process.join()
    raise AssertionError("unreachable: the second message is an outcome")


def _child(connection, gigabytes: float, module: str, function: str, arguments) -> None:
    try:
        bytes_ = int(gigabytes * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_, bytes_))
        import glassmodes  # noqa: F401  isort: skip  one BLAS thread before numpy loads
        import machine
        import rows
        from mpi4py import MPI  # noqa: F401  its buffers are no part of the measurement

        action = getattr(import_module(module), function)
        machine.start_memory()
        arguments = [_read(item) if isinstance(item, Path) else item for item in arguments]
        connection.send("ready")
        connection.send(Outcome(action(*arguments), seconds=rows.one_pass))
    except DoesNotApply as error:
        connection.send(Outcome(None, str(error), applies=False))
    except MemoryError:
        connection.send(_no_memory(gigabytes))
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if "memory" in text.lower() or "INFOG(1)=-13" in text:
            connection.send(_no_memory(gigabytes))
        else:
            connection.send(Outcome(None, f"failed: {text[:200]}"))


def _no_memory(gigabytes: float) -> Outcome:
    return Outcome(None, f"no memory within {gigabytes:.0f} GB")


def _read(path: Path):
    from glassmodes.sample import Sample

    return Sample.read(path)
