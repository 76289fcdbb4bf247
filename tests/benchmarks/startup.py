"""What `%load_ext k8sgpt_magic` costs in a process that has IPython and pandas already."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .measure import Row, at_most, in_fresh_process, median, milliseconds, table, timed

ROUNDS = 11
TARGET_SECONDS = 0.15


def load() -> dict[str, Any]:
    """The seconds of loading the extension, and how many modules it brought."""
    import pandas  # noqa: F401
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    before = set(sys.modules)
    seconds, outcome = timed(lambda: shell.run_line_magic("load_ext", "k8sgpt_magic"))
    assert outcome is None, outcome
    assert "k8sgpt" in shell.magics_manager.magics["line"]
    return {"seconds": seconds, "modules": sorted(set(sys.modules) - before)}


def run(rounds: int = ROUNDS) -> str:
    # The first one writes bytecode.
    loads = [in_fresh_process(load) for _ in range(rounds + 1)][1:]
    seconds = [each["seconds"] for each in loads]
    modules = loads[0]["modules"]
    others = sorted({name.partition(".")[0] for name in modules} - {"k8sgpt_magic"} - sys.stdlib_module_names)
    rows = [
        at_most("%load_ext k8sgpt_magic", median(seconds), TARGET_SECONDS, " s", 3),
        Row("  fastest to slowest", f"{milliseconds(min(seconds))} to {milliseconds(max(seconds))}"),
        Row("modules loaded by it", str(len(modules))),
        Row("  packages of others", ", ".join(others) or "none"),
    ]
    return table("Start-up", rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    print(run(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
