"""What rules of role-based access control allow, in the terms of the good-practice guide.

Source: https://kubernetes.io/docs/concepts/security/rbac-good-practices/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from k8sgpt_magic.cluster.rbac import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject
from k8sgpt_magic.cluster.resources import ObjectRef, ServiceAccount
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined

GUIDE = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"
REFERENCE = "https://kubernetes.io/docs/reference/access-authn-authz/rbac/"

BOOTSTRAPPING = "kubernetes.io/bootstrapping"
"""The label of roles and bindings that the API server makes itself, and restores."""

_ESCALATING = {"escalate", "bind", "impersonate"}


class RoleCodes(Struct, frozen=True):
    """What can be said of the rules of one kind of role."""

    wildcard: Code
    secrets: Code
    escalation: Code

    @classmethod
    def of(cls, kind: str) -> RoleCodes:
        return cls(
            Code(
                f"{kind}Wildcard",
                "warning",
                "The role allows everything on everything, also on what will be added later.",
                f"{GUIDE}#least-privilege",
            ),
            Code(
                f"{kind}ReadsSecrets",
                "info",
                "The role lets its subjects read the values of Secrets.",
                f"{GUIDE}#listing-secrets",
            ),
            Code(
                f"{kind}Escalates",
                "warning",
                "The role lets its subjects get more rights than it gives them.",
                f"{GUIDE}#privilege-escalation-risks",
            ),
        )

    def all(self) -> list[Code]:
        return [self.wildcard, self.secrets, self.escalation]


def is_systems_own(labels: Mapping[str, str], name: str) -> bool:
    return labels.get(BOOTSTRAPPING) == "rbac-defaults" or name.startswith("system:")


def judge_roles(roles: Iterable[Role | ClusterRole], codes: RoleCodes) -> Iterator[Finding]:
    """Rules that allow more than anybody should need. The system's own roles are as they have to be."""
    for role in roles:
        if is_systems_own(role.metadata.labels, role.name) or role.name in ("cluster-admin", "admin", "edit", "view"):
            continue
        if everything := [at for at, rule in enumerate(role.rules) if _is_everything(rule)]:
            yield codes.wildcard.finding(
                role,
                "It allows every verb on every resource of "
                f"{'every' if any('*' in role.rules[at].api_groups for at in everything) else 'an'} API group.",
                evidence=_rules(role, everything),
            )
            continue
        if wide := [at for at, rule in enumerate(role.rules) if _is_wide(rule)]:
            yield codes.wildcard.finding(
                role,
                f"It has wildcards: {joined((_shown(role.rules[at]) for at in wide), 2)}.",
                evidence=_rules(role, wide),
                severity="info",
            )
        if escalating := [at for at, rule in enumerate(role.rules) if _escalates(rule)]:
            yield codes.escalation.finding(
                role,
                f"It lets its subjects get other rights: {joined((_shown(role.rules[at]) for at in escalating), 2)}.",
                evidence=_rules(role, escalating),
            )
        if reading := [at for at, rule in enumerate(role.rules) if _reads_secrets(rule)]:
            yield codes.secrets.finding(
                role,
                "It lets its subjects read Secrets"
                f"{'' if isinstance(role, Role) else ', by a ClusterRoleBinding in all namespaces'}.",
                evidence=_rules(role, reading),
            )


def _is_everything(rule: PolicyRule) -> bool:
    return "*" in rule.verbs and "*" in rule.resources


def _is_wide(rule: PolicyRule) -> bool:
    # All that may be read, and all verbs on a kind of one's own, are common and say what they mean.
    return ("*" in rule.resources and not set(rule.verbs) <= {"get", "list", "watch"}) or (
        "*" in rule.verbs and "*" in rule.api_groups
    )


def _escalates(rule: PolicyRule) -> bool:
    return bool(_ESCALATING & set(rule.verbs))


def _reads_secrets(rule: PolicyRule) -> bool:
    return (
        bool({"", "*"} & set(rule.api_groups))
        and bool({"secrets", "*"} & set(rule.resources))
        and bool({"get", "list", "watch", "*"} & set(rule.verbs))
        and not rule.resource_names
    )


def _rules(role: Role | ClusterRole, places: Iterable[int]) -> list[tuple[str, str]]:
    """Some rules of a role as evidence."""
    return [(f"rules[{at}]", _shown(role.rules[at])) for at in places]


def _shown(rule: PolicyRule) -> str:
    groups = ",".join(group or "core" for group in rule.api_groups)
    what = ",".join(rule.resources) or ",".join(rule.non_resource_urls)
    return f"{','.join(rule.verbs)} on {what}{f' of {groups}' if groups else ''}"


class BindingCodes(Struct, frozen=True):
    """What can be said of one kind of binding."""

    admin: Code
    everybody: Code
    role_missing: Code
    subject_missing: Code

    @classmethod
    def of(cls, kind: str) -> BindingCodes:
        return cls(
            Code(
                f"{kind}ClusterAdmin",
                "warning",
                "The binding gives all rights to somebody who is not of the system itself.",
                f"{GUIDE}#least-privilege",
            ),
            Code(
                f"{kind}Everybody",
                "critical",
                "The binding gives rights to everybody who can reach the API server, or has a login.",
                f"{REFERENCE}#discovery-roles",
            ),
            Code(
                f"{kind}RoleMissing",
                "warning",
                "The binding names a role that does not exist, so it gives nothing.",
                f"{REFERENCE}#rolebinding-and-clusterrolebinding",
            ),
            Code(
                f"{kind}SubjectMissing",
                "info",
                "The binding names a ServiceAccount that does not exist: who makes it gets its rights.",
                f"{GUIDE}#periodic-review",
            ),
        )

    def all(self) -> list[Code]:
        return [self.admin, self.everybody, self.role_missing, self.subject_missing]


_EVERYBODY = {
    "system:anonymous": "anybody at all",
    "system:unauthenticated": "anybody at all",
    "system:authenticated": "everybody with a login",
    "system:serviceaccounts": "every pod",
}


def judge_bindings(
    view: ClusterView, bindings: Iterable[RoleBinding | ClusterRoleBinding], codes: BindingCodes
) -> Iterator[Finding]:
    """Bindings that give too much, to too many, or nothing at all. Those that the API server makes are left out."""
    for binding in bindings:
        if is_systems_own(binding.metadata.labels, binding.name):
            continue
        ref, where = binding.role_ref, f" in namespace {binding.namespace}" if binding.namespace else ""
        role_class = ClusterRole if ref.kind == "ClusterRole" else Role
        role_namespace = "" if ref.kind == "ClusterRole" else binding.namespace
        role = ObjectRef(ref.kind, role_namespace, ref.name)
        evidence = [("roleRef", f"{ref.kind} {ref.name}"), ("subjects", joined(map(_named, binding.subjects), 10))]
        if view.missing(role_class, role_namespace, ref.name):
            yield codes.role_missing.finding(
                binding,
                f"It names the {ref.kind} {ref.name}, which does not exist.",
                since=binding.metadata.creation_timestamp,
                evidence=evidence,
                because=[role],
                masked=[ref.name],
            )
            continue
        if everybody := [each.name for each in binding.subjects if each.name in _EVERYBODY]:
            yield codes.everybody.finding(
                binding,
                f"It gives the rights of {ref.name}{where} to "
                f"{joined(dict.fromkeys(_EVERYBODY[each] for each in everybody))} ({joined(everybody)}).",
                evidence=evidence,
                because=[role],
                severity=None if {"system:anonymous", "system:unauthenticated"} & set(everybody) else "warning",
                masked=[ref.name],
            )
        given = [each for each in binding.subjects if each.name not in _EVERYBODY and not _is_of_the_system(each)]
        if ref.name == "cluster-admin" and ref.kind == "ClusterRole" and given:
            yield codes.admin.finding(
                binding,
                f"It gives all rights{where or ' on the whole cluster'} to {joined(map(_named, given), 3)}.",
                evidence=evidence,
                because=[role],
                masked=[each.name for each in given],
            )
        for each in binding.subjects:
            if each.kind == "ServiceAccount" and view.missing(ServiceAccount, each.namespace, each.name):
                yield codes.subject_missing.finding(
                    binding,
                    f"It gives the rights of {ref.name}{where} to the ServiceAccount {each.namespace}/{each.name}, "
                    "which does not exist.",
                    key=f"{each.namespace}/{each.name}",
                    evidence=evidence,
                    because=[ObjectRef("ServiceAccount", each.namespace, each.name)],
                    masked=[ref.name, each.name, each.namespace],
                )


def _is_of_the_system(subject: Subject) -> bool:
    # system:masters has all rights by itself, whatever is bound.
    return subject.name.startswith("system:") or (
        subject.kind == "ServiceAccount" and subject.namespace == "kube-system"
    )


def _named(subject: Subject) -> str:
    place = f"{subject.namespace}/" if subject.namespace else ""
    return f"{subject.kind} {place}{subject.name}"
