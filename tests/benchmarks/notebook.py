"""How long a notebook takes to show 10,000 findings and to filter them, and how large it is when saved."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Row, at_most, median, milliseconds, table

FINDINGS = 10_000
CLICKS = 20
ROUNDS = 3
TARGET_PAINT = 1.5
TARGET_CLICK = 150.0
TARGET_SAVED = 3.0
TARGET_REPR = 0.2

# As many findings as asked for, of the cluster that the other benchmarks analyze.
_PREPARE = """
import time
from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.diagnosis.diagnose import diagnose
from k8sgpt_magic.frame import Findings, Summary
from tests.benchmarks.analysis import decoded, view_of
found = diagnose(view_of(decoded(2 * {findings})), list(registered().values())).findings[:{findings}]
def frame():
    return Findings.of(found, Summary(objects=2 * {findings}, kinds=20, context="load"))
df = frame()
assert len(df) == {findings}, len(df)
"""

# From the start of the cell to the first frame that has rows of the view and no static table.
_PAINT = """async () => {
  document.querySelectorAll(".kg").forEach((view) => view.classList.add("old"));
  const began = performance.now();
  jupyterapp.commands.execute("notebook:run-cell");
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const shows = () => document.querySelector(".kg:not(.old) .kg-body [data-row]")
    && [...document.querySelectorAll(".k8sgpt")].every((table) => !table.offsetParent);
  while (!shows()) await frame();
  await frame();
  return performance.now() - began;
}"""

_CLICKS = """async (clicks) => {
  const took = [];
  for (let click = 0; click < clicks; click++) {
    const chip = document.querySelectorAll(".kg-chip")[click % 2];
    const began = performance.now();
    chip.click();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    took.push(performance.now() - began);
    // What is sent to the kernel meanwhile must not be part of the next click.
    await new Promise((done) => setTimeout(done, 300));
  }
  return took;
}"""


def measure(findings: int, rounds: int, clicks: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    from tests.browser.lab import Lab, Notebook, chromium

    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        lab = Lab(Path(directory))
        browser = chromium(playwright)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            path = lab.write("load", _PREPARE.format(findings=findings), "frame()")
            # The first one loads the browser's half of the widgets.
            nb = Notebook(lab, page, path).run()
            page.locator(".kg [data-row='0']").wait_for(timeout=60_000)
            saved = _saved(nb)
            nb.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
            kept = _saved(nb)
            paints = [page.evaluate(_PAINT) / 1000 for _ in range(rounds)]
            took = page.evaluate(_CLICKS, clicks)
            reprs = [
                float(nb.python("t = time.perf_counter(); repr(df); print(time.perf_counter() - t)"))
                for _ in range(rounds)
            ]
            return {"paints": paints, "clicks": took, "reprs": reprs, "saved": saved, "kept": kept}
        finally:
            browser.close()
            lab.close()


def _saved(nb: Any) -> float:
    """Megabytes of the file."""
    nb.command("docmanager:save")
    return float(nb.path.stat().st_size / 1e6)


def run(findings: int = FINDINGS, rounds: int = ROUNDS, clicks: int = CLICKS) -> str:
    figures = measure(findings, rounds, clicks)
    rows = [
        at_most("from the start of the cell to its first paint", median(figures["paints"]), TARGET_PAINT, " s"),
        at_most("a filter click to its repaint, median", median(figures["clicks"]), TARGET_CLICK, " ms", 0),
        Row("  the slowest", milliseconds(max(figures["clicks"]) / 1000)),
        at_most("the saved notebook", figures["saved"], TARGET_SAVED, " MB"),
        at_most("  with the state of its widgets", figures["kept"], TARGET_SAVED, " MB"),
        at_most("repr of the frame", median(figures["reprs"]), TARGET_REPR, " s"),
    ]
    return table(f"Notebook, {findings:,} findings", rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.notebook", description=__doc__)
    parser.add_argument("--findings", type=int, default=FINDINGS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--clicks", type=int, default=CLICKS)
    print(run(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
