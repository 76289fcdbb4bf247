"""NetworkPolicy: does it apply to pods, and do its rules mean what was meant?

A policy that denies everything is the usual beginning and no problem.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.resources import (
    LabelSelector,
    Namespace,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    Pod,
)
from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.findings import Code, Finding
from k8sgpt_magic.wording import count, joined

_DOCS = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"

SELECTS_NOTHING = Code(
    "NetworkPolicySelectsNothing", "info", "The policy's selector matches no pod, so it changes nothing.", _DOCS
)
NO_DNS = Code(
    "NetworkPolicyNoDNS",
    "warning",
    "Pods may not reach a name server, so names do not resolve for them and most connections fail.",
    f"{_DOCS}#default-deny-all-egress-traffic",
)
PEER_MATCHES_NOTHING = Code(
    "NetworkPolicyPeerMatchesNothing",
    "info",
    "A rule allows traffic with pods or namespaces that no label fits, so it allows nothing.",
    f"{_DOCS}#behavior-of-to-and-from-selectors",
)
PORT_MISSING = Code(
    "NetworkPolicyPortMissing",
    "warning",
    "A rule allows a port by a name that no selected pod has, so it allows nothing.",
    f"{_DOCS}#networkpolicy-resource",
)
OPEN = Code(
    "NetworkPolicyOpenToAll", "info", "A rule lets everybody in, from anywhere.", f"{_DOCS}#allow-all-ingress-traffic"
)

_EVERYWHERE = {"0.0.0.0/0", "::/0"}
# A policy is often applied before the pods it is for.
GRACE = 600


@analyzer(
    NetworkPolicy, reads=[Pod, Namespace], codes=[SELECTS_NOTHING, NO_DNS, PEER_MATCHES_NOTHING, PORT_MISSING, OPEN]
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """NetworkPolicies that apply to nothing, forget name resolution, or allow what does not exist."""
    by_namespace: defaultdict[str, list[NetworkPolicy]] = defaultdict(list)
    for policy in view.all(NetworkPolicy):
        by_namespace[policy.namespace].append(policy)
    for namespace, policies in by_namespace.items():
        if not view.readable(Pod, namespace):
            continue
        selected = {policy.name: _pods(view, policy) for policy in policies}
        for policy in policies:
            if not selected[policy.name]:
                if (
                    policy.spec.pod_selector
                    and _text(policy.spec.pod_selector)
                    and view.older_than(policy.metadata.creation_timestamp, GRACE)
                ):
                    yield SELECTS_NOTHING.finding(
                        policy,
                        f"No pod in namespace {namespace} matches {_text(policy.spec.pod_selector)}.",
                        evidence=[("spec.podSelector", _text(policy.spec.pod_selector))],
                        masked=tuple(policy.spec.pod_selector.match_labels.values()),
                    )
                continue
            yield from _open(policy)
            yield from _peers(view, policy)
            yield from _ports(policy, selected[policy.name])
        yield from _without_dns(policies, selected)


def _pods(view: ClusterView, policy: NetworkPolicy) -> list[Pod]:
    # An empty selector, or none, means every pod of the namespace.
    chosen = view.pods_matching(policy.namespace, policy.spec.pod_selector or LabelSelector())
    return [pod for pod in chosen if pod.status.phase not in ("Succeeded", "Failed") and not pod.spec.host_network]


def _text(selector: LabelSelector) -> str:
    return selectors.text_of(selectors.from_spec(selector))


def _is_for(policy: NetworkPolicy, direction: str) -> bool:
    if policy.spec.policy_types:
        return direction in policy.spec.policy_types
    # Where no types are given, the API takes Ingress, and Egress if there are rules for it.
    return direction == "Ingress" or bool(policy.spec.egress)


def _without_dns(policies: list[NetworkPolicy], selected: dict[str, list[Pod]]) -> Iterator[Finding]:
    """Pods are isolated by all policies together, so only all together can forget port 53."""
    can_resolve: set[str] = set()
    isolated_by: dict[str, NetworkPolicy] = {}
    for policy in policies:
        if not _is_for(policy, "Egress"):
            continue
        allows = any(_allows_dns(rule.ports) for rule in policy.spec.egress)
        for pod in selected[policy.name]:
            isolated_by.setdefault(pod.name, policy)
            if allows:
                can_resolve.add(pod.name)
    cut_off: defaultdict[str, list[str]] = defaultdict(list)
    by_name = {policy.name: policy for policy in policies}
    for pod_name, policy in isolated_by.items():
        if pod_name not in can_resolve:
            cut_off[policy.name].append(pod_name)
    for policy_name, pods in cut_off.items():
        policy = by_name[policy_name]
        # A rule for every destination and port was counted above; no rule at all is a pod meant to be alone.
        alone = not any(other.spec.egress for other in policies if _is_for(other, "Egress"))
        yield NO_DNS.finding(
            policy,
            f"{count(len(pods), 'pod')} may not reach port 53 anywhere, so names do not resolve for "
            f"{'it' if len(pods) == 1 else 'them'}: {joined(sorted(pods), 3)}.",
            evidence=[("spec.egress", "no rule of any policy that selects them allows port 53")],
            masked=tuple(sorted(pods)[:10]),
            severity="info" if alone else None,
        )


def _allows_dns(ports: tuple[NetworkPolicyPort, ...]) -> bool:
    if not ports:
        return True
    for port in ports:
        if port.protocol not in (None, "", "UDP", "TCP"):
            continue
        if port.port is None or (isinstance(port.port, str) and "dns" in port.port):
            return True
        if isinstance(port.port, int) and port.port <= 53 <= max(port.port, port.end_port or 0):
            return True
        # Name servers inside clusters often listen on another port than their Service's.
        if port.port in (5353, 1053, 8053):
            return True
    return False


def _open(policy: NetworkPolicy) -> Iterator[Finding]:
    if not _is_for(policy, "Ingress"):
        return
    for position, rule in enumerate(policy.spec.ingress):
        blocks = [peer.ip_block for peer in rule.from_ if peer.ip_block]
        wide = next((block for block in blocks if block.cidr in _EVERYWHERE and not block.except_), None)
        if not rule.from_ or wide:
            ports = joined(str(port.port) for port in rule.ports if port.port is not None)
            yield OPEN.finding(
                policy,
                f"Ingress rule {position + 1} allows {'any source' if not wide else wide.cidr}"
                f"{f' to port {ports}' if ports else ' to all ports'}.",
                key=str(position),
                evidence=[(f"spec.ingress[{position}].from", wide.cidr if wide else "empty, which means everybody")],
            )


def _peers(view: ClusterView, policy: NetworkPolicy) -> Iterator[Finding]:
    if not (view.readable(Pod) and view.readable(Namespace)):
        return
    groups = [("ingress", position, rule.from_) for position, rule in enumerate(policy.spec.ingress)]
    groups += [("egress", position, rule.to) for position, rule in enumerate(policy.spec.egress)]
    for direction, position, peers in groups:
        for number, peer in enumerate(peers):
            if peer.ip_block is None and not _matches_any(view, policy, peer):
                selector = _peer_text(peer)
                yield PEER_MATCHES_NOTHING.finding(
                    policy,
                    f"{direction.capitalize()} rule {position + 1} allows {selector}, of which there are none.",
                    key=f"{direction}-{position}-{number}",
                    evidence=[(f"spec.{direction}[{position}] peer {number + 1}", selector)],
                )


def _matches_any(view: ClusterView, policy: NetworkPolicy, peer: NetworkPolicyPeer) -> bool:
    if peer.namespace_selector is None:
        return bool(view.pods_matching(policy.namespace, peer.pod_selector or LabelSelector()))
    requirements = selectors.from_spec(peer.namespace_selector)
    chosen = [
        each.name
        for each in view.all(Namespace)
        # The API server gives every namespace a label with its own name.
        if selectors.matches(requirements, {"kubernetes.io/metadata.name": each.name, **each.metadata.labels})
    ]
    if peer.pod_selector is None or not _text(peer.pod_selector):
        return bool(chosen)
    return any(view.pods_matching(name, peer.pod_selector) for name in chosen)


def _peer_text(peer: NetworkPolicyPeer) -> str:
    parts = []
    if peer.namespace_selector is not None:
        parts.append(f"namespaces with {_text(peer.namespace_selector) or 'any labels'}")
    if peer.pod_selector is not None:
        parts.append(f"pods with {_text(peer.pod_selector) or 'any labels'}")
    return " and ".join(parts) or "nothing"


def _ports(policy: NetworkPolicy, pods: list[Pod]) -> Iterator[Finding]:
    """Names of ports in ingress rules are those of the selected pods' containers."""
    names: set[str] | None = None
    for position, rule in enumerate(policy.spec.ingress):
        for port in rule.ports:
            if not isinstance(port.port, str) or not port.port:
                continue
            if names is None:
                names = {each.name for pod in pods for container in pod.spec.containers for each in container.ports}
            if port.port not in names:
                yield PORT_MISSING.finding(
                    policy,
                    f"Ingress rule {position + 1} allows port {port.port!r}, and no selected pod has one so named.",
                    key=f"{position}-{port.port}",
                    evidence=[(f"spec.ingress[{position}].ports", port.port)],
                    masked=(port.port,),
                )
