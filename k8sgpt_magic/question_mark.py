"""``%k8sgpt analyze?`` prints the help of ``analyze``; IPython alone would look for a variable of that name.

It works on tokens, before IPython's own ``?``, so what stands in texts and in the bodies of cells stays as it is.
Source: https://ipython.readthedocs.io/en/stable/config/inputtransforms.html
"""

from __future__ import annotations

import re
import tokenize
from collections.abc import Sequence
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import HelpEnd, TokenTransformBase

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_LINE = re.compile(
    r"(?P<indent>\s*)(?:[^%#?]*=\s*)?%{0,2}"
    r"(?:(?P<k8sgpt>k8sgpt)(?:\s+(?P<subcommand>[\w-]+)(?:\s[^?]*)?)?|explain)\s*\?{1,2}\s*"
)
# Without a blank these are IPython's: it shows what the docstrings say, which is the same.
_OF_IPYTHON = re.compile(r"\s*%{0,2}(?:k8sgpt|explain)\?{1,2}\n?")


class QuestionMark(TokenTransformBase):  # type: ignore[misc, unused-ignore]
    """A line such as ``%k8sgpt analyze?`` or ``%explain ?`` becomes a call of the magic that prints the help."""

    priority = HelpEnd.priority - 1

    @classmethod
    def find(cls, tokens_by_line: Sequence[Sequence[tokenize.TokenInfo]]) -> QuestionMark | None:
        for line in tokens_by_line:
            if len(line) > 2 and line[-2].string == "?" and line[0].start[0] == line[-2].start[0]:
                first = next(token for token in line if token.type not in (tokenize.INDENT, tokenize.DEDENT))
                text = line[-2].line
                if _LINE.fullmatch(text) and not _OF_IPYTHON.fullmatch(text):
                    return cls(first.start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        found = _LINE.fullmatch(lines[self.start_line])
        if found is None:
            raise SyntaxError(lines[self.start_line])
        magic = found["k8sgpt"] or "explain"
        arguments = f"--help {found['subcommand'] or ''}".strip()
        call = f"{found['indent']}get_ipython().run_line_magic({magic!r}, {arguments!r})\n"
        return [*lines[: self.start_line], call, *lines[self.start_line + 1 :]]


def load(shell: InteractiveShell) -> None:
    unload(shell)
    shell.input_transformer_manager.token_transformers.append(QuestionMark)


def unload(shell: InteractiveShell) -> None:
    transformers = shell.input_transformer_manager.token_transformers
    transformers[:] = [each for each in transformers if each.__name__ != QuestionMark.__name__]
