"""Secret: do the pods that need one find it? No value of a Secret is ever read.

Source: https://kubernetes.io/docs/concepts/configuration/secret/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import Event, Pod, Secret
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.references import TEMPLATED, missing_references
from k8sgpt_magic.findings import Code, Finding

MISSING = Code(
    "SecretMissing",
    "critical",
    "Pods refer to a Secret that does not exist, and their containers cannot start without it.",
    "https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets",
)


@analyzer(Secret, reads=[Pod, Event, *TEMPLATED], codes=[MISSING])
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Secrets that pods or workloads refer to and that do not exist; their contents are never read."""
    yield from missing_references(view, Secret, MISSING)
