"""An analysis of a live cluster against a bare download of the same lists: time, requests, memory."""

from __future__ import annotations

import argparse
import asyncio
import re
import ssl
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import msgspec

from tests.controlplane.audit import Request
from tests.controlplane.controlplane import ControlPlane

from .load import Load, loaded
from .measure import (
    Row,
    at_most,
    exactly,
    forget_peak,
    in_fresh_process,
    mebibytes,
    median,
    milliseconds,
    peak_resident,
    resident,
    table,
    timed,
)
from .objects import PODS_PER_NODE, failing_pods

PODS = 5_000
ROUNDS = 15
# Of each order in which the first analyses and downloads can follow each other.
FRESH_ROUNDS = 2
MEMORY_ROUNDS = 3
TARGET_DOWNLOAD = 1.5
TARGET_SECOND = 0.1
TARGET_MEMORY = 1.0
CONCURRENCY = 10
USER_AGENT = "k8sgpt-magic/"

_TOKEN = re.compile(rb'"continue"\s*:\s*"([^"]+)"')
_TOKEN_WITHIN = 4096


class List(msgspec.Struct):
    """A list request as the source sends it: where to, and with what headers but the credentials."""

    url: str
    query: dict[str, str]
    headers: dict[str, str]


class Counts(msgspec.Struct):
    """The requests of one analysis: lists begun, further pages, and what is neither."""

    lists: int
    pages: int
    others: int

    @property
    def total(self) -> int:
        return self.lists + self.pages + self.others


# --- what is compared with what --------------------------------------------------------------------------------


def analyze(kubeconfig: str, session: Any = None, **options: Any) -> Any:
    """A whole analysis. Without a session it is a new one, with connections of its own."""
    from k8sgpt_magic.session import Session

    used = session or Session()
    try:
        return used.analyze(kubeconfig=kubeconfig, all_namespaces=True, timeout=300, **options)
    finally:
        if session is None:
            used.close()


async def download(lists: Sequence[List], authorization: dict[str, str], tls: ssl.SSLContext | None) -> int:
    """Read the same lists in the same pages, as many at a time, and drop them. Returns their size."""
    gate = asyncio.Semaphore(CONCURRENCY)
    sizes: list[int] = []

    async def get(session: aiohttp.ClientSession, each: List, query: dict[str, str]) -> bytes:
        async with (
            gate,
            session.get(each.url, params=query, headers={**each.headers, **authorization}) as response,
        ):
            response.raise_for_status()
            return await response.read()

    async def one(session: aiohttp.ClientSession, each: List) -> None:
        query = each.query
        while True:
            body = await get(session, each, query)
            sizes.append(len(body))
            token = _TOKEN.search(body, 0, _TOKEN_WITHIN)
            if token is None:
                return
            query = each.query | {"continue": token[1].decode()}

    connector = aiohttp.TCPConnector(limit=0, ssl=tls or True)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=2**20) as session:
        await asyncio.gather(*(one(session, each) for each in lists))
    return sum(sizes)


def recorded(kubeconfig: str) -> list[List]:
    """The lists that an analysis begins with, taken from what aiohttp is about to send."""
    found: list[List] = []

    async def on_request_start(_: Any, __: Any, parameters: aiohttp.TraceRequestStartParams) -> None:
        url = parameters.url
        # Discovery is no list.
        if "limit" in url.query and "continue" not in url.query:
            headers = {key: value for key, value in parameters.headers.items() if key != "Authorization"}
            found.append(List(str(url.with_query(None)), dict(url.query), headers))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(on_request_start)
    make = aiohttp.ClientSession.__init__
    aiohttp.ClientSession.__init__ = lambda self, *args, **options: make(  # type: ignore[method-assign]
        self, *args, **{**options, "trace_configs": [trace]}
    )
    analyze(kubeconfig)
    return found


def counts(requests: Iterable[Request]) -> Counts:
    """What an audit log's requests were."""
    found: Counter[str] = Counter()
    for request in requests:
        query = dict(parse_qsl(urlsplit(request.uri).query))
        found["others" if request.verb != "list" else "pages" if "continue" in query else "lists"] += 1
    return Counts(found["lists"], found["pages"], found["others"])


def expected_pages(reads: Sequence[dict[str, Any]], requests: Sequence[Request]) -> int:
    """How many pages after the first the lists need, by their sizes and the limit that was asked for."""
    queries = [dict(parse_qsl(urlsplit(request.uri).query)) for request in requests if request.verb == "list"]
    limits = {int(query.get("limit", 0)) for query in queries}
    [limit] = limits
    return sum((read["objects"] - 1) // limit for read in reads if read["objects"])


# --- in processes of their own ---------------------------------------------------------------------------------


def alternate(kubeconfig: str, lists: list[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Download and analyze in turns in a process that has done both before; connections are new each time."""
    wanted = msgspec.convert(lists, list[List])
    authorization, tls = _access(kubeconfig)
    phases = Phases()
    seconds: dict[str, list[float]] = {"download": [], "analyze": []}
    size = 0
    attrs: dict[str, Any] = {}
    steps: dict[str, Callable[[], Any]] = {
        "download": lambda: asyncio.run(download(wanted, authorization, tls)),
        "analyze": lambda: analyze(kubeconfig, refresh=True),
    }
    for number in range(-1, rounds):
        for name in steps if number % 2 else reversed(steps):
            phases.clear()
            took, result = timed(steps[name])
            if name == "download":
                size = result
            else:
                attrs = dict(result.attrs)
            if number >= 0:
                seconds[name].append(took)
                if name == "analyze":
                    phases.keep()
    return {
        **seconds,
        "phases": phases.medians(),
        "analyzers": attrs["analyzer_seconds"],
        "read_bytes": sum(read["bytes"] for read in attrs["reads"]),
        "downloaded_bytes": size,
    }


def first(kubeconfig: str, in_notebook: bool) -> dict[str, float]:
    """The first analysis of a process, and the second, from the session's lists.

    A notebook's kernel has loaded the extension, with its session, and imported what the first needs while its user
    typed; a script has not.
    """
    from k8sgpt_magic import ahead, shared_session

    if in_notebook:
        shared_session()
        ahead.import_all(in_notebook=True)

    began, session = timed(shared_session)
    seconds, _ = timed(lambda: analyze(kubeconfig, session))
    again, _ = timed(lambda: analyze(kubeconfig, session))
    return {"first": began + seconds, "second": again}


def first_download(kubeconfig: str, lists: list[dict[str, Any]]) -> float:
    authorization, tls = _access(kubeconfig)
    wanted = msgspec.convert(lists, list[List])
    return timed(lambda: asyncio.run(download(wanted, authorization, tls)))[0]


def memory(kubeconfig: str) -> dict[str, int]:
    """The most memory that an analysis takes over what the process held, connected and warm, before it."""
    from k8sgpt_magic.session import Session

    session = Session()
    # Everything is imported and connected by an analysis of a namespace in which there is nothing.
    session.analyze("kube-node-lease", kubeconfig=kubeconfig)
    before = resident()
    forget_peak()
    frame = analyze(kubeconfig, session, refresh=True)
    peak, after = peak_resident(), resident()
    reads = frame.attrs["reads"]
    return {
        "peak": peak - before,
        "kept": after - before,
        "raw": sum(read["bytes"] for read in reads),
        "objects": sum(read["objects"] for read in reads),
    }


class Phases:
    """Where the time of an analysis goes, by wrapping the functions that each step consists of."""

    def __init__(self) -> None:
        from k8sgpt_magic import session
        from k8sgpt_magic.cluster import live
        from k8sgpt_magic.diagnosis import diagnose
        from k8sgpt_magic.frame import Findings

        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.kept: defaultdict[str, list[float]] = defaultdict(list)
        self.names: list[str] = []
        self._wrap_async(live.LiveSource, "open", "open (kubeconfig, TLS)")
        self._wrap_async(live.LiveSource, "read", "read")
        self._wrap(live, "decode_page", "  of which decode")
        self._wrap(live, "share_pod_parts", "  of which sharing equal parts")
        self._wrap_async(session, "_judge", "analyze")
        self._wrap(diagnose, "correlate", "  of which causes")
        self._wrap(Findings, "of", "frame")

    def clear(self) -> None:
        self.seconds.clear()

    def keep(self) -> None:
        for name, seconds in self.seconds.items():
            self.kept[name].append(seconds)

    def medians(self) -> dict[str, float]:
        return {name: median(self.kept[name]) for name in self.names if name in self.kept}

    def _wrap(self, owner: Any, name: str, phase: str) -> None:
        self.names.append(phase)
        function: Callable[..., Any] = getattr(owner, name)

        def wrapper(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[phase] += time.perf_counter() - began

        setattr(owner, name, wrapper)

    def _wrap_async(self, owner: Any, name: str, phase: str) -> None:
        self.names.append(phase)
        function: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def wrapper(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return await function(*arguments, **options)
            finally:
                self.seconds[phase] += time.perf_counter() - began

        setattr(owner, name, wrapper)


def _access(kubeconfig: str) -> tuple[dict[str, str], ssl.SSLContext | None]:
    from k8sgpt_magic.cluster import kubeconfig as kubeconfigs

    access = kubeconfigs.load("", kubeconfig)
    return access.authorization(), access.tls


# --- the table -------------------------------------------------------------------------------------------------


def time_rows(kubeconfig: str, rounds: int) -> list[Row]:
    lists = msgspec.to_builtins(in_fresh_process(recorded, kubeconfig))
    warm = in_fresh_process(alternate, kubeconfig, lists, rounds)
    steps: dict[str, Callable[[], Any]] = {
        "download": lambda: in_fresh_process(first_download, kubeconfig, lists),
        "notebook": lambda: in_fresh_process(first, kubeconfig, True),
        "script": lambda: in_fresh_process(first, kubeconfig, False),
    }
    # What one leaves behind in the server is the next one's to clear away: single reads differ by half for that.
    fresh = [{name: steps[name]() for name in order} for order in list(permutations(steps)) * FRESH_ROUNDS]
    download_seconds, analyze_seconds = median(warm["download"]), median(warm["analyze"])
    ratios = [b / a for a, b in zip(warm["download"], warm["analyze"], strict=True)]
    first_downloads = median([each["download"] for each in fresh])
    in_notebook = median([each["notebook"]["first"] for each in fresh])
    in_script = median([each["script"]["first"] for each in fresh])
    again = median([each["notebook"]["second"] for each in fresh])
    slowest = sorted(warm["analyzers"].items(), key=lambda item: -item[1])[:4]
    return [
        Row("lists", str(len(lists))),
        Row("downloaded", mebibytes(warm["downloaded_bytes"])),
        Row("bare download", milliseconds(download_seconds)),
        Row("analysis, process warm", milliseconds(analyze_seconds)),
        *(Row(f"  {phase}", milliseconds(seconds)) for phase, seconds in warm["phases"].items()),
        *(Row(f"    {kind} analyzer", milliseconds(seconds)) for kind, seconds in slowest),
        at_most("analysis / download", analyze_seconds / download_seconds, TARGET_DOWNLOAD),
        Row("  by rounds", f"{min(ratios):.2f} to {max(ratios):.2f}"),
        Row("first download of a process", milliseconds(first_downloads)),
        Row("first analysis of a kernel", milliseconds(in_notebook)),
        at_most("  / first download of a process", in_notebook / first_downloads, TARGET_DOWNLOAD),
        Row("first analysis of a script", milliseconds(in_script)),
        Row("  / first download of a process", f"{in_script / first_downloads:.2f}"),
        Row("second analysis, same session", milliseconds(again)),
        at_most("  / first analysis", again / in_notebook, TARGET_SECOND),
    ]


def memory_rows(kubeconfig: str) -> list[Row]:
    used = [in_fresh_process(memory, kubeconfig) for _ in range(MEMORY_ROUNDS)]
    raw = used[0]["raw"]
    peak = median([each["peak"] for each in used])
    return [
        Row("JSON read", mebibytes(raw)),
        Row("peak additional memory", mebibytes(peak)),
        at_most("  / JSON read", peak / raw, TARGET_MEMORY),
        Row("  a thousand objects", mebibytes(peak / used[0]["objects"] * 1000)),
        Row("memory kept with the lists", mebibytes(median([each["kept"] for each in used]))),
    ]


def request_rows(plane: ControlPlane, kubeconfig: str, load: Load) -> list[Row]:
    """Count requests with failing pods and, after healing them, without; the load is fine afterwards."""
    from k8sgpt_magic.session import Session

    def requests_of(**options: Any) -> tuple[Any, list[Request]]:
        mark = plane.audit.mark()
        frame = analyze(kubeconfig, session, **options)
        return frame, plane.requests(since=mark, user_agent=USER_AGENT)

    session = Session()
    try:
        frame, failing = requests_of(refresh=True)
        _, again = requests_of()
        load.heal()
        healthy_frame, healthy = requests_of(refresh=True)
    finally:
        session.close()
    served = [read for read in frame.attrs["reads"] if read["status"] != "absent"]
    lists = len(served)
    pages = expected_pages(frame.attrs["reads"], failing)
    found = counts(failing)
    return [
        Row("findings", f"{len(frame):,}"),
        exactly("lists begun", found.lists, lists),
        exactly("further pages", found.pages, pages),
        # What this server serves of the kinds that a server may lack: none of them is asked for by itself.
        exactly("other requests", found.others, int(len(served) < len(frame.attrs["reads"]))),
        Row("findings once healed", f"{len(healthy_frame):,}"),
        exactly("requests once healed", counts(healthy).total, found.total),
        exactly("requests of a second analysis", len(again), 0),
    ]


def run(pods: int = PODS, rounds: int = ROUNDS, kubeconfig: str = "") -> str:
    if kubeconfig:
        rows = [*time_rows(kubeconfig, rounds), *memory_rows(kubeconfig)]
        return table(f"Live cluster of {Path(kubeconfig).name}", rows)
    with ControlPlane() as plane:
        plane.add_nodes(max(3, pods // PODS_PER_NODE))
        path = str(plane.kubeconfig("admin"))
        with loaded(plane, pods) as load:
            rows = [*time_rows(path, rounds), *memory_rows(path), *request_rows(plane, path, load)]
    return table(f"Live cluster of {pods:,} pods, {failing_pods(pods):,} failing", rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.live", description=__doc__)
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--kubeconfig", default="", help="measure this cluster as it is, and no test plane")
    print(run(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
