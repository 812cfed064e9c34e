"""The answer of a verb: one JSON object or a readable list, on a stdout kept clean.

Solvers and their libraries print to file descriptor 1 when it pleases them.  While
a verb runs, descriptor 1 therefore points to stderr, and the answer is written to
the descriptor that was stdout before.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, TextIO

from glassmodes.errors import printable


def jsonable(value: Any) -> Any:
    """Return `value` as plain JSON types; NaN and infinities become None.

    Arrays and numpy scalars become nested lists and Python numbers, dataclasses
    become objects, paths become strings.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def render_json(result: Mapping) -> str:
    """Return `result` as one JSON object on one line."""
    return json.dumps(jsonable(result), allow_nan=False) + "\n"


class Page(dict):
    """A result that has a form of its own for people.

    Parameters
    ----------
    content
        The result.
    render
        Makes the text from the result.
    """

    def __init__(self, content: Mapping, render: Callable[[Mapping], str]) -> None:
        super().__init__(content)
        self.render = render


def render_text(result: Mapping) -> str:
    """Return `result` as lines of ``key: value`` for people; long lists are summarised."""
    if isinstance(result, Page):
        return printable(result.render(jsonable(result)))
    return "".join(
        printable(line.replace("\n", "\\n")) + "\n" for line in _lines(jsonable(result), "")
    )


def _lines(result: Mapping, indent: str) -> Iterator[str]:
    for key, value in result.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], list):
            yield f"{indent}{key}: {_shape(value)}"
            if len(value) <= 4 and not isinstance(value[0][0] if value[0] else 0, list):
                for row in value:
                    yield f"{indent}  {_entry(row)}"
        else:
            yield f"{indent}{key}: {_entry(value)}"


def _shape(value: list) -> str:
    sizes: list[str] = []
    level: Any = value
    while isinstance(level, list):
        sizes.append(str(len(level)))
        level = level[0] if level else None
    return " x ".join(sizes) + " values"


def _entry(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        if len(value) <= 8:
            return " ".join(_entry(entry) for entry in value) or "none"
        return f"{_entry(value[:3])} ... {_entry(value[-1])} ({len(value)} values)"
    return "none" if value is None else str(value)


@contextmanager
def clean_stdout(permanent: bool) -> Iterator[TextIO | None]:
    """Point stdout to stderr and yield the stream for the answer.

    Parameters
    ----------
    permanent
        True for the program, where libraries may still print when the process
        ends; False for calls from Python, which get their stdout back.
    """
    original = sys.stdout
    if original is None:
        yield None
        return
    original.flush()
    try:
        saved = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # stdout or stderr is closed: nothing to protect
        yield original
        return
    sys.stdout = sys.stderr
    stream = original
    if _is_process_stdout(original):
        stream = open(os.dup(saved), "w", encoding="utf-8")
    try:
        yield stream
    finally:
        if stream is not original:
            _close(stream)
        if not permanent:
            sys.stdout.flush()
            os.dup2(saved, 1)
            sys.stdout = original
        os.close(saved)


def _is_process_stdout(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError, AttributeError):
        return False


def _close(stream: TextIO) -> None:
    try:
        stream.close()
    except OSError:  # reported by the flush of the answer; the buffer is lost either way
        pass
