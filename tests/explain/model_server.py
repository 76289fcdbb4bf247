"""A server that speaks OpenAI's protocol over real HTTP: scripted answers and failures, and every byte it received."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from msgspec import Struct, field

ANSWER = {
    "error": "The container ends right after it starts.",
    "cause": "Its command fails.",
    "steps": ["Read its log.", "Correct the command."],
    "checks": ["kubectl logs web"],
    "fixes": [],
    "confidence": "high",
    "docs": "https://kubernetes.io/docs/tasks/debug/",
}


class Reply(Struct, kw_only=True):
    """How the server answers one request.

    ``cut`` ends a stream after so many parts: ``clean`` closes it properly, otherwise the connection breaks. ``raw``
    is sent as it is in place of a completion. ``pause`` is waited for after each part.
    """

    text: str = field(default_factory=lambda: json.dumps(ANSWER))
    status: int = 200
    error: Any = None
    headers: Mapping[str, str] = {}
    cut: int | None = None
    clean: bool = False
    finish_reason: str | None = "stop"
    raw: bytes | None = None
    content_type: str = "text/event-stream"
    delay: float = 0.0
    pause: float = 0.0
    refusal: str = ""


class ModelServer:
    """Replies in the order given, then with ``default`` for ever. ``refuses`` are parts of a request it does not know:
    a field's name, or a type of ``response_format``."""

    def __init__(self, default: Reply | None = None) -> None:
        self.default = default or Reply()
        self.replies: list[Reply] = []
        self.refuses: set[str] = set()
        self.models = ["llama3.2", "gpt-5.4-mini", "tiny"]
        self.respond: Callable[[dict[str, Any]], Reply] | None = None
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.most_at_once = 0
        self.port = 0
        self._at_once = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def received(self) -> bytes:
        """All bodies, paths and headers, for looking for what should not be there."""
        headers = [f"{name}: {value}".encode() for each in self.headers for name, value in each.items()]
        return b"\n".join([*self.bodies, *(path.encode() for path in self.paths), *headers])

    def application(self) -> web.Application:
        application = web.Application(client_max_size=10_000_000)
        application.router.add_get("/v1/models", self._list)
        application.router.add_post("/{path:.*}", self._complete)
        return application

    async def _list(self, request: web.Request) -> web.Response:
        self.paths.append(request.path_qs)
        return web.json_response(
            {"object": "list", "data": [{"id": each, "object": "model"} for each in self.models]}
        )

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._answer(request)
        finally:
            self._at_once -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.bodies.append(raw)
        self.headers.append(dict(request.headers))
        self.paths.append(request.path_qs)
        body = json.loads(raw)
        sent = {*body, body.get("response_format", {}).get("type")}
        if refused := sorted(self.refuses & {each for each in sent if each}):
            said = {"error": {"message": f"Unsupported parameter: '{refused[0]}'", "type": "invalid_request_error"}}
            return web.json_response(said, status=400)
        scripted = self.replies.pop(0) if self.replies else self.default
        reply = self.respond(body) if self.respond else scripted
        await asyncio.sleep(reply.delay)
        if reply.raw is not None:
            return web.Response(
                body=reply.raw, status=reply.status, headers={**reply.headers, "Content-Type": reply.content_type}
            )
        if reply.status != 200:
            return web.json_response({"error": reply.error or {}}, status=reply.status, headers=reply.headers)
        return await self._stream(request, body, reply)

    async def _stream(self, request: web.Request, body: dict[str, Any], reply: Reply) -> web.StreamResponse:
        common = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": f"{body['model']}-1"}
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **reply.headers})
        await response.prepare(request)

        async def send(choices: list[Any], **more: Any) -> None:
            await response.write(b"data: " + json.dumps({**common, "choices": choices, **more}).encode() + b"\n\n")

        step = max(1, len(reply.text) // 5)
        parts = [reply.text[at : at + step] for at in range(0, len(reply.text), step)]
        for at, part in enumerate(parts):
            if at == reply.cut:
                if not reply.clean and request.transport is not None:
                    request.transport.close()
                return response
            await send([{"index": 0, "delta": {"content": part}, "finish_reason": None}])
            await asyncio.sleep(reply.pause)
        if reply.refusal:
            await send([{"index": 0, "delta": {"refusal": reply.refusal}, "finish_reason": None}])
        await send([{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}])
        if body.get("stream_options", {}).get("include_usage"):
            await send([], usage={"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42})
        await response.write(b"data: [DONE]\n\n")
        return response


@contextmanager
def running(server: ModelServer | None = None) -> Iterator[ModelServer]:
    """A server in a thread of its own, on a free port of this machine."""
    server = server or ModelServer()
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.application(), shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
