"""Log: which logs are read, which of their lines tell of a problem, and what of them is shown."""

from __future__ import annotations

import pytest

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.analyzers.log import problems, wanted
from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.explain.explainer import Style
from k8sgpt_magic.session import Session
from tests.cluster.servers import ScriptedServer, kubeconfig, page, status
from tests.views import findings, view_of


def pod(name: str, statuses: str, owner: str = "") -> str:
    owners = f", ownerReferences: [{{kind: ReplicaSet, name: {owner}, controller: true}}]" if owner else ""
    return f"""---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop{owners}}}
spec: {{containers: [{{name: app}}]}}
status: {{phase: Running, containerStatuses: [{statuses}]}}
"""


READY = "{name: app, ready: true, restartCount: 0, state: {running: {startedAt: '2026-11-01T00:00:00Z'}}}"
RESTARTED = "{name: app, ready: true, restartCount: 2, state: {running: {startedAt: '2026-11-01T00:00:00Z'}}}"
LOOPING = "{name: app, ready: false, restartCount: 5, state: {waiting: {reason: CrashLoopBackOff}}}"
PULLING = "{name: app, ready: false, restartCount: 0, state: {waiting: {reason: ImagePullBackOff}}}"
UNREADY = "{name: app, ready: false, restartCount: 0, state: {running: {startedAt: '2026-11-02T08:00:00Z'}}}"
STARTING = "{name: app, ready: false, restartCount: 0, state: {running: {startedAt: '2026-11-02T08:59:50Z'}}}"
DONE = "{name: app, ready: false, restartCount: 0, state: {terminated: {exitCode: 0}}}"
FAILED = "{name: app, ready: false, restartCount: 0, state: {terminated: {exitCode: 1}}}"


@pytest.mark.parametrize(
    ("statuses", "previous"),
    [
        (READY, []),
        (RESTARTED, [True, False]),
        (LOOPING, [True]),
        (PULLING, []),
        (UNREADY, [False]),
        (STARTING, []),
        (DONE, []),
        (FAILED, [False]),
    ],
)
def test_only_logs_of_containers_that_are_not_well_are_read(statuses, previous):
    asked = list(wanted(view_of(pod("web-1", statuses))))
    assert [each.previous for each in asked] == previous
    assert all(each.lines and each.limit for each in asked)


def test_pods_of_one_workload_speak_for_each_other():
    many = "".join(pod(f"web-{number}", LOOPING, owner="web") for number in range(20))
    assert len(list(wanted(view_of(many)))) == 2


@pytest.mark.parametrize(
    "line",
    [
        "all good",
        "0 errors, 3 warnings",
        "finished without errors",
        "failover to replica done",
        '{"level":"info","msg":"error budget is fine"}',
        'level=warn msg="cannot reach peer, trying again"',
        "error=null user=1",
        "I1102 09:00:00.000000       1 main.go:10] failed over in 3 ms",
        "2026-11-02T09:00:00Z DEBUG failed to find a faster way",
        "\tat com.example.Failed.run(Failed.java:3)",
        "",
    ],
)
def test_lines_that_tell_of_no_problem(line):
    assert problems(line) == []


@pytest.mark.parametrize(
    ("line", "is_fatal"),
    [
        ("panic: runtime error: index out of range", True),
        ("2026-11-02 09:00:00,123 FATAL could not bind", True),
        ("F1102 09:00:00.000000       1 main.go:10] no config", True),
        ('{"severity":"critical","message":"no disk"}', True),
        ("fatal: could not start", True),
        ("Segmentation fault (core dumped)", True),
        ("java.lang.OutOfMemoryError: Java heap space", True),
        ('ERROR: relation "users" does not exist', False),
        ('time="09:00" level=error msg="boom"', False),
        ("dial tcp 10.0.0.1:5432: connect: connection refused", False),
        ("java.lang.IllegalStateException: no", False),
    ],
)
def test_lines_that_do(line, is_fatal):
    [said] = problems(line)
    assert said.is_fatal is is_fatal


def test_lines_that_say_the_same_count_as_one_and_the_worst_comes_first():
    log = "\n".join(
        [f"ERROR request {number} to 10.0.0.{number} failed after {number} ms" for number in range(9)]
        + ["ERROR queue is full"] * 3
        + ["panic: out of ideas", "goroutine 1 [running]:", "\t/app/main.go:10 +0x1d"]
    )
    assert [(said.line, said.times) for said in problems(log)] == [
        ("panic: out of ideas", 1),
        ("ERROR request 8 to 10.0.0.8 failed after 8 ms", 9),
        ("ERROR queue is full", 3),
    ]


def test_a_traceback_is_one_problem_and_what_it_ends_with():
    log = 'Traceback (most recent call last):\n  File "a.py", line 1\n    raise ValueError("x")\nValueError: x\n'
    [said] = problems(log * 2)
    assert (said.line, said.is_fatal, said.times) == ("ValueError: x", True, 2)


def test_credentials_are_removed_before_anything_is_kept():
    [said] = problems("ERROR login failed: password=hunter2hunter2 token: eyJhbGciOi.eyJzdWIiOiIx.abcdefgh")
    assert "hunter2" not in said.line
    assert "eyJ" not in said.line
    assert "[removed]" in said.line


def test_the_run_before_is_preferred_and_evidence_is_bounded():
    view = view_of(pod("web-1", RESTARTED))
    current, before = sorted(wanted(view), key=lambda each: each.previous)
    view.logs = {current: "ERROR now\n", before: "\n".join(f"ERROR kind {chr(97 + each) * 3}" for each in range(9))}
    [found] = findings("Log", view)
    assert (found.code, found.kind, found.name, found.container) == ("LogErrors", "Pod", "web-1", "app")
    assert "before its last restart" in found.message
    assert "8 other problems" in found.message
    assert len(found.evidence) == 3


@pytest.fixture
def server():
    server = ScriptedServer()
    yield server
    server.stop()


def test_logs_are_read_over_http_bounded_and_masked_when_sent(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody-is-asked")
    statuses = [
        {"name": "app", "ready": False, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    ]
    looping = {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "x"}]},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }
    fine = {"metadata": {"name": "fine", "namespace": "shop"}, "status": {"phase": "Running"}}

    async def pods(_):
        return page(looping, fine)

    async def log(_):
        from aiohttp import web

        return web.Response(text="starting\npanic: no route to db.corp.example as web-1\n")

    server.on("/api/v1/pods", pods)
    server.on("/api/v1/namespaces/shop/pods/web-1/log", log)
    session = Session()
    try:
        config = str(kubeconfig(tmp_path, server.url))
        found = session.analyze(kubeconfig=config, filter="log")
        assert list(found.code) == ["LogFatal"]
        assert "no route to db.corp.example" in found.iloc[0].message
        asked = [(path, query) for _, path, query, _ in server.requests if path.endswith("/log")]
        assert [path for path, _ in asked] == ["/api/v1/namespaces/shop/pods/web-1/log"]
        assert asked[0][1] == {"container": "app", "tailLines": "200", "limitBytes": "65536", "previous": "true"}
        sent = str(session.explainer.preview(found, Style(backend="openai")))
        assert "panic" in sent
        assert "db.corp.example" not in sent
        assert "web-1" not in sent

        async def refused(_):
            return status(403, "no logs for you")

        server.on("/api/v1/namespaces/shop/pods/web-1/log", refused)
        forbidden = session.analyze(kubeconfig=config, filter="log", refresh=True)
        assert forbidden.empty
        [note] = [note for note in forbidden.attrs["notes"] if "web-1" in note]
        assert "pods/log" in note
    finally:
        session.close()


def test_where_there_are_no_logs_it_is_said():
    session = Session()
    try:
        found = session.analyze(source="demo", filter="log")
        assert found.attrs["notes"] == ["There are no logs in demo."]
    finally:
        session.close()
    assert registered()["Log"].logs is wanted
    assert hasattr(LiveSource, "logs")
