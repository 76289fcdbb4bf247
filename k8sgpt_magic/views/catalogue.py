"""``%k8sgpt analyzers``: what can be found, from the analyzers' own declarations."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.cluster.names import kind_named


class Catalogue(pd.DataFrame):
    """A row for each code: ``kind``, ``code``, ``severity``, ``meaning``, ``reads`` and ``docs``."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        lines = []
        for kind, rows in self.groupby("kind", sort=False):
            lines += ["", f"{kind} (reads {rows['reads'].iloc[0]})"]
            lines += [f"  {row.code:<44} {row.severity:<9} {row.meaning}" for row in rows.itertuples()]
        return "\n".join(lines[1:])

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.max_rows", None):
            return pd.DataFrame(self).to_html(index=False, escape=True, render_links=True, border=0)


def catalogue(filters: Sequence[str] = ()) -> Catalogue:
    """All codes, or those of the kinds that ``filters`` name."""
    analyzers = registered()
    wanted = {
        kind_named(name.strip(), list(analyzers))
        for several in filters
        for name in several.split(",")
        if name.strip()
    }
    return Catalogue(
        [
            {
                "kind": kind,
                "code": code.name,
                "severity": code.severity,
                "meaning": code.meaning,
                "reads": ", ".join(each.reads),
                "docs": code.docs,
            }
            for kind, each in analyzers.items()
            if not wanted or kind in wanted
            for code in each.codes
        ],
        columns=["kind", "code", "severity", "meaning", "reads", "docs"],
    )
