"""What a snapshot or the demo holds, and how it answers what a cluster would be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.decode import Undecodable
from k8sgpt_magic.cluster.resources import Event, Lease, Node, ObjectRef, Pod, Resource
from k8sgpt_magic.cluster.source import Read
from k8sgpt_magic.cluster.view import ReadResult

NOT_HELD = "not in the snapshot"


class KindContents(Struct):
    """One kind: its objects by namespace, and how their reading went, by scope ("" for all namespaces)."""

    objects: dict[str, list[Any]] = field(default_factory=dict)
    undecodable: list[Undecodable] = field(default_factory=list)
    results: dict[str, ReadResult] = field(default_factory=dict)

    def add(self, found: Iterable[Resource]) -> None:
        for each in found:
            self.objects.setdefault(each.metadata.namespace, []).append(each)

    def count(self) -> int:
        return sum(len(found) for found in self.objects.values())


class Contents(Struct):
    kinds: dict[str, KindContents] = field(default_factory=dict)

    def reads(self, kinds: Sequence[type[Resource]], namespaces: Sequence[str]) -> list[Read]:
        """The answer to ``Source.read``. A kind or namespace that is not held counts as not read, never as empty."""
        return [read for kind in kinds for scope in kind.scopes(namespaces) for read in self._reads(kind.kind, scope)]

    def select(self, kinds: Sequence[type[Resource]], namespaces: Sequence[str], selector: str) -> set[ObjectRef]:
        wanted = selectors.parse(selector)
        return {
            each.ref
            for read in self.reads(kinds, namespaces)
            for each in read.objects
            if selectors.matches(wanted, each.metadata.labels)
        }

    def namespaces(self) -> list[str]:
        """The namespaces that have an object here, Namespace or other."""
        found = {namespace for held in self.kinds.values() for namespace in held.objects}
        named = self.kinds.get("Namespace")
        found.update(each.name for each in (named.objects.get("", ()) if named else ()))
        return sorted(found - {""})

    def newest_time(self) -> datetime | None:
        """The newest time at which something is said to have happened: a dump was taken then, or soon after."""
        return max(
            (
                time
                for held in self.kinds.values()
                for found in held.objects.values()
                for each in found
                for time in _times(each)
                if time is not None
            ),
            default=None,
        )

    def _reads(self, kind: str, scope: str) -> list[Read]:
        held = self.kinds.get(kind, KindContents())
        results = held.results or {"": ReadResult(kind=kind, status="absent", reason=NOT_HELD)}
        if scope:
            result = results.get(scope) or results.get("")
            if result is None:
                result = ReadResult(kind=kind, status="absent", reason=NOT_HELD)
            damaged = [each for each in held.undecodable if each.ref.namespace in (scope, "")]
            return [_read(kind, scope, result, held.objects.get(scope, []), damaged)]
        reads = []
        for namespace, result in results.items():
            if namespace:
                objects = held.objects.get(namespace, [])
                damaged = [each for each in held.undecodable if each.ref.namespace == namespace]
            else:
                # Where some namespaces were read one by one, the rest is what the list of all of them gave.
                own = [found for each, found in held.objects.items() if not each or each not in results]
                objects = own[0] if len(own) == 1 else [each for found in own for each in found]
                damaged = [
                    each for each in held.undecodable if not each.ref.namespace or each.ref.namespace not in results
                ]
            reads.append(_read(kind, namespace, result, objects, damaged))
        return reads


def _read(kind: str, namespace: str, result: ReadResult, objects: list[Any], undecodable: list[Undecodable]) -> Read:
    # Callers mark results as coming from their cache; the next reading starts unmarked.
    own = msgspec.structs.replace(result, namespace=namespace, objects=len(objects), from_cache=False)
    return Read(kind, namespace, own, objects, undecodable)


def _times(each: Any) -> Iterable[datetime | None]:
    yield each.metadata.creation_timestamp
    if isinstance(each, Event):
        yield each.last_seen
    elif isinstance(each, Lease):
        yield each.spec.renew_time
    elif isinstance(each, Pod):
        status = each.status
        yield from (condition.last_transition_time for condition in status.conditions)
        for container in (*status.container_statuses, *status.init_container_statuses):
            if container.state.running:
                yield container.state.running.started_at
            if container.state.terminated:
                yield container.state.terminated.finished_at
    elif isinstance(each, Node):
        yield from (condition.last_heartbeat_time for condition in each.status.conditions)
    else:
        conditions = getattr(getattr(each, "status", None), "conditions", ())
        yield from (getattr(condition, "last_transition_time", None) for condition in conditions)
