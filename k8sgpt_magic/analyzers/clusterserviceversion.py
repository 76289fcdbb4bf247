"""ClusterServiceVersion: has the operator been installed, and does it still run?

Source: https://olm.operatorframework.io/docs/concepts/crds/clusterserviceversion/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.olm import ClusterServiceVersion
from k8sgpt_magic.cluster.resources import Deployment, ObjectRef
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import changed, names_in
from k8sgpt_magic.diagnosis.workloads import for_long
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined, sentence

_DOCS = "https://olm.operatorframework.io/docs/concepts/crds/clusterserviceversion/"

FAILED = Code("ClusterServiceVersionFailed", "critical", "The operator could not be installed, or has failed.", _DOCS)
REQUIREMENTS_MISSING = Code(
    "ClusterServiceVersionRequirementsMissing",
    "critical",
    "The operator is not installed because something it requires is not there.",
    _DOCS,
)
STUCK = Code(
    "ClusterServiceVersionStuck", "warning", "The operator's installation or removal does not come to its end.", _DOCS
)

COPIED = "olm.copiedFrom"
# An operator's pods have to be pulled and to get ready; OLM itself gives them five minutes.
STUCK_GRACE = 600
_UNMET = {"NotPresent", "PresentNotSatisfied", "NotSatisfied"}


@analyzer(
    ClusterServiceVersion,
    reads=[Deployment],
    codes=[FAILED, REQUIREMENTS_MISSING, STUCK],
    default=False,
    group="OLM",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Operators that are not installed. Copies in other namespaces say the same as their original."""
    for each in view.all(ClusterServiceVersion):
        status = each.status
        if COPIED in each.metadata.labels or status.reason == "Copied" or status.phase == "Succeeded":
            continue
        since = status.last_transition_time or changed(each)
        if status.phase != "Failed" and not view.older_than(since, STUCK_GRACE):
            continue
        unmet = [one for one in status.requirement_status if one.status in _UNMET]
        evidence: list[tuple[str, object]] = [("status.phase", status.phase or "none")]
        if status.reason or status.message:
            evidence.append(("status.message", f"{status.reason}: {status.message}"))
        evidence += [(f"status.requirementStatus[{one.kind} {one.name}]", one.status) for one in unmet[:10]]
        why = f": {status.reason}, {sentence(status.message)}" if status.message else "."
        masked = (*names_in(status.message), *(one.name for one in unmet))
        because = [
            ObjectRef("Deployment", each.namespace, deployment.name)
            for deployment in each.spec.install.spec.deployments
        ]
        if unmet and status.phase in ("Pending", "Failed"):
            names = joined((f"{one.kind} {one.name} ({one.status})" for one in unmet), 3)
            yield REQUIREMENTS_MISSING.finding(
                each,
                f"The operator needs {names}.",
                since=since,
                evidence=evidence,
                because=[ObjectRef(one.kind, each.namespace, one.name) for one in unmet],
                masked=masked,
            )
        elif status.phase == "Failed":
            yield FAILED.finding(
                each, f"The operator has failed{why}", since=since, evidence=evidence, because=because, masked=masked
            )
        else:
            yield STUCK.finding(
                each,
                f"The operator has been in phase {status.phase or '(none)'}{for_long(view, since)}{why}",
                since=since,
                evidence=evidence,
                because=because,
                masked=masked,
            )
