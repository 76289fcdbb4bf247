"""ResourceQuota: how near is a namespace to what it may use?

Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.resources import ResourceQuota
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined, quantity

_DOCS = "https://kubernetes.io/docs/concepts/policy/resource-quotas/"

EXHAUSTED = Code(
    "ResourceQuotaExhausted",
    "warning",
    "All that the quota allows of something is used, so nothing more of it is admitted to the namespace.",
    _DOCS,
)
NEARLY_EXHAUSTED = Code(
    "ResourceQuotaNearlyExhausted", "info", "Nearly all that the quota allows of something is used.", _DOCS
)

NEAR = 0.9


@analyzer(ResourceQuota, codes=[EXHAUSTED, NEARLY_EXHAUSTED], default=False)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """ResourceQuotas that are used up, or nearly so."""
    for quota in view.all(ResourceQuota):
        full, near = [], []
        for name, hard in sorted(quota.status.hard.items()):
            used, most = quantity(quota.status.used.get(name, 0)), quantity(hard)
            # A quota of none forbids a thing on purpose.
            if used is None or not most:
                continue
            told = (name, f"{quota.status.used.get(name, 0)} of {hard}", int(used * 100 / most))
            if used >= most:
                full.append(told)
            elif used >= most * int(NEAR * 100) / 100:
                near.append(told)
        for code, found in ((EXHAUSTED, full), (NEARLY_EXHAUSTED, near)):
            if found:
                names = joined(f"{name} ({used}, {share} %)" for name, used, share in found)
                yield code.finding(
                    quota,
                    f"Used {'up' if code is EXHAUSTED else 'nearly up'}: {names}.",
                    evidence=[(f"status.used[{name}]", used) for name, used, _ in found],
                )
