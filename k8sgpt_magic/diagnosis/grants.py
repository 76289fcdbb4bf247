"""ReferenceGrants: may an object of one namespace refer to one of another?

Source: https://gateway-api.sigs.k8s.io/api-types/referencegrant/
"""

from __future__ import annotations

from k8sgpt_magic.cluster.gateway import GROUP, ReferenceGrant
from k8sgpt_magic.cluster.resources import ObjectRef, Resource
from k8sgpt_magic.cluster.view import ClusterView


def is_refused(view: ClusterView, source: Resource, target: ObjectRef, group: str = "") -> bool:
    """Whether a reference crosses namespaces and certainly no ReferenceGrant of the target's namespace allows it."""
    if target.namespace == source.namespace or not view.readable(ReferenceGrant, target.namespace):
        return False
    grants = view.kept("reference grants by namespace", _by_namespace).get(target.namespace, ())
    return not any(
        any(
            each.group == GROUP and each.kind == source.kind and each.namespace == source.namespace
            for each in grant.spec.from_
        )
        and any(
            each.group == group and each.kind == target.kind and each.name in ("", target.name)
            for each in grant.spec.to
        )
        for grant in grants
    )


def _by_namespace(view: ClusterView) -> dict[str, list[ReferenceGrant]]:
    found: dict[str, list[ReferenceGrant]] = {}
    for each in view.everything():
        if isinstance(each, ReferenceGrant):
            found.setdefault(each.namespace, []).append(each)
    return found
