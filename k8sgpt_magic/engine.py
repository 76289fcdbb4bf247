"""The engine: one daemon thread with its own event loop, on which a session does all its waiting.

A notebook's kernel runs a loop of its own that must not be entered twice; waiting elsewhere works from a cell, a
widget callback, a script, a thread and a terminal alike.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# How long the waiting thread sleeps between two looks at progress and at Ctrl-C.
_SLICE = 0.05
# How long an interrupted analysis may take to close its connections.
_GRACE = 0.5


class Engine:
    """Runs coroutines on a loop of its own. The thread starts with the first one and ends with ``stop``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._finalizer: weakref.finalize[[asyncio.AbstractEventLoop], Engine] | None = None

    def run(self, coroutine: Coroutine[Any, Any, T], *, on_wait: Callable[[], None] | None = None) -> T:
        """Run a coroutine to its end and return its result, or raise what it raised.

        ``on_wait`` is called in the waiting thread, several times a second: the place to draw progress. Ctrl-C (a
        kernel's interrupt) cancels the coroutine and is raised again once it has cleaned up, or after half a second.
        """
        loop = self._running()
        if threading.current_thread() is self._thread:
            return _run_reentrant(loop, coroutine)
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            while True:
                # wait, unlike result, does not mistake a TimeoutError of the coroutine's for its own.
                concurrent.futures.wait([future], timeout=_SLICE)
                if future.done():
                    return future.result()
                if on_wait:
                    on_wait()
        except BaseException:
            if not future.done():
                future.cancel()
                with contextlib.suppress(BaseException):
                    self._settle(loop)
            raise

    def stop(self) -> None:
        """End the thread and close its loop; running coroutines are cancelled. May be called twice."""
        with self._lock:
            if self._finalizer is not None:
                self._finalizer()
            if self._thread is not None and self._thread is not threading.current_thread():
                self._thread.join(timeout=2 * _GRACE)
            self._loop = self._thread = self._finalizer = None

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # A forked child has the loop's memory but not its thread.
            if self._loop is None or self._pid != os.getpid() or not self.is_running:
                started = threading.Event()
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop, started), name="k8sgpt-magic", daemon=True
                )
                self._thread.start()
                started.wait()
                self._finalizer = weakref.finalize(self, _end, self._loop)
                # At exit a session still closes its connections on this loop; a daemon thread needs no end.
                self._finalizer.atexit = False
            return self._loop

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give cancelled tasks a moment to close their connections."""
        done = threading.Event()

        async def finish() -> None:
            others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
            if others:
                await asyncio.wait(others, timeout=_GRACE)
            done.set()

        asyncio.run_coroutine_threadsafe(finish(), loop)
        done.wait(_GRACE)


async def in_thread(function: Callable[[], T]) -> T:
    """Await a function that runs in a daemon thread of its own, so that one that hangs holds up nobody's exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        if not future.done():
            set_outcome(outcome)

    def work() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            outcome: tuple[Callable[[Any], None], Any] = (future.set_exception, error)
        else:
            outcome = (future.set_result, result)
        # The loop may have been closed while the function ran.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, name="k8sgpt-magic-analyzers", daemon=True).start()
    return await future


def _serve(loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    loop.call_soon(started.set)
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=_GRACE))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(loop.stop)


def _run_reentrant(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from code that the loop itself is running.

    Only re-entering the loop avoids a deadlock here; nest_asyncio changes asyncio for the whole process, so it is
    applied in this case alone.
    """
    import nest_asyncio

    nest_asyncio.apply(loop)
    return loop.run_until_complete(coroutine)
