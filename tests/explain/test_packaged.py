"""What the package says of each code when no model is asked."""

from __future__ import annotations

import re
import shlex

import pytest

from k8sgpt_magic.analyzers import codes, registered
from k8sgpt_magic.cluster.kinds import KINDS
from k8sgpt_magic.explain.backends.offline import packaged
from k8sgpt_magic.explain.explainer import Style
from k8sgpt_magic.explain.explanation import danger
from k8sgpt_magic.session import Session

READING = {"get", "describe", "logs", "events", "top", "explain", "auth", "rollout"}
DEFAULT = [name for name, each in registered().items() if each.default and not KINDS[each.kind].optional]
KIND_OF = {code.name: analyzer.kind for analyzer in registered().values() for code in analyzer.codes}


@pytest.fixture(scope="module")
def explained():
    session = Session()
    session.analyze(source="demo", filter="*")
    yield session.explainer.explain(style=Style(backend="offline"))
    session.close()


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_code_has_a_cause_steps_and_checks(code):
    held = packaged(code)
    assert held is not None
    assert len(held.cause) > 40
    assert held.steps
    assert held.checks


@pytest.mark.parametrize("code", sorted(codes()))
def test_checks_only_read_and_stay_in_the_namespace(code):
    held = packaged(code)
    namespaced = KINDS[KIND_OF[code]].namespaced
    for check in held.checks:
        program, verb, *rest = shlex.split(check)
        assert program == "kubectl"
        assert verb in READING
        assert not (verb == "rollout" and rest[0] not in ("status", "history"))
        assert not danger(check)
        if "{name}" in check and not {"--field-selector", "kube-node-lease"} & set(rest):
            assert ("{namespace}" in check) == namespaced, check


@pytest.mark.parametrize("code", sorted(codes()))
def test_fixes_are_commands_and_placeholders_are_known(code):
    held = packaged(code)
    for fix in held.fixes:
        assert shlex.split(fix)[0] == "kubectl"
    texts = [held.cause, *held.steps, *held.checks, *held.fixes]
    named = {name for text in texts for name in re.findall(r"(?<!\{)\{([a-z]+)\}", text)}
    assert named <= {"kind", "namespace", "name", "container", "parent"}


def test_there_is_nothing_for_codes_that_do_not_exist():
    assert packaged("PodIsSad") is None
    from importlib.resources import files

    from k8sgpt_magic.explain.backends.offline import _of_analyzer

    folder = files("k8sgpt_magic") / "data" / "explanations"
    by_file = {file.name.removesuffix(".yaml") for file in folder.iterdir()}
    assert by_file == {kind.lower() for kind in registered()}
    assert {code for kind in registered() for code in _of_analyzer(kind)} == set(codes())


def test_every_finding_of_the_demo_is_explained_and_its_commands_can_be_copied(explained):
    assert set(explained.code) >= set(codes(DEFAULT))
    assert not any(explained.failure)
    for row in explained.to_dict("records"):
        commands = [each["command"] for each in row["commands"] if not each["changes"]]
        assert commands, row["code"]
        named = [command for command in commands if row["name"] in command]
        gaps = [gap for command in commands for gap in ("<name>", "<kind>", "<container>") if gap in command]
        assert not gaps, (row["id"], gaps)
        if row["namespace"]:
            assert not any("<namespace>" in command for command in commands)
            assert not named or any(f"-n {row['namespace']}" in command for command in named)


def test_what_changes_the_cluster_is_marked(explained):
    undo = [each for commands in explained.commands for each in commands if "rollout undo" in each["command"]]
    assert undo
    assert all(each["changes"] for each in undo)
