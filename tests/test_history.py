"""The analyses that a session remembers: what they were of, and that they do not fill the memory."""

from __future__ import annotations

import pytest

from k8sgpt_magic import session as sessions
from k8sgpt_magic.session import Session
from k8sgpt_magic.views.history import history


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()


def test_history_says_what_each_analysis_was_of(session):
    assert "No analysis yet" in repr(history(session.history))
    assert "No analysis yet" in history(session.history)._repr_html_()
    demo = session.analyze(source="demo")
    session.analyze(["shop", "data"], source="demo", filter="po", severity="warning", selector="app!=x")
    table = history(session.history)
    assert list(table["number"]) == [1, 2]
    assert table.loc[0, ["critical", "warning", "info"]].sum() == len(demo)
    assert table.loc[1, "namespaces"] == "shop and data"
    assert table.loc[1, "filters"] == "po"
    assert table.loc[1, "options"] == "severity=warning, selector=app!=x"
    assert str(table.loc[0, "as_of"]) == "2026-11-02 09:00:00+00:00"
    assert table.loc[0, "analyzed_at"] <= table.loc[1, "analyzed_at"]
    assert table.loc[0, "seconds"] > 0
    assert "shop and data" in repr(table)
    assert "shop and data" in table._repr_html_()


def test_names_in_it_are_text(session, tmp_path):
    path = tmp_path / "<b>bold\x1b[31m.tar.gz"
    session.save_snapshot(str(path), source="demo")
    session.analyze(source=str(path))
    table = history(session.history)
    assert "<b>" not in table._repr_html_()
    assert "\x1b" not in repr(table)


def test_it_keeps_the_newest_and_their_numbers(session, monkeypatch):
    monkeypatch.setattr(sessions, "KEPT_ANALYSES", 3)
    for _ in range(5):
        session.analyze(source="demo")
    assert [frame.attrs["number"] for frame in session.history] == [3, 4, 5]
    assert session.diff().before.number == 4


def test_it_is_bounded_in_findings_too_and_two_always_remain(session, monkeypatch):
    monkeypatch.setattr(sessions, "KEPT_FINDINGS", 10)
    for _ in range(4):
        session.analyze(source="demo")
    assert [frame.attrs["number"] for frame in session.history] == [3, 4]
