"""Locks that die with their owner.

The kernel holds the lock (``flock``), so the lock of a killed process is free at once;
the file names the owner for messages, and stands in where a file system has no
``flock``: then the lock of a dead process of this machine is taken over, and that of a
process of another machine is respected.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from glassmodes.campaign.processes import Process
from glassmodes.errors import GlassmodesError

_NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
POLL_S = 0.5


class LockedError(GlassmodesError):
    """Somebody else is at work; the message names them."""

    exit_code = 3


class Lock:
    """An exclusive lock; a context manager.

    Parameters
    ----------
    path
        File of the lock; its folder is made.
    purpose
        What is locked, for messages: ``"batch ipl_2d/000000-000049"``.
    wait_s
        How long to wait for a living owner before `LockedError`.
    keep
        Leave the file when the lock is released.
    """

    def __init__(self, path: Path, purpose: str, wait_s: float = 0.0, keep: bool = False) -> None:
        self.path, self.purpose, self.wait_s, self.keep = path, purpose, wait_s, keep
        self.descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        LockedError
            If it is held by a living process.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.wait_s
        while not self._try():
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"{self.purpose} is in work by {self._owner() or 'another process'}; "
                    "wait for it or end it"
                )
            time.sleep(POLL_S)

    def release(self) -> None:
        """Give the lock back."""
        if self.descriptor is None:
            return
        if not self.keep:
            self.path.unlink(missing_ok=True)
        os.close(self.descriptor)
        self.descriptor = None

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *exc) -> None:
        self.release()

    def _try(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not self._lock(descriptor):
            os.close(descriptor)
            return False
        # The owner before may have removed the file between our opening and our lock.
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self.path).st_ino == os.fstat(descriptor).st_ino:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, Process.current().to_json().encode(), 0)
                self.descriptor = descriptor
                return True
        os.close(descriptor)
        return False

    def _lock(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            owner = self._owner()
            return owner is None or owner == Process.current() or not owner.alive
        return True

    def _owner(self) -> Process | None:
        with contextlib.suppress(OSError):
            return Process.from_json(self.path.read_text(encoding="utf-8"))
        return None
