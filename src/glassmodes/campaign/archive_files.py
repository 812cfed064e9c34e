"""Archive files: the same bytes for the same content, and unpacking that trusts nothing.

Written are ``.tar.gz`` and ``.zip`` with sorted entries, one date, no owner.  Read are regular
files with plain relative names only: links, devices, other names and repeated names are refused,
and no more is written than the archive announced and the disk has room for.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from glassmodes.errors import InputError
from glassmodes.files import atomic_path, check_input, check_output
from glassmodes.memory import in_words

SUFFIXES = (".tar.gz", ".tgz", ".zip")
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that zip can say
_DATE_S = 315532800
_PIECE = 2**20
_HEADER_BYTES = 2**16
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,120}){1,7}")
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError,
    NotImplementedError, ValueError, OverflowError, MemoryError,
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One file of an archive.

    Attributes
    ----------
    name : str
        Below the archive's folder, with ``/``.
    source : Path or bytes
        Where the content lies, or the content itself.
    executable : bool
    """

    name: str
    source: Path | bytes
    executable: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def open(self) -> IO[bytes]:
        """Open the content for reading."""
        return (
            io.BytesIO(self.source) if isinstance(self.source, bytes) else open(self.source, "rb")
        )

    def digest(self) -> str:
        """Return the SHA-256 of the content."""
        with self.open() as file:
            digest = hashlib.sha256()
            while piece := file.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()


def stem_of(path: Path) -> str:
    """Return the name of the folder inside an archive: its file name without suffix.

    Raises
    ------
    InputError
        The suffix is none that can be written.
    """
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return safe_name(path.name[: -len(suffix)])
    raise InputError(f"{path}: an archive ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def safe_name(name: str) -> str:
    """Return `name` with letters, digits, point, ``_`` and ``-`` only."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:100].lstrip(".-")
    return plain or "campaign"


def write_archive(path: Path, folder: str, entries: list[Entry]) -> None:
    """Write an archive whose files lie below `folder`; atomic, the same bytes each time.

    Raises
    ------
    InputError
        A file cannot be written or read.
    """
    check_output(path)
    ordered = sorted(entries, key=lambda entry: entry.name)
    write = _write_zip if path.name.lower().endswith(".zip") else _write_tar
    with atomic_path(path) as temporary:
        write(temporary, folder, ordered)


def _write_tar(path: Path, folder: str, entries: list[Entry]) -> None:
    with (
        open(path, "wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
    ):
        for entry in entries:
            member = tarfile.TarInfo(f"{folder}/{entry.name}")
            member.size, member.mtime = entry.size, _DATE_S
            member.mode = 0o755 if entry.executable else 0o644
            with entry.open() as content:
                tar.addfile(member, content)


def _write_zip(path: Path, folder: str, entries: list[Entry]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for entry in entries:
            member = zipfile.ZipInfo(f"{folder}/{entry.name}", _DATE)
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            member.external_attr = (stat.S_IFREG | (0o755 if entry.executable else 0o644)) << 16
            member.file_size = entry.size
            with entry.open() as content, archive.open(member, "w") as target:
                shutil.copyfileobj(content, target, _PIECE)


def unpack(path: Path, target: Path) -> Path:
    """Unpack an archive below `target` and return the one folder that it holds.

    Raises
    ------
    InputError
        It is no archive, is damaged, or holds what an archive of ours does not.
    """
    source = check_input(path)
    try:
        with _members(source) as members:
            return _unpack(path, members, target)
    except InputError:
        raise
    except _BROKEN as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: cannot be unpacked ({text}); it is damaged or no archive") from (
            error
        )


Member = tuple[str, int, bool, IO[bytes] | None]
"""Name, announced size, whether it is a folder, and the content of a regular file."""


def _unpack(path: Path, members: Iterator[Member], target: Path) -> Path:
    seen: set[str] = set()
    room = shutil.disk_usage(target).free
    for name, size, is_folder, content in members:
        if is_folder:
            continue
        if content is None:
            raise InputError(f"{path}: {name[:80]!r} is a link or device; refused")
        if not _NAME.fullmatch(name) or name.lower() in seen:
            raise InputError(f"{path}: the file name {name[:80]!r} is refused")
        seen.add(name.lower())
        room -= size
        if room < 0:
            raise InputError(
                f"{path}: unpacks to more than the {in_words(shutil.disk_usage(target).free)} left "
                f"in {target}; set TMPDIR to a folder with room"
            )
        _write_file(path, name, size, content, target / name)
    folders = {name.partition("/")[0] for name in seen}
    if len(folders) != 1:
        raise InputError(f"{path}: expected one folder inside, found {len(folders)}")
    return target / folders.pop()


def _write_file(path: Path, name: str, size: int, content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        while piece := content.read(_PIECE):
            size -= len(piece)
            if size < 0:
                break
            file.write(piece)
    if size:
        raise InputError(f"{path}: {name} has not the size that it announces")


class _Header(tarfile.TarInfo):
    """A header of a tar whose extensions, which are read into memory, are short."""

    def _proc_member(self, archive):
        # Where tarfile lets a subclass in before it reads what follows a header; newer versions of
        # it no longer go through `frombuf`.
        if self.type not in tarfile.REGULAR_TYPES and self.size > _HEADER_BYTES:
            raise InputError("an archive with a header of more than 64 kB is refused")
        return super()._proc_member(archive)


@contextmanager
def _members(path: Path) -> Iterator[Iterator[Member]]:
    with open(path, "rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        with zipfile.ZipFile(path) as archive:
            yield _zip_members(archive)
    elif start[:2] == b"\x1f\x8b":
        with tarfile.open(path, "r|gz", tarinfo=_Header) as tar:
            yield _tar_members(tar)
    else:
        raise InputError(f"{path}: neither .tar.gz nor .zip")


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    for member in tar:
        content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
        yield member.name, member.size, member.isdir(), content
        vars(tar)["members"].clear()  # a stream does not come back to them


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir() or kind not in (0, stat.S_IFREG):
            yield member.filename, 0, member.is_dir(), None
            continue
        with archive.open(member) as content:
            yield member.filename, member.file_size, False, content


def checksums(entries: list[Entry]) -> dict[str, str]:
    """Return the SHA-256 of each entry by name."""
    return {entry.name: entry.digest() for entry in entries}


def render_checksums(digests: Mapping[str, str]) -> bytes:
    """Return the lines that ``sha256sum -c`` reads."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def read_checksums(path: Path) -> dict[str, str]:
    """Read such lines."""
    digests: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path.name} is missing or unreadable: this is no archive of ours") from (
            error
        )
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64})  (\S+)", line)
        if match is None or not _NAME.fullmatch(f"x/{match[2]}"):
            raise InputError(f"{path.name}: the line {line[:80]!r} is no checksum")
        digests[match[2]] = match[1]
    return digests
