"""A cluster behind a Kubernetes API server.

Lists are fetched as bytes, all kinds at the same time, and decoded page by page, so that no more than a page of each
kind is ever in memory as text. Only GET is ever sent. What cannot be read is recorded, kind by kind.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import aiohttp
import msgspec
import tenacity
from msgspec import Struct

from k8sgpt_magic import __version__
from k8sgpt_magic.cluster import kubeconfig as kubeconfigs
from k8sgpt_magic.cluster.decode import decode_page
from k8sgpt_magic.cluster.kubeconfig import Access
from k8sgpt_magic.cluster.resources import KINDS, ObjectRef, Resource, Secret
from k8sgpt_magic.cluster.source import OnPage, Read
from k8sgpt_magic.cluster.view import ReadResult
from k8sgpt_magic.engine import in_thread
from k8sgpt_magic.errors import Forbidden, K8sGPTError, KubeconfigError, ServerError, Unauthorized, Unreachable
from k8sgpt_magic.wording import quote

# Larger pages mean fewer round trips; smaller ones less memory. A thousand pods are some five megabytes.
PAGE = 1000

_CONNECT_SECONDS = 5.0
_PLUGIN_SECONDS = 60.0
_TRIES = 4
_LONGEST_WAIT = 10.0
_RETRIED = {429, 500, 502, 503, 504}

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

# The token of the next page stands before the items, so the next page can be asked for before this one is decoded.
_CONTINUE = re.compile(rb'"continue"\s*:\s*"([^"\\]+)"')
_HEAD = 4096
_LIST = re.compile(rb'"(items|metadata|kind)"\s*:')


class _Answered(Exception):
    """The server answered with something else than a list."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class _Interrupted(Exception):
    """The connection broke in the middle of an answer."""


class _Status(Struct):
    message: str = ""


class LiveSource:
    """The cluster of a kubeconfig's context, or the one this runs in. Nothing is read before ``read``."""

    def __init__(self, *, context: str = "", kubeconfig: str = "") -> None:
        self._context = context
        self._kubeconfig = kubeconfig
        self._access: Access | None = None
        self._client: aiohttp.ClientSession | None = None
        self._has_answered = False

    @property
    def identity(self) -> str:
        if self._access is None:
            return f"live:{self._kubeconfig}:{self._context}"
        return f"live:{self._access.server}:{self._access.context}:{self.access.user}"

    @property
    def context(self) -> str:
        return self._access.context if self._access else self._context

    @property
    def description(self) -> str:
        return f"{self._access.server} (context {self._access.context})" if self._access else "a cluster"

    @property
    def access(self) -> Access:
        """How the cluster is reached, once ``open`` has found out."""
        if self._access is None:
            raise RuntimeError("the source is not open")
        return self._access

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def open(self) -> None:
        """Find the cluster and the credentials for it, running a credential plugin where there is one."""
        if self._access is not None:
            return
        try:
            async with asyncio.timeout(_PLUGIN_SECONDS):
                self._access = await in_thread(lambda: kubeconfigs.load(self._context, self._kubeconfig))
        except TimeoutError:
            raise KubeconfigError(
                f"The credentials of context {self._context or 'the current one'!r} took more than "
                f"{_PLUGIN_SECONDS:.0f} s.",
                advice="A credential plugin may be waiting for you to log in: run kubectl once in a terminal.",
            ) from None

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

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
        namespace of the context."""
        await self.open()
        gate = asyncio.Semaphore(min(max_concurrency, 100))
        others = list(fall_back_to) or [self.access.namespace]

        async def one(kind: type[Resource], scope: str) -> list[Read]:
            read = await self._list(kind, scope, gate, timeout, on_page)
            if read.result.status != "forbidden" or scope or not kind.namespaced:
                return [read]
            return [read, *await asyncio.gather(*(self._list(kind, name, gate, timeout, on_page) for name in others))]

        outcomes: list[list[Read]] = await _gathered(
            [one(kind, scope) for kind in kinds for scope in kind.scopes(namespaces)]
        )
        reads = [read for outcome in outcomes for read in outcome]
        self._raise_if_nothing(reads)
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
        """The objects that a label selector picks. The server picks them; only their metadata is sent."""
        await self.open()
        gate = asyncio.Semaphore(min(max_concurrency, 100))
        selected: set[ObjectRef] = set()

        async def one(kind: type[Resource], scope: str) -> None:
            # What may not be listed was already said when the objects themselves were read.
            with suppress(_Answered, TimeoutError, *_BROKEN):
                async with asyncio.timeout(timeout):
                    async for body in self._pages(kind, scope, gate, selector=selector, accept=_METADATA):
                        if body is not None:
                            selected.update(each.ref for each in decode_page(kind, body).objects)

        await _gathered([one(kind, scope) for kind in kinds for scope in kind.scopes(namespaces)])
        return selected

    async def pages(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str] = (),
        *,
        results: list[ReadResult],
        max_concurrency: int = 10,
        timeout: float = 30.0,
        fall_back_to: Sequence[str] = (),
    ) -> AsyncIterator[tuple[type[Resource], str, bytes | None]]:
        """The pages of lists as the server sends them (Secrets: without values), with kind and scope, for a snapshot.

        A body of None says that the list starts again, and that the pages before it do not count. ``results`` gets
        how each list went. ``timeout`` bounds each list; one after the other is read, so that memory stays small.
        """
        await self.open()
        gate = asyncio.Semaphore(min(max_concurrency, 100))
        for kind in kinds:
            left = kind.scopes(namespaces)
            while left:
                scope = left.pop(0)
                result = ReadResult(kind=kind.kind, namespace=scope)
                results.append(result)
                async for body in self._recorded(result, kind, scope, gate, timeout):
                    yield kind, scope, body
                if result.status == "forbidden" and not scope and kind.namespaced:
                    left = list(fall_back_to) or [self.access.namespace]
        self._raise_if_nothing([Read(result.kind, result.namespace, result) for result in results])

    # --- one list ----------------------------------------------------------------------------------------

    async def _list(
        self, kind: type[Resource], namespace: str, gate: asyncio.Semaphore, timeout: float, on_page: OnPage | None
    ) -> Read:
        """One kind in one scope. Never raises but for cancellation: the result says how it went."""
        result = ReadResult(kind=kind.kind, namespace=namespace)
        read = Read(kind.kind, namespace, result)
        async for body in self._recorded(result, kind, namespace, gate, timeout):
            if body is None:
                read.objects, read.undecodable = [], []
                continue
            page = decode_page(kind, body)
            del body
            read.objects += page.objects
            read.undecodable += page.undecodable
            if on_page:
                on_page(kind.kind, namespace, len(read.objects), False)
        result.objects = len(read.objects)
        if on_page:
            on_page(kind.kind, namespace, len(read.objects), True)
        return read

    async def _recorded(
        self, result: ReadResult, kind: type[Resource], namespace: str, gate: asyncio.Semaphore, timeout: float
    ) -> AsyncIterator[bytes | None]:
        """The pages of a list that hold lists; whatever ends it early is written down in ``result``, not raised."""
        began = perf_counter()
        came = False

        def ended(reason: str) -> None:
            result.status, result.reason = "partial" if came else "failed", reason

        try:
            async with asyncio.timeout(timeout):
                async for body in self._pages(kind, namespace, gate, result=result):
                    if body is not None and not _LIST.search(body, 0, _HEAD):
                        ended(f"the answer is no list: {quote(body[:200].decode(errors='replace'), 80)}")
                        break
                    yield body
                    came = body is not None
        except _Answered as answer:
            ended(f"{answer.status} {answer.message}")
            if not came and answer.status in (403, 404):
                result.status = "forbidden" if answer.status == 403 else "absent"
                result.reason = answer.message
        except TimeoutError:
            ended(f"no answer within {timeout:g} s")
        except msgspec.DecodeError as error:
            ended(f"the answer is no list: {error}")
        except _BROKEN as error:
            ended(self._connection_error(error).message)
        finally:
            result.seconds = perf_counter() - began

    async def _pages(
        self,
        kind: type[Resource],
        namespace: str,
        gate: asyncio.Semaphore,
        *,
        result: ReadResult | None = None,
        selector: str = "",
        accept: str = "application/json",
    ) -> AsyncIterator[bytes | None]:
        """The bodies of a list's pages; None where the list starts again because its first version is gone.

        The next page is on its way while the caller works on this one.
        """
        # Paged lists are consistent: every page shows the cluster as it was when the first was asked for.
        query = {"limit": str(PAGE)}
        if selector:
            query["labelSelector"] = selector
        if kind is Secret and accept != _METADATA:
            accept, query["includeObject"] = _TABLE, "Metadata"
        path = kind.api_path(namespace)
        restarts = 0
        following: asyncio.Task[bytes] | None = None
        try:
            body = await self._get(path, query, accept, gate, result)
            while True:
                token = _CONTINUE.search(body, 0, _HEAD)
                following = None
                if token:
                    next_query = query | {"continue": token[1].decode()}
                    following = asyncio.create_task(self._get(path, next_query, accept, gate, result))
                yield _secrets(body) if accept == _TABLE else body
                if following is None:
                    return
                del body
                try:
                    body = await following
                except _Answered as answer:
                    if answer.status != 410 or restarts:
                        raise
                    # The continue token has expired: only from the beginning is there a consistent list.
                    restarts += 1
                    yield None
                    body = await self._get(path, query, accept, gate, result)
        finally:
            if following is not None and not following.done():
                following.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await following

    async def _get(
        self, path: str, query: dict[str, str], accept: str, gate: asyncio.Semaphore, result: ReadResult | None
    ) -> bytes:
        """One GET, tried again (tenacity) while the server is busy or the connection breaks."""
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_TRIES),
            wait=_wait,
            retry=tenacity.retry_if_exception(self._is_worth_another_try),
            reraise=True,
        )
        async for attempt in tries:
            with attempt:
                async with gate:
                    return await self._get_once(path, query, accept, result)
        raise AssertionError("tenacity raises what the last try raised")

    async def _get_once(self, path: str, query: dict[str, str], accept: str, result: ReadResult | None) -> bytes:
        access = self.access
        headers = {"Accept": accept, **access.authorization()}
        if result is not None:
            result.requests += 1
        async with self._session().get(
            access.server + path,
            params=query,
            headers=headers,
            proxy=access.proxy,
            server_hostname=access.server_name,
            allow_redirects=False,
        ) as response:
            self._has_answered = True
            if response.status != 200:
                raise _Answered(response.status, await _message(response), _retry_after(response))
            try:
                body = await response.read()
            except (aiohttp.ClientPayloadError, ConnectionError) as error:
                raise _Interrupted(str(error)) from error
            if result is not None:
                result.bytes += len(body)
            return body

    def _is_worth_another_try(self, error: BaseException) -> bool:
        if isinstance(error, _Answered):
            return error.status in _RETRIED
        if isinstance(error, aiohttp.ClientConnectorError):
            # A server that has answered before is restarting; one that never has is somewhere else.
            return self._has_answered and not isinstance(error, aiohttp.ClientConnectorCertificateError)
        return isinstance(error, (_Interrupted, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError))

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None or self._client.closed:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self.access.tls if self.access.tls else True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                headers={
                    "User-Agent": f"k8sgpt-magic/{__version__}",
                    "Accept-Encoding": "identity" if _is_loopback(self.access.server) else "gzip",
                },
                trust_env=self.access.proxy is None,
                read_bufsize=2**20,
            )
        return self._client

    # --- errors ------------------------------------------------------------------------------------------

    def _raise_if_nothing(self, reads: Sequence[Read]) -> None:
        """Raise where there is nothing to show for: all lists failed, and not because they are not served."""
        if any(read.result.status in ("read", "partial") for read in reads):
            return
        where = f"API server {self.access.host} (context {self.access.context!r})"
        failures = [read for read in reads if read.result.status == "failed"]
        if not failures:
            self._raise_if_forbidden(reads)
            return
        first = failures[0].result.reason
        if first.startswith("401"):
            raise Unauthorized(
                f"The {where} did not accept the credentials of user {self.access.user!r}: {first}",
                advice="The token may have expired: log in again; with a credential plugin any kubectl command does.",
            )
        if self._has_answered:
            raise ServerError(f"The {where} failed: {first}", advice="Try again in a moment.")
        raise Unreachable(
            f"No answer from the {where}: {first}",
            advice="Check the network or VPN and the kubeconfig (kubectl cluster-info), or raise --timeout.",
        )

    def _raise_if_forbidden(self, reads: Sequence[Read]) -> None:
        forbidden = [read for read in reads if read.result.status == "forbidden"]
        if not forbidden:
            return
        # The narrowest of the refusals is the one whose grant is the least to ask for.
        last = forbidden[-1]
        kind = KINDS[last.kind]
        role = "Role" if last.namespace else "ClusterRole"
        raise Forbidden(
            f"User {self.access.user!r} of context {self.access.context!r} may read nothing of what was asked for: "
            + last.result.reason,
            advice=f"A {role} with {{apiGroups: [{kind.group!r}], resources: [{kind.plural}], verbs: [list]}}, and "
            "so on for each kind, would grant it; or name a namespace that you may read with -n.",
        )

    def _connection_error(self, error: BaseException) -> K8sGPTError:
        if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
            return Unreachable(f"its certificate is not trusted ({_plain(error)})")
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return Unreachable(f"there is no such host ({_plain(error)})")
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return Unreachable(f"TLS failed ({_plain(error)})")
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            return Unreachable(f"the proxy does not answer ({_plain(error)})")
        if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
            return Unreachable(f"no connection within {_CONNECT_SECONDS:g} s")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unreachable(f"the connection was refused ({_plain(error)})")
        return Unreachable(f"the connection broke ({_plain(error)})")


_BROKEN = (_Interrupted, aiohttp.ClientError, OSError)


async def _gathered(coroutines: Sequence[Any]) -> list[Any]:
    """The results of coroutines that run together; when this is cancelled, so are they, before it returns."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _wait(state: tenacity.RetryCallState) -> float:
    """What the server asks for, or longer and longer, with some chance in it so that clients do not come in step."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Answered) and error.retry_after is not None:
        return min(error.retry_after, _LONGEST_WAIT)
    return tenacity.wait_exponential_jitter(multiplier=0.2, max=_LONGEST_WAIT, jitter=0.2)(state)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None


async def _message(response: aiohttp.ClientResponse) -> str:
    """What the server says went wrong: the message of a Status object, or the beginning of whatever else it sent."""
    try:
        body = await response.content.read(16_384)
    except (aiohttp.ClientError, OSError):
        return response.reason or ""
    try:
        return quote(msgspec.json.decode(body, type=_Status).message) or response.reason or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return quote(body.decode(errors="replace")) or response.reason or ""


def _plain(error: BaseException) -> str:
    return quote(str(getattr(error, "os_error", None) or error) or type(error).__name__, 200)


def _is_loopback(server: str) -> bool:
    """Compression costs more than it saves where no wire is between."""
    host = server.split("://", 1)[-1].rsplit(":", 1)[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Column(Struct):
    name: str = ""


class _SecretMetadata(Struct, rename="camel", omit_defaults=True):
    """Of a Secret's metadata, annotations stay behind: kubectl's last-applied one holds the values."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: Any = None
    deletion_timestamp: Any = None
    labels: dict[str, str] | None = None
    owner_references: Any = None
    finalizers: Any = None


class _RowObject(Struct):
    metadata: _SecretMetadata = msgspec.field(default_factory=_SecretMetadata)


class _Row(Struct):
    cells: list[Any] = []
    object: _RowObject = msgspec.field(default_factory=_RowObject)


class _Table(Struct, rename="camel"):
    column_definitions: list[_Column] = []
    rows: list[_Row] | None = None
    metadata: dict[str, Any] = {}


def _secrets(body: bytes) -> bytes:
    """A table of Secrets, which has their types and no values, as the list it stands for."""
    table = msgspec.json.decode(body, type=_Table)
    names = [column.name for column in table.column_definitions]
    at = names.index("Type") if "Type" in names else None
    items = [
        {"metadata": row.object.metadata, "type": row.cells[at] if at is not None and at < len(row.cells) else ""}
        for row in table.rows or ()
    ]
    return msgspec.json.encode({"kind": "SecretList", "apiVersion": "v1", "metadata": table.metadata, "items": items})
