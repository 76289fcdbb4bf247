"""What the cells of a session share, counted in requests at a real API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.cluster.names import UnknownName
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.session import Progress, Session
from tests.controlplane.controlplane import ControlPlane
from tests.threads import OwnThreads

AGENT = "k8sgpt-magic"


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


class Counter:
    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._mark = plane.audit.mark()

    def requests(self) -> list[str]:
        """The paths asked for since the last look."""
        found = [each.uri for each in self._plane.requests(since=self._mark, user_agent=f"{AGENT}/")]
        self._mark = self._plane.audit.mark()
        return found


@pytest.fixture
def counter(control_plane: ControlPlane) -> Counter:
    return Counter(control_plane)


def test_each_kind_is_listed_once_and_a_second_analysis_asks_nothing(control_plane, session, counter):
    config = str(control_plane.kubeconfig("admin"))
    first = session.analyze(kubeconfig=config)
    kinds = {kind for each in registered().values() if each.default for kind in each.reads}
    optional = {kind for kind in kinds if KINDS[kind].optional}
    asked = counter.requests()
    lists = [uri for uri in asked if "limit=" in uri]
    assert len(lists) == len(set(lists)) == len(kinds - optional)
    assert first.attrs["kinds"] == len(kinds - optional)
    # One request tells which of the others are served: none.
    assert len(asked) - len(lists) == bool(optional)
    second = session.analyze(kubeconfig=config)
    assert counter.requests() == []
    assert list(second["id"]) == list(first["id"])
    assert all(read["from_cache"] for read in second.attrs["reads"])


def test_lists_of_all_namespaces_serve_one_namespace_and_a_filter_too(control_plane, session, counter, namespace):
    config = str(control_plane.kubeconfig("admin"))
    session.analyze(kubeconfig=config)
    counter.requests()
    session.analyze(namespace, kubeconfig=config, filter="deploy")
    session.analyze([namespace, "team-*"], kubeconfig=config)
    assert counter.requests() == []


def test_refresh_and_age_read_anew(control_plane, session, counter):
    config = str(control_plane.kubeconfig("admin"))
    session.analyze(kubeconfig=config, filter="node")
    counter.requests()
    session.analyze(kubeconfig=config, filter="node", refresh=True)
    assert counter.requests()
    session.analyze(kubeconfig=config, filter="node", max_age=0)
    assert counter.requests()


def test_a_filter_reads_only_what_its_analyzers_need(control_plane, session, counter):
    session.analyze(kubeconfig=str(control_plane.kubeconfig("admin")), filter="pdb")
    paths = [uri.partition("?")[0].rpartition("/")[2] for uri in counter.requests()]
    assert sorted(paths) == sorted(
        {"poddisruptionbudgets", *(_plural(kind) for kind in registered()["PodDisruptionBudget"].reads)}
    )


def _plural(kind: str) -> str:
    return KINDS[kind].plural


def test_namespaces_are_listed_by_themselves(control_plane, session, counter, namespace):
    session.analyze(namespace, kubeconfig=str(control_plane.kubeconfig("admin")), filter="pod")
    pods = [uri for uri in counter.requests() if "/pods?" in uri]
    assert len(pods) == 1
    assert f"/namespaces/{namespace}/pods" in pods[0]


@pytest.mark.parametrize("namespace", ["team-a", ()])
def test_who_may_read_one_namespace_alone_gets_it(control_plane, session, counter, namespace):
    config = str(control_plane.kubeconfig("reader"))
    found = session.analyze(namespace, kubeconfig=config)
    assert counter.requests()
    reads = {(read["kind"], read["namespace"]): read["status"] for read in found.attrs["reads"]}
    assert reads["Pod", "team-a"] == "read"
    assert {status for (_, scope), status in reads.items() if not scope} <= {"forbidden", "absent"}
    assert any("nodes" in line and "forbidden" in line for line in found.attrs["unreadable"])
    session.analyze(namespace, kubeconfig=config)
    assert counter.requests() == []
    with pytest.raises(InvalidOption, match="name them instead"):
        session.analyze("team-*", kubeconfig=config)


def test_a_namespace_that_does_not_exist_is_noted_with_the_nearest(control_plane, session):
    findings = session.analyze("team-b", kubeconfig=str(control_plane.kubeconfig("admin")))
    assert any("'team-b'" in note and "'team-a'" in note for note in findings.attrs["notes"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"severity": "bad"}, "critical"),
        ({"selector": "a in b"}, "a in b"),
        ({"max_concurrency": 0}, "max-concurrency"),
        ({"timeout": 0}, "timeout"),
        ({"namespace": "nothing-like-*"}, "nothing-like"),
        ({"filter": "pood"}, "'Pod'"),
    ],
)
def test_options_that_make_no_sense_are_named(session, options, words):
    with pytest.raises((InvalidOption, UnknownName), match=words):
        session.analyze(source="demo", **options)


def test_severity_is_the_least_that_is_shown(session):
    everything = session.analyze(source="demo")
    serious = session.analyze(source="demo", severity="warning")
    assert set(everything["severity"]) == {"critical", "warning", "info"}
    assert list(serious["id"]) == list(everything.loc[everything["severity"] != "info", "id"])


def test_the_same_cluster_gives_the_same_table(session):
    assert session.analyze(source="demo").equals(Session().analyze(source="demo"))


def test_two_threads_may_analyze_at_once(session):
    results = []
    threads = [threading.Thread(target=lambda: results.append(len(session.analyze(source="demo")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
    assert len(results) == 4


def test_progress_reaches_the_end(session):
    drawn: list[Progress] = []

    class View:
        closed = 0

        def draw(self, progress: Progress) -> None:
            drawn.append(progress)

        def close(self) -> None:
            self.closed += 1

    view = View()
    session.analyze(source="demo", progress=view)
    assert view.closed == 1
    if drawn:
        assert drawn[-1].kinds_read == drawn[-1].kinds
        assert drawn[-1].analyzers_done == drawn[-1].analyzers
        assert drawn[-1].objects > 0


def test_a_closed_session_leaves_no_thread_and_may_be_used_again(control_plane):
    threads = OwnThreads()
    session = Session()
    session.analyze(kubeconfig=str(control_plane.kubeconfig("admin")), filter="node")
    assert "k8sgpt-magic" in threads.names()
    session.close()
    deadline = time.monotonic() + 5
    while threads.names() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not threads.names()
    assert len(session.analyze(source="demo"))
    session.close()
