"""What the benchmarks count, at a small size. Nothing here measures time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from k8sgpt_magic.cluster.decode import decode_page
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.live import PAGE
from k8sgpt_magic.session import Session
from tests.controlplane.controlplane import ControlPlane

from . import analysis, watch
from .live import USER_AGENT, counts, expected_pages
from .load import Load, loaded
from .objects import failing_pods, fails, objects, pages

PODS = 60


@pytest.fixture
def load(control_plane: ControlPlane) -> Iterator[Load]:
    """A few pods, and so many ConfigMaps that their list has two pages."""
    with loaded(control_plane, PODS, namespaces=2, config_maps=PAGE + 1) as load:
        yield load


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def test_requests_are_one_for_each_kind_and_further_page(
    control_plane: ControlPlane, load: Load, session: Session
) -> None:
    kubeconfig = str(control_plane.kubeconfig("admin"))

    mark = control_plane.audit.mark()
    failing = session.analyze(kubeconfig=kubeconfig, all_namespaces=True)
    requests = control_plane.requests(since=mark, user_agent=USER_AGENT)
    absent = [read for read in failing.attrs["reads"] if read["status"] == "absent"]
    assert all(KINDS[read["kind"]].optional and not read["requests"] for read in absent)
    reads = [read for read in failing.attrs["reads"] if read not in absent]
    assert {read["status"] for read in reads} == {"read"}
    found = counts(requests)
    assert found.lists == len({read["kind"] for read in reads}) == len(reads)
    assert found.pages == expected_pages(reads, requests) > 0
    assert found.others == bool(absent)
    assert failing.attrs["errors"] == []

    mark = control_plane.audit.mark()
    again = session.analyze(kubeconfig=kubeconfig, all_namespaces=True)
    session.analyze("load-00", kubeconfig=kubeconfig, filter="Deployment")
    assert control_plane.requests(since=mark, user_agent=USER_AGENT) == []
    assert list(again["id"]) == list(failing["id"])

    load.heal()
    mark = control_plane.audit.mark()
    healthy = session.analyze(kubeconfig=kubeconfig, all_namespaces=True, refresh=True)
    assert counts(control_plane.requests(since=mark, user_agent=USER_AGENT)) == found
    assert len(healthy) < len(failing)


def test_the_load_is_what_the_api_server_would_list() -> None:
    numbers: Counter[str] = Counter()
    for kind, body in pages(objects(PODS), limit=7):
        page = decode_page(KINDS[kind], body)
        assert page.undecodable == []
        numbers[kind] += len(page.objects)
    assert numbers["Pod"] == PODS
    assert numbers["Event"] == failing_pods(PODS) == sum(map(fails, range(PODS))) == PODS * 2 // 5
    assert [each["metadata"]["uid"] for each in objects(PODS)] == [
        each["metadata"]["uid"] for each in objects(PODS, failing=False)
    ]


def test_every_failing_deployment_is_found() -> None:
    figures = analysis.measure(PODS, 1)
    assert figures["errors"] == []
    assert figures["findings"] >= PODS // 10


def test_a_watch_shows_what_the_stream_brings() -> None:
    figures = watch.measure(PODS, 10, 2.5, 0.2)
    assert figures["bare"]["bytes"] > 0
    assert figures["delays"]
    assert figures["trouble"] == ""
