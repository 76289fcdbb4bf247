"""The lists that a session has read lately, shared by all its cells."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from msgspec import Struct

from k8sgpt_magic.cluster.resources import ObjectRef, Resource
from k8sgpt_magic.cluster.source import Read


class _Kept(Struct):
    reads: list[Read]
    at: float


class ListCache:
    """Lists by source, kind and namespace ("" for all of them), each with the time it was read.

    An entry for all namespaces serves any of them. What failed half way is never kept.
    """

    def __init__(self) -> None:
        self._lists: dict[tuple[str, str, str], _Kept] = {}
        self._selections: dict[tuple[str, ...], tuple[frozenset[ObjectRef], float]] = {}

    def get(
        self, source: str, kind: type[Resource], namespace: str, max_age: float
    ) -> tuple[list[Read], float] | None:
        """The reads of a kind in a namespace that are at most ``max_age`` seconds old, and their age."""
        for scope in dict.fromkeys(("", namespace)):
            kept = self._lists.get((source, kind.kind, scope))
            if kept is None or (age := time.monotonic() - kept.at) > max_age:
                continue
            if scope == namespace or _covers(kept.reads, namespace):
                return kept.reads, age
        return None

    def put(self, source: str, kind: type[Resource], namespace: str, reads: Sequence[Read]) -> None:
        if reads and all(read.result.status in ("read", "forbidden", "absent") for read in reads):
            self._lists[source, kind.kind, namespace] = _Kept(list(reads), time.monotonic())

    def forget(self, source: str) -> None:
        """Drop all that is kept of a source."""
        self._lists = {key: kept for key, kept in self._lists.items() if key[0] != source}
        self._selections = {key: kept for key, kept in self._selections.items() if key[0] != source}

    def get_selection(self, key: tuple[str, ...], max_age: float) -> frozenset[ObjectRef] | None:
        kept = self._selections.get(key)
        return kept[0] if kept and time.monotonic() - kept[1] <= max_age else None

    def put_selection(self, key: tuple[str, ...], selected: Iterable[ObjectRef]) -> frozenset[ObjectRef]:
        self._selections[key] = (frozenset(selected), time.monotonic())
        return self._selections[key][0]

    def namespaces(self, source: str) -> list[str]:
        """The namespaces that objects read of a source were in, whatever their age: for completion."""
        return sorted(
            {
                each.namespace or (each.name if each.kind == "Namespace" else "")
                for (identity, _, _), kept in list(self._lists.items())
                if identity == source
                for read in kept.reads
                for each in read.objects
            }
            - {""}
        )

    def clear(self) -> None:
        self._lists.clear()
        self._selections.clear()


def _covers(reads: Sequence[Read], namespace: str) -> bool:
    return any(
        (read.namespace == "" and read.result.status in ("read", "absent")) or read.namespace == namespace
        for read in reads
    )
