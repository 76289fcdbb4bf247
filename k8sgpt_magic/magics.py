"""``%k8sgpt``: split the line, expand its variables, hand it to the subcommand."""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
    output_can_be_silenced,
)
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
    @output_can_be_silenced
    @line_magic
    def k8sgpt(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        words = self._words(line)
        variables = {**self.shell.user_ns, **(local_ns or {})}
        try:
            return self._commands().run([options.expand(word, variables) for word in words])
        except options.HelpShown as help_text:
            print(help_text)
        except InvalidOption as error:
            raise UsageError(f"%k8sgpt: {error}") from None
        return None

    k8sgpt.__doc__ = options.overview()

    @no_var_expand
    @needs_local_scope
    @output_can_be_silenced
    @line_cell_magic
    def explain(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        variables = {**self.shell.user_ns, **(local_ns or {})}
        expression, words = _split_expression(line)
        try:
            parsed = options.parse_options(
                options.EXPLAIN, [options.expand(word, variables) for word in self._words(words)]
            )
            what, text = self._subject(expression or " ".join(parsed.what), cell, variables)
            return self._commands().explain(parsed, what, text)
        except options.HelpShown as help_text:
            print(help_text)
        except InvalidOption as error:
            raise UsageError(f"%explain: {error}") from None
        return None

    explain.__doc__ = options.parser(options.EXPLAIN).format_help()

    def _subject(self, expression: str, cell: str | None, variables: dict[str, Any]) -> tuple[Any, str]:
        """What to explain: what an expression gives, ids, or the text of the cell; and say which of them it is."""
        body = (cell or "").strip() or expression.strip()
        if not body:
            return None, ""
        value = _evaluated(body, variables)
        if _is_of_findings(value):
            if cell:
                print(f"%%explain: {body.splitlines()[0]} gives findings.")
            return value, ""
        if cell is None:
            return body.split(), ""
        print("%%explain: taken as text.")
        return None, body

    def _words(self, line: str) -> list[str]:
        from k8sgpt_magic.explain.keys import refuse_key_on_line

        try:
            # A semicolon at the end keeps IPython from showing the result; it belongs to no option.
            words = shlex.split(line.rstrip().removesuffix(";"))
        except ValueError as error:
            raise UsageError(f"%k8sgpt: {str(error).lower()} in {line!r}") from None
        try:
            refuse_key_on_line(words, self.shell)
        except InvalidOption as error:
            raise UsageError(f"%k8sgpt: {error}") from None
        return words

    def _commands(self) -> Commands:
        return Commands(self.session, shell=self.shell, defaults={name: getattr(self, name) for name in DEFAULTS})


def _split_expression(line: str) -> tuple[str, str]:
    """The Python expression that a line begins with, and the options after it.

    An expression has quotes and brackets of its own, which a splitter of words would take for its own.
    """
    found = re.search(r"(?:^|\s)--?[A-Za-z]", line)
    before, after = (line[: found.start()], line[found.start() :]) if found else (line, "")
    return before.strip().removesuffix(";"), after


def _evaluated(body: str, variables: dict[str, Any]) -> Any:
    """What an expression gives, or None: pasted text is hardly ever an expression, and an id never.

    It is evaluated only where it names a variable that holds findings, as in ``df[df.kind == "Pod"]``: pasted text is
    never run.
    """
    try:
        tree = ast.parse(body, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    # Without a variable that holds findings it is text that happens to parse.
    if not any(_is_of_findings(variables.get(name)) for name in names) and "_" not in names:
        return None
    try:
        return eval(compile(tree, "<explain>", "eval"), variables)  # noqa: S307 - the user's own expression, as in a cell
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises is the user's to hear
        raise InvalidOption(f"{body.splitlines()[0]!r}: {type(error).__name__}: {error}") from None


def _is_of_findings(value: Any) -> bool:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return "id" in value.columns
    return isinstance(value, pd.Series) and "id" in value.index
