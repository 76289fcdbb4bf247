"""Pictures: what is in them, that they stay small, and that text of the cluster's is text in them."""

from __future__ import annotations

import json
import sys
import time
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from PIL import Image

from k8sgpt_magic.cluster.resources import Event
from k8sgpt_magic.errors import InvalidOption, K8sGPTError
from k8sgpt_magic.findings import Finding
from k8sgpt_magic.frame import Findings, Summary
from k8sgpt_magic.session import Session
from k8sgpt_magic.views import charts
from tests.views import view_of

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
NASTY = '<img src=x onerror=alert(1)> & " \x1b[31mred \u202eevil \x00 \ufffe {datum.x} =1+1 ' + "x" * 5000


def _finding(**fields):
    given = {
        "code": "PodCrashLoopBackOff",
        "severity": "critical",
        "kind": "Pod",
        "namespace": "shop",
        "name": "web-1",
    }
    return Finding(**(given | {"message": "It crashes."} | fields))


def _frame(*findings):
    return Findings.of(findings, Summary(context="test", taken_at=NOW.isoformat()))


@pytest.fixture(scope="module")
def demo():
    session = Session()
    findings = session.analyze(source="demo")
    yield findings, session.view
    session.close()


def _values(spec):
    """All rows of data in a Vega-Lite document."""
    if isinstance(spec, dict):
        for key, value in spec.items():
            if key == "values" and isinstance(value, list) and value and isinstance(value[0], dict):
                yield from value
            else:
                yield from _values(value)
    elif isinstance(spec, list):
        for each in spec:
            yield from _values(each)


def _texts(svg):
    return ["".join(each.itertext()) for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", charts.NAMES)
def test_the_bundle_is_vega_lite_for_jupyterlab_a_picture_for_others_and_text(demo, name):
    data, metadata = charts.chart(name, *demo)._repr_mimebundle_()
    assert list(data) == ["application/vnd.vegalite.v5+json", "image/png", "text/plain"]
    json.dumps(data)
    assert data[charts.MIME_TYPE]["$schema"].endswith("/v5.json")
    # The menu of a picture leads to a public site.
    assert metadata[charts.MIME_TYPE]["embed_options"]["actions"] is False
    picture = charts.chart(name, *demo)
    with Image.open(BytesIO(picture.png())) as image:
        assert image.format == "PNG"
        assert image.convert("RGBA").getpixel((0, 0))[3] == 0, "transparent, for light and dark"
    assert len(picture.png()) < 120_000
    assert len(json.dumps(picture.spec)) < 60_000


def test_the_heat_map_counts_each_kind_in_each_namespace(demo):
    findings, view = demo
    picture = charts.chart("kinds", findings, view)
    counted = {(each["kind"], each["namespace"]): each for each in _values(picture.spec)}
    expected = findings.groupby(["kind", "namespace"]).size()
    assert len(counted) == len(expected)
    for (kind, namespace), number in expected.items():
        cell = counted[kind, namespace or "(cluster)"]
        assert cell["findings"] == number
        rows = findings[(findings.kind == kind) & (findings.namespace == namespace)]
        assert cell["worst"] == rows["severity"].max()
    assert {"Pod", "shop", "(cluster)"} <= set(_texts(picture.svg()))
    [pods] = [line for line in picture.text.splitlines() if line.startswith("Pod ")]
    assert str(expected["Pod", "shop"]) in pods.split()


def test_the_causes_stand_left_of_what_follows_from_them(demo):
    findings, view = demo
    picture = charts.chart("causes", findings, view)
    nodes = list(_values(picture.spec))
    roots = [each for each in nodes if each["side"] == "cause"]
    assert len(roots) == charts.CAUSES
    counted = {(row.code, row.name): row.consequences for row in findings[findings.consequences > 0].itertuples()}
    for root in roots:
        assert root["findings"] == counted[root["code"], root["object"].replace(" ", "/").rpartition("/")[2]]
        following = [each for each in nodes if each["side"] == "consequence" and each["root"] == root["root"]]
        edges = [each for each in nodes if each["side"] == "edge" and each["root"] == root["root"]]
        assert sorted(each["to"] for each in edges) == sorted(each["y"] for each in following)
        assert {each["from"] for each in edges} == {root["y"]}
    taken = [(each["side"] == "cause", each["y"]) for each in nodes if each["side"] != "edge"]
    assert len(taken) == len(set(taken)), "no two on one place"
    assert "The 10 worst of 25 causes" in _texts(picture.svg())


def test_the_timeline_has_onsets_and_the_warnings_of_the_view(demo):
    findings, view = demo
    picture = charts.chart("timeline", findings, view)
    rows = list(_values(picture.spec))
    pull = [each for each in rows if each.get("code") == "PodImagePullBackOff"]
    assert [each["time"] for each in pull] == ["2026-11-02T08:11:23Z"]
    [warned] = [each for each in rows if "event" in each and each["object"] == pull[0]["object"]]
    assert (warned["first"], warned["last"]) == ("2026-11-02T08:11:25Z", "2026-11-02T08:42:10Z")
    assert "grey: warning events" in picture.text
    assert not [each for each in _values(charts.chart("timeline", findings).spec) if "event" in each]


def test_the_timeline_goes_back_as_far_as_most_began_and_says_what_lies_before():
    recent = [_finding(name=f"a{n}", since=NOW - timedelta(minutes=n)) for n in range(9)]
    old = _finding(name="old", since=NOW - timedelta(days=90))
    picture = charts.timeline(_frame(*recent, old))
    assert "1 began more than 60m ago" in picture.text
    assert '"2026-11-02T08:00:00Z"' in json.dumps(picture.spec)


@pytest.mark.parametrize("draw", [charts.heat_map, charts.timeline, charts.causes])
def test_nothing_found_is_a_picture_of_nothing(draw):
    picture = draw(_frame())
    assert not picture.is_of_something
    assert "Nothing to show" in _texts(picture.svg())
    assert "nothing to show" in repr(picture)


def _many():
    pods = [
        _finding(
            namespace=f"team-{n % 300}",
            name=f"web-{n}",
            severity=("critical", "warning", "info")[n % 3],
            since=NOW - timedelta(seconds=n),
            consequences=30 if n < 40 else 0,
        )
        for n in range(8_800)
    ]
    following = [
        _finding(
            kind="Service",
            namespace=f"team-{n % 300}",
            name=f"s-{n}",
            code="ServiceNoReadyEndpoints",
            cause=pods[n % 40].id,
        )
        for n in range(1_200)
    ]
    return _frame(*pods, *following)


def test_ten_thousand_findings_give_bounded_pictures_that_say_so():
    findings = _many()
    assert len(findings) == 10_000
    began = time.perf_counter()
    pictures = {name: charts.chart(name, findings) for name in charts.NAMES}
    assert time.perf_counter() - began < 20
    for picture in pictures.values():
        assert len(json.dumps(picture.spec)) < 100_000
        assert len(picture.text) < 20_000
    assert "the 20 worst of 300 namespaces" in pictures["kinds"].text
    assert "the 25 worst of 10,000 objects" not in pictures["timeline"].text
    assert "the 25 worst of 8,800 objects" in pictures["timeline"].text
    assert "the 10 worst of 40 causes" in pictures["causes"].text
    assert "… and 24 more" in _texts(pictures["causes"].svg())


def test_text_of_the_cluster_is_data_and_nothing_else():
    texts = dict.fromkeys(("code", "kind", "namespace", "name", "message", "container", "parent"), NASTY)
    root = _finding(**texts, since=NOW, consequences=1)
    findings = _frame(root, _finding(**(texts | {"name": "b"}), since=NOW, cause=root.id))
    event = Event.__name__
    view = view_of(
        f"{{apiVersion: v1, kind: {event}, metadata: {{name: e, namespace: shop}}, type: Warning, reason: Bad, "
        "message: '<script>alert(1)</script>', lastTimestamp: '2026-11-02T08:00:00Z', "
        "involvedObject: {kind: Pod, namespace: shop, name: web-1}}"
    )
    for name in charts.NAMES:
        picture = charts.chart(name, findings, view)
        svg = picture.svg()
        tags = {each.tag.rpartition("}")[2] for each in ET.fromstring(svg).iter()}
        assert not tags & {"script", "img", "image", "a", "foreignObject"}
        assert any("<img" in text for text in _texts(svg))
        for shown in (svg, picture.text, json.dumps(picture.spec, ensure_ascii=False)):
            assert "\x1b" not in shown
            assert "\u202e" not in shown
        assert len(svg) < 200_000
        assert picture.png().startswith(b"\x89PNG")


def test_a_chart_of_another_name_is_refused_with_the_nearest(demo):
    with pytest.raises(InvalidOption, match="'timeline'"):
        charts.chart("timelin", *demo)


def test_without_the_packages_it_is_one_line_with_the_command(demo, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(K8sGPTError, match=r"pip install 'k8sgpt-magic\[charts\]'"):
        charts.heat_map(demo[0])
