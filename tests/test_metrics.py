"""Metrics as a Prometheus would get them: scraped over HTTP and parsed."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from k8sgpt_magic.commands import Commands
from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.session import Session
from tests.snapshots import changed, saved
from tests.threads import OwnThreads

Series = dict[tuple[str, ...], float]


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def scrape(url: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    with urllib.request.urlopen(url, timeout=10) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        text = response.read().decode()
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in text_string_to_metric_families(text)
    }


def test_a_scrape_has_the_findings_by_what_they_are_and_no_names(session):
    findings = session.analyze(source="demo")
    metrics = scrape(session.metrics.serve())
    places = zip(*(findings[name].astype(str) for name in ("namespace", "kind", "code", "severity")), strict=True)
    expected = {("demo", *place): number for place, number in Counter(places).items()}
    labels = ("context", "namespace", "kind", "code", "severity")
    assert {tuple(s[name] for name in labels): value for s, value in metrics["k8sgpt_magic_findings"]} == expected
    known = {*labels, "status", "part", "analyzer", "outcome"}
    names = set(findings["name"]) - set(findings["namespace"])
    for samples in metrics.values():
        for label_values, _ in samples:
            assert set(label_values) <= known
            assert not set(label_values.values()) & names


def test_a_scrape_has_how_the_analysis_went(session):
    summary = session.analyze(source="demo").summary
    metrics = scrape(session.metrics.serve())
    assert sum(value for _, value in metrics["k8sgpt_magic_objects"]) == summary.objects
    parts = {labels["part"]: value for labels, value in metrics["k8sgpt_magic_analysis_seconds"]}
    assert parts["total"] == pytest.approx(summary.seconds)
    assert parts["analyzers"] == pytest.approx(sum(summary.analyzer_seconds.values()))
    assert len(metrics["k8sgpt_magic_analyzer_seconds"]) == len(summary.analyzer_seconds)
    assert metrics["k8sgpt_magic_analysis_timestamp_seconds"][0][1] > 1.7e9
    assert metrics["k8sgpt_magic_unreadable"] == []


def test_findings_that_are_gone_have_no_series_any_more(session, tmp_path):
    before = saved(session, tmp_path / "cluster.tar.gz")
    url = session.metrics.serve()
    session.analyze(source=str(before))
    assert any(labels["kind"] == "Pod" for labels, _ in scrape(url)["k8sgpt_magic_findings"])
    (tmp_path / "later").mkdir()
    after = changed(
        before,
        tmp_path / "later" / "cluster.tar.gz",
        lambda plural, item: None if plural in ("pods", "events") else item,
    )
    session.analyze(source=str(after))
    found = scrape(url)["k8sgpt_magic_findings"]
    assert found
    assert not [labels for labels, _ in found if labels["kind"] == "Pod"]


def test_each_context_keeps_its_newest_analysis(session, tmp_path):
    snapshot = saved(session, tmp_path / "other.tar.gz")
    session.analyze(source="demo")
    session.analyze(source=str(snapshot), filter="node")
    contexts = {labels["context"] for labels, _ in scrape(session.metrics.serve())["k8sgpt_magic_findings"]}
    assert "demo" in contexts
    assert len(contexts) == 2


def test_what_may_not_be_read_is_counted_by_kind(control_plane, session):
    session.analyze(kubeconfig=str(control_plane.kubeconfig("reader")), filter="node,pod")
    series = scrape(session.metrics.serve())["k8sgpt_magic_unreadable"]
    assert [labels["status"] for labels, _ in series if labels["kind"] == "Node"] == ["forbidden"]


def test_explained_findings_are_counted(session):
    findings = session.analyze(source="demo")
    session.explainer.explain(findings.head(3))
    [(labels, value)] = scrape(session.metrics.serve())["k8sgpt_magic_explained_findings"]
    assert labels["outcome"] == "answered"
    assert value == 3


def test_the_port_is_open_on_this_machine_only(session):
    port = int(session.metrics.serve().rpartition(":")[2].partition("/")[0])
    listening = [
        each.laddr.ip
        for each in psutil.Process().net_connections("inet")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port
    ]
    assert listening == ["127.0.0.1"]


def test_stop_frees_the_port_and_ends_the_thread(session):
    threads = OwnThreads()
    url = session.metrics.serve()
    port = int(url.rpartition(":")[2].partition("/")[0])
    assert session.metrics.stop()
    assert not session.metrics.stop()
    assert not threads.names()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert session.metrics.serve(port) == url


def test_a_session_that_is_closed_or_forgotten_leaves_no_port_open():
    threads = OwnThreads()
    closed = Session()
    closed.metrics.serve()
    closed.close()
    assert not threads.names()
    forgotten = Session()
    forgotten.metrics.serve()
    assert threads.names() == ["k8sgpt-magic-metrics"]
    del forgotten
    gc.collect()
    assert not threads.names()


def test_serving_twice_says_where_it_already_is(session, capsys):
    commands = Commands(session, shell=object())
    commands.run(["metrics", "serve"])
    url = session.metrics.url
    commands.run(["metrics", "serve"])
    assert capsys.readouterr().out.splitlines() == [
        f"Metrics are served at {url}",
        f"Metrics are already served at {url}",
    ]
    with pytest.raises(InvalidOption, match=url):
        session.metrics.serve(1 if not url.endswith(":1/metrics") else 2)
    commands.run(["metrics", "stop"])
    commands.run(["metrics", "stop"])
    assert capsys.readouterr().out.splitlines() == ["Metrics are served no longer.", "No metrics were served."]


def test_a_port_in_use_is_said_in_plain_words(session):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(K8sGPTError, match="another one with --port"):
            session.metrics.serve(other.getsockname()[1])


def test_show_needs_no_server(session, capsys):
    session.analyze(source="demo")
    Commands(session, shell=object()).run(["metrics", "show"])
    families = list(text_string_to_metric_families(capsys.readouterr().out))
    assert any(family.name == "k8sgpt_magic_findings" and family.samples for family in families)
    assert not session.metrics.url


def test_without_the_library_one_line_says_what_to_install(tmp_path: Path):
    script = "import sys; sys.modules['prometheus_client'] = None\nfrom k8sgpt_magic.__main__ import main\n"
    ran = subprocess.run(
        [sys.executable, "-c", script + "sys.exit(main(['metrics', 'show', '--source', 'demo']))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3
    assert "pip install 'k8sgpt-magic[metrics]'" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
