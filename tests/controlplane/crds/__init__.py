"""CustomResourceDefinitions of real projects, from the Go modules that these projects publish.

They are kept beside the control plane's binaries, outside the checkout. Modules are checked against the sums here, as
``go.sum`` has them. What no module has as YAML is generated from its Go types, as the project itself does it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..build import BuildError, cache_dir

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class _Module:
    """A version of a Go module, its sum, and the files in it that are wanted."""

    path: str
    version: str
    sum: str
    files: tuple[str, ...]


_GATEWAY = "config/crd/standard/gateway.networking.k8s.io_{}.yaml"
_CERTIFICATES = "deploy/crds/cert-manager.io_{}.yaml"
_POLICIES = "config/crds/policyreport/wgpolicyk8s.io_{}.yaml"
_MONITORING = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"


def _files(template: str, *plurals: str) -> tuple[str, ...]:
    return tuple(template.format(plural) for plural in plurals)


_MODULES = (
    _Module(
        "sigs.k8s.io/gateway-api",
        "v1.6.3",
        "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
        _files(_GATEWAY, "gatewayclasses", "gateways", "httproutes", "referencegrants"),
    ),
    _Module(
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ),
    _Module(
        "k8s.io/autoscaler/vertical-pod-autoscaler",
        "v1.8.1",
        "h1:Pe8bV1wozN4gOKO1rleiIY5alIyAXN+DnXDbXQcL4fI=",
        ("deploy/vpa-v1-crd-gen.yaml",),
    ),
    _Module(
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        _files(_CERTIFICATES, "certificates", "certificaterequests", "issuers", "clusterissuers"),
    ),
    _Module(
        "github.com/kyverno/kyverno",
        "v1.19.1",
        "h1:/MkgFii3/VlQfKR1JpC9tVwNNVNQTt2S4U6qCsafsTU=",
        _files(_POLICIES, "policyreports", "clusterpolicyreports"),
    ),
    _Module(
        "github.com/argoproj/argo-cd/v3",
        "v3.4.6",
        "h1:wm3Skm0r+ho2ySqIVYsH5ievTv7KGEHfk6XtgJcXmo4=",
        ("manifests/crds/application-crd.yaml",),
    ),
    _Module(
        "github.com/fluxcd/kustomize-controller",
        "v1.9.6",
        "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=",
        ("config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",),
    ),
    _Module(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        _files(
            _MONITORING,
            *("prometheuses", "prometheusagents", "thanosrulers"),
            *("servicemonitors", "podmonitors", "prometheusrules"),
        ),
    ),
)
# What stands in the same files and that no rule reads.
_UNUSED = {"VerticalPodAutoscalerCheckpoint"}
# The packages of Go types whose CRDs are generated; their modules are in go.mod and go.sum.
_GENERATED = ("github.com/fluxcd/helm-controller/api/v2",)

# The modules of the Operator Framework cannot be had from the module proxy. Groups, versions, kinds and scopes are
# those of its CRDs; of the fields nothing is checked.
_UNCHECKED = (
    ("olm.operatorframework.io", "v1", "ClusterCatalog", "Cluster"),
    ("olm.operatorframework.io", "v1", "ClusterExtension", "Cluster"),
    ("operators.coreos.com", "v1alpha1", "ClusterServiceVersion", "Namespaced"),
    ("operators.coreos.com", "v1alpha1", "Subscription", "Namespaced"),
    ("operators.coreos.com", "v1alpha1", "InstallPlan", "Namespaced"),
    ("operators.coreos.com", "v1alpha1", "CatalogSource", "Namespaced"),
    ("operators.coreos.com", "v1", "OperatorGroup", "Namespaced"),
)


class _Loader(yaml.CSafeLoader):
    """Takes a lone ``=`` (an operator of Prometheus) for the text that it is."""


_Loader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)


def definitions() -> list[dict[str, Any]]:
    """All of them as manifests; downloaded and generated first if need be, which takes Go and the module proxy.

    Raises ``BuildError`` where that fails.
    """
    folder = cache_dir() / f"crds-{_key()}"
    if not folder.is_dir():
        _fill(folder)
    found = [
        document
        for file in sorted(folder.iterdir())
        for document in yaml.load_all(file.read_text(), _Loader)
        if document and document["spec"]["names"]["kind"] not in _UNUSED
    ]
    return found + [_unchecked(*each) for each in _UNCHECKED]


def _key() -> str:
    pinned = (_HERE / "go.sum").read_text()
    return hashlib.sha256(repr((_MODULES, _GENERATED, pinned)).encode()).hexdigest()


def _fill(folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise BuildError("the CRDs that tests install come with Go modules, and no `go` is on the PATH")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder.parent))
    try:
        for module in _MODULES:
            source = _downloaded(go, module)
            for file in module.files:
                shutil.copyfile(source / file, staging / Path(file).name)
        for package in _GENERATED:
            _run(go, "tool", "controller-gen", "crd", f"paths={package}", f"output:crd:dir={staging}")
        staging.chmod(0o755)
        if not folder.is_dir():  # another process may have been faster
            staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _downloaded(go: str, module: _Module) -> Path:
    about = json.loads(_run(go, "mod", "download", "-json", f"{module.path}@{module.version}"))
    if about["Sum"] != module.sum:
        raise BuildError(f"{module.path} {module.version} has the sum {about['Sum']}, and {module.sum} is wanted")
    return Path(about["Dir"])


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        cwd=_HERE,
        env={**os.environ, "GOFLAGS": "-mod=readonly"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command[1:4])} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def _unchecked(group: str, version: str, kind: str, scope: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }
