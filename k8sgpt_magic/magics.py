"""``%k8sgpt``: parse the line, ask the session, hand back the result."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, needs_local_scope, no_var_expand
from IPython.utils.process import arg_split
from traitlets import Float, Int

from k8sgpt_magic import options, session
from k8sgpt_magic.errors import InvalidOption

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@magics_class
class K8sGPTMagics(Magics):
    """Settings of ``%k8sgpt``: what options default to. ``%config K8sGPTMagics.timeout = 60`` changes one."""

    max_age = Float(session.MAX_AGE, help="Seconds for which lists serve again (--max-age).").tag(config=True)
    timeout = Float(session.TIMEOUT, help="Seconds that reading may take (--timeout).").tag(config=True)
    max_concurrency = Int(
        session.MAX_CONCURRENCY, help="Requests under way at once (--max-concurrency)."
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell, session: session.Session) -> None:
        super().__init__(shell)
        self.session = session

    # Only {name} and $name expand, on purpose and word by word: IPython would also evaluate what a selector or a
    # JSONPath holds in braces.
    @no_var_expand
    @needs_local_scope
    @line_magic
    def k8sgpt(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        variables = {**self.shell.user_ns, **(local_ns or {})}
        try:
            words = [options.expand(word, variables) for word in arg_split(line, posix=True)]
        except ValueError as error:
            raise UsageError(f"%k8sgpt: {str(error).lower()} in {line!r}") from None
        try:
            subcommand, parsed = options.parse(words)
            return getattr(self, f"_{subcommand.name}")(parsed)
        except options.HelpShown as help:
            print(help)
            return None
        except InvalidOption as error:
            raise UsageError(f"%k8sgpt: {error}") from None

    k8sgpt.__doc__ = options.overview()

    def _analyze(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views import progress, stats
        from k8sgpt_magic.views.export import export

        findings = self.session.analyze(
            parsed.namespace,
            all_namespaces=parsed.all_namespaces,
            filter=parsed.filter,
            selector=parsed.selector,
            severity=parsed.severity,
            progress=None if parsed.quiet else progress.view(self.shell),
            **self._cluster(parsed),
            max_age=self._default("max_age", parsed),
            refresh=parsed.refresh,
        )
        if parsed.stats:
            print(stats.render(findings.summary))
        return findings if parsed.output == "frame" else export(findings, parsed.output)

    def _analyzers(self, parsed: argparse.Namespace) -> Any:
        from k8sgpt_magic.views.catalogue import catalogue

        return catalogue(parsed.filter)

    def _snapshot(self, parsed: argparse.Namespace) -> None:
        from k8sgpt_magic.views import progress

        saved = self.session.save_snapshot(
            parsed.file,
            parsed.namespace,
            all_namespaces=parsed.all_namespaces,
            progress=None if parsed.quiet else progress.view(self.shell),
            **self._cluster(parsed),
        )
        print(saved)

    def _cluster(self, parsed: argparse.Namespace) -> dict[str, Any]:
        return {
            "context": parsed.context,
            "kubeconfig": parsed.kubeconfig,
            "source": parsed.source,
            "max_concurrency": self._default("max_concurrency", parsed),
            "timeout": self._default("timeout", parsed),
        }

    def _default(self, name: str, parsed: argparse.Namespace) -> Any:
        """The value given on the line or, where there is none, the one that ``%config`` set."""
        given = getattr(parsed, name)
        return getattr(self, name) if given is None else given
