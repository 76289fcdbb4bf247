"""What stays from one session to the next: default backend, models, filters, caches. Never a key.

One JSON file in the user's configuration directory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from k8sgpt_magic.decoders import decoder
from k8sgpt_magic.errors import K8sGPTError


class SettingsError(K8sGPTError):
    """A settings file that cannot be read or written: where it is, and what is wrong with it."""


class BackendSettings(Struct, kw_only=True, omit_defaults=True):
    """What a backend is asked for and where, if not as its table says."""

    model: str = ""
    base_url: str = ""


class Settings(Struct, kw_only=True, omit_defaults=True):
    """``backend`` is the default one; ``filters_added`` and ``filters_removed`` are the analyzers that run, or do
    not, where the user names none; ``remote`` the addresses of custom analyzers by name; ``caches`` the places
    besides memory that answers are kept in."""

    backend: str = ""
    backends: dict[str, BackendSettings] = {}
    filters_added: list[str] = []
    filters_removed: list[str] = []
    remote: dict[str, str] = {}
    caches: list[str] = []


def path() -> Path:
    """Where the file is, whether or not it exists."""
    from platformdirs import user_config_path

    return user_config_path("k8sgpt-magic") / "settings.json"


def load() -> Settings:
    """The settings, or the defaults where none were ever saved.

    Raises ``SettingsError`` for a file that is damaged: guessing would lose what the user chose.
    """
    file = path()
    try:
        return decoder(Settings).decode(file.read_bytes())  # type: ignore[no-any-return]
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise SettingsError(f"Settings {file}: {error.strerror}.", advice="Check who may read it.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        advice = "Correct the file, or remove it to start anew."
        raise SettingsError(f"Settings {file}: {error}.", advice=advice) from None


def save(settings: Settings) -> None:
    """Write the settings whole or not at all, for nobody else to read."""
    file = path()
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    raw = msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(raw)
        unfinished.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise SettingsError(
            f"Settings {file}: {error.strerror}.", advice="They hold for this session only unless it can be written."
        ) from None


def change(how: Callable[[Settings], None]) -> Settings:
    """Read the settings, change them, write them: what another kernel saved meanwhile stays."""
    settings = load()
    how(settings)
    save(settings)
    return settings
