"""Keys of backends: kept in the system keyring or for this session only, and never shown.

They are looked up in the session, then the keyring, then the environment.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import warnings
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from k8sgpt_magic.errors import BackendError, InvalidOption

SERVICE = "k8sgpt-magic"


class Kept(Struct, frozen=True):
    """Where a key was put; ``note`` says why it is not the keyring where that was wanted."""

    where: str
    note: str = ""


class KeyOnLine(InvalidOption):
    """A key stood on the command line."""

    def _render_traceback_(self) -> list[str]:
        # A traceback would show the line.
        return [f"{type(self).__name__}: {self}"]


class Keys:
    """The keys of a session. Its repr tells only for which backends there is one in the session."""

    def __init__(self) -> None:
        self._session: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Keys(session={sorted(self._session)})"

    def __reduce__(self) -> Any:
        raise TypeError("keys are not pickled")

    def add(self, backend: str, key: str, *, session_only: bool = False) -> Kept:
        """Keep a key, in place of an earlier one. Without a usable keyring it lasts as long as the session."""
        key = key.strip()
        if not key:
            raise InvalidOption(f"no key was given for {backend!r}")
        if not (key.isascii() and key.isprintable()):
            raise InvalidOption(f"the key for {backend!r} has a character that no key has; was it copied whole?")
        if session_only:
            self._session[backend] = key
            return Kept("this session")
        note = _no_keyring()
        if not note:
            try:
                import keyring

                keyring.set_password(SERVICE, backend, key)
            except Exception as error:  # noqa: BLE001 - each keyring has errors of its own, and any is a reason
                note = f"the keyring refused it ({type(error).__name__})"
            else:
                self._session.pop(backend, None)
                return Kept("the system keyring")
        self._session[backend] = key
        return Kept("this session", note)

    def get(self, backend: str) -> str:
        """The key of a backend, or "" where there is none."""
        return self._session.get(backend) or _in_keyring(backend) or os.environ.get(variable(backend), "")

    def where(self, backend: str) -> str:
        """Where the key of a backend comes from: ``session``, ``keyring``, the name of a variable, or ""."""
        if backend in self._session:
            return "session"
        if _in_keyring(backend):
            return "keyring"
        return variable(backend) if os.environ.get(variable(backend)) else ""

    def remove(self, backend: str) -> list[str]:
        """Forget a key, and return where it was. One in the environment stays."""
        places = ["this session"] if self._session.pop(backend, "") else []
        if _in_keyring(backend):
            import keyring

            try:
                keyring.delete_password(SERVICE, backend)
            except Exception as error:  # noqa: BLE001 - as above
                raise BackendError(
                    f"{backend}: the keyring did not remove the key ({type(error).__name__}).",
                    advice=f"Remove it there: service {SERVICE}, user {backend}.",
                ) from None
            places.append("the system keyring")
        return places


def variable(backend: str) -> str:
    """The environment variable that a backend's key is taken from."""
    from k8sgpt_magic.explain.backends.multi_provider import SERVICES
    from k8sgpt_magic.explain.backends.openai_compatible import PROVIDERS

    known = PROVIDERS.get(backend) or SERVICES.get(backend)
    if known is not None:
        return known.key_variable
    return re.sub(r"\W", "_", backend).upper() + "_API_KEY"


def ask(backend: str) -> str:
    """Ask for a key without showing it: in a terminal, and in a notebook by the kernel's own input box.

    Raises ``BackendError`` where nobody can be asked.
    """
    advice = f"Set {name} before Jupyter starts." if (name := variable(backend)) else "Run this where it can ask."
    try:
        with warnings.catch_warnings():
            # Where the terminal cannot hide what is typed, getpass warns and shows it.
            warnings.simplefilter("error", getpass.GetPassWarning)
            # By the module's attribute: a kernel puts its own function there while a cell runs.
            key = getpass.getpass(f"Key for {backend}: ")
    except (EOFError, OSError, getpass.GetPassWarning, NotImplementedError):
        raise BackendError(f"{backend}: nobody can be asked for a key here.", advice=advice) from None
    except Exception as error:
        # ipykernel's own, raised where a notebook runs without anyone in front of it.
        if type(error).__name__ != "StdinNotImplementedError":
            raise
        raise BackendError(f"{backend}: nobody can be asked for a key here.", advice=advice) from None
    if not key.strip():
        raise InvalidOption(f"no key was given for {backend!r}; nothing was changed")
    return key.strip()


_FLAGS = re.compile(r"--?(?:p|password|pass|key|api[-_]?key|token|secret)(?:=(.*))?$", re.IGNORECASE | re.DOTALL)
# The beginnings that providers give their keys. What follows must not read like a name of Kubernetes', which has no
# upper case.
_PREFIXED = re.compile(
    r"\b(?:(?:sk|pk|rk|xai|nvapi|glpat|pplx)-|(?:sk|gsk|hf|r8|ghp|github_pat)_|AIza|AKIA|ASIA)"
    r"(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{16,}|\beyJ[\w-]{10,}\.[\w-]{5,}"
)
_IN_URL = re.compile(r"://[^/\s@:]*:([^/\s@]+)@")
_IN_HEADER = re.compile(
    r"(?i)(?:proxy-)?authorization\s*[:=]\s*(?:\w+\s+)?([^\s$]\S*)$|"
    r"(?:x-)?(?:api|auth)-?(?:key|token)\s*[:=]\s*([^\s$]\S*)$"
)
# Options of `auth` that take a value, which is then no key.
_AUTH_VALUES = ("-b", "--backend", "-m", "--model", "-u", "--base-url", "--baseurl")
_REASON = (
    "a key is not taken on the command line: it would stay in the notebook, the history and the outputs. Leave it "
    "out and you are asked for it, or set the backend's environment variable. Delete it where it stands, and if that "
    "was saved, make a new key"
)


_REASON_IN_TERMINAL = (
    "a key is not taken on the command line: it would stay in the shell's history, and the list of processes shows "
    "it. Leave it out and you are asked for it, or set the backend's environment variable"
)


def refuse_key_on_line(words: Sequence[str], shell: Any = None, *, in_terminal: bool = False) -> None:
    """Raise ``KeyOnLine`` where a key stands among the words of a ``%k8sgpt`` or ``%explain`` line.

    To be called with the words as typed, before ``{name}`` and ``$name`` are expanded, and before a parser could
    quote one of them. With an IPython shell the key is also taken out of what it remembers of the input.
    """
    if found := list(_keys_among(words, in_terminal=in_terminal)):
        if shell is not None:
            _forget(found, shell)
        raise KeyOnLine(_REASON_IN_TERMINAL if in_terminal else _REASON)


def _keys_among(words: Sequence[str], *, in_terminal: bool = False) -> list[str]:
    found: list[str] = []
    positional = 0
    is_auth = bool(words) and words[0] == "auth"
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        if "{" in word or word.startswith("$"):
            continue
        if flag := _FLAGS.match(word):
            found += [flag[1]] if flag[1] else []
        elif _FLAGS.fullmatch(before) and "=" not in before:
            found.append(word)
        elif before in ("--base-url", "--baseurl", "-u") and (inside := _IN_URL.search(word)):
            found.append(inside[1])
        # In a terminal a shell has put the variable's value here, and there is no other way to give it.
        elif before == "--custom-header" and not in_terminal and (header := _IN_HEADER.match(word)):
            found.append(header[1] or header[2])
        elif prefixed := _PREFIXED.findall(word):
            found += prefixed
        elif is_auth and not word.startswith("-") and before not in _AUTH_VALUES:
            positional += 1
            # auth ACTION BACKEND: a third word can only be meant as the key.
            if positional > 3:
                found.append(word)
    return [each for each in found if each]


def _forget(secrets: Sequence[str], shell: Any) -> None:
    """Take texts out of an IPython shell's history: its lists, its variables, and its database."""
    history = getattr(shell, "history_manager", None)
    if history is None:
        return

    def without(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    for lines in (history.input_hist_parsed, history.input_hist_raw):
        lines[:] = [without(line) for line in lines]
    for name in ("_i", "_ii", "_iii", "_i00"):
        if isinstance(getattr(history, name, None), str):
            setattr(history, name, without(getattr(history, name)))
    for name, value in list(shell.user_ns.items()):
        if re.fullmatch(r"_i+|_i\d+", name) and isinstance(value, str):
            shell.user_ns[name] = without(value)
    # The history is written by a thread of its own: what is not written yet is changed where it waits, under its
    # lock, and what is written in the database.
    with contextlib.suppress(AttributeError), history.db_input_cache_lock:
        history.db_input_cache = [(line, without(a), without(b)) for line, a, b in history.db_input_cache]
    with contextlib.suppress(Exception), history.db as database:
        database.execute("PRAGMA secure_delete = ON")
        for secret in secrets:
            database.execute(
                "UPDATE history SET source = replace(source, ?, '***'), source_raw = replace(source_raw, ?, '***') "
                "WHERE session = ?",
                (secret, secret, history.session_number),
            )


def _no_keyring() -> str:
    """Why the system keyring cannot be used, or "" where it can."""
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        return "the package keyring is not installed"
    if isinstance(keyring.get_keyring(), (fail.Keyring, null.Keyring)):
        return "this machine has no system keyring"
    return ""


def _in_keyring(backend: str) -> str:
    if _no_keyring():
        return ""
    import keyring

    # A keyring that is locked, or whose service is gone, has no key for us.
    with contextlib.suppress(Exception):
        return keyring.get_password(SERVICE, backend) or ""
    return ""
