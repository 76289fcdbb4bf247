"""Incident reports: what they say, that they need nothing, run nothing, and replace nothing unasked."""

from __future__ import annotations

import re
import stat
import sys
from html.parser import HTMLParser

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.explain.explainer import Style
from k8sgpt_magic.findings import Evidence, Finding
from k8sgpt_magic.frame import Findings, Summary
from k8sgpt_magic.session import Session
from k8sgpt_magic.views import charts, report

NASTY = "</style></title><img src=x onerror=alert(1)> | `a` ``b`` [link](javascript:x) ![i](http://x/y) \x1b[31m \u202eevil"


@pytest.fixture(scope="module")
def session():
    session = Session()
    yield session
    session.close()


@pytest.fixture
def demo(session):
    return session.analyze(source="demo")


def _finding(**fields):
    given = {
        "code": "PodCrashLoopBackOff",
        "severity": "critical",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web-1",
    }
    return Finding(**(given | {"message": "It crashes."} | fields))


def _nasty():
    texts = dict.fromkeys(("code", "kind", "namespace", "name", "message", "container", "parent"), NASTY)
    root = _finding(**texts, consequences=1, evidence=(Evidence(NASTY, NASTY),))
    findings = Findings.of(
        [root, _finding(**(texts | {"name": "b"}), cause=root.id)],
        Summary(context=NASTY, source=NASTY, notes=[NASTY], unreadable=[NASTY], asked={"selector": NASTY}),
    )
    findings["explanation"] = findings["solution"] = findings["docs"] = NASTY
    findings["commands"] = [[{"command": NASTY, "changes": True, "danger": NASTY}]] * 2
    findings["backend"] = findings["model"] = findings["confidence"] = NASTY
    findings["cached"], findings["failure"] = False, ""
    return findings


class _Page(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.links, self.ids, self.words, self.styles = [], [], [], [], []
        self._in = ""
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in = tag
        for name, value in attrs:
            assert not name.startswith("on")
            if name in ("href", "src"):
                self.links.append(value)
            elif name == "id":
                self.ids.append(value)

    def handle_data(self, data):
        (self.styles if self._in == "style" else self.words).append(data)

    def handle_endtag(self, tag):
        self._in = ""


def test_the_page_says_what_when_how_and_why(session, demo):
    page = _Page(report.as_html(demo, session.view))
    for said in (
        "Incident report: demo",
        "not one of yours",
        "2026-11-02 09:00:00 UTC",
        "%k8sgpt analyze --source demo",
        "Root causes",
        "5 consequences:",
        "All findings",
        "rpc error: code = NotFound",
    ):
        assert said in page.text
    for row in demo.itertuples():
        assert row.code in page.text
    assert len([each for each in page.ids if re.fullmatch(r"f\d+", each)]) == len(demo)


def test_the_page_needs_nothing_and_runs_nothing(session, demo):
    source = report.as_html(demo, session.view)
    page = _Page(source)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert all(link.startswith("data:image/svg+xml;base64,") or link[1:] in page.ids for link in page.links)
    assert page.tags.count("img") == 3
    assert "url(" not in "".join(page.styles)
    assert "@import" not in "".join(page.styles)
    assert "prefers-color-scheme:dark" in source
    assert "default-src 'none'" in source
    assert len(source) < 700_000


def test_text_of_the_cluster_is_text_in_every_form(tmp_path):
    findings = _nasty()
    page = report.as_html(findings)
    parsed = _Page(page)
    # The only pictures are ours.
    assert all(link.startswith(("data:image/svg+xml", "#")) for link in parsed.links)
    assert "<img src=x" not in page
    markdown = report.as_markdown(findings)
    assert not re.search(r"(?<!\\)<img", re.sub(r"(`+)[^`]*\1", "", markdown))
    assert not re.search(r"(?<!\\)\]\(", re.sub(r"(`+)[^`]*\1", "", markdown))
    notebook = nbformat.reads(report.as_notebook(findings), as_version=4)
    rendered, _ = HTMLExporter().from_notebook_node(notebook)
    assert "<img src=x" not in rendered
    assert 'src="http://x/y"' not in rendered
    for shown in (page, markdown, str(notebook)):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_what_was_not_readable_stands_in_each_form():
    findings = Findings.of([], Summary(context="c", unreadable=["nodes (forbidden)"]))
    for render in (report.as_html, report.as_markdown, report.as_notebook):
        shown = render(findings).replace("\\", "")
        assert "Not readable: nodes (forbidden)." in shown
        assert "No problems found in what could be read" in shown


def test_explanations_are_in_the_report_of_their_analysis_only(tmp_path):
    session = Session()
    session.analyze(source="demo", namespace="data")
    shop = session.analyze(source="demo", namespace="shop")
    roots = shop[shop.consequences > 0]
    session.explainer.explain(roots, Style(backend="offline"))
    explained = session.with_explanations(shop)
    assert "Packaged explanation" in report.as_html(explained)
    assert "Packaged explanation" in report.as_markdown(explained)
    assert "Packaged explanation" in report.as_notebook(explained)
    assert list(explained["id"]) == list(shop["id"])
    assert (explained["explanation"] != "").sum() == len(roots)
    data = session.analysis(1)
    assert session.with_explanations(data) is data
    session.close()


def test_no_value_of_a_secret_is_in_a_report(session, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(
        """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: token, namespace: shop, annotations: {note: hunter2note}},
   data: {password: aHVudGVyMnZhbHVl}, stringData: {plain: hunter2plain}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: shop}
  spec:
    containers:
    - {name: c, image: i, env: [{name: P, valueFrom: {secretKeyRef: {name: other, key: k}}}, {name: Q, value: hunter2env}]}
  status:
    phase: Pending
    containerStatuses:
    - {name: c, image: i, imageID: "", ready: false, restartCount: 9, state: {waiting: {reason: CrashLoopBackOff}},
       lastState: {terminated: {exitCode: 1, message: "no key", finishedAt: "2026-11-02T08:00:00Z"}}}
"""
    )
    findings = session.analyze(source=str(path))
    assert set(findings.code) == {"SecretMissing"}
    for render in (report.as_html, report.as_markdown, report.as_notebook):
        shown = render(findings, session.view)
        assert "hunter2" not in shown
        assert "aHVudGVyMnZhbHVl" not in shown


def test_the_command_in_it_makes_the_same_analysis(session):
    options = {"namespace": ["shop", "data"], "severity": "warning", "selector": "app in (web, checkout)"}
    findings = session.analyze(source="demo", **options)
    line = report.command(findings.summary)
    assert line == (
        "%k8sgpt analyze --namespace shop,data --selector 'app in (web, checkout)' --severity warning --source demo"
    )


def test_it_is_written_whole_for_its_owner_and_never_over_another_file(session, demo, tmp_path):
    path = tmp_path / "incident.html"
    said = report.write(path, demo, session.view)
    assert f"{len(demo)} findings" in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("mine")
    with pytest.raises(InvalidOption, match="--force"):
        report.write(path, demo)
    assert path.read_text() == "mine"
    report.write(path, demo, force=True)
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [each.name for each in tmp_path.iterdir()] == ["incident.html"]


@pytest.mark.parametrize(
    ("name", "words"), [("a.pdf", ".html"), ("a", ".ipynb"), ("nowhere/a.md", "cannot be written")]
)
def test_what_cannot_be_written_is_said_in_a_line(demo, tmp_path, name, words):
    with pytest.raises((InvalidOption, K8sGPTError), match=re.escape(words)) as error:
        report.write(tmp_path / name, demo)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_without_the_packages_there_are_no_pictures_and_no_notebooks(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "is_installed", lambda: False)
    said = report.write(tmp_path / "a.html", demo)
    assert "pip install 'k8sgpt-magic[charts]'" in said
    assert "<img" not in (tmp_path / "a.html").read_text()
    monkeypatch.setitem(sys.modules, "nbformat", None)
    with pytest.raises(K8sGPTError, match=r"pip install 'k8sgpt-magic\[reports\]'"):
        report.write(tmp_path / "a.ipynb", demo)


_WIDGET = "application/vnd.jupyter.widget-view+json"


def test_the_notebook_reads_without_a_kernel_and_runs_again(session, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    findings = session.analyze(source="demo", namespace="shop", severity="critical")
    path = tmp_path / "incident.ipynb"
    report.write(path, findings, session.view)
    notebook = nbformat.read(path, as_version=4)
    rendered, _ = HTMLExporter().from_notebook_node(notebook)
    assert "PodImagePullBackOff" in rendered
    assert len(re.findall(r"<img [^>]*data:image/png;base64", rendered)) == 3
    before = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    NotebookClient(notebook, timeout=120).execute()
    after = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert len(before) == len(after) == 5
    for old, new in zip(before, after, strict=True):
        # The interactive view comes on top, and a progress bar that is done leaves nothing to read.
        read = [each for each in new if _WIDGET not in each.data and each.data.get("text/html", "-")]
        assert [sorted(output.data) for output in old] == [sorted(output.data) for output in read]
    assert "PodImagePullBackOff" in str(after[1])


def test_ten_thousand_findings_are_a_page_of_some_megabytes():
    many = Findings.of([_finding(name=f"web-{number}") for number in range(10_000)], Summary(context="c"))
    page = report.as_html(many)
    assert "5,000 more" in page
    assert len(page) < 6_000_000
