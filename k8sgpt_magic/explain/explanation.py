"""An explanation: what a model, or the packaged text, says about a problem, in parts that a page can show."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

Confidence = Literal["high", "medium", "low"]


class Explanation(Struct, kw_only=True):
    """The answer to one problem.

    ``error`` says in plain words what is wrong, ``cause`` what most likely caused it, ``steps`` what to do.
    ``checks`` are commands that only read; ``fixes`` are commands that change things: shown, never run. ``docs`` is
    a page of the Kubernetes documentation.
    """

    error: str
    cause: str = ""
    steps: list[str] = []
    checks: list[str] = []
    fixes: list[str] = []
    confidence: Confidence = "medium"
    docs: str = ""

    @property
    def solution(self) -> str:
        """The steps as one text."""
        if len(self.steps) == 1:
            return self.steps[0]
        return "\n".join(f"{number}. {step}" for number, step in enumerate(self.steps, 1))


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of an explanation, strict as structured outputs want it: all fields required, no others."""
    definition: dict[str, Any] = msgspec.json.schema(Explanation)["$defs"]["Explanation"]
    properties = {
        name: {key: value for key, value in each.items() if key != "default"}
        for name, each in definition["properties"].items()
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


class NotAnExplanation(ValueError):
    """An answer that says nothing: empty, or JSON of another shape."""


_BRIEF = re.compile(r"^\W*Error\W*:\s*(?P<error>.*?)\s*^\W*Solution\W*:\s*(?P<solution>.+)\s*$", re.S | re.M | re.I)


def parse(text: str) -> Explanation:
    """Read an answer: JSON as asked for (in a fence, with words around it, cut short a little), the brief style's
    ``Error:``/``Solution:``, or, where it is neither, plain words.

    Raises ``NotAnExplanation`` where nothing is said.
    """
    text = _sayable(re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL).strip())
    if not text:
        raise NotAnExplanation("the answer is empty")
    if (found := _json_in(text)) is not None:
        return _lenient(found)
    if brief := _BRIEF.search(text):
        return Explanation(error=brief["error"].strip(), steps=_steps(brief["solution"]))
    if text.startswith("{"):
        raise NotAnExplanation("the answer is broken JSON")
    return Explanation(error=text, confidence="low")


# A token of which not all has come yet.
_CUT_TOKEN = re.compile(r"__[A-Z]*(?:_\d*)?_?$")


def so_far(text: str) -> str:
    """What an answer that is still coming says so far, for people: the error and the cause, or plain words."""
    from pydantic_core import from_json

    text = re.sub(r"<think>.*?(?:</think>|$)", "", text, flags=re.DOTALL).strip()
    if "{" not in text:
        return "" if text.startswith("```") else _CUT_TOKEN.sub("", text)
    try:
        found = from_json(text[text.index("{") :].removesuffix("```"), allow_partial="trailing-strings")
    except ValueError:
        return ""
    if not isinstance(found, dict):
        return ""
    return " ".join(_CUT_TOKEN.sub("", part) for name in ("error", "cause") if (part := _text(found.get(name))))


def _json_in(text: str) -> dict[str, Any] | None:
    decoder = json.JSONDecoder(strict=False)
    for start in (found.start() for found in re.finditer(r"\{", text)):
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found.keys() & {"error", "cause", "steps", "solution"}:
            return found
    return None


def _lenient(found: dict[str, Any]) -> Explanation:
    """An explanation from JSON that means well: a text where a list should be, numbers where words should."""
    steps = found.get("steps") or found.get("solution") or []
    confidence = str(found.get("confidence", "medium")).lower()
    explanation = Explanation(
        error=_text(found.get("error")),
        cause=_text(found.get("cause")),
        steps=_steps(steps) if isinstance(steps, str) else _texts(steps),
        checks=_texts(found.get("checks")),
        fixes=_texts(found.get("fixes")),
        confidence=confidence if confidence in ("high", "medium", "low") else "medium",  # type: ignore[arg-type]
        docs=_text(found.get("docs")),
    )
    if not (explanation.error or explanation.cause or explanation.steps):
        raise NotAnExplanation("the answer says nothing")
    return explanation


def _sayable(text: str) -> str:
    """A text without halves of characters, which JSON can spell and nothing can print or store."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _text(value: Any) -> str:
    return _sayable(value).strip() if isinstance(value, str) else "" if value is None else json.dumps(value)


def _texts(value: Any) -> list[str]:
    several = [value] if isinstance(value, (str, dict)) else value if isinstance(value, list) else []
    return [text for each in several if (text := _text(each))]


def _steps(text: str) -> list[str]:
    """The numbered or dashed lines of a text, or the text as one step."""
    parts = re.split(r"(?:^|\s)(?:\d{1,2}[.)]|[-*•])\s+", text.strip())
    return [part.strip() for part in parts if part.strip()]


# What removes, what sends things away, what runs text from elsewhere: marked wherever a command is shown.
_DANGERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), reason)
    for pattern, reason in (
        (
            r"\|\s*(?:sudo\s+)?(?:ba|z|da|k)?sh\b|\bsh\s+-c\b|\beval\b|<\(|\bpython3?\s+-c\b",
            "runs text as a program",
        ),
        (
            r"\b(?:apply|create|replace)\b.*\s(?:-f|-k|--filename|--kustomize)[= ]?[\"']?\w+://",
            "applies what is elsewhere",
        ),
        (r"--address[= ][\"']?(?!localhost|127\.)|--accept-hosts\b", "opens a port to other machines"),
        (
            r"\b(?:curl|wget|nc|ncat|scp|rsync|ftp|telnet)\b|/dev/tcp/|\bkubectl\s+cp\b",
            "talks to another machine",
        ),
        (
            (
                r"\b(?:delete|drain|evict|destroy|uninstall|prune|rm|rmdir|shred|dd|mkfs|truncate)\b"
                r"|--force\b|--grace-period[= ]0|--purge\b|--replicas[= ]0\b"
            ),
            "deletes or stops something",
        ),
        (
            (
                r"\bget\s+secrets?\b.*(?:-o|jsonpath)|\bbase64\s+(?:-d|--decode)|\bconfig\s+view\b.*--raw"
                r"|\bcreate\s+token\b"
            ),
            "shows credentials",
        ),
        (
            r"(?<!describe )(?<!get )clusterrolebinding|\bcluster-admin\b|--privileged\b|\bimpersonate\b|--as[= ]",
            "widens access",
        ),
        (r"[;&`]|\$\(|>\s*/|\n", "does more than one thing"),
    )
)


_CHANGING = re.compile(
    r"\bkubectl\b(?:\s+-\S+(?:\s+(?!-)\S+)??)*?\s+(?:annotate|apply|autoscale|cordon|cp|create|delete|drain|edit|evict|"
    r"expose|label|patch|replace|run|scale|set|taint|uncordon|rollout\s+(?:restart|undo|pause|resume))\b"
    r"|\bhelm\b(?:\s+-\S+)*\s+(?:install|upgrade|rollback|uninstall)\b",
    re.IGNORECASE,
)


def changes(command: str) -> bool:
    """Whether a command changes something, whatever the answer says it is for."""
    return bool(_CHANGING.search(command)) and "--dry-run" not in command


def danger(command: str) -> str:
    """Why a command should be looked at twice before anyone runs it, or "" where nothing speaks against it."""
    return "; ".join(reason for pattern, reason in _DANGERS if pattern.search(command))
