"""Memory and time of saving and reading a snapshot of many pods; each step in a process of its own.

``python -m tests.benchmarks.snapshot_memory [pods]`` prints a line for each step and fails where reading takes more
memory than the JSON of the pods has bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.resources import Pod
from k8sgpt_magic.cluster.snapshot import SnapshotSource, save
from k8sgpt_magic.cluster.view import ReadResult

PAGE = 1000


def pod(number: int) -> dict:
    """A pod of the size that clusters have: some five kilobytes, a third of them managedFields."""
    name, namespace = f"web-{number}", f"team-{number % 40}"
    labels = {"app": f"web-{number % 300}", "tier": "front", "pod-template-hash": f"{number % 900:x}"}
    conditions = [
        {"type": each, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-11-01T08:00:00Z"}
        for each in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    return {
        "metadata": {
            "name": name, "namespace": namespace, "uid": f"00000000-0000-0000-0000-{number:012}",
            "resourceVersion": str(number), "creationTimestamp": "2026-11-01T07:59:00Z", "labels": labels,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"web-{number % 900}", "uid": "u", "controller": True}],
            "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {f"f:field-{i}": {} for i in range(60)}}],
        },
        "spec": {
            "nodeName": f"node-{number % 500}", "serviceAccountName": "default", "restartPolicy": "Always",
            "containers": [{
                "name": "web", "image": f"registry.example.com/team/web:{number % 50}", "ports": [{"containerPort": 8080}],
                "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(12)],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            }],
            "volumes": [{"name": "token", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
        },
        "status": {
            "phase": "Running", "conditions": conditions, "podIP": "10.0.0.1", "startTime": "2026-11-01T07:59:01Z",
            "containerStatuses": [{
                "name": "web", "ready": True, "restartCount": 0, "image": "web", "imageID": "sha256:0",
                "state": {"running": {"startedAt": "2026-11-01T07:59:05Z"}},
            }],
        },
    }  # fmt: skip


class ManyPods:
    """Pages as a server sends them."""

    context = description = "benchmark"

    def __init__(self, pods: int) -> None:
        self.pods = pods
        self.bytes = 0

    def now(self) -> datetime:
        return datetime(2026, 11, 2, 9, tzinfo=UTC)

    async def pages(self, kinds, namespaces=(), *, results, **_):
        for start in range(0, self.pods, PAGE):
            items = [pod(number) for number in range(start, min(start + PAGE, self.pods))]
            body = json.dumps({"kind": "PodList", "items": items}, separators=(",", ":")).encode()
            self.bytes += len(body)
            yield Pod, "", body
        results.append(ReadResult(kind="Pod"))


def step(name: str, folder: Path, pods: int) -> None:
    archive, dump = folder / "pods.tar.gz", folder / "pods.json"
    began, before = time.perf_counter(), _peak()
    source = ManyPods(pods)
    if name == "save":
        print(asyncio.run(save(source, archive)), file=sys.stderr)
    elif name == "dump":
        with dump.open("wb") as file:
            file.write(b'{"apiVersion":"v1","kind":"List","items":[')
            for number in range(pods):
                item = {"apiVersion": "v1", "kind": "Pod"} | pod(number)
                file.write((b"," if number else b"") + json.dumps(item, indent=4).encode())
            file.write(b"]}")
        source.bytes = dump.stat().st_size
    else:
        snapshot = SnapshotSource(archive if name == "read" else dump)
        assert asyncio.run(_number_of_objects(snapshot)) == pods
    print(json.dumps({"seconds": time.perf_counter() - began, "peak": _peak() - before, "bytes": source.bytes}))


async def _number_of_objects(snapshot: SnapshotSource) -> int:
    return sum(len(read.objects) for read in await snapshot.read(list(SAVED.values())))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(pods: int) -> int:
    failed = False
    raw = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("save", "read", "dump", "read-dump"):
            command = [sys.executable, "-m", "tests.benchmarks.snapshot_memory", "--step", name, folder, str(pods)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
            said = json.loads(done.stdout)
            raw = raw or said["bytes"]
            print(
                f"{name:10} {said['seconds']:6.1f} s  {said['peak'] / 1e6:7.0f} MB  ({said['peak'] / raw:.2f} x {raw / 1e6:.0f} MB of JSON)"
            )
            failed |= name == "read" and said["peak"] > raw
    return int(failed)


if __name__ == "__main__":
    if "--step" in sys.argv:
        step(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
