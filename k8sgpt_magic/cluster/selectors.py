"""Label selectors: the string grammar of ``kubectl -l`` and the ``LabelSelector`` of specs.

The API server evaluates ``-l`` itself on a live cluster; this is for snapshots and for the selectors that
objects hold (a Service's, a NetworkPolicy's). No maintained Python package offers the grammar apart from
whole clients.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from k8sgpt_magic.cluster.resources import LabelSelector

Labels = Mapping[str, str]

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^\s=!<>]+)\s*(?P<operator>==|=|!=|>|<)\s*(?P<value>[^\s=!<>]*)$")
_EXISTENCE = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s=!<>()]+)$")
_KEY = re.compile(r"^([a-z0-9A-Z.-]{1,253}/)?[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?$")
_VALUE = re.compile(r"^([a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?)?$")
# A comma inside the parentheses of "in (a, b)" does not end a requirement.
_SEPARATOR = re.compile(r",(?![^()]*\))")


class Requirement(Struct, frozen=True):
    """One condition on one label. ``operator`` is In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                # As in Kubernetes, an object without the label satisfies "not in".
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                try:
                    number, bound = int(value or ""), int(self.values[0])
                except ValueError:
                    return False
                return number > bound if self.operator == "Gt" else number < bound
        return False


Selector = tuple[Requirement, ...]
"""All requirements must hold; the empty selector matches everything."""


def matches(selector: Selector, labels: Labels) -> bool:
    return all(requirement.matches(labels) for requirement in selector)


def from_spec(selector: LabelSelector) -> Selector:
    """The requirements of a ``LabelSelector`` (``matchLabels`` and ``matchExpressions``)."""
    return from_labels(selector.match_labels) + tuple(
        Requirement(expression.key, expression.operator, expression.values)
        for expression in selector.match_expressions
    )


def from_labels(labels: Labels) -> Selector:
    return tuple(Requirement(key, "In", (value,)) for key, value in labels.items())


def parse(text: str) -> Selector:
    """Parse a selector as ``kubectl -l`` takes it: ``app=web,tier in (a, b),!canary,weight>3``.

    Raises ``ValueError`` that names the part which is not a requirement.
    """
    if not text.strip():
        return ()
    return tuple(_requirement(part.strip()) for part in _SEPARATOR.split(text))


def _requirement(part: str) -> Requirement:
    if found := _SET.match(part):
        values = tuple(value.strip() for value in found["values"].split(","))
        return _checked(part, found["key"], "In" if found["operator"] == "in" else "NotIn", values)
    if found := _EQUALITY.match(part):
        operator = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt"}[found["operator"]]
        if operator in ("Gt", "Lt") and not found["value"].lstrip("-").isdigit():
            raise ValueError(f"{part!r} in the selector: {found['operator']} compares with a whole number")
        return _checked(part, found["key"], operator, (found["value"],))
    if found := _EXISTENCE.match(part):
        return _checked(part, found["key"], "DoesNotExist" if found["not"] else "Exists", ())
    raise ValueError(f"{part!r} is not a label requirement (key=value, key!=value, key in (a,b), key, !key)")


def _checked(part: str, key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    if not _KEY.match(key):
        raise ValueError(f"{part!r} in the selector: {key!r} is not a label key")
    for value in values:
        if operator in ("In", "NotIn") and not _VALUE.match(value):
            raise ValueError(f"{part!r} in the selector: {value!r} is not a label value")
    return Requirement(key, operator, values)


def text_of(selector: Selector) -> str:
    """The selector in kubectl's grammar, for messages."""
    return ",".join(_text(requirement) for requirement in selector)


def _text(requirement: Requirement) -> str:
    values = ", ".join(requirement.values)
    match requirement.operator:
        case "In" if len(requirement.values) == 1:
            return f"{requirement.key}={values}"
        case "NotIn" if len(requirement.values) == 1:
            return f"{requirement.key}!={values}"
        case "In" | "NotIn":
            return f"{requirement.key} {requirement.operator.lower()} ({values})"
        case "Gt" | "Lt":
            return f"{requirement.key}{'>' if requirement.operator == 'Gt' else '<'}{values}"
        case "DoesNotExist":
            return f"!{requirement.key}"
    return requirement.key
