"""The users of the test control plane: tokens, a client certificate, and kubeconfig files."""

from __future__ import annotations

import base64
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ADMIN = "admin"
CERTIFICATE_ADMIN = "cert-admin"
READER = "reader"
READER_NAMESPACE = "team-a"
VIEWER = "viewer"
NOBODY = "nobody"

_MASTERS = "system:masters"
_CLUSTER = "test"


@dataclass(frozen=True)
class User:
    """One who can authenticate; what they may do is in rbac.yaml, except for members of system:masters."""

    name: str
    group: str = ""
    namespace: str = ""


TOKEN_USERS = (User(ADMIN, _MASTERS), User(READER, namespace=READER_NAMESPACE), User(VIEWER), User(NOBODY))

# Components have users of their own so that the audit log can tell their requests from a test's.
COMPONENT_USERS = (
    User("kube-controller-manager", _MASTERS),
    User("kube-scheduler", _MASTERS),
    User("kwok-controller", _MASTERS),
)


class Credentials:
    """Keys, certificates, tokens and kubeconfigs in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True)
        self.tokens_csv = directory / "tokens.csv"
        self.service_account_key = directory / "sa.key"
        self.client_ca = directory / "client-ca.crt"
        self._tokens = {user.name: secrets.token_hex(16) for user in (*TOKEN_USERS, *COMPONENT_USERS)}
        self._write_tokens()
        self._write_keys()

    def token(self, user: str) -> str:
        return self._tokens[user]

    def kubeconfig(self, user: str) -> Path:
        return self._directory / f"{user}.kubeconfig"

    def write_kubeconfigs(self, server: str, ca_pem: bytes) -> None:
        for user in (*TOKEN_USERS, *COMPONENT_USERS):
            self._write_kubeconfig(user, {"token": self._tokens[user.name]}, server, ca_pem)
        certificate = {
            "client-certificate-data": _base64(self._directory / "cert-admin.crt"),
            "client-key-data": _base64(self._directory / "cert-admin.key"),
        }
        self._write_kubeconfig(User(CERTIFICATE_ADMIN, _MASTERS), certificate, server, ca_pem)

    def _write_kubeconfig(self, user: User, login: dict[str, str], server: str, ca_pem: bytes) -> None:
        context = {"cluster": _CLUSTER, "user": user.name}
        if user.namespace:
            context["namespace"] = user.namespace
        cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode()}
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": _CLUSTER, "cluster": cluster}],
            "users": [{"name": user.name, "user": login}],
            "contexts": [{"name": user.name, "context": context}],
            "current-context": user.name,
        }
        path = self.kubeconfig(user.name)
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        path.chmod(0o600)

    def _write_tokens(self) -> None:
        lines = [
            f'{self._tokens[user.name]},{user.name},uid-{user.name},"{user.group}"\n'
            for user in (*TOKEN_USERS, *COMPONENT_USERS)
        ]
        self.tokens_csv.write_text("".join(lines))
        self.tokens_csv.chmod(0o600)

    def _write_keys(self) -> None:
        ca_key = self._directory / "client-ca.key"
        user_key = self._directory / "cert-admin.key"
        request = self._directory / "cert-admin.csr"
        for key in (self.service_account_key, ca_key, user_key):
            # In the SEC 1 form: an API server does not find the public key in a PKCS #8 file.
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        _openssl(
            *("req", "-x509", "-new", "-key", ca_key, "-subj", "/CN=test-client-ca"),
            *("-days", "30", "-out", self.client_ca),
        )
        _openssl(
            *("req", "-new", "-key", user_key, "-subj", f"/O={_MASTERS}/CN={CERTIFICATE_ADMIN}"),
            *("-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.client_ca, "-CAkey", ca_key),
            *("-set_serial", "1", "-days", "30", "-out", self._directory / "cert-admin.crt"),
        )


def _openssl(*arguments: str | Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        raise RuntimeError("the test control plane's keys are made with `openssl`, which is not on the PATH")
    subprocess.run([openssl, *map(str, arguments)], check=True, capture_output=True)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
