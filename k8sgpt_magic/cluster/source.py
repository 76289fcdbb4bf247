"""What a source is: a place that lists of Kubernetes objects are read from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct, field

from k8sgpt_magic.cluster.decode import Undecodable
from k8sgpt_magic.cluster.resources import ObjectRef, Resource
from k8sgpt_magic.cluster.view import ReadResult


class Read(Struct):
    """One kind in one scope: a namespace, or "" for all of them. ``result`` says how the reading went.

    ``resource_version`` is the list's, which a watch goes on from; "" of a snapshot. ``failure`` is
    what ended it early.
    """

    kind: str
    namespace: str
    result: ReadResult
    objects: list[Any] = field(default_factory=list)
    undecodable: list[Undecodable] = field(default_factory=list)
    resource_version: str = ""
    failure: Exception | None = None


class OnPage(Protocol):
    """Called after each page, with the objects of that kind and scope so far, and whether it was the last."""

    def __call__(self, kind: str, namespace: str, objects: int, finished: bool) -> None: ...


class Source(Protocol):
    """A cluster, a snapshot or the demo. All methods run on the engine's loop."""

    @property
    def identity(self) -> str:
        """Tells this source's lists from another's in the session's cache: server and user, path and time."""
        ...

    @property
    def context(self) -> str:
        """What to call it in a table: a kubeconfig's context, a file's name, ``demo``."""
        ...

    @property
    def description(self) -> str:
        """Where it is, in one line."""
        ...

    async def open(self) -> None:
        """Find out what the properties say; reads open the source themselves."""
        ...

    async def read(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str] = (),
        *,
        on_page: OnPage | None = None,
        max_concurrency: int = 10,
        timeout: float = 30.0,
        fall_back_to: Sequence[str] = (),
    ) -> list[Read]:
        """List kinds, all at the same time: in the namespaces named, or (none named) in all of them.

        ``Resource.scopes`` says where a kind is listed. Where all namespaces may not be listed, those of
        ``fall_back_to`` are read instead. ``timeout`` bounds all of it. Raises ``K8sGPTError`` only where nothing at
        all could be read; all else is in the results.
        """
        ...

    async def select(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str],
        selector: str,
        *,
        max_concurrency: int = 10,
        timeout: float = 30.0,
    ) -> Collection[ObjectRef]:
        """The objects of these kinds whose labels a selector (``kubectl -l``) picks.

        What may not be listed is passed over. Raises ``K8sGPTError`` where the selection would not be complete.
        """
        ...

    def pages(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str] = (),
        *,
        results: list[ReadResult],
        max_concurrency: int = 10,
        timeout: float = 30.0,
        fall_back_to: Sequence[str] = (),
    ) -> AsyncIterator[tuple[type[Resource], str, bytes | bytearray | None]]:
        """The same lists as the bytes they came as, for a snapshot: kind, scope and body, in any order.

        A body of None says that the list starts again. By the end, ``results`` has a result for each list.
        ``timeout`` bounds each page, since what the caller does with them takes time too.
        """
        ...

    def now(self) -> datetime:
        """The time to judge ages by: the present or, of a snapshot, when it was taken."""
        ...

    async def close(self) -> None:
        """Close connections and files. The source may be used again."""
        ...


@runtime_checkable
class LogSource(Protocol):
    """A source that can read logs as well."""

    async def logs(self, namespace: str, pod: str, container: str, *, previous: bool, lines: int, limit: int) -> str:
        """The last ``lines`` of a container's log, at most ``limit`` bytes; of the run before with ``previous``.

        Raises ``K8sGPTError``.
        """
        ...
