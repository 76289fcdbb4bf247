"""PolicyReport: what do policies say of the objects of a namespace?

Source: https://kyverno.io/docs/policy-reports/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import PolicyReport
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.policies import by_rule
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://kyverno.io/docs/policy-reports/"

FAILED = Code("PolicyReportFailed", "warning", "Objects of the namespace break a rule of a policy.", _DOCS)
ERRORED = Code("PolicyReportErrored", "warning", "A rule of a policy could not be evaluated.", _DOCS)


@analyzer(PolicyReport, codes=[FAILED, ERRORED], group="Integrations")
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Policies that objects of a namespace break, one finding for each rule."""
    yield from by_rule(view.all(PolicyReport), FAILED, ERRORED)
