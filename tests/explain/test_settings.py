"""The settings file: what it keeps, how it is written, what a damaged one says."""

import json
import multiprocessing
import stat

import pytest

from k8sgpt_magic import settings
from k8sgpt_magic.settings import BackendSettings, Settings, SettingsError


@pytest.fixture(autouse=True)
def own_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def test_without_a_file_there_are_defaults_and_none_is_written(own_directory):
    assert settings.load() == Settings()
    assert not own_directory.exists()


def test_what_is_saved_comes_back_and_is_for_nobody_else_to_read():
    saved = Settings(backend="ollama", backends={"ollama": BackendSettings(model="qwen3")}, filters_added=["Pod"])
    settings.save(saved)
    assert settings.load() == saved
    assert stat.S_IMODE(settings.path().stat().st_mode) == 0o600
    assert json.loads(settings.path().read_text())["backends"] == {"ollama": {"model": "qwen3"}}
    assert [each.name for each in settings.path().parent.iterdir()] == ["settings.json"]


def test_a_change_keeps_what_another_kernel_saved():
    settings.change(lambda each: each.filters_added.append("Pod"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(_choose, ("ollama",))
    settings.change(lambda each: each.caches.append("/somewhere"))
    assert settings.load() == Settings(backend="ollama", filters_added=["Pod"], caches=["/somewhere"])


def _choose(name):
    settings.change(lambda each: setattr(each, "backend", name))


@pytest.mark.parametrize("text", ["{", "[]", '{"filters_added": 3}', "\xff"])
def test_a_damaged_file_is_told_and_not_overwritten(text):
    settings.save(Settings())
    settings.path().write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError) as caught:
        settings.change(lambda each: None)
    assert str(settings.path()) in str(caught.value)
    assert settings.path().read_text(encoding="latin-1") == text


def test_a_newer_version_s_settings_can_be_read():
    settings.save(Settings(backend="offline"))
    raw = json.loads(settings.path().read_text())
    settings.path().write_text(json.dumps({**raw, "from_the_future": 1}))
    assert settings.load().backend == "offline"


def test_a_place_that_cannot_be_written_is_told(own_directory):
    own_directory.write_text("a file where a directory should be")
    with pytest.raises(SettingsError, match="this session only"):
        settings.save(Settings())
