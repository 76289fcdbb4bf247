"""PodSecurity: which level of the Pod Security Standards does each workload meet?

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import Container, Lifecycle, Namespace, Pod, PodSecurityContext, SecurityContext
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined

_DOCS = "https://kubernetes.io/docs/concepts/security/pod-security-standards/"

PRIVILEGED = Code(
    "PodSecurityPrivileged",
    "warning",
    "The pods break rules of the baseline level: whoever gets into them may get at the node.",
    f"{_DOCS}#baseline",
    explains=False,
)
BASELINE = Code(
    "PodSecurityBaseline",
    "info",
    "The pods meet the baseline level of the Pod Security Standards and not the restricted one.",
    f"{_DOCS}#restricted",
    explains=False,
)

ENFORCE = "pod-security.kubernetes.io/enforce"
_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}  # fmt: skip
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_VOLUMES = (
    "config_map", "csi", "downward_api", "empty_dir", "ephemeral", "image", "persistent_volume_claim", "projected",
    "secret",
)  # fmt: skip
# They cannot do their work otherwise, and nobody is told anything new.
_SYSTEM = {"kube-system", "kube-node-lease", "kube-public"}
_NONE = SecurityContext()


@analyzer(Pod, reads=[Namespace], codes=[PRIVILEGED, BASELINE], default=False, name="PodSecurity", group="Security")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Workloads that break rules of the Pod Security Standards, one finding each."""
    seen: set[tuple[str, str]] = set()
    for pod in view.all(Pod):
        owner = view.topmost_owner(pod) or f"Pod/{pod.name}"
        # Pods of one workload are alike, and one of them speaks for all.
        if (pod.namespace, owner) in seen or pod.namespace in _SYSTEM or pod.status.phase in ("Succeeded", "Failed"):
            continue
        seen.add((pod.namespace, owner))
        broken = list(_baseline(pod))
        code, level = PRIVILEGED, "baseline"
        if not broken:
            broken, code, level = list(_restricted(pod)), BASELINE, "restricted"
        if broken:
            yield _finding(view, pod, code, level, broken)


def _finding(view: ClusterView, pod: Pod, code: Code, level: str, broken: list[tuple[str, str]]) -> Finding:
    rules = list(dict.fromkeys(rule for _, rule in broken))
    namespace = view.get(Namespace, "", pod.namespace)
    enforced = namespace.metadata.labels.get(ENFORCE, "") if namespace is not None else ""
    return code.finding(
        pod,
        f"It breaks {len(rules)} {'rule' if len(rules) == 1 else 'rules'} of the {level} level: {joined(rules, 4)}.",
        evidence=[
            *broken[:10],
            *([(f"Namespace metadata.labels[{ENFORCE}]", enforced or "not set")] if namespace is not None else []),
        ],
        masked=[each.name for each in _containers(pod)],
    )


def _containers(pod: Pod) -> list[Container]:
    return [*pod.spec.init_containers, *pod.spec.containers, *pod.spec.ephemeral_containers]


def _baseline(pod: Pod) -> Iterator[tuple[str, str]]:
    """The fields that break the baseline level, each with the rule in a few words."""
    spec = pod.spec
    for field, is_set in (("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)):
        if is_set:
            yield f"spec.{field}", f"shares the node's {field.removeprefix('host')}"
    for volume in spec.volumes:
        if volume.host_path is not None:
            yield f"spec.volumes[{volume.name}].hostPath", "mounts a directory of the node"
    context = spec.security_context
    if context is not None:
        yield from _unconfined("spec.securityContext", context)
        for sysctl in context.sysctls:
            if sysctl.name not in _SYSCTLS:
                yield "spec.securityContext.sysctls", f"sets the sysctl {sysctl.name}"
    for container in _containers(pod):
        place, own = f"spec.containers[{container.name}]", container.security_context or _NONE
        if own.privileged:
            yield f"{place}.securityContext.privileged", "is privileged"
        if added := [each for each in own.capabilities.add if each.removeprefix("CAP_") not in _CAPABILITIES]:
            yield f"{place}.securityContext.capabilities.add", f"adds the capability {joined(added)}"
        yield from _unconfined(f"{place}.securityContext", own)
        # In a user namespace of its own a pod's root is nobody on the node.
        if own.proc_mount and own.proc_mount != "Default" and spec.host_users:
            yield f"{place}.securityContext.procMount", "has an unmasked /proc"
        for action, host in _calls(container):
            if host:
                yield f"{place}.{action}.host", "has the node call another host"
        for port in container.ports:
            if port.host_port and not spec.host_network:
                yield f"{place}.ports[{port.container_port}].hostPort", "takes a port of the node"


def _calls(container: Container) -> Iterator[tuple[str, str]]:
    """The hosts that the kubelet calls for a container, with the field that says so."""
    hooks = container.lifecycle or Lifecycle()
    for field, caller in (
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
        ("lifecycle.postStart", hooks.post_start),
        ("lifecycle.preStop", hooks.pre_stop),
    ):
        if caller is not None and caller.http_get is not None:
            yield f"{field}.httpGet", caller.http_get.host
        if caller is not None and caller.tcp_socket is not None:
            yield f"{field}.tcpSocket", caller.tcp_socket.host


def _unconfined(place: str, context: SecurityContext | PodSecurityContext) -> Iterator[tuple[str, str]]:
    """What the baseline level forbids both of pods and of containers."""
    if context.seccomp_profile is not None and context.seccomp_profile.type == "Unconfined":
        yield f"{place}.seccompProfile", "runs without a seccomp profile"
    if context.app_armor_profile is not None and context.app_armor_profile.type == "Unconfined":
        yield f"{place}.appArmorProfile", "runs without an AppArmor profile"
    if (se_linux := context.se_linux_options) is not None:
        if se_linux.type not in _SELINUX_TYPES:
            yield f"{place}.seLinuxOptions.type", f"has the SELinux type {se_linux.type}"
        if se_linux.user or se_linux.role:
            yield f"{place}.seLinuxOptions", "sets an SELinux user or role"
    if context.windows_options is not None and context.windows_options.host_process:
        yield f"{place}.windowsOptions.hostProcess", "is a process of the (Windows) node"


def _restricted(pod: Pod) -> Iterator[tuple[str, str]]:
    """The fields that break the restricted level, of a pod that meets the baseline one."""
    spec, context = pod.spec, pod.spec.security_context
    is_windows = spec.os is not None and spec.os.name == "windows"
    for volume in spec.volumes:
        if all(getattr(volume, source) is None for source in _VOLUMES):
            yield f"spec.volumes[{volume.name}]", "mounts a volume of a kind that is not allowed"
    for container in _containers(pod):
        place, own = f"spec.containers[{container.name}].securityContext", container.security_context or _NONE
        non_root = own.run_as_non_root if own.run_as_non_root is not None else (context and context.run_as_non_root)
        user = own.run_as_user if own.run_as_user is not None else (context and context.run_as_user)
        if own.proc_mount and own.proc_mount != "Default":
            yield f"{place}.procMount", "has an unmasked /proc"
        if not non_root and spec.host_users:
            yield f"{place}.runAsNonRoot", "may run as root"
        if user == 0 and spec.host_users:
            yield f"{place}.runAsUser", "runs as root"
        if is_windows:
            # Windows has neither of the following.
            continue
        if own.allow_privilege_escalation is not False:
            yield f"{place}.allowPrivilegeEscalation", "may gain more privileges"
        if "ALL" not in own.capabilities.drop:
            yield f"{place}.capabilities.drop", "does not drop all capabilities"
        if added := [each for each in own.capabilities.add if each != "NET_BIND_SERVICE"]:
            yield f"{place}.capabilities.add", f"adds the capability {joined(added)}"
        if own.seccomp_profile is None and (context is None or context.seccomp_profile is None):
            yield f"{place}.seccompProfile", "has no seccomp profile"
