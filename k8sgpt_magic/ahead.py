"""What the first analysis and the first explanation need, imported while the user still types.

Loading the extension waits for none of it.
"""

from __future__ import annotations

import os
from importlib import import_module
from threading import Timer

_DELAY = 1.0

_ANALYSIS = (
    # What TAB offers.
    "k8sgpt_magic.explain.backends.registry",
    "kubernetes.client",
    "kubernetes.config",
    "aiohttp",
    "k8sgpt_magic.cluster.live",
    # What analyzers of schedules and of certificates wait for until there is one.
    "cronsim",
    "cryptography.x509",
    "k8sgpt_magic.frame",
)
_EXPLANATION = ("openai", "keyring", "k8sgpt_magic.explain.explainer")


def start(*, in_notebook: bool) -> None:
    """Import all of it a moment later, in a thread that holds up nobody's exit."""
    timer = Timer(_DELAY, import_all, kwargs={"in_notebook": in_notebook})
    timer.daemon = True
    timer.start()


def import_all(*, in_notebook: bool) -> None:
    from k8sgpt_magic.analyzers import registered

    registered()
    # Terminals have no use for the widget.
    for name in (*_ANALYSIS, *(("k8sgpt_magic.views.widget",) if in_notebook else ())):
        import_module(name)
    _make_decoders()
    # A second of the processor's time that is for nothing where all explanations are packaged ones.
    if _asks_a_model():
        import_explaining()


def _make_decoders() -> None:
    from k8sgpt_magic.cluster.decode import page_decoder
    from k8sgpt_magic.cluster.kinds import KINDS

    # A cell may add kinds of its own meanwhile.
    for kind in list(KINDS.values()):
        page_decoder(kind)


def import_explaining() -> None:
    from k8sgpt_magic.explain.anonymize import Anonymizer
    from k8sgpt_magic.explain.backends import openai_compatible, registry

    for name in _EXPLANATION:
        import_module(name)
    # Finding out which there are asks no keyring for anything.
    import_module("keyring").get_keyring()
    registry.names()
    openai_compatible.load_ahead()
    Anonymizer().mask("a-first-text-that-loads-the-patterns-of-credentials")


def _asks_a_model() -> bool:
    from k8sgpt_magic import settings
    from k8sgpt_magic.explain.backends.openai_compatible import PROVIDERS

    try:
        chosen = settings.load().backend
    except settings.SettingsError:
        chosen = ""
    return chosen not in ("", "offline") or any(os.environ.get(each.key_variable) for each in PROVIDERS.values())
