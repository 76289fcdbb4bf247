"""Role: does it allow more than anybody should need?

Source: https://kubernetes.io/docs/concepts/security/rbac-good-practices/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.rbac import Role
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.rights import RoleCodes, judge_roles
from k8sgpt_magic.findings import Finding

CODES = RoleCodes.of("Role")


@analyzer(Role, codes=CODES.all(), default=False, group="Security")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Roles with wildcards, with rights to get other rights, or that let Secrets be read."""
    yield from judge_roles(view.all(Role), CODES)
