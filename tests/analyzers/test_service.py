from __future__ import annotations

from tests.analyzers.test_pod import LONG_AGO, READY, UNREADY, container, pod
from tests.views import codes, diagnose_all, findings

WEB = "labels: {app: web, tier: front}"
HEALTHY = pod(container(f"running: {{startedAt: '{LONG_AGO}'}}", ready="true", conditions=READY), metadata=WEB)
FAILING = pod(
    container("waiting: {reason: ImagePullBackOff, message: m}", phase="Pending", conditions=UNREADY), metadata=WEB
)


def service(
    spec: str = "selector: {app: web}, ports: [{port: 80, targetPort: 8080}]", status: str = "", name: str = "web"
) -> str:
    return f"""
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{LONG_AGO}'}}
spec: {{{spec}}}
status: {{{status}}}
"""


def endpoints(ready: str = "true", name: str = "web") -> str:
    return f"""
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-abc, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
endpoints: [{{addresses: [10.0.0.1], conditions: {{ready: {ready}}}}}]
"""


def test_a_service_with_a_ready_pod_is_no_problem():
    assert codes("Service", HEALTHY + service() + endpoints()) == []


def test_a_selector_that_matches_nothing_is_reported_with_the_label_that_was_meant():
    [finding] = findings("Service", HEALTHY + service("selector: {app: web, tier: back}"))
    assert (finding.code, finding.severity) == ("ServiceSelectsNoPods", "critical")
    assert "tier=front in place of tier=back" in finding.message


def test_one_problem_is_one_finding_however_many_labels_the_selector_has():
    assert codes("Service", service("selector: {a: x, b: y, c: z}")) == ["ServiceSelectsNoPods"]


def test_pods_that_are_all_unready_are_the_cause():
    found = {finding.kind: finding for finding in diagnose_all(FAILING + service() + endpoints("false"))}
    assert found["Service"].code == "ServiceNoReadyEndpoints"
    assert found["Service"].cause == found["Pod"].id


def test_where_endpoint_slices_are_not_readable_the_pods_decide_and_where_pods_are_not_nothing_is_said():
    assert codes("Service", FAILING + service(), forbidden=["EndpointSlice"]) == ["ServiceNoReadyEndpoints"]
    assert codes("Service", HEALTHY + service(), forbidden=["EndpointSlice"]) == []
    assert codes("Service", service(), forbidden=["Pod"]) == []


def test_some_unready_pods_among_ready_ones_are_worth_knowing():
    unready = "\n---\n" + pod(container(f"running: {{startedAt: '{LONG_AGO}'}}"), metadata=WEB).replace(
        "web-1", "web-2"
    )
    [finding] = findings("Service", HEALTHY + unready + service() + endpoints())
    assert (finding.code, finding.severity) == ("ServiceEndpointsNotReady", "info")
    assert "web-2" in finding.message


def test_a_service_that_publishes_unready_addresses_wants_them():
    assert (
        codes(
            "Service", FAILING + service("selector: {app: web}, publishNotReadyAddresses: true") + endpoints("false")
        )
        == []
    )


def test_what_is_scaled_to_zero_on_purpose_is_worth_knowing():
    idle = "\n---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 0, template: {metadata: {labels: {app: web}}}}}"
    [finding] = findings("Service", service() + idle)
    assert (finding.code, finding.severity) == ("ServiceScaledToZero", "info")


def test_aliases_headless_services_and_endpoints_kept_by_hand_are_no_problem():
    assert codes("Service", service("type: ExternalName, externalName: db.example.com")) == []
    assert codes("Service", HEALTHY + service("clusterIP: None, selector: {app: web}") + endpoints()) == []
    assert codes("Service", service("ports: [{port: 5432}]") + endpoints()) == []
    assert codes("Service", service("selector: {app: external}") + endpoints()) == []


def test_a_service_without_selector_and_endpoints_is_reported_but_not_the_api_servers():
    assert codes("Service", service("ports: [{port: 5432}]")) == ["ServiceNoEndpoints"]
    assert codes("Service", service("ports: [{port: 443}]", name="kubernetes").replace("shop", "default")) == []


def test_a_named_target_port_must_exist_and_a_number_need_not_be_declared():
    ported = HEALTHY.replace("resources:", "ports: [{name: http, containerPort: 8080}], resources:")
    by_name = service("selector: {app: web}, ports: [{port: 80, targetPort: %s}]")
    [finding] = findings("Service", ported + by_name.replace("%s", "metrics") + endpoints())
    assert finding.code == "ServiceTargetPortMissing"
    assert "'metrics'" in finding.message
    assert "http" in finding.message
    assert codes("Service", ported + by_name.replace("%s", "http") + endpoints()) == []
    assert codes("Service", ported + by_name.replace("%s", "9999") + endpoints()) == []


def test_a_first_rollout_has_some_minutes_and_pods_that_fail_or_were_ready_before_have_fewer():
    pulling = pod(container("waiting: {reason: ContainerCreating}", phase="Pending"), metadata=WEB)
    at = "2026-11-02T08:57:00Z"
    assert codes("Service", pulling.replace(LONG_AGO, at) + service()) == []
    assert codes("Service", pulling.replace(LONG_AGO, "2026-11-02T08:54:00Z") + service()) == [
        "ServiceNoReadyEndpoints"
    ]
    assert codes("Service", FAILING.replace(LONG_AGO, at) + service()) == ["ServiceNoReadyEndpoints"]
    lost = HEALTHY.replace(READY, UNREADY.replace(LONG_AGO, at)).replace("ready: true", "ready: false")
    assert codes("Service", lost + service()) == ["ServiceNoReadyEndpoints"]


def test_a_load_balancer_that_does_not_come_is_reported_after_a_while():
    waiting = service("type: LoadBalancer, selector: {app: web}")
    assert codes("Service", HEALTHY + waiting + endpoints()) == ["ServiceLoadBalancerPending"]
    assert codes("Service", HEALTHY + waiting.replace(LONG_AGO, "2026-11-02T08:55:00Z") + endpoints()) == []
    served = service("type: LoadBalancer, selector: {app: web}", "loadBalancer: {ingress: [{ip: 1.2.3.4}]}")
    assert codes("Service", HEALTHY + served + endpoints()) == []


def deployment(replicas: int, name: str = "web") -> str:
    return f"\n---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: shop}}, spec: {{replicas: {replicas}, template: {{metadata: {{labels: {{app: web}}}}}}}}}}"


def test_one_workload_scaled_to_zero_does_not_excuse_another_that_gets_no_pods():
    [finding] = findings("Service", service() + deployment(0, "old") + deployment(3))
    assert (finding.code, finding.severity) == ("ServiceSelectsNoPods", "critical")
    assert [each.name for each in finding.because] == ["web"]


def test_pods_that_are_ready_but_in_no_slice_are_not_called_unready():
    [finding] = findings("Service", HEALTHY + service())
    assert (finding.code, finding.because) == ("ServiceNoReadyEndpoints", ())
    assert "although 1 pod that it selects is ready (web-1)" in finding.message


def test_pods_that_have_ended_match_but_serve_nothing():
    [finding] = findings("Service", HEALTHY.replace("phase: Running", "phase: Failed") + service())
    assert (finding.code, finding.severity) == ("ServiceSelectsNoPods", "critical")
    assert "all ended: web-1" in finding.message


def test_the_label_that_was_meant_counts_only_its_own_pods_and_can_be_masked():
    other = "\n---\n" + HEALTHY.replace("web-1", "web-2").replace("tier: front", "tier: mid")
    [finding] = findings("Service", HEALTHY + other + service("selector: {app: web, tier: back}"))
    assert "1 pod would match with tier=front" in finding.message
    assert {"web", "back", "front"} <= set(finding.masked)


def test_one_port_number_of_two_protocols_is_two_findings():
    ports = "ports: [{port: 53, protocol: TCP, targetPort: dns}, {port: 53, protocol: UDP, targetPort: dns}]"
    found = findings("Service", HEALTHY + service(f"selector: {{app: web}}, {ports}") + endpoints())
    assert [finding.code for finding in found] == ["ServiceTargetPortMissing"] * 2
    assert len({finding.id for finding in found}) == 2


def test_words_of_a_cloud_are_bounded_and_on_one_line():
    event = f"""
---
apiVersion: v1
kind: Event
metadata: {{name: e, namespace: shop}}
involvedObject: {{kind: Service, namespace: shop, name: web}}
type: Warning
reason: SyncLoadBalancerFailed
message: "quota\\nused up {"x" * 5000}"
lastTimestamp: "2026-11-02T08:59:00Z"
"""
    waiting = service("type: LoadBalancer, selector: {app: web}")
    [finding] = findings("Service", HEALTHY + waiting + endpoints() + event)
    assert "quota used up" in finding.message
    assert len(finding.message) < 500


def test_a_selector_with_one_label_too_many_is_told_which():
    [finding] = findings("Service", HEALTHY + service("selector: {app: web, zone: a}"))
    assert "1 pod would match without zone=a" in finding.message


def test_a_name_under_another_key_is_found_and_a_mere_version_is_not():
    [finding] = findings("Service", HEALTHY + service("selector: {app.kubernetes.io/name: web}"))
    assert "app=web in place of app.kubernetes.io/name=web" in finding.message
    [finding] = findings("Service", HEALTHY + service("selector: {zone: front}"))
    assert "in place of" not in finding.message


def test_a_selector_that_matches_nothing_is_less_certain_where_workloads_are_not_readable():
    [finding] = findings("Service", service(), forbidden=["Deployment"])
    assert (finding.code, finding.severity) == ("ServiceSelectsNoPods", "warning")


def test_a_service_without_ports_that_only_holds_a_name_is_no_problem():
    assert codes("Service", service("clusterIP: None")) == []


def test_pods_that_end_but_still_serve_are_enough_and_those_that_do_not_serve_are_not():
    ending = HEALTHY.replace("uid: u1", "uid: u1, deletionTimestamp: '2026-11-02T08:50:00Z'") + service()
    assert codes("Service", ending + endpoints("false, serving: true, terminating: true")) == []
    assert codes("Service", ending + endpoints("false, serving: false, terminating: true")) == [
        "ServiceNoReadyEndpoints"
    ]


def test_where_pods_are_not_readable_their_endpoints_still_tell_that_none_is_ready():
    [finding] = findings("Service", service() + endpoints("false"), forbidden=["Pod"])
    assert (finding.code, finding.severity) == ("ServiceNoReadyEndpoints", "warning")
    assert codes("Service", service() + endpoints("true"), forbidden=["Pod"]) == []
    assert codes("Service", service() + endpoints("false"), forbidden=["Pod", "EndpointSlice"]) == []


def test_why_pods_are_not_ready_is_said_with_those_that_fail_first():
    only_slow = "\n---\n" + pod(container(f"running: {{startedAt: '{LONG_AGO}'}}"), metadata=WEB).replace(
        "web-1", "a-slow-one"
    )
    [finding] = findings("Service", only_slow + "\n---\n" + FAILING + service() + endpoints("false"))
    assert "none of 2 pods behind it is ready: web-1 (ImagePullBackOff) and a-slow-one" in finding.message
    assert [each.name for each in finding.because] == ["web-1", "a-slow-one"]


def test_a_missing_target_port_is_down_if_it_is_the_only_one_and_is_no_secret_while_pods_fail():
    [finding] = findings(
        "Service", HEALTHY + service("selector: {app: web}, ports: [{port: 80, targetPort: http}]") + endpoints()
    )
    assert finding.severity == "critical"
    both = service("selector: {app: web}, ports: [{port: 80, targetPort: 8080}, {port: 90, targetPort: metrics}]")
    [finding] = findings("Service", HEALTHY + both + endpoints())
    assert finding.severity == "warning"
    assert set(codes("Service", FAILING + both + endpoints("false"))) == {
        "ServiceNoReadyEndpoints",
        "ServiceTargetPortMissing",
    }


def test_any_load_balancer_controller_is_heard_but_not_the_one_for_endpoints():
    def event(reason: str) -> str:
        return f"""
---
{{apiVersion: v1, kind: Event, metadata: {{name: e, namespace: shop}}, type: Warning, reason: {reason},
  involvedObject: {{kind: Service, namespace: shop, name: web}}, message: no available IPs}}
"""

    waiting = HEALTHY + service("type: LoadBalancer, selector: {app: web}") + endpoints()
    [finding] = findings("Service", waiting + event("AllocationFailed"))
    assert "no available IPs" in finding.message
    [finding] = findings("Service", waiting + event("FailedToUpdateEndpointSlices"))
    assert "no controller says why" in finding.message
