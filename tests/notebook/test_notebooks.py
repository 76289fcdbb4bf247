"""Every notebook runs from top to bottom, without a cluster and without a network."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter

from k8sgpt_magic.session import Session

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    silent = ("%load_ext", "# No output")
    assert all(
        cell.outputs for cell in notebook.cells if cell.cell_type == "code" and not cell.source.startswith(silent)
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_with_outputs_that_read_without_a_kernel(path):
    notebook = nbformat.read(path, as_version=4)
    for exporter in (HTMLExporter(), MarkdownExporter()):
        page, _ = exporter.from_notebook_node(notebook)
        assert "PodImagePullBackOff" in page
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_show_no_error(path):
    notebook = nbformat.read(path, as_version=4)
    kinds = {output.output_type for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs}
    assert "error" not in kinds


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_committed_output_has_a_form_that_needs_no_kernel_and_no_script(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type in ("display_data", "execute_result"):
                assert set(output.data) & {"text/html", "image/png", "text/markdown", "text/plain"}
                assert not any("script" in kind for kind in output.data)


@pytest.mark.usefixtures("no_cluster")
def test_the_runbook_runs_for_another_namespace_and_against_a_snapshot(tmp_path):
    session = Session()
    session.save_snapshot(str(tmp_path / "before.tar.gz"), source="demo")
    session.close()
    parameters = {
        "namespace": "data",
        "before": str(tmp_path / "before.tar.gz"),
        "report": str(tmp_path / "data.html"),
    }
    runbook = next(path for path in NOTEBOOKS if path.stem == "namespace-runbook")
    done = papermill.execute_notebook(
        runbook, tmp_path / "out.ipynb", parameters=parameters, cwd=tmp_path, progress_bar=False
    )
    texts = [str(cell.outputs) for cell in done.cells if cell.cell_type == "code"]
    assert any("data: NOT OK" in text for text in texts)
    assert any("0 new, 0 resolved" in text for text in texts)
    assert "PersistentVolumeClaimLost" in (tmp_path / "data.html").read_text()
    assert not any("shop/" in text for text in texts)
