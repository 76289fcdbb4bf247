"""Analyzers: one file a kind, each a pure function from a cluster view to findings.

A file in this package that registers a function with ``@analyzer`` is an analyzer; there is no other list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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


# By kind and by the name of the function, so that a cell that runs again takes the place of what it was before.
_registered: dict[str, dict[str, Analyzer]] = {}


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
    ``view.reported`` holds the objects that the analyzers before them found a problem with. A function of one's own
    for a kind that this package judges too runs beside what is packaged; under the name of an earlier one it takes
    that one's place.
    """

    def register(analyze: Analyze) -> Analyze:
        kinds = dict.fromkeys([kind.kind, *(other.kind for other in reads)])
        name = f"{analyze.__module__}.{analyze.__qualname__}"
        made = Analyzer(kind.kind, analyze, tuple(kinds), tuple(codes), default, after_others)
        _registered.setdefault(kind.kind, {})[name] = made
        _together.cache_clear()
        return analyze

    return register


@cache
def _load_packaged() -> None:
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


def registered() -> dict[str, Analyzer]:
    """All analyzers by kind, in alphabetical order; several of one kind act as one."""
    _load_packaged()
    return dict(_together())


@cache
def _together() -> dict[str, Analyzer]:
    return {kind: _as_one(kind, list(_registered[kind].values())) for kind in sorted(_registered)}


def _as_one(kind: str, several: list[Analyzer]) -> Analyzer:
    # What is packaged comes first, whichever was registered first: its meaning is that of the kind.
    several.sort(key=lambda each: not each.analyze.__module__.startswith(f"{__name__}."))
    if len(several) == 1:
        return several[0]

    def analyze(view: ClusterView) -> Iterator[Finding]:
        for each in several:
            yield from each.analyze(view)

    analyze.__doc__ = several[0].analyze.__doc__
    reads = dict.fromkeys(other for each in several for other in each.reads)
    codes = dict.fromkeys(code for each in several for code in each.codes)
    return Analyzer(
        kind,
        analyze,
        tuple(reads),
        tuple(codes),
        any(each.default for each in several),
        any(each.after_others for each in several),
    )


def codes() -> dict[str, Code]:
    """All codes that a registered analyzer can report, by name."""
    return {each.name: each for analyzer in registered().values() for each in analyzer.codes}
