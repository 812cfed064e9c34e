"""Binary files of others are read by a child process that can do little harm.

The C libraries behind HDF5 and GSD were made for files of friends: a damaged or hostile one may
crash them, keep them busy for ever or make them ask for all memory.  They work in a child process
(`isolated_child`) that may use memory and time in proportion to the file, can write no file and
leaves no core dump.  It hands plain arrays back through a pipe; whatever happens to it becomes one
line.  A child costs about 0.3 s.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.formats import isolated_child
from glassmodes.hdf5_structure import allowed_bytes

_BASE_BYTES = 2 * 2**30
"""Address space of Python with numpy and HDF5; most of it is never touched."""

_COPIES = 3
_ANSWER_LINE = 2**25
_KINDS = "biufSU"
_NONSENSE = "the library that reads it gave no answer"

# Nothing of a launcher or a batch system: the child must not be taken for a rank.
_PASSED_ON = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "CONDA_PREFIX",
    "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HDF5_USE_FILE_LOCKING",
)  # fmt: skip


_PASSED: set[tuple] = set()
"""Files of ours that a child has walked through: one check for each process and file."""


class ReaderError(Exception):
    """The library that reads a file failed: an error of its own, a crash, a limit."""


@dataclass(frozen=True)
class Limits:
    """What a child may use.

    Attributes
    ----------
    memory
        Bytes of address space.
    answer
        Bytes that it may hand back.
    cpu, wall
        Seconds of computing, and in all.
    """

    memory: int
    answer: int
    cpu: int
    wall: float

    @classmethod
    def of(cls, source: Path) -> Limits:
        """Return the limits for a file: they grow with its size."""
        size = source.stat().st_size
        answer = allowed_bytes(size)
        cpu = 10 + size // 10**7
        return cls(_BASE_BYTES + _COPIES * answer, answer, cpu, 10.0 * cpu)


def read_isolated(
    source: Path,
    kind: str,
    names: tuple[str, ...] = (),
    frame: int | None = None,
    limits: Limits | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the facts and the arrays that the child reads from a file.

    Parameters
    ----------
    kind : str
        npz, HDF5 or GSD.
    names : strings
        Arrays that are wanted, of npz and plain HDF5.

    Raises
    ------
    InputError
        The file holds something that is refused.
    ReaderError
        The library cannot read it, crashed, or took too long or too much memory.
    """
    state = source.stat()
    key = (kind, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    if limits is None and key in _PASSED:
        return {"ours": True}, {}
    limits = limits or Limits.of(source)
    # -P: a module that lies beside the data must not be imported in place of numpy.
    command = [sys.executable, "-P", isolated_child.__file__, kind, os.path.abspath(source)]
    command += [json.dumps(frame), json.dumps(names), _resources(limits)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    ) as child:
        try:
            content = _receive(child, limits)
        finally:
            child.kill()  # does nothing to one that has ended
    if child.returncode != 0:
        raise ReaderError(_ending(child.returncode, limits))
    facts, arrays = _parse(content)
    if facts.get("ours"):
        _PASSED.add(key)
    return facts, arrays


def _resources(limits: Limits) -> str:
    return json.dumps(
        {
            "RLIMIT_AS": limits.memory,
            "RLIMIT_CPU": limits.cpu,
            "RLIMIT_FSIZE": 0,
            "RLIMIT_CORE": 0,
        }
    )


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    # "::" tells HDF5 to load no filter from a shared library.
    return kept | threads | {"HDF5_PLUGIN_PRELOAD": "::", "PYTHONDONTWRITEBYTECODE": "1"}


def _receive(child: subprocess.Popen, limits: Limits) -> bytearray:
    """Return what the child writes until it ends; ends it when it takes too long."""
    assert child.stdout is not None
    pipe, content = child.stdout.fileno(), bytearray()
    deadline = time.monotonic() + limits.wall
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise ReaderError(f"it took more than {limits.wall:g} s")
        piece = os.read(pipe, 2**20)
        if not piece:
            break
        content += piece
        if len(content) > limits.answer + _ANSWER_LINE:
            raise ReaderError("it unpacks to more than a file of this size can hold")
    try:
        child.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise ReaderError(f"it took more than {limits.wall:g} s") from None
    return content


def _ending(code: int, limits: Limits) -> str:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"it took more than {limits.cpu} s of computing"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the library that reads it crashed ({how})"


def _parse(content: bytearray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return facts and arrays; the child may be broken, so nothing it says is believed."""
    line, _, body = content.partition(b"\n")
    try:
        facts = json.loads(line)
        described = [(str(n), np.dtype(str(k)), tuple(map(int, s))) for n, k, s in facts["arrays"]]
    except (ValueError, TypeError, KeyError) as error:
        raise ReaderError(_NONSENSE) from error
    if facts.get("memory"):
        raise ReaderError("it takes more memory than a file of this size may")
    if "error" in facts:
        raise (InputError if facts.get("refused") else ReaderError)(str(facts["error"]))
    arrays, done = {}, 0
    for name, kind, shape in described:
        size = math.prod(shape) * kind.itemsize
        if kind.kind not in _KINDS or min(shape, default=0) < 0 or size > len(body) - done:
            raise ReaderError(_NONSENSE)
        arrays[name] = np.frombuffer(body, kind, math.prod(shape), done).reshape(shape).copy()
        done += size
    return facts, arrays
