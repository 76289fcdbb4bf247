"""The environment that binder/ describes, installed as it stands into an environment that has nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_the_quick_start_runs_in_exactly_the_environment_of_binder(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        "binder/requirements.txt",
    ]
    subprocess.run(install, cwd=REPOSITORY, check=True)
    # Neither this checkout nor anybody's cluster is to be found by accident.
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KUBECONFIG")}
    environment = {**inherited, "HOME": str(tmp_path), "PATH": f"{python.parent}:{os.environ['PATH']}"}
    convert = ["-m", "jupyter", "nbconvert", "--execute", "--to", "html", "--output-dir", tmp_path]
    notebook = REPOSITORY / "notebooks" / "quick-start.ipynb"
    subprocess.run([python, *convert, notebook], cwd=tmp_path, env=environment, check=True)
    page = (tmp_path / "quick-start.html").read_text(encoding="utf-8")
    assert "PodImagePullBackOff" in page
    assert "packaged demo cluster" in page
    where = subprocess.run(
        [python, "-c", "import k8sgpt_magic; print(k8sgpt_magic.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert str(tmp_path) in where
