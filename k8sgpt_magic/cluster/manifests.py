"""Objects from manifests: plain dicts, as YAML and JSON files hold them, to what a cluster view is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from k8sgpt_magic.cluster.decode import Undecodable, convert_object
from k8sgpt_magic.cluster.resources import KINDS, Resource


class Manifests(Struct):
    """What a set of manifests holds: typed objects by kind, the damaged ones, and those of other kinds."""

    objects: dict[str, list[Resource]]
    undecodable: list[Undecodable]
    custom: dict[str, list[dict[str, Any]]]


def objects_of(documents: Iterable[dict[str, Any]]) -> Manifests:
    """Sort manifests by kind. A namespaced object without a namespace gets ``default``, as kubectl gives it.

    A known kind in another API group (a ``Service`` of Knative) is not the kind of that name here.
    """
    objects: defaultdict[str, list[Resource]] = defaultdict(list)
    custom: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    undecodable: list[Undecodable] = []
    for document in documents:
        api_version, kind = str(document.get("apiVersion") or ""), str(document.get("kind") or "")
        group = api_version.rpartition("/")[0]
        resource = KINDS.get(kind)
        if resource is None or group != resource.group:
            custom[f"{api_version}/{kind}"].append(document)
            continue
        metadata = document.get("metadata")
        if resource.namespaced and isinstance(metadata, dict):
            metadata.setdefault("namespace", "default")
        decoded = convert_object(resource, document)
        if isinstance(decoded, Undecodable):
            undecodable.append(decoded)
        else:
            objects[kind].append(decoded)
    return Manifests(dict(objects), undecodable, dict(custom))
