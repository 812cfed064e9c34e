"""Output files are checked before any work starts; only rank 0 looks and writes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from glassmodes.errors import InputError
from glassmodes.parallel import on_root


def check_output(
    comm,
    path: str | os.PathLike,
    suffixes: Sequence[str] = (),
    inputs: Sequence[str | os.PathLike | None] = (),
) -> Path:
    """Return `path` once it is clear that a file can be written there.  Collective.

    Raises
    ------
    InputError
        The folder is missing, not a folder or not writable, `path` is a folder, or
        its suffix is none of `suffixes`, or it is one of the `inputs` of the call.
    """
    from glassmodes.files import check_output as check_folder

    target = Path(path)
    if suffixes and target.suffix.lower() not in suffixes:
        raise InputError(
            f"cannot write {target}: the suffix {target.suffix!r} names no format here; "
            f"expected {', '.join(suffixes)}"
        )

    def check() -> Path:
        if any(_same_file(target, source) for source in inputs):
            raise InputError(f"cannot write {target}: it is an input of this call; name another")
        return check_folder(target)

    return on_root(comm, check)


def write_table(comm, path: str | os.PathLike, columns: Mapping[str, Iterable[float]]) -> None:
    """Write columns of numbers as CSV with a header, NaN and missing ends as empty cells.

    Collective: rank 0 writes.
    """

    def write() -> None:
        from glassmodes.files import write_bytes

        rows = zip_longest(*columns.values(), fillvalue=math.nan)
        cells = [",".join(_cell(value) for value in row) for row in rows]
        write_bytes(path, ("\n".join([",".join(columns), *cells]) + "\n").encode())

    on_root(comm, write)


def _cell(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""


def _same_file(target: Path, source: str | os.PathLike | None) -> bool:
    try:
        return source is not None and os.path.samefile(target, source)
    except OSError:  # one of them does not exist
        return False
