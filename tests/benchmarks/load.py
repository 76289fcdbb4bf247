"""Puts the made-up cluster of ``objects`` on a test control plane, and takes it away again."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from tests.controlplane.api import ApiError, ControlPlaneApi, Manifest
from tests.controlplane.controlplane import ControlPlane

from .objects import objects

# They would scale the ReplicaSets, write endpoints of their own and collect what has no owner.
_PAUSED = ("kube-controller-manager", "kube-scheduler")
_CONNECTIONS = 16
_SET_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")


class Load:
    """One cluster's worth of objects on a control plane whose controllers are paused meanwhile."""

    def __init__(self, api: ControlPlaneApi, pods: int, *, namespaces: int = 20, config_maps: int = 0) -> None:
        self.api = api
        self.pods = pods
        self.namespaces = namespaces
        self.config_maps = config_maps
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._nodes = tuple(node["metadata"]["name"] for node in api.list_objects("Node"))
        self._uids: dict[str, str] = {}

    def create(self) -> None:
        """Create everything, two in five pods failing."""
        kinds: dict[str, list[Manifest]] = {}
        for manifest in self._objects(failing=True):
            kinds.setdefault(manifest["kind"], []).append(manifest)
        # Owners come before what they own, since the server gives the uids.
        for manifests in kinds.values():
            self.api.list_objects(manifests[0]["kind"], "default")  # discovered once, not in every thread
            _in_parallel(self._create, manifests)

    def heal(self) -> None:
        """Make the failing pods, and what counts them, as they would be had they never failed."""
        pairs = zip(self._objects(failing=True), self._objects(failing=False), strict=True)
        _in_parallel(self._change, [pair for pair in pairs if _substance(pair[0]) != _substance(pair[1])])

    def delete(self) -> None:
        for manifest in self._objects(failing=False):
            if manifest["kind"] == "Namespace":
                self.api.delete_namespace(manifest["metadata"]["name"], wait=False)

    def _objects(self, *, failing: bool) -> Iterator[Manifest]:
        return objects(
            self.pods,
            failing=failing,
            namespaces=self.namespaces,
            nodes=self._nodes,
            config_maps=self.config_maps,
            now=self._now,
        )

    def _create(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        uid = metadata["uid"]
        kept = {key: value for key, value in metadata.items() if key not in _SET_BY_SERVER}
        wanted = self._with_uids({**manifest, "metadata": kept})
        if manifest["kind"] == "Service":
            wanted["spec"].pop("clusterIP")
        # Namespaces come with a ServiceAccount and a ConfigMap.
        with suppress_conflict():
            [stored] = self.api.create_many([wanted], concurrency=1)
            self._uids[uid] = stored["metadata"]["uid"]

    def _change(self, pair: tuple[Manifest, Manifest]) -> None:
        before, after = pair
        kind, metadata = after["kind"], after["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace", "")
        old, new = _substance(before), self._with_uids(_substance(after))
        if new.get("status"):
            # A merge patch keeps what it does not name.
            gone = dict.fromkeys(old.get("status", {}).keys() - new["status"].keys())
            self.api.patch_status(kind, name, {**new["status"], **gone}, namespace)
        else:
            self.api.patch(kind, name, new, namespace)

    def _with_uids(self, manifest: Manifest) -> Manifest:
        """The manifest, with the server's uids in place of the made-up ones."""
        return _replaced(manifest, self._uids)  # type: ignore[no-any-return]


@contextmanager
def loaded(plane: ControlPlane, pods: int, *, namespaces: int = 20, config_maps: int = 0) -> Iterator[Load]:
    """A load on a control plane, gone again at the end. The controllers are paused for as long."""
    load = Load(plane.api, pods, namespaces=namespaces, config_maps=config_maps)
    paused = [plane.pids()[name] for name in _PAUSED]
    for pid in paused:
        os.kill(pid, signal.SIGSTOP)
    try:
        load.create()
        yield load
    finally:
        load.delete()
        for pid in paused:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def suppress_conflict() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status != 409:
            raise


def _substance(manifest: Manifest) -> Manifest:
    return {key: value for key, value in manifest.items() if key not in ("kind", "apiVersion", "metadata")}


def _replaced(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, texts) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, texts) for each in value]
    return texts.get(value, value) if isinstance(value, str) else value


def _in_parallel(function: Callable[[Any], None], arguments: Iterable[Any]) -> None:
    with ThreadPoolExecutor(max_workers=_CONNECTIONS) as threads:
        for _ in threads.map(function, arguments):
            pass


def main() -> None:
    """Start a control plane with the load on it, for trying things by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.load", description=main.__doc__)
    parser.add_argument("--pods", type=int, default=5_000)
    pods = parser.parse_args().pods
    with suppress(KeyboardInterrupt), ControlPlane() as plane:
        plane.add_nodes(10)
        with loaded(plane, pods) as load:
            print(f"{load.pods:,} pods; kubeconfig {plane.kubeconfig('admin')}; Ctrl-C stops it", flush=True)
            signal.pause()


if __name__ == "__main__":
    main()
