"""Snapshots that others made: ``kubectl get`` output, ``cluster-info dump``, must-gather, support bundles, manifests.

They have in common that they are JSON and YAML files with Kubernetes objects in them, among other files. So every
file is looked at, every object of a known kind is taken, and the rest is passed over.

Such files do not say what was asked for, so they hardly say what is missing. A list says it for the namespaces that
it has objects of, and an empty list for the namespace in its path (``shop/pods.json``, ``pods/shop.json``). Objects
that stand alone say nothing about others, and neither does a dump with a damaged file that could have held them. A
list that was made with a selector looks like any other: that cannot be told.

Layouts: https://kubernetes.io/docs/reference/kubectl/generated/kubectl_cluster-info/kubectl_cluster-info_dump/,
https://docs.openshift.com/container-platform/latest/support/gathering-cluster-data.html,
https://troubleshoot.sh/docs/collect/cluster-resources/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec
from msgspec import Raw, Struct

from k8sgpt_magic.cluster.contents import NOT_HELD, Contents, KindContents
from k8sgpt_magic.cluster.decode import Undecodable
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.manifests import (
    Body,
    Damaged,
    Document,
    Identity,
    decode,
    documents_in,
    identity,
    resource_of,
)
from k8sgpt_magic.cluster.members import DAMAGE, Member
from k8sgpt_magic.cluster.resources import Resource
from k8sgpt_magic.cluster.sharing import share_equal_parts
from k8sgpt_magic.cluster.view import ReadResult, ReadStatus
from k8sgpt_magic.wording import count, joined, quote

_LIST = "List"
# Pages of objects that are read to be saved are as long as an archive's own.
_PAGE = 500


class Problem(Struct, frozen=True):
    """A file that could not be read. ``kind`` is what it would have held; empty: it could be anything."""

    name: str
    reason: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.name} is damaged: {self.reason}"


class Found(Struct):
    """One object of a file, not decoded yet."""

    kind: type[Resource]
    body: Body


class Dump(Struct):
    """What the files of a dump hold, and what they can be taken to say about what they do not."""

    contents: Contents
    problems: list[Problem]
    objects: int


class Walk:
    """One pass over the files. ``listed`` and ``problems`` are complete when ``found`` is exhausted."""

    def __init__(self, members: Iterable[Member], name: str, is_stopped: Callable[[], bool] = lambda: False) -> None:
        self._members = members
        self._name = name
        self._is_stopped = is_stopped
        self.files = 0
        self.listed: dict[str, set[str]] = {}
        self.problems: list[Problem] = []

    def found(self) -> Iterator[Found]:
        try:
            for name, read in self._members:
                if self._is_stopped():
                    return
                self.files += 1
                yield from self._found_in(name, read)
        except DAMAGE as error:
            # Past this place there may be anything.
            self.problems.append(Problem(self._name, quote(str(error)) or type(error).__name__))

    def _found_in(self, name: str, read: Callable[[], bytes]) -> Iterator[Found]:
        hint, namespace = _said_by_path(name)
        data = b""
        try:
            data = read()
            for document in documents_in(data):
                yield from self._found_of(document, hint, namespace)
        except Damaged as error:
            # Bundles hold all sorts of files; one that does not look like ours is none of our business, unless it is
            # the one file that was named.
            is_named = name == self._name and name.endswith((".yaml", ".yml", ".json"))
            if hint or b"apiVersion" in data or is_named:
                self.problems.append(Problem(name, str(error), hint.kind if hint else ""))

    def _found_of(self, document: Document, hint: type[Resource] | None, namespace: str) -> Iterator[Found]:
        own = resource_of(document.api_version, document.kind.removesuffix(_LIST)) if document.is_list else None
        if document.is_list and not document.kind:
            # A list that a program wrote field by field, as support bundles do, says no kind: the path does.
            own = hint
        if document.is_list and not document.items:
            # kubectl calls all lists just List; what an empty one is of, again only the path says.
            kind = own or (hint if document.kind in ("", _LIST) else None)
            if kind and (namespace or not kind.namespaced):
                self.listed.setdefault(kind.kind, set()).add(namespace if kind.namespaced else "")
            return
        for body in document.items:
            says = identity(body)
            if says is None:
                continue
            if says.items is not msgspec.UNSET and (says.kind or "").endswith(_LIST):
                for inner in _inner(says, body):
                    yield from self._found_of(inner, hint, namespace)
                continue
            # The items of a typed list leave their own kind out.
            kind = resource_of(says.api_version or "", says.kind) if says.kind else own
            if kind is None or not says.metadata.name:
                continue
            if document.is_list:
                scope = (says.metadata.namespace or "default") if kind.namespaced else ""
                self.listed.setdefault(kind.kind, set()).add(scope)
            yield Found(kind, body)


def read_dump(
    members: Iterable[Member],
    name: str,
    on_objects: Callable[[str, int], None],
    is_stopped: Callable[[], bool] = lambda: False,
) -> Dump:
    """Take all objects of known kinds from the files of a dump."""
    walk = Walk(members, name, is_stopped)
    contents = Contents({kind: KindContents() for kind in SAVED})
    counts = dict.fromkeys(SAVED, 0)
    before: dict[str, Resource] = {}
    for found, decoded in _once(walk.found()):
        held = contents.kinds[found.kind.kind]
        if isinstance(decoded, Undecodable):
            held.undecodable.append(decoded)
            continue
        share_equal_parts([decoded], before.get(found.kind.kind))
        before[found.kind.kind] = decoded
        held.add([decoded])
        counts[found.kind.kind] += 1
        if counts[found.kind.kind] % 1000 == 0:
            on_objects(found.kind.kind, counts[found.kind.kind])
    for kind, held in contents.kinds.items():
        held.results = _results(kind, held, walk)
    return Dump(contents, walk.problems, sum(counts.values()))


def pages_of(members: Iterable[Member], name: str, kinds: Sequence[type[Resource]], namespaces: Sequence[str]) -> Iterator[tuple[type[Resource], str, bytes]]:  # fmt: skip  # noqa: E501
    """The objects of a dump as lists in JSON with all their fields, to save them as an archive."""
    pending: dict[str, list[Raw]] = {kind.kind: [] for kind in kinds}
    scopes = {kind.kind: set(kind.scopes(namespaces)) - {""} for kind in kinds}
    for found, decoded in _once(Walk(members, name).found()):
        page = pending.get(found.kind.kind)
        if page is None or isinstance(decoded, Undecodable):
            continue
        wanted = scopes[found.kind.kind]
        if wanted and decoded.metadata.namespace not in wanted:
            continue
        try:
            page.append(Raw(msgspec.json.encode(found.body)))
        except (TypeError, ValueError, RecursionError):
            # YAML has keys and numbers that JSON has not; an object with such is none that an API server takes.
            continue
        if len(page) == _PAGE:
            yield found.kind, "", _list(page)
            page.clear()
    for kind in kinds:
        if pending[kind.kind]:
            yield kind, "", _list(pending[kind.kind])


def _list(items: list[Raw]) -> bytes:
    return msgspec.json.encode({"items": items})


def _once(found: Iterable[Found]) -> Iterator[tuple[Found, Any]]:
    """Each object decoded; of those that stand in several files, the first."""
    seen = set()
    for each in found:
        decoded = decode(each.kind, each.body)
        if decoded.ref not in seen or not decoded.ref.name:
            seen.add(decoded.ref)
            yield each, decoded


def _inner(says: Identity, body: Body) -> Iterator[Document]:
    items: list[Any] | None
    if isinstance(body, dict):
        items = [each for each in body.get("items") or () if isinstance(each, dict)]
    else:
        items = says.items if isinstance(says.items, list) else None
    yield Document(says.api_version or "", says.kind or "", list(items or ()), True)


def _results(kind: str, held: KindContents, walk: Walk) -> dict[str, ReadResult]:
    problems = [str(problem) for problem in walk.problems if problem.kind in (kind, "")]
    listed = walk.listed.get(kind, set())
    scopes = sorted({*held.objects, *listed})
    if not scopes:
        status: ReadStatus = "failed" if problems else "absent"
        return {"": ReadResult(kind=kind, status=status, reason=_joined(problems) or NOT_HELD)}
    results = {}
    for scope in scopes:
        reason = _joined(problems)
        if not reason and scope not in listed:
            reason = "single objects, which do not say what else there is"
        status = "partial" if reason else "read"
        results[scope] = ReadResult(kind=kind, namespace=scope, status=status, reason=reason)
    return results


def _joined(problems: list[str]) -> str:
    if len(problems) > 3:
        return f"{'; '.join(problems[:3])}; and {count(len(problems) - 3, 'more damaged file')}"
    return "; ".join(problems)


# --- what paths say --------------------------------------------------------------------------------------

_BY_PLURAL = {kind.plural: kind for kind in SAVED.values()} | {"ingress": SAVED["Ingress"]}
# The core group is "core" in paths, and others come with their domain or without.
_GROUPS = {"core"} | {part for kind in SAVED.values() for part in (kind.group, kind.group.partition(".")[0]) if part}


def _said_by_path(name: str) -> tuple[type[Resource] | None, str]:
    """The kind and the namespace that a file's path tells, as the tools that write dumps choose it."""
    path = PurePosixPath(name)
    folders = list(path.parts[:-1])
    stem = path.name.partition(".")[0]
    if kind := _plural(stem):
        # shop/pods.json, namespaces/shop/core/pods.yaml
        if folders and folders[-1] in _GROUPS:
            folders.pop()
        return kind, folders[-1] if folders and kind.namespaced else ""
    if folders and (kind := _plural(folders[-1])):
        # pods/shop.json
        return kind, stem if kind.namespaced else ""
    return None, ""


def _plural(name: str) -> type[Resource] | None:
    return _BY_PLURAL.get(name.lower().replace("-", "").replace("_", ""))


def accepted() -> str:
    """What a snapshot can be, for who named something else."""
    return (
        "Accepted are what %k8sgpt snapshot save wrote, kubectl get -o json or -o yaml output, the output of kubectl "
        f"cluster-info dump, must-gather and Troubleshoot support bundles, and {joined(_FORMS)} of manifests."
    )


_FORMS = ("files", "directories", "tar archives", "zip archives")
