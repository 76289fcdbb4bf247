"""The backends there are: packaged, in the tables, and those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from msgspec import Struct, structs

from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.errors import BackendError, InvalidOption
from k8sgpt_magic.explain.backends import Backend, BackendOptions
from k8sgpt_magic.explain.backends.multi_provider import SERVICES, MultiProvider
from k8sgpt_magic.explain.backends.offline import Offline
from k8sgpt_magic.explain.backends.openai_compatible import PROVIDERS, OpenAICompatible, Provider
from k8sgpt_magic.explain.keys import Keys, variable
from k8sgpt_magic.settings import Settings

GROUP = "k8sgpt_magic.backends"
OFFLINE = Offline.name

# What K8sGPT calls them.
ALIASES = {
    "amazonbedrock": "bedrock",
    "amazonsagemaker": "sagemaker",
    "googlevertexai": "vertex",
    "watsonxai": "watsonx",
    "ibmwatsonxai": "watsonx",
    "azure": "azureopenai",
    "gemini": "google",
}

# Set for other purposes on many machines: it alone does not choose where findings are sent.
_AMBIENT = frozenset({"HF_TOKEN"})


class Available(Struct, frozen=True, kw_only=True):
    """A backend that can be opened. ``key`` says where its key is: session, keyring, a variable, or ""."""

    name: str
    kind: str
    needs_key: bool
    key: str
    model: str
    page: str = ""


def open_backend(options: BackendOptions) -> Backend:
    """The backend of a name; without one but with a base URL, the server that is there.

    Raises ``InvalidOption`` for a name that is none and for options it cannot do with, ``BackendError`` where a key
    or a package is missing.
    """
    name = canonical_name(options.name or ("customrest" if options.base_url else OFFLINE))
    options = structs.replace(options, name=name)
    if name == OFFLINE:
        return Offline()
    if name in PROVIDERS:
        return OpenAICompatible(PROVIDERS[name], options)
    if name in SERVICES:
        return MultiProvider(SERVICES[name], options)
    return _opened(_entry_points()[name], options)


def canonical_name(name: str) -> str:
    """A backend's own name from a name as typed; ``InvalidOption`` with the nearest where there is none."""
    folded = name.strip().lower()
    folded = ALIASES.get(folded, folded)
    known = names()
    if not folded:
        raise InvalidOption("which backend? %k8sgpt auth list has their names")
    if folded not in known:
        raise InvalidOption(f"unknown backend {name!r}{nearest(name, [*known, *ALIASES])} (see %k8sgpt auth list)")
    return folded


def names() -> list[str]:
    """All names, the packaged backend first. What is packaged goes before another package's of the same name."""
    return list(dict.fromkeys([OFFLINE, *PROVIDERS, *SERVICES, *_entry_points()]))


def available(keys: Keys) -> list[Available]:
    """A row for each backend."""
    rows = [Available(name=OFFLINE, kind="packaged text", needs_key=False, key="", model=Offline.model)]
    tables: tuple[tuple[str, dict[str, Provider]], ...] = (
        ("OpenAI-compatible", PROVIDERS),
        ("litellm", cast("dict[str, Provider]", SERVICES)),
    )
    for kind, table in tables:
        rows += [
            Available(
                name=each.name,
                kind=kind,
                needs_key=each.needs_key,
                key=keys.where(each.name),
                model=each.model,
                page=each.key_page,
            )
            for each in table.values()
        ]
    return rows + [
        Available(name=name, kind=_package(entry), needs_key=False, key=keys.where(name), model="")
        for name, entry in _entry_points().items()
    ]


def default_name(settings: Settings, keys: Keys) -> str:
    """The backend to use where the user names none: the chosen one, or one that has a key, or the packaged text."""
    if settings.backend:
        return canonical_name(settings.backend)
    with_key = [name for name in names() if keys.where(name) and keys.where(name) not in _AMBIENT]
    # One that was given to us says more than one that is in the environment anyway.
    given = [name for name in with_key if keys.where(name) != variable(name)]
    return next(iter([*given, *with_key]), OFFLINE)


def _entry_points() -> dict[str, EntryPoint]:
    return {each.name.lower(): each for each in entry_points(group=GROUP)}


def _package(entry: EntryPoint) -> str:
    return f"package {entry.dist.name}" if entry.dist else "another package"


def _opened(entry: EntryPoint, options: BackendOptions) -> Backend:
    try:
        make = cast("Callable[[BackendOptions], Backend]", entry.load())
        return make(options)
    except (BackendError, InvalidOption):
        raise
    except Exception as error:  # noqa: BLE001 - someone else's code, whose trouble is told in a line
        raise BackendError(
            f"{options.name} ({_package(entry)}) cannot be opened: {type(error).__name__}.",
            advice="Choose another --backend, or tell the makers of that package.",
        ) from None
