"""How to reach a cluster: kubeconfig, context and credentials, read by the official ``kubernetes`` package.

Of its two clients the synchronous one is used, in a thread: it is quicker to import, and a credential plugin that
hangs can be left behind there.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from msgspec import Struct

from k8sgpt_magic.errors import KubeconfigError, NoKubeconfig, UnknownContext

# Where Kubernetes mounts a pod's own credentials.
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Access(Struct):
    """What a connection needs. ``namespace`` is the context's; ``user`` the kubeconfig's name for the credentials.

    The authorization header is asked of ``authorization`` for each read, since tokens expire.
    """

    server: str
    context: str
    namespace: str
    user: str
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None
    configuration: Any

    @property
    def host(self) -> str:
        return urlsplit(self.server).netloc

    def authorization(self) -> dict[str, str]:
        """The headers that authenticate, refreshed where the credentials know how."""
        return {
            setting["key"]: setting["value"]
            for setting in self.configuration.auth_settings().values()
            if setting.get("in") == "header" and setting.get("value")
        }

    def __repr__(self) -> str:
        return f"Access(server={self.server!r}, context={self.context!r}, user={self.user!r})"


def paths(kubeconfig: str = "") -> list[Path]:
    """The kubeconfig files that exist: the one named, those of ``KUBECONFIG``, or ``~/.kube/config``."""
    named = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    return [path for part in named.split(os.pathsep) if part and (path := Path(part).expanduser()).is_file()]


def has_cluster() -> bool:
    """Whether a kubeconfig with a current context, or a pod's own credentials, are where kubectl would look."""
    if _is_in_cluster():
        return True
    try:
        return bool(_current_context(paths()))
    except KubeconfigError:
        # A broken kubeconfig is a mistake to report, not a reason to show the demo.
        return True


def contexts(kubeconfig: str = "") -> list[str]:
    """The names of all contexts."""
    found = [each.get("name") for content in _contents(paths(kubeconfig)) for each in content.get("contexts") or ()]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def load(context: str = "", kubeconfig: str = "") -> Access:
    """The access that a context gives. May run a credential plugin, so call it where blocking does no harm.

    Raises ``NoKubeconfig``, ``UnknownContext`` or ``KubeconfigError``.
    """
    from kubernetes.client import Configuration

    configuration = Configuration()
    files = paths(kubeconfig)
    if not files:
        if kubeconfig or context or not _is_in_cluster():
            looked = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
            raise NoKubeconfig(
                f"There is no kubeconfig at {looked}.",
                advice="Name one with --kubeconfig or KUBECONFIG, or look at the demo: %k8sgpt analyze --source demo",
            )
        return _in_cluster(configuration)
    name = context or _current_context(files)
    if not name:
        raise UnknownContext(
            f"The kubeconfig {_named(files)} has no current context.",
            advice=f"Choose one with --context: {_offer(kubeconfig)}",
        )
    known = contexts(kubeconfig)
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? There are: " if close else "there are: "
        raise UnknownContext(
            f"The kubeconfig {_named(files)} has no context {name!r}.",
            advice=f"{hint}{_offer(kubeconfig)}".capitalize(),
        )
    return _from_files(configuration, files, name)


def _from_files(configuration: Any, files: list[Path], name: str) -> Access:
    from kubernetes.config import ConfigException, load_kube_config

    entry = _context(files, name)
    with _plugin_errors() as failures:
        try:
            load_kube_config(  # type: ignore[no-untyped-call]
                config_file=os.pathsep.join(map(str, files)),
                context=name,
                client_configuration=configuration,
                persist_config=False,
            )
        except (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise KubeconfigError(f"The context {name!r} of {_named(files)} cannot be used: {error}") from error
    if failures:
        raise KubeconfigError(
            f"The credential plugin of context {name!r} failed: {failures[0].removeprefix('exec: ')}",
            advice="Run it by hand, or log in again; kubectl would fail in the same way.",
        )
    return _access(configuration, name, str(entry.get("namespace") or "default"), str(entry.get("user") or ""))


def _in_cluster(configuration: Any) -> Access:
    from kubernetes.config import ConfigException, load_incluster_config

    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise KubeconfigError(f"The credentials of this pod cannot be used: {error}") from error
    try:
        namespace = (IN_CLUSTER / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        namespace = "default"
    return _access(configuration, "in-cluster", namespace, "service account of this pod")


def _access(configuration: Any, context: str, namespace: str, user: str) -> Access:
    server = str(configuration.host or "").rstrip("/")
    if not server.startswith(("http://", "https://")):
        raise KubeconfigError(f"The context {context!r} names no API server that can be reached: {server!r}")
    return Access(
        server=server,
        context=context,
        namespace=namespace,
        user=user,
        tls=_tls(configuration, context) if server.startswith("https") else None,
        server_name=configuration.tls_server_name or None,
        proxy=configuration.proxy or None,
        configuration=configuration,
    )


def _tls(configuration: Any, context: str) -> ssl.SSLContext:
    try:
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
        # Authorities of private clusters often lack what strict checking wants; kubectl does not ask for it.
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file, configuration.key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise KubeconfigError(f"A certificate of context {context!r} cannot be used: {error}") from error
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls


def _contents(files: list[Path]) -> Iterator[dict[str, Any]]:
    for path in files:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            where = " ".join(str(error).split())
            raise KubeconfigError(f"The kubeconfig {path} cannot be read: {where}") from error
        if content is None:
            continue
        if not isinstance(content, dict):
            raise KubeconfigError(
                f"{path} is not a kubeconfig.", advice="It should hold clusters, users and contexts."
            )
        yield content


def _current_context(files: list[Path]) -> str:
    """The first that is set wins, as with kubectl; the Python package would take the last."""
    return next((str(name) for content in _contents(files) if (name := content.get("current-context"))), "")


def _context(files: list[Path], name: str) -> dict[str, Any]:
    for content in _contents(files):
        for each in content.get("contexts") or ():
            if isinstance(each, dict) and each.get("name") == name:
                entry = each.get("context")
                return entry if isinstance(entry, dict) else {}
    return {}


def _is_in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (IN_CLUSTER / "token").exists()


def _named(files: list[Path]) -> str:
    return ", ".join(map(str, files))


def _offer(kubeconfig: str) -> str:
    return ", ".join(contexts(kubeconfig)) or "none"


@contextmanager
def _plugin_errors() -> Iterator[list[str]]:
    """What the kubernetes package only logs when a credential plugin fails."""
    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                messages.append(record.getMessage())

    root, handler = logging.getLogger(), Collect()
    root.addHandler(handler)
    try:
        yield messages
    finally:
        root.removeHandler(handler)
