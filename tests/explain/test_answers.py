"""Answers on their way: streamed, interrupted, asked for once, with logs; against servers over real HTTP."""

from __future__ import annotations

import _thread
import json
import threading
import time

import pytest
from aiohttp import web
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from k8sgpt_magic.explain.explainer import Style
from k8sgpt_magic.explain.explanation import so_far
from k8sgpt_magic.magics import K8sGPTMagics
from k8sgpt_magic.session import Session
from tests.cluster.servers import ScriptedServer, kubeconfig, page, status
from tests.explain.model_server import ANSWER, Reply, running


@pytest.fixture
def model():
    with running() as server:
        yield server


@pytest.fixture
def session(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    session = Session()
    session.analyze(source="demo", namespace="shop", severity="critical")
    yield session
    session.close()


@pytest.fixture
def shell(session):
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    shell.register_magics(K8sGPTMagics(shell, session))
    return shell


def style(model, **options):
    # What a proxy passes on may leave this machine, so it is masked wherever the proxy runs.
    return Style(backend="litellm", base_url=model.url, model="tiny", **options)


def options(model):
    return f"--backend customrest --base-url {model.url} --model tiny"


class Seen:
    """A progress view that keeps what it was given."""

    def __init__(self):
        self.lines = []
        self.is_closed = False

    def draw(self, progress):
        self.lines.append((progress.problems, progress.answered, progress.said()))

    def close(self):
        self.is_closed = True


# --- as they come ----------------------------------------------------------------------------------------


def test_what_an_answer_says_so_far_is_seen_while_it_comes(session, model):
    model.default = Reply(pause=0.1)
    told, done, seen = [], [], Seen()
    one = session.last.head(1)
    session.explainer.explain(
        one,
        style(model),
        on_text=lambda finding, text: told.append((finding, text)),
        on_done=lambda finding, outcome: done.append((finding, outcome.explanation.error)),
        progress=seen,
    )
    assert {finding for finding, _ in told} == {one.iloc[0]["id"]}
    texts = [text for _, text in told]
    assert texts == sorted(texts, key=len)
    assert len(set(texts)) > 1
    assert texts[-1] == f"{ANSWER['error']} {ANSWER['cause']}"
    assert done == [(one.iloc[0]["id"], ANSWER["error"])]
    assert seen.is_closed
    assert any(partial for _, _, partial in seen.lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ('{"error": "The image', "The image"),
        ('```json\n{"error": "It is gone.", "cause": "Some', "It is gone. Some"),
        ('{"error": "Pod __POD_', "Pod "),
        ("<think>hm", ""),
        ("<think>hm</think>Plain words", "Plain words"),
        ('{"steps": ["a"', ""),
        ("{{{", ""),
    ],
)
def test_half_an_answer_is_read_as_far_as_it_goes(text, said):
    assert so_far(text).strip() == said.strip()


def test_two_callers_at_once_get_their_own_answers(session, model):
    model.default = Reply(delay=0.2)
    rows = {}

    def ask(name, question):
        rows[name] = session.explainer.explain(session.last.head(3), style(model, ask=question))

    threads = [threading.Thread(target=ask, args=(name, f"why {name}?")) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {name: list(each.failure) for name, each in rows.items()} == {name: [""] * 3 for name in "abc"}
    assert model.most_at_once > 3


# --- only what is missing --------------------------------------------------------------------------------


def test_the_next_explain_asks_only_for_what_failed(session, model):
    model.respond = lambda body: Reply(status=400, error={"message": "no"}) if "Service" in str(body) else Reply()
    first = session.explainer.explain(style=style(model))
    failed = first[first.failure != ""]
    assert 0 < len(failed) < len(first)
    assert failed.failure.str.contains("no").all()
    assert (first[first.failure == ""].explanation != "").all()
    model.respond, asked = None, len(model.bodies)
    again = session.explainer.explain(style=style(model))
    assert (again.failure == "").all()
    assert list(again.cached) == list(first.failure == "")
    assert 0 < len(model.bodies) - asked <= len(failed)


def test_no_cache_asks_again(session, model):
    for _ in range(2):
        session.explainer.explain(session.last.head(1), style(model, use_cache=False))
    assert len(model.bodies) == 2


def test_an_interrupt_ends_it_at_once_and_keeps_what_was_answered(session, model, capsys):
    slow = "CrashLoopBackOff"
    model.respond = lambda body: Reply(delay=30) if slow in json.dumps(body) else Reply()
    interrupted: list[float] = []

    def interrupt() -> None:
        # Once all that can be answered is, and only slow ones are waited for.
        seen = -1
        while not model.bodies or seen != len(model.bodies):
            seen = len(model.bodies)
            time.sleep(0.7)
        interrupted.append(time.monotonic())
        _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        session.explainer.explain(style=style(model))
    assert time.monotonic() - interrupted[0] < 3
    said = capsys.readouterr().out
    assert said.startswith("Interrupted: ")
    assert said.count("\n") == 1
    model.respond, before = None, len(model.bodies)
    again = session.explainer.explain(style=style(model))
    assert (again.failure == "").all()
    assert 0 < len(model.bodies) - before < len(again)


# --- analyze --explain -----------------------------------------------------------------------------------


def test_an_analysis_can_be_explained_in_one_go(shell, model):
    rows = shell.run_line_magic(
        "k8sgpt", f"analyze --source demo -n shop --severity critical --explain {options(model)}"
    )
    assert (rows.explanation == f"{ANSWER['error']} {ANSWER['cause']}").all()
    assert set(rows.backend) == {"customrest"}
    assert len(model.bodies) <= len(rows)


def test_options_of_explain_without_it_are_a_mistake(shell):
    with pytest.raises(UsageError, match="add --explain"):
        shell.run_line_magic("k8sgpt", "analyze --source demo --backend offline")


def test_an_analysis_without_findings_asks_nobody(shell, model):
    rows = shell.run_line_magic("k8sgpt", f"analyze --source demo -n nowhere -f cm --explain {options(model)}")
    assert len(rows) == 0
    assert model.bodies == []


# --- logs ------------------------------------------------------------------------------------------------


def crashing(name, restarts=3):
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    return {
        "metadata": {
            "name": name, "namespace": "shop", "uid": name,
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "uid": "r", "controller": True}],
        },
        "spec": {"nodeName": "n", "containers": [{"name": "app", "image": "web:1"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "app", "restartCount": restarts, "state": state}],
        },
    }  # fmt: skip


@pytest.fixture
def cluster():
    server = ScriptedServer()
    server.answers("/api/v1/pods", lambda: page(crashing("web-a"), crashing("web-b")))
    yield server
    server.stop()


LOG = "/api/v1/namespaces/shop/pods/web-a/log"


def explained_with_logs(cluster, model, tmp_path):
    session = Session()
    try:
        session.analyze(kubeconfig=str(kubeconfig(tmp_path, cluster.url)), filter="po")
        return session.explainer.explain(style=style(model, logs=True))
    finally:
        session.close()


def test_the_log_of_the_run_before_goes_along_masked_and_once_for_all_pods_of_an_owner(cluster, model, tmp_path):
    async def log(request):
        assert request.query["container"] == "app"
        return web.Response(text="starting web-a\nFATAL no route to 10.1.2.3 password=hunter2abc\n")

    cluster.on(LOG, log)
    rows = explained_with_logs(cluster, model, tmp_path)
    assert list(rows.failure) == ["", ""]
    [query] = cluster.asked(LOG)
    assert query["previous"] == "true"
    assert int(query["tailLines"]) <= 100
    assert int(query["limitBytes"]) <= 65_536
    assert len(model.bodies) == 1
    assert b"FATAL no route to" in model.received
    for secret in (b"hunter2abc", b"10.1.2.3"):
        assert secret not in model.received


def test_a_long_log_is_cut_to_its_end(cluster, model, tmp_path):
    async def log(_):
        return web.Response(text="".join(f"line {number} {'x' * 300}\n" for number in range(200)))

    cluster.on(LOG, log)
    explained_with_logs(cluster, model, tmp_path)
    assert b"line 199 " in model.received
    assert b"line 100 " not in model.received


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: status(403, "pods/log is forbidden"), "get on pods/log"),
        (lambda: status(500, "kubelet away"), "kubelet"),
    ],
)
def test_a_log_that_cannot_be_read_costs_a_note_and_no_explanation(cluster, model, tmp_path, answer, said):
    cluster.answers(LOG, answer)
    rows = explained_with_logs(cluster, model, tmp_path)
    assert list(rows.failure) == ["", ""]
    [note] = [note for note in rows.summary.notes if "No logs" in note]
    assert said in note
    assert said in repr(rows)


def test_a_source_without_logs_says_so(session, model):
    rows = session.explainer.explain(style=style(model, logs=True))
    assert "There are no logs in demo." in rows.summary.notes
    assert (rows.failure == "").all()
