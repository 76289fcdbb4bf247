"""Analyzers: one file a kind, each a pure function from a cluster view to findings.

A file in this package that registers a function with ``@analyzer`` is an analyzer; there is no other list. Packages
add theirs through the entry point group ``k8sgpt_magic.analyzers``, and cells by running the decorator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from msgspec import Struct

from k8sgpt_magic.cluster.kinds import custom_resource
from k8sgpt_magic.cluster.resources import Resource
from k8sgpt_magic.cluster.view import ClusterView, LogRequest
from k8sgpt_magic.findings import Code, Finding

ENTRY_POINTS = "k8sgpt_magic.analyzers"

Analyze = Callable[[ClusterView], Iterable[Finding]]
WantedLogs = Callable[[ClusterView], Iterable[LogRequest]]


class Analyzer(Struct, frozen=True):
    """A registered analyzer: the kind it judges, the kinds it looks at, the codes it can report.

    ``name`` is what ``--filter`` calls it: its kind, unless several analyzers of different purpose judge one kind.
    ``parts`` are the functions that make it up, where others than the packaged one judge the kind too. ``logs``
    tells which logs it wants to see.
    """

    kind: str
    parts: tuple[Analyze, ...]
    reads: tuple[str, ...]
    codes: tuple[Code, ...]
    default: bool = True
    after_others: bool = False
    name: str = ""
    group: str = ""
    logs: WantedLogs | None = None

    def analyze(self, view: ClusterView) -> Iterator[Finding]:
        for part in self.parts:
            yield from part(view)

    @property
    def meaning(self) -> str:
        return (self.parts[0].__doc__ or "").strip().partition("\n")[0]


# By name and by the name of the function, so that a cell that runs again takes the place of what it was before.
_registered: dict[str, dict[str, Analyzer]] = {}
_broken: list[str] = []


def analyzer(
    kind: type[Resource] | str,
    *,
    reads: Iterable[type[Resource] | str] = (),
    codes: Iterable[Code],
    default: bool = True,
    after_others: bool = False,
    name: str = "",
    group: str = "",
    logs: WantedLogs | None = None,
) -> Callable[[Analyze], Analyze]:
    """Register a function as the analyzer of a kind.

    ``kind`` is a class of ``k8sgpt_magic.cluster``, one that ``custom_resource`` made, or ``group/version/Kind``.
    ``reads`` are the other kinds whose objects it looks at; a source reads them all before the function runs.
    ``default`` analyzers run where the user names none; those of kinds that a cluster does not serve find nothing.
    ``name`` is for an analyzer that users should call by another name than its kind, and ``group`` one that calls it
    together with others (``Storage``). ``after_others`` is for rules of what nobody else explains:
    ``view.reported`` holds the objects that the analyzers before them found a problem with. ``logs`` says which logs
    of which containers the function needs to see in ``view.logs``; they are fetched before it runs. A function of
    one's own for a kind that this package judges too runs beside what is packaged; under the name of an earlier one
    it takes that one's place.
    """
    judged = _resource(kind)

    def register(analyze: Analyze) -> Analyze:
        kinds = dict.fromkeys([judged.kind, *(_resource(other).kind for other in reads)])
        called = name or judged.kind
        function = f"{analyze.__module__}.{analyze.__qualname__}"
        made = Analyzer(
            judged.kind, (analyze,), tuple(kinds), tuple(codes), default, after_others, called, group, logs
        )
        _registered.setdefault(called, {})[function] = made
        _together.cache_clear()
        return analyze

    return register


def register(source: str, made: Iterable[Analyzer]) -> None:
    """Register analyzers that are no decorated functions, in place of all others of the same ``source``."""
    wanted = {each.name: each for each in made}
    known = {name: several[source] for name, several in _registered.items() if source in several}
    if wanted == known:
        return
    for name in known:
        del _registered[name][source]
        if not _registered[name]:
            del _registered[name]
    for name, each in wanted.items():
        _registered.setdefault(name, {})[source] = each
    _together.cache_clear()


def _resource(kind: type[Resource] | str) -> type[Resource]:
    return custom_resource(kind) if isinstance(kind, str) else kind


def is_packaged(analyze: Analyze) -> bool:
    """Whether a function is one of this package's own, which are known to end."""
    return analyze.__module__.startswith(f"{__name__}.")


@cache
def _load_packaged() -> None:
    # Loading the extension need not pay for it.
    from importlib.metadata import entry_points

    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    for entry_point in entry_points(group=ENTRY_POINTS):
        try:
            entry_point.load()
        except Exception as error:  # noqa: BLE001 - somebody else's package must cost its own analyzers only
            _broken.append(f"analyzer {entry_point.name} ({entry_point.value}): {type(error).__name__}: {error}")


def registered() -> dict[str, Analyzer]:
    """All analyzers by name, in alphabetical order; several of one name act as one."""
    _load_packaged()
    return dict(_together())


def broken() -> Sequence[str]:
    """What packages offer as analyzers and what cannot be loaded, each with the reason, in a line."""
    _load_packaged()
    return tuple(_broken)


def groups() -> dict[str, tuple[str, ...]]:
    """The names that stand for several analyzers, and which."""
    found: dict[str, list[str]] = {}
    for name, each in registered().items():
        if each.group:
            found.setdefault(each.group, []).append(name)
    return {group: tuple(names) for group, names in sorted(found.items())}


@cache
def _together() -> dict[str, Analyzer]:
    return {name: _as_one(list(_registered[name].values())) for name in sorted(_registered)}


def _as_one(several: list[Analyzer]) -> Analyzer:
    # What is packaged comes first, whichever was registered first: its meaning is that of the kind.
    several.sort(key=lambda each: not is_packaged(each.parts[0]))
    first = several[0]
    if len(several) == 1:
        return first
    wanted = [each.logs for each in several if each.logs]

    def logs(view: ClusterView) -> Iterator[LogRequest]:
        for each in wanted:
            yield from each(view)

    return Analyzer(
        first.kind,
        tuple(part for each in several for part in each.parts),
        tuple(dict.fromkeys(other for each in several for other in each.reads)),
        tuple(dict.fromkeys(code for each in several for code in each.codes)),
        any(each.default for each in several),
        any(each.after_others for each in several),
        first.name,
        first.group,
        logs if wanted else None,
    )


def codes(among: Collection[str] = ()) -> dict[str, Code]:
    """All codes that a registered analyzer (or one of those named) can report, by name."""
    return {
        each.name: each
        for name, analyzer in registered().items()
        if not among or name in among
        for each in analyzer.codes
    }
