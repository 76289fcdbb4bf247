"""How to reach a cluster: kubeconfig, context and credentials, read by the official ``kubernetes`` package.

The files are parsed and merged here, once and with the fast parser, since the package would parse a kubeconfig of a
hundred contexts for more than a second; what is in the one context that is used is the package's to make sense of.
Of its two clients the synchronous one is used, in a thread: a credential plugin that hangs can be left behind there.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote as quote_key
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined, unused-ignore]

import yaml
from msgspec import Struct

from k8sgpt_magic.errors import KubeconfigError, NoKubeconfig, UnknownContext
from k8sgpt_magic.wording import joined, quote

# Where Kubernetes mounts a pod's own credentials.
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The fields of a kubeconfig that hold paths, which count from the directory of the file they are in.
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class Access(Struct):
    """What a connection needs. ``namespace`` is the context's; ``user`` the kubeconfig's name for the credentials.

    The authorization header is asked of ``authorization`` for each read, since tokens expire. ``impersonation`` are
    the headers, of which some may come several times, by which that user acts as another.
    """

    server: str
    context: str
    namespace: str
    user: str
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None
    configuration: Any
    impersonation: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        return urlsplit(self.server).netloc

    def authorization(self) -> dict[str, str]:
        """The headers that authenticate. May read a file or run a plugin again, as ``load`` may.

        Raises ``KubeconfigError`` where a plugin fails.
        """
        with _plugin_errors(self.context):
            settings = self.configuration.auth_settings().values()
        headers = {
            # Files that people write end with a newline, which a header must not.
            setting["key"]: str(setting["value"]).strip()
            for setting in settings
            if setting.get("in") == "header" and setting.get("value")
        }
        if any(set(value) & set("\r\n\0") for value in headers.values()):
            raise KubeconfigError(f"The token of user {self.user!r} has a line break in it, so it cannot be sent.")
        return headers

    def __repr__(self) -> str:
        return f"Access(server={self.server!r}, context={self.context!r}, user={self.user!r})"


def paths(kubeconfig: str = "") -> list[Path]:
    """The kubeconfig files that exist: the one named, those of ``KUBECONFIG``, or ``~/.kube/config``."""
    named = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    return [path for part in named.split(os.pathsep) if part and (path := Path(part).expanduser()).is_file()]


def version(kubeconfig: str = "") -> tuple[tuple[str, int, int], ...]:
    """Changes whenever one of the files does, by a login or a switch of the context."""
    found = []
    for path in paths(kubeconfig):
        with suppress(OSError):
            stat = path.stat()
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def has_cluster() -> bool:
    """Whether a kubeconfig with a current context, or a pod's own credentials, are where kubectl would look."""
    if _is_in_cluster():
        return True
    try:
        return bool(_Merged(paths()).current_context)
    except KubeconfigError:
        # A broken kubeconfig is a mistake to report, not a reason to show the demo.
        return True


def contexts(kubeconfig: str = "") -> list[str]:
    """The names of all contexts."""
    return _Merged(paths(kubeconfig)).names("contexts")


def uses_plugin(context: str = "", kubeconfig: str = "") -> bool:
    """Whether a context's credentials come from a plugin, which may take long, or ask the user for something."""
    merged = _Merged(paths(kubeconfig))
    entry = merged.find("contexts", context or merged.current_context)
    return bool(merged.find("users", str(entry.get("user") or "")).keys() & {"exec", "auth-provider"})


def load(context: str = "", kubeconfig: str = "") -> Access:
    """The access that a context gives. May run a credential plugin, so call it where blocking does no harm.

    Raises ``NoKubeconfig``, ``UnknownContext`` or ``KubeconfigError``.
    """
    files = paths(kubeconfig)
    if not files:
        if kubeconfig or context or not _is_in_cluster():
            looked = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
            raise NoKubeconfig(
                f"There is no kubeconfig at {looked}.",
                advice="Name one with --kubeconfig or KUBECONFIG, or look at the demo: %k8sgpt analyze --source demo",
            )
        return _in_cluster()
    merged = _Merged(files)
    known = merged.names("contexts")
    offer = joined(known, 20) or "none"
    name = context or merged.current_context
    if not name:
        raise UnknownContext(
            f"The kubeconfig {merged} has no current context.", advice=f"Choose one with --context: {offer}"
        )
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]!r}? There are: " if close else "There are: "
        raise UnknownContext(f"The kubeconfig {merged} has no context {name!r}.", advice=f"{hint}{offer}")
    return _from_files(merged, name)


def portable(context: str = "", kubeconfig: str = "") -> str:
    """A kubeconfig (JSON) of one context alone that holds for another machine: with the contents of files in it.

    In place of a credential plugin it has the token that the plugin gives now, so it may serve for a short time only.
    Raises as ``load`` does.
    """
    access = load(context, kubeconfig)
    merged = _Merged(paths(kubeconfig))
    entry = merged.find("contexts", access.context)
    cluster = _embedded(merged.find("clusters", str(entry.get("cluster") or "")))
    user = _embedded(merged.find("users", str(entry.get("user") or "")))
    if user.keys() & {"exec", "auth-provider"}:
        headers = access.authorization()
        user = {key: value for key, value in user.items() if key not in ("exec", "auth-provider")}
        if bearer := headers.get("authorization", "").removeprefix("Bearer "):
            user["token"] = bearer
        for key, path in (("client-certificate", "cert_file"), ("client-key", "key_file")):
            if file := getattr(access.configuration, path, None):
                user |= _embedded({key: file})
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": access.context,
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": access.context, "context": {**entry, "cluster": "cluster", "user": "user"}}],
        }
    )


def _embedded(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with the contents of the files that it names, in place of their paths."""
    embedded = dict(entry)
    for key in _PATHS:
        if not (path := embedded.pop(key, None)):
            continue
        try:
            content = Path(str(path)).read_bytes()
        except OSError as error:
            raise KubeconfigError(f"The kubeconfig names {path}, which cannot be read: {error.strerror}") from None
        if key == "tokenFile":
            embedded.setdefault("token", content.decode().strip())
        else:
            embedded.setdefault(f"{key}-data", base64.b64encode(content).decode())
    return embedded


def _from_files(merged: _Merged, name: str) -> Access:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config_from_dict

    entry = merged.find("contexts", name)
    cluster = merged.find("clusters", str(entry.get("cluster") or ""))
    user = str(entry.get("user") or "")
    login = merged.find("users", user)
    config = {
        "current-context": name,
        "contexts": [{"name": name, "context": entry}],
        "clusters": [{"name": entry.get("cluster"), "cluster": cluster}] if cluster else [],
        "users": [{"name": user, "user": login}],
    }
    configuration = Configuration()
    with _plugin_errors(name):
        try:
            load_kube_config_from_dict(  # type: ignore[no-untyped-call]
                config, context=name, client_configuration=configuration, persist_config=False
            )
        except (ConfigException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise KubeconfigError(
                f"The context {name!r} of {merged} cannot be used: {quote(str(error))}",
                advice="kubectl config view shows what is in it.",
            ) from error
    proxy = str(cluster.get("proxy-url") or "")
    access = _access(configuration, name, str(entry.get("namespace") or "default"), user, proxy)
    access.impersonation = tuple(_impersonation(name, login))
    return access


def _impersonation(context: str, login: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The headers for ``as``, ``as-uid``, ``as-groups`` and ``as-user-extra`` of a kubeconfig's user.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
    """
    user, uid, groups, extra = (login.get(key) for key in ("as", "as-uid", "as-groups", "as-user-extra"))
    if not user and (uid or groups or extra):
        raise KubeconfigError(f"The context {context!r} names groups to act in, but not the user to act as (as).")
    headers = [("Impersonate-User", user), ("Impersonate-Uid", uid)]
    headers += [("Impersonate-Group", group) for group in (groups if isinstance(groups, list) else ())]
    for key, values in extra.items() if isinstance(extra, dict) else ():
        name = f"Impersonate-Extra-{quote_key(str(key).lower(), safe='')}"
        headers += [(name, value) for value in (values if isinstance(values, list) else ())]
    for name, value in headers:
        if value:
            if set(str(value)) & set("\r\n\0"):
                raise KubeconfigError(f"The context {context!r} acts as a user with a line break in it.")
            yield name, str(value)


def _in_cluster() -> Access:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_incluster_config

    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise KubeconfigError(f"The credentials of this pod cannot be used: {error}") from error
    try:
        namespace = (IN_CLUSTER / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        namespace = "default"
    return _access(configuration, "in-cluster", namespace, "service account of this pod", "")


def _access(configuration: Any, context: str, namespace: str, user: str, proxy: str) -> Access:
    try:
        parts = urlsplit(str(configuration.host or "").rstrip("/"))
        # What stands before an "@" could be a password, and does not belong in messages.
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise KubeconfigError(
            f"The context {context!r} names no API server that can be reached: {quote(str(configuration.host))!r}"
        )
    server = parts.geturl()
    return Access(
        server=server,
        context=context,
        namespace=namespace,
        user=user,
        tls=_tls(configuration, context) if parts.scheme == "https" else None,
        server_name=configuration.tls_server_name or None,
        proxy=_proxy(context, server, proxy),
        configuration=configuration,
    )


def _proxy(context: str, server: str, named: str) -> str | None:
    """The kubeconfig's proxy or, as ``NO_PROXY`` allows, that of the environment."""
    proxy = named or _proxy_of_environment(server)
    if proxy is None:
        return None
    scheme = proxy.partition("://")[0].lower()
    if scheme not in ("http", "https", "socks5"):
        raise KubeconfigError(
            f"Context {context!r} is reached through a proxy of the kind {quote(scheme, 20)!r}; "
            "only http, https and socks5 proxies are supported.",
            advice="Set proxy-url in the kubeconfig (or HTTPS_PROXY) to one of those.",
        )
    if scheme == "socks5" and find_spec("aiohttp_socks") is None:
        raise KubeconfigError(
            f"Context {context!r} is reached through a SOCKS proxy, which needs the package aiohttp-socks.",
            advice="Install it: pip install 'k8sgpt-magic[socks]'",
        )
    return proxy


def _proxy_of_environment(server: str) -> str | None:
    parts, proxies = urlsplit(server), getproxies_environment()
    proxy = proxies.get(parts.scheme)
    host = parts.hostname or ""
    if not proxy or proxy_bypass_environment(parts.netloc, proxies):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None if host == "localhost" else proxy
    if address.is_loopback:
        return None
    for each in proxies.get("no", "").split(","):
        # Clusters are often exempt as a range of addresses, which kubectl knows and urllib does not.
        with suppress(ValueError):
            if address in ipaddress.ip_network(each.strip(), strict=False):
                return None
    return proxy


def _tls(configuration: Any, context: str) -> ssl.SSLContext:
    try:
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
        # Authorities of private clusters often lack what strict checking wants; kubectl does not ask for it.
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if configuration.cert_file:
            # Without a password OpenSSL would wait for one at the terminal of whoever started the kernel.
            tls.load_cert_chain(configuration.cert_file, configuration.key_file or None, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise KubeconfigError(f"A certificate or key of context {context!r} cannot be used: {error}") from error
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls


class _Merged:
    """Several files as one. Of entries with the same name the first wins, as with kubectl."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._contents = [(path, content) for path in files if (content := _content(path))]

    def __str__(self) -> str:
        return ", ".join(map(str, self._files))

    @property
    def current_context(self) -> str:
        return next((str(name) for _, content in self._contents if (name := content.get("current-context"))), "")

    def names(self, section: str) -> list[str]:
        names = (each.get("name") for _, each in self._entries(section))
        return list(dict.fromkeys(name for name in names if isinstance(name, str)))

    def find(self, section: str, name: str) -> dict[str, Any]:
        """What an entry holds, with paths made absolute; nothing where there is no such entry."""
        for path, each in self._entries(section):
            if each.get("name") == name:
                found = each.get(section.removesuffix("s"))
                return _resolved(found, path.absolute().parent) if isinstance(found, dict) else {}
        return {}

    def _entries(self, section: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        for path, content in self._contents:
            entries = content.get(section)
            for each in entries if isinstance(entries, list) else ():
                if isinstance(each, dict):
                    yield path, each


def _content(path: Path) -> dict[str, Any] | None:
    try:
        content = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 - it is the safe loader or the C one like it
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        # A part of the file as the parser quotes it may hold a credential.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"line {mark.line + 1}: {problem}" if mark else quote(str(error), 120)
        raise KubeconfigError(f"The kubeconfig {path} cannot be read: {where}") from None
    if content is None:
        return None
    if not isinstance(content, dict):
        raise KubeconfigError(f"{path} is not a kubeconfig.", advice="It should hold clusters, users and contexts.")
    return content


def _resolved(entry: dict[str, Any], directory: Path) -> dict[str, Any]:
    resolved = {
        key: str(directory / Path(value).expanduser())
        if key in _PATHS and value and isinstance(value, str)
        else value
        for key, value in entry.items()
    }
    plugin = resolved.get("exec")
    if isinstance(plugin, dict) and isinstance(command := plugin.get("command"), str) and os.sep in command:
        resolved["exec"] = plugin | {"command": str(directory / command)}
    return resolved


def _is_in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (IN_CLUSTER / "token").exists()


@contextmanager
def _plugin_errors(context: str) -> Iterator[None]:
    """Raise what the kubernetes package only logs when a credential plugin fails."""
    messages: list[str] = []
    thread = threading.get_ident()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # Other threads' errors are theirs.
            if record.levelno >= logging.ERROR and record.thread == thread:
                messages.append(record.getMessage())

    root, handler = logging.getLogger(), Collect()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
    if messages:
        raise KubeconfigError(
            f"The credential plugin of context {context!r} failed: {quote(messages[0].removeprefix('exec: '))}",
            advice="Run it by hand, or log in again; kubectl would fail in the same way.",
        )
