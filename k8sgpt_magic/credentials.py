"""What credentials look like in a text: a few patterns of our own, and all that detect-secrets knows by form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL)
_BEARER = re.compile(r"(?<=[Bb]earer )[\w.~+/=-]{8,}")
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*")
# What looks like data rather than words: long, and both letters and digits in it.
_BLOB = re.compile(r"(?<![\w/+=-])(?=[\w/+-]*\d)(?=[\w/+-]*[A-Za-z])[\w/+-]{24,}={0,2}(?![\w/+=])")
_ASSIGNED = re.compile(
    r"(?i)(?<![a-z])(?:pass(?:word|wd|phrase)?|secret|token|(?:api|access|secret|private|encryption)"
    r"[_-]?key|client[_-]?secret|credential)s?[\"']?\s*[:=]\s*[\"']?"
    # Neither a place-holder nor what a flag is set to.
    r"(?![\[{<$(]|(?:true|false|null|none)\b)([^\s\"',;&]{3,})"
)


@cache
def patterns() -> tuple[re.Pattern[str], ...]:
    """Our own few, which need context, and all that detect-secrets knows by form."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    known: list[re.Pattern[str]] = []
    plugins: Iterable[Any] = get_mapping_from_secret_type_to_class().values()
    for plugin in plugins:
        # Addresses have a token of their own, and its private-key pattern would leave the key's body.
        if issubclass(plugin, RegexBasedDetector) and plugin.__name__ not in (
            "IPPublicDetector",
            "PrivateKeyDetector",
        ):
            known += [re.compile(pattern) if isinstance(pattern, str) else pattern for pattern in _denylist(plugin)]
    return (_JWT, _BEARER, _ASSIGNED, *known, _BLOB)


def _denylist(plugin: Any) -> Iterable[Any]:
    return plugin.denylist if isinstance(plugin.denylist, (list, tuple)) else ()


def removed(text: str) -> str:
    """A text with ``[removed]`` in place of everything that looks like a credential."""
    text = PEM.sub("[removed]", text)
    for pattern in patterns():
        text = pattern.sub(_without, text)
    return text


def _without(found: re.Match[str]) -> str:
    # A pattern with a group is about the group alone: the word "password" may stay.
    first, last = found.span(1) if found.re.groups and found[1] else found.span()
    start = found.start()
    return f"{found[0][: first - start]}[removed]{found[0][last - start :]}"
