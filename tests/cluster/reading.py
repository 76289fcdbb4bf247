"""Short ways to read from a cluster in a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.cluster.resources import Pod, Service
from k8sgpt_magic.cluster.source import Read

T = TypeVar("T")

PODS = "/api/v1/pods"
SERVICES = "/api/v1/services"


def with_source(config: Path | str, use: Callable[[LiveSource], Awaitable[T]], *, context: str = "") -> T:
    """Do something with a live source in a loop of its own, and close it."""

    async def once() -> T:
        source = LiveSource(kubeconfig=str(config), context=context)
        try:
            return await use(source)
        finally:
            await source.close()

    return asyncio.run(once())


def read(config: Path | str, *kinds: Any, context: str = "", namespaces: Any = (), **options: Any) -> dict[str, Read]:
    """Read kinds and return the reads by kind, or by kind/namespace where one was named."""
    reads = with_source(
        config, lambda source: source.read(kinds or (Pod, Service), namespaces, **options), context=context
    )
    return {f"{each.kind}/{each.namespace}".rstrip("/"): each for each in reads}


def names(reads: dict[str, Read], key: str) -> list[str]:
    return [each.name for each in reads[key].objects]
