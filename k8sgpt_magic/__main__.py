"""``python -m k8sgpt_magic analyze ...``: the subcommands of ``%k8sgpt`` in a terminal.

Without arguments it analyzes the packaged demo cluster. Exit codes: 0 for a result, 2 for a wrong command line, 3 for
what went wrong in operation (no access, no such file), 130 for Ctrl-C.
"""

from __future__ import annotations

import sys

from IPython.core.error import UsageError

from k8sgpt_magic import options, shared_session
from k8sgpt_magic.commands import Commands
from k8sgpt_magic.errors import InvalidOption, K8sGPTError

_TOUR = """
That was the demo cluster. Next:
  jupyter lab notebooks/                          the same in a notebook, with more to see
  python -m k8sgpt_magic analyze                  your own cluster, as kubectl would reach it
  python -m k8sgpt_magic --help                   what else there is"""


def main(words: list[str]) -> int:
    try:
        result = Commands(shared_session()).run(words or ["analyze", "--source", "demo"])
    except options.HelpShown as help_text:
        print(str(help_text).replace("%k8sgpt", "python -m k8sgpt_magic"))
        return 0
    except (UsageError, InvalidOption) as error:
        print(str(error).replace("%k8sgpt", "k8sgpt_magic"), file=sys.stderr)
        return 2
    except K8sGPTError as error:
        print("\n".join(error._render_traceback_()), file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    finally:
        shared_session().close()
    if result is not None:
        print(result)
    if not words:
        print(_TOUR)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
