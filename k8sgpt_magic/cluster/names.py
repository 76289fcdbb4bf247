"""Names of kinds as people type them (``po``, ``pods``, ``Deployment``, ``deploy.apps``) to kinds."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.errors import InvalidOption


class UnknownName(InvalidOption):
    """A name that fits nothing; ``str()`` says so and names the nearest that would."""


def nearest(name: str, known: Collection[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing when no known name is near."""
    from difflib import get_close_matches

    by_folded = {each.lower(): each for each in reversed(list(known))}
    close = get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean {by_folded[close[0]]!r}?" if close else ""


def kind_named(name: str, among: Collection[str]) -> str:
    """The kind that a name, plural or kubectl short name stands for, of those given.

    Raises ``UnknownName`` with the nearest name that would have been right.
    """
    wanted = name.strip().lower()
    known = {spelling: kind for spelling, kind in _spellings().items() if kind in among}
    known |= {kind.lower(): kind for kind in among}
    bare = wanted.partition(".")[0]
    if kind := known.get(wanted) or known.get(bare):
        return kind
    suggestions = [*among, *known]
    raise UnknownName(f"unknown kind {name!r}{nearest(name, suggestions)}")


@cache
def _spellings() -> dict[str, str]:
    spellings: dict[str, str] = {}
    for kind, resource in KINDS.items():
        for spelling in (kind, resource.plural, *resource.short_names):
            spellings[spelling.lower()] = kind
    return spellings
