"""Findings as text, for terminals, logs and the plain half of a notebook's output."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from k8sgpt_magic.views.lines import headline, notes, printable

if TYPE_CHECKING:
    from k8sgpt_magic.frame import Findings

# More rows than anybody reads; the frame has them all.
ROWS = 60

_COLUMNS = ("severity", "code", "namespace", "name", "message", "cause")


def render(findings: Findings, *, rows: int = ROWS, width: int | None = None) -> str:
    """The headline, a table of at most ``rows`` findings as wide as the terminal, and the notes below it."""
    width = width or max(100, shutil.get_terminal_size((140, 24)).columns)
    summary = findings.summary
    lines = [headline(findings, summary)]
    if len(findings):
        table = findings.head(rows)[list(_COLUMNS)].astype(str)
        table["name"] = table["name"].where(
            findings["container"] == "", table["name"] + "[" + findings["container"] + "]"
        )
        for column in table.columns:
            table[column] = table[column].map(printable)
        table["cause"] = table["cause"].map(_short)
        taken = sum(int(table[column].str.len().max()) + 2 for column in table.columns if column != "message")
        room = max(40, width - taken)
        table["message"] = table["message"].map(lambda text: text if len(text) <= room else text[: room - 1] + "…")
        lines += ["", *_aligned(table.columns.tolist(), table.values.tolist())]
        if len(findings) > rows:
            lines.append(f"... and {len(findings) - rows:,} more rows")
    return "\n".join([*lines, *(["", *below] if (below := notes(summary)) else [])])


def _short(cause: str) -> str:
    """``Pod/shop/web-1/PodImagePullBackOff/app`` as ``Pod/web-1``: enough to find the row."""
    parts = cause.split("/")
    return f"{parts[0]}/{parts[2]}" if len(parts) > 3 else "/".join(parts[:2])


def _aligned(header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(str(row[position])) for row in [header, *rows]) for position in range(len(header))]
    return [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [[name.upper() for name in header], *rows]
    ]
