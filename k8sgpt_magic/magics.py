"""``%k8sgpt``: split the line, expand its variables, hand it to the subcommand."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, needs_local_scope, no_var_expand
from traitlets import Float, Int

from k8sgpt_magic import options
from k8sgpt_magic.commands import DEFAULTS, Commands
from k8sgpt_magic.errors import InvalidOption

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from k8sgpt_magic.session import Session


@magics_class
class K8sGPTMagics(Magics):
    """Settings of ``%k8sgpt``: what options default to. ``%config K8sGPTMagics.timeout = 60`` changes one."""

    max_age = Float(DEFAULTS["max_age"], help="Seconds for which lists serve again (--max-age).").tag(config=True)
    timeout = Float(DEFAULTS["timeout"], help="Seconds that reading may take (--timeout).").tag(config=True)
    max_concurrency = Int(DEFAULTS["max_concurrency"], help="Requests under way at once (--max-concurrency).").tag(
        config=True
    )

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self.session = session

    # Only {name} and $name expand, on purpose and word by word: IPython would also evaluate whatever a selector or a
    # path holds in braces.
    @no_var_expand
    @needs_local_scope
    @line_magic
    def k8sgpt(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        variables = {**self.shell.user_ns, **(local_ns or {})}
        defaults = {name: getattr(self, name) for name in DEFAULTS}
        try:
            words = [options.expand(word, variables) for word in shlex.split(line)]
        except ValueError as error:
            raise UsageError(f"%k8sgpt: {str(error).lower()} in {line!r}") from None
        try:
            return Commands(self.session, shell=self.shell, defaults=defaults).run(words)
        except options.HelpShown as help_text:
            print(help_text)
        except InvalidOption as error:
            raise UsageError(f"%k8sgpt: {error}") from None
        return None

    k8sgpt.__doc__ = options.overview()
