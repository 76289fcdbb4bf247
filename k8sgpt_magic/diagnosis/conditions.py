"""Conditions that controllers write: by type, of the object's present generation, past a grace period.

Source: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from k8sgpt_magic.cluster.resources import Condition, ObjectRef, Resource, WorkloadMeta
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.workloads import changed_at, for_long, is_past
from k8sgpt_magic.findings import Code, Finding, Severity
from k8sgpt_magic.wording import sentence

# Controllers of custom resources act within seconds, and what they wait for comes within minutes.
GRACE = 300

_QUOTED = re.compile(r"""["'`]([\w./:-]{1,253})["'`]""")
_READ_CHARACTERS = 4096


def is_current(on: Resource, found: Condition) -> bool:
    """Whether a condition is of the spec as it is now. Controllers that write no generation are believed."""
    return not found.observed_generation or found.observed_generation >= on.metadata.generation


def lasting(
    view: ClusterView,
    on: Resource,
    conditions: Iterable[Condition],
    type: str,
    *statuses: str,
    grace: float = GRACE,
) -> Condition | None:
    """The condition of a type if it has one of the statuses (``False`` if none is named), and has had it for long."""
    found: Condition | None = condition(conditions, type)
    if found is None or found.status not in (statuses or ("False",)) or not is_current(on, found):
        return None
    return found if is_past(view, began(on, found), grace) else None


def began(on: Resource, found: Condition) -> datetime | None:
    """Since when a condition holds: CRDs may bring conditions with them that hold since 1970."""
    times = (found.last_transition_time, on.metadata.creation_timestamp)
    return max((time for time in times if time), default=None) if found.last_transition_time else changed(on)


def changed(on: Resource) -> datetime | None:
    """When an object's spec was last written, as far as is known."""
    return changed_at(on.metadata) if isinstance(on.metadata, WorkloadMeta) else on.metadata.creation_timestamp


def said(found: Condition) -> str:
    """A condition's reason and message in a sentence."""
    if not found.message:
        return f"{found.reason or 'no reason given'}."
    return f"{found.reason}: {sentence(found.message)}" if found.reason else sentence(found.message)


def fact(found: Condition, where: str = "status") -> tuple[str, object]:
    """A condition as evidence; ``where`` is the path of what has the conditions."""
    text = " ".join(filter(None, (found.status, f"{found.reason}:" if found.reason else "", found.message)))
    return f"{where}.conditions[{found.type}]", text


def reported(
    code: Code,
    on: Resource,
    found: Condition,
    begin: str,
    *,
    key: str = "",
    where: str = "status",
    evidence: Sequence[tuple[str, object]] = (),
    because: Iterable[ObjectRef | Resource] = (),
    masked: Iterable[str] = (),
    severity: Severity | None = None,
) -> Finding:
    """A finding that rests on a condition: ``begin``, then the controller's own words."""
    return code.finding(
        on,
        f"{begin}: {said(found)}",
        key=key,
        since=began(on, found) if found.last_transition_time else None,
        evidence=[fact(found, where), *evidence],
        because=because,
        masked=(*masked, *names_in(found.message)),
        severity=severity,
    )


def unreconciled(
    view: ClusterView,
    code: Code,
    on: Resource,
    conditions: Iterable[Condition],
    type: str,
    *,
    observed: int | None = None,
    grace: float = GRACE,
    because: Iterable[ObjectRef | Resource] = (),
) -> Iterator[Finding]:
    """An object that its controller has not judged: no condition of the type, an Unknown one, or one of the past."""
    found: Condition | None = condition(conditions, type)
    since, generation = changed(on), on.metadata.generation
    evidence: list[tuple[str, object]]
    # Flux writes -1 where it has seen none.
    seen = max(observed or 0, 0) or (found.observed_generation if found else 0)
    if seen and seen < generation:
        why = f"its last change makes generation {generation}, and the controller has seen {seen}"
        evidence = [("metadata.generation", generation), ("status.observedGeneration", seen)]
    elif found is None:
        why = f"it has no condition {type}"
        evidence = [(f"status.conditions[{type}]", "none")]
    elif found.status not in ("True", "False"):
        # What stays undecided counts from when it became so.
        since = max((time for time in (since, found.last_transition_time) if time), default=None)
        why = f"condition {type} is {found.status or 'empty'}, {said(found).rstrip('.')}"
        evidence = [fact(found)]
    else:
        return
    if on.metadata.deletion_timestamp or not view.older_than(since, grace):
        return
    yield code.finding(
        on,
        f"No controller has judged the {on.kind}{for_long(view, since)}: {why}.",
        since=since,
        evidence=evidence,
        because=because,
        masked=names_in(found.message) if found else (),
    )


def names_in(words: str) -> tuple[str, ...]:
    """What a controller's words put in quotes: mostly names of the user's."""
    return tuple(dict.fromkeys(_QUOTED.findall(words[:_READ_CHARACTERS])))
