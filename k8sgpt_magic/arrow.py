"""Findings as Arrow, to send them from one process to another without losing what a DataFrame has no column for."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from k8sgpt_magic.decoders import decoder, known
from k8sgpt_magic.findings import Finding
from k8sgpt_magic.fleet import Outcome
from k8sgpt_magic.frame import Summary

if TYPE_CHECKING:
    import pyarrow as pa

_SUMMARY = b"k8sgpt_magic.summary"
_NAME = b"k8sgpt_magic.name"
_NAMES = b"k8sgpt_magic.names"


def encode(outcome: Outcome) -> bytes:
    """The findings of one cluster as an Arrow stream, a column for each field of a finding."""
    import pyarrow as pa

    rows = msgspec.to_builtins(outcome.findings, builtin_types=(datetime,))
    metadata = {
        _NAME: outcome.name.encode(),
        _SUMMARY: msgspec.json.encode(outcome.summary),
        _NAMES: msgspec.json.encode(outcome.names),
    }
    table = pa.Table.from_pylist(rows, schema=_schema().with_metadata(metadata))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def decode(stream: bytes) -> Outcome:
    """What ``encode`` was given. Raises ``msgspec.ValidationError`` or ``pyarrow.ArrowInvalid`` for anything else."""
    import pyarrow as pa

    with pa.ipc.open_stream(stream) as reader:
        table = reader.read_all()
    metadata = table.schema.metadata or {}
    summary = decoder(Summary).decode(metadata.get(_SUMMARY, b"{}"))
    findings = msgspec.convert(table.to_pylist(), known(list[Finding]))
    names = msgspec.json.decode(metadata.get(_NAMES, b"[]"), type=list[tuple[str, str]])
    return Outcome(metadata.get(_NAME, b"").decode(), findings, summary, names)


@cache
def _schema() -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    fact = pa.struct([("source", text), ("value", text)])
    named = pa.struct([("kind", text), ("namespace", text), ("name", text)])
    types: dict[str, pa.DataType] = {
        "since": pa.timestamp("us", tz="UTC"),
        "consequences": pa.int64(),
        "explains": pa.bool_(),
        "evidence": pa.list_(fact),
        "because": pa.list_(named),
        "masked": pa.list_(text),
    }
    return pa.schema([(each.name, types.get(each.name, text)) for each in msgspec.structs.fields(Finding)])
