"""Several clusters or snapshots, analyzed by the workers of a Dask cluster: one task each.

Findings come back as Arrow. A worker uses the kubeconfig that it has itself, unless it is sent one.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from k8sgpt_magic.decoders import known
from k8sgpt_magic.engine import in_thread
from k8sgpt_magic.errors import InvalidOption, K8sGPTError, ServerError, Unreachable
from k8sgpt_magic.fleet import Failed, Outcome, Target
from k8sgpt_magic.session import Query

if TYPE_CHECKING:
    from k8sgpt_magic.session import Progress

_CONNECT_SECONDS = 10.0


class Task(Struct):
    """What a worker is asked for. ``kubeconfig`` is the content of one, or ""."""

    name: str
    query: Query
    kubeconfig: str = ""


async def analyze(targets: Sequence[Target], query: Query, progress: Progress) -> list[Outcome | Failed]:
    """Have each target analyzed by whatever worker is free.

    Raises ``K8sGPTError`` where there is no such Dask cluster, or it has no workers.
    """
    try:
        import distributed
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise K8sGPTError(
            f"--dask needs the package {error.name}.", advice="Install it: pip install 'k8sgpt-magic[dask]'"
        ) from None
    tasks = await in_thread(lambda: [_task(each, query) for each in targets])
    try:
        made: Any = distributed.Client
        client: Any = await made(query.dask, asynchronous=True, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise Unreachable(
            f"No answer from the Dask scheduler {query.dask}: {error}",
            advice="Check the address, such as tcp://scheduler:8786.",
        ) from None
    async with client:
        if not (await client.scheduler.identity())["workers"]:
            raise ServerError(f"The Dask cluster {query.dask} has no workers.", advice="Start some: dask worker")
        futures = {
            client.submit(judge, msgspec.msgpack.encode(task), pure=False, retries=1): task.name for task in tasks
        }
        progress.clusters = len(futures)
        try:
            found = await asyncio.gather(*(_outcome(future, name, progress) for future, name in futures.items()))
        finally:
            await client.cancel(list(futures), force=True)
    return list(found)


async def _outcome(future: Any, name: str, progress: Progress) -> Outcome | Failed:
    """What became of one task. Never raises but for cancellation."""
    try:
        answer = await future
    except ImportError as error:
        answer = f"the worker cannot run it: {error}; install k8sgpt-magic there"
    except Exception as error:  # noqa: BLE001 - whatever a worker does, it costs this target only
        answer = f"the worker failed: {type(error).__name__}: {error}"
    progress.clusters_done += 1
    if isinstance(answer, str):
        return Failed(name, answer)
    from k8sgpt_magic import arrow

    outcome = await in_thread(lambda: arrow.decode(answer))
    progress.objects += outcome.summary.objects
    return outcome


def judge(task: bytes) -> bytes | str:
    """On a worker: the findings of one target as Arrow, or in a line why there are none."""
    from k8sgpt_magic import arrow
    from k8sgpt_magic.session import Session

    asked = msgspec.msgpack.decode(task, type=known(Task))
    session = Session()
    try:
        with _kubeconfig_file(asked.kubeconfig) as path:
            query = msgspec.structs.replace(asked.query, kubeconfig=path or asked.query.kubeconfig)
            return arrow.encode(session.engine.run(session.made(query, asked.name)))
    except (K8sGPTError, InvalidOption) as error:
        return getattr(error, "message", str(error))
    finally:
        session.close()


def _task(target: Target, query: Query) -> Task:
    asked = msgspec.structs.replace(target.query, dask="", ship_credentials=False)
    source = asked.source
    if source and source not in ("demo", "live") and "://" not in source:
        # The same path for who has another working directory, as on a file system that all of them share.
        asked = msgspec.structs.replace(asked, source=str(Path(source).expanduser().absolute()))
    if not query.ship_credentials or source:
        return Task(target.name, asked)
    from k8sgpt_magic.cluster import kubeconfig

    _check_way(query.dask)
    return Task(target.name, asked, kubeconfig.portable(asked.context, asked.kubeconfig))


def _check_way(address: str) -> None:
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme != "tls" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise InvalidOption(
            f"--ship-credentials would send them readable to {address}: it takes a scheduler at tls://..., "
            "or workers with kubeconfigs of their own"
        )


@contextmanager
def _kubeconfig_file(content: str) -> Iterator[str]:
    """A kubeconfig as a file that its owner alone may read, for as long as it is needed."""
    if not content:
        yield ""
        return
    descriptor, path = tempfile.mkstemp(prefix="kubeconfig-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        yield path
    finally:
        Path(path).unlink()
