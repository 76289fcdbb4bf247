"""InstallPlan: has what was planned been installed?

Source: https://olm.operatorframework.io/docs/concepts/crds/installplan/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.olm import InstallPlan, Subscription
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.conditions import changed, fact, lasting, names_in, reported, said
from k8sgpt_magic.diagnosis.workloads import for_long
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined, sentence

_DOCS = "https://olm.operatorframework.io/docs/concepts/crds/installplan/"

FAILED = Code("InstallPlanFailed", "critical", "What the plan should install could not be installed.", _DOCS)
AWAITS_APPROVAL = Code(
    "InstallPlanAwaitsApproval", "info", "The plan installs nothing until somebody approves it.", _DOCS
)
STUCK = Code("InstallPlanStuck", "warning", "The plan has been under way for long and does not end.", _DOCS)
LOOKUP_FAILED = Code(
    "InstallPlanBundleLookupFailed", "critical", "A bundle that the plan needs cannot be found or unpacked.", _DOCS
)

STUCK_GRACE = 900
_LOOKUPS = ("BundleLookupFailed", "BundleLookupPending")


@analyzer(
    InstallPlan,
    reads=[Subscription],
    codes=[FAILED, AWAITS_APPROVAL, STUCK, LOOKUP_FAILED],
    default=False,
    group="OLM",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """InstallPlans that have failed, that wait or that do not end. Plans that a later one replaced are history."""
    current: dict[str, set[str]] = {}
    subscriptions: set[tuple[str, str]] = set()
    for each in view.all(Subscription):
        subscriptions.add((each.namespace, each.name))
        if each.status.install_plan_ref:
            current.setdefault(each.namespace, set()).add(each.status.install_plan_ref.name)
    for plan in view.all(InstallPlan):
        owners = {owner.name for owner in plan.metadata.owner_references if owner.kind == "Subscription"}
        is_owned = any((plan.namespace, name) in subscriptions for name in owners)
        if plan.status.phase == "Complete" or (is_owned and plan.name not in current.get(plan.namespace, ())):
            continue
        yield from _judged(view, plan)


def _judged(view: ClusterView, plan: InstallPlan) -> Iterator[Finding]:
    status, names = plan.status, plan.spec.cluster_service_version_names
    what, since = joined(names) or "the operators", changed(plan)
    steps = [f"{step.resource.kind} {step.resource.name}" for step in status.plan if step.status in _PENDING]
    evidence: list[tuple[str, object]] = [("status.phase", status.phase or "none")]
    if steps:
        evidence.append(("status.plan[] not present", joined(steps, 10)))
    masked = (*names, *(step.resource.name for step in status.plan if step.status in _PENDING))
    if status.phase == "RequiresApproval" and not plan.spec.approved:
        yield AWAITS_APPROVAL.finding(
            plan,
            f"{what} {'are' if len(names) > 1 else 'is'} to be installed once the plan is approved.",
            since=since,
            evidence=[*evidence, ("spec.approved", False)],
            masked=masked,
        )
        return
    for lookup in status.bundle_lookups:
        for named in _LOOKUPS:
            failed = lasting(view, plan, lookup.conditions, named, "True")
            if failed and (named == "BundleLookupFailed" or failed.reason not in ("", "JobIncomplete")):
                yield reported(
                    LOOKUP_FAILED,
                    plan,
                    failed,
                    f"Bundle {lookup.identifier} cannot be unpacked",
                    key=lookup.identifier,
                    where=f"status.bundleLookups[{lookup.identifier}]",
                    masked=(lookup.identifier,),
                )
                return
    installed = condition(status.conditions, "Installed")
    if status.phase == "Failed":
        words = said(installed) if installed and installed.message else sentence(status.message or "no reason given")
        if installed:
            evidence.append(fact(installed))
        yield FAILED.finding(
            plan,
            f"{what} could not be installed: {words}",
            since=installed.last_transition_time if installed else since,
            evidence=evidence,
            masked=(*masked, *names_in(words)),
        )
    elif view.older_than(since, STUCK_GRACE):
        yield STUCK.finding(
            plan,
            f"The plan has been in phase {status.phase or '(none)'}{for_long(view, since)}"
            f"{f'; not there yet: {joined(steps, 3)}' if steps else ''}.",
            since=since,
            evidence=evidence,
            masked=masked,
        )


_PENDING = {"NotPresent", "Unknown", "WaitingForApi"}
