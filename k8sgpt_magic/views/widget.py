"""The findings of an analysis as an interactive view in a notebook.

Rows travel once, compressed, and the browser filters, sorts and draws them: a busy kernel, or none, holds up nothing.
The kernel is asked for what only it has: explanations, objects, variables.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anywidget
import msgspec
from traitlets import Bytes, Dict, Int, List, Unicode

from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.views import rows
from k8sgpt_magic.views.lines import demo, headline, notes, printable
from k8sgpt_magic.wording import count

if TYPE_CHECKING:
    from k8sgpt_magic.cluster.view import ClusterView
    from k8sgpt_magic.explain.explain import Explained
    from k8sgpt_magic.frame import Findings
    from k8sgpt_magic.session import Session

VARIABLE = "k8sgpt_shown"
OBJECT_LINES = 100
# How often the beginning of one answer is sent again.
_PACE = 0.1


class _Stopped(Exception):
    """The user has enough of an explanation under way."""


class FindingsWidget(anywidget.AnyWidget):
    """The interactive view of one frame, wherever it is displayed.

    ``filters``, ``sort`` and ``selected`` (numbers of rows) follow the user and may be set. ``static`` names the
    static table that this one takes the place of while it is on a screen.
    """

    _esm = Path(__file__).with_name("widget.js")
    _css = Path(__file__).with_name("widget.css")

    packed = Bytes(help="The findings, see views/rows.py.").tag(sync=True)
    headline = Unicode().tag(sync=True)
    notes = List(Unicode()).tag(sync=True)
    kubectl = Unicode(help="The context that kubectl commands name, or empty.").tag(sync=True)
    static = Unicode().tag(sync=True)
    filters = Dict(dict(rows.ALL)).tag(sync=True)
    sort = Dict({"column": "", "down": False}).tag(sync=True)
    selected = List(Int()).tag(sync=True)
    answers = Dict(help="What was explained here: a list of answers by row.").tag(sync=True)

    def __init__(self, findings: Findings, session: Session, view_at: Callable[[str], ClusterView | None]) -> None:
        super().__init__(static=uuid4().hex)
        self._session = session
        self._view_at = view_at
        self._job: threading.Thread | None = None
        self._stop = threading.Event()
        self.show(findings)
        self.on_msg(self._asked)

    def __repr__(self) -> str:
        # What stands in a saved notebook, above the table that has it all.
        return "The findings, as of when this was run (filters and details need a running kernel):"

    def show(self, findings: Findings) -> None:
        """Take the findings as they are now."""
        self._findings = findings
        self._columns = rows.columns(findings, self._view_at)
        summary = findings.summary
        with self.hold_sync():
            self.packed = rows.packed(self._columns)
            self.headline = printable(headline(findings, summary))
            self.notes = [line for line in (demo(summary), *notes(summary)) if line]
            # Snapshots have no context that kubectl knows, nor has a pod that uses its own credentials.
            is_named = f"(context {summary.context})" in summary.source and summary.context != "in-cluster"
            self.kubectl = summary.context if is_named else ""
            if summary.contexts and summary.asked.get("context"):
                self.kubectl = "*"  # each row's own
            self.selected = [row for row in self.selected if row < len(findings)]

    def shown_rows(self) -> list[int]:
        """The rows that the filters let through."""
        return rows.shown(self._columns, self.filters)

    def selected_rows(self) -> list[int]:
        return sorted(row for row in set(self.selected) if 0 <= row < len(self._findings))

    # --- what the browser asks for ------------------------------------------------------------------------

    def _asked(self, _: Any, asked: Any, __: Any) -> None:
        try:
            match asked:
                case {"type": "explain", "rows": list(numbers), "ask": str(question)}:
                    self._explain(self._known(numbers), question)
                case {"type": "stop"}:
                    self._stop.set()
                case {"type": "object", "row": int(row)}:
                    self.send({"type": "object", "row": row, "text": self._object(row)})
                case {"type": "variable", "rows": list(numbers)}:
                    self._assign(self._known(numbers))
        except Exception as error:  # noqa: BLE001 - nobody reads a traceback that a widget's callback raises
            self._say(_told(error))

    def _known(self, numbers: Sequence[object]) -> list[int]:
        """The numbers of rows among what a page sent."""
        return [row for row in numbers if isinstance(row, int) and 0 <= row < len(self._findings)]

    def _say(self, text: str) -> None:
        self.send({"type": "said", "text": printable(text)})

    def _assign(self, numbers: list[int]) -> None:
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        shell.user_ns[VARIABLE] = self._findings.iloc[numbers].copy()
        self._say(f"{VARIABLE} is a DataFrame of {count(len(numbers), 'row')}.")

    def _object(self, row: int) -> str:
        """What was read of a row's object, as YAML."""
        from k8sgpt_magic.cluster.resources import ObjectRef

        record = self._findings.iloc[row]
        view = self._view_at(str(record["context"]))
        if view is None:
            return "# The objects of this analysis are held no longer. Analyze again to see them."
        found = view.find(ObjectRef(str(record["kind"]), str(record["namespace"]), str(record["name"])))
        if found is None:
            return "# There is no such object, or it was not read."
        # Only fields that analyzers use are ever read; values of Secrets and of environment variables are not.
        plain = {"kind": found.kind, **msgspec.to_builtins(found)}
        lines = msgspec.yaml.encode(plain).decode().splitlines()
        if len(lines) > OBJECT_LINES:
            lines[OBJECT_LINES:] = [f"# ... and {len(lines) - OBJECT_LINES:,} more lines"]
        return "\n".join(printable(line) for line in lines)

    # --- explanations -------------------------------------------------------------------------------------

    def _explain(self, numbers: list[int], question: str) -> None:
        if self._job is not None and self._job.is_alive():
            self._say("An explanation is under way; stop it, or wait for it.")
            return
        if not numbers:
            self._say("No row to explain.")
            return
        self._stop.clear()
        self.send({"type": "started", "rows": numbers})
        # The kernel stays free for cells, and for the next message of the browser's.
        self._job = threading.Thread(target=self._work, args=(numbers, question), name="k8sgpt-explain", daemon=True)
        self._job.start()

    def _work(self, numbers: list[int], question: str) -> None:
        try:
            self._answer(numbers, question)
        except _Stopped:
            self._say("Stopped. What has been answered is kept.")
        except Exception as error:  # noqa: BLE001 - a thread's traceback would end up in a log
            self._say(_told(error))
        finally:
            self.send({"type": "finished"})

    def _answer(self, numbers: list[int], question: str) -> None:
        from k8sgpt_magic.explain.explainer import Style, as_columns

        asked = self._findings.iloc[numbers]
        places = dict(zip(asked["id"], numbers, strict=True))
        messages = dict(zip(asked["id"], asked["message"], strict=True))
        sent: dict[str, float] = {}
        answers: dict[str, Any] = {}

        def on_text(id: str, said: str) -> None:
            now = time.monotonic()
            if id in places and now - sent.get(id, 0.0) >= _PACE:
                sent[id] = now
                self.send({"type": "text", "row": places[id], "text": printable(said)})

        def on_done(id: str, outcome: Explained) -> None:
            if id in places:
                row = places[id]
                said = rows.answer({**as_columns(outcome), "message": messages[id]})
                answers[str(row)] = {"ask": printable(question), **said}
                self.send({"type": "answer", "row": row, "answer": answers[str(row)]})

        try:
            self._session.explainer.explain(
                asked, Style(ask=question), on_text=on_text, on_done=on_done, progress=_Tally(self.send, self._stop)
            )
        finally:
            # One message for all, so that a saved notebook has them too.
            kept = dict(answers)
            self.answers = {**self.answers, **{row: [*self.answers.get(row, ()), kept[row]] for row in kept}}
        if len(numbers) > 1:
            failed = sum(bool(each["failure"]) for each in kept.values())
            self._say(f"{count(len(kept), 'finding')} explained{f', {failed:,} of them failed' if failed else ''}.")


class _Tally:
    """Tells the browser how far an explanation is, and ends it where the user wants that."""

    def __init__(self, send: Callable[[dict[str, Any]], None], stop: threading.Event) -> None:
        self._send = send
        self._stop = stop
        self._told = ""

    def draw(self, progress: Any) -> None:
        if self._stop.is_set():
            raise _Stopped
        told = f"{progress.answered} of {count(progress.problems, 'problem')} answered"
        if told != self._told and progress.problems:
            self._told = told
            self._send({"type": "progress", "text": told})

    def close(self) -> None:
        """Nothing is left to clear: the end is told by the widget."""


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, K8sGPTError | InvalidOption) else f"{type(error).__name__}: {error}"
