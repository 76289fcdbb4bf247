import base64

import pytest

from tests.analyzers.test_tls import certificate
from tests.views import codes, findings, view_of

KINDS = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]

pytestmark = pytest.mark.parametrize("kind", KINDS)


def configuration(
    kind: str,
    *,
    policy: str = "Fail",
    port: int = 443,
    ca: str = "caBundle: Q0E=",
    timeout: int = 10,
    resources: str = "deployments",
    created: str = "2026-10-01T00:00:00Z",
    more: str = "",
    metadata: str = "",
    client: str = "",
) -> str:
    service = client or f"service: {{namespace: platform, name: guard, port: {port}}}"
    return f"""
---
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}
metadata: {{name: guard, creationTimestamp: "{created}"{", " + metadata if metadata else ""}}}
webhooks:
- name: check.guard.example.com
  clientConfig: {{{service}, {ca}}}
  failurePolicy: {policy}
  timeoutSeconds: {timeout}
  rules: [{{apiGroups: ["", apps], apiVersions: [v1], operations: [CREATE], resources: [{resources}]}}]
  {more}
"""


SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {name: guard, namespace: platform, creationTimestamp: "2026-10-01T00:00:00Z"}
spec: {selector: {app: guard}, ports: [{port: 443}]}
"""


def endpoints(*conditions: str) -> str:
    listed = ", ".join(f"{{addresses: [10.0.0.1], conditions: {each}}}" for each in conditions)
    return f"""
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: guard-1, namespace: platform, labels: {{kubernetes.io/service-name: guard}}}}
endpoints: [{listed}]
"""


def pod(
    name: str = "guard-1", *, ready: str = "False", phase: str = "Running", created: str = "2026-10-01T00:00:00Z"
) -> str:
    return f"""
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: platform, labels: {{app: guard}}, creationTimestamp: "{created}"}}
status:
  phase: {phase}
  conditions: [{{type: Ready, status: "{ready}", lastTransitionTime: "2026-11-02T08:25:00Z"}}]
"""


def namespace(name: str, labels: str = "{}") -> str:
    return f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}\n"


REACHABLE = SERVICE + endpoints("{ready: true}")


@pytest.mark.parametrize(("policy", "severity"), [("Fail", "critical"), ("Ignore", "warning")])
def test_a_service_that_does_not_exist_is_as_bad_as_the_failure_policy(kind, policy, severity):
    [finding] = findings(kind, configuration(kind, policy=policy))
    assert (finding.code, finding.severity) == (f"{kind}ServiceMissing", severity)
    assert (finding.name, finding.key) == ("guard", "check.guard.example.com")
    assert "platform/guard" in finding.message
    assert "create deployments" in finding.message


def test_a_service_that_could_not_be_read_is_not_missing(kind):
    assert codes(kind, view_of(configuration(kind), forbidden=["Service"])) == []


def test_a_configuration_installed_just_now_may_be_ahead_of_its_service(kind):
    assert codes(kind, configuration(kind, created="2026-11-02T08:59:30Z")) == []


def test_of_a_webhook_by_url_its_timeout_and_its_certificates_are_judged(kind):
    by_url = configuration(kind, client="url: https://hooks.example.com", timeout=30)
    [finding] = findings(kind, by_url)
    assert finding.code == f"{kind}LongTimeout"
    assert "https://hooks.example.com" in {fact.value for fact in finding.evidence} & set(finding.masked)
    expired = f"caBundle: {base64.b64encode(certificate(-5)).decode()}"
    assert codes(kind, configuration(kind, client="url: https://hooks.example.com", ca=expired)) == [
        f"{kind}CABundleExpired"
    ]
    assert codes(kind, by_url.replace("timeoutSeconds: 30", "timeoutSeconds: 10")) == []


def test_webhooks_by_url_and_webhooks_that_are_never_called_are_left_alone(kind):
    assert codes(kind, configuration(kind, client="url: https://hooks.example.com")) == []
    assert codes(kind, configuration(kind).replace("  rules:", "  unused:")) == []


def test_a_port_that_the_service_does_not_have_is_reported(kind):
    [finding] = findings(kind, configuration(kind, port=8443) + REACHABLE)
    assert (finding.code, finding.severity) == (f"{kind}ServicePortMissing", "critical")
    assert "8443" in finding.message
    assert "443" in finding.message.replace("8443", "")


@pytest.mark.parametrize(("policy", "severity"), [("Fail", "critical"), ("Ignore", "warning")])
def test_no_ready_endpoint_is_as_bad_as_the_failure_policy_and_follows_from_the_pods(kind, policy, severity):
    [finding] = findings(kind, configuration(kind, policy=policy) + SERVICE + endpoints("{ready: false}") + pod())
    assert (finding.code, finding.severity) == (f"{kind}NoReadyEndpoints", severity)
    assert "none of its 1 pod is ready" in finding.message
    assert [str(ref) for ref in finding.because] == ["Pod platform/guard-1", "Service platform/guard"]
    assert finding.since.isoformat() == "2026-11-02T08:25:00+00:00"


def test_a_service_without_any_pod_is_reported_and_finished_pods_do_not_count(kind):
    evicted = pod(phase="Failed") + pod("guard-2", phase="Succeeded")
    [finding] = findings(kind, configuration(kind) + SERVICE + evicted)
    assert finding.code == f"{kind}NoReadyEndpoints"
    assert "no running pod" in finding.message


@pytest.mark.parametrize(
    "behind",
    [
        endpoints("{ready: true}", "{ready: false}"),
        endpoints("{}"),
        endpoints("{ready: true}") + pod(phase="Failed"),
        endpoints("{ready: false}") + pod(created="2026-11-02T08:59:00Z"),
    ],
    ids=["one of two", "readiness not said", "beside an evicted pod", "just starting"],
)
def test_a_webhook_that_something_answers_or_soon_will_is_fine(kind, behind):
    assert codes(kind, configuration(kind) + SERVICE + behind) == []


def test_pods_stand_in_for_endpoints_that_cannot_be_read(kind):
    manifests = configuration(kind) + SERVICE
    assert codes(kind, view_of(manifests + pod(ready="True"), forbidden=["EndpointSlice"])) == []
    assert codes(kind, view_of(manifests + pod(), forbidden=["EndpointSlice"])) == [f"{kind}NoReadyEndpoints"]
    assert codes(kind, view_of(manifests + pod(), forbidden=["EndpointSlice", "Pod"])) == []


def test_a_service_that_is_another_name_has_no_endpoints_of_its_own(kind):
    service = SERVICE.replace("selector: {app: guard}", "type: ExternalName, externalName: guard.example.com")
    assert codes(kind, configuration(kind) + service) == []


def test_webhooks_of_one_name_in_two_configurations_are_two_findings(kind):
    other = configuration(kind).replace("metadata: {name: guard,", "metadata: {name: other,")
    assert len(findings(kind, configuration(kind) + other)) == 2


def test_an_empty_ca_bundle_is_a_warning_that_names_who_should_fill_it(kind):
    annotated = "annotations: {cert-manager.io/inject-ca-from: platform/guard-cert}"
    [finding] = findings(kind, configuration(kind, ca='caBundle: ""', metadata=annotated) + REACHABLE)
    assert (finding.code, finding.severity) == (f"{kind}CABundleEmpty", "warning")
    assert "platform/guard-cert" in finding.message


@pytest.mark.parametrize(
    ("days", "other", "policy", "severity"),
    [(30, None, "Fail", ""), (-5, None, "Fail", "critical"), (-5, None, "Ignore", "warning"), (-5, 300, "Fail", "")],
)
def test_a_ca_bundle_that_has_expired_unless_another_stands_beside_it(kind, days, other, policy, severity):
    pem = certificate(days) + (certificate(other) if other else b"")
    bundle = f"caBundle: {base64.b64encode(pem).decode()}"
    manifests = configuration(kind, ca=bundle, policy=policy) + REACHABLE
    found = [each for each in findings(kind, manifests) if each.code.endswith("CABundleExpired")]
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_an_empty_ca_bundle_of_a_new_configuration_may_still_be_filled(kind):
    assert codes(kind, configuration(kind, ca="", created="2026-11-02T08:57:00Z") + REACHABLE) == []


@pytest.mark.parametrize(
    ("timeout", "policy", "found"), [(30, "Fail", True), (10, "Fail", False), (30, "Ignore", False)]
)
def test_a_long_timeout_matters_where_requests_wait_for_the_answer(kind, timeout, policy, found):
    manifests = configuration(kind, timeout=timeout, policy=policy) + REACHABLE
    assert [(each.code, each.severity) for each in findings(kind, manifests)] == (
        [(f"{kind}LongTimeout", "info")] if found else []
    )


def test_a_webhook_that_must_approve_its_own_pods_can_lock_itself_out(kind):
    [finding] = findings(kind, configuration(kind, resources="pods") + REACHABLE)
    assert (finding.code, finding.severity) == (f"{kind}DeadlockRisk", "warning")
    assert "its own namespace platform" in finding.message
    assert "kube-system" in finding.message


def test_a_namespace_selector_is_judged_by_the_labels_of_the_namespaces(kind):
    selecting = (
        configuration(kind, resources="pods", more="namespaceSelector: {matchLabels: {guarded: 'yes'}}") + REACHABLE
    )
    [finding] = findings(kind, selecting + namespace("platform", "{guarded: 'yes'}") + namespace("kube-system"))
    assert finding.code == f"{kind}DeadlockRisk"
    assert "kube-system" not in finding.message
    assert codes(kind, selecting + namespace("platform") + namespace("kube-system")) == []
    assert codes(kind, selecting) == []


EXEMPT = "namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [platform, kube-system]}]}"


@pytest.mark.parametrize(
    "options",
    [
        {"resources": "deployments"},
        {"resources": "pods/exec"},
        {"resources": "pods", "policy": "Ignore"},
        {"resources": "pods", "more": EXEMPT},
        {"resources": "pods", "more": "objectSelector: {matchLabels: {app: web}}"},
        {"resources": "pods", "more": "matchConditions: [{name: not-ours, expression: 'false'}]"},
    ],
    ids=["other objects", "subresources", "ignores failures", "exempts them", "picks other pods", "has conditions"],
)
def test_a_webhook_that_leaves_the_essential_pods_alone_is_safe(kind, options):
    spaces = namespace("platform") + namespace("kube-system")
    assert codes(kind, configuration(kind, **options) + REACHABLE + spaces + pod(ready="True")) == []
