"""A small synchronous client for tests: manifests in, manifests out, as one user."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
import yaml

Manifest = dict[str, Any]
Manifests = str | Path | Manifest | Iterable[Manifest]  # text and files are YAML
T = TypeVar("T")

USER_AGENT = "k8sgpt-magic-tests"
_FIELD_MANAGER = "k8sgpt-magic-tests"
_POLL_SECONDS = 0.05
_CONNECTIONS = 32


class ApiError(Exception):
    """The API server's refusal, in its own words."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        try:
            answer = json.loads(body)
            self.reason = str(answer.get("reason", ""))
            self.message = str(answer.get("message", ""))
        except (ValueError, AttributeError):
            self.reason, self.message = "", body.decode(errors="replace")
        self.status = status
        super().__init__(f"{method} {path}: {status} {self.reason}: {self.message}")


@dataclass(frozen=True)
class _Resource:
    """Where a kind is served, from discovery."""

    prefix: str
    plural: str
    api_version: str
    kind: str
    namespaced: bool
    has_status: bool
    deletes_collections: bool

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        parts = [part for part in (name, subresource) if part]
        return "/".join([f"{self.prefix}{scope}/{self.plural}", *parts])


class ControlPlaneApi:
    """Kinds are named as in manifests ("Pod"); `api_version` is only needed where a kind is in two groups."""

    def __init__(self, server: str, token: str, ca_file: Path) -> None:
        self.server = server
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT}
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS, block=True, ca_certs=str(ca_file), retries=False, timeout=60.0
        )
        self._resources: list[_Resource] = []

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> Any:
        """One request; ApiError for a refusal, urllib3's HTTPError if there is no server."""
        url = f"{path}?{urlencode(query)}" if query else path
        response = self._pool.request(
            method,
            self.server + url,
            body=None if body is None else json.dumps(body).encode(),
            headers={**self._headers, "Content-Type": content_type, "Accept": "application/json"},
        )
        if response.status >= 400:
            raise ApiError(method, url, response.status, response.data)
        try:
            return json.loads(response.data)
        except ValueError:
            return response.data.decode(errors="replace")

    def get(self, kind: str, name: str, namespace: str = "default", *, api_version: str = "") -> Manifest:
        path = self._resource(kind, api_version).path(namespace, name)
        return _manifest(self.request("GET", path))

    def list_objects(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        api_version: str = "",
    ) -> list[Manifest]:
        """Of one namespace, or of all of them; `labels` and `fields` are selectors."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        query = {key: value for key, value in selectors.items() if value}
        path = self._resource(kind, api_version).path(namespace)
        return list(self.request("GET", path, query=query)["items"])

    def apply(self, source: Manifests, namespace: str = "default") -> list[Manifest]:
        """Server-side apply of YAML text, a YAML file, or manifests, in order.

        A manifest's own status is patched onto the /status subresource afterwards, since the API server
        ignores it in the main one. A manifest with only a generateName is created.
        """
        return [self._apply(manifest, namespace) for manifest in _manifests(source)]

    def create_many(
        self, manifests: Iterable[Manifest], namespace: str = "default", *, concurrency: int = _CONNECTIONS
    ) -> list[Manifest]:
        """Create (not apply, which costs the server more) concurrently, statuses included; keeps the order."""
        todo = list(manifests)
        for kind, api_version in {(manifest["kind"], manifest["apiVersion"]) for manifest in todo}:
            self._resource(kind, api_version)  # discover once, not in every thread
        with ThreadPoolExecutor(max_workers=min(concurrency, _CONNECTIONS)) as threads:
            return list(threads.map(lambda manifest: self._create(manifest, namespace), todo))

    def patch(
        self, kind: str, name: str, patch: Manifest, namespace: str = "default", *, api_version: str = ""
    ) -> Manifest:
        """A JSON merge patch: lists are replaced as a whole."""
        path = self._resource(kind, api_version).path(namespace, name)
        return self._merge_patch(path, patch)

    def patch_status(
        self, kind: str, name: str, status: Manifest, namespace: str = "default", *, api_version: str = ""
    ) -> Manifest:
        """A JSON merge patch of the status, as a kubelet or controller would: lists are replaced as a whole."""
        path = self._resource(kind, api_version).path(namespace, name, "status")
        return self._merge_patch(path, {"status": status})

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "default",
        *,
        grace_seconds: int | None = None,
        api_version: str = "",
    ) -> None:
        """With what it owns, in the background. An object that is not there counts as deleted."""
        options: Manifest = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self.request("DELETE", self._resource(kind, api_version).path(namespace, name), options)
        except ApiError as error:
            if error.status != 404:
                raise

    def namespace(self, name: str, *, labels: dict[str, str] | None = None) -> str:
        """Create a namespace and wait for its default ServiceAccount, without which no pod is admitted."""
        metadata: Manifest = {"name": name, **({"labels": labels} if labels else {})}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self.wait_for_default_service_account(name)
        return name

    def wait_for_default_service_account(self, namespace: str) -> None:
        self.wait_for(
            lambda: self.get("ServiceAccount", "default", namespace),
            what=f"the default ServiceAccount of namespace {namespace}",
        )

    def delete_namespace(self, name: str, *, wait: bool = True, timeout: float = 30.0) -> None:
        """Delete a namespace with what is in it; pods that no kubelet would end are killed.

        The namespace controller only starts after five seconds, so everything is deleted from here;
        without `wait` the empty namespace is still Terminating for that time.
        """
        self.delete("Namespace", name)
        self._resource("Pod")
        for resource in self._resources:
            if resource.namespaced and resource.deletes_collections:
                options = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
                try:
                    self.request("DELETE", resource.path(name), options)
                except ApiError as error:
                    if error.status != 404:  # the definition of a custom resource may be gone meanwhile
                        raise

        def gone() -> bool:
            try:
                self.get("Namespace", name)
            except ApiError as error:
                if error.status == 404:
                    return True
                raise
            return False

        if wait:
            self.wait_for(gone, timeout, what=f"namespace {name} to be gone", interval=0.25)

    def wait_for(
        self,
        condition: Callable[[], T | None],
        timeout: float = 30.0,
        *,
        what: str = "",
        interval: float = _POLL_SECONDS,
    ) -> T:
        """The condition's first true value. ApiError and a server that is away count as "not yet"."""
        deadline = time.monotonic() + timeout
        while True:
            seen: object
            try:
                value = condition()
                if value:
                    return value
                seen = value
            except (ApiError, urllib3.exceptions.HTTPError) as error:
                seen = error
            if time.monotonic() >= deadline:
                subject = what or getattr(condition, "__name__", repr(condition))
                raise TimeoutError(f"waited {timeout:g} s for {subject}; last seen: {seen!r}")
            time.sleep(interval)

    def _apply(self, manifest: Manifest, namespace: str) -> Manifest:
        if "name" not in manifest["metadata"]:
            return self._create(manifest, namespace)
        resource, target, path = self._place(manifest, namespace)
        body = {key: value for key, value in target.items() if key != "status" or not resource.has_status}
        applied = self.request(
            "PATCH",
            path,
            body,
            content_type="application/apply-patch+yaml",
            query={"fieldManager": _FIELD_MANAGER, "force": "true"},
        )
        return self._with_status(resource, target, _manifest(applied))

    def _create(self, manifest: Manifest, namespace: str) -> Manifest:
        resource, target, _ = self._place(manifest, namespace)
        path = resource.path(target["metadata"].get("namespace"))
        return self._with_status(resource, target, _manifest(self.request("POST", path, target)))

    def _place(self, manifest: Manifest, namespace: str) -> tuple[_Resource, Manifest, str]:
        resource = self._resource(manifest["kind"], manifest["apiVersion"])
        metadata = dict(manifest["metadata"])
        if resource.namespaced:
            metadata.setdefault("namespace", namespace)
        path = resource.path(metadata.get("namespace"), metadata.get("name", ""))
        return resource, {**manifest, "metadata": metadata}, path

    def _with_status(self, resource: _Resource, target: Manifest, stored: Manifest) -> Manifest:
        if not resource.has_status or not target.get("status"):
            return stored
        metadata = stored["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], "status")
        return self._merge_patch(path, {"status": target["status"]})

    def _merge_patch(self, path: str, patch: Manifest) -> Manifest:
        return _manifest(self.request("PATCH", path, patch, content_type="application/merge-patch+json"))

    def _resource(self, kind: str, api_version: str = "") -> _Resource:
        for _ in range(2):
            for resource in self._resources:
                if resource.kind == kind and api_version in ("", resource.api_version):
                    return resource
            self._resources = self._discover()  # a custom resource may have been defined meanwhile
        raise LookupError(f"the API server serves no {api_version} {kind}".replace("  ", " "))

    def _discover(self) -> list[_Resource]:
        group_versions = [("/api/v1", "v1")]
        for group in self.request("GET", "/apis")["groups"]:
            # The preferred version first, so that it is the one found when none is asked for.
            preferred = group["preferredVersion"]["groupVersion"]
            others = [version["groupVersion"] for version in group["versions"]]
            ordered = [preferred, *(version for version in others if version != preferred)]
            group_versions += [(f"/apis/{version}", version) for version in ordered]
        found: list[_Resource] = []
        for prefix, version in group_versions:
            found += _served(prefix, version, self.request("GET", prefix)["resources"])
        return found


def _served(prefix: str, api_version: str, resources: Sequence[Manifest]) -> list[_Resource]:
    names = {resource["name"] for resource in resources}
    return [
        _Resource(
            prefix=prefix,
            plural=resource["name"],
            api_version=api_version,
            kind=resource["kind"],
            namespaced=resource["namespaced"],
            has_status=f"{resource['name']}/status" in names,
            deletes_collections="deletecollection" in resource["verbs"],
        )
        for resource in resources
        if "/" not in resource["name"]
    ]


def _manifests(source: Manifests) -> list[Manifest]:
    if isinstance(source, Path):
        source = source.read_text()
    if isinstance(source, str):
        return [document for document in yaml.safe_load_all(source) if document]
    if isinstance(source, dict):
        return [source]
    return list(source)


def _manifest(answer: Any) -> Manifest:
    if not isinstance(answer, dict):
        raise TypeError(f"expected an object from the API server, got {answer!r}")
    return answer
