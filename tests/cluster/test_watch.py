"""Watches against servers that misbehave: what was listed stays right, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from k8sgpt_magic.cluster import watch
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.cluster.resources import ConfigMap, Lease, Pod, Secret, Service
from k8sgpt_magic.cluster.watch import Following
from tests.cluster.reading import PODS, SERVICES
from tests.cluster.servers import CUT, event, kubeconfig, page, pod, status

SECRETS = "/api/v1/secrets"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
SECONDS = 15.0
ALWAYS_SERVED = [kind for kind in KINDS.values() if not kind.optional]


class Followed(Following):
    """Counts what it tells, and can be waited for."""

    def __init__(self, source: LiveSource, **options: Any) -> None:
        super().__init__(source, **options)
        self.changes = 0
        self.troubles: list[str] = []

    def names(self, kind: str = "Pod") -> list[str]:
        return sorted(each.name for read in self.reads() if read.kind == kind for each in read.objects)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def follow(
    config: Path, *kinds: Any, namespaces: Sequence[str] = (), **options: Any
) -> AsyncIterator[Followed]:
    source = LiveSource(kubeconfig=str(config))
    followed = Followed(source, **options)

    def on_change() -> None:
        followed.changes += 1

    try:
        await followed.start(kinds or (Pod,), namespaces)
        running = asyncio.create_task(
            followed.run(on_change=on_change, on_trouble=lambda: followed.troubles.append(followed.trouble))
        )
        yield followed
        assert not running.done(), running.exception()
        running.cancel()
        await asyncio.wait([running])
        assert asyncio.all_tasks() == {asyncio.current_task()}
    finally:
        await source.close()


def watched(server: Any, path: str = PODS) -> list[str]:
    """The versions that watches of a path began with."""
    return [query["resourceVersion"] for query in server.asked(path) if "watch" in query]


def listed(server: Any, path: str = PODS) -> int:
    return len([query for query in server.asked(path) if "watch" not in query])


def running(name: str, **more: Any) -> dict[str, Any]:
    return {**pod(name), **more}


def test_changes_are_applied_to_what_was_listed(server, tmp_path):
    server.watches(
        PODS,
        [
            event("ADDED", "three", "2") + event("MODIFIED", "one", "3", status={"phase": "Failed"}),
            event("DELETED", "two", "4"),
        ],
        lists=lambda: page(pod("one"), pod("two")),
    )

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url)) as followed:
            await followed.until(lambda: followed.names() == ["one", "three"])
            [read] = followed.reads()
            assert {each.name: each.status.phase for each in read.objects}["one"] == "Failed"
            assert followed.reads()[0] is read
            assert followed.trouble == ""

    asyncio.run(main())
    [query] = [query for query in server.asked(PODS) if "watch" in query]
    assert (query["resourceVersion"], query["allowWatchBookmarks"]) == ("1", "true")
    assert 240 <= int(query["timeoutSeconds"]) <= 480
    assert listed(server) == 1


def test_a_change_that_no_rule_looks_at_and_a_heartbeat_are_no_changes(server, tmp_path):
    unseen = {"metadata": {"name": "one", "namespace": "shop", "resourceVersion": "2", "annotations": {"a": "b"}}}
    line = json.dumps({"type": "MODIFIED", "object": {**pod("one"), **unseen}}).encode() + b"\n"
    beat = event("MODIFIED", "node", "2", "kube-node-lease", spec={"renewTime": "2026-01-01T00:00:00Z"})
    server.watches(PODS, [line, CUT], lists=lambda: page(pod("one")))
    server.watches(LEASES, [beat, CUT])

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url), Pod, Lease) as followed:
            await followed.until(lambda: watched(server) == ["1", "2"] and watched(server, LEASES) == ["1", "2"])
            assert followed.changes == 0
            assert followed.names("Lease") == ["node"]

    asyncio.run(main())


def test_a_watch_goes_on_from_the_last_whole_line_and_from_bookmarks(server, tmp_path):
    half = event("ADDED", "two", "3")[:40]
    server.watches(
        PODS,
        [event("ADDED", "one", "2"), half, CUT],
        [event("ADDED", "two", "3"), event("BOOKMARK", version="90"), CUT],
    )

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url)) as followed:
            await followed.until(lambda: len(watched(server)) == 3)
            assert followed.names() == ["one", "two"]
            assert set(followed.troubles) <= {""}

    asyncio.run(main())
    assert watched(server) == ["1", "2", "90"]
    assert listed(server) == 1


def test_lines_come_in_pieces_of_any_size(server, tmp_path):
    big = event("ADDED", "big", "2", spec={"nodeName": "n" * 3_000_000})
    server.watches(PODS, [*(big[at : at + 100_000] for at in range(0, len(big), 100_000)), event("ADDED", "x", "3")])

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url)) as followed:
            await followed.until(lambda: followed.names() == ["big", "x"])

    asyncio.run(main())
    assert watched(server) == ["1"]


@pytest.mark.parametrize("how", ["status", "event"])
def test_a_version_that_is_gone_has_the_kind_listed_again(server, tmp_path, how):
    lists = [page(pod("one"), pod("two")), page(pod("two"), pod("three"))]
    gone: Any = (
        (lambda: status(410, "too old resource version"))
        if how == "status"
        else [event("ERROR", kind="Status", code=410, reason="Expired", message="too old resource version")]
    )
    server.watches(PODS, gone, lists=lambda: lists.pop(0))
    server.watches(SERVICES)

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url), Pod, Service) as followed:
            await followed.until(lambda: followed.names() == ["three", "two"])
            await followed.until(lambda: len(watched(server)) == 2)
            assert followed.changes == 1
            # It happens all the time, and is nothing to worry anybody with.
            assert set(followed.troubles) <= {""}

    asyncio.run(main())
    assert (listed(server), listed(server, SERVICES)) == (2, 1)


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again_and_said_to_be_busy(server, tmp_path, code):
    busy = lambda: status(code, "busy", **{"Retry-After": "0.3"})  # noqa: E731
    server.watches(PODS, busy, busy, [event("ADDED", "one", "2")])

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url)) as followed:
            await followed.until(lambda: followed.trouble)
            await followed.until(lambda: followed.names() == ["one"])
            assert followed.troubles == [f"reconnecting: {code} busy", ""]

    asyncio.run(main())
    assert listed(server) == 1
    assert watched(server) == ["1"] * 3


def test_what_resuming_does_not_help_listing_does(server, tmp_path):
    broken = [event("ADDED", "one", "1"), b'{"type":"ADDED","object":{"metadata":\n']
    server.watches(PODS, broken, broken, broken, [event("ADDED", "two", "2")])

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url)) as followed:
            await followed.until(lambda: "two" in followed.names())
            assert any("cannot be decoded" in each for each in followed.troubles)
            assert followed.trouble == ""

    asyncio.run(main())
    assert listed(server) == 2


@pytest.mark.parametrize("line", [b"<html>\n", b"[1]\n", b'{"type":"SURPRISE","object":{}}\n', b"\xff\xfe\n"])
def test_lines_that_are_none_of_a_watch_end_nothing_but_the_connection(server, tmp_path, line):
    server.watches(PODS, [line], [event("ADDED", "one", "2")])

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url)) as followed:
            await followed.until(lambda: followed.names() == ["one"])

    asyncio.run(main())


def test_an_object_that_cannot_be_decoded_costs_itself_until_it_can(server, tmp_path):
    bad = event("MODIFIED", "one", "2", spec={"containers": "none"})
    good = event("MODIFIED", "one", "3")
    server.watches(PODS, [bad, CUT], [good], lists=lambda: page(pod("one"), pod("two")))

    async def main() -> None:
        seen: list[tuple[list[str], list[str]]] = []
        async with follow(kubeconfig(tmp_path, server.url)) as followed:

            def look() -> bool:
                [read] = followed.reads()
                state = (sorted(each.name for each in read.objects), [str(each.ref) for each in read.undecodable])
                if not seen or seen[-1] != state:
                    seen.append(state)
                return state == (["one", "two"], []) and len(watched(server)) == 2

            await followed.until(look)
        assert (["two"], ["Pod shop/one"]) in seen or followed.changes == 2

    asyncio.run(main())


def test_a_kind_that_may_not_be_watched_is_listed_now_and_then(server, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_POLL", 0.1)
    lists = [page(pod("one"))]
    server.watches(
        PODS,
        *[lambda: status(403, "pods is forbidden")] * 9,
        lists=lambda: lists.pop(0) if lists else page(pod("two")),
    )
    server.watches(SERVICES, [event("ADDED", "web", "2")])

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url), Pod, Service) as followed:
            await followed.until(lambda: followed.names() == ["two"] and followed.names("Service") == ["web"])
            assert followed.trouble == ""
            assert followed.note.startswith("Not watched but read again every")
            assert "pods" in followed.note

    asyncio.run(main())
    assert len(watched(server)) == 1


def test_what_may_not_be_listed_or_is_not_served_is_not_watched(server, tmp_path):
    server.answers(SERVICES, lambda: status(403, "forbidden"))
    server.answers("/api/v1/namespaces/shop/services", lambda: status(403, "forbidden"))
    server.answers("/api/v1/configmaps", lambda: status(404, "not found"))
    server.watches(PODS)

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url), Pod, Service, ConfigMap) as followed:
            await followed.until(lambda: watched(server))
            found = {f"{read.kind}/{read.namespace}": read.result.status for read in followed.reads()}
            assert found == {
                "Service/": "forbidden",
                "Service/shop": "forbidden",
                "ConfigMap/": "absent",
                "Pod/": "read",
            }

    asyncio.run(main())
    assert watched(server, SERVICES) == watched(server, "/api/v1/configmaps") == []


def test_what_can_be_listed_no_more_stays_as_it_was_and_is_said_to_be_old(server, tmp_path):
    lists = [lambda: page(pod("one"))]
    server.watches(
        PODS,
        lambda: status(410, "too old"),
        lists=lambda: lists.pop(0)() if lists else status(403, "no longer yours"),
    )

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url)) as followed:
            await followed.until(lambda: "no longer yours" in followed.trouble)
            assert followed.names() == ["one"]

    asyncio.run(main())


def test_namespaces_are_watched_one_by_one(server, tmp_path):
    for name in ("a", "b"):
        server.watches(f"/api/v1/namespaces/{name}/pods", [event("ADDED", f"of-{name}", "2", name)])
    server.watches(LEASES)

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url), Pod, Lease, namespaces=["a", "b"]) as followed:
            await followed.until(lambda: followed.names() == ["of-a", "of-b"])
            await followed.until(lambda: watched(server, LEASES))

    asyncio.run(main())
    assert watched(server) == []


def test_of_secrets_come_no_values(server, tmp_path):
    table = {
        "kind": "Table",
        "metadata": {"resourceVersion": "2"},
        "columnDefinitions": [{"name": "Name"}, {"name": "Type"}],
        "rows": [{"cells": ["key", "Opaque"], "object": {"metadata": {"name": "key", "namespace": "shop"}}}],
    }

    def rows(how: str) -> bytes:
        return json.dumps({"type": how, "object": table}).encode() + b"\n"

    server.watches(SECRETS, [rows("ADDED"), CUT], [rows("DELETED")])

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url), Secret) as followed:
            await followed.until(lambda: followed.changes == 2)
            assert followed.names("Secret") == []

    asyncio.run(main())
    assert watched(server, SECRETS) == ["1", "2"]
    for _, path, query, headers in server.requests:
        if path == SECRETS:
            assert headers["Accept"] == "application/json;as=Table;v=v1;g=meta.k8s.io"
            assert query["includeObject"] == "Metadata"


def test_new_credentials_are_taken_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "_LOGIN_AGAIN", 0.5)
    accepted = {"token": "old"}

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {accepted['token']}":
            return status(401, "Unauthorized")
        if "watch" not in request.query:
            return page(pod("one"))
        response = web.StreamResponse()
        await response.prepare(request)
        if accepted["token"] == "old":
            accepted["token"] = "new"
            request.transport.close()
            return response
        await response.write(event("ADDED", "two", "2"))
        await asyncio.Event().wait()
        return response

    server.on(PODS, handler)
    config = kubeconfig(tmp_path, server.url, user={"token": "old"})

    async def main() -> None:
        async with follow(config) as followed:
            await followed.until(lambda: "401 Unauthorized" in followed.trouble)
            kubeconfig(tmp_path, server.url, user={"token": "new"})
            await followed.until(lambda: followed.names() == ["one", "two"])
            assert followed.trouble == ""

    asyncio.run(main())


def test_a_plugin_is_not_run_for_each_kind_and_all_the_time(server, tmp_path):
    runs = tmp_path / "runs"
    plugin = tmp_path / "plugin"
    token = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}
    plugin.write_text(f"#!/bin/sh\necho run >> {runs}\ncat <<'E'\n{json.dumps(token)}\nE\n")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
    paths = [kind.api_path(kind.home) for kind in ALWAYS_SERVED]
    for path in paths:
        server.watches(path, *[lambda: status(401, "Unauthorized")] * 99)

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url, user=user), *ALWAYS_SERVED) as followed:
            before = len(runs.read_text().splitlines())
            await followed.until(lambda: all(len(watched(server, path)) >= 3 for path in paths))
            assert len(runs.read_text().splitlines()) - before <= 3

    asyncio.run(main())


def test_a_server_that_is_gone_is_found_again(server, tmp_path):
    server.watches(PODS, [event("ADDED", "one", "2")])

    async def main() -> None:
        async with follow(kubeconfig(tmp_path, server.url)) as followed:
            await followed.until(lambda: followed.names() == ["one"])
            await asyncio.to_thread(server.restart, 0.3)
            await followed.until(lambda: watched(server)[1:] == ["2"])
            await followed.until(lambda: followed.trouble == "")
            assert any("refused" in each for each in followed.troubles)

    asyncio.run(main())


def test_all_kinds_are_watched_at_once_and_no_connection_or_thread_is_left(server, tmp_path):
    paths = [kind.api_path(kind.home) for kind in ALWAYS_SERVED]
    for path in paths:
        server.watches(path)
    before = set(threading.enumerate())

    async def main() -> None:
        # That lists wait for each other must not let watches wait, which end only after minutes.
        async with follow(kubeconfig(tmp_path, server.url), *ALWAYS_SERVED, max_concurrency=1) as followed:
            await followed.until(lambda: all(watched(server, path) for path in paths))
            assert server.open_connections >= len(ALWAYS_SERVED)
        async with asyncio.timeout(SECONDS):
            while server.open_connections:
                await asyncio.sleep(0.01)

    asyncio.run(main())
    assert {thread for thread in threading.enumerate() if "k8sgpt" in thread.name} <= before
