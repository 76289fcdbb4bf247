"""Decoders of structs, made one at a time.

What msgspec knows of a struct it works out when the first decoder for it is made, and until that is done another
thread that decodes the same struct, or one that is part of both, takes the whole process down (so with msgspec 0.22).
All types that this package decodes to therefore pass here first.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_made: dict[Any, msgspec.json.Decoder[Any]] = {}
_making = Lock()


def decoder(of: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of JSON to a type, for all threads."""
    found = _made.get(of)
    if found is None:
        with _making:
            found = _made.get(of)
            if found is None:
                found = _made[of] = msgspec.json.Decoder(of)
    return found


def known(of: type[T]) -> type[T]:
    """The same type, once other formats and ``msgspec.convert`` can use it in any thread."""
    decoder(of)
    return of
