"""Objects from manifests: what JSON and YAML files hold, to what a cluster view is made of."""

from __future__ import annotations

import codecs
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import yaml
from msgspec import Raw, Struct

from k8sgpt_magic.cluster.decode import R, Undecodable, convert_object, decode_object
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.resources import Resource
from k8sgpt_magic.decoders import decoder, known
from k8sgpt_magic.wording import quote

Body = Raw | dict[str, Any]
"""One object: JSON as it stands in the file, or the dicts that YAML became."""


class Damaged(Exception):
    """A file that is neither JSON nor YAML from some place on; ``str()`` says where and why."""


class Document(Struct):
    """One document of a file: a list of objects, or one object. A list made by a client may have no kind."""

    api_version: str
    kind: str
    items: list[Body]
    is_list: bool


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
        resource = resource_of(api_version, kind)
        if resource is None:
            custom[f"{api_version}/{kind}"].append(document)
            continue
        decoded = decode(resource, document)
        if isinstance(decoded, Undecodable):
            undecodable.append(decoded)
        else:
            objects[kind].append(decoded)
    return Manifests(dict(objects), undecodable, dict(custom))


def resource_of(api_version: str, kind: str) -> type[Resource] | None:
    resource = SAVED.get(kind)
    return resource if resource and resource.group == api_version.rpartition("/")[0] else None


def decode(resource: type[R], body: Body) -> R | Undecodable:
    decoded = convert_object(resource, body) if isinstance(body, dict) else decode_object(resource, body)
    if isinstance(decoded, Undecodable) or decoded.metadata.namespace or not resource.namespaced:
        return decoded
    metadata = msgspec.structs.replace(decoded.metadata, namespace="default")
    # Replacing a field of the object itself would run __post_init__ over what it has already been over.
    msgspec.structs.force_setattr(decoded, "metadata", metadata)
    return decoded


def documents_in(data: bytes) -> Iterator[Document]:
    """The Kubernetes objects and lists in a file: JSON, several JSON documents, or YAML.

    What is well-formed but no object is passed over. Raises ``Damaged`` when it comes to what is not well-formed.
    """
    data = _without_logs(_as_utf8(data))
    return _json_documents(data) if data.lstrip()[:1] in (b"{", b"[") else _yaml_documents(data)


def identity(body: Body) -> Identity | None:
    """What an object says it is, or None where it is no object at all."""
    try:
        if isinstance(body, dict):
            return msgspec.convert({key: body[key] for key in _IDENTIFYING if body.get(key)}, known(Identity))
        found: Identity = _identity.decode(body)
        return found
    except (msgspec.MsgspecError, RecursionError):
        return None


class Names(Struct):
    name: str | None = None
    namespace: str | None = None


class Identity(Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None
    metadata: Names = msgspec.field(default_factory=Names)
    items: list[Raw] | msgspec.UnsetType | None = msgspec.UNSET


_identity = decoder(Identity)
_IDENTIFYING = ("apiVersion", "kind", "metadata")

# --- text ------------------------------------------------------------------------------------------------

_LOG = re.compile(rb"^==== START logs for (container .*?) ====\r?$", re.MULTILINE)


def _without_logs(data: bytes) -> bytes:
    """The output of ``kubectl cluster-info dump`` without the containers' logs between its documents."""
    if b"==== START logs for container" not in data:
        return data
    parts, position = [], 0
    while (start := _LOG.search(data, position)) is not None:
        parts.append(data[position : start.start()])
        # A log without a newline at its end has the closing line right behind it.
        end = data.find(b"==== END logs for " + start[1] + b" ====", start.end())
        if end < 0:
            return b"".join(parts)
        position = data.find(b"\n", end)
        if position < 0:
            return b"".join(parts)
    return b"".join((*parts, data[position:]))


def _as_utf8(data: bytes) -> bytes:
    # What PowerShell's ">" writes is UTF-16 with a mark in front.
    for mark, encoding in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):  # fmt: skip  # noqa: E501
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").encode()
    return data


# --- JSON ------------------------------------------------------------------------------------------------


def _json_documents(data: bytes) -> Iterator[Document]:
    try:
        if data.lstrip()[:1] == b"[":
            yield Document("", "", list(msgspec.json.decode(data, type=list[Raw])), True)
            return
        whole = _identity.decode(data)
    except msgspec.ValidationError:
        return
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Several documents one after another or a damaged one: the slower parser tells which, and where.
        yield from _concatenated(data.decode(errors="replace"))
        return
    except RecursionError:
        raise Damaged(_TOO_DEEP) from None
    if whole.items is not msgspec.UNSET and (not whole.kind or whole.kind.endswith("List")):
        yield Document(whole.api_version or "", whole.kind or "", list(whole.items or ()), True)
    elif whole.kind:
        yield Document(whole.api_version or "", whole.kind, [Raw(data)], False)


def _concatenated(text: str) -> Iterator[Document]:
    parser = json.JSONDecoder()
    position = 0
    starts = re.compile(r"^\s*(?=[{\[])", re.MULTILINE)
    while (start := starts.search(text, position)) is not None:
        try:
            fields, position = parser.raw_decode(text, start.end())
        except json.JSONDecodeError as error:
            raise Damaged(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
        except RecursionError:
            raise Damaged(_TOO_DEEP) from None
        found = list(_documents_of(fields))
        if not found:
            # Somebody's log in JSON lines, most likely.
            return
        yield from found


def _documents_of(fields: Any) -> Iterator[Document]:
    if isinstance(fields, list):
        yield Document("", "", [each for each in fields if isinstance(each, dict)], True)
    elif isinstance(fields, dict):
        kind, api_version = fields.get("kind") or "", fields.get("apiVersion") or ""
        if not isinstance(kind, str) or not isinstance(api_version, str):
            return
        items = fields.get("items", ())
        if (not kind or kind.endswith("List")) and "items" in fields and isinstance(items, list | None):
            yield Document(api_version, kind, [each for each in items or () if isinstance(each, dict)], True)
        elif kind:
            yield Document(api_version, kind, [fields], False)


# --- YAML ------------------------------------------------------------------------------------------------


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe, and without timestamps of its own: what looks like a time stays text, as it is in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

# How many times larger aliases may make a document. They cost nothing while they are references to one object,
# but some step further on writes each of them out: ten lines can stand for a terabyte.
_EXPANSION = 10
_EXPANDED_AT_LEAST = 100_000


_ITEMS = re.compile(rb"^items:[ \t]*\r?\n(?=- )", re.MULTILINE)
_ITEM = re.compile(rb"^- ", re.MULTILINE)
_TOP_LEVEL = re.compile(rb"^[^\s#-]", re.MULTILINE)
_SEVERAL_DOCUMENTS = re.compile(rb"^(---|\.\.\.)", re.MULTILINE)
_ANCHOR = re.compile(rb"[:,\[{-]\s+&[^\s&]")


# kubectl writes the kind after the items, and YAML that was cut off between two lines is still YAML.
_NO_KIND = "a list without a kind, which is how a list ends that was cut off"


def _yaml_documents(data: bytes) -> Iterator[Document]:
    pieces = _items_apart(data)
    if pieces is None:
        for fields in _parsed(data):
            yield from _documents_of(fields)
            if isinstance(fields, dict) and fields.get("items") and not fields.get("kind"):
                raise Damaged(_NO_KIND)
        return
    rest, items = pieces
    about = next(_documents_of(next(_parsed(rest), None)), None)
    if about is None or not about.is_list:
        return
    for line, item in items:
        for fields in _parsed(item, line):
            yield Document(about.api_version, about.kind, [each for each in fields if isinstance(each, dict)], True)
    if not about.kind:
        raise Damaged(_NO_KIND)


def _items_apart(data: bytes) -> tuple[bytes, Iterator[tuple[int, bytes]]] | None:
    """The items of a list as kubectl writes it, each with the lines before it, and the rest of the document.

    A YAML document takes fifty times its size while it is parsed as a whole. In kubectl's layout an item begins with
    a dash in the first column, where nothing inside an item can have one. None for all other layouts.
    """
    start = _ITEMS.search(data)
    if start is None or _SEVERAL_DOCUMENTS.search(data, 1) or _ANCHOR.search(data):
        return None
    end = _TOP_LEVEL.search(data, start.end())
    stop = end.start() if end else len(data)

    def items() -> Iterator[tuple[int, bytes]]:
        starts = [found.start() for found in _ITEM.finditer(data, start.end(), stop)]
        line = data.count(b"\n", 0, start.end())
        for first, last in pairwise([*starts, stop]):
            yield line, data[first:last]
            line += data.count(b"\n", first, last)

    return data[: start.start()] + b"items: []\n" + data[stop:], items()


def _parsed(data: bytes, line: int = 0) -> Iterator[Any]:
    """The documents in YAML. ``line`` is how many lines of the file are before them."""
    _check_depth(data, line)
    try:
        loader = _Loader(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Damaged(_yaml_reason(error, line)) from None
    try:
        while loader.check_node():
            node = loader.get_node()
            if b"&" in data:
                _check_aliases(node)
            yield loader.construct_document(node)
    except yaml.YAMLError as error:
        raise Damaged(_yaml_reason(error, line)) from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        # Values that do not fit the tag written before them, such as "!!timestamp soon".
        raise Damaged(f"{type(error).__name__}: {quote(str(error))}") from None
    finally:
        loader.dispose()


def _yaml_reason(error: Exception, line: int) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    if problem == _LIBYAML_TOO_DEEP:
        problem = _TOO_DEEP
    return f"{_place(mark, line)}: {problem}" if mark else quote(str(problem))


def _place(mark: Any, line: int) -> str:
    # libyaml's marks and PyYAML's own are two types that only look alike.
    return f"line {line + mark.line + 1}, column {mark.column + 1}"


# libyaml's caller composes nodes by recursion in C and ends the process, not the parsing, when the stack is used up:
# with a stack of 8 MiB somewhere past 20,000 levels. libyaml itself gives up past 1,000 levels, but only since 0.2.6.
_DEPTH = 5_000
_TOO_DEEP = "it is nested too deeply"
_LIBYAML_TOO_DEEP = "exceeded maximum nesting depth"
_DEEP_BLOCK = re.compile(rb"^[ \t?:-]{%d}" % _DEPTH, re.MULTILINE)


def _check_depth(data: bytes, line: int) -> None:
    # A document that opens few collections cannot be deep, which is quicker to see than to parse it twice.
    if data.count(b"[") + data.count(b"{") < _DEPTH and not _DEEP_BLOCK.search(data):
        return
    depth = 0
    try:
        for event in yaml.parse(data, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _DEPTH:
                raise Damaged(f"{_place(event.start_mark, line)}: {_TOO_DEEP}")
    except yaml.YAMLError:
        # The parsing itself comes to the same place, after all documents before it.
        return


def _check_aliases(root: yaml.Node) -> None:
    sizes: dict[int, int] = {}
    pending: list[tuple[yaml.Node, bool]] = [(root, False)]
    open_nodes: set[int] = set()
    written = 0
    while pending:
        node, is_counted = pending.pop()
        key = id(node)
        if key in sizes:
            continue
        if isinstance(node, yaml.ScalarNode):
            sizes[key] = 1 + len(node.value) // 64
            written += sizes[key]
            continue
        children = (
            [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
        )
        if not is_counted:
            open_nodes.add(key)
            pending.append((node, True))
            for child in children:
                if id(child) in open_nodes:
                    raise Damaged("an alias that contains itself")
                pending.append((child, False))
            continue
        open_nodes.discard(key)
        sizes[key] = 1 + sum(sizes[id(child)] for child in children)
        written += 1
    if sizes[id(root)] > max(_EXPANDED_AT_LEAST, _EXPANSION * written):
        raise Damaged(f"its aliases would make it {sizes[id(root)] // max(written, 1):,} times as large")
