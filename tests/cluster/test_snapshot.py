import asyncio
import base64
import bz2
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import yaml

from k8sgpt_magic.analyzers import registered
from k8sgpt_magic.cluster import archive, members
from k8sgpt_magic.cluster.archive import ArchiveWriter, reduced
from k8sgpt_magic.cluster.demo import NOW, DemoSource
from k8sgpt_magic.cluster.kinds import SAVED
from k8sgpt_magic.cluster.manifests import Damaged, documents_in
from k8sgpt_magic.cluster.members import Budget, TooLarge
from k8sgpt_magic.cluster.resources import ConfigMap, Deployment, Node, Pod, Secret
from k8sgpt_magic.cluster.sharing import share_equal_parts, share_pod_parts
from k8sgpt_magic.cluster.snapshot import SnapshotSource, save
from k8sgpt_magic.cluster.source import Source
from k8sgpt_magic.cluster.view import ClusterView, ReadResult
from k8sgpt_magic.diagnosis.diagnose import diagnose
from k8sgpt_magic.errors import SnapshotError

DATA = Path(__file__).parent / "data"
ALL = list(SAVED.values())
PASSWORD = "correct-horse-battery"


def reads_of(source, kinds=ALL, namespaces=(), **options):
    return asyncio.run(source.read(kinds, namespaces, **options))


def view_of(source, kinds=ALL, namespaces=()):
    reads = reads_of(source, kinds, namespaces)
    objects = {}
    for read in reads:
        objects.setdefault(read.kind, []).extend(read.objects)
    damaged = [each for read in reads for each in read.undecodable]
    return ClusterView(objects, [read.result for read in reads], now=source.now(), undecodable=damaged)


def refs(source, namespaces=()):
    return sorted(str(each.ref) for read in reads_of(source, namespaces=namespaces) for each in read.objects)


def pod(name, namespace="shop", **fields):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, **fields}


def item(manifest):
    """As typed lists hold their items."""
    return {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}


def list_of(*items, kind="List"):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": ""}, "items": list(items)}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    elif path.suffix == ".json":
        path.write_text(json.dumps(content, indent=4))
    else:
        path.write_text(yaml.safe_dump(content))
    return path


def error_of(source):
    with pytest.raises(SnapshotError) as caught:
        reads_of(source)
    return caught.value


NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker-1"}}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "login",
        "namespace": "shop",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": f'{{"stringData": "{PASSWORD}"}}'},
    },
    "type": "Opaque",
    "data": {"password": base64.b64encode(PASSWORD.encode()).decode()},
    "stringData": {"password": PASSWORD},
}

# --- our own archive -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved_demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "demo.tar.gz"
    asyncio.run(save(DemoSource(), path))
    return path


def test_both_are_sources(saved_demo):
    sources: list[Source] = [DemoSource(), SnapshotSource(saved_demo)]
    assert [source.context for source in sources] == ["demo", "demo.tar.gz"]


def test_a_saved_demo_is_diagnosed_like_the_demo(saved_demo):
    analyzers = list(registered().values())
    demo = diagnose(view_of(DemoSource()), analyzers)
    snapshot = diagnose(view_of(SnapshotSource(saved_demo)), analyzers)
    assert demo.findings
    assert snapshot.findings == demo.findings
    assert snapshot.errors == demo.errors


def test_an_archive_knows_what_was_read_and_when(saved_demo):
    source = SnapshotSource(saved_demo)
    reads = reads_of(source)
    assert {read.result.status for read in reads if not SAVED[read.kind].optional} == {"read"}
    assert {read.kind for read in reads} == set(SAVED)
    assert source.now() == NOW
    assert "of demo, taken 2026-11-02 09:00 UTC" in source.description


def test_an_archive_is_for_its_owner_alone(saved_demo):
    assert saved_demo.stat().st_mode & 0o777 == 0o600


def test_a_snapshot_of_one_namespace_says_nothing_of_others(tmp_path):
    path = tmp_path / "shop.tar.gz"
    saved = asyncio.run(save(DemoSource(), path, [Pod, Node], ["data"]))
    assert saved.objects == len(reads_of(DemoSource(), [Pod], ["data"])[0].objects) + len(
        reads_of(DemoSource(), [Node])[0].objects
    )
    view = view_of(SnapshotSource(path))
    assert view.missing(Pod, "data", "nobody")
    assert not view.missing(Pod, "default", "nobody")
    assert view.missing(Node, "", "nobody")
    assert not view.missing(ConfigMap, "data", "nobody")
    [read] = reads_of(SnapshotSource(path), [Pod], ["default"])
    assert (read.result.status, read.result.reason) == ("absent", "not in the snapshot")


def test_a_snapshot_can_be_saved_again(saved_demo, tmp_path):
    asyncio.run(save(SnapshotSource(saved_demo), tmp_path / "again.tar.gz"))
    assert refs(SnapshotSource(tmp_path / "again.tar.gz")) == refs(SnapshotSource(saved_demo))
    assert SnapshotSource(tmp_path / "again.tar.gz").now() != NOW, "not known before it is read"
    again = SnapshotSource(tmp_path / "again.tar.gz")
    reads_of(again)
    assert again.now() == NOW


def test_a_dump_of_others_can_be_saved_with_all_its_fields(tmp_path):
    dump = write(tmp_path / "pods.yaml", list_of(pod("web", spec={"hostname": "kept"}), pod("db", "data")))
    asyncio.run(save(SnapshotSource(dump), tmp_path / "a.tar.gz"))
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        page = json.load(tar.extractfile("core/v1/pods/0.json"))
    assert page["kind"] == "PodList"
    assert page["items"][0]["spec"] == {"hostname": "kept"}
    view = view_of(SnapshotSource(tmp_path / "a.tar.gz"))
    assert view.missing(Pod, "shop", "x")
    assert not view.missing(Pod, "elsewhere", "x")


def test_pages_of_an_archive_hold_at_most_200_objects(tmp_path):
    with ArchiveWriter(tmp_path / "a.tar.gz") as writer:
        writer.add(Pod, "", json.dumps({"items": [item(pod(f"p{n}")) for n in range(401)]}).encode())
        writer.finish(NOW, [ReadResult(kind="Pod")])
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        names = tar.getnames()
    assert names == [
        "metadata.json",
        "core/v1/pods/0.json",
        "core/v1/pods/1.json",
        "core/v1/pods/2.json",
        "reads.json",
    ]
    assert len(refs(SnapshotSource(tmp_path / "a.tar.gz"))) == 401


def test_pages_of_a_list_that_started_again_do_not_count(tmp_path):
    with ArchiveWriter(tmp_path / "a.tar.gz") as writer:
        writer.add(Pod, "", json.dumps({"items": [item(pod("gone"))]}).encode())
        writer.restart(Pod, "")
        writer.add(Pod, "", json.dumps({"items": [item(pod("here"))]}).encode())
        writer.finish(NOW, [ReadResult(kind="Pod")])
    assert refs(SnapshotSource(tmp_path / "a.tar.gz")) == ["Pod shop/here"]


def test_of_managed_fields_only_what_rules_ask_for_is_kept():
    managed = [{"manager": "kubectl", "time": "2026-11-02T08:00:00Z", "fieldsV1": {"f:spec": {}}}]
    stored = json.loads(
        reduced(
            Deployment, json.dumps({"metadata": {"name": "web", "namespace": "x", "managedFields": managed}}).encode()
        )
    )
    assert stored["metadata"]["managedFields"] == [{"time": "2026-11-02T08:00:00Z"}]
    stored = json.loads(
        reduced(Pod, json.dumps({"metadata": {"name": "web", "namespace": "x", "managedFields": managed}}).encode())
    )
    assert "managedFields" not in stored["metadata"]


def test_nothing_of_a_secret_but_its_name_is_kept_anywhere(tmp_path):
    dump = write(tmp_path / "all.json", list_of(SECRET, pod("web")))
    encoded = base64.b64encode(PASSWORD.encode())
    source = SnapshotSource(dump)
    [secret] = reads_of(source, [Secret])[0].objects
    assert secret.type == "Opaque"
    assert PASSWORD.encode() not in msgspec.json.encode(secret)
    asyncio.run(save(source, tmp_path / "a.tar.gz"))
    stored = gzip.decompress((tmp_path / "a.tar.gz").read_bytes())
    assert b"login" in stored
    assert PASSWORD.encode() not in stored
    assert encoded not in stored


def test_what_fails_half_way_leaves_the_old_file_alone(tmp_path, saved_demo):
    class Broken(DemoSource):
        async def pages(self, kinds, namespaces=(), **options):
            yield Pod, "", b'{"items": []}'
            raise ConnectionResetError

    path = tmp_path / "a.tar.gz"
    path.write_bytes(saved_demo.read_bytes())
    with pytest.raises(ConnectionResetError):
        asyncio.run(save(Broken(), path))
    assert path.read_bytes() == saved_demo.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_killed_save_leaves_the_old_file_alone(tmp_path, saved_demo):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(saved_demo.read_bytes())
    script = """
        import os, signal, sys
        from k8sgpt_magic.cluster.archive import ArchiveWriter
        from k8sgpt_magic.cluster.resources import Pod
        writer = ArchiveWriter(sys.argv[1])
        writer.add(Pod, "", b'{"items": [{"metadata": {"name": "half"}}]}')
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == saved_demo.read_bytes()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://bucket/x.tar.gz", "not a local path"),
        ("{folder}", "is a directory"),
        ("{folder}/no/such/folder/x.tar.gz", "No such file or directory"),
    ],
)
def test_where_a_snapshot_cannot_be_saved_the_error_says_why(tmp_path, path, message):
    with pytest.raises(SnapshotError, match=message):
        asyncio.run(save(DemoSource(), path.format(folder=tmp_path)))


def test_where_nothing_could_be_read_nothing_is_saved(tmp_path):
    class Forbidden(DemoSource):
        async def pages(self, kinds, namespaces=(), *, results, **options):
            results += [ReadResult(kind=kind.kind, status="forbidden", reason="pods is forbidden") for kind in kinds]
            return
            yield

    with pytest.raises(SnapshotError, match="pods is forbidden"):
        asyncio.run(save(Forbidden(), tmp_path / "a.tar.gz"))
    assert not list(tmp_path.iterdir())


def test_what_was_forbidden_stays_forbidden(tmp_path):
    with ArchiveWriter(tmp_path / "a.tar.gz") as writer:
        writer.add(Pod, "shop", json.dumps({"items": [item(pod("web"))]}).encode())
        forbidden = ReadResult(kind="Pod", status="forbidden", reason="no")
        writer.finish(
            NOW, [forbidden, ReadResult(kind="Pod", namespace="shop"), ReadResult(kind="Secret", status="forbidden")]
        )
    view = view_of(SnapshotSource(tmp_path / "a.tar.gz"))
    assert not view.missing(Secret, "shop", "x")
    assert view.missing(Pod, "shop", "x")
    assert not view.missing(Pod, "elsewhere", "x")


def test_a_truncated_archive_is_read_as_far_as_it_goes_and_says_so(tmp_path, saved_demo):
    whole = saved_demo.read_bytes()
    cut = write(tmp_path / "cut.tar.gz", whole[: len(whole) // 2])
    reads = reads_of(SnapshotSource(cut))
    assert sum(len(read.objects) for read in reads) > 0
    assert {read.result.status for read in reads} <= {"partial", "failed"}
    assert all("damaged" in read.result.reason for read in reads)


def test_a_damaged_page_costs_its_kind_only(tmp_path):
    path = tmp_path / "a.tar.gz"
    with ArchiveWriter(path) as writer:
        writer.add(Pod, "", json.dumps({"items": [item(pod("web"))]}).encode())
        writer._write("core/v1/nodes/0.json", b'{"items": [{')
        writer.finish(NOW, [ReadResult(kind="Pod"), ReadResult(kind="Node")])
    pods, nodes = reads_of(SnapshotSource(path), [Pod, Node])
    assert pods.result.status == "read"
    assert nodes.result.status == "failed"
    assert "core/v1/nodes/0.json" in nodes.result.reason


def test_an_archive_of_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "FORMAT_VERSION", 2)
    with ArchiveWriter(tmp_path / "a.tar.gz") as writer:
        writer.finish(NOW, [])
    monkeypatch.undo()
    assert "pip install --upgrade" in str(error_of(SnapshotSource(tmp_path / "a.tar.gz")))


def test_a_changed_file_is_read_again(tmp_path):
    path = write(tmp_path / "x.json", list_of(pod("old")))
    source = SnapshotSource(path)
    assert refs(source) == ["Pod shop/old"]
    identity = source.identity
    write(tmp_path / "x.json", list_of(pod("new"), pod("newer")))
    assert source.identity != identity
    assert refs(source) == ["Pod shop/new", "Pod shop/newer"]


# --- what others made ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["List", "PodList"])
@pytest.mark.parametrize("suffix", ["json", "yaml"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_kubectl_get_output(tmp_path, kind, suffix, compress):
    pods = [pod("web"), pod("db", "data")]
    content = list_of(*(pods if kind == "List" else map(item, pods)), kind=kind)
    text = json.dumps(content, indent=4) if suffix == "json" else yaml.safe_dump(content)
    path = write(tmp_path / f"pods.{suffix}", compress(text.encode()))
    assert refs(SnapshotSource(path)) == ["Pod data/db", "Pod shop/web"]
    view = view_of(SnapshotSource(path))
    assert view.missing(Pod, "shop", "other")
    assert not view.missing(Pod, "elsewhere", "other"), "the list may have been one of some namespaces"
    assert not view.missing(ConfigMap, "shop", "other"), "a kind that the file does not hold was not read"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_powershell_writes(tmp_path, encoding):
    path = write(tmp_path / "pods.json", json.dumps(list_of(pod("wéb"))).encode(encoding))
    assert refs(SnapshotSource(path)) == ["Pod shop/wéb"]


def test_a_single_object_says_nothing_of_others(tmp_path):
    path = write(tmp_path / "pod.json", pod("web"))
    view = view_of(SnapshotSource(path))
    assert view.get(Pod, "shop", "web")
    assert not view.missing(Pod, "shop", "other")
    [read] = reads_of(SnapshotSource(path), [Pod])
    assert read.result.status == "partial"
    assert "single objects" in read.result.reason


def test_several_documents_in_yaml(tmp_path):
    text = "---\n".join(
        yaml.safe_dump(each) for each in (pod("a"), NODE, {"kind": "Kustomization"}, list_of(pod("b")))
    )
    path = write(tmp_path / "all.yaml", text + "---\n# nothing\n---\njust text\n")
    assert refs(SnapshotSource(path)) == ["Node worker-1", "Pod shop/a", "Pod shop/b"]


def test_damage_in_a_list_in_yaml_is_at_its_own_line_and_costs_what_follows(tmp_path):
    path = write(tmp_path / "pods.yaml", yaml.safe_dump(list_of(*(pod(f"p{number}") for number in range(9)))))
    lines = path.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if "p5" in line)
    lines[place] = "    name: [p5"
    path.write_text("\n".join(lines))
    [read] = reads_of(SnapshotSource(path), [Pod])
    assert [each.name for each in read.objects] == ["p0", "p1", "p2", "p3", "p4"]
    assert re.search(rf"pods.yaml is damaged: line {place + 2}, column", read.result.reason)


@pytest.mark.parametrize(
    "text",
    [
        "kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a, namespace: shop, labels: &x {b: c}}\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: b, namespace: shop, labels: *x}\n",
        "kind: List\r\napiVersion: v1\r\nitems:\r\n- apiVersion: v1\r\n  kind: Pod\r\n  metadata: {name: a, namespace: shop}\r\n# more\r\n- apiVersion: v1\r\n  kind: Pod\r\n  metadata: {name: b, namespace: shop}\r\n",
        "items:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a, namespace: shop}\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: b\n    namespace: shop\n    labels:\n      x: |\n        - a\n        kind: List\nkind: List\napiVersion: v1\n",
        "kind: List\napiVersion: v1\nitems:\n  - {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}}\n  - {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop}}\n",
    ],
)
def test_layouts_of_a_list_in_yaml(tmp_path, text):
    assert refs(SnapshotSource(write(tmp_path / "x.yaml", text))) == ["Pod shop/a", "Pod shop/b"]


@pytest.mark.parametrize("margin", ["", "  "])
def test_a_list_in_yaml_that_was_cut_off_between_two_lines_is_not_whole(tmp_path, margin):
    item = "- apiVersion: v1\n{margin}  kind: Pod\n{margin}  metadata: {{name: {name}, namespace: shop}}\n"
    items = "".join(margin + item.format(margin=margin, name=name) for name in "ab")
    path = write(tmp_path / "x.yaml", f"apiVersion: v1\nitems:\n{items}")
    assert refs(SnapshotSource(path)) == ["Pod shop/a", "Pod shop/b"]
    assert not view_of(SnapshotSource(path)).missing(Pod, "shop", "c")


def test_items_of_something_else_than_a_list_are_no_objects(tmp_path):
    text = "apiVersion: v1\nkind: Menu\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n"
    assert "holds no Kubernetes objects" in str(error_of(SnapshotSource(write(tmp_path / "x.yaml", text))))


def test_times_without_quotes_are_times(tmp_path):
    path = write(
        tmp_path / "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  creationTimestamp: 2026-11-02T08:00:00Z\n  labels: {day: 2026-11-02}\n",
    )
    source = SnapshotSource(path)
    [found] = reads_of(source, [Pod])[0].objects
    assert found.metadata.labels == {"day": "2026-11-02"}
    assert found.namespace == "default"
    assert source.now() == datetime(2026, 11, 2, 8, tzinfo=UTC)


@pytest.fixture(params=["directory", "tar", "tar.gz", "tar.xz", "zip"])
def pack(request, tmp_path):
    """Make a snapshot of files, in each of the ways that one can come."""

    def made(files):
        folder = tmp_path / "dump"
        for name, content in files.items():
            write(folder / name, content)
        if request.param == "directory":
            return folder
        path = tmp_path / f"dump.{request.param}"
        if request.param == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for each in sorted(folder.rglob("*")):
                    archive.write(each, each.relative_to(tmp_path))
        else:
            with tarfile.open(path, f"w:{request.param.removeprefix('tar').removeprefix('.')}") as tar:
                tar.add(folder, "dump")
        return path

    return made


def test_cluster_info_dump_directory(pack):
    path = pack(
        {
            "nodes.json": list_of(item(NODE), kind="NodeList"),
            "shop/pods.json": list_of(item(pod("web")), kind="PodList"),
            "shop/web/logs.txt": "==== START logs for container web of pod shop/web ====\n{\n",
            "empty/pods.json": list_of(kind="PodList"),
            "empty/events.json": list_of(kind="EventList"),
        }
    )
    source = SnapshotSource(path)
    assert refs(source) == ["Node worker-1", "Pod shop/web"]
    view = view_of(source)
    assert view.missing(Pod, "empty", "x"), "there is a list of that namespace, and it is empty"
    assert view.missing(Pod, "shop", "x")
    assert view.missing(Node, "", "x")
    assert not view.missing(ConfigMap, "shop", "x")


def test_cluster_info_dump_in_one_stream(tmp_path):
    text = "".join(
        [
            json.dumps(list_of(item(NODE), kind="NodeList"), indent=4) + "\n",
            json.dumps(list_of(kind="EventList"), indent=4) + "\n",
            json.dumps(list_of(item(pod("web")), kind="PodList"), indent=4) + "\n",
            "==== START logs for container web of pod shop/web ====\n",
            '{"level": "info"\n{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "not-real"}}\nno newline at the end',
            "==== END logs for container web of pod shop/web ====\n",
            json.dumps(list_of(item(pod("db", "data")), kind="PodList"), indent=4) + "\n",
            "==== START logs for container db of pod data/db ====\ncut off",
        ]
    )
    path = write(tmp_path / "dump", text)
    assert refs(SnapshotSource(path)) == ["Node worker-1", "Pod data/db", "Pod shop/web"]


def test_must_gather(pack):
    path = pack(
        {
            "must-gather/version": "4.20",
            "must-gather/quay-io-sha256/namespaces/shop/core/pods.yaml": list_of(pod("web"), kind="PodList"),
            "must-gather/quay-io-sha256/namespaces/shop/pods/web/web.yaml": pod("web"),
            "must-gather/quay-io-sha256/namespaces/shop/apps/deployments.yaml": {
                "apiVersion": "apps/v1",
                "kind": "DeploymentList",
                "items": [],
            },
            "must-gather/quay-io-sha256/cluster-scoped-resources/core/nodes/worker-1.yaml": NODE,
            "must-gather/quay-io-sha256/cluster-scoped-resources/config.openshift.io/dnses.yaml": {
                "apiVersion": "config.openshift.io/v1",
                "kind": "DNSList",
                "items": [],
            },
        }
    )
    assert refs(SnapshotSource(path)) == ["Node worker-1", "Pod shop/web"]
    view = view_of(SnapshotSource(path))
    assert view.missing(Pod, "shop", "x")
    assert view.missing(Deployment, "shop", "x")
    assert not view.missing(Node, "", "x"), "a file for each node does not say that there are no more"


@pytest.mark.parametrize("plain", [True, False])
def test_troubleshoot_support_bundle(pack, plain):
    """Older versions write the items alone, without a kind."""

    def bundled(kind, *objects):
        return [item(each) for each in objects] if plain else list_of(*map(item, objects), kind=kind)

    path = pack(
        {
            "bundle/cluster-resources/nodes.json": bundled("NodeList", NODE),
            "bundle/cluster-resources/pods/shop.json": bundled("PodList", pod("web")),
            "bundle/cluster-resources/pods/empty.json": bundled("PodList"),
            "bundle/cluster-resources/pods-errors.json": "null",
            "bundle/cluster-resources/storage-classes.json": bundled("StorageClassList"),
            "bundle/cluster-resources/auth-cani-list/shop.json": [{"verbs": ["*"]}],
            "bundle/logs/app.json": '{"level": "info"}\n{"level": \n',
        }
    )
    assert refs(SnapshotSource(path)) == ["Node worker-1", "Pod shop/web"]
    view = view_of(SnapshotSource(path))
    assert view.missing(Pod, "shop", "x")
    assert view.missing(Pod, "empty", "x")
    assert view.missing(Node, "", "x")


def test_samples():
    """Files as the tools wrote them, cut down."""
    found = {path.name: len(refs(SnapshotSource(path))) for path in sorted(DATA.iterdir())}
    assert found == {"cluster-info-dump.txt": 4, "kubectl-get-all.yaml": 4}


def test_an_object_in_several_files_is_taken_once(tmp_path):
    for name in ("a.json", "b.yaml"):
        write(tmp_path / name, list_of(pod("web"), pod("web")))
    assert refs(SnapshotSource(tmp_path)) == ["Pod shop/web"]


def test_links_out_of_a_directory_are_not_followed(tmp_path):
    write(tmp_path / "elsewhere" / "secret.json", pod("outside"))
    inside = write(tmp_path / "dump" / "pods.json", list_of(pod("inside"))).parent
    (inside / "link.json").symlink_to(tmp_path / "elsewhere" / "secret.json")
    (inside / "folder").symlink_to(tmp_path / "elsewhere")
    (inside / "again.json").symlink_to(inside / "pods.json")
    (inside / "nowhere.json").symlink_to(inside / "not-there.json")
    assert refs(SnapshotSource(inside)) == ["Pod shop/inside"]


def test_a_selector_picks_by_label(tmp_path):
    labelled = pod("web")
    labelled["metadata"]["labels"] = {"app": "web"}
    source = SnapshotSource(write(tmp_path / "x.json", list_of(labelled, pod("db"))))
    selected = asyncio.run(source.select([Pod], [], "app in (web, api)"))
    assert [str(ref) for ref in selected] == ["Pod shop/web"]
    assert asyncio.run(source.namespaces()) == ["shop"]


def test_progress_ends_once_for_each_kind(tmp_path):
    calls = []
    source = SnapshotSource(write(tmp_path / "x.json", list_of(pod("a"), pod("b", "data"))))
    reads_of(source, [Pod, Node], on_page=lambda *said: calls.append(said))
    assert [said for said in calls if said[3]] == [("Pod", "", 2, True), ("Node", "", 0, True)]


# --- damaged and hostile ---------------------------------------------------------------------------------


def test_a_file_that_is_not_there_and_one_that_nearly_is(tmp_path):
    write(tmp_path / "incident.tar.gz", b"")
    with pytest.raises(SnapshotError, match=r"There is no file .*did you mean 'incident.tar.gz'"):
        SnapshotSource(tmp_path / "incidnet.tar.gz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.json", b"", "holds no Kubernetes objects"),
        ("readme.md", b"# Hello\n\nworld\n", "holds no Kubernetes objects"),
        ("binary", b"\x7fELF\x02\x01\x01\x00" + bytes(300), "holds no Kubernetes objects"),
        ("values.json", b'{"replicas": 3}', "holds no Kubernetes objects"),
        ("crd.yaml", b"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: x}\n", "holds no Kubernetes objects"),
        ("cut.json", b'{"apiVersion": "v1", "kind": "List",\n "items": [{"kind": "Po', r"cut.json is damaged: line 2, column"),
        ("cut.yaml", b"apiVersion: v1\nkind: List\nitems: [\n", r"cut.yaml is damaged: line \d"),
        ("cut.json.gz", gzip.compress(json.dumps(list_of(pod("a"))).encode())[:-20], "cut.json.gz is damaged: Compressed file ended"),
        ("fake.gz", b"\x1f\x8b\x08\x00garbage-garbage", "fake.gz is damaged"),
        ("fake.zip", b"PK\x03\x04garbage", "fake.zip is damaged: File is not a zip file"),
        ("x.tar.zst", b"\x28\xb5\x2f\xfd0000", "Zstandard"),
        ("deep.json", b'{"apiVersion": "v1", "kind": "Pod", "a": ' + b"[" * 100_000, "deep.json is damaged: it is nested too deeply"),
        ("deep.yaml", b"apiVersion: v1\nkind: Pod\nspec:\n  " + b"- " * 100_000 + b"x", r"deep.yaml is damaged: line 4, column \d+: it is nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_snapshot_is_refused_with_the_place_and_what_would_do(tmp_path, name, content, message):
    error = error_of(SnapshotSource(write(tmp_path / name, content)))
    assert re.search(message, error.message)
    assert name in error.message
    assert error.advice
    assert len(error._render_traceback_()) == 2


def test_an_empty_directory_is_no_snapshot(tmp_path):
    assert "holds no JSON or YAML files" in str(error_of(SnapshotSource(tmp_path)))


def test_a_damaged_file_of_one_kind_costs_what_it_could_have_held(pack):
    path = pack(
        {
            "shop/pods.json": list_of(item(pod("web")), kind="PodList"),
            "data/pods.json": '{"kind": "PodList", "apiVersion": "v1", "items": [{"metadata"',
            "nodes.json": list_of(item(NODE), kind="NodeList"),
        }
    )
    pods, nodes = reads_of(SnapshotSource(path), [Pod, Node])
    assert nodes.result.status == "read"
    assert (pods.namespace, pods.result.status) == ("shop", "partial")
    assert "data/pods.json is damaged: line 1, column" in pods.result.reason


def test_a_damaged_file_of_unknown_kinds_leaves_nothing_missing(tmp_path):
    write(tmp_path / "all.json", list_of(pod("web"), NODE))
    write(tmp_path / "more.yaml", "apiVersion: v1\nkind: [")
    view = view_of(SnapshotSource(tmp_path))
    assert view.get(Pod, "shop", "web")
    assert not view.missing(Pod, "shop", "x")
    assert not view.missing(Node, "", "x")


def test_a_truncated_tar_is_read_as_far_as_it_goes(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(5):
            data = json.dumps(list_of(pod(f"p{number}"))).encode() + b" " * 2000
            member = tarfile.TarInfo(f"{number}.json")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    cut = write(tmp_path / "cut.tar", (tmp_path / "a.tar").read_bytes()[:7000])
    [read] = reads_of(SnapshotSource(cut), [Pod])
    assert 1 <= len(read.objects) < 5
    assert read.result.status == "partial"
    assert "cut.tar is damaged" in read.result.reason


def test_an_object_that_does_not_fit_its_kind_costs_itself(tmp_path):
    path = write(tmp_path / "x.json", list_of(pod("bad", status={"phase": 7}), pod("good"), 3, "text", None))
    [read] = reads_of(SnapshotSource(path), [Pod])
    assert [each.name for each in read.objects] == ["good"]
    assert [str(each.ref) for each in read.undecodable] == ["Pod shop/bad"]
    assert not view_of(SnapshotSource(path)).missing(Pod, "shop", "bad")


def _aliases(written):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, letter in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{letter}: &{letter} {written.format(', '.join(['*' + before] * 9))}")
    return "\n".join(
        ["apiVersion: v1", "kind: ConfigMap", "metadata: {name: bomb}", "data:", *(f"  {line}" for line in lines)]
    )


@pytest.mark.parametrize("written", ["[{}]", "{{x: [{}]}}"])
def test_aliases_do_not_explode(tmp_path, written):
    error = error_of(SnapshotSource(write(tmp_path / "bomb.yaml", _aliases(written))))
    assert "its aliases would make it" in str(error)


def test_merge_keys_do_not_explode():
    lines = ["a: &a {k: 1}"]
    for before, letter in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{letter}: &{letter} {{<<: [{', '.join(['*' + before] * 9)}]}}")
    with pytest.raises(Damaged, match="aliases"):
        list(documents_in("\n".join(lines).encode()))


def test_an_alias_to_itself_is_damage():
    with pytest.raises(Damaged, match="contains itself"):
        list(documents_in(b"kind: Pod\nspec: &a [*a]\n"))


def test_ordinary_aliases_are_fine(tmp_path):
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: &l {app: web}}\nspec: {nodeSelector: *l}\n"
    [found] = reads_of(SnapshotSource(write(tmp_path / "x.yaml", text)), [Pod])[0].objects
    assert found.spec.node_selector == {"app": "web"}


def test_a_bomb_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(members.Budget.__init__, "__defaults__", (1 << 20, 100))
    bomb = write(tmp_path / "bomb.json.gz", gzip.compress(b"[" + b" " * (64 << 20)))
    assert "bomb.json.gz is damaged: it holds more than" in str(error_of(SnapshotSource(bomb)))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.json", b"[" + b" " * (64 << 20))
    assert "it holds more than" in str(error_of(SnapshotSource(tmp_path / "bomb.zip")))
    for number in range(101):
        write(tmp_path / "many" / f"{number}.json", pod(f"p{number}"))
    view = view_of(SnapshotSource(tmp_path / "many"))
    assert len(view) == 100
    assert "more than 100 files" in view.reads[0].reason


def test_a_budget_is_generous():
    budget = Budget()
    budget.spend(4 << 30)
    with pytest.raises(TooLarge):
        budget.spend(1)


# --- URLs ------------------------------------------------------------------------------------------------


def test_a_url_is_opened_by_fsspec(tmp_path):
    write(tmp_path / "dump" / "pods.json", list_of(pod("web")))
    write(tmp_path / "dump" / "shop" / "nodes.yaml", list_of(NODE))
    assert refs(SnapshotSource(f"file://{tmp_path}/dump/pods.json")) == ["Pod shop/web"]
    assert refs(SnapshotSource(f"file://{tmp_path}/dump")) == ["Node worker-1", "Pod shop/web"]


def test_a_file_in_memory(saved_demo):
    import fsspec

    fsspec.filesystem("memory").pipe("/demo.tar.gz", saved_demo.read_bytes())
    assert refs(SnapshotSource("memory://demo.tar.gz")) == refs(DemoSource())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://bucket/x", "nosuch:// is not a known protocol"),
        ("file:///no/such/file.json", "There is no file"),
        ("http://127.0.0.1:1/dump.tar.gz", "its server does not answer"),
    ],
)
def test_a_url_that_cannot_be_opened(url, message):
    with pytest.raises(SnapshotError, match=message):
        reads_of(SnapshotSource(url))


def test_a_missing_protocol_package_is_named(monkeypatch):
    import fsspec

    def lacking(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lacking)
    with pytest.raises(SnapshotError, match="pip install s3fs"):
        SnapshotSource("s3://bucket/x.tar.gz")


def test_no_message_shows_the_credentials_of_a_url(monkeypatch):
    import fsspec

    class Refusing:
        def info(self, path):
            raise PermissionError("GET https://user:hunter2@example.com/x?X-Amz-Signature=abc")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url: (Refusing(), "x"))
    source = SnapshotSource("https://user:hunter2@example.com/dump.tar.gz?X-Amz-Signature=abc")
    said = " ".join([str(error_of(source)), source.identity, source.context, source.description])
    assert "hunter2" not in said
    assert "Signature" not in said
    assert "example.com/dump.tar.gz" in said


# --- equal parts -----------------------------------------------------------------------------------------


def test_equal_parts_are_shared_and_nothing_else_changes():
    def decoded():
        body = [
            {"metadata": {"name": f"web-{n}", "namespace": "shop", "labels": {"app": "web", "n": str(n % 2)}},
             "spec": {"nodeName": f"node-{n % 2}",
                      "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": f"y:{n}"}]}}
            for n in range(4)
        ]  # fmt: skip
        return msgspec.json.decode(json.dumps(body), type=list[Pod])

    shared, plain = decoded(), decoded()
    share_equal_parts(shared)
    assert shared == plain
    assert shared[1].spec.volumes is shared[0].spec.volumes
    assert shared[1].spec.containers[0].image is shared[0].spec.containers[0].image
    assert shared[1].metadata.namespace is shared[0].metadata.namespace
    assert shared[3].spec.node_name is shared[1].spec.node_name


def test_pods_of_one_template_share_their_specs_and_all_pods_the_texts_of_their_statuses():
    def decoded():
        body = [
            {"metadata": {"name": f"web-{n}", "namespace": "shop"},
             "spec": {"nodeName": f"node-{n % 2}", "containers": [{"name": "a", "image": f"x:{n // 2}"}]},
             "status": {
                 "conditions": [{"type": "Ready", "status": str(n % 2 == 0), "message": f"m{n}"}],
                 "containerStatuses": [{"name": "a", "image": f"x:{n // 2}"}]}}
            for n in range(6)
        ]  # fmt: skip
        return msgspec.json.decode(json.dumps(body), type=list[Pod])

    shared, plain = decoded(), decoded()
    first_page, second_page = shared[:3], shared[3:]
    share_pod_parts(first_page)
    share_pod_parts(second_page, first_page[-1])
    assert shared == plain
    assert shared[1].spec.containers is shared[0].spec.containers
    assert shared[3].spec.containers is shared[2].spec.containers
    assert shared[2].spec.containers is not shared[1].spec.containers
    assert shared[2].spec.node_name is shared[0].spec.node_name
    assert shared[2].status.conditions[0].status is shared[0].status.conditions[0].status
    assert shared[4].status.conditions[0].status is shared[2].status.conditions[0].status
    assert shared[3].status.container_statuses[0].image is shared[2].status.container_statuses[0].image


def test_equal_parts_are_shared_across_pages_of_an_archive(tmp_path):
    with ArchiveWriter(tmp_path / "a.tar.gz") as writer:
        for name in ("web-1", "web-2"):
            alike = pod(name, spec={"containers": [{"name": "a", "image": "x:1"}]})
            writer.add(Pod, "", json.dumps({"items": [item(alike)]}).encode())
        writer.finish(NOW, [ReadResult(kind="Pod")])
    view = view_of(SnapshotSource(tmp_path / "a.tar.gz"))
    assert [[each.name for each in pods] for pods in view.alike_pods] == [["web-1", "web-2"]]


# --- the demo --------------------------------------------------------------------------------------------


def test_the_demo_is_whole_and_decodes():
    reads = reads_of(DemoSource())
    assert [each for read in reads for each in read.undecodable] == []
    assert {read.result.status for read in reads if not SAVED[read.kind].optional} == {"read"}
    assert DemoSource().now() == NOW
    newest = max(filter(None, (event.last_seen for read in reads if read.kind == "Event" for event in read.objects)))
    assert newest <= NOW


def test_the_demo_answers_for_one_namespace():
    [read] = reads_of(DemoSource(), [Pod], ["data"])
    assert read.objects
    assert {each.namespace for each in read.objects} == {"data"}
    assert "data" in asyncio.run(DemoSource().namespaces())
