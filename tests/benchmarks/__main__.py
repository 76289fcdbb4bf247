"""`python -m tests.benchmarks`: all benchmarks, one table."""

from __future__ import annotations

from . import analysis, explain, fleet, live, notebook, snapshot, startup, watch

if __name__ == "__main__":
    for benchmark in (startup, analysis, snapshot, live, explain, watch, notebook, fleet):
        print(benchmark.run(), flush=True)
