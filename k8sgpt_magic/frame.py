"""Findings as a pandas DataFrame that knows how to show itself."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd

from k8sgpt_magic.decoders import known
from k8sgpt_magic.findings import SEVERITIES, Finding
from k8sgpt_magic.garbage import no_collection

if TYPE_CHECKING:
    from k8sgpt_magic.cluster.view import ClusterView
    from k8sgpt_magic.session import Session
    from k8sgpt_magic.views.widget import FindingsWidget

COLUMNS = (
    "severity",
    "code",
    "kind",
    "namespace",
    "name",
    "container",
    "message",
    "since",
    "parent",
    "cause",
    "consequences",
    "evidence",
    "context",
    "id",
)

_TEXTS = tuple(name for name in COLUMNS if name not in ("severity", "since", "consequences", "evidence"))
_TEXTS_OF = attrgetter(*_TEXTS)

# What "str" is without pyarrow, which takes more memory and time for tables of this size.
_TEXT_TYPE = pd.StringDtype("python", na_value=np.nan)

SEVERITY_TYPE = pd.CategoricalDtype(list(reversed(SEVERITIES)), ordered=True)


class Summary(msgspec.Struct, kw_only=True):
    """What an analysis was of and how it went; ``Findings.attrs`` holds the same as plain values.

    ``seconds`` is the wall time of the whole, ``age`` the seconds since the oldest list in it was read.
    ``unreadable`` and ``errors`` are lines for people, ``reads`` and ``analyzer_seconds`` the figures of ``--stats``.
    ``taken_at`` is the time that ages were judged by, ``analyzed_at`` the time of the analysis itself: for a snapshot
    two different ones. ``number`` counts the session's analyses; ``asked`` has the options that were not left out.
    ``contexts`` are the clusters or snapshots of an analysis of several; the others leave it empty.
    """

    context: str = ""
    source: str = ""
    is_demo: bool = False
    taken_at: str = ""
    analyzed_at: str = ""
    number: int = 0
    asked: dict[str, Any] = {}
    namespaces: list[str] = []
    seconds: float = 0.0
    age: float = 0.0
    objects: int = 0
    kinds: int = 0
    analyzers: list[str] = []
    unreadable: list[str] = []
    errors: list[dict[str, str]] = []
    notes: list[str] = []
    reads: list[dict[str, Any]] = []
    analyzer_seconds: dict[str, float] = {}
    contexts: list[str] = []


class Findings(pd.DataFrame):
    """The findings of one analysis, a row each, worst first and root causes before what follows from them.

    Columns (all text unless said): ``severity`` (ordered categorical: info < warning < critical), ``code``,
    ``kind``, ``namespace``, ``name``, ``container``, ``message``, ``since`` (UTC timestamp), ``parent`` (topmost
    owner, ``Kind/name``), ``cause`` (``id`` of the finding at the root of this one), ``consequences`` (how many
    findings point here), ``evidence`` (list of dicts with ``source`` and ``value``), ``context`` and ``id``.

    ``.attrs`` tells where the findings come from and what could not be read. Slices are ordinary DataFrames.
    """

    # Of the class, so that setting them on a frame makes no column.
    _session: Any = None
    _views: Any = None
    _widget: FindingsWidget | None = None
    _metadata = ["_summary"]  # noqa: RUF012 - pandas' own protocol for attributes of a subclass

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    @classmethod
    @no_collection()
    def of(cls, findings: Sequence[Finding], summary: Summary) -> Findings:
        """Build the frame. The same findings give the same frame."""
        values = zip(*map(_TEXTS_OF, findings), strict=True) if findings else ((),) * len(_TEXTS)
        columns: dict[str, Any] = {
            name: pd.Series(list(texts), dtype=_TEXT_TYPE) for name, texts in zip(_TEXTS, values, strict=True)
        }
        columns["consequences"] = pd.Series([finding.consequences for finding in findings], dtype="int64")
        columns["severity"] = pd.Categorical([finding.severity for finding in findings], dtype=SEVERITY_TYPE)
        columns["since"] = pd.to_datetime(pd.Series([finding.since for finding in findings], dtype=object), utc=True)
        columns["evidence"] = pd.Series(
            msgspec.to_builtins([list(finding.evidence) for finding in findings]), dtype=object
        )
        frame = cls(columns, columns=list(COLUMNS))
        frame.attrs = msgspec.to_builtins(summary)
        return frame

    @property
    def summary(self) -> Summary:
        """What the analysis was of and how it went."""
        return msgspec.convert(self.attrs, known(Summary))

    def of_session(self, session: Session) -> Findings:
        """This frame, with the session that made it: what explains its rows and shows its objects."""
        self._session = session
        # Not held by the frame: a view has all the objects of a cluster.
        self._views = {
            context: weakref.ref(seen.view) for context, seen in session.seen.items() if seen.view is not None
        }
        return self

    def _view_at(self, context: str) -> ClusterView | None:
        found = (self._views or {}).get(context)
        return found() if found is not None else None

    @property
    def shown(self) -> pd.DataFrame:
        """The rows that the filters of the interactive view let through; all, where it is displayed nowhere."""
        return self.iloc[self._widget.shown_rows()] if self._widget is not None else self.iloc[:]

    @property
    def selected(self) -> pd.DataFrame:
        """The rows selected in the interactive view; none, where it is displayed nowhere."""
        return self.iloc[self._widget.selected_rows() if self._widget is not None else []]

    @property
    def widget(self) -> FindingsWidget:
        """The interactive view of this frame, the same wherever it is displayed."""
        from k8sgpt_magic.views.widget import FindingsWidget

        if self._widget is None:
            from k8sgpt_magic import shared_session

            session = self._session or shared_session()
            self._widget = FindingsWidget(self, session, self._view_at)
        return self._widget

    def __repr__(self) -> str:
        from k8sgpt_magic.views.text import render

        return render(self)

    def _ipython_display_(self) -> None:
        """In a notebook: the interactive view, and the static table whose place it takes on a live screen.

        They are two outputs, since a notebook that is opened without a kernel shows of one bundle nothing but the
        widget that is not there any more.
        """
        from IPython.core.getipython import get_ipython

        if getattr(get_ipython(), "kernel", None) is None:
            raise NotImplementedError("as text")
        from IPython.display import display

        from k8sgpt_magic.views.html import render

        if self._widget is not None:
            self._widget.show(self)
        # First, so that it is there when the table comes, which then takes no time to lay out.
        display(self.widget)  # type: ignore[no-untyped-call]
        static = render(self, name=self.widget.static)
        display({"text/html": static, "text/plain": repr(self)}, raw=True)  # type: ignore[no-untyped-call]

    def _repr_html_(self) -> str:
        from k8sgpt_magic.views.html import render

        return render(self)

    def _repr_markdown_(self) -> None:
        """Nothing: front ends that find Markdown would prefer it to the HTML."""
