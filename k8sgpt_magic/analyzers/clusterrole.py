"""ClusterRole: does it allow more than anybody should need?

Source: https://kubernetes.io/docs/concepts/security/rbac-good-practices/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.rbac import ClusterRole
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.rights import RoleCodes, judge_roles
from k8sgpt_magic.findings import Finding

CODES = RoleCodes.of("ClusterRole")


@analyzer(ClusterRole, codes=CODES.all(), default=False, group="Security")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ClusterRoles with wildcards, with rights to get other rights, or that let Secrets be read."""
    yield from judge_roles(view.all(ClusterRole), CODES)
