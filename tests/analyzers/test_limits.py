"""ResourceQuota and LimitRange."""

from __future__ import annotations

import pytest

from tests.views import codes, findings


def quota(hard: str, used: str) -> str:
    return f"""
apiVersion: v1
kind: ResourceQuota
metadata: {{name: compute, namespace: shop}}
status: {{hard: {hard}, used: {used}}}
"""


@pytest.mark.parametrize(
    ("hard", "used", "found"),
    [
        ("{pods: '10'}", "{pods: '5'}", []),
        ("{pods: '10'}", "{pods: '9'}", ["ResourceQuotaNearlyExhausted"]),
        ("{pods: '10'}", "{pods: '10'}", ["ResourceQuotaExhausted"]),
        ("{requests.memory: 8Gi}", "{requests.memory: 7900Mi}", ["ResourceQuotaNearlyExhausted"]),
        ("{requests.cpu: '4'}", "{requests.cpu: 3500m}", []),
        # None of a thing is a way to forbid it.
        ("{services.loadbalancers: '0'}", "{services.loadbalancers: '0'}", []),
        ("{pods: lots}", "{pods: '9'}", []),
        ("{pods: '10', requests.cpu: '4'}", "{pods: '10', requests.cpu: 3700m}", ["ResourceQuotaExhausted", "ResourceQuotaNearlyExhausted"]),
    ],
)  # fmt: skip
def test_quotas(hard, used, found):
    assert codes("ResourceQuota", quota(hard, used)) == found


def test_a_quota_says_what_and_how_much():
    [found] = findings("ResourceQuota", quota("{pods: '10'}", "{pods: '10'}"))
    assert found.message == "Used up: pods (10 of 10, 100 %)."
    assert found.evidence[0].source == "status.used[pods]"


def limits(item: str) -> str:
    return f"""
apiVersion: v1
kind: LimitRange
metadata: {{name: bounds, namespace: shop}}
spec: {{limits: [{item}]}}
---
"""


def pod(requests: str = "{}", limits: str = "{}", phase: str = "Running") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: shop}}
spec: {{containers: [{{name: app, resources: {{requests: {requests}, limits: {limits}}}}}]}}
status: {{phase: {phase}}}
"""


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("{type: Container, max: {cpu: '2'}, default: {cpu: '1'}, defaultRequest: {cpu: 500m}, min: {cpu: 100m}}", 0),
        ("{type: Container, max: {cpu: '1'}, default: {cpu: '2'}}", 1),
        ("{type: Container, max: {memory: 1Gi}, min: {memory: 2Gi}}", 1),
        ("{type: Container, default: {cpu: 100m}, defaultRequest: {cpu: 200m}}", 1),
        ("{type: Container, max: {cpu: nonsense}, min: {cpu: '1'}}", 0),
    ],
)
def test_bounds_that_exclude_each_other(item, found):
    assert codes("LimitRange", limits(item)) == ["LimitRangeContradictsItself"] * found


@pytest.mark.parametrize(
    ("running", "found"),
    [
        (pod(limits="{cpu: '1'}"), []),
        (pod(limits="{cpu: '3'}"), ["LimitRangePodsOutside"]),
        (pod(requests="{cpu: 50m}", limits="{cpu: '1'}"), ["LimitRangePodsOutside"]),
        # What it does not say, the range says for it.
        (pod(), []),
        (pod(limits="{cpu: '3'}", phase="Succeeded"), []),
    ],
)
def test_pods_that_could_not_be_made_again(running, found):
    item = "{type: Container, max: {cpu: '2'}, min: {cpu: 100m}, default: {cpu: '1'}, defaultRequest: {cpu: 200m}}"
    assert codes("LimitRange", limits(item) + running) == found
