"""Findings as text, for terminals, logs and the plain half of a notebook's output."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from k8sgpt_magic.views.lines import cluster, demo, headline, notes, printable

if TYPE_CHECKING:
    from k8sgpt_magic.frame import Findings

# More rows than anybody reads; the frame has them all.
ROWS = 60

_COLUMNS = ("severity", "code", "where", "message", "cause")


def render(findings: Findings, *, rows: int = ROWS, width: int | None = None) -> str:
    """The headline, a table of at most ``rows`` findings as wide as the terminal, and the notes below it."""
    width = width or max(120, shutil.get_terminal_size((160, 24)).columns)
    summary = findings.summary
    lines = [headline(findings, summary), *([said] if (said := demo(summary)) else [])]
    if len(findings):
        shown = findings.head(rows).to_dict("records")
        # An id is long; what it is about is enough to find its row.
        roots = findings.loc[findings["consequences"] > 0, ["id", "kind", "name"]]
        causes = {root: f"{kind}/{name}" for root, kind, name in roots.itertuples(index=False, name=None)}
        table = [
            [
                printable(str(cell))
                for cell in (
                    row["severity"],
                    row["code"],
                    where(row),
                    row["message"],
                    causes.get(row["cause"], row["cause"]),
                )
            ]
            for row in shown
        ]
        message = _COLUMNS.index("message")
        taken = sum(max(len(row[at]) for row in table) + 2 for at in range(len(_COLUMNS)) if at != message)
        room = max(50, width - taken)
        for row in table:
            if len(row[message]) > room:
                row[message] = row[message][: room - 1] + "…"
        lines += ["", *aligned(list(_COLUMNS), table)]
        for finding in shown:
            lines += _explanation(finding)
        if len(findings) > rows:
            lines.append(f"... and {len(findings) - rows:,} more rows")
    return "\n".join([*lines, *(["", *below] if (below := notes(summary)) else [])])


def _explanation(row: dict[Any, Any]) -> list[str]:
    """What ``%explain`` adds to a row, below the table."""
    if not (row.get("explanation") or row.get("failure")):
        return []
    lines = ["", f"{row['code']} {where(row)}".strip()]
    if row["failure"]:
        return [*lines, f"  Not explained: {printable(row['failure'])}"]
    lines += [f"  {printable(part)}" for part in (row["explanation"], *str(row["solution"]).splitlines())]
    for each in row["commands"]:
        danger = f"   # {each['danger']}" if each["danger"] else "   # changes the cluster" if each["changes"] else ""
        lines.append(f"    $ {printable(each['command'])}{danger}")
    return [*lines, *([f"  {printable(row['docs'])}"] if row["docs"] else []), f"  ({row['backend']} {row['model']})"]


def where(row: dict[Any, Any]) -> str:
    namespace = f"{row['namespace']}/" if row["namespace"] else ""
    container = f" [{row['container']}]" if row["container"] else ""
    return f"{cluster(row)}{namespace}{row['name']}{container}"


def aligned(header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(str(row[position])) for row in [header, *rows]) for position in range(len(header))]
    return [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [[name.upper() for name in header], *rows]
    ]
