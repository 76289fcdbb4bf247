"""axe-core, which looks for what keeps people out: https://github.com/dequelabs/axe-core."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

VERSION = "4.14.1"
_BAD = ("serious", "critical")


def script() -> str:
    """The script itself, from npm the first time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "k8sgpt-magic" / f"axe-core-{VERSION}.js"
    if not path.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("the browser tests need npm, to fetch axe-core: apt-get install npm")
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(
                [npm, "pack", "--silent", f"axe-core@{VERSION}"], cwd=directory, check=True, stdout=subprocess.PIPE
            )
            [packed] = Path(directory).glob("*.tgz")
            with tarfile.open(packed) as archive:
                file = archive.extractfile("package/axe.min.js")
                assert file is not None
                content = file.read()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path.read_text(encoding="utf-8")


def violations(page: Page, selector: str) -> list[str]:
    """What is seriously wrong within an element, a line each."""
    page.evaluate(script())
    found: list[dict[str, Any]] = page.evaluate("async (within) => (await axe.run(within)).violations", selector)
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found
        if each["impact"] in _BAD
        for node in each["nodes"]
    ]
