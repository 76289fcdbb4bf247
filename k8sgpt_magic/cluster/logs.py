"""The logs that analyzers ask for, bounded in number, length and time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from k8sgpt_magic.cluster.source import LogSource, Source
from k8sgpt_magic.cluster.view import LogRequest
from k8sgpt_magic.errors import Forbidden, K8sGPTError
from k8sgpt_magic.wording import count, joined

MOST = 200
"""Logs read in one analysis at most, the first that were asked for."""


async def read_logs(
    source: Source, requests: Iterable[LogRequest], *, timeout: float = 30.0
) -> tuple[dict[LogRequest, str], list[str]]:
    """The logs that could be read, and one line for people for each reason that others could not.

    ``timeout`` (seconds) bounds all of them. Never raises for a log that cannot be read.
    """
    wanted = list(dict.fromkeys(requests))
    if not wanted:
        return {}, []
    if not isinstance(source, LogSource):
        return {}, [f"There are no logs in {source.context}."]
    found: dict[LogRequest, str] = {}
    failures: dict[str, dict[str, None]] = {}

    async def one(request: LogRequest) -> None:
        try:
            found[request] = await source.logs(
                request.namespace,
                request.pod,
                request.container,
                previous=request.previous,
                lines=request.lines,
                limit=request.limit,
            )
        except K8sGPTError as error:
            # The run before may have left no log; that is nothing to tell.
            if not request.previous or isinstance(error, Forbidden):
                failures.setdefault(error.message, {})[request.pod] = None

    asked = wanted[:MOST]
    gate = asyncio.Semaphore(10)

    async def bounded(request: LogRequest) -> None:
        async with gate:
            await one(request)

    tasks = [asyncio.ensure_future(bounded(each)) for each in asked]
    try:
        _, late = await asyncio.wait(tasks, timeout=timeout)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    notes = [f"No logs of {joined(names, 3)}: {failure}" for failure, names in failures.items()]
    if late:
        notes.append(f"{count(len(late), 'log')} did not come within {timeout:g} s.")
    if len(wanted) > len(asked):
        notes.append(
            f"Logs were read of {len(asked)} of {count(len(wanted), 'container')}: name a namespace for more."
        )
    return found, notes
