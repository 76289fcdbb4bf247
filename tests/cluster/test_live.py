"""The live source against servers that misbehave, and against the real control plane."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.cluster.resources import KINDS, ConfigMap, Node, ObjectRef, Pod, Secret, Service
from k8sgpt_magic.cluster.source import Read
from k8sgpt_magic.errors import (
    Forbidden,
    KubeconfigError,
    NoKubeconfig,
    ServerError,
    Unauthorized,
    UnknownContext,
    Unreachable,
)
from tests.cluster.servers import ScriptedServer, kubeconfig, page, pod, status
from tests.controlplane.controlplane import ControlPlane

PODS = "/api/v1/pods"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


def read(config: Path | str, *kinds: Any, context: str = "", namespaces: Any = (), **options: Any) -> dict[str, Read]:
    """Read kinds and return the reads by kind, or by kind/namespace where one was named."""

    async def once() -> list[Read]:
        source = LiveSource(kubeconfig=str(config), context=context)
        try:
            return await source.read(kinds or (Pod, Service), namespaces, **options)
        finally:
            await source.close()

    return {f"{each.kind}/{each.namespace}".rstrip("/"): each for each in asyncio.run(once())}


def names(reads: dict[str, Read], key: str) -> list[str]:
    return [each.name for each in reads[key].objects]


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


def test_a_forbidden_kind_costs_itself_and_an_unserved_api_is_quiet(server, tmp_path):
    server.answers("/api/v1/services", lambda: status(403, 'services is forbidden: User "u" cannot list'))
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
    server.answers("/api/v1/services", lambda: page({"metadata": {"name": "web", "namespace": "shop"}}))
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
    server.answers("/api/v1/services", lambda: page({"metadata": {"name": "web", "namespace": "shop"}}))
    reads = read(kubeconfig(tmp_path, server.url), timeout=0.5)
    assert reads["Pod"].result.reason == "no answer within 0.5 s"
    assert names(reads, "Service") == ["web"]


def test_an_answer_that_is_no_list_costs_that_kind(server, tmp_path):
    server.answers(PODS, lambda: web.Response(text="<html>a login page</html>", content_type="text/html"))
    reads = read(kubeconfig(tmp_path, server.url))
    assert reads["Pod"].result.status == "failed"
    assert "no list" in reads["Pod"].result.reason


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


# --- what a user has to be told --------------------------------------------------------------------------


def test_expired_credentials_are_said_to_be(server, tmp_path):
    server.answers(PODS, lambda: status(401, "Unauthorized"))
    server.answers("/api/v1/services", lambda: status(401, "Unauthorized"))
    with pytest.raises(Unauthorized, match="did not accept the credentials of user 'u'") as error:
        read(kubeconfig(tmp_path, server.url, user={"token": "hunter2"}))
    assert "hunter2" not in str(error.value)


def test_a_server_that_fails_on_everything_is_an_error_of_the_server(server, tmp_path):
    for path in (PODS, "/api/v1/services"):
        server.answers(path, lambda: status(503, "apiserver is shutting down", **{"Retry-After": "0"}))
    with pytest.raises(ServerError, match="apiserver is shutting down"):
        read(kubeconfig(tmp_path, server.url))


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


def test_a_missing_kubeconfig_a_missing_context_and_a_broken_file_are_told_apart(tmp_path):
    with pytest.raises(NoKubeconfig, match="nothing-here"):
        read(tmp_path / "nothing-here")
    config = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(UnknownContext, match=r"Did you mean 'test'"):
        read(config, context="tset")
    config.write_text("a: [b")
    with pytest.raises(KubeconfigError, match="cannot be read"):
        read(config)
    config.write_text("just words")
    with pytest.raises(KubeconfigError, match="not a kubeconfig"):
        read(config)


# --- kubeconfigs as kubectl takes them -------------------------------------------------------------------


def authorization(server: ScriptedServer) -> str | None:
    *_, headers = server.requests[-1]
    return headers.get("Authorization")


def test_a_token_and_a_token_file_are_sent(server, tmp_path):
    read(kubeconfig(tmp_path, server.url, user={"token": "abc"}), Pod)
    assert authorization(server) == "Bearer abc"
    (tmp_path / "token").write_text("from-file")
    read(kubeconfig(tmp_path, server.url, user={"tokenFile": str(tmp_path / "token")}), Pod)
    assert authorization(server) == "Bearer from-file"


def _plugin(directory: Path, script: str) -> dict[str, Any]:
    path = directory / "plugin"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "interactiveMode": "Never"}
    }


def test_a_credential_plugin_is_run(server, tmp_path):
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from-plugin"},
    }
    read(
        kubeconfig(tmp_path, server.url, user=_plugin(tmp_path, f"print({json.dumps(json.dumps(credential))})")), Pod
    )
    assert authorization(server) == "Bearer from-plugin"


def test_a_credential_plugin_that_fails_is_quoted(server, tmp_path):
    plugin = _plugin(tmp_path, "import sys; sys.exit('please log in')")
    with pytest.raises(KubeconfigError, match="please log in"):
        read(kubeconfig(tmp_path, server.url, user=plugin), Pod)


def test_several_kubeconfigs_are_merged_and_the_first_current_context_wins(server, tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = kubeconfig(tmp_path / "one", server.url, user={"token": "first"})
    second = kubeconfig(tmp_path / "two", "http://127.0.0.1:1", user={"token": "second"})
    second.write_text(second.read_text().replace('"test"', '"other"').replace('"c"', '"c2"').replace('"u"', '"u2"'))
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(first), str(second), str(tmp_path / "absent")]))
    read("", Pod)
    assert authorization(server) == "Bearer first"
    with pytest.raises(Unreachable):
        read("", Pod, context="other")


def test_the_proxy_of_a_cluster_is_used(server, tmp_path):
    proxy = ScriptedServer()
    try:
        proxy.answers(PODS, lambda: page(pod("through-the-proxy")))
        reads = read(kubeconfig(tmp_path, "http://api.example.test:6443", **{"proxy-url": proxy.url}), Pod)
    finally:
        proxy.stop()
    assert names(reads, "Pod") == ["through-the-proxy"]


# --- the real thing --------------------------------------------------------------------------------------


def test_an_administrator_reads_every_kind(control_plane: ControlPlane):
    reads = read(control_plane.kubeconfig("admin"), *KINDS.values())
    assert {each.result.status for each in reads.values()} == {"read"}
    assert len(names(reads, "Node")) >= 3


@pytest.mark.parametrize("user", ["admin", "cert-admin"])
def test_tokens_and_client_certificates_are_accepted(control_plane: ControlPlane, user):
    assert read(control_plane.kubeconfig(user), Node)["Node"].result.status == "read"


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

    async def raw() -> list[bytes | None]:
        source = LiveSource(kubeconfig=str(control_plane.kubeconfig("admin")))
        try:
            return [body async for _, _, body in source.pages([Secret], [namespace], results=[])]
        finally:
            await source.close()

    reads = read(control_plane.kubeconfig("admin"), Secret, namespaces=[namespace])
    [secret] = [each for each in reads[f"Secret/{namespace}"].objects if each.name == "login"]
    assert secret.type == "kubernetes.io/basic-auth"
    [body] = asyncio.run(raw())
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

    async def select() -> Any:
        source = LiveSource(kubeconfig=str(control_plane.kubeconfig("admin")))
        try:
            return await source.select([ConfigMap], [namespace], "tier in (front, middle)")
        finally:
            await source.close()

    assert asyncio.run(select()) == {ObjectRef("ConfigMap", namespace, "a")}


def test_a_certificate_of_an_unknown_authority_is_said_not_to_be_trusted(control_plane: ControlPlane, tmp_path):
    with pytest.raises(Unreachable, match="not trusted"):
        read(kubeconfig(tmp_path, control_plane.server))


def test_certificates_may_be_left_unchecked_where_the_kubeconfig_says_so(control_plane: ControlPlane, tmp_path):
    token = subprocess.run(
        [sys.executable, "-c", "import yaml,sys; print(yaml.safe_load(open(sys.argv[1]))['users'][0]['user']['token'])",
         str(control_plane.kubeconfig("admin"))],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    config = kubeconfig(tmp_path, control_plane.server, user={"token": token}, **{"insecure-skip-tls-verify": True})
    assert read(config, Node)["Node"].result.status == "read"


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
