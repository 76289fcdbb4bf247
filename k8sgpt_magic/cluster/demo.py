"""The demo: a cluster inside the package, with the same things broken every time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from k8sgpt_magic.cluster import dumps
from k8sgpt_magic.cluster.contents import Contents
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.members import Member
from k8sgpt_magic.cluster.resources import ObjectRef, Resource
from k8sgpt_magic.cluster.source import OnPage, Read
from k8sgpt_magic.cluster.view import ReadResult
from k8sgpt_magic.engine import in_thread

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class DemoSource:
    """A small shop on a small cluster. All of it is there, so what is not there is missing."""

    identity = "demo"
    context = "demo"
    description = "the demo cluster inside this package, as of 2026-11-02 09:00 UTC"

    def now(self) -> datetime:
        return NOW

    async def open(self) -> None:
        """Nothing to find out: the properties are known without reading."""

    async def read(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str] = (),
        *,
        on_page: OnPage | None = None,
        max_concurrency: int = 10,  # noqa: ARG002
        timeout: float = 30.0,  # noqa: ARG002
        fall_back_to: Sequence[str] = (),  # noqa: ARG002
    ) -> list[Read]:
        reads = (await in_thread(_contents)).reads(kinds, namespaces)
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
        return (await in_thread(_contents)).select(kinds, namespaces, selector)

    async def namespaces(self) -> list[str] | None:
        return (await in_thread(_contents)).namespaces()

    async def close(self) -> None:
        """Nothing is open."""

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
        contents = await in_thread(_contents)
        results += [read.result for read in contents.reads(kinds, namespaces)]
        for page in await in_thread(lambda: list(dumps.pages_of(_files(), "demo", kinds, namespaces))):
            yield page


@cache
def _contents() -> Contents:
    dump = dumps.read_dump(_files(), "demo", lambda _kind, _number: None)
    for kind, held in dump.contents.kinds.items():
        is_served = not SAVED[kind].optional or bool(held.objects)
        held.results = {
            "": ReadResult(kind=kind)
            if is_served
            else ReadResult(kind=kind, status="absent", reason="not served by the demo")
        }
    return dump.contents


def _files() -> list[Member]:
    folder = resources.files("k8sgpt_magic") / "data" / "demo"
    return [
        (each.name, each.read_bytes)
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(".yaml")
    ]
