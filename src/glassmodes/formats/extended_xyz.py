"""Extended XYZ, the format OVITO, ASE and QUIP share.

Two header lines per frame, the number of particles and ``key=value`` pairs with
``Lattice`` (the nine components of the cell) and ``Properties`` (name, type and
width of each column), then one line per particle.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.files import write_bytes
from glassmodes.formats.assembly import (
    assemble,
    choose_frame,
    columns_of,
    edges_of_cell,
    numbers_of,
    read_lines,
)
from glassmodes.formats.vectors import check_modes, refuse_four_dimensions
from glassmodes.sample import Sample

_LONGEST_HEADER = 2**15  # unclosed quotes take the square of it
_PAIR = re.compile(r"(?<![\w\-.])([A-Za-z_][\w\-.]*)\s*=\s*(\"[^\"]*\"|'[^']*'|\{[^}]*\}|\S+)")
_LABELS = ("species", "type", "element", "atom_types", "numbers")
_POSITIONS = ("pos", "positions")
ELEMENTS = ("H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S")


def read_extended_xyz(
    source: Path, type_map: Mapping[Any, int] | None = None, frame: int | None = None
) -> Sample:
    """Read one frame, the last unless `frame` says otherwise.

    Columns used: species (or type, element, numbers), pos, mass or masses,
    radius or diameter.  Our own files also carry ``species_index``, which wins.

    Raises
    ------
    InputError
        No ``Lattice``, a triclinic one, missing columns, a truncated frame.
    """
    lines = read_lines(source)
    starts = _frame_starts(lines)
    index = choose_frame(frame, len(starts))
    start = starts[index]
    count = int(lines[start])
    if len(lines[start + 1]) > _LONGEST_HEADER:
        raise InputError(f"the second line has {len(lines[start + 1])} letters; is it a header?")
    header = {key.lower(): value.strip("\"'{}") for key, value in _PAIR.findall(lines[start + 1])}
    if "lattice" not in header:
        raise InputError('the second line has no Lattice="..."; plain XYZ does not say the box')
    cell = _vector(header["lattice"], 9, "Lattice").reshape(3, 3)
    columns = _read_columns(header, [line.split() for line in lines[start + 2 : start + 2 + count]])
    labels = _first(columns, ("species_index", *_LABELS))
    positions = _first(columns, _POSITIONS)
    if positions is None or len(positions) != 3:
        raise InputError("Properties names no column pos:R:3; it holds the positions")
    masses = _scalar(columns, ("mass", "masses"))
    diameters = _scalar(columns, ("diameter", "diameters"))
    radii = _scalar(columns, ("radius",))
    if diameters is None and radii is not None:
        diameters = 2 * radii
    dimension = header.get("dimension", "")
    return assemble(
        source,
        positions=np.column_stack([numbers_of(c, "the column pos") for c in positions]),
        edges=edges_of_cell(cell),
        origin=_vector(header.get("origin", "0 0 0"), 3, "Origin"),
        labels=labels[0] if labels else ["0"] * count,
        periodic=[flag.upper() in ("T", "1", "TRUE") for flag in _periodic(header)],
        dimension=int(dimension) if dimension in ("2", "3") else None,
        type_map=type_map,
        masses=masses,
        diameters=diameters,
        provenance={"format": "extended XYZ", "frame": index},
    )


def write_extended_xyz(
    path: str | os.PathLike,
    sample: Sample,
    modes: np.ndarray | None = None,
    frequencies: Sequence[float] | None = None,
    names: Sequence[str] = ELEMENTS,
) -> None:
    """Write the sample, or one frame per mode with the mode as the vectors ``disp``.

    Numbers are written so that reading them returns the same bits.  Diameters
    go out as radii, which OVITO draws; bonds, model and provenance stay behind.
    A 2D sample lies in the plane z = 0 of a cell of height 1.

    Parameters
    ----------
    modes : (K, N, d) float, optional
        OVITO reads the column as the displacement and can draw it as arrows.
    frequencies : K numbers, optional
        Written as ``frequency=`` of each frame.
    names : strings
        Name of each species in the file.  Chemical symbols are the default
        because ASE reads no other names; they mean nothing else here.

    Raises
    ------
    InputError
        A 4D sample, vectors of the wrong shape, too few names, a path that
        cannot be written.
    """
    sample.validate()
    refuse_four_dimensions(sample, "extended XYZ")
    n, d = sample.particles, sample.dimension
    if sample.species.max() >= len(names):
        raise InputError(f"{len(names)} names for {sample.species.max() + 1} species")
    properties = "species:S:1:pos:R:3:species_index:I:1:masses:R:1"
    columns = [
        [names[s] for s in sample.species.tolist()],
        *_three_columns(sample.wrapped()),
        [str(s) for s in sample.species.tolist()],
        _words(sample.masses),
    ]
    if sample.diameters is not None:
        properties += ":radius:R:1"
        columns.append(_words(sample.diameters / 2))
    lattice = np.diag([*sample.box, 1.0][:3]).ravel()
    header = f'Lattice="{" ".join(_words(lattice))}" Properties={{}} pbc="T T {"FT"[d > 2]}" '
    header += f"dimension={d}"
    if modes is None:
        text = _frame(n, header.format(properties), columns)
    else:
        vectors = check_modes(modes, sample)
        labels = [""] * len(vectors)
        if frequencies is not None:
            if len(frequencies) != len(vectors):
                raise InputError(f"{len(frequencies)} frequencies for {len(vectors)} modes")
            labels = [f" frequency={float(w)!r}" for w in frequencies]
        title = header.format(properties + ":disp:R:3")
        text = "".join(
            _frame(n, f"{title} mode={k}{label}", columns + _three_columns(vector))
            for k, (vector, label) in enumerate(zip(vectors, labels, strict=True))
        )
    write_bytes(path, text.encode())


def _frame(n: int, header: str, columns: list[list[str]]) -> str:
    rows = "\n".join(" ".join(row) for row in zip(*columns, strict=True))
    return f"{n}\n{header}\n{rows}\n"


def _words(values: np.ndarray) -> list[str]:
    return [repr(value) for value in values.tolist()]


def _three_columns(vectors: np.ndarray) -> list[list[str]]:
    columns = [_words(column) for column in vectors.T]
    return columns if len(columns) == 3 else [*columns, ["0.0"] * len(vectors)]


def _frame_starts(lines: list[str]) -> list[int]:
    starts, here = [], 0
    while here < len(lines) and lines[here].strip():
        word = lines[here].strip()
        if not re.fullmatch(r"\d{1,10}", word):
            raise InputError(f"line {here + 1} is {word[:40]!r}; expected the number of particles")
        end = here + 2 + int(word)
        if end > len(lines):
            raise InputError(
                f"the file is truncated: frame {len(starts)} should end at line {end}, "
                f"the file has {len(lines)}"
            )
        starts.append(here)
        here = end
    if not starts:
        raise InputError("the file holds no frame")
    return starts


def _read_columns(
    header: Mapping[str, str], rows: list[list[str]]
) -> dict[str, list[Sequence[str]]]:
    words = header.get("properties", "species:S:1:pos:R:3").split(":")
    if len(words) % 3 or not all(re.fullmatch(r"[1-9]\d{0,3}", w) for w in words[2::3]):
        raise InputError("Properties cannot be read; expected name:type:columns, repeated")
    widths = [int(word) for word in words[2::3]]
    table = columns_of(rows, sum(widths), "particle line")
    columns, first = {}, 0
    for name, width in zip(words[::3], widths, strict=True):
        columns[name.lower()] = table[first : first + width]
        first += width
    return columns


def _first(columns: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((columns[name] for name in names if name in columns), None)


def _scalar(columns: Mapping[str, Any], names: Sequence[str]) -> np.ndarray | None:
    found = _first(columns, names)
    return None if found is None else numbers_of(found[0], f"the column {names[0]}")


def _vector(text: str, length: int, name: str) -> np.ndarray:
    values = numbers_of(text.split(), name)
    if len(values) != length:
        raise InputError(f"{name} has {len(values)} numbers; expected {length}")
    return values


def _periodic(header: Mapping[str, str]) -> list[str]:
    flags = header.get("pbc", "T T T").replace(",", " ").split()
    if len(flags) != 3:
        raise InputError(f"pbc has {len(flags)} flags; expected 3")
    return flags
