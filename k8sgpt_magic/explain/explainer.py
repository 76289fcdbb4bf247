"""Explain rows of an analysis, or text that a user pasted: what ``%explain`` and ``%%explain`` call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pandas as pd
from msgspec import Struct

from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.decoders import known
from k8sgpt_magic.engine import in_thread
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.explain import prompts
from k8sgpt_magic.explain.backends import Backend
from k8sgpt_magic.explain.cache import Caches
from k8sgpt_magic.explain.explain import Explained, Question, Subject, explain, questions
from k8sgpt_magic.explain.explanation import changes, danger, so_far
from k8sgpt_magic.explain.keys import Keys
from k8sgpt_magic.explain.logs import Logs, read_logs
from k8sgpt_magic.explain.subcommands import configured, opened_caches
from k8sgpt_magic.findings import Evidence, Finding
from k8sgpt_magic.frame import Findings, Summary
from k8sgpt_magic.views.export import Document
from k8sgpt_magic.wording import count

if TYPE_CHECKING:
    from k8sgpt_magic.session import Session

MAX_CONCURRENCY = 16
PASTED = "pasted text"
# Characters: some ten thousand tokens. Logs and events say most at their ends.
_PASTED_LIMIT = 40_000


class Style(Struct, frozen=True, kw_only=True):
    """How to ask and whom; see ``Explainer.explain``."""

    backend: str = ""
    model: str = ""
    base_url: str = ""
    language: str = "english"
    brief: bool = False
    ask: str = ""
    prompt: str = ""
    headers: Mapping[str, str] = {}
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 60.0
    max_concurrency: int = MAX_CONCURRENCY
    use_cache: bool = True
    anonymize: bool = True
    logs: bool = False


class Progress(Struct):
    """How far an explanation of several problems is. The engine's thread writes it, the waiting thread draws it.

    ``partial`` has what has come of the answers under way, by the id of a finding, as the backend sent it.
    """

    unmask: Callable[[str], str]
    problems: int = 0
    answered: int = 0
    failed: int = 0
    partial: dict[str, str] = {}

    def said(self) -> list[tuple[str, str]]:
        """What the answers under way say so far, for people, by the id of a finding. Worked out only when drawn."""
        # A copy: the engine's thread goes on writing.
        return [(finding, text) for finding, raw in list(self.partial.items()) if (text := so_far(self.unmask(raw)))]


class ProgressView(Protocol):
    def draw(self, progress: Progress) -> None: ...
    def close(self) -> None: ...


class Explainer:
    """Explains what a session has found. Its keys, caches and tokens live as long as the session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.keys = Keys()
        self.caches: Caches = opened_caches()
        # A cell and a widget may ask at the same time.
        self._lock = threading.Lock()

    def explain(
        self,
        what: Any = None,
        style: Style | None = None,
        *,
        text: str = "",
        on_text: Callable[[str, str], None] | None = None,
        on_done: Callable[[str, Explained], None] | None = None,
        progress: ProgressView | None = None,
    ) -> Findings:
        """Explain findings: all of the last analysis, rows of it, or ids. With ``text``, explain that instead.

        Returns the rows with the columns ``explanation``, ``solution``, ``commands`` (list of dicts with ``command``,
        ``changes`` and ``danger``), ``confidence``, ``docs``, ``backend``, ``model``, ``cached``, ``tokens`` and
        ``failure`` (why a row has no explanation) filled.

        ``on_text`` gets the id of a finding and what its answer says so far, ``on_done`` the id and what came of it,
        both on the engine's thread: they may set values, and display nothing. ``progress`` draws on the calling
        thread. Ctrl-C ends it; what has been answered by then is in the cache, so the next call asks for the rest.
        """
        style = style or Style()
        _check(style)
        text = _bounded(text)
        findings = [_pasted(text)] if text else self._findings(what)
        backend = self._backend(style)
        state = Progress(unmask=self._session.anonymizer.unmask, partial={})

        def told(finding: str, raw: str) -> None:
            state.partial[finding] = raw
            if on_text:
                on_text(finding, so_far(state.unmask(raw)))

        def done(finding: str, outcome: Explained) -> None:
            state.partial.pop(finding, None)
            if on_done:
                on_done(finding, outcome)

        def answered(outcome: Explained) -> None:
            state.answered += 1
            state.failed += bool(outcome.error)

        async def run() -> tuple[dict[str, Explained], list[str]]:
            logs = await self._logs(findings) if style.logs and not text else Logs({}, [])
            asked = self._questions(findings, backend, style, text, logs)
            state.problems = len(asked)
            return await self._answers(asked, backend, style, told, done, answered), logs.notes

        try:
            explained, notes = self._session.engine.run(
                run(), on_wait=(lambda: progress.draw(state)) if progress else None
            )
        except KeyboardInterrupt:
            print(
                f"Interrupted: {state.answered} of {count(state.problems, 'problem')} answered. "
                "%explain again asks for the rest only."
            )
            raise
        finally:
            if progress:
                progress.close()
        last = self._session.last
        summary = last.summary if last is not None and not text else Summary()
        filled = _filled(findings, msgspec.structs.replace(summary, notes=[*summary.notes, *notes]), explained)
        if not text:
            self._session.keep_explanations(filled)
        return filled.of_session(self._session)

    def preview(self, what: Any = None, style: Style | None = None, *, text: str = "") -> Document:
        """What ``explain`` would send, exactly, and about how many tokens it is."""
        style = style or Style()
        _check(style)
        text = _bounded(text)
        findings = [_pasted(text)] if text else self._findings(what)
        backend = self._backend(style)
        logs = self._session.engine.run(self._logs(findings)) if style.logs and not text else Logs({}, [])
        asked = self._questions(findings, backend, style, text, logs)
        masked = "masked" if _is_masked(backend, style) else "not masked: it stays on this machine"
        if not _is_masked(backend, style) and not backend.is_local:
            masked = "NOT masked, as --no-anonymize says"
        total = sum(question.prompt.tokens for question in asked)
        where = f"{backend.name} ({backend.model or 'no model'})"
        parts = [f"{count(len(asked), 'request')} to {where}, {masked}, {total:,} tokens"]
        parts += logs.notes
        parts += [f"\n--- request {number}\n{question.prompt.text}" for number, question in enumerate(asked, 1)]
        return Document("\n".join(parts), "text")

    def _backend(self, style: Style) -> Backend:
        return configured(
            self.keys,
            style.backend,
            model=style.model,
            base_url=style.base_url,
            headers=style.headers,
            temperature=style.temperature,
            max_tokens=style.max_tokens,
            timeout=style.timeout,
        )

    async def _logs(self, findings: Sequence[Finding]) -> Logs:
        logs = Logs({}, [])
        for context, seen in self._session.seen.items():
            own = [each for each in findings if each.context == context]
            read = await read_logs(seen.source, seen.view, own)
            logs = Logs(logs.by_finding | read.by_finding, logs.notes + read.notes)
        return logs

    def _questions(
        self, findings: Sequence[Finding], backend: Backend, style: Style, text: str, logs: Logs
    ) -> list[Question]:
        with self._lock:
            return self._masked_questions(findings, backend, style, text, logs)

    def _masked_questions(
        self, findings: Sequence[Finding], backend: Backend, style: Style, text: str, logs: Logs
    ) -> list[Question]:
        anonymizer = self._session.anonymizer
        related: dict[str, list[Finding]] = {}
        for each in self._session.findings():
            if each.cause:
                related.setdefault(each.cause, []).append(each)
        if text:
            anonymizer.learn_text(text)
        for finding in () if text else findings:
            for name in (finding.name, finding.namespace, finding.container, *finding.masked):
                anonymizer.remember(name, "name")
        subjects = [
            Subject(
                finding.id,
                "" if text else finding.code,
                text
                or prompts.facts(
                    finding,
                    self._session.view_at(finding.context),
                    related.get(finding.id, ()),
                    logs.by_finding.get(finding.id, ()),
                ),
            )
            for finding in findings
        ]
        wording = prompts.Wording(
            language=style.language,
            style="brief" if style.brief else "full",
            question=style.ask,
            template=prompts.load_template(style.prompt) if style.prompt else "",
        )
        return questions(subjects, backend, wording, anonymizer, anonymize=_is_masked(backend, style))

    async def _answers(
        self,
        asked: list[Question],
        backend: Backend,
        style: Style,
        on_text: Callable[[str, str], None],
        on_done: Callable[[str, Explained], None],
        on_answer: Callable[[Explained], None],
    ) -> dict[str, Explained]:
        cache = self.caches if style.use_cache else None
        try:
            if cache is not None:
                # Remote caches are looked up at once and off the loop, or each would hold up all the others.
                await in_thread(lambda: self.caches.fetch([question.key for question in asked]))
            return await explain(
                asked,
                backend,
                self._session.anonymizer,
                cache,
                max_concurrency=style.max_concurrency,
                on_text=on_text,
                on_done=on_done,
                on_answer=on_answer,
            )
        finally:
            await backend.close()

    def _findings(self, what: Any) -> list[Finding]:
        last = self._session.last
        if what is None:
            if last is None:
                raise InvalidOption("there is no analysis to explain yet; run %k8sgpt analyze first")
            what = last
        if isinstance(what, pd.Series) and "id" in what.index:
            what = what.to_frame().T
        if isinstance(what, pd.DataFrame):
            if "id" not in what.columns:
                raise InvalidOption("these rows are no findings: they have no column 'id'")
            return [self._session.finding(str(row["id"])) or _from_row(row) for row in what.to_dict("records")]
        ids = [what] if isinstance(what, str) else [str(each) for each in what]
        known = {finding.id: finding for finding in self._session.findings()}
        for wanted in ids:
            if wanted not in known:
                raise InvalidOption(f"there is no finding {wanted!r} in the last analysis{nearest(wanted, known)}")
        return [known[wanted] for wanted in ids]


def _check(style: Style) -> None:
    if style.max_concurrency < 1:
        raise InvalidOption("--max-concurrency must be at least 1")
    if not style.timeout > 0:
        raise InvalidOption("--timeout must be more than 0 seconds")
    if style.max_tokens is not None and style.max_tokens < 1:
        raise InvalidOption("--max-tokens must be at least 1")


def _is_masked(backend: Backend, style: Style) -> bool:
    return style.anonymize and not backend.is_local


def _bounded(text: str) -> str:
    """A text without its middle where it is longer than a model should be given."""
    left_out = len(text) - _PASTED_LIMIT
    if left_out <= 0:
        return text
    tail = _PASTED_LIMIT // 4
    return f"{text[: _PASTED_LIMIT - tail]}\n[{left_out:,} characters left out]\n{text[-tail:]}"


def _pasted(text: str) -> Finding:
    return Finding(code="", severity="info", kind="", namespace="", name=PASTED, message=text)


def _from_row(row: Mapping[Any, Any]) -> Finding:
    """A finding from a row of an earlier analysis, or of a frame that was saved and read again."""
    texts = {
        name: str(row.get(name, "") or "")
        for name in ("code", "severity", "kind", "namespace", "name", "message", "container", "parent")
    }
    facts = row.get("evidence")
    evidence = [
        Evidence(str(fact.get("source", "")), str(fact.get("value", "")))
        for fact in (facts if isinstance(facts, list) else ())
        if isinstance(fact, dict)
    ]
    try:
        return msgspec.structs.replace(msgspec.convert(texts, known(Finding)), evidence=tuple(evidence))
    except msgspec.ValidationError as error:
        raise InvalidOption(f"a row is no finding: {error}") from None


def _filled(findings: Sequence[Finding], summary: Summary, explained: Mapping[str, Explained]) -> Findings:
    frame = Findings.of(findings, summary)
    told = [as_columns(explained[finding.id]) for finding in findings]
    for name in as_columns(Explained()):
        values = [each[name] for each in told]
        frame[name] = pd.Series(values, dtype=object) if name == "commands" else values
    return frame


def as_columns(outcome: Explained) -> dict[str, Any]:
    """What an explanation fills into a row, by column."""
    answer = outcome.explanation
    commands = (
        [
            {"command": command, "changes": is_fix or changes(command), "danger": danger(command)}
            for commands, is_fix in ((answer.checks, False), (answer.fixes, True))
            for command in commands
        ]
        if answer
        else []
    )
    return {
        "explanation": " ".join(part for part in (answer.error, answer.cause) if part) if answer else "",
        "solution": answer.solution if answer else "",
        "commands": commands,
        "confidence": answer.confidence if answer else "",
        "docs": answer.docs if answer else "",
        "backend": outcome.backend,
        "model": outcome.model,
        "cached": outcome.cached,
        "tokens": outcome.tokens,
        "failure": outcome.error,
    }
