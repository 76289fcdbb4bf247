"""ClusterPolicyReport: what do policies say of objects without a namespace?

Source: https://kyverno.io/docs/policy-reports/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import ClusterPolicyReport
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.policies import by_rule
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://kyverno.io/docs/policy-reports/"

FAILED = Code(
    "ClusterPolicyReportFailed", "warning", "Objects that belong to no namespace break a rule of a policy.", _DOCS
)
ERRORED = Code("ClusterPolicyReportErrored", "warning", "A rule of a policy could not be evaluated.", _DOCS)


@analyzer(ClusterPolicyReport, codes=[FAILED, ERRORED], group="Integrations")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Policies that objects without a namespace break, one finding for each rule."""
    yield from by_rule(view.all(ClusterPolicyReport), FAILED, ERRORED)
