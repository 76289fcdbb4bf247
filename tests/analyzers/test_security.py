"""Rights, accounts and Pod Security Standards, and APIs that are gone."""

from __future__ import annotations

import pytest

from tests.views import codes, findings

RBAC = "rbac.authorization.k8s.io/v1"


def role(rules: str, name: str = "bot", kind: str = "ClusterRole", labels: str = "{}") -> str:
    namespace = ", namespace: shop" if kind == "Role" else ""
    return f"---\n{{apiVersion: {RBAC}, kind: {kind}, metadata: {{name: '{name}', labels: {labels}{namespace}}}, rules: {rules}}}\n"


def rule(verbs: str, resources: str, groups: str = "''", names: str = "") -> str:
    only = f", resourceNames: [{names}]" if names else ""
    return f"{{verbs: [{verbs}], apiGroups: [{groups}], resources: [{resources}]{only}}}"


@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (rule("get,list", "pods"), []),
        (rule("'*'", "'*'", "'*'"), ["Wildcard warning"]),
        (rule("'*'", "'*'"), ["Wildcard warning"]),
        (rule("create", "'*'", "'*'"), ["Wildcard info"]),
        # All of a kind of one's own, or to read anything, says what it means.
        (rule("'*'", "geese", "farm.example.com"), []),
        (rule("get,list", "'*'", "apps"), []),
        (rule("get", "secrets"), ["ReadsSecrets info"]),
        (rule("get", "secrets", names="tls"), []),
        (rule("create", "secrets"), []),
        (rule("escalate", "roles", RBAC.partition("/")[0]), ["Escalates warning"]),
        (rule("impersonate", "users"), ["Escalates warning"]),
    ],
)
def test_roles(kind, rules, found):
    told = [
        f"{each.code.removeprefix(kind)} {each.severity}" for each in findings(kind, role(f"[{rules}]", kind=kind))
    ]
    assert told == found


def test_the_systems_own_roles_are_as_they_have_to_be():
    everything = "[" + rule("'*'", "'*'", "'*'") + "]"
    assert codes("ClusterRole", role(everything, "cluster-admin")) == []
    assert codes("ClusterRole", role(everything, "system:masters-like")) == []
    assert codes("ClusterRole", role(everything, labels="{kubernetes.io/bootstrapping: rbac-defaults}")) == []
    assert codes("ClusterRole", role("null")) == []


def binding(role_ref: str, subjects: str, kind: str = "ClusterRoleBinding", name: str = "bind") -> str:
    namespace = ", namespace: shop" if kind == "RoleBinding" else ""
    return (
        f"---\n{{apiVersion: {RBAC}, kind: {kind}, metadata: {{name: '{name}'{namespace}}}, "
        f"roleRef: {role_ref}, subjects: {subjects}}}\n"
    )


ADMIN = "{kind: ClusterRole, name: cluster-admin}"
VIEW = "{kind: ClusterRole, name: view}"
ROLES = role("[]", "cluster-admin") + role("[]", "view")
ALICE = "[{kind: User, name: alice}]"
ACCOUNT = "[{kind: ServiceAccount, namespace: shop, name: bot}]"
EXISTS = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: bot, namespace: shop}}\n"


@pytest.mark.parametrize("kind", ["ClusterRoleBinding", "RoleBinding"])
@pytest.mark.parametrize(
    ("role_ref", "subjects", "found"),
    [
        (VIEW, ALICE, []),
        (ADMIN, ALICE, ["ClusterAdmin warning"]),
        (ADMIN, "[{kind: ServiceAccount, namespace: kube-system, name: default}]", ["SubjectMissing info"]),
        (ADMIN, "[{kind: Group, name: 'system:masters'}]", []),
        (VIEW, "[{kind: User, name: 'system:anonymous'}]", ["Everybody critical"]),
        (VIEW, "[{kind: Group, name: 'system:unauthenticated'}]", ["Everybody critical"]),
        (VIEW, "[{kind: Group, name: 'system:authenticated'}]", ["Everybody warning"]),
        ("{kind: ClusterRole, name: nothing}", ALICE, ["RoleMissing warning"]),
        (VIEW, ACCOUNT, ["SubjectMissing info"]),
        (VIEW, "null", []),
    ],
)
def test_bindings(kind, role_ref, subjects, found):
    told = findings(kind, binding(role_ref, subjects, kind) + ROLES)
    assert [f"{each.code.removeprefix(kind)} {each.severity}" for each in told] == found


def test_a_role_of_the_namespace_is_not_a_cluster_role_of_that_name():
    own = binding("{kind: Role, name: bot}", ALICE, "RoleBinding")
    assert codes("RoleBinding", own + role("[]", "bot", "ClusterRole")) == ["RoleBindingRoleMissing"]
    assert codes("RoleBinding", own + role("[]", "bot", "Role")) == []
    # What may not be read is not missing.
    assert codes("RoleBinding", own, forbidden=["Role"]) == []
    assert codes("ClusterRoleBinding", binding(VIEW, ACCOUNT) + ROLES, forbidden=["ServiceAccount"]) == []
    assert codes("ClusterRoleBinding", binding(VIEW, ACCOUNT) + ROLES + EXISTS) == []


DEFAULT = "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: shop}}\n"


def pod(spec: str = "", security: str = "", containers: str = "[{name: app}]", owner: str = "") -> str:
    owners = f", ownerReferences: [{{kind: DaemonSet, name: {owner}, controller: true}}]" if owner else ""
    name = f"{owner or 'web'}-1"
    return f"""---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop{owners}}}
spec:
  containers: {containers}
  {spec}
  securityContext: {{{security}}}
status: {{phase: Running}}
"""


def test_default_accounts():
    given = binding(VIEW, "[{kind: ServiceAccount, namespace: shop, name: default}]", "RoleBinding")
    assert codes("ServiceAccount", DEFAULT + pod() + given) == ["ServiceAccountDefaultHasRights"]
    assert codes("ServiceAccount", DEFAULT + pod()) == ["ServiceAccountUnusedToken"]
    assert codes("ServiceAccount", DEFAULT) == []
    assert codes("ServiceAccount", DEFAULT + pod("automountServiceAccountToken: false")) == []
    assert codes("ServiceAccount", DEFAULT.replace("}}", "}, automountServiceAccountToken: false}") + pod()) == []
    assert codes("ServiceAccount", DEFAULT + EXISTS + pod("serviceAccountName: bot")) == []
    assert codes("ServiceAccount", DEFAULT + pod(), forbidden=["ClusterRoleBinding"]) == []


HARDENED = "runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}"
TIGHT = "[{name: app, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}%s}}]"


@pytest.mark.parametrize(
    ("manifest", "found", "says"),
    [
        (pod(security=HARDENED, containers=TIGHT % ""), "", ""),
        (pod(), "Baseline", "may run as root"),
        (pod(security=HARDENED, containers=TIGHT % ", runAsUser: 0"), "Baseline", "runs as root"),
        (pod(security=HARDENED, containers=TIGHT.replace("drop: [ALL]", "drop: [ALL], add: [NET_BIND_SERVICE]") % ""), "", ""),
        (pod(security=HARDENED, containers=TIGHT.replace("drop: [ALL]", "drop: [ALL], add: [CHOWN]") % ""), "Baseline", "adds the capability CHOWN"),
        (pod("hostNetwork: true", HARDENED, TIGHT % ""), "Privileged", "shares the node's Network"),
        (pod("hostPID: true", HARDENED, TIGHT % ""), "Privileged", "shares the node's PID"),
        (pod("volumes: [{name: sock, hostPath: {path: /run}}]", HARDENED, TIGHT % ""), "Privileged", "mounts a directory of the node"),
        (pod(containers="[{name: app, securityContext: {privileged: true}}]"), "Privileged", "is privileged"),
        (pod(containers="[{name: app, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]"), "Privileged", "SYS_ADMIN"),
        (pod(containers="[{name: app, ports: [{containerPort: 80, hostPort: 80}]}]"), "Privileged", "takes a port of the node"),
        (pod(security="sysctls: [{name: kernel.msgmax, value: '1'}]"), "Privileged", "kernel.msgmax"),
        (pod("initContainers: [{name: init, securityContext: {privileged: true}}]", HARDENED, TIGHT % ""), "Privileged", "is privileged"),
    ],
)  # fmt: skip
def test_pod_security(manifest, found, says):
    told = findings("PodSecurity", manifest)
    assert [each.code for each in told] == ([f"PodSecurity{found}"] if found else [])
    assert all(says in each.message for each in told)


def test_pods_of_one_workload_get_one_finding_with_the_level_that_is_enforced():
    namespace = "---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}}"
    several = pod(owner="agent") + pod(owner="agent").replace("agent-1", "agent-2")
    [found] = findings("PodSecurity", several + namespace)
    assert found.parent == "DaemonSet/agent"
    assert "restricted" in [fact.value for fact in found.evidence]
    assert codes("PodSecurity", several.replace("namespace: shop", "namespace: kube-system")) == []


def written(kind: str, api_version: str, old: str, manager: str = "helm") -> str:
    return f"""---
apiVersion: {api_version}
kind: {kind}
metadata:
  name: web
  namespace: shop
  managedFields: [{{manager: {manager}, apiVersion: {old}, time: '2024-01-01T00:00:00Z', operation: Update}}]
"""


NODE = (
    "---\n{{apiVersion: v1, kind: Node, metadata: {{name: n}}, status: {{nodeInfo: {{kubeletVersion: v1.{}.2}}}}}}\n"
)


@pytest.mark.parametrize(
    ("kind", "now", "old", "minor", "severity"),
    [
        ("Deployment", "apps/v1", "apps/v1", 33, ""),
        ("Deployment", "apps/v1", "apps/v1beta2", 33, "warning"),
        ("HorizontalPodAutoscaler", "autoscaling/v2", "autoscaling/v2beta2", 33, "warning"),
        ("HorizontalPodAutoscaler", "autoscaling/v2", "autoscaling/v2beta2", 24, "info"),
        ("PodDisruptionBudget", "policy/v1", "policy/v1beta1", 25, "warning"),
        ("Ingress", "networking.k8s.io/v1", "extensions/v1beta1", 33, "warning"),
        ("CronJob", "batch/v1", "batch/v1beta1", 24, "info"),
    ],
)
def test_versions_that_are_gone(kind, now, old, minor, severity):
    found = findings("DeprecatedAPI", written(kind, now, old) + NODE.format(minor))
    assert [each.severity for each in found] == ([severity] if severity else [])
    for each in found:
        assert each.kind == kind
        assert f"last written as {old}" in each.message
        assert f"write it as {now}" in each.message
