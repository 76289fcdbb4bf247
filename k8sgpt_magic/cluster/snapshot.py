"""A snapshot: a cluster as it was when somebody wrote it to files, ours or another tool's."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain
from typing import TypeVar

from k8sgpt_magic.cluster import archive, dumps
from k8sgpt_magic.cluster.archive import Metadata, save
from k8sgpt_magic.cluster.contents import Contents
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.location import Location, locate
from k8sgpt_magic.cluster.members import DAMAGE, Budget, Member, members_of
from k8sgpt_magic.cluster.resources import ObjectRef, Resource
from k8sgpt_magic.cluster.source import OnPage, Read
from k8sgpt_magic.cluster.view import ReadResult
from k8sgpt_magic.engine import in_thread
from k8sgpt_magic.errors import SnapshotError
from k8sgpt_magic.wording import quote

__all__ = ["SnapshotSource", "save"]

T = TypeVar("T")


class SnapshotSource:
    """The objects in a file, a directory or at a URL. It is read once, and again when the file has changed.

    Raises ``SnapshotError`` where there is no such file. Whether it is a snapshot turns out when it is read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._location: Location = locate(path)
        self._version = ""
        self._contents = Contents()
        self._about: Metadata | None = None
        self._taken_at: datetime | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        return f"snapshot {self._location.shown} {self._location.version()}"

    @property
    def context(self) -> str:
        return self._location.name

    @property
    def description(self) -> str:
        of = f" of {self._about.context}" if self._about and self._about.context else ""
        taken = f", taken {self._taken_at:%Y-%m-%d %H:%M} UTC" if self._taken_at else ""
        return f"snapshot {self._location.shown}{of}{taken}"

    def now(self) -> datetime:
        """When it was taken or, where nothing in it tells, when the file was written."""
        return self._taken_at or self._location.modified() or datetime.now(UTC)

    async def open(self) -> None:
        """Nothing to find out: the properties are known without reading."""

    async def read(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str] = (),
        *,
        on_page: OnPage | None = None,
        max_concurrency: int = 10,  # noqa: ARG002 - one file is read by one reader
        timeout: float = 30.0,  # noqa: ARG002 - that is for servers that do not answer; a large file takes its time
        fall_back_to: Sequence[str] = (),  # noqa: ARG002 - nothing in a file is forbidden
    ) -> list[Read]:
        """The objects of these kinds; see ``Source.read``."""
        contents = await self._load(kinds, on_page)
        reads = contents.reads(kinds, namespaces)
        if on_page:
            totals = dict.fromkeys((kind.kind for kind in kinds), 0)
            for read in reads:
                totals[read.kind] += len(read.objects)
            for kind, total in totals.items():
                on_page(kind, "", total, True)
        return reads

    async def select(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str],
        selector: str,
        *,
        max_concurrency: int = 10,  # noqa: ARG002
        timeout: float = 30.0,  # noqa: ARG002
    ) -> set[ObjectRef]:
        contents = await self._load(kinds)
        return contents.select(kinds, namespaces, selector)

    async def namespaces(self) -> list[str] | None:
        """The namespaces that have an object in the snapshot."""
        return (await self._load(list(SAVED.values()))).namespaces()

    async def close(self) -> None:
        """Forget what was read."""
        self._version, self._contents = "", Contents()

    async def pages(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str] = (),
        *,
        results: list[ReadResult],
        max_concurrency: int = 10,  # noqa: ARG002
        timeout: float = 30.0,  # noqa: ARG002
        fall_back_to: Sequence[str] = (),  # noqa: ARG002
    ) -> AsyncIterator[tuple[type[Resource], str, bytes | bytearray | None]]:
        """The lists with all their fields, to save them again: the way from another tool's dump to our archive."""
        contents = await self._load(kinds)
        results += [read.result for read in contents.reads(kinds, namespaces)]
        with closing(self._pages(kinds, namespaces)) as pages:
            while (page := await in_thread(lambda: next(pages, None))) is not None:
                yield page

    # --- loading -----------------------------------------------------------------------------------------

    async def _load(self, kinds: Sequence[type[Resource]], on_page: OnPage | None = None) -> Contents:
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def on_objects(kind: str, number: int) -> None:
            if stopped.is_set():
                raise _Stopped
            if on_page:
                loop.call_soon_threadsafe(on_page, kind, "", number, False)

        try:
            return await in_thread(lambda: self._loaded(kinds, on_objects, stopped.is_set))
        finally:
            # A reading that was interrupted ends at the next file; nobody waits for it any more.
            stopped.set()

    def _loaded(
        self,
        kinds: Sequence[type[Resource]],
        on_objects: Callable[[str, int], None],
        is_stopped: Callable[[], bool],
    ) -> Contents:
        with self._lock:
            if (version := self._location.version()) != self._version:
                # The file may have become a directory, or have gone.
                self._location = locate(self._path)
                self._contents, self._about, self._taken_at = Contents(), None, None
            lacking = [kind for kind in kinds if kind.kind not in self._contents.kinds]
            if lacking:
                self._read(lacking, on_objects, is_stopped)
            self._version = version
            return self._contents

    def _read(
        self, kinds: Sequence[type[Resource]], on_objects: Callable[[str, int], None], is_stopped: Callable[[], bool]
    ) -> None:
        shown = self._location.shown
        with closing(members_of(self._location, Budget())) as members:
            about, files = self._recognized(members)
            if about is not None:
                self._about = about
                contents, taken_at = archive.contents_of(files, kinds, on_objects)
                self._contents.kinds.update(contents.kinds)
                self._taken_at = taken_at or about.started_at
                return
            dump = dumps.read_dump(files, self._location.name, on_objects, is_stopped)
        if is_stopped():
            raise _Stopped
        if not dump.objects:
            if dump.problems:
                raise SnapshotError(_damage(shown, dump.problems), advice=dumps.accepted())
            raise SnapshotError(f"{shown} holds no Kubernetes objects", advice=dumps.accepted())
        self._contents = dump.contents
        self._taken_at = dump.contents.newest_time() or self._location.modified()

    def _recognized(self, members: Iterator[Member]) -> tuple[Metadata | None, Iterator[Member]]:
        """The metadata of one of our archives, or None, and all members but that."""
        shown = self._location.shown
        try:
            first = next(members, None)
            if first is None:
                raise SnapshotError(f"{shown} holds no JSON or YAML files", advice=dumps.accepted())
            if first[0] != archive.METADATA:
                return None, chain([first], members)
            data = first[1]()
        except SnapshotError:
            raise
        except DAMAGE as error:
            reason = quote(str(error)) or type(error).__name__
            raise SnapshotError(f"{shown} is damaged: {reason}", advice=dumps.accepted()) from error
        about = archive.metadata_of(first[0], data)
        if about is None:
            return None, chain([(first[0], lambda: data)], members)
        archive.check_version(about, shown)
        return about, members

    def _pages(
        self, kinds: Sequence[type[Resource]], namespaces: Sequence[str]
    ) -> Generator[tuple[type[Resource], str, bytes]]:
        with closing(members_of(self._location, Budget())) as members:
            about, files = self._recognized(members)
            if about is None:
                yield from dumps.pages_of(files, self._location.name, kinds, namespaces)
            else:
                yield from archive.copied_pages(files, kinds, namespaces)


class _Stopped(Exception):
    """Ends a reading that was interrupted."""


def _damage(shown: str, problems: list[dumps.Problem]) -> str:
    first = problems[0]
    where = f" ({first.name})" if not shown.endswith(first.name) else ""
    return f"{shown} is damaged{where}: {first.reason}"
