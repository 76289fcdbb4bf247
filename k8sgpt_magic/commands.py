"""What each subcommand does with its parsed options, for the magic and for ``python -m k8sgpt_magic`` alike."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from k8sgpt_magic import options
from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.findings import SEVERITIES
from k8sgpt_magic.session import MAX_AGE, MAX_CONCURRENCY, TIMEOUT, Session
from k8sgpt_magic.wording import count, joined

DEFAULTS: Mapping[str, Any] = {"max_age": MAX_AGE, "timeout": TIMEOUT, "max_concurrency": MAX_CONCURRENCY}


class Commands:
    """Runs subcommands in a session. ``defaults`` are the values of options that are not on the line.

    ``shell`` decides what the progress bar looks like.
    """

    def __init__(self, session: Session, *, shell: Any = None, defaults: Mapping[str, Any] = DEFAULTS) -> None:
        self._session = session
        self._shell = shell
        self._defaults = defaults
        self.exit_code = 0
        """What a terminal's process ends with, unless something is raised."""

    def run(self, words: Sequence[str]) -> Any:
        """Run a line of words and return its result, or None where it only prints.

        Raises ``UsageError`` and ``HelpShown`` as ``options.parse`` does, ``InvalidOption`` for an option that makes
        no sense here, and ``K8sGPTError`` for what goes wrong in operation.
        """
        subcommand, parsed = options.parse(words)
        for name, default in self._defaults.items():
            if getattr(parsed, name, default) is None:
                setattr(parsed, name, default)
        return getattr(self, subcommand.name.replace("-", "_"))(parsed)

    def analyze(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views import stats
        from k8sgpt_magic.views.export import export

        _check_explaining(parsed)
        self._check_failing(parsed)

        findings = self._make(
            parsed,
            max_age=parsed.max_age,
            refresh=parsed.refresh,
            dask=parsed.dask,
            ship_credentials=parsed.ship_credentials,
        )
        if parsed.fail_on and (findings["severity"] >= parsed.fail_on).any():
            self.exit_code = 1
        if parsed.stats:
            print(stats.render(findings.summary))
        if parsed.explain and len(findings):
            findings = self._session.explainer.explain(findings, _style(parsed), progress=self._answers(parsed))
        if parsed.with_doc:
            findings = self._session.with_docs(findings)
        return findings if parsed.output == "frame" else export(findings, parsed.output)

    def watch(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views import watching

        if parsed.stop:
            print(f"Stopped {count(self._session.stop_watches(), 'watch')}.")
            return None
        if parsed.seconds is not None and parsed.seconds <= 0:
            raise InvalidOption("--for must be more than 0 seconds")
        watch = self._session.watch(
            parsed.namespace,
            all_namespaces=parsed.all_namespaces,
            filter=parsed.filter,
            selector=parsed.selector,
            severity=parsed.severity,
            interval=parsed.interval,
            progress=self._progress(parsed),
            **_cluster(parsed),
        )
        in_notebook = getattr(self._shell, "kernel", None) is not None
        if in_notebook and not parsed.wait and parsed.seconds is None:
            return watch
        watching.wait(watch, in_notebook=in_notebook, seconds=parsed.seconds)
        return watch.shown() if self._shell is not None else None

    def analyzers(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views.catalogue import catalogue

        return catalogue(parsed.filter)

    def snapshot(self, parsed: argparse.Namespace) -> None:
        saved = self._session.save_snapshot(
            parsed.file,
            parsed.namespace,
            all_namespaces=parsed.all_namespaces,
            progress=self._progress(parsed),
            **_cluster(parsed),
        )
        print(saved)

    def diff(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views.changes import export

        numbers = parsed.numbers
        if len(numbers) > 2 or any(number < 1 for number in numbers):
            raise InvalidOption("diff takes at most two numbers of %k8sgpt history, which counts from 1")
        against = {"against": parsed.against, "against_context": parsed.against_context}
        if self._is_alone and not any(against.values()):
            raise InvalidOption(
                "diff compares what --source or --context names with --against FILE or --against-context NAME"
            )
        if self._is_to_be_made(parsed):
            if numbers:
                raise InvalidOption("diff takes numbers of %k8sgpt history or options of an analysis, not both")
            self._make(parsed)
        if any(against.values()):
            # What is compared with a file or a context is the later one.
            numbers = [0, *numbers] if len(numbers) < 2 else numbers
        changes = self._session.diff(*numbers, **against, progress=self._progress(parsed))
        wanted = [part.strip() for several in parsed.only for part in several.split(",") if part.strip()]
        changes = changes.only(wanted) if wanted else changes
        return changes if parsed.output == "frame" else export(changes, parsed.output)

    def history(self, _: argparse.Namespace) -> Any:
        if self._is_alone:
            raise InvalidOption("history is a notebook's: in a terminal each command is a session of its own")
        from k8sgpt_magic.views.history import history

        return history(self._session.history)

    def chart(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views.charts import chart

        findings = self._analysis(parsed)
        return chart(parsed.chart, findings, self._session.view_of(findings))

    def report(self, parsed: argparse.Namespace) -> None:
        from k8sgpt_magic.views.report import write

        findings = self._analysis(parsed)
        explained = self._session.with_explanations(findings)
        print(write(parsed.file, explained, self._session.view_of(findings), force=parsed.force))

    def filters(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic import filters
        from k8sgpt_magic.views.catalogue import active_table

        names = [part.strip() for several in parsed.names for part in several.split(",") if part.strip()]
        if parsed.action in ("list", "reset") and names:
            raise InvalidOption(f"%k8sgpt filters {parsed.action} takes no names; did you mean add or remove?")
        if parsed.action in ("add", "remove") and not names:
            raise InvalidOption(f"%k8sgpt filters {parsed.action} needs names; %k8sgpt filters list has them")
        match parsed.action:
            case "list":
                return active_table()
            case "add":
                print(
                    _changed(filters.add(names), "run by default from now on", "Nothing changed: they did already.")
                )
            case "remove":
                gone = filters.remove(names)
                print(_changed(gone, "run no longer unless --filter names them", "Nothing changed: none ran."))
            case "reset":
                filters.reset()
                print("The packaged default analyzers run from now on.")
        return None

    def custom_analyzer(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic import remote

        match parsed.action:
            case "list":
                return remote.table()
            case "add":
                remote.add(parsed.name, parsed.address)
                print(f"{parsed.name} at {parsed.address} runs with the others from now on.")
            case "remove":
                remote.remove(parsed.name)
                print(f"{parsed.name} is forgotten.")
        return None

    def settings(self, _: argparse.Namespace) -> Any:
        from k8sgpt_magic.views.catalogue import settings_table

        return settings_table()

    def metrics(self, parsed: argparse.Namespace) -> None:
        metrics = self._session.metrics
        if parsed.port and parsed.action != "serve":
            raise InvalidOption("--port says where to serve: %k8sgpt metrics serve --port N")
        if parsed.interval <= 0:
            raise InvalidOption("--interval must be more than 0 seconds")
        if parsed.action != "stop" and self._is_to_be_made(parsed):
            self._make(parsed)
        match parsed.action:
            case "serve":
                already = "already " if metrics.url else ""
                print(f"Metrics are {already}served at {metrics.serve(parsed.port)}", flush=True)
                while self._is_alone:
                    time.sleep(parsed.interval)
                    # A cluster that is away for a while is no reason to end; its metrics say when they are of.
                    with suppress(K8sGPTError):
                        self._make(parsed, refresh=True)
            case "show":
                print(metrics.text(), end="")
            case "stop":
                print("Metrics are served no longer." if metrics.stop() else "No metrics were served.")

    def mcp(self, parsed: argparse.Namespace) -> None:
        if self._shell is not None:
            raise InvalidOption(
                "mcp serves over standard input and output: let the client run python -m k8sgpt_magic mcp"
            )
        try:
            from k8sgpt_magic import mcp_server
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "mcp":
                raise
            raise K8sGPTError("MCP needs a library that is not installed: pip install 'k8sgpt-magic[mcp]'") from None
        if not (directory := Path(parsed.directory).expanduser()).is_dir():
            raise InvalidOption(f"--directory {parsed.directory}: there is no such directory")
        mcp_server.serve(
            self._session,
            _cluster(parsed),
            anonymize=not parsed.no_anonymize,
            backend=parsed.backend,
            directory=directory,
        )

    def auth(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.explain import subcommands
        from k8sgpt_magic.views.catalogue import Table

        keys = self._session.explainer.keys
        given = {"model": parsed.model, "base_url": parsed.base_url}
        match parsed.action:
            case "list":
                return Table(subcommands.auth_list(keys))
            case "default":
                print(subcommands.auth_default(keys, parsed.backend))
            case "test":
                print(subcommands.auth_test(keys, self._session.engine.run, parsed.backend, **given))
            case "remove":
                print(subcommands.auth_remove(keys, parsed.backend))
            case "add":
                print(subcommands.auth_add(keys, parsed.backend, session_only=parsed.session, **given))
            case "update":
                print(subcommands.auth_update(keys, parsed.backend, session_only=parsed.session, **given))
        return None

    def generate(self, parsed: argparse.Namespace) -> None:
        from k8sgpt_magic.explain import subcommands

        print(subcommands.generate(self._session.explainer.keys, parsed.backend))

    def cache(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.explain import subcommands
        from k8sgpt_magic.views.catalogue import Table

        caches = self._session.explainer.caches
        match parsed.action:
            case "list":
                return Table(subcommands.cache_list(caches))
            case "stats":
                return Table(subcommands.cache_stats(caches))
            case "add":
                print(subcommands.cache_add(caches, parsed.kind, parsed.url))
            case "clear":
                print(subcommands.cache_clear(caches, parsed.kind))
            case "remove":
                print(subcommands.cache_remove(caches, parsed.kind))
        return None

    def explain(self, parsed: argparse.Namespace, what: Any, text: str = "") -> Any:
        """``%explain``: ``what`` is what the line's expression gave, ``text`` what was pasted into the cell."""
        style = _style(parsed, timeout=parsed.timeout, max_concurrency=parsed.max_concurrency)
        explainer = self._session.explainer
        if parsed.dry_run:
            return explainer.preview(what, style, text=text)
        return explainer.explain(what, style, text=text, progress=self._answers(parsed))

    @property
    def _is_alone(self) -> bool:
        """Whether this is a terminal's command, which has no session before it or after it."""
        return self._shell is None

    def _analysis(self, parsed: argparse.Namespace) -> Any:
        """The analysis that a subcommand is about, made first where there is none or other options are given."""
        if not self._is_to_be_made(parsed):
            return self._session.analysis(parsed.number)
        if parsed.number:
            raise InvalidOption("--from names an analysis that is there; leave the options of a new one out")
        return self._make(parsed)

    def _is_to_be_made(self, parsed: argparse.Namespace) -> bool:
        asked = [option for option in options.ANALYZED if getattr(parsed, option.name) != option.default]
        passing = ("max_concurrency", "timeout")
        return self._is_alone or any(option.name not in passing for option in asked)

    def _make(self, parsed: argparse.Namespace, **more: Any) -> Any:
        return self._session.analyze(
            parsed.namespace,
            all_namespaces=parsed.all_namespaces,
            filter=parsed.filter,
            selector=parsed.selector,
            severity=parsed.severity,
            progress=self._progress(parsed),
            **_cluster(parsed),
            **more,
        )

    def _check_failing(self, parsed: argparse.Namespace) -> None:
        if not parsed.fail_on:
            return
        if not self._is_alone:
            raise InvalidOption('--fail-on sets the exit code in a terminal; in a notebook look at df["severity"]')
        if parsed.fail_on not in SEVERITIES:
            hint = nearest(parsed.fail_on, SEVERITIES)
            raise InvalidOption(f"--fail-on {parsed.fail_on!r}{hint}; there are {', '.join(SEVERITIES)}")
        if parsed.severity in SEVERITIES and SEVERITIES.index(parsed.severity) < SEVERITIES.index(parsed.fail_on):
            raise InvalidOption(f"--severity {parsed.severity} leaves out what --fail-on {parsed.fail_on} looks for")

    def _progress(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views import progress

        return None if parsed.quiet else progress.view(self._shell)

    def _answers(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views import answers

        return None if parsed.quiet else answers.view(self._shell)


def _changed(names: Sequence[str], what: str, otherwise: str) -> str:
    return f"{joined(names, 30)}: {what}." if names else otherwise


def _style(parsed: argparse.Namespace, **more: Any) -> Any:
    from k8sgpt_magic.explain.explainer import Style

    return Style(
        backend=parsed.backend,
        model=parsed.model,
        base_url=parsed.base_url,
        language=parsed.language,
        brief=parsed.brief,
        ask=parsed.ask,
        prompt=parsed.prompt,
        headers=_headers(parsed.custom_header),
        temperature=parsed.temperature,
        max_tokens=parsed.max_tokens,
        use_cache=not parsed.no_cache,
        anonymize=not parsed.no_anonymize,
        logs=parsed.logs,
        **more,
    )


def _check_explaining(parsed: argparse.Namespace) -> None:
    """Options of ``--explain`` without it would be given for nothing."""
    if parsed.explain:
        return
    for option in options.ASKING:
        name = option.flags[-1]
        value = getattr(parsed, name.removeprefix("--").replace("-", "_"))
        if value != option.settings.get("default", False):
            raise InvalidOption(f"{name} says how to explain; add --explain")


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise InvalidOption(f"--custom-header {name!r}: write it as 'Name: value'")
        headers[name.strip()] = value.strip()
    return headers


def _cluster(parsed: argparse.Namespace) -> dict[str, Any]:
    names = ("context", "kubeconfig", "source", "max_concurrency", "timeout")
    return {name: getattr(parsed, name) for name in names}
