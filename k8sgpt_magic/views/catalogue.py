"""``%k8sgpt analyzers``: what can be found, from the analyzers' own declarations."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from k8sgpt_magic import settings
from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.filters import active, named


class Catalogue(pd.DataFrame):
    """A row for each code.

    Its columns are ``analyzer``, ``kind``, ``code``, ``severity``, ``meaning``, ``reads``, ``runs`` and ``docs``.
    ``runs`` is ``by default`` or ``on request`` (named by ``--filter``, or added with ``%k8sgpt filters add``).
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        lines = []
        for name, rows in self.groupby("analyzer", sort=False):
            lines += ["", f"{name} ({rows['runs'].iloc[0]}; reads {rows['reads'].iloc[0]})"]
            lines += [f"  {row.code:<44} {row.severity:<9} {row.meaning}" for row in rows.itertuples()]
        return "\n".join(lines[1:])

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.max_rows", None):
            return pd.DataFrame(self).to_html(index=False, escape=True, render_links=True, border=0)


class Table(pd.DataFrame):
    """A small table, shown whole and without its index."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        # pandas would tell of an "Empty DataFrame".
        return str(pd.DataFrame(self).to_string(index=False, justify="left")) if len(self) else "There are none."

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.max_rows", None):
            return pd.DataFrame(self).to_html(index=False, escape=True, border=0)


def active_table() -> Table:
    """``%k8sgpt filters list``: a row for each analyzer, with whether it runs where the user names none."""
    running = active()
    return Table(
        [
            {
                "analyzer": name,
                "runs": "yes" if name in running else "no",
                "by default": "yes" if each.default else "no",
                "group": each.group,
                "codes": len(each.codes),
                "meaning": each.meaning,
            }
            for name, each in registered().items()
        ]
    )


def settings_table() -> Table:
    """``%k8sgpt settings``: what is kept, a row each; the last row says where."""
    kept = settings.load()
    rows = [
        ("default backend", kept.backend or "one that has a key, otherwise offline"),
        *(
            (f"backend {name}", ", ".join(filter(None, (each.model, each.base_url))))
            for name, each in kept.backends.items()
        ),
        ("analyzers added", ", ".join(kept.filters_added)),
        ("analyzers removed", ", ".join(kept.filters_removed)),
        *((f"custom analyzer {name}", address) for name, address in kept.remote.items()),
        ("caches", ", ".join(kept.caches)),
        ("file", str(settings.path())),
    ]
    return Table(rows, columns=["setting", "value"])


def catalogue(filters: Sequence[str] = ()) -> Catalogue:
    """All codes, or those of the kinds that ``filters`` name."""
    analyzers, running = registered(), active()
    wanted = named(name for several in filters for name in several.split(",") if name.strip())
    return Catalogue(
        [
            {
                "analyzer": name,
                "kind": each.kind,
                "code": code.name,
                "severity": code.severity,
                "meaning": code.meaning,
                "reads": ", ".join(each.reads),
                "runs": "by default" if name in running else "on request",
                "docs": code.docs,
            }
            for name, each in analyzers.items()
            if not wanted or name in wanted
            for code in each.codes
        ],
        columns=["analyzer", "kind", "code", "severity", "meaning", "reads", "runs", "docs"],
    )
