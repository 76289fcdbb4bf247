"""Findings as static HTML: no script, so it reads in a notebook without a kernel, on a code host and in a mail."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from k8sgpt_magic.views.lines import beyond_message, cluster, demo, headline, notes, printable

if TYPE_CHECKING:
    import pandas as pd

    from k8sgpt_magic.frame import Findings

# A page of this many rows is still pleasant to scroll; the frame has them all.
ROWS = 500
HEADER = ("Severity", "Where", "What is wrong", "Since")
# One table of them all would have to be measured as a whole before anything can be shown.
PART = 50
MESSAGE = 600
# Characters that the messages of all lines after the table may take together, and what each has at least.
ALL_LINES = 900_000
LINE = 60


@cache
def style() -> str:
    return files("k8sgpt_magic.views").joinpath("findings.css").read_text(encoding="utf-8")


def render(findings: Findings, *, rows: int = ROWS, name: str = "") -> str:
    """A table of ``rows`` findings, each of which opens to show its evidence, and lines for all others.

    All cluster text is escaped. ``name`` becomes a class of the whole, for who wants to find it.
    """
    summary = findings.summary
    # What stands between dollar signs is no formula.
    classes = f"k8sgpt mathjax_ignore tex2jax_ignore{f' k8sgpt-{name}' if name else ''}"
    parts = [f"<style>{style()}{_instead_of_view(name) if name else ''}</style>", f'<div class="{escaped(classes)}">']
    parts.append(f'<div class="k8sgpt-head">{escaped(headline(findings, summary))}</div>')
    if said := demo(summary):
        parts.append(f'<div class="k8sgpt-note">{escaped(said)}</div>')
    if len(findings):
        shown = [f"<tr>{cells(row)}</tr>" for row in findings.head(rows).to_dict("records")]
        parts += [_part(shown[first : first + PART], first) for first in range(0, len(shown), PART)]
        if len(findings) > rows:
            parts.append(_others(findings.iloc[rows:]))
    parts += [f'<div class="k8sgpt-note">{escaped(line)}</div>' for line in notes(summary)]
    parts.append("</div>")
    return "".join(parts)


def marked_row(record: dict[Any, Any], *, mark: str, style: str = "") -> str:
    """A row with one more cell in front, which says ``mark``; ``style`` is a class of the row's."""
    return f'<tr class="{escaped(style)}"><td class="k8sgpt-mark">{escaped(mark)}</td>{cells(record)}</tr>'


def _instead_of_view(name: str) -> str:
    """Hides the output before this one while no interactive view is in it: JupyterLab shows an error there."""
    output = ".jp-OutputArea-child"
    return f"{output}:has(+ {output} .k8sgpt-{escaped(name)}):not(:has(.kg)){{ display:none }}"


def _part(shown: list[str], first: int) -> str:
    header = "".join(f"<th>{name}</th>" for name in HEADER)
    again = " k8sgpt-again" if first else ""
    return (
        f'<div class="k8sgpt-part{again}"><table><thead><tr>{header}</tr></thead>'
        f"<tbody>{''.join(shown)}</tbody></table></div>"
    )


def _others(findings: pd.DataFrame) -> str:
    """Rows past the table, a line each: many thousands of them, and still a page that opens at once."""
    message = max(LINE, ALL_LINES // len(findings))
    names = ("severity", "code", "kind", "namespace", "name", "container", "message", "context", "id")
    lines = []
    for severity, code, *place, said, context, key in findings[list(names)].itertuples(index=False, name=None):
        where = cluster({"context": context, "id": key}) + "/".join(part for part in place if part)
        lines.append(escaped(f"{severity} {code} {where}: {said if len(said) <= message else said[:message] + '…'}"))
    return f"<details><summary>… and {len(findings):,} more</summary><pre>{chr(10).join(lines)}</pre></details>"


def cells(row: dict[Any, Any]) -> str:
    """The cells of a finding: severity, where, what is wrong, since."""
    severity = str(row["severity"])
    place = cluster(row) + (f"{row['namespace']}/{row['name']}" if row["namespace"] else row["name"])
    container = f' <span class="k8sgpt-faint">[{escaped(row["container"])}]</span>' if row["container"] else ""
    parent = f'<br><span class="k8sgpt-faint">of {escaped(row["parent"])}</span>' if row["parent"] else ""
    where = f'<span class="k8sgpt-kind">{escaped(row["kind"])}</span><br>{escaped(place)}{container}{parent}'
    since = "" if row["since"] is None or row["since"] != row["since"] else f"{row['since']:%Y-%m-%d %H:%M}"
    return (
        f'<td><span class="k8sgpt-severity k8sgpt-{escaped(severity)}">{escaped(severity)}</span></td>'
        f'<td class="k8sgpt-where">{where}</td>'
        f'<td class="k8sgpt-what">{_what(row)}</td><td style="white-space:nowrap">{since}</td>'
    )


def _what(row: dict[Any, Any]) -> str:
    message = str(row["message"])
    line = f'<span class="k8sgpt-code">{escaped(row["code"])}</span> {escaped(message[:MESSAGE])}'
    if row["cause"]:
        line += f'<br><span class="k8sgpt-faint">caused by {escaped(row["cause"])}</span>'
    elif row["consequences"]:
        line += f'<br><span class="k8sgpt-faint">root cause of {row["consequences"]} more</span>'
    line += explanation(row)
    if not row["evidence"]:
        return line
    facts = "".join(
        f"<dt>{escaped(fact['source'])}</dt><dd>{escaped(fact['value'][:MESSAGE])}</dd>" for fact in row["evidence"]
    )
    return f"<details><summary>{line}</summary><dl>{facts}</dl></details>"


def explanation(row: dict[Any, Any]) -> str:
    """What ``%explain`` adds to a row. A link is shown as text: it may come from a model."""
    if row.get("failure"):
        return f'<div class="k8sgpt-explained">Not explained: {escaped(row["failure"])}</div>'
    if not row.get("explanation"):
        return ""
    beyond = beyond_message(str(row["explanation"]), str(row["message"]))
    steps = "".join(f"<br>{escaped(step)}" for step in str(row["solution"]).splitlines())
    commands = "".join(
        f"<br><code>{escaped(each['command'])}</code>"
        + (f' <b class="k8sgpt-danger">{escaped(each["danger"])}</b>' if each["danger"] else "")
        + (' <span class="k8sgpt-faint">changes the cluster</span>' if each["changes"] else "")
        for each in row["commands"]
    )
    said_by = f"{row['backend']} {row['model']}".strip()
    facts = f"{said_by}, confidence {row['confidence']}{', from the cache' if row['cached'] else ''}"
    docs = f"<br>{escaped(row['docs'])}" if row["docs"] else ""
    return (
        f'<div class="k8sgpt-explained">{escaped(beyond)}{steps}{commands}{docs}'
        f'<br><span class="k8sgpt-faint">{escaped(facts)}</span></div>'
    )


def escaped(text: object) -> str:
    return escape(printable(str(text)))
