"""TAB: what a shell's completer offers at the cursor, which a bar stands for."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.terminal.ptutils import IPythonPTCompleter
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from traitlets.config import Config

from k8sgpt_magic import completion, magics
from k8sgpt_magic.session import Session
from tests.threads import OwnThreads

Complete = Callable[[str], dict[str, str]]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Session]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.chdir(tmp_path)
    session = Session()
    yield session
    session.close()


@pytest.fixture
def shell(session: Session) -> InteractiveShell:
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryAccessor.enabled = False
    shell = InteractiveShell(config=config)
    shell.register_magics(magics.K8sGPTMagics(shell, session))
    completion.load(shell, session)
    return shell


@pytest.fixture
def complete(shell: InteractiveShell) -> Complete:
    """The completed text of each line that the completer would make of a line, and the type it names."""

    def complete(text: str) -> dict[str, str]:
        at = text.index("|") if "|" in text else len(text)
        text = text.replace("|", "")
        with provisionalcompleter():
            found = list(shell.Completer.completions(text, at))
        assert all(text[: each.start] + text[each.end :] == text[: each.start] + text[at:] for each in found)
        return {each.text: each.type for each in found}

    return complete


def eventually(complete: Complete, text: str) -> dict[str, str]:
    """What TAB offers when pressed until it offers something, as one does."""
    deadline = time.monotonic() + 20
    while not (found := complete(text)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def seconds(press: Callable[[], object]) -> float:
    """How long TAB takes, where the machine has nothing else to do: the best of some."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        press()
        taken.append(time.perf_counter() - began)
    return min(taken)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%k8sgpt an", {"analyze", "analyzers"}),
        ("df = %k8sgpt an", {"analyze", "analyzers"}),
        ("for ns in names:\n    df[ns] = %k8sgpt analyzer", {"analyzers"}),
        ("k8sgpt sna", {"snapshot"}),
        ("%k8sgpt help ca", {"cache"}),
        ("%k8sgpt analyze --name", {"--namespace"}),
        ("%k8sgpt analyse --name", {"--namespace"}),
        ("%k8sgpt analyze --se|", {"--selector", "--severity"}),
        ("%k8sgpt analyze --he", {"--help"}),
        ("%k8sgpt analyze --severity ", {"critical", "warning", "info"}),
        ("%k8sgpt analyze --severity=w", {"warning"}),
        ("%k8sgpt analyze --sev| -n shop", {"--severity"}),
        ("%k8sgpt analyze -o j", {"json"}),
        ("%k8sgpt analyze -o 'ya", {"yaml"}),
        ("%k8sgpt analyze \\\n  -o te", {"text"}),
        ("%k8sgpt analyze -f depl", {"Deployment", "deployments", "deploy"}),
        ("%k8sgpt analyze -f po,depl", {"Deployment", "deployments", "deploy"}),
        ("%k8sgpt analyze --filter=po,svc,DEPL", {"Deployment", "deployments", "deploy"}),
        ('%k8sgpt analyze -f "po,depl', {"Deployment", "deployments", "deploy"}),
        ("%k8sgpt analyze -f deploy,depl", {"Deployment", "deployments"}),
        ("%k8sgpt analyzers -f pvc", {"pvc"}),
        ("%k8sgpt analyze --source de", {"demo"}),
        ("%k8sgpt auth a", {"add"}),
        ("%k8sgpt auth add open", {"openai", "openrouter"}),
        ("%k8sgpt generate groq", {"groq"}),
        ("%k8sgpt cache st", {"stats"}),
        ("%k8sgpt cache add f", {"file"}),
        ("%k8sgpt snapshot s", {"save"}),
        ("%explain --back", {"--backend"}),
        ("%explain --backend off", {"offline"}),
        ("%explain df[df.kind == 'Pod'] --backend off", {"offline"}),
        ("x = %explain --bri", {"--brief"}),
        ("%%explain --back|\nsome text", {"--backend"}),
    ],
)
def test_tab_offers_what_fits_at_the_cursor(complete, line, expected):
    assert set(eventually(complete, line)) == expected


def test_the_menu_says_what_each_candidate_is(complete):
    assert eventually(complete, "%k8sgpt auth a")["add"] == "action"
    assert eventually(complete, "%k8sgpt analyze -f depl") == {
        "Deployment": "kind", "deployments": "Deployment", "deploy": "Deployment",
    }  # fmt: skip


def test_the_terminal_s_own_adaptor_shows_and_inserts_them(shell):
    shell.min_elide = 30  # A terminal's shell has it.
    adaptor = IPythonPTCompleter(shell=shell)
    document = Document("df = %k8sgpt analyze -o ma -n shop", len("df = %k8sgpt analyze -o ma"))
    [found] = adaptor.get_completions(document, CompleteEvent(completion_requested=True))
    assert (found.text, found.start_position, found.display_meta_text) == ("markdown", -2, "output")


def test_an_option_that_was_given_is_not_offered_again_unless_it_may_be_repeated(complete):
    flags = complete("%k8sgpt analyze -A --severity info -n shop --refresh | --quiet")
    assert {"--namespace", "--filter", "--output"} <= set(flags)
    assert not {"--severity", "-A", "--all-namespaces", "--refresh", "-q", "--quiet"} & set(flags)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%k8sgpt analyze --source demo -n p", {"payments", "platform"}),
        ("%k8sgpt analyze --source demo --namespace=shop,p", {"payments", "platform"}),
        ("%k8sgpt analyze -n p| --source demo -q", {"payments", "platform"}),
        ("%k8sgpt snapshot save x.tar.gz --source {where} -n sho", {"shop"}),
        ("%k8sgpt analyze -n sho", {"shop"}),
    ],
)
def test_namespaces_come_from_what_the_session_has_read(shell, session, complete, line, expected):
    shell.user_ns["where"] = "demo"
    session.analyze(source="demo")
    session.analyze()
    assert set(complete(line)) == expected


def test_namespaces_are_listed_in_the_background_when_nothing_was_read_yet(session, complete):
    found = eventually(complete, "%k8sgpt analyze --source demo -n ")
    assert "shop" in found
    assert session.history == []


def write_kubeconfig(path: Path, server: str, user: dict[str, Any]) -> None:
    names = ["prod-eu", "prod-us", "it's a test"]
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "prod-eu",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in names],
    }  # fmt: skip
    path.write_text(json.dumps(config))


def test_contexts_come_from_the_kubeconfig_and_a_change_of_it_shows(tmp_path, complete):
    file = tmp_path / "config"
    write_kubeconfig(file, "http://127.0.0.1:1", {})
    assert eventually(complete, f"%k8sgpt analyze --context pr| --kubeconfig {file}") == {
        "prod-eu": "context", "prod-us": "context",
    }  # fmt: skip
    assert set(complete(f"%k8sgpt analyze --kubeconfig {file} --context it")) == {"'it'\"'\"'s a test'"}
    assert set(complete(f'%k8sgpt analyze --kubeconfig {file} --context "it')) == {"it's a test"}
    file.write_text(file.read_text().replace("prod-us", "prod-south"))
    assert set(eventually(complete, f"%k8sgpt analyze --kubeconfig {file} --context prod-s")) == {"prod-south"}


def test_paths_are_completed_folder_by_folder(tmp_path, complete):
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps" / "monday.tar.gz").touch()
    (tmp_path / "dumps" / "my dump.yaml").touch()
    (tmp_path / ".hidden").touch()
    assert complete("%k8sgpt analyze --source du") == {"dumps/": "path"}
    assert set(complete("%k8sgpt analyze --source dumps/m")) == {"dumps/monday.tar.gz", "'dumps/my dump.yaml'"}
    assert set(complete("%k8sgpt analyze --source 'dumps/my ")) == {"dumps/my dump.yaml"}
    assert set(complete("%k8sgpt analyze --kubeconfig ~/du")) == {"~/dumps/"}
    assert set(complete(f"%k8sgpt snapshot save {tmp_path}/dumps/mo")) == {f"{tmp_path}/dumps/monday.tar.gz"}
    assert ".hidden" not in complete("%k8sgpt snapshot save ")
    assert complete("%k8sgpt snapshot save .h") == {".hidden": "path"}


def test_finding_ids_of_the_last_analysis_and_variables_that_hold_findings_are_offered(shell, session, complete):
    shell.user_ns["checkout_df"] = session.analyze("shop", source="demo")
    ids = {each.id: each.severity for each in session.findings()}
    assert complete("%explain Pod/shop/") == {
        each: severity for each, severity in ids.items() if each.startswith("Pod/shop/")
    }
    assert complete("%explain check")["checkout_df"] == "findings"
    assert set(complete("%explain PodImagePullB")) == {each for each in ids if "PodImagePullB" in each}


@pytest.mark.parametrize(
    "line",
    [
        "%k8sgpt analyze --model gp",
        "%k8sgpt analyze -l ",
        "%k8sgpt analyze --context ",
        "%k8sgpt analyze --severity nothing",
        "%k8sgpt nothing",
    ],
)
def test_where_nothing_fits_python_names_are_not_offered_either(complete, line):
    assert complete(line) == {}


@pytest.mark.parametrize(
    "line", ["pri", "x = 5 %explain", "# %k8sgpt an", "%%explain\n%k8sgpt an", "%time k8sgpt an", "print('%k8sgpt an"]
)
def test_all_else_is_left_to_others(complete, line):
    assert not {"analyze", "--backend"} & set(complete(line))
    assert "print" in complete("pri")


def test_a_variable_of_the_magic_s_name_is_not_the_magic(shell, complete):
    shell.user_ns["k8sgpt"] = 1
    assert "analyze" not in complete("k8sgpt an")


def test_unloading_takes_it_away_and_loading_twice_adds_it_once(shell, session, complete):
    completion.load(shell, session)
    assert len(shell.Completer.custom_matchers) == 1
    completion.unload(shell)
    assert shell.Completer.custom_matchers == []
    assert "analyze" not in complete("%k8sgpt an")


@pytest.fixture
def hanging_port() -> Iterator[tuple[int, list[Any]]]:
    server = socket.create_server(("127.0.0.1", 0))
    connections: list[Any] = []

    def accept() -> None:
        while True:
            try:
                connections.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1], connections
    server.close()
    for connection in connections:
        connection.close()


def test_a_cluster_that_does_not_answer_does_not_hold_up_tab(tmp_path, complete, hanging_port):
    port, connections = hanging_port
    write_kubeconfig(tmp_path / "config", f"http://127.0.0.1:{port}", {})
    line = f"%k8sgpt analyze --kubeconfig {tmp_path}/config -n "
    complete(line)
    assert seconds(lambda: complete(line)) < 0.2
    assert complete(line) == {}
    # It was asked once, in the background, not by each TAB.
    deadline = time.monotonic() + 10
    while not connections and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(connections) == 1


def test_no_credential_plugin_runs_for_a_tab(tmp_path, complete):
    threads = OwnThreads()
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    plugin.chmod(0o755)
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }
    write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1", user)
    assert eventually(complete, f"%k8sgpt analyze --kubeconfig {tmp_path}/config --context prod-e")
    assert complete(f"%k8sgpt analyze --kubeconfig {tmp_path}/config -n ") == {}
    assert "k8sgpt-magic" not in threads.names()
    assert not (tmp_path / "ran").exists()


def test_a_slow_disk_does_not_hold_up_tab_and_what_it_gave_is_there_for_the_next(tmp_path, complete, monkeypatch):
    (tmp_path / "dump.yaml").touch()
    list_folder = completion.os.scandir
    ready = threading.Event()

    def slowly(folder: Any) -> Any:
        ready.wait(10)
        return list_folder(folder)

    monkeypatch.setattr(completion.os, "scandir", slowly)
    assert seconds(lambda: complete("%k8sgpt snapshot save du")) < 0.2
    assert complete("%k8sgpt snapshot save du") == {}
    ready.set()
    assert set(eventually(complete, "%k8sgpt snapshot save du")) == {"dump.yaml"}


def test_names_that_would_move_the_cursor_of_a_terminal_are_not_offered(tmp_path, complete):
    (tmp_path / "dump\x1b[2J.yaml").touch()
    (tmp_path / "dump.yaml").touch()
    assert set(complete("%k8sgpt analyze --source dump")) == {"dump.yaml"}


def test_completing_in_a_session_with_many_findings_and_objects_is_fast(shell, session, complete):
    import pandas as pd

    session.analyze(source="demo")
    few = session.findings()
    session._findings = {f"{each.id}/{number}": each for number in range(200) for each in few}
    shell.user_ns["table"] = pd.DataFrame({"id": range(100_000)})
    assert seconds(lambda: complete("%explain Pod/shop/")) < 0.2
    assert complete("%explain Pod/shop/")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%k8sgpt chart ", {"kinds", "timeline", "causes"}),
        ("%k8sgpt diff --only new,w", {"worse"}),
        ("%k8sgpt diff ", {"1", "2"}),
        ("%k8sgpt report x.html --from ", {"1", "2"}),
        ("%k8sgpt analyze --expl", {"--explain"}),
    ],
)
def test_analyses_changes_and_charts_are_offered(session, complete, line, offered):
    for namespace in ("shop", "data"):
        session.analyze(source="demo", namespace=namespace)
    assert offered <= set(complete(line))


def test_what_tab_offers_of_charts_and_changes_is_what_there_is():
    from k8sgpt_magic import options
    from k8sgpt_magic.views import charts

    assert options.CHARTS == charts.NAMES
