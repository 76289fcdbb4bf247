"""Findings as static HTML: no script, so it reads in a notebook without a kernel, on a code host and in a mail."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from k8sgpt_magic.views.lines import demo, headline, notes, printable

if TYPE_CHECKING:
    from k8sgpt_magic.frame import Findings

# A page of this many rows is still pleasant to scroll; the frame has them all.
ROWS = 500
MESSAGE = 600


@cache
def style() -> str:
    return files("k8sgpt_magic.views").joinpath("findings.css").read_text(encoding="utf-8")


def render(findings: Findings, *, rows: int = ROWS) -> str:
    """A table of at most ``rows`` findings; each row opens to show its evidence. All cluster text is escaped."""
    summary = findings.summary
    parts = [f"<style>{style()}</style>", '<div class="k8sgpt">']
    parts.append(f'<div class="k8sgpt-head">{_text(headline(findings, summary))}</div>')
    if said := demo(summary):
        parts.append(f'<div class="k8sgpt-note">{_text(said)}</div>')
    if len(findings):
        header = "".join(f"<th>{name}</th>" for name in ("Severity", "Where", "What is wrong", "Since"))
        parts.append(f"<table><thead><tr>{header}</tr></thead><tbody>")
        parts += [_row(row) for row in findings.head(rows).to_dict("records")]
        parts.append("</tbody></table>")
        if len(findings) > rows:
            parts.append(f'<div class="k8sgpt-note">… and {len(findings) - rows:,} more rows.</div>')
    parts += [f'<div class="k8sgpt-note">{_text(line)}</div>' for line in notes(summary)]
    parts.append("</div>")
    return "".join(parts)


def _row(row: dict[Any, Any]) -> str:
    return f"<tr>{cells(row)}</tr>"


def cells(row: dict[Any, Any]) -> str:
    """The cells of a finding: severity, where, what is wrong, since."""
    severity = str(row["severity"])
    place = f"{row['namespace']}/{row['name']}" if row["namespace"] else row["name"]
    container = f' <span class="k8sgpt-faint">[{_text(row["container"])}]</span>' if row["container"] else ""
    parent = f'<br><span class="k8sgpt-faint">of {_text(row["parent"])}</span>' if row["parent"] else ""
    where = f'<span class="k8sgpt-kind">{_text(row["kind"])}</span><br>{_text(place)}{container}{parent}'
    since = "" if row["since"] is None or row["since"] != row["since"] else f"{row['since']:%Y-%m-%d %H:%M}"
    return (
        f'<td><span class="k8sgpt-severity k8sgpt-{_text(severity)}">{_text(severity)}</span></td>'
        f'<td class="k8sgpt-where">{where}</td>'
        f'<td class="k8sgpt-what">{_what(row)}</td><td style="white-space:nowrap">{since}</td>'
    )


def _what(row: dict[Any, Any]) -> str:
    message = str(row["message"])
    line = f'<span class="k8sgpt-code">{_text(row["code"])}</span> {_text(message[:MESSAGE])}'
    if row["cause"]:
        line += f'<br><span class="k8sgpt-faint">caused by {_text(row["cause"])}</span>'
    elif row["consequences"]:
        line += f'<br><span class="k8sgpt-faint">root cause of {row["consequences"]} more</span>'
    line += explanation(row)
    if not row["evidence"]:
        return line
    facts = "".join(
        f"<dt>{_text(fact['source'])}</dt><dd>{_text(fact['value'][:MESSAGE])}</dd>" for fact in row["evidence"]
    )
    return f"<details><summary>{line}</summary><dl>{facts}</dl></details>"


def explanation(row: dict[Any, Any]) -> str:
    """What ``%explain`` adds to a row. A link is shown as text: it may come from a model."""
    if row.get("failure"):
        return f'<div class="k8sgpt-explained">Not explained: {_text(row["failure"])}</div>'
    if not row.get("explanation"):
        return ""
    steps = "".join(f"<br>{_text(step)}" for step in str(row["solution"]).splitlines())
    commands = "".join(
        f"<br><code>{_text(each['command'])}</code>"
        + (f' <b class="k8sgpt-danger">{_text(each["danger"])}</b>' if each["danger"] else "")
        + (' <span class="k8sgpt-faint">changes the cluster</span>' if each["changes"] else "")
        for each in row["commands"]
    )
    said_by = f"{row['backend']} {row['model']}".strip()
    facts = f"{said_by}, confidence {row['confidence']}{', from the cache' if row['cached'] else ''}"
    docs = f"<br>{_text(row['docs'])}" if row["docs"] else ""
    return (
        f'<div class="k8sgpt-explained">{_text(row["explanation"])}{steps}{commands}{docs}'
        f'<br><span class="k8sgpt-faint">{_text(facts)}</span></div>'
    )


def _text(text: object) -> str:
    return escape(printable(str(text)))
