"""A watch, shown: a table in a notebook that is replaced in place, lines in a terminal.

The table is an ordinary output with a display id, not a widget, so that a notebook that is saved and opened again
shows how things stood. Only the button that stops the watch is a widget, and it is gone once the watch is.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from k8sgpt_magic.findings import SEVERITIES, Finding
from k8sgpt_magic.views import html
from k8sgpt_magic.views.lines import notes, printable
from k8sgpt_magic.wording import joined

if TYPE_CHECKING:
    from k8sgpt_magic.watch import State, Watch

# Every update sends all of them, so they are fewer than an analysis shows; ``watch.findings`` has them all.
ROWS = 100
LINES = 20

_STYLE = """<style>
.k8sgpt-mark{ font-weight:600;white-space:nowrap }
.k8sgpt-resolved td:not(:first-child){ text-decoration:line-through }
</style>"""


def headline(state: State) -> str:
    """``Watching prod since 12:03: 3 critical, 5 warning; 2 new, 1 resolved; connected``."""
    numbers = Counter(finding.severity for finding in state.findings)
    found = ", ".join(f"{numbers[severity]:,} {severity}" for severity in SEVERITIES if numbers[severity])
    where = state.summary.context or "the cluster"
    if state.summary.namespaces:
        where += f" ({joined(state.summary.namespaces)})"
    if state.ended and state.until:
        watching = f"Watched {where} from {_clock(state.since)} to {_clock(state.until)}, {state.ended}"
    else:
        watching = f"Watching {where} since {_clock(state.since)}"
    parts = [found or "no problems found", _changes(state)]
    if not state.ended:
        parts.append(state.trouble or "connected")
    return printable(f"{watching}: {'; '.join(parts)}")


def text(state: State) -> str:
    """The headline, what has changed, and the worst of the rest."""
    lines = [headline(state)]
    lines += [_line("NEW", each) for each in _new(state)[:LINES]]
    lines += [_line("RESOLVED", change.finding) for change in reversed(state.resolved[-LINES:])]
    rest = [finding for finding in state.findings if finding.id not in state.new]
    lines += [_line("", finding) for finding in rest[: max(0, LINES - len(lines))]]
    shown = len(lines) - 1
    if (total := len(state.findings) + len(state.resolved)) > shown:
        lines.append(f"... and {total - shown:,} more")
    return "\n".join([*lines, *_below(state)])


def render(state: State) -> str:
    """The same as HTML: what is new first, then what is resolved, then the rest, worst first."""
    from k8sgpt_magic.frame import Findings

    marked = [(f"new {_clock(state.new[each.id])}", "", each) for each in _new(state)]
    marked += [
        (f"resolved {_clock(change.at)}", "k8sgpt-resolved", change.finding) for change in reversed(state.resolved)
    ]
    marked += [("", "", each) for each in state.findings if each.id not in state.new]
    shown = marked[:ROWS]
    rows = Findings.of([each for _, _, each in shown], state.summary).to_dict("records")
    parts = [f"<style>{html.style()}</style>", _STYLE, '<div class="k8sgpt">']
    parts.append(f'<div class="k8sgpt-head" role="status">{html.escaped(headline(state))}</div>')
    if shown:
        header = "".join(f"<th>{name}</th>" for name in ("Change", *html.HEADER))
        parts.append(f"<table><thead><tr>{header}</tr></thead><tbody>")
        parts += [
            html.marked_row(each, mark=mark, style=style) for (mark, style, _), each in zip(shown, rows, strict=True)
        ]
        parts.append("</tbody></table>")
    if len(marked) > ROWS:
        parts.append(f'<div class="k8sgpt-note">… and {len(marked) - ROWS:,} more; .findings has them all.</div>')
    parts += [f'<div class="k8sgpt-note">{html.escaped(line)}</div>' for line in _below(state)]
    return "".join([*parts, "</div>"])


def display(watch: Watch) -> None:
    """Show a watch wherever this runs: live in a notebook, as it is now in a terminal."""
    if _in_notebook():
        view = NotebookView(watch)
        view.open()
        watch.add_view(view)
    else:
        print(text(watch.state))


def wait(watch: Watch, *, in_notebook: bool, seconds: float | None = None) -> None:
    """Show a watch until it ends, the time is over or an interrupt comes, and stop it."""
    view = NotebookView(watch) if in_notebook else Lines()
    # An interrupt is the way to end it, and so no error.
    with contextlib.suppress(KeyboardInterrupt):
        try:
            view.open()
            watch.add_view(view)
            watch.wait(seconds, on_wait=view.draw)
        finally:
            watch.stop()
            # An interrupt may have come before the watch knew of the view.
            view.show(watch.state)
            view.draw()


class NotebookView:
    """The cell's output, updated in place. Made in the user's thread, shown from the engine's."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._button: Any = None
        self._buttons: Any = None
        self._handle: Any = None
        self._shown: dict[str, str] = {}

    def open(self) -> None:
        """Make the outputs, in the cell that this is called from."""
        from IPython.display import DisplayHandle

        # Handles come first: from the moment that an output is seen, an interrupt must find it to be ended.
        if self._watch.is_running:
            self._button = _stop_button(self._watch)
            self._buttons = DisplayHandle()  # type: ignore[no-untyped-call]
            self._buttons.display(self._button_bundle(), raw=True)
        self._shown = _bundle(self._watch.state)
        self._handle = DisplayHandle()  # type: ignore[no-untyped-call]
        self._handle.display(self._shown, raw=True)

    def draw(self) -> None:
        """Nothing: all is shown as it comes."""

    def show(self, state: State) -> None:
        bundle = _bundle(state)
        if bundle != self._shown and self._handle is not None:
            self._shown = bundle
            self._handle.update(bundle, raw=True)
        if state.ended and self._buttons is not None:
            self._buttons.update({"text/html": "", "text/plain": ""}, raw=True)
            self._button.close()
            self._buttons = None

    def _button_bundle(self) -> dict[str, Any]:
        found: dict[str, Any] = self._button._repr_mimebundle_()
        return {**found, "text/plain": "The watch goes on until its stop() is called."}


class Lines:
    """Changes as lines, printed by the thread that waits."""

    def open(self) -> None:
        """Nothing: the first state has a line of its own."""

    def __init__(self) -> None:
        self._states: queue.SimpleQueue[State] = queue.SimpleQueue()
        self._before: State | None = None

    def show(self, state: State) -> None:
        self._states.put(state)

    def draw(self) -> None:
        """Print what has come since the last call."""
        while not self._states.empty():
            for line in self._told(self._states.get()):
                print(line, flush=True)

    def _told(self, state: State) -> list[str]:
        before, self._before = self._before, state
        if before is state:
            return []
        if before is None:
            return [headline(state), *_below(state)]
        at = _clock(datetime.now().astimezone(), seconds=True)
        lines = []
        if state.trouble != before.trouble and not state.ended:
            lines.append(f"{at} {printable(state.trouble or 'connected again')}")
        if state.note != before.note:
            lines.append(f"{at} {printable(state.note)}")
        width = shutil.get_terminal_size((160, 24)).columns
        told = [("RESOLVED", change.finding) for change in state.resolved if change not in before.resolved]
        told += [("NEW", each) for each in _new(state) if state.new[each.id] != before.new.get(each.id)]
        lines += [f"{at} {_line(mark, finding, width - len(at) - 1)}" for mark, finding in told]
        if state.ended:
            lines.append(headline(state))
        return lines


def _bundle(state: State) -> dict[str, str]:
    return {"text/html": render(state), "text/plain": text(state)}


def _stop_button(watch: Watch) -> Any:
    from ipywidgets import Button

    button = Button(description="Stop watching", icon="stop", tooltip="End this watch and close its connections")

    def on_click(clicked: Any) -> None:
        clicked.disabled = True
        watch.stop()

    button.on_click(on_click)
    return button


def _in_notebook() -> bool:
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _new(state: State) -> list[Finding]:
    """The newest first."""
    found = [finding for finding in state.findings if finding.id in state.new]
    return sorted(found, key=lambda finding: state.new[finding.id], reverse=True)


def _changes(state: State) -> str:
    if not state.appeared and not state.went:
        return "no changes"
    return f"{state.appeared:,} new, {state.went:,} resolved"


def _below(state: State) -> list[str]:
    return [*notes(state.summary), *([printable(state.note)] if state.note else [])]


def _line(mark: str, finding: Finding, width: int = 160) -> str:
    place = f"{finding.namespace}/{finding.name}" if finding.namespace else finding.name
    container = f" [{finding.container}]" if finding.container else ""
    message = printable(f"{finding.severity:<8} {finding.code} {place}{container}: {finding.message}")
    line = f"{mark:<8} {message}"
    return line if len(line) <= max(width, 80) else f"{line[: max(width, 80) - 1]}…"


def _clock(at: datetime, *, seconds: bool = False) -> str:
    return f"{at.astimezone():%H:%M:%S}" if seconds else f"{at.astimezone():%H:%M}"
