"""Which source an analysis reads: the cluster, a snapshot, or the demo."""

from __future__ import annotations

import os
from pathlib import Path

from k8sgpt_magic.cluster.source import Source

# Where Kubernetes mounts a pod's own credentials.
_IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def open_source(source: str, context: str, kubeconfig: str) -> Source:
    """Open ``demo``, ``live``, or the path or URL of a snapshot; nothing is read yet.

    Without a ``source`` it is the cluster where a kubeconfig or a pod's credentials are at hand, otherwise the demo.
    Raises ``K8sGPTError`` for a kubeconfig, context or file that is not there or not right.
    """
    if not source:
        source = "live" if context or kubeconfig or has_cluster() else "demo"
    if source == "demo":
        from k8sgpt_magic.cluster.demo import DemoSource

        return DemoSource()
    if source == "live":
        from k8sgpt_magic.cluster.live import LiveSource

        return LiveSource(context=context, kubeconfig=kubeconfig)
    from k8sgpt_magic.cluster.snapshot import SnapshotSource

    return SnapshotSource(source)


def has_cluster() -> bool:
    """Whether a kubeconfig with a current context, or a pod's own credentials, are where kubectl would look."""
    if os.environ.get("KUBERNETES_SERVICE_HOST") and _IN_CLUSTER_TOKEN.exists():
        return True
    return any(_has_current_context(path) for path in kubeconfig_paths())


def kubeconfig_paths() -> list[Path]:
    """The kubeconfig files that exist: those of ``KUBECONFIG``, or ``~/.kube/config``."""
    named = os.environ.get("KUBECONFIG")
    paths = [Path(part).expanduser() for part in named.split(os.pathsep) if part] if named else []
    return [path for path in paths or [Path("~/.kube/config").expanduser()] if path.is_file()]


def _has_current_context(path: Path) -> bool:
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        # A broken kubeconfig is a mistake to report, not a reason to show the demo.
        return True
    return bool(isinstance(config, dict) and config.get("current-context"))
