"""Levels of pods, ours against those of the API server's own admission."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.controlplane.api import ApiError, ControlPlaneApi
from tests.controlplane.controlplane import ControlPlane
from tests.views import findings

HARDENED = """
securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
containers:
- name: app
  image: example.com/app:1
  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
OF_THE_POD = [
    "{}",
    "{hostNetwork: true}",
    "{hostPID: true}",
    "{hostIPC: true}",
    "{volumes: [{name: v, hostPath: {path: /run}}]}",
    "{volumes: [{name: v, emptyDir: {}}]}",
    "{volumes: [{name: v, csi: {driver: secrets-store.csi.k8s.io}}]}",
    "{volumes: [{name: v, downwardAPI: {items: []}}]}",
    "{volumes: [{name: v, configMap: {name: c}}]}",
    "{volumes: [{name: v, secret: {secretName: c}}]}",
    "{volumes: [{name: v, projected: {sources: []}}]}",
    "{volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]}",
    "{volumes: [{name: v, image: {reference: example.com/data:1}}]}",
    "{volumes: [{name: v, nfs: {server: nfs.example.com, path: /}}]}",
    "{volumes: [{name: v, iscsi: {targetPortal: 'a:1', iqn: 'iqn.2020-01.com.example:s', lun: 0}}]}",
    "{securityContext: {runAsNonRoot: null}}",
    "{securityContext: {runAsUser: 0, runAsNonRoot: true}}",
    "{securityContext: {runAsUser: 1000}}",
    "{securityContext: {seccompProfile: null}}",
    "{securityContext: {seccompProfile: {type: Unconfined}}}",
    "{securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}}",
    "{securityContext: {sysctls: [{name: net.ipv4.tcp_rmem, value: '4096 131072 6291456'}]}}",
    "{securityContext: {appArmorProfile: {type: Unconfined}}}",
    "{securityContext: {appArmorProfile: {type: RuntimeDefault}}}",
    "{securityContext: {seLinuxOptions: {type: spc_t}}}",
    "{securityContext: {seLinuxOptions: {type: container_t}}}",
    "{securityContext: {seLinuxOptions: {level: 's0:c1,c2'}}}",
    "{securityContext: {seLinuxOptions: {user: system_u}}}",
    "{securityContext: {windowsOptions: {hostProcess: true}}, hostNetwork: true}",
    "{hostUsers: false, securityContext: {runAsNonRoot: null}}",
    "{hostUsers: false, securityContext: {runAsUser: 0, runAsNonRoot: null}}",
]
OF_WINDOWS = (
    "{os: {name: windows}, containers: [{name: app, image: example.com/app:1}], securityContext: {runAsNonRoot: %s}}"
)
OF_THE_CONTAINER = [
    "{securityContext: {privileged: true, allowPrivilegeEscalation: true}}",
    "{securityContext: {allowPrivilegeEscalation: null}}",
    "{securityContext: {capabilities: {drop: [NET_RAW]}}}",
    "{securityContext: {capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}}",
    "{securityContext: {capabilities: {drop: [ALL], add: [CHOWN]}}}",
    "{securityContext: {capabilities: {drop: [ALL], add: [SYS_ADMIN]}}}",
    "{securityContext: {runAsNonRoot: false}}",
    "{securityContext: {runAsUser: 0}}",
    "{securityContext: {seccompProfile: {type: Localhost, localhostProfile: p.json}}}",
    "{securityContext: {seccompProfile: {type: Unconfined}}}",
    "{securityContext: {appArmorProfile: {type: Unconfined}}}",
    "{securityContext: {seLinuxOptions: {role: r}}}",
    "{ports: [{containerPort: 80, hostPort: 80}]}",
    "{ports: [{containerPort: 80}]}",
]
# What an init container that runs once may not have.
OF_A_SERVER = [
    "{livenessProbe: {httpGet: {port: 80}}}",
    "{livenessProbe: {httpGet: {port: 80, host: 10.0.0.1}}}",
    "{livenessProbe: {httpGet: {port: 80, host: 127.0.0.1}}}",
    "{livenessProbe: {httpGet: {port: 80, host: localhost}}}",
    "{livenessProbe: {httpGet: {port: 80, host: '::1'}}}",
    "{readinessProbe: {tcpSocket: {port: 80, host: 10.0.0.1}}}",
    "{startupProbe: {tcpSocket: {port: 80}}}",
    "{lifecycle: {preStop: {httpGet: {port: 80, host: 10.0.0.1}}}}",
    "{lifecycle: {postStart: {tcpSocket: {port: 80, host: 10.0.0.1}}}}",
]


def merged(into: Any, given: Any) -> Any:
    if not isinstance(into, dict) or not isinstance(given, dict):
        return given
    both = {**into, **{key: merged(into.get(key), value) for key, value in given.items()}}
    return {key: value for key, value in both.items() if value is not None}


def specs() -> list[dict[str, Any]]:
    hardened = yaml.safe_load(HARDENED)
    made = [merged(hardened, yaml.safe_load(each)) for each in OF_THE_POD]
    made += [yaml.safe_load(OF_WINDOWS % each) for each in ("true", "false")]
    for each in OF_THE_CONTAINER + OF_A_SERVER:
        container = merged(hardened["containers"][0], yaml.safe_load(each))
        made.append({**hardened, "containers": [container]})
        if each in OF_THE_CONTAINER:
            # The same of an init container beside a container that is in order.
            made.append({**hardened, "initContainers": [{**container, "name": "init"}]})
    unmasked = merged(hardened["containers"][0], {"securityContext": {"procMount": "Unmasked"}})
    made.append({**hardened, "hostUsers": False, "containers": [unmasked]})
    return made


@pytest.fixture(scope="module")
def levels(control_plane: ControlPlane) -> ControlPlaneApi:
    admin = control_plane.client("admin")
    for level in ("baseline", "restricted"):
        labels = f"{{pod-security.kubernetes.io/enforce: {level}}}"
        admin.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: level-{level}, labels: {labels}}}}}")
        admin.apply(
            f"{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: level-{level}}}}}"
        )
    return admin


def admitted(api: ControlPlaneApi, level: str, pod: dict[str, Any]) -> bool:
    try:
        api.request("POST", f"/api/v1/namespaces/level-{level}/pods", pod, query={"dryRun": "All"})
    except ApiError as refusal:
        if "violates PodSecurity" not in str(refusal):
            pytest.fail(f"{pod['spec']}: {refusal}")
        return False
    return True


@pytest.mark.parametrize(
    "spec", specs(), ids=lambda spec: yaml.safe_dump(spec, default_flow_style=True, width=10_000)
)
def test_the_level_of_a_pod_is_that_of_the_api_server(levels, spec):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    servers = (
        "Privileged" if not admitted(levels, "baseline", pod)
        else "Baseline" if not admitted(levels, "restricted", pod)
        else "Restricted"
    )  # fmt: skip
    stored = {**pod, "metadata": {"name": "p", "namespace": "shop"}, "status": {"phase": "Running"}}
    found = findings("PodSecurity", yaml.safe_dump(stored))
    ours = found[0].code.removeprefix("PodSecurity") if found else "Restricted"
    assert ours == servers, found
