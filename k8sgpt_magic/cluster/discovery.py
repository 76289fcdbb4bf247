"""Which of the kinds that not every server has a server serves, under what version and plural.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
"""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from k8sgpt_magic.cluster.connection import Answered, Connection, Reading, RequestFailed
from k8sgpt_magic.cluster.resources import Resource
from k8sgpt_magic.decoders import decoder

_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class _ResponseKind(Struct):
    kind: str = ""


class _Resource(Struct, rename="camel"):
    resource: str = ""
    response_kind: _ResponseKind | None = None


class _Version(Struct):
    version: str = ""
    resources: list[_Resource] | None = None


class _Name(Struct):
    name: str = ""


class _Group(Struct):
    """A group of the aggregated form (``metadata.name``, versions with resources) or the older (``name``)."""

    metadata: _Name = msgspec.field(default_factory=_Name)
    name: str = ""
    versions: list[_Version] = []


class _Groups(Struct):
    items: list[_Group] | None = None
    groups: list[_Group] | None = None


class Discovery(Struct):
    """The versions of each group and, where the server says so, the plurals of each version's kinds.

    ``groups`` is None where the server did not tell.
    """

    groups: dict[str, dict[str, dict[str, str] | None]] | None

    def path(self, kind: type[Resource], namespace: str) -> str | None:
        """The path of a kind's list, or None where it is not served."""
        if self.groups is None:
            return kind.api_path(namespace)
        versions = self.groups.get(kind.group, {})
        for version in (kind.version, *kind.other_versions):
            if version not in versions:
                continue
            plurals = versions[version]
            path = kind.api_path(namespace, version)
            if plurals is None:
                return path
            name = kind.kind.partition(".")[0]
            if plural := plurals.get(name):
                return f"{path.rpartition('/')[0]}/{plural}"
        return None


async def served_path(connection: Connection, reading: Reading, kind: type[Resource], namespace: str) -> str:
    """The path of the list of an optional kind. One request tells of all such kinds of a read.

    Raises ``Answered`` with status 404 where the kind is not served.
    """
    if reading.discovery is None:
        reading.discovery = asyncio.ensure_future(_discover(connection, reading))
    # Shielded: one list that is given up must not take the answer from the others.
    discovery: Discovery = await asyncio.shield(reading.discovery)
    path = discovery.path(kind, namespace)
    if path is None:
        raise Answered(404, f"{kind.plural}.{kind.group} are not served")
    return path


async def _discover(connection: Connection, reading: Reading) -> Discovery:
    try:
        body = await connection.get(reading, "/apis", {}, _ACCEPT)
        found = decoder(_Groups).decode(body)
    except (RequestFailed, msgspec.DecodeError, UnicodeDecodeError):
        # Asking for each kind tells the same, at a request each.
        return Discovery(None)
    return Discovery(
        {
            group.metadata.name or group.name: {each.version: _plurals(each) for each in group.versions}
            for group in found.items or found.groups or ()
        }
    )


def _plurals(version: _Version) -> dict[str, str] | None:
    if version.resources is None:
        return None
    return {each.response_kind.kind: each.resource for each in version.resources if each.response_kind}
