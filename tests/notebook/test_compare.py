"""diff, history, chart and report as magics, in a real kernel."""

from __future__ import annotations

import pytest

from tests.notebook.test_kernel import run, text_of

LOAD = "%load_ext k8sgpt_magic"


@pytest.mark.usefixtures("no_cluster")
def test_two_analyses_are_listed_compared_drawn_and_reported(tmp_path):
    outputs = run(
        LOAD,
        "%k8sgpt analyze --source demo -n shop --severity critical -q;",
        "%k8sgpt analyze --source demo -n shop -q;",
        "%k8sgpt history",
        "changes = %k8sgpt diff\nchanges",
        "print(type(changes).__name__, changes.counts['unknown'] > 0, changes.counts['new'])",
        "%k8sgpt diff 2 1 --only unchanged -o markdown",
        "%k8sgpt chart causes",
        "%k8sgpt chart timeline --from 1",
        "folder = %pwd\nfile = folder + '/incident.html'\n%k8sgpt report {file}",
        "import pathlib\nprint(pathlib.Path(file).read_text()[:15])",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    for number in (3, 4):
        [output] = outputs[number]
        assert set(output.data) == {"text/html", "text/plain"}
    assert "severity=critical" in text_of(outputs[3])
    assert "0 new, 0 resolved" in outputs[4][0].data["text/plain"]
    assert "Changes True 0" in text_of(outputs[5])
    assert "text/markdown" in outputs[6][0].data
    for number in (7, 8):
        [output] = outputs[number]
        assert set(output.data) == {"application/vnd.vegalite.v5+json", "image/png", "text/plain"}
    assert "findings written to" in text_of(outputs[9])
    assert "<!DOCTYPE html>" in text_of(outputs[10])


@pytest.mark.usefixtures("no_cluster")
def test_mistakes_give_one_or_two_plain_lines(tmp_path):
    outputs = run(
        LOAD,
        "%k8sgpt diff",
        "%k8sgpt report a.html",
        "%k8sgpt chart kinds",
        "%k8sgpt analyze --source demo -q;",
        "%k8sgpt diff",
        "%k8sgpt diff 7",
        "%k8sgpt diff 1 2 3",
        "%k8sgpt diff one",
        "%k8sgpt diff --against /nowhere.tar.gz",
        "%k8sgpt diff --against demo --only nwe",
        "%k8sgpt diff --against demo -o xml",
        "%k8sgpt chart pie",
        "%k8sgpt report a.pdf",
        "%k8sgpt report /nowhere/a.html",
        allow_errors=True,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    expected = {
        1: "analyze first",
        2: "analyze first",
        3: "analyze first",
        5: "earlier analysis",
        6: "has 1 to 1",
        7: "two numbers",
        8: "one",
        9: "/nowhere.tar.gz",
        10: "'new'",
        11: "xml",
        12: "kinds",
        13: ".html",
        14: "cannot be written",
    }
    for number, words in expected.items():
        text = text_of(outputs[number])
        assert words in text, text
        assert "Traceback" not in text
        assert 1 <= len(text.strip().splitlines()) <= 4, text
    assert list(tmp_path.glob("*.html")) == []
