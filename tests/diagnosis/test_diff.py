"""What changed between two analyses, of real analyses of the demo and of changed copies of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import k8sgpt_magic
from k8sgpt_magic.diagnosis.diff import CHANGES, Changes, diff
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.findings import SEVERITIES, Evidence, Finding
from k8sgpt_magic.frame import COLUMNS, Findings, Summary
from k8sgpt_magic.session import Session
from k8sgpt_magic.views import changes as views
from tests.snapshots import changed, saved, without

NASTY = "<img src=x onerror=alert(1)> | `code` [link](javascript:x) \x1b[31mred \u202eevil"


def _finding(**fields):
    given = {
        "code": "PodCrashLoopBackOff",
        "severity": "critical",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web-1",
    }
    return Finding(**(given | {"message": "It crashes."} | fields))


def _frame(*findings, **summary):
    return Findings.of(findings, Summary(context="test", **summary))


def _changes(before, after):
    frame = diff(before, after)
    return {row.id: row.change for row in frame.itertuples()}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def test_new_resolved_and_unchanged():
    same, gone, come = _finding(), _finding(name="old"), _finding(name="fresh")
    assert _changes(_frame(same, gone), _frame(same, come)) == {
        come.id: "new",
        gone.id: "resolved",
        same.id: "unchanged",
    }


@pytest.mark.parametrize(
    ("before", "after", "change"), [("info", "critical", "worse"), ("critical", "warning", "better")]
)
def test_another_severity_is_worse_or_better(before, after, change):
    [row] = diff(_frame(_finding(severity=before)), _frame(_finding(severity=after))).to_dict("records")
    assert (row["change"], row["was"], row["severity"]) == (change, before, after)


def test_the_same_problem_on_a_replaced_pod_is_the_same_problem():
    before = [_finding(name=f"web-5d9-{n}", parent="Deployment/web") for n in "abc"]
    after = [_finding(name=f"web-7f6-{n}", parent="Deployment/web") for n in "xy"]
    other = _finding(name="web-7f6-x", parent="Deployment/web", code="PodOOMKilled")
    frame = diff(_frame(*before), _frame(*after, other))
    assert frame.counts == {"new": 1, "worse": 0, "better": 0, "resolved": 1, "unknown": 0, "unchanged": 2}
    assert list(frame.loc[frame.change == "new", "id"]) == [other.id]
    assert any("2 findings moved" in note for note in frame.attrs["notes"])
    # Without an owner a pod of another name is another pod.
    assert set(_changes(_frame(_finding(name="a")), _frame(_finding(name="b"))).values()) == {"new", "resolved"}


_findings = st.lists(
    st.builds(
        _finding,
        name=st.sampled_from("abcd"),
        parent=st.sampled_from(["", "Deployment/web"]),
        severity=st.sampled_from(SEVERITIES),
        container=st.sampled_from(["", "app"]),
    ),
    max_size=8,
    unique_by=lambda finding: finding.id,
)


@given(_findings, _findings)
def test_every_finding_is_counted_once_and_both_directions_agree(before, after):
    forth, back = diff(_frame(*before), _frame(*after)), diff(_frame(*after), _frame(*before))
    assert set(forth["id"]) | {finding.id for finding in before} == {each.id for each in (*before, *after)}
    assert {finding.id for finding in after} <= set(forth["id"])
    for one, other in (("new", "resolved"), ("worse", "better"), ("unchanged", "unchanged")):
        assert forth.counts[one] == back.counts[other]
    assert forth.counts["new"] - forth.counts["resolved"] == len(after) - len(before)


def test_a_frame_against_itself_has_not_changed(session):
    demo = session.analyze(source="demo")
    assert set(diff(demo, demo)["change"]) == {"unchanged"}
    assert diff(demo, demo).counts["unchanged"] == len(demo)


def test_the_columns_are_those_of_findings_and_have_their_types(session):
    demo = session.analyze(source="demo")
    for frame in (diff(demo, demo), diff(demo.head(0), demo), diff(demo.head(0), demo.head(0))):
        assert list(frame.columns) == ["change", "was", *COLUMNS]
        assert frame["change"].cat.categories.tolist() == list(CHANGES)
        assert frame["severity"].cat.ordered
        assert isinstance(frame["since"].dtype, pd.DatetimeTZDtype)
        assert isinstance(frame, pd.DataFrame)
        assert type(frame[frame.change == "new"]) is pd.DataFrame


def test_only_rows_of_findings_can_be_compared(session):
    with pytest.raises(InvalidOption, match="findings"):
        diff(pd.DataFrame({"a": [1]}), session.analyze(source="demo"))


# --- the demo against a changed copy of it -------------------------------------------------------------------


def test_what_was_repaired_is_resolved_and_what_broke_is_new(session, tmp_path):
    before = saved(session, tmp_path / "before.tar.gz")

    def repair_and_break(plural, item):
        if plural == "events" and item["involvedObject"]["name"].startswith("zookeeper"):
            return None
        if plural == "pods" and item["metadata"]["name"] == "zookeeper-1":
            status = item["status"]
            status["containerStatuses"][0].update(ready=True, restartCount=0, state={"running": {}}, lastState={})
            for condition in status["conditions"]:
                condition["status"] = "True"
        if plural == "configmaps" and item["metadata"]["name"] == "search-settings":
            return None
        return item

    after = changed(before, tmp_path / "after.tar.gz", repair_and_break)
    frame = k8sgpt_magic.diff(session.analyze(source=str(before)), session.analyze(source=str(after)))
    told = {row.id: row.change for row in frame.itertuples()}
    assert told["Pod/data/zookeeper-1/PodCrashLoopBackOff/zookeeper"] == "resolved"
    assert told["ConfigMap/shop/search-settings/ConfigMapMissing"] == "new"
    assert told["Pod/shop/checkout-5d9c7b8f6d-9fj7w/PodImagePullBackOff/checkout"] == "unchanged"
    assert frame.counts["unchanged"] > 150
    assert frame.counts["unknown"] == 0
    assert list(frame["change"]) == sorted(frame["change"], key=CHANGES.index)
    assert "new" in repr(frame).splitlines()[0]


def test_what_one_side_could_not_read_is_neither_new_nor_resolved(session, tmp_path):
    before = saved(session, tmp_path / "before.tar.gz")

    def forbid(results):
        for result in results:
            if result["kind"] == "PersistentVolumeClaim":
                result.update(status="forbidden", objects=0)

    blind = changed(
        before,
        tmp_path / "blind.tar.gz",
        lambda plural, item: None if plural == "persistentvolumeclaims" else item,
        forbid,
    )
    full, partial = session.analyze(source=str(before)), session.analyze(source=str(blind))
    claims = set(full.loc[full.kind == "PersistentVolumeClaim", "id"])
    assert claims
    for frame in (diff(full, partial), diff(partial, full)):
        assert set(frame.loc[frame["id"].isin(claims), "change"]) == {"unknown"}
        [note] = [note for note in frame.attrs["notes"] if note.startswith("Unknown")]
        assert "persistentvolumeclaims" in note
        assert "ot readable" in note
        assert note in repr(frame)
        assert "not readable" in frame._repr_html_().lower()


@pytest.mark.parametrize(
    ("options", "because"),
    [
        ({"namespace": "shop"}, "namespace data"),
        ({"filter": "po"}, "persistentvolumeclaims"),
        ({"severity": "critical"}, "severity warning"),
        ({"selector": "app"}, "objects without app"),
    ],
)
def test_what_one_side_was_not_asked_about_is_unknown(session, options, because):
    everything, some = session.analyze(source="demo"), session.analyze(source="demo", **options)
    for frame in (diff(some, everything), diff(everything, some)):
        assert frame.counts["new"] == frame.counts["resolved"] == 0
        assert frame.counts["unchanged"] == len(some)
        assert frame.counts["unknown"] == len(everything) - len(some)
        assert because in " ".join(frame.attrs["notes"])


def test_what_could_not_be_judged_is_unknown():
    finding = _finding()
    broken = _frame(errors=[{"analyzer": "Pod", "namespace": "shop", "name": "web-1", "error": "no JSON"}])
    failed = _frame(errors=[{"analyzer": "Pod", "namespace": "", "name": "", "error": "ValueError"}])
    for side in (broken, failed):
        assert _changes(side, _frame(finding)) == {finding.id: "unknown"}
        assert _changes(_frame(finding), side) == {finding.id: "unknown"}


# --- the session ----------------------------------------------------------------------------------------------


def test_the_last_two_by_default_and_any_two_by_number(tmp_path):
    session = Session()
    with pytest.raises(InvalidOption, match="no analysis yet"):
        session.diff()
    first = session.analyze(source="demo")
    with pytest.raises(InvalidOption, match="earlier analysis"):
        session.diff()
    session.analyze(source="demo", namespace="shop")
    third = session.analyze(source="demo", severity="critical")
    assert session.diff().before.number == 2
    assert (session.diff(1).before.number, session.diff(1).after.number) == (1, 3)
    assert session.diff(1, 3).equals(diff(first, third))
    assert session.diff(3, 1).after.number == 1
    with pytest.raises(InvalidOption, match="has 1 to 3"):
        session.diff(9)
    session.close()


def test_against_a_snapshot_it_is_analyzed_alike_and_not_remembered(tmp_path):
    session = Session()
    path = saved(session, tmp_path / "before.tar.gz")
    repaired = changed(path, tmp_path / "repaired.tar.gz", without("configmaps/shop/search-settings"))
    last = session.analyze(source="demo", namespace="sh*", severity="warning")
    view, known = session.view, session.findings()
    frame = session.diff(against=str(repaired))
    assert frame.before.namespaces == ["shop"]
    assert frame.before.asked["severity"] == "warning"
    assert "ConfigMap/shop/search-settings/ConfigMapMissing" in set(frame.loc[frame.change == "resolved", "id"])
    assert (session.last is last, session.view is view, session.findings() == known) == (True, True, True)
    with pytest.raises(InvalidOption, match="two different things"):
        session.diff(against="a", against_context="b")
    session.close()


def test_against_another_context(control_plane):
    session = Session()
    config = str(control_plane.kubeconfig("admin"))
    here = session.analyze(kubeconfig=config, filter="node")
    other = here.attrs["context"]
    frame = session.diff(against_context=other)
    assert frame.counts["unchanged"] == len(here)
    assert frame.before.context == other
    with pytest.raises(k8sgpt_magic.K8sGPTError, match="no-such"):
        session.diff(against_context="no-such")
    session.close()


# --- what it looks like ---------------------------------------------------------------------------------------


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_text_of_the_cluster_is_text_in_every_form():
    texts = dict.fromkeys(("code", "kind", "namespace", "name", "message", "container", "parent", "cause"), NASTY)
    nasty = _finding(**texts, evidence=(Evidence(NASTY, NASTY),))
    frame = diff(_frame(_finding(), notes=[NASTY], namespaces=[]), _frame(nasty))
    parser = _Tags()
    parser.feed(frame._repr_html_())
    assert not {"img", "script", "a"} & set(parser.tags)
    assert set(parser.attributes) <= {"class", "style", "title"}
    for shown in (repr(frame), frame._repr_html_(), views.export(frame, "markdown"), views.export(frame, "text")):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    [row] = [line for line in views.export(frame, "markdown").splitlines() if line.startswith("| new")]
    assert len(row.replace("\\|", "").split("|")) == 7
    assert "\\<img" in row


def test_the_summary_line_always_says_the_three_and_others_where_there_are_any(session):
    demo = session.analyze(source="demo")
    assert repr(diff(demo, demo)).startswith(f"0 new, 0 resolved, {len(demo)} unchanged — demo")
    worse = diff(_frame(_finding(severity="info")), _frame(_finding()))
    assert repr(worse).startswith("0 new, 1 worse, 0 resolved, 0 unchanged — ")
    assert "info → critical" in repr(worse)


def test_json_and_yaml_say_the_same_and_read_back():
    frame = diff(_frame(_finding(severity="info")), _frame(_finding(), _finding(name="x")))
    document = json.loads(views.export(frame, "json"))
    assert document == yaml.safe_load(views.export(frame, "yaml"))
    assert document["counts"] == frame.counts
    assert [row["change"] for row in document["findings"]] == ["new", "worse"]


def test_only_some_changes(session):
    frame = diff(_frame(_finding(name="old")), _frame(_finding(name="fresh")))
    only = frame.only(["resolved"])
    assert isinstance(only, Changes)
    assert list(only.name) == ["old"]
    assert repr(only).startswith("1 resolved (1 other finding not shown) — ")
    assert "unchanged" in repr(diff(_frame(_finding()), _frame(_finding())).only(["unchanged"])).splitlines()[3]
    with pytest.raises(InvalidOption, match="'resolved'"):
        frame.only(["resloved"])


def test_a_large_comparison_shows_a_bounded_table_and_keeps_all_rows():
    many = _frame(*(_finding(name=f"web-{number}") for number in range(10_000)))
    frame = diff(_frame(), many)
    assert len(frame) == 10_000
    assert "9,500 more rows" in frame._repr_html_()
    assert len(frame._repr_html_()) < 1_000_000
    assert len(repr(frame).splitlines()) < 80
