"""A JupyterLab server, and notebooks in it as a user has them before them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Page, Playwright

REPOSITORY = Path(__file__).parents[2]
PICTURES = Path(__file__).parent / "pictures"

# No news, no updates, nothing that would ask the network or cover the page.
_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]

# Runs code beside the cells, as a console on the same kernel would, and gives what it prints.
_PYTHON = """async (code) => {
  const kernel = jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, store_history: false });
  let printed = "";
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === "stream") printed += content.text;
    if (header.msg_type === "error") printed += `${content.ename}: ${content.evalue}`;
  };
  await future.done;
  return printed.trim();
}"""


class Lab:
    """One ``jupyter lab`` in a directory of its own; kernels import this checkout and find no cluster."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "notebooks"
        self.directory.mkdir()
        settings = directory / "settings"
        settings.mkdir()
        (settings / "overrides.json").write_text(json.dumps(_SETTINGS))
        self.token = secrets.token_hex(16)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "KUBE"))}
        environment |= {
            "HOME": str(directory),
            "IPYTHONDIR": str(directory / "ipython"),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
            *(f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0"),
            *(f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.directory}"),
            f"--LabApp.app_settings_dir={settings}",
        ]
        self._log = (directory / "lab.log").open("w")
        self._process = subprocess.Popen(
            command, cwd=self.directory, env=environment, stdout=self._log, stderr=subprocess.STDOUT
        )
        self._wait(directory / "lab.log")

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/api?token={self.token}", timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        self.close()
        raise RuntimeError(f"jupyter lab did not start:\n{log.read_text()[-2000:]}")

    def close(self) -> None:
        """End the server, which ends its kernels."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def write(self, name: str, *cells: str) -> Path:
        """A new notebook of code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.directory / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path


def chromium(playwright: Playwright) -> Browser:
    """The system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("the browser tests need Chromium: apt-get install chromium")
    return playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)


class Notebook:
    """A notebook on the screen, and its kernel."""

    def __init__(self, lab: Lab, page: Page, path: Path) -> None:
        self.page = page
        page.goto(f"{lab.url}/doc/tree/{path.name}?token={lab.token}&reset")
        page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady", timeout=60_000)
        page.evaluate("jupyterapp.shell.collapseLeft()")
        self.path = path

    def started(self) -> Notebook:
        """This notebook, once its kernel answers."""
        self.page.wait_for_function(
            "jupyterapp.shell.currentWidget.context.sessionContext.session?.kernel?.status === 'idle'", timeout=60_000
        )
        return self

    def run(self) -> Notebook:
        """Run all cells; returns when the last has ended."""
        self.started()
        self.command("notebook:run-all-cells")
        return self

    def begin(self) -> None:
        """Run all cells, and return at once."""
        self.started()
        self.page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")

    def run_last(self) -> None:
        """Run the last cell alone."""
        self.page.evaluate(
            "() => { const { content } = jupyterapp.shell.currentWidget;"
            " content.activeCellIndex = content.widgets.length - 1; }"
        )
        self.command("notebook:run-cell")

    def shut_down(self) -> None:
        """End the kernel."""
        self.page.evaluate("jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")

    def command(self, name: str, **arguments: Any) -> None:
        self.page.evaluate("([name, given]) => jupyterapp.commands.execute(name, given)", [name, arguments])

    def python(self, code: str) -> str:
        """Run code in the kernel and give what it prints."""
        printed: str = self.page.evaluate(_PYTHON, code)
        return printed

    def theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=name)
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
        self.page.wait_for_selector("#jupyterlab-splash, .jp-mod-splash", state="detached")

    def picture(self, name: str) -> None:
        # Makes the directories, too.
        self.page.screenshot(path=PICTURES / f"{name}.png")
