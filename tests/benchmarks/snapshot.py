"""How long a snapshot takes to analyze, and how much memory, against the JSON that is in it."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k8sgpt_magic.cluster.archive import ArchiveWriter
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.view import ReadResult

from .measure import (
    Row,
    at_most,
    forget_peak,
    in_fresh_process,
    mebibytes,
    median,
    peak_resident,
    resident,
    table,
    timed,
)
from .objects import objects, pages

SIZES = (5_000, 20_000, 50_000)
ROUNDS = 3
TARGET_MEMORY = 1.0
# Memory that grows with the size alone: the share of the largest may be this much over that of the smallest.
TARGET_GROWTH = 1.1


def write(path: str, pods: int) -> dict[str, int]:
    """Write an archive of a made-up cluster, as a save of the live one would. Returns what went into it."""
    numbers: Counter[str] = Counter()
    size = 0
    with ArchiveWriter(path, context="benchmark") as writer:
        for kind, body in pages(objects(pods)):
            numbers[kind] += writer.add(SAVED[kind], "", body)
            size += len(body)
        writer.finish(datetime.now(UTC), [ReadResult(kind=kind, objects=numbers[kind]) for kind in SAVED])
    return {"objects": numbers.total(), "lists": size, "json": _json_in(path), "file": Path(path).stat().st_size}


def analyze(path: str, warm_up: str) -> dict[str, Any]:
    """The first analysis of an archive in a process where everything is imported."""
    from k8sgpt_magic.session import Session

    Session().analyze(source=warm_up)
    session = Session()
    before = resident()
    forget_peak()
    seconds, frame = timed(lambda: session.analyze(source=path))
    return {
        "seconds": seconds,
        "peak": peak_resident() - before,
        "kept": resident() - before,
        "findings": len(frame),
        "analyzers": sum(frame.attrs["analyzer_seconds"].values()),
    }


def _json_in(path: str) -> int:
    import tarfile

    with tarfile.open(path) as archive:
        return sum(member.size for member in archive)


def run(sizes: tuple[int, ...] = SIZES, rounds: int = ROUNDS) -> str:
    rows: list[Row] = []
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        warm_up = str(Path(folder) / "warm-up.tar.gz")
        in_fresh_process(write, warm_up, 20)
        for pods in sizes:
            path = str(Path(folder) / f"{pods}.tar.gz")
            held = in_fresh_process(write, path, pods)
            runs = [in_fresh_process(analyze, path, warm_up) for _ in range(rounds)]
            peak, kept, seconds, judging = (
                median([each[name] for each in runs]) for name in ("peak", "kept", "seconds", "analyzers")
            )
            shares.append(peak / held["json"])
            rows += [
                Row(f"{pods:,} pods, {held['objects']:,} objects", f"{runs[0]['findings']:,} findings"),
                Row("  file", mebibytes(held["file"])),
                Row("  JSON in it", mebibytes(held["json"])),
                Row("  JSON of the lists it was made from", mebibytes(held["lists"])),
                Row("  analysis", f"{seconds:.2f} s"),
                Row("    of which analyzers", f"{judging:.2f} s"),
                Row("  peak additional memory", mebibytes(peak)),
                Row("    an object", f"{peak / held['objects'] / 1024:.1f} KiB"),
                at_most("    / JSON in the file", shares[-1], TARGET_MEMORY),
                Row("    / JSON of the lists", f"{peak / held['lists']:.2f}"),
                Row("  memory kept", mebibytes(kept)),
            ]
    if len(sizes) > 1:
        rows.append(at_most("memory share of the largest / smallest", shares[-1] / shares[0], TARGET_GROWTH))
    return table("Snapshots", rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.snapshot", description=__doc__)
    parser.add_argument("--pods", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(run(tuple(arguments.pods), arguments.rounds))


if __name__ == "__main__":
    main()
