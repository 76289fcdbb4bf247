"""Pictures of an analysis: a heat map, a timeline, and root causes with what follows from them.

Vega-Lite through Altair: JupyterLab draws it itself, so it is interactive there without a network and without a
script in the notebook; everywhere else the same picture is a PNG or SVG that vl-convert made. Both come with the
extra ``k8sgpt-magic[charts]``. Text of the cluster's is data and never an expression, a format or a link.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from k8sgpt_magic.cluster.resources import Event
from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.views.lines import printable
from k8sgpt_magic.views.text import aligned
from k8sgpt_magic.wording import ago, quote

if TYPE_CHECKING:
    from k8sgpt_magic.cluster.view import ClusterView

Name = Literal["kinds", "timeline", "causes"]
NAMES: tuple[Name, ...] = ("kinds", "timeline", "causes")
"""As ``options.CHARTS``, which TAB offers without importing this."""

# The newest that JupyterLab 4 draws. The charts keep to what versions 5 and 6 of Vega-Lite have in common.
MIME_TYPE = "application/vnd.vegalite.v5+json"
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"

# The same as in tables; each is readable on white, on black, and under white figures.
_COLOURS = {"critical": "#b3261e", "warning": "#8a5a00", "info": "#48617a"}
_NODES = {"critical": "#d9483f", "warning": "#b07a15", "info": "#6f89a3"}
# Grey halfway between the backgrounds of light and dark themes, since a picture does not know which it is on.
INK = "#767676"

_RANK: dict[str, int] = {severity: rank for rank, severity in enumerate(SEVERITIES)}

NAMESPACES = 20
KINDS = 25
LANES = 25
CAUSES = 10
CONSEQUENCES = 6

_CLUSTER = "(cluster)"

# Pixels of a PNG for each that is shown, for screens that have more.
_SHARP = 1.5


class Picture:
    """A picture: interactive in JupyterLab, still in exports, and as text where there are no pictures.

    ``spec`` is its Vega-Lite document, ``text`` says the same in words. ``is_of_something`` is whether anything was
    there to be drawn.
    """

    def __init__(self, chart: Any, text: str, *, is_of_something: bool = True) -> None:
        self.spec: dict[str, Any] = {**chart.to_dict(), "$schema": _SCHEMA}
        self.text = text
        self.is_of_something = is_of_something

    def svg(self) -> str:
        import vl_convert

        return str(vl_convert.vegalite_to_svg(self.spec, allowed_base_urls=[]))

    def png(self, scale: float = _SHARP) -> bytes:
        import vl_convert
        from PIL import Image

        drawn = vl_convert.vegalite_to_png(self.spec, scale=scale, allowed_base_urls=[])
        packed = BytesIO()
        # A tenth of the size: notebooks are committed, and a picture of a few colours needs no more than a palette.
        with Image.open(BytesIO(drawn)) as image:
            image.quantize(256, Image.Quantize.FASTOCTREE).save(packed, "PNG", optimize=True)
        return packed.getvalue()

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        png = self.png(_SHARP)
        data = {MIME_TYPE: self.spec, "image/png": base64.b64encode(png).decode(), "text/plain": self.text}
        # The menu would offer to open the picture on a public site.
        options = {"embed_options": {"actions": False, "renderer": "svg"}}
        width, height = (round(int.from_bytes(png[at : at + 4]) / _SHARP) for at in (16, 20))
        alt = self.text.partition("\n")[0]
        return data, {MIME_TYPE: options, "image/png": {"width": width, "height": height, "alt": alt}}


def is_installed() -> bool:
    """Whether the extra ``charts`` is there."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in ("altair", "vl_convert", "PIL"))


def chart(name: str, findings: pd.DataFrame, view: ClusterView | None = None) -> Picture:
    """A picture by its name: ``kinds``, ``timeline`` or ``causes``. Raises ``InvalidOption`` for another."""
    from k8sgpt_magic.cluster.names import nearest

    match name:
        case "kinds":
            return heat_map(findings)
        case "timeline":
            return timeline(findings, view.all(Event) if view is not None else ())
        case "causes":
            return causes(findings)
    hint = nearest(name, NAMES) or f"; there are {', '.join(NAMES)}"
    raise InvalidOption(f"unknown chart {name!r}{hint}")


# --- kinds and namespaces ------------------------------------------------------------------------------------


def heat_map(findings: pd.DataFrame, *, namespaces: int = NAMESPACES, kinds: int = KINDS) -> Picture:
    """How many findings each kind has in each namespace, coloured by the worst of them, darker the more there are.

    Of more namespaces and kinds than given, those with the worst and most findings are shown; the title says so.
    Raises ``K8sGPTError`` where the extra ``charts`` is missing.
    """
    alt = _altair()
    table = heat_table(findings, namespaces=namespaces, kinds=kinds)
    title = "Findings by kind and namespace"
    if not table.cells:
        return _nothing(alt, title)
    values: list[dict[str, Any]] = [
        {"kind": kind, "namespace": namespace, **cell, "findings": sum(cell[severity] for severity in SEVERITIES)}
        for (kind, namespace), cell in table.cells.items()
    ]
    for value in values:
        value["worst"] = next(severity for severity in SEVERITIES if value[severity])
    gaps = alt.Scale(paddingInner=0.06, paddingOuter=0.05)
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X(
            "namespace:N", sort=table.namespaces, title=None, scale=gaps, axis=alt.Axis(orient="top", labelAngle=-35)
        ),
        y=alt.Y("kind:N", sort=table.kinds, title=None, scale=gaps),
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("kind", "namespace", *SEVERITIES)],
    )
    most = max(value["findings"] for value in values)
    drawn = alt.layer(
        base.mark_rect(cornerRadius=3).encode(color=_severity(alt, "worst", _COLOURS, "worst")),
        base.mark_rect(cornerRadius=3, fill="#000000").encode(
            opacity=alt.Opacity(
                "findings:Q", scale=alt.Scale(type="sqrt", domain=[1, max(2, most)], range=[0, 0.45]), legend=None
            )
        ),
        base.mark_text(fontSize=11, fontWeight="bold", fill="#ffffff").encode(text="findings:Q"),
    ).properties(width=alt.Step(44), height=alt.Step(22))
    return Picture(_finished(alt, drawn, title, table.notes), _heat_text(title, table))


class HeatTable:
    """Findings counted by kind and namespace: ``cells`` has the severities of each pair that has any."""

    def __init__(self, findings: pd.DataFrame, namespaces: int, kinds: int) -> None:
        cells: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(SEVERITIES, 0))
        for kind, namespace, severity in zip(
            findings["kind"], findings["namespace"], findings["severity"].astype(str), strict=True
        ):
            cells[_label(kind), _label(namespace) or _CLUSTER][severity] += 1
        found = {at: len({key[at] for key in cells}) for at in (0, 1)}
        self.kinds = _worst(cells, 0)[:kinds]
        self.namespaces = _worst(cells, 1)[:namespaces]
        self.cells = {key: cell for key, cell in cells.items() if key[0] in self.kinds and key[1] in self.namespaces}
        self.notes = []
        for shown, all_of_them, what in (
            (len(self.namespaces), found[1], "namespaces"),
            (len(self.kinds), found[0], "kinds"),
        ):
            if shown < all_of_them:
                self.notes.append(f"the {shown} worst of {all_of_them:,} {what}")


def heat_table(findings: pd.DataFrame, *, namespaces: int = NAMESPACES, kinds: int = KINDS) -> HeatTable:
    """The figures of the heat map."""
    return HeatTable(findings, namespaces, kinds)


def _worst(cells: Mapping[tuple[str, str], Mapping[str, int]], at: int) -> list[str]:
    totals: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(SEVERITIES))
    for key, cell in cells.items():
        for rank, severity in enumerate(SEVERITIES):
            totals[key[at]][rank] -= cell[severity]
    return sorted(totals, key=lambda name: (totals[name], name))


def _heat_text(title: str, table: HeatTable) -> str:
    rows = [
        [
            kind,
            *(
                str(sum(cell.values())) if (cell := table.cells.get((kind, each))) else "."
                for each in table.namespaces
            ),
        ]
        for kind in table.kinds
    ]
    return "\n".join([_titled(title, table.notes), "", *aligned(["kind", *table.namespaces], rows)])


# --- time ------------------------------------------------------------------------------------------------------


def timeline(
    findings: pd.DataFrame, events: Iterable[Event] = (), *, now: datetime | None = None, lanes: int = LANES
) -> Picture:
    """When each problem began, and from when to when the cluster warned about its object.

    ``events`` are those of the view; ``now`` is the right edge, by default when the analysis was taken. The picture
    goes back as far as most of what is known began; the title says what lies before it and how many objects are left
    out. Raises ``K8sGPTError`` where the extra ``charts`` is missing.
    """
    alt = _altair()
    title = "When it began"
    if now is None:
        now = _time(findings.attrs.get("taken_at"))
    onsets, warned = _onsets(findings), _warnings(events)
    times = sorted([each["time"] for each in onsets] + [each["first"] for each in warned])
    if not times:
        return _nothing(alt, title)
    now = max(filter(None, (now, times[-1], *(each["last"] for each in warned))))
    start = _start(times, now)
    objects = _lanes(onsets, warned)
    began_earlier = sum(each["time"] < start for each in onsets)
    notes = []
    if len(objects) > lanes:
        notes.append(f"the {lanes} worst of {len(objects):,} objects")
    if began_earlier:
        notes.append(f"{began_earlier:,} began more than {ago(now - start)} ago, at the left edge")
    shown = set(objects[:lanes])
    onsets = [each for each in onsets if each["object"] in shown]
    warned = [each for each in warned if each["object"] in shown and each["last"] >= start]
    first = {each["object"]: each["time"] for each in (*reversed(onsets),)}
    for each in warned:
        first.setdefault(each["object"], each["first"])
    order = sorted(shown, key=lambda name: (first.get(name, now), name))
    y = alt.Y(
        "object:N", sort=order, title=None, axis=alt.Axis(labelLimit=320, grid=True, gridColor=INK, gridOpacity=0.15)
    )
    scale = alt.Scale(type="utc", domain=[_iso(start), _iso(now)], clamp=True)
    clock = "%H:%M" if now - start <= timedelta(days=1) else "%m-%d %H:%M"
    time_axis = alt.Axis(title="UTC", format=clock, grid=True, gridColor=INK, gridOpacity=0.15, labelOverlap=True)
    legend = alt.selection_point(fields=["severity"], bind="legend")
    drawn = alt.layer(
        alt.Chart(alt.Data(values=[_plain(each) for each in warned]))
        .mark_bar(height=5, color=INK, opacity=0.5, minBandSize=2, cornerRadius=2)
        .encode(
            x=alt.X("first:T", scale=scale, axis=time_axis),
            x2="last:T",
            y=y,
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("object", "event", "times", "message")],
        ),
        alt.Chart(alt.Data(values=[_plain(each) for each in onsets]))
        .mark_point(filled=True, size=90, stroke="#ffffff", strokeWidth=0.6)
        .encode(
            x=alt.X("time:T"),
            y=y,
            color=_severity(alt, "severity", _NODES, "began"),
            opacity=alt.condition(legend, alt.value(1), alt.value(0.1)),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("object", "severity", "code", "began", "message")],
        )
        .add_params(legend),
    ).properties(width=560, height=alt.Step(19))
    lines = [
        f"{each['time']:%Y-%m-%d %H:%M}  {each['severity']:<8}  {each['code']}  {each['object']}"
        for each in sorted(onsets, key=lambda each: each["time"])
    ]
    notes.append("grey: warning events") if warned else None
    return Picture(_finished(alt, drawn, title, notes), "\n".join([_titled(title, notes), "", *lines]))


def _onsets(findings: pd.DataFrame) -> list[dict[str, Any]]:
    known = findings[findings["since"].notna()]
    return [
        {
            "object": _object(row["kind"], row["namespace"], row["name"]),
            "severity": str(row["severity"]),
            "code": _label(row["code"]),
            "time": row["since"].to_pydatetime(),
            "began": f"{row['since']:%Y-%m-%d %H:%M:%S}",
            "message": _label(row["message"], 140),
            "root": bool(row["consequences"]),
        }
        for row in known.to_dict("records")
    ]


def _warnings(events: Iterable[Event]) -> list[dict[str, Any]]:
    return [
        {
            "object": _object(about.kind, about.namespace, about.name),
            "event": _label(event.reason),
            "times": event.occurrences,
            "first": first,
            "last": last,
            "message": _label(event.message, 140),
        }
        for event in events
        if event.type == "Warning" and (last := event.last_seen or event.first_seen) is not None
        for first in [event.first_seen or last]
        for about in [event.involved_object]
    ]


def _lanes(onsets: Sequence[Mapping[str, Any]], warned: Sequence[Mapping[str, Any]]) -> list[str]:
    """The objects, those with the worst findings first, root causes before others; those only warned about last."""
    best: dict[str, tuple[int, bool, datetime]] = {}
    for each in onsets:
        key = (_RANK[each["severity"]], not each["root"], each["time"])
        best[each["object"]] = min(best.get(each["object"], key), key)
    for each in warned:
        best.setdefault(each["object"], (len(SEVERITIES), True, each["first"]))
    return sorted(best, key=lambda name: (best[name], name))


def _start(times: Sequence[datetime], now: datetime) -> datetime:
    """The beginning of the shortest usual span that most of the times lie in."""
    for hours in (1, 3, 6, 12, 24, 72, 168, 720):
        start = now - timedelta(hours=hours)
        if sum(time >= start for time in times) >= 0.8 * len(times):
            return start
    return times[0]


# --- causes ------------------------------------------------------------------------------------------------------


def causes(findings: pd.DataFrame, *, roots: int = CAUSES, consequences: int = CONSEQUENCES) -> Picture:
    """Root causes on the left, what follows from each on the right.

    Of more than given, the worst causes are shown, and of each so many consequences; the picture says how many more
    there are. Raises ``K8sGPTError`` where the extra ``charts`` is missing.
    """
    alt = _altair()
    title = "Root causes and what follows from them"
    found = root_causes(findings)
    if not found:
        return _nothing(alt, title)
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    lines: list[str] = []
    row = 0.0
    for root, (cause, following) in enumerate(found[:roots]):
        shown, more = following[:consequences], len(following) - consequences
        height = max(2, len(shown) + (more > 0))
        middle = row + (height - 1) / 2
        nodes.append({**_node(cause, root), "side": "cause", "y": middle, "findings": len(following)})
        lines += ["", f"{cause['severity']} {_label(cause['code'])} {_where(cause)}"]
        top = middle - (len(shown) + (more > 0) - 1) / 2
        for position, each in enumerate(shown):
            nodes.append({**_node(each, root), "side": "consequence", "y": top + position})
            edges.append({"root": root, "side": "edge", "from": middle, "to": top + position})
            lines.append(f"  -> {each['severity']} {_label(each['code'])} {_where(each)}")
        if more > 0:
            nodes.append({"root": root, "side": "more", "y": top + len(shown), "label": f"… and {more:,} more"})
            lines.append(f"  -> and {more:,} more")
        row += height + 0.7
    notes = [f"the {roots} worst of {len(found):,} causes"] if len(found) > roots else []
    drawn = _graph(alt, nodes, edges, row)
    return Picture(_finished(alt, drawn, title, notes), "\n".join([_titled(title, notes), *lines]))


def root_causes(findings: pd.DataFrame) -> list[tuple[dict[Any, Any], list[dict[Any, Any]]]]:
    """The findings that others follow from, each with those others; the worst first, then the one with the most."""
    records = {row["id"]: row for row in findings.to_dict("records")}
    following: defaultdict[str, list[dict[Any, Any]]] = defaultdict(list)
    for row in records.values():
        if row["cause"] in records:
            following[row["cause"]].append(row)
    for rows in following.values():
        rows.sort(key=lambda row: (_RANK[str(row["severity"])], row["kind"], row["namespace"], row["name"]))
    ordered = sorted(following, key=lambda key: (_RANK[str(records[key]["severity"])], -len(following[key]), key))
    return [(records[key], following[key]) for key in ordered]


_LEFT, _RIGHT, _WIDTH = 330, 430, 830


def _graph(alt: Any, nodes: list[dict[str, Any]], edges: list[dict[str, Any]], rows: float) -> Any:
    hovered = alt.selection_point(fields=["root"], on="mouseover", clear="mouseout", empty=True)
    faded = alt.condition(hovered, alt.value(1), alt.value(0.35))
    x_scale, y_scale = alt.Scale(domain=[0, _WIDTH], nice=False), alt.Scale(domain=[rows - 0.7, -1], nice=False)

    def at(x: float) -> Any:
        return alt.XDatum(x, scale=x_scale, axis=None)

    def y(field: str = "y") -> Any:
        return alt.Y(f"{field}:Q", scale=y_scale, axis=None)

    def layer(side: str) -> Any:
        return alt.Chart().transform_filter(f"datum.side == '{side}'")

    tooltip = [alt.Tooltip(f"{name}:N") for name in ("severity", "code", "object", "message")]
    colour = _severity(alt, "severity", _NODES, "severity")
    lines = (
        layer("edge")
        .mark_rule(color=INK, strokeWidth=1.2)
        .encode(x=at(_LEFT), x2=alt.X2Datum(_RIGHT), y=y("from"), y2="to:Q", opacity=faded)
    )
    marks = [lines]
    for side, x, size, align, dx, limit in (
        ("cause", _LEFT, 170, "right", -12, _LEFT - 15),
        ("consequence", _RIGHT, 80, "left", 10, _WIDTH - _RIGHT - 10),
    ):
        points = (
            layer(side)
            .mark_point(filled=True, size=size, opacity=1)
            .encode(x=at(x), y=y(), color=colour, tooltip=tooltip)
        )
        marks.append(points.add_params(hovered) if side == "cause" else points)
        for field, dy, size_of_text in (
            (("code", -6, 11), ("object", 7, 10)) if side == "cause" else (("line", 0, 10),)
        ):
            marks.append(
                layer(side)
                .mark_text(
                    align=align, baseline="middle", dx=dx, dy=dy, fontSize=size_of_text, color=INK,
                    fontWeight="bold" if field == "code" else "normal", limit=limit,
                )
                .encode(x=at(x), y=y(), text=alt.Text(f"{field}:N"), tooltip=tooltip, opacity=faded)
            )  # fmt: skip
    marks.append(
        layer("more")
        .mark_text(align="left", baseline="middle", dx=10, fontSize=10, fontStyle="italic", color=INK)
        .encode(x=at(_RIGHT), y=y(), text=alt.Text("label:N"), opacity=faded)
    )
    return alt.layer(*marks, data=alt.Data(values=[*edges, *nodes])).properties(
        width=_WIDTH, height=round(19 * (rows + 0.3))
    )


def _node(row: Mapping[Any, Any], root: int) -> dict[str, Any]:
    return {
        "root": root,
        "severity": str(row["severity"]),
        "code": _label(row["code"]),
        "object": _where(row),
        "line": _line(row),
        "message": _label(row["message"], 140),
    }


def _line(row: Mapping[Any, Any]) -> str:
    """Code and place; most codes begin with the kind, which need not be said twice."""
    has_kind = str(row["code"]).startswith(str(row["kind"]))
    place = f"{row['namespace']}/{row['name']}" if row["namespace"] else row["name"]
    return _label(f"{row['code']}  {place if has_kind else row['kind'] + ' ' + place}")


# --- all of them -----------------------------------------------------------------------------------------------


def _altair() -> Any:
    if not is_installed():
        raise K8sGPTError(
            "Pictures need packages that are not installed.", advice="pip install 'k8sgpt-magic[charts]'"
        )
    import altair

    return altair


def _severity(alt: Any, field: str, colours: Mapping[str, str], title: str) -> Any:
    return alt.Color(
        f"{field}:N",
        scale=alt.Scale(domain=list(SEVERITIES), range=[colours[severity] for severity in SEVERITIES]),
        legend=alt.Legend(title=title),
    )


def _nothing(alt: Any, title: str) -> Picture:
    drawn = (
        alt.Chart(alt.Data(values=[{"said": "Nothing to show"}]))
        .mark_text(color=INK, fontSize=12)
        .encode(text="said:N")
        .properties(width=300, height=60)
    )
    return Picture(_finished(alt, drawn, title, []), f"{title}: nothing to show", is_of_something=False)


def _finished(alt: Any, drawn: Any, title: str, notes: Sequence[str]) -> Any:
    """A chart with its title, in colours that read on light and on dark."""
    said = alt.TitleParams(title, subtitle=[note[0].upper() + note[1:] for note in notes], anchor="start")
    return (
        drawn.properties(title=said, background="transparent", description=_titled(title, notes), padding=8)
        .configure_view(stroke=None)
        .configure_title(color=INK, subtitleColor=INK, fontSize=14, offset=12)
        .configure_axis(labelColor=INK, titleColor=INK, tickColor=INK, domainColor=INK, domainOpacity=0.4)
        .configure_legend(labelColor=INK, titleColor=INK)
    )


def _titled(title: str, notes: Sequence[str]) -> str:
    return f"{title} ({'; '.join(notes)})" if notes else title


def _label(text: object, limit: int = 120) -> str:
    """Text of the cluster's on one line, without what could drive a terminal and what XML cannot hold."""
    return printable(quote(str(text), limit)).replace("\ufffe", "?").replace("\uffff", "?")


def _object(kind: str, namespace: str, name: str) -> str:
    return _label(f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}")


def _where(row: Mapping[Any, Any]) -> str:
    return _object(row["kind"], row["namespace"], row["name"])


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _iso(value) if isinstance(value, datetime) else value for name, value in row.items()}
