"""The pipeline: findings to problems, each asked about once; answers back to every finding they are about.

facts → mask → look up → ask → store → unmask. One failure costs the rows of one problem.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from msgspec import Struct

from k8sgpt_magic.errors import K8sGPTError
from k8sgpt_magic.explain.anonymize import Anonymizer, canonical, substitute
from k8sgpt_magic.explain.backends import Answer, Backend
from k8sgpt_magic.explain.explanation import Explanation, NotAnExplanation, parse
from k8sgpt_magic.explain.prompts import VERSION, Prompt, Wording, prompt


class Subject(Struct, frozen=True):
    """One thing to explain: a finding's id and code with its facts, or ("", "") with text that a user pasted."""

    id: str
    code: str
    facts: str


class Explained(Struct, kw_only=True):
    """What came of one subject: an explanation, or in ``error`` why there is none."""

    explanation: Explanation | None = None
    error: str = ""
    backend: str = ""
    model: str = ""
    cached: bool = False
    tokens: int = 0


class Cache(Protocol):
    def get(self, key: str) -> Answer | None: ...
    def put(self, key: str, answer: Answer) -> None: ...


class Question(Struct):
    """One problem as it is asked: in canonical tokens for the cache, in this session's tokens for the backend.

    ``subjects`` maps the id of everything it is about to that one's own tokens.
    """

    key: str
    code: str
    prompt: Prompt
    back: dict[str, str]
    subjects: dict[str, dict[str, str]]


def questions(
    subjects: Sequence[Subject], backend: Backend, wording: Wording, anonymizer: Anonymizer, *, anonymize: bool
) -> list[Question]:
    """The distinct problems among the subjects, as they will be sent: masked, unless ``anonymize`` is off."""
    distinct: dict[str, Question] = {}
    for subject in subjects:
        masked = anonymizer.mask(subject.facts)
        masked_question = anonymizer.mask(wording.question)
        same, back = canonical(f"{masked}\n{masked_question}")
        key = _key(backend, wording, same, anonymize=anonymize)
        if key not in distinct:
            facts = masked if anonymize else subject.facts
            asked = masked_question if anonymize else wording.question
            asking = Wording(wording.language, wording.style, asked, wording.template)
            distinct[key] = Question(key, subject.code, prompt(facts, asking), back, {})
        distinct[key].subjects[subject.id] = back
    return list(distinct.values())


async def explain(
    asked: Sequence[Question],
    backend: Backend,
    anonymizer: Anonymizer,
    cache: Cache | None,
    *,
    max_concurrency: int,
    on_text: Callable[[str, str], None] | None = None,
    on_done: Callable[[str, Explained], None] | None = None,
    on_answer: Callable[[Explained], None] | None = None,
) -> dict[str, Explained]:
    """Answer questions, several at a time, and give each subject its own answer, by id.

    ``on_text`` gets the id of a subject and the answer so far, masked; ``on_done`` its outcome as soon as there is
    one; ``on_answer`` one outcome for each question.
    """
    explained: dict[str, Explained] = {}
    gate = asyncio.Semaphore(max_concurrency)

    async def one(question: Question) -> None:
        outcome = await _answer(question, backend, anonymizer, cache, gate, on_text)
        if on_answer:
            on_answer(outcome(next(iter(question.subjects.values()))))
        for subject, tokens in question.subjects.items():
            explained[subject] = outcome(tokens)
            if on_done:
                on_done(subject, explained[subject])

    async with asyncio.TaskGroup() as group:
        for question in asked:
            group.create_task(one(question))
    return explained


async def _answer(
    question: Question,
    backend: Backend,
    anonymizer: Anonymizer,
    cache: Cache | None,
    gate: asyncio.Semaphore,
    on_text: Callable[[str, str], None] | None,
) -> Callable[[Mapping[str, str]], Explained]:
    """Ask one question, and return what turns the answer into that of a subject with the given tokens."""
    answer = cache.get(question.key) if cache else None
    cached = answer is not None
    if answer is None:
        first = next(iter(question.subjects))
        progress = partial(on_text, first) if on_text else None
        try:
            async with gate:
                said = await backend.ask(question.prompt, code=question.code, on_text=progress)
            # Kept in canonical tokens: masked also where the question was not, or the next user of the cache would
            # read this one's names.
            text = substitute(anonymizer.mask(said.text), {own: same for same, own in question.back.items()})
            parse(text)
        except NotAnExplanation as error:
            return _always(_failed(backend, f"{backend.name} gave no explanation: {error}"))
        except K8sGPTError as error:
            return _always(_failed(backend, str(error)))
        except Exception as error:  # noqa: BLE001 - whatever a backend stumbles over must cost this row alone
            # By its type only: what others raise may hold the request, and with it the key.
            return _always(
                _failed(
                    backend,
                    f"{backend.name} failed in a way that nobody expected ({type(error).__name__}). Try again, or "
                    "with another --backend.",
                )
            )
        answer = Answer(text, said.tokens, said.model)
        if cache:
            cache.put(question.key, answer)

    def outcome(tokens: Mapping[str, str]) -> Explained:
        own = anonymizer.unmask(substitute(answer.text, dict(tokens)))
        return Explained(
            explanation=parse(own),
            backend=backend.name,
            model=answer.model or backend.model,
            cached=cached,
            tokens=0 if cached else answer.tokens,
        )

    return outcome


def _always(outcome: Explained) -> Callable[[Mapping[str, str]], Explained]:
    return lambda _: outcome


def _failed(backend: Backend, error: str) -> Explained:
    return Explained(error=error, backend=backend.name, model=backend.model)


def _key(backend: Backend, wording: Wording, masked: str, *, anonymize: bool) -> str:
    parts = (
        backend.name, backend.model, wording.language, wording.style, wording.template, str(VERSION), str(anonymize),
        masked,
    )  # fmt: skip
    return hashlib.sha256("\x00".join(parts).encode(errors="replace")).hexdigest()
