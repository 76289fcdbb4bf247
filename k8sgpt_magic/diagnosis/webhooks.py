"""Admission webhooks: the rules that mutating and validating configurations share.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from k8sgpt_magic.cluster import selectors
from k8sgpt_magic.cluster.resources import (
    EndpointSlice,
    LabelSelector,
    MutatingWebhookConfiguration,
    Namespace,
    Pod,
    Service,
    ServiceReference,
    ValidatingWebhookConfiguration,
    Webhook,
)
from k8sgpt_magic.cluster.view import ClusterView, condition
from k8sgpt_magic.diagnosis.certificates import chain_of
from k8sgpt_magic.findings import Code, Finding, Severity
from k8sgpt_magic.wording import ago, count, joined, quote

DOCS = "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/"
PRACTICES = "https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/"

Configuration = MutatingWebhookConfiguration | ValidatingWebhookConfiguration

START_GRACE = 120
"""Seconds that a configuration, a Service or the pods behind it may take to come up together."""

INJECTION_GRACE = 300
"""Seconds in which cert-manager or a job of the chart may still fill in the CA bundle."""

LONG_TIMEOUT = 15
"""Seconds that a request may hang for one webhook before clients give up on theirs; the default is 10."""

BLAMED_PODS = 20
"""Pods named as the reason at most: one failing pod explains as much as a hundred."""

INJECTORS = (
    "cert-manager.io/inject-ca-from",
    "cert-manager.io/inject-ca-from-secret",
    "service.beta.openshift.io/inject-cabundle",
)


class WebhookCodes(Struct, frozen=True):
    """The codes of one of the two kinds."""

    service_missing: Code
    port_missing: Code
    no_ready_endpoints: Code
    ca_bundle_empty: Code
    ca_bundle_expired: Code
    deadlock_risk: Code
    long_timeout: Code

    @classmethod
    def of(cls, kind: str, does: str) -> WebhookCodes:
        """``does`` says what such a webhook does with a request, for someone new to webhooks."""
        return cls(
            Code(
                f"{kind}ServiceMissing",
                "critical",
                f"The API server is to ask a webhook that {does}, but the Service it would ask does not exist.",
                DOCS + "#service-reference",
            ),
            Code(
                f"{kind}ServicePortMissing",
                "critical",
                f"The API server is to ask a webhook that {does} on a port that its Service does not have.",
                DOCS + "#service-reference",
            ),
            Code(
                f"{kind}NoReadyEndpoints",
                "critical",
                f"No pod is ready to answer for a webhook that {does}.",
                DOCS + "#failure-policy",
            ),
            Code(
                f"{kind}CABundleEmpty",
                "warning",
                f"The API server has no CA certificate to verify a webhook that {does}, so calls to it fail.",
                DOCS + "#contacting-the-webhook",
            ),
            Code(
                f"{kind}CABundleExpired",
                "critical",
                f"All CA certificates to verify a webhook that {does} have expired, so calls to it fail.",
                DOCS + "#contacting-the-webhook",
            ),
            Code(
                f"{kind}DeadlockRisk",
                "warning",
                f"A webhook that {does} must also approve the pods that it, or the cluster itself, runs on.",
                PRACTICES,
            ),
            Code(
                f"{kind}LongTimeout",
                "info",
                f"Requests can hang for long while a webhook that {does} does not answer.",
                DOCS + "#timeouts",
            ),
        )

    def all(self) -> list[Code]:
        return [getattr(self, name) for name in self.__struct_fields__]


def judge(view: ClusterView, configurations: Iterable[Configuration], codes: WebhookCodes) -> Iterator[Finding]:
    """What can go wrong with the webhooks of some configurations. What is behind a URL is not known here."""
    for configuration in configurations:
        for webhook in configuration.webhooks:
            service = webhook.client_config.service
            is_by_url = service is None and webhook.client_config.url
            # A webhook without rules is never called, whatever is wrong with it.
            if not (is_by_url or (service and service.name)) or not webhook.rules:
                continue
            if service:
                yield from _unreachable(view, configuration, webhook, service, codes)
                yield from _ca_bundle_empty(view, configuration, webhook, codes.ca_bundle_empty)
            yield from _ca_bundle_expired(view, configuration, webhook, codes.ca_bundle_expired)
            if _fails_closed(webhook):
                if service:
                    yield from _deadlock_risk(view, configuration, webhook, service, codes.deadlock_risk)
                yield from _long_timeout(configuration, webhook, codes.long_timeout)


def _fails_closed(webhook: Webhook) -> bool:
    return webhook.failure_policy != "Ignore"


def _effect(webhook: Webhook) -> str:
    if _fails_closed(webhook):
        return f"With failurePolicy Fail the API server refuses {_requests(webhook)}."
    return f"With failurePolicy Ignore it lets {_requests(webhook)} pass unseen."


def _requests(webhook: Webhook) -> str:
    """``matching requests to create or update pods``."""
    operations = list(dict.fromkeys(operation.lower() for rule in webhook.rules for operation in rule.operations))
    resources = list(dict.fromkeys(resource for rule in webhook.rules for resource in rule.resources))
    nouns = "any resource" if not resources or {"*", "*/*"} & set(resources) else joined(resources)
    if not operations or "*" in operations:
        return f"matching requests for {nouns}"
    return f"matching requests to {'/'.join(operations)} {nouns}"


def _severity(webhook: Webhook) -> Severity:
    return "critical" if _fails_closed(webhook) else "warning"


def _ca_bundle_expired(
    view: ClusterView, configuration: Configuration, webhook: Webhook, code: Code
) -> Iterator[Finding]:
    bundle = webhook.client_config.ca_bundle
    if not bundle:
        return
    try:
        # Many webhooks share one bundle.
        chain = view.kept(f"certificates of {bundle}", lambda _: chain_of(base64.b64decode(bundle)))
    except ValueError:
        # The API server takes none but PEM, so this was cut short by whoever wrote it down.
        return
    last = max(chain, key=lambda each: each.not_after)
    # During a rotation the old certificate stands beside the new one.
    if last.not_after > view.now:
        return
    yield code.finding(
        configuration,
        f"Webhook {webhook.name} cannot be verified: its CA certificate expired {ago(view.age(last.not_after))} ago.",
        key=webhook.name,
        since=last.not_after,
        severity=None if _fails_closed(webhook) else "warning",
        evidence=[
            (f"webhooks[{webhook.name}].clientConfig.caBundle", f"not after {last.not_after:%Y-%m-%d %H:%M} UTC"),
            *_about(webhook),
        ],
        masked=[webhook.name, last.subject, webhook.client_config.url or ""],
    )


def _about(webhook: Webhook) -> list[tuple[str, object]]:
    path = f"webhooks[{webhook.name}]"
    service = webhook.client_config.service
    called = (
        (f"{path}.clientConfig.service", f"{service.namespace}/{service.name}:{service.port}")
        if service
        else (f"{path}.clientConfig.url", quote(webhook.client_config.url or "none"))
    )
    return [called, (f"{path}.failurePolicy", webhook.failure_policy)]


# --- can it be reached? ----------------------------------------------------------------------------------


def _unreachable(
    view: ClusterView,
    configuration: Configuration,
    webhook: Webhook,
    target: ServiceReference,
    codes: WebhookCodes,
) -> Iterator[Finding]:
    """The Service, its port or the pods behind it: the first of them that is not there."""
    masked = [webhook.name, target.name, target.namespace]
    service = view.get(Service, target.namespace, target.name)
    if service is None:
        created = configuration.metadata.creation_timestamp
        is_new = created is not None and not view.older_than(created, START_GRACE)
        if view.missing(Service, target.namespace, target.name) and not is_new:
            yield codes.service_missing.finding(
                configuration,
                f"Webhook {webhook.name} needs Service {target.namespace}/{target.name}, which does not exist. "
                f"{_effect(webhook)}",
                key=webhook.name,
                severity=_severity(webhook),
                evidence=_about(webhook),
                masked=masked,
            )
        return
    if service.spec.type == "ExternalName":
        return
    ports = [port.port for port in service.spec.ports]
    if ports and target.port not in ports:
        yield codes.port_missing.finding(
            configuration,
            f"Webhook {webhook.name} is called on port {target.port} of Service {target.namespace}/{target.name}, "
            f"which has {count(len(ports), 'port')}: {joined(map(str, ports))}. {_effect(webhook)}",
            key=webhook.name,
            severity=_severity(webhook),
            evidence=[*_about(webhook), (f"Service {target.namespace}/{target.name} spec.ports", ports)],
            because=[service],
            masked=masked,
        )
        return
    yield from _no_ready_endpoints(view, configuration, webhook, service, codes.no_ready_endpoints)


def _no_ready_endpoints(
    view: ClusterView, configuration: Configuration, webhook: Webhook, service: Service, code: Code
) -> Iterator[Finding]:
    pods = [
        pod
        for pod in _pods_behind(view, service)
        # Completed and evicted pods stay in lists but stand behind no Service.
        if pod.status.phase not in ("Succeeded", "Failed") and not pod.metadata.deletion_timestamp
    ]
    ready = _ready_endpoints(view, service, pods)
    if ready is None or ready > 0 or _is_starting(view, service, pods):
        return
    if pods:
        state = f"none of its {count(len(pods), 'pod')} is ready"
    elif service.spec.selector and view.readable(Pod, service.namespace):
        state = "its selector matches no running pod"
    else:
        state = "it has no ready endpoint"
    yield code.finding(
        configuration,
        f"Webhook {webhook.name} cannot be reached: Service {service.namespace}/{service.name} is there, "
        f"but {state}. {_effect(webhook)}",
        key=webhook.name,
        since=_unready_since(pods),
        severity=_severity(webhook),
        evidence=[*_about(webhook), *_states(pods)],
        because=[*pods[:BLAMED_PODS], service],
        masked=[webhook.name, service.name, service.namespace, *(pod.name for pod in pods[:5])],
    )


def _ready_endpoints(view: ClusterView, service: Service, pods: list[Pod]) -> int | None:
    """How many endpoints can answer, from EndpointSlices or else from the pods; None where neither is known."""
    if view.readable(EndpointSlice, service.namespace):
        return sum(
            # Where a slice does not say whether an endpoint is ready, it is to be taken as ready.
            endpoint.conditions.ready is not False
            for part in view.endpoint_slices(service.namespace, service.name)
            for endpoint in part.endpoints or ()
        )
    if service.spec.selector and view.readable(Pod, service.namespace):
        return sum(
            service.spec.publish_not_ready_addresses
            or any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)
            for pod in pods
        )
    return None


def _is_starting(view: ClusterView, service: Service, pods: list[Pod]) -> bool:
    if service.metadata.creation_timestamp and not view.older_than(service.metadata.creation_timestamp, START_GRACE):
        return True
    created = [pod.metadata.creation_timestamp for pod in pods]
    return bool(created) and all(time is not None and not view.older_than(time, START_GRACE) for time in created)


def _unready_since(pods: list[Pod]) -> datetime | None:
    times = [
        each.last_transition_time
        for pod in pods
        if (each := condition(pod.status.conditions, "Ready")) and each.last_transition_time
    ]
    # The Service went down when the last of its pods did.
    return max(times, default=None)


def _states(pods: list[Pod]) -> Iterator[tuple[str, object]]:
    for pod in pods[:5]:
        ready = condition(pod.status.conditions, "Ready")
        said = f": {quote(ready.message or ready.reason)}" if ready and (ready.message or ready.reason) else ""
        yield f"Pod {pod.name} status", f"{pod.status.phase or 'no phase'}, not ready{said}"


# --- is it set up well? ----------------------------------------------------------------------------------


def _ca_bundle_empty(
    view: ClusterView, configuration: Configuration, webhook: Webhook, code: Code
) -> Iterator[Finding]:
    created = configuration.metadata.creation_timestamp
    if webhook.client_config.ca_bundle or (created is not None and not view.older_than(created, INJECTION_GRACE)):
        return
    injector = next((key for key in INJECTORS if key in configuration.metadata.annotations), "")
    source = configuration.metadata.annotations.get(injector, "")
    yield code.finding(
        configuration,
        f"Webhook {webhook.name} has no caBundle, so the API server cannot verify the certificate of its Service "
        "unless a public authority signed it."
        + (f" {injector} asks for {source}, but nothing has been injected." if injector else ""),
        key=webhook.name,
        evidence=[
            (f"webhooks[{webhook.name}].clientConfig.caBundle", "empty"),
            *_about(webhook),
            *([(f"metadata.annotations[{injector}]", source)] if injector else []),
        ],
        masked=[webhook.name, source, *source.split("/")],
    )


def _deadlock_risk(
    view: ClusterView, configuration: Configuration, webhook: Webhook, service: ServiceReference, code: Code
) -> Iterator[Finding]:
    # A CEL condition may exempt anything, and only the API server can evaluate it.
    if webhook.match_conditions or not _matches_pod_creation(webhook):
        return
    blocked = []
    if _matches_namespace(view, webhook, service.namespace) and _matches_own_pods(view, webhook, service):
        blocked.append(f"its own namespace {service.namespace}")
    if (
        service.namespace != "kube-system"
        and not _has_terms(webhook.object_selector)
        and _matches_namespace(view, webhook, "kube-system")
    ):
        blocked.append("kube-system")
    if blocked:
        yield code.finding(
            configuration,
            f"Webhook {webhook.name} has failurePolicy Fail and must approve new pods in {joined(blocked)}: "
            "once it is down, the pods that would bring it or the cluster back are refused.",
            key=webhook.name,
            evidence=[
                *_about(webhook),
                (f"webhooks[{webhook.name}].namespaceSelector", _text(webhook)),
            ],
            masked=[webhook.name, service.name, service.namespace],
        )


def _matches_pod_creation(webhook: Webhook) -> bool:
    return any(
        {"", "*"} & set(rule.api_groups)
        and {"v1", "*"} & set(rule.api_versions)
        and {"CREATE", "*"} & set(rule.operations)
        and {"pods", "*", "*/*"} & set(rule.resources)
        and rule.scope != "Cluster"
        for rule in webhook.rules
    )


def _matches_namespace(view: ClusterView, webhook: Webhook, name: str) -> bool:
    """Whether the webhook certainly sees a namespace: a label that was not read may exempt it."""
    selector = webhook.namespace_selector
    if selector is None or not _has_terms(selector):
        return True
    namespace = view.get(Namespace, "", name)
    if namespace is None:
        return False
    labels = {**namespace.metadata.labels, "kubernetes.io/metadata.name": name}
    return selectors.matches(selectors.from_spec(selector), labels)


def _matches_own_pods(view: ClusterView, webhook: Webhook, target: ServiceReference) -> bool:
    selector = webhook.object_selector
    if selector is None or not _has_terms(selector):
        return True
    service = view.get(Service, target.namespace, target.name)
    requirements = selectors.from_spec(selector)
    pods = _pods_behind(view, service) if service else []
    return any(selectors.matches(requirements, pod.metadata.labels) for pod in pods)


def _pods_behind(view: ClusterView, service: Service) -> list[Pod]:
    # A Service without a selector has its endpoints from elsewhere, and not all pods behind it.
    return view.pods_matching(service.namespace, service.spec.selector) if service.spec.selector else []


def _has_terms(selector: LabelSelector | None) -> bool:
    return selector is not None and bool(selector.match_labels or selector.match_expressions)


def _text(webhook: Webhook) -> str:
    selector = webhook.namespace_selector
    text = selectors.text_of(selectors.from_spec(selector)) if selector else ""
    return text or "none: all namespaces"


def _long_timeout(configuration: Configuration, webhook: Webhook, code: Code) -> Iterator[Finding]:
    if webhook.timeout_seconds >= LONG_TIMEOUT:
        yield code.finding(
            configuration,
            f"The API server waits up to {webhook.timeout_seconds} s for webhook {webhook.name} before it refuses a "
            "request, longer than many clients wait; the default is 10 s.",
            key=webhook.name,
            evidence=[(f"webhooks[{webhook.name}].timeoutSeconds", webhook.timeout_seconds), *_about(webhook)],
            masked=[webhook.name, webhook.client_config.url or ""],
        )
