"""Analyzers elsewhere, that speak the custom-analyzer protocol of the k8sgpt command line tool.

Each is asked over gRPC, without a certificate, as that tool does: ``schema.v1.CustomAnalyzerService/Run`` takes an
empty request and answers with one result and its errors.

Source: https://github.com/k8sgpt-ai/schemas/blob/main/protobuf/schema/v1/custom_analyzer.proto
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from k8sgpt_magic import settings
from k8sgpt_magic.analyzers import Analyzer, register
from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.cluster.resources import ObjectRef
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.diagnosis.cut_off import Told
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import MESSAGE_LIMIT, quote

if TYPE_CHECKING:
    import pandas as pd

METHOD = "/schema.v1.CustomAnalyzerService/Run"
# What the analysis itself waits for is its --timeout; this ends the call of one that was cut off.
_SECONDS = 120.0
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,40}")
_ADDRESS = re.compile(r"[^\s/:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")


def add(name: str, address: str) -> None:
    """Have an analyzer elsewhere (``host:port``) run with the others, in all sessions to come.

    Raises ``InvalidOption`` for a name or an address that is none, or a name that is taken.
    """
    from k8sgpt_magic.analyzers import groups, registered

    if not _NAME.fullmatch(name):
        raise InvalidOption(f"{name!r} is no name for an analyzer: a letter, then letters, digits and dashes")
    if not _ADDRESS.fullmatch(address) or not 0 < int(address.rpartition(":")[2]) < 2**16:
        raise InvalidOption(f"{address!r} is no address; one looks like localhost:8085")
    taken = {each.lower() for each in (*registered(), *groups())} - {each.lower() for each in settings.load().remote}
    if name.lower() in taken:
        raise InvalidOption(f"there is an analyzer {name!r} already; choose another name")
    _grpc()
    settings.change(lambda kept: kept.remote.update({name: address}))


def remove(name: str) -> None:
    """Forget an analyzer elsewhere. Raises ``InvalidOption`` where there is none of that name."""
    known = settings.load().remote
    if name not in known:
        raise InvalidOption(f"there is no custom analyzer {name!r}{nearest(name, known)}")

    def forget(kept: settings.Settings) -> None:
        kept.remote.pop(name, None)

    settings.change(forget)


def table() -> pd.DataFrame:
    """The analyzers elsewhere, a row each: ``analyzer`` and ``address``."""
    from k8sgpt_magic.views.catalogue import Table

    return Table(list(settings.load().remote.items()), columns=["analyzer", "address"])


def register_all() -> None:
    """Register those of the settings, and no others."""
    register(
        __name__,
        [
            Analyzer(
                kind="",
                parts=(_function(name, address),),
                reads=(),
                codes=(_code(name),),
                name=name,
                group="Custom",
            )
            for name, address in settings.load().remote.items()
        ],
    )


@cache
def _function(name: str, address: str) -> Any:
    # The same function for the same analyzer, so that the same reads need not be judged again.
    function = partial(_ask, name, address)
    function.__module__, function.__qualname__ = __name__, name  # type: ignore[attr-defined]
    function.__doc__ = f"What the custom analyzer at {address} reports."
    return function


def _code(name: str) -> Code:
    words = "".join(part.capitalize() for part in name.split("-"))
    return Code(
        f"Custom{words}",
        "warning",
        "A custom analyzer reported it.",
        "https://docs.k8sgpt.ai/tutorials/custom-analyzers/",
    )


def _ask(name: str, address: str, view: ClusterView) -> Iterator[Finding]:  # noqa: ARG001 - it looks for itself
    grpc = _grpc()
    read = _messages()["RunResponse"].FromString
    with grpc.insecure_channel(address) as channel:
        run = channel.unary_unary(METHOD, request_serializer=lambda _: b"", response_deserializer=read)
        try:
            answer = run(None, timeout=_SECONDS, wait_for_ready=False)
        except grpc.RpcError as error:
            code = error.code().name.lower().replace("_", " ")
            raise Told(f"{name} at {address}: {code}, {quote(error.details() or 'no details')}") from None
    yield from _findings(_code(name), name, answer.result)


def _findings(code: Code, analyzer: str, result: Any) -> Iterable[Finding]:
    namespace, _, name = result.name.rpartition("/")
    on = ObjectRef(quote(result.kind, 100) or analyzer, quote(namespace, 253), quote(name, 253) or analyzer)
    for error in result.error:
        evidence = [
            *([("details", result.details)] if result.details else []),
            *([("documentation", error.doc)] if error.doc else []),
        ]
        found = code.finding(
            on,
            quote(error.text, 2 * MESSAGE_LIMIT),
            # Of two problems of one object neither has a name but its text.
            key=hashlib.sha256(error.text.encode()).hexdigest()[:8],
            evidence=evidence,
            masked=[each.unmasked for each in error.sensitive],
        )
        yield _with_parent(found, quote(result.parent_object, 300))


def _with_parent(finding: Finding, parent: str) -> Finding:
    import msgspec

    return msgspec.structs.replace(finding, parent=parent) if parent else finding


def _grpc() -> Any:
    try:
        import google.protobuf  # noqa: F401
        import grpc
    except ImportError as error:
        raise InvalidOption(
            f"custom analyzers need the package {error.name}: pip install 'k8sgpt-magic[grpc]'"
        ) from None
    return grpc


@cache
def _messages() -> dict[str, Any]:
    """The messages of the protocol, by name. They are so few that no code need be generated for them."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="k8sgpt_magic/remote.proto", package="schema.v1", syntax="proto3")
    fields = {
        "SensitiveData": [("unmasked", 1, "", False), ("masked", 2, "", False)],
        "ErrorDetail": [("text", 1, "", False), ("sensitive", 2, "SensitiveData", True), ("doc", 3, "", False)],
        "Result": [
            ("kind", 1, "", False),
            ("name", 2, "", False),
            ("error", 3, "ErrorDetail", True),
            ("details", 4, "", False),
            ("parent_object", 5, "", False),
        ],
        "RunRequest": [],
        "RunResponse": [("result", 1, "Result", False)],
    }
    for message, parts in fields.items():
        made = file.message_type.add(name=message)
        for name, number, of, is_repeated in parts:
            made.field.add(
                name=name,
                number=number,
                label=field.LABEL_REPEATED if is_repeated else field.LABEL_OPTIONAL,
                type=field.TYPE_MESSAGE if of else field.TYPE_STRING,
                type_name=f".schema.v1.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"schema.v1.{name}")) for name in fields}
