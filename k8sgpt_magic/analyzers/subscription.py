"""Subscription: does the operator get its upgrades?

Source: https://olm.operatorframework.io/docs/concepts/crds/subscription/
"""

from __future__ import annotations

from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster.olm import CatalogSource, InstallPlan, OperatorGroup, Subscription
from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, lasting, reported
from k8sgpt_magic.diagnosis.workloads import for_long
from k8sgpt_magic.findings import Code, Finding

_DOCS = "https://olm.operatorframework.io/docs/concepts/crds/subscription/"
_GROUPS = "https://olm.operatorframework.io/docs/advanced-tasks/operator-scoping-with-operatorgroups/"

RESOLUTION_FAILED = Code(
    "SubscriptionResolutionFailed",
    "critical",
    "OLM finds no set of operators that satisfies all subscriptions of the namespace, so it installs nothing there.",
    "https://olm.operatorframework.io/docs/concepts/olm-architecture/dependency-resolution/",
)
CATALOG_UNHEALTHY = Code(
    "SubscriptionCatalogUnhealthy",
    "warning",
    "A catalog that the subscription depends on is not healthy, so upgrades wait.",
    _DOCS,
)
CATALOG_MISSING = Code(
    "SubscriptionCatalogMissing", "critical", "The subscription names a CatalogSource that does not exist.", _DOCS
)
UNPACK_FAILED = Code(
    "SubscriptionBundleUnpackFailed", "critical", "The operator's bundle could not be unpacked.", _DOCS
)
PLAN_FAILED = Code(
    "SubscriptionInstallPlanFailed", "critical", "The subscription's InstallPlan is missing or has failed.", _DOCS
)
UPGRADE_FAILED = Code("SubscriptionUpgradeFailed", "critical", "The operator's last upgrade failed.", _DOCS)
AWAITS_APPROVAL = Code(
    "SubscriptionAwaitsApproval",
    "info",
    "An upgrade waits until somebody approves its InstallPlan.",
    "https://olm.operatorframework.io/docs/concepts/crds/installplan/",
)
UPGRADE_PENDING = Code(
    "SubscriptionUpgradePending", "warning", "An upgrade has been under way for long and does not end.", _DOCS
)
NOT_RECONCILED = Code("SubscriptionNotReconciled", "warning", "OLM has not acted on the subscription.", _DOCS)
GROUP_MISSING = Code(
    "SubscriptionOperatorGroupMissing",
    "critical",
    "The subscription's namespace has no OperatorGroup, so OLM installs nothing there.",
    _GROUPS,
)

PENDING_GRACE = 900
# These conditions tell of trouble where they are True.
_BY_CONDITION = {
    "ResolutionFailed": (RESOLUTION_FAILED, "Dependencies cannot be resolved"),
    "CatalogSourcesUnhealthy": (CATALOG_UNHEALTHY, "A catalog is not healthy"),
    "BundleUnpackFailed": (UNPACK_FAILED, "The bundle could not be unpacked"),
    "InstallPlanMissing": (PLAN_FAILED, "The InstallPlan is gone"),
    "InstallPlanFailed": (PLAN_FAILED, "The InstallPlan has failed"),
}


@analyzer(
    Subscription,
    reads=[CatalogSource, InstallPlan, OperatorGroup],
    codes=[
        RESOLUTION_FAILED, CATALOG_UNHEALTHY, CATALOG_MISSING, UNPACK_FAILED, PLAN_FAILED, UPGRADE_FAILED,
        AWAITS_APPROVAL, UPGRADE_PENDING, NOT_RECONCILED, GROUP_MISSING,
    ],
    default=False,
    group="OLM",
)  # fmt: skip
def analyze(view: ClusterView) -> Iterator[Finding]:
    """Subscriptions whose operators are not installed or not upgraded."""
    grouped = {each.namespace for each in view.all(OperatorGroup)}
    for each in view.all(Subscription):
        if each.metadata.deletion_timestamp or not view.older_than(changed(each), GRACE):
            continue
        if each.namespace not in grouped and view.readable(OperatorGroup, each.namespace):
            yield GROUP_MISSING.finding(
                each,
                "There is no OperatorGroup in the namespace.",
                evidence=[("OperatorGroups in the namespace", 0)],
            )
        found = [*_troubles(view, each)]
        yield from found
        yield from _state(view, each, is_explained=bool(found))


def _troubles(view: ClusterView, each: Subscription) -> Iterator[Finding]:
    catalog = ObjectRef("CatalogSource", each.spec.source_namespace, each.spec.source)
    plan = _plan(each)
    if view.missing(CatalogSource, catalog.namespace, catalog.name):
        yield CATALOG_MISSING.finding(
            each,
            f"{catalog} does not exist.",
            evidence=[("spec.source", catalog.name), ("spec.sourceNamespace", catalog.namespace)],
            masked=(catalog.namespace, catalog.name),
        )
    for named, (code, begin) in _BY_CONDITION.items():
        if found := lasting(view, each, each.status.conditions, named, "True"):
            yield reported(code, each, found, begin, key=named, because=[catalog, *plan])


def _plan(each: Subscription) -> list[ObjectRef]:
    named = each.status.install_plan_ref
    return [ObjectRef("InstallPlan", each.namespace, named.name)] if named and named.name else []


def _state(view: ClusterView, each: Subscription, *, is_explained: bool) -> Iterator[Finding]:
    status, because = each.status, _plan(each)
    since = status.last_updated or changed(each)
    evidence = [("status.state", status.state or "none"), ("status.currentCSV", status.current_csv or "none")]
    if status.state == "UpgradeFailed":
        yield UPGRADE_FAILED.finding(
            each,
            f"The upgrade to {status.current_csv or 'the current version'} has failed.",
            since=since,
            evidence=evidence,
            because=[*because, ObjectRef("ClusterServiceVersion", each.namespace, status.current_csv)],
            masked=(status.current_csv,),
        )
    elif is_explained:
        return
    elif not status.state:
        yield NOT_RECONCILED.finding(
            each,
            f"OLM has not acted on the subscription{for_long(view, since)}: it has no state.",
            since=since,
            evidence=evidence,
            because=[ObjectRef("CatalogSource", each.spec.source_namespace, each.spec.source)],
        )
    elif status.state in ("UpgradePending", "UpgradeAvailable"):
        plan = view.get(InstallPlan, each.namespace, because[0].name) if because else None
        if each.spec.install_plan_approval == "Manual" and (plan is None or not plan.spec.approved):
            yield AWAITS_APPROVAL.finding(
                each,
                f"{status.current_csv or 'An upgrade'} waits for approval"
                f"{f' of InstallPlan {because[0].name}' if because else ''}.",
                since=since,
                evidence=[*evidence, ("spec.installPlanApproval", "Manual")],
                masked=(status.current_csv, *(ref.name for ref in because)),
            )
        elif view.older_than(since, PENDING_GRACE):
            yield UPGRADE_PENDING.finding(
                each,
                f"The subscription has been in state {status.state}{for_long(view, since)}.",
                since=since,
                evidence=evidence,
                because=[*because, ObjectRef("ClusterServiceVersion", each.namespace, status.current_csv)],
                masked=(status.current_csv,),
            )
