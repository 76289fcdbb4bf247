"""``k8sgpt-magic analyze ...``, ``python -m k8sgpt_magic analyze ...``: ``%k8sgpt`` in a terminal.

Without arguments it analyzes the packaged demo cluster. Exit codes: 0 for a result, whatever was found; 1 for what
``analyze --fail-on`` names; 2 for a wrong command line; 3 for what went wrong in operation (no access, no such file);
130 for Ctrl-C; 141 where nobody reads the output any more.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import version
from typing import Any

from IPython.core.error import UsageError

from k8sgpt_magic import options, shared_session
from k8sgpt_magic.commands import Commands
from k8sgpt_magic.errors import BackendError, InvalidOption, K8sGPTError

_TOUR = """
That was the demo cluster. Next:
  jupyter lab notebooks/                          the same in a notebook, with more to see
  python -m k8sgpt_magic analyze                  your own cluster, as kubectl would reach it
  python -m k8sgpt_magic --help                   what else there is"""

# What messages and help call by its name in a notebook.
_PERCENT = re.compile(r"%k8sgpt explain|%k8sgpt|%?%explain")


def main(words: list[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        return _run(words)
    except options.HelpShown as help_text:
        print(_PERCENT.sub(_in_a_terminal, str(help_text)))
        return 0
    except (UsageError, InvalidOption) as error:
        return _failed(2, str(error))
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except K8sGPTError as error:
        return _failed(3, *error._render_traceback_())
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - a traceback would end with 1, which means that findings are there
        return _failed(3, f"{type(error).__name__}: {error}", "Nobody expected this: please report it.")
    finally:
        shared_session().close()


def _run(words: list[str]) -> int:
    from k8sgpt_magic.explain.keys import refuse_key_on_line

    refuse_key_on_line(words, in_terminal=True)
    commands = Commands(shared_session())
    if words[:1] == ["--version"]:
        result = f"k8sgpt-magic {version('k8sgpt-magic')}"
    elif words[:1] == ["explain"]:
        result = _explained(commands, words[1:])
    else:
        result = commands.run(words or ["analyze", "--source", "demo"])
    if result is not None:
        print(result)
    if not words:
        print(_TOUR)
    sys.stdout.flush()
    return commands.exit_code


def _explained(commands: Commands, words: list[str]) -> Any:
    """Text explained as ``%%explain`` does it: from the command line, or from standard input."""
    parsed = options.parse_options(options.EXPLAIN, words)
    text = " ".join(parsed.what) or ("" if sys.stdin.isatty() else sys.stdin.read())
    if not text.strip():
        raise InvalidOption(
            "explain takes text here: kubectl describe pod web | %k8sgpt explain. "
            "For findings there is %k8sgpt analyze --explain"
        )
    result = commands.explain(parsed, None, text)
    if not parsed.dry_run and (failure := result["failure"].iloc[0]):
        raise BackendError(failure)
    return result


def _failed(code: int, *lines: str) -> int:
    print(_PERCENT.sub(_in_a_terminal, "\n".join(lines)), file=sys.stderr)
    return code


def _in_a_terminal(found: re.Match[str]) -> str:
    return "k8sgpt-magic explain" if found[0].endswith("explain") else "k8sgpt-magic"


def console() -> int:
    """The console script ``k8sgpt-magic``."""
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(console())
