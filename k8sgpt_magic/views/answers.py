"""Answers as they come in, drawn by the thread that waits for them: never by the engine's."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from k8sgpt_magic.views.lines import printable
from k8sgpt_magic.views.progress import Paced
from k8sgpt_magic.wording import count, quote

if TYPE_CHECKING:
    from k8sgpt_magic.explain.explainer import Progress

# More than these at once nobody can read.
_SHOWN = 4
_TEXT = 400


def view(shell: Any) -> NotebookAnswers | TerminalAnswers:
    """What shows answers under way where a shell shows its output."""
    return NotebookAnswers() if getattr(shell, "kernel", None) is not None else TerminalAnswers()


def _line(progress: Progress) -> str:
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{progress.answered} of {count(progress.problems, 'problem')} answered{failed}"


class NotebookAnswers(Paced):
    """The beginnings of the answers under way, in the cell's output, gone when all are there."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def draw(self, progress: Progress) -> None:
        if not progress.problems or not self.is_due():
            return
        from IPython.display import display

        fraction = progress.answered / progress.problems
        said = progress.said()[:_SHOWN]
        parts = "".join(
            f'<div style="margin:.3em 0"><b>{_escaped(finding)}</b><br>{_escaped(quote(text, _TEXT))} …</div>'
            for finding, text in said
        )
        bundle = {
            "text/html": (
                '<div style="font:12px var(--jp-ui-font-family,sans-serif)">'
                f'<progress max="1" value="{fraction:.2f}" style="width:16em;vertical-align:middle"></progress> '
                f"{_line(progress)}{parts}</div>"
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


class TerminalAnswers(Paced):
    """A bar on the terminal's error stream (tqdm), wiped when all answers are there."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def draw(self, progress: Progress) -> None:
        if not progress.problems or not self.is_due():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=progress.problems, leave=False, disable=None, bar_format="{percentage:3.0f}% |{bar:24}| {desc}"
            )
        self._bar.n = progress.answered
        self._bar.set_description_str(_line(progress))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _escaped(text: str) -> str:
    return escape(printable(text))
