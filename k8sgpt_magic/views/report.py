"""``%k8sgpt report``: one file that tells an incident to somebody who was not there.

HTML without script and without anything to load, Markdown, or a notebook that runs the analysis again. All text of
the cluster's is escaped in each; values of Secrets are in no finding, so they are in no report.
"""

from __future__ import annotations

import base64
import os
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from html import escape
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from k8sgpt_magic import __version__
from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.views import charts, html
from k8sgpt_magic.views.export import cell
from k8sgpt_magic.views.lines import beyond_message, cluster, demo, headline, notes, printable
from k8sgpt_magic.wording import count, joined, quote

if TYPE_CHECKING:
    from k8sgpt_magic.cluster.view import ClusterView
    from k8sgpt_magic.frame import Findings, Summary

SUFFIXES = (".html", ".md", ".ipynb")

# A report is read, not queried: past this many rows the worst are worth their place.
ROWS = 5000

_ALT = {
    "kinds": "Findings by kind and namespace",
    "timeline": "When it began",
    "causes": "Root causes and what follows from them",
}


def write(
    file: str | os.PathLike[str], findings: Findings, view: ClusterView | None = None, *, force: bool = False
) -> str:
    """Write a report of an analysis, explained or not, and say so in a line.

    The end of the name decides the form: ``.html``, ``.md`` or ``.ipynb``. ``view`` is what the analysis saw, for the
    events of the timeline. The file appears only once it is whole. Raises ``InvalidOption`` for another end of the
    name and, without ``force``, for a file that is there already; ``K8sGPTError`` where it cannot be written.
    """
    path = Path(os.fspath(file)).expanduser()
    suffix = {".htm": ".html", ".markdown": ".md"}.get(path.suffix.lower(), path.suffix.lower())
    if suffix not in SUFFIXES:
        raise InvalidOption(f"{str(file)!r} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    _refuse_to_replace(path, force)
    render = {".html": as_html, ".md": as_markdown, ".ipynb": as_notebook}[suffix]
    content = render(findings, view).encode()
    _write(path, content, force)
    size = f"{len(content) / 1e6:.1f} MB" if len(content) >= 1e5 else f"{len(content) / 1e3:.1f} kB"
    pictures = "" if suffix == ".md" or charts.is_installed() else " No pictures: pip install 'k8sgpt-magic[charts]'"
    return f"Report of {count(len(findings), 'finding')} written to {file} ({size}).{pictures}"


def _refuse_to_replace(path: Path, force: bool) -> None:
    if path.is_dir():
        raise InvalidOption(f"{str(path)!r} is a directory")
    if path.exists() and not force:
        raise InvalidOption(f"{str(path)!r} is there already; --force replaces it")


def _write(path: Path, content: bytes, force: bool) -> None:
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise K8sGPTError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
        _refuse_to_replace(path, force)
        Path(temporary).replace(path)
    except OSError as error:
        raise K8sGPTError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()


# --- what every form says --------------------------------------------------------------------------------------


def command(summary: Summary) -> str:
    """The line that makes the same analysis."""
    asked = dict(summary.asked)
    if summary.is_demo:
        # Elsewhere there may be a cluster, and the line would read that.
        asked["source"] = "demo"
    words = ["%k8sgpt", "analyze"]
    for name, value in asked.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        else:
            words += [option, shlex.quote(",".join(value) if isinstance(value, (list, tuple)) else str(value))]
    return " ".join(words)


def _facts(summary: Summary) -> list[tuple[str, str]]:
    facts = [
        ("Cluster", summary.context or "the cluster"),
        ("Read from", summary.source),
        ("As of", _moment(summary.taken_at)),
        ("Analyzed", _moment(summary.analyzed_at)),
        ("With", command(summary)),
        ("Namespaces", joined(summary.namespaces, 20) or "all"),
        ("Looked at", f"{count(summary.objects, 'object')} of {count(summary.kinds, 'kind')}"),
    ]
    return [(name, printable(value)) for name, value in facts if value]


def _moment(iso: str) -> str:
    return iso[:19].replace("T", " ") + " UTC" if iso else ""


def _title(summary: Summary) -> str:
    return f"Incident report: {printable(summary.context or 'the cluster')}"


def _made() -> str:
    return f"Made by k8sgpt-magic {__version__} at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."


def _counts(findings: pd.DataFrame) -> dict[str, int]:
    numbers = findings["severity"].value_counts()
    return {severity: int(numbers.get(severity, 0)) for severity in SEVERITIES}


def _pictures(findings: pd.DataFrame, view: ClusterView | None) -> dict[str, charts.Picture]:
    if not charts.is_installed() or not len(findings):
        return {}
    made = {name: charts.chart(name, findings, view) for name in charts.NAMES}
    return {name: picture for name, picture in made.items() if picture.is_of_something}


def _place(row: Mapping[Any, Any]) -> str:
    name = cluster(row) + (f"{row['namespace']}/{row['name']}" if row["namespace"] else str(row["name"]))
    container = f" [{row['container']}]" if row["container"] else ""
    return f"{row['kind']} {name}{container}"


def _message(row: Mapping[Any, Any]) -> str:
    return quote(str(row["message"]), html.MESSAGE)


# --- HTML ------------------------------------------------------------------------------------------------------

# Pictures are grey on nothing; inside a report they can know which background they are on.
_PICTURE_STYLE = (
    f'<style>@media (prefers-color-scheme:dark){{[fill="{charts.INK}"]{{fill:#b4b4b4}}'
    f'[stroke="{charts.INK}"]{{stroke:#8f8f8f}}}}'
    f'@media (prefers-color-scheme:light){{[fill="{charts.INK}"]{{fill:#4a4a4a}}}}</style>'
)


def as_html(findings: Findings, view: ClusterView | None = None) -> str:
    """A whole page: no script, nothing to load, light or dark as the reader's system is, and fit to print."""
    summary = findings.summary
    folder = files("k8sgpt_magic.views")
    style = html.style() + folder.joinpath("report.css").read_text(encoding="utf-8")
    anchors = {key: f"f{number}" for number, key in enumerate(findings["id"].head(ROWS), 1)}
    body = [
        f"<h1>{_text(_title(summary))}</h1>",
        f'<p class="k8sgpt-head">{_text(headline(findings, summary))}</p>',
        _html_counts(findings),
        *([f'<p class="k8sgpt-callout">{_text(said)}</p>'] if (said := demo(summary)) else []),
        _html_facts(summary),
        _html_limits(summary),
        _html_pictures(_pictures(findings, view)),
        _html_causes(findings, anchors),
        _html_findings(findings, anchors),
        f'<footer class="k8sgpt-note">{_text(_made())}</footer>',
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    main = "\n".join(part for part in body if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text(_title(summary))}</title>\n<style>{style}</style>\n</head>\n"
        f'<body>\n<main class="k8sgpt">\n{main}\n</main>\n</body>\n</html>\n'
    )


def _text(content: object) -> str:
    return escape(printable(str(content)))


def _chip(severity: object) -> str:
    return f'<span class="k8sgpt-severity k8sgpt-{_text(severity)}">{_text(severity)}</span>'


def _html_counts(findings: pd.DataFrame) -> str:
    chips = "".join(f"<li>{_chip(severity)} <b>{number:,}</b></li>" for severity, number in _counts(findings).items())
    return f'<ul class="k8sgpt-counts">{chips}</ul>'


def _html_facts(summary: Summary) -> str:
    rows = "".join(
        f"<dt>{name}</dt><dd>{f'<code>{_text(value)}</code>' if name == 'With' else _text(value)}</dd>"
        for name, value in _facts(summary)
    )
    return f'<dl class="k8sgpt-facts">{rows}</dl>'


def _html_limits(summary: Summary) -> str:
    limits = notes(summary)
    if not limits:
        return ""
    items = "".join(f"<li>{_text(limit)}</li>" for limit in limits)
    return f'<section class="k8sgpt-callout"><h2>What limits this report</h2><ul>{items}</ul></section>'


def _html_causes(findings: pd.DataFrame, anchors: Mapping[str, str]) -> str:
    found = charts.root_causes(findings)
    if not found:
        return ""
    items = []
    for cause, following in found:
        consequences = "".join(
            f"<li>{_chip(row['severity'])} {_link(row, anchors)}<br>{_text(_message(row))}</li>" for row in following
        )
        explained = html.explanation(cause)
        items.append(
            f"<article><h3>{_chip(cause['severity'])} {_link(cause, anchors)}</h3><p>{_text(_message(cause))}</p>"
            f"{explained}<p>{count(len(following), 'consequence')}:</p><ul>{consequences}</ul></article>"
        )
    return f'<section class="k8sgpt-causes"><h2>Root causes</h2>{"".join(items)}</section>'


def _link(row: Mapping[Any, Any], anchors: Mapping[str, str]) -> str:
    said = f'<span class="k8sgpt-code">{_text(row["code"])}</span> {_text(_place(row))}'
    return f'<a href="#{anchors[row["id"]]}">{said}</a>' if row["id"] in anchors else said


def _html_pictures(pictures: Mapping[str, charts.Picture]) -> str:
    if not pictures:
        return ""
    images = []
    for name, picture in pictures.items():
        drawn = picture.svg()
        head, tag, rest = drawn.partition(">")
        encoded = base64.b64encode(f"{head}{tag}{_PICTURE_STYLE}{rest}".encode()).decode()
        images.append(f'<img alt="{_ALT[name]}" src="data:image/svg+xml;base64,{encoded}">')
    return f'<section class="k8sgpt-pictures"><h2>Pictures</h2>{"".join(images)}</section>'


def _html_findings(findings: pd.DataFrame, anchors: Mapping[str, str]) -> str:
    if not len(findings):
        return ""
    rows = findings.head(ROWS).to_dict("records")
    for row in rows:
        if row["consequences"]:
            # It stands with the root causes.
            row.update(explanation="", failure="")
    header = "".join(f"<th>{name}</th>" for name in ("Severity", "Where", "What is wrong", "Since"))
    body = "".join(f'<tr id="{anchors[row["id"]]}">{html.cells(row)}</tr>' for row in rows)
    more = f'<p class="k8sgpt-note">… and {len(findings) - ROWS:,} more.</p>' if len(findings) > ROWS else ""
    return (
        f"<section><h2>All findings</h2><table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
        f"{more}</section>"
    )


# --- Markdown --------------------------------------------------------------------------------------------------


def as_markdown(findings: Findings, view: ClusterView | None = None) -> str:
    """Markdown as code hosts show it; the pictures are tables and lists."""
    del view
    summary = findings.summary
    limits = [f"- {cell(limit)}" for limit in notes(summary)]
    parts = [
        f"# {cell(_title(summary))}",
        f"**{cell(headline(findings, summary))}**",
        *([f"> {cell(said)}"] if (said := demo(summary)) else []),
        "\n".join(f"- {name}: {_code(value) if name == 'With' else cell(value)}" for name, value in _facts(summary)),
        *(["## What limits this report", "\n".join(limits)] if limits else []),
        *_markdown_causes(findings),
        *_markdown_heat_map(findings),
        *_markdown_findings(findings),
        cell(_made()),
    ]
    return "\n\n".join(parts) + "\n"


def _code(content: str) -> str:
    """Inline code: a longer fence than any inside, so that nothing in it ends it."""
    fence = "`" * (1 + max((len(run) for run in content.replace("`", "` `").split() if set(run) == {"`"}), default=0))
    inner = printable(content).replace("`", "'")
    return f"{fence}{inner}{fence}"


def _markdown_causes(findings: pd.DataFrame) -> list[str]:
    found = charts.root_causes(findings)
    if not found:
        return []
    parts = ["## Root causes"]
    for cause, following in found:
        parts.append(f"### {cause['severity']}: {cell(cause['code'])} {cell(_place(cause))}")
        parts.append(cell(_message(cause)))
        parts += _markdown_explanation(cause)
        lines = [
            f"- {row['severity']}: {cell(row['code'])} {cell(_place(row))}: {cell(_message(row))}"
            for row in following
        ]
        parts.append("\n".join(lines))
    return parts


def _markdown_explanation(row: Mapping[Any, Any]) -> list[str]:
    if not row.get("explanation"):
        return []
    beyond = beyond_message(str(row["explanation"]), str(row["message"]))
    lines = [cell(beyond), *(cell(step) for step in str(row["solution"]).splitlines())]
    for each in row["commands"]:
        mark = each["danger"] or ("changes the cluster" if each["changes"] else "")
        lines.append(f"{_code(each['command'])}{f' ({cell(mark)})' if mark else ''}")
    said_by = cell(f"{row['backend']} {row['model']}".strip())
    return ["\n".join(f"> {line}  " for line in [*lines, said_by])]


def _markdown_heat_map(findings: pd.DataFrame) -> list[str]:
    table = charts.heat_table(findings)
    if not table.cells:
        return []
    lines = [
        f"| Kind | {' | '.join(cell(name) for name in table.namespaces)} |",
        "|---" * (1 + len(table.namespaces)) + "|",
    ]
    for kind in table.kinds:
        numbers = [sum(table.cells.get((kind, name), {}).values()) for name in table.namespaces]
        lines.append(f"| {cell(kind)} | {' | '.join(str(number) if number else '' for number in numbers)} |")
    said = f" ({'; '.join(table.notes)})" if table.notes else ""
    return [f"## Findings by kind and namespace{said}", "\n".join(lines)]


def _markdown_findings(findings: pd.DataFrame) -> list[str]:
    if not len(findings):
        return []
    parts = ["## All findings"]
    for row in findings.head(ROWS).to_dict("records"):
        since = (
            "" if row["since"] is None or row["since"] != row["since"] else f" Since {row['since']:%Y-%m-%d %H:%M}."
        )
        lines = [f"- **{row['severity']}** {cell(row['code'])} {cell(_place(row))}: {cell(_message(row))}{since}"]
        if row["cause"]:
            lines.append(f"  - caused by {cell(row['cause'])}")
        lines += [f"  - {cell(fact['source'])}: {cell(fact['value'])}" for fact in row["evidence"]]
        parts.append("\n".join(lines))
        if not row["consequences"]:
            parts += ["\n".join(f"  {line}" for line in block.splitlines()) for block in _markdown_explanation(row)]
    if len(findings) > ROWS:
        parts.append(f"… and {len(findings) - ROWS:,} more.")
    return parts


# --- a notebook ------------------------------------------------------------------------------------------------


def as_notebook(findings: Findings, view: ClusterView | None = None) -> str:
    """A notebook that shows the report as it is, and runs the analysis again when it is run.

    Raises ``K8sGPTError`` where nbformat is not installed.
    """
    try:
        nbformat: Any = import_module("nbformat")
        v4 = nbformat.v4
    except ImportError:
        raise K8sGPTError(
            "A report as a notebook needs a package that is not installed.",
            advice="pip install 'k8sgpt-magic[reports]'",
        ) from None
    summary = findings.summary
    limits = [f"- {cell(limit)}" for limit in notes(summary)]
    facts = [f"- {name}: {_code(value) if name == 'With' else cell(value)}" for name, value in _facts(summary)]
    lead = [f"# {cell(_title(summary))}", f"**{cell(headline(findings, summary))}**", "\n".join(facts)]
    if limits:
        lead += ["## What limits this report", "\n".join(limits)]
    lead.append("Run all cells to analyze again: what is below then is of that time.")
    cells = [v4.new_markdown_cell("\n\n".join(lead)), _cell_of(v4, 1, "%load_ext k8sgpt_magic")]
    cells.append(_cell_of(v4, 2, f"findings = {command(summary)} --quiet\nfindings", findings))
    number = 3
    if causes := _markdown_causes(findings):
        cells.append(v4.new_markdown_cell("\n\n".join(causes)))
    for name, picture in _pictures(findings, view).items():
        cells.append(_cell_of(v4, number, f"%k8sgpt chart {name}", picture))
        number += 1
    cells.append(v4.new_markdown_cell(cell(_made())))
    for position, each in enumerate(cells):
        # Ids that nbformat makes up would differ each time.
        each["id"] = f"cell-{position:02}"
    notebook = v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


def _cell_of(v4: Any, number: int, source: str, shown: Any = None) -> Any:
    outputs = []
    if shown is not None:
        data: dict[str, Any] = {"text/plain": repr(shown)}
        metadata: dict[str, Any] = {}
        if hasattr(shown, "_repr_mimebundle_"):
            data, metadata = shown._repr_mimebundle_()
        else:
            data["text/html"] = shown._repr_html_()
        outputs.append(v4.new_output("execute_result", data=data, metadata=metadata, execution_count=number))
    return v4.new_code_cell(source, execution_count=number, outputs=outputs)
