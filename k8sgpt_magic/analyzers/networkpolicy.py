"""NetworkPolicy: does it apply to pods, and do its rules mean what was meant?

A policy that denies everything is the usual beginning and no problem.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from k8sgpt_magic.analyzers import analyzer
from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.resources import (
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    LabelSelector,
    Namespace,
    NetworkPolicy,
    NetworkPolicyEgressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    Pod,
    StatefulSet,
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
    NetworkPolicy,
    reads=[Pod, Namespace, Deployment, StatefulSet, DaemonSet, Job, CronJob],
    codes=[SELECTS_NOTHING, NO_DNS, PEER_MATCHES_NOTHING, PORT_MISSING, OPEN],
)
def analyze(view: ClusterView) -> Iterator[Finding]:
    """NetworkPolicies that apply to nothing, forget name resolution, or allow what does not exist."""
    by_namespace: defaultdict[str, list[NetworkPolicy]] = defaultdict(list)
    for policy in view.all(NetworkPolicy):
        if not policy.metadata.deletion_timestamp:
            by_namespace[policy.namespace].append(policy)
    lookup = _Lookup(view)
    for namespace, policies in by_namespace.items():
        if not view.readable(Pod, namespace):
            continue
        selected = {policy.name: lookup.isolated(policy) for policy in policies}
        for policy in policies:
            if selected[policy.name]:
                yield from _open(policy)
                yield from _peers(lookup, policy)
                yield from _ports(policy, selected[policy.name])
            else:
                yield from _selects_nothing(lookup, policy)
        yield from _without_dns(lookup, policies, selected)


class _Lookup:
    """What selectors pick. Policies of one namespace mostly use the same few, so each is looked up once."""

    def __init__(self, view: ClusterView) -> None:
        self.view = view
        self._isolated: dict[tuple[str, str], list[Pod]] = {}
        self._namespaces: dict[str, list[str]] = {}
        self._exists: dict[tuple[str, str | None, str], bool] = {}

    def isolated(self, policy: NetworkPolicy) -> list[Pod]:
        """The running pods that a policy applies to. Those on the network of their node are out of its reach."""
        # An empty selector, or none, means every pod of the namespace.
        selector = policy.spec.pod_selector or LabelSelector()
        key = (policy.namespace, _text(selector))
        if key not in self._isolated:
            self._isolated[key] = [
                pod
                for pod in self.view.pods_matching(policy.namespace, selector)
                if pod.status.phase not in ("Succeeded", "Failed") and not pod.spec.host_network
            ]
        return self._isolated[key]

    def pods_may_match(self, namespace: str, selector: LabelSelector) -> bool:
        """Whether there are pods that a selector picks or, as with a CronJob between two runs, there will be."""
        if self.view.pods_matching(namespace, selector):
            return True
        # As among pods, the rarest of the labels leaves the fewest templates to test.
        places = [(namespace, *label) for label in selector.match_labels.items()] or [(namespace, "", "")]
        candidates = min((self._templates.get(place, []) for place in places), key=len)
        requirements = selectors.from_spec(selector)
        return any(selectors.matches(requirements, labels) for labels in candidates)

    @cached_property
    def _templates(self) -> dict[tuple[str, str, str], list[dict[str, str]]]:
        """The labels that workloads will give their pods, by namespace and each label, and (without one) all."""
        found: defaultdict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
        # Peers may be in namespaces that the user did not ask about.
        for each in self.view.everything():
            if isinstance(each, CronJob):
                template = each.spec.job_template.spec.template
            elif isinstance(each, (Deployment, StatefulSet, DaemonSet, Job)):
                template = each.spec.template
            else:
                continue
            labels = template.metadata.labels
            for key, value in (("", ""), *labels.items()):
                found[each.namespace, key, value].append(labels)
        return dict(found)

    def exists(self, namespace: str, peer: NetworkPolicyPeer) -> bool:
        """Whether there is anything that a peer of a policy in this namespace means."""
        pods = peer.pod_selector or LabelSelector()
        namespaces = None if peer.namespace_selector is None else _text(peer.namespace_selector)
        key = (namespace if namespaces is None else "", namespaces, _text(pods))
        if key not in self._exists:
            if peer.namespace_selector is None:
                self._exists[key] = self.pods_may_match(namespace, pods)
            else:
                chosen = self._chosen(peer.namespace_selector)
                is_any = not _text(pods)
                self._exists[key] = (
                    bool(chosen) if is_any else any(self.pods_may_match(name, pods) for name in chosen)
                )
        return self._exists[key]

    def may_have_name_server(self, namespace: str, peer: NetworkPolicyPeer) -> bool:
        """Whether a name server may be in what a peer of a policy in this namespace means."""
        homes = self._name_servers
        if peer.ip_block is not None or not homes or not self.view.readable(Namespace):
            return True
        if peer.namespace_selector is None:
            return namespace in homes
        return bool(homes & {*self._chosen(peer.namespace_selector)})

    @cached_property
    def _name_servers(self) -> set[str]:
        """The namespaces with pods that serve names; none where that is not known."""
        if not self.view.readable(Pod):
            return set()
        return {
            each.namespace
            for each in self.view.everything()
            if isinstance(each, Pod)
            for container in each.spec.containers
            for port in container.ports
            if port.container_port == 53 or port.name.startswith("dns")
        }

    def _chosen(self, selector: LabelSelector) -> list[str]:
        key = _text(selector)
        if key not in self._namespaces:
            places = list(selector.match_labels.items()) or [("", "")]
            candidates = min((self._namespaces_by_label.get(place, []) for place in places), key=len)
            requirements = selectors.from_spec(selector)
            self._namespaces[key] = [name for name, labels in candidates if selectors.matches(requirements, labels)]
        return self._namespaces[key]

    @cached_property
    def _namespaces_by_label(self) -> dict[tuple[str, str], list[tuple[str, dict[str, str]]]]:
        """The names and labels of namespaces, by each label and (without one) all."""
        found: defaultdict[tuple[str, str], list[tuple[str, dict[str, str]]]] = defaultdict(list)
        for each in self.view.all(Namespace):
            # The API server gives every namespace a label with its own name.
            labels = {"kubernetes.io/metadata.name": each.name, **each.metadata.labels}
            for key, value in (("", ""), *labels.items()):
                found[key, value].append((each.name, labels))
        return dict(found)


def _text(selector: LabelSelector) -> str:
    return selectors.text_of(selectors.from_spec(selector))


def _values(*chosen: LabelSelector | None) -> list[str]:
    """The values in selectors, which name things of the user's."""
    found: list[str] = []
    for selector in filter(None, chosen):
        found += selector.match_labels.values()
        for expression in selector.match_expressions:
            found += expression.values
    return found


def _selects_nothing(lookup: _Lookup, policy: NetworkPolicy) -> Iterator[Finding]:
    selector = policy.spec.pod_selector
    if (
        selector is None
        or not _text(selector)
        or not lookup.view.older_than(policy.metadata.creation_timestamp, GRACE)
    ):
        return
    # A policy for the pods of a Job has work to do, although just now they have ended, or are yet to come.
    if not lookup.pods_may_match(policy.namespace, selector):
        yield SELECTS_NOTHING.finding(
            policy,
            f"No pod in namespace {policy.namespace} matches {_text(selector)}.",
            evidence=[("spec.podSelector", _text(selector))],
            masked=_values(selector),
        )


def _is_for(policy: NetworkPolicy, direction: str) -> bool:
    if policy.spec.policy_types:
        return direction in policy.spec.policy_types
    # Where no types are given, the API takes Ingress, and Egress if there are rules for it.
    return direction == "Ingress" or bool(policy.spec.egress)


def _without_dns(lookup: _Lookup, policies: list[NetworkPolicy], selected: dict[str, list[Pod]]) -> Iterator[Finding]:
    """Pods are isolated by all policies together, so only all together can forget port 53."""
    isolating = [policy for policy in policies if _is_for(policy, "Egress")]
    with_dns: set[str] = set()
    with_rules: set[str] = set()
    isolated_by: dict[str, NetworkPolicy] = {}
    seen: set[tuple[int, bool, bool]] = set()
    for policy in isolating:
        pods = selected[policy.name]
        allows_dns = any(_allows_dns(lookup, policy.namespace, rule) for rule in policy.spec.egress)
        # A second policy that does the same to the same pods changes nothing.
        effect = (id(pods), allows_dns, bool(policy.spec.egress))
        if effect in seen:
            continue
        seen.add(effect)
        for pod in pods:
            isolated_by.setdefault(pod.name, policy)
        if allows_dns:
            with_dns.update(pod.name for pod in pods)
        if policy.spec.egress:
            with_rules.update(pod.name for pod in pods)
    cut_off: defaultdict[str, list[str]] = defaultdict(list)
    for pod_name, policy in isolated_by.items():
        if pod_name not in with_dns:
            cut_off[policy.name].append(pod_name)
    for policy in isolating:
        pod_names = sorted(cut_off.get(policy.name, ()))
        if not pod_names:
            continue
        # Pods that may reach nothing at all are meant to be alone; those that may reach something want its name.
        surprised = [name for name in pod_names if name in with_rules]
        shown = surprised or pod_names
        yield NO_DNS.finding(
            policy,
            f"{count(len(shown), 'pod')} may not reach port 53 anywhere, so names do not resolve for "
            f"{'it' if len(shown) == 1 else 'them'}: {joined(shown, 3)}.",
            evidence=[("spec.egress", "no rule of any policy that selects them allows port 53")],
            masked=shown[:10],
            severity=None if surprised else "info",
        )


def _allows_dns(lookup: _Lookup, namespace: str, rule: NetworkPolicyEgressRule) -> bool:
    if rule.ports:
        # Who names the port of name servers knows where they are.
        return _has_dns_port(rule.ports)
    return not rule.to or any(lookup.may_have_name_server(namespace, peer) for peer in rule.to)


def _has_dns_port(ports: tuple[NetworkPolicyPort, ...]) -> bool:
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
                masked=[port.port for port in rule.ports if isinstance(port.port, str)],
            )


def _peers(lookup: _Lookup, policy: NetworkPolicy) -> Iterator[Finding]:
    """One finding for each selector that picks nothing, however many rules repeat it."""
    view = lookup.view
    if not (view.readable(Pod) and view.readable(Namespace)):
        return
    if not view.older_than(policy.metadata.creation_timestamp, GRACE):
        return
    groups: list[tuple[str, int, tuple[NetworkPolicyPeer, ...]]] = []
    # Rules for a direction that the policy is not for have no effect.
    if _is_for(policy, "Ingress"):
        groups += [("ingress", position, rule.from_) for position, rule in enumerate(policy.spec.ingress)]
    if _is_for(policy, "Egress"):
        groups += [("egress", position, rule.to) for position, rule in enumerate(policy.spec.egress)]
    places: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    values: dict[str, list[str]] = {}
    for direction, position, peers in groups:
        for number, peer in enumerate(peers):
            if peer.ip_block is None and not lookup.exists(policy.namespace, peer):
                selector = _peer_text(peer)
                places[direction, selector].append((position, number))
                values[selector] = _values(peer.namespace_selector, peer.pod_selector)
    for (direction, selector), found in places.items():
        rules = [str(position + 1) for position in dict.fromkeys(position for position, _ in found)]
        several = len(rules) > 1
        yield PEER_MATCHES_NOTHING.finding(
            policy,
            f"{direction.capitalize()} {'rules' if several else 'rule'} {joined(rules)} "
            f"{'allow' if several else 'allows'} {selector}, of which there are none.",
            key="-".join((direction, *map(str, found[0]))),
            evidence=[
                (f"spec.{direction}[{position}] peer {number + 1}", selector) for position, number in found[:10]
            ],
            masked=values[selector],
        )


def _peer_text(peer: NetworkPolicyPeer) -> str:
    parts = []
    if peer.namespace_selector is not None:
        parts.append(f"namespaces with {_text(peer.namespace_selector) or 'any labels'}")
    if peer.pod_selector is not None:
        parts.append(f"pods with {_text(peer.pod_selector) or 'any labels'}")
    return " and ".join(parts) or "nothing"


def _ports(policy: NetworkPolicy, pods: list[Pod]) -> Iterator[Finding]:
    """Names of ports in ingress rules are those of the selected pods' containers."""
    named = {
        (position, port.port): None
        for position, rule in enumerate(policy.spec.ingress)
        for port in rule.ports
        if isinstance(port.port, str) and port.port
    }
    if not named or not _is_for(policy, "Ingress"):
        return
    known = {
        port.name
        for pod in pods
        # Native sidecars (init containers that stay) have ports of their own.
        for container in (*pod.spec.containers, *pod.spec.init_containers)
        for port in container.ports
    }
    for position, name in named:
        if name not in known:
            yield PORT_MISSING.finding(
                policy,
                f"Ingress rule {position + 1} allows port {name!r}, and no selected pod has one so named.",
                key=f"{position}-{name}",
                evidence=[(f"spec.ingress[{position}].ports", name)],
                masked=(name,),
            )
