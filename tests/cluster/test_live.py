"""The live source against servers that misbehave, and against the real control plane."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web

from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.cluster.resources import ConfigMap, Deployment, Lease, Node, ObjectRef, Pod, Secret, Service
from k8sgpt_magic.errors import Forbidden, ServerError, Unauthorized, Unreachable
from tests.cluster.reading import PODS, SERVICES, names, read, with_source
from tests.cluster.servers import kubeconfig, page, pod, status
from tests.controlplane.controlplane import ControlPlane


def test_all_pages_of_a_list_are_followed(server, tmp_path):
    tokens = {None: ("one", "t1"), "t1": ("two", "t2"), "t2": ("three", "")}

    async def pages(request: web.Request) -> web.StreamResponse:
        name, token = tokens[request.query.get("continue")]
        return page(pod(name), token=token)

    server.on(PODS, pages)
    reads = read(kubeconfig(tmp_path, server.url))
    assert names(reads, "Pod") == ["one", "two", "three"]
    assert reads["Pod"].result.requests == 3
    assert reads["Pod"].result.bytes > 0
    assert all(query["limit"] for query in server.asked(PODS))


def test_a_list_whose_version_is_gone_starts_again_and_counts_nothing_twice(server, tmp_path):
    expired = {"left": 1}

    async def pages(request: web.Request) -> web.StreamResponse:
        if request.query.get("continue"):
            if expired["left"]:
                expired["left"] -= 1
                return status(410, "The provided continue parameter is too old")
            return page(pod("two"))
        return page(pod("one"), token="t1")

    server.on(PODS, pages)
    reads = read(kubeconfig(tmp_path, server.url))
    assert names(reads, "Pod") == ["one", "two"]
    assert reads["Pod"].result.status == "read"


def test_a_list_that_is_gone_again_and_again_is_given_up_with_what_came(server, tmp_path):
    async def pages(request: web.Request) -> web.StreamResponse:
        return status(410, "too old") if request.query.get("continue") else page(pod("one"), token="t1")

    server.on(PODS, pages)
    result = read(kubeconfig(tmp_path, server.url))["Pod"].result
    assert result.status == "partial"
    assert "too old" in result.reason


def test_a_list_that_says_last_what_it_is_is_followed_too(server, tmp_path):
    long = pod("one") | {"spec": {"nodeName": "n" * 10_000}}

    async def pages(request: web.Request) -> web.StreamResponse:
        last = bool(request.query.get("continue"))
        metadata = {} if last else {"continue": "t1"}
        return web.json_response({"items": [pod("two") if last else long], "metadata": metadata, "kind": "PodList"})

    server.on(PODS, pages)
    assert names(read(kubeconfig(tmp_path, server.url)), "Pod") == ["one", "two"]


def test_a_label_named_continue_is_no_continue_token(server, tmp_path):
    server.answers(PODS, lambda: page({"metadata": {"name": "one", "labels": {"continue": "yes"}}}))
    reads = read(kubeconfig(tmp_path, server.url))
    assert (reads["Pod"].result.status, reads["Pod"].result.requests) == ("read", 1)


def test_a_server_that_sends_the_same_page_for_ever_is_given_up(server, tmp_path):
    server.answers(PODS, lambda: page(pod("one"), token="again"))
    result = read(kubeconfig(tmp_path, server.url))["Pod"].result
    assert (result.status, result.objects) == ("partial", 1)
    assert "again and again" in result.reason


def test_long_compressed_pages_are_read_in_full(server, tmp_path):
    def compressed() -> web.Response:
        response = page(*(pod(f"pod-{n:05}") for n in range(60_000)))
        response.enable_compression(web.ContentCoding.gzip)
        return response

    server.answers(PODS, compressed)
    reads = read(kubeconfig(tmp_path, server.url), Pod)
    assert len(reads["Pod"].objects) == 60_000
    # Bytes are counted as they were before compression, which is what memory is compared with.
    assert reads["Pod"].result.bytes > 2_000_000


def test_progress_is_told_page_by_page(server, tmp_path):
    told: list[tuple[str, str, int, bool]] = []
    server.answers(PODS, lambda: page(pod("one"), token="t1"), lambda: page(pod("two"), pod("three")))
    read(kubeconfig(tmp_path, server.url), Pod, on_page=lambda *page: told.append(page))
    assert told == [("Pod", "", 1, False), ("Pod", "", 3, False), ("Pod", "", 3, True)]


def test_leases_are_read_only_where_the_nodes_have_theirs(server, tmp_path):
    read(kubeconfig(tmp_path, server.url), Lease, Pod, namespaces=["a"])
    assert sorted(path for _, path, _, _ in server.requests) == [
        "/api/v1/namespaces/a/pods",
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    ]


def test_a_forbidden_kind_costs_itself_and_an_unserved_api_is_quiet(server, tmp_path):
    server.answers(SERVICES, lambda: status(403, 'services is forbidden: User "u" cannot list'))
    server.answers("/api/v1/namespaces/shop/services", lambda: status(403, "forbidden there too"))
    server.answers("/api/v1/configmaps", lambda: status(404, "the server could not find the requested resource"))
    server.answers(PODS, lambda: page(pod("one")))
    reads = read(kubeconfig(tmp_path, server.url), Pod, Service, ConfigMap)
    assert reads["Pod"].result.status == "read"
    assert reads["Service"].result.status == "forbidden"
    assert "cannot list" in reads["Service"].result.reason
    assert reads["ConfigMap"].result.status == "absent"


def test_where_all_namespaces_may_not_be_listed_the_one_of_the_context_is(server, tmp_path):
    server.answers(PODS, lambda: status(403, "forbidden"))
    server.answers("/api/v1/namespaces/shop/pods", lambda: page(pod("mine")))
    reads = read(kubeconfig(tmp_path, server.url))
    assert reads["Pod"].result.status == "forbidden"
    assert names(reads, "Pod/shop") == ["mine"]


def test_a_403_in_one_of_the_named_namespaces_costs_that_one(server, tmp_path):
    server.answers("/api/v1/namespaces/a/pods", lambda: page(pod("one", "a")))
    server.answers("/api/v1/namespaces/b/pods", lambda: status(403, "forbidden"))
    reads = read(kubeconfig(tmp_path, server.url), Pod, namespaces=["a", "b"])
    assert (reads["Pod/a"].result.status, reads["Pod/b"].result.status) == ("read", "forbidden")


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server, tmp_path, code):
    server.answers(PODS, lambda: status(code, "busy", **{"Retry-After": "0"}), lambda: page(pod("one")))
    reads = read(kubeconfig(tmp_path, server.url))
    assert names(reads, "Pod") == ["one"]
    assert len(server.asked(PODS)) == 2


def test_a_connection_that_breaks_in_the_middle_of_an_answer_is_tried_again(server, tmp_path):
    broken = {"left": 1}

    async def handler(request: web.Request) -> web.StreamResponse:
        if not broken["left"]:
            return page(pod("one"))
        broken["left"] -= 1
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"items":[')
        request.transport.close()
        return response

    server.on(PODS, handler)
    assert names(read(kubeconfig(tmp_path, server.url)), "Pod") == ["one"]


def test_a_server_that_stays_broken_is_given_up_and_the_rest_is_kept(server, tmp_path):
    server.answers(PODS, lambda: status(500, "etcd is on fire", **{"Retry-After": "0"}))
    server.answers(SERVICES, lambda: page({"metadata": {"name": "web", "namespace": "shop"}}))
    reads = read(kubeconfig(tmp_path, server.url))
    assert reads["Pod"].result.status == "failed"
    assert reads["Pod"].result.reason == "500 etcd is on fire"
    assert names(reads, "Service") == ["web"]


def test_pages_that_came_before_the_failure_are_kept(server, tmp_path):
    async def pages(request: web.Request) -> web.StreamResponse:
        return (
            status(500, "gone", **{"Retry-After": "0"})
            if request.query.get("continue")
            else page(pod("one"), token="t1")
        )

    server.on(PODS, pages)
    reads = read(kubeconfig(tmp_path, server.url))
    assert names(reads, "Pod") == ["one"]
    assert reads["Pod"].result.status == "partial"


def test_a_slow_list_ends_with_the_time_and_the_others_are_kept(server, tmp_path):
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return page()

    server.on(PODS, never)
    server.answers(SERVICES, lambda: page({"metadata": {"name": "web", "namespace": "shop"}}))
    reads = read(kubeconfig(tmp_path, server.url), timeout=0.5)
    assert reads["Pod"].result.reason == "no answer within 0.5 s"
    assert names(reads, "Service") == ["web"]


def test_the_time_is_for_all_of_a_read_and_not_for_each_part_of_it(server, tmp_path):
    async def forbidden(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return status(403, "forbidden")

    server.on(PODS, forbidden)
    server.on("/api/v1/namespaces/shop/pods", forbidden)
    reads = read(kubeconfig(tmp_path, server.url), timeout=0.45)
    assert reads["Pod"].result.status == "forbidden"
    assert reads["Pod/shop"].result.reason == "no answer within 0.45 s"


def test_what_retry_after_asks_for_is_waited_for(server, tmp_path):
    server.answers(PODS, lambda: status(429, "slow down", **{"Retry-After": "1"}), lambda: page(pod("one")))
    began = time.perf_counter()
    assert names(read(kubeconfig(tmp_path, server.url)), "Pod") == ["one"]
    assert time.perf_counter() - began >= 1


def test_a_read_that_is_cancelled_ends_at_once_and_leaves_nothing_behind(server, tmp_path):
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return page()

    server.on(PODS, never)
    server.answers(SERVICES, lambda: page({"metadata": {"name": "web"}}, token="t1"), lambda: status(503, "busy"))

    async def cancel(source: LiveSource) -> set[Any]:
        reading = asyncio.create_task(source.read([Pod, Service]))
        await asyncio.sleep(0.3)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return asyncio.all_tasks() - {asyncio.current_task()}

    began = time.perf_counter()
    assert with_source(kubeconfig(tmp_path, server.url), cancel) == set()
    assert time.perf_counter() - began < 2


def test_an_answer_that_is_no_list_costs_that_kind(server, tmp_path):
    server.answers(PODS, lambda: web.Response(text="<html>a login page</html>", content_type="text/html"))
    reads = read(kubeconfig(tmp_path, server.url))
    assert reads["Pod"].result.status == "failed"
    assert "no list" in reads["Pod"].result.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"kind":"PodList","metadata":{},"items":[{"metadata":]}', "cannot be decoded"),
        (b'{"kind":"PodList","metadata":{},"items":[{"metadata":{"name":"\xff"}}]}', "cannot be decoded"),
        (b'{"kind":"PodList","metadata":{},"items":"none"}', "cannot be decoded"),
        (b'{"kind":"Status","status":"Success"}', "no list but Status"),
        (b"{}", "no list"),
        (b"[" * 100_000, "no list"),
        (b"", "no list"),
    ],
)
def test_a_damaged_answer_is_no_empty_list_and_costs_that_kind(server, tmp_path, body, reason):
    server.answers(PODS, lambda: web.Response(body=body, content_type="application/json"))
    server.answers(SERVICES, lambda: page({"metadata": {"name": "web", "namespace": "shop"}}))
    reads = read(kubeconfig(tmp_path, server.url))
    assert reads["Pod"].result.status == "failed"
    assert reason in reads["Pod"].result.reason
    assert names(reads, "Service") == ["web"]


def test_a_redirect_is_not_followed_with_the_token(server, tmp_path):
    server.answers(PODS, lambda: web.Response(status=302, headers={"Location": server.url + "/elsewhere"}))
    reads = read(kubeconfig(tmp_path, server.url, user={"token": "secret-token"}))
    assert reads["Pod"].result.status == "failed"
    assert not server.asked("/elsewhere")


def test_a_damaged_object_costs_itself(server, tmp_path):
    server.answers(PODS, lambda: page(pod("one"), {"metadata": {"name": "bad"}, "status": {"phase": 3}}, pod("two")))
    reads = read(kubeconfig(tmp_path, server.url))
    assert names(reads, "Pod") == ["one", "two"]
    assert [damaged.ref.name for damaged in reads["Pod"].undecodable] == ["bad"]


def test_only_get_is_sent_and_who_asks_is_said(server, tmp_path):
    read(kubeconfig(tmp_path, server.url), *KINDS.values())
    assert {method for method, *_ in server.requests} == {"GET"}
    assert all(headers["User-Agent"].startswith("k8sgpt-magic/") for *_, headers in server.requests)


def test_no_more_requests_than_allowed_are_under_way(server, tmp_path):
    under_way, most = 0, 0

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        return page()

    for kind in KINDS.values():
        server.on(kind.api_path(kind.home), slow)
    read(kubeconfig(tmp_path, server.url), *KINDS.values(), max_concurrency=3)
    assert most == 3


# --- Secrets ---------------------------------------------------------------------------------------------


def test_secrets_are_asked_for_without_values(server, tmp_path):
    config = kubeconfig(tmp_path, server.url)
    read(config, Secret)
    with_source(config, lambda source: source.select([Secret], [], "app=web"))
    (_, _, query, headers), (_, _, _, selecting) = server.requests
    assert query["includeObject"] == "Metadata"
    # No other form, so that a server that cannot do this must refuse.
    assert headers["Accept"] == "application/json;as=Table;v=v1;g=meta.k8s.io"
    assert selecting["Accept"] == "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def test_of_secrets_sent_in_full_all_the_same_the_values_are_dropped(server, tmp_path):
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "hunter2-applied"}
    secret = {
        "metadata": {"name": "login", "annotations": annotations}, "type": "Opaque", "data": {"password": "aHVudGVyMg=="},
    }  # fmt: skip
    server.answers("/api/v1/secrets", lambda: page(secret))
    config = kubeconfig(tmp_path, server.url)

    async def bodies(source: LiveSource) -> list[bytes | bytearray | None]:
        return [body async for _, _, body in source.pages([Secret], results=[])]

    [only] = read(config, Secret)["Secret"].objects
    assert (only.name, only.type) == ("login", "Opaque")
    [body] = with_source(config, bodies)
    assert body is not None
    assert b"aHVudGVyMg" not in body
    assert b"hunter2" not in body


# --- pages for a snapshot, and selectors -----------------------------------------------------------------


def test_who_takes_long_over_a_page_is_not_interrupted(server, tmp_path):
    server.answers(PODS, lambda: page(pod("one"), token="t1"), lambda: page(pod("two")))
    results: list[Any] = []

    async def slowly(source: LiveSource) -> int:
        bodies = 0
        async for _ in source.pages([Pod, Service], results=results, timeout=0.3):
            await asyncio.sleep(0.4)
            bodies += 1
        return bodies

    assert with_source(kubeconfig(tmp_path, server.url), slowly) == 3
    assert [(result.kind, result.status) for result in results] == [("Pod", "read"), ("Service", "read")]


def test_a_selection_falls_back_to_the_namespace_that_is_read_instead(server, tmp_path):
    server.answers(PODS, lambda: status(403, "forbidden"))
    server.answers("/api/v1/namespaces/shop/pods", lambda: page(pod("mine")))
    selected = with_source(kubeconfig(tmp_path, server.url), lambda source: source.select([Pod], [], "app=web"))
    assert selected == {ObjectRef("Pod", "shop", "mine")}


@pytest.mark.parametrize(("code", "message"), [(400, "unable to parse requirement"), (500, "etcd is on fire")])
def test_a_selection_that_fails_is_an_error_and_not_an_empty_one(server, tmp_path, code, message):
    server.answers(PODS, lambda: status(code, message, **{"Retry-After": "0"}))
    with pytest.raises(ServerError, match=message):
        with_source(kubeconfig(tmp_path, server.url), lambda source: source.select([Pod, Service], [], "app=web"))


# --- what a user has to be told --------------------------------------------------------------------------


def test_expired_credentials_are_said_to_be(server, tmp_path):
    server.answers(PODS, lambda: status(401, "Unauthorized"))
    server.answers(SERVICES, lambda: status(401, "Unauthorized"))
    with pytest.raises(Unauthorized, match="did not accept the credentials of user 'u'") as error:
        read(kubeconfig(tmp_path, server.url, user={"token": "hunter2"}))
    assert "hunter2" not in str(error.value)


def test_a_server_that_fails_on_everything_is_an_error_of_the_server(server, tmp_path):
    for path in (PODS, SERVICES):
        server.answers(path, lambda: status(503, "apiserver is shutting down", **{"Retry-After": "0"}))
    with pytest.raises(ServerError, match="apiserver is shutting down"):
        read(kubeconfig(tmp_path, server.url))


def test_a_server_that_is_not_kubernetes_is_no_empty_cluster(server, tmp_path):
    for path in (PODS, SERVICES):
        server.answers(path, lambda: web.Response(status=404, text="404 page not found"))
    with pytest.raises(ServerError, match="answers 404 to every list") as error:
        read(kubeconfig(tmp_path, server.url))
    assert "address of a Kubernetes API server" in str(error.value)


def test_an_api_of_an_extension_that_is_not_installed_is_no_error(server, tmp_path):
    server.answers(
        "/apis/apps/v1/deployments", lambda: status(404, "the server could not find the requested resource")
    )
    assert read(kubeconfig(tmp_path, server.url), Deployment)["Deployment"].result.status == "absent"


def test_one_attempt_finds_out_that_a_server_cannot_be_reached(tmp_path):
    attempts = 0

    async def count() -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal attempts
            attempts += 1
            writer.write(b"HTTP/1.1 400 this is not TLS\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            source = LiveSource(kubeconfig=str(kubeconfig(tmp_path, f"https://127.0.0.1:{port}")))
            with pytest.raises(Unreachable, match="TLS failed"):
                await source.read(list(KINDS.values()), max_concurrency=1)
            await source.close()

    asyncio.run(count())
    assert attempts == 1


def test_nobody_is_told_what_would_grant_access(server, tmp_path):
    for path in (PODS, "/api/v1/namespaces/shop/pods"):
        server.answers(path, lambda: status(403, "forbidden"))
    with pytest.raises(Forbidden) as error:
        read(kubeconfig(tmp_path, server.url), Pod)
    assert "verbs: [list]" in str(error.value)


def test_a_refused_connection_names_the_server(tmp_path):
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 .*refused"):
        read(kubeconfig(tmp_path, "http://127.0.0.1:1"))


def test_an_unknown_host_is_told_from_a_refused_connection(tmp_path):
    with pytest.raises(Unreachable, match="no such host"):
        read(kubeconfig(tmp_path, "http://nowhere.invalid:6443"))


def test_a_server_that_does_not_speak_tls_is_named(server, tmp_path):
    with pytest.raises(Unreachable, match=r"TLS failed|connection broke"):
        read(kubeconfig(tmp_path, server.url.replace("http:", "https:")))


# --- the real thing --------------------------------------------------------------------------------------


def test_an_administrator_reads_every_kind(control_plane: ControlPlane):
    reads = read(control_plane.kubeconfig("admin"), *KINDS.values())
    assert {each.result.status for each in reads.values() if not KINDS[each.kind].optional} == {"read"}
    assert len(names(reads, "Node")) >= 3


def test_a_reader_of_one_namespace_gets_that_one(control_plane: ControlPlane):
    control_plane.api.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: seen, namespace: team-a}}")
    reads = read(control_plane.kubeconfig("reader"), ConfigMap, Node)
    assert reads["ConfigMap"].result.status == "forbidden"
    assert "seen" in names(reads, "ConfigMap/team-a")
    assert reads["Node"].result.status == "forbidden"


def test_secrets_come_with_their_type_and_without_their_values(control_plane: ControlPlane, namespace: str):
    control_plane.api.apply(
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": namespace,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"stringData":{"password":"hunter2-value"}}'}},
            "type": "kubernetes.io/basic-auth", "stringData": {"username": "u", "password": "hunter2-value"},
        }
    )  # fmt: skip

    async def raw(source: LiveSource) -> list[bytes | bytearray | None]:
        return [body async for _, _, body in source.pages([Secret], [namespace], results=[])]

    reads = read(control_plane.kubeconfig("admin"), Secret, namespaces=[namespace])
    [secret] = [each for each in reads[f"Secret/{namespace}"].objects if each.name == "login"]
    assert secret.type == "kubernetes.io/basic-auth"
    [body] = with_source(control_plane.kubeconfig("admin"), raw)
    assert body is not None
    assert b"login" in body
    assert b"hunter2" not in body
    assert b"aHVudGVyMi" not in body


def test_who_may_not_read_secrets_reads_all_else(control_plane: ControlPlane):
    reads = read(control_plane.kubeconfig("viewer"), Secret, Pod, Node)
    assert reads["Secret"].result.status == "forbidden"
    assert reads["Pod"].result.status == "read"


def test_the_server_evaluates_label_selectors(control_plane: ControlPlane, namespace: str):
    control_plane.api.create_many(
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
            }
            for name, labels in (("a", {"tier": "front"}), ("b", {"tier": "back"}), ("c", {}))
        ]
    )

    selected = with_source(
        control_plane.kubeconfig("admin"),
        lambda source: source.select([ConfigMap], [namespace], "tier in (front, middle)"),
    )
    assert selected == {ObjectRef("ConfigMap", namespace, "a")}


def test_nobody_may_read_anything_and_nothing_is_taken_for_missing(control_plane: ControlPlane):
    with pytest.raises(Forbidden, match="'nobody'") as error:
        read(control_plane.kubeconfig("nobody"), *KINDS.values())
    assert "cannot list resource" in str(error.value)
    assert len(error.value._render_traceback_()) <= 4


def test_a_cluster_is_only_ever_read(control_plane: ControlPlane, namespace: str):
    mark = control_plane.audit.mark()
    read(control_plane.kubeconfig("admin"), *KINDS.values())
    asked = control_plane.requests(since=mark, user_agent="k8sgpt-magic/")
    assert {request.verb for request in asked if request.uri != "/apis"} == {"list"}
    assert {request.verb for request in asked} <= {"list", "get"}


def test_an_api_server_that_is_gone_is_told_of_and_found_again(control_plane: ControlPlane):
    async def before_and_after(source: LiveSource) -> list[str]:
        first = await source.read([Node])
        await asyncio.to_thread(control_plane.stop_apiserver)
        try:
            with pytest.raises(Unreachable, match="refused"):
                await source.read([Node, Pod])
        finally:
            await asyncio.to_thread(control_plane.start_apiserver)
        second = await source.read([Node])
        return [each[0].result.status for each in (first, second)]

    assert with_source(control_plane.kubeconfig("admin"), before_and_after) == ["read", "read"]


def test_a_list_of_many_pages_from_a_real_server_is_complete(
    control_plane: ControlPlane, namespace: str, monkeypatch
):
    monkeypatch.setattr("k8sgpt_magic.cluster.live.PAGE", 7)
    control_plane.api.create_many(
        [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{n:02}", "namespace": namespace}}
            for n in range(40)
        ]
    )
    reads = read(control_plane.kubeconfig("admin"), ConfigMap, namespaces=[namespace])
    of_ours = [name for name in names(reads, f"ConfigMap/{namespace}") if name.startswith("c")]
    assert of_ours == [f"c{n:02}" for n in range(40)]
    assert reads[f"ConfigMap/{namespace}"].result.requests >= 6
