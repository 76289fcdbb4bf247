"""Explanations. The package is the function of its name: ``k8sgpt_magic.explain(df)``."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k8sgpt_magic.frame import Findings


class _Callable(ModuleType):
    def __call__(self, what: Any = None, *, text: str = "", **style: Any) -> Findings:
        """Explain findings in the shared session: all of the last analysis, rows of it, or ids; or a text instead.

        ``style`` are the fields of ``explainer.Style`` (``backend``, ``model``, ``ask``, ``language``, ...). Returns
        the rows with the columns that ``Explainer.explain`` fills, and raises what it raises.
        """
        from k8sgpt_magic import shared_session
        from k8sgpt_magic.explain.explainer import Style

        return shared_session().explainer.explain(what, Style(**style), text=text)


# A name cannot be a package and a function in any other way.
sys.modules[__name__].__class__ = _Callable
