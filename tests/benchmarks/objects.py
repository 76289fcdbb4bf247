"""A made-up cluster of any size, as the API server would list it.

Deployments of ten pods each with all that usually goes with them. Four of the ten fail in one of a few ways, each
with the kubelet's event, so that every Deployment, ReplicaSet and Service has something to say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec

Manifest = dict[str, Any]

PAGE_LIMIT = 500
PODS_PER_DEPLOYMENT = 10
PODS_PER_NODE = 100
NAMESPACE_PREFIX = "load-"

# A test plane's kwok leaves such pods alone.
MANUAL = {"k8sgpt-magic.test/kubelet": "manual"}

_DAY = timedelta(days=1)
_TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Trouble(NamedTuple):
    """One way in which a container fails, and what the kubelet says of it."""

    waiting: str
    message: str
    event_reason: str
    event_message: str
    phase: str = "Running"
    terminated: Manifest = {}  # noqa: RUF012 - never written to
    restarts: int = 0


_TROUBLES = (
    Trouble(
        "ImagePullBackOff",
        'Back-off pulling image "registry.example/shop/{app}:2.4.1": ErrImagePull: rpc error: code = NotFound desc = '
        "failed to pull and unpack image: registry.example/shop/{app}:2.4.1: not found",
        "Failed",
        'Failed to pull image "registry.example/shop/{app}:2.4.1": rpc error: code = NotFound desc = not found',
        phase="Pending",
    ),
    Trouble(
        "CrashLoopBackOff",
        "back-off 5m0s restarting failed container=app pod={pod}_{namespace}({uid})",
        "BackOff",
        "Back-off restarting failed container app in pod {pod}_{namespace}({uid})",
        terminated={"exitCode": 1, "reason": "Error"},
        restarts=37,
    ),
    Trouble(
        "CrashLoopBackOff",
        "back-off 5m0s restarting failed container=app pod={pod}_{namespace}({uid})",
        "BackOff",
        "Back-off restarting failed container app in pod {pod}_{namespace}({uid})",
        terminated={"exitCode": 137, "reason": "OOMKilled"},
        restarts=12,
    ),
    Trouble(
        "",
        "",
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
    ),
    Trouble(
        "CreateContainerConfigError",
        "couldn't find key password in Secret {namespace}/{app}-credentials",
        "Failed",
        "Error: couldn't find key password in Secret {namespace}/{app}-credentials",
        phase="Pending",
    ),
    Trouble(
        "ContainerCreating",
        "",
        "FailedMount",
        'MountVolume.SetUp failed for volume "scratch" : timed out waiting for the condition',
        phase="Pending",
    ),
)


def fails(pod: int) -> bool:
    """Whether a pod is one of the two in five with trouble (and an event)."""
    return pod % 5 in (1, 3)


def failing_pods(pods: int) -> int:
    return sum(map(fails, range(pods)))


def objects(
    pods: int,
    *,
    failing: bool = True,
    namespaces: int = 20,
    nodes: tuple[str, ...] = (),
    config_maps: int = 0,
    now: datetime | None = None,
) -> Iterator[Manifest]:
    """All objects of a cluster with this many pods, owners before what they own.

    Unless ``failing``, the pods that would fail are fine and their events are Normal ones: the same objects, as many of
    them. ``nodes`` are there already; without any they are made too. ``config_maps`` adds some that nobody uses.
    """
    made = _Cluster(pods, failing, namespaces, nodes, now or datetime.now(UTC).replace(microsecond=0))
    yield from made.objects()
    for number in range(config_maps):
        yield made.config_map(number % namespaces, f"unused-{number}", {"number": str(number)})


def pages(found: Iterable[Manifest], limit: int = PAGE_LIMIT) -> Iterator[tuple[str, bytes]]:
    """The same objects as the pages of list responses, each with its kind."""
    kept: defaultdict[str, list[msgspec.Raw]] = defaultdict(list)
    for manifest in found:
        kind = manifest["kind"]
        # A list's items leave their kind out.
        item = {key: value for key, value in manifest.items() if key not in ("kind", "apiVersion")}
        kept[kind].append(msgspec.Raw(msgspec.json.encode(item)))
        if len(kept[kind]) == limit:
            yield kind, _page(kind, kept.pop(kind))
    for kind, items in kept.items():
        yield kind, _page(kind, items)


def _page(kind: str, items: list[msgspec.Raw]) -> bytes:
    return msgspec.json.encode({"kind": f"{kind}List", "metadata": {"resourceVersion": "1000"}, "items": items})


class _Cluster:
    def __init__(self, pods: int, failing: bool, namespaces: int, nodes: tuple[str, ...], now: datetime) -> None:
        self.pods = pods
        self.failing = failing
        self.namespaces = namespaces
        self.now = now
        self.has_nodes = bool(nodes)
        self.nodes = nodes or tuple(f"node-{number}" for number in range(max(3, pods // PODS_PER_NODE)))
        self.numbers = iter(range(1 << 40))

    def objects(self) -> Iterator[Manifest]:
        for number in range(self.namespaces):
            yield self._new("Namespace", "v1", _namespace(number), None, status={"phase": "Active"})
            yield self.config_map(number, "kube-root-ca.crt", {"ca.crt": "-" * 1_100})
            yield self._new("ServiceAccount", "v1", "default", _namespace(number))
        if not self.has_nodes:
            for name in self.nodes:
                yield self._node(name)
                yield self._lease(name)
        for first in range(0, self.pods, PODS_PER_DEPLOYMENT):
            yield from self._application(first // PODS_PER_DEPLOYMENT, first)

    def config_map(self, namespace: int, name: str, data: Mapping[str, str]) -> Manifest:
        return self._new("ConfigMap", "v1", name, _namespace(namespace), data=dict(data))

    def _application(self, number: int, first: int) -> Iterator[Manifest]:
        """A Deployment and what it needs, owns and is reached by."""
        app, namespace = f"app-{number}", _namespace(number % self.namespaces)
        pods = range(first, min(first + PODS_PER_DEPLOYMENT, self.pods))
        trouble = _TROUBLES[number % len(_TROUBLES)]
        ready = len(pods) - (sum(map(fails, pods)) if self.failing else 0)
        labels = {
            "app.kubernetes.io/name": app,
            "app.kubernetes.io/instance": f"{app}-production",
            "app.kubernetes.io/part-of": "shop",
            "app.kubernetes.io/managed-by": "Helm",
        }
        new = partial(self._new, namespace=namespace, labels=labels)
        yield new("ConfigMap", "v1", f"{app}-settings", data={"settings.yaml": "level: info\n" * 40, "region": "a"})
        yield new("Secret", "v1", f"{app}-credentials", type="Opaque", data={"password": "c2VjcmV0" * 4})

        template_labels = {**labels, "pod-template-hash": f"{number:08x}", "team": namespace}
        selector = {"app.kubernetes.io/name": app}
        annotations = {
            **MANUAL,
            "checksum/config": f"{number:064x}",
            "prometheus.io/scrape": "true",
            "prometheus.io/port": "8080",
        }
        template = {
            "metadata": {"labels": template_labels, "annotations": annotations},
            "spec": _pod_spec(app),
        }
        workload_spec: Manifest = {"replicas": len(pods), "selector": {"matchLabels": selector}}
        deployment = new(
            "Deployment",
            "apps/v1",
            app,
            annotations={"deployment.kubernetes.io/revision": "3", "meta.helm.sh/release-name": app},
            spec={
                **workload_spec,
                "template": template,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
            },
            status=self._deployment_status(len(pods), ready, f"{app}-{number:08x}"),
        )
        yield deployment
        replica_set = new(
            "ReplicaSet",
            "apps/v1",
            f"{app}-{number:08x}",
            labels=template_labels,
            owner=deployment,
            annotations={"deployment.kubernetes.io/revision": "3"},
            spec={
                "replicas": len(pods),
                "selector": {"matchLabels": {**selector, "pod-template-hash": f"{number:08x}"}},
                "template": template,
            },
            status={
                "replicas": len(pods),
                "fullyLabeledReplicas": len(pods),
                "readyReplicas": ready,
                "availableReplicas": ready,
                "observedGeneration": 1,
            },
        )
        yield replica_set

        endpoints = []
        for each in pods:
            troubled = fails(each)
            pod = self._pod(
                each, replica_set, template_labels, annotations, app, trouble if troubled and self.failing else None
            )
            yield pod
            endpoints.append(_endpoint(pod, not (troubled and self.failing)))
            if troubled:
                yield self._event(pod, trouble if self.failing else None, app)
        yield from self._network(number, app, namespace, labels, selector, endpoints)

    def _network(
        self,
        number: int,
        app: str,
        namespace: str,
        labels: dict[str, str],
        selector: dict[str, str],
        endpoints: list[Manifest],
    ) -> Iterator[Manifest]:
        new = partial(self._new, namespace=namespace, labels=labels)
        if number % 2 == 0:
            ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
            service = new(
                "Service",
                "v1",
                app,
                spec={
                    "type": "ClusterIP",
                    "clusterIP": f"10.0.{number // 250 % 250}.{number % 250 + 1}",
                    "ports": ports,
                    "selector": selector,
                    "sessionAffinity": "None",
                },
                status={"loadBalancer": {}},
            )
            yield service
            yield new(
                "EndpointSlice",
                "discovery.k8s.io/v1",
                f"{app}-{number:05x}",
                labels={**labels, "kubernetes.io/service-name": app},
                owner=service,
                addressType="IPv4",
                endpoints=endpoints,
                ports=[{"name": "http", "port": 8080, "protocol": "TCP"}],
            )
        if number % 10 == 0:
            path = {
                "path": "/",
                "pathType": "Prefix",
                "backend": {"service": {"name": app, "port": {"name": "http"}}},
            }
            yield new(
                "Ingress",
                "networking.k8s.io/v1",
                app,
                spec={"rules": [{"host": f"{app}.shop.example", "http": {"paths": [path]}}]},
                status={"loadBalancer": {}},
            )
            yield new(
                "PodDisruptionBudget",
                "policy/v1",
                app,
                spec={"minAvailable": 1, "selector": {"matchLabels": selector}},
                status={
                    "observedGeneration": 1,
                    "disruptionsAllowed": 5,
                    "currentHealthy": 6,
                    "desiredHealthy": 1,
                    "expectedPods": 10,
                },
            )

    def _new(
        self,
        kind: str,
        api_version: str,
        name: str,
        namespace: str | None,
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        owner: Manifest | None = None,
        age: timedelta = 30 * _DAY,
        **fields: Any,
    ) -> Manifest:
        number = next(self.numbers)
        created = _time(self.now - age)
        metadata: Manifest = {"name": name}
        if namespace:
            metadata["namespace"] = namespace
        metadata |= {
            "uid": f"{number:08x}-0000-4000-8000-{number:012x}",
            "resourceVersion": str(1_000 + number),
            "creationTimestamp": created,
        }
        if "spec" in fields and kind not in ("Pod", "Service"):
            metadata["generation"] = 1
        if labels:
            metadata["labels"] = dict(labels)
        if annotations:
            metadata["annotations"] = dict(annotations)
        if owner:
            metadata["ownerReferences"] = [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]
        main = {key: value for key, value in fields.items() if key != "status"}
        metadata["managedFields"] = [
            _managed("kube-controller-manager", api_version, created, {"metadata": {"labels": labels or {}}, **main})
        ]
        if fields.get("status"):
            status = _managed("kubelet", api_version, created, {"status": fields["status"]})
            metadata["managedFields"].append({**status, "subresource": "status"})
        return {"kind": kind, "apiVersion": api_version, "metadata": metadata, **fields}

    def _pod(
        self,
        number: int,
        replica_set: Manifest,
        labels: dict[str, str],
        annotations: dict[str, str],
        app: str,
        trouble: Trouble | None,
    ) -> Manifest:
        namespace = replica_set["metadata"]["namespace"]
        name = f"{replica_set['metadata']['name']}-{number:05x}"
        spec = {**_pod_spec(app), "nodeName": self.nodes[number % len(self.nodes)]}
        pod = self._new(
            "Pod",
            "v1",
            name,
            namespace,
            labels=labels,
            annotations=annotations,
            owner=replica_set,
            age=_DAY,
            spec=spec,
        )
        pod["status"] = self._pod_status(number, pod, app, trouble)
        kubelet = _managed("kubelet", "v1", pod["metadata"]["creationTimestamp"], {"status": pod["status"]})
        pod["metadata"]["managedFields"].append({**kubelet, "subresource": "status"})
        return pod

    def _pod_status(self, number: int, pod: Manifest, app: str, trouble: Trouble | None) -> Manifest:
        since = _time(self.now - _DAY)
        ready = trouble is None
        status = "True" if ready else "False"
        why = {} if ready else {"reason": "ContainersNotReady", "message": "containers with unready status: [app]"}
        conditions = [
            {"type": kind, "status": state, "lastProbeTime": None, "lastTransitionTime": since, **reason}
            for kind, state, reason in (
                ("PodReadyToStartContainers", "True", {}),
                ("Initialized", "True", {}),
                ("Ready", status, why),
                ("ContainersReady", status, why),
                ("PodScheduled", "True", {}),
            )
        ]
        address = f"10.{244 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
        host = f"172.16.{number % len(self.nodes) // 250}.{number % len(self.nodes) % 250 + 1}"
        return {
            "phase": trouble.phase if trouble else "Running",
            "observedGeneration": 1,
            "conditions": conditions,
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": since,
            "qosClass": "Burstable",
            "containerStatuses": [
                _container_status("app", f"registry.example/shop/{app}:2.4.1", since, pod, app, trouble),
                _container_status("proxy", "registry.example/mesh/proxy:1.22", since, pod, app, None),
            ],
        }

    def _event(self, pod: Manifest, trouble: Trouble | None, app: str) -> Manifest:
        metadata = pod["metadata"]
        seen = _time(self.now - timedelta(minutes=3))
        words = _words(pod, app)
        return self._new(
            "Event",
            "v1",
            f"{metadata['name']}.18a1{int(metadata['uid'][:8], 16):012x}",
            metadata["namespace"],
            age=timedelta(minutes=3),
            involvedObject={
                "kind": "Pod",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "apiVersion": "v1",
                "fieldPath": "spec.containers{app}",
            },
            type="Warning" if trouble else "Normal",
            reason=trouble.event_reason if trouble else "Started",
            message=trouble.event_message.format_map(words) if trouble else "Container started",
            source={"component": "kubelet", "host": pod["spec"]["nodeName"]},
            firstTimestamp=seen,
            lastTimestamp=seen,
            count=17,
            eventTime=None,
            reportingComponent="kubelet",
            reportingInstance=pod["spec"]["nodeName"],
        )

    def _deployment_status(self, replicas: int, ready: int, replica_set: str) -> Manifest:
        since = _time(self.now - _DAY)
        available = ready >= replicas - replicas // 4
        return {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": replicas - ready,
            "conditions": [
                {
                    "type": "Available",
                    "status": "True" if available else "False",
                    "reason": "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
                    "message": f"Deployment {'has' if available else 'does not have'} minimum availability.",
                    "lastUpdateTime": since,
                    "lastTransitionTime": since,
                },
                {
                    "type": "Progressing",
                    "status": "True",
                    "reason": "NewReplicaSetAvailable",
                    "message": f'ReplicaSet "{replica_set}" has successfully progressed.',
                    "lastUpdateTime": since,
                    "lastTransitionTime": since,
                },
            ],
        }

    def _node(self, name: str) -> Manifest:
        since, seen = _time(self.now - 30 * _DAY), _time(self.now - timedelta(seconds=30))
        size = {"cpu": "64", "memory": "263937Mi", "ephemeral-storage": "1Ti", "pods": "250"}
        conditions = [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": f"kubelet: {reason}",
                "lastHeartbeatTime": seen,
                "lastTransitionTime": since,
            }
            for kind, status, reason in (
                ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                ("PIDPressure", "False", "KubeletHasSufficientPID"),
                ("Ready", "True", "KubeletReady"),
            )
        ]
        return self._new(
            "Node",
            "v1",
            name,
            None,
            labels={"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
            spec={"podCIDR": "10.244.0.0/24"},
            status={
                "capacity": size,
                "allocatable": size,
                "conditions": conditions,
                "addresses": [{"type": "Hostname", "address": name}],
                "nodeInfo": {"kubeletVersion": "v1.36.3", "operatingSystem": "linux", "architecture": "amd64"},
                "images": [
                    {"names": [f"registry.example/shop/app-{number}:2.4.1"], "sizeBytes": 104_857_600}
                    for number in range(40)
                ],
            },
        )

    def _lease(self, node: str) -> Manifest:
        renewed = (self.now - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        spec = {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": renewed}
        return self._new("Lease", "coordination.k8s.io/v1", node, "kube-node-lease", spec=spec)


def _namespace(number: int) -> str:
    return f"{NAMESPACE_PREFIX}{number:02}"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _words(pod: Manifest, app: str) -> dict[str, str]:
    metadata = pod["metadata"]
    return {"app": app, "pod": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}


def _container_status(
    name: str, image: str, since: str, pod: Manifest, app: str, trouble: Trouble | None
) -> Manifest:
    status: Manifest = {
        "name": name,
        "image": image,
        "imageID": f"{image}@sha256:{'0123456789abcdef' * 4}",
        "containerID": f"containerd://{'fedcba9876543210' * 4}",
        "ready": trouble is None,
        "started": trouble is None,
        "restartCount": trouble.restarts if trouble else 0,
        "state": {"running": {"startedAt": since}},
        "lastState": {},
    }
    if trouble and trouble.waiting:
        waiting = {"reason": trouble.waiting}
        if trouble.message:
            waiting["message"] = trouble.message.format_map(_words(pod, app))
        status["state"] = {"waiting": waiting}
    if trouble and trouble.terminated:
        ended = {**trouble.terminated, "startedAt": since, "finishedAt": since}
        status["lastState"] = {"terminated": ended}
    return status


def _endpoint(pod: Manifest, ready: bool) -> Manifest:
    metadata = pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": {
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }


def _pod_spec(app: str) -> Manifest:
    def probe(path: str, period: int) -> Manifest:
        return {
            "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
            "initialDelaySeconds": 5,
            "timeoutSeconds": 1,
            "periodSeconds": period,
            "successThreshold": 1,
            "failureThreshold": 3,
        }

    token_mount = {"name": "kube-api-access-x7k2p", "readOnly": True, "mountPath": _TOKEN_MOUNT}
    defaults = {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    credentials = {"secretKeyRef": {"name": f"{app}-credentials", "key": "password"}}
    own_address = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}
    container = {
        "name": "app",
        "image": f"registry.example/shop/{app}:2.4.1",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": "DATABASE_PASSWORD", "valueFrom": {"secretKeyRef": credentials["secretKeyRef"]}},
            {"name": "POD_IP", "valueFrom": own_address},
            *({"name": f"SETTING_{number}", "value": f"value-{number}"} for number in range(8)),
        ],
        "envFrom": [{"configMapRef": {"name": f"{app}-settings"}}],
        "resources": {
            "limits": {"memory": "512Mi"},
            "requests": {"cpu": "250m", "memory": "256Mi"},
        },
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/app"},
            {"name": "scratch", "mountPath": "/tmp"},
            token_mount,
        ],
        "livenessProbe": probe("/healthz", 20),
        "readinessProbe": probe("/ready", 10),
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True},
        **defaults,
    }
    proxy = {
        "name": "proxy",
        "image": "registry.example/mesh/proxy:1.22",
        "args": ["--config", "/etc/proxy/proxy.yaml", "--log-level", "warning"],
        "ports": [{"name": "metrics", "containerPort": 15_090, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "volumeMounts": [token_mount],
        **defaults,
    }
    token = {
        "name": "kube-api-access-x7k2p",
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            ],
            "defaultMode": 420,
        },
    }
    return {
        "containers": [container, proxy],
        "volumes": [
            {"name": "settings", "configMap": {"name": f"{app}-settings", "defaultMode": 420}},
            {"name": "scratch", "emptyDir": {}},
            token,
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def _managed(manager: str, api_version: str, time: str, fields: Manifest) -> Manifest:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields_v1(fields),
    }


def _fields_v1(value: Any) -> Manifest:
    """Which fields somebody wrote, in the way that ``managedFields`` says it."""
    if isinstance(value, dict):
        return {f"f:{key}": _fields_v1(each) for key, each in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        keys = next((key for key in ("name", "type", "ip", "uid") if key in value[0]), "")
        if keys:
            return {f'k:{{"{keys}":"{each.get(keys, "")}"}}': {".": {}, **_fields_v1(each)} for each in value}
    return {}


__all__ = ["NAMESPACE_PREFIX", "PAGE_LIMIT", "Manifest", "failing_pods", "fails", "objects", "pages"]
