"""The cluster as one analysis sees it: what was read, what could not be, and the joins between objects.

Analyzers ask the view and nothing else. It answers from memory; each index is built once, when first asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, groupby
from typing import Any, Literal, TypeVar, cast

from msgspec import Struct

from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.decode import Undecodable
from k8sgpt_magic.cluster.resources import (
    EndpointSlice,
    Event,
    KeyToPath,
    LabelSelector,
    ObjectRef,
    Pod,
    PodSpec,
    ReplicaSet,
    Resource,
)

R = TypeVar("R", bound=Resource)
T = TypeVar("T")

ReadStatus = Literal["read", "forbidden", "absent", "failed", "partial"]


RECENT = 3600
"""Seconds after which an event says little about now."""


class ReadResult(Struct, kw_only=True):
    """How the reading of one kind went, in one namespace or ("") in all of them.

    ``status``: ``read`` (all of it), ``forbidden`` (403), ``absent`` (the API is not served), ``failed`` (why:
    ``reason``), ``partial`` (some pages came before it failed). ``seconds`` is wall time, ``bytes`` what the
    server sent after decompression.
    """

    kind: str
    namespace: str = ""
    status: ReadStatus = "read"
    reason: str = ""
    objects: int = 0
    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0
    from_cache: bool = False


class LogRequest(Struct, frozen=True, order=True):
    """The end of one container's log: of the run before with ``previous``, at most ``lines`` and ``limit`` bytes."""

    namespace: str
    pod: str
    container: str
    previous: bool = False
    lines: int = 100
    limit: int = 65_536


class ClusterView:
    """What the analyzers of one run see.

    ``objects`` maps a kind to what was read of it; ``reads`` says how each reading went. ``namespaces`` limits
    ``all`` (empty: no limit) while lookups see everything read. ``selected`` holds the objects that the user's
    label selector picked, or None where none was given. ``now`` is the time to judge ages by: for a snapshot,
    when it was taken.
    """

    def __init__(
        self,
        objects: Mapping[str, Sequence[Resource]],
        reads: Sequence[ReadResult] = (),
        *,
        undecodable: Sequence[Undecodable] = (),
        namespaces: Collection[str] = (),
        selected: Collection[ObjectRef] | None = None,
        now: datetime | None = None,
        context: str = "",
    ) -> None:
        self._objects = objects
        self.reads = tuple(reads) or tuple(
            ReadResult(kind=kind, objects=len(found)) for kind, found in objects.items()
        )
        self.undecodable = tuple(undecodable)
        self.namespaces = frozenset(namespaces)
        self.selected = None if selected is None else frozenset(selected)
        self.now = now or datetime.now(UTC)
        self.context = context
        self.logs: dict[LogRequest, str] = {}
        """The logs that analyzers asked for, as far as they could be read."""
        self.reported: set[ObjectRef] = set()
        """Objects with a finding that is more than info, filled while analyzers run."""

    # --- objects -----------------------------------------------------------------------------------------

    def serves(self, kind: type[Resource]) -> bool:
        """Whether the cluster has this kind at all, as far as is known."""
        return any(read.status != "absent" for read in self.reads if read.kind == kind.kind)

    def all(self, kind: type[R]) -> Iterable[R]:
        """The objects of a kind that the user asked about: those of the chosen namespaces."""
        found = self._of(kind)
        if self.namespaces and kind.namespaced:
            return [each for each in found if each.metadata.namespace in self.namespaces]
        return found

    def get(self, kind: type[R], namespace: str, name: str) -> R | None:
        """An object by name, or None: absent, or not read. Ask ``missing`` which of the two."""
        return cast("R | None", self._by_ref.get(ObjectRef(kind.kind, namespace, name)))

    def everything(self) -> Iterable[Resource]:
        """All objects read, of all kinds and namespaces."""
        return (each for found in self._objects.values() for each in found)

    def find(self, ref: ObjectRef) -> Resource | None:
        return self._by_ref.get(ref)

    def missing(self, kind: type[Resource], namespace: str, name: str) -> bool:
        """Whether an object certainly does not exist: its kind was read there in full, and it is not in it."""
        if not self.readable(kind, namespace):
            return False
        ref = ObjectRef(kind.kind, namespace, name)
        return ref not in self._by_ref and ref not in self._undecodable_refs

    def readable(self, kind: type[Resource], namespace: str = "") -> bool:
        """Whether a kind was read in full: in that namespace or, where none is named, in all of them."""
        scopes = self._scopes_read.get(kind.kind, set())
        return "" in scopes or (bool(namespace) and namespace in scopes)

    def selects(self, ref: ObjectRef) -> bool:
        """Whether a finding on this object is among those the user asked for."""
        if self.namespaces and ref.namespace and ref.namespace not in self.namespaces:
            return False
        return self.selected is None or ref in self.selected

    def __len__(self) -> int:
        return sum(len(found) for found in self._objects.values())

    # --- time --------------------------------------------------------------------------------------------

    def age(self, since: datetime | None) -> timedelta:
        """How long ago; a time that is not known is zero long ago, so that grace periods favour silence."""
        return self.now - since if since else timedelta(0)

    def older_than(self, since: datetime | None, seconds: float) -> bool:
        return since is not None and (self.now - since).total_seconds() > seconds

    def is_recent(self, event: Event) -> bool:
        """Whether an event says something about now: events are kept for an hour by default."""
        seen = event.last_seen
        return seen is None or seen >= self._recent

    @cached_property
    def _recent(self) -> datetime:
        return self.now - timedelta(seconds=RECENT)

    # --- joins -------------------------------------------------------------------------------------------

    def events(self, on: Resource | ObjectRef, *reasons: str, type: str = "Warning") -> list[Event]:
        """Events about an object, newest first: of a type ("" for any) and of the named reasons, if any.

        An event about an earlier object of the same name (another uid) is not about this one.
        """
        ref, uid = (on, "") if isinstance(on, ObjectRef) else (on.ref, on.metadata.uid)
        about = self._events.get(ref)
        if about is None:
            return []
        return [
            event
            for event in about
            if (not type or event.type == type)
            and (not reasons or event.reason in reasons)
            and (not uid or event.involved_object.uid == uid or _is_of_unknown_uid(event))
        ]

    def owned_by(self, owner: Resource, kind: type[R]) -> list[R]:
        """The objects of a kind whose controlling owner this is."""
        by_owner = self._owned.get(kind.kind)
        if by_owner is None:
            groups = self.alike_pods if kind is Pod else ([each] for each in self._of(kind))
            by_owner = self._owned[kind.kind] = _index_owned(groups)
        metadata = owner.metadata
        owned = cast("dict[str, list[R]]", by_owner.get((owner.kind, metadata.namespace, metadata.name), {}))
        # What an earlier owner of the same name left behind belongs to nobody here.
        own = metadata.uid
        found = [several for uid, several in owned.items() if not uid or not own or uid == own]
        return found[0].copy() if len(found) == 1 else list(chain.from_iterable(found))

    def pods_of(self, owner: Resource) -> list[Pod]:
        """The pods of a workload, directly or through its ReplicaSets."""
        pods = list(self.owned_by(owner, Pod))
        if owner.kind == "Deployment":
            for replica_set in self.owned_by(owner, ReplicaSet):
                pods += self.owned_by(replica_set, Pod)
        return pods

    def pods_matching(self, namespace: str, selector: LabelSelector | Mapping[str, str]) -> list[Pod]:
        """The pods of a namespace that a selector picks; an empty selector picks all of them."""
        if not isinstance(selector, LabelSelector):
            selector = LabelSelector(match_labels=dict(selector))
        labels, requirements = selector.match_labels, selectors.from_spec(selector)
        if not requirements:
            return self._pods_by_namespace.get(namespace, [])
        if labels:
            # The rarest of the labels leaves the fewest pods to test.
            candidates = min((self._pods_with(namespace, *label) for label in labels.items()), key=len)
            if len(requirements) == 1:
                return candidates.copy()
        else:
            candidates = self._pods_by_namespace.get(namespace, [])
        return [pod for pod in candidates if selectors.matches(requirements, pod.metadata.labels)]

    @cached_property
    def alike_pods(self) -> list[list[Pod]]:
        """All pods read. Those that come one after another and were made from one template are a list together."""
        return [list(pods) for _, pods in groupby(self._of(Pod), _likeness)]

    def endpoint_slices(self, namespace: str, service: str) -> list[EndpointSlice]:
        return self._endpoint_slices.get((namespace, service), [])

    def topmost_owner(self, of: Resource) -> str:
        """``Kind/name`` of the topmost owner ("" without one), followed as far as the owners were read.

        An owner of a kind that was not read ends the walk under its own name.
        """
        current: Resource | None = of
        topmost = ""
        passed: dict[tuple[str, str, str], None] = {}
        while current is not None and current.metadata.owner_references:
            key = _owner_of(current)
            if known := self._topmost.get(key):
                topmost = known
                break
            if key in passed:
                break
            passed[key] = None
            topmost = f"{key[0]}/{key[2]}"
            current = self._find_owner(*key)
        for key in passed:
            self._topmost[key] = topmost
        return topmost

    def owners(self, of: Resource) -> list[str]:
        """``Kind/name`` of the owner, of that one's owner and so on, as far as they were read."""
        passed: dict[str, None] = {}
        current: Resource | None = of
        while current is not None and current.metadata.owner_references:
            kind, namespace, owner = _owner_of(current)
            if (name := f"{kind}/{owner}") in passed:
                break
            passed[name] = None
            current = self._find_owner(kind, namespace, owner)
        return list(passed)

    def _find_owner(self, kind: str, namespace: str, name: str) -> Resource | None:
        """An owner in the namespace of what it owns, or a cluster-scoped one."""
        return self.find(ObjectRef(kind, namespace, name)) or self.find(ObjectRef(kind, "", name))

    @cached_property
    def references(self) -> dict[ObjectRef, list[Reference]]:
        """Who refers to each ConfigMap, Secret, PersistentVolumeClaim and ServiceAccount: pods, by what field."""
        found: defaultdict[ObjectRef, list[Reference]] = defaultdict(list)
        for pods, references in self._templates.values():
            for target, reference in references or chain.from_iterable(pod_references([pod]) for pod in pods):
                found[target].append(reference)
        return dict(found)

    def references_of(self, pod: Pod) -> Sequence[tuple[ObjectRef, Reference]]:
        """What a pod refers to, by what field; the reference names all pods that have this one's template."""
        _, references = self._templates.get(_template(pod), ((), None))
        return pod_references([pod]) if references is None else references

    def kept(self, name: str, build: Callable[[ClusterView], T]) -> T:
        """An index of an analyzer's own, built once for this view however many analyzers ask for it."""
        if name not in self._kept:
            self._kept[name] = build(self)
        return cast("T", self._kept[name])

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return {}

    # --- indexes -----------------------------------------------------------------------------------------

    def _of(self, kind: type[R]) -> Sequence[R]:
        return cast("Sequence[R]", self._objects.get(kind.kind, ()))

    @cached_property
    def _by_ref(self) -> dict[ObjectRef, Resource]:
        found: dict[ObjectRef, Resource] = {}
        for kind, objects in self._objects.items():
            if kind != "Event":
                for each in objects:
                    metadata = each.metadata
                    found[ObjectRef(kind, metadata.namespace, metadata.name)] = each
        return found

    @cached_property
    def _templates(self) -> dict[_Template, tuple[list[Pod], list[tuple[ObjectRef, Reference]] | None]]:
        """The pods of each template and what they refer to; None where each refers to something else."""
        groups: defaultdict[_Template, list[Pod]] = defaultdict(list)
        for pods in self.alike_pods:
            groups[_template(pods[0])] += pods
        return {
            template: (pods, None if any(each.ephemeral for each in pods[0].spec.volumes) else pod_references(pods))
            for template, pods in groups.items()
        }

    @cached_property
    def _undecodable_refs(self) -> frozenset[ObjectRef]:
        return frozenset(damaged.ref for damaged in self.undecodable)

    @cached_property
    def _scopes_read(self) -> dict[str, set[str]]:
        scopes: defaultdict[str, set[str]] = defaultdict(set)
        for read in self.reads:
            if read.status == "read":
                scopes[read.kind].add(read.namespace)
        return scopes

    @cached_property
    def _events(self) -> dict[ObjectRef, list[Event]]:
        found: defaultdict[ObjectRef, list[Event]] = defaultdict(list)
        for event in self._of(Event):
            about = event.involved_object
            found[ObjectRef(about.kind, about.namespace, about.name)].append(event)
        beginning = datetime.min.replace(tzinfo=UTC)
        for events in found.values():
            if len(events) > 1:
                events.sort(key=lambda event: event.last_seen or beginning, reverse=True)
        return found

    @cached_property
    def _topmost(self) -> dict[tuple[str, str, str], str]:
        """The topmost owner of what has an owner of this kind and name in a namespace."""
        return {}

    @cached_property
    def _owned(self) -> dict[str, _ByOwner]:
        return {}

    @cached_property
    def _pods_by_namespace(self) -> dict[str, list[Pod]]:
        found: defaultdict[str, list[Pod]] = defaultdict(list)
        for pods in self.alike_pods:
            found[pods[0].namespace] += pods
        return found

    @cached_property
    def _pods_by_label(self) -> dict[str, dict[tuple[str, str], list[Pod]]]:
        return {}

    def _pods_with(self, namespace: str, key: str, value: str) -> list[Pod]:
        by_value = self._pods_by_label.get(key)
        if by_value is None:
            # Selectors use few of the labels that pods have.
            by_value = self._pods_by_label[key] = {}
            for pods in self.alike_pods:
                metadata = pods[0].metadata
                if (own := metadata.labels.get(key)) is not None:
                    by_value.setdefault((metadata.namespace, own), []).extend(pods)
        return by_value.get((namespace, value), [])

    @cached_property
    def _endpoint_slices(self) -> dict[tuple[str, str], list[EndpointSlice]]:
        found: defaultdict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
        for each in self._of(EndpointSlice):
            found[each.namespace, each.metadata.labels.get("kubernetes.io/service-name", "")].append(each)
        return found


class Reference(Struct, frozen=True, gc=False):
    """One use of an object by a pod, or by all pods that were made alike.

    ``keys`` are the keys that must be in the object; ``optional`` as in the spec.
    """

    pods: Sequence[Pod]
    place: tuple[str, ...]
    keys: tuple[str, ...] = ()
    optional: bool = False

    @property
    def path(self) -> str:
        """The path of the field, such as ``spec.volumes[data]``."""
        return "".join(self.place)


_Template = tuple[str | int, ...]


def _template(pod: Pod) -> _Template:
    """What pods of one template have in common. Sources let such pods share parts, so identity tells."""
    spec = pod.spec
    return (
        pod.metadata.namespace,
        spec.service_account_name,
        id(spec.containers),
        id(spec.volumes),
        id(spec.init_containers),
        id(spec.ephemeral_containers),
        id(spec.image_pull_secrets),
    )


def _likeness(pod: Pod) -> tuple[int, int, _Template]:
    """What pods of one template, one owner and the same labels have in common."""
    return id(pod.metadata.labels), id(pod.metadata.owner_references), _template(pod)


def pod_references(pods: Sequence[Pod]) -> list[tuple[ObjectRef, Reference]]:
    """Every ConfigMap, Secret, PersistentVolumeClaim and ServiceAccount that the specs of some pods name.

    The pods are alike, and of one namespace; with more than one, none has an ephemeral volume.
    """
    return spec_references(pods[0].spec, pods[0].namespace, pods)


def spec_references(spec: PodSpec, namespace: str, pods: Sequence[Pod] = ()) -> list[tuple[ObjectRef, Reference]]:
    """The same of a spec that these pods have, or that no pod has yet: then without ephemeral volumes.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
    """
    found: list[tuple[ObjectRef, Reference]] = []

    def add(kind: str, name: str, place: tuple[str, ...], keys: tuple[str, ...] = (), optional: bool = False) -> None:
        found.append((ObjectRef(kind, namespace, name), Reference(pods, place, keys, optional)))

    for volume in spec.volumes:
        place: tuple[str, ...] = ("spec.volumes[", volume.name, "]")
        if (config := volume.config_map) is not None and config.name:
            add("ConfigMap", config.name, place, _keys(config.items), config.optional)
        elif (secret := volume.secret) is not None and secret.secret_name:
            add("Secret", secret.secret_name, place, _keys(secret.items), secret.optional)
        elif volume.projected is not None:
            for source in volume.projected.sources:
                for kind, projected in (("ConfigMap", source.config_map), ("Secret", source.secret)):
                    if projected is not None and projected.name:
                        add(kind, projected.name, place, _keys(projected.items), projected.optional)
        elif (claim := volume.persistent_volume_claim) is not None and claim.claim_name:
            add("PersistentVolumeClaim", claim.claim_name, place)
        elif volume.ephemeral is not None and pods:
            add("PersistentVolumeClaim", f"{pods[0].name}-{volume.name}", place)
    for list_name, containers in (
        ("spec.containers[", spec.containers),
        ("spec.initContainers[", spec.init_containers),
        ("spec.ephemeralContainers[", spec.ephemeral_containers),
    ):
        for container in containers:
            for variable in container.env:
                if (value_from := variable.value_from) is None:
                    continue
                place = (list_name, container.name, "].env[", variable.name, "]")
                if (config_key := value_from.config_map_key_ref) is not None and config_key.name:
                    add("ConfigMap", config_key.name, place, (config_key.key,), config_key.optional)
                elif (secret_key := value_from.secret_key_ref) is not None and secret_key.name:
                    add("Secret", secret_key.name, place, (secret_key.key,), secret_key.optional)
            for env_from in container.env_from:
                place = (list_name, container.name, "].envFrom")
                if (config_ref := env_from.config_map_ref) is not None and config_ref.name:
                    add("ConfigMap", config_ref.name, place, (), config_ref.optional)
                elif (secret_ref := env_from.secret_ref) is not None and secret_ref.name:
                    add("Secret", secret_ref.name, place, (), secret_ref.optional)
    for pull_secret in spec.image_pull_secrets:
        if pull_secret.name:
            # A missing pull secret does not stop a pod: the kubelet tries without it.
            add("Secret", pull_secret.name, ("spec.imagePullSecrets",), (), True)
    if spec.service_account_name:
        add("ServiceAccount", spec.service_account_name, ("spec.serviceAccountName",))
    return found


def _keys(items: Sequence[KeyToPath]) -> tuple[str, ...]:
    return tuple([item.key for item in items]) if items else ()


def _owner_of(each: Resource) -> tuple[str, str, str]:
    """Kind, namespace and name of the owner that controls an object, or else of the first of its owners."""
    owners = each.metadata.owner_references
    owner = owners[0] if len(owners) == 1 else next((one for one in owners if one.controller), owners[0])
    return owner.kind, each.metadata.namespace, owner.name


def condition(conditions: Iterable[Any], type: str) -> Any:
    """The condition of a type, or None. Conditions are a map by type; their order means nothing."""
    for each in conditions:
        if each.type == type:
            return each
    return None


def _is_of_unknown_uid(event: Event) -> bool:
    about = event.involved_object
    # The kubelet puts a node's name where its uid belongs.
    return not about.uid or about.kind == "Node"


_ByOwner = dict[tuple[str, str, str], dict[str, list[Resource]]]


def _index_owned(groups: Iterable[Sequence[Resource]]) -> _ByOwner:
    """What each owner, by kind, namespace and name, and by uid, controls. The objects of a group have one owner."""
    by_owner: _ByOwner = {}
    for group in groups:
        metadata = group[0].metadata
        for owner in metadata.owner_references:
            if owner.controller:
                # A cluster-scoped owner (a Node's static pods) has no namespace.
                namespace = "" if owner.kind == "Node" else metadata.namespace
                by_uid = by_owner.setdefault((owner.kind, namespace, owner.name), {})
                by_uid.setdefault(owner.uid, []).extend(group)
    return by_owner
