"""Lists of a cluster that watches keep up to date.

A watch goes on where a list ended: one request whose answer has a line of JSON for each change and does not end.
Where it breaks it is resumed from the last change that came; where the server no longer knows that (410 Gone), the
kind is listed again. What may be listed and not watched is listed every half minute.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
import tenacity
from msgspec import Raw, Struct

from k8sgpt_magic.cluster import tables
from k8sgpt_magic.cluster.connection import Answered, Interrupted, Reading, RequestFailed, back_off
from k8sgpt_magic.cluster.decode import Undecodable, decode_object, decode_page
from k8sgpt_magic.cluster.discovery import served_path
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.listing import FAILURES, NoList, reason
from k8sgpt_magic.cluster.resources import Lease, Resource, Secret
from k8sgpt_magic.cluster.sharing import share_pod_parts
from k8sgpt_magic.cluster.source import OnPage, Read
from k8sgpt_magic.decoders import decoder
from k8sgpt_magic.errors import K8sGPTError
from k8sgpt_magic.wording import joined, quote

if TYPE_CHECKING:
    from k8sgpt_magic.cluster.live import LiveSource

# The server ends a watch after a time within these, another for each, so that they do not all come back at once.
_LASTS = (240, 480)
# API servers send a bookmark about once a minute where there was anything to tell. A connection that is silent for
# longer may be a dead one; where it is not, resuming it costs one request.
_QUIET = 90.0
_POLL = 30.0
# A watch that lasted this long, or that brought anything, was none that failed.
_WORKED = 5.0
# After so many refusals in a row the list itself may help where resuming does not.
_RESUMES = 3
_CREDENTIALS_SERVE = 60.0
# A credential plugin may open a browser for somebody to log in: not once for each kind, and not all the time.
_LOGIN_AGAIN = 15.0
# Objects are at most 1.5 MB in etcd; what has no line's end by then is something else.
_LONGEST_LINE = 2**25

_TRIED_AGAIN = (*FAILURES, K8sGPTError)


class _Event(Struct):
    type: str
    object: Raw


class _Meta(Struct, rename="camel"):
    resource_version: str = ""


class _Object(Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Versioned(Struct):
    object: _Object


class _Status(Struct):
    code: int = 500
    message: str = ""


_decode_event = decoder(_Event).decode
_decode_version = decoder(_Versioned).decode


class Following:
    """Some kinds of a live cluster: listed by ``start``, kept up to date by ``run``, at hand in ``reads``."""

    def __init__(self, source: LiveSource, *, max_concurrency: int = 10, timeout: float = 30.0) -> None:
        self.source = source
        self.on_change: Callable[[], None] = lambda: None
        self.on_trouble: Callable[[], None] = lambda: None
        self._max_concurrency = max_concurrency
        self._timeout = timeout
        self._lists: list[_WatchedList] = []
        self._others: list[Read] = []
        self._reading: Reading | None = None
        self._reading_since = 0.0
        self._no_credentials: K8sGPTError | None = None
        self._renewal = asyncio.Lock()

    async def start(
        self,
        kinds: Sequence[type[Resource]],
        namespaces: Sequence[str] = (),
        *,
        on_page: OnPage | None = None,
        fall_back_to: Sequence[str] = (),
    ) -> None:
        """List the kinds, as ``Source.read`` does; raises as that does. What may not be listed is not watched."""
        reads = await self.source.read(
            kinds,
            namespaces,
            on_page=on_page,
            max_concurrency=self._max_concurrency,
            timeout=self._timeout,
            fall_back_to=fall_back_to,
        )
        self._others = [read for read in reads if read.result.status in ("forbidden", "absent")]
        self._lists = [_WatchedList(self, read) for read in reads if read not in self._others]

    async def run(self, *, on_change: Callable[[], None], on_trouble: Callable[[], None]) -> None:
        """Watch, whatever happens to the server or the way to it, until cancelled.

        ``on_change`` is called after changes that an analyzer might notice, ``on_trouble`` when ``trouble`` or
        ``note`` has become another. Both run on the event loop, and should only take note.
        """
        self.on_change, self.on_trouble = on_change, on_trouble
        async with asyncio.TaskGroup() as group:
            for each in self._lists:
                group.create_task(each.run())

    def reads(self) -> list[Read]:
        """All as it is now. Of what has not changed since the last time, the very same reads."""
        return [*self._others, *(each.read() for each in self._lists)]

    @property
    def trouble(self) -> str:
        """What is not up to date and why, in one line; "" where all is well."""
        troubled = [each for each in self._lists if each.trouble]
        if not troubled:
            return ""
        which = "" if len(troubled) == len(self._lists) else f" {_plurals(troubled)}"
        return f"reconnecting{which}: {troubled[0].trouble}"

    @property
    def note(self) -> str:
        """What is not watched but only listed now and then; "" where there is no such kind."""
        polled = [each for each in self._lists if each.is_polled]
        return f"Not watched but read again every {_POLL:.0f} s: {_plurals(polled)} (forbidden)." if polled else ""

    async def reading(self) -> Reading:
        """Credentials for a request that may come at any time: those of a minute ago, unless they were of no use."""
        async with self._renewal:
            age = asyncio.get_running_loop().time() - self._reading_since
            if self._no_credentials is not None and age < _LOGIN_AGAIN:
                raise self._no_credentials
            if self._reading is None or age > _CREDENTIALS_SERVE:
                self._no_credentials = None
                try:
                    self._reading = await self.source.connection.begin(self._max_concurrency, self._timeout)
                except K8sGPTError as error:
                    self._no_credentials = error
                    raise
                finally:
                    self._reading_since = asyncio.get_running_loop().time()
                # Each request has its own time.
                self._reading.deadline = None
            return self._reading

    def distrust(self, reading: Reading, failure: RequestFailed) -> None:
        """Find the way and the credentials anew for the next request, as a failure may be due to either."""
        age = asyncio.get_running_loop().time() - self._reading_since
        is_refused = isinstance(failure, Answered) and failure.status == 401
        if self._reading is reading and not (is_refused and age < _LOGIN_AGAIN):
            self._reading = None


class _WatchedList:
    """One kind in one scope."""

    def __init__(self, following: Following, read: Read) -> None:
        self._following = following
        self.kind = KINDS[read.kind]
        self._read = read
        self._objects: dict[tuple[str, str], Resource] = {}
        self._undecodable: dict[tuple[str, str], Undecodable] = {}
        # The list's version, and the last line after it, whose version is looked up only when it is needed.
        self._version = ""
        self._line = b""
        self._refusals = 0
        self.trouble = ""
        self.is_polled = False
        self._is_stale = False
        if read.result.status == "read":
            self._take(read)
        self._read = read

    def read(self) -> Read:
        """The list as it is now."""
        if self._is_stale:
            before = self._read
            self._read = Read(
                before.kind, before.namespace, before.result, [*self._objects.values()], [*self._undecodable.values()]
            )
            self._read.result.objects = len(self._objects)
            self._is_stale = False
        return self._read

    async def run(self) -> None:
        while True:
            # Ends whenever a watch that worked has ended, so that each breakdown begins with a short wait.
            tries = tenacity.AsyncRetrying(
                wait=back_off,
                retry=tenacity.retry_if_exception_type(_TRIED_AGAIN),
                before_sleep=self._tell,
                reraise=True,
            )
            async for attempt in tries:
                with attempt:
                    await self._once()

    async def _once(self) -> None:
        """List if need be, and watch until something ends it. Raises what did, unless the watch had worked."""
        reading = await self._following.reading()
        try:
            if not self._version:
                await self._list(reading)
            if self.is_polled:
                await self._poll()
            await self._watch(reading)
        except RequestFailed as failure:
            self._following.distrust(reading, failure)
            if not isinstance(failure, Answered):
                raise
            if failure.status in (403, 405):
                # It could be listed, or it would not have come this far.
                self.is_polled = True
                self._restored()
                self._following.on_trouble()
                return
            if failure.status not in (401, 429):
                self._refused(is_final=failure.status == 410)
            raise
        except (NoList, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._refused()
            raise

    def _refused(self, *, is_final: bool = False) -> None:
        self._refusals += 1
        if is_final or self._refusals >= _RESUMES:
            self._version, self._line, self._refusals = "", b"", 0

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        # One that expired and is listed again at once is nothing to worry anybody with.
        if error is None or (isinstance(error, Answered) and error.status == 410 and state.attempt_number == 1):
            return
        told = error.message if isinstance(error, K8sGPTError) else reason(error)
        if isinstance(error, Answered) and error.status == 401:
            told += ": log in again, it goes on with the new token"
        if told != self.trouble:
            self.trouble = told
            self._following.on_trouble()

    def _restored(self) -> None:
        if self.trouble:
            self.trouble = ""
            self._following.on_trouble()

    # --- listing -----------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL)
            await self._list(await self._following.reading())

    async def _list(self, reading: Reading) -> None:
        read = await self._following.source.read_one(reading, self.kind, self._read.namespace)
        if read.result.status != "read":
            # What was known of it stays: taken for gone, every problem in it would look resolved.
            if isinstance(read.failure, Answered) and read.failure.status == 401:
                raise read.failure
            raise Interrupted(f"{self.kind.plural} could not be listed, {read.result.reason}")
        if self._take(read):
            self._following.on_change()
        self._restored()

    def _take(self, read: Read) -> bool:
        objects: dict[tuple[str, str], Resource] = {
            (each.metadata.namespace, each.metadata.name): each for each in read.objects
        }
        undecodable = {(each.ref.namespace, each.ref.name): each for each in read.undecodable}
        is_other = objects != self._objects or undecodable != self._undecodable
        self._objects, self._undecodable = objects, undecodable
        self._version, self._line, self._read, self._is_stale = read.resource_version, b"", read, False
        return is_other

    # --- watching ----------------------------------------------------------------------------------------

    async def _watch(self, reading: Reading) -> None:
        loop = asyncio.get_running_loop()
        began, before = loop.time(), self._position()
        query = {
            "watch": "1",
            "resourceVersion": before,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(*_LASTS)),  # noqa: S311 - nobody gains from guessing it
        }
        accept = "application/json"
        if self.kind is Secret:
            accept, query = tables.ACCEPT, query | tables.QUERY
        if self.kind.field_selector:
            query["fieldSelector"] = self.kind.field_selector
        scope, connection = self._read.namespace, self._following.source.connection
        path = (
            await served_path(connection, reading, self.kind, scope)
            if self.kind.optional
            else self.kind.api_path(scope)
        )
        rest = b""
        try:
            stream = connection.stream(reading, path, query, accept, quiet=_QUIET)
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    self._restored()
                    *lines, rest = (rest + chunk).split(b"\n")
                    self._apply(lines)
                    if len(rest) > _LONGEST_LINE:
                        raise NoList("the watch sends something other than lines of JSON")
            raise Interrupted("the server ends the watch again and again")
        except Interrupted:
            # Half a line at the end is a change that will come again.
            if loop.time() - began < _WORKED and self._position() == before:
                raise
            self._refusals = 0

    def _position(self) -> str:
        if self._line:
            self._version, self._line = _decode_version(self._line).object.metadata.resource_version, b""
        return self._version

    def _apply(self, lines: Iterable[bytes]) -> None:
        changed = False
        try:
            for line in lines:
                if line.strip():
                    changed |= self._event(line)
        finally:
            if changed:
                self._is_stale = True
                # Heartbeats tell nothing by coming; that one is missing is noticed by looking now and then.
                if self.kind is not Lease:
                    self._following.on_change()

    def _event(self, line: bytes) -> bool:
        """Apply one change; whether it is one of anything that is looked at."""
        event = _decode_event(line)
        changed = False
        if event.type in ("ADDED", "MODIFIED"):
            for found in self._decoded(event.object):
                changed |= self._put(found)
        elif event.type == "DELETED":
            for found in self._decoded(event.object):
                key = _key(found)
                changed = (self._objects.pop(key, None) or self._undecodable.pop(key, None)) is not None
        elif event.type == "ERROR":
            status = decoder(_Status).decode(event.object)
            raise Answered(status.code, quote(status.message))
        elif event.type != "BOOKMARK":
            raise NoList(f"the watch sends something unknown, {quote(event.type, 40)!r}")
        self._line = line
        return changed

    def _decoded(self, raw: Raw) -> Sequence[Resource | Undecodable]:
        if self.kind is not Secret:
            return [decode_object(self.kind, raw)]
        page = decode_page(self.kind, tables.secret_list(bytes(raw)))
        return [*page.objects, *page.undecodable]

    def _put(self, found: Resource | Undecodable) -> bool:
        key = _key(found)
        before = self._objects.get(key)
        if isinstance(found, Undecodable):
            self._objects.pop(key, None)
            self._undecodable[key] = found
            return True
        was_undecodable = self._undecodable.pop(key, None) is not None
        if before == found:
            # Something has changed that no rule looks at.
            return was_undecodable
        if before is not None:
            share_pod_parts([found], before)
        self._objects[key] = found
        return True


def _key(found: Resource | Undecodable) -> tuple[str, str]:
    return (found.ref.namespace, found.ref.name)


def _plurals(lists: Iterable[_WatchedList]) -> str:
    return joined(sorted({each.kind.plural for each in lists}))
