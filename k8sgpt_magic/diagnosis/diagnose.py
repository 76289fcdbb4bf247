"""Run analyzers over a cluster view and put their findings together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from k8sgpt_magic.analyzers import Analyzer, is_packaged
from k8sgpt_magic.cluster.resources import Event
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.correlate import correlate
from k8sgpt_magic.diagnosis.cut_off import Told, cut_off
from k8sgpt_magic.findings import Evidence, Finding
from k8sgpt_magic.garbage import no_collection


class AnalysisError(Struct, frozen=True):
    """Something that could not be judged: an object that does not decode, or an analyzer (by name) that failed."""

    analyzer: str
    namespace: str
    name: str
    error: str


class Diagnosis(Struct):
    """Findings, worst first; what could not be judged; and the seconds that each analyzer took."""

    findings: list[Finding]
    errors: list[AnalysisError]
    seconds: dict[str, float]


@no_collection()
def diagnose(
    view: ClusterView,
    analyzers: Sequence[Analyzer],
    *,
    show: Iterable[str] | None = None,
    on_progress: Callable[[str], None] | None = None,
    timeout: float | None = None,
) -> Diagnosis:
    """Judge a view. ``show`` names the analyzers whose findings are wanted; others only explain.

    An analyzer that raises keeps what it had found and becomes one error; the others do not notice. So does one that
    is not of this package and does not end within ``timeout`` seconds.
    """
    wanted = None if show is None else frozenset(show)
    findings: list[Finding] = []
    shown_codes: set[str] = set()
    seconds: dict[str, float] = {}
    errors = [
        AnalysisError(damaged.ref.kind, damaged.ref.namespace, damaged.ref.name, damaged.reason)
        for damaged in view.undecodable
        if wanted is None or damaged.ref.kind in wanted
    ]
    view.reported.clear()
    for analyzer in sorted(analyzers, key=lambda analyzer: analyzer.after_others):
        began = time.perf_counter()
        is_shown = wanted is None or analyzer.name in wanted
        for part in analyzer.parts:
            try:
                for finding in part(view) if timeout is None or is_packaged(part) else cut_off(part, view, timeout):
                    if finding.severity != "info" and (ref := finding.ref) not in view.reported:
                        view.reported.add(ref)
                        if events := view.events(ref):
                            finding = _with_events(finding, events, view)
                    findings.append(finding)
                    if is_shown:
                        shown_codes.add(finding.code)
            except Exception as error:  # noqa: BLE001 - whatever an analyzer does, it must cost itself only
                errors.append(AnalysisError(analyzer.name, "", "", _plain(error)))
        seconds[analyzer.name] = time.perf_counter() - began
        if on_progress:
            on_progress(analyzer.name)
    correlated = correlate(findings)
    shown = [finding for finding in correlated if finding.code in shown_codes]
    if view.namespaces or view.selected is not None:
        shown = [finding for finding in shown if view.selects(finding.ref)]
    if view.selected is not None:
        shown = _with_missing_objects(view, shown, correlated)
    return Diagnosis([_completed(finding, view) for finding in shown], errors, seconds)


def _plain(error: Exception) -> str:
    return str(error) if isinstance(error, Told) else f"{type(error).__name__}: {error}"


def _with_events(finding: Finding, events: Sequence[Event], view: ClusterView) -> Finding:
    """The first finding on an object with the recent warnings about it that it does not quote yet."""
    known = {fact.value for fact in finding.evidence}
    reasons: set[str] = set()
    fresh = []
    # The newest comes first, and others of its reason say much the same.
    for event in events:
        if event.reason not in reasons and view.is_recent(event):
            reasons.add(event.reason)
            if event.message not in known and (fact := Evidence.of(event)).value not in known:
                fresh.append(fact)
    return msgspec.structs.replace(finding, evidence=(*finding.evidence, *fresh)) if fresh else finding


def _with_missing_objects(view: ClusterView, shown: list[Finding], correlated: list[Finding]) -> list[Finding]:
    """An object that does not exist has no labels; it is wanted where something that was selected needs it."""
    by_id = {finding.id: finding for finding in correlated}
    kept = {finding.id for finding in shown}
    kept |= {finding.cause for finding in shown if finding.cause and view.find(by_id[finding.cause].ref) is None}
    return [finding for key, finding in by_id.items() if key in kept]


def _completed(finding: Finding, view: ClusterView) -> Finding:
    """Add what follows from the object alone, so that no analyzer has to think of it.

    What is given is a copy that nobody else has seen, so it need not be copied once more.
    """
    if not finding.parent and (found := view.find(finding.ref)) is not None:
        msgspec.structs.force_setattr(finding, "parent", view.topmost_owner(found))
    msgspec.structs.force_setattr(finding, "context", view.context)
    return finding
