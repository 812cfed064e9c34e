"""Stopping a batch between two samples when a signal asks for it."""

from __future__ import annotations

import signal
import time
from types import FrameType

from glassmodes.errors import GlassmodesError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
SAME_REQUEST_S = 2.0
"""Signals closer than this are one request that came on several ways.

A batch system signals every process of a job, and the supervisor passes its own on.
"""


class Stopped(GlassmodesError):
    """The batch was asked to stop; what is done is kept and the next run goes on."""

    exit_code = 75  # EX_TEMPFAIL: try again


class StopRequest:
    """Remembers the first of SIGTERM, SIGUSR1 (sent before the walltime) and SIGINT.

    A later signal has its usual effect, for those who cannot wait.  Use as a context
    manager around the loop over samples, after PETSc is up: it sets its own handlers.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *exc) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._at = signal.Signals(number), now
        elif now - self._at >= SAME_REQUEST_S:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
