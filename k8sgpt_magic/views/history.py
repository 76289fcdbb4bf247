"""``%k8sgpt history``: the analyses that a session remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.views.lines import printable
from k8sgpt_magic.wording import joined

if TYPE_CHECKING:
    from k8sgpt_magic.frame import Findings

COLUMNS = [
    "number",
    "analyzed_at",
    "context",
    "source",
    "as_of",
    "namespaces",
    "filters",
    "options",
    *SEVERITIES,
    "seconds",
]


class History(pd.DataFrame):
    """A row for each analysis, the oldest first.

    Columns: ``number``, ``analyzed_at`` and ``as_of`` (UTC; of a snapshot the time it was taken), ``context``,
    ``source``, ``namespaces`` and ``filters`` ("" for all), ``options`` (severity and selector, if any), how many
    findings of each severity, and ``seconds``.
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        if not len(self):
            return "No analysis yet: %k8sgpt analyze"
        return self._shown().to_string(index=False, max_colwidth=60)

    def _repr_html_(self) -> str:
        if not len(self):
            return "<p>No analysis yet: <code>%k8sgpt analyze</code></p>"
        return str(self._shown().to_html(index=False, escape=True, border=0))

    def _shown(self) -> pd.DataFrame:
        times = {name: self[name].dt.strftime("%Y-%m-%d %H:%M:%S") for name in ("analyzed_at", "as_of")}
        return pd.DataFrame(self).assign(**times, seconds=self["seconds"].map("{:.2f}".format))


def history(analyses: Sequence[Findings]) -> History:
    """The history of some analyses."""
    rows: list[dict[str, Any]] = []
    for frame in analyses:
        summary = frame.summary
        counts = frame["severity"].value_counts()
        options = [f"{name}={summary.asked[name]}" for name in ("severity", "selector") if summary.asked.get(name)]
        rows.append(
            {
                "number": summary.number,
                "analyzed_at": pd.Timestamp(summary.analyzed_at),
                "context": printable(summary.context),
                "source": printable(summary.source),
                "as_of": pd.Timestamp(summary.taken_at),
                "namespaces": printable(joined(summary.namespaces)),
                "filters": printable(joined(summary.asked.get("filter", []))),
                "options": printable(", ".join(options)),
                **{severity: int(counts.get(severity, 0)) for severity in SEVERITIES},
                "seconds": round(summary.seconds, 3),
            }
        )
    return History(rows, columns=COLUMNS)
