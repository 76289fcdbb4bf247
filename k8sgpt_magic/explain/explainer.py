"""Explain rows of an analysis, or text that a user pasted: what ``%explain`` and ``%%explain`` call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd
from msgspec import Struct

from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.engine import in_thread
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.explain import prompts
from k8sgpt_magic.explain.anonymize import Anonymizer
from k8sgpt_magic.explain.backends import Backend
from k8sgpt_magic.explain.cache import Caches
from k8sgpt_magic.explain.explain import Explained, Question, Subject, explain, questions
from k8sgpt_magic.explain.explanation import danger
from k8sgpt_magic.explain.keys import Keys
from k8sgpt_magic.explain.subcommands import configured, opened_caches
from k8sgpt_magic.findings import Evidence, Finding
from k8sgpt_magic.frame import Findings, Summary
from k8sgpt_magic.views.export import Document

if TYPE_CHECKING:
    from k8sgpt_magic.session import Session

MAX_CONCURRENCY = 16
PASTED = "pasted text"


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


class Explainer:
    """Explains what a session has found. Its keys, caches and tokens live as long as the session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.keys = Keys()
        self.caches: Caches = opened_caches()
        self._anonymizer = Anonymizer()
        self._learned: object = None

    def explain(self, what: Any = None, style: Style | None = None, *, text: str = "") -> Findings:
        """Explain findings: all of the last analysis, rows of it, or ids. With ``text``, explain that instead.

        Returns the rows with the columns ``explanation``, ``solution``, ``commands`` (list of dicts with ``command``,
        ``changes`` and ``danger``), ``confidence``, ``docs``, ``backend``, ``model``, ``cached``, ``tokens`` and
        ``failure`` (why a row has no explanation) filled.
        """
        style = style or Style()
        findings = [_pasted(text)] if text else self._findings(what)
        backend = self._backend(style)
        asked = self._questions(findings, backend, style, text)
        explained = self._session.engine.run(self._answers(asked, backend, style))
        filled = _filled(
            findings, self._session.last.summary if self._session.last is not None else Summary(), explained
        )
        if not text:
            self._session.keep_explanations(filled)
        return filled

    def preview(self, what: Any = None, style: Style | None = None, *, text: str = "") -> Document:
        """What ``explain`` would send, exactly, and about how many tokens it is."""
        style = style or Style()
        findings = [_pasted(text)] if text else self._findings(what)
        backend = self._backend(style)
        asked = self._questions(findings, backend, style, text)
        masked = "masked" if _is_masked(backend, style) else "not masked: it stays on this machine"
        if not _is_masked(backend, style) and not backend.is_local:
            masked = "NOT masked, as --no-anonymize says"
        total = sum(question.prompt.tokens for question in asked)
        parts = [
            f"{len(asked)} requests to {backend.name} ({backend.model or 'no model'}), {masked}, {total:,} tokens"
        ]
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

    def _questions(self, findings: Sequence[Finding], backend: Backend, style: Style, text: str) -> list[Question]:
        view = self._session.view
        if view is not None and self._learned is not view:
            self._anonymizer.learn(view)
            self._learned = view
        related: dict[str, list[Finding]] = {}
        for each in self._session.findings():
            if each.cause:
                related.setdefault(each.cause, []).append(each)
        for finding in findings:
            for name in (finding.name, finding.namespace, finding.container, *finding.masked):
                self._anonymizer.remember(name, "name")
        subjects = [
            Subject(
                finding.id,
                "" if text else finding.code,
                text or prompts.facts(finding, view, related.get(finding.id, ())),
            )
            for finding in findings
        ]
        wording = prompts.Wording(
            language=style.language,
            style="brief" if style.brief else "full",
            question=style.ask,
            template=prompts.load_template(style.prompt) if style.prompt else "",
        )
        return questions(subjects, backend, wording, self._anonymizer, anonymize=_is_masked(backend, style))

    async def _answers(self, asked: list[Question], backend: Backend, style: Style) -> dict[str, Explained]:
        cache = self.caches if style.use_cache else None
        try:
            if cache is not None:
                # Remote caches are looked up at once and off the loop, or each would hold up all the others.
                await in_thread(lambda: self.caches.fetch([question.key for question in asked]))
            return await explain(asked, backend, self._anonymizer, cache, max_concurrency=style.max_concurrency)
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


def _is_masked(backend: Backend, style: Style) -> bool:
    return style.anonymize and not backend.is_local


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
        return msgspec.structs.replace(msgspec.convert(texts, Finding), evidence=tuple(evidence))
    except msgspec.ValidationError as error:
        raise InvalidOption(f"a row is no finding: {error}") from None


def _filled(findings: Sequence[Finding], summary: Summary, explained: Mapping[str, Explained]) -> Findings:
    frame = Findings.of(findings, summary)
    outcomes = [explained[finding.id] for finding in findings]
    answers = [outcome.explanation for outcome in outcomes]
    frame["explanation"] = [
        " ".join(part for part in (answer.error, answer.cause) if part) if answer else "" for answer in answers
    ]
    frame["solution"] = [answer.solution if answer else "" for answer in answers]
    commands: list[Any] = [
        [
            {"command": command, "changes": changes, "danger": danger(command)}
            for commands, changes in ((answer.checks, False), (answer.fixes, True))
            for command in commands
        ]
        if answer
        else []
        for answer in answers
    ]
    frame["commands"] = pd.Series(commands, dtype=object)
    frame["confidence"] = [answer.confidence if answer else "" for answer in answers]
    frame["docs"] = [answer.docs if answer else "" for answer in answers]
    for name in ("backend", "model", "cached", "tokens"):
        frame[name] = [getattr(outcome, name) for outcome in outcomes]
    frame["failure"] = [outcome.error for outcome in outcomes]
    return frame
