"""An analysis that goes on: judged again when the cluster changes, with what is new and what is resolved."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
from msgspec import Struct

from k8sgpt_magic.cluster.source import Read
from k8sgpt_magic.cluster.watch import Following
from k8sgpt_magic.diagnosis.diagnose import Diagnosis
from k8sgpt_magic.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

    from k8sgpt_magic.engine import Engine
    from k8sgpt_magic.frame import Findings, Summary
    from k8sgpt_magic.session import Query

# A burst of changes is judged once it is over, or nearly.
_SETTLE = 0.1
# Without any change a grace period may pass, or a heartbeat stay out.
_RECHECK = 30.0
# Judging takes at most one part in so many of the time.
_SHARE = 4
_KEPT_RESOLVED = timedelta(minutes=5)
_KEPT_CHANGES = 10_000
_STOP_SECONDS = 2.0
# How long the waiting thread sleeps between two looks at Ctrl-C.
_SLICE = 0.1

Judge = Callable[[Sequence[Read]], Awaitable[tuple[Diagnosis, "Summary"]]]


class Change(Struct, frozen=True):
    """A finding that appeared or went, and when that was seen."""

    at: datetime
    what: Literal["new", "resolved"]
    finding: Finding


class State(Struct, frozen=True, kw_only=True):
    """A watch at one moment: never changed, but replaced as a whole, so that any thread may look at it.

    ``findings`` are those there are, worst first; ``new`` those of them that the first analysis had not, by id with
    the time; ``resolved`` what went within the last minutes. ``trouble`` says what is not up to date, ``note`` what
    never is, ``ended`` why the watch ended, "" while it goes on.
    """

    findings: list[Finding]
    summary: Any
    since: datetime
    new: dict[str, datetime] = {}
    resolved: tuple[Change, ...] = ()
    appeared: int = 0
    went: int = 0
    trouble: str = ""
    note: str = ""
    ended: str = ""
    until: datetime | None = None


class WatchView(Protocol):
    def show(self, state: State) -> None:
        """Called on the engine's thread with each new state; the last one has ``ended``."""
        ...


class Watch:
    """A watch of a cluster, as ``Session.watch`` and ``%k8sgpt watch`` begin it.

    ``findings`` and ``changes`` are DataFrames of how things stand; ``stop()`` ends it, as leaving a ``with`` does.
    """

    def __init__(self, query: Query, engine: Engine, interval: float) -> None:
        self.query = query
        self.interval = interval
        self._engine = engine
        self._state: State | None = None
        self._changes: deque[Change] = deque(maxlen=_KEPT_CHANGES)
        self._views: list[WatchView] = []
        self._frame: tuple[State, Findings] | None = None
        self._changed = asyncio.Event()
        self._troubled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._present: dict[str, Finding] = {}
        self._reason = "stopped"
        self._is_shown = False
        self._finished = threading.Event()

    # --- for the user's thread ---------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Everything at this moment, as views show it."""
        if self._state is None:
            raise RuntimeError("the watch has not begun")
        return self._state

    @property
    def findings(self) -> Findings:
        """The newest findings, as ``Session.analyze`` returns them."""
        from k8sgpt_magic.frame import Findings

        state = self.state
        if self._frame is None or self._frame[0].findings is not state.findings:
            self._frame = (state, Findings.of(state.findings, state.summary))
        return self._frame[1]

    @property
    def changes(self) -> pd.DataFrame:
        """What appeared and what went since the watch began, oldest first; at most the last 10,000."""
        import pandas as pd

        names = ("severity", "code", "kind", "namespace", "name", "container", "message", "id")
        rows = [
            (change.at, change.what, *(getattr(change.finding, name) for name in names))
            for change in self._changes.copy()
        ]
        frame = pd.DataFrame(rows, columns=["at", "change", *names])
        return frame.astype({"at": "datetime64[ns, UTC]"})

    @property
    def is_running(self) -> bool:
        return not self._finished.is_set()

    def add_view(self, view: WatchView) -> None:
        """Show how things stand and, from now on, whenever that changes."""

        async def add() -> None:
            self._views.append(view)
            view.show(self.state)

        if self.is_running and self._engine.is_running:
            # Where all other states are shown, so that none comes too late.
            self._engine.run(add())
        else:
            view.show(self.state)

    def wait(self, seconds: float | None = None, *, on_wait: Callable[[], None] | None = None) -> None:
        """Wait until the watch ends, or for so many seconds. An interrupt ends the waiting, not the watch.

        ``on_wait`` is called in this thread, several times a second.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            left = _SLICE if until is None else max(0.0, min(_SLICE, until - time.monotonic()))
            if self._finished.wait(left):
                break
            if on_wait:
                on_wait()

    def stop(self, why: str = "stopped") -> None:
        """End the watch: when this returns its connections are closed. Stopping it again does nothing.

        Called by a view it returns at once, as what it would wait for is waiting for the view.
        """
        if _is_loop_of(self._task):
            self._cancel(why)
        elif self.is_running and self._engine.is_running:
            self._engine.run(self.end(why))

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        from k8sgpt_magic.views.watching import text

        return text(self.state)

    def shown(self) -> Watch:
        """This watch, which the cell that returns it shows already and so need not show again."""
        self._is_shown = True
        return self

    def _ipython_display_(self) -> None:
        from k8sgpt_magic.views.watching import display

        if not self._is_shown:
            display(self)
        self._is_shown = False

    # --- on the engine's loop ----------------------------------------------------------------------------

    async def begin(self, following: Following, judge: Judge) -> None:
        """Judge what ``following`` has listed, and go on in the background. Owns the source from here on."""
        diagnosis, summary = await judge(following.reads())
        self._present = {finding.id: finding for finding in diagnosis.findings}
        self._state = State(
            findings=diagnosis.findings, summary=summary, since=datetime.now(UTC), note=following.note
        )
        self._task = asyncio.create_task(self._run(following, judge))
        # A task that is cancelled before it began would not clean up.
        await asyncio.sleep(0)

    async def end(self, why: str = "stopped") -> None:
        self._cancel(why)
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_STOP_SECONDS)

    def _cancel(self, why: str) -> None:
        if self._task is not None and not self._task.done():
            self._reason = why
            self._task.cancel()

    async def _run(self, following: Following, judge: Judge) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(following.run(on_change=self._changed.set, on_trouble=self._troubled.set))
                group.create_task(self._tell_of_trouble(following))
                group.create_task(self._judge_again_and_again(following, judge))
        except ExceptionGroup as group_of_one:
            error = group_of_one.exceptions[0]
            self._reason = f"ended by {type(error).__name__}: {error}"
        finally:
            try:
                await following.source.close()
            finally:
                self._show(ended=self._reason, until=datetime.now(UTC), trouble="")
                self._finished.set()

    async def _tell_of_trouble(self, following: Following) -> None:
        while True:
            await self._troubled.wait()
            # What befalls one kind mostly befalls all of them.
            await asyncio.sleep(_SETTLE)
            self._troubled.clear()
            if (following.trouble, following.note) != (self.state.trouble, self.state.note):
                self._show(trouble=following.trouble, note=following.note)

    async def _judge_again_and_again(self, following: Following, judge: Judge) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RECHECK):
                    await self._changed.wait()
                    await asyncio.sleep(min(_SETTLE, self.interval))
            self._changed.clear()
            began = loop.time()
            self._compare(*await judge(following.reads()))
            took = loop.time() - began
            await asyncio.sleep(max(self.interval, _SHARE * took) - took)

    def _compare(self, diagnosis: Diagnosis, summary: Summary) -> None:
        before, now = self.state, datetime.now(UTC)
        present = {finding.id: finding for finding in diagnosis.findings}
        appeared = [Change(now, "new", each) for key, each in present.items() if key not in self._present]
        went = [Change(now, "resolved", each) for key, each in self._present.items() if key not in present]
        self._present = present
        self._changes.extend([*appeared, *went])
        new = {key: at for key, at in before.new.items() if key in present}
        new.update((change.finding.id, now) for change in appeared)
        resolved = tuple(
            change
            for change in (*before.resolved, *went)
            if now - change.at < _KEPT_RESOLVED and change.finding.id not in present
        )
        self._show(
            findings=diagnosis.findings,
            summary=summary,
            new=new,
            resolved=resolved,
            appeared=before.appeared + len(appeared),
            went=before.went + len(went),
        )

    def _show(self, **changes: Any) -> None:
        self._state = msgspec.structs.replace(self.state, **changes)
        for view in list(self._views):
            try:
                view.show(self._state)
            except Exception:  # noqa: BLE001 - a view that cannot be shown any more must not end the watch
                self._views.remove(view)


def _is_loop_of(task: asyncio.Task[None] | None) -> bool:
    """Whether this code is run by the very loop that the task is on."""
    try:
        return task is not None and asyncio.get_running_loop() is task.get_loop()
    except RuntimeError:
        return False
