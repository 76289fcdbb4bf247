"""Analyzers of one's own: beside the packaged ones, and in place of what the same cell defined before."""

from __future__ import annotations

import pytest

from k8sgpt_magic import analyzers
from k8sgpt_magic.analyzers import analyzer, registered
from k8sgpt_magic.cluster.resources import Node, Pod
from k8sgpt_magic.findings import Code
from tests.views import codes, diagnose_all

POD = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, spec: {containers: [{name: c, image: 'x:latest'}]}, status: {phase: Running}}"


@pytest.fixture(autouse=True)
def packaged_only(monkeypatch):
    registered()
    copy = {kind: dict(several) for kind, several in analyzers._registered.items()}
    monkeypatch.setattr(analyzers, "_registered", copy)
    analyzers._together.cache_clear()
    yield
    monkeypatch.undo()
    analyzers._together.cache_clear()


def _define(name, message="It is.", **options):
    code = Code(name, "warning", "A rule of our own.", "https://example.com/")

    @analyzer(Pod, codes=[code], **options)
    def our_rule(view):
        for pod in view.all(Pod):
            yield code.finding(pod, message)


def test_it_runs_beside_the_packaged_one():
    packaged = registered()["Pod"]
    _define("PodOurs", reads=[Node])
    both = registered()["Pod"]
    assert {code.name for code in both.codes} == {code.name for code in packaged.codes} | {"PodOurs"}
    assert both.reads[: len(packaged.reads)] == packaged.reads
    assert both.meaning == packaged.meaning
    assert "PodOurs" in codes("Pod", POD)
    assert registered()["Pod"] is both, "the same analyzers give the same judgement, so it is not made twice"


def test_defining_it_again_takes_the_place_of_what_it_was():
    _define("PodOurs", message="First.")
    _define("PodTheirs", message="Second.")
    found = codes("Pod", POD)
    assert "PodTheirs" in found
    assert "PodOurs" not in found


def test_its_findings_take_part_in_the_whole():
    _define("PodOurs")
    [finding] = [each for each in diagnose_all(POD) if each.code == "PodOurs"]
    assert finding.id == "Pod/shop/a/PodOurs"
