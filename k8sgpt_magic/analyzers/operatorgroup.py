"""OperatorGroup: is it the only one of its namespace, and do its namespaces exist?

Source: https://olm.operatorframework.io/docs/advanced-tasks/operator-scoping-with-operatorgroups/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.olm import OperatorGroup
from k8sgpt_magic.cluster.resources import Namespace
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.conditions import GRACE, changed, lasting, reported
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import joined

_DOCS = "https://olm.operatorframework.io/docs/advanced-tasks/operator-scoping-with-operatorgroups/"
_CONCEPT = "https://olm.operatorframework.io/docs/concepts/crds/operatorgroup/"

SEVERAL = Code(
    "OperatorGroupSeveral",
    "critical",
    "The namespace has more than one OperatorGroup, so OLM installs and upgrades nothing there.",
    _DOCS,
)
NAMESPACE_MISSING = Code(
    "OperatorGroupNamespaceMissing", "warning", "The group is for a namespace that does not exist.", _CONCEPT
)
SELECTS_NOTHING = Code(
    "OperatorGroupSelectsNothing", "warning", "The group's selector matches no namespace.", _CONCEPT
)
OVERLAPPING = Code(
    "OperatorGroupOverlapping",
    "warning",
    "Two groups provide the same API in the same namespace, so two operators may act on the same objects.",
    _DOCS,
)
FAULTY = Code("OperatorGroupFaulty", "warning", "OLM reports a fault of the group.", _CONCEPT)

PROVIDED = "olm.providedAPIs"
_FAULTS = ("MultipleOperatorGroupFound", "OperatorGroupServiceAccountNotFound")


@analyzer(
    OperatorGroup,
    reads=[Namespace],
    codes=[SEVERAL, NAMESPACE_MISSING, SELECTS_NOTHING, OVERLAPPING, FAULTY],
    default=False,
    group="OLM",
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """OperatorGroups that keep OLM from installing operators where they should be."""
    by_namespace: defaultdict[str, list[OperatorGroup]] = defaultdict(list)
    for group in view.all(OperatorGroup):
        if not group.metadata.deletion_timestamp:
            by_namespace[group.namespace].append(group)
    for groups in by_namespace.values():
        names = sorted(group.name for group in groups)
        for group in groups:
            if len(groups) > 1 and group.name == names[0]:
                yield SEVERAL.finding(
                    group,
                    f"The namespace has {len(groups)} OperatorGroups: {joined(names)}.",
                    evidence=[("OperatorGroups in the namespace", joined(names, 10))],
                    masked=names,
                )
            yield from _scope(view, group)
            for named in _FAULTS:
                # The first of these is told above, where it is seen at once.
                if (named != _FAULTS[0] or len(groups) == 1) and (
                    fault := lasting(view, group, group.status.conditions, named, "True")
                ):
                    yield reported(FAULTY, group, fault, "OLM reports a fault", key=named)
    yield from _overlapping([group for groups in by_namespace.values() for group in groups])


def _scope(view: ClusterView, group: OperatorGroup) -> Iterator[Finding]:
    spec = group.spec
    if not view.older_than(changed(group), GRACE):
        return
    gone = [each for each in spec.target_namespaces if view.missing(Namespace, "", each)]
    if gone:
        yield NAMESPACE_MISSING.finding(
            group,
            f"{'Namespace' if len(gone) == 1 else 'Namespaces'} {joined(gone)} "
            f"{'does' if len(gone) == 1 else 'do'} not exist.",
            evidence=[("spec.targetNamespaces", joined(spec.target_namespaces, 10))],
            masked=gone,
        )
    selector = selectors.from_spec(spec.selector) if spec.selector and not spec.target_namespaces else ()
    if (
        selector
        and view.readable(Namespace)
        and not any(selectors.matches(selector, each.metadata.labels) for each in view.all(Namespace))
    ):
        yield SELECTS_NOTHING.finding(
            group,
            f"No namespace matches {selectors.text_of(selector)}.",
            evidence=[("spec.selector", selectors.text_of(selector))],
            masked=tuple(value for requirement in selector for value in requirement.values),
        )


def _overlapping(groups: list[OperatorGroup]) -> Iterator[Finding]:
    provided = [(group, _apis(group)) for group in groups]
    with_apis = sorted(
        ((group, apis) for group, apis in provided if apis), key=lambda each: (each[0].namespace, each[0].name)
    )
    for number, (group, apis) in enumerate(with_apis):
        for other, others in with_apis[number + 1 :]:
            if other.namespace != group.namespace and (shared := apis & others) and _meet(group, other):
                yield OVERLAPPING.finding(
                    group,
                    f"OperatorGroup {other.namespace}/{other.name} provides {joined(sorted(shared), 3)} for some of "
                    "the same namespaces.",
                    key=f"{other.namespace}/{other.name}",
                    evidence=[(f"metadata.annotations[{PROVIDED}]", joined(sorted(shared), 10))],
                    masked=(other.namespace, other.name),
                )


def _apis(group: OperatorGroup) -> set[str]:
    return {each for each in group.metadata.annotations.get(PROVIDED, "").split(",") if each}


def _meet(one: OperatorGroup, other: OperatorGroup) -> bool:
    first, second = set(one.status.namespaces), set(other.status.namespaces)
    # The empty name stands for all namespaces.
    return bool(first and second) and ("" in first or "" in second or bool(first & second))
