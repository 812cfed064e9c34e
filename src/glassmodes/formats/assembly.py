"""From the columns of a foreign file to a sample: labels, boxes and the plane of 2D files.

Foreign formats know three coordinates; a file whose third one never varies is
read as a sample in two dimensions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.sample import Sample

_WHOLE = re.compile(r"[+-]?\d{1,9}", re.ASCII)


def map_labels(
    labels: Sequence[str], type_map: Mapping[Any, int] | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """Turn the labels of a file into species 0, 1, ...

    `type_map` decides if it is given.  Otherwise numbers 1, 2, ... become 0, 1,
    ...; numbers among which there is a 0 stay as they are; names are numbered in
    alphabetical order.

    Returns
    -------
    (N,) int
        Species.
    dict
        The map that was used, for the record.

    Raises
    ------
    InputError
        A label without an entry in `type_map`, or a negative one.
    """
    distinct = sorted(set(labels))
    if type_map is not None:
        known = {str(label): species for label, species in type_map.items()}
        for label in distinct:
            if label not in known:
                raise InputError(
                    f"the file has the type {label!r} but the type map knows only "
                    f"{', '.join(known) or 'nothing'}; add it"
                )
        table = {label: known[label] for label in distinct}
    elif all(_WHOLE.fullmatch(label) for label in distinct):
        numbers = {label: int(label) for label in distinct}
        shift = 0 if 0 in numbers.values() else 1
        table = {label: value - shift for label, value in numbers.items()}
        if min(table.values(), default=0) < 0:
            raise InputError(f"the file has the type {min(numbers.values())}; types are 1, 2, ...")
    else:
        table = {label: species for species, label in enumerate(distinct)}
    return np.array([table[label] for label in labels]), table


def parse_type_map(text: str) -> dict[str, int]:
    """Read ``"1=0,2=1"`` or ``"A:0,B:1"``: the label in the file, then the species."""
    table = {}
    for entry in text.split(","):
        found = re.fullmatch(r"\s*([^\s=:]+)\s*[=:]\s*(\d{1,6})\s*", entry, re.ASCII)
        if not found:
            raise InputError(
                f"cannot read the type map {text!r}; expected LABEL=SPECIES,... as 1=0"
            )
        table[found[1]] = int(found[2])
    return table


def edges_of_cell(cell: np.ndarray) -> np.ndarray:
    """Return the diagonal of a (3, 3) or (d, d) cell; a triclinic one is refused."""
    off_diagonal = np.abs(cell - np.diag(np.diag(cell))).max()
    if not off_diagonal <= 1e-12 * np.abs(cell).max():
        raise InputError(
            "the box is triclinic or rotated (its cell matrix is not diagonal); "
            "only orthorhombic boxes along x, y, z are supported"
        )
    return np.diag(cell).copy()


def assemble(
    source: Path,
    *,
    positions: np.ndarray,
    edges: np.ndarray,
    labels: Sequence[str],
    periodic: Sequence[bool],
    origin: Any = 0.0,
    dimension: int | None = None,
    type_map: Mapping[Any, int] | None = None,
    provenance: Mapping[str, Any],
    **arrays: Any,
) -> Sample:
    """Return the validated sample of a file with three coordinates.

    Parameters
    ----------
    positions : (N, 3) float
    edges, origin : (3,) float
        Of the box in the file; the sample's origin is 0.
    labels : N strings
        Types as written in the file.
    periodic : 3 bool
    dimension : int, optional
        2 or 3 if the file says so; otherwise a plane of more than three particles is 2D.
    arrays
        Further arguments of `Sample`.
    """
    if len(positions) == 0:
        raise InputError("the file holds no particles")
    flat = len(positions) > 3 and bool(np.all(positions[:, 2] == positions[0, 2]))
    d = dimension or (2 if flat else 3)
    if d not in (2, 3):
        raise InputError(f"the file says dimension {d}; it has coordinates for 2 or 3")
    if d == 2 and not np.all(positions[:, 2] == positions[0, 2]):
        raise InputError("the file says dimension 2 but its particles do not lie in one plane")
    if not all(periodic[:d]):
        raise InputError(
            "the box is not periodic along every axis; only periodic samples are supported"
        )
    species, used = map_labels(labels, type_map)
    return Sample(
        positions=(positions - origin)[:, :d],
        box=np.asarray(edges)[:d],
        species=species,
        provenance={"imported_from": source.name, "type_map": used} | dict(provenance),
        **arrays,
    ).validate()


def choose_frame(frame: int | None, count: int) -> int:
    """Return the index of a frame out of `count`, the last if `frame` is None."""
    index = -1 if frame is None else frame
    if not -count <= index < count:
        raise InputError(f"frame {frame} is asked for but the file has {count} frame(s), 0 first")
    return index % count


def columns_of(rows: Sequence[Sequence[str]], width: int, what: str) -> list[Sequence[str]]:
    """Return the columns of a table of words; `InputError` names the first row of another width."""
    for number, row in enumerate(rows):
        if len(row) != width:
            raise InputError(f"{what} {number + 1} has {len(row)} columns; expected {width}")
    return list(zip(*rows, strict=True)) if rows else [[] for _ in range(width)]


def numbers_of(words: Sequence[str], what: str) -> np.ndarray:
    """Return a column of words as floats; `InputError` names the first that is no number."""
    try:
        return np.array(words, dtype=np.float64)
    except ValueError:
        bad = next((w for w in words if not _is_number(w)), words[0])
        raise InputError(f"{what} holds {bad[:40]!r}; expected a number") from None


def whole_numbers_of(words: Sequence[str], what: str) -> np.ndarray:
    """Return a column of words as integers."""
    for word in words:
        if not _WHOLE.fullmatch(word):
            raise InputError(f"{what} holds {word[:40]!r}; expected a whole number")
    return np.array(words, dtype=np.int64)


def order_by_id(ids: np.ndarray) -> np.ndarray:
    """Return the permutation that sorts particles by id; `InputError` if one comes twice."""
    order = np.argsort(ids, kind="stable")
    repeated = np.flatnonzero(np.diff(ids[order]) == 0)
    if len(repeated):
        raise InputError(f"the particle id {ids[order][repeated[0]]} comes twice")
    return order


def read_lines(source: Path) -> list[str]:
    """Return the lines of a text file."""
    try:
        return source.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError("it is not a text file") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
