"""Which source an analysis reads: the cluster, a snapshot, or the demo."""

from __future__ import annotations

from k8sgpt_magic.cluster.source import Source


def open_source(source: str, context: str, kubeconfig: str) -> Source:
    """Open ``demo``, ``live``, or the path or URL of a snapshot; nothing is read yet.

    Without a ``source`` it is the cluster where a kubeconfig or a pod's credentials are at hand, otherwise the demo.
    Raises ``K8sGPTError`` for a kubeconfig, context or file that is not there or not right.
    """
    if not source:
        from k8sgpt_magic.cluster.kubeconfig import has_cluster

        source = "live" if context or kubeconfig or has_cluster() else "demo"
    if source == "demo":
        from k8sgpt_magic.cluster.demo import DemoSource

        return DemoSource()
    if source == "live":
        from k8sgpt_magic.cluster.live import LiveSource

        return LiveSource(context=context, kubeconfig=kubeconfig)
    from k8sgpt_magic.cluster.snapshot import SnapshotSource

    return SnapshotSource(source)
