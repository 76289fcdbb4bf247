"""``%k8sgpt metrics``: the session's newest analyses as Prometheus metrics, to look at or to be scraped.

Names of objects and messages are in no label: they would make a series for each pod that ever was, and tell whoever
may scrape more than how many problems there are.
Source: https://prometheus.io/docs/instrumenting/writing_exporters/
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from k8sgpt_magic.errors import InvalidOption, K8sGPTError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

    from k8sgpt_magic.frame import Findings
    from k8sgpt_magic.session import Session

# Whoever may use this machine may look; nobody else.
ADDRESS = "127.0.0.1"

_UNREADABLE = ("forbidden", "failed", "partial")


class NoMetrics(K8sGPTError):
    """The library that metrics need is not installed."""


class Metrics:
    """The metrics of one session, and the server that shows them. Their registry is never the process's own."""

    def __init__(self, session: Session) -> None:
        self._registry = _registry(session)
        self._serving: tuple[Any, Any] | None = None
        # A session that nobody holds any more leaves no port open.
        self._finalizer = weakref.finalize(session, self.stop)

    @property
    def url(self) -> str:
        """Where the metrics are served, or ""."""
        return f"http://{ADDRESS}:{self._serving[0].server_port}/metrics" if self._serving else ""

    def text(self) -> str:
        """All metrics in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry).decode()

    def serve(self, port: int = 0) -> str:
        """Serve on this machine's own address, at a free port where none is named, and return the URL.

        Raises ``InvalidOption`` where it is served at another port already, ``K8sGPTError`` for a port in use.
        """
        from prometheus_client import start_http_server

        if not 0 <= port <= 65535:
            raise InvalidOption(f"--port {port}: a port is a number up to 65535")
        if self._serving is not None:
            if port in (0, self._serving[0].server_port):
                return self.url
            raise InvalidOption(f"metrics are served at {self.url} already; %k8sgpt metrics stop ends that")
        try:
            server, thread = start_http_server(port, addr=ADDRESS, registry=self._registry)
        except OSError as error:
            raise K8sGPTError(
                f"Metrics cannot be served at port {port}: {error.strerror or error}.",
                advice="Name another one with --port, or none to have a free one.",
            ) from None
        thread.name = "k8sgpt-magic-metrics"
        self._serving = (server, thread)
        return self.url

    def stop(self) -> bool:
        """Close the port and end its thread; whether there was one."""
        serving, self._serving = self._serving, None
        if serving is None:
            return False
        server, thread = serving
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
        return True


def _registry(session: Session) -> CollectorRegistry:
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        raise NoMetrics("Metrics need a library that is not installed: pip install 'k8sgpt-magic[metrics]'") from None
    registry = CollectorRegistry(auto_describe=True)
    registry.register(_Analyses(session))
    return registry


class _Analyses:
    """Collects what the newest analysis of each context says: what is gone from it has no series any more."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        session = self._session()
        newest = _newest_of_each_context(session.history) if session is not None else []
        yield _family(
            "findings",
            "Problems found, by what they are.",
            ("context", "namespace", "kind", "code", "severity"),
            _findings(newest),
        )
        summaries = [frame.summary for frame in newest]
        yield _family(
            "unreadable",
            "Lists that could not be read, or not in full.",
            ("context", "kind", "status"),
            Counter(
                (each.context, read["kind"], read["status"])
                for each in summaries
                for read in each.reads
                if read["status"] in _UNREADABLE
            ),
        )
        for name, meaning in (
            ("objects", "Objects read."),
            ("requests", "Requests sent; none for lists that served again."),
            ("bytes", "Bytes received, after decompression; none for lists that served again."),
        ):
            yield _family(
                "received_bytes" if name == "bytes" else name,
                meaning,
                ("context", "kind"),
                _summed(
                    ((each.context, read["kind"]), read[name])
                    for each in summaries
                    for read in _counted(each.reads)
                    if name == "objects" or not read["from_cache"]
                ),
            )
        yield _family(
            "analysis_seconds",
            "Seconds that the analysis took: all of it, its longest list (they are read at the same time), and the "
            "analyzers.",
            ("context", "part"),
            {
                (each.context, part): seconds
                for each in summaries
                for part, seconds in (
                    ("total", each.seconds),
                    ("reading", max((read["seconds"] for read in each.reads if not read["from_cache"]), default=0.0)),
                    ("analyzers", sum(each.analyzer_seconds.values())),
                )
            },
        )
        yield _family(
            "analyzer_seconds",
            "Seconds that each analyzer took.",
            ("context", "analyzer"),
            {(each.context, kind): took for each in summaries for kind, took in each.analyzer_seconds.items()},
        )
        yield _family(
            "analyzer_errors",
            "Analyzers that failed and objects that could not be decoded.",
            ("context", "analyzer"),
            Counter((each.context, error["analyzer"]) for each in summaries for error in each.errors),
        )
        yield _family(
            "analysis_timestamp_seconds",
            "When the analysis was made, in seconds since 1970.",
            ("context",),
            {
                (each.context,): datetime.fromisoformat(each.analyzed_at).timestamp()
                for each in summaries
                if each.analyzed_at
            },
        )
        yield _family(
            "explained_findings",
            "Findings that were explained, by how that went.",
            ("context", "outcome"),
            _explained(session, newest) if session is not None else {},
        )


def _newest_of_each_context(history: Iterable[Findings]) -> list[Findings]:
    """The newest analysis of each context, the newest of all first."""
    newest: dict[str, Findings] = {}
    # A copy: another thread may be analyzing.
    for frame in reversed(list(history)):
        newest.setdefault(str(frame.attrs.get("context", "")), frame)
    return list(newest.values())


def _findings(newest: Iterable[Findings]) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    told: set[str] = set()
    for frame in newest:
        of_frame = str(frame.attrs.get("context", ""))
        # One analysis may be of several contexts; what a newer one says of one of them counts alone.
        contexts = [context or of_frame for context in frame["context"]]
        columns = (frame[name].astype(str) for name in ("namespace", "kind", "code", "severity"))
        found.update(labels for labels in zip(contexts, *columns, strict=True) if labels[0] not in told)
        told.update(contexts, [of_frame])
    return found


def _explained(session: Session, newest: Iterable[Findings]) -> Counter[tuple[str, ...]]:
    explained: Counter[tuple[str, ...]] = Counter()
    for frame in newest:
        filled = session.with_explanations(frame)
        if "explanation" in filled.columns:
            for said, failure in zip(filled["explanation"], filled["failure"], strict=True):
                if said or failure:
                    explained[str(frame.attrs.get("context", "")), "failed" if failure else "answered"] += 1
    return explained


def _counted(reads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A kind read in all namespaces and, from an earlier cell, in one of them counts once."""
    whole = {read["kind"] for read in reads if not read["namespace"] and read["status"] == "read"}
    return [read for read in reads if not read["namespace"] or read["kind"] not in whole]


def _summed(pairs: Iterable[tuple[tuple[str, ...], float]]) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for labels, value in pairs:
        found[labels] = found.get(labels, 0) + value
    return found


def _family(name: str, help: str, labels: tuple[str, ...], values: Any) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"k8sgpt_magic_{name}", help, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
