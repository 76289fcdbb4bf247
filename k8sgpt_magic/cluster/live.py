"""A cluster behind a Kubernetes API server.

Lists are fetched as bytes, all kinds at the same time, and decoded page by page, so that no more than two pages of
each kind are ever in memory as text. Only GET is ever sent. What cannot be read is recorded, kind by kind.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote as quote_path

from k8sgpt_magic.cluster import listing
from k8sgpt_magic.cluster.connection import Answered, Connection, NoConnection, OutOfTime, Reading, RequestFailed
from k8sgpt_magic.cluster.decode import Page, decode_page
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.kubeconfig import Access
from k8sgpt_magic.cluster.listing import FAILURES, Recorded, reason
from k8sgpt_magic.cluster.resources import ObjectRef, Pod, Resource
from k8sgpt_magic.cluster.sharing import share_pod_parts
from k8sgpt_magic.cluster.source import OnPage, Read
from k8sgpt_magic.cluster.view import ReadResult
from k8sgpt_magic.errors import Forbidden, K8sGPTError, ServerError, Unauthorized, Unreachable

# As many as kubectl asks for. Pages of 1000 save 8 of 42 requests for a cluster of 5,000 pods, which is no time that
# could be measured, and take a quarter more memory at the peak.
PAGE = 500

# A kubelet answers at once or is not there.
_LOG_SECONDS = 10.0


class LiveSource:
    """The cluster of a kubeconfig's context, or the one this runs in. Nothing is read before ``read``."""

    def __init__(self, *, context: str = "", kubeconfig: str = "") -> None:
        self._context = context
        self._kubeconfig = kubeconfig
        self._connection = Connection(context, kubeconfig)

    @property
    def identity(self) -> str:
        if (access := self._connection.access) is None:
            return f"live:{self._kubeconfig}:{self._context}"
        return f"live:{access.server}:{access.context}:{access.user}"

    @property
    def context(self) -> str:
        return access.context if (access := self._connection.access) else self._context

    @property
    def description(self) -> str:
        access = self._connection.access
        return f"{access.server} (context {access.context})" if access else "a cluster"

    @property
    def access(self) -> Access:
        """How the cluster is reached, once ``open`` has found out."""
        if self._connection.access is None:
            raise RuntimeError("the source is not open")
        return self._connection.access

    @property
    def connection(self) -> Connection:
        return self._connection

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def open(self) -> None:
        """Find the cluster and the credentials for it, again where the kubeconfig has changed."""
        await self._connection.open()

    async def close(self) -> None:
        await self._connection.close()

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
        """List kinds; see ``Source.read``. Where all namespaces may not be listed, ``fall_back_to`` are, or else the
        namespace of the context. ``timeout`` bounds all of it; what came until then is returned."""
        reading = await self._connection.begin(max_concurrency, timeout)
        others = list(fall_back_to) or [reading.access.namespace]

        async def one(kind: type[Resource], scope: str) -> list[Read]:
            read = await self.read_one(reading, kind, scope, on_page)
            if read.result.status != "forbidden" or scope or not kind.namespaced:
                return [read]
            return [read, *await _gathered([self.read_one(reading, kind, name, on_page) for name in others])]

        outcomes: list[list[Read]] = await _gathered(
            [one(kind, scope) for kind in kinds for scope in kind.scopes(namespaces)]
        )
        reads = [read for outcome in outcomes for read in outcome]
        _raise_if_nothing(reading, [read.result for read in reads])
        return reads

    async def select(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str],
        selector: str,
        *,
        max_concurrency: int = 10,
        timeout: float = 30.0,
    ) -> Collection[ObjectRef]:
        """The objects that a label selector picks. The server picks them; only their metadata is sent.

        What may not be listed is passed over, as it was said when the objects themselves were read. All else raises
        ``K8sGPTError``: findings that a failure hides would look like none.
        """
        reading = await self._connection.begin(max_concurrency, timeout)

        async def scoped(kind: type[Resource], scope: str) -> set[ObjectRef]:
            selected: set[ObjectRef] = set()
            async with aclosing(
                listing.pages(self._connection, reading, kind, scope, limit=PAGE, selector=selector)
            ) as bodies:
                async for body in bodies:
                    if body is None:
                        selected.clear()
                    else:
                        page: Page[Resource] = decode_page(kind, body)
                        selected.update(each.ref for each in page.objects)
                        selected.update(each.ref for each in page.undecodable)
            return selected

        async def one(kind: type[Resource], scope: str) -> set[ObjectRef]:
            for each in (scope, reading.access.namespace) if kind.namespaced and not scope else (scope,):
                try:
                    return await scoped(kind, each)
                except Answered as answer:
                    if answer.status not in (403, 404):
                        raise _error(reading, answer) from answer
                except FAILURES as failure:
                    raise _error(reading, failure) from failure
            return set()

        found = await _gathered([one(kind, scope) for kind in kinds for scope in kind.scopes(namespaces)])
        return set[ObjectRef]().union(*found)

    async def pages(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str] = (),
        *,
        results: list[ReadResult],
        max_concurrency: int = 10,
        timeout: float = 30.0,
        fall_back_to: Sequence[str] = (),
    ) -> AsyncGenerator[tuple[type[Resource], str, bytes | bytearray | None], None]:
        """The pages of lists as the server sends them (Secrets: without values), with kind and scope, for a snapshot.

        A body of None says that the list starts again, and that the pages before it do not count. ``results`` gets
        how each list went. Lists are read one after the other, so that memory stays small, and ``timeout`` bounds
        each page: how long all of it takes depends on what the caller does with them.
        """
        reading = await self._connection.begin(max_concurrency, timeout)
        reading.deadline = None
        for kind in kinds:
            left = kind.scopes(namespaces)
            while left:
                scope = left.pop(0)
                result = ReadResult(kind=kind.kind, namespace=scope)
                results.append(result)
                with Recorded(reading, result) as recorded:
                    async with aclosing(
                        listing.pages(self._connection, reading, kind, scope, limit=PAGE, result=result)
                    ) as bodies:
                        async for body in bodies:
                            recorded.has_begun = body is not None
                            yield kind, scope, body
                if result.status == "forbidden" and not scope and kind.namespaced:
                    left = list(fall_back_to) or [reading.access.namespace]
        _raise_if_nothing(reading, results)

    async def logs(self, namespace: str, pod: str, container: str, *, previous: bool, lines: int, limit: int) -> str:
        """The end of a container's log; see ``LogSource.logs``."""
        reading = await self._connection.begin(1, _LOG_SECONDS)
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(limit)}
        if previous:
            query["previous"] = "true"
        path = f"{Pod.api_path(namespace)}/{quote_path(pod, safe='')}/log"
        try:
            body = await self._connection.get(reading, path, query, "text/plain, */*")
        except Answered as answer:
            if answer.status == 403:
                raise Forbidden(
                    f"not readable, which needs the verb get on pods/log in namespace {namespace!r}"
                ) from answer
            raise ServerError(reason(answer)) from answer
        except FAILURES as failure:
            raise _error(reading, failure) from failure
        return body.decode(errors="replace")

    # --- one list ----------------------------------------------------------------------------------------

    async def read_one(
        self, reading: Reading, kind: type[Resource], namespace: str, on_page: OnPage | None = None
    ) -> Read:
        """One kind in one scope. Never raises but for cancellation: the result says how it went."""
        result = ReadResult(kind=kind.kind, namespace=namespace)
        read = Read(kind.kind, namespace, result)
        with Recorded(reading, result) as recorded:
            async with aclosing(
                listing.pages(self._connection, reading, kind, namespace, limit=PAGE, result=result)
            ) as bodies:
                async for body in bodies:
                    if body is None:
                        read.objects, read.undecodable, recorded.has_begun = [], [], False
                        continue
                    page: Page[Resource] = decode_page(kind, body)
                    # Not held while the next page is waited for.
                    del body
                    share_pod_parts(page.objects, read.objects[-1] if read.objects else None)
                    read.objects += page.objects
                    read.undecodable += page.undecodable
                    read.resource_version = page.resource_version
                    recorded.has_begun = True
                    if on_page:
                        on_page(kind.kind, namespace, len(read.objects), False)
        result.objects = len(read.objects)
        read.failure = recorded.failure
        if on_page:
            on_page(kind.kind, namespace, len(read.objects), True)
        return read


# --- errors ----------------------------------------------------------------------------------------------


def _raise_if_nothing(reading: Reading, results: Sequence[ReadResult]) -> None:
    """Raise where there is nothing to show for: no list was read, and not because its API is not served."""
    if not results or any(result.status in ("read", "partial") for result in results):
        return
    if reading.failure is not None:
        raise _error(reading, reading.failure)
    forbidden = [result for result in results if result.status == "forbidden"]
    if forbidden:
        # The narrowest of the refusals is the one whose grant is the least to ask for.
        raise _forbidden(reading, forbidden[-1])
    if any(not KINDS[result.kind].group for result in results if result.kind in KINDS):
        # What is in the core group every API server has.
        raise ServerError(
            f"The server {reading.access.host} (context {reading.access.context!r}) answers 404 to every list: "
            f"{results[0].reason}",
            advice="Is it the address of a Kubernetes API server? Compare it with kubectl cluster-info.",
        )


def _error(reading: Reading, failure: BaseException) -> K8sGPTError:
    access = reading.access
    where, why = f"API server {access.host} (context {access.context!r})", reason(failure)
    if isinstance(failure, Answered) and failure.status == 401:
        return Unauthorized(
            f"The {where} did not accept the credentials of user {access.user!r}: {why}",
            advice="The token may have expired: log in again; with a credential plugin any kubectl command does.",
        )
    if isinstance(failure, NoConnection) or (isinstance(failure, RequestFailed) and not reading.has_answered):
        return Unreachable(
            f"No answer from the {where}: {why}",
            advice="Check the network or VPN and the kubeconfig (kubectl cluster-info), or raise --timeout.",
        )
    if isinstance(failure, OutOfTime):
        advice = "Raise --timeout."
    else:
        advice = "" if isinstance(failure, Answered) and failure.status < 500 else "Try again in a moment."
    return ServerError(f"The {where} failed: {why}", advice=advice)


def _forbidden(reading: Reading, refused: ReadResult) -> Forbidden:
    kind, access = KINDS[refused.kind], reading.access
    role = f"Role in {refused.namespace!r}" if refused.namespace else "ClusterRole"
    return Forbidden(
        f"User {access.user!r} of context {access.context!r} may read nothing of what was asked for: "
        f"{refused.reason}",
        advice=f"A {role} with {{apiGroups: [{kind.group!r}], resources: [{kind.plural}], verbs: [list]}}, and "
        "so on for each kind, would grant it; or name a namespace that you may read with -n.",
    )


async def _gathered(coroutines: Sequence[Any]) -> list[Any]:
    """The results of coroutines that run together; when this is cancelled, so are they, before it returns."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
