"""The files of a snapshot: those of a directory, of a tar or zip archive, or just one; compressed or not.

Nothing is extracted to disk, so the names of members can do no harm, and links in archives lead nowhere.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import IO, Any

from k8sgpt_magic.cluster.location import Location
from k8sgpt_magic.errors import SnapshotError

Member = tuple[str, Callable[[], bytes]]
"""A file's name and the function that reads it. It must be read, if at all, before the next one is asked for."""


class TooLarge(Exception):
    """More than any snapshot holds: a bomb, or the wrong file."""


DAMAGE = (
    EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, OSError, TooLarge,
    # How zipfile says that a member is encrypted, or compressed in a way it does not know.
    RuntimeError,
)  # fmt: skip
"""What is raised for files that are truncated, corrupt or not what they seem."""

_SUFFIXES = (".json", ".yaml", ".yml")
_COMPRESSIONS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# Where a tar file says that it is one.
_USTAR_AT, _USTAR = 257, b"ustar"
_CHUNK = 1 << 20


class Budget:
    """Bounds what is read of one snapshot, decompressed, and how many files of it are looked at."""

    def __init__(self, bytes: int = 4 << 30, members: int = 100_000) -> None:
        self._bytes, self._bytes_left = bytes, bytes
        self._members, self._members_left = members, members

    def spend(self, number: int) -> None:
        self._bytes_left -= number
        if self._bytes_left < 0:
            raise TooLarge(f"it holds more than {self._bytes / (1 << 30):g} GiB")

    def count_member(self) -> None:
        self._members_left -= 1
        if self._members_left < 0:
            raise TooLarge(f"it holds more than {self._members:,} files")


class _Counted(io.RawIOBase):
    """A stream that spends a budget as it is read."""

    def __init__(self, inner: IO[bytes], budget: Budget) -> None:
        self._inner, self._budget = inner, budget
        # One step at a time: where a file ends early, what was there before that place is not lost with it.
        self._read: Callable[[int], bytes] = getattr(inner, "read1", inner.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def members_of(location: Location, budget: Budget) -> Generator[Member]:
    """The files of a snapshot, in the order that they come in.

    Of a directory or an archive only those that are named like JSON or YAML. Raises one of ``DAMAGE`` when it comes
    to what cannot be read on, and ``SnapshotError`` for a compression that nothing here reads.
    """
    if location.is_directory():
        for name in location.walk():
            if _is_candidate(name):
                budget.count_member()
                yield name, partial(_read_file, location, name, budget)
        return
    with _seekable(location.open(), budget) as file:
        start = _peek(file)
        if start.startswith(_ZIP):
            yield from _zip_members(file, budget)
            return
        if start.startswith(_ZSTANDARD):
            raise SnapshotError(
                f"{location.shown} is compressed with Zstandard", advice=f"Unpack it first: zstd -d {location.shown}"
            )
        with io.BufferedReader(_Counted(_decompressed(file, start), budget), _CHUNK) as stream:
            if stream.peek(_CHUNK)[_USTAR_AT:].startswith(_USTAR):
                yield from _tar_members(stream, budget)
            else:
                yield location.name, partial(_read_to_end, stream)


def _tar_members(stream: IO[bytes], budget: Budget) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            budget.count_member()
            # A tar file remembers each of its members until it is closed.
            tar.members = []  # type: ignore[attr-defined]
            # A sparse file of a few bytes stands for any number of zeros.
            if member.isfile() and not member.issparse() and _is_candidate(member.name):
                yield member.name.removeprefix("./"), partial(_read_tar_member, tar, member, budget)


def _read_tar_member(tar: tarfile.TarFile, member: tarfile.TarInfo, budget: Budget) -> bytes:
    opened = tar.extractfile(member)
    assert opened is not None, "only files are asked for"  # noqa: S101
    return _decompress(opened.read(), budget)


def _zip_members(file: IO[bytes], budget: Budget) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            budget.count_member()
            if not info.is_dir() and _is_candidate(info.filename):
                yield info.filename, partial(_read_zip_member, archive, info, budget)


def _read_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> bytes:
    # What the directory of a zip file says about sizes need not be true.
    with archive.open(info) as opened, io.BufferedReader(_Counted(opened, budget), _CHUNK) as stream:
        return _decompress(_read_to_end(stream), budget)


def _read_file(location: Location, name: str, budget: Budget) -> bytes:
    with _seekable(location.open(name), budget) as file:
        start = _peek(file)
        with io.BufferedReader(_Counted(_decompressed(file, start), budget), _CHUNK) as stream:
            return _read_to_end(stream)


def _read_to_end(stream: IO[bytes]) -> bytes:
    # Chunks in a list would be twice the file when they are joined.
    data = io.BytesIO()
    while chunk := stream.read(_CHUNK):
        data.write(chunk)
    # The buffer itself, not a copy: nothing else refers to it.
    return data.getvalue()


def _decompress(data: bytes, budget: Budget) -> bytes:
    """A compressed file within an archive."""
    inner = _decompressed(io.BytesIO(data), data[:8])
    if isinstance(inner, io.BytesIO):
        return data
    with io.BufferedReader(_Counted(inner, budget), _CHUNK) as stream:
        return _read_to_end(stream)


def _decompressed(file: IO[bytes], start: bytes) -> IO[bytes]:
    for magic, open_compressed in _COMPRESSIONS.items():
        if start.startswith(magic):
            opened: IO[bytes] = open_compressed(file)
            return opened
    return file


def _seekable(file: IO[bytes], budget: Budget) -> IO[bytes]:
    """The file itself or, where a server sends it in one stream only, a copy that can be read from any place."""
    if file.seekable():
        return file
    copy: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with file:
        while data := file.read(_CHUNK):
            budget.spend(len(data))
            copy.write(data)
    copy.seek(0)
    return copy


def _peek(file: IO[bytes]) -> bytes:
    start = file.read(8)
    file.seek(0)
    return start


def _is_candidate(name: str) -> bool:
    lowered = name.lower()
    for suffix in (".gz", ".bz2", ".xz"):
        lowered = lowered.removesuffix(suffix)
    return lowered.endswith(_SUFFIXES) and not name.rpartition("/")[2].startswith(".")
