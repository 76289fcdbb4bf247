"""HelmRelease (Flux): is the chart installed, tested and not rolled back?

Source: https://fluxcd.io/flux/components/helm/helmreleases/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.integrations import HelmRelease
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import lasting, reported
from k8sgpt_magic.diagnosis.flux import WORKLOADS, Codes, judged
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://fluxcd.io/flux/components/helm/helmreleases/"

NOT_READY = Code(
    "HelmReleaseNotReady", "warning", "Flux could not install or upgrade the chart.", f"{_DOCS}#conditions"
)
STALLED = Code("HelmReleaseStalled", "critical", "Flux has given the release up.", f"{_DOCS}#conditions")
NOT_RECONCILED = Code(
    "HelmReleaseNotReconciled",
    "warning",
    "Flux has not judged the release or its last change.",
    f"{_DOCS}#conditions",
)
SUSPENDED = Code(
    "HelmReleaseSuspended", "info", "Flux does not upgrade the release until somebody resumes it.", f"{_DOCS}#suspend"
)
REMEDIATED = Code(
    "HelmReleaseRemediated",
    "warning",
    "An upgrade failed and was rolled back or uninstalled, so the chart is not the one that the spec names.",
    f"{_DOCS}#configuring-failure-handling",
)
TEST_FAILED = Code(
    "HelmReleaseTestFailed", "warning", "The tests of the chart failed.", f"{_DOCS}#test-configuration"
)

_CODES = Codes(NOT_READY, STALLED, NOT_RECONCILED, SUSPENDED)


@analyzer(
    HelmRelease,
    reads=WORKLOADS,
    codes=[NOT_READY, STALLED, NOT_RECONCILED, SUSPENDED, REMEDIATED, TEST_FAILED],
    group="Integrations",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """HelmReleases of Flux that are not installed as their spec says."""
    for each in view.all(HelmRelease):
        yield from judged(view, each, _CODES)
        if each.spec.suspend or each.metadata.deletion_timestamp:
            continue
        if back := lasting(view, each, each.status.conditions, "Remediated", "True"):
            yield reported(REMEDIATED, each, back, "A failed upgrade was undone")
        if failed := lasting(view, each, each.status.conditions, "TestSuccess"):
            yield reported(TEST_FAILED, each, failed, "The chart's tests failed")
