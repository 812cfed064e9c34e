"""Errors that a user can act on: one line each, no traceback.

Every message names the file, key or sample, what was found, what was expected
and what to do.  The command line turns any `GlassmodesError` into one line on
stderr and its exit code, 2 unless it says another; everything else is a bug and aborts
all ranks.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class GlassmodesError(Exception):
    """Base class: the message is one line that says what is wrong and what to do."""

    exit_code = 2


class InputError(GlassmodesError):
    """A file, key, option or array that cannot be used as given."""


class SampleError(GlassmodesError):
    """A sample that must be refused.

    Parameters
    ----------
    reason
        Short identifier that tables carry: ``"saddle"``, ``"not_at_minimum"``,
        ``"overlap"``, ``"not_converged"``, ``"crystallised"``, ...
    message
        One line for people.
    evidence
        Numbers behind the refusal, for instance ``negative_eigenvalues=3``.
    """

    def __init__(self, reason: str, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.reason = reason
        self.evidence = evidence

    def __reduce__(self):  # evidence survives the trip between ranks
        return (_rebuild_sample_error, (self.reason, str(self), self.evidence))


def _rebuild_sample_error(reason: str, message: str, evidence: dict) -> SampleError:
    return SampleError(reason, message, **evidence)


class SolverError(GlassmodesError):
    """A solve that did not converge or whose count contradicts the inertia."""


class ResourceError(GlassmodesError):
    """Memory that is not there: nothing has been taken, more ranks or memory would do."""

    exit_code = 4


def printable(text: str) -> str:
    """Return `text` with everything that would steer a terminal written as an escape.

    Names of files, keys and labels come from elsewhere: ``ESC [ 2 J`` clears the screen, and some
    letters turn the direction of what follows.  Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to `name`, or ``""``."""
    match = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
