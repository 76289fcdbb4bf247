import re
import time

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


PASTED = (
    """Name:             checkout-5d9c7b8f6d-abcde
Namespace:        acme-prod
Node:             ip-10-0-3-4.eu-west-1.compute.internal/10.0.3.4
IP:               10.244.1.7
Labels:           app=checkout
                  team=payments-squad
Annotations:      owner: jane.doe@acme.io
Controlled By:    ReplicaSet/checkout-5d9c7b8f6d
Containers:
  app:
    Image:         registry.acme.io:5000/team/checkout:v1.2
    Environment:
      DB_PASSWORD:  hunter2hunter2
      API_TOKEN:    ghp_abcdefghijklmnopqrstuvwxyz0123456789
Events:
  Warning  Failed  2m  kubelet  Failed to pull image "registry.acme.io:5000/team/checkout:v1.2"
""",
    """2026-01-01T00:00:00Z ERROR db connect postgres://svc:s3cr3tpw@db.acme.internal:5432/orders failed
Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U
AKIAIOSFODNN7EXAMPLE aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
2001:db8::1 mac 00:1A:2B:3C:4D:5E
""",
    """apiVersion: v1
kind: Secret
metadata:
  name: db-creds
  namespace: acme-prod
data:
  password: aHVudGVyMmh1bnRlcjI=
  user: YWRtaW4=
stringData:
  plain: topsecretvalue

""",
    """{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db-creds","namespace":"acme-prod"},"data":{"password":"aHVudGVyMg=="}}
""",
    """NAME                        READY   STATUS             RESTARTS   AGE
billing-api-7d9f8c6b5-xk2lp   0/1     CrashLoopBackOff   12   3h
NAMESPACE  LAST SEEN
acme-prod  12s   Warning   BackOff   pod/billing-api-7d9f8c6b5-xk2lp
""",
    """apiVersion: v1
kind: Pod
metadata:
  name: billing-api
  namespace: acme-prod
  labels: {team: payments-squad}
spec:
  nodeName: worker-17.acme.lan
  serviceAccountName: billing-sa
  containers:
  - name: app
    image: acme/billing:2
    env:
    - {name: DB_PASSWORD, value: hunter2hunter2}
    - name: STRIPE
      value: plainvalue123
  imagePullSecrets: [{name: acme-regcred}]
""",
)
SENSITIVE = (
    "hunter2", "acme", "payments-squad", "jane", "ghp_", "s3cr3tpw", "eyJhb", "AKIA", "wJalr", "10.0.3.4", "10.244",
    "2001:db8", "aHVud", "YWRtaW4", "topsecret", "billing-api", "db-creds", "worker-17", "plainvalue123", "billing-sa",
    "xk2lp", "checkout-5d9",
)  # fmt: skip


@pytest.mark.parametrize("text", PASTED)
def test_pasted_text_of_a_cluster_that_was_never_analyzed_is_masked(text):
    made = Anonymizer()
    made.learn_text(text)
    masked = made.mask(text)
    assert [each for each in SENSITIVE if each in masked] == []
    assert made.unmask(masked) == text


@pytest.mark.parametrize(
    "line",
    [
        "automountServiceAccountToken: false",
        "DB_PASSWORD: <set to the key 'password' in secret>",
        "imagePullSecrets: [{}]",
    ],
)
def test_flags_and_places_are_no_credentials(line):
    assert Anonymizer().mask(line) == line


@pytest.mark.parametrize(
    "line", ["DB_PASSWORD=hunter2", "MY_API_TOKEN: hunter2", "spring.datasource.password=hunter2"]
)
def test_a_credential_is_told_by_the_end_of_its_name(line):
    assert "hunter2" not in Anonymizer().mask(line)


@given(st.text(alphabet="abN: ={}\"'\n-/|data", max_size=120))
def test_any_pasted_text_can_be_learnt_from_and_comes_back(text):
    made = Anonymizer()
    made.learn_text(f"kind: Secret\n{text}")
    assert made.unmask(made.mask(text)) == text


def test_a_long_line_of_dashes_does_not_take_long():
    began = time.perf_counter()
    Anonymizer().mask("_-" * 20_000)
    # It took half a minute.
    assert time.perf_counter() - began < 10
