"""Documentation of fields from a cluster's own OpenAPI v3, as ``kubectl explain`` shows it.

It is the cluster's, so it fits its version. Its text is as untrusted as all else from there.
Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Struct, field

from k8sgpt_magic.cluster.connection import Answered, RequestFailed
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.live import LiveSource
from k8sgpt_magic.decoders import decoder
from k8sgpt_magic.errors import K8sGPTError
from k8sgpt_magic.findings import Finding
from k8sgpt_magic.wording import quote

_ROOT = "/openapi/v3"
_JSON = "application/json"
_SECONDS = 15.0
_LIMIT = 500
# References of references, and parts of parts: more than any schema of Kubernetes' own has.
_DEPTH = 12

_STEP = r"[A-Za-z][\w-]*(?:\[[^\]]*\])?"
_PATH = re.compile(rf"{_STEP}(?:\.{_STEP})*")
_INDEX = re.compile(r"\[[^\]]*\]")


class NoDocumentation(Exception):
    """There is none to be had; ``str()`` says why."""


class _Kind(Struct):
    group: str = ""
    version: str = ""
    kind: str = ""


class Schema(Struct):
    """The parts of an OpenAPI schema that documentation is found by."""

    description: str = ""
    properties: dict[str, Schema] = {}
    items: Schema | None = None
    additional: Schema | bool | None = field(default=None, name="additionalProperties")
    all_of: list[Schema] = field(default=[], name="allOf")
    ref: str = field(default="", name="$ref")
    kinds: list[_Kind] = field(default=[], name="x-kubernetes-group-version-kind")


class _Components(Struct):
    schemas: dict[str, Schema] = {}


class Group(Struct):
    """The schemas of one group and version."""

    components: _Components = field(default_factory=_Components)

    def describe(self, group: str, version: str, kind: str, path: Sequence[str]) -> str:
        """What a field of a kind is documented as; "" where the kind or the field is not there."""
        found = [each for each in self.components.schemas.values() if _Kind(group, version, kind) in each.kinds]
        return self._described(found[0], path) if found else ""

    def _described(self, schema: Schema, path: Sequence[str]) -> str:
        described = ""
        for step in path:
            follower = self._follower(schema, step)
            if follower is None:
                return ""
            schema, is_key = follower
            # Of a key in a map, such as a resource's name, the map's own documentation says more than its values'.
            if not is_key:
                described = next((each.description for each in self._parts(schema) if each.description), "")
        return described

    def _follower(self, schema: Schema, step: str) -> tuple[Schema, bool] | None:
        """The schema of a field of an object or of the items of a list; of a key of a map too, which is said."""
        for _ in range(_DEPTH):
            parts = list(self._parts(schema))
            for part in parts:
                if step in part.properties:
                    return part.properties[step], False
            items = next((part.items for part in parts if part.items is not None), None)
            if items is None:
                values = next((part.additional for part in parts if isinstance(part.additional, Schema)), None)
                return None if values is None else (values, True)
            schema = items
        return None

    def _parts(self, schema: Schema, depth: int = 0) -> Iterator[Schema]:
        """A schema and all that it refers to or is made of, its own words first."""
        yield schema
        if depth < _DEPTH:
            for other in (self.components.schemas.get(schema.ref.rpartition("/")[2]), *schema.all_of):
                if other is not None:
                    yield from self._parts(other, depth + 1)


class _Served(Struct):
    url: str = field(default="", name="serverRelativeURL")


class _Index(Struct):
    paths: dict[str, _Served] = {}


class Documentation:
    """What clusters say of their fields, read when first asked for and kept for a session."""

    def __init__(self) -> None:
        self._indexes: dict[str, _Index] = {}
        self._groups: dict[tuple[str, str], Group] = {}

    async def of(self, source: object, findings: Iterable[Finding]) -> tuple[dict[str, str], str]:
        """The documentation of the fields that findings rest on, by the finding's id, and why there is none, if so.

        Only groups that there are findings of are read. Never raises for what cannot be read.
        """
        fields = {each.id: (each.kind, path) for each in findings if each.kind in KINDS and (path := field_of(each))}
        if not isinstance(source, LiveSource):
            return {}, "No docs: they come from a live cluster, and this is none."
        wanted = {served_as(kind) for kind, _ in fields.values()}
        try:
            groups = await self._read(source, wanted) if wanted else {}
        except NoDocumentation as error:
            return {}, f"No docs: {error}"
        documented: dict[tuple[str, tuple[str, ...]], str] = {}
        for kind, path in fields.values():
            if (kind, path) not in documented and (group := groups.get(served_as(kind))) is not None:
                named = KINDS[kind]
                said = quote(group.describe(named.group, named.version, kind, path), _LIMIT)
                documented[kind, path] = f"{kind} {'.'.join(path)}: {said}" if said else ""
        return {key: documented[place] for key, place in fields.items() if documented.get(place)}, ""

    async def _read(self, source: LiveSource, wanted: Iterable[str]) -> Mapping[str, Group]:
        identity, connection = source.identity, source.connection
        try:
            reading = await connection.begin(10, _SECONDS)
            index = self._indexes.get(identity)
            if index is None:
                body = await connection.get(reading, _ROOT, {}, _JSON)
                index = self._indexes[identity] = decoder(_Index).decode(body)

            async def one(name: str) -> None:
                url = urlsplit(index.paths[name].url)
                # A server names its own documents only, whatever else it may say.
                if (identity, name) in self._groups or not url.path.startswith(f"{_ROOT}/") or url.netloc:
                    return
                body = await connection.get(reading, url.path, dict(parse_qsl(url.query)), _JSON)
                self._groups[identity, name] = decoder(Group).decode(body)

            outcomes = await asyncio.gather(
                *(one(name) for name in wanted if name in index.paths), return_exceptions=True
            )
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
        except Answered as answer:
            why = {403: "reading them is forbidden", 404: "the cluster serves none"}.get(answer.status, str(answer))
            raise NoDocumentation(f"{why} (GET {_ROOT}).") from None
        except (RequestFailed, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NoDocumentation(f"{quote(str(error))} (GET {_ROOT}).") from None
        except K8sGPTError as error:
            raise NoDocumentation(error.message) from None
        return {name: group for (of, name), group in self._groups.items() if of == identity}


def served_as(kind: str) -> str:
    """Under which name the index has a kind's schemas, such as ``apis/apps/v1``."""
    named = KINDS[kind]
    return f"apis/{named.group}/{named.version}" if named.group else f"api/{named.version}"


def field_of(finding: Finding) -> tuple[str, ...]:
    """The field that a finding rests on first, as the names on the way to it; () where it is none."""
    for fact in finding.evidence:
        if fact.source.startswith("event "):
            continue
        found = _PATH.match(fact.source)
        return tuple(_INDEX.sub("", found[0]).split(".")) if found else ()
    return ()
