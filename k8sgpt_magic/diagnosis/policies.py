"""What policy engines report, as findings: one for each rule, however many objects break it.

Source: https://github.com/kubernetes-sigs/wg-policy-prototypes
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from k8sgpt_magic.cluster.integrations import ClusterPolicyReport, PolicyReport, PolicyResult
from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.findings import SEVERITIES, Code, Finding, Severity
from k8sgpt_magic.wording import count, joined, sentence

_SEVERITIES: dict[str, Severity] = {
    "critical": "critical", "high": "warning", "medium": "warning", "low": "info", "info": "info",
}  # fmt: skip


class _Broken(Struct):
    """What breaks one rule in one namespace."""

    report: PolicyReport | ClusterPolicyReport
    first: PolicyResult
    objects: dict[ObjectRef, None] = field(default_factory=dict)
    severities: set[Severity] = field(default_factory=set)
    number: int = 0


def by_rule(reports: Iterable[PolicyReport | ClusterPolicyReport], failed: Code, errored: Code) -> Iterator[Finding]:
    """``failed`` for results that are fail, ``errored`` for those that are error; the others are in order."""
    codes = {"fail": failed, "error": errored}
    found: dict[tuple[str, str, str, str], _Broken] = {}
    # An engine may write a report for each object; the first by name stands for all of a namespace.
    for report in sorted(reports, key=lambda each: (each.namespace, each.name)):
        for each in report.results:
            if each.result not in codes:
                continue
            key = (report.namespace, each.result, each.policy, each.rule)
            broken = found.setdefault(key, _Broken(report, each))
            broken.number += 1
            for one in each.resources or ((report.scope,) if report.scope else ()):
                broken.objects[ObjectRef(one.kind, one.namespace or report.namespace, one.name)] = None
            if severity := _SEVERITIES.get(each.severity):
                broken.severities.add(severity)
    for (_, result, policy, rule), broken in found.items():
        yield _finding(codes[result], policy, rule, broken)


def _finding(code: Code, policy: str, rule: str, broken: _Broken) -> Finding:
    called = f"{policy}/{rule}" if rule else policy
    names = [f"{ref.kind} {ref.name}" for ref in broken.objects]
    number = max(broken.number, len(names))
    what = f"{joined(names, 3)}" if names else count(number, "object")
    plural = len(names or range(number)) != 1
    verb = ("break" if plural else "breaks") if broken.first.result == "fail" else "could not be checked by"
    many = f" ({count(number, 'result')})" if number > 3 else ""
    return code.finding(
        broken.report,
        f"{what} {verb} {called}{many}: {sentence(broken.first.message or 'the policy does not say why')}",
        key=called,
        severity=min(broken.severities, key=SEVERITIES.index, default=None),
        evidence=[
            ("results[].policy", policy),
            ("results[].rule", rule or "none"),
            (f"results[].result = {broken.first.result}", number),
            ("results[].severity", broken.first.severity or "none"),
            ("results[].resources", joined(names, 10) or "none"),
            ("results[].message", broken.first.message),
        ],
        masked=(policy, rule, *(name for ref in [*broken.objects][:10] for name in (ref.name, ref.namespace))),
    )
