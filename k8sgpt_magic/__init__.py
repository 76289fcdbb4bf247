"""Kubernetes diagnosis in a notebook.

``%load_ext k8sgpt_magic`` gives ``%k8sgpt``; ``k8sgpt_magic.analyze()`` does the same from plain Python.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from k8sgpt_magic.analyzers import analyzer
    from k8sgpt_magic.cluster.kinds import custom_resource
    from k8sgpt_magic.diagnosis.diff import Changes
    from k8sgpt_magic.errors import K8sGPTError
    from k8sgpt_magic.findings import Code, Evidence, Finding
    from k8sgpt_magic.frame import Findings
    from k8sgpt_magic.session import Session
    from k8sgpt_magic.watch import Watch

__version__ = "0.1.0"

__all__ = [
    "Changes",
    "Code",
    "Evidence",
    "Finding",
    "Findings",
    "K8sGPTError",
    "Session",
    "Watch",
    "analyze",
    "analyzer",
    "custom_resource",
    "diff",
    "explain",
    "shared_session",
]

_LAZY = {
    "Changes": "diagnosis.diff",
    "Code": "findings",
    "Evidence": "findings",
    "Finding": "findings",
    "Findings": "frame",
    "K8sGPTError": "errors",
    "Session": "session",
    "Watch": "watch",
    "analyzer": "analyzers",
    "custom_resource": "cluster.kinds",
}


def __getattr__(name: str) -> Any:
    # Loading the extension must not pay for what the first analysis needs.
    from importlib import import_module

    if name == "explain":
        return import_module("k8sgpt_magic.explain")
    if module := _LAZY.get(name):
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def shared_session() -> Session:
    """The session that all cells of this kernel, and all plain calls in this process, share."""
    from k8sgpt_magic.session import Session

    return Session()


def analyze(*args: Any, **options: Any) -> Findings:
    """Read a cluster and judge it, in the shared session; the options are those of ``Session.analyze``."""
    return shared_session().analyze(*args, **options)


def diff(before: pd.DataFrame, after: pd.DataFrame) -> Changes:
    """What changed from one analysis to another: new, resolved, worse, better, unchanged, or not known."""
    from k8sgpt_magic.diagnosis.diff import diff

    return diff(before, after)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """``%load_ext k8sgpt_magic``: register the magics."""
    from k8sgpt_magic import ahead, completion, question_mark
    from k8sgpt_magic.magics import K8sGPTMagics

    magics = K8sGPTMagics(shell, shared_session())
    shell.register_magics(magics)
    # %config lists what is among the shell's configurables.
    shell.configurables[:] = [each for each in shell.configurables if not isinstance(each, K8sGPTMagics)]
    shell.configurables.append(magics)  # type: ignore[arg-type]
    completion.load(shell, shared_session())
    question_mark.load(shell)
    ahead.start(in_notebook=getattr(shell, "kernel", None) is not None)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """``%unload_ext k8sgpt_magic``: take the magics away, close connections, end the thread."""
    from k8sgpt_magic import completion, question_mark
    from k8sgpt_magic.magics import K8sGPTMagics

    completion.unload(shell)
    question_mark.unload(shell)
    for kind in K8sGPTMagics.magics.values():
        for name in kind:
            shell.magics_manager.magics["line"].pop(name, None)
            shell.magics_manager.magics["cell"].pop(name, None)
    shell.configurables[:] = [each for each in shell.configurables if not isinstance(each, K8sGPTMagics)]
    shared_session().close()
