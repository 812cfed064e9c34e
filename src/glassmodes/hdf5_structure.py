"""What an HDF5 file may hold before anything in it is used.

A file from elsewhere can point out of itself (external links and storage, virtual datasets),
declare arrays far larger than itself, ask for a filter that is a shared library, or hold object
references.  We write none of these: a group or dataset that has one is refused.  The checks read
headers only, never the data.
"""

from __future__ import annotations

import json
import math
from typing import Any

import h5py
import numpy as np

from glassmodes.errors import InputError
from glassmodes.memory import in_words

FREE_BYTES = 2**28
EXPANSION = 16
"""Arrays may be so many times as large as their file: compression of numbers gives 1 to 5."""

_READ_BYTES = 2**28
"""Of compressed data that `check_whole_file` unpacks to see whether it can be read."""

# shuffle, deflate, fletcher32, szip, nbit, scaleoffset and h5py's lzf: all built in.
_FILTERS = frozenset((1, 2, 3, 4, 5, 6, 32000))
_NUMBERS = "iufb"


def allowed_bytes(file_size: int) -> int:
    """Return how many bytes of arrays a file of `file_size` bytes may declare."""
    return FREE_BYTES + EXPANSION * file_size


def require_plain(group: h5py.Group, path: str) -> h5py.Dataset | h5py.Group | None:
    """Return what lies at `path` below `group`, None if nothing does.

    Raises
    ------
    InputError
        A link on the way that leaves the file or stands for another path, or a dataset that
        `check_dataset` refuses.
    """
    here: Any = group
    for name in path.split("/"):
        if not isinstance(here, h5py.Group):
            raise InputError(f"{here.name} is no group; the file is damaged or of another kind")
        link = here.get(name, getlink=True)
        if link is None:
            return None
        _require_hard(here, name, link)
        here = here[name]
    if isinstance(here, h5py.Dataset):
        check_dataset(here, allowed_bytes(here.file.id.get_filesize()))
    return here


def check_dataset(dataset: h5py.Dataset, limit: int) -> None:
    """Raise `InputError` unless the dataset is a plain array inside its file, of at most `limit`.

    limit : bytes of the unpacked array, and of one chunk of it.
    """
    name, layout = dataset.name, dataset.id.get_create_plist()
    if layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count():
        raise InputError(f"the dataset {name} takes its content from other files; store it inside")
    for k in range(layout.get_nfilters()):
        code = int(layout.get_filter(k)[0])
        if code not in _FILTERS:
            raise InputError(
                f"the dataset {name} needs the filter {code}, which is an external library; "
                "store it plain or with gzip"
            )
    kind = dataset.dtype
    text = h5py.check_string_dtype(kind) is not None
    if dataset.shape is None or not (text or kind.kind in _NUMBERS):
        raise InputError(f"the dataset {name} has the type {kind}; expected numbers or text")
    needed = math.prod(dataset.shape) * kind.itemsize
    chunk = math.prod(dataset.chunks or ()) * kind.itemsize
    if max(needed, chunk) > limit:
        raise InputError(
            f"the dataset {name} declares {in_words(max(needed, chunk))}, more than its file can "
            f"hold (at most {EXPANSION} times its size); the file is damaged"
        )
    if layout.get_layout() == h5py.h5d.CONTIGUOUS and dataset.id.get_storage_size() < needed:
        raise InputError(f"the dataset {name} declares more than it holds; the file is damaged")


def check_whole_file(file: h5py.File) -> None:
    """Raise `InputError` unless every group, dataset and attribute of a file is plain.

    Compressed data are unpacked, up to 256 MiB of them, to see that they can be.  Meant for the
    child process of `glassmodes.formats.isolated`; cost: about 0.1 ms an object.
    """
    limit, unpacked = allowed_bytes(file.id.get_filesize()), 0
    waiting: list[h5py.Group] = [file["/"]]
    seen = {_address(file)}
    while waiting:
        group = waiting.pop()
        _read_attributes(group)
        for name in group:
            _require_hard(group, name, group.get(name, getlink=True))
            item = group[name]
            if _address(item) in seen:  # a second name, perhaps of a group around this one
                raise InputError(f"{group.name} and another group hold the same {name!r}")
            seen.add(_address(item))
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                check_dataset(item, limit)
                _read_attributes(item)
                packed = item.chunks is not None or h5py.check_string_dtype(item.dtype) is not None
                if packed and unpacked <= _READ_BYTES:
                    unpacked += np.asarray(item[()]).nbytes  # one text comes as bytes
            else:
                raise InputError(f"{group.name} holds {name!r}, neither a group nor a dataset")


def read_numbers(dataset: h5py.Dataset) -> np.ndarray:
    """Return a checked dataset; `InputError` if it holds text."""
    if dataset.dtype.kind not in _NUMBERS:
        raise InputError(f"the dataset {dataset.name} has the type {dataset.dtype}, not numbers")
    return dataset[()]


def read_text(dataset: h5py.Dataset) -> str:
    """Return the one text that a checked dataset holds, of fixed or variable length.

    Raises
    ------
    InputError
        It holds numbers, several texts, or bytes that are no UTF-8.
    """
    if h5py.check_string_dtype(dataset.dtype) is None or dataset.size != 1:
        raise InputError(f"the dataset {dataset.name} is not one text; the file is damaged")
    try:
        return text_of(dataset[()])
    except UnicodeDecodeError as error:
        raise InputError(
            f"the dataset {dataset.name} is no UTF-8 text; the file is damaged"
        ) from error


def text_of(value: Any) -> str:
    """Return a text that HDF5 stored as bytes, a string or an array of one of them."""
    if isinstance(value, np.ndarray):
        value = value.item()
    return value.decode() if isinstance(value, bytes) else str(value)


def read_json(text: str, name: str) -> dict[str, Any]:
    """Return the JSON object in `text`; numbers that are not finite are refused.

    Raises
    ------
    InputError
        Broken JSON, something else than an object, NaN or infinity, too deep a nesting.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is no JSON text: {error}; the file is damaged") from error
    if not isinstance(value, dict):
        raise InputError(f"{name} is no JSON object; the file is damaged")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is not finite")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"it holds {text}")


def _require_hard(group: h5py.Group, name: str, link: Any) -> None:
    if not isinstance(link, h5py.HardLink):
        raise InputError(
            f"{group.name} holds {name!r} as a link to another place or file; store it inside"
        )


def _address(item: Any) -> int:
    return h5py.h5o.get_info(item.id).addr


def _read_attributes(item: Any) -> None:
    for name in item.attrs:
        kind = item.attrs.get_id(name).dtype
        if h5py.check_string_dtype(kind) is None and kind.kind not in _NUMBERS:
            raise InputError(f"the attribute {name!r} of {item.name} has the type {kind}")
        item.attrs[name]
