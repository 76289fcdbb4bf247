"""PodDisruptionBudget: does it guard pods, and can a node still be drained?

Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.resources import Deployment, ObjectRef, Pod, PodDisruptionBudget, StatefulSet
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import ago, count, joined, sentence

_DOCS = "https://kubernetes.io/docs/tasks/run-application/configure-pdb/"
_DISRUPTIONS = "https://kubernetes.io/docs/concepts/workloads/pods/disruptions/"

SYNC_FAILED = Code(
    "PodDisruptionBudgetSyncFailed",
    "warning",
    "The controller cannot compute this budget, so it allows no eviction at all.",
    _DOCS,
)
NEVER_ALLOWS = Code(
    "PodDisruptionBudgetNeverAllows",
    "warning",
    "Even with all pods healthy the budget allows no eviction, so nodes with its pods cannot be drained.",
    _DISRUPTIONS,
)
BLOCKED = Code(
    "PodDisruptionBudgetBlocked",
    "warning",
    "Too few of the pods are healthy, so no other may be evicted until they are.",
    _DISRUPTIONS,
)
SELECTS_NOTHING = Code(
    "PodDisruptionBudgetSelectsNothing", "info", "The budget's selector matches no pod, so it guards nothing.", _DOCS
)
OVERLAPPING = Code(
    "PodDisruptionBudgetOverlapping",
    "warning",
    "A pod is guarded by more than one budget; evicting it is an error, whatever the budgets allow.",
    _DOCS,
)

# A rollout or a node's restart makes pods unhealthy for some minutes.
GRACE = 600


@analyzer(
    PodDisruptionBudget,
    reads=[Pod, Deployment, StatefulSet],
    codes=[SYNC_FAILED, NEVER_ALLOWS, BLOCKED, SELECTS_NOTHING, OVERLAPPING],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """PodDisruptionBudgets that guard nothing, or that keep nodes from being drained."""
    guarded: defaultdict[ObjectRef, list[PodDisruptionBudget]] = defaultdict(list)
    for budget in view.all(PodDisruptionBudget):
        pods = _pods(view, budget)
        for pod in pods:
            # Budgets do not count for pods that have ended.
            if pod.status.phase not in ("Succeeded", "Failed"):
                guarded[pod.ref].append(budget)
        status = budget.status
        if status.observed_generation < budget.metadata.generation:
            continue
        allowed = condition(status.conditions, "DisruptionAllowed")
        if allowed and allowed.status == "False" and allowed.reason == "SyncFailed":
            yield SYNC_FAILED.finding(
                budget,
                f"The budget cannot be computed: {sentence(allowed.message or 'no reason given')}",
                since=allowed.last_transition_time,
                evidence=[("status.conditions[DisruptionAllowed]", f"{allowed.reason}: {allowed.message}")],
            )
        elif not status.expected_pods:
            if (
                not pods
                and view.readable(Pod, budget.namespace)
                and view.older_than(budget.metadata.creation_timestamp, GRACE)
                and not _guards_scaled_to_zero(view, budget)
            ):
                yield _selects_nothing(budget)
        elif status.disruptions_allowed:
            continue
        elif status.current_healthy >= status.expected_pods:
            yield _never_allows(budget)
        elif status.current_healthy <= status.desired_healthy:
            yield from _blocked(view, budget, pods)
    yield from _overlapping(guarded)


def _pods(view: ClusterView, budget: PodDisruptionBudget) -> list[Pod]:
    # In policy/v1 an empty selector matches all pods, and none matches none.
    return [] if budget.spec.selector is None else view.pods_matching(budget.namespace, budget.spec.selector)


def _guards_scaled_to_zero(view: ClusterView, budget: PodDisruptionBudget) -> bool:
    """Whether a workload would have pods for the budget, and only has none now."""
    templates = view.kept("pod labels of workloads by namespace", _template_labels).get(budget.namespace)
    if not templates or budget.spec.selector is None:
        return False
    requirements = selectors.from_spec(budget.spec.selector)
    return any(selectors.matches(requirements, labels) for labels in templates)


def _template_labels(view: ClusterView) -> dict[str, list[dict[str, str]]]:
    found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    workloads: tuple[Deployment | StatefulSet, ...] = (*view.all(Deployment), *view.all(StatefulSet))
    for workload in workloads:
        found[workload.namespace].append(workload.spec.template.metadata.labels)
    return found


def _bound(budget: PodDisruptionBudget) -> tuple[str, object]:
    if budget.spec.max_unavailable is not None:
        return "spec.maxUnavailable", budget.spec.max_unavailable
    return "spec.minAvailable", budget.spec.min_available


def _never_allows(budget: PodDisruptionBudget) -> Finding:
    field, bound = _bound(budget)
    status = budget.status
    pods = "Its only pod is" if status.expected_pods == 1 else f"All {status.expected_pods} pods are"
    return NEVER_ALLOWS.finding(
        budget,
        f"{pods} healthy, and {field.removeprefix('spec.')} {bound} still lets none be evicted: no drain can end.",
        evidence=[
            (field, bound),
            ("status.desiredHealthy", status.desired_healthy),
            ("status.expectedPods", status.expected_pods),
        ],
    )


def _blocked(view: ClusterView, budget: PodDisruptionBudget, pods: list[Pod]) -> Iterator[Finding]:
    allowed = condition(budget.status.conditions, "DisruptionAllowed")
    since = (
        allowed.last_transition_time if allowed and allowed.status == "False" else budget.metadata.creation_timestamp
    )
    if not view.older_than(since, GRACE):
        return
    unhealthy = [
        pod
        for pod in pods
        if pod.status.phase not in ("Succeeded", "Failed")
        and not any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)
    ]
    field, bound = _bound(budget)
    yield BLOCKED.finding(
        budget,
        f"{budget.status.current_healthy} of {count(budget.status.expected_pods, 'pod')} are healthy and "
        f"{budget.status.desired_healthy} must be: no healthy pod could be evicted for {ago(view.age(since))}.",
        since=since,
        evidence=[
            (field, bound),
            ("status.currentHealthy", budget.status.current_healthy),
            ("status.desiredHealthy", budget.status.desired_healthy),
        ],
        because=unhealthy[:20],
    )


def _selects_nothing(budget: PodDisruptionBudget) -> Finding:
    selector = selectors.text_of(selectors.from_spec(budget.spec.selector)) if budget.spec.selector else "none"
    return SELECTS_NOTHING.finding(
        budget,
        f"No pod matches the selector {selector or '(empty)'}.",
        evidence=[("spec.selector", selector), ("status.expectedPods", budget.status.expected_pods)],
        masked=tuple(budget.spec.selector.match_labels.values()) if budget.spec.selector else (),
    )


def _overlapping(guarded: dict[ObjectRef, list[PodDisruptionBudget]]) -> Iterator[Finding]:
    """One finding for each set of budgets, not for each pod."""
    shared: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    budgets: dict[tuple[str, ...], PodDisruptionBudget] = {}
    for pod, several in guarded.items():
        if len(several) > 1:
            names = (pod.namespace, *sorted(each.name for each in several))
            shared[names].append(pod.name)
            budgets[names] = min(several, key=lambda each: each.name)
    for names, pods in shared.items():
        others = names[2:]
        yield OVERLAPPING.finding(
            budgets[names],
            f"{joined(others)} also {'guards' if len(others) == 1 else 'guard'} {count(len(pods), 'pod')} of it: "
            f"{joined(sorted(pods), 3)}.",
            key=",".join(others),
            evidence=[("pods", joined(sorted(pods), 10))],
            masked=(*others, *pods[:10]),
        )
