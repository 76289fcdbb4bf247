"""Log: what do the containers that fail say themselves?

Only logs of containers that are not well are read: their ends, of the current run and of the one before. Lines that
say the same but for numbers count as one, and credentials in them are removed.

Source: https://kubernetes.io/docs/concepts/cluster-administration/logging/
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import ContainerStatus, Pod
from k8sgpt_magic.cluster.view import ClusterView, LogRequest
from k8sgpt_magic.credentials import removed
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import count, quote

_DOCS = "https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/#examining-pod-logs"

FATAL = Code("LogFatal", "warning", "A container that fails says itself what ended it.", _DOCS)
ERRORS = Code("LogErrors", "info", "A container that is not well logs errors.", _DOCS)

LINES = 200
BYTES = 65_536
# Pods of one workload that fail in one way say much the same.
PODS = 2
SHOWN = 3
# A container takes a moment to become ready.
GRACE = 60

_TIME = re.compile(r"^\W?(?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\W?\s*")
# The level that a line says it has: klog, JSON, logfmt, and a word of its own near the beginning.
_LEVEL = re.compile(
    r"""^(?P<klog>[IWEF])\d{4}\s
    | ["']?(?:level|severity|lvl)["']?\s*[=:]\s*["']?(?P<named>[A-Za-z]+)
    | ^\W*(?P<word>TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|CRIT(?:ICAL)?|FATAL|PANIC|EMERG|ALERT|SEVERE)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_FATAL_LEVELS = {"f", "fatal", "panic", "crit", "critical", "emerg", "alert"}
_ERROR_LEVELS = {"e", "err", "error", "severe"}
_FATAL = re.compile(
    r"\b(?:panic:|fatal\b|segmentation fault|segfault|out of memory|outofmemory\w*|oom-?kill\w*|core dumped|"
    r"uncaught exception|unhandled exception|stack overflow|cannot allocate memory|no space left on device)",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"\b(?:error|errors|exception|failed|failure|fail|cannot|can't|unable to|refused|denied|timed out|timeout|"
    r"no such (?:file|host)|not found|unauthorized|forbidden|invalid|\w+(?:Error|Exception))\b",
    re.IGNORECASE,
)
# What has such a word in it and says that all is well.
_HARMLESS = re.compile(
    r"\b(?:0|no|without|zero) (?:errors?|failures?|exceptions?)\b"
    r"|\b(?:errors?|failed|failures?|exception)[\"']?\s*[=:]\s*[\"']?(?:0|null|nil|none|false|<nil>|\"\")(?:[\"',;}\s]|$)"
    r"|\bfail-?over\b",
    re.IGNORECASE,
)
_TRACEBACK = "Traceback (most recent call last):"
# The rest of a stack trace: indented lines, and those that Go and Java write at the margin.
_OF_A_TRACE = re.compile(r"^(?:\s|at |goroutine \d|Caused by:|\.\.\. \d+ more|\[signal |created by |exit status)")
_VARYING = re.compile(
    r"0x[0-9a-f]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{12,}\b|\d+", re.IGNORECASE
)


class Said(Struct):
    """Lines that say the same: how often, whether they tell the end of the program, and the last of them."""

    line: str
    is_fatal: bool
    times: int = 0
    last: int = 0


def wanted(view: ClusterView) -> Iterator[LogRequest]:
    """The logs of containers that are not well, of a few pods of each workload."""
    read: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for pod in view.all(Pod):
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            if not _is_unwell(view, status):
                continue
            key = (pod.namespace, view.topmost_owner(pod) or pod.name, status.name)
            read[key] += 1
            if read[key] > PODS:
                continue
            if status.restart_count:
                yield LogRequest(pod.namespace, pod.name, status.name, True, LINES, BYTES)
            # What waits to be started again has no current log but the one before.
            if status.state.waiting is None:
                yield LogRequest(pod.namespace, pod.name, status.name, False, LINES, BYTES)


def _is_unwell(view: ClusterView, status: ContainerStatus) -> bool:
    if status.restart_count:
        return True
    ended = status.state.terminated
    if ended is not None:
        return ended.exit_code != 0
    running = status.state.running
    return running is not None and not status.ready and view.older_than(running.started_at, GRACE)


@analyzer(Pod, codes=[FATAL, ERRORS], default=False, name="Log", logs=wanted)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """What the logs of containers that are not well say of it."""
    runs: defaultdict[tuple[str, str, str], list[tuple[LogRequest, str]]] = defaultdict(list)
    for request, text in view.logs.items():
        runs[request.namespace, request.pod, request.container].append((request, text))
    for (namespace, name, container), logs in sorted(runs.items()):
        pod = view.get(Pod, namespace, name)
        if pod is None:
            continue
        # The run before tells more of why it ended than the one that has only begun.
        for request, text in sorted(logs, key=lambda each: not each[0].previous):
            if found := problems(text):
                yield _finding(pod, container, request, found)
                break


def _finding(pod: Pod, container: str, request: LogRequest, found: Sequence[Said]) -> Finding:
    worst = found[0]
    run = "before its last restart" if request.previous else "in its current run"
    often = "" if worst.times == 1 else f" ({count(worst.times, 'time')})"
    others = f", and {count(len(found) - 1, 'other problem')}" if len(found) > 1 else ""
    return (FATAL if worst.is_fatal else ERRORS).finding(
        pod,
        f"It logged {run}{often}{others}: {quote(worst.line, 240)}",
        container=container,
        evidence=[
            (f"log{' of the run before' if request.previous else ''} x{said.times}", said.line)
            for said in found[:SHOWN]
        ],
    )


def problems(text: str) -> list[Said]:
    """The lines of a log that tell of a problem: what ended the program first, then the most frequent, the last."""
    found: dict[str, Said] = {}
    lines = text.splitlines()
    for at, line in enumerate(lines):
        message = _without_time(line)
        if line.startswith(_TRACEBACK):
            # Python says last what it is about.
            message = next((each for each in lines[at + 1 :] if each[:1] not in ("", " ", "\t")), "")
        elif _OF_A_TRACE.match(line):
            continue
        if not message or (is_fatal := _is_fatal(message)) is None:
            continue
        is_fatal = is_fatal or line.startswith(_TRACEBACK)
        shown = removed(message.strip())
        said = found.setdefault(_VARYING.sub("#", shown), Said(shown, is_fatal))
        said.line, said.last, said.is_fatal = shown, at, said.is_fatal or is_fatal
        # The line that a traceback ends with comes by itself, too.
        said.times += not line.startswith(_TRACEBACK)
    for said in found.values():
        said.times = max(said.times, 1)
    return sorted(found.values(), key=lambda said: (not said.is_fatal, -said.times, -said.last))


def _without_time(line: str) -> str:
    return _TIME.sub("", line, count=1)


def _is_fatal(message: str) -> bool | None:
    """Whether a line tells the end of the program; None where it tells of no problem at all."""
    level = ""
    if (declared := _LEVEL.search(message)) is not None and not (declared["word"] and _HARMLESS.search(message)):
        level = next(value for value in declared.groups() if value).lower()
    if level in _FATAL_LEVELS or (not level and _FATAL.search(message)):
        return True
    if level:
        # What a program itself calls a warning or less is one, whatever words are in it.
        return False if level in _ERROR_LEVELS else None
    if _HARMLESS.search(message) or not _ERROR.search(message):
        return None
    return False
