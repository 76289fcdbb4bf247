"""The rows that the browser gets, and the rules of its filters."""

from __future__ import annotations

import gzip
import json

import pytest

from k8sgpt_magic.cluster.view import ClusterView
from k8sgpt_magic.explain.explainer import Style
from k8sgpt_magic.frame import Findings
from k8sgpt_magic.session import Session
from k8sgpt_magic.views import rows


@pytest.fixture(scope="module")
def analyzed() -> tuple[Findings, ClusterView | None]:
    session = Session()
    try:
        return session.analyze(source="demo"), session.view
    finally:
        session.close()


@pytest.fixture(scope="module")
def demo(analyzed) -> Findings:
    return analyzed[0]


@pytest.fixture(scope="module")
def columns(demo):
    return rows.columns(demo)


@pytest.mark.parametrize(
    ("filters", "query"),
    [
        ({}, "severity == severity"),
        ({"severities": ["critical", "info"]}, "severity in ['critical', 'info']"),
        ({"kind": "Pod"}, "kind == 'Pod'"),
        ({"namespace": ""}, "namespace == ''"),
        ({"namespace": "shop", "severities": ["warning"]}, "namespace == 'shop' and severity == 'warning'"),
        ({"code": "PodImagePullBackOff"}, "code == 'PodImagePullBackOff'"),
        ({"roots": True}, "consequences > 0"),
        ({"kind": "Nothing"}, "kind == 'Nothing'"),
        # What makes no sense filters nothing: a page may send anything.
        ({"severities": ["dreadful"]}, "severity == severity"),
    ],
)
def test_filters_choose_what_pandas_would(demo, columns, filters, query):
    kept = rows.shown(columns, {**rows.ALL, **filters})
    assert list(demo.iloc[kept]["id"]) == list(demo.query(query)["id"])


def test_the_search_wants_every_word_in_any_case(demo, columns):
    kept = rows.shown(columns, {**rows.ALL, "text": "  SHOP/ image "})
    assert kept
    for row in demo.iloc[kept].to_dict("records"):
        text = (
            f"{row['kind']}/{row['namespace']}/{row['name']} {row['code']} {row['message']} {row['parent']}".lower()
        )
        assert "shop/" in text
        assert "image" in text


def test_causes_are_rows_and_packing_loses_nothing(demo, columns):
    for row, cause in enumerate(columns["cause"]):
        expected = demo["cause"].iloc[row]
        assert (demo["id"].iloc[cause] if cause is not None else "") == expected
    packed = rows.packed(columns)
    assert json.loads(gzip.decompress(packed)) == columns
    assert packed == rows.packed(columns)


def test_hidden_characters_are_visible_and_long_texts_are_bounded(demo):
    frame = Findings.of([], demo.summary)
    for column in demo.columns:
        frame[column] = demo[column].head(3)
    frame["message"] = ["\x1b[31mred\u202e\nnext", "a" * 2**20, "plain"]
    frame["evidence"] = [[{"source": "s", "value": "v" * 2**20}] * 50, [], []]
    found = rows.columns(frame)
    assert found["message"][0] == "\\x1b[31mred\\u202e next"
    assert len(found["message"][1]) == rows.MESSAGE
    assert found["message"][2] == "plain"
    assert len(found["evidence"][0]) == rows.FACTS + 1
    assert all(len(value) <= rows.VALUE for _, value in found["evidence"][0])


def test_the_owners_between_an_object_and_its_topmost_one_are_named(analyzed):
    demo, view = analyzed
    owners = rows.columns(demo, lambda _: view)["owners"]
    row = next(
        number for number, each in enumerate(demo.to_dict("records"))
        if each["kind"] == "Pod" and each["parent"] == "Deployment/checkout"
    )  # fmt: skip
    first, last = owners[str(row)].split(" → ")
    assert first.startswith("ReplicaSet/checkout-")
    assert last == "Deployment/checkout"
    assert all(" → " in chain for chain in owners.values())


def test_an_explanation_does_not_say_the_message_again_beside_it():
    session = Session()
    try:
        found = session.analyze(source="demo", filter="pods")
        explained = session.explainer.explain(found[found["code"] == "PodImagePullBackOff"], Style(backend="offline"))
    finally:
        session.close()
    message = explained["message"].iloc[0]
    assert explained["explanation"].iloc[0].startswith(message)
    shown = rows.columns(explained)["explained"]["0"]["explanation"]
    assert shown
    assert message not in shown
