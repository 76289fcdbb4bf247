"""APIService: does each API that another server serves answer?

Source: https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.extension import APIService
from k8sgpt_magic.cluster.resources import ObjectRef, Service
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, sentence

_DOCS = "https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/"

UNAVAILABLE = Code(
    "APIServiceUnavailable",
    "critical",
    "An API that another server serves does not answer: what uses it fails, and no namespace can be deleted.",
    _DOCS,
)
INSECURE = Code(
    "APIServiceInsecure",
    "info",
    "The API server does not check the certificate of the server that it passes requests and their users on to.",
    "https://kubernetes.io/docs/tasks/extend-kubernetes/setup-extension-api-server/",
)

# A rollout of the server behind it takes a moment.
GRACE = 60


@analyzer(APIService, reads=[Service], codes=[UNAVAILABLE, INSECURE], default=False)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """APIServices whose server does not answer."""
    for service in view.all(APIService):
        behind = service.spec.service
        # What the API server serves itself is always there.
        if behind is None:
            continue
        because = [ObjectRef("Service", behind.namespace, behind.name)]
        place = f"{behind.namespace}/{behind.name}"
        available = condition(service.status.conditions, "Available")
        if (
            available is not None
            and available.status != "True"
            and view.older_than(available.last_transition_time, GRACE)
        ):
            since = available.last_transition_time
            yield UNAVAILABLE.finding(
                service,
                f"{service.spec.group}/{service.spec.version} has not been available for {ago(view.age(since))}: "
                f"{sentence(available.message or available.reason or 'no reason given')}",
                since=since,
                evidence=[
                    ("status.conditions[Available]", f"{available.reason}: {available.message}"),
                    ("spec.service", place),
                ],
                because=because,
                masked=[behind.namespace, behind.name],
            )
        if service.spec.insecure_skip_tls_verify:
            yield INSECURE.finding(
                service,
                f"Requests are passed on to the Service {place} without checking its certificate.",
                evidence=[("spec.insecureSkipTLSVerify", "true")],
                because=because,
                masked=[behind.namespace, behind.name],
            )
