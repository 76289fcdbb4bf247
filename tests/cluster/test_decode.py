import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from k8sgpt_magic import decoders
from k8sgpt_magic.cluster.decode import Undecodable, convert_object, decode_object, decode_page, iterate_documents
from k8sgpt_magic.cluster.resources import ConfigMap, Event, Pod, Secret


def _page(*items, **metadata):
    return json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": list(items)}).encode()


GOOD = {"metadata": {"name": "good", "namespace": "shop"}, "status": {"phase": "Running"}}


def test_a_page_gives_its_objects_and_the_token_of_the_next():
    page = decode_page(Pod, _page(GOOD, **{"continue": "abc", "resourceVersion": "7"}))
    assert [pod.name for pod in page.objects] == ["good"]
    assert (page.continue_token, page.resource_version) == ("abc", "7")


def test_a_damaged_object_costs_itself_only_and_says_what_is_wrong_where():
    bad = {"metadata": {"name": "bad", "namespace": "shop"}, "status": {"phase": 7}}
    page = decode_page(Pod, _page(GOOD, bad, GOOD))
    assert len(page.objects) == 2
    [damaged] = page.undecodable
    assert str(damaged.ref) == "Pod shop/bad"
    assert "status.phase" in damaged.reason


def test_null_is_absence():
    page = decode_page(
        Pod, _page({"metadata": {"name": "p", "labels": None}, "spec": {"containers": None}, "status": None})
    )
    [pod] = page.objects
    assert pod.spec.containers == ()
    assert not page.undecodable


def test_a_list_without_items_is_empty():
    assert decode_page(Pod, b'{"metadata":{},"items":null}').objects == []


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'{"items": 3}', b'{"items": [{"metadata"'])
def test_a_body_that_is_no_list_is_an_error(body):
    with pytest.raises(msgspec.DecodeError):
        decode_page(Pod, body)


@pytest.mark.parametrize("item", [b"3", b'"x"', b"[]", b"null", b'{"metadata": []}', b'{"metadata": {"name": 3}}'])
def test_an_item_that_is_no_object_is_undecodable(item):
    assert isinstance(decode_object(Pod, item), Undecodable)


def test_nesting_without_end_is_undecodable():
    deep = b'{"metadata":{"name":"x"},"spec":{"containers":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    assert isinstance(decode_object(Pod, deep), Undecodable)


def test_of_a_config_map_only_the_sizes_stay():
    config = convert_object(
        ConfigMap, {"metadata": {"name": "c"}, "data": {"a": "grüß"}, "binaryData": {"b": "YWJj"}}
    )
    assert isinstance(config, ConfigMap)
    assert config.sizes == {"a": 6, "b": 3}
    assert "grüß" not in repr(config)


def test_of_a_secret_no_value_stays():
    secret = convert_object(
        Secret,
        {
            "metadata": {"name": "s", "annotations": {"k": "aHVudGVyMg=="}},
            "type": "Opaque",
            "data": {"p": "aHVudGVyMg=="},
        },
    )
    assert "aHVudGVyMg" not in repr(secret)


def test_the_times_of_both_event_apis_are_understood():
    old = convert_object(
        Event,
        {
            "firstTimestamp": "2026-11-02T08:00:00Z",
            "lastTimestamp": "2026-11-02T08:30:00Z",
            "eventTime": None,
            "count": 4,
        },
    )
    new = convert_object(
        Event,
        {
            "eventTime": "2026-11-02T08:00:00.123456Z",
            "series": {"count": 9, "lastObservedTime": "2026-11-02T08:45:00.000000Z"},
        },
    )
    assert isinstance(old, Event)
    assert isinstance(new, Event)
    assert (old.last_seen.minute, old.occurrences) == (30, 4)
    assert (new.last_seen.minute, new.occurrences) == (45, 9)


def test_lists_in_lists_are_walked_and_typed_items_get_their_kind():
    documents = {
        "kind": "List",
        "items": [
            {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a"}}]},
            {"kind": "Node"},
            "junk",
        ],
    }
    assert [document["kind"] for document in iterate_documents(documents)] == ["Pod", "Node"]


FIRST_DECODES = """
import sys, threading
from k8sgpt_magic.cluster.decode import decode_object, decode_page
from k8sgpt_magic.cluster.kinds import SAVED

sys.setswitchinterval(1e-6)
item = b'{"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {}, "status": {}}'
ready = threading.Barrier(8)
names = []

def decode(first):
    kinds = list(SAVED.values())
    ready.wait()
    for kind in kinds[first:] + kinds[:first]:
        names.append(decode_page(kind, b'{"metadata": {}, "items": [' + item + b"]}").objects[0].name)
        names.append(decode_object(kind, item.replace(b'{"a"', b'{"b": null, "a"')).name)

threads = [threading.Thread(target=decode, args=(3 * number,)) for number in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
assert names == ["x"] * (16 * len(SAVED)), len(names)
"""


def test_threads_may_decode_the_same_kinds_for_the_first_time_at_once():
    # In a process of its own: it would go down.
    ran = subprocess.run([sys.executable, "-c", FIRST_DECODES], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stderr[-2000:]}"


def test_types_are_decoded_by_the_shared_decoders_only():
    package = Path(decoders.__file__).parent
    direct = re.compile(
        r"msgspec\.\w+\.Decoder\(|\.decode\([^()\n]*type=(?!known\(|list\[)|msgspec\.convert\((?!.*known\()"
    )
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in package.rglob("*.py") if path.name != "decoders.py"
        for number, line in enumerate(path.read_text().splitlines(), 1) if direct.search(line)
    ]  # fmt: skip
    assert found == []
