"""What goes wrong in operation, said in a line or two: what failed, where, and what to do next.

    K8sGPTError
    ├── NoKubeconfig       nothing says where a cluster is
    ├── UnknownContext     the kubeconfig has no such context
    ├── KubeconfigError    a kubeconfig that is there and not right, or whose credential plugin failed
    ├── Unreachable        no answer: refused, no such host, no time, TLS
    ├── Unauthorized       401: the credentials were not accepted
    ├── Forbidden          403 on everything that was asked for
    ├── ServerError        the server answered, and could not
    ├── SnapshotError      a file that is damaged, or no snapshot
    └── BackendError       a model that did not answer

``InvalidOption`` stands beside them: it is the user's mistake, not the world's.
"""

from __future__ import annotations


class InvalidOption(ValueError):
    """An option that makes no sense here; ``str()`` says why. Magics turn it into a ``UsageError``."""


class K8sGPTError(Exception):
    """Base of all errors in operation. ``message`` says what failed and where, ``advice`` what to do next."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return " ".join(line.strip() for line in (self.message, self.advice) if line)

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self.message}", *([self.advice] if self.advice else [])]


class NoKubeconfig(K8sGPTError):
    """Neither a kubeconfig nor a pod's credentials were found."""


class UnknownContext(K8sGPTError):
    """The kubeconfig has no context of that name."""


class KubeconfigError(K8sGPTError):
    """A kubeconfig that cannot be used: not YAML, a part missing, a credential plugin that failed."""


class Unreachable(K8sGPTError):
    """The API server gave no answer."""


class Unauthorized(K8sGPTError):
    """The API server did not accept the credentials (401)."""


class Forbidden(K8sGPTError):
    """Nothing of what was asked for may be read (403)."""


class ServerError(K8sGPTError):
    """The API server answered with a failure of its own."""


class SnapshotError(K8sGPTError):
    """A snapshot that cannot be read: which file, where in it, and what is accepted."""


class BackendError(K8sGPTError):
    """A model, or the way to it, that gave no answer."""
