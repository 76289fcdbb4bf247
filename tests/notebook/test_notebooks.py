"""Every notebook runs from top to bottom, without a cluster and without a network."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter

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
    assert path.stat().st_size < 500_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_show_no_error(path):
    notebook = nbformat.read(path, as_version=4)
    kinds = {output.output_type for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs}
    assert "error" not in kinds
