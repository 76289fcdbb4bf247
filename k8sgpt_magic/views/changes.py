"""What changed between two analyses, as static HTML, as text and as files of other programs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import msgspec

from k8sgpt_magic.views import html as findings_html
from k8sgpt_magic.views.export import Document, Format, cell, plain_rows
from k8sgpt_magic.views.lines import cluster, demo, printable
from k8sgpt_magic.views.text import aligned, where
from k8sgpt_magic.wording import count, joined

if TYPE_CHECKING:
    from k8sgpt_magic.diagnosis.diff import Changes
    from k8sgpt_magic.frame import Summary

ROWS = 500
TEXT_ROWS = 60

# These three are always said: none of them is news too.
_ALWAYS = ("new", "resolved", "unchanged")

# Nobody has to act on them: they are counted, and shown when asked for.
_FOLDED = ("unknown", "unchanged")

_MARKS = {"new": "+", "worse": "↑", "better": "↓", "resolved": "−", "unknown": "?", "unchanged": "="}


def headline(changes: Changes) -> str:
    """``3 new, 2 resolved, 40 unchanged — shop.tar.gz, 2026-11-01 09:00, against prod, 2026-11-02 09:00``."""
    counts = changes.counts
    order = ("new", "worse", "better", "resolved", "unchanged", "unknown")
    said = ", ".join(f"{counts[change]:,} {change}" for change in order if counts[change] or change in _ALWAYS)
    if left_out := changes.attrs.get("left_out", 0):
        said = ", ".join(f"{counts[change]:,} {change}" for change in order if counts[change]) or "None of these"
        said += f" ({count(left_out, 'other finding')} not shown)"
    return f"{said} — {_side(changes.after)}, against {_side(changes.before)}"


def _side(summary: Summary) -> str:
    parts = [summary.context or "the cluster"]
    if summary.namespaces:
        parts.append(joined(summary.namespaces, 3))
    if summary.taken_at:
        parts.append(summary.taken_at[:16].replace("T", " "))
    number = f" (analysis {summary.number})" if summary.number else ""
    return ", ".join(parts) + number


def _notes(changes: Changes) -> list[str]:
    said = demo(changes.after) if changes.after.is_demo and changes.before.is_demo else ""
    return [printable(note) for note in (*([said] if said else []), *changes.attrs["notes"])]


def _folded(changes: Changes) -> tuple[str, ...]:
    """Who asks for some changes wants to see them, whichever they are."""
    return () if "left_out" in changes.attrs else _FOLDED


def text(changes: Changes, *, rows: int = TEXT_ROWS) -> str:
    """The headline, a table of at most ``rows`` findings that changed, and the notes."""
    lines = [printable(headline(changes))]
    shown = [row for row in changes.to_dict("records") if row["change"] not in _folded(changes)]
    table = [
        [
            printable(str(each))
            for each in (
                f"{_MARKS[row['change']]} {row['change']}",
                _severity(row),
                row["code"],
                where(row),
                row["message"],
            )
        ]
        for row in shown[:rows]
    ]
    if table:
        for row in table:
            row[-1] = row[-1] if len(row[-1]) <= 100 else f"{row[-1][:99]}…"
        lines += ["", *aligned(["change", "severity", "code", "where", "message"], table)]
    if len(shown) > rows:
        lines.append(f"... and {len(shown) - rows:,} more rows")
    return "\n".join([*lines, *(["", *below] if (below := _notes(changes)) else [])])


def html(changes: Changes, *, rows: int = ROWS) -> str:
    """A table of at most ``rows`` findings that changed; those that did not are folded away below it."""
    records = changes.to_dict("records")
    parts = [f"<style>{findings_html.style()}</style>", '<div class="k8sgpt">']
    parts.append(f'<div class="k8sgpt-head">{_escaped(headline(changes))}</div>')
    if changed := [row for row in records if row["change"] not in _folded(changes)]:
        parts.append(_table(changed, rows))
    parts += [f'<div class="k8sgpt-note">{_escaped(note)}</div>' for note in _notes(changes)]
    for change in _folded(changes):
        if folded := [row for row in records if row["change"] == change]:
            parts.append(f"<details><summary>{len(folded):,} {change}</summary>{_table(folded, rows)}</details>")
    parts.append("</div>")
    return "".join(parts)


def _table(records: list[dict[Any, Any]], rows: int) -> str:
    header = "".join(f"<th>{name}</th>" for name in ("Change", "Severity", "Where", "What is wrong", "Since"))
    body = "".join(
        f'<tr><td style="white-space:nowrap">{_change(row)}</td>{findings_html.cells(row)}</tr>'
        for row in records[:rows]
    )
    more = f'<div class="k8sgpt-note">… and {len(records) - rows:,} more rows.</div>' if len(records) > rows else ""
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>{more}"


def _change(row: dict[Any, Any]) -> str:
    was = f'<br><span class="k8sgpt-faint">was {_escaped(row["was"])}</span>' if _is_other(row) else ""
    return f"<b>{_MARKS[row['change']]} {_escaped(row['change'])}</b>{was}"


def _severity(row: dict[Any, Any]) -> str:
    return f"{row['was']} → {row['severity']}" if _is_other(row) else str(row["severity"])


def _is_other(row: dict[Any, Any]) -> bool:
    return row["change"] in ("worse", "better")


def _escaped(content: object) -> str:
    return escape(printable(str(content)))


def export(changes: Changes, format: Format) -> Document:
    """Changes in a format. JSON and YAML have the keys ``counts``, ``findings``, ``notes``, ``before``, ``after``."""
    match format:
        case "json":
            encoded = msgspec.json.format(msgspec.json.encode(_document(changes)), indent=2)
            return Document(encoded.decode(), format)
        case "yaml":
            return Document(msgspec.yaml.encode(_document(changes)).decode(), format)
        case "markdown":
            return Document(_markdown(changes), format)
        case "text":
            return Document(text(changes, rows=len(changes)), format)


def _document(changes: Changes) -> dict[str, Any]:
    return {
        "counts": changes.counts,
        "findings": plain_rows(changes),
        "notes": changes.attrs["notes"],
        "before": changes.attrs["before"],
        "after": changes.attrs["after"],
    }


def _markdown(changes: Changes) -> str:
    lines = [f"**{cell(headline(changes))}**", ""]
    shown = [row for row in changes.to_dict("records") if row["change"] not in _folded(changes)]
    if shown:
        lines += ["| Change | Severity | Code | Where | What is wrong |", "|---|---|---|---|---|"]
        for row in shown:
            parts = (row["kind"], row["namespace"], row["name"], row["container"])
            place = cluster(row) + "/".join(part for part in parts if part)
            cells = (row["change"], _severity(row), row["code"], place, row["message"])
            lines.append("| " + " | ".join(cell(str(part)) for part in cells) + " |")
        lines.append("")
    return "\n".join([*lines, *(f"{cell(note)}  " for note in _notes(changes))])
