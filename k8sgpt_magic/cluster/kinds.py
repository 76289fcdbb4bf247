"""Every kind that a source can read, by its name."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import msgspec

from k8sgpt_magic.cluster import extension, gateway, integrations, olm, rbac, resources
from k8sgpt_magic.cluster.resources import Resource
from k8sgpt_magic.errors import InvalidOption

_MODULES: tuple[ModuleType, ...] = (resources, rbac, extension, gateway, olm, integrations)


def _declared(modules: Iterable[ModuleType]) -> Iterable[type[Resource]]:
    for module in modules:
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Resource) and "kind" in vars(each):
                yield each


KINDS: dict[str, type[Resource]] = {each.kind: each for each in _declared(_MODULES)}
"""All kinds, those of ``custom_resource`` included once they are made."""

SAVED: dict[str, type[Resource]] = {name: kind for name, kind in KINDS.items() if kind.is_saved}
"""The kinds that snapshots hold."""


class CustomResource(Resource, kw_only=True, frozen=True):
    """An object of a kind that this package knows nothing of: ``spec`` and ``status`` as they came."""

    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: dict[str, Any] = msgspec.field(default_factory=dict)


def custom_resource(name: str, *, plural: str = "", namespaced: bool = True) -> type[CustomResource]:
    """The class of a kind that a CustomResourceDefinition adds, by ``group/version/Kind``.

    ``cert-manager.io/v1/Certificate``, say. Its objects have ``metadata`` with typed fields, and ``spec`` and
    ``status`` as dicts; give ``view.all`` the class to get them. ``plural`` is what the server's discovery says,
    where that is not given. The same name gives the same class. For other fields, subclass
    ``k8sgpt_magic.cluster.resources.Resource``.

    Raises ``InvalidOption`` for a name that has no such parts.
    """
    group, version, kind = name.split("/") if name.count("/") == 2 else ("", "", "")
    if not (group and version and kind[:1].isupper()):
        raise InvalidOption(f"{name!r} is no custom resource; one looks like cert-manager.io/v1/Certificate")
    key = kind
    if (known := KINDS.get(kind)) is not None:
        if issubclass(known, CustomResource) and (known.group, known.version) == (group, version):
            return known
        # As kubectl tells kinds of one name apart.
        key = f"{kind}.{group}"
        if (known := KINDS.get(key)) is not None and issubclass(known, CustomResource) and known.version == version:
            return known
    made: type[CustomResource] = msgspec.defstruct(  # type: ignore[assignment]
        kind,
        [],
        bases=(CustomResource,),
        namespace={
            "kind": key,
            "group": group,
            "version": version,
            "plural": plural or f"{kind.lower()}s",
            "namespaced": namespaced,
            "optional": True,
            "is_saved": False,
        },
        frozen=True,
        kw_only=True,
        gc=False,
    )
    KINDS[key] = made
    return made
