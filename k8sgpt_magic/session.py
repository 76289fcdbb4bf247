"""What the cells of one kernel share: sources, the lists read lately, and the analyses made so far."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from k8sgpt_magic import filters, fleet
from k8sgpt_magic.analyzers import Analyzer, broken, registered
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.cache import ListCache
from k8sgpt_magic.cluster.kinds import KINDS, SAVED
from k8sgpt_magic.cluster.logs import read_logs
from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.cluster.resources import EndpointSlice, Event, Lease, Namespace, ObjectRef, Resource
from k8sgpt_magic.cluster.source import OnPage, Read, Source
from k8sgpt_magic.cluster.view import ClusterView, ReadResult
from k8sgpt_magic.diagnosis.diagnose import Diagnosis, diagnose
from k8sgpt_magic.engine import Engine, in_thread
from k8sgpt_magic.errors import Forbidden, InvalidOption, K8sGPTError
from k8sgpt_magic.findings import SEVERITIES, Finding
from k8sgpt_magic.fleet import Failed, Outcome, Target
from k8sgpt_magic.wording import joined

if TYPE_CHECKING:
    import pandas as pd

    from k8sgpt_magic.cluster.archive import Saved
    from k8sgpt_magic.cluster.openapi import Documentation
    from k8sgpt_magic.diagnosis.diff import Changes
    from k8sgpt_magic.explain.anonymize import Anonymizer
    from k8sgpt_magic.explain.explainer import Explainer
    from k8sgpt_magic.frame import Findings, Summary
    from k8sgpt_magic.metrics import Metrics
    from k8sgpt_magic.watch import Judge, Watch

T = TypeVar("T")

MAX_AGE = 30.0
TIMEOUT = 30.0
MAX_CONCURRENCY = 10
INTERVAL = 2.0

# What is kept to compare with: enough of them for a day's work, and never more memory than some large ones take.
KEPT_ANALYSES = 50
KEPT_FINDINGS = 100_000

# Of more clusters than these, what was read is let go as soon as it is judged.
KEPT_VIEWS = 8

# Past this many namespaces one list of everything is cheaper than a list for each.
_LISTED_ONE_BY_ONE = 5

# Kinds whose labels, if any, are not their user's.
_UNLABELLED = (Event, EndpointSlice, Lease)


class Progress(msgspec.Struct):
    """How far an analysis is. The engine's thread writes it, the waiting thread draws it."""

    kinds: int = 0
    kinds_read: int = 0
    objects: int = 0
    analyzers: int = 0
    analyzers_done: int = 0
    clusters: int = 0
    clusters_done: int = 0
    parts: list[Progress] = []

    def whole(self) -> Progress:
        """This and its parts, those of several clusters, as one."""
        if not self.parts:
            return self
        # A copy: the engine's thread goes on adding to it.
        every = [self, *list(self.parts)]
        names = ("kinds", "kinds_read", "objects", "analyzers", "analyzers_done", "clusters", "clusters_done")
        return Progress(*(sum(getattr(each, name) for each in every) for name in names))


class Seen(msgspec.Struct, frozen=True):
    """A cluster or snapshot of the newest analysis: where it was read from, and what was seen of it.

    ``view`` is None where so many were analyzed that they are not all held.
    """

    source: Source
    view: ClusterView | None


class ProgressView(Protocol):
    def draw(self, progress: Progress) -> None: ...
    def close(self) -> None: ...


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to analyze, as the user said it; see ``Session.analyze``."""

    namespaces: tuple[str, ...] = ()
    all_namespaces: bool = False
    filters: tuple[str, ...] = ()
    selector: str = ""
    severity: str = ""
    context: str = ""
    kubeconfig: str = ""
    source: str = ""
    max_concurrency: int = MAX_CONCURRENCY
    max_age: float = MAX_AGE
    refresh: bool = False
    timeout: float = TIMEOUT
    dask: str = ""
    ship_credentials: bool = False


class Session:
    """Analyses that share their reads. A notebook has one, ``k8sgpt_magic.shared_session()``."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.history: list[Findings] = []
        self._numbered = 0
        self._explanations: dict[int, dict[str, dict[str, Any]]] = {}
        self.lists = ListCache()
        self._sources: dict[tuple[str, str, str], Source] = {}
        self._lock = threading.Lock()
        self._findings: dict[str, Finding] = {}
        self._explainer: Explainer | None = None
        self._judgements: dict[str, tuple[Any, list[Read], tuple[ClusterView, Diagnosis, list[str]]]] = {}
        self.seen: dict[str, Seen] = {}
        """The cluster of the newest analysis by its context, or all of them."""
        self._anonymizer: Anonymizer | None = None
        self._learned: weakref.WeakSet[ClusterView] = weakref.WeakSet()
        self._metrics: Metrics | None = None
        self._documentation: Documentation | None = None
        self._watches: list[Watch] = []
        # Connections are closed at exit too, or with this object.
        weakref.finalize(self, _close, self.engine, self._sources, self._watches)

    @property
    def last(self) -> Findings | None:
        """The newest analysis of this session."""
        return self.history[-1] if self.history else None

    @property
    def view(self) -> ClusterView | None:
        """What the newest analysis saw, where it was of one cluster."""
        return next(iter(self.seen.values())).view if len(self.seen) == 1 else None

    def view_at(self, context: str) -> ClusterView | None:
        """What the newest analysis saw of the cluster that a finding's ``context`` names."""
        return seen.view if (seen := self.seen.get(context)) is not None else self.view

    @property
    def anonymizer(self) -> Anonymizer:
        """What masks texts of this session. It knows all names of the newest analysis, and of those before it."""
        from k8sgpt_magic.explain.anonymize import Anonymizer

        with self._lock:
            if self._anonymizer is None:
                self._anonymizer = Anonymizer()
            for each in self.seen.values():
                if each.view is not None and each.view not in self._learned:
                    self._anonymizer.learn(each.view)
                    self._learned.add(each.view)
            return self._anonymizer

    @property
    def explainer(self) -> Explainer:
        """What explains this session's findings; made when first asked for."""
        if self._explainer is None:
            from k8sgpt_magic.explain.explainer import Explainer

            self._explainer = Explainer(self)
        return self._explainer

    @property
    def metrics(self) -> Metrics:
        """This session's analyses as Prometheus metrics; raises ``K8sGPTError`` where its library is missing."""
        if self._metrics is None:
            from k8sgpt_magic.metrics import Metrics

            self._metrics = Metrics(self)
        return self._metrics

    def findings(self) -> list[Finding]:
        """The findings of the newest analysis, with all they know."""
        return list(self._findings.values())

    def finding(self, id: str) -> Finding | None:
        """A finding of the newest analysis, with all it knows, by its id."""
        return self._findings.get(id)

    def analyze(
        self,
        namespace: str | Sequence[str] = (),
        *,
        all_namespaces: bool = False,
        filter: str | Sequence[str] = (),
        selector: str = "",
        severity: str = "",
        context: str | Sequence[str] = "",
        kubeconfig: str = "",
        source: str | Sequence[str] = "",
        max_concurrency: int = MAX_CONCURRENCY,
        max_age: float = MAX_AGE,
        refresh: bool = False,
        timeout: float = TIMEOUT,
        dask: str = "",
        ship_credentials: bool = False,
        progress: ProgressView | None = None,
    ) -> Findings:
        """Read a cluster and judge it; or several.

        ``namespace`` and ``filter`` (kinds) take a name, a comma list or a sequence; namespaces may be globs. No
        namespace means all of them. ``selector`` is a label selector as ``kubectl -l`` takes it; ``severity`` the
        least that is shown. ``source`` is ``demo``, ``live``, or a path or URL of a snapshot; without one it is
        the kubeconfig's current context or the cluster this runs in, and the demo where there is neither. Several
        contexts or sources (comma lists, sequences, globs: ``*``, ``s3://bucket/**/*.tar.gz``) are analyzed together;
        the column ``context`` tells them apart, and one that cannot be read costs itself only. With ``dask``, the
        address of a Dask scheduler, its workers analyze them, with kubeconfigs of their own unless
        ``ship_credentials`` sends them what is needed of this one.
        ``max_age`` (seconds) lets lists of an earlier analysis serve again; ``refresh`` reads anew.
        ``timeout`` (seconds) bounds the reading.

        Returns the findings, worst first. Raises ``K8sGPTError`` where nothing at all could be read and
        ``InvalidOption`` for an option that makes no sense.
        """
        query = Query(
            namespaces=_listed(namespace),
            all_namespaces=all_namespaces,
            filters=_listed(filter),
            selector=selector,
            severity=severity,
            context=",".join(_listed(context)),
            kubeconfig=kubeconfig,
            source=source if isinstance(source, str) else ",".join(source),
            max_concurrency=max_concurrency,
            max_age=max_age,
            refresh=refresh,
            timeout=timeout,
            dask=dask,
            ship_credentials=ship_credentials,
        )
        state = Progress()
        return self._waited(self._analyze(query, state), state, progress)

    def save_snapshot(
        self,
        file: str,
        namespace: str | Sequence[str] = (),
        *,
        all_namespaces: bool = False,
        context: str = "",
        kubeconfig: str = "",
        source: str = "",
        max_concurrency: int = MAX_CONCURRENCY,
        timeout: float = TIMEOUT,
        progress: ProgressView | None = None,
    ) -> Saved:
        """Save what analyses read to a file (``.tar.gz``), Secrets without values, to analyze with ``source=file``.

        The options are those of ``analyze``; ``timeout`` bounds each list. Returns what was saved; printed, it is one
        line. Raises ``SnapshotError`` where the file cannot be written.
        """
        query = Query(
            namespaces=_listed(namespace),
            all_namespaces=all_namespaces,
            context=context,
            kubeconfig=kubeconfig,
            source=source,
            max_concurrency=max_concurrency,
            timeout=timeout,
        )
        state = Progress()
        return self._waited(self._save(file, query, state), state, progress)

    def analysis(self, number: int = 0) -> Findings:
        """An analysis of this session by its number in ``%k8sgpt history``; 0 is the newest.

        Raises ``InvalidOption`` for one that there is not, or no longer.
        """
        if not self.history:
            raise InvalidOption("there is no analysis yet; run %k8sgpt analyze first")
        if not number:
            return self.history[-1]
        for frame in self.history:
            if frame.attrs["number"] == number:
                return frame
        known = [frame.attrs["number"] for frame in self.history]
        raise InvalidOption(f"there is no analysis {number}; %k8sgpt history has {known[0]} to {known[-1]}")

    def view_of(self, findings: pd.DataFrame) -> ClusterView | None:
        """What the newest analysis saw, if these are its findings; what earlier ones saw is not kept."""
        newest = self.last
        return self.view if newest is not None and newest.attrs["number"] == findings.attrs.get("number") else None

    def keep_explanations(self, explained: Findings) -> None:
        """Remember what explained rows say beyond findings, for reports of the analysis that they are of."""
        number = explained.attrs.get("number", 0)
        if any(frame.attrs["number"] == number for frame in self.history):
            known = self._explanations.setdefault(number, {})
            known.update({row.pop("id"): row for row in explained[["id", *_added(explained)]].to_dict("records")})

    def with_explanations(self, findings: Findings) -> Findings:
        """An analysis with the columns that ``%explain`` filled, if it did; empty where a row was not explained."""
        import pandas as pd

        from k8sgpt_magic.frame import Findings

        known = self._explanations.get(findings.attrs.get("number", 0))
        if not known:
            return findings
        names = list(next(iter(known.values())))
        filled = Findings(findings.copy())
        for name in names:
            empty: Any = [] if name == "commands" else ""
            values = [known.get(key, {}).get(name, empty) for key in findings["id"]]
            filled[name] = pd.Series(values, dtype=object, index=filled.index)
        filled.attrs = findings.attrs
        return filled

    def with_docs(self, findings: Findings) -> Findings:
        """Findings of the newest analysis with a column ``doc``: what the cluster documents the field as that each
        rests on, "" where it does not. Where there is no documentation at all, a note says why."""
        import pandas as pd

        from k8sgpt_magic.cluster.openapi import Documentation
        from k8sgpt_magic.frame import Findings

        if self._documentation is None:
            self._documentation = Documentation()
        found: dict[str, str] = {}
        told: dict[str, None] = {}
        for context, seen in self.seen.items():
            own = [each for each in self.findings() if each.context == context]
            fields, note = self.engine.run(self._documentation.of(seen.source, own))
            found |= fields
            if note:
                told[note] = None
        filled = Findings(findings.copy())
        filled["doc"] = pd.Series([found.get(key, "") for key in findings["id"]], dtype="str", index=filled.index)
        filled.attrs = {**findings.attrs, "notes": [*findings.attrs["notes"], *told]}
        return filled.of_session(self)

    def diff(
        self,
        before: int | pd.DataFrame = 0,
        after: int | pd.DataFrame = 0,
        *,
        against: str = "",
        against_context: str = "",
        progress: ProgressView | None = None,
    ) -> Changes:
        """What changed from one analysis to another, each given as a DataFrame or by its number in the history.

        Without any, from the last but one to the last. ``against`` is a snapshot (or what else ``analyze`` takes as
        ``source``) and ``against_context`` a context: it is analyzed as the later of the two was, compared, and not
        remembered. Raises ``InvalidOption`` where there is nothing to compare, and what ``analyze`` raises.
        """
        from k8sgpt_magic.diagnosis.diff import diff

        later = self.analysis(after) if isinstance(after, int) else after
        if against or against_context:
            if against and against_context:
                raise InvalidOption("--against and --against-context name two different things to compare with")
            if not (isinstance(before, int) and before == 0):
                raise InvalidOption(
                    "compare with an analysis of the history, a snapshot or a context: one of the three"
                )
            return diff(self._like(later, against, against_context, progress), later)
        if isinstance(before, int):
            if not before:
                before = self._number_before(later)
            earlier: pd.DataFrame = self.analysis(before)
        else:
            earlier = before
        return diff(earlier, later)

    def _number_before(self, later: pd.DataFrame) -> int:
        number = later.attrs.get("number", 0)
        earlier = [frame.attrs["number"] for frame in self.history if frame.attrs["number"] < number]
        if not earlier:
            raise InvalidOption(
                "there is no earlier analysis to compare with: analyze again, or name a snapshot (--against FILE)"
            )
        return int(earlier[-1])

    def _like(self, later: pd.DataFrame, source: str, context: str, progress: ProgressView | None) -> Findings:
        """Another source, analyzed as an analysis of this session was."""
        from k8sgpt_magic.frame import Findings

        asked = later.attrs.get("asked", {})
        query = Query(
            # Globs are expanded already: the other side might have no namespace to match.
            namespaces=tuple(later.attrs.get("namespaces", ())),
            filters=tuple(asked.get("filter", ())),
            selector=asked.get("selector", ""),
            severity=asked.get("severity", ""),
            kubeconfig="" if source else asked.get("kubeconfig", ""),
            source=source,
            context=context,
        )
        state = Progress()
        _, diagnosis, summary = self._waited(self._made(query, state), state, progress)
        return Findings.of(diagnosis.findings, summary)

    def known_namespaces(self, *, context: str = "", kubeconfig: str = "", source: str = "") -> list[str]:
        """The namespaces of all that was read of a source in this session, whatever its age. Asks nobody."""
        opened = self._sources.get((source, context, kubeconfig))
        return self.lists.namespaces(opened.identity) if opened else []

    def list_namespaces(
        self, *, context: str = "", kubeconfig: str = "", source: str = "", timeout: float = 5.0
    ) -> None:
        """Read the list of namespaces of a source, so that ``known_namespaces`` has it.

        Raises ``K8sGPTError`` as ``analyze`` does.
        """
        query = Query(context=context, kubeconfig=kubeconfig, source=source, timeout=timeout)

        async def read() -> None:
            opened = self.source(query)
            await opened.open()
            await self._read(opened, [Namespace], [], query, Progress())

        self.engine.run(read())

    async def analyze_async(self, **options: Any) -> Findings:
        """``analyze`` for who has a loop of their own: ``await session.analyze_async(namespace="shop")``."""
        return await in_thread(lambda: self.analyze(**options))

    def close(self) -> None:
        """Close connections and end the engine's thread. The session may be used again afterwards."""
        if self._metrics is not None:
            self._metrics.stop()
        _close(self.engine, self._sources, self._watches)

    def watch(
        self,
        namespace: str | Sequence[str] = (),
        *,
        all_namespaces: bool = False,
        filter: str | Sequence[str] = (),
        selector: str = "",
        severity: str = "",
        context: str = "",
        kubeconfig: str = "",
        source: str = "",
        max_concurrency: int = MAX_CONCURRENCY,
        timeout: float = TIMEOUT,
        interval: float = INTERVAL,
        progress: ProgressView | None = None,
    ) -> Watch:
        """Judge a live cluster, and again whenever it changes: at most once in ``interval`` seconds.

        The other options are those of ``analyze``. Returns after the first analysis; the watch goes on in the
        background until its ``stop``, the end of a ``with`` or the session's ``close``. One that watched the same
        before is stopped. Raises as ``analyze`` does, and ``InvalidOption`` for what never changes, such as the demo.
        """
        query = Query(
            namespaces=_listed(namespace),
            all_namespaces=all_namespaces,
            filters=_listed(filter),
            selector=selector,
            severity=severity,
            context=context,
            kubeconfig=kubeconfig,
            source=source,
            max_concurrency=max_concurrency,
            timeout=timeout,
        )
        if interval <= 0:
            raise InvalidOption("--interval must be more than 0 seconds")
        state = Progress()
        watch = self._waited(self._watch(query, interval, state), state, progress)
        for other in self._watches:
            if other.query == query:
                other.stop("stopped, as another watch of the same began")
        self._watches[:] = [each for each in self._watches if each.is_running] + [watch]
        return watch

    def stop_watches(self) -> int:
        """Stop all watches that go on, and say how many there were."""
        going_on = [each for each in self._watches if each.is_running]
        for each in going_on:
            each.stop()
        self._watches.clear()
        return len(going_on)

    def source(self, query: Query) -> Source:
        """The source that a query is about, opened once a session."""
        from k8sgpt_magic.cluster.open import open_source

        key = (query.source, query.context, query.kubeconfig)
        with self._lock:
            if key not in self._sources:
                self._sources[key] = open_source(*key)
            return self._sources[key]

    def _waited(self, coroutine: Coroutine[Any, Any, T], state: Progress, progress: ProgressView | None) -> T:
        try:
            return self.engine.run(coroutine, on_wait=(lambda: progress.draw(state.whole())) if progress else None)
        finally:
            if progress:
                progress.close()

    async def _save(self, file: str, query: Query, progress: Progress) -> Saved:
        from k8sgpt_magic.cluster.archive import save

        _check(query)
        await _check_one(query, "snapshot save")
        source = self.source(query)
        await source.open()
        namespaces, _ = await self._namespaces(source, query)
        kinds = list(SAVED.values())
        progress.kinds = len(kinds)
        counts: dict[tuple[str, str], int] = {}

        def on_page(kind: str, namespace: str, objects: int, finished: bool) -> None:
            counts[kind, namespace] = objects
            progress.objects = sum(counts.values())
            progress.kinds_read += finished

        return await save(
            source,
            file,
            kinds,
            namespaces,
            on_page=on_page,
            max_concurrency=query.max_concurrency,
            timeout=query.timeout,
            fall_back_to=namespaces,
        )

    # --- one analysis ------------------------------------------------------------------------------------

    async def _analyze(self, query: Query, progress: Progress) -> Findings:
        several = await in_thread(lambda: fleet.targets(query))
        if several or query.dask:
            return await self._analyze_several(several, query, progress)
        view, diagnosis, summary = await self._made(query, progress)
        return await self._remember({summary.context: Seen(self.source(query), view)}, diagnosis.findings, summary)

    async def _analyze_several(self, targets: Sequence[Target], query: Query, progress: Progress) -> Findings:
        began = time.perf_counter()
        # What is wrong with the question is so for all of them.
        filters.chosen(query.filters)
        _check(query)
        seen: dict[str, Seen] = {}
        if query.dask:
            from k8sgpt_magic import workers

            if not targets:
                raise InvalidOption("--dask is for several clusters or snapshots: name them by --context or --source")
            outcomes = await workers.analyze(targets, query, progress)
            await in_thread(lambda: self._remember_names(outcomes))
        else:
            if query.ship_credentials:
                raise InvalidOption("--ship-credentials is about the workers of --dask")
            gate = asyncio.Semaphore(fleet.AT_ONCE)
            is_kept = len(targets) <= KEPT_VIEWS

            async def one(target: Target) -> Outcome | Failed:
                async with gate:
                    return await self._analyzed(target, progress, seen if is_kept else None)

            outcomes = await asyncio.gather(*map(one, targets))
        findings, summary = await in_thread(lambda: fleet.together(outcomes))
        summary.seconds = time.perf_counter() - began
        summary.analyzed_at = datetime.now(UTC).isoformat(timespec="seconds")
        summary.asked = _asked(query)
        return await self._remember(seen, findings, summary)

    def _remember_names(self, outcomes: Iterable[Outcome | Failed]) -> None:
        anonymizer = self.anonymizer
        for each in outcomes:
            for text, sort in each.names if isinstance(each, Outcome) else ():
                anonymizer.remember(text, sort)

    async def _analyzed(self, target: Target, progress: Progress, seen: dict[str, Seen] | None) -> Outcome | Failed:
        """One of several. Never raises: what is wrong with one costs that one."""
        progress.parts.append(part := Progress(clusters=1))
        try:
            view, diagnosis, summary = await self._made(target.query, part, target.name)
            source = self.source(target.query)
            if seen is not None:
                seen[target.name] = Seen(source, view)
                return Outcome(target.name, diagnosis.findings, summary)
            await in_thread(lambda: self.anonymizer.learn(view))
            await self._let_go(source, target)
            return Outcome(target.name, diagnosis.findings, summary)
        except (K8sGPTError, InvalidOption) as error:
            return Failed(target.name, getattr(error, "message", str(error)))
        except Exception as error:  # noqa: BLE001 - nothing that was found elsewhere may be lost
            return Failed(target.name, f"{type(error).__name__}: {error}")
        finally:
            part.clusters_done = 1

    async def _let_go(self, source: Source, target: Target) -> None:
        """Hold no longer what was read of one of many."""
        self.lists.forget(source.identity)
        self._judgements.pop(source.identity, None)
        await source.close()
        with self._lock:
            self._sources.pop((target.query.source, target.query.context, target.query.kubeconfig), None)

    async def made(self, query: Query, name: str) -> Outcome:
        """One of several, for a worker elsewhere: not remembered, and with the names to be masked in its findings."""
        from k8sgpt_magic.explain.anonymize import sensitive

        view, diagnosis, summary = await self._made(query, Progress(), name)
        names = await in_thread(lambda: list({(text, sort) for sort, text in sensitive(view) if text}))
        return Outcome(name, diagnosis.findings, summary, names)

    async def _made(self, query: Query, progress: Progress, name: str = "") -> tuple[ClusterView, Diagnosis, Summary]:
        """An analysis that the session does not remember. Its rows have ``name`` as context, if not the source's."""
        began = time.perf_counter()
        chosen = filters.chosen(query.filters)
        _check(query)
        source = self.source(query)
        await source.open()
        kinds, analyzers = _needed(chosen)
        progress.kinds = len(kinds)
        namespaces, notes = await self._namespaces(source, query)
        reads, age = await self._read(source, kinds, namespaces, query, progress)
        selected = await self._select(source, kinds, namespaces, query) if query.selector else None
        progress.analyzers = len(analyzers)
        view, diagnosis, log_notes = await self._judged(
            source, reads, namespaces, selected, analyzers, chosen, progress, query, name or source.context
        )
        diagnosis = Diagnosis(_at_least(query.severity, diagnosis.findings), diagnosis.errors, diagnosis.seconds)
        notes += [
            *log_notes,
            *_not_served(view, chosen if query.filters else ()),
            *map("Not loaded: {}".format, broken()),
        ]
        summary = _summary(source, view, diagnosis, chosen, namespaces, notes)
        summary.seconds = time.perf_counter() - began
        summary.age = age
        summary.analyzed_at = datetime.now(UTC).isoformat(timespec="seconds")
        summary.asked = _asked(query)
        return view, diagnosis, summary

    async def _watch(self, query: Query, interval: float, progress: Progress) -> Watch:
        from k8sgpt_magic.cluster.live import LiveSource
        from k8sgpt_magic.cluster.open import open_source
        from k8sgpt_magic.cluster.watch import Following
        from k8sgpt_magic.watch import Watch

        chosen = filters.chosen(query.filters)
        _check(query)
        await _check_one(query, "watch")
        # Connections of its own, closed with it.
        source = open_source(query.source, query.context, query.kubeconfig)
        if not isinstance(source, LiveSource):
            raise InvalidOption(
                f"watch needs a live cluster: {source.context} never changes"
                if query.source
                else "watch needs a live cluster, and there is none: name a kubeconfig with --kubeconfig"
            )
        watch = None
        try:
            await source.open()
            kinds, analyzers = _needed(chosen)
            namespaces, notes = await self._namespaces(source, query)
            progress.kinds, progress.analyzers = len(kinds), len(analyzers)
            following = Following(source, max_concurrency=query.max_concurrency, timeout=query.timeout)
            await following.start(
                kinds,
                namespaces if len(namespaces) <= _LISTED_ONE_BY_ONE else [],
                on_page=_counted(progress),
                fall_back_to=namespaces,
            )
            judge = _judge_of(source, query, chosen, analyzers, namespaces, notes, progress)
            watch = Watch(query, self.engine, interval)
            await watch.begin(following, judge)
            return watch
        except BaseException:
            if watch is not None:
                await watch.end()
            await source.close()
            raise

    async def _judged(
        self,
        source: Source,
        reads: Sequence[Read],
        namespaces: list[str],
        selected: frozenset[ObjectRef] | None,
        analyzers: Sequence[Analyzer],
        chosen: Sequence[Analyzer],
        progress: Progress,
        query: Query,
        context: str,
    ) -> tuple[ClusterView, Diagnosis, list[str]]:
        """The view of some reads and what the analyzers say of it: of the same reads they say the same.

        Lists that serve again are judged as of the time they were read, so nothing new could come of judging twice.
        """
        key = (tuple(sorted(map(id, reads))), tuple(namespaces), selected, tuple(analyzers), tuple(chosen), context)
        if (kept := self._judgements.get(source.identity)) is not None and kept[0] == key:
            progress.analyzers_done = progress.analyzers
            return kept[2]
        view = _view(source, reads, namespaces, selected, context)
        log_notes = await _with_logs(view, source, chosen, query.timeout)
        diagnosis = await _judge(view, analyzers, [each.name for each in chosen], progress, query.timeout)
        # The reads are kept too, or another could come to have the id of one of them.
        self._judgements[source.identity] = (key, list(reads), (view, diagnosis, log_notes))
        return view, diagnosis, log_notes

    async def _remember(self, seen: dict[str, Seen], findings: list[Finding], summary: Summary) -> Findings:
        from k8sgpt_magic.frame import Findings

        await self._learn_before(seen)
        with self._lock:
            self._numbered += 1
            summary.number = self._numbered
        self.seen = seen
        current = {each.source.identity for each in seen.values()}
        self._judgements = {identity: kept for identity, kept in self._judgements.items() if identity in current}
        frame = Findings.of(findings, summary).of_session(self)
        self._findings = {finding.id: finding for finding in findings}
        self.history.append(frame)
        self._forget_oldest()
        return frame

    async def _learn_before(self, seen: dict[str, Seen]) -> None:
        """Keep the names of what was seen before: its rows may still be explained, when it is held no longer."""
        views = {id(each.view) for each in seen.values()}
        leaving = [each.view for each in self.seen.values() if id(each.view) not in views]
        if any(leaving) or (self._findings and not self.seen):
            before = list(self._findings.values())

            def learn() -> None:
                anonymizer = self.anonymizer
                for finding in before:
                    for name in finding.masked:
                        anonymizer.remember(name, "name")

            await in_thread(learn)

    def _forget_oldest(self) -> None:
        """Keep the history bounded, in analyses and in findings; two are always there to be compared."""
        while len(self.history) > 2 and (
            len(self.history) > KEPT_ANALYSES or sum(map(len, self.history)) > KEPT_FINDINGS
        ):
            forgotten = self.history.pop(0)
            self._explanations.pop(forgotten.attrs["number"], None)

    async def _namespaces(self, source: Source, query: Query) -> tuple[list[str], list[str]]:
        """The namespaces asked for, globs expanded, and what to tell the user about them."""
        if query.all_namespaces or not query.namespaces:
            return [], []
        read = await self._list_of_namespaces(source, query)
        known = [each.name for each in read.objects] if read.result.status == "read" else None
        notes = []
        wanted: dict[str, None] = {}
        for asked in query.namespaces:
            if not set(asked) & set("*?["):
                wanted[asked] = None
                if known is not None and asked not in known:
                    notes.append(f"There is no namespace {asked!r} in {source.context}{nearest(asked, known)}")
                continue
            if known is None:
                raise InvalidOption(
                    f"{asked!r} needs the list of namespaces, which you may not read: name them instead"
                )
            matching = [name for name in known if fnmatchcase(name, asked)]
            if not matching:
                raise InvalidOption(f"no namespace matches {asked!r}; there are {joined(known, 10)}")
            wanted.update(dict.fromkeys(matching))
        return list(wanted), notes

    async def _list_of_namespaces(self, source: Source, query: Query) -> Read:
        try:
            [read], _ = await self._read(source, [Namespace], [], query, Progress())
        except Forbidden as error:
            # Who may read some namespaces need not be allowed to list them all.
            read = Read(Namespace.kind, "", ReadResult(kind=Namespace.kind, status="forbidden", reason=error.message))
            self.lists.put(source.identity, Namespace, "", [read])
        return read

    async def _read(
        self, source: Source, kinds: Sequence[type[Resource]], namespaces: list[str], query: Query, progress: Progress
    ) -> tuple[list[Read], float]:
        """All lists needed, from the session where they are young enough, and the age of the oldest."""
        max_age = -1.0 if query.refresh else query.max_age
        one_by_one = namespaces if len(namespaces) <= _LISTED_ONE_BY_ONE else []
        found: dict[int, Read] = {}
        oldest = 0.0
        lacking: dict[tuple[str, ...], list[type[Resource]]] = {}
        for kind in kinds:
            lacks = []
            for scope in kind.scopes(one_by_one):
                kept = self.lists.get(source.identity, kind, scope, max_age)
                if kept is None:
                    lacks.append(scope)
                    continue
                oldest = max(oldest, kept[1])
                for read in kept[0]:
                    read.result.from_cache = True
                    found[id(read)] = read
            if not lacks:
                progress.kinds_read += 1
            elif kind.namespaced and not kind.home:
                lacking.setdefault(tuple(lacks), []).append(kind)
            else:
                # Read once whatever the namespaces are, so with the first batch.
                lacking.setdefault(tuple(one_by_one) or ("",), []).append(kind)
        for scopes, lacking_kinds in lacking.items():
            named = [scope for scope in scopes if scope]
            reads = await self._read_anew(source, lacking_kinds, named, namespaces, query, progress)
            found.update((id(read), read) for read in reads)
        progress.objects = sum(len(read.objects) for read in found.values())
        return list(found.values()), oldest

    async def _read_anew(
        self,
        source: Source,
        kinds: list[type[Resource]],
        scopes: list[str],
        namespaces: list[str],
        query: Query,
        progress: Progress,
    ) -> list[Read]:
        reads = await source.read(
            kinds,
            scopes,
            on_page=_counted(progress),
            max_concurrency=query.max_concurrency,
            timeout=query.timeout,
            fall_back_to=namespaces,
        )
        by_kind: dict[str, list[Read]] = {}
        for read in reads:
            by_kind.setdefault(read.kind, []).append(read)
        for kind in kinds:
            of_kind = by_kind.get(kind.kind, [])
            for scope in kind.scopes(scopes):
                # What was read in place of all namespaces belongs to the entry for all of them.
                own = [read for read in of_kind if not scope or read.namespace == scope]
                self.lists.put(source.identity, kind, scope, own)
        return reads

    async def _select(
        self, source: Source, kinds: Sequence[type[Resource]], namespaces: list[str], query: Query
    ) -> frozenset[ObjectRef]:
        key = (source.identity, query.selector, *sorted(namespaces), "|", *sorted(kind.kind for kind in kinds))
        kept = self.lists.get_selection(key, -1.0 if query.refresh else query.max_age)
        if kept is not None:
            return kept
        labelled = [kind for kind in kinds if kind not in _UNLABELLED]
        one_by_one = namespaces if len(namespaces) <= _LISTED_ONE_BY_ONE else []
        selected = await source.select(
            labelled, one_by_one, query.selector, max_concurrency=query.max_concurrency, timeout=query.timeout
        )
        return self.lists.put_selection(key, selected)


async def _with_logs(view: ClusterView, source: Source, chosen: Sequence[Analyzer], timeout: float) -> list[str]:
    """Put into a view the logs that its analyzers ask for; what to tell about those that could not be read."""
    if not any(each.logs for each in chosen):
        return []
    wanted = await in_thread(lambda: [request for each in chosen if each.logs for request in each.logs(view)])
    view.logs, notes = await read_logs(source, wanted, timeout=timeout)
    return notes


async def _judge(
    view: ClusterView, analyzers: Sequence[Analyzer], show: Sequence[str], progress: Progress, timeout: float
) -> Diagnosis:
    stopped = threading.Event()

    def on_progress(_: str) -> None:
        progress.analyzers_done += 1
        if stopped.is_set():
            raise _Stopped

    try:
        return await in_thread(lambda: diagnose(view, analyzers, show=show, on_progress=on_progress, timeout=timeout))
    finally:
        stopped.set()


class _Stopped(BaseException):
    """Ends the analyzers of an interrupted analysis; nobody waits for them any more."""


def _counted(progress: Progress) -> OnPage:
    """Counts into ``progress`` what is read anew."""
    counts: dict[tuple[str, str], int] = {}
    already = progress.objects

    def on_page(kind: str, namespace: str, objects: int, finished: bool) -> None:
        counts[kind, namespace] = objects
        progress.objects = already + sum(counts.values())
        # Lists in place of one that was forbidden come on top.
        progress.kinds_read = min(progress.kinds, progress.kinds_read + finished)

    return on_page


def _judge_of(
    source: Source,
    query: Query,
    chosen: Sequence[Analyzer],
    analyzers: Sequence[Analyzer],
    namespaces: list[str],
    notes: list[str],
    progress: Progress,
) -> Judge:
    """What a watch judges its lists with, again and again; the session is not needed for it."""
    selector = selectors.parse(query.selector)

    async def judge(reads: Sequence[Read]) -> tuple[Diagnosis, Summary]:
        began = time.perf_counter()
        progress.analyzers_done = 0
        view = _view(source, reads, namespaces, _selected(reads, selector) if selector else None)
        diagnosis = await _judge(view, analyzers, [each.name for each in chosen], progress, query.timeout)
        diagnosis = Diagnosis(_at_least(query.severity, diagnosis.findings), diagnosis.errors, diagnosis.seconds)
        summary = _summary(source, view, diagnosis, chosen, namespaces, notes)
        summary.seconds = time.perf_counter() - began
        return diagnosis, summary

    return judge


def _selected(reads: Sequence[Read], selector: selectors.Selector) -> frozenset[ObjectRef]:
    """What the server would select, of objects that are at hand and change all the time."""
    return frozenset(
        each.ref
        for read in reads
        if KINDS[read.kind] not in _UNLABELLED
        for each in read.objects
        if selectors.matches(selector, each.metadata.labels)
    )


def _close(engine: Engine, sources: dict[tuple[str, str, str], Source], watches: list[Watch]) -> None:
    opened, watching = list(sources.values()), list(watches)
    sources.clear()
    watches.clear()

    async def close_all() -> None:
        for watch in watching:
            await watch.end("stopped with the session")
        for source in opened:
            await source.close()

    if engine.is_running:
        engine.run(close_all())
    engine.stop()


def _needed(chosen: Sequence[Analyzer]) -> tuple[list[type[Resource]], list[Analyzer]]:
    """The kinds that some analyzers read, and all analyzers that these are enough for."""
    kinds = [KINDS[kind] for kind in dict.fromkeys(kind for each in chosen for kind in each.reads) if kind in KINDS]
    # Analyzers of the other kinds that were read anyway can tell what caused what.
    read_kinds = {kind.kind for kind in kinds}
    return kinds, [
        each for each in registered().values() if each in chosen or (each.default and each.kind in read_kinds)
    ]


async def _check_one(query: Query, what: str) -> None:
    if several := await in_thread(lambda: fleet.targets(query)):
        raise InvalidOption(f"{what} takes one cluster at a time, not {joined([each.name for each in several], 3)}")


def _check(query: Query) -> None:
    if query.severity and query.severity not in SEVERITIES:
        raise InvalidOption(f"unknown severity {query.severity!r}; there are {joined(SEVERITIES)}")
    if query.selector:
        try:
            selectors.parse(query.selector)
        except ValueError as error:
            raise InvalidOption(str(error)) from None
    if query.context and query.source not in ("", "live"):
        raise InvalidOption(
            f"--context is of a kubeconfig, and --source {query.source} has none: leave one of them out"
        )
    if query.max_concurrency < 1:
        raise InvalidOption("--max-concurrency must be at least 1")
    if query.timeout <= 0:
        raise InvalidOption("--timeout must be more than 0 seconds")


def _view(
    source: Source,
    reads: Sequence[Read],
    namespaces: list[str],
    selected: frozenset[ObjectRef] | None,
    context: str = "",
) -> ClusterView:
    objects: dict[str, list[Resource]] = {}
    undecodable = []
    seen: set[tuple[str, str]] = set()
    for read in reads:
        # A kind read in all namespaces and, from an earlier cell, in one of them comes twice.
        if (read.kind, "") in seen or (read.kind, read.namespace) in seen:
            continue
        if read.result.status in ("read", "partial"):
            seen.add((read.kind, read.namespace))
        kept = objects.setdefault(read.kind, [])
        if kept:
            kept.extend(read.objects)
        else:
            objects[read.kind] = read.objects if len(reads) == 1 else list(read.objects)
        undecodable += read.undecodable
    return ClusterView(
        objects,
        [read.result for read in reads],
        undecodable=undecodable,
        namespaces=namespaces,
        selected=selected,
        now=source.now(),
        context=context or source.context,
    )


def _at_least(severity: str, findings: list[Finding]) -> list[Finding]:
    if not severity:
        return findings
    wanted = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return [finding for finding in findings if finding.severity in wanted]


def _summary(
    source: Source,
    view: ClusterView,
    diagnosis: Diagnosis,
    chosen: Sequence[Analyzer],
    namespaces: list[str],
    notes: list[str],
) -> Summary:
    from k8sgpt_magic.frame import Summary

    return Summary(
        context=view.context,
        source=source.description,
        is_demo=source.identity == "demo",
        taken_at=view.now.isoformat(timespec="seconds"),
        namespaces=namespaces,
        objects=len(view),
        kinds=len({read.kind for read in view.reads if read.status != "absent"}),
        analyzers=[each.name for each in chosen],
        unreadable=_unreadable(view.reads),
        errors=[msgspec.structs.asdict(error) for error in diagnosis.errors],
        notes=notes,
        reads=[msgspec.structs.asdict(read) for read in view.reads],
        analyzer_seconds=diagnosis.seconds,
    )


def _not_served(view: ClusterView, asked: Iterable[Analyzer]) -> list[str]:
    """One line of what was asked for by name and this cluster has not; elsewhere that is nothing to tell."""
    kinds = [KINDS[each.kind] for each in asked if each.kind]
    absent = [kind for kind in kinds if kind.optional and not view.serves(kind)]
    names = [f"{kind.plural}.{kind.group}" for kind in absent]
    return [f"Not served by {view.context}: {joined(names, 20)}."] if names else []


def _unreadable(reads: Sequence[ReadResult]) -> list[str]:
    """What could not be read, a line for each reason. An API that is not served is not a fault."""
    scopes: dict[str, list[ReadResult]] = {}
    for read in reads:
        scopes.setdefault(read.kind, []).append(read)
    lines: dict[str, list[str]] = {}
    for kind, results in scopes.items():
        plural = KINDS[kind].plural
        readable = [result.namespace for result in results if result.status == "read"]
        refused = [result.namespace for result in results if result.status == "forbidden"]
        if "" in refused and readable:
            lines.setdefault(f"forbidden outside {joined(readable)}", []).append(plural)
        elif refused:
            where = f" in {joined(refused)}" if "" not in refused else ""
            lines.setdefault(f"forbidden{where}", []).append(plural)
        for result in results:
            if result.status in ("failed", "partial"):
                how = "read in part" if result.status == "partial" else "failed"
                where = f" in {result.namespace}" if result.namespace else ""
                lines.setdefault(f"{how}{where}, {result.reason}", []).append(plural)
    return [f"{joined(sorted(plurals), 40)} ({reason})" for reason, plurals in lines.items()]


def _added(explained: Findings) -> list[str]:
    from k8sgpt_magic.frame import COLUMNS

    return [name for name in explained.columns if name not in COLUMNS]


def _asked(query: Query) -> dict[str, Any]:
    """The options that were not left out and decide what is found, under the names that ``Session.analyze`` has."""
    names = {"namespaces": "namespace", "filters": "filter"}
    passing = ("max_concurrency", "max_age", "refresh", "timeout")
    return {
        names.get(field.name, field.name): list(value) if isinstance(value, tuple) else value
        for field in msgspec.structs.fields(Query)
        if field.name not in passing and (value := getattr(query, field.name)) != field.default
    }


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    """``"a,b"``, ``["a", "b,c"]`` and the like as one tuple without blanks."""
    several = [names] if isinstance(names, str) else names
    return tuple(
        dict.fromkeys(part for name in several for part in (piece.strip() for piece in name.split(",")) if part)
    )
