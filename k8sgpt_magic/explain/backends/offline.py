"""The backend that asks nobody: causes, steps and commands that are packaged for every code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from k8sgpt_magic.analyzers import codes, registered
from k8sgpt_magic.decoders import known
from k8sgpt_magic.errors import BackendError
from k8sgpt_magic.explain.backends import Answer, OnText
from k8sgpt_magic.explain.explanation import Confidence, Explanation
from k8sgpt_magic.explain.prompts import END, FENCE, Prompt
from k8sgpt_magic.findings import Code

_NOTE = "(Packaged explanation: no model was asked.)"

# The lines of prompts.facts that say what a finding is about.
_OBJECT = re.compile(r"^object: (?P<ref>[^,\n]+)(?:, container (?P<container>\S+))?$", re.MULTILINE)
_PARENT = re.compile(r"^owned by: (?P<parent>\S+)$", re.MULTILINE)
_PROBLEM = re.compile(r"^problem: (?P<problem>.+)$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{(kind|namespace|name|container|parent)\}")


class Packaged(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the package holds for one code.

    Texts may hold ``{kind}``, ``{namespace}``, ``{name}``, ``{container}`` and ``{parent}``.
    """

    cause: str
    steps: list[str]
    checks: list[str] = []
    fixes: list[str] = []
    docs: str = ""
    confidence: Confidence = "medium"


class Offline:
    """Explains from packaged text. It has no key, no network and no cost."""

    name = "offline"
    model = "packaged"
    is_local = True

    async def ask(self, prompt: Prompt, *, code: str, on_text: OnText | None = None) -> Answer:
        problem = _problem(prompt)
        known = codes().get(code) or (_mentioned(problem) if not code else None)
        if known is None:
            what = f"knows no code {code!r}" if code else "finds none of the codes it knows in this text"
            raise BackendError(
                f"offline {what}.", advice="A model can explain it: %k8sgpt auth list shows the other backends."
            )
        text = msgspec.json.encode(_explained(known, problem)).decode()
        if on_text:
            on_text(text)
        return Answer(text, 0, self.model)

    async def close(self) -> None:
        return None


def packaged(code: str) -> Packaged | None:
    """What the package holds for a code, if anything."""
    for name, analyzer in registered().items():
        if any(each.name == code for each in analyzer.codes):
            return _of_analyzer(name).get(code)
    return None


@cache
def _of_analyzer(name: str) -> Mapping[str, Packaged]:
    file = resources.files("k8sgpt_magic") / "data" / "explanations" / f"{name.lower()}.yaml"
    return msgspec.yaml.decode(file.read_bytes(), type=known(dict[str, Packaged])) if file.is_file() else {}


def _explained(code: Code, problem: str) -> Explanation:
    found = _PROBLEM.search(problem)
    error = found["problem"] if found else code.meaning
    held = packaged(code.name)
    if held is None:
        return Explanation(
            error=error,
            cause=f"{code.meaning} {_NOTE}",
            steps=["Read the page of the documentation that this rests on."] if code.docs else [],
            confidence="low",
            docs=code.docs,
        )
    subject = _subject(problem)

    def text(template: str) -> str:
        return _PLACEHOLDER.sub(lambda each: subject.get(each[1], f"<{each[1]}>"), template)

    def command(template: str) -> str:
        # What is not known stays a gap to fill in; what is known goes in as one word of the shell's.
        return _PLACEHOLDER.sub(
            lambda each: shlex.quote(subject[each[1]]) if each[1] in subject else f"<{each[1]}>", template
        )

    return Explanation(
        error=error,
        cause=f"{text(held.cause).strip()} {_NOTE}",
        steps=[text(each) for each in held.steps],
        checks=[command(each) for each in held.checks],
        fixes=[command(each) for each in held.fixes],
        confidence=held.confidence,
        docs=held.docs or code.docs,
    )


def _problem(prompt: Prompt) -> str:
    """The facts in a prompt, whatever stands around them."""
    return prompt.user.partition(f"{FENCE}\n")[2].partition(f"\n{END}")[0] or prompt.user


def _subject(problem: str) -> dict[str, str]:
    """What a finding is about. The first line counts: what follows may be text from the cluster."""
    subject: dict[str, str] = {}
    if found := _OBJECT.search(problem):
        kind, _, named = found["ref"].strip().partition(" ")
        namespace, _, name = named.rpartition("/")
        subject |= {"kind": kind, "namespace": namespace, "name": name, "container": found["container"] or ""}
    if found := _PARENT.search(problem):
        subject["parent"] = found["parent"]
    return {name: value for name, value in subject.items() if value}


def _mentioned(text: str) -> Code | None:
    """The code that a pasted text is most likely about: the one with the longest name of a state found in it."""
    folded = text.lower()
    known = registered().items()
    states = {each: each.name.removeprefix(kind).lower() for kind, analyzer in known for each in analyzer.codes}
    found = [each for each, state in states.items() if len(state) > 6 and state in folded]
    return max(found, key=lambda each: len(states[each]), default=None)
