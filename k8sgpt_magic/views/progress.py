"""How far an analysis is, drawn by the thread that waits for it: never by the engine's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k8sgpt_magic.session import Progress

# Most analyses end sooner, and a bar that only flashes disturbs.
_DELAY = 0.4
_INTERVAL = 0.1


def view(shell: Any) -> TerminalProgress | NotebookProgress:
    """The progress bar that fits where a shell shows its output."""
    return NotebookProgress() if getattr(shell, "kernel", None) is not None else TerminalProgress()


def _fraction(progress: Progress) -> float:
    """Reading counts for as much as judging: nobody can know beforehand."""
    if progress.clusters:
        return progress.clusters_done / progress.clusters
    read = progress.kinds_read / progress.kinds if progress.kinds else 0.0
    judged = progress.analyzers_done / progress.analyzers if progress.analyzers else 0.0
    return min(1.0, (read + judged) / 2)


def _line(progress: Progress) -> str:
    if progress.clusters:
        return f"{progress.clusters_done} of {progress.clusters} clusters analyzed, {progress.objects:,} objects"
    return (
        f"{progress.kinds_read} of {progress.kinds} kinds read, {progress.objects:,} objects, "
        f"{progress.analyzers_done} of {progress.analyzers or '?'} analyzers done"
    )


class Paced:
    """Draws nothing at first, and afterwards no more often than an eye can follow."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _DELAY

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _INTERVAL
        return True


class NotebookProgress(Paced):
    """A bar in the cell's output, updated in place and gone when the analysis is done."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def draw(self, progress: Progress) -> None:
        if not self.is_due():
            return
        from IPython.display import display

        bundle = {
            "text/html": (
                '<div style="font:12px var(--jp-ui-font-family,sans-serif)">'
                f'<progress max="1" value="{_fraction(progress):.2f}" style="width:16em;vertical-align:middle">'
                f"</progress> {_line(progress)}</div>"
            ),
            "text/plain": _line(progress),
        }
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.update({"text/html": "", "text/plain": ""}, raw=True)


class TerminalProgress(Paced):
    """A bar on the terminal's error stream (tqdm), wiped when the analysis is done."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def draw(self, progress: Progress) -> None:
        if not self.is_due():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=1.0, leave=False, disable=None, bar_format="{percentage:3.0f}% |{bar:24}| {desc}")
        self._bar.n = _fraction(progress)
        self._bar.set_description_str(_line(progress))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
