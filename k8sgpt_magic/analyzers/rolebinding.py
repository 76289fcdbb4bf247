"""RoleBinding: who gets which rights, and is there what it names?

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.rbac import ClusterRole, Role, RoleBinding
from k8sgpt_magic.cluster.resources import ServiceAccount
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.rights import BindingCodes, judge_bindings
from k8sgpt_magic.findings import Finding

CODES = BindingCodes.of("RoleBinding")


@analyzer(RoleBinding, reads=[ClusterRole, Role, ServiceAccount], codes=CODES.all(), default=False, group="Security")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """RoleBindings that give all rights, rights to everybody, or name what does not exist."""
    yield from judge_bindings(view, view.all(RoleBinding), CODES)
