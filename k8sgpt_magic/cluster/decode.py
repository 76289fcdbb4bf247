"""Bytes of the Kubernetes API to structs, one page of a list at a time.

A page is decoded in one go. Where an object in it does not fit its struct, that page is decoded object by
object, so that a damaged object costs itself only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from k8sgpt_magic.cluster.resources import ObjectRef, Resource
from k8sgpt_magic.decoders import decoder, known

R = TypeVar("R", bound=Resource)


class Undecodable(Struct, frozen=True):
    """An object that does not fit its kind's API: which one (as far as it says) and why."""

    ref: ObjectRef
    reason: str


class ListMeta(Struct, rename="camel"):
    continue_: str = msgspec.field(default="", name="continue")
    resource_version: str = ""
    remaining_item_count: int | None = None


class Page(Struct, Generic[R]):
    """One page of a list: its objects, those that could not be decoded, and the token of the next page."""

    objects: list[R]
    undecodable: list[Undecodable]
    continue_token: str = ""
    resource_version: str = ""


class _List(Struct, Generic[R]):
    items: list[R] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class _RawList(Struct):
    items: list[Raw] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


def page_decoder(resource: type[R]) -> msgspec.json.Decoder[_List[R]]:
    """The decoder of a kind's pages. To make the first takes a millisecond or two, for each kind."""
    return decoder(_List[resource])  # type: ignore[valid-type]


def decode_page(resource: type[R], body: bytes | bytearray) -> Page[R]:
    """Decode one response to a list request (``v1/PodList`` and its like).

    Raises ``msgspec.DecodeError`` when the body as a whole is not a list in JSON.
    """
    try:
        typed: _List[R] = page_decoder(resource).decode(body)
        return Page(typed.items or [], [], typed.metadata.continue_, typed.metadata.resource_version)
    except msgspec.ValidationError:
        raw: _RawList = decoder(_RawList).decode(body)
    page: Page[R] = Page([], [], raw.metadata.continue_, raw.metadata.resource_version)
    for item in raw.items or ():
        _sort_in(page, decode_object(resource, item))
    return page


def decode_object(resource: type[R], body: bytes | Raw) -> R | Undecodable:
    """Decode one object in JSON; what does not fit comes back as ``Undecodable``."""
    try:
        return decoder(resource).decode(body)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError) as error:
        return Undecodable(ObjectRef(resource.kind, "", ""), str(error))
    try:
        fields = decoder(Any).decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        return Undecodable(ObjectRef(resource.kind, "", ""), str(error))
    return convert_object(resource, fields)


def convert_object(resource: type[R], fields: Any) -> R | Undecodable:
    """Turn an object given as plain dicts and lists (from YAML, say) into its struct.

    An explicit ``null`` counts as an absent field, as it does for the API server.
    """
    try:
        return msgspec.convert(_without_nulls(fields), known(resource))
    except (msgspec.ValidationError, RecursionError) as error:
        return Undecodable(_identity(resource, fields), str(error))


def _sort_in(page: Page[R], decoded: R | Undecodable) -> None:
    if isinstance(decoded, Undecodable):
        page.undecodable.append(decoded)
    else:
        page.objects.append(decoded)


def _without_nulls(fields: Any) -> Any:
    if isinstance(fields, dict):
        return {key: _without_nulls(value) for key, value in fields.items() if value is not None}
    if isinstance(fields, list):
        return [_without_nulls(value) for value in fields if value is not None]
    return fields


def _identity(resource: type[Resource], fields: Any) -> ObjectRef:
    metadata = fields.get("metadata") if isinstance(fields, dict) else None
    names = metadata if isinstance(metadata, dict) else {}
    namespace, name = (text if isinstance(text, str) else "" for text in (names.get("namespace"), names.get("name")))
    return ObjectRef(resource.kind, namespace, name)


def iterate_documents(fields: Any) -> Iterator[dict[str, Any]]:
    """The objects in a manifest: the items of a ``List`` (nested ones too), or the object itself."""
    if isinstance(fields, list):
        for item in fields:
            yield from iterate_documents(item)
    elif isinstance(fields, dict):
        kind = fields.get("kind")
        if isinstance(kind, str) and kind.endswith("List") and isinstance(fields.get("items"), list):
            for item in fields["items"]:
                if isinstance(item, dict):
                    # Items of a typed list (PodList) leave their own kind out.
                    item.setdefault("kind", kind.removesuffix("List"))
                    item.setdefault("apiVersion", fields.get("apiVersion", ""))
                yield from iterate_documents(item)
        elif kind:
            yield fields
