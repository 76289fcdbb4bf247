"""The last lines of the logs of containers that fail, read only where the user asks for them (``--logs``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from k8sgpt_magic.cluster.resources import Pod
from k8sgpt_magic.cluster.source import LogSource, Source
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.errors import K8sGPTError
from k8sgpt_magic.findings import Finding
from k8sgpt_magic.wording import count, joined, quote

CONTAINERS = 20
"""Containers whose logs are read at most, those of the worst findings first."""

LINES = 50
BYTES = 65_536
CHARACTERS = 3_000
"""How much of a log goes to a model: its end."""

LINE = 400


class Logs(Struct):
    """The ends of logs by the id of the finding they belong to, and one line for people about what was not read."""

    by_finding: dict[str, list[str]]
    notes: list[str]


async def read_logs(source: Source, view: ClusterView | None, findings: Sequence[Finding]) -> Logs:
    """Read the logs of the containers (of pods) that findings are about: of the run before where there was one.

    Pods of one owner that fail in one way say the same, so one of them speaks for all. Never raises for a log that
    cannot be read: that costs this log alone, and a note.

    Source: https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#read-log-pod-v1-core
    """
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        if finding.kind == Pod.kind and finding.container:
            owner = finding.parent or finding.name
            groups.setdefault((finding.namespace, owner, finding.code, finding.container), []).append(finding)
    if not groups:
        return Logs({}, [])
    if not isinstance(source, LogSource):
        return Logs({}, [f"There are no logs in {source.context}."])
    asked = list(groups.values())[:CONTAINERS]
    ends = await asyncio.gather(*(_end(source, view, found[0]) for found in asked))
    by_finding: dict[str, list[str]] = {}
    failures: dict[str, list[str]] = {}
    for found, (lines, failure) in zip(asked, ends, strict=True):
        if lines:
            # With each pod's own name in it, what is said of one is said of all, and asked about once.
            speaker = found[0].name
            by_finding.update((each.id, [line.replace(speaker, each.name) for line in lines]) for each in found)
        if failure:
            failures.setdefault(failure, []).append(found[0].name)
    notes = [f"No logs of {joined(names, 3)}: {failure}" for failure, names in failures.items()]
    if len(groups) > CONTAINERS:
        notes.append(f"Logs were read of {CONTAINERS} of {count(len(groups), 'failing container')}.")
    return Logs(by_finding, notes)


async def _end(source: LogSource, view: ClusterView | None, finding: Finding) -> tuple[list[str], str]:
    """The last lines of one container, and why there are none."""
    pod = view.get(Pod, finding.namespace, finding.name) if view is not None else None
    statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses) if pod else ()
    status = next((each for each in statuses if each.name == finding.container), None)
    if status is not None and not status.restart_count and status.state.waiting is not None:
        # It has never run.
        return [], ""
    previous = [True, False] if status is not None and status.restart_count else [False]
    failure = ""
    for is_previous in previous:
        try:
            text = await source.logs(
                finding.namespace, finding.name, finding.container, previous=is_previous, lines=LINES, limit=BYTES
            )
        except K8sGPTError as error:
            failure = error.message
            continue
        lines = [quote(line, LINE) for line in text.splitlines() if line.strip()]
        if lines:
            return _bounded(lines), ""
    return [], failure


def _bounded(lines: list[str]) -> list[str]:
    kept: list[str] = []
    left = CHARACTERS
    for line in reversed(lines):
        left -= len(line) + 1
        if left < 0:
            break
        kept.append(line)
    return kept[::-1]
