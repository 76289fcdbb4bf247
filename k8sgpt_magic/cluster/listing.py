"""One list of an API server, page by page.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from time import perf_counter
from types import TracebackType

import msgspec
from msgspec import Struct

from k8sgpt_magic.cluster import tables
from k8sgpt_magic.cluster.connection import Answered, Connection, Reading, RequestFailed
from k8sgpt_magic.cluster.decode import ListMeta
from k8sgpt_magic.cluster.discovery import served_path
from k8sgpt_magic.cluster.resources import Resource, Secret, TLSSecret
from k8sgpt_magic.cluster.view import ReadResult
from k8sgpt_magic.decoders import decoder
from k8sgpt_magic.wording import quote

_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


# Seconds that a request takes to be on its way; a server takes many times that to make a page.
_SENDING = 0.002


class NoList(Exception):
    """An answer that is not the list asked for; ``str()`` says what it is."""


FAILURES = (RequestFailed, NoList, msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What can end a list early: the request, the answer, or the decoding of it."""


def reason(failure: BaseException) -> str:
    """Why a list ended early, in words."""
    if isinstance(failure, RequestFailed | NoList):
        return str(failure)
    return f"the answer cannot be decoded: {quote(str(failure))}"


async def pages(
    connection: Connection,
    reading: Reading,
    kind: type[Resource],
    namespace: str,
    *,
    limit: int,
    selector: str = "",
    result: ReadResult | None = None,
) -> AsyncGenerator[bytes | bytearray | None, None]:
    """The bodies of a list's pages; None where the list starts again because its first version is gone.

    The next page is on its way while the caller works on this one. Of Secrets come no values, and with a selector
    metadata alone. Raises one of ``FAILURES``.
    """
    # Paged lists without a resourceVersion are consistent: every page shows the cluster as it was when the first was
    # asked for. With resourceVersion=0 a server ignores the limit, and may answer with what was some time ago.
    query = {"limit": str(limit)}
    accept = _JSON
    if selector:
        query["labelSelector"] = selector
        # A server that cannot leave all else away (of some aggregated API) may send it; never that of Secrets.
        accept = _METADATA if kind in (Secret, TLSSecret) else f"{_METADATA},{_JSON}"
    elif kind is Secret:
        accept, query = tables.ACCEPT, query | tables.QUERY
    if kind.field_selector:
        query["fieldSelector"] = kind.field_selector
    path = await served_path(connection, reading, kind, namespace) if kind.optional else kind.api_path(namespace)
    restarts, token = 0, ""
    following: asyncio.Task[bytearray] | None = None
    try:
        body = await connection.get(reading, path, query, accept, result)
        while True:
            following, before, token = None, token, _continue_token(body)
            if token:
                if token == before:
                    raise NoList("the server sends the same page again and again")
                next_query = query | {"continue": token}
                following = asyncio.create_task(connection.get(reading, path, next_query, accept, result))
                # The caller decodes without giving way, so the request has to leave before it does.
                await asyncio.wait([following], timeout=_SENDING)
            yield tables.secret_list(body) if accept == tables.ACCEPT else body
            if following is None:
                return
            del body
            try:
                body = await following
            except Answered as answer:
                if answer.status != 410 or restarts:
                    raise
                # The continue token has expired: only from the beginning is there a consistent list.
                restarts, token = restarts + 1, ""
                yield None
                body = await connection.get(reading, path, query, accept, result)
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
            if not following.cancelled():
                # Asked for, so that asyncio does not complain of a failure that nobody wanted to know of.
                following.exception()


class Recorded:
    """Writes into a list's result how it went: how long it took and, in place of raising it, what ended it early.

    ``has_begun`` is for the caller to set once a page has come. ``failure`` is what ended it early.
    """

    def __init__(self, reading: Reading, result: ReadResult) -> None:
        self.has_begun = False
        self.failure: Exception | None = None
        self._reading = reading
        self._result = result
        self._began = perf_counter()

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        result = self._result
        result.seconds = perf_counter() - self._began
        if not isinstance(error, FAILURES):
            return False
        self.failure = error
        if isinstance(error, Answered) and not self.has_begun and error.status in (403, 404):
            result.status = "forbidden" if error.status == 403 else "absent"
            result.reason = error.message
            return True
        result.status, result.reason = "partial" if self.has_begun else "failed", reason(error)
        if self._reading.failure is None:
            self._reading.failure = error
        return True


# API servers put what a list is before its items, so that most of a page need not be looked at.
_FRONT = re.compile(
    rb'\s*\{\s*"kind"\s*:\s*"(\w+)"\s*,(?:\s*"apiVersion"\s*:\s*"[^"\\]*"\s*,)?\s*"metadata"\s*:\s*(\{[^{}]*\})'
)


class _List(Struct):
    kind: str = ""
    metadata: ListMeta | None = None


def _continue_token(body: bytes | bytearray) -> str:
    """The token of the next page, "" on the last one. Raises ``NoList`` for what is no page of a list."""
    try:
        if front := _FRONT.match(body):
            head = _List(front[1].decode(), decoder(ListMeta).decode(front[2]))
        else:
            head = decoder(_List).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NoList(f"the answer is no list: {quote(body[:200].decode(errors='replace'), 80)}") from None
    if not head.kind.endswith(("List", "Table")):
        raise NoList(f"the answer is no list but {quote(head.kind, 80) or 'something else'}")
    return head.metadata.continue_ if head.metadata else ""
