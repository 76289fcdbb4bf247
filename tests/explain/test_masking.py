"""Nothing that names a thing of the user's reaches a server elsewhere: random clusters, and every byte it received."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.cluster.demo import DemoSource
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.manifests import objects_of
from k8sgpt_magic.cluster.view import ClusterView, ReadResult
from k8sgpt_magic.diagnosis.diagnose import diagnose
from k8sgpt_magic.explain.explainer import Style
from k8sgpt_magic.frame import Findings, Summary
from k8sgpt_magic.session import Seen, Session
from tests.explain.model_server import running

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LONG_AGO = (NOW - timedelta(hours=5)).isoformat()
SHORTLY = (NOW - timedelta(minutes=2)).isoformat()

# Not a word of any message, and long enough not to turn up by chance.
_letters = st.text(alphabet="bcdfghjklmnpqrstvwxz", min_size=6, max_size=10)
names = st.builds("{}{}".format, _letters, st.sampled_from(["", "-api", "-7d9f", ".prod", "-db-0"]))
hosts = st.builds("{}.{}.example".format, _letters, _letters)
images = st.builds("{}/{}/{}:{}".format, hosts, _letters, _letters, st.sampled_from(["1.2", "v3-rc1", "latest"]))
addresses = st.builds("10.{}.{}.{}".format, *[st.integers(20, 250)] * 3)
emails = st.builds("{}@{}".format, _letters, hosts)
tokens = st.one_of(
    st.builds("AKIA{}".format, st.text("ABCDEFGHJKLMNPQRSTUVWXYZ234567", min_size=16, max_size=16)),
    st.builds("ghp_{}".format, st.text("abcdefghijkmnopqrstuvwxyzABCDEFGH0123456789", min_size=36, max_size=36)),
    st.builds("password={}".format, st.text("abcdefghjkmnpqrstuvwxyz23456789", min_size=9, max_size=14)),
    st.builds(
        "eyJhbGciOiJI{}.eyJzdWIi{}.{}".format,
        *[st.text("abcdefghijkmnopqrstuvwxyzABC0123456789", min_size=8, max_size=12)] * 3,
    ),
)


@st.composite
def clusters(draw):
    """Manifests of a cluster in which most things are wrong, and everything in it that tells whose it is."""
    namespace, app, node, account, config, secret, claim, service = draw(
        st.lists(names, min_size=8, max_size=8, unique=True)
    )
    container, label, policy = draw(st.lists(_letters, min_size=3, max_size=3, unique=True))
    image, host, address, email, token = draw(images), draw(hosts), draw(addresses), draw(emails), draw(tokens)
    chatter = f"cannot reach https://{host}:8443/x?user={email} from {address}: {token}; see pod {app} on {node}"
    secrets = [
        namespace, app, node, account, config, secret, claim, service, container, label, policy, image, host, address,
        email, token.removeprefix("password="),
    ]  # fmt: skip
    meta = {"namespace": namespace, "creationTimestamp": LONG_AGO, "labels": {"app": label}}
    state = draw(
        st.sampled_from(
            [
                {"waiting": {"reason": "CrashLoopBackOff", "message": chatter}},
                {
                    "waiting": {
                        "reason": "ImagePullBackOff",
                        "message": f'Back-off pulling image "{image}": {chatter}',
                    }
                },
                {"waiting": {"reason": "CreateContainerConfigError", "message": f'secret "{secret}" not found'}},
                {"terminated": {"exitCode": 3, "reason": "Error", "message": chatter, "finishedAt": LONG_AGO}},
            ]
        )
    )
    template = {
        "metadata": {"labels": {"app": label}},
        "spec": {
            "serviceAccountName": account,
            "containers": [
                {
                    "name": container, "image": image,
                    "env": [
                        {"name": "A", "value": token},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}},
                    ],
                    "envFrom": [{"configMapRef": {"name": config}}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }  # fmt: skip
    pod = {
        "kind": "Pod", "apiVersion": "v1", "metadata": {**meta, "name": app, "uid": "u1"},
        "spec": {**template["spec"], "nodeName": node},
        "status": {
            "phase": "Running", "startTime": LONG_AGO,
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": LONG_AGO, "message": chatter}],
            "containerStatuses": [{"name": container, "image": image, "restartCount": 4, "state": state}],
        },
    }  # fmt: skip
    objects = [
        pod,
        {
            "kind": "Event", "apiVersion": "v1", "metadata": {"name": "e", "namespace": namespace}, "type": "Warning",
            "reason": "Failed", "message": chatter, "lastTimestamp": SHORTLY, "count": 3,
            "involvedObject": {"kind": "Pod", "namespace": namespace, "name": app, "uid": "u1"},
        },
        {
            "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {**meta, "name": f"{app}x", "uid": "u2"},
            "spec": {"replicas": 2, "template": template, "selector": {"matchLabels": {"app": label}}},
            "status": {
                "conditions": [
                    {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": chatter}
                ]
            },
        },
        {
            "kind": "Service", "apiVersion": "v1", "metadata": {**meta, "name": service},
            "spec": {"selector": {"app": label}, "ports": [{"port": 80, "targetPort": policy}]},
        },
        {
            "kind": "Ingress", "apiVersion": "networking.k8s.io/v1", "metadata": {**meta, "name": f"{service}y"},
            "spec": {
                "ingressClassName": policy, "tls": [{"hosts": [host], "secretName": secret}],
                "rules": [{"host": host, "http": {"paths": [
                    {"path": "/", "backend": {"service": {"name": service, "port": {"number": 81}}}}]}}],
            },
        },
        {
            "kind": "Node", "apiVersion": "v1", "metadata": {"name": node, "creationTimestamp": LONG_AGO},
            "status": {"conditions": [
                {"type": "Ready", "status": "False", "message": chatter, "lastTransitionTime": LONG_AGO}]},
        },
        {
            "kind": "ValidatingWebhookConfiguration", "apiVersion": "admissionregistration.k8s.io/v1",
            "metadata": {"name": policy, "creationTimestamp": LONG_AGO},
            "webhooks": [{"name": f"{policy}.{host}", "rules": [{}], "clientConfig": {
                "service": {"namespace": namespace, "name": f"{service}z"}}}],
        },
    ]  # fmt: skip
    return objects, secrets


@pytest.fixture(scope="module")
def model():
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def session():
    session = Session()
    yield session
    session.close()


def analyzed(session, objects):
    """Make a view of these objects what the session has analyzed last."""
    found = objects_of(objects)
    assert not found.undecodable
    view = ClusterView(found.objects, [ReadResult(kind=kind) for kind in KINDS], now=NOW)
    diagnosis = diagnose(view, list(registered().values()))
    assert not diagnosis.errors
    session.seen = {"": Seen(DemoSource(), view)}
    session._findings = {finding.id: finding for finding in diagnosis.findings}
    session.history.append(Findings.of(diagnosis.findings, Summary()))
    return diagnosis.findings


def occurs(text, secret):
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", text) is not None


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(clusters())
def test_nothing_that_names_a_thing_reaches_a_server_elsewhere(session, model, cluster):
    objects, secrets = cluster
    findings = analyzed(session, objects)
    assert len(findings) >= 6
    model.bodies.clear(), model.headers.clear(), model.paths.clear()
    rows = session.explainer.explain(
        style=Style(
            backend="litellm", base_url=model.url, model="tiny", use_cache=False, ask=f"is {secrets[1]} at fault?"
        )
    )
    assert (rows.failure == "").all()
    assert model.bodies
    received = model.received.decode()
    assert [secret for secret in secrets if occurs(received, secret)] == []


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(clusters())
def test_the_search_for_names_would_find_them(session, model, cluster):
    """Without masking they are there, so the test above can fail."""
    objects, secrets = cluster
    analyzed(session, objects)
    model.bodies.clear(), model.headers.clear(), model.paths.clear()
    session.explainer.explain(
        style=Style(backend="litellm", base_url=model.url, model="tiny", use_cache=False, anonymize=False)
    )
    received = model.received.decode()
    assert len([secret for secret in secrets if occurs(received, secret)]) > 8


def test_answers_come_back_with_the_names(session, model):
    session.analyze(source="demo", namespace="shop", filter="po")
    model.respond = None
    rows = session.explainer.explain(
        session.last.head(1), Style(backend="litellm", base_url=model.url, model="tiny", use_cache=False)
    )
    assert "__" not in rows.iloc[0]["explanation"]
