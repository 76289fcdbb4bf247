"""Which analyzers run: by filters, by groups, by the settings."""

from __future__ import annotations

import pytest

from k8sgpt_magic import analyzers, filters, settings
from k8sgpt_magic.analyzers import analyzer, registered
from k8sgpt_magic.cluster.names import UnknownName
from k8sgpt_magic.cluster.resources import ConfigMap, Pod
from k8sgpt_magic.commands import Commands
from k8sgpt_magic.errors import InvalidOption
from k8sgpt_magic.findings import Code
from k8sgpt_magic.session import Session

CODE = Code("PodOfOurs", "info", "A rule of our own.", "https://example.com/")
DEFAULT = [name for name, each in registered().items() if each.default]


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def opt_in(monkeypatch):
    """Two opt-in analyzers of one group, and nothing of it afterwards."""
    registered()
    copy = {name: dict(several) for name, several in analyzers._registered.items()}
    monkeypatch.setattr(analyzers, "_registered", copy)
    analyzers._together.cache_clear()

    @analyzer(Pod, name="Ours", group="Group", default=False, codes=[CODE])
    def ours(view):
        """Pods that are ours."""
        for pod in view.all(Pod):
            yield CODE.finding(pod, "It is ours.")

    @analyzer(ConfigMap, name="Others", group="Group", default=False, codes=[])
    def others(view):
        """Nothing."""
        return ()

    yield
    monkeypatch.undo()
    analyzers._together.cache_clear()


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()


def test_names_plurals_short_names_groups_and_all():
    assert filters.named(["po", "deployments", "Node"]) == ["Deployment", "Node", "Pod"]
    assert filters.named(["group"]) == ["Others", "Ours"]
    assert filters.named(["ours", "GROUP"]) == ["Others", "Ours"]
    assert filters.named(["*"]) == sorted(registered())
    with pytest.raises(UnknownName, match="did you mean 'Ours'"):
        filters.named(["Oours"])
    with pytest.raises(UnknownName, match="did you mean 'Group'"):
        filters.named(["Grop"])


def test_opt_in_analyzers_run_when_named_and_only_then(session):
    assert "PodOfOurs" not in set(session.analyze(source="demo").code)
    named = session.analyze(source="demo", filter="ours")
    assert set(named.code) == {"PodOfOurs"}
    assert named.attrs["analyzers"] == ["Ours"]
    # Neither what else judges pods nor what is of the same group.
    assert set(session.analyze(source="demo", filter="po").kind) == {"Pod"}
    assert "PodOfOurs" not in set(session.analyze(source="demo", filter="po").code)


def test_added_and_removed_filters_last_and_reset_forgets_them(session):
    assert filters.add(["ours", "po"]) == ["Ours"]
    assert filters.remove(["cm", "Others"]) == ["ConfigMap"]
    assert filters.active() == sorted({*DEFAULT, "Ours"} - {"ConfigMap"})
    found = session.analyze(source="demo")
    assert "PodOfOurs" in set(found.code)
    assert not found.code.str.startswith("ConfigMap").any()
    assert settings.load().filters_added == ["Ours"]
    assert settings.load().filters_removed == ["ConfigMap"]
    # What is named runs whatever the settings say.
    assert set(session.analyze(source="demo", filter="cm").kind) == {"ConfigMap"}
    assert filters.remove(["Ours"]) == ["Ours"]
    assert filters.add(["ConfigMap"]) == ["ConfigMap"]
    assert filters.active() == DEFAULT
    filters.remove(["Pod"])
    filters.reset()
    assert filters.active() == DEFAULT
    assert settings.load() == settings.Settings()


def test_the_subcommands_say_what_changed(session, capsys):
    run = Commands(session).run
    assert run(["filters", "add", "ours,others"]) is None
    assert run(["filters", "add", "Ours"]) is None
    assert run(["filters", "remove", "po", "deploy"]) is None
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "Others and Ours: run by default from now on.",
        "Nothing changed: they did already.",
        "Deployment and Pod: run no longer unless --filter names them.",
    ]
    listed = run(["filters", "list"]).set_index("analyzer")
    assert list(listed.loc["Ours"])[:4] == ["yes", "no", "Group", 1]
    assert list(listed.loc["Pod"])[:2] == ["no", "yes"]
    shown = dict(run(["settings"]).itertuples(index=False))
    assert shown["analyzers added"] == "Others, Ours"
    assert shown["analyzers removed"] == "Deployment, Pod"
    assert shown["file"] == str(settings.path())
    run(["filters", "reset"])
    assert dict(run(["settings"]).itertuples(index=False))["analyzers added"] == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add"], "needs names"),
        (["list", "po"], "takes no names"),
        (["add", "Deploymnt"], "did you mean 'Deployment'"),
    ],
)
def test_mistakes_are_answered_in_one_line(session, words, message):
    with pytest.raises(InvalidOption, match=message):
        Commands(session).run(["filters", *words])
    assert settings.load() == settings.Settings()
