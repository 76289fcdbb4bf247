from __future__ import annotations

import pytest

from tests.analyzers.test_pod import UNREADY, container, pod
from tests.views import codes, diagnose_all, findings

SINCE = "2026-11-02T07:00:00Z"
CPU = "metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]"


def autoscaler(
    conditions: str = "", spec: str = CPU, name: str = "web", target: str = "Deployment, name: web"
) -> str:
    return f"""
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{SINCE}'}}
spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: {target}}}, minReplicas: 2, maxReplicas: 10, {spec}}}
status: {{currentReplicas: 2, desiredReplicas: 2, conditions: [{conditions}]}}
"""


def deployment(resources: str = "requests: {cpu: 100m}", ready: int = 2, replicas: int = 2) -> str:
    return f"""
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop, uid: d1, creationTimestamp: '{SINCE}'}}
spec: {{replicas: {replicas}, selector: {{matchLabels: {{app: web}}}}, template: {{spec: {{containers: [{{name: app, resources: {{{resources}}}}}]}}}}}}
status: {{replicas: {replicas}, readyReplicas: {ready}}}
"""


def condition(
    type: str, status: str, reason: str, message: str = "words of the controller", since: str = SINCE
) -> str:
    return (
        f"{{type: {type}, status: '{status}', reason: {reason}, message: '{message}', lastTransitionTime: '{since}'}}"
    )


REPLICA_SET = """
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: shop, ownerReferences: [{kind: Deployment, name: web, uid: d1, controller: true}]}
spec: {replicas: 2}
status: {replicas: 2}
"""
HEALTHY = ", ".join(
    [condition("AbleToScale", "True", "ReadyForNewScale"), condition("ScalingActive", "True", "ValidMetricFound")]
)


@pytest.mark.parametrize(
    "conditions",
    [
        HEALTHY,
        f"{HEALTHY}, {condition('ScalingLimited', 'True', 'TooFewReplicas')}",
        f"{HEALTHY}, {condition('ScalingLimited', 'False', 'DesiredWithinRange')}",
        condition("ScalingActive", "False", "ScalingDisabled"),
        condition("ScalingActive", "False", "FailedGetResourceMetric", since="2026-11-02T08:59:00Z"),
    ],
)
def test_autoscalers_that_work_rest_at_their_floor_or_have_just_begun_are_no_problem(conditions):
    assert codes("HorizontalPodAutoscaler", autoscaler(conditions) + deployment()) == []


def test_a_target_that_does_not_exist_is_named_and_one_of_an_unknown_kind_is_not_called_missing():
    [finding] = findings("HorizontalPodAutoscaler", autoscaler(HEALTHY))
    assert (finding.code, finding.severity) == ("HorizontalPodAutoscalerTargetMissing", "critical")
    assert "Deployment web" in finding.message
    assert codes("HorizontalPodAutoscaler", autoscaler(HEALTHY, target="Rollout, name: web")) == []
    assert codes("HorizontalPodAutoscaler", autoscaler(HEALTHY), forbidden=["Deployment"]) == []


@pytest.mark.parametrize(
    ("reason", "api"),
    [
        ("FailedGetResourceMetric", "metrics-server"),
        ("FailedGetExternalMetric", "adapter"),
        ("FailedGetPodsMetric", "adapter"),
    ],
)
def test_missing_metrics_name_the_api_they_come_from(reason, api):
    [finding] = findings(
        "HorizontalPodAutoscaler", autoscaler(condition("ScalingActive", "False", reason)) + deployment()
    )
    assert finding.code == "HorizontalPodAutoscalerMetricsUnavailable"
    assert api in finding.message
    assert "words of the controller" in finding.message


def test_a_container_without_the_measured_request_is_the_reason_and_not_said_twice():
    conditions = condition("ScalingActive", "False", "FailedGetResourceMetric", "missing request for cpu")
    assert codes("HorizontalPodAutoscaler", autoscaler(conditions) + deployment("")) == [
        "HorizontalPodAutoscalerRequestMissing"
    ]


@pytest.mark.parametrize(
    ("resources", "spec"),
    [
        ("limits: {cpu: 1}", CPU),
        ("", "metrics: [{type: External, external: {}}]"),
        ("", "metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 500m}}}]"),
        (
            "",
            "metrics: [{type: ContainerResource, containerResource: {name: cpu, container: other, target: {averageUtilization: 50}}}]",
        ),
    ],
)
def test_where_no_request_is_needed_none_is_missed(resources, spec):
    assert codes("HorizontalPodAutoscaler", autoscaler(HEALTHY, spec) + deployment(resources)) == []


def test_a_scale_that_cannot_be_read_or_changed_is_reported():
    conditions = condition("AbleToScale", "False", "FailedGetScale")
    [finding] = findings("HorizontalPodAutoscaler", autoscaler(conditions) + deployment())
    assert finding.code == "HorizontalPodAutoscalerCannotScale"
    assert finding.because == ()


def test_the_greatest_number_of_replicas_is_a_problem_when_it_lasts():
    pinned = condition("ScalingLimited", "True", "TooManyReplicas")
    assert codes("HorizontalPodAutoscaler", autoscaler(f"{HEALTHY}, {pinned}") + deployment()) == [
        "HorizontalPodAutoscalerAtMaximum"
    ]
    lately = pinned.replace(SINCE, "2026-11-02T08:55:00Z")
    assert codes("HorizontalPodAutoscaler", autoscaler(f"{HEALTHY}, {lately}") + deployment()) == []


def test_who_pins_the_number_of_replicas_on_purpose_is_only_told():
    pinned = f"{HEALTHY}, {condition('ScalingLimited', 'True', 'TooManyReplicas')}"
    [finding] = findings(
        "HorizontalPodAutoscaler", autoscaler(pinned).replace("minReplicas: 2", "minReplicas: 10") + deployment()
    )
    assert finding.severity == "info"


def test_a_kind_of_the_same_name_in_another_group_is_not_called_missing():
    other = autoscaler(HEALTHY, target="StatefulSet, name: web")
    assert codes("HorizontalPodAutoscaler", other) == ["HorizontalPodAutoscalerTargetMissing"]
    assert codes("HorizontalPodAutoscaler", other.replace("apps/v1", "apps.kruise.io/v1beta1")) == []


@pytest.mark.parametrize(
    ("message", "fact", "because"),
    [
        ("unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)", "does not answer", "metrics-server"),
        ("unable to get metrics for resource cpu: no metrics returned from resource metrics API", "knows nothing of the target", "web"),
        ("did not receive metrics for targeted pods (pods might be unready)", "knows nothing of the target", "web"),
        ("missing request for cpu in container sidecar of Pod web-1", "lacks the resource request", None),
    ],
)  # fmt: skip
def test_the_controllers_words_tell_an_api_that_is_down_from_pods_that_are(message, fact, because):
    conditions = condition("ScalingActive", "False", "FailedGetResourceMetric", message)
    [finding] = findings("HorizontalPodAutoscaler", autoscaler(conditions) + deployment())
    assert finding.code == "HorizontalPodAutoscalerMetricsUnavailable"
    assert fact in finding.message
    assert [ref.name for ref in finding.because] == ([because] if because else [])


def test_another_metrics_api_that_is_down_is_reported_beside_a_missing_request():
    conditions = condition("ScalingActive", "False", "FailedGetExternalMetric")
    assert set(codes("HorizontalPodAutoscaler", autoscaler(conditions) + deployment(""))) == {
        "HorizontalPodAutoscalerMetricsUnavailable", "HorizontalPodAutoscalerRequestMissing",
    }  # fmt: skip


def test_what_is_measured_all_the_same_lacks_no_request():
    assert codes("HorizontalPodAutoscaler", autoscaler(HEALTHY) + deployment("")) == []


def test_a_measured_container_that_no_pod_has_is_named():
    spec = "metrics: [{type: ContainerResource, containerResource: {name: cpu, container: CONTAINER, target: {averageUtilization: 50}}}]"
    running = pod(
        "phase: Running",
        spec="containers: [{name: app, resources: {requests: {cpu: 1}}}, {name: injected, resources: {requests: {cpu: 1}}}]",
        metadata="ownerReferences: [{kind: ReplicaSet, name: web-1, controller: true}]",
    )
    manifests = running + autoscaler("", spec) + deployment() + REPLICA_SET
    [finding] = findings("HorizontalPodAutoscaler", manifests.replace("CONTAINER", "worker"))
    assert finding.code == "HorizontalPodAutoscalerContainerMissing"
    assert "worker" in finding.message
    for name in ("app", "injected"):
        assert codes("HorizontalPodAutoscaler", manifests.replace("CONTAINER", name)) == []


def test_a_target_whose_pods_cannot_even_be_created_is_short_of_replicas_too():
    unavailable = deployment(ready=0).replace(
        "readyReplicas: 0",
        f"readyReplicas: 0, conditions: [{condition('Available', 'False', 'MinimumReplicasUnavailable')}]",
    )
    assert codes("HorizontalPodAutoscaler", autoscaler(HEALTHY) + unavailable) == [
        "HorizontalPodAutoscalerTargetNotReady"
    ]
    assert (
        codes("HorizontalPodAutoscaler", autoscaler(HEALTHY) + unavailable.replace(SINCE, "2026-11-02T08:58:00Z"))
        == []
    )


def test_two_autoscalers_of_one_target_are_both_told_of_the_other():
    found = findings(
        "HorizontalPodAutoscaler", autoscaler(HEALTHY) + autoscaler(HEALTHY, name="other") + deployment()
    )
    assert [finding.code for finding in found] == ["HorizontalPodAutoscalerSharedTarget"] * 2
    assert "other" in next(finding.message for finding in found if finding.name == "web")


@pytest.mark.parametrize(
    ("vertical", "is_found"),
    [
        ("", True),
        ("updatePolicy: {updateMode: Initial}", True),
        ("resourcePolicy: {containerPolicies: [{containerName: sidecar, mode: 'Off'}]}", True),
        # It recommends and does nothing, or keeps its hands off what is measured.
        ("updatePolicy: {updateMode: 'Off'}", False),
        ("resourcePolicy: {containerPolicies: [{containerName: '*', controlledResources: [memory]}]}", False),
        ("resourcePolicy: {containerPolicies: [{containerName: '*', mode: 'Off'}]}", False),
    ],
)
def test_a_vertical_autoscaler_that_changes_what_is_measured_is_told_of(vertical, is_found):
    manifest = f"""
---
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {{name: sizes, namespace: shop}}
spec: {{targetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}{", " + vertical if vertical else ""}}}
"""
    found = findings("HorizontalPodAutoscaler", autoscaler(HEALTHY) + deployment() + manifest)
    assert [each.code for each in found] == ["HorizontalPodAutoscalerSharedTarget"] * is_found
    assert all("VerticalPodAutoscaler sizes changes the cpu requests" in each.message for each in found)
    other = manifest.replace("name: web", "name: other")
    assert codes("HorizontalPodAutoscaler", autoscaler(HEALTHY) + deployment() + other) == []


def test_bounds_the_wrong_way_round_are_reported():
    manifest = autoscaler(HEALTHY).replace("minReplicas: 2", "minReplicas: 20") + deployment()
    assert codes("HorizontalPodAutoscaler", manifest) == ["HorizontalPodAutoscalerInvalidBounds"]


def test_a_target_whose_pods_cannot_pull_their_image_is_the_cause():
    owned = "labels: {app: web}, ownerReferences: [{kind: ReplicaSet, name: web-1, controller: true}]"
    failing = pod(
        container("waiting: {reason: ImagePullBackOff, message: m}", phase="Pending", conditions=UNREADY),
        metadata=owned,
    )
    found = {
        finding.kind: finding
        for finding in diagnose_all(failing + autoscaler(HEALTHY) + deployment(ready=0) + REPLICA_SET)
    }
    assert found["HorizontalPodAutoscaler"].code == "HorizontalPodAutoscalerTargetNotReady"
    assert found["HorizontalPodAutoscaler"].cause == found["Deployment"].cause == found["Pod"].id
