"""The findings in notebooks that were saved: every one of them is there, for whoever opens or converts it."""

from __future__ import annotations

import copy
import re
from html import unescape
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter

from k8sgpt_magic.session import Session

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A notebook with the findings of the demo, with the state of its widgets."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("%load_ext k8sgpt_magic"),
            nbformat.v4.new_code_cell("df = %k8sgpt analyze --source demo -q\ndf"),
            nbformat.v4.new_code_cell("df.head()"),
            nbformat.v4.new_code_cell("print(len(df.shown), len(df.selected))"),
        ]
    )
    NotebookClient(notebook, timeout=120).execute()
    return notebook


@pytest.fixture(scope="module")
def names() -> list[str]:
    session = Session()
    try:
        return list(session.analyze(source="demo")["name"])
    finally:
        session.close()


def test_a_frame_is_a_static_table_and_a_widget_and_a_slice_is_a_plain_table(saved):
    widget, static = saved.cells[1].outputs
    assert set(static.data) == {"text/html", "text/plain"}
    assert "PodImagePullBackOff" in static.data["text/plain"]
    assert WIDGET in widget.data
    # Where there is no widget manager this is all that stands there.
    assert len(widget.data["text/plain"].splitlines()) == 1
    assert "text/html" not in widget.data
    [head] = saved.cells[2].outputs
    assert head.output_type == "execute_result"
    assert "ConfigMapMissing" in head.data["text/html"]
    assert WIDGET not in head.data
    assert saved.cells[3].outputs[0].text.split()[1] == "0"


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("exporter", [HTMLExporter, MarkdownExporter])
def test_every_finding_stands_in_what_nbconvert_makes_of_it(saved, names, exporter, with_state):
    notebook = copy.deepcopy(saved)
    assert "widgets" in notebook.metadata
    if not with_state:
        del notebook.metadata["widgets"]
    page, _ = exporter().from_notebook_node(notebook)
    text = unescape(re.sub(r"<[^>]+>", " ", page))
    assert [name for name in names if name not in text] == []


def test_a_terminal_gets_the_table_as_text(tmp_path):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--simple-prompt", "--no-confirm-exit"],
        input="%load_ext k8sgpt_magic\n%k8sgpt analyze --source demo -q\nprint(len(_.shown) == len(_))\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "PodImagePullBackOff" in done.stdout
    assert "widget" not in done.stdout
    assert "True" in done.stdout
