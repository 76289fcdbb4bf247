"""What ``%k8sgpt auth``, ``generate`` and ``cache`` do: each function returns what to show, a text or a table."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from k8sgpt_magic import settings
from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.explain import keys as key_store
from k8sgpt_magic.explain.backends import Backend, BackendOptions
from k8sgpt_magic.explain.backends.openai_compatible import check_address
from k8sgpt_magic.explain.backends.registry import OFFLINE, available, canonical_name, default_name, open_backend
from k8sgpt_magic.explain.cache import Caches, location
from k8sgpt_magic.explain.keys import Keys, variable
from k8sgpt_magic.explain.prompts import Prompt
from k8sgpt_magic.settings import BackendSettings, Settings

if TYPE_CHECKING:
    import pandas as pd

# Runs a coroutine to its end: Engine.run.
Run = Callable[[Coroutine[Any, Any, str]], str]


def auth_add(
    keys: Keys,
    backend: str,
    *,
    model: str = "",
    base_url: str = "",
    session_only: bool = False,
    ask_key: bool | None = None,
) -> str:
    """Take a key for a backend, by asking, and remember its model and base URL.

    ``ask_key`` decides whether it is asked for; by default where the backend wants one, or nothing else is given.
    """
    name = _with_key(backend)
    _check_url(base_url)
    if ask_key is None:
        ask_key = not (model or base_url) or any(each.name == name and each.needs_key for each in available(keys))
    lines: list[str] = []
    if ask_key:
        kept = keys.add(name, key_store.ask(name), session_only=session_only)
        lines.append(f"{name}: key kept in {kept.where}." + (f" For {kept.note}." if kept.note else ""))
    if model or base_url:
        settings.change(lambda each: _configure(each, name, model, base_url))
        lines.append(f"{name}: {_described(settings.load().backends[name])} saved.")
    if not lines:
        raise InvalidOption(f"nothing to add for {name!r}: neither a key nor --model nor --base-url")
    return "\n".join(lines)


def auth_update(
    keys: Keys,
    backend: str,
    *,
    model: str = "",
    base_url: str = "",
    session_only: bool = False,
    ask_key: bool | None = None,
) -> str:
    """As ``auth_add``, for a backend that was added already. With a model or a base URL alone its key stays."""
    name = _with_key(backend)
    if ask_key is None:
        ask_key = not (model or base_url)
    if not keys.where(name) and name not in settings.load().backends:
        raise InvalidOption(f"{name!r} was not added yet; use %k8sgpt auth add {name}")
    return auth_add(keys, name, model=model, base_url=base_url, session_only=session_only, ask_key=ask_key)


def auth_remove(keys: Keys, backend: str) -> str:
    """Forget the key and the settings of a backend."""
    name = _with_key(backend)
    places = keys.remove(name)

    def forget(each: Settings) -> None:
        each.backends.pop(name, None)
        each.backend = "" if each.backend == name else each.backend

    before = settings.load()
    if name in before.backends or before.backend == name:
        settings.change(forget)
        places.append("the settings")
    rest = f" {variable(name)} is still set in the environment." if keys.where(name) else ""
    if not places:
        return f"{name}: there was nothing to remove.{rest}"
    return f"{name}: removed from {' and '.join(places)}.{rest}"


def auth_default(keys: Keys, backend: str = "") -> str:
    """Choose the backend that explains where none is named, or say which it is."""
    if not backend:
        return f"Default backend: {default_name(settings.load(), keys)}."
    name = canonical_name(backend)

    def choose(each: Settings) -> None:
        each.backend = name

    settings.change(choose)
    rows = {each.name: each for each in available(keys)}
    missing = rows[name].needs_key and not rows[name].key
    return f"Default backend: {name}." + (f" It has no key yet: %k8sgpt auth add {name}." if missing else "")


def auth_list(keys: Keys) -> pd.DataFrame:
    """All backends: what they are, where their key is, and which is the default."""
    import pandas as pd

    saved = settings.load()
    default = default_name(saved, keys)
    rows = [
        {
            "backend": each.name,
            "default": "*" if each.name == default else "",
            "kind": each.kind,
            "key": each.key or ("needed" if each.needs_key else ""),
            "model": saved.backends.get(each.name, BackendSettings()).model or each.model,
            "base_url": saved.backends.get(each.name, BackendSettings()).base_url,
        }
        for each in available(keys)
    ]
    return pd.DataFrame(rows)


def auth_test(keys: Keys, run: Run, backend: str = "", *, model: str = "", base_url: str = "") -> str:
    """Make one small call and say how it went. Raises ``BackendError`` that says what is wrong."""
    opened = configured(keys, backend, model=model, base_url=base_url)
    if opened.name == OFFLINE:
        return "offline: nothing to test; it asks nobody."
    started = time.monotonic()

    async def call() -> str:
        try:
            said = await opened.ask(Prompt("", "Answer with the one word OK."), code="")
        finally:
            await opened.close()
        return said.model

    answered = run(call())
    seconds = time.monotonic() - started
    where = "on this machine" if opened.is_local else "elsewhere, so that findings are masked before they are sent"
    return f"{opened.name}: {answered or opened.model} answered in {seconds:.1f} s. It runs {where}."


def configured(keys: Keys, backend: str = "", **options: Any) -> Backend:
    """A backend as it is set up: by the options given, then the settings, then its table.

    ``options`` are fields of ``BackendOptions``. Only here does a key get from where it is kept to its backend.
    """
    saved = settings.load()
    base_url = options.pop("base_url", "")
    # A server named without a backend is not the default one, whose key is none of its business.
    name = "customrest" if base_url and not backend else canonical_name(backend or default_name(saved, keys))
    own = saved.backends.get(name, BackendSettings())
    model = options.pop("model", "") or own.model
    return open_backend(
        BackendOptions(name=name, model=model, base_url=base_url or own.base_url, key=keys.get(name), **options)
    )


def generate(keys: Keys, backend: str = "openai") -> str:
    """Where to get a key."""
    name = _with_key(backend)
    row = next(each for each in available(keys) if each.name == name)
    lines = [f"{name}: get a key, or what it needs in place of one, at {row.page}" if row.page else f"{name}:"]
    lines.append(f"Then run %k8sgpt auth add {name}" + (f", or set {variable(name)}." if variable(name) else "."))
    return "\n".join(lines)


def opened_caches() -> Caches:
    """Memory, and the places that were added in earlier sessions. One that cannot be opened costs a warning."""
    caches = Caches()
    for url in settings.load().caches:
        try:
            caches.add(url)
        except (K8sGPTError, InvalidOption) as error:
            warnings.warn(f"{error} Remove it with %k8sgpt cache remove {url}", stacklevel=2)
    return caches


def cache_add(caches: Caches, kind: str, url: str, *, keep: bool = True) -> str:
    """Keep answers at a URL as well: ``kind`` is file, s3, gs or azure. ``keep`` remembers it for later sessions."""
    store = caches.add(_url_of_kind(kind, url))

    def remember(each: Settings) -> None:
        if store.url not in each.caches:
            each.caches.append(store.url)

    if keep:
        settings.change(remember)
    return f"Answers are kept in {store.url} as well."


def cache_list(caches: Caches) -> pd.DataFrame:
    """The places that answers are kept in, in the order in which they are looked up."""
    import pandas as pd

    return pd.DataFrame({"cache": caches.urls})


def cache_stats(caches: Caches) -> pd.DataFrame:
    """Hits and misses of this session, entries and bytes, for each place."""
    import pandas as pd

    rows = [
        {"cache": url, "hits": each.hits, "misses": each.misses, "entries": each.entries, "bytes": each.bytes}
        for url, each in caches.stats().items()
    ]
    return pd.DataFrame(rows)


def cache_clear(caches: Caches, url: str = "") -> str:
    """Forget the answers of one place, or of all."""
    number = caches.clear(url)
    return f"{number} {'answer' if number == 1 else 'answers'} removed from {url or 'all caches'}."


def cache_remove(caches: Caches, url: str) -> str:
    """Use a place no longer; what is in it stays there."""
    saved = settings.load().caches
    name = location(url)
    if name in caches.urls or name not in saved:
        caches.remove(url)

    def forget(each: Settings) -> None:
        each.caches = [known for known in each.caches if known != name]

    if name in saved:
        settings.change(forget)
    return f"{url} is used no longer. What is in it stays."


_KINDS = {"file": ("", "file"), "s3": ("s3",), "gs": ("gs", "gcs"), "azure": ("az", "abfs", "abfss")}


def _url_of_kind(kind: str, url: str) -> str:
    """The URL with the kind's own protocol, which may be left out; a protocol that is not that kind's is refused."""
    from k8sgpt_magic.cluster.names import nearest

    folded = {"gcs": "gs", "az": "azure"}.get(kind.lower(), kind.lower())
    if folded not in _KINDS:
        raise InvalidOption(f"unknown kind of cache {kind!r}{nearest(kind, _KINDS)}; there are {', '.join(_KINDS)}")
    if not url:
        raise InvalidOption(f"cache add {folded} needs a URL" if folded != "file" else "cache add file needs a path")
    protocol, separator, _ = url.partition("://")
    if not separator:
        return url if folded == "file" else f"{_KINDS[folded][0]}://{url}"
    if protocol not in _KINDS[folded]:
        raise InvalidOption(f"{protocol}:// is no URL of a cache of kind {folded}")
    return url


def _with_key(backend: str) -> str:
    name = canonical_name(backend)
    if name == OFFLINE:
        raise InvalidOption("the offline backend has no key and nothing to set up")
    return name


def _check_url(base_url: str) -> None:
    if not base_url:
        return
    check_address(base_url)
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query:
        raise InvalidOption(
            "--base-url: a user, a password or a query in it would be saved in the clear; leave it out"
        )


def _configure(each: Settings, name: str, model: str, base_url: str) -> None:
    old = each.backends.get(name, BackendSettings())
    each.backends[name] = BackendSettings(model=model or old.model, base_url=base_url or old.base_url)


def _described(each: BackendSettings) -> str:
    parts = [f"model {each.model}" if each.model else "", f"base URL {each.base_url}" if each.base_url else ""]
    return " and ".join(part for part in parts if part)
