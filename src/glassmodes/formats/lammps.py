"""LAMMPS data and dump files.

Types 1, 2, ... become the species 0, 1, ... unless a type map says otherwise;
particles are sorted by id; the box is moved so that its origin is 0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glassmodes.errors import InputError, nearest
from glassmodes.files import write_bytes
from glassmodes.formats.assembly import (
    assemble,
    choose_frame,
    columns_of,
    numbers_of,
    order_by_id,
    read_lines,
    whole_numbers_of,
)
from glassmodes.formats.vectors import check_modes, refuse_four_dimensions
from glassmodes.sample import Sample

# Columns of the section Atoms for the atom styles that describe point particles.
ATOM_STYLES = {
    "atomic": ("id", "type", "x", "y", "z"),
    "charge": ("id", "type", "q", "x", "y", "z"),
    "bond": ("id", "molecule", "type", "x", "y", "z"),
    "angle": ("id", "molecule", "type", "x", "y", "z"),
    "molecular": ("id", "molecule", "type", "x", "y", "z"),
    "full": ("id", "molecule", "type", "q", "x", "y", "z"),
    "sphere": ("id", "type", "diameter", "density", "x", "y", "z"),
}
_COORDINATES = {"": ("x", "y", "z"), "u": ("xu", "yu", "zu"), "s": ("xs", "ys", "zs")}
_COORDINATES["su"] = ("xsu", "ysu", "zsu")
_TRICLINIC = (
    "the box is triclinic (its tilt factors are not 0); only orthorhombic boxes are supported"
)


def read_lammps_data(source: Path, type_map: Mapping[Any, int] | None = None) -> Sample:
    """Read a data file with one of the atom styles in `ATOM_STYLES`.

    Bonds are kept; velocities, angles and coefficients are not.

    Raises
    ------
    InputError
        A triclinic box, an unknown atom style, missing sections, a truncated file.
    """
    header, sections = _split_sections(read_lines(source))
    count = _header_count(header, "atoms")
    low, high = _data_box(header)
    if "Atoms" not in sections:
        raise InputError("the file has no section Atoms")
    hint, rows = sections["Atoms"]
    _expect_rows("Atoms", rows, count)
    table = _atom_columns(hint, rows)
    ids = whole_numbers_of(table["id"], "the column id of Atoms")
    order = order_by_id(ids)
    types = [table["type"][k] for k in order]
    positions = np.column_stack([numbers_of(table[a], f"the column {a} of Atoms") for a in "xyz"])
    masses, diameters = _data_masses(sections, types), None
    if "diameter" in table:
        diameters = numbers_of(table["diameter"], "the column diameter of Atoms")[order]
        density = numbers_of(table["density"], "the column density of Atoms")[order]
        masses = density * np.pi / 6 * diameters**3
    return assemble(
        source,
        positions=positions[order],
        edges=high - low,
        origin=low,
        labels=types,
        periodic=(True, True, True),
        type_map=type_map,
        masses=masses,
        diameters=diameters,
        bonds=_data_bonds(header, sections, ids[order]),
        provenance={"format": "LAMMPS data"},
    )


def read_lammps_dump(
    source: Path, type_map: Mapping[Any, int] | None = None, frame: int | None = None
) -> Sample:
    """Read one snapshot of a dump file, the last unless `frame` says otherwise.

    Coordinates may be x, xu (unwrapped), xs or xsu (scaled); mass, diameter and
    radius are used if they are there; without ids the order of the file stays.

    Raises
    ------
    InputError
        A triclinic or non-periodic box, missing columns, a truncated snapshot.
    """
    lines = read_lines(source)
    starts = [k for k, line in enumerate(lines) if line.startswith("ITEM: TIMESTEP")]
    if not starts:
        raise InputError("the file has no line ITEM: TIMESTEP; it is no dump")
    index = choose_frame(frame, len(starts))
    end = starts[index + 1] if index + 1 < len(starts) else len(lines)
    items = _dump_items(lines[starts[index] : end])
    step = items["TIMESTEP"][1][0] if items["TIMESTEP"][1] else ""
    _, number = _item(items, "NUMBER OF ATOMS")
    count = int(whole_numbers_of(number[:1], "ITEM: NUMBER OF ATOMS")[0]) if number else -1
    names, atoms = _item(items, "ATOMS")
    rows = [line.split() for line in atoms if line.strip()]
    _expect_rows("ITEM: ATOMS", rows, count)
    table = dict(zip(names, columns_of(rows, len(names), "particle line"), strict=False))
    low, high, periodic = _dump_box(items)
    positions = _dump_positions(table, low, high)
    labels = table.get("type", table.get("element"))
    radius = _optional(table, "radius")
    diameters = _optional(table, "diameter") if radius is None else 2 * radius
    arrays: dict[str, Any] = {"masses": _optional(table, "mass"), "diameters": diameters}
    labels = ["1"] * count if labels is None else labels
    if "id" in table:
        order = order_by_id(whole_numbers_of(table["id"], "the column id"))
        positions, labels = positions[order], [labels[k] for k in order]
        arrays = {name: None if a is None else a[order] for name, a in arrays.items()}
    return assemble(
        source,
        positions=positions,
        edges=high - low,
        origin=low,
        labels=labels,
        periodic=periodic,
        type_map=type_map,
        provenance={"format": "LAMMPS dump", "frame": index, "timestep": step.strip()},
        **arrays,
    )


def write_lammps_data(
    path: str | os.PathLike, sample: Sample, modes: np.ndarray | None = None
) -> None:
    """Write a data file: species s becomes the type s + 1, a mode the velocities.

    The atom style is ``atomic``, ``bond`` for a sample with bonds and ``sphere``
    for one with diameters.  Numbers are written so that reading them returns
    the same bits (but the mass of a sphere, which LAMMPS wants as a density, to
    rounding only).  Model and provenance stay behind.  A 2D sample lies in the
    plane z = 0 between -0.5 and 0.5, as LAMMPS asks for.

    Parameters
    ----------
    modes : (1, N, d) float, optional
        The format holds one vector per particle, hence one mode.

    Raises
    ------
    InputError
        A 4D sample, more than one mode, masses that differ within a species,
        diameters together with bonds.
    """
    sample.validate()
    refuse_four_dimensions(sample, "LAMMPS data")
    if sample.bonds is not None and sample.diameters is not None:
        raise InputError("LAMMPS data has no atom style with both diameters and bonds; drop one")
    n, types = sample.particles, int(sample.species.max()) + 1
    low, high = [0.0] * sample.dimension, sample.box.tolist()
    if sample.dimension == 2:
        low, high = [*low, -0.5], [*high, 0.5]
    lines = ["LAMMPS data file written by glassmodes", "", f"{n} atoms", f"{types} atom types"]
    if sample.bonds is not None:
        lines += [f"{len(sample.bonds)} bonds", "1 bond types"]
    lines += [f"{a!r} {b!r} {c}lo {c}hi" for a, b, c in zip(low, high, "xyz", strict=True)]
    lines += _written_atoms(sample, types)
    if modes is not None:
        vectors = check_modes(modes, sample)
        if len(vectors) != 1:
            raise InputError(
                f"LAMMPS data holds one vector per particle, not {len(vectors)}; "
                "choose one mode, or write extended XYZ"
            )
        lines += ["", "Velocities", ""]
        lines += [f"{k + 1} {row}" for k, row in enumerate(_rows(vectors[0]))]
    if sample.bonds is not None and len(sample.bonds):
        lines += ["", "Bonds", ""]
        lines += [f"{k + 1} 1 {i + 1} {j + 1}" for k, (i, j) in enumerate(sample.bonds.tolist())]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def _written_atoms(sample: Sample, types: int) -> list[str]:
    coordinates = _rows(sample.wrapped())
    labels = (sample.species + 1).tolist()
    if sample.diameters is not None:
        density = sample.masses / (np.pi / 6 * sample.diameters**3)
        extra = zip(labels, sample.diameters.tolist(), density.tolist(), coordinates, strict=True)
        rows = [f"{k + 1} {t} {a!r} {b!r} {row}" for k, (t, a, b, row) in enumerate(extra)]
        return ["", "Atoms # sphere", "", *rows]
    masses = [1.0] * types
    for s in np.unique(sample.species):
        found = np.unique(sample.masses[sample.species == s])
        if len(found) > 1:
            raise InputError(
                f"particles of species {s} have {len(found)} different masses; LAMMPS data has one "
                "mass per type: write extended XYZ instead"
            )
        masses[s] = float(found[0])
    molecule = "1 " if sample.bonds is not None else ""
    rows = [
        f"{k + 1} {molecule}{t} {row}"
        for k, (t, row) in enumerate(zip(labels, coordinates, strict=True))
    ]
    style = "bond" if sample.bonds is not None else "atomic"
    written = [f"{t + 1} {mass!r}" for t, mass in enumerate(masses)]
    return ["", "Masses", "", *written, "", f"Atoms # {style}", "", *rows]


def _rows(vectors: np.ndarray) -> list[str]:
    tail = " 0.0" if vectors.shape[1] == 2 else ""
    return [" ".join(map(repr, row)) + tail for row in vectors.tolist()]


def _split_sections(
    lines: list[str],
) -> tuple[list[list[str]], dict[str, tuple[str, list[list[str]]]]]:
    """Return the header lines and, by name, the comment and rows of each section, as words."""
    header: list[list[str]] = []
    sections: dict[str, tuple[str, list[list[str]]]] = {}
    rows = header
    for line in lines[1:]:  # the first line is a title
        text, _, comment = line.partition("#")
        text = text.strip()
        if not text:
            continue
        if re.fullmatch(r"[A-Z][A-Za-z]*( [A-Z][A-Za-z]*)*", text):
            rows = []
            sections[text] = (comment.strip(), rows)
        else:
            rows.append(text.split())
    return header, sections


def _header_count(header: Sequence[Sequence[str]], what: str) -> int:
    found = [line[0] for line in header if line[1:] == [what]]
    if not found:
        raise InputError(f"the header does not say how many {what} there are")
    return int(whole_numbers_of(found[:1], f"the number of {what}")[0])


def _data_box(header: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    bounds = []
    for line in header:
        if line[-3:] == ["xy", "xz", "yz"] and np.any(numbers_of(line[:-3], "the tilt") != 0):
            raise InputError(_TRICLINIC)
        if line[-1] in ("avec", "bvec", "cvec"):
            raise InputError(_TRICLINIC)
    for axis in "xyz":
        found = [line[:2] for line in header if line[2:] == [f"{axis}lo", f"{axis}hi"]]
        if not found:
            raise InputError(f"the header has no line '... ... {axis}lo {axis}hi' for the box")
        bounds.append(numbers_of(found[0], f"the line {axis}lo {axis}hi"))
    return np.array(bounds)[:, 0], np.array(bounds)[:, 1]


def _expect_rows(what: str, rows: Sequence[Any], count: int) -> None:
    if len(rows) != count or count < 1:
        raise InputError(
            f"{what} has {len(rows)} lines for {count} particles; the file is truncated or damaged"
        )


def _atom_columns(hint: str, rows: list[list[str]]) -> dict[str, Sequence[str]]:
    style, width = hint.split()[0] if hint else "", len(rows[0])
    if not style and width in (5, 8):
        style = "atomic"
    if style not in ATOM_STYLES:
        found = f"the atom style {style!r}" if style else f"{width} columns and no atom style"
        raise InputError(
            f"the section Atoms has {found}; known are {', '.join(ATOM_STYLES)}: "
            f"write it behind the section's name, as 'Atoms # charge'{nearest(style, ATOM_STYLES)}"
        )
    names = ATOM_STYLES[style]
    if width not in (len(names), len(names) + 3):  # three more are the image flags
        raise InputError(
            f"the section Atoms has {width} columns; the atom style {style} has {len(names)}"
        )
    return dict(zip(names, columns_of(rows, width, "line of Atoms"), strict=False))


def _data_masses(sections: Mapping[str, Any], types: Sequence[str]) -> np.ndarray | None:
    if "Masses" not in sections:
        return None
    labels, values = columns_of(sections["Masses"][1], 2, "line of Masses")
    table = dict(zip(labels, numbers_of(values, "Masses"), strict=True))
    missing = sorted(set(types) - set(table))
    if missing:
        raise InputError(f"the section Masses has no line for the type {missing[0]}")
    return np.array([table[t] for t in types])


def _data_bonds(
    header: Sequence[Sequence[str]], sections: Mapping[str, Any], ids: np.ndarray
) -> np.ndarray | None:
    if "Bonds" not in sections:
        return None
    rows = sections["Bonds"][1]
    if len(rows) != _header_count(header, "bonds"):
        raise InputError("the section Bonds has not as many lines as the header says")
    columns = columns_of(rows, 4, "line of Bonds")
    ends = np.column_stack([whole_numbers_of(c, "Bonds") for c in columns[2:]])
    place = np.searchsorted(ids, ends)
    if np.any(place >= len(ids)) or np.any(ids[np.minimum(place, len(ids) - 1)] != ends):
        raise InputError("the section Bonds names a particle id that is not in Atoms")
    return place


def _dump_items(lines: Sequence[str]) -> dict[str, tuple[list[str], list[str]]]:
    """Return the words behind each ITEM and the lines that follow it."""
    items: dict[str, tuple[list[str], list[str]]] = {}
    content: list[str] = []
    for line in lines:
        if line.startswith("ITEM:"):
            title = line[5:].strip()
            name = next((n for n in ("BOX BOUNDS", "ATOMS") if title.startswith(n)), title)
            content = []
            items[name] = (title[len(name) :].split(), content)
        else:
            content.append(line)
    return items


def _item(items: Mapping[str, tuple[list[str], list[str]]], name: str) -> Any:
    if name not in items:
        raise InputError(f"the snapshot has no ITEM: {name}; the file is truncated or damaged")
    return items[name]


def _dump_box(items: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, list[bool]]:
    flags, lines = _item(items, "BOX BOUNDS")
    rows = [numbers_of(line.split(), "ITEM: BOX BOUNDS") for line in lines[:3]]
    if len(rows) != 3 or any(len(row) not in (2, 3, 4) for row in rows):
        raise InputError("ITEM: BOX BOUNDS has not three lines of low and high; it is damaged")
    if any(len(row) == 4 or np.any(row[2:] != 0) for row in rows):
        raise InputError(_TRICLINIC)
    styles = flags[-3:] if len(flags) >= 3 else ["pp"] * 3
    bounds = np.array([row[:2] for row in rows])
    return bounds[:, 0], bounds[:, 1], [style == "pp" for style in styles]


def _dump_positions(table: Mapping[str, Any], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    for kind, names in _COORDINATES.items():
        if names[0] in table and names[1] in table:
            columns = [numbers_of(table[c], f"the column {c}") for c in names if c in table]
            if len(columns) == 2:  # a 2D dump may leave out z
                columns.append(np.zeros(len(columns[0])))
            positions = np.column_stack(columns)
            return low + positions * (high - low) if "s" in kind else positions
    raise InputError("ITEM: ATOMS names no coordinates; expected x y z, xu yu zu or xs ys zs")


def _optional(table: Mapping[str, Any], name: str) -> np.ndarray | None:
    return numbers_of(table[name], f"the column {name}") if name in table else None
