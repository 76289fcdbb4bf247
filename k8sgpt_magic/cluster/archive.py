"""Our own archive: what a source read, as a ``.tar.gz`` that is written and read one page at a time.

::

    metadata.json                 what this is, of which cluster
    core/v1/pods/0.json           pages of lists, at most 200 objects each
    apps/v1/deployments/0.json
    reads.json                    when it was taken, and how the reading of each kind in each namespace went

``reads.json`` is the last member because only the end of the reading tells; without it an archive is not whole.
Secrets are stored without values and annotations. ConfigMaps and the literal values of environment variables are
stored as they are: the file is for those who may read the cluster. The format is gzip because the standard library
of every Python that this runs on reads it (Zstandard came with 3.14).
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Raw, Struct

from k8sgpt_magic import __version__
from k8sgpt_magic.cluster.contents import Contents, KindContents
from k8sgpt_magic.cluster.decode import Page, decode_page
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.manifests import identity
from k8sgpt_magic.cluster.members import DAMAGE, Member
from k8sgpt_magic.cluster.resources import Resource, Secret, WorkloadMeta
from k8sgpt_magic.cluster.sharing import share_equal_parts
from k8sgpt_magic.cluster.source import OnPage, Source
from k8sgpt_magic.cluster.view import ReadResult, ReadStatus
from k8sgpt_magic.decoders import decoder
from k8sgpt_magic.engine import in_thread
from k8sgpt_magic.errors import SnapshotError
from k8sgpt_magic.wording import count, joined, quote

METADATA = "metadata.json"
READS = "reads.json"
FORMAT = "k8sgpt-magic snapshot"
FORMAT_VERSION = 1
# What a page needs while it is read is never given back in full, so smaller ones save memory, and cost no time.
PAGE = 200

# Level 3 takes half the time of the default 6 for a file a tenth larger.
_LEVEL = 3

_PAGE_NAME = re.compile(r"^([^/]+)/([^/]+)/([^/]+)/\d+\.json$")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Metadata(Struct):
    """The first member. An archive of a newer format version is refused, not guessed at."""

    format: str = ""
    format_version: int = 0
    k8sgpt_magic: str = ""
    context: str = ""
    source: str = ""
    started_at: datetime | None = None


class Reads(Struct):
    """The last member. ``superseded`` are pages of lists that had to start again: they do not count."""

    taken_at: datetime
    results: list[ReadResult]
    superseded: list[str] = []


class Saved(Struct, frozen=True):
    """What was written where; ``str()`` says it in a line."""

    path: str
    context: str
    objects: int
    kinds: int
    bytes: int
    incomplete: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = f"{self.bytes / 1e6:.1f} MB" if self.bytes >= 1e5 else f"{self.bytes / 1e3:.1f} kB"
        left_out = f" Not read in full: {joined(self.incomplete, 10)}." if self.incomplete else ""
        return (
            f"Saved {count(self.objects, 'object')} of {count(self.kinds, 'kind')} from {self.context} to "
            f"{self.path} ({size}).{left_out}"
        )


async def save(
    source: Source,
    path: str | os.PathLike[str],
    kinds: Sequence[type[Resource]] = (),
    namespaces: Sequence[str] = (),
    *,
    on_page: OnPage | None = None,
    max_concurrency: int = 10,
    timeout: float = 30.0,
    fall_back_to: Sequence[str] = (),
) -> Saved:
    """Save the lists of a source (all kinds unless told) to a file, which appears only once it is whole.

    Raises ``SnapshotError`` where the file cannot be written or nothing could be read.
    """
    results: list[ReadResult] = []
    counts: dict[tuple[str, str], int] = {}
    writer = ArchiveWriter(path, context=source.context, source=source.description)
    try:
        pages = source.pages(
            list(kinds) or list(SAVED.values()),
            namespaces,
            results=results,
            max_concurrency=max_concurrency,
            timeout=timeout,
            fall_back_to=fall_back_to,
        )
        async for kind, scope, body in pages:
            if body is None:
                writer.restart(kind, scope)
                counts[kind.kind, scope] = 0
                continue
            added = await in_thread(_adding(writer, kind, scope, body))
            counts[kind.kind, scope] = counts.get((kind.kind, scope), 0) + added
            if on_page:
                on_page(kind.kind, scope, counts[kind.kind, scope], False)
        if on_page:
            for kind_name in {result.kind for result in results}:
                of_kind = {scope: number for (name, scope), number in counts.items() if name == kind_name}
                for scope in list(of_kind)[:-1]:
                    on_page(kind_name, scope, of_kind[scope], False)
                scope = next(reversed(of_kind), "")
                on_page(kind_name, scope, of_kind.get(scope, 0), True)
        for result in results:
            result.objects = counts.get((result.kind, result.namespace), result.objects)
        if not any(result.status in ("read", "partial") for result in results):
            reasons = "; ".join(sorted({result.reason or result.status for result in results})[:3])
            raise SnapshotError(f"Nothing to save: no list of {source.context} could be read ({reasons})")
        size = await in_thread(lambda: writer.finish(source.now(), results))
    finally:
        # Also when this is cancelled: the file of before, if there was one, stays what it was.
        writer.discard()
    incomplete = sorted({result.kind for result in results if result.status in ("forbidden", "failed", "partial")})
    return Saved(
        path=str(path),
        context=source.context,
        objects=sum(counts.values()),
        kinds=len({kind for (kind, _), number in counts.items() if number}),
        bytes=size,
        incomplete=tuple(incomplete),
    )


def _adding(writer: ArchiveWriter, kind: type[Resource], scope: str, body: bytes | bytearray) -> Callable[[], int]:
    return lambda: writer.add(kind, scope, body)


class ArchiveWriter:
    """Writes an archive beside its destination and moves it there when it is whole."""

    def __init__(self, path: str | os.PathLike[str], *, context: str = "", source: str = "") -> None:
        text = os.fspath(path)
        if "://" in text:
            raise SnapshotError(
                f"{text} is not a local path", advice="Save the snapshot to a local file and copy it there."
            )
        self._path = Path(text).expanduser()
        if self._path.is_dir():
            raise SnapshotError(f"{text} is a directory", advice=f"Name a file: {text.rstrip('/')}/snapshot.tar.gz")
        self._numbers: dict[str, int] = {}
        self._written: dict[tuple[str, str], list[str]] = {}
        self._superseded: list[str] = []
        try:
            # In the same directory, so that moving it is one step; readable by its owner alone from the beginning.
            descriptor, self._temporary = tempfile.mkstemp(
                prefix=f".{self._path.name}.", suffix=".part", dir=self._path.parent
            )
        except OSError as error:
            raise SnapshotError(f"{text} cannot be written: {error.strerror}") from error
        self._file = os.fdopen(descriptor, "wb")
        # No time and no file name in the header: the same cluster gives the same bytes.
        self._gzip = gzip.GzipFile("", "wb", _LEVEL, self._file, mtime=0)
        self._tar = tarfile.open(fileobj=self._gzip, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._started = datetime.now(UTC)
        about = Metadata(FORMAT, FORMAT_VERSION, __version__, context, source, self._started)
        self._write(METADATA, msgspec.json.encode(about))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def add(self, kind: type[Resource], scope: str, body: bytes | bytearray) -> int:
        """Write a page of a list, in several members where it is a long one. Returns its number of objects.

        Raises ``msgspec.DecodeError`` where the body is not a list.
        """
        items = _decode_items.decode(body).items or []
        for start in range(0, len(items), PAGE):
            # One object at a time is ever anything else than bytes.
            kept = [Raw(reduced(kind, item)) for item in items[start : start + PAGE]]
            folder = _folder(kind)
            number = self._numbers[folder] = self._numbers.get(folder, -1) + 1
            name = f"{folder}/{number}.json"
            version = f"{kind.group}/{kind.version}" if kind.group else kind.version
            page = {"apiVersion": version, "kind": f"{kind.kind}List", "items": kept}
            self._write(name, msgspec.json.encode(page))
            self._written.setdefault((kind.kind, scope), []).append(name)
        return len(items)

    def restart(self, kind: type[Resource], scope: str) -> None:
        """Forget the pages of a list so far. What is in a stream stays in it, so the last member names them."""
        self._superseded += self._written.pop((kind.kind, scope), [])

    def finish(self, taken_at: datetime, results: Sequence[ReadResult]) -> int:
        """Complete the archive and put it in its place. Returns its size in bytes."""
        try:
            self._write(READS, msgspec.json.encode(Reads(taken_at, list(results), self._superseded)))
            self._tar.close()
            self._gzip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
            self._file.close()
            os.replace(self._temporary, self._path)  # noqa: PTH105
            self._temporary = ""
            _sync_directory(self._path.parent)
        except OSError as error:
            raise SnapshotError(f"{self._path} cannot be written: {error.strerror or error}") from error
        return size

    def discard(self) -> None:
        """Drop what was written, unless it was finished."""
        if not self._temporary:
            return
        with suppress(OSError):
            self._gzip.close()
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            Path(self._temporary).unlink()
        self._temporary = ""

    def _write(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(data), 0o600, 0
        try:
            self._tar.addfile(member, io.BytesIO(data))
            # A tar file remembers each of its members until it is closed.
            self._tar.members = []  # type: ignore[attr-defined]
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{self._path} cannot be written: {error}") from error


class _Items(Struct):
    items: list[Raw] | None = None


_decode_items = decoder(_Items)


def reduced(kind: type[Resource], item: bytes | Raw) -> bytes:
    """An object as it is stored: without what is secret, and without what only repeats the rest of it."""
    fields = msgspec.json.decode(item)
    if not isinstance(fields, dict):
        return bytes(item)
    # The list says it, and a server that was asked for metadata alone says something else.
    fields.pop("apiVersion", None)
    fields.pop("kind", None)
    metadata = fields.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    if kind is Secret:
        fields.pop("data", None)
        fields.pop("stringData", None)
        # kubectl apply keeps the whole Secret in an annotation.
        metadata.pop("annotations", None)
    elif isinstance(annotations := metadata.get("annotations"), dict):
        annotations.pop(_LAST_APPLIED, None)
    managed = metadata.pop("managedFields", None)
    if kind.kind in _WITH_WRITE_TIMES and isinstance(managed, list):
        # Who set which field is most of an object's bytes; when it was written is what rules ask.
        metadata["managedFields"] = [
            {key: each[key] for key in ("apiVersion", "time", "subresource") if key in each}
            for each in managed
            if isinstance(each, dict)
        ]
    if kind.namespaced and metadata and not metadata.get("namespace"):
        metadata["namespace"] = "default"
    return msgspec.json.encode(fields)


_WITH_WRITE_TIMES = {
    name for name, kind in SAVED.items() if isinstance(getattr(kind(), "metadata", None), WorkloadMeta)
}


def _folder(kind: type[Resource]) -> str:
    return f"{kind.group or 'core'}/{kind.version}/{kind.plural}"


_BY_FOLDER = {_folder(kind): kind for kind in SAVED.values()}


def _sync_directory(folder: Path) -> None:
    # Not every system lets a directory be opened, and there the move is as safe as it can be.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- reading ---------------------------------------------------------------------------------------------


def metadata_of(name: str, data: bytes) -> Metadata | None:
    """What the first member of a tar file says, or None where the file is not one of ours."""
    if name != METADATA:
        return None
    try:
        about = decoder(Metadata).decode(data)
    except msgspec.DecodeError:
        return None
    return about if about.format == FORMAT else None


def check_version(about: Metadata, shown: str) -> None:
    if about.format_version > FORMAT_VERSION:
        raise SnapshotError(
            f"{shown} was written by k8sgpt-magic {about.k8sgpt_magic}, in a format that this version cannot read",
            advice="Upgrade: pip install --upgrade k8sgpt-magic",
        )


def pages_in(members: Iterable[Member]) -> Iterator[tuple[str, type[Resource] | None, Callable[[], bytes]]]:
    """The pages of an archive: name, kind, and the function that reads it; None for the kind of ``reads.json``."""
    for name, read in members:
        if name == READS:
            yield name, None, read
        # A kind that this version does not know is passed over.
        elif (match := _PAGE_NAME.match(name)) and (kind := _BY_FOLDER.get("/".join(match.groups()))):
            yield name, kind, read


def decode_reads(data: bytes) -> Reads:
    return decoder(Reads).decode(data)  # type: ignore[no-any-return]


def contents_of(
    members: Iterable[Member], kinds: Sequence[type[Resource]], on_objects: Callable[[str, int], None]
) -> tuple[Contents, datetime | None]:
    """Decode some kinds of an archive, page by page. Also the time it was taken, or None where its end is missing.

    Damage costs what is damaged: the kinds it is in are ``partial``, and say why.
    """
    contents = Contents({kind.kind: KindContents() for kind in kinds})
    pages: dict[str, tuple[str, Page[Any]]] = {}
    counts: dict[str, int] = {}
    before: dict[str, Resource] = {}
    damaged: dict[str, str] = {}
    reads: Reads | None = None
    problem = "it ends early"
    try:
        for name, kind, read in pages_in(members):
            try:
                if kind is None:
                    reads = decode_reads(read())
                elif kind.kind in contents.kinds:
                    page = decode_page(kind, read())
                    share_equal_parts(page.objects, before.get(kind.kind))
                    if page.objects:
                        before[kind.kind] = page.objects[-1]
                    pages[name] = kind.kind, page
                    counts[kind.kind] = counts.get(kind.kind, 0) + len(page.objects)
                    on_objects(kind.kind, counts[kind.kind])
            except msgspec.DecodeError as error:
                if kind is not None:
                    damaged[kind.kind] = f"{name} in the snapshot is damaged: {error}"
    except DAMAGE as error:
        problem = quote(str(error)) or type(error).__name__
    superseded = set(reads.superseded) if reads else set()
    for name, (kind_name, page) in pages.items():
        if name not in superseded:
            contents.kinds[kind_name].add(page.objects)
            contents.kinds[kind_name].undecodable += page.undecodable
    for result in reads.results if reads else ():
        if result.kind in contents.kinds:
            contents.kinds[result.kind].results[result.namespace] = result
    for kind_name, held in contents.kinds.items():
        if reads is None:
            damaged.setdefault(kind_name, f"the snapshot is damaged: {problem}")
        if reason := damaged.get(kind_name):
            status: ReadStatus = "partial" if held.objects else "failed"
            held.results = {"": ReadResult(kind=kind_name, status=status, reason=reason)}
    return contents, reads.taken_at if reads else None


def copied_pages(
    members: Iterable[Member], kinds: Sequence[type[Resource]], namespaces: Sequence[str]
) -> Iterator[tuple[type[Resource], str, bytes]]:
    """The pages of an archive as they are, or what they hold of some namespaces, to save them as another."""
    wanted = {kind.kind: set(kind.scopes(namespaces)) - {""} for kind in kinds}
    for _, kind, read in pages_in(members):
        if kind is None or kind.kind not in wanted:
            continue
        body = read()
        if scopes := wanted[kind.kind]:
            items = _decode_items.decode(body).items or []
            kept = [item for item in items if (says := identity(item)) and says.metadata.namespace in scopes]
            body = msgspec.json.encode({"items": kept})
        yield kind, "", body
