"""Several clusters or snapshots in one analysis: which ones, and their findings put together.

Each is analyzed on its own, as if it were the only one, so that one that is dead or slow costs only itself.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.diagnosis.correlate import ordered
from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.findings import Finding
from k8sgpt_magic.wording import count, joined

if TYPE_CHECKING:
    from k8sgpt_magic.frame import Summary
    from k8sgpt_magic.session import Query

AT_ONCE = 8
"""Clusters or snapshots under way at once in this process."""

_GLOB = frozenset("*?[")


class Target(Struct, frozen=True):
    """One of several clusters or snapshots: what its rows have as ``context``, and what to ask of it."""

    name: str
    query: Query


class Failed(Struct, frozen=True):
    """A target without an analysis, and why."""

    name: str
    reason: str


class Outcome(Struct, frozen=True):
    """What the analysis of one target found. ``names`` are those to be masked, with their sort, where nobody holds
    what was seen of it."""

    name: str
    findings: list[Finding]
    summary: Summary
    names: list[tuple[str, str]] = []


def targets(query: Query) -> list[Target]:
    """The clusters or snapshots that a query names, or none where it is about a single one.

    Contexts and sources may be comma lists and globs. Raises ``InvalidOption`` for a glob that matches nothing, or
    where several of both are named, and ``K8sGPTError`` where the kubeconfig or the bucket cannot be read.
    """
    contexts, sources = _contexts(query), _sources(query.source)
    if contexts and sources:
        raise InvalidOption("several contexts and several sources at once: name several of one of the two")
    if contexts:
        return [Target(name, msgspec.structs.replace(query, context=name)) for name in contexts]
    names = _short(sources)
    return [
        Target(name, msgspec.structs.replace(query, source=source))
        for name, source in zip(names, sources, strict=True)
    ]


def _contexts(query: Query) -> list[str]:
    if not query.context or not (_GLOB | {","}) & set(query.context):
        return []
    from k8sgpt_magic.cluster import kubeconfig

    known = kubeconfig.contexts(query.kubeconfig)
    if query.context in known:
        return []
    found: dict[str, None] = {}
    for name in filter(None, map(str.strip, query.context.split(","))):
        matching = [name] if name in known else [each for each in known if fnmatchcase(each, name)]
        if not matching:
            raise InvalidOption(f"no context {name!r}{nearest(name, known)}; there are {joined(known, 20) or 'none'}")
        found.update(dict.fromkeys(matching))
    return list(found)


def _sources(source: str) -> list[str]:
    if not (_GLOB | {","}) & set(source) or _exists(source):
        return []
    found: dict[str, None] = {}
    for part in filter(None, map(str.strip, source.split(","))):
        if not _GLOB & set(part) or _exists(part):
            found[part] = None
            continue
        matching = _matching(part)
        if not matching:
            raise InvalidOption(f"no file matches {part!r}")
        found.update(dict.fromkeys(matching))
    return list(found)


def _exists(path: str) -> bool:
    # A file may have a comma or a bracket in its name; a URL with one is a list or a glob.
    return "://" not in path and Path(path).expanduser().exists()


def _matching(pattern: str) -> list[str]:
    if "://" not in pattern:
        return sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207 - keeps it relative
    from k8sgpt_magic.cluster.location import matching

    return matching(pattern)


def _short(sources: Sequence[str]) -> list[str]:
    """Names for sources: without the directories that all of them share."""
    if len(sources) < 2:
        return [source.rstrip("/").rpartition("/")[2] or source for source in sources]
    parts = [source.split("/") for source in sources]
    shared = 0
    while all(len(each) > shared + 1 and each[shared] == parts[0][shared] for each in parts):
        shared += 1
    return ["/".join(each[shared:]) for each in parts]


def together(outcomes: Sequence[Outcome | Failed]) -> tuple[list[Finding], Summary]:
    """The findings of all targets, worst first, and what is to say of the whole.

    The ids of findings, and of their causes, begin with the target's name. Raises ``K8sGPTError`` where there is no
    outcome at all.
    """
    reached = [each for each in outcomes if isinstance(each, Outcome)]
    failed = [each for each in outcomes if isinstance(each, Failed)]
    if not reached:
        reasons = Counter(each.reason for each in failed)
        lines = [
            f"{joined([each.name for each in failed if each.reason == reason], 5)}: {reason}" for reason in reasons
        ]
        raise K8sGPTError(f"None of {count(len(failed), 'cluster')} could be analyzed.", advice="\n".join(lines[:5]))
    findings = [finding for each in reached for finding in of_cluster(each.findings, each.name)]
    return ordered(findings), _summary(reached, failed)


def of_cluster(findings: Iterable[Finding], name: str) -> list[Finding]:
    """Findings as those of one cluster among several: ``id`` and ``cause`` begin with its name."""
    return [
        msgspec.structs.replace(
            finding, context=name, cluster=name, cause=f"{name}:{finding.cause}" if finding.cause else ""
        )
        for finding in findings
    ]


def _summary(reached: Sequence[Outcome], failed: Sequence[Failed]) -> Summary:
    summaries = {each.name: each.summary for each in reached}
    several = list(summaries.values())
    seconds: Counter[str] = Counter()
    for each in several:
        seconds.update(each.analyzer_seconds)
    first = several[0]
    return msgspec.structs.replace(
        first,
        context=count(len(reached) + len(failed), "cluster"),
        source=joined(summaries, 5),
        is_demo=False,
        taken_at=max(each.taken_at for each in several),
        namespaces=sorted({namespace for each in several for namespace in each.namespaces}),
        age=max(each.age for each in several),
        objects=sum(each.objects for each in several),
        kinds=max(each.kinds for each in several),
        unreadable=[
            *_by_line({each.name: [each.reason] for each in failed}),
            *_by_line({name: each.unreadable for name, each in summaries.items()}),
        ],
        errors=[error | {"context": name} for name, each in summaries.items() for error in each.errors],
        notes=_by_line({name: each.notes for name, each in summaries.items()}),
        reads=[read | {"context": name} for name, each in summaries.items() for read in each.reads],
        analyzer_seconds=dict(seconds),
        contexts=[*summaries, *(each.name for each in failed)],
    )


def _by_line(lines: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines that several clusters have to tell, each once, with the names of the clusters before it."""
    names: dict[str, list[str]] = {}
    for name, several in lines.items():
        for line in several:
            names.setdefault(line, []).append(name)
    return [f"{joined(told_by, 5)}: {line}" for line, told_by in names.items()]
