"""How many snapshots a second are analyzed: in one process, and by the workers of a Dask cluster."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .measure import Row, at_most, in_fresh_process, table, timed
from .snapshot import write

SNAPSHOTS = 200
PODS = 200
# What a worker may be slower than one process that does nothing else, for tasks, Arrow and the way.
TARGET_OVERHEAD = 1.25


def made(folder: str, snapshots: int, pods: int) -> int:
    """Archives of clusters of that many pods, a directory each; the bytes of one."""
    first = Path(folder) / "first.tar.gz"
    write(str(first), pods)
    for number in range(snapshots):
        place = Path(folder) / f"cluster-{number:03}"
        place.mkdir()
        shutil.copy(first, place / "dump.tar.gz")
    return first.stat().st_size


def alone(folder: str) -> dict[str, Any]:
    """One after the other, in one process."""
    from k8sgpt_magic.session import Session

    session = Session()
    paths = sorted(map(str, Path(folder).glob("*/dump.tar.gz")))
    session.analyze(source=paths[0])

    def each() -> int:
        found = 0
        for path in paths:
            one = Session()
            found += len(one.analyze(source=path))
            one.close()
        return found

    seconds, findings = timed(each)
    return {"seconds": seconds, "findings": findings}


def together(folder: str) -> dict[str, Any]:
    """All of them by one call, in one process."""
    from k8sgpt_magic.session import Session

    session = Session()
    session.analyze(source=str(Path(folder) / "first.tar.gz"))
    seconds, frame = timed(lambda: session.analyze(source=f"{folder}/*/dump.tar.gz"))
    return {"seconds": seconds, "findings": len(frame)}


def on_workers(folder: str, workers: int) -> dict[str, Any]:
    """The same call, done by so many workers of one thread each that have done such a thing before."""
    from distributed import LocalCluster

    from k8sgpt_magic.session import Session

    session = Session()
    with (
        tempfile.TemporaryDirectory() as scratch,
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=scratch
        ) as cluster,
    ):
        address = cluster.scheduler_address
        for _ in range(2):
            session.analyze(source=f"{folder}/cluster-00*/dump.tar.gz", dask=address)
        seconds, frame = timed(lambda: session.analyze(source=f"{folder}/*/dump.tar.gz", dask=address))
    assert not frame.attrs["unreadable"], frame.attrs["unreadable"]
    return {"seconds": seconds, "findings": len(frame)}


def run(snapshots: int = SNAPSHOTS, pods: int = PODS) -> str:
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        size = made(folder, snapshots, pods)
        one_process = in_fresh_process(alone, folder)
        one_call = in_fresh_process(together, folder)
        by_workers = {number: in_fresh_process(on_workers, folder, number) for number in sorted({1, cores})}

    def rate(found: dict[str, Any]) -> float:
        return float(snapshots / found["seconds"])

    rows = [
        Row(
            f"{snapshots} snapshots of {pods} pods, {size / 1000:.0f} kB each",
            f"{one_process['findings']:,} findings",
        ),
        Row("one after the other, in one process", f"{rate(one_process):.1f} a second"),
        Row("by one call, in one process", f"{rate(one_call):.1f} a second"),
    ]
    for number, found in by_workers.items():
        assert found["findings"] == one_process["findings"]
        rows += [
            Row(f"{number} Dask worker{'s' if number > 1 else ''}, on {cores} cores", f"{rate(found):.1f} a second"),
            Row("  each of them", f"{rate(found) / number:.1f} a second"),
        ]
    rows.append(
        at_most("one worker / one process, time", by_workers[1]["seconds"] / one_process["seconds"], TARGET_OVERHEAD)
    )
    return table("Many snapshots", rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet", description=__doc__)
    parser.add_argument("--snapshots", type=int, default=SNAPSHOTS)
    parser.add_argument("--pods", type=int, default=PODS)
    arguments = parser.parse_args()
    print(run(arguments.snapshots, arguments.pods))


if __name__ == "__main__":
    main()
