"""Which analyzers an analysis runs: those that its filters name, or those of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k8sgpt_magic import remote, settings
from k8sgpt_magic.analyzers import Analyzer, groups, registered
from k8sgpt_magic.cluster.names import kind_named


def named(filters: Iterable[str]) -> list[str]:
    """The names of the analyzers that names, plurals, short names and groups stand for, in alphabetical order.

    Raises ``UnknownName`` with the nearest name for one that fits nothing.
    """
    remote.register_all()
    known, by_group = registered(), groups()
    found: set[str] = set()
    for each in filters:
        if each.strip() == "*":
            found.update(known)
            continue
        name = kind_named(each, [*known, *(group for group in by_group if group not in known)])
        found.update([name] if name in known else by_group[name])
    return sorted(found)


def active() -> list[str]:
    """The analyzers that run where the user names none: the default ones, as changed by the settings."""
    remote.register_all()
    chosen, known = settings.load(), registered()
    names = {name for name, each in known.items() if each.default} - set(chosen.filters_removed)
    return sorted((names | set(chosen.filters_added)) & set(known))


def chosen(filters: Sequence[str]) -> list[Analyzer]:
    """The analyzers to run for these filters, or without any the active ones."""
    names = named(filters) if filters else active()
    known = registered()
    return [known[name] for name in names]


def add(filters: Sequence[str]) -> list[str]:
    """Let analyzers run by default, in all sessions to come. Returns those that did not before."""
    before, names = set(active()), named(filters)

    def change(kept: settings.Settings) -> None:
        kept.filters_removed = [each for each in kept.filters_removed if each not in names]
        wanted = [each for each in names if not registered()[each].default]
        kept.filters_added = sorted({*kept.filters_added, *wanted})

    settings.change(change)
    return [each for each in names if each not in before]


def remove(filters: Sequence[str]) -> list[str]:
    """Let analyzers run no longer unless they are named. Returns those that did before."""
    before, names = set(active()), named(filters)

    def change(kept: settings.Settings) -> None:
        kept.filters_added = [each for each in kept.filters_added if each not in names]
        wanted = [each for each in names if registered()[each].default]
        kept.filters_removed = sorted({*kept.filters_removed, *wanted})

    settings.change(change)
    return [each for each in names if each in before]


def reset() -> None:
    """Let the packaged default analyzers run, and no others."""

    def change(kept: settings.Settings) -> None:
        kept.filters_added, kept.filters_removed = [], []

    settings.change(change)
