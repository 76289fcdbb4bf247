"""A real Kubernetes control plane on 127.0.0.1, with nodes and pods played by kwok."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import urllib3

from . import credentials
from .api import ApiError, ControlPlaneApi, Manifest
from .audit import WRITE_VERBS, AuditEvent, AuditLog, Request
from .build import Binaries, build
from .credentials import Credentials
from .process import Component, Reaper, StartError, free_ports, stop_all

_HERE = Path(__file__).resolve().parent
_START_TIMEOUT = 60.0
_STOP_GRACE = 2.0

# The components' default client limits (20-50 requests a second) would be most of a test's time.
_CLIENT_LIMITS = ("--kube-api-qps=1000", "--kube-api-burst=2000")


@dataclass
class ControlPlane:
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok, each a process of its own.

    Everything lives in a temporary directory that stop() removes. Users: see `credentials`.
    """

    directory: Path = field(init=False)
    server: str = field(init=False)
    credentials: Credentials = field(init=False)
    audit: AuditLog = field(init=False)
    api: ControlPlaneApi = field(init=False)
    _binaries: Binaries = field(init=False, repr=False)
    _reaper: Reaper = field(init=False, repr=False)
    _components: dict[str, Component] = field(init=False, repr=False, default_factory=dict)
    _etcd_port: int = field(init=False, repr=False)
    _apiserver_port: int = field(init=False, repr=False)
    _node_count: int = field(init=False, repr=False, default=0)

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Build if need be, start everything, and return when pods can be created in `default` and `team-a`."""
        self._binaries = build()
        self.directory = Path(tempfile.mkdtemp(prefix="controlplane-"))
        self._reaper = Reaper(self.directory)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every process that start() started, and remove the directory."""
        stop_all(reversed(self._components.values()), _STOP_GRACE)
        self._components.clear()
        self._reaper.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop_apiserver(self) -> None:
        """Kill the API server, as a crash or a lost network would look to its clients."""
        self._components.pop("kube-apiserver").kill()

    def start_apiserver(self) -> None:
        """Start it again, on the same port, with the same certificate, keys and data."""
        command = [
            *(str(self._binaries.controlplane), "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--secure-port={self._apiserver_port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._certificates}",
            f"--client-ca-file={self.credentials.client_ca}",
            f"--service-account-key-file={self.credentials.service_account_key}",
            f"--service-account-signing-key-file={self.credentials.service_account_key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={self.credentials.tokens_csv}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--allow-privileged",
            f"--audit-policy-file={_HERE / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit.path}",
            "--audit-log-maxsize=0",  # a rotated log would lose events to count
        ]
        apiserver = self._run("kube-apiserver", command)
        self._wait_for_http(apiserver, f"{self.server}/readyz")

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of admin, cert-admin, reader, viewer or nobody; its context is named after the user."""
        path = self.credentials.kubeconfig(user)
        if not path.is_file():
            raise LookupError(f"the test control plane has no user {user!r}")
        return path

    def client(self, user: str) -> ControlPlaneApi:
        """The test's API client as another token user; `api` is the administrator's."""
        return ControlPlaneApi(self.server, self.credentials.token(user), self._ca_file)

    def log(self, component: str) -> str:
        """The last lines of a component's log."""
        return self._components[component].log_tail()

    def pids(self) -> dict[str, int]:
        return {name: component.pid for name, component in self._components.items()}

    def audit_events(self, *, since: int = 0, user: str = "", user_agent: str = "") -> list[AuditEvent]:
        return self.audit.events(since=since, user=user, user_agent=user_agent)

    def requests(self, user: str = "", *, since: int = 0, user_agent: str = "") -> list[Request]:
        """(verb, uri) of each request; `since` is an `audit.mark()`."""
        return self.audit.requests(since=since, user=user, user_agent=user_agent)

    def writes(self, user: str = "", *, since: int = 0, user_agent: str = "") -> list[Request]:
        """The requests with a verb that changes something, refused ones and dry runs included."""
        requests = self.requests(user, since=since, user_agent=user_agent)
        return [request for request in requests if request.verb in WRITE_VERBS]

    def add_nodes(self, count: int, *, timeout: float = 60.0) -> list[str]:
        """Add nodes that kwok keeps ready, and wait until pods can be scheduled on them."""
        numbers = range(self._node_count, self._node_count + count)
        self._node_count += count
        names = [f"node-{number}" for number in numbers]
        self.api.create_many([_node(name, number) for name, number in zip(names, numbers, strict=True)])

        def unready() -> list[str]:
            nodes = {node["metadata"]["name"]: node for node in self.api.list_objects("Node")}
            return [name for name in names if not _schedulable(nodes[name])]

        self.api.wait_for(lambda: not unready(), timeout, what=f"{count} new nodes to be ready")
        return names

    @property
    def _certificates(self) -> Path:
        return self.directory / "certificates"

    @property
    def _ca_file(self) -> Path:
        # The self-signed serving certificate comes with the CA that signed it.
        return self._certificates / "apiserver.crt"

    def _start(self) -> None:
        self._etcd_port, etcd_peer_port, self._apiserver_port = free_ports(3)
        self.server = f"https://127.0.0.1:{self._apiserver_port}"
        (self.directory / "logs").mkdir()
        self.credentials = Credentials(self.directory / "credentials")
        self.audit = AuditLog(self.directory / "audit.log")
        self._start_etcd(etcd_peer_port)
        self.start_apiserver()
        self.credentials.write_kubeconfigs(self.server, self._ca_file.read_bytes())
        self.api = self.client(credentials.ADMIN)
        self._start_controllers()
        self.api.namespace(credentials.READER_NAMESPACE)
        self.api.apply(_HERE / "rbac.yaml")
        self.api.wait_for_default_service_account("default")
        for component in self._components.values():
            component.check_alive()

    def _start_etcd(self, peer_port: int) -> None:
        client_url = f"http://127.0.0.1:{self._etcd_port}"
        peer_url = f"http://127.0.0.1:{peer_port}"
        command = [
            *(str(self._binaries.controlplane), "etcd"),
            *("--data-dir", str(self.directory / "etcd")),
            *("--listen-client-urls", client_url, "--advertise-client-urls", client_url),
            *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
            *("--initial-cluster", f"default={peer_url}"),
            "--unsafe-no-fsync",
        ]
        self._wait_for_http(self._run("etcd", command), f"{client_url}/health")

    def _start_controllers(self) -> None:
        controlplane = str(self._binaries.controlplane)
        self._run(
            "kube-controller-manager",
            [
                *(controlplane, "kube-controller-manager"),
                *("--kubeconfig", str(self.kubeconfig("kube-controller-manager"))),
                f"--service-account-private-key-file={self.credentials.service_account_key}",
                *("--leader-elect=false", "--secure-port=0"),
                # A node whose status a test wrote by hand has no heartbeat, and must keep that status.
                "--node-monitor-grace-period=12h",
                *_CLIENT_LIMITS,
            ],
        )
        self._run(
            "kube-scheduler",
            [
                *(controlplane, "kube-scheduler"),
                *("--kubeconfig", str(self.kubeconfig("kube-scheduler"))),
                *("--leader-elect=false", "--secure-port=0"),
                *_CLIENT_LIMITS,
            ],
        )
        self._run(
            "kwok-controller",
            [
                *(str(self._binaries.kwok), "--kubeconfig", str(self.kubeconfig("kwok-controller"))),
                *("--config", str(_HERE / "stages.yaml")),
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                "--cidr=10.244.0.0/16",
            ],
        )

    def _run(self, name: str, command: list[str]) -> Component:
        # kwok would add a configuration from the developer's own home to ours.
        environment = {"KWOK_WORKDIR": str(self.directory)}
        log_path = self.directory / "logs" / f"{name}.log"
        component = Component(name, command, log_path, self._reaper, environment)
        self._components[name] = component
        return component

    def _wait_for_http(self, component: Component, url: str) -> None:
        def ready() -> bool:
            component.check_alive()
            if url.startswith("https:") and not self._ca_file.exists():
                return False  # the first start makes it, before it listens
            pool = urllib3.PoolManager(ca_certs=str(self._ca_file), retries=False, timeout=5.0)
            return pool.request("GET", url).status == 200

        _poll(ready, f"{component.name} to be ready", component)


def _poll(condition: Callable[[], bool], what: str, component: Component) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            if condition():
                return
        except urllib3.exceptions.HTTPError:
            pass
        if time.monotonic() >= deadline:
            raise StartError(f"waited {_START_TIMEOUT:g} s for {what}; its log ends:\n{component.log_tail()}")
        time.sleep(0.05)


def _node(name: str, number: int) -> Manifest:
    address = f"172.16.{number // 250}.{number % 250 + 1}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ]
        },
    }


def _schedulable(node: Manifest) -> bool:
    conditions = node["status"].get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    # The not-ready taint is removed some time after the condition turns.
    return ready and not node["spec"].get("taints")


__all__ = ["ApiError", "ControlPlane", "ControlPlaneApi", "Manifest", "StartError"]
