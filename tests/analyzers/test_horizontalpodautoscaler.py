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
    assert codes("HorizontalPodAutoscaler", autoscaler(conditions) + deployment()) == [
        "HorizontalPodAutoscalerCannotScale"
    ]


def test_the_greatest_number_of_replicas_is_a_problem_when_it_lasts():
    pinned = condition("ScalingLimited", "True", "TooManyReplicas")
    assert codes("HorizontalPodAutoscaler", autoscaler(f"{HEALTHY}, {pinned}") + deployment()) == [
        "HorizontalPodAutoscalerAtMaximum"
    ]
    lately = pinned.replace(SINCE, "2026-11-02T08:55:00Z")
    assert codes("HorizontalPodAutoscaler", autoscaler(f"{HEALTHY}, {lately}") + deployment()) == []


def test_two_autoscalers_of_one_target_are_both_told_of_the_other():
    found = findings(
        "HorizontalPodAutoscaler", autoscaler(HEALTHY) + autoscaler(HEALTHY, name="other") + deployment()
    )
    assert [finding.code for finding in found] == ["HorizontalPodAutoscalerSharedTarget"] * 2
    assert "other" in next(finding.message for finding in found if finding.name == "web")


def test_bounds_the_wrong_way_round_are_reported():
    manifest = autoscaler(HEALTHY).replace("minReplicas: 2", "minReplicas: 20") + deployment()
    assert codes("HorizontalPodAutoscaler", manifest) == ["HorizontalPodAutoscalerInvalidBounds"]


def test_a_target_whose_pods_cannot_pull_their_image_is_the_cause():
    owned = "labels: {app: web}, ownerReferences: [{kind: ReplicaSet, name: web-1, controller: true}]"
    replica_set = """
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1, namespace: shop, ownerReferences: [{kind: Deployment, name: web, uid: d1, controller: true}]}
spec: {replicas: 2}
status: {replicas: 2}
"""
    failing = pod(
        container("waiting: {reason: ImagePullBackOff, message: m}", phase="Pending", conditions=UNREADY),
        metadata=owned,
    )
    found = {
        finding.kind: finding
        for finding in diagnose_all(failing + autoscaler(HEALTHY) + deployment(ready=0) + replica_set)
    }
    assert found["HorizontalPodAutoscaler"].code == "HorizontalPodAutoscalerTargetNotReady"
    assert found["HorizontalPodAutoscaler"].cause == found["Deployment"].cause == found["Pod"].id
