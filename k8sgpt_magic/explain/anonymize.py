"""Masking: what names things of the user's leaves the notebook as a token, and comes back as itself.

Names come from the cluster view, so they are known and not guessed; addresses, URLs and images are known by their
form; credentials by the patterns of detect-secrets. Replacement is literal, longest first, at word boundaries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from k8sgpt_magic.cluster.resources import Ingress, Namespace, Node, Pod, Service, Webhook
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.credentials import PEM, patterns
from k8sgpt_magic.explain import pasted

TOKEN = re.compile(r"__([A-Z]+)_(\d+)__")

# Names that every cluster has tell nothing about this one, and mean something to a model.
_COMMON = frozenset(
    {"default", "kube-system", "kube-public", "kube-node-lease", "kube-root-ca.crt", "kubernetes", "localhost"}
)

# Longest runs in which a known name may stand; inside one, any stretch between two separators is looked up.
_RUN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/@+-]*[A-Za-z0-9])?")
_ENDS = re.compile(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$")
_SEPARATOR = re.compile(r"[^A-Za-z0-9]+")
# A stretch of more pieces than this is no name of Kubernetes'.
_PIECES = 12

_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>()\[\]{}]+", re.IGNORECASE)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_IPV6 = re.compile(r"(?<![:\w])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![:\w])", re.IGNORECASE)
# A registry (it has a dot or a port) with a path, or a path with a tag or digest: "apps/v1" is neither.
_IMAGE = re.compile(
    r"\b(?:[\w-]+(?:\.[\w-]+)+(?::\d+)?|[\w-]+:\d+)(?:/[\w.-]+)+(?::[\w][\w.-]*)?(?:@sha256:[0-9a-f]{8,64})?"
    r"|\b[\w.-]+(?:/[\w.-]+)+(?::[\w][\w.-]*(?:@sha256:[0-9a-f]{8,64})?|@sha256:[0-9a-f]{8,64})"
    r"|\bsha256:[0-9a-f]{8,64}\b"
)
_HOST = re.compile(r"\b(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,24})\b", re.IGNORECASE)
# Words before a credential by which alone it can be told. The patterns of detect-secrets that look at what stands
# before a value all want one of them.
_CREDENTIAL_WORDS = (
    "bearer ", "basic ", "auth", "pass", "pw", "secret", "token", "key", "credential", "account", "sid", "hmac",
    "iam",
)  # fmt: skip
_CREDENTIAL_BEGINNINGS = ("AKC", "AP")
# What no address, image or credential has inside.
_WORD = re.compile(r"[^\s\"'<>()\[\]{}]+")
_SHORTEST_CREDENTIAL = 16
# Lines and words kept for the next text.
_REMEMBERED = 100_000
# Domains of Kubernetes' own names (API groups, label prefixes, documentation): nothing of the user's.
_PUBLIC = re.compile(r"(?:^|\.)(?:kubernetes\.io|k8s\.io|svc|cluster\.local)$", re.IGNORECASE)
# Paths of fields, which look like hosts to a pattern.
_FIELD = re.compile(r"^(?:metadata|spec|status|data|rules|webhooks|involvedObject)\.", re.IGNORECASE)
_FILE = re.compile(r"\.(?:yaml|yml|json|conf|crt|pem|key|txt|log|sh|py|go|js|ts|html|so|jar)$", re.IGNORECASE)


class Anonymizer:
    """Masks and unmasks texts. One text has one token as long as this object lives.

    A token reads ``__POD_3__``: what kind of thing it stands for, and which one.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}
        self._originals: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._values: set[str] = set()
        # Findings repeat each other's lines, and lines each other's words: each is looked at once.
        self._masked_lines: dict[str, str] = {}
        self._masked_words: dict[str, str] = {}

    def learn(self, view: ClusterView) -> None:
        """Remember every name in a view as sensitive."""
        for sort, text in sensitive(view):
            self.remember(text, sort)

    def remember(self, text: str, sort: str) -> None:
        """Treat a text as the name of a thing of some sort (``pod``, ``host``) from now on."""
        if not text or text in self._names or text in _COMMON:
            return
        # What is looked up has neither spaces in it nor marks at its ends.
        names = [name for part in text.split() if (name := _ENDS.sub("", part)) and name not in _COMMON]
        if names:
            self._names.update(dict.fromkeys([text, *names], sort))
            self._masked_lines.clear()
            self._masked_words.clear()

    def learn_text(self, text: str) -> None:
        """Remember what names things in a text that a user pasted, and the values that it holds, as sensitive."""
        for name in pasted.names(text):
            self.remember(name, "name")
        self._values.update(pasted.secrets(text))

    def mask(self, text: str) -> str:
        """The text with a token in place of everything that names something or is secret."""
        if "-----BEGIN" in text:
            text = PEM.sub(self._replace("secret"), text)
        for value in sorted(self._values, key=len, reverse=True):
            if value in text:
                text = self._outside_tokens(text, partial(self._without_value, value))
        if len(self._masked_lines) > _REMEMBERED or len(self._masked_words) > _REMEMBERED:
            self._masked_lines.clear()
            self._masked_words.clear()
        masked = []
        for line in text.split("\n"):
            known = self._masked_lines.get(line)
            if known is None:
                known = self._masked_lines[line] = self._mask_line(line)
            masked.append(known)
        return "\n".join(masked)

    def mask_credentials(self, text: str) -> str:
        """The text with a token in place of credentials alone; names stay."""
        if "-----BEGIN" in text:
            text = PEM.sub(self._replace("secret"), text)
        return "\n".join(map(self._mask_credentials, text.split("\n")))

    def unmask(self, text: str) -> str:
        """The text with every token of this anonymizer's replaced by what it stands for."""
        return TOKEN.sub(lambda found: self._originals.get(found[0], found[0]), text)

    def _mask_line(self, line: str) -> str:
        # Some credentials are told by the words before them, all others by their own form.
        if any(map(line.lower().__contains__, _CREDENTIAL_WORDS)) or any(
            map(line.__contains__, _CREDENTIAL_BEGINNINGS)
        ):
            line = self._mask_credentials(line)
        return _WORD.sub(self._masked_word, line)

    def _masked_word(self, found: re.Match[str]) -> str:
        word = found[0]
        known = self._masked_words.get(word)
        if known is None:
            known = self._masked_words[word] = self._mask_word(word)
        return known

    def _mask_word(self, word: str) -> str:
        # Most words are just that.
        if word.isalpha() and len(word) < _SHORTEST_CREDENTIAL and word not in self._names:
            return word
        # Known names first: a known image or host keeps one token, however it is written around.
        named = self._mask_names(word)
        if named != word and not any(map(str.isalnum, TOKEN.sub("", named))):
            return named
        if len(word) >= _SHORTEST_CREDENTIAL or "://" in word:
            text = self._mask_credentials(word)
            named = named if text == word else self._outside_tokens(text, self._mask_names)
        for sort, needed, pattern in _FORMS:
            if any(map(named.__contains__, needed)) and pattern.search(named):
                named = self._outside_tokens(named, partial(pattern.sub, self._replace(sort)))
        return named

    def _mask_credentials(self, text: str) -> str:
        for pattern in patterns():
            if pattern.search(text):
                text = self._outside_tokens(text, partial(pattern.sub, self._replace("secret")))
        return text

    def _mask_names(self, text: str) -> str:
        return _RUN.sub(lambda found: self._mask_run(found[0]), text)

    def _mask_run(self, run: str) -> str:
        if (sort := self._names.get(run)) is not None:
            return self._token(run, sort)
        bounds = [(0, 0), *((found.start(), found.end()) for found in _SEPARATOR.finditer(run)), (len(run), len(run))]
        pieces = [(bounds[at][1], bounds[at + 1][0]) for at in range(len(bounds) - 1)]
        masked: list[str] = []
        at, written = 0, 0
        while at < len(pieces):
            for upto in range(min(len(pieces), at + _PIECES) - 1, at - 1, -1):
                start, end = pieces[at][0], pieces[upto][1]
                if (sort := self._names.get(run[start:end])) is not None:
                    masked += [run[written:start], self._token(run[start:end], sort)]
                    at, written = upto, end
                    break
            at += 1
        return "".join([*masked, run[written:]])

    def _replace(self, sort: str) -> Callable[[re.Match[str]], str]:
        def replace(found: re.Match[str]) -> str:
            whole, start = found[0], found.start()
            # A pattern with a group masks the group alone: the word "password" may stay.
            first, last = found.span(1) if found.re.groups and found[1] else found.span()
            what = whole[first - start : last - start]
            if not what or TOKEN.fullmatch(what) or (sort == "host" and not _is_private_host(what)):
                return whole
            if sort in ("image", "url") and _is_public(what):
                return whole
            return whole[: first - start] + self._token(what, sort) + whole[last - start :]

        return replace

    def _without_value(self, value: str, text: str) -> str:
        # Not inside of words: the value of a variable may be as short as "web".
        whole = rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])"
        return re.sub(whole, lambda _: self._token(value, "secret"), text)

    @staticmethod
    def _outside_tokens(text: str, change: Callable[[str], str]) -> str:
        if "__" not in text:
            return change(text)
        parts: list[str] = []
        written = 0
        for found in TOKEN.finditer(text):
            parts += [change(text[written : found.start()]), found[0]]
            written = found.end()
        return "".join([*parts, change(text[written:])])

    def _token(self, text: str, sort: str) -> str:
        token = self._tokens.get(text)
        if token is None:
            self._counts[sort] = self._counts.get(sort, 0) + 1
            token = f"__{sort.upper()}_{self._counts[sort]}__"
            self._tokens[text] = token
            self._originals[token] = text
        return token


def canonical(masked: str) -> tuple[str, dict[str, str]]:
    """A masked text with its tokens numbered by first appearance, and the map from these to the given ones.

    Two texts that say the same of different things have one canonical form: one question, one cache entry.
    """
    back: dict[str, str] = {}
    forth: dict[str, str] = {}

    def renumber(found: re.Match[str]) -> str:
        if (known := forth.get(found[0])) is None:
            known = forth[found[0]] = f"__{found[1]}_{sum(each.startswith(f'__{found[1]}_') for each in back) + 1}__"
            back[known] = found[0]
        return known

    return TOKEN.sub(renumber, masked), back


def substitute(text: str, tokens: dict[str, str]) -> str:
    """Replace tokens by others, all at once."""
    return TOKEN.sub(lambda found: tokens.get(found[0], found[0]), text)


def sensitive(view: ClusterView) -> Iterator[tuple[str, str]]:
    """Everything in a view that names a thing, with the sort of thing it names."""
    for each in view.everything():
        metadata = each.metadata
        if each.kind != "Event":
            yield each.kind.lower(), metadata.name
        yield "namespace", metadata.namespace
        for value in metadata.labels.values():
            # Flags and numbers name nothing.
            if len(value) > 3 and not value.isdigit() and value not in ("true", "false"):
                yield "label", value
        for owner in metadata.owner_references:
            yield owner.kind.lower() or "object", owner.name
        yield from _of_kind(each)


def _of_kind(each: Any) -> Iterator[tuple[str, str]]:
    if isinstance(each, Pod):
        yield "node", each.spec.node_name
        yield "serviceaccount", each.spec.service_account_name
        for container in (*each.spec.containers, *each.spec.init_containers, *each.spec.ephemeral_containers):
            yield "image", container.image
            yield "container", container.name
    elif isinstance(each, Ingress):
        for rule in each.spec.rules:
            yield "host", rule.host.removeprefix("*.")
        for tls in each.spec.tls:
            yield "secret", tls.secret_name
            for host in tls.hosts:
                yield "host", host.removeprefix("*.")
    elif isinstance(each, Service):
        yield "host", each.spec.external_name
        for entry in each.status.load_balancer.ingress:
            yield "host", entry.hostname
    elif isinstance(each, (Node, Namespace)):
        return
    else:
        for webhook in getattr(each, "webhooks", ()):
            if isinstance(webhook, Webhook):
                yield "webhook", webhook.name


# What has none of the characters in the middle cannot be what the pattern describes.
_FORMS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    ("url", ("://",), _URL),
    ("email", ("@",), _EMAIL),
    ("ip", (".",), _IPV4),
    ("ip", (":",), _IPV6),
    ("image", ("/", "sha256:"), _IMAGE),
    ("host", (".",), _HOST),
)


def _is_private_host(text: str) -> bool:
    return (
        not _FIELD.match(text)
        and not _PUBLIC.search(text)
        and not _FILE.search(text)
        and not text.replace(".", "").isdigit()
    )


def _is_public(text: str) -> bool:
    host = re.sub(r"^[a-z+.-]+://", "", text, flags=re.IGNORECASE).partition("/")[0].partition(":")[0]
    return bool(_PUBLIC.search(host))
