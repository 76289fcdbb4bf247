"""What goes wrong in operation, said in a line or two: what failed, where, and what to do next.

K8sGPTError
├── SnapshotError       a file that is damaged or no snapshot
└── ClusterError        ... (see below)
"""

from __future__ import annotations


class InvalidOption(ValueError):
    """An option that makes no sense here; ``str()`` says why. Magics turn it into a ``UsageError``."""


class K8sGPTError(Exception):
    """Base of all errors in operation. The message is for people; ``advice`` is what they can do next."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return "\n".join(self._render_traceback_())

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of a traceback."""
        return [line for line in (self.message, self.advice) if line]


class SnapshotError(K8sGPTError):
    """A snapshot that cannot be read: which file, where in it, and what is accepted."""
