"""API servers that misbehave on purpose: what a real one does too seldom to wait for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, message: str, **headers: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "message": message}
    return web.json_response(body, status=code, headers=headers)


def page(*items: dict[str, Any], token: str = "") -> web.Response:
    return web.json_response(
        {"kind": "List", "metadata": {"continue": token, "resourceVersion": "1"}, "items": list(items)}
    )


def event(type: str, name: str = "", version: str = "", namespace: str = "shop", **fields: Any) -> bytes:
    """A line of a watch's answer; for an ERROR, of a Status with the ``fields``."""
    metadata = {"metadata": {"name": name, "namespace": namespace, "resourceVersion": version}}
    what = fields if type == "ERROR" else {**metadata, **fields}
    return json.dumps({"type": type, "object": what}).encode() + b"\n"


CUT = b""
"""In a watch's answer: the connection breaks here. Without it the server keeps it open."""


def pod(name: str, namespace: str = "shop") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "status": {"phase": "Running"}}


async def _silent(request: web.Request) -> web.StreamResponse:
    """A watch of what never changes."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await asyncio.Event().wait()
    return response


class ScriptedServer:
    """An HTTP server on a port of its own. ``on`` sets what a path answers; all others give an empty list.

    ``requests`` records method, path and query of every request, and its headers.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self.handlers: dict[str, Handler] = {}
        # Any, until the first start has found a free one.
        self.port = 0
        self._start()

    def _start(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait()

    def restart(self, down_for: float) -> None:
        """Break all connections, refuse others for some seconds, and come back on the same port."""
        self.stop()
        time.sleep(down_for)
        self._start()

    def on(self, path: str, handler: Handler) -> None:
        self.handlers[path] = handler

    def answers(self, path: str, *responses: Callable[[], web.Response]) -> None:
        """Give these responses in turn, the last one ever after."""
        left = list(responses)

        async def handler(_: web.Request) -> web.StreamResponse:
            return (left.pop(0) if len(left) > 1 else left[0])()

        self.on(path, handler)

    def watches(
        self, path: str, *answers: Callable[[], web.Response] | list[bytes], lists: Callable[[], web.Response] = page
    ) -> None:
        """Answer lists of a path with ``lists`` and its watches in turn: with a response, or with what a stream has.

        Once the answers are used up, watches stay open and silent.
        """
        left = list(answers)

        async def handler(request: web.Request) -> web.StreamResponse:
            if "watch" not in request.query:
                return lists()
            answer = left.pop(0) if left else []
            if callable(answer):
                return answer()
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            for part in answer:
                if part == CUT:
                    assert request.transport is not None
                    request.transport.close()
                    return response
                await response.write(part)
            await asyncio.Event().wait()
            return response

        self.on(path, handler)

    @property
    def open_connections(self) -> int:
        server = self._runner.server
        return len(server.connections) if server else 0

    def asked(self, path: str) -> list[dict[str, str]]:
        return [query for _, asked, query, _ in self.requests if asked == path]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query), dict(request.headers)))
        handler = self.handlers.get(request.path)
        if handler is None and "watch" in request.query:
            handler = _silent
        return await handler(request) if handler else page()

    def _serve(self) -> None:
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

        async def start() -> web.AppRunner:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            return runner

        runner = self._runner = self.loop.run_until_complete(start())
        self._ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(runner.cleanup())

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def kubeconfig(directory: Path, server: str, *, user: dict[str, Any] | None = None, **cluster: Any) -> Path:
    """Write a kubeconfig with one context, ``test``."""
    path = directory / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
    }
    path.write_text(json.dumps(config))
    return path
