"""Who may do what: the objects of role-based access control.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from msgspec import field

from k8sgpt_magic.cluster.resources import AnnotatedMeta, Fields, Resource


class PolicyRule(Fields, frozen=True):
    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = field(default=(), name="nonResourceURLs")


class Subject(Fields, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class RoleRef(Fields, frozen=True):
    kind: str = ""
    name: str = ""


class Role(Resource, frozen=True):
    kind = "Role"
    group = "rbac.authorization.k8s.io"
    plural = "roles"
    metadata: AnnotatedMeta = AnnotatedMeta()
    rules: tuple[PolicyRule, ...] = ()


class ClusterRole(Resource, frozen=True):
    kind = "ClusterRole"
    group = "rbac.authorization.k8s.io"
    plural = "clusterroles"
    namespaced = False
    metadata: AnnotatedMeta = AnnotatedMeta()
    rules: tuple[PolicyRule, ...] = ()


class RoleBinding(Resource, frozen=True):
    kind = "RoleBinding"
    group = "rbac.authorization.k8s.io"
    plural = "rolebindings"
    metadata: AnnotatedMeta = AnnotatedMeta()
    subjects: tuple[Subject, ...] = ()
    role_ref: RoleRef = RoleRef()


class ClusterRoleBinding(Resource, frozen=True):
    kind = "ClusterRoleBinding"
    group = "rbac.authorization.k8s.io"
    plural = "clusterrolebindings"
    namespaced = False
    metadata: AnnotatedMeta = AnnotatedMeta()
    subjects: tuple[Subject, ...] = ()
    role_ref: RoleRef = RoleRef()
