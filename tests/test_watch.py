"""A watch of a real control plane: what breaks appears, what is repaired goes, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.errors import InvalidOption, Unreachable
from k8sgpt_magic.session import Session
from k8sgpt_magic.views import watching
from k8sgpt_magic.watch import Watch
from tests.cluster.servers import ScriptedServer, event, kubeconfig, page, pod, status
from tests.controlplane.controlplane import ControlPlane
from tests.threads import OwnThreads

REPOSITORY = Path(__file__).resolve().parents[1]
SECONDS = 20.0

BROKEN = """
apiVersion: v1
kind: Pod
metadata: {name: checkout, labels: {app: checkout, k8sgpt-magic.test/state: image-pull-backoff}}
spec: {containers: [{name: app, image: "registry.example.com/checkout:2.4.1"}]}
"""
OTHER = BROKEN.replace("checkout", "other")


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.fixture
def admin(control_plane: ControlPlane) -> str:
    return str(control_plane.kubeconfig("admin"))


def until(condition: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def codes(watch: Watch) -> set[str]:
    return {f"{row.code} {row.name}" for row in watch.findings.itertuples()}


def connections(port: int) -> int:
    """The connections of this process to a local port."""
    return sum(
        each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
        for each in psutil.Process().net_connections("tcp")
        if each.raddr
    )


def port_of(plane: ControlPlane) -> int:
    return int(plane.server.rpartition(":")[2])


def test_what_breaks_appears_as_new_and_what_is_repaired_as_resolved(control_plane, session, admin, namespace):
    api = control_plane.api
    api.apply(OTHER, namespace)
    watch = session.watch(namespace, kubeconfig=admin, interval=0.3)
    until(lambda: "PodImagePullBackOff other" in codes(watch), lambda: watch)
    api.apply(BROKEN, namespace)
    until(lambda: "PodImagePullBackOff checkout" in codes(watch), lambda: watch)
    [finding] = [
        each for each in watch.state.findings if each.code == "PodImagePullBackOff" and each.name == "checkout"
    ]
    assert finding.id in watch.state.new

    api.delete("Pod", "checkout", namespace, grace_seconds=0)
    until(lambda: "PodImagePullBackOff checkout" not in codes(watch), lambda: watch)
    assert finding.id in {change.finding.id for change in watch.state.resolved}
    changes = watch.changes
    [seen] = [list(changes[changes["id"] == finding.id].change)]
    assert seen == ["new", "resolved"]
    assert changes["at"].is_monotonic_increasing

    # It comes back, and is no longer among what is resolved.
    api.apply(BROKEN, namespace)
    until(lambda: "PodImagePullBackOff checkout" in codes(watch), lambda: watch)
    assert finding.id not in {change.finding.id for change in watch.state.resolved}
    assert watch.is_running
    watch.stop()
    assert not watch.is_running
    assert watch.state.ended == "stopped"
    assert "PodImagePullBackOff checkout" in codes(watch)


def test_a_restart_of_the_api_server_is_survived(control_plane, session, admin, namespace):
    watch = session.watch(kubeconfig=admin, interval=0.3, filter="po")
    control_plane.stop_apiserver()
    try:
        until(lambda: watch.state.trouble.startswith("reconnecting"), lambda: watch)
        assert len(watch.state.trouble.splitlines()) == 1
        assert not watch.state.went
    finally:
        control_plane.start_apiserver()
    control_plane.api.apply(BROKEN, namespace)
    until(lambda: "PodImagePullBackOff checkout" in codes(watch), lambda: watch)
    until(lambda: watch.state.trouble == "", lambda: watch)


def test_only_reading_requests_are_sent_and_each_kind_is_watched_once(control_plane, session, admin, namespace):
    mark = control_plane.audit.mark()
    agent = "k8sgpt-magic/"
    with session.watch(namespace, kubeconfig=admin):

        def verbs() -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for each in control_plane.requests(since=mark, user_agent=agent):
                found.setdefault(each.verb, []).append(each.uri.partition("?")[0])
            return found

        # One more list is that of the namespaces, to know whether this one is there.
        until(lambda: len(verbs().get("watch", ())) >= len(verbs()["list"]) - 1, verbs)
        found = verbs()
    # What of CustomResourceDefinitions is served is asked for once.
    assert found.pop("get") == ["/apis"]
    assert set(found) == {"list", "watch"}
    assert len(found["watch"]) == len(set(found["watch"]))
    assert set(found["watch"]) <= set(found["list"])


def test_a_watch_that_is_stopped_leaves_no_connection_and_a_closed_session_no_thread(control_plane, session, admin):
    threads = OwnThreads()
    port = port_of(control_plane)
    before = connections(port)
    watches = [session.watch(kubeconfig=admin, filter=kind) for kind in ("po", "svc")]
    until(lambda: connections(port) > before + 5)
    watches[0].stop()
    watches[0].stop()
    assert watches[1].is_running
    assert threads.names().count("k8sgpt-magic") == 1
    session.close()
    assert not watches[1].is_running
    assert watches[1].state.ended == "stopped with the session"
    until(lambda: connections(port) <= before and not threads.names(), lambda: (connections(port), threads.names()))
    # It may be used again.
    with session.watch(kubeconfig=admin, filter="po") as again:
        assert again.is_running
    assert not again.is_running


def test_a_second_watch_of_the_same_takes_the_place_of_the_first(session, admin):
    first = session.watch(kubeconfig=admin, filter="po")
    other = session.watch(kubeconfig=admin, filter="svc")
    second = session.watch(kubeconfig=admin, filter="po")
    assert [each.is_running for each in (first, other, second)] == [False, True, True]
    assert "another watch of the same" in first.state.ended


def test_selectors_and_severities_are_those_of_an_analysis(control_plane, session, admin, namespace):
    labelled = session.watch(namespace, kubeconfig=admin, selector="app=checkout", interval=0.2)
    severe = session.watch(namespace, kubeconfig=admin, severity="critical", interval=0.2)
    control_plane.api.apply(BROKEN + "---" + OTHER, namespace)
    until(lambda: len([each for each in codes(severe) if "PodImagePullBackOff" in each]) == 2, lambda: severe)
    until(lambda: "PodImagePullBackOff checkout" in codes(labelled), lambda: labelled)
    assert set(labelled.findings[labelled.findings.kind == "Pod"].name) == {"checkout"}
    assert set(severe.findings.severity) == {"critical"}


def test_who_may_read_one_namespace_watches_that_one(control_plane, session):
    watch = session.watch(kubeconfig=str(control_plane.kubeconfig("reader")), interval=0.2, filter="po")
    control_plane.api.apply(BROKEN, "team-a")
    try:
        until(lambda: "PodImagePullBackOff checkout" in codes(watch), lambda: watch)
        assert "pods" in str(watch.findings.attrs["unreadable"])
        assert watch.state.trouble == ""
        assert watch.state.note == ""
    finally:
        control_plane.api.delete("Pod", "checkout", "team-a", grace_seconds=0)


def test_a_view_may_stop_the_watch(server, session, tmp_path):
    server.watches("/api/v1/pods", [event("ADDED", **WAITING)])
    watch = session.watch(kubeconfig=str(kubeconfig(tmp_path, server.url)), filter="po", interval=0.1)

    class UntilTheFirst:
        def show(self, state: Any) -> None:
            if state.new:
                watch.stop("seen enough")

    watch.add_view(UntilTheFirst())
    watch.wait(SECONDS)
    assert watch.state.ended == "seen enough"
    assert session.stop_watches() == 0


def test_all_watches_are_stopped_at_once(server, session, tmp_path):
    config = str(kubeconfig(tmp_path, server.url))
    watches = [session.watch(kubeconfig=config, filter=kind) for kind in ("po", "svc")]
    assert session.stop_watches() == 2
    assert not any(each.is_running for each in watches)
    until(lambda: not server.open_connections)


def test_while_one_watches_others_analyze(session, admin):
    with session.watch(kubeconfig=admin, filter="po") as watch:
        assert session.analyze(kubeconfig=admin, filter="po").attrs["kinds"]
        assert watch.is_running


def test_what_never_changes_is_refused_in_one_line(session, tmp_path, monkeypatch):
    threads = OwnThreads()
    with pytest.raises(InvalidOption, match="live cluster: demo never changes"):
        session.watch(source="demo")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(InvalidOption, match="there is none: name a kubeconfig"):
        session.watch()
    with pytest.raises(InvalidOption, match="--interval"):
        session.watch(source="demo", interval=0)
    with pytest.raises(Unreachable, match="refused"):
        session.watch(kubeconfig=str(kubeconfig(tmp_path, "http://127.0.0.1:1")), timeout=3)
    assert threads.names() in ([], ["k8sgpt-magic"])


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


WAITING: dict[str, Any] = {
    "metadata": {"name": "one", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"nodeName": "n", "containers": [{"name": "app", "image": "x"}]},
    "status": {
        "phase": "Pending",
        "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}}],
    },
}


def test_a_token_that_expires_is_said_in_one_line_and_findings_stay(server, session, tmp_path):
    is_valid = {"now": True}

    def answer() -> Any:
        return page(WAITING) if is_valid["now"] else status(401, "Unauthorized")

    server.watches("/api/v1/pods", *[lambda: status(401, "Unauthorized")] * 99, lists=answer)
    config = kubeconfig(tmp_path, server.url, user={"token": "t"})
    watch = session.watch(kubeconfig=str(config), filter="po")
    is_valid["now"] = False
    until(lambda: "401 Unauthorized" in watch.state.trouble, lambda: watch)
    assert len(watch.findings) == 1
    expected = (
        "1 critical; no changes; reconnecting pods: 401 Unauthorized: log in again, it goes on with the new token"
    )
    assert str(watch).splitlines()[0].endswith(expected)


def test_judging_is_paced_however_many_changes_there_are(server, session, tmp_path):
    flood = [event("MODIFIED", "one", str(n), status={"phase": f"P{n}"}) for n in range(3000)]
    server.watches("/api/v1/pods", flood, lists=lambda: page(pod("one")))
    watch = session.watch(kubeconfig=str(kubeconfig(tmp_path, server.url)), filter="po", interval=0.5)
    seen: list[Any] = []

    class View:
        def show(self, state: Any) -> None:
            seen.append((time.monotonic(), state))

    began = time.monotonic()
    watch.add_view(View())
    until(lambda: time.monotonic() - began > 1.6)
    times = [at for at, state in seen[1:] if state.summary is not seen[0][1].summary]
    assert 1 <= len(times) <= 4


def test_a_view_that_fails_ends_itself_only(server, session, tmp_path):
    server.watches("/api/v1/pods", [event("ADDED", **WAITING)])
    watch = session.watch(kubeconfig=str(kubeconfig(tmp_path, server.url)), filter="po", interval=0.1)

    class View:
        calls = 0

        def show(self, _: Any) -> None:
            self.calls += 1
            if self.calls > 1:
                raise OSError("gone")

    watch.add_view(View())
    until(lambda: len(watch.changes) == 1)
    assert watch.is_running


def test_a_grace_period_that_passes_is_noticed_without_any_change(server, session, tmp_path, monkeypatch):
    monkeypatch.setattr("k8sgpt_magic.watch._RECHECK", 0.2)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    young = {"metadata": {**WAITING["metadata"], "creationTimestamp": created}, "status": {"phase": "Pending"}}
    server.watches("/api/v1/pods", lists=lambda: page(young))
    watch = session.watch(kubeconfig=str(kubeconfig(tmp_path, server.url)), filter="po", interval=0.1)
    assert len(watch.findings) == 0
    monkeypatch.setattr(LiveSource, "now", lambda _: datetime.now(UTC) + timedelta(hours=1))
    until(lambda: "PodNotScheduled one" in codes(watch), lambda: watch)


def test_a_long_table_says_how_much_more_there_is(server, session, tmp_path):
    pods = [{**WAITING, "metadata": {**WAITING["metadata"], "name": f"p{n}"}} for n in range(watching.ROWS + 5)]
    server.watches("/api/v1/pods", lists=lambda: page(*pods))
    watch = session.watch(kubeconfig=str(kubeconfig(tmp_path, server.url)), filter="po")
    html = watching.render(watch.state)
    assert html.count("<tr") == watching.ROWS + 1
    assert "… and 5 more" in html
    assert len(str(watch).splitlines()) <= watching.LINES + 2
    assert str(watch).splitlines()[-1] == f"... and {watching.ROWS + 5 - watching.LINES + 1:,} more"


# --- in a terminal -------------------------------------------------------------------------------------------


def terminal(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "k8sgpt_magic", "watch", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def test_a_terminal_shows_changes_line_by_line_until_an_interrupt(control_plane, admin, namespace):
    process = terminal("-n", namespace, "--kubeconfig", admin, "--interval", "0.3")
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert re.match(rf"Watching admin \({namespace}\) since \d\d:\d\d: no problems found", first), first
        control_plane.api.apply(BROKEN, namespace)
        while "PodImagePullBackOff" not in (line := process.stdout.readline()):
            assert line
        assert re.match(r"\d\d:\d\d:\d\d NEW +critical PodImagePullBackOff \S+/checkout \[app\]: ", line), line
        control_plane.api.delete("Pod", "checkout", namespace, grace_seconds=0)
        while "RESOLVED critical PodImagePullBackOff" not in (line := process.stdout.readline()):
            assert line
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert time.monotonic() - began < 3
        assert (process.returncode, err) == (0, "")
        assert re.match(r"Watched admin .* from .* to .*, stopped: ", out.splitlines()[-1])
    finally:
        process.kill()
        process.wait()


def test_a_watch_for_some_seconds_ends_by_itself(admin):
    process = terminal("-f", "po", "--kubeconfig", admin, "--for", "0.5")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1].startswith("Watched admin from")


def test_mistakes_in_a_terminal_are_one_line():
    for process, code, line in (
        (terminal("--source", "demo"), 2, "watch needs a live cluster: demo never changes"),
        (terminal("--intervall", "3"), 2, "--interval"),
    ):
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (code, "")
        assert line in err
        assert len(err.splitlines()) == 1


def test_an_interrupt_that_comes_too_early_still_shows_how_it_ended(server, session, tmp_path, monkeypatch, capsys):
    watch = session.watch(kubeconfig=str(kubeconfig(tmp_path, server.url)), filter="po")

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "add_view", interrupted)
    watching.wait(watch, in_notebook=False)
    assert not watch.is_running
    assert capsys.readouterr().out.startswith("Watched test from")
