"""How long a view takes to become a DataFrame, in seconds of one core: analyzers, causes and the frame.

The target is for a core that nobody else uses, so the fastest round is held against it: the work is the same in every
round, and whoever shares the core's caches and execution units only ever adds to it (the documentation of ``timeit``
reasons alike). The median stands beside it and tells what the host gives just now.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections import defaultdict
from collections.abc import Iterable
from time import process_time
from typing import Any

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.cluster.decode import decode_page
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.resources import Resource
from k8sgpt_magic.cluster.sharing import share_pod_parts
from k8sgpt_magic.cluster.view import ClusterView, ReadResult
from k8sgpt_magic.diagnosis.diagnose import diagnose
from k8sgpt_magic.frame import Findings, Summary
from k8sgpt_magic.garbage import no_collection

from .measure import Row, at_most, in_fresh_process, median, milliseconds, one_core, table
from .objects import failing_pods, objects, pages

PODS = 20_000
# A shared host may be slow for ten seconds on end.
ROUNDS = 15
TARGET_SECONDS = 1.0
TARGET_OF_PARSING = 0.4
# Parsing all of the lists would take longer than all the rest.
_SHARE_PARSED = 10
_SLOWEST = 8


def decoded(pods: int) -> dict[str, list[Resource]]:
    """The objects of a cluster of that size, by kind."""
    found: defaultdict[str, list[Resource]] = defaultdict(list)
    for kind, body in pages(objects(pods)):
        page = decode_page(SAVED[kind], body)
        assert not page.undecodable, page.undecodable[0]
        # As every source does with what it has decoded.
        share_pod_parts(page.objects, found[kind][-1] if found[kind] else None)
        found[kind] += page.objects
    return dict(found)


def view_of(found: dict[str, list[Resource]]) -> ClusterView:
    """A view of just these objects, all kinds read in full and no index built yet."""
    return ClusterView(found, [ReadResult(kind=kind, objects=len(found.get(kind, ()))) for kind in SAVED])


@no_collection()
def parsing(bodies: Iterable[bytes]) -> float:
    """How long the standard library takes for these lists, in seconds: it tells how fast the core is just now."""
    began = process_time()
    parsed = [json.loads(body) for body in bodies]
    ended = process_time()
    assert parsed
    return ended - began


def measure(pods: int, rounds: int) -> dict[str, Any]:
    """How long a whole analysis of a view takes, fastest, slowest and median, and the medians of its parts."""
    found = decoded(pods)
    bodies = [body for _, body in pages(objects(pods // _SHARE_PARSED))]
    analyzers = [each for each in registered().values() if each.default]
    totals, ratios, frames, causes = [], [], [], []
    by_analyzer: defaultdict[str, list[float]] = defaultdict(list)
    result = diagnose(view_of(found), analyzers)  # imports and warm-up
    Findings.of(result.findings, Summary())
    with one_core():
        for _ in range(rounds):
            # What the round before leaves is freed before the clock starts; a session keeps view and frame.
            result = frame = view = None  # type: ignore[assignment]
            view = view_of(found)
            before = parsing(bodies)
            began = process_time()
            result = diagnose(view, analyzers)
            judged = process_time()
            frame = Findings.of(result.findings, Summary())
            ended = process_time()
            assert len(frame) == len(result.findings)
            totals.append(ended - began)
            ratios.append((ended - began) / (_SHARE_PARSED * (before + parsing(bodies)) / 2))
            frames.append(ended - judged)
            causes.append(judged - began - sum(result.seconds.values()))
            for kind, seconds in result.seconds.items():
                by_analyzer[kind].append(seconds)
    return {
        "objects": sum(map(len, found.values())),
        "findings": len(result.findings),
        "errors": [f"{error.analyzer}: {error.error}" for error in result.errors],
        "total": median(totals),
        "rounds": rounds,
        "fastest": min(totals),
        "slowest": max(totals),
        "of parsing": median(ratios),
        "frame": median(frames),
        "causes": median(causes),
        "analyzers": {kind: median(seconds) for kind, seconds in by_analyzer.items()},
    }


def rows(figures: dict[str, Any]) -> list[Row]:
    slowest = sorted(figures["analyzers"].items(), key=lambda item: -item[1])
    return [
        Row("objects", f"{figures['objects']:,}"),
        Row("findings", f"{figures['findings']:,}"),
        at_most(f"view to DataFrame, fastest of {figures['rounds']}", figures["fastest"], TARGET_SECONDS, " s"),
        Row("  median", f"{figures['total']:.2f} s"),
        Row("  slowest", f"{figures['slowest']:.2f} s"),
        at_most("  / json.loads of its lists", figures["of parsing"], TARGET_OF_PARSING),
        *(Row(f"  {kind} analyzer", milliseconds(seconds)) for kind, seconds in slowest[:_SLOWEST]),
        Row(f"  the other {len(slowest[_SLOWEST:])}", milliseconds(sum(s for _, s in slowest[_SLOWEST:]))),
        Row("  causes and order", milliseconds(figures["causes"])),
        Row("  frame", milliseconds(figures["frame"])),
        *(Row("analyzer failed", error, "none", False) for error in figures["errors"]),
    ]


def run(pods: int = PODS, rounds: int = ROUNDS) -> str:
    figures = in_fresh_process(measure, pods, rounds)
    return table(
        f"Analysis of {pods:,} pods, {failing_pods(pods):,} failing, on one core, Python {platform.python_version()}",
        rows(figures),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.analysis", description=__doc__)
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    print(run(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
