"""The static faces of the findings: HTML, text, JSON, YAML, Markdown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml

from k8sgpt_magic.findings import Evidence, Finding
from k8sgpt_magic.frame import COLUMNS, Findings, Summary
from k8sgpt_magic.views import html, text
from k8sgpt_magic.views.export import export

NASTY = '<img src=x onerror=alert(1)> | *bold* `code` [link](javascript:x) \x1b[31mred\x1b[0m \u202eevil ${x} =HYPERLINK("x")'


def _finding(**fields):
    given = {
        "code": "PodCrashLoopBackOff",
        "severity": "critical",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web-1",
        "message": "It crashes.",
    }
    return Finding(**(given | fields))


def _frame(*findings, **summary):
    return Findings.of(findings, Summary(context="test", objects=3, kinds=2, **summary))


NASTY_FRAME = _frame(
    _finding(
        **dict.fromkeys(("code", "kind", "namespace", "name", "message", "container", "parent", "cause"), NASTY),
        evidence=(Evidence(NASTY, NASTY),),
    ),
    notes=[NASTY],
    unreadable=[NASTY],
)


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.attributes = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_html_shows_text_of_the_cluster_as_text():
    page = html.render(NASTY_FRAME)
    parser = _Tags()
    parser.feed(page)
    assert "img" not in parser.tags
    assert "script" not in parser.tags
    assert set(parser.attributes) <= {"class", "style", "title"}
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;img src=x" in page


def test_text_shows_what_would_drive_a_terminal_or_turn_a_line():
    shown = repr(NASTY_FRAME)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\x1b[31m" in text.render(NASTY_FRAME, width=10_000)


def test_markdown_has_a_row_of_five_cells_and_no_html():
    lines = export(NASTY_FRAME, "markdown").splitlines()
    [row] = [line for line in lines if line.startswith("| critical")]
    assert len(row.replace("\\|", "").split("|")) == 7
    assert "\\<img" in row
    assert "\\[link\\]" in row


def test_a_frame_is_a_dataframe_and_a_slice_is_an_ordinary_one():
    frame = _frame(_finding(), _finding(name="web-2", severity="info"))
    assert list(frame.columns) == list(COLUMNS)
    assert isinstance(frame, pd.DataFrame)
    assert type(frame[frame.severity == "critical"]) is pd.DataFrame
    assert list(frame[frame.severity > "info"].name) == ["web-1"]


@pytest.mark.parametrize("findings", [(), (_finding(),), (_finding(since=datetime(2026, 11, 2, 8, tzinfo=UTC)),)])
def test_the_columns_have_one_type_whatever_is_in_them(findings):
    frame = _frame(*findings)
    assert isinstance(frame["since"].dtype, pd.DatetimeTZDtype)
    assert frame["severity"].cat.ordered
    assert pd.api.types.is_integer_dtype(frame["consequences"])


def test_json_and_yaml_say_the_same_and_read_back():
    frame = _frame(
        _finding(since=datetime(2026, 11, 2, 8, tzinfo=UTC), evidence=(Evidence("a", "b"),)), _finding(name="x")
    )
    document = json.loads(export(frame, "json"))
    assert document == yaml.safe_load(export(frame, "yaml"))
    assert (document["status"], document["problems"]) == ("ProblemDetected", 2)
    assert document["findings"][0]["since"] == "2026-11-02T08:00:00Z"
    assert document["findings"][1]["since"] is None
    assert document["findings"][0]["evidence"] == [{"source": "a", "value": "b"}]


def test_nothing_wrong_is_ok_and_says_what_was_looked_at():
    assert json.loads(export(_frame(), "json"))["status"] == "OK"
    for shown in (repr(_frame()), html.render(_frame())):
        assert "No problems found" in shown
        assert "3 objects of 2 kinds" in shown


def test_nothing_found_is_not_healthy_where_something_was_not_readable():
    shown = repr(_frame(unreadable=["nodes (forbidden)"]))
    assert "No problems found in what could be read" in shown
    assert "Not readable: nodes (forbidden)." in shown


def test_the_root_cause_and_what_follows_from_it_are_marked():
    root = _finding(consequences=2)
    page = html.render(_frame(root, _finding(kind="Deployment", name="web", cause=root.id)))
    assert "root cause of 2 more" in page
    assert "caused by Pod/shop/web-1/PodCrashLoopBackOff" in page


def test_a_long_table_says_how_much_it_leaves_out():
    frame = _frame(*(_finding(name=f"web-{n}") for n in range(700)))
    page = html.render(frame)
    assert "… and 200 more</summary>" in page
    assert all(name in page for name in frame["name"])
    assert "640 more rows" in repr(frame)
    assert len(json.loads(export(frame, "json"))["findings"]) == 700
