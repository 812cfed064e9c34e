"""Batch files: the records of many samples, column by column, in one HDF5 file.

Layout::

    /                  attributes: format, stage, stage_version, fingerprint, provenance (JSON)
    /records/NAME      one dataset per column, shape (S, ...), attribute `unit`;
                       a ragged column is concatenated along its first axis and
                       NAME_offsets, shape (S + 1,), says where each sample begins
    /samples/INDEX     the sample itself (`Sample.to_group`), in files of the stage prepare

A part file is a batch file of one sample.  Every group carries a digest of its content,
so damage is found on reading.  The same records give the same bytes: nothing in a file
depends on when or where it was written.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.record_schema import SCHEMAS, RecordColumn
from glassmodes.errors import InputError, ResourceError, SampleError, nearest
from glassmodes.files import check_input, write_bytes, write_hdf5
from glassmodes.sample import Sample, first_line

FORMAT = "glassmodes-batch"
FORMAT_VERSION = 1

Record = Mapping[str, Any]


class DamagedError(InputError):
    """A batch file that is truncated, overwritten or does not match its digest.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, message: str, path: str | Path = "") -> None:
        super().__init__(message)
        self.path = Path(path)

    def __reduce__(self):  # the path survives the trip between ranks
        return (DamagedError, (str(self), self.path))


def set_aside(path: str | Path) -> Path:
    """Rename a damaged file to ``NAME.damaged`` and return that name.

    Nothing reads it any more, and the workflow, which misses it, makes it again.
    """
    source = Path(path)
    target = source.with_name(f"{source.name}.damaged")
    with contextlib.suppress(FileNotFoundError):  # another job was faster
        os.replace(source, target)
    return target


def check_structure(path: str | Path) -> None:
    """Open a batch file without reading its records: a check that costs a millisecond.

    Raises
    ------
    DamagedError
        The file is empty, truncated, not HDF5 or not a batch file.  Changed values inside it
        are found by their digest when the records are read.
    """
    with _opened(path):
        pass


def verify(path: str | Path) -> int:
    """Read a whole batch file, verify all its digests, and return its number of samples.

    Raises
    ------
    DamagedError
        Something in it is damaged.
    """
    count = read_records(path).samples
    with _opened(path) as file:
        for group in file.get("samples", {}).values():
            _verify(group, path)
    return count


@dataclass(frozen=True)
class Header:
    """What a batch file says about itself.

    Attributes
    ----------
    kind : str
        Which records: ``samples``, ``modes``, ``moduli`` or ``dipoles``.
    dimension, particles : int
        d and N of the samples.
    fingerprint : str
        Digest of the settings that the records depend on.
    provenance : dict
        Settings, stage version, library versions.
    """

    kind: str
    dimension: int
    particles: int
    fingerprint: str
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One sample of a batch file: its record and, in the stage prepare, the sample."""

    record: Record
    sample: Sample | None = None


class Ragged(Sequence):
    """A column whose length differs from sample to sample; ``ragged[k]`` is sample k's.

    Attributes
    ----------
    flat : (M, ...) array
        All samples, one after the other.
    offsets : (S + 1,) int array
        Sample k is ``flat[offsets[k]:offsets[k + 1]]``.
    """

    def __init__(self, flat: NDArray, offsets: NDArray[np.int64]) -> None:
        self.flat, self.offsets = flat, offsets

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, k):
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        if not -len(self) <= k < len(self):
            raise IndexError(k)
        k = int(k) % len(self)
        return self.flat[self.offsets[k] : self.offsets[k + 1]]


class Records(Mapping):
    """The columns of a batch file: arrays of shape (S, ...), or `Ragged`.

    Attributes
    ----------
    header : Header
    units : dict
        Unit of each column; empty for texts and flags.
    """

    def __init__(
        self, header: Header, columns: dict[str, NDArray | Ragged], units: dict[str, str]
    ) -> None:
        self.header, self.units = header, units
        self._columns = columns

    def __getitem__(self, name: str) -> NDArray | Ragged:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def samples(self) -> int:
        """Number of samples, refused ones included."""
        return len(self._columns["index"])

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Which samples are not refused, shape (S,)."""
        return np.asarray(self._columns["status"]) == "ok"

    def record(self, k: int) -> dict[str, Any]:
        """Return the record of the k-th sample."""
        return {name: column[k] for name, column in self._columns.items()}


def refused(index: int, reason: str, message: str) -> dict[str, Any]:
    """Return the record of a sample that is refused."""
    return {"index": index, "status": "refused", "reason": reason, "message": message}


def refusal_reason(error: Exception) -> str:
    """Return the short word for why a sample is refused, which tables carry."""
    if isinstance(error, SampleError):
        return error.reason
    return "memory" if isinstance(error, ResourceError) else "solver"


def write_batch(path: str | Path, header: Header, rows: Sequence[Row]) -> None:
    """Write a batch file atomically.

    Raises
    ------
    InputError
        The file cannot be written, or a record lacks a column, has an unknown one, or
        has one of the wrong shape.
    """
    columns = _present_columns(header, rows)

    def fill(file: h5py.File) -> None:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        for name in ("kind", "dimension", "particles", "fingerprint"):
            file.attrs[name] = getattr(header, name)
        file["provenance"] = np.bytes_(json.dumps(header.provenance, sort_keys=True).encode())
        group = file.create_group("records")
        for column in columns:
            _write_column(group, column, header, rows)
        group.attrs["digest"] = _digest(group)
        samples = [row for row in rows if row.sample is not None]
        if samples:
            parent = file.create_group("samples")
            for row in samples:
                child = parent.create_group(_sample_name(row.record["index"]))
                row.sample.to_group(child)
                child.attrs["digest"] = _digest(child)

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_hdf5(path, fill)


def read_records(path: str | Path) -> Records:
    """Read all records of a batch file and verify their digest.

    Raises
    ------
    InputError
        The file is missing.
    DamagedError
        It is truncated, damaged or of another kind.
    """
    with _opened(path) as file:
        header = _read_header(file)
        # Read once, for the digest and for the caller: tables read thousands of files.
        content = _Content()
        _verify(file["records"], path, content)
        columns: dict[str, NDArray | Ragged] = {}
        units = {}
        for name, values in content.values.items():
            if name.endswith("_offsets"):
                continue
            attributes = content.attributes[name]
            units[name] = str(attributes["unit"])
            if attributes["ragged"]:
                columns[name] = Ragged(values, content.values[f"{name}_offsets"])
            else:
                columns[name] = _as_texts(values)
        return Records(header, columns, units)


def read_header(path: str | Path) -> Header:
    """Read what a batch file says about itself."""
    with _opened(path) as file:
        return _read_header(file)


def read_fingerprint(path: str | Path) -> str:
    """Read the digest of the settings of a batch file: all that a look at thousands needs."""
    with _opened(path) as file:
        return str(file.attrs["fingerprint"])


def content_digest(path: str | Path) -> tuple[str, ...]:
    """Return the digests of records and samples that a file states: equal for equal content."""
    with _opened(path) as file:
        stated = [str(file["records"].attrs["digest"])]
        stated += [f"{k}:{g.attrs['digest']}" for k, g in file.get("samples", {}).items()]
        return tuple(stated)


def read_sample(path: str | Path, index: int) -> Sample:
    """Read one sample of a batch file of the stage prepare and verify its digest."""
    with _opened(path) as file:
        return Sample.from_group(_verified_sample(file, path, index))


def sample_group(path: str | Path, index: int) -> str:
    """Verify the digest of one sample and return its group, for `Domain.read`."""
    with _opened(path) as file:
        return _verified_sample(file, path, index).name


def is_valid(path: str | Path, fingerprint: str) -> bool:
    """Tell whether a batch or part file is there, undamaged and made with these settings."""
    try:
        if read_header(path).fingerprint != fingerprint:
            return False
        verify(path)
    except InputError:
        return False
    return True


def write_timings(path: Path, rows: Sequence[tuple[int, str, float]]) -> None:
    """Write wall times, rows of (index, quantity, seconds), as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["index", "quantity", "seconds"])
    writer.writerows((index, quantity, f"{seconds:.6g}") for index, quantity, seconds in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue().encode())


def read_timings(path: str | Path) -> dict[int, dict[str, float]]:
    """Read wall times by index and quantity; empty if the file is not there."""
    timings: dict[int, dict[str, float]] = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                timings.setdefault(int(line["index"]), {})[line["quantity"]] = float(
                    line["seconds"]
                )
    except FileNotFoundError:
        return {}
    return timings


def _sample_name(index: int) -> str:
    return f"{int(index):06d}"


def _present_columns(header: Header, rows: Sequence[Row]) -> list[RecordColumn]:
    """Return the columns to write, after checking that the records fit the schema."""
    schema = SCHEMAS[header.kind]
    known = {column.name for column in schema}
    for row in rows:
        for name in row.record:
            if name not in known:
                raise InputError(
                    f"records of {header.kind} have no column {name!r}{nearest(name, known)}"
                )
        if row.record["status"] == "ok":
            for column in schema:
                compulsory = not column.optional and column.kind != "text"
                if compulsory and column.name not in row.record:
                    raise InputError(
                        f"sample {row.record['index']}: the record of {header.kind} lacks "
                        f"{column.name!r}"
                    )
    return [c for c in schema if not c.optional or any(c.name in row.record for row in rows)]


def _write_column(
    group: h5py.Group, column: RecordColumn, header: Header, rows: Sequence[Row]
) -> None:
    values = [row.record.get(column.name) for row in rows]
    if column.kind == "text":
        texts = [str(column.missing if v is None else v).encode() for v in values]
        data = np.array(texts, dtype=f"S{max([1, *map(len, texts)])}")
    else:
        sizes = column.sizes(header.dimension, header.particles)
        arrays = [_as_array(v, column, sizes) for v in values]
        if column.ragged:
            lengths = np.array([0, *(len(a) for a in arrays)], dtype=np.int64)
            group.create_dataset(f"{column.name}_offsets", data=np.cumsum(lengths))
            empty = np.empty((0, *sizes), dtype=column.dtype)
            data = np.concatenate([empty, *arrays])
        else:
            data = np.array(arrays, dtype=column.dtype).reshape((len(arrays), *sizes))
    dataset = group.create_dataset(column.name, data=data)
    dataset.attrs["unit"] = column.unit
    dataset.attrs["ragged"] = column.ragged


def _as_array(value: Any, column: RecordColumn, sizes: tuple[int, ...]) -> NDArray:
    """Return one sample's value of a column, checked; `missing` where it is unknown."""
    if value is None:
        shape = (0, *sizes) if column.ragged else sizes
        return np.full(shape, column.missing, dtype=column.dtype)
    array = np.asarray(value)
    if array.dtype == object:  # a list of lists with None in it, such as a null diagonal
        array = array.astype(np.float64)
    array = array.astype(column.dtype, casting="unsafe" if array.size == 0 else "same_kind")
    expected = (array.shape[:1] if array.ndim else (0,)) + sizes if column.ragged else sizes
    if array.size == 0 and column.ragged:
        array = array.reshape((0, *sizes))
        expected = array.shape
    if array.shape != expected:
        raise InputError(
            f"column {column.name!r}: a value has shape {array.shape}; expected {expected}"
        )
    return array


def _as_texts(values: NDArray) -> NDArray:
    if values.dtype.kind == "S":
        return np.array([text.decode() for text in values], dtype=np.str_)
    return values


def _read_header(file: h5py.File) -> Header:
    attributes = file.attrs
    return Header(
        kind=str(attributes["kind"]),
        dimension=int(attributes["dimension"]),
        particles=int(attributes["particles"]),
        fingerprint=str(attributes["fingerprint"]),
        provenance=json.loads(file["provenance"][()].decode()),
    )


class _opened:
    """Open a batch file for reading; whatever goes wrong inside names the file."""

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def __enter__(self) -> h5py.File:
        try:
            source = check_input(self.path)
        except InputError as error:
            path = Path(self.path)
            if path.is_file() and path.stat().st_size == 0:
                raise self._damage(error) from error
            raise
        try:
            self.file = h5py.File(source, "r")
        except Exception as error:
            raise self._damage(error) from error
        try:
            found = self.file.attrs.get("format")
        except Exception as error:
            self.file.close()
            raise self._damage(error) from error
        if found != FORMAT:
            self.file.close()
            raise DamagedError(f"{self.path} is not a batch file of glassmodes", self.path)
        return self.file

    def __exit__(self, kind, error, trace) -> None:
        self.file.close()
        if isinstance(error, Exception) and not isinstance(error, InputError):
            raise self._damage(error) from error

    def _damage(self, error: BaseException) -> InputError:
        line = first_line(error)
        if _is_refused_by_system(error):  # a disk or network that fails says nothing of the file
            return InputError(f"cannot read {self.path}: {line}; try again")
        return DamagedError(
            f"cannot read {self.path}: {line.removeprefix(f'cannot read {self.path}: ')}; "
            "the file is truncated or damaged",
            self.path,
        )


def _is_refused_by_system(error: BaseException) -> bool:
    """Tell a read that the operating system refused from a file with wrong content."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, OSError):
        return False
    number = error.errno or 0
    if found := re.search(r"errno = (\d+)", str(error)):
        number = int(found[1])
    return number not in (0, errno.EINVAL)


def _verified_sample(file: h5py.File, path: str | Path, index: int) -> h5py.Group:
    group = file.get(f"samples/{_sample_name(index)}")
    if group is None:
        raise InputError(f"{path} holds no sample {index}")
    _verify(group, path)
    return group


@dataclass
class _Content:
    """What the datasets of a group hold, by name."""

    values: dict[str, NDArray] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)


def _verify(group: h5py.Group, path: str | Path, content: _Content | None = None) -> None:
    if group.attrs.get("digest") != _digest(group, content):
        raise DamagedError(
            f"cannot read {path}: {group.name} does not match its digest; the file is damaged",
            path,
        )


def _pieces(dataset: h5py.Dataset, piece: int = 2**25) -> Iterator[NDArray]:
    """Yield the values of a dataset, some rows of about `piece` bytes at a time."""
    if dataset.ndim == 0:
        yield dataset[()]
        return
    rows = max(1, piece * len(dataset) // max(dataset.nbytes, 1))
    for first in range(0, len(dataset), rows):
        yield dataset[first : first + rows]


def _digest(group: h5py.Group, content: _Content | None = None) -> str:
    """Return the SHA-256 of names, types, shapes, values and attributes below `group`.

    What is read of its datasets is left in `content`.
    """
    digest = hashlib.sha256()

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        digest.update(f"{name}\n".encode())
        attributes = dict(item.attrs.items())
        for key in sorted(attributes):
            if key != "digest":
                value = np.asarray(attributes[key])
                text = value.tolist() if value.dtype == object else value.tobytes()
                digest.update(f"{key}={value.dtype}{value.shape}{text!r}\n".encode())
        if isinstance(item, h5py.Dataset):
            dtype, shape = item.dtype, item.shape
            digest.update(f"{dtype.str}{shape or (1,)}\n".encode())
            if content is None:
                for values in _pieces(item):
                    digest.update(np.ascontiguousarray(values).tobytes())
            else:
                values = item[()]
                digest.update(np.ascontiguousarray(values).data)
                content.values[name], content.attributes[name] = values, attributes

    add("", group)
    group.visititems(add)
    return digest.hexdigest()
