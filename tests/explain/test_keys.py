"""Keys: where they are kept, how they are asked for, and that they show up nowhere."""

import getpass
import shlex
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import keyring
import keyring.errors
import pytest
from jupyter_client.manager import start_new_kernel
from keyring.backend import KeyringBackend

from k8sgpt_magic import settings
from k8sgpt_magic.errors import BackendError, InvalidOption
from k8sgpt_magic.explain import subcommands
from k8sgpt_magic.explain.cache import Caches
from k8sgpt_magic.explain.keys import KeyOnLine, Keys, ask, refuse_key_on_line, variable
from tests.explain.model_server import Reply, running

KEY = "sk-Test1234567890abcdefKEY"


class MemoryKeyring(KeyringBackend):
    """A system keyring as keyring finds one, whose store is a dict. ``fails`` makes it locked."""

    priority = 9

    def __init__(self):
        self.held = {}
        self.fails = False

    def _check(self):
        if self.fails:
            raise keyring.errors.KeyringLocked(f"locked; wanted {KEY}")

    def set_password(self, service, username, password):
        self._check()
        self.held[service, username] = password

    def get_password(self, service, username):
        self._check()
        return self.held.get((service, username))

    def delete_password(self, service, username):
        self._check()
        del self.held[service, username]


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def system():
    before = keyring.get_keyring()
    held = MemoryKeyring()
    keyring.set_keyring(held)
    yield held
    keyring.set_keyring(before)


@pytest.fixture
def no_system():
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


def test_a_key_is_kept_in_the_keyring_for_the_next_session(system):
    assert Keys().add("openai", f"  {KEY}\n").where == "the system keyring"
    keys = Keys()
    assert keys.get("openai") == KEY
    assert keys.where("openai") == "keyring"
    assert system.held == {("k8sgpt-magic", "openai"): KEY}
    assert keys.remove("openai") == ["the system keyring"]
    assert keys.get("openai") == keys.where("openai") == ""


def test_without_a_keyring_it_lasts_for_the_session_and_that_is_said(no_system):
    keys = Keys()
    kept = keys.add("openai", KEY)
    assert (kept.where, kept.note) == ("this session", "this machine has no system keyring")
    assert keys.get("openai") == KEY
    assert Keys().get("openai") == ""


def test_a_locked_keyring_costs_no_key(system):
    system.fails = True
    keys = Keys()
    kept = keys.add("openai", KEY)
    assert "KeyringLocked" in kept.note
    assert KEY not in kept.note
    assert keys.get("openai") == KEY


def test_session_then_keyring_then_environment(system, monkeypatch):
    keys = Keys()
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    assert keys.where("openai") == "OPENAI_API_KEY"
    keys.add("openai", "from-keyring")
    assert keys.get("openai") == "from-keyring"
    keys.add("openai", "from-session", session_only=True)
    assert keys.get("openai") == "from-session"
    assert keys.remove("openai") == ["this session", "the system keyring"]
    assert keys.get("openai") == "from-environment"
    assert variable("own-backend") == "OWN_BACKEND_API_KEY"


def test_a_key_is_in_no_repr_and_bad_ones_are_not_quoted():
    keys = Keys()
    keys.add("openai", KEY, session_only=True)
    assert KEY not in f"{keys!r}{keys}"
    for bad in (f"{KEY}é", f"{KEY}\x07x"):
        with pytest.raises(InvalidOption) as caught:
            keys.add("openai", bad)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        f"auth add openai {KEY}",
        "auth add openai hunter2",
        f"auth add openai --password {KEY}",
        f"auth add openai --password={KEY}",
        f"auth add -p {KEY} openai",
        f"auth update openai --model gpt-5.4-mini {KEY}",
        "explain --backend openai --api-key hunter2-hunter2",
        "analyze --explain --token=hunter2-hunter2",
        f"analyze --explain --custom-header Authorization:{KEY}",
        "explain --custom-header X:gsk_Abcdefghijklmnop1234567890",
        "explain --custom-header 'Authorization: Bearer hunter22'",
        "explain --custom-header x-api-key:hunter22",
        "auth add openai --base-url https://me:hunter22@proxy.example.com/v1",
        "auth add google AIzaSyAbcdefghijklmnop1234567890",
        "explain --ask eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
    ],
)
def test_a_key_on_the_line_is_refused_and_not_said_again(line):
    with pytest.raises(KeyOnLine, match="not taken on the command line") as caught:
        refuse_key_on_line(shlex.split(line))
    for secret in (KEY, "hunter2", "gsk_", "AIza", "eyJ"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "auth add openai",
        "auth add openai --model openai/gpt-oss-20b --base-url https://host/v1",
        "auth default ollama",
        "auth add {name} $KEY",
        "analyze -n sk-prod-1 -l app=sk-frontend-7d9f8c6b5-abcde,x=1",
        "explain Pod/shop/sk-checkout-worker-5d8f7c9b4d-x2x9z/PodCrashLoopBackOff",
        "snapshot save /home/user/Cluster-Backup-20261123T050000.tar.gz",
        "explain --custom-header Authorization:$TOKEN",
        "explain --custom-header 'Authorization: Bearer $TOKEN'",
        "explain --custom-header 'Authorization: Bearer {token}'",
        "explain --custom-header X-Team:search",
        "cache add s3 s3://my-bucket/K8sGPT/Explanations2026",
    ],
)
def test_what_is_no_key_passes(line):
    refuse_key_on_line(shlex.split(line))


def test_a_refused_key_leaves_the_history_of_the_shell(tmp_path):
    """In an interpreter of its own: a shell has one history, and its file is what counts."""
    script = f"""
import sys, time
from traitlets.config import Config
from IPython.core.interactiveshell import InteractiveShell
config = Config()
config.HistoryManager.hist_file = {str(tmp_path / "history.sqlite")!r}
shell = InteractiveShell.instance(config=config)
from k8sgpt_magic.explain.keys import refuse_key_on_line
shell.user_ns["refuse"] = lambda line: refuse_key_on_line(line.split(), shell)
shell.run_cell("a = 1", store_history=True)
if sys.argv[1] == "later":
    shell.run_cell("b = 2  # auth add openai {KEY}", store_history=True)
    time.sleep(0.5)
result = shell.run_cell("refuse('auth add openai {KEY}')", store_history=True)
assert "KeyOnLine" in repr(result.error_in_exec)
shell.showtraceback((type(result.error_in_exec), result.error_in_exec, None))
shell.history_manager.end_session()
held = [*shell.user_ns["_ih"], *shell.history_manager.input_hist_raw, *map(str, shell.user_ns.values())]
assert not [each for each in held if "{KEY}" in each and "lambda" not in each], held
"""
    for when in ("at-once", "later"):
        done = subprocess.run([sys.executable, "-c", script, when], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        assert KEY not in done.stdout + done.stderr
    kept = sqlite3.connect(tmp_path / "history.sqlite").execute("select source_raw from history").fetchall()
    assert any("a = 1" in each for (each,) in kept)
    assert any("refuse('auth add openai ***')" in each for (each,) in kept)
    for file in tmp_path.glob("history.sqlite*"):
        assert KEY.encode() not in file.read_bytes()


def test_a_kernel_asks_for_a_key_without_showing_it(tmp_path):
    """Through a real kernel's own input box: the key is in no message that it sends."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(Path(__file__).parents[2]))
    sent = []
    try:
        code = (
            "from k8sgpt_magic.explain import keys\nheld = keys.Keys()\n"
            "print(held.add('openai', keys.ask('openai'), session_only=True))\nheld, len(held.get('openai'))"
        )

        def asked(message):
            assert message["content"] == {"prompt": "Key for openai: ", "password": True}
            client.input(KEY)

        client.execute_interactive(code, timeout=60, stdin_hook=asked, output_hook=sent.append)
        assert f"{len(KEY)}" in str(sent)
        assert KEY not in str(sent)
        sent.clear()
        client.execute_interactive("keys.ask('openai')", timeout=60, allow_stdin=False, output_hook=sent.append)
        assert "nobody can be asked for a key here" in str(sent)
        assert "OPENAI_API_KEY" in str(sent)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_where_typing_would_be_seen_nobody_is_asked(monkeypatch):
    def shown(prompt):
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return KEY

    monkeypatch.setattr(getpass, "getpass", shown)
    with pytest.raises(BackendError, match="nobody can be asked"):
        ask("openai")
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "  ")
    with pytest.raises(InvalidOption, match="nothing was changed"):
        ask("openai")


# --- the subcommands --------------------------------------------------------------------------------------------------


@pytest.fixture
def typed(monkeypatch):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: KEY)


def test_add_default_list_update_remove(system, typed):
    keys = Keys()
    said = subcommands.auth_add(keys, "openai", model="gpt-x")
    assert said == "openai: key kept in the system keyring.\nopenai: model gpt-x saved."
    assert subcommands.auth_default(keys) == "Default backend: openai."
    assert "no key yet" in subcommands.auth_default(keys, "groq")
    subcommands.auth_default(keys, "openai")
    table = subcommands.auth_list(keys).set_index("backend")
    assert table.loc["openai"].to_dict() == {
        "default": "*", "kind": "OpenAI-compatible", "key": "keyring", "model": "gpt-x", "base_url": "",
    }  # fmt: skip
    assert table.loc["groq", "key"] == "needed"
    assert {"offline", "bedrock", "sagemaker", "vertex", "oci", "watsonx", "customrest"} <= set(table.index)
    assert "base URL https://h/v1" in subcommands.auth_update(keys, "openai", base_url="https://h/v1", ask_key=False)
    assert settings.load().backends["openai"].model == "gpt-x"
    with pytest.raises(InvalidOption, match="not added yet"):
        subcommands.auth_update(keys, "groq")
    assert subcommands.auth_remove(keys, "openai") == "openai: removed from the system keyring and the settings."
    assert "nothing to remove" in subcommands.auth_remove(keys, "openai")
    assert settings.load() == settings.Settings()
    assert KEY not in f"{said}{table}" + "".join(str(each.read_bytes()) for each in settings.path().parent.iterdir())


def test_what_makes_no_sense_is_told(system, typed):
    keys = Keys()
    with pytest.raises(InvalidOption, match="did you mean 'openai'"):
        subcommands.auth_add(keys, "openia")
    with pytest.raises(InvalidOption, match="offline backend has no key"):
        subcommands.auth_add(keys, "offline")
    with pytest.raises(InvalidOption, match="saved in the clear") as caught:
        subcommands.auth_add(keys, "customrest", base_url=f"https://me:{KEY}@h/v1")
    assert KEY not in str(caught.value)
    assert system.held == {}


def test_a_server_that_wants_no_key_is_added_without_asking(no_system, monkeypatch):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: pytest.fail("asked"))
    keys = Keys()
    assert subcommands.auth_add(keys, "ollama", model="qwen3") == "ollama: model qwen3 saved."
    opened = subcommands.configured(keys, "ollama")
    assert (opened.model, opened.is_local) == ("qwen3", True)
    assert keys.where("ollama") == ""


def test_generate_says_where_a_key_comes_from():
    said = subcommands.generate(Keys(), "groq")
    assert "https://console.groq.com/keys" in said
    assert "%k8sgpt auth add groq, or set GROQ_API_KEY." in said
    assert "https://platform.openai.com/api-keys" in subcommands.generate(Keys())


def test_auth_test_makes_one_small_call(system):
    from k8sgpt_magic.engine import Engine

    engine = Engine()
    keys = Keys()
    keys.add("openai", KEY)
    try:
        with running() as server:
            server.default = Reply(text="OK")
            said = subcommands.auth_test(keys, engine.run, "openai", model="tiny", base_url=server.url)
            assert "openai: tiny-1 answered in" in said
            assert "runs on this machine" in said
            assert len(server.bodies) == 1
            server.default = Reply(status=401, error={"message": KEY})
            with pytest.raises(BackendError, match="did not accept the key") as caught:
                subcommands.auth_test(keys, engine.run, "openai", base_url=server.url)
            assert KEY not in str(caught.value)
            # A server that is named without a backend is not given the key of the default one.
            subcommands.auth_default(keys, "openai")
            server.default = Reply(text="OK")
            server.headers.clear()
            subcommands.auth_test(keys, engine.run, model="tiny", base_url=server.url)
            assert KEY.encode() not in server.received
        assert "nothing to test" in subcommands.auth_test(keys, engine.run, "offline")
    finally:
        engine.stop()


def test_caches_by_subcommand_stay_for_the_next_session(tmp_path):
    caches = Caches()
    directory = str(tmp_path / "answers")
    assert subcommands.cache_add(caches, "file", directory) == f"Answers are kept in {directory} as well."
    later = subcommands.opened_caches()
    assert list(subcommands.cache_list(later)["cache"]) == ["memory", directory]
    assert list(subcommands.cache_stats(later)["entries"]) == [0, 0]
    assert subcommands.cache_clear(later) == "0 answers removed from all caches."
    assert "used no longer" in subcommands.cache_remove(later, directory)
    assert subcommands.opened_caches().urls == ["memory"]
    with pytest.raises(InvalidOption, match="no URL of a cache of kind s3"):
        subcommands.cache_add(caches, "s3", "gs://bucket/x")
    with pytest.raises(InvalidOption, match="unknown kind of cache"):
        subcommands.cache_add(caches, "redis", "x")
    settings.change(lambda each: each.caches.append("nonsense://x"))
    with pytest.warns(UserWarning, match="cache remove nonsense://x"):
        assert subcommands.opened_caches().urls == ["memory"]
    assert "used no longer" in subcommands.cache_remove(caches, "nonsense://x")
