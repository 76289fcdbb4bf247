"""TAB in ``%k8sgpt``, ``%explain`` and the first line of ``%%explain``, from the table of options.

A matcher in ``IPython.Completer.custom_matchers`` serves terminals and notebooks alike, also in ``df = %k8sgpt an``,
where IPython's older hook for a command is not called.
Source: https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.completer.html
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.error import UsageError
from msgspec import Struct

from k8sgpt_magic import options
from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.options import EXPLAIN, SUBCOMMANDS, Option, Subcommand

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from k8sgpt_magic.session import Session

MATCHER = "k8sgpt_magic"
# What TAB waits at the most for its candidates. Those that come later are there for the next TAB.
BUDGET = 0.15
# What of it goes to a list of namespaces on its way; what is known already must still be offered in the rest.
_WAIT = 0.1
# How long the namespaces that were listed for TAB serve, in seconds.
_FRESH = 30.0
# Longer menus are read by nobody.
_LIMIT = 400

_COMMA_LISTS = ("kind", "namespace", "change")
_LINE = re.compile(r"\s*(?:[^%#]*=\s*)?(?P<percent>%%?)(?P<magic>k8sgpt|explain)\s+")
_AUTOMAGIC = re.compile(r"\s*(?P<magic>k8sgpt|explain)\s+")


class Candidate(Struct, frozen=True):
    """A text to offer. ``type`` is what a menu shows beside it, so one or two words."""

    text: str
    type: str


class Word(Struct):
    """A word of a line as a shell splits it. ``offsets`` say where in the line each of its characters stands."""

    value: str = ""
    offsets: list[int] = []
    quote: str = ""
    """The quote that is still open at its end."""
    was_quoted: bool = False


class Place(Struct, frozen=True):
    """What stands at the cursor: what TAB ``completes`` there, and what the words around it say."""

    completes: str
    typed: str
    subcommand: str = ""
    flags: tuple[str, ...] = ()
    """The options that may stand here too."""
    values: tuple[str, ...] = ()
    given: tuple[tuple[str, str], ...] = ()

    def value(self, option: str) -> str:
        return dict(self.given).get(option, "")


class Completion:
    """The matcher of one shell. It never waits longer than ``BUDGET`` and never raises."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell = shell
        self._session = session
        self._late: dict[Place, _Late] = {}
        self._listings: dict[tuple[str, str, str], tuple[threading.Thread, float]] = {}

    @context_matcher(identifier=MATCHER, priority=100)  # type: ignore[untyped-decorator, unused-ignore]
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """What fits at the cursor; nothing, and so whatever others find, where no magic of ours stands."""
        nothing: SimpleMatcherResult = {"completions": []}
        found = self._line(context)
        if found is None:
            return nothing
        magic, before, after = found
        word = (words := split(before))[-1]
        if word.was_quoted and not word.quote:
            return nothing
        place = place_of(magic, [each.value for each in words], [each.value for each in split(after)])
        if place is None:
            return nothing
        candidates = self._in_time(place)
        start = _offset(word, len(word.value) - len(place.typed), len(before))
        offered = [
            SimpleCompletion(each.text if word.quote else _quoted(each.text), type=each.type)
            for each in candidates[:_LIMIT]
            if not word.quote or word.quote not in each.text
        ]
        # Where an expression may stand, Python's own names belong in the menu; elsewhere they never fit.
        has_expression = place.completes == "finding" and (place.typed.isidentifier() or not offered)
        return {
            "completions": offered if offered or has_expression else _Nothing(),
            "matched_fragment": before[start:],
            "suppress": not has_expression,
            "ordered": True,
        }

    def _line(self, context: CompletionContext) -> tuple[str, str, str] | None:
        """The magic at the cursor, and what stands before and after the cursor in its line, or None."""
        lines = context.full_text.split("\n")
        first = next((line for line in lines if line.strip()), "")
        start = context.cursor_line
        before = context.text_until_cursor
        while start > 0 and lines[start - 1].endswith("\\"):
            start -= 1
            before = lines[start][:-1] + " " + before
        found = _LINE.match(before)
        if found is None and getattr(self._shell, "automagic", False):
            found = _AUTOMAGIC.match(before)
            if found and found["magic"] in self._shell.user_ns:
                found = None
        if found is None:
            return None
        is_cell_magic = found.groupdict().get("percent") == "%%"
        if is_cell_magic and (found["magic"] != "explain" or lines[start] is not first):
            return None
        if not is_cell_magic and re.match(r"\s*%%explain\b", first):
            return None  # It is text to explain.
        after = re.sub(r"^\S+", "", context.line_with_cursor[context.cursor_position :])
        return found["magic"], before[found.end() :], after

    def _in_time(self, place: Place) -> Sequence[Candidate]:
        self._late = {each: late for each, late in self._late.items() if each == place or not late.finished.is_set()}
        late = self._late.get(place)
        if late is None:
            late = self._late[place] = _Late(lambda: self._candidates(place))
        if not late.finished.wait(BUDGET):
            return ()
        del self._late[place]
        return late.candidates

    def _candidates(self, place: Place) -> list[Candidate]:
        find: Callable[[Place], Iterable[Candidate]] | None = {
            "namespace": self._namespaces,
            "finding": self._findings,
            "analysis": self._analyses,
        }.get(place.completes) or _FINDERS.get(place.completes)
        found = [each for each in find(place) if each.text.isprintable()] if find else []
        matching = _matching(found, place.typed, fold=place.completes in ("kind", "finding"))
        if not matching and place.completes == "finding" and len(place.typed) > 2:
            matching = [each for each in found if place.typed.lower() in each.text.lower()]
        listed = set(place.values)
        flags = [Candidate(flag, "option") for flag in place.flags if flag.startswith(place.typed)]
        return [*(each for each in matching if each.text not in listed), *flags]

    def _namespaces(self, place: Place) -> Iterable[Candidate]:
        try:
            of = {
                name: options.expand(place.value(f"--{name}"), self._shell.user_ns)
                for name in ("source", "context", "kubeconfig")
            }
        except UsageError:
            return []
        self._list_namespaces(of)
        return [Candidate(name, "namespace") for name in self._session.known_namespaces(**of)]

    def _list_namespaces(self, of: Mapping[str, str]) -> None:
        """List the namespaces for this TAB and the next ones, where no credential plugin would have to run for it.

        This runs in a thread of its own: TAB does not wait for it longer than for anything else. A plugin may open a
        browser, which nobody expects of a TAB; a snapshot may be large.
        """
        from k8sgpt_magic.cluster.kubeconfig import uses_plugin

        key = (of["source"], of["context"], of["kubeconfig"])
        if of["source"] not in ("", "live", "demo"):
            return
        listing, at = self._listings.get(key, (None, -_FRESH))
        if listing is None or time.monotonic() - at > _FRESH:
            if of["source"] != "demo" and uses_plugin(of["context"], of["kubeconfig"]):
                return
            listing = threading.Thread(target=self._list_quietly, args=(key,), daemon=True)
            self._listings[key] = (listing, time.monotonic())
            listing.start()
        listing.join(_WAIT)

    def _list_quietly(self, key: tuple[str, str, str]) -> None:
        with suppress(Exception):  # An analysis will tell what is wrong.
            self._session.list_namespaces(source=key[0], context=key[1], kubeconfig=key[2])

    def _analyses(self, _: Place) -> Iterable[Candidate]:
        return [Candidate(str(frame.attrs["number"]), "analysis") for frame in self._session.history]

    def _findings(self, _: Place) -> Iterable[Candidate]:
        # Before the first analysis the module is not there, nor any of its objects, and pandas takes long to import.
        frame = sys.modules.get("k8sgpt_magic.frame")
        variables = list(self._shell.user_ns.items()) if frame else []
        names = [name for name, value in variables if frame and isinstance(value, frame.Findings)]
        return [
            *(Candidate(name, "findings") for name in names if not name.startswith("_")),
            *(Candidate(each.id, each.severity) for each in self._session.findings()),
        ]


class _Nothing(list[SimpleCompletion]):
    """No completions, and none wanted of others: IPython lets a matcher suppress them only if it has any itself."""

    def __len__(self) -> int:
        return 1


class _Late:
    """Candidates that a thread of its own looks for. What goes wrong leaves none: TAB is no place for errors."""

    def __init__(self, find: Callable[[], list[Candidate]]) -> None:
        self.finished = threading.Event()
        self.candidates: Sequence[Candidate] = ()
        self._find = find
        threading.Thread(target=self._run, name="k8sgpt-magic-completion", daemon=True).start()

    def _run(self) -> None:
        try:
            self.candidates = self._find()
        except Exception:  # noqa: BLE001, S110 - as above
            pass
        finally:
            self.finished.set()


def load(shell: InteractiveShell, session: Session) -> None:
    """Complete in a shell. Loading again replaces the matcher."""
    unload(shell)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(Completion(shell, session).match)


def unload(shell: InteractiveShell) -> None:
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != MATCHER]


def split(text: str) -> list[Word]:
    """The words of a text as ``shlex.split`` gives them; the last is the one at its end, be it empty or quoted."""
    words = [Word(offsets=[])]
    is_escaped = False
    for offset, char in enumerate(text):
        word = words[-1]
        if is_escaped:
            is_escaped = False
            word.value += char
        elif word.quote:
            if char == word.quote:
                word.quote = ""
            else:
                word.value += char
                word.offsets.append(offset)
        elif char == "\\":
            is_escaped = True
            word.offsets.append(offset)
        elif char in "'\"":
            word.quote = char
            word.was_quoted = True
        elif char.isspace():
            if word.value or word.was_quoted:
                words.append(Word(offsets=[]))
        else:
            word.value += char
            word.offsets.append(offset)
    return words


def place_of(magic: str, words: Sequence[str], later: Sequence[str] = ()) -> Place | None:
    """What the last of the words of a magic's line is. ``later`` are the words after the cursor."""
    *before, typed = words
    if magic == "explain":
        return _in_subcommand(EXPLAIN, before, typed, later)
    if not before:
        return Place("subcommand", typed, flags=("--help",) if typed.startswith("-") else ())
    name, *rest = before
    if name in ("help", "-h", "--help"):
        return Place("subcommand", typed) if not rest else None
    subcommand = next((each for each in SUBCOMMANDS if name in (each.name, *each.aliases)), None)
    return _in_subcommand(subcommand, rest, typed, later) if subcommand else None


def _in_subcommand(subcommand: Subcommand, before: Sequence[str], typed: str, later: Sequence[str]) -> Place | None:
    given, values, awaiting = _read(subcommand, before)
    given |= _read(subcommand, later)[0]
    flags = tuple(
        flag
        for option in (*subcommand.options, options.HELP)
        if not given.keys() & set(option.flags) or option.settings.get("action") == "append"
        for flag in sorted(option.flags, key=len, reverse=True)
        if flag.startswith("-")
    )
    known = tuple(given.items())
    if awaiting is None and typed.startswith("-"):
        flag, equals, value = typed.partition("=")
        if not equals:
            return Place("", typed, subcommand.name, flags)
        awaiting, typed = _option(subcommand, flag), value
        if awaiting is None:
            return None
    if awaiting is not None:
        return _value(awaiting, typed, subcommand, (), known)
    positional = [option for option in subcommand.options if not option.flags[0].startswith("-")]
    at = min(len(values), len(positional) - 1)
    if not positional or (at < len(values) and positional[at].settings.get("nargs") != "*"):
        return Place("", typed, subcommand.name, flags if not typed else (), tuple(values), known)
    return _value(positional[at], typed, subcommand, values, known, flags if not typed else ())


def _value(
    option: Option,
    typed: str,
    subcommand: Subcommand,
    values: Sequence[str],
    given: tuple[tuple[str, str], ...],
    flags: tuple[str, ...] = (),
) -> Place:
    if option.completes in _COMMA_LISTS:
        *values, typed = typed.split(",")
    return Place(option.completes, typed, subcommand.name, flags, tuple(values), given)


def _read(subcommand: Subcommand, words: Sequence[str]) -> tuple[dict[str, str], list[str], Option | None]:
    """The options given and their values, the positional arguments, and the option that still wants its value."""
    given: dict[str, str] = {}
    values: list[str] = []
    awaiting: Option | None = None
    for word in words:
        if awaiting is not None:
            given |= dict.fromkeys(awaiting.flags, word)
            awaiting = None
        elif word.startswith("-"):
            flag, equals, value = word.partition("=")
            if option := _option(subcommand, flag):
                given |= dict.fromkeys(option.flags, value)
                awaiting = option if option.takes_value and not equals else None
        elif word:
            values.append(word)
    return given, values, awaiting


def _option(subcommand: Subcommand, flag: str) -> Option | None:
    return next((option for option in subcommand.options if flag in option.flags), None)


def _matching(candidates: Iterable[Candidate], typed: str, *, fold: bool) -> list[Candidate]:
    if fold:
        return [each for each in candidates if each.text.lower().startswith(typed.lower())]
    return [each for each in candidates if each.text.startswith(typed)]


def _offset(word: Word, at: int, end: int) -> int:
    """Where in the line the character of a word stands, or would."""
    return word.offsets[at] if at < len(word.offsets) else end


def _quoted(text: str) -> str:
    # A tilde has a meaning to us, not to the shell whose words these are.
    return text if re.fullmatch(r"[\w@%+=:,./~*-]+", text) else shlex.quote(text)


# --- what there is to offer ------------------------------------------------------------------------------


def _subcommands(_: Place) -> list[Candidate]:
    return [Candidate(each.name, "subcommand") for each in SUBCOMMANDS] + [Candidate("help", "subcommand")]


def _actions(place: Place) -> list[Candidate]:
    return [Candidate(each, "action") for each in options.actions(place.subcommand)]


@lru_cache(maxsize=1)
def _spellings(names: tuple[str, ...], groups: tuple[str, ...]) -> list[Candidate]:
    from k8sgpt_magic.cluster.kinds import KINDS

    known = [KINDS[name] for name in names if name in KINDS]
    return [
        *(Candidate(name, "kind" if name in KINDS else "analyzer") for name in names),
        *(Candidate(name, "group") for name in groups if name not in names),
        *(Candidate(each.plural, each.kind) for each in known),
        *(Candidate(short, each.kind) for each in known for short in each.short_names),
    ]


def _kinds(_: Place) -> list[Candidate]:
    from k8sgpt_magic.analyzers import groups, registered

    return _spellings(tuple(registered()), tuple(groups()))


@lru_cache(maxsize=8)
def _contexts_of(kubeconfig: str, version: Any) -> list[str]:  # noqa: ARG001 - a new version is a new key
    from k8sgpt_magic.cluster import kubeconfig as files

    return files.contexts(kubeconfig)


def _contexts(place: Place) -> list[Candidate]:
    from k8sgpt_magic.cluster import kubeconfig as files

    file = place.value("--kubeconfig")
    return [Candidate(name, "context") for name in _contexts_of(file, files.version(file))]


def _backends(_: Place) -> list[Candidate]:
    from k8sgpt_magic.explain.backends.registry import names

    return [Candidate(name, "backend") for name in names()]


def _sources(place: Place) -> list[Candidate]:
    return [Candidate("demo", "source"), Candidate("live", "source"), *_paths(place)]


def _paths(place: Place) -> list[Candidate]:
    if place.typed == "~":
        return [Candidate("~/", "path")]
    head, slash, tail = place.typed.rpartition("/")
    if "://" in place.typed:
        return []
    folder = Path(head + slash).expanduser()
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir()) for entry in entries)
    return [
        Candidate(f"{head}{slash}{name}{'/' if is_folder else ''}", "path")
        for name, is_folder in found
        if name.startswith(tail) and (tail.startswith(".") or not name.startswith("."))
    ]


def _caches(place: Place) -> list[Candidate]:
    """Of ``cache add`` the kinds of cache, and of its other actions the places that answers are kept in."""
    if place.values[:1] == ("add",):
        return [Candidate(kind, "cache") for kind in ("file", "s3", "gs", "azure")]
    from k8sgpt_magic import settings

    return [Candidate(url, "cache") for url in settings.load().caches]


_FINDERS: dict[str, Callable[[Place], list[Candidate]]] = {
    "subcommand": _subcommands,
    "action": _actions,
    "kind": _kinds,
    "backend": _backends,
    "cache": _caches,
    "context": _contexts,
    "source": _sources,
    "path": _paths,
    "change": lambda _: [Candidate(each, "change") for each in options.CHANGES],
    "chart": lambda _: [Candidate(each, "chart") for each in options.CHARTS],
    "severity": lambda _: [Candidate(each, "severity") for each in SEVERITIES],
    "output": lambda _: [Candidate(each, "output") for each in options.OUTPUTS],
}
