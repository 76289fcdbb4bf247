"""Every subcommand as a process of its own: what it prints, and the exit code that a CI job sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import k8sgpt_magic
from k8sgpt_magic import options
from k8sgpt_magic.session import Session
from tests.snapshots import changed, saved

ROOT = Path(k8sgpt_magic.__file__).parents[1]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("K8SGPT", "KUBE"))}
    return {**kept, "PYTHONPATH": str(ROOT), "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}


@pytest.fixture
def run(tmp_path):
    def run(*words: str, code: int = 0, stdin: str = "") -> str:
        """What a command prints: on standard output or, where it fails, on standard error alone."""
        ran = subprocess.run(
            [sys.executable, "-m", "k8sgpt_magic", *words],
            capture_output=True, text=True, check=False, env=environment(tmp_path), input=stdin, cwd=tmp_path, timeout=90,
        )  # fmt: skip
        assert ran.returncode == code, ran.stderr
        assert "Traceback" not in ran.stderr
        if code in (2, 3):
            assert not ran.stdout
            assert 1 <= len(ran.stderr.strip().splitlines()) <= 2, ran.stderr
            return ran.stderr
        return ran.stdout

    return run


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """The demo, and the demo without its pods and what was said of them."""
    folder = tmp_path_factory.mktemp("snapshots")
    session = Session()
    before = saved(session, folder / "before.tar.gz")
    after = changed(
        before, folder / "after.tar.gz", lambda plural, item: None if plural in ("pods", "events") else item
    )
    yield str(before), str(after)
    session.close()


def test_analyze_ends_with_0_whatever_is_found(run):
    found = json.loads(run("analyze", "--source", "demo", "-q", "-o", "json"))
    assert found["status"] == "ProblemDetected"
    assert found["problems"] > 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--fail-on", "critical"), 1),
        (("--fail-on", "info"), 1),
        (("-f", "hpa", "-n", "kube-system", "--fail-on", "critical"), 0),
        (("--severity", "critical", "--fail-on", "warning"), 2),
        (("--fail-on", "critcal"), 2),
        (("--nonsense",), 2),
        (("--severity", "bad"), 2),
    ],
)
def test_analyze_fails_as_it_was_told_to(run, words, code):
    run("analyze", "--source", "demo", "-q", *words, code=code)


def test_what_is_not_there_ends_with_3(run):
    assert "nothing.tar.gz" in run("analyze", "--source", "nothing.tar.gz", code=3)
    run("analyze", "--kubeconfig", "nothing.yaml", code=3)


def test_kinds_that_may_not_be_read_are_named_and_end_with_0(run, control_plane):
    config = str(control_plane.kubeconfig("reader"))
    assert "forbidden" in run("analyze", "--kubeconfig", config, "-q", "-f", "node,pod")
    run("analyze", "--kubeconfig", str(control_plane.kubeconfig("nobody")), "-q", code=3)


def test_without_arguments_the_demo_and_where_to_go(run):
    assert "That was the demo cluster" in run()


def test_help_lists_every_subcommand(run):
    text = run("--help")
    for subcommand in options.SUBCOMMANDS:
        assert subcommand.name in text
    assert "usage: k8sgpt-magic report" in run("help", "report")
    assert "'analyze'" in run("analize", code=2)


def test_report_analyzes_first_and_replaces_nothing(run, tmp_path):
    assert "written to" in run("report", "incident.md", "--source", "demo", "-n", "shop", "-q")
    written = (tmp_path / "incident.md").read_text()
    assert "shop" in written
    assert "payments/" not in written
    run("report", "incident.md", "--source", "demo", "-q", code=2)
    run("report", "incident.html", "--from", "2", code=2)


@pytest.mark.parametrize("chart", options.CHARTS)
def test_chart_analyzes_first(run, chart):
    assert len(run("chart", chart, "--source", "demo", "-q").splitlines()) > 3


def test_diff_compares_two_sources(run, snapshots):
    before, after = snapshots
    words = ("diff", "--against", before, "--source", after, "-q", "-o", "json")
    changes = json.loads(run(*words))
    kinds = {row["kind"] for row in changes["findings"] if row["change"] == "resolved"}
    assert "Pod" in kinds
    assert not [row for row in json.loads(run(*words, "--only", "new"))["findings"] if row["kind"] == "Pod"]
    assert "--against" in run("diff", "--source", after, code=2)
    assert "numbers" in run("diff", "1", "2", "--against", before, "--source", after, code=2)


def test_snapshot_saves_and_can_be_analyzed(run, tmp_path):
    run("snapshot", "save", "now.tar.gz", "--source", "demo", "-q")
    assert "analyze" not in run("analyze", "--source", "now.tar.gz", "-q", "-f", "node")


@pytest.mark.parametrize(
    "words",
    [("auth", "add", "openai", "hunter2"), ("analyze", "--explain", "--api-key=hunter2"), ("auth", "-p", "hunter2")],
)
def test_a_key_is_refused_and_not_repeated(run, words):
    said = run(*words, code=2)
    assert "a key is not taken on the command line" in said
    assert "hunter2" not in said


def test_a_context_of_a_file_is_refused(run):
    assert "--source demo has none" in run("analyze", "--source", "demo", "--context", "prod", code=2)


def test_watch_needs_what_changes(run):
    assert "live cluster" in run("watch", "--source", "demo", code=2)


def test_watch_of_a_cluster_ends_after_its_time(run, control_plane):
    run("watch", "--kubeconfig", str(control_plane.kubeconfig("admin")), "-f", "node", "--for", "1", "-q")


def test_the_rest_answers(run):
    assert "PodImagePullBackOff" in run("analyzers")
    backends = run("auth", "list")
    assert "openai" in backends
    assert "needed" in backends, "whether there is a key is what it is looked at for"
    assert "misses" in run("cache", "stats")
    assert run("custom-analyzer", "list") == "There are none.\n"
    assert "auth add" in run("generate", "openai")
    assert "memory" in run("cache", "list")
    assert "notebook" in run("history", code=2)
    assert "No metrics were served" in run("metrics", "stop")
    # A client that leaves at once is no failure.
    assert run("mcp", "--source", "demo") == ""


def test_metrics_show_analyzes_first(run):
    families = {
        each.name: each for each in text_string_to_metric_families(run("metrics", "show", "--source", "demo", "-q"))
    }
    assert families["k8sgpt_magic_findings"].samples


def test_metrics_are_served_and_analyzed_again_until_ctrl_c(tmp_path):
    words = [sys.executable, "-m", "k8sgpt_magic", "metrics", "serve", "--source", "demo", "-q", "--interval", "0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(tmp_path)) as process:
        assert process.stdout
        url = process.stdout.readline().split()[-1]

        def analyzed_at() -> float:
            text = urllib.request.urlopen(url, timeout=10).read().decode()
            families = {each.name: each for each in text_string_to_metric_families(text)}
            return families["k8sgpt_magic_analysis_timestamp_seconds"].samples[0].value

        first = analyzed_at()
        while analyzed_at() == first:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_nobody_reading_is_no_traceback(tmp_path):
    words = [sys.executable, "-m", "k8sgpt_magic", "analyze", "--source", "demo", "-q", "-o", "json"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tmp_path)
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


def test_a_console_script_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = declared["k8sgpt-magic"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))


def test_text_is_explained_from_standard_input_or_the_command_line(run):
    said = run("explain", stdin='Warning  Failed  kubelet  Failed to pull image "x": ImagePullBackOff')
    assert "registry" in said
    assert said == run("explain", 'Warning  Failed  kubelet  Failed to pull image "x": ImagePullBackOff')
    assert "analyze --explain" in run("explain", code=2)
    assert "offline finds none of the codes" in run("explain", "a day like any other", code=3)
    assert run("explain", "--help").startswith("usage: k8sgpt-magic explain ")


def test_tables_are_printed_whole(run):
    listed = run("auth", "list")
    assert "..." not in listed
    assert {"openai", "ollama", "bedrock"} <= set(listed.split())


def test_the_version_is_told(run):
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert run("--version") == f"k8sgpt-magic {tomllib.load(file)['project']['version']}\n"
