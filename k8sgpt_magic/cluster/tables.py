"""Secrets as the API server's table of them: names and types without values.

A table has one row for each object, with the columns that ``kubectl get`` prints and the object's metadata. It is
the one form of a list of Secrets that has their types and not their values.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from k8sgpt_magic.decoders import decoder

ACCEPT = "application/json;as=Table;v=v1;g=meta.k8s.io"
QUERY = {"includeObject": "Metadata"}


class _Column(Struct):
    name: str = ""


class _Metadata(Struct, rename="camel", omit_defaults=True):
    """Of a Secret's metadata, annotations stay behind: kubectl's last-applied one holds the values."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: Any = None
    creation_timestamp: Any = None
    deletion_timestamp: Any = None
    labels: dict[str, str] | None = None
    owner_references: Any = None
    finalizers: Any = None


class _Secret(Struct):
    metadata: _Metadata | None = None
    type: str = ""


class _Row(Struct):
    cells: list[Any] = []
    object: _Secret | None = None


class _TableOrList(Struct, rename="camel"):
    column_definitions: list[_Column] | None = None
    rows: list[_Row] | None = None
    # A server that knows no tables sends the Secrets themselves; of those the values are dropped here.
    items: list[_Secret] | None = None
    metadata: dict[str, Any] | None = None


def secret_list(body: bytes | bytearray) -> bytes:
    """A table of Secrets as the list it stands for, without values. Raises ``msgspec.DecodeError``."""
    table = decoder(_TableOrList).decode(body)
    names = [column.name for column in table.column_definitions or ()]
    type_at = names.index("Type") if "Type" in names else len(names)
    secrets = [
        _Secret((row.object and row.object.metadata) or _Metadata(), _cell(row.cells, type_at))
        for row in table.rows or ()
    ]
    return msgspec.json.encode(
        {"kind": "SecretList", "apiVersion": "v1", "metadata": table.metadata, "items": secrets + (table.items or [])}
    )


def _cell(cells: list[Any], at: int) -> str:
    return str(cells[at]) if at < len(cells) else ""
