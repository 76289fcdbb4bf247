"""Kubeconfigs, credentials and proxies as kubectl takes them, tried on servers that say what was sent to them."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from k8sgpt_magic.cluster import kubeconfig as kubeconfigs
from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.cluster.resources import Node, Pod
from k8sgpt_magic.errors import (
    Forbidden,
    K8sGPTError,
    KubeconfigError,
    NoKubeconfig,
    Unauthorized,
    UnknownContext,
    Unreachable,
)
from tests.cluster.reading import PODS, names, read, with_source
from tests.cluster.servers import ScriptedServer, kubeconfig, page, pod, status
from tests.controlplane.controlplane import ControlPlane


def authorization(server: ScriptedServer) -> str | None:
    *_, headers = server.requests[-1]
    return headers.get("Authorization")


def only(server: ScriptedServer, *tokens: str) -> None:
    """Let a server take these tokens alone."""

    async def handler(request: web.Request) -> web.StreamResponse:
        accepted = request.headers.get("Authorization") in {f"Bearer {token}" for token in tokens}
        return page(pod("one")) if accepted else status(401, "Unauthorized")

    server.on(PODS, handler)


def plugin(directory: Path, script: str, **settings: Any) -> dict[str, Any]:
    """A credential plugin that runs a Python script."""
    path = directory / "plugin"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "interactiveMode": "Never", **settings
        }
    }  # fmt: skip


def credential(**fields: Any) -> str:
    """A script that prints an ExecCredential."""
    found = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": fields}
    return f"print({json.dumps(found)!r})\n"


def changed(path: Path, text: str) -> None:
    """Write a file so that its time says that it has changed, however coarse times are."""
    path.write_text(text)
    later = time.time() + 5
    os.utime(path, (later, later))


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


# --- what is wrong with it -------------------------------------------------------------------------------


def test_a_missing_kubeconfig_a_missing_context_and_a_broken_file_are_told_apart(tmp_path):
    with pytest.raises(NoKubeconfig, match="nothing-here"):
        read(tmp_path / "nothing-here")
    config = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(UnknownContext, match="Did you mean 'test'"):
        read(config, context="tset")
    config.write_text("a: [b")
    with pytest.raises(KubeconfigError, match="cannot be read: line "):
        read(config)
    config.write_text("just words")
    with pytest.raises(KubeconfigError, match="not a kubeconfig"):
        read(config)


@pytest.mark.parametrize(
    "content",
    [
        {"current-context": "test"},
        {"current-context": "test", "contexts": None, "clusters": "none", "users": 3},
        {"current-context": "test", "contexts": ["test", None, {"name": "test"}]},
        {"current-context": "test", "contexts": [{"name": "test", "context": {"cluster": "gone"}}]},
        {"current-context": "test", "contexts": [{"name": "test", "context": {"cluster": "c"}}], "clusters": [{"name": "c"}]},
        {"contexts": [{"name": "test", "context": {"cluster": "c"}}]},
    ],
)  # fmt: skip
def test_a_kubeconfig_with_a_part_missing_is_one_error_of_a_line_or_two(tmp_path, content):
    config = tmp_path / "kubeconfig"
    config.write_text(json.dumps(content))
    with pytest.raises(K8sGPTError) as error:
        read(config)
    assert len(error.value._render_traceback_()) <= 2
    assert isinstance(kubeconfigs.contexts(str(config)), list)


@pytest.mark.parametrize("address", ["", "api.example.test", "ftp://api.example.test", "https://", "http://[::1", "https://host:port"])  # fmt: skip
def test_an_address_that_is_none_is_said_to_be(tmp_path, address):
    with pytest.raises(KubeconfigError):
        read(kubeconfig(tmp_path, address))


@pytest.mark.parametrize(
    "text", ["users: [{user: {token: hunter2}]", "token: hunter2\n\t- x", "hunter2: hunter2: hunter2"]
)
def test_a_broken_kubeconfig_is_not_quoted(tmp_path, text):
    config = tmp_path / "kubeconfig"
    config.write_text(text)
    with pytest.raises(KubeconfigError) as error:
        read(config)
    assert "hunter2" not in str(error.value)


def test_a_token_that_no_header_can_hold_is_not_sent_and_not_shown(server, tmp_path):
    with pytest.raises(KubeconfigError, match="line break") as error:
        read(kubeconfig(tmp_path, server.url, user={"token": "hunter2\nX-Injected: yes"}), Pod)
    assert "hunter2" not in str(error.value)
    assert not server.requests


def test_a_password_in_the_address_is_not_shown(tmp_path):
    with pytest.raises(Unreachable) as error:
        read(kubeconfig(tmp_path, "http://me:hunter2@127.0.0.1:1"))
    assert "hunter2" not in str(error.value)


# --- several files ---------------------------------------------------------------------------------------


def test_several_kubeconfigs_are_merged_and_the_first_current_context_wins(server, tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = kubeconfig(tmp_path / "one", server.url, user={"token": "first"})
    second = kubeconfig(tmp_path / "two", "http://127.0.0.1:1", user={"token": "second"})
    second.write_text(second.read_text().replace('"test"', '"other"').replace('"c"', '"c2"').replace('"u"', '"u2"'))
    empty = tmp_path / "empty"
    empty.touch()
    files = [str(empty), str(first), str(second), str(tmp_path / "absent")]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(files))
    assert kubeconfigs.contexts() == ["test", "other"]
    read("", Pod)
    assert authorization(server) == "Bearer first"
    with pytest.raises(Unreachable):
        read("", Pod, context="other")


def test_a_context_finds_its_cluster_and_user_in_another_file(server, tmp_path, monkeypatch):
    whole = loaded(kubeconfig(tmp_path, server.url, user={"token": "elsewhere"}))
    for part in ("contexts", "clusters", "users"):
        (tmp_path / part).write_text(yaml.safe_dump({part: whole[part], "current-context": "test"}))
    monkeypatch.setenv(
        "KUBECONFIG", os.pathsep.join(str(tmp_path / part) for part in ("contexts", "clusters", "users"))
    )
    read("", Pod)
    assert authorization(server) == "Bearer elsewhere"


def test_paths_in_a_kubeconfig_count_from_where_it_is(server, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "my-token").write_text("from-file\n")
    read(kubeconfig(tmp_path, server.url, user={"tokenFile": "my-token"}), Pod)
    assert authorization(server) == "Bearer from-file"
    user = plugin(tmp_path, credential(token="relative"))
    user["exec"]["command"] = "./plugin"
    read(kubeconfig(tmp_path, server.url, user=user), Pod)
    assert authorization(server) == "Bearer relative"


def test_a_large_kubeconfig_is_read_quickly(tmp_path):
    config = kubeconfig(tmp_path, "http://127.0.0.1:1")
    whole = loaded(config)
    certificate = base64.b64encode(os.urandom(1500)).decode()
    for number in range(300):
        cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": certificate}
        whole["clusters"].append({"name": f"c{number}", "cluster": cluster})
        whole["users"].append({"name": f"u{number}", "user": {"token": "t" * 900}})
        whole["contexts"].append({"name": f"x{number}", "context": {"cluster": f"c{number}", "user": f"u{number}"}})
    # The first to be loaded imports the package.
    kubeconfigs.load("", str(config))
    config.write_text(yaml.dump(whole, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
    began = time.perf_counter()
    assert kubeconfigs.load("test", str(config)).context == "test"
    assert time.perf_counter() - began < 2


# --- credentials -----------------------------------------------------------------------------------------


def test_a_token_and_a_token_file_are_sent(server, tmp_path):
    read(kubeconfig(tmp_path, server.url, user={"token": "abc"}), Pod)
    assert authorization(server) == "Bearer abc"
    (tmp_path / "token").write_text("from-file")
    read(kubeconfig(tmp_path, server.url, user={"tokenFile": str(tmp_path / "token")}), Pod)
    assert authorization(server) == "Bearer from-file"


def test_credentials_of_netrc_are_not_for_clusters(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    read(kubeconfig(tmp_path, server.url, user={"token": "abc"}), Pod)
    assert authorization(server) == "Bearer abc"
    read(kubeconfig(tmp_path, server.url), Pod)
    assert authorization(server) is None


def test_a_token_that_was_renewed_on_disk_is_used_after_a_401(server, tmp_path):
    token = tmp_path / "token"
    token.write_text("old")
    only(server, "old")

    async def twice(source: LiveSource) -> list[str]:
        await source.read([Pod])
        token.write_text("new")
        only(server, "new")
        return [each.name for each in (await source.read([Pod]))[0].objects]

    assert with_source(kubeconfig(tmp_path, server.url, user={"tokenFile": str(token)}), twice) == ["one"]


def test_after_a_401_a_plugin_is_run_once_more_and_no_oftener(server, tmp_path):
    count = tmp_path / "count"
    counting = f"import pathlib; path = pathlib.Path({str(count)!r}); path.open('a').write('x')\n"
    user = plugin(tmp_path, counting + credential(token="never-right"))
    only(server, "another")
    with pytest.raises(Unauthorized, match="user 'u'"):
        read(kubeconfig(tmp_path, server.url, user=user), Pod)
    assert count.read_text() == "xx"


def test_a_login_between_two_reads_is_noticed(server, tmp_path):
    config = kubeconfig(tmp_path, server.url, user={"token": "old"})
    only(server, "old", "new")

    async def twice(source: LiveSource) -> None:
        await source.read([Pod])
        assert authorization(server) == "Bearer old"
        changed(config, config.read_text().replace('"old"', '"new"'))
        await source.read([Pod])

    with_source(config, twice)
    assert authorization(server) == "Bearer new"


def test_a_switch_of_the_current_context_is_followed_unless_one_was_named(server, tmp_path):
    config = kubeconfig(tmp_path, server.url)
    whole = loaded(config)
    whole["contexts"].append({"name": "other", "context": {"cluster": "c", "user": "u2"}})
    whole["users"].append({"name": "u2", "user": {"token": "of-the-other"}})
    config.write_text(json.dumps(whole))

    async def switch(source: LiveSource) -> tuple[str, str, str]:
        await source.open()
        before = source.context, source.identity
        changed(config, json.dumps(whole | {"current-context": "other"}))
        await source.open()
        assert source.identity != before[1] or source.context == before[0]
        changed(config, json.dumps(whole))
        return before[0], source.context, source.description

    assert with_source(config, switch)[:2] == ("test", "other")
    assert with_source(config, switch, context="test")[:2] == ("test", "test")


# --- credential plugins ----------------------------------------------------------------------------------


def test_a_credential_plugin_is_run_with_its_arguments_and_environment(server, tmp_path):
    script = (
        "import json, os, sys\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "token = '-'.join([sys.argv[1], os.environ['ROLE'], info['spec']['cluster']['server'].partition(':')[0]])\n"
        "print(json.dumps({'apiVersion': info['apiVersion'], 'kind': 'ExecCredential', 'status': {'token': token}}))\n"
    )
    user = plugin(tmp_path, script, args=["a1"], env=[{"name": "ROLE", "value": "admin"}], provideClusterInfo=True)
    read(kubeconfig(tmp_path, server.url, user=user), Pod)
    assert authorization(server) == "Bearer a1-admin-http"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import sys; sys.exit('please log in')", "please log in"),
        ("print('not json')", "failed to decode"),
        ("print('{}')", "missing key"),
        (credential(), "missing token"),
    ],
)
def test_a_credential_plugin_that_fails_is_one_error_that_quotes_it(server, tmp_path, script, says):
    with pytest.raises(KubeconfigError, match=says) as error:
        read(kubeconfig(tmp_path, server.url, user=plugin(tmp_path, script)), Pod)
    assert "context 'test'" in str(error.value)
    assert not server.requests


def test_a_credential_plugin_that_is_not_installed_is_named(server, tmp_path):
    user = plugin(tmp_path, "")
    user["exec"]["command"] = "no-such-plugin-anywhere"
    with pytest.raises(KubeconfigError, match="no-such-plugin-anywhere"):
        read(kubeconfig(tmp_path, server.url, user=user), Pod)


def test_a_credential_plugin_that_hangs_is_left_behind(server, tmp_path, monkeypatch):
    monkeypatch.setattr("k8sgpt_magic.cluster.connection._PLUGIN_SECONDS", 0.5)
    began = time.perf_counter()
    with pytest.raises(KubeconfigError, match="more than"):
        read(kubeconfig(tmp_path, server.url, user=plugin(tmp_path, "import time; time.sleep(4)")), Pod)
    assert time.perf_counter() - began < 3


def test_a_plugin_that_renews_an_expired_token_does_not_stop_the_loop(server, tmp_path):
    expired = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    script = "import time; time.sleep(0.5)\n" + credential(token="short-lived", expirationTimestamp=expired)
    longest = 0.0

    async def watched(source: LiveSource) -> None:
        async def watch() -> None:
            nonlocal longest
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0.01)
                longest = max(longest, time.perf_counter() - before)

        watching = asyncio.create_task(watch())
        await source.open()
        longest = 0.0
        await source.read([Pod])
        watching.cancel()

    with_source(kubeconfig(tmp_path, server.url, user=plugin(tmp_path, script)), watched)
    assert authorization(server) == "Bearer short-lived"
    assert longest < 0.4


def test_what_others_log_while_a_kubeconfig_is_read_is_no_failure_of_a_plugin(server, tmp_path):
    user = plugin(tmp_path, "import time; time.sleep(0.3)\n" + credential(token="fine"))
    stop = threading.Event()

    def complain() -> None:
        while not stop.wait(0.01):
            logging.getLogger("somebody.else").error("this has nothing to do with it")

    complaining = threading.Thread(target=complain)
    complaining.start()
    try:
        read(kubeconfig(tmp_path, server.url, user=user), Pod)
    finally:
        stop.set()
        complaining.join()
    assert authorization(server) == "Bearer fine"


# --- proxies ---------------------------------------------------------------------------------------------


@pytest.fixture
def proxy() -> Any:
    proxy = ScriptedServer()
    proxy.answers(PODS, lambda: page(pod("through-the-proxy")))
    yield proxy
    proxy.stop()


def test_the_proxy_of_a_cluster_is_used_whatever_the_environment_says(proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    reads = read(kubeconfig(tmp_path, "http://api.example.test:6443", **{"proxy-url": proxy.url}), Pod)
    assert names(reads, "Pod") == ["through-the-proxy"]


def test_the_proxy_of_the_environment_is_used(proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,.internal")
    assert names(read(kubeconfig(tmp_path, "http://api.example.test:6443"), Pod), "Pod") == ["through-the-proxy"]
    assert names(read(kubeconfig(tmp_path, "http://192.0.2.1:6443"), Pod), "Pod") == ["through-the-proxy"]


@pytest.mark.parametrize(
    ("address", "exempt"),
    [
        ("https://api.example.test:6443", "api.example.test"),
        ("https://api.example.test:6443", ".example.test"),
        ("https://10.1.2.3:6443", "192.168.0.0/16, 10.0.0.0/8"),
        ("https://[fd00::1]:6443", "fd00::/8"),
        ("https://10.1.2.3:6443", "*"),
        ("https://127.0.0.1:6443", ""),
        ("https://[::1]:6443", ""),
        ("https://localhost:6443", ""),
    ],
)
def test_what_no_proxy_exempts_is_reached_directly(tmp_path, monkeypatch, address, exempt):
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example.test:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert kubeconfigs.load("", str(kubeconfig(tmp_path, address))).proxy is None


def test_a_proxy_of_another_kind_is_said_not_to_be_supported(tmp_path):
    with pytest.raises(KubeconfigError, match="'socks4'"):
        read(kubeconfig(tmp_path, "http://api.example.test", **{"proxy-url": "socks4://127.0.0.1:1080"}))


class Socks:
    """A SOCKS5 proxy without a password that connects everybody with one port of this machine.

    Source: https://www.rfc-editor.org/rfc/rfc1928
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked_for: list[str] = []

    async def __aenter__(self) -> Socks:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"socks5://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        assert kind == 3, "a name, which the proxy is to look up"
        [length] = await reader.readexactly(1)
        self.asked_for.append((await reader.readexactly(length)).decode())
        await reader.readexactly(2)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(_copied(reader, server_writer), _copied(server_reader, writer))


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_a_socks_proxy_is_used_and_looks_up_the_name_itself(server, tmp_path):
    server.answers(PODS, lambda: page(pod("through-the-proxy")))

    async def through() -> tuple[list[str], list[str]]:
        async with Socks(server.port) as socks:
            path = kubeconfig(tmp_path, "http://api.example.test:6443", **{"proxy-url": socks.url})
            source = LiveSource(kubeconfig=str(path))
            try:
                return [each.name for read in await source.read([Pod]) for each in read.objects], socks.asked_for
            finally:
                await source.close()

    pods, asked_for = asyncio.run(through())
    assert pods == ["through-the-proxy"]
    assert set(asked_for) == {"api.example.test"}


# --- acting as somebody else -----------------------------------------------------------------------------


def test_a_user_may_act_as_another_with_groups_and_all_else(server, tmp_path):
    seen: list[list[tuple[str, str]]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append([(key, value) for key, value in request.headers.items() if key.startswith("Impersonate")])
        return page(pod("one"))

    server.on(PODS, handler)
    user = {
        "token": "mine", "as": "jane", "as-uid": "42", "as-groups": ["dev", "ops"],
        "as-user-extra": {"example.com/reason": ["incident"]},
    }  # fmt: skip
    read(kubeconfig(tmp_path, server.url, user=user), Pod)
    assert seen == [
        [
            ("Impersonate-User", "jane"),
            ("Impersonate-Uid", "42"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-Group", "ops"),
            ("Impersonate-Extra-example.com%2Freason", "incident"),
        ]
    ]


def test_groups_without_a_user_to_act_as_are_a_mistake(server, tmp_path):
    with pytest.raises(KubeconfigError, match="not the user to act as"):
        read(kubeconfig(tmp_path, server.url, user={"as-groups": ["dev"]}), Pod)


def test_a_real_api_server_lets_an_admin_act_as_somebody_with_fewer_rights(control_plane: ControlPlane, tmp_path):
    config = yaml.safe_load(control_plane.kubeconfig("admin").read_text())
    config["users"][0]["user"]["as"] = "nobody"
    path = tmp_path / "as-nobody"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(Forbidden, match="nobody"):
        read(path, Pod)


def test_a_proxy_that_does_not_answer_is_told_from_the_server_and_its_password_kept(tmp_path):
    with pytest.raises(Unreachable, match="the proxy does not answer") as error:
        read(kubeconfig(tmp_path, "http://api.example.test", **{"proxy-url": "http://me:hunter2@127.0.0.1:1"}))
    assert "hunter2" not in str(error.value)


class Tunnel:
    """A proxy that connects its clients with wherever they want to go, once they show a password.

    The first ``busy`` of them it turns away.
    """

    def __init__(self, password: str = "", busy: int = 0) -> None:
        self.password = password
        self.busy = busy
        self.asked_for: list[str] = []

    async def __aenter__(self) -> Tunnel:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        self.asked_for.append(f"{method} {target}")
        expected = base64.b64encode(f"me:{self.password}".encode()).decode()
        if self.password and f"Proxy-Authorization: Basic {expected}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        if self.busy:
            self.busy -= 1
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        host, _, port = target.rpartition(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        # The loop ends before connections that are kept for later do.
        with suppress(asyncio.CancelledError):
            await asyncio.gather(self._pipe(reader, there[1]), self._pipe(there[0], writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()


def through_tunnel(config: Path, tmp_path: Path, tunnel: Tunnel, *kinds: Any, login: str = "") -> list[str]:
    """Read kinds through a tunnel that a kubeconfig names, with a login. Returns the statuses of the lists."""

    async def once() -> list[str]:
        async with tunnel:
            whole = loaded(config)
            whole["clusters"][0]["cluster"]["proxy-url"] = f"http://{login}{tunnel.address}"
            (tmp_path / "tunnelled").write_text(yaml.safe_dump(whole))
            source = LiveSource(kubeconfig=str(tmp_path / "tunnelled"))
            try:
                return [each.result.status for each in await source.read(kinds)]
            finally:
                await source.close()

    return asyncio.run(once())


def test_tls_goes_through_a_proxy_with_its_password(control_plane: ControlPlane, tmp_path):
    config, tunnel = control_plane.kubeconfig("admin"), Tunnel("hunter2")
    assert through_tunnel(config, tmp_path, tunnel, Node, login="me:hunter2@") == ["read"]
    assert tunnel.asked_for == [f"CONNECT {control_plane.server.removeprefix('https://')}"]
    with pytest.raises(Unreachable, match="the proxy refused: 407") as error:
        through_tunnel(config, tmp_path, Tunnel("hunter2"), Node, login="me:wrong-hunter2@")
    assert "hunter2" not in str(error.value)


def test_one_connection_of_several_that_fails_is_tried_again(control_plane: ControlPlane, tmp_path):
    config, tunnel = control_plane.kubeconfig("admin"), Tunnel(busy=1)
    assert through_tunnel(config, tmp_path, tunnel, Node, Pod) == ["read", "read"]
    assert tunnel.busy == 0


# --- TLS and certificates, on a real API server ----------------------------------------------------------


@pytest.mark.parametrize("user", ["admin", "cert-admin"])
def test_tokens_and_client_certificates_are_accepted(control_plane: ControlPlane, user):
    assert read(control_plane.kubeconfig(user), Node)["Node"].result.status == "read"


def certificate_files(control_plane: ControlPlane, directory: Path) -> dict[str, str]:
    user = loaded(control_plane.kubeconfig("cert-admin"))["users"][0]["user"]
    files = {}
    for key in ("client-certificate", "client-key"):
        (directory / f"{key}.pem").write_bytes(base64.b64decode(user[f"{key}-data"]))
        files[key] = f"{key}.pem"
    return files


def with_user(control_plane: ControlPlane, directory: Path, user: dict[str, Any]) -> Path:
    whole = loaded(control_plane.kubeconfig("cert-admin"))
    whole["users"][0]["user"] = user
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(whole))
    return path


def test_client_certificates_in_files_are_accepted(control_plane: ControlPlane, tmp_path):
    config = with_user(control_plane, tmp_path, certificate_files(control_plane, tmp_path))
    assert read(config, Node)["Node"].result.status == "read"


def test_a_client_certificate_from_a_plugin_is_accepted(control_plane: ControlPlane, tmp_path):
    files = certificate_files(control_plane, tmp_path)
    certificate, key = ((tmp_path / name).read_text() for name in files.values())
    user = plugin(tmp_path, credential(clientCertificateData=certificate, clientKeyData=key))
    assert read(with_user(control_plane, tmp_path, user), Node)["Node"].result.status == "read"


def test_a_key_with_a_password_is_an_error_and_no_question(control_plane: ControlPlane, tmp_path):
    files = certificate_files(control_plane, tmp_path)
    key = tmp_path / files["client-key"]
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-out", tmp_path / "locked.pem", "-passout", "pass:hunter2"],
        check=True, capture_output=True,
    )  # fmt: skip
    config = with_user(control_plane, tmp_path, files | {"client-key": "locked.pem"})
    with pytest.raises(KubeconfigError, match="certificate or key"):
        read(config, Node)


def test_a_certificate_file_that_is_gone_is_named(control_plane: ControlPlane, tmp_path):
    files = certificate_files(control_plane, tmp_path)
    with pytest.raises(KubeconfigError, match=r"gone\.pem"):
        read(with_user(control_plane, tmp_path, files | {"client-key": "gone.pem"}), Node)


def test_a_certificate_of_an_unknown_authority_is_said_not_to_be_trusted(control_plane: ControlPlane, tmp_path):
    with pytest.raises(Unreachable, match="not trusted"):
        read(kubeconfig(tmp_path, control_plane.server))


def test_certificates_may_be_left_unchecked_where_the_kubeconfig_says_so(control_plane: ControlPlane, tmp_path):
    user = {"token": loaded(control_plane.kubeconfig("admin"))["users"][0]["user"]["token"]}
    config = kubeconfig(tmp_path, control_plane.server, user=user, **{"insecure-skip-tls-verify": True})
    assert read(config, Node)["Node"].result.status == "read"


def test_the_name_in_the_certificate_may_be_another_than_the_address(control_plane: ControlPlane, tmp_path):
    whole = loaded(control_plane.kubeconfig("admin"))
    config = tmp_path / "kubeconfig"
    for name, is_trusted in (("kubernetes.default.svc", True), ("another.example.test", False)):
        whole["clusters"][0]["cluster"]["tls-server-name"] = name
        config.write_text(yaml.safe_dump(whole))
        if is_trusted:
            assert read(config, Node)["Node"].result.status == "read"
        else:
            with pytest.raises(Unreachable, match="not trusted"):
                read(config, Node)


def test_a_pod_s_own_credentials_are_used_where_there_is_no_kubeconfig(
    control_plane: ControlPlane, tmp_path, monkeypatch
):
    from kubernetes.config import incluster_config

    whole = loaded(control_plane.kubeconfig("reader"))
    mounted = {
        "token": whole["users"][0]["user"]["token"] + "\n",
        "ca.crt": base64.b64decode(whole["clusters"][0]["cluster"]["certificate-authority-data"]).decode(),
        "namespace": "team-a\n",
    }
    for name, content in mounted.items():
        (tmp_path / name).write_text(content)
    host, port = control_plane.server.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(kubeconfigs, "IN_CLUSTER", tmp_path)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    assert kubeconfigs.has_cluster()
    reads = read("", Pod)
    assert reads["Pod"].result.status == "forbidden"
    assert reads["Pod/team-a"].result.status == "read"
