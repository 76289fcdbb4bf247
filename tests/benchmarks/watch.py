"""A watch of a busy cluster against the bare reading of the same stream: CPU seconds, and how soon a change is shown."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from tests.cluster.servers import kubeconfig

from .measure import Row, at_most, in_fresh_process, median, milliseconds, table
from .objects import fails, objects, pages

PODS = 5_000
RATE = 100
SECONDS = 20.0
INTERVAL = 2.0
TARGET_DECODED = 8.0
TARGET_CPU = 0.5
# One interval to wait for the turn at the worst, one analysis and one rendering of what it found.
TARGET_SHOWN = 3.0

_TICK = 0.05
_SENT = re.compile(r"sent-(\d+\.\d+)")


# --- the server, a process of its own --------------------------------------------------------------------------


class Cluster:
    """Lists a made-up cluster and sends changes of its pods to whoever watches them, at an even rate.

    Every second one of them is a healthy pod that fails now, with the time in its message.
    """

    def __init__(self, pods: int, rate: int) -> None:
        self.rate = rate
        self.found = list(objects(pods))
        self.pods = [each for each in self.found if each["kind"] == "Pod"]
        self.healthy = [pod for number, pod in enumerate(self.pods) if not fails(number)]
        self.lists: defaultdict[str, list[bytes]] = defaultdict(list)
        for kind, body in pages(self.found):
            self.lists[f"{kind.lower()}s"].append(body)
        self.version = 1_000_000

    async def answer(self, request: web.Request) -> web.StreamResponse:
        plural = request.path.rpartition("/")[2]
        if "watch" in request.query:
            return await self._stream(request, self.rate if plural == "pods" else 0)
        bodies = self.lists.get(plural) or [b'{"kind":"List","metadata":{"resourceVersion":"1"},"items":[]}']
        at = int(request.query.get("continue", 0))
        body = bodies[at]
        if at + 1 < len(bodies):
            body = body.replace(b'"metadata":{', b'"metadata":{"continue":"%d",' % (at + 1), 1)
        return web.Response(body=body, content_type="application/json")

    async def _stream(self, request: web.Request, rate: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        began, sent, failed = time.monotonic(), 0, 0
        while True:
            await asyncio.sleep(_TICK)
            due = int((time.monotonic() - began) * rate) - sent
            lines = []
            for number in range(sent, sent + due):
                is_failing = number % rate == rate - 1
                lines.append(self._failed(failed) if is_failing else self._restarted(number))
                failed += is_failing
            sent += due
            if lines:
                await response.write(b"".join(lines))

    def _restarted(self, number: int) -> bytes:
        pod = self.pods[number * 7919 % len(self.pods)]
        status = pod["status"]["containerStatuses"][1]
        status["restartCount"] = status.get("restartCount", 0) + 1
        return self._line(pod)

    def _failed(self, number: int) -> bytes:
        pod = self.healthy[number % len(self.healthy)]
        waiting = {"reason": "ImagePullBackOff", "message": f"sent-{time.time():.3f}"}
        state = {"ready": False, "started": False, "state": {"waiting": waiting}}
        first, *others = pod["status"]["containerStatuses"]
        changed = {**pod, "status": {**pod["status"], "containerStatuses": [{**first, **state}, *others]}}
        for condition in changed["status"]["conditions"]:
            if condition["type"] in ("Ready", "ContainersReady"):
                condition["status"] = "False"
        return self._line(changed)

    def _line(self, pod: dict[str, Any]) -> bytes:
        self.version += 1
        pod = {**pod, "metadata": {**pod["metadata"], "resourceVersion": str(self.version)}}
        return msgspec.json.encode({"type": "MODIFIED", "object": pod}) + b"\n"


def serve(pods: int, rate: int) -> None:
    async def main() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", Cluster(pods, rate).answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(main())


@contextmanager
def served(pods: int, rate: int) -> Iterator[str]:
    """The URL of a server."""
    command = [sys.executable, "-m", "tests.benchmarks.watch", "--serve", "--pods", str(pods), "--rate", str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


# --- what is compared, each in a process of its own ------------------------------------------------------------


def bare(url: str, seconds: float) -> dict[str, float]:
    """Read the stream of pods and drop it."""

    async def main() -> dict[str, float]:
        async with (
            aiohttp.ClientSession(read_bufsize=2**20) as session,
            session.get(f"{url}/api/v1/pods", params={"watch": "1"}) as response,
        ):
            size, began = 0, time.process_time()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    async for chunk in response.content.iter_any():
                        size += len(chunk)
            return {"cpu": time.process_time() - began, "bytes": size}

    return asyncio.run(main())


def decoded(config: str, seconds: float) -> float:
    """Keep lists up to date, without judging them: CPU seconds."""
    from k8sgpt_magic.cluster.kinds import SAVED
    from k8sgpt_magic.cluster.live import LiveSource
    from k8sgpt_magic.cluster.watch import Following

    async def main() -> float:
        source = LiveSource(kubeconfig=config)
        following = Following(source)
        await following.start(list(SAVED.values()))
        began = time.process_time()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await following.run(on_change=lambda: None, on_trouble=lambda: None)
        used = time.process_time() - began
        await source.close()
        return used

    return asyncio.run(main())


def watched(config: str, seconds: float, interval: float) -> dict[str, Any]:
    """A whole watch with a view that renders what a notebook would: CPU seconds, and delays of what is new."""
    from k8sgpt_magic.session import Session
    from k8sgpt_magic.views.watching import render, text
    from k8sgpt_magic.watch import State

    delays: list[float] = []
    judged: list[float] = []
    seen: set[str] = set()

    class View:
        def show(self, state: State) -> None:
            render(state), text(state)
            shown = time.time()
            judged.append(state.summary.seconds)
            for finding in state.findings:
                if finding.id in state.new and finding.id not in seen:
                    seen.add(finding.id)
                    if found := _SENT.search(json.dumps(msgspec.to_builtins(finding))):
                        delays.append(shown - float(found[1]))

    session = Session()
    watch = session.watch(kubeconfig=config, interval=interval)
    began = time.process_time()
    watch.add_view(View())
    watch.wait(seconds)
    used = time.process_time() - began
    findings = len(watch.state.findings)
    session.close()
    return {"cpu": used, "delays": delays, "judged": judged, "findings": findings, "trouble": watch.state.trouble}


def measure(pods: int, rate: int, seconds: float, interval: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory, served(pods, rate) as url:
        config = str(kubeconfig(Path(directory), url))
        return {
            "bare": in_fresh_process(bare, url, seconds),
            "decoded": in_fresh_process(decoded, config, seconds),
            **in_fresh_process(watched, config, seconds, interval),
        }


def run(pods: int = PODS, rate: int = RATE, seconds: float = SECONDS, interval: float = INTERVAL) -> str:
    figures = measure(pods, rate, seconds, interval)
    bare_cpu = figures["bare"]["cpu"]
    delays = sorted(figures["delays"])
    rows = [
        Row("bare reading of the stream, CPU", milliseconds(bare_cpu / seconds), "a second"),
        Row("lists kept up to date, CPU", milliseconds(figures["decoded"] / seconds), "a second"),
        at_most("  / bare reading", figures["decoded"] / bare_cpu, TARGET_DECODED),
        Row("whole watch, CPU", milliseconds(figures["cpu"] / seconds), "a second"),
        Row("  / bare reading", f"{figures['cpu'] / bare_cpu:.1f}"),
        at_most("  share of one core", figures["cpu"] / seconds, TARGET_CPU),
        Row("analyses", str(len(figures["judged"]))),
        Row("one analysis", milliseconds(median(figures["judged"]))),
        Row("findings", f"{figures['findings']:,}"),
        Row("changes that were timed", str(len(delays))),
        at_most("change to shown, median", median(delays), TARGET_SHOWN, " s"),
        at_most("change to shown, longest", delays[-1], 2 * TARGET_SHOWN, " s"),
    ]
    return table(f"Watch of {pods:,} pods with {rate} changes a second, for {seconds:g} s", rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.watch", description=__doc__)
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--interval", type=float, default=INTERVAL)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    if options.pop("serve"):
        serve(options["pods"], options["rate"])
    else:
        print(run(**options))


if __name__ == "__main__":
    main()
