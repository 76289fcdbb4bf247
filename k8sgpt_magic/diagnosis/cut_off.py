"""Analyzers that are not of this package: nobody knows whether they end, and an incident cannot wait for them."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from typing import Any

from k8sgpt_magic.analyzers import Analyze
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Finding


class Told(Exception):
    """A failure of an analyzer whose text is all there is to say: its type adds nothing."""


class CutOff(Told):
    """An analyzer did not end in time."""


class _Stop(BaseException):
    """Raised within an analyzer that was cut off; ``except Exception`` does not keep it."""


def cut_off(analyze: Analyze, view: ClusterView, timeout: float) -> Iterator[Finding]:
    """What an analyzer finds within ``timeout`` seconds; then raises ``CutOff`` where it has not ended.

    Raises what the analyzer raises, after what it had found until then.
    """
    found: list[Finding] = []
    outcome: list[BaseException | None] = []

    def work() -> None:
        try:
            # Not as one list: what was found before an error counts.
            found.extend(map(_checked, analyze(view)))
            outcome.append(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again by who waits
            outcome.append(error)

    worker = threading.Thread(target=work, name=f"k8sgpt-magic-{analyze.__qualname__}", daemon=True)
    worker.start()
    worker.join(timeout)
    is_late = not outcome
    yield from list(found)
    if is_late:
        _stop(worker)
        raise CutOff(f"it did not end within {timeout:g} s and was cut off; what it had found until then is shown")
    if (error := outcome[0]) is not None:
        if isinstance(error, Exception):
            raise error
        raise RuntimeError(f"{type(error).__name__}: {error}")


def _checked(finding: Any) -> Finding:
    if not isinstance(finding, Finding):
        raise TypeError(f"an analyzer yields findings (code.finding(...)), not {type(finding).__name__}")
    return finding


def _stop(worker: threading.Thread) -> None:
    """End a thread at its next line of Python, lest a loop in it takes the kernel's time for ever.

    A call that waits outside of Python is left waiting: the thread is a daemon, and nobody waits for it.
    """
    if worker.ident is not None and worker.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident), ctypes.py_object(_Stop))
