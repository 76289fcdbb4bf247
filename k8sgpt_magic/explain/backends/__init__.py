"""Backends: who answers. Each is a small file, or a row in the table of OpenAI-compatible providers.

A package adds one through the entry point group ``k8sgpt_magic.backends``: a name, and a callable that takes
``BackendOptions`` and returns a ``Backend``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from k8sgpt_magic.explain.prompts import Prompt

OnText = Callable[[str], None]


class Answer(Struct):
    """What a backend said: the text, the tokens it counted (0 where it does not say), and which model spoke."""

    text: str
    tokens: int = 0
    model: str = ""


class BackendOptions(Struct, kw_only=True):
    """How to reach a backend. ``key`` is never shown: a repr of this holds only whether there is one."""

    name: str
    model: str = ""
    base_url: str = ""
    key: str = ""
    headers: Mapping[str, str] = {}
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0

    def __repr__(self) -> str:
        key = "set" if self.key else "none"
        return f"BackendOptions(name={self.name!r}, model={self.model!r}, base_url={self.base_url!r}, key={key})"


class Backend(Protocol):
    """Someone who answers prompts. All methods run on the engine's loop."""

    name: str
    model: str
    is_local: bool
    """Whether text sent there stays on this machine, and so need not be masked."""

    async def ask(self, prompt: Prompt, *, code: str, on_text: OnText | None = None) -> Answer:
        """The answer to a prompt about a finding of ``code`` ("" for pasted text); ``on_text`` gets it as it comes.

        Raises ``BackendError`` that says what to do next.
        """
        ...

    async def close(self) -> None: ...
