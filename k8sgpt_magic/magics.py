"""``%k8sgpt``: split the line, expand its variables, hand it to the subcommand."""

from __future__ import annotations

import ast
import builtins
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
        expression, words = _split_expression(line, variables)
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
        value = _evaluated(body, variables, is_line=cell is None)
        if _is_of_findings(value):
            if cell:
                print(f"%%explain: {body.splitlines()[0]} gives findings.")
            return value, ""
        if value is not None:
            if (ids := _ids(value)) is None:
                raise InvalidOption(
                    f"{body.splitlines()[0]!r} gives {type(value).__name__}, and no findings: select whole rows"
                )
            if cell:
                print(f"%%explain: {body.splitlines()[0]} gives ids of findings.")
            return ids, ""
        if cell is None:
            if unknown := _unknown_name(body, variables):
                raise InvalidOption(f"{body!r}: there is no variable {unknown!r}")
            ids = [part for word in body.split() for part in options.expand(word, variables).split(",")]
            return [each.strip("\"'") for each in ids], ""
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


_OPTIONS_WITH_VALUE = {flag for option in options.EXPLAIN.options if option.takes_value for flag in option.flags}


def _split_expression(line: str, variables: dict[str, Any]) -> tuple[str, str]:
    """The Python expression that a line begins or ends with, and its options.

    An expression has quotes and brackets of its own, which a splitter of words would take for its own.
    """
    line = line.strip().removesuffix(";").rstrip()
    found = re.search(r"(?:^|\s)--?[A-Za-z]", line)
    before, after = (line[: found.start()], line[found.start() :]) if found else (line, "")
    if before.strip():
        return before.strip(), after
    for start in (each.start() for each in re.finditer(r"(?<=\s)[A-Za-z_]", after)):
        is_value = after[:start].split()[-1] in _OPTIONS_WITH_VALUE
        if not is_value and (tree := _parsed(after[start:])) is not None and _names_findings(tree, variables):
            return after[start:], after[:start]
    return "", after


def _parsed(body: str) -> ast.Expression | None:
    try:
        return ast.parse(body, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _names_findings(tree: ast.Expression, variables: dict[str, Any]) -> bool:
    return any(_is_of_findings(variables.get(node.id)) for node in ast.walk(tree) if isinstance(node, ast.Name))


def _names_ids(tree: ast.Expression, variables: dict[str, Any]) -> bool:
    """Whether it is a variable with ids, or a part of one. An id parses too, but as a division."""
    node = tree.body.value if isinstance(tree.body, ast.Subscript) else tree.body
    return isinstance(node, ast.Name) and bool(_ids(variables.get(node.id)))


def _evaluated(body: str, variables: dict[str, Any], *, is_line: bool) -> Any:
    """What an expression gives, or None: pasted text is hardly ever an expression, and an id never.

    It is evaluated only where it names a variable that holds findings, as in ``df[df.kind == "Pod"]``: pasted text is
    never run. A line, which is never text, may also name ids.
    """
    tree = _parsed(body)
    if tree is None:
        return None
    # Without a variable that holds findings it is text that happens to parse.
    named = any(isinstance(node, ast.Name) and node.id == "_" for node in ast.walk(tree))
    if not (named or _names_findings(tree, variables) or (is_line and _names_ids(tree, variables))):
        return None
    try:
        return eval(compile(tree, "<explain>", "eval"), variables)  # noqa: S307 - the user's own expression, as in a cell
    except Exception as error:  # noqa: BLE001 - whatever the user's expression raises is the user's to hear
        raise InvalidOption(f"{body.splitlines()[0]!r}: {type(error).__name__}: {error}") from None


def _ids(value: Any) -> list[str] | None:
    """The ids that a value is: one, or a sequence of them; None where it is something else."""
    if isinstance(value, str):
        return [value]
    plain = value.tolist() if hasattr(value, "tolist") else value
    is_list = isinstance(plain, (list, tuple, set, frozenset)) and all(isinstance(each, str) for each in plain)
    return list(plain) if is_list else None


def _unknown_name(body: str, variables: dict[str, Any]) -> str:
    """The variable that is not there, where a line reads like ``df[...]`` or ``df.head()`` rather than like an id."""
    tree = _parsed(body)
    if tree is None or isinstance(tree.body, ast.Name):
        return ""
    node: ast.AST = tree.body
    while isinstance(node, (ast.Subscript, ast.Attribute, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return (
        node.id if isinstance(node, ast.Name) and not hasattr(builtins, node.id) and node.id not in variables else ""
    )


def _is_of_findings(value: Any) -> bool:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return "id" in value.columns
    return isinstance(value, pd.Series) and "id" in value.index
