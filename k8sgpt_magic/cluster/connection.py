"""HTTP to one API server: GET with credentials, tried again while the server is busy or the connection breaks.

aiohttp is used directly, since the bodies of lists stay bytes; the trying again is tenacity's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import tenacity
from msgspec import Struct

from k8sgpt_magic import __version__
from k8sgpt_magic.cluster import kubeconfig as kubeconfigs
from k8sgpt_magic.cluster.kubeconfig import Access
from k8sgpt_magic.cluster.view import ReadResult
from k8sgpt_magic.decoders import decoder
from k8sgpt_magic.engine import T, in_thread
from k8sgpt_magic.errors import K8sGPTError, KubeconfigError
from k8sgpt_magic.wording import quote

MOST_AT_ONCE = 100

_CONNECT_SECONDS = 5.0
_PLUGIN_SECONDS = 60.0
_TRIES = 4
_LONGEST_WAIT = 10.0
_RETRIED = {429, 500, 502, 503, 504}


class RequestFailed(Exception):
    """A request without the answer it was for; ``str()`` says why."""


class Answered(RequestFailed):
    """The server answered, with another status than 200."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.retry_after = retry_after


class NoConnection(RequestFailed):
    """There is no way to the server: no such host, refused, no answer to TCP or TLS."""


class NotTrusted(NoConnection):
    """The server's certificate is not one of those that the kubeconfig trusts."""


class Interrupted(RequestFailed):
    """The connection broke before the whole answer was there."""


class OutOfTime(RequestFailed):
    """The time for the request, or for all of them, was over."""


class Reading:
    """What the requests of one read share: the way, the credentials, the time, and what became known under way.

    With a ``deadline`` all of them have to be answered by then, otherwise each within ``timeout``.
    """

    def __init__(self, access: Access, headers: dict[str, str], max_concurrency: int, timeout: float) -> None:
        self.access = access
        self.headers = headers
        self.gate = asyncio.Semaphore(max(1, min(max_concurrency, MOST_AT_ONCE)))
        self.timeout = timeout
        self.deadline: float | None = asyncio.get_running_loop().time() + timeout
        self.has_answered = False
        # One attempt is enough to find out that a server cannot be reached; the others need not wait for it too.
        self.dead_end: NoConnection | None = None
        # The first failure, to be named should there be nothing else to show.
        self.failure: Exception | None = None
        self.renewal = asyncio.Lock()
        self.is_renewed = False
        # What the server serves, asked for once by whichever list needs it first.
        self.discovery: asyncio.Future[Any] | None = None


class Connection:
    """The connections to the API server of a kubeconfig's context, kept between reads."""

    def __init__(self, context: str = "", kubeconfig: str = "") -> None:
        self._context = context
        self._kubeconfig = kubeconfig
        self._version: object = None
        self._client: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.access: Access | None = None

    async def open(self) -> Access:
        """Find the cluster and the credentials for it, running a credential plugin where there is one.

        A kubeconfig that has changed since is read again: somebody may have logged in or switched the context.
        """
        version = kubeconfigs.version(self._kubeconfig)
        if self.access is None or version != self._version:
            self.access = await self._bounded(lambda: kubeconfigs.load(self._context, self._kubeconfig))
            self._version = version
        return self.access

    async def begin(self, max_concurrency: int, timeout: float) -> Reading:
        """Start a read, with credentials that are fresh. The time that a plugin takes for them does not count."""
        access = await self.open()
        headers = await self._bounded(access.authorization)
        return Reading(access, headers, max_concurrency, timeout)

    async def get(
        self, reading: Reading, path: str, query: dict[str, str], accept: str, result: ReadResult | None = None
    ) -> bytearray:
        """The body of one answer; requests and bytes are added to ``result``. Raises ``RequestFailed``."""
        deadline = reading.deadline or asyncio.get_running_loop().time() + reading.timeout
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_TRIES),
            wait=back_off,
            retry=lambda state: _is_worth_another_try(state, reading),
            reraise=True,
        )
        try:
            async with asyncio.timeout_at(deadline):
                async for attempt in tries:
                    with attempt:
                        async with reading.gate:
                            return await self._with_renewal(reading, path, query, accept, result)
        except TimeoutError:
            raise OutOfTime(f"no answer within {reading.timeout:g} s") from None
        raise AssertionError("tenacity raises what the last try raised")

    async def stream(
        self, reading: Reading, path: str, query: dict[str, str], accept: str, *, quiet: float
    ) -> AsyncGenerator[bytes, None]:
        """The body of one answer as it comes, for as long as it does; first of all b"", once the server has agreed.

        Not counted among the requests that are under way at once, and not tried again. Raises ``RequestFailed``:
        ``Interrupted`` also when nothing has come for ``quiet`` seconds.
        """
        while True:
            access, headers = reading.access, reading.headers
            try:
                # What is compressed may be held back until there is more of it.
                open_ended = {"Accept": accept, "Accept-Encoding": "identity"}
                async with self._answer(reading, path, query, open_ended, quiet) as response:
                    yield b""
                    async for chunk in response.content.iter_any():
                        yield chunk
                return
            except Answered as answer:
                await self._renew_or_raise(reading, access, headers, answer)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # --- one try -----------------------------------------------------------------------------------------

    async def _with_renewal(
        self, reading: Reading, path: str, query: dict[str, str], accept: str, result: ReadResult | None
    ) -> bytearray:
        access, headers = reading.access, reading.headers
        try:
            return await self._get(reading, path, query, accept, result)
        except Answered as answer:
            await self._renew_or_raise(reading, access, headers, answer)
        return await self._get(reading, path, query, accept, result)

    async def _renew_or_raise(
        self, reading: Reading, access: Access, headers: dict[str, str], answer: Answered
    ) -> None:
        """Get new credentials where these were not accepted; raise the answer where that is not it, or of no use."""
        if answer.status != 401:
            raise answer
        try:
            if not await self._renewed(reading, access, headers):
                raise answer
        except K8sGPTError as error:
            raise Answered(401, f"{answer.message}. {error.message}") from error

    async def _renewed(self, reading: Reading, access: Access, headers: dict[str, str]) -> bool:
        """Get new credentials after a 401, once in a read. False where there are none but the old."""
        async with reading.renewal:
            if reading.access is not access or reading.headers is not headers:
                # While this request waited, another one has got them.
                return True
            if reading.is_renewed:
                return False
            reading.is_renewed = True
            renewed = await self._bounded(lambda: kubeconfigs.load(self._context, self._kubeconfig))
            new_headers = await self._bounded(renewed.authorization)
            if (renewed.server, renewed.context) != (access.server, access.context):
                return False
            if new_headers == headers and not renewed.configuration.cert_file:
                return False
            self.access = reading.access = renewed
            reading.headers = new_headers
            return True

    async def _get(
        self, reading: Reading, path: str, query: dict[str, str], accept: str, result: ReadResult | None
    ) -> bytearray:
        if reading.dead_end is not None and not reading.has_answered:
            raise reading.dead_end
        if result is not None:
            result.requests += 1
        async with self._answer(reading, path, query, {"Accept": accept}) as response:
            # Grows in place, where joining the parts in the end would take the memory of another page.
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
        if result is not None:
            result.bytes += len(body)
        return body

    @asynccontextmanager
    async def _answer(
        self,
        reading: Reading,
        path: str,
        query: dict[str, str],
        headers: dict[str, str],
        quiet: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer with status 200, its body not read yet. Raises ``RequestFailed``, also where reading fails."""
        access = reading.access
        try:
            async with self._session(access.proxy).get(
                access.server + path,
                params=query,
                headers=[*headers.items(), *reading.headers.items(), *access.impersonation],
                proxy=None if _is_socks(access.proxy) else access.proxy,
                ssl=access.tls or True,
                server_hostname=access.server_name,
                # A server elsewhere is nobody to show the credentials to.
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=quiet),
            ) as response:
                reading.has_answered = True
                if response.status != 200:
                    raise Answered(response.status, await _message(response), _retry_after(response))
                yield response
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if quiet is not None and isinstance(error, aiohttp.SocketTimeoutError):
                raise Interrupted(f"nothing came for {quiet:g} s") from error
            failure = _failure(error)
            if isinstance(failure, NoConnection):
                reading.dead_end = failure
            raise failure from error

    def _session(self, proxy: str | None) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._client is None or self._client.closed or self._loop is not loop:
            self._loop = loop
            self._client = aiohttp.ClientSession(
                # How many requests are under way is each read's own to say. The resolver is the system's, which
                # knows of VPNs and /etc/hosts what aiohttp's other one does not.
                connector=_socks_connector(proxy)
                if proxy and _is_socks(proxy)
                else aiohttp.TCPConnector(limit=0, resolver=aiohttp.ThreadedResolver()),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                headers={
                    "User-Agent": f"k8sgpt-magic/{__version__}",
                    # API servers compress answers of more than 128 kB. Even without a wire between it costs no
                    # time, since there is so much less to encrypt and decrypt.
                    "Accept-Encoding": "gzip",
                },
                cookie_jar=aiohttp.DummyCookieJar(),
                # Proxies are worked out with the access; credentials of ~/.netrc are not for clusters.
                trust_env=False,
                read_bufsize=2**20,
            )
        return self._client

    async def _bounded(self, function: Callable[[], T]) -> T:
        """What may run a credential plugin, off the loop and not for ever."""
        try:
            async with asyncio.timeout(_PLUGIN_SECONDS):
                return await in_thread(function)
        except TimeoutError:
            context = self.access.context if self.access else self._context
            raise KubeconfigError(
                f"The credentials of {f'context {context!r}' if context else 'the current context'} took more than "
                f"{_PLUGIN_SECONDS:.0f} s.",
                advice="A credential plugin may be waiting for you to log in: run kubectl once in a terminal.",
            ) from None


def _is_socks(proxy: str | None) -> bool:
    return proxy is not None and proxy.lower().startswith("socks5:")


def _socks_connector(proxy: str) -> aiohttp.BaseConnector:
    # Not of aiohttp's own, and few need it.
    from aiohttp_socks import ProxyConnector

    # The proxy looks names up: often only it knows those of the cluster's network.
    return ProxyConnector.from_url(proxy, limit=0, rdns=True)


def _is_worth_another_try(state: tenacity.RetryCallState, reading: Reading) -> bool:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Answered):
        return error.status in _RETRIED
    if isinstance(error, NotTrusted):
        return False
    if isinstance(error, NoConnection):
        # A server that has answered before is restarting; one that never has is somewhere else. That one connection
        # of several was refused is seen a moment later, when another one has brought an answer.
        return reading.has_answered or state.attempt_number == 1
    return isinstance(error, Interrupted)


def back_off(state: tenacity.RetryCallState) -> float:
    """What the server asks for, or longer and longer, with some chance in it so that clients do not come in step."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Answered) and error.retry_after is not None:
        return min(error.retry_after, _LONGEST_WAIT)
    return tenacity.wait_exponential_jitter(multiplier=0.2, max=_LONGEST_WAIT, jitter=0.2)(state)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None


class _Status(Struct):
    message: str = ""


async def _message(response: aiohttp.ClientResponse) -> str:
    """What the server says went wrong: the message of a Status object, or the beginning of whatever else it sent."""
    try:
        body = await response.content.read(16_384)
    except (aiohttp.ClientError, OSError):
        return response.reason or ""
    try:
        return quote(decoder(_Status).decode(body).message) or response.reason or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return quote(body.decode(errors="replace")) or response.reason or ""


def _failure(error: Exception) -> RequestFailed:
    """What an error of aiohttp's means, in the terms of whoever has to do something about it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return NotTrusted(f"its certificate is not trusted ({_plain(error)})")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NoConnection(f"there is no such host ({_plain(error)})")
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return NoConnection(f"TLS failed ({_plain(error)})")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return NoConnection(f"the proxy does not answer ({_plain(error)})")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return NoConnection(f"the proxy refused: {error.status} {quote(error.message, 100)}")
    if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
        return NoConnection(f"no connection within {_CONNECT_SECONDS:g} s")
    if isinstance(error, aiohttp.ClientConnectorError):
        word = "refused" if isinstance(error.os_error, ConnectionRefusedError) else "not possible"
        return NoConnection(f"the connection was {word} ({_plain(error)})")
    if isinstance(error, ValueError):
        return NoConnection("the address of the server or its proxy is none that HTTP can be sent to")
    return Interrupted(f"the connection broke ({_plain(error)})")


def _plain(error: Exception) -> str:
    return quote(str(getattr(error, "os_error", None) or error) or type(error).__name__, 200)
