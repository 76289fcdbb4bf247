"""ClusterRoleBinding: who gets which rights, and is there what it names?

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.rbac import ClusterRole, ClusterRoleBinding
from k8sgpt_magic.cluster.resources import ServiceAccount
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.rights import BindingCodes, judge_bindings
from k8sgpt_magic.findings import Finding

CODES = BindingCodes.of("ClusterRoleBinding")


@analyzer(ClusterRoleBinding, reads=[ClusterRole, ServiceAccount], codes=CODES.all(), default=False, group="Security")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ClusterRoleBindings that give all rights, rights to everybody, or name what does not exist."""
    yield from judge_bindings(view, view.all(ClusterRoleBinding), CODES)
