"""What changed between two analyses: which findings are new, which are gone, which got worse.

Only what both analyses looked at can be compared. A finding whose kind or namespace one of them could not read, or
was not asked about, is neither new nor resolved: it is ``unknown``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pandas as pd

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.decoders import known
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.frame import COLUMNS, SEVERITY_TYPE, Summary
from k8sgpt_magic.options import CHANGES
from k8sgpt_magic.wording import count, joined

_CHANGE = pd.CategoricalDtype(list(CHANGES), ordered=True)
_RANK: dict[str, int] = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class Changes(pd.DataFrame):
    """The findings of two analyses, a row each, what is new first.

    Columns: ``change`` (``new``, ``worse``, ``better``, ``resolved``, ``unknown`` or ``unchanged``), ``was`` (the
    severity in the earlier analysis, where it had the finding), then those of ``Findings``: of the later analysis
    or, where it does not have the finding, of the earlier. ``.attrs`` has ``before`` and ``after`` (what each
    analysis was of) and ``notes`` (what limits the comparison). Slices are ordinary DataFrames.
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """How many findings changed how."""
        numbers = self["change"].value_counts()
        return {change: int(numbers.get(change, 0)) for change in CHANGES}

    @property
    def before(self) -> Summary:
        return msgspec.convert(self.attrs["before"], known(Summary))

    @property
    def after(self) -> Summary:
        return msgspec.convert(self.attrs["after"], known(Summary))

    def only(self, changes: Iterable[str]) -> Changes:
        """The rows with some of the changes. Raises ``InvalidOption`` for a change that there is not."""
        from k8sgpt_magic.cluster.names import nearest

        wanted = list(changes)
        for change in wanted:
            if change not in CHANGES:
                raise InvalidOption(
                    f"unknown change {change!r}{nearest(change, CHANGES)}; there are {joined(CHANGES, 9)}"
                )
        kept = Changes(self[self["change"].isin(wanted)].reset_index(drop=True))
        kept.attrs = {**self.attrs, "left_out": len(self) - len(kept)}
        return kept

    def __repr__(self) -> str:
        from k8sgpt_magic.views.changes import text

        return text(self)

    def _repr_html_(self) -> str:
        from k8sgpt_magic.views.changes import html

        return html(self)


def diff(before: pd.DataFrame, after: pd.DataFrame) -> Changes:
    """Compare two analyses (``Findings``, or rows of one) by the ids of their findings.

    Names that a controller makes up change with every rollout: a finding that went away and one that came with the
    same code, container and topmost owner are the same problem on another pod, so they are paired, one to one, and
    count as one finding. Raises ``InvalidOption`` where one of the two is no table of findings.
    """
    earlier, later = _rows(before), _rows(after)
    attrs: tuple[Mapping[Any, Any], Mapping[Any, Any]] = (before.attrs, after.attrs)
    sides = _Side(attrs[0], attrs[1], later.values()), _Side(attrs[1], attrs[0], earlier.values())
    was: dict[str, str] = {key: str(row["severity"]) for key, row in earlier.items() if key in later}
    replaced = _replaced(
        [row for key, row in earlier.items() if key not in later],
        [row for key, row in later.items() if key not in earlier],
    )
    rows = []
    for key, row in later.items():
        severity = was.get(key) or (str(earlier[replaced[key]]["severity"]) if key in replaced else "")
        change = _compared(severity, str(row["severity"])) if severity else sides[0].lacks(row, "new")
        rows.append({"change": change, "was": severity, **row})
    gone = set(earlier) - set(later) - set(replaced.values())
    rows += [
        {"change": sides[1].lacks(row, "resolved"), "was": str(row["severity"]), **row}
        for key, row in earlier.items()
        if key in gone
    ]
    rows.sort(key=lambda row: (CHANGES.index(row["change"]), _RANK[str(row["severity"])]))
    frame = _frame(rows)
    frame.attrs = {
        "before": dict(before.attrs),
        "after": dict(after.attrs),
        "notes": _notes(sides, rows, len(replaced)),
    }
    return frame


def _rows(frame: pd.DataFrame) -> dict[str, dict[Any, Any]]:
    if not isinstance(frame, pd.DataFrame) or "id" not in frame.columns or "severity" not in frame.columns:
        raise InvalidOption("only analyses can be compared: DataFrames of findings, with their column 'id'")
    columns = [name for name in COLUMNS if name in frame.columns]
    found: dict[str, dict[Any, Any]] = {}
    for row in frame[columns].to_dict("records"):
        found.setdefault(str(row["id"]), row)
    return found


def _frame(rows: Sequence[Mapping[str, Any]]) -> Changes:
    columns: dict[str, Any] = {
        name: pd.Series([row.get(name, "") for row in rows], dtype="str")
        for name in ("was", *COLUMNS)
        if name not in ("severity", "since", "consequences", "evidence")
    }
    columns["change"] = pd.Categorical([row["change"] for row in rows], dtype=_CHANGE)
    columns["severity"] = pd.Categorical([str(row["severity"]) for row in rows], dtype=SEVERITY_TYPE)
    columns["consequences"] = pd.Series([row.get("consequences", 0) for row in rows], dtype="int64")
    columns["since"] = pd.to_datetime(pd.Series([row.get("since") for row in rows], dtype=object), utc=True)
    columns["evidence"] = pd.Series([row.get("evidence", []) for row in rows], dtype=object)
    return Changes(columns, columns=["change", "was", *COLUMNS])


def _compared(before: str, after: str) -> str:
    difference = _RANK[after] - _RANK[before]
    return "worse" if difference < 0 else "better" if difference > 0 else "unchanged"


def _replaced(gone: Sequence[Mapping[Any, Any]], come: Sequence[Mapping[Any, Any]]) -> dict[str, str]:
    """The ids of findings that came, to those of the findings that went away and are the same problem."""
    by_problem: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in sorted(gone, key=lambda row: str(row["id"]), reverse=True):
        if row.get("parent"):
            by_problem[_problem(row)].append(str(row["id"]))
    found = {}
    for row in sorted(come, key=lambda row: str(row["id"])):
        if row.get("parent") and (candidates := by_problem.get(_problem(row))):
            found[str(row["id"])] = candidates.pop()
    return found


def _problem(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """What a finding is about, apart from the object's own name: an id ends with code, container and key."""
    place = "/".join(part for part in (row["kind"], row["namespace"], row["name"]) if part)
    return (row["kind"], row["namespace"], row["parent"], str(row["id"]).removeprefix(place))


class _Side:
    """What one analysis looked at, to tell whether it would have had a finding of the other."""

    def __init__(
        self, attrs: Mapping[Any, Any], other: Mapping[Any, Any], findings: Iterable[Mapping[Any, Any]]
    ) -> None:
        self.namespaces = frozenset(attrs.get("namespaces") or ())
        self.analyzers = frozenset(attrs.get("analyzers") or ())
        self.asked: Mapping[str, Any] = attrs.get("asked") or {}
        selector = self.asked.get("selector", "")
        # The same selector would have picked the object in both.
        self._selector = selector if (other.get("asked") or {}).get("selector", "") != selector else ""
        self._is_narrower = bool(self.namespaces) and not self.namespaces >= frozenset(
            other.get("namespaces") or ("",)
        )
        self._scopes: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for read in attrs.get("reads") or ():
            self._scopes[read["kind"]][read["namespace"]] = read["status"]
        self._errors = {(each["analyzer"], each["namespace"], each["name"]) for each in attrs.get("errors") or ()}
        self._analyzer = {code.name: each for each in registered().values() for code in each.codes}
        self.reasons: Counter[tuple[str, str]] = Counter()
        self._reasons = {str(row["id"]): self._reason(row) for row in findings}

    def lacks(self, row: Mapping[Any, Any], change: str) -> str:
        """What it says of a finding of the other analysis that this one does not have it: ``change``, or nothing."""
        reason = self._reasons[str(row["id"])]
        if reason:
            self.reasons[reason] += 1
        return "unknown" if reason else change

    def _reason(self, row: Mapping[Any, Any]) -> tuple[str, str] | None:
        """Why this analysis could not have had a finding, and of what that is true; None where it would have."""
        kind, namespace = str(row["kind"]), str(row["namespace"])
        judged_by = self._analyzer.get(str(row["code"]))
        analyzer = judged_by.name if judged_by else kind
        judged = judged_by.kind if judged_by else kind
        if namespace and self.namespaces and namespace not in self.namespaces:
            return "not analyzed", f"namespace {namespace}"
        if self.analyzers and analyzer not in self.analyzers:
            return "not analyzed", _plural(analyzer)
        if not namespace and self._is_narrower and judged_by:
            # What is said of a Node may rest on pods of namespaces that this analysis left out.
            rests_on = [
                kind for kind in judged_by.reads if kind != "Event" and kind in KINDS and KINDS[kind].namespaced
            ]
            if rests_on:
                return "not analyzed", f"{_plural(rests_on[0])} of all namespaces"
        # A warning event may be about any kind, also one that is never listed.
        for needed in dict.fromkeys((judged, *([kind] if judged_by and kind in judged_by.reads else []))):
            if reason := self._unread(needed, namespace):
                return reason
        if (analyzer, "", "") in self._errors:
            return "not judged, since its analyzer failed", _plural(analyzer)
        if (kind, namespace, str(row["name"])) in self._errors:
            return "not judged", f"{kind} {namespace}/{row['name']}"
        least = self.asked.get("severity")
        if least and _RANK[str(row["severity"])] > _RANK[least]:
            return "not asked for", f"severity {row['severity']}"
        if self._selector:
            return "not asked for", f"objects without {self._selector}"
        return None

    def _unread(self, kind: str, namespace: str) -> tuple[str, str] | None:
        scopes = self._scopes.get(kind)
        if not scopes:
            # A frame without figures of its reading is taken as complete; a kind nobody knows is never listed.
            return None if not self._scopes or kind not in KINDS else ("not read", _plural(kind))
        # An API that is not served has no objects: that is known.
        if {scopes.get(""), scopes.get(namespace)} & {"read", "absent"}:
            return None
        if kind in KINDS and (not KINDS[kind].namespaced or not namespace) and "read" in scopes.values():
            return None
        where = f" in {namespace}" if namespace and "read" in scopes.values() else ""
        return "not readable", f"{_plural(kind)}{where}"

    @property
    def unread(self) -> list[str]:
        """Plurals of the kinds that were not readable everywhere."""
        return [
            _plural(kind)
            for kind, scopes in self._scopes.items()
            if set(scopes.values()) & {"forbidden", "failed", "partial"}
        ]


def _plural(kind: str) -> str:
    return KINDS[kind].plural if kind in KINDS else kind


def _notes(sides: tuple[_Side, _Side], rows: Sequence[Mapping[str, Any]], replaced: int) -> list[str]:
    notes = []
    for side, when, would in (
        (sides[0], "earlier", "new"),
        (sides[1], "later", "resolved"),
    ):
        if side.reasons:
            total = sum(side.reasons.values())
            things: defaultdict[str, list[str]] = defaultdict(list)
            for (why, what), number in side.reasons.most_common():
                things[why].append(f"{what} ({number:,})")
            said = "; ".join(f"{why}: {joined(whats)}" for why, whats in things.items())
            notes.append(
                f"Unknown of {count(total, 'finding')} whether anything changed, since the {when} analysis did not "
                f"look there. {said[0].upper()}{said[1:]}."
            )
        changed = sum(row["change"] == would for row in rows)
        if changed and side.unread:
            notes.append(
                f"The {when} analysis could not read {joined(side.unread)}: a finding that rests on them may not be "
                f"{would}."
            )
        if changed and side.asked.get("severity"):
            notes.append(
                f"The {when} analysis showed findings from {side.asked['severity']} on: what is {would} may have "
                "changed its severity."
            )
    if replaced:
        notes.append(
            f"{count(replaced, 'finding')} moved to another object of the same owner, and count as the same finding."
        )
    return notes
