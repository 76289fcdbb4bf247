"""Several clusters or snapshots in one analysis, in this process and on a Dask cluster of several."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8sgpt_magic import arrow, fleet, workers
from k8sgpt_magic.cluster import kubeconfig as kubeconfigs
from k8sgpt_magic.commands import Commands
from k8sgpt_magic.errors import InvalidOption, K8sGPTError, Unreachable
from k8sgpt_magic.explain.explainer import Style
from k8sgpt_magic.fleet import Outcome
from k8sgpt_magic.session import Query, Session
from k8sgpt_magic.views import export, html, rows, text
from tests.controlplane.controlplane import ControlPlane

BROKEN = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, uid: "{name}"}}
spec: {{nodeName: secret-node, containers: [{{name: app, image: 'registry.corp.example/{name}:1'}}]}}
status:
  phase: Pending
  containerStatuses:
    - {{name: app, image: x, ready: false, restartCount: 0, imageID: '', state: {{waiting: {{reason: ImagePullBackOff, message: "not on secret-node"}}}}}}
"""

TORN = "kind: Pod\nmetadata: {name: [\n"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody-is-asked")
    session = Session()
    yield session
    session.close()


@pytest.fixture(scope="module")
def contexts(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One kubeconfig of three contexts: two that reach the control plane, and one whose server is gone."""
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for user, name in (("admin", "prod-eu"), ("viewer", "prod-us"), ("admin", "prod-dead")):
        config = yaml.safe_load(control_plane.kubeconfig(user).read_text())
        cluster, login = config["clusters"][0]["cluster"], config["users"][0]["user"]
        if name == "prod-dead":
            cluster = cluster | {"server": "https://127.0.0.1:1"}
        merged["clusters"].append({"name": name, "cluster": cluster})
        merged["users"].append({"name": name, "user": login})
        merged["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    path = tmp_path_factory.mktemp("fleet") / "config"
    path.write_text(yaml.safe_dump(merged))
    return str(path)


@pytest.fixture
def snapshots(tmp_path: Path) -> Path:
    """Two dumps in directories of their own, with files of one name, and a damaged one."""
    for name in ("blue", "green"):
        folder = tmp_path / "dumps" / name
        folder.mkdir(parents=True)
        (folder / "dump.yaml").write_text(BROKEN.format(name=name))
    (tmp_path / "dumps" / "torn").mkdir()
    (tmp_path / "dumps" / "torn" / "dump.yaml").write_text(TORN)
    return tmp_path / "dumps"


def test_contexts_are_analyzed_together_and_a_dead_one_costs_only_itself(control_plane, session, contexts):
    name = control_plane.api.namespace("fleet-shop")
    try:
        control_plane.api.apply(
            "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: lonely}, spec: {storageClassName: nowhere, "
            "accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
            name,
        )
        found = session.analyze(name, context="prod-*", kubeconfig=contexts, filter="pvc,node", refresh=True)
        lonely = found[found["name"] == "lonely"]
        assert sorted(lonely.context) == ["prod-eu", "prod-us"]
        assert list(lonely.id) == sorted(
            f"{each}:PersistentVolumeClaim/{name}/lonely/PersistentVolumeClaimStorageClassMissing"
            for each in ("prod-eu", "prod-us")
        )
        assert found.attrs["contexts"] == ["prod-eu", "prod-us", "prod-dead"]
        [line] = [line for line in found.attrs["unreadable"] if line.startswith("prod-dead: ")]
        assert "127.0.0.1:1" in line
        assert "3 clusters" in found.attrs["context"]
        # Each row's object is that of its own cluster.
        assert session.view is None
        assert session.view_at("prod-us").context == "prod-us"
        assert found.widget._object(0).startswith("kind: PersistentVolumeClaim")
        # The second time nothing is asked of those that live.
        again = session.analyze(name, context=["prod-eu", "prod-us"], kubeconfig=contexts, filter="pvc,node")
        assert all(read["from_cache"] for read in again.attrs["reads"])
        assert list(again.id) == list(found.id)
    finally:
        control_plane.api.delete_namespace(name, wait=False)


def test_all_dead_is_an_error_with_the_reasons_and_names_are_checked(session, contexts):
    with pytest.raises(K8sGPTError, match="None of 1 cluster could be analyzed") as failure:
        session.analyze(context="*-dead", kubeconfig=contexts)
    assert "prod-dead: No answer" in failure.value.advice
    with pytest.raises(InvalidOption, match="no context 'prod-ue'; did you mean 'prod-us'"):
        session.analyze(context="prod-ue,prod-us", kubeconfig=contexts)
    with pytest.raises(InvalidOption, match="several of one of the two"):
        session.analyze(context="prod-*", source="demo,live", kubeconfig=contexts)
    with pytest.raises(InvalidOption, match="unknown severity"):
        session.analyze(context="prod-*", kubeconfig=contexts, severity="awful")
    with pytest.raises(InvalidOption, match="watch takes one"):
        session.watch(context="prod-*", kubeconfig=contexts)
    with pytest.raises(InvalidOption, match="snapshot save takes one"):
        session.save_snapshot("/nowhere/x.tar.gz", context="prod-*", kubeconfig=contexts)


def test_snapshots_by_glob_are_told_apart_by_their_directories(session, snapshots):
    found = session.analyze(source=f"{snapshots}/**/*.yaml", filter="po")
    assert set(found.context) == {"blue/dump.yaml", "green/dump.yaml"}
    pulls = found[found.code == "PodImagePullBackOff"]
    assert sorted(pulls["name"]) == ["blue", "green"]
    assert any(line.startswith("torn/dump.yaml: ") and "damaged" in line for line in found.attrs["unreadable"])
    # Every form of output says which.
    for rendered in (text.render(found), html.render(found), export.export(found, "markdown")):
        assert "blue/dump.yaml: " in str(rendered)
    columns = rows.columns(found)
    assert columns["context"]["values"] == ["blue/dump.yaml", "green/dump.yaml"]
    assert [found.iloc[row].context for row in rows.shown(columns, {"context": "green/dump.yaml"})] == [
        "green/dump.yaml"
    ] * (found.context == "green/dump.yaml").sum()
    with pytest.raises(InvalidOption, match="no file matches"):
        session.analyze(source=f"{snapshots}/*.tar.gz")


def test_a_comma_list_of_sources_and_a_file_with_a_comma_in_its_name(session, snapshots):
    found = session.analyze(source=f"demo,{snapshots}/blue/dump.yaml")
    assert {each.partition(":")[0] for each in found.id} == {"demo", f"{snapshots}/blue/dump.yaml"}
    shutil.copy(snapshots / "blue" / "dump.yaml", snapshots / "a,b.yaml")
    alone = session.analyze(source=f"{snapshots}/a,b.yaml")
    assert alone.attrs["contexts"] == []
    assert not alone.id.str.contains(":").any()


def test_snapshots_behind_a_url_by_glob(session, snapshots):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(snapshots))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = session.analyze(source=f"http://127.0.0.1:{server.server_port}/**/*.yaml", filter="po")
    finally:
        server.shutdown()
        server.server_close()
    assert set(found.context) == {"blue/dump.yaml", "green/dump.yaml"}


def test_of_many_nothing_is_held_and_names_are_still_masked(session, snapshots, monkeypatch):
    monkeypatch.setattr("k8sgpt_magic.session.KEPT_VIEWS", 1)
    found = session.analyze(source=f"{snapshots}/blue/*,{snapshots}/green/*", filter="po")
    assert session.seen == {}
    assert session._sources == {}
    assert "no longer" in found.widget._object(0)
    sent = str(session.explainer.preview(found, Style(backend="openai")))
    assert "PodImagePullBackOff" in sent
    for name in ("secret-node", "registry.corp.example", "blue", "green"):
        assert name not in sent


def test_rows_of_an_earlier_analysis_are_masked_of_all_names_it_saw(session, snapshots):
    before = session.analyze(source=f"{snapshots}/blue/dump.yaml", filter="po")
    session.analyze(source="demo")
    sent = str(session.explainer.preview(before, Style(backend="openai")))
    assert "PodImagePullBackOff" in sent
    assert "secret-node" not in sent
    assert "blue" not in sent


def test_findings_survive_arrow(session):
    session.analyze(source="demo")
    outcome = Outcome("demo", session.findings(), session.last.summary)
    assert arrow.decode(arrow.encode(outcome)) == outcome
    empty = Outcome("none", [], session.last.summary)
    assert arrow.decode(arrow.encode(empty)) == empty


def test_names_are_as_short_as_they_can_be():
    assert fleet._short(["s3://b/x/1.tar.gz", "s3://b/y/1.tar.gz"]) == ["x/1.tar.gz", "y/1.tar.gz"]
    assert fleet._short(["/a/b/c.gz", "/a/b/d.gz"]) == ["c.gz", "d.gz"]
    assert fleet._short(["/a/b/c.gz"]) == ["c.gz"]
    assert fleet._short(["demo", "/a/x.gz"]) == ["demo", "/a/x.gz"]


# --- Dask ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as cluster:
        yield cluster


def test_two_hundred_snapshots_on_a_dask_cluster(session, dask_cluster, tmp_path):
    for number in range(200):
        folder = tmp_path / f"cluster-{number:03}"
        folder.mkdir()
        (folder / "dump.yaml").write_text(TORN if number == 7 else BROKEN.format(name=f"pod-{number}"))
    source = f"{tmp_path}/*/dump.yaml"
    found = session.analyze(source=source, filter="po", dask=dask_cluster.scheduler_address)
    pulls = found[found.code == "PodImagePullBackOff"]
    assert len(pulls) == 199
    assert len(found.attrs["contexts"]) == 200
    assert any("cluster-007" in line and "damaged" in line for line in found.attrs["unreadable"])
    # The same as without it, but for who did it.
    alone = session.analyze(source=source, filter="po")
    assert list(alone.id) == list(found.id)
    assert list(alone.message) == list(found.message)
    # Names are masked though the views are elsewhere.
    session.analyze(source=source, filter="po", dask=dask_cluster.scheduler_address)
    sent = str(session.explainer.preview(session.last.head(20), Style(backend="openai")))
    assert "secret-node" not in sent
    assert "registry.corp.example" not in sent


def test_workers_use_their_own_kubeconfig_unless_they_are_sent_one(session, dask_cluster, contexts):
    address = dask_cluster.scheduler_address
    options = {"context": "prod-eu,prod-us", "filter": "node", "dask": address}
    shipped = session.analyze(kubeconfig=contexts, ship_credentials=True, **options)
    assert not [line for line in shipped.attrs["unreadable"] if "No" in line]
    assert shipped.attrs["objects"] >= 0
    assert {read["status"] for read in shipped.attrs["reads"] if read["kind"] == "Node"} == {"read"}


def test_what_is_sent_stands_alone_and_only_over_tls_or_on_this_machine(contexts, tmp_path, control_plane):
    query = Query(context="prod-eu", kubeconfig=contexts, dask="tcp://scheduler.example:8786", ship_credentials=True)
    [target] = fleet.targets(Query(context="prod-eu,", kubeconfig=contexts))
    with pytest.raises(InvalidOption, match="tls://"):
        workers._task(target, query)
    own = workers._task(target, Query(dask="tcp://scheduler.example:8786"))
    assert own.kubeconfig == ""
    # Files that it names go with it, by content.
    path = tmp_path / "cert-admin"
    path.write_text(kubeconfigs.portable("", str(control_plane.kubeconfig("cert-admin"))))
    assert "-data" in path.read_text()
    assert str(control_plane.directory) not in path.read_text()
    session = Session()
    try:
        assert session.analyze(kubeconfig=str(path), filter="node").attrs["unreadable"] == []
    finally:
        session.close()


def test_mistakes_about_dask_are_answered_in_a_line(session, snapshots):
    with pytest.raises(Unreachable, match=r"No answer from the Dask scheduler tcp://127.0.0.1:1"):
        session.analyze(source=f"{snapshots}/*/*", dask="tcp://127.0.0.1:1")
    with pytest.raises(InvalidOption, match="several clusters"):
        session.analyze(source="demo", dask="tcp://127.0.0.1:1")
    with pytest.raises(InvalidOption, match="--dask"):
        Commands(session).run(["analyze", "--source", f"{snapshots}/*/*", "--ship-credentials", "-q"])
