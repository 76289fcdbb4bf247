"""Custom analyzers elsewhere, served by a real gRPC server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from k8sgpt_magic import analyzers, remote, settings
from k8sgpt_magic.commands import Commands
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.explain.explainer import Style
from k8sgpt_magic.session import Session

TEXT = "Disk /dev/secret-disk of host-7 is 97 % full"


def result(**fields: Any) -> bytes:
    messages = remote._messages()
    return messages["RunResponse"](result=messages["Result"](**fields)).SerializeToString()


def full_disk() -> bytes:
    messages = remote._messages()
    sensitive = [messages["SensitiveData"](unmasked="/dev/secret-disk", masked="x")]
    errors = [
        messages["ErrorDetail"](text=TEXT, sensitive=sensitive, doc="https://example.com/disks"),
        messages["ErrorDetail"](text="And slow."),
    ]
    return result(kind="Disk", name="hosts/host-7", error=errors, details="df -h", parent_object="Host/host-7")


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[], bytes]], str]]:
    servers: list[grpc.Server] = []

    def start(answer: Callable[[], bytes]) -> str:
        server = grpc.server(ThreadPoolExecutor(2))
        handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer())
        service, method = remote.METHOD.strip("/").split("/")
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    analyzers.register(remote.__name__, [])


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()


def test_what_it_reports_stands_among_the_findings(session, serve, capsys, monkeypatch):
    run = Commands(session).run
    address = serve(full_disk)
    run(["custom-analyzer", "add", "disks", address])
    assert "runs with the others" in capsys.readouterr().out
    assert list(run(["custom-analyzer", "list"]).itertuples(index=False, name=None)) == [("disks", address)]
    found = session.analyze(source="demo")
    ours = found[found.code == "CustomDisks"]
    assert sorted(ours.message) == ["And slow.", TEXT]
    assert set(ours[["kind", "namespace", "name", "parent"]].itertuples(index=False, name=None)) == {
        ("Disk", "hosts", "host-7", "Host/host-7")
    }
    assert len(set(ours.id)) == 2
    assert found.attrs["errors"] == []
    assert "Custom" in analyzers.groups()

    # By its name alone, and by its group; nothing else of the cluster is read for it.
    alone = session.analyze(source="demo", filter="disks")
    assert set(alone.code) == {"CustomDisks"}
    assert alone.attrs["kinds"] == 0
    assert set(session.analyze(source="demo", filter="custom").code) == {"CustomDisks"}

    # What it calls sensitive is masked.
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody-is-asked")
    sent = str(session.explainer.preview(alone, Style(backend="openai")))
    assert "97 % full" in sent
    assert "secret-disk" not in sent
    assert "host-7" not in sent

    run(["custom-analyzer", "remove", "disks"])
    assert "CustomDisks" not in set(session.analyze(source="demo", refresh=True).code)
    assert settings.load() == settings.Settings()


def test_one_that_is_not_there_or_answers_nonsense_costs_only_itself(session, serve):
    remote.add("gone", "127.0.0.1:1")
    remote.add("nonsense", serve(lambda: b"\xff\xff"))
    remote.add("silent", serve(lambda: result(kind="Disk", name="a")))
    found = session.analyze(source="demo")
    errors = {error["analyzer"]: error["error"] for error in found.attrs["errors"]}
    assert set(errors) == {"gone", "nonsense"}
    assert errors["gone"].startswith("gone at 127.0.0.1:1: unavailable")
    assert "PodImagePullBackOff" in set(found.code)


def test_one_that_hangs_is_cut_off(session, serve):
    released = threading.Event()

    def hang() -> bytes:
        released.wait(20)
        return result(kind="Disk", name="a")

    remote.add("slow", serve(hang))
    try:
        found = session.analyze(source="demo", timeout=1.0)
        [error] = found.attrs["errors"]
        assert error["analyzer"] == "slow"
        assert "did not end within 1 s" in error["error"]
        assert "PodImagePullBackOff" in set(found.code)
    finally:
        released.set()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add", "", "localhost:1"], "no name"),
        (["add", "disks", "localhost"], "no address"),
        (["add", "disks", "localhost:99999"], "no address"),
        (["add", "disks", "http://localhost:1/x"], "no address"),
        (["add", "pod", "localhost:1"], "already"),
        (["remove", "diskz"], "no custom analyzer 'diskz'; did you mean 'disks'"),
    ],
)
def test_mistakes_are_answered_in_one_line(session, words, message):
    remote.add("disks", "localhost:1")
    with pytest.raises(InvalidOption, match=message):
        Commands(session).run(["custom-analyzer", *words])
