"""Findings as columns for the browser, and the rules by which its filters choose rows.

The browser applies the same rules (``widget.js``), so that filtering needs no kernel; here they tell what is shown.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.views.lines import beyond_message, printable

if TYPE_CHECKING:
    from k8sgpt_magic.cluster.view import ClusterView
    from k8sgpt_magic.frame import Findings

MESSAGE = 2000
# What the evidence of one row may take, and of all rows: a message of megabytes must not end up in a notebook.
FACTS = 8
VALUE = 600
EVIDENCE = 6_000_000

ALL: Mapping[str, Any] = {
    "severities": [],
    "kind": None,
    "namespace": None,
    "code": None,
    "context": None,
    "roots": False,
    "text": "",
}
"""Filters that let everything through. ``None`` means any; the namespace ``""`` is that of cluster-wide objects."""

_LISTED = ("kind", "namespace", "code", "context")
ViewAt = Callable[[str], "ClusterView | None"]
"""What was seen of the cluster that a row's context names, where that is still held."""


def columns(findings: Findings, view_at: ViewAt = lambda _: None) -> dict[str, Any]:
    """All rows, a list for each column, as text that is safe to show.

    ``kind``, ``namespace``, ``code`` and ``context`` are ``{"values": [...], "rows": [index of a value, ...]}``;
    ``severity`` is an index into ``SEVERITIES``; ``since`` seconds since 1970 or None; ``cause`` the number of a row,
    or the id where the cause is no row of these, or None; ``owners`` the chain of owners where there are several
    between an object and its ``parent``, by row; ``doc``, if
    wanted, what the cluster documents a field as; ``explained`` what ``%explain`` said, by row.
    """
    ranks = {severity: rank for rank, severity in enumerate(SEVERITIES)}
    places = {finding: row for row, finding in enumerate(findings["id"].tolist())}
    found: dict[str, Any] = {"severity": [ranks.get(severity, 2) for severity in findings["severity"].tolist()]}
    for name in _LISTED:
        found[name] = _listed([_line(text) for text in findings[name].tolist()])
    for name in ("name", "container", "parent", "message"):
        found[name] = [_line(text) for text in findings[name].tolist()]
    found["since"] = [None if at != at or at is None else int(at.timestamp()) for at in findings["since"].tolist()]
    found["cause"] = [places.get(cause, _line(cause)) if cause else None for cause in findings["cause"].tolist()]
    found["consequences"] = [int(number) for number in findings["consequences"].tolist()]
    found["owners"] = _owners(findings, view_at)
    found["evidence"] = _evidence(findings["evidence"].tolist())
    if "doc" in findings.columns:
        found["doc"] = [_line(text) for text in findings["doc"].tolist()]
    if "explanation" in findings.columns:
        names = (
            "message",
            "explanation",
            "solution",
            "commands",
            "confidence",
            "docs",
            "backend",
            "model",
            "cached",
            "failure",
        )
        records = findings[list(names)].to_dict("records")
        found["explained"] = {str(row): answer(record) for row, record in enumerate(records)}
    return found


def _owners(findings: Findings, view_at: ViewAt) -> dict[str, str]:
    found = {}
    places = findings[["kind", "namespace", "name", "parent", "context"]].itertuples(index=False, name=None)
    views = {context: view_at(context) for context in findings["context"].unique()}
    for row, (kind, namespace, name, parent, context) in enumerate(places):
        view = views[context]
        of = view.find(ObjectRef(kind, namespace, name)) if parent and view is not None else None
        if view is not None and of is not None and len(chain := view.owners(of)) > 1:
            found[str(row)] = _line(" → ".join(chain))
    return found


def packed(columns: Mapping[str, Any]) -> bytes:
    """Columns as compressed JSON. The same columns give the same bytes."""
    return gzip.compress(msgspec.json.encode(columns), 6, mtime=0)


def answer(record: Mapping[Any, Any]) -> dict[str, Any]:
    """What ``%explain`` filled into a row, as plain values that are safe to show beside its ``message``."""
    return {
        "failure": _line(record["failure"]),
        "explanation": _line(beyond_message(record["explanation"], record["message"])),
        "steps": [_line(step) for step in str(record["solution"]).splitlines() if step.strip()],
        "commands": [
            {
                "command": _line(each["command"]),
                "changes": bool(each["changes"]),
                "danger": _line(each["danger"] or ""),
            }
            for each in record["commands"]
        ],
        "docs": _line(record["docs"]),
        "by": _line(f"{record['backend']} {record['model']}".strip()),
        "confidence": str(record["confidence"]),
        "cached": bool(record["cached"]),
    }


def shown(columns: Mapping[str, Any], filters: Mapping[str, Any]) -> list[int]:
    """The rows that filters let through, in the order of the analysis. Filters that make no sense filter nothing."""
    number = len(columns["severity"])
    kept: Any = range(number)
    if severities := {SEVERITIES.index(each) for each in filters.get("severities") or () if each in SEVERITIES}:
        kept = [row for row in kept if columns["severity"][row] in severities]
    for name in _LISTED:
        value = filters.get(name)
        if value is not None:
            values, rows = columns[name]["values"], columns[name]["rows"]
            wanted = values.index(value) if value in values else -1
            kept = [row for row in kept if rows[row] == wanted]
    if filters.get("roots"):
        kept = [row for row in kept if columns["consequences"][row] > 0]
    if words := str(filters.get("text") or "").lower().split():
        kept = [row for row in kept if all(word in _searched(columns, row) for word in words)]
    return list(kept)


def _searched(columns: Mapping[str, Any], row: int) -> str:
    """The text of a row that the search looks through."""
    kind, namespace, code, context = (columns[name]["values"][columns[name]["rows"][row]] for name in _LISTED)
    name, container, parent, message = (columns[part][row] for part in ("name", "container", "parent", "message"))
    return f"{kind}/{namespace}/{name} [{container}] {code} {message} {parent} {context}".lower()


def _listed(texts: Sequence[str]) -> dict[str, Any]:
    values = sorted(set(texts))
    places = {value: place for place, value in enumerate(values)}
    return {"values": values, "rows": [places[text] for text in texts]}


def _evidence(facts_of_rows: Sequence[Any]) -> list[list[list[str]]]:
    """The evidence of each row as pairs of source and value; later rows go without where it would be too much."""
    room = EVIDENCE
    found = []
    for facts in facts_of_rows:
        pairs = [[_line(fact["source"], VALUE), _line(fact["value"], VALUE)] for fact in facts[:FACTS]]
        if len(facts) > FACTS:
            pairs.append([f"and {len(facts) - FACTS} more", ".evidence of the row has them all"])
        room -= sum(len(source) + len(value) for source, value in pairs)
        found.append(pairs if room > 0 else [["evidence", "left out here: .evidence of the row has it"]])
    return found


def _line(text: object, limit: int = MESSAGE) -> str:
    """Text of others on one line, with hidden characters visible, no longer than ``limit``."""
    written = text if isinstance(text, str) else str(text)
    if len(written) > limit:
        written = written[: limit - 1] + "…"
    return written if written.isprintable() else printable(written)
