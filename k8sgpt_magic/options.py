"""The subcommands of ``%k8sgpt`` and their options: one table for the parser, the help and TAB completion."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from string import Formatter
from typing import Any, NoReturn

from IPython.core.error import UsageError
from msgspec import Struct

from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.session import INTERVAL, MAX_AGE, MAX_CONCURRENCY, TIMEOUT

OUTPUTS = ("frame", "json", "yaml", "markdown", "text")
CHANGES = ("new", "worse", "better", "resolved", "unknown", "unchanged")
CHARTS = ("kinds", "timeline", "causes")


class Option(Struct, frozen=True):
    """One option or positional argument, as ``argparse`` takes it. ``completes`` names what TAB offers."""

    flags: tuple[str, ...]
    help: str
    settings: dict[str, Any] = {}
    completes: str = ""

    @property
    def name(self) -> str:
        """What its value is called among those parsed."""
        return str(self.settings.get("dest") or self.flags[-1].removeprefix("--").replace("-", "_"))

    @property
    def default(self) -> Any:
        return self.settings.get("default", False)

    @property
    def takes_value(self) -> bool:
        return self.flags[0].startswith("-") and self.settings.get("action") not in ("store_true", "help")


class Subcommand(Struct, frozen=True):
    name: str
    help: str
    options: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


def _flag(*flags: str, help: str) -> Option:
    return Option(flags, help, {"action": "store_true"})


def _value(*flags: str, help: str, metavar: str, completes: str = "", **settings: Any) -> Option:
    return Option(flags, help, {"metavar": metavar, **settings}, completes)


_CLUSTER = (
    _value("--context", help="context of the kubeconfig, or several: a comma list or a glob (prod-*, '*'); default: "
           "its current context", metavar="NAME", default="", completes="context"),
    _value("--kubeconfig", help="path of a kubeconfig; default: as kubectl finds it", metavar="FILE", default="",
           completes="path"),
    _value("--source", help="where to read: live (the cluster), demo, or a path or URL of a snapshot, of kubectl "
           "get -o json|yaml output, of a cluster-info dump or of manifests. Default: live where there is a "
           "kubeconfig or a cluster around, otherwise demo. Several snapshots: a comma list or a glob "
           "(s3://bucket/**/*.tar.gz)", metavar="SOURCE", default="", completes="source"),
    _value("--max-concurrency", help=f"requests under way at once; default: {MAX_CONCURRENCY}", metavar="N",
           type=int, default=None),
    _value("--timeout", help=f"seconds that reading may take; default: {TIMEOUT:g}", metavar="SECONDS", type=float,
           default=None),
)  # fmt: skip

_NAMESPACES = (
    _value("-n", "--namespace", help="namespace to analyze; may be repeated, a comma list or a glob (team-*). "
           "Kinds without a namespace, such as Node, are always analyzed. Default: all namespaces", metavar="NAME",
           action="append", default=[], completes="namespace"),
    _flag("-A", "--all-namespaces", help="all namespaces, whatever -n says"),
)  # fmt: skip

_REPORTED = (
    _value("-f", "--filter", help="kinds to report on, by name, plural or short name (po, deploy, pvc); "
           "may be repeated or a comma list. Default: see %%k8sgpt analyzers", metavar="KIND",
           action="append", default=[], completes="kind"),
    _value("-l", "--selector", help="report only on objects with these labels, in kubectl's grammar: "
           "'app=web,tier in (a,b),!canary'", metavar="SELECTOR", default=""),
    _value("--severity", help=f"the least severity to report: {', '.join(SEVERITIES)}", metavar="SEVERITY",
           default="", completes="severity"),
)  # fmt: skip

# What a subcommand that draws or compares takes where an analysis is to be made for it.
ANALYZED = (*_NAMESPACES, *_REPORTED, *_CLUSTER)

ASKING = (
    _value("--ask", help="a question about it", metavar="QUESTION", default=""),
    _value("--backend", help="who answers; see %%k8sgpt auth list", metavar="NAME", default="",
           completes="backend"),
    _value("--model", help="model to ask", metavar="NAME", default=""),
    _value("--base-url", help="where an OpenAI-compatible server is", metavar="URL", default=""),
    _value("--language", help="of the answer; default: english", metavar="NAME", default="english"),
    _flag("--brief", help="error and solution in at most 280 characters"),
    _value("--prompt", help="a file with a prompt of your own, with {{problem}} in it", metavar="FILE",
           default="", completes="path"),
    _value("--custom-header", help="'Name: value', may be repeated", metavar="HEADER", action="append",
           default=[]),
    _value("--temperature", help="of the model", metavar="NUMBER", type=float, default=None),
    _value("--max-tokens", help="length of an answer at the most", metavar="N", type=int, default=None),
    _flag("--no-cache", help="ask again, whatever was answered before"),
    _flag("--no-anonymize", help="send names and addresses as they are"),
    _flag("--logs", help="send the last lines of the logs of failing containers too, masked like all else"),
)  # fmt: skip

SUBCOMMANDS = (
    Subcommand(
        "analyze",
        "Find what is wrong in a cluster, worst first, root causes before what follows from them.",
        (
            *_NAMESPACES,
            *_REPORTED,
            *_CLUSTER,
            _value("--max-age", help="lists read at most this many seconds ago serve again; default: "
                   f"{MAX_AGE:g}", metavar="SECONDS", type=float, default=None),
            _flag("--refresh", help="read everything anew"),
            _value("-o", "--output", help=f"{', '.join(OUTPUTS)}; default: frame, a pandas DataFrame",
                   metavar="FORMAT", default="frame", completes="output"),
            _value("--dask", help="have the workers of this Dask cluster analyze several clusters or snapshots",
                   metavar="ADDRESS", default=""),
            _flag("--ship-credentials", help="with --dask: send the workers what they need of this kubeconfig; "
                  "otherwise they use their own"),
            _flag("--stats", help="print time, requests and bytes for each kind"),
            _flag("-q", "--quiet", help="no progress bar and no notes"),
            _flag("--with-doc", help="add the cluster's own documentation of the field that each finding rests on"),
            _value("--fail-on", help="in a terminal: exit code 1 where a finding is at least that bad; default: 0 "
                   "whatever is found", metavar="SEVERITY", default="", completes="severity"),
            _flag("--explain", help="have what is found explained, as by %%explain; the options below belong to it"),
            *ASKING,
        ),
        aliases=("analyse",),
        examples=(
            "%k8sgpt analyze --namespace kube-system",
            "df = %k8sgpt analyze -n {ns} --filter po,deploy --severity warning",
            "%k8sgpt analyze --source dump.tar.gz -o markdown",
            "%k8sgpt analyze -n shop --severity critical --explain",
        ),
    ),
    Subcommand(
        "watch",
        "Analyze a live cluster and go on: findings are updated in place, new and resolved ones are marked. It runs "
        "in the background until the button or stop() of the result; in a terminal until Ctrl-C.",
        (
            *_NAMESPACES,
            *_REPORTED,
            *_CLUSTER,
            _value("--interval", help=f"seconds between two analyses at the least; default: {INTERVAL:g}",
                   metavar="SECONDS", type=float, default=INTERVAL),
            _flag("--wait", help="keep the cell running until it is interrupted"),
            _value("--for", help="keep the cell running for so many seconds, then stop", metavar="SECONDS",
                   type=float, default=None, dest="seconds"),
            _flag("--stop", help="stop all watches that go on in the background"),
            _flag("-q", "--quiet", help="no progress bar"),
        ),
        examples=("%k8sgpt watch --namespace shop", "w = %k8sgpt watch --severity warning --for 300"),
    ),
    Subcommand(
        "analyzers",
        "List the analyzers: kinds, codes, and what each code means.",
        (_value("-f", "--filter", help="only these kinds", metavar="KIND", action="append", default=[],
                completes="kind"),),
        examples=("%k8sgpt analyzers", "%k8sgpt analyzers --filter po"),
    ),
    Subcommand(
        "snapshot",
        "Save what an analysis reads to a file, to analyze later or elsewhere. Secrets are saved without values.",
        (
            Option(("action",), "save", {"metavar": "save"}, "action"),
            Option(("file",), "the file to write, for example incident.tar.gz", {"metavar": "FILE"}, "path"),
            *_NAMESPACES,
            *_CLUSTER,
            _flag("-q", "--quiet", help="no progress bar"),
        ),
        examples=("%k8sgpt snapshot save incident.tar.gz", "%k8sgpt analyze --source incident.tar.gz"),
    ),
    Subcommand(
        "diff",
        "Compare two analyses: what is new, resolved, worse, better and unchanged. With options of analyze, and "
        "always in a terminal, the later of the two is made first.",
        (
            Option(("numbers",), "analyses of %%k8sgpt history, the earlier first; one is compared with the last. "
                   "Default: the last two", {"metavar": "NUMBER", "nargs": "*", "type": int}, "analysis"),
            _value("--against", help="compare with a snapshot, or with what else --source takes", metavar="FILE",
                   default="", completes="source"),
            _value("--against-context", help="compare with another cluster: a context of the kubeconfig",
                   metavar="NAME", default="", completes="context"),
            _value("--only", help="only these changes: new, worse, better, resolved, unknown, unchanged; may be "
                   "repeated or a comma list", metavar="CHANGE", action="append", default=[], completes="change"),
            _value("-o", "--output", help=f"{', '.join(OUTPUTS)}; default: frame, a pandas DataFrame",
                   metavar="FORMAT", default="frame", completes="output"),
            *ANALYZED,
            _flag("-q", "--quiet", help="no progress bar"),
        ),
        examples=("%k8sgpt diff --only new,worse", "%k8sgpt diff 1 3", "%k8sgpt diff --against before.tar.gz"),
    ),
    Subcommand("history", "List the analyses of this session: number, when, of what, and how many findings.",
               examples=("%k8sgpt history",)),
    Subcommand(
        "chart",
        "Draw an analysis: findings by kind and namespace (kinds), when they began (timeline), or root causes and "
        "what follows from them (causes). With options of analyze, and always in a terminal, the analysis is made "
        "first.",
        (
            Option(("chart",), "kinds, timeline or causes", {"metavar": "CHART"}, "chart"),
            _value("--from", help="analysis of %%k8sgpt history; default: the last", metavar="NUMBER", type=int,
                   default=0, completes="analysis", dest="number"),
            *ANALYZED,
            _flag("-q", "--quiet", help="no progress bar"),
        ),
        examples=("%k8sgpt chart causes", "%k8sgpt chart timeline"),
    ),
    Subcommand(
        "report",
        "Write an incident report of an analysis to one file: a page (.html), Markdown (.md) or a notebook (.ipynb). "
        "With options of analyze, and always in a terminal, the analysis is made first.",
        (
            Option(("file",), "the file to write, for example incident.html", {"metavar": "FILE"}, "path"),
            _value("--from", help="analysis of %%k8sgpt history; default: the last", metavar="NUMBER", type=int,
                   default=0, completes="analysis", dest="number"),
            _flag("--force", help="replace a file that is there already"),
            *ANALYZED,
            _flag("-q", "--quiet", help="no progress bar"),
        ),
        examples=("%k8sgpt report incident.html", "%k8sgpt report incident.ipynb --from 2 --force"),
    ),
    Subcommand(
        "filters",
        "The analyzers that run where --filter names none: list them, add others, remove some, for all sessions.",
        (
            Option(("action",), "list, add, remove or reset (to what is packaged)", {"metavar": "ACTION"}, "action"),
            Option(("names",), "of add and remove: analyzers, by name, plural or short name, or groups of them; "
                   "comma lists too", {"metavar": "NAME", "nargs": "*"}, "kind"),
        ),
        examples=("%k8sgpt filters list", "%k8sgpt filters add Security TLS", "%k8sgpt filters remove ConfigMap"),
    ),
    Subcommand(
        "custom-analyzer",
        "Analyzers elsewhere that speak the k8sgpt command line tool's protocol for them (gRPC).",
        (
            Option(("action",), "add, list or remove", {"metavar": "ACTION"}, "action"),
            Option(("name",), "what to call it", {"metavar": "NAME", "nargs": "?", "default": ""}),
            Option(("address",), "of add: host:port", {"metavar": "ADDRESS", "nargs": "?", "default": ""}),
        ),
        examples=("%k8sgpt custom-analyzer add disks localhost:8085", "%k8sgpt custom-analyzer list"),
    ),
    Subcommand(
        "settings",
        "What is kept from one session to the next, and in which file. Never a key.",
        examples=("%k8sgpt settings",),
    ),
    Subcommand(
        "metrics",
        "The session's analyses as Prometheus metrics: serve them on this machine, show them, or stop serving.",
        (
            Option(("action",), "serve, show or stop", {"metavar": "ACTION"}, "action"),
            _value("--port", help="of serve: the port, on 127.0.0.1 only; default: a free one", metavar="N", type=int,
                   default=0),
            _value("--interval", help="of serve in a terminal: seconds between two analyses; default: 60",
                   metavar="SECONDS", type=float, default=60.0),
            *ANALYZED,
            _flag("-q", "--quiet", help="no progress bar"),
        ),
        examples=("%k8sgpt metrics serve --port 9400", "%k8sgpt metrics show"),
    ),
    Subcommand(
        "mcp",
        "Serve findings, masked, to a client of the Model Context Protocol over standard input and output; in a "
        "terminal only: python -m k8sgpt_magic mcp.",
        (
            *_CLUSTER,
            _flag("--no-anonymize", help="give names and addresses as they are; credentials stay masked"),
            _value("--backend", help="who answers explain; default: offline, what is packaged", metavar="NAME",
                   default="offline", completes="backend"),
            _value("--directory", help="where snapshots are saved; default: the current one", metavar="DIR",
                   default="", completes="path"),
        ),
        examples=("%k8sgpt mcp --context prod-eu",),
    ),
    Subcommand(
        "auth",
        "Keys of backends: they are asked for, kept in the system's keyring, and never shown.",
        (
            Option(("action",), "add, list, default, update, remove or test", {"metavar": "ACTION"}, "action"),
            Option(("backend",), "the backend", {"metavar": "BACKEND", "nargs": "?", "default": ""}, "backend"),
            _value("--model", help="model to ask", metavar="NAME", default=""),
            _value("--base-url", help="where an OpenAI-compatible server is", metavar="URL", default=""),
            _flag("--session", help="keep the key for this session only"),
        ),
        examples=("%k8sgpt auth add openai", "%k8sgpt auth list"),
    ),
    Subcommand(
        "generate",
        "Tell where to get a key.",
        (Option(("backend",), "the backend", {"metavar": "BACKEND", "nargs": "?", "default": "openai"}, "backend"),),
        examples=("%k8sgpt generate groq",),
    ),
    Subcommand(
        "cache",
        "Where explanations are kept: in memory and, when asked for, in files or buckets.",
        (
            Option(("action",), "add, list, stats, clear or remove", {"metavar": "ACTION"}, "action"),
            Option(("kind",), "of add: file, s3, gs or azure; of clear and remove: the URL",
                   {"metavar": "KIND", "nargs": "?", "default": ""}, "cache"),
            Option(("url",), "of add: where", {"metavar": "URL", "nargs": "?", "default": ""}, "path"),
        ),
        examples=("%k8sgpt cache add file ~/explanations", "%k8sgpt cache stats"),
    ),
)  # fmt: skip

EXPLAIN = Subcommand(
    "explain",
    "Explain findings: all of the last analysis, an expression that gives rows of one, or ids. As %%explain, the "
    "cell holds such an expression, or text to explain: an event, a log, kubectl describe output, a manifest.",
    (
        Option(("what",), "an expression or ids; default: the last analysis", {"metavar": "WHAT", "nargs": "*"},
               "finding"),
        *ASKING,
        _value("--max-concurrency", help="requests under way at once; default: 16", metavar="N", type=int,
               default=16),
        _value("--timeout", help="seconds that an answer may take; default: 60", metavar="SECONDS", type=float,
               default=60.0),
        _flag("--dry-run", help="show what would be sent, and send nothing"),
        _flag("-q", "--quiet", help="show no answers before all are there"),
    ),
    examples=('%explain df[df.kind == "Pod"]', "%explain --ask 'is this the new release?'", "%explain --dry-run"),
)  # fmt: skip

HELP = Option(("-h", "--help"), "show this help", {"action": "help"})

_ACTIONS = {
    "snapshot": ("save",),
    "custom-analyzer": ("add", "list", "remove"),
    "filters": ("list", "add", "remove", "reset"),
    "auth": ("add", "list", "default", "update", "remove", "test"),
    "cache": ("add", "list", "stats", "clear", "remove"),
    "metrics": ("serve", "show", "stop"),
}

_BY_NAME = {name: each for each in SUBCOMMANDS for name in (each.name, *each.aliases)}


class HelpShown(Exception):
    """Help was asked for; ``str()`` is its text."""


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise HelpShown(parser.format_help())


class _Parser(argparse.ArgumentParser):
    """A parser that answers in one line: what is wrong, and what would have been right."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message} (see {self.prog} --help)")


def parser(subcommand: Subcommand) -> _Parser:
    examples = "".join(f"\n  {example}" for example in subcommand.examples)
    made = _Parser(
        prog="%explain" if subcommand is EXPLAIN else f"%k8sgpt {subcommand.name}",
        description=subcommand.help,
        epilog=f"examples:{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    for option in subcommand.options:
        made.add_argument(*option.flags, help=option.help, **option.settings)
    made.add_argument(*HELP.flags, action=_Help, nargs=0, help=HELP.help)
    return made


def parse(words: Sequence[str]) -> tuple[Subcommand, argparse.Namespace]:
    """The subcommand and options of a line of words.

    Raises ``UsageError`` in one line for what it does not know, and ``HelpShown`` where help is asked for.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        named = _BY_NAME.get(words[1]) if len(words) > 1 else None
        raise HelpShown(parser(named).format_help() if named else overview())
    name, *rest = words
    subcommand = _BY_NAME.get(name)
    if subcommand is None:
        if name == EXPLAIN.name:
            raise UsageError("%k8sgpt: explaining is %explain in a notebook, and analyze --explain in a terminal")
        raise UsageError(f"%k8sgpt: unknown subcommand {name!r}{nearest(name, _BY_NAME)} (see %k8sgpt --help)")
    return subcommand, parse_options(subcommand, rest)


def parse_options(subcommand: Subcommand, rest: Sequence[str]) -> argparse.Namespace:
    """The options of a subcommand from the words after its name; raises as ``parse`` does."""
    made = parser(subcommand)
    options, unknown = made.parse_known_args(rest)
    if unknown:
        flags = [flag for option in subcommand.options for flag in option.flags]
        what = unknown[0].partition("=")[0]
        made.error(f"unknown {'option' if what.startswith('-') else 'argument'} {what!r}{nearest(what, flags)}")
    _check_choices(made, options)
    return options


def _check_choices(made: _Parser, options: argparse.Namespace) -> None:
    for name, choices in (("output", OUTPUTS), ("severity", SEVERITIES)):
        value = getattr(options, name, "")
        if value and value not in choices:
            made.error(f"--{name} {value!r} is none of {', '.join(choices)}{nearest(value, choices)}")
    actions = _ACTIONS.get(made.prog.partition(" ")[2], ())
    if actions and options.action not in actions:
        hint = nearest(options.action, actions) or f"; there are {', '.join(actions)}"
        made.error(f"unknown action {options.action!r}{hint}")


def actions(subcommand: str) -> tuple[str, ...]:
    """The actions of a subcommand such as ``auth``; most have none."""
    return _ACTIONS.get(subcommand, ())


def overview() -> str:
    """The help of ``%k8sgpt`` itself."""
    width = max(len(each.name) for each in SUBCOMMANDS) + 2
    lines = [f"  {each.name:<{width}}{each.help}" for each in SUBCOMMANDS]
    examples = [f"  {each.examples[0]}" for each in SUBCOMMANDS if each.examples]
    return "\n".join(
        [
            "usage: %k8sgpt SUBCOMMAND [options]",
            "",
            "Kubernetes diagnosis in a notebook.",
            "",
            "subcommands:",
            *lines,
            "",
            "%k8sgpt SUBCOMMAND? shows the options of one, TAB completes. Variables expand: {name} and $name.",
            "",
            "examples:",
            *examples,
            "",
        ]
    )


_PLACEHOLDER = re.compile(r"\{(?P<braced>[A-Za-z_][\w.]*(?:\[[^\]{}]*\])*)\}|\$(?P<bare>[A-Za-z_]\w*)")


def expand(word: str, variables: dict[str, Any]) -> str:
    """A word with ``{name}`` (also ``{name.attribute}`` and ``{name[key]}``) and ``$name`` replaced.

    Sequences become comma lists. Nothing else in the word has a meaning, so selectors pass through as they are.
    Raises ``UsageError`` for a name that is not defined.
    """

    def value(found: re.Match[str]) -> str:
        expression = found["braced"] or found["bare"]
        try:
            return _text(Formatter().get_field(expression, (), variables)[0])
        except (KeyError, AttributeError, IndexError, TypeError, ValueError):
            raise UsageError(f"%k8sgpt: {found[0]} in {word!r}: {expression!r} is not defined") from None

    return _PLACEHOLDER.sub(value, word)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    return ",".join(map(str, value)) if isinstance(value, (list, tuple, set, frozenset)) else str(value)
