"""Findings as JSON, YAML, Markdown and text, for other programs and for documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from k8sgpt_magic.views import text
from k8sgpt_magic.views.lines import cluster, demo, headline, notes, printable

if TYPE_CHECKING:
    import pandas as pd

    from k8sgpt_magic.frame import Findings

Format = Literal["json", "yaml", "markdown", "text"]
FORMATS: tuple[Format, ...] = ("json", "yaml", "markdown", "text")


class Document(str):
    """Text of some format. It prints as it is, not quoted, and Markdown renders where the front end can."""

    language: Format

    def __new__(cls, content: str, language: Format) -> Document:
        document = super().__new__(cls, content)
        document.language = language
        return document

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str | None:
        return str(self) if self.language == "markdown" else None


def export(findings: Findings, format: Format) -> Document:
    """Findings in a format. JSON and YAML have the keys ``status`` (OK or ProblemDetected), ``problems`` (their
    number), ``findings`` and ``summary`` (where from, when, what was not readable)."""
    match format:
        case "json":
            encoded = msgspec.json.format(msgspec.json.encode(_document(findings)), indent=2)
            return Document(encoded.decode(), format)
        case "yaml":
            return Document(msgspec.yaml.encode(_document(findings)).decode(), format)
        case "markdown":
            return Document(_markdown(findings), format)
        case "text":
            return Document(text.render(findings, rows=len(findings)), format)


def _document(findings: Findings) -> dict[str, Any]:
    problems = int((findings["severity"] != "info").sum())
    return {
        "status": "ProblemDetected" if problems else "OK",
        "problems": problems,
        "findings": plain_rows(findings),
        "summary": findings.attrs,
    }


def plain_rows(findings: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows as JSON and YAML can hold them: times as text, none as null."""
    rows = findings.astype({"severity": str}).to_dict("records")
    for row in rows:
        row["since"] = None if row["since"] != row["since"] else row["since"].isoformat().replace("+00:00", "Z")
    return rows


def _markdown(findings: Findings) -> str:
    lines = [f"**{cell(headline(findings, findings.summary))}**", ""]
    if len(findings):
        lines += ["| Severity | Code | Where | What is wrong | Cause |", "|---|---|---|---|---|"]
        for row in findings.to_dict("records"):
            parts = (row["kind"], row["namespace"], row["name"], row["container"])
            place = cluster(row) + "/".join(part for part in parts if part)
            cells = (row["severity"], row["code"], place, row["message"], row["cause"])
            lines.append("| " + " | ".join(cell(str(each)) for each in cells) + " |")
        lines.append("")
    below = [line for line in (demo(findings.summary), *notes(findings.summary)) if line]
    return "\n".join([*lines, *(f"{cell(line)}  " for line in below)])


def cell(content: str) -> str:
    """Text of the cluster's with everything that Markdown or HTML would act on escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#~!&$])", r"\\\1", printable(content))
