"""A finding is one problem of one object. Codes say which problem; findings say where, since when and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from k8sgpt_magic.cluster.resources import Event, ObjectRef, Resource
from k8sgpt_magic.wording import EVIDENCE_LIMIT, quote

Severity = Literal["critical", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""Worst first: critical, something is down or losing data; warning, degraded or about to be; info, worth knowing."""


class Evidence(Struct, frozen=True, gc=False):
    """One fact that a finding rests on: the field path or event it comes from, and what it says."""

    source: str
    value: str

    @classmethod
    def of(cls, event: Event) -> Evidence:
        occurrences = event.occurrences
        times = f" x{occurrences}" if occurrences > 1 else ""
        return cls(f"event {event.reason}{times}", quote(event.message, EVIDENCE_LIMIT))


class Finding(Struct, frozen=True, gc=False, kw_only=True):
    """One problem, found by one rule on one object (or on one container of it).

    ``id`` is ``kind/namespace/name/code/container`` and the same in every run; ``key`` tells apart two findings
    of one code on one object (which backend, which condition) and ends the id instead. ``because`` names objects,
    most telling first, whose own findings would explain this one; ``cause`` is the id of the finding at the
    root of that chain, set after all analyzers ran, or "". ``masked`` lists the texts in ``message`` and
    ``evidence`` that name things of the user's, other than this object and those in ``because``. ``cluster`` is
    set where several clusters were analyzed together, to the ``context`` of this one, and then begins the id.
    ``explains`` is False where nothing else can be broken because of this, so that it is nobody's cause.
    """

    code: str
    severity: Severity
    kind: str
    namespace: str
    name: str
    message: str
    container: str = ""
    key: str = ""
    since: datetime | None = None
    parent: str = ""
    cause: str = ""
    consequences: int = 0
    evidence: tuple[Evidence, ...] = ()
    because: tuple[ObjectRef, ...] = ()
    masked: tuple[str, ...] = ()
    context: str = ""
    cluster: str = ""
    explains: bool = True

    @property
    def id(self) -> str:
        place = f"{self.kind}/{self.namespace}/{self.name}" if self.namespace else f"{self.kind}/{self.name}"
        if self.cluster:
            place = f"{self.cluster}:{place}"
        part = f"/{self.container}" if self.container else ""
        return f"{place}/{self.code}{part}/{self.key}" if self.key else f"{place}/{self.code}{part}"

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.namespace, self.name)


class Code(Struct, frozen=True):
    """What a rule reports: a stable name, how bad it is, what it means and where Kubernetes documents it.

    ``name`` starts with the kind (``PodCrashLoopBackOff``). ``meaning`` is one sentence for someone who has
    never seen the code; ``docs`` the page of the Kubernetes documentation that the rule rests on. ``explains`` is
    False for what stands beside other problems of an object and breaks nothing, such as rights that are too wide.
    """

    name: str
    severity: Severity
    meaning: str
    docs: str
    explains: bool = True

    def finding(
        self,
        on: Resource | ObjectRef,
        message: str,
        *,
        container: str = "",
        key: str = "",
        since: datetime | None = None,
        evidence: Iterable[Evidence | Event | tuple[str, object]] = (),
        because: Iterable[ObjectRef | Resource] = (),
        masked: Iterable[str] = (),
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this code on an object, or on one that does not exist but is named by others.

        ``evidence`` takes pairs of field path and value, and events as they are. ``severity`` is given where
        the facts make a problem better or worse than the code usually is.
        """
        named = on if isinstance(on, ObjectRef) else on.metadata
        return Finding(
            code=self.name,
            severity=severity or self.severity,
            kind=on.kind,
            namespace=named.namespace,
            name=named.name,
            message=message,
            container=container,
            key=key,
            since=since,
            # No generators: they take twice as long, and there may be ten thousand findings.
            evidence=tuple(map(_evidence, evidence)),
            because=tuple(map(_ref, because)) if because else (),
            masked=tuple(filter(None, masked)) if masked else (),
            explains=self.explains,
        )


def _ref(other: ObjectRef | Resource) -> ObjectRef:
    return other if isinstance(other, ObjectRef) else other.ref


def _evidence(fact: Evidence | Event | tuple[str, object]) -> Evidence:
    if isinstance(fact, tuple):
        source, value = fact
        return Evidence(source, quote(value if isinstance(value, str) else str(value), EVIDENCE_LIMIT))
    return Evidence.of(fact) if isinstance(fact, Event) else fact
