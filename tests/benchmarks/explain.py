"""Explaining: what it adds to the time that the model takes, how fast masking is, and answers from the cache."""

from __future__ import annotations

import argparse
import os
import tempfile
from time import perf_counter
from typing import Any

from tests.explain.model_server import Reply, running

from .measure import Row, at_most, in_fresh_process, median, milliseconds, table

PROBLEMS = 200
CONCURRENCY = 16
SECONDS_AN_ANSWER = 0.2
FINDINGS = 1_000
ROWS = 10_000
ROUNDS = 5


def explained(url: str, problems: int, concurrency: int, loaded: bool) -> dict[str, float]:
    """Explain so many problems that have nothing in common, for the first time in a process, and again.

    ``loaded``: with all imported that a kernel imports in the background once the extension is loaded.
    """
    os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()
    from k8sgpt_magic import ahead
    from k8sgpt_magic.explain.explainer import Style
    from k8sgpt_magic.session import Session

    session = Session()
    session.analyze(source="demo")
    if loaded:
        ahead.import_explaining()
    first, analysis = session.findings()[0], session.last
    assert analysis is not None
    rows = analysis.iloc[[0] * problems].reset_index(drop=True)
    rows["id"] = [f"{first.id}-{number}" for number in range(problems)]
    rows["message"] = [f"it fails in way number {_word(number)}" for number in range(problems)]
    seconds = {}
    for name in ("first", "again"):
        style = Style(
            backend="litellm", base_url=url, model="tiny", max_concurrency=concurrency, use_cache=False, ask=name
        )
        began = perf_counter()
        answers = session.explainer.explain(rows, style)
        seconds[name] = perf_counter() - began
        assert not any(answers["failure"])
    session.close()
    return seconds


def _word(number: int) -> str:
    """A word of its own for a number: masking would make digits alike."""
    return "".join("bcdfghjklm"[int(digit)] for digit in f"{number:04}")


def masked(findings: int, rounds: int) -> dict[str, Any]:
    """Mask the facts of so many findings of a cluster whose names are known, each round with a fresh anonymizer."""
    from k8sgpt_magic.analyzers import registered
    from k8sgpt_magic.diagnosis.diagnose import diagnose
    from k8sgpt_magic.explain import prompts
    from k8sgpt_magic.explain.anonymize import Anonymizer

    from .analysis import decoded, view_of

    view = view_of(decoded(5 * findings))
    found = diagnose(view, list(registered().values())).findings[:findings]
    texts = [prompts.facts(finding, view) for finding in found]
    Anonymizer().mask("a-first-text-that-loads-all-patterns")
    seconds = []
    for _ in range(rounds):
        anonymizer = Anonymizer()
        anonymizer.learn(view)
        began = perf_counter()
        for text in texts:
            anonymizer.mask(text)
        seconds.append(perf_counter() - began)
    return {"seconds": median(seconds), "characters": sum(map(len, texts)), "findings": len(texts)}


def cached(rows: int) -> dict[str, float]:
    """Look up so many answers to different problems in a directory, and then in memory."""
    from k8sgpt_magic.explain.backends import Answer
    from k8sgpt_magic.explain.cache import Caches, FileCache

    keys = [f"{number:064x}" for number in range(rows)]
    with tempfile.TemporaryDirectory() as directory:
        store = FileCache(directory)
        for key in keys:
            store.put(key, Answer("x" * 1_500, 10, "tiny"))
        caches = Caches([FileCache(directory)])
        seconds = {}
        for name in ("directory", "memory"):
            began = perf_counter()
            caches.fetch(keys)
            assert all(caches.get(key) for key in keys)
            seconds[name] = perf_counter() - began
    return seconds


def run(problems: int = PROBLEMS, rounds: int = ROUNDS) -> str:
    with running() as server:
        server.default = Reply(delay=SECONDS_AN_ANSWER)
        loaded = [in_fresh_process(explained, server.url, problems, CONCURRENCY, True) for _ in range(rounds)]
        bare = in_fresh_process(explained, server.url, problems, CONCURRENCY, False)
    ideal = problems / CONCURRENCY * SECONDS_AN_ANSWER
    first, again = (median([each[name] for each in loaded]) for name in ("first", "again"))
    masking = in_fresh_process(masked, FINDINGS, rounds)
    answers = in_fresh_process(cached, ROWS)
    rows = [
        Row("the model alone", milliseconds(ideal)),
        Row("explain, first of a session", milliseconds(first)),
        at_most("  / the model alone", first / ideal, 1.25),
        Row("explain, again", milliseconds(again)),
        at_most("  / the model alone", again / ideal, 1.25),
        Row("explain, importing openai first", milliseconds(bare["first"])),
        at_most(f"masking {masking['findings']:,} findings, {masking['characters'] / 1e6:.1f} MB",
                masking["seconds"], 0.2, " s"),
        at_most(f"{ROWS:,} answers from memory", answers["memory"], 0.5, " s"),
        at_most("  from a directory", answers["directory"], 0.5, " s"),
    ]  # fmt: skip
    return table(f"{problems} problems, {CONCURRENCY} at a time, {SECONDS_AN_ANSWER:g} s an answer", rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.explain", description=__doc__)
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    print(run(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
