"""What each subcommand does with its parsed options, for the magic and for ``python -m k8sgpt_magic`` alike."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from k8sgpt_magic import options
from k8sgpt_magic.session import MAX_AGE, MAX_CONCURRENCY, TIMEOUT, Session

DEFAULTS: Mapping[str, Any] = {"max_age": MAX_AGE, "timeout": TIMEOUT, "max_concurrency": MAX_CONCURRENCY}


class Commands:
    """Runs subcommands in a session. ``defaults`` are the values of options that are not on the line.

    ``shell`` decides what the progress bar looks like.
    """

    def __init__(self, session: Session, *, shell: Any = None, defaults: Mapping[str, Any] = DEFAULTS) -> None:
        self._session = session
        self._shell = shell
        self._defaults = defaults

    def run(self, words: Sequence[str]) -> Any:
        """Run a line of words and return its result, or None where it only prints.

        Raises ``UsageError`` and ``HelpShown`` as ``options.parse`` does, ``InvalidOption`` for an option that makes
        no sense here, and ``K8sGPTError`` for what goes wrong in operation.
        """
        subcommand, parsed = options.parse(words)
        for name, default in self._defaults.items():
            if getattr(parsed, name, default) is None:
                setattr(parsed, name, default)
        return getattr(self, subcommand.name)(parsed)

    def analyze(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views import stats
        from k8sgpt_magic.views.export import export

        findings = self._session.analyze(
            parsed.namespace,
            all_namespaces=parsed.all_namespaces,
            filter=parsed.filter,
            selector=parsed.selector,
            severity=parsed.severity,
            max_age=parsed.max_age,
            refresh=parsed.refresh,
            progress=self._progress(parsed),
            **_cluster(parsed),
        )
        if parsed.stats:
            print(stats.render(findings.summary))
        return findings if parsed.output == "frame" else export(findings, parsed.output)

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

    def _progress(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views import progress

        return None if parsed.quiet else progress.view(self._shell)


def _cluster(parsed: argparse.Namespace) -> dict[str, Any]:
    names = ("context", "kubeconfig", "source", "max_concurrency", "timeout")
    return {name: getattr(parsed, name) for name in names}
