"""How the fuzzer spoils a valid file: bytes, words and lines, and the structure inside.

Everything follows from one random generator, so that a case repeats from its numbers alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import h5py
import numpy as np
import yaml

NUMBERS = (
    "nan", "inf", "-inf", "1e400", "1e308", "-1e308", "1e-320", "0", "-0.0", "-1", "1", "2",
    "99999999999999999999", "2147483648", "-2147483649", "4294967296", "9" * 400, "1_000", "0x10",
    "1e", "٣", ".5", "+7", "1:30", "0b11", "1d3", "",
)  # fmt: skip
WORDS = (
    "ITEM: TIMESTEP", "ITEM: ATOMS id type x y z", "ITEM: BOX BOUNDS xy xz yz pp pp pp", "Atoms",
    "Masses", "Bonds", "Atoms # full", "atoms", "xlo xhi", "xy xz yz", "pos:R:3", "Lattice=",
    'Properties=species:S:1:pos:R:3', "a={", '"', "'", "\x00", "\x1b[2J", "‮", "\n", "\r\n",
    "$(touch X)", "`id`", "{x}", "%s%n", "../../etc/passwd", "=1+1", "---", "...", "*", "&a", "*a",
    "!!python/object/apply:os.system", "!!binary", "!!set", "? [a]", "<<: *a", "- -", "[[[", "}",
    "|", ">", "#", ": ", "~", "null", "true", ".nan", ".inf", "2001-99-99", "os:system",
)  # fmt: skip
LEAVES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 5, 2**31, 2**63, 10**30, 10**400, 1e308, -1e308, 1e-300,
    float("nan"), float("inf"), "", "x", "ipl_2d", "os:system", "subprocess:Popen", "\x1b[2J",
    "a" * 3000, "{x}", "$(touch X)", "../x.yaml", "-", [], {}, [[]], [1], {"a": 1}, [None],
)  # fmt: skip
TYPES = (
    "f8", "f4", "f2", ">f8", "i4", "i8", "u8", "u1", "b1", "c16", "S5", "f16", "M8[s]", "V8"
)  # fmt: skip
EXTREMES = (0.0, -1.0, 1.0, 1e308, -1e308, 1e-308, np.nan, np.inf, 2.0**31, 2.0**63, 0.5)


def spoil(rng: np.random.Generator, kind: str, seeds: list[bytes]) -> bytes:
    """Return a spoiled copy of one of the valid files of a format."""
    content = _pick(rng, seeds)
    structured = STRUCTURED.get(kind)
    if structured and rng.random() < 0.6:
        with contextlib.suppress(Exception):  # what an earlier change has knotted stays as it is
            content = structured(rng, content)
        if rng.random() < 0.8:
            return content
    text = kind in TEXT
    for _ in range(int(_pick(rng, (1, 1, 1, 2, 3, 6)))):
        change = _spoil_text if text and rng.random() < 0.75 else _spoil_bytes
        content = change(rng, content, seeds)
    return content


def _pick(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _spoil_bytes(rng: np.random.Generator, content: bytes, seeds: list[bytes]) -> bytes:
    if not content:
        return bytes(rng.integers(0, 256, 8, dtype=np.uint8))
    changed = bytearray(content)
    first = int(rng.integers(len(changed)))
    length = int(rng.integers(1, 33))
    way = int(rng.integers(8))
    if way == 0:
        changed[first] ^= 1 << int(rng.integers(8))
    elif way == 1:
        changed[first] = _pick(rng, (0, 1, 0x7F, 0x80, 0xFE, 0xFF))
    elif way == 2:
        size = _pick(rng, (2, 4, 8))
        value = _pick(rng, (0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 1000))
        order = _pick(rng, ("little", "big"))
        changed[first : first + size] = (value % 2 ** (8 * size)).to_bytes(size, order)
    elif way == 3:
        del changed[first:]
    elif way == 4:
        del changed[first : first + length]
    elif way == 5:
        changed[first:first] = bytes(rng.integers(0, 256, length, dtype=np.uint8))
    elif way == 6:
        changed[first:first] = changed[first : first + 8 * length]
    else:
        other = _pick(rng, seeds)
        changed[first:] = other[int(rng.integers(len(other))) :]
    return bytes(changed)


def _spoil_text(rng: np.random.Generator, content: bytes, seeds: list[bytes]) -> bytes:
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    at = int(rng.integers(len(lines)))
    way = int(rng.integers(9))
    words = lines[at].split(" ")
    place = int(rng.integers(len(words)))
    if way <= 2:
        words[place] = _pick(rng, NUMBERS)
    elif way == 3:
        words[place] = _pick(rng, WORDS)
    elif way == 4:
        words.insert(place, _pick(rng, WORDS + NUMBERS))
    elif way == 5:
        words[place] = words[place] * int(_pick(rng, (2, 10, 2000)))
    lines[at] = " ".join(words)
    if way == 6:
        del lines[at]
    elif way == 7:
        lines.insert(int(rng.integers(len(lines))), lines[at])
    elif way == 8:
        other = int(rng.integers(len(lines)))
        lines[at], lines[other] = lines[other], lines[at]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def spoil_tree(rng: np.random.Generator, tree: Any) -> Any:
    """Return plain data with one place changed: a leaf, a key, a level of nesting."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = node if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(tree)
    if not places:
        return _pick(rng, LEAVES)
    node, key = _pick(rng, places)
    way = int(rng.integers(8))
    if way <= 3:
        node[key] = _pick(rng, LEAVES)
    elif way == 4:
        del node[key]
    elif way == 5 and isinstance(node, dict):
        node[_pick(rng, ("", "x", "class", "name", "a b", 1, "\x1b", str(key)[:-1]))] = node[key]
    elif way == 6:
        for _ in range(int(_pick(rng, (1, 5, 60, 1500)))):
            node[key] = [node[key]]
    else:
        number = node[key] if isinstance(node[key], int | float) else 1
        node[key] = number * _pick(rng, (-1, 0, 1e3, 1e-3, 1e200, 10**9))
    return tree


def _spoil_yaml(rng: np.random.Generator, content: bytes) -> bytes:
    if rng.random() < 0.05:
        return _laughs(rng)
    tree = yaml.safe_load(content)
    tree = json.loads(json.dumps(tree))  # no part twice
    for _ in range(int(rng.integers(1, 4))):
        if isinstance(tree, dict | list):
            tree = spoil_tree(rng, tree)
    try:
        if rng.random() < 0.5:
            return json.dumps(tree).encode()
        return yaml.safe_dump(tree, allow_unicode=bool(rng.random() < 0.5)).encode()
    except (RecursionError, ValueError, yaml.YAMLError):
        return content


def _laughs(rng: np.random.Generator) -> bytes:
    """Return a few lines that stand for very many values, or for themselves."""
    way = int(rng.integers(4))
    if way == 0:
        rows = ["a0: &a0 [1, 2]"]
        rows += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    elif way == 1:
        rows = ["a0: &a0 {x: 1}"]
        rows += [f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 9)}]}}" for k in range(1, 10)]
    elif way == 2:
        rows = ["campaign: &a [*a]", "ensembles: &b {b: *b}"]
    else:
        rows = ["[" * int(rng.integers(10, 5000))]
    return "\n".join(rows).encode()


def _spoil_array(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    way = int(rng.integers(6))
    if way == 0:
        with np.errstate(all="ignore"):
            try:
                return array.astype(_pick(rng, TYPES))
            except (ValueError, TypeError):
                return array
    if way == 1 and array.size:
        changed = array.astype("f8") if array.dtype.kind in "iuf" else array.copy()
        if changed.dtype.kind == "f":
            changed.flat[int(rng.integers(changed.size))] = _pick(rng, EXTREMES)
        return changed
    if way == 2:
        return array[..., None] if rng.random() < 0.5 else array.ravel()
    if way == 3:
        return array[: int(rng.integers(0, len(array) + 1))] if array.ndim else array
    if way == 4:
        return np.asarray(_pick(rng, EXTREMES) if rng.random() < 0.5 else array.tolist())
    return np.concatenate([array, array]) if array.ndim else np.zeros((2, 0))


def _spoil_npz(rng: np.random.Generator, content: bytes) -> bytes:
    with np.load(BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for _ in range(int(rng.integers(1, 3))):
        name = _pick(rng, sorted(arrays))
        if rng.random() < 0.15:
            del arrays[name]
            if not arrays:
                break
        elif rng.random() < 0.1:
            arrays[name] = np.array([{}, None], dtype=object)
        else:
            arrays[name] = _spoil_array(rng, arrays[name])
    buffer = BytesIO()
    np.savez(buffer, **{str(name): array for name, array in arrays.items()})
    return buffer.getvalue()


def _spoil_hdf5(rng: np.random.Generator, content: bytes) -> bytes:
    with h5py.File.in_memory(content) as file:
        paths: list[str] = []
        file.visit(paths.append)
        for _ in range(int(rng.integers(1, 4))):
            path = _pick(rng, paths)
            with contextlib.suppress(Exception):
                _pick(rng, _HDF5_WAYS)(rng, file, path)
        file.flush()
        return file.id.get_file_image()


def _replace(file: h5py.File, path: str, **arguments: Any) -> None:
    del file[path]
    file.create_dataset(path, **arguments)


def _hdf5_array(rng: np.random.Generator, file: h5py.File, path: str) -> None:
    if not isinstance(file[path], h5py.Dataset) or file[path].size > 2**16:
        return  # an earlier change has declared it; written out, it is a file of gigabytes
    if file[path].dtype.kind in "iuf":
        array = _spoil_array(rng, file[path][()])
        if array.dtype.kind not in "MO":
            packed = "gzip" if array.ndim and array.size and rng.random() < 0.3 else None
            _replace(file, path, data=array, compression=packed)


def _hdf5_json(rng: np.random.Generator, file: h5py.File, path: str) -> None:
    where = [name for name in ("model", "provenance") if f"parameters/{name}" in file]
    if not where:
        return
    path = f"parameters/{_pick(rng, where)}"
    if not isinstance(file[path], h5py.Dataset) or file[path].dtype.kind != "S":
        return
    try:
        tree = spoil_tree(rng, json.loads(file[path][()]))
        text = json.dumps(tree).encode()
    except (ValueError, TypeError, RecursionError):
        return
    if rng.random() < 0.2:
        text = _spoil_bytes(rng, text, [text])
    del file[path]
    file[path] = np.array(text) if text and b"\0" not in text else np.bytes_(b"{}")


def _hdf5_links(rng: np.random.Generator, file: h5py.File, path: str) -> None:
    if path in ("", "/"):
        return
    target = _pick(rng, (
        h5py.ExternalLink("/etc/passwd", "/"), h5py.ExternalLink("other.h5", "/particles"),
        h5py.SoftLink("/"), h5py.SoftLink("/nowhere"), h5py.SoftLink(f"/{path}"), file["/"],
    ))  # fmt: skip
    del file[path]
    file[path] = target


def _hdf5_hostile(rng: np.random.Generator, file: h5py.File, path: str) -> None:
    way = int(rng.integers(8))
    if way == 0:
        _replace(file, path, shape=(10**12, 3), dtype="f8", chunks=(1024, 3))
    elif way == 1:
        _replace(file, path, shape=(2**40,), dtype="f8")
    elif way == 2:
        _replace(file, path, shape=(4, 3), dtype="f8", external=[("/etc/hostname", 0, 96)])
    elif way == 3:
        layout = h5py.VirtualLayout(shape=(4, 3), dtype="f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", shape=(4, 3))
        del file[path]
        file.create_virtual_dataset(path, layout)
    elif way == 4:
        _replace(file, path, data=[file.ref], dtype=h5py.ref_dtype)
    elif way == 5:
        _replace(file, path, data=["a", "b" * 999], dtype=h5py.string_dtype())
    elif way == 6:
        _replace(file, path, data=np.zeros(3, [("a", "f8"), ("b", "i4")]))
    else:
        _replace(file, path, shape=(2**26,), dtype="f8", chunks=(2**20,), compression="gzip")


def _hdf5_attributes(rng: np.random.Generator, file: h5py.File, path: str) -> None:
    item = file if rng.random() < 0.5 else file[path]
    names = [*item.attrs, "format", "format_version", "zero_modes"]
    values = (0, -1, 2**62, "glassmodes-sample", b"x", np.nan, [1.0, 2.0], 1.5, "{}", "[1]")
    item.attrs[_pick(rng, names)] = _pick(rng, values)


def _hdf5_delete(rng: np.random.Generator, file: h5py.File, path: str) -> None:
    del file[path]


_HDF5_WAYS: tuple[Callable, ...] = (
    _hdf5_array, _hdf5_array, _hdf5_json, _hdf5_json, _hdf5_links, _hdf5_hostile,
    _hdf5_attributes, _hdf5_delete,
)  # fmt: skip

TEXT = ("extended_xyz", "lammps_data", "lammps_dump", "model", "config")
STRUCTURED: dict[str, Callable] = {
    "npz": _spoil_npz,
    "matrix_npz": _spoil_npz,
    "hdf5": _spoil_hdf5,
    "sample": _spoil_hdf5,
    "modes": _spoil_hdf5,
    "model": _spoil_yaml,
    "config": _spoil_yaml,
}
