"""Analyzers that are not of this package: kinds of their own, packages that offer them, and ones that never end."""

from __future__ import annotations

import importlib.metadata
import sys
import time
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from k8sgpt_magic import analyzers
from k8sgpt_magic.analyzers import analyzer, registered
from k8sgpt_magic.cluster.kinds import KINDS, custom_resource
from k8sgpt_magic.cluster.resources import Node, Pod
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.findings import Code
from k8sgpt_magic.session import Session
from tests.controlplane.controlplane import ApiError, ControlPlane

CODE = Code("PodOfOurs", "warning", "A rule of our own.", "https://example.com/")
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: geese.farm.example.com}
spec:
  group: farm.example.com
  scope: Namespaced
  names: {kind: Goose, plural: geese, singular: goose}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
GOOSE = """
apiVersion: farm.example.com/v1
kind: Goose
metadata: {name: gertrude, namespace: default}
spec: {noise: honk, feathers: {color: grey}}
"""


@pytest.fixture(autouse=True)
def packaged_only(monkeypatch):
    registered()
    copy = {name: dict(several) for name, several in analyzers._registered.items()}
    monkeypatch.setattr(analyzers, "_registered", copy)
    analyzers._together.cache_clear()
    kinds = dict(KINDS)
    yield
    monkeypatch.undo()
    analyzers._together.cache_clear()
    KINDS.clear()
    KINDS.update(kinds)


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def test_a_custom_resource_is_read_under_the_plural_that_the_server_has(control_plane: ControlPlane, session):
    admin = str(control_plane.kubeconfig("admin"))
    code = Code("GooseNoisy", "warning", "It honks.", "https://example.com/geese")

    @analyzer("farm.example.com/v1/Goose", codes=[code])
    def noisy_geese(view):
        """Geese that honk."""
        for goose in view.all(custom_resource("farm.example.com/v1/Goose")):
            if goose.spec["noise"] == "honk":
                yield code.finding(goose, f"It honks, and is {goose.spec['feathers']['color']}.")

    absent = session.analyze(kubeconfig=admin, filter="goose", refresh=True)
    assert absent.empty
    assert absent.attrs["notes"] == ["Not served by admin: gooses.farm.example.com."]
    assert not absent.attrs["unreadable"]
    # By default, what is not there is nothing to tell.
    assert not any("goose" in note for note in session.analyze(kubeconfig=admin).attrs["notes"])

    control_plane.api.apply(DEFINITION)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                control_plane.api.apply(GOOSE, "default")
                break
            except (ApiError, LookupError):
                # A definition takes a moment until it is served.
                assert time.monotonic() < deadline
                time.sleep(0.2)
        found = session.analyze(kubeconfig=admin, refresh=True)
        row = found[found.code == "GooseNoisy"].iloc[0]
        assert (row.kind, row.namespace, row["name"]) == ("Goose", "default", "gertrude")
        assert row.message == "It honks, and is grey."
        assert not found.attrs["errors"]
        # Who may not list it is told so: not readable is not absent.
        viewed = session.analyze(kubeconfig=str(control_plane.kubeconfig("viewer")), filter="goose,po")
        assert any("forbidden" in line and "gooses" in line for line in viewed.attrs["unreadable"])
        assert viewed.attrs["notes"] == []
    finally:
        control_plane.api.delete("CustomResourceDefinition", "geese.farm.example.com")


def test_kinds_of_one_name_are_told_apart_and_names_are_checked():
    ours = custom_resource("farm.example.com/v1/Service", plural="services")
    assert ours.kind == "Service.farm.example.com"
    assert KINDS["Service"].group == ""
    assert custom_resource("farm.example.com/v1/Service") is ours
    assert custom_resource("farm.example.com/v1/Goose") is custom_resource("farm.example.com/v1/Goose")
    for wrong in ("Goose", "v1/Goose", "farm.example.com/v1/goose"):
        with pytest.raises(InvalidOption, match="looks like cert-manager"):
            custom_resource(wrong)


def test_one_that_hangs_is_cut_off_and_costs_only_itself(session):
    ended = []

    @analyzer(Pod, codes=[CODE])
    def endless(view):
        pods = list(view.all(Pod))
        yield CODE.finding(pods[0], "Found before it hung.")
        try:
            while True:
                time.sleep(0.01)
        finally:
            ended.append(True)

    began = time.monotonic()
    found = session.analyze(source="demo", timeout=1.5)
    assert time.monotonic() - began < 8
    assert "PodImagePullBackOff" in set(found.code)
    assert list(found[found.code == "PodOfOurs"].message) == ["Found before it hung."]
    [error] = found.attrs["errors"]
    assert error["analyzer"] == "Pod"
    assert "did not end within 1.5 s" in error["error"]
    # Nor does it go on in the background for ever.
    deadline = time.monotonic() + 5
    while not ended:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("analyze", "message"),
    [
        (lambda view: 1 / 0, "ZeroDivisionError"),
        (lambda view: ["a text"], "yields findings"),
        (lambda view: None, "TypeError"),
        (lambda view: sys.exit(3), "SystemExit: 3"),
    ],
)
def test_one_that_fails_costs_only_itself(session, analyze, message):
    analyze.__doc__ = "Ours."
    analyzer(Node, codes=[CODE])(analyze)
    found = session.analyze(source="demo")
    [error] = found.attrs["errors"]
    assert message in error["error"]
    assert "NodeNotReady" in set(found.code)


def test_packages_offer_analyzers_and_a_broken_one_is_said_in_a_line(session, monkeypatch, tmp_path):
    (tmp_path / "of_a_package.py").write_text(
        """
from k8sgpt_magic import Code, analyzer
from k8sgpt_magic.cluster.resources import Node

CODE = Code("NodeOfAPackage", "info", "A rule of a package.", "https://example.com/")

@analyzer(Node, codes=[CODE])
def judge(view):
    for node in view.all(Node):
        yield CODE.finding(node, "It is a node.")
"""
    )
    (tmp_path / "broken_package.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    offered = [
        EntryPoint("nodes", "of_a_package", analyzers.ENTRY_POINTS),
        EntryPoint("geese", "broken_package", analyzers.ENTRY_POINTS),
    ]
    found = {analyzers.ENTRY_POINTS: offered}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found.get(group, []))
    monkeypatch.setattr(analyzers, "_broken", [])
    analyzers._load_packaged.cache_clear()
    found = session.analyze(source="demo", filter="no")
    assert "NodeOfAPackage" in set(found.code)
    [note] = [note for note in found.attrs["notes"] if note.startswith("Not loaded")]
    assert note == (
        "Not loaded: analyzer geese (broken_package): ModuleNotFoundError: "
        "No module named 'a_module_that_is_not_there'"
    )
