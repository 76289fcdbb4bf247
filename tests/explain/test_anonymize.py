import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8sgpt_magic.explain.anonymize import TOKEN, Anonymizer, canonical, substitute
from tests.views import view_of

CLUSTER = """
apiVersion: v1
kind: Pod
metadata: {name: checkout-7d9f-x2k4q, namespace: shop, labels: {app: checkout, team: payments-core}}
spec: {nodeName: node-a.internal, containers: [{name: app, image: "registry.corp.example/shop/checkout:2.4.1"}]}
---
apiVersion: v1
kind: Secret
metadata: {name: stripe-api-key, namespace: shop}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front, namespace: shop}
spec: {rules: [{host: www.shop.example.com}]}
"""


@pytest.fixture
def anonymizer():
    made = Anonymizer()
    made.learn(view_of(CLUSTER))
    return made


@pytest.mark.parametrize(
    "text",
    [
        'pods "checkout-7d9f-x2k4q" not found in namespace shop',
        "shop/checkout-7d9f-x2k4q: secret stripe-api-key is missing",
        "Failed to pull image registry.corp.example/shop/checkout:2.4.1: unauthorized",
        "node-a.internal is not ready; see https://grafana.corp.example/d/abc?x=1",
        "dial tcp 10.1.2.3:5432: connect: connection refused",
        "dial tcp [fd00:10:244::7]:53: i/o timeout",
        "mail jane.doe@corp.example about www.shop.example.com",
        "password=hunter2-hunter2 token: ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "key AKIAIOSFODNN7EXAMPLE and c2VjcmV0LXZhbHVlLXdpdGgtbG90cy1vZi1ieXRlczEy",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
        "some-registry.example:5000/a/b/c:v1 and sha256:0123456789abcdef0123456789abcdef",
    ],
)
def test_what_is_masked_comes_back_as_it_was_and_nothing_of_it_is_left(anonymizer, text):
    masked = anonymizer.mask(text)
    assert anonymizer.unmask(masked) == text
    for secret in (
        "checkout-7d9f", "stripe-api-key", "corp.example", "node-a", "10.1.2.3", "fd00:10", "jane", "shop.example", "hunter2",
        "ghp_", "eyJ", "AKIA", "c2VjcmV0", "MIIE", "0123456789abcdef",
    ):  # fmt: skip
        assert secret not in masked, masked
    assert not re.search(r"\bshop\b", masked)


@pytest.mark.parametrize(
    "text",
    [
        "Back-off restarting failed container",
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
        "0/7 nodes are available: 3 Insufficient cpu, 4 node(s) had untolerated taint",
        "pods is forbidden: cannot list resource in API group apps/v1 in the namespace default",
        "exit code 137 (OOMKilled), restarted 12 times, 2 of 3 replicas ready, limit 512Mi",
        "see https://kubernetes.io/docs/concepts/workloads/pods/ and spec.containers[0].image",
        "admission webhook denied the request; node.kubernetes.io/unreachable",
    ],
)
def test_words_of_kubernetes_stay_words(anonymizer, text):
    assert anonymizer.mask(text) == text


def test_a_name_has_one_token_as_long_as_the_session_lives(anonymizer):
    first, second = anonymizer.mask("checkout-7d9f-x2k4q"), anonymizer.mask("again: checkout-7d9f-x2k4q.")
    assert first in second
    assert TOKEN.fullmatch(first)


def test_the_longest_name_wins_and_parts_of_words_are_not_names():
    anonymizer = Anonymizer()
    for name in ("web", "web-1", "web-1-extra"):
        anonymizer.remember(name, "pod")
    assert anonymizer.mask("web-1-extra") == "__POD_1__"
    assert anonymizer.mask("webhook cobweb") == "webhook cobweb"
    assert anonymizer.unmask(anonymizer.mask("web-1/web web-2")) == "web-1/web web-2"


def test_the_same_said_of_other_things_is_the_same_question(anonymizer):
    anonymizer.remember("other-pod", "pod")
    one, back = canonical(anonymizer.mask("pod checkout-7d9f-x2k4q in shop crashes, checkout-7d9f-x2k4q again"))
    anonymizer.remember("elsewhere", "namespace")
    two, other_back = canonical(anonymizer.mask("pod other-pod in elsewhere crashes, other-pod again"))
    assert one == two
    answer = f"restart {next(token for token in back if 'POD' in token)}"
    assert anonymizer.unmask(substitute(answer, other_back)) == "restart other-pod"


names = st.from_regex(r"[a-z][a-z0-9]{4,10}(-[a-z0-9]{2,6}){0,2}", fullmatch=True)
templates = st.sampled_from(
    ["{}", "pod {} failed", "{}/{} is gone", '"{}": {}', "a.{}.svc:80", "{}: {} ({})", "x={},y={}"]
)


@given(st.lists(names, min_size=3, max_size=6, unique=True), st.lists(templates, min_size=1, max_size=5))
def test_no_known_name_survives_and_all_come_back(known, shapes):
    anonymizer = Anonymizer()
    for name in known:
        anonymizer.remember(name, "pod")
    text = "\n".join(shape.format(*(known * 3)[at : at + 3]) for at, shape in enumerate(shapes))
    masked = anonymizer.mask(text)
    assert not [name for name in known if re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", masked)]
    assert anonymizer.unmask(masked) == text


@given(st.text(max_size=300))
def test_any_text_comes_back(text):
    anonymizer = Anonymizer()
    anonymizer.remember("abc", "pod")
    if not TOKEN.search(text):
        assert anonymizer.unmask(anonymizer.mask(text)) == text
