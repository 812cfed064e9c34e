"""Locks that die with their owner.

The kernel holds the lock (``flock``), so the lock of a killed process is free as soon as it
and the children that inherited it are gone; the file names the owner for messages.  Where a
file system has no ``flock``, making the file (which succeeds once) takes the lock: that of a
dead process of this machine is taken over, that of another machine is respected.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from pathlib import Path

from glassmodes.campaign.processes import Process
from glassmodes.errors import GlassmodesError

_NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
POLL_S = 0.2
DYING_S = 30.0
"""How long to wait for the children of an owner that is dead already."""


HELD = "GLASSMODES_HELD_LOCK"
"""Environment variable: the lock of results that the run command holds for its Snakemake."""


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
        self._flocked = True

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        LockedError
            If it is held by a living process.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        while not self._try():
            owner = self.owner()
            dying = owner is not None and not owner.alive
            if time.monotonic() - started >= (max(self.wait_s, DYING_S) if dying else self.wait_s):
                raise LockedError(self._refusal(owner))
            time.sleep(POLL_S)

    def release(self) -> None:
        """Give the lock back."""
        if self.descriptor is None:
            return
        if self.keep and self._flocked:
            os.ftruncate(self.descriptor, 0)
        else:
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
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_FLOCK:
                raise
            return self._try_without_flock()
        # The owner before may have removed the file between our opening and our lock.
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self.path).st_ino == os.fstat(descriptor).st_ino:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, Process.current().to_json().encode(), 0)
                self.descriptor, self._flocked = descriptor, True
                return True
        os.close(descriptor)
        return False

    def _try_without_flock(self) -> bool:
        """Take the lock by putting a finished file in place, which only one can."""
        owner = self.owner()
        if owner is None or not owner.alive:
            # Of several that find the same dead owner one moves its file away.
            with contextlib.suppress(FileNotFoundError):
                stale = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
                os.rename(self.path, stale)
                moved = Process.from_json(stale.read_text(encoding="utf-8"))
                if moved is not None and moved != owner and moved.alive:
                    with contextlib.suppress(FileExistsError):
                        os.link(stale, self.path)  # a newer owner: give the file back
                stale.unlink()
        mine = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(mine, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(descriptor, Process.current().to_json().encode())
        try:
            os.link(mine, self.path)
        except FileExistsError:
            os.close(descriptor)
            return False
        finally:
            mine.unlink()
        self.descriptor, self._flocked = descriptor, False
        return True

    def owner(self) -> Process | None:
        """Return the last owner that did not give the lock back, None if there is none."""
        with contextlib.suppress(OSError):
            return Process.from_json(self.path.read_text(encoding="utf-8"))
        return None

    def _refusal(self, owner: Process | None) -> str:
        return f"{self.purpose} is in work by {owner or 'another process'}; wait for it or end it"


def results_lock(results: Path) -> Lock:
    """Return the lock of a results folder: one campaign at a time writes there."""
    path = Path(results) / "locks" / "campaign.lock"
    return Lock(path, f"the campaign in {Path(results).absolute()}", keep=True)


def results_in_work(results: Path) -> bool:
    """Tell whether somebody holds the lock of a results folder, without taking or making it."""
    owner = results_lock(results).owner()
    return owner is not None and owner.alive


def claim_results(results: Path) -> Lock | None:
    """Take the lock of a results folder for this process, unless the run command holds it.

    For a Snakemake that was started without ``glassmodes campaign run``.

    Raises
    ------
    LockedError
        Another campaign works in the folder.
    """
    lock = results_lock(results)
    if os.environ.get(HELD) == str(lock.path.resolve()):
        return None
    lock.acquire()
    return lock
