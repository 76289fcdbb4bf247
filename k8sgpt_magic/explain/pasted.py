"""What names things, or is nobody else's business, in text that a user pasted: kubectl's output, manifests, events.

Names of an analyzed cluster are known; those in pasted text have to be found by where they stand. What is found
wrongly costs a token in place of a word, what is missed leaves this machine, so this is generous.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_VALUE = r"[\"']?([A-Za-z0-9][\w.-]*)"
_KEYED = re.compile(
    r"(?i)(?<![\w.])[\"']?(?:name|generateName|namespace|nodeName|node|serviceAccount|serviceAccountName|"
    r"service account|hostname|subdomain|claimName|secretName|volumeName|configMapName|"
    r"storageClassName|clusterName)[\"']?\s*[:=]\s*" + _VALUE
)
_KINDS = (
    r"pods?|po|deployments?(?:\.apps)?|deploy|replicasets?|rs|statefulsets?|sts|daemonsets?|ds|jobs?|cronjobs?|cj|"
    r"services?|svc|nodes?|no|configmaps?|cm|secrets?|persistentvolumeclaims?|pvc|persistentvolumes?|pv|ingress(?:es)?|"
    r"ing|namespaces?|ns|hpa|horizontalpodautoscalers?|serviceaccounts?|sa"
)
_REFERRED = re.compile(rf"(?i)\b(?:{_KINDS})(?:/|\s+[\"'])([a-z0-9][a-z0-9.-]*)")
_IN_NAMESPACE = re.compile(r"(?i)(?:\bnamespace[= ]\s*|(?<!\S)-n[= ]\s*)[\"']?([a-z0-9][a-z0-9-]*)")
_ACCOUNT = re.compile(r"\bsystem:serviceaccount:([\w.-]+):([\w.-]+)")
# A name in capitals is that of an environment variable, or of a column.
_CAPITALS = re.compile(r"[A-Z0-9_]+")
_SHORTEST = 3

_COLUMNS = ("NAME", "NAMESPACE", "NODE", "OBJECT", "CLAIM", "VOLUME", "POD", "SECRET", "HOSTS", "REFERENCE", "TARGET")

_LABELS = "labels|matchLabels|annotations|selector|nodeSelector|node-selectors|pod template labels"
_HELD = "data|stringData|environment"
_IS_SECRET = re.compile(r"kind[\"']?\s*:\s*[\"']?Secret\b")
_LITERAL = re.compile(r"(?<![\w.])[\"']?value[\"']?\s*:\s*(?:\"([^\"\n]+)\"|'([^'\n]+)'|([^\s\"',}\]][^\n,}\]]*))")


def names(text: str) -> Iterator[str]:
    """What seems to name something."""
    found = [each[1] for pattern in (_KEYED, _REFERRED, _IN_NAMESPACE) for each in pattern.finditer(text)]
    found += [part for each in _ACCOUNT.finditer(text) for part in each.groups()]
    found += _in_columns(text)
    found += [value for key, value in _pairs(text, _LABELS) if key and not value.isdigit()]
    for each in found:
        name = each.strip(".-\"'")
        if len(name) >= _SHORTEST and not _CAPITALS.fullmatch(name) and name not in ("true", "false", "null", "none"):
            yield name


def secrets(text: str) -> Iterator[str]:
    """The values of Secrets and of environment variables, as they are spelled."""
    for found in _LITERAL.finditer(text):
        yield next(filter(None, found.groups())).strip()
    for _, value in _pairs(text, _HELD if _IS_SECRET.search(text) else "environment"):
        # kubectl describe says where others come from: <set to the key 'a' in secret 'b'>.
        if len(value) >= _SHORTEST and not value.startswith("<"):
            yield value


def _in_columns(text: str) -> Iterator[str]:
    wanted: list[int] = []
    for line in text.splitlines():
        cells = line.split()
        if {"NAME", "NAMESPACE", "OBJECT"} & set(cells) and line.upper() == line:
            # Two words make one title in "LAST SEEN" and "NOMINATED NODE"; two spaces part columns.
            titles = re.split(r"\s{2,}", line.strip())
            wanted = [at for at, title in enumerate(titles) if title in _COLUMNS]
        elif not cells:
            wanted = []
        elif wanted:
            row = re.split(r"\s{2,}", line.strip())
            yield from (row[at].rpartition("/")[2] for at in wanted if at < len(row))


def _pairs(text: str, headers: str) -> Iterator[tuple[str, str]]:
    """Keys and values of the maps under some headers: as YAML, as JSON, in braces, and as kubectl describe does."""
    for found in re.finditer(rf"(?i)(?<![\w.])[\"']?(?:{headers})[\"']?\s*:\s*\{{([^{{}}]*)\}}", text):
        for part in re.findall(r"([^,:]+):\s*(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^,]+)", found[1]):
            yield part[0].strip().strip("\"'"), part[1].strip().strip("\"'")
    inside: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        begins = re.match(rf"(?i)\s*(?:- )?(?:{headers}):(.*)$", line)
        if begins and not begins[1].lstrip().startswith("{"):
            inside, line = indent, begins[1]
        elif inside is not None and line.strip() and indent <= inside:
            inside = None
        if inside is not None and line.strip():
            key, mark, value = re.match(r"\s*([^=:\s]*)\s*([=:]?)\s*(.*?)\s*$", line).groups()  # type: ignore[union-attr]
            # A line of a block of text has no key.
            yield (key, value.strip("\"'")) if mark and value else ("", "" if mark else line.strip())
