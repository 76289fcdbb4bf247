"""Analyzers: one file a kind, each a pure function from a cluster view to findings.

A file in this package that registers a function with ``@analyzer`` is an analyzer; there is no other list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from msgspec import Struct

from k8sgpt_magic.cluster.resources import Resource
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding

Analyze = Callable[[ClusterView], Iterable[Finding]]


class Analyzer(Struct, frozen=True):
    """A registered analyzer: the kind it judges, the kinds it looks at, the codes it can report."""

    kind: str
    analyze: Analyze
    reads: tuple[str, ...]
    codes: tuple[Code, ...]
    default: bool = True
    after_others: bool = False

    @property
    def meaning(self) -> str:
        return (self.analyze.__doc__ or "").strip().partition("\n")[0]


_registered: dict[str, Analyzer] = {}


def analyzer(
    kind: type[Resource],
    *,
    reads: Iterable[type[Resource]] = (),
    codes: Iterable[Code],
    default: bool = True,
    after_others: bool = False,
) -> Callable[[Analyze], Analyze]:
    """Register a function as the analyzer of a kind.

    ``reads`` are the other kinds whose objects it looks at; a source reads them all before the function runs.
    ``default`` analyzers run where the user names none. ``after_others`` is for rules of what nobody else explains:
    ``view.reported`` holds the objects that the analyzers before them found a problem with.
    """

    def register(analyze: Analyze) -> Analyze:
        kinds = dict.fromkeys([kind.kind, *(other.kind for other in reads)])
        _registered[kind.kind] = Analyzer(kind.kind, analyze, tuple(kinds), tuple(codes), default, after_others)
        return analyze

    return register


@cache
def _load_packaged() -> None:
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


def registered() -> dict[str, Analyzer]:
    """All analyzers by kind, in alphabetical order."""
    _load_packaged()
    return dict(sorted(_registered.items()))


def codes() -> dict[str, Code]:
    """All codes that a registered analyzer can report, by name."""
    return {each.name: each for analyzer in registered().values() for each in analyzer.codes}
