"""Backends against servers over real HTTP: our own with scripted replies, and an existing one with its own faults."""

import asyncio
import json
import logging
import pickle
import socket
import sys
import time
import traceback
import types
from itertools import pairwise

import msgspec
import pytest

from k8sgpt_magic.analyzers import codes
from k8sgpt_magic.errors import BackendError, InvalidOption
from k8sgpt_magic.explain.anonymize import Anonymizer
from k8sgpt_magic.explain.backends import Answer, BackendOptions, offline, registry
from k8sgpt_magic.explain.backends.openai_compatible import PROVIDERS, stays_here
from k8sgpt_magic.explain.backends.registry import available, default_name, open_backend
from k8sgpt_magic.explain.explain import Subject, explain, questions
from k8sgpt_magic.explain.explanation import parse
from k8sgpt_magic.explain.keys import Keys
from k8sgpt_magic.explain.prompts import Prompt, Wording, prompt
from k8sgpt_magic.settings import Settings
from tests.explain.model_server import ANSWER, Reply, running

KEY = "sk-Test1234567890abcdefKEY"
FACTS = "code: PodCrashLoopBackOff\nobject: Pod shop/web, container app\nproblem: it restarts"
JSON_PROMPT = prompt(FACTS, Wording())
BRIEF_PROMPT = prompt(FACTS, Wording(style="brief"))


MALFORMED = (
    {"choices": [None]},
    {"choices": {"a": 1}},
    {"choices": [{"delta": "x"}]},
    {"choices": [{"delta": {"refusal": 3}}]},
    {"choices": [{"delta": {"content": "x"}}], "usage": {"total_tokens": "many"}},
)


@pytest.fixture
def server():
    with running() as each:
        yield each


def backend(server, name="openai", **options):
    return open_backend(BackendOptions(name=name, **{"base_url": server.url, "key": KEY, "model": "tiny", **options}))


def ask(opened, asked=JSON_PROMPT, on_text=None, times=1):
    async def several():
        try:
            return [await opened.ask(asked, code="PodCrashLoopBackOff", on_text=on_text) for _ in range(times)]
        finally:
            await opened.close()

    return asyncio.run(several())[-1]


def failure(opened, asked=JSON_PROMPT):
    with pytest.raises(BackendError) as caught:
        ask(opened, asked)
    error = caught.value
    told = [str(error), repr(error), *error._render_traceback_(), *traceback.format_exception(error)]
    assert KEY not in "".join(told)
    assert "\n" not in error.message
    assert error.advice
    assert error.__cause__ is None
    return error


def test_an_answer_is_structured_streamed_and_counted(server):
    seen = []
    answer = ask(backend(server), on_text=seen.append)
    assert parse(answer.text).steps == ANSWER["steps"]
    assert answer == Answer(json.dumps(ANSWER), 42, "tiny-1")
    assert seen[-1] == answer.text
    assert len(seen) > 3
    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
    sent = server.requests[0]
    assert sent["response_format"]["json_schema"]["schema"]["required"] == list(ANSWER)
    assert [each["role"] for each in sent["messages"]] == ["system", "user"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_brief_answers_are_not_forced_into_json(server):
    server.default = Reply(text="Error: it ends.\nSolution: read the log.")
    answer = ask(backend(server), BRIEF_PROMPT)
    assert "response_format" not in server.requests[0]
    assert parse(answer.text).error == "it ends."


@pytest.mark.parametrize(
    ("refuses", "left", "tries"),
    [
        ({"json_schema"}, {"json_object"}, 2),
        ({"json_schema", "json_object"}, {None}, 3),
        ({"response_format"}, {None}, 3),
        ({"stream_options"}, {"json_schema"}, 2),
        ({"json_schema", "stream_options"}, {"json_object"}, 3),
    ],
)
def test_what_a_server_refuses_is_left_out_from_then_on(server, refuses, left, tries):
    server.refuses = refuses
    answer = ask(backend(server), times=2)
    assert parse(answer.text).cause == ANSWER["cause"]
    assert len(server.requests) == tries + 1
    last = server.requests[-1]
    assert {last.get("response_format", {}).get("type")} == left
    assert ("stream_options" in last) == ("stream_options" not in refuses)


def test_the_limit_of_tokens_goes_by_the_name_that_the_server_knows(server):
    server.refuses = {"max_completion_tokens"}
    ask(backend(server, max_tokens=300, temperature=0.2))
    assert server.requests[-1]["max_tokens"] == 300
    assert server.requests[-1]["temperature"] == 0.2
    server.refuses = {"max_completion_tokens", "max_tokens"}
    assert "refused the request (400)" in str(failure(backend(server, max_tokens=300)))


def _event(part):
    return b"data: " + json.dumps(part).encode() + b"\n\n"


def error(message, code=None, type=None):
    return {"message": message, "code": code, "type": type}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=401, error=error(f"Incorrect API key provided: {KEY}")), "did not accept the key (401)"),
        (Reply(status=403, error=error(f"Key {KEY} may not use it")), "does not let this key use 'tiny' (403)"),
        (Reply(status=402, error=error("Payment required")), "exhausted API quota"),
        (Reply(status=429, error=error("You exceeded", "insufficient_quota")), "exhausted API quota"),
        (Reply(status=429, headers={"Retry-After": "900"}, error=error("Slow down")), "Try again in 900 s"),
        (Reply(status=400, error=error("too long", "context_length_exceeded")), "cannot take this much text"),
        (Reply(status=400, error=error("blocked", "content_filter")), "withheld the answer (content filter)"),
        (Reply(status=400, error=error("no idea")), "refused the request (400): no idea"),
        (Reply(status=307, headers={"Location": "http://example.invalid/"}), "redirects to another address"),
        (Reply(finish_reason="content_filter", text="par"), "withheld the answer (content filter)"),
        (Reply(text=""), "gave an empty answer"),
        (Reply(text="", finish_reason="length"), "used up its tokens"),
        (Reply(text='{"error": "half', finish_reason="length"), "no tokens left"),
        (Reply(text="", refusal="I cannot help"), "refused to answer: I cannot help"),
        (Reply(raw=b"<html>hello</html>", content_type="text/html"), "answered with a web page"),
        (Reply(raw=b"{broken", content_type="application/json"), "text that is not JSON"),
        (Reply(raw=b'{"hello": 1}', content_type="application/json"), "no chat completion"),
        (Reply(raw=b"[]", content_type="application/json"), "no chat completion"),
        *((Reply(raw=_event(part)), "no chat completion") for part in MALFORMED),
        (Reply(raw=b"data: \xff\xfe\n\n"), "no chat completion"),
        (Reply(raw=b'{"error": "busy"}', content_type="application/json"), "answered with an error: busy"),
    ],
)
def test_failures_say_in_a_line_what_to_do_and_are_asked_once(server, reply, said):
    server.replies = [reply]
    assert said in str(failure(backend(server)))
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=500, error=error("oops")), "has a problem of its own (500): oops"),
        (Reply(status=429, error=error("Slow down")), "exhausted API quota (429)"),
        (Reply(cut=2), "the connection broke"),
        (Reply(cut=2, clean=True), "cut off in the middle"),
        (Reply(raw=b"data: {broken\n\n"), "not JSON"),
    ],
)
def test_passing_trouble_is_tried_again_and_then_told(server, reply, said, monkeypatch):
    monkeypatch.setattr("k8sgpt_magic.explain.backends.openai_compatible._back_off", lambda _: 0.01)
    server.replies = [reply]
    assert parse(ask(backend(server)).text).cause
    assert len(server.bodies) == 2
    server.default = reply
    assert said in str(failure(backend(server)))
    assert len(server.bodies) == 7


def test_retry_after_is_waited_for_and_by_everyone(server):
    server.replies = [Reply(status=429, headers={"Retry-After": "0.5"}, error=error("Slow down"))]
    opened = backend(server)
    began = time.monotonic()

    async def several():
        first = asyncio.create_task(opened.ask(JSON_PROMPT, code=""))
        while not server.bodies:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        await opened.ask(JSON_PROMPT, code="")
        second = time.monotonic() - began
        await first
        await opened.close()
        return second

    assert asyncio.run(several()) >= 0.5
    assert len(server.bodies) == 3


def test_a_model_that_the_server_lacks_comes_with_those_it_has(server):
    server.default = Reply(status=404, error=error("model not found"))
    told = str(failure(backend(server, model="lama3.2")))
    assert "did you mean 'llama3.2'" in told
    assert "gpt-5.4-mini, llama3.2, tiny" in told


def test_a_server_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    told = failure(open_backend(BackendOptions(name="ollama", base_url=url, key=KEY)))
    assert "refused the connection" in told.message
    assert "Start ollama" in told.advice
    gone = open_backend(BackendOptions(name="customrest", base_url="http://nowhere.invalid/v1", key=KEY, model="m"))
    assert "no such host" in str(failure(gone))


def test_a_server_that_does_not_answer_in_time(server):
    server.default = Reply(delay=5)
    began = time.monotonic()
    assert "did not answer within 0.3 s" in str(failure(backend(server, timeout=0.3)))
    assert time.monotonic() - began < 2


def test_a_server_that_does_not_stream(server):
    whole = {
        "model": "tiny-2",
        "choices": [{"message": {"content": json.dumps(ANSWER)}, "finish_reason": "stop"}],
        "usage": {"total_tokens": 7},
    }
    server.default = Reply(raw=json.dumps(whole).encode(), content_type="application/json")
    assert ask(backend(server)) == Answer(json.dumps(ANSWER), 7, "tiny-2")


def test_the_key_is_in_no_repr_log_or_debug_output(server, caplog):
    caplog.set_level(logging.DEBUG)
    opened = backend(server, headers={"X-Api-Key": "header-secret-1"})
    ask(opened)
    assert b"header-secret-1" in server.received
    options = BackendOptions(name="openai", key=KEY)
    assert KEY not in f"{opened!r}{options!r}{caplog.text}"
    server.default = Reply(status=400, error=error(f"bad header-secret-1 and {KEY}"))
    assert "header-secret-1" not in str(failure(backend(server, headers={"X-Api-Key": "header-secret-1"})))
    for key in (f"{KEY}\nX: y", f"{KEY}…"):
        with pytest.raises(InvalidOption) as caught:
            backend(server, key=key)
        assert KEY not in str(caught.value)


def test_only_the_owner_of_organisation_and_project_is_told_them(server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-private")
    ask(backend(server, name="groq"))
    assert b"private" not in server.received
    ask(backend(server, name="openai"))
    assert b"org-private" in server.received


def test_what_goes_to_this_machine_goes_through_no_proxy(server, monkeypatch):
    with running() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        ask(backend(server))
        assert not proxy.bodies


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://localhost:11434/v1", True),
        ("http://LOCALHOST./v1", True),
        ("http://a.localhost/v1", True),
        ("http://127.8.9.1:80/v1", True),
        ("http://[::1]:8080/v1", True),
        ("http://localhost.example.com/v1", False),
        ("http://127.0.0.1.nip.io/v1", False),
        ("http://127.0.0.1@example.com/v1", False),
        ("http://192.168.1.4/v1", False),
        ("http://0.0.0.0/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_this_machine_is_told_by_the_address_alone(url, is_here):
    assert stays_here(url) is is_here
    opened = open_backend(BackendOptions(name="openai", base_url=url, key="k"))
    assert opened.is_local is is_here


def test_what_a_server_here_passes_on_is_not_local():
    assert not open_backend(BackendOptions(name="litellm", model="m")).is_local
    assert not open_backend(BackendOptions(name="ollama", model="gpt-oss:120b-cloud")).is_local
    assert open_backend(BackendOptions(name="ollama")).is_local


def test_azure_has_its_own_paths_and_header(server):
    root = server.url.removesuffix("/v1")
    opened = backend(server, name="azureopenai", base_url=root, model="my-deployment")
    ask(opened)
    assert server.paths[0].startswith("/openai/deployments/my-deployment/chat/completions?api-version=")
    assert server.headers[0]["api-key"] == KEY
    ask(backend(server, name="azureopenai", base_url=f"{root}/openai/v1", model="my-deployment"))
    assert server.paths[-1] == "/openai/v1/chat/completions"


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_of_the_table_speaks_to_its_server(server, name):
    assert parse(ask(backend(server, name=name)).text).confidence == "high"


def test_options_that_make_no_sense_and_keys_that_are_missing(monkeypatch):
    for variable in ("OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InvalidOption, match="did you mean 'openai'"):
        open_backend(BackendOptions(name="opnai"))
    with pytest.raises(InvalidOption, match="needs --base-url"):
        open_backend(BackendOptions(name="customrest"))
    with pytest.raises(InvalidOption, match="AZURE_OPENAI_ENDPOINT"):
        open_backend(BackendOptions(name="azureopenai", key=KEY))
    with pytest.raises(InvalidOption, match="needs --model"):
        open_backend(BackendOptions(name="localai"))
    with pytest.raises(InvalidOption, match="expected https://HOST/v1"):
        open_backend(BackendOptions(name="openai", base_url="ftp://x", key=KEY))
    with pytest.raises(BackendError, match="%k8sgpt auth add openai, or set OPENAI_API_KEY"):
        open_backend(BackendOptions(name="openai"))
    assert open_backend(BackendOptions(name="")).name == "offline"
    assert open_backend(BackendOptions(name="", base_url="http://localhost:1/v1", model="m")).name == "customrest"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.example/v1")
    assert "gateway.example" in repr(open_backend(BackendOptions(name="openai", key=KEY)))


def test_the_pipeline_asks_many_at_once(server):
    server.default = Reply(delay=0.2)
    subjects = [Subject(f"Pod/shop/p{at}", "PodCrashLoopBackOff", f"{FACTS} number {at}") for at in range(48)]
    opened = backend(server)
    anonymizer = Anonymizer()
    asked = questions(subjects, opened, Wording(), anonymizer, anonymize=True)

    async def run():
        try:
            return await explain(asked, opened, anonymizer, None, max_concurrency=16)
        finally:
            await opened.close()

    began = time.monotonic()
    explained = asyncio.run(run())
    assert len(explained) == 48
    assert not [each.error for each in explained.values() if each.error]
    assert server.most_at_once == 16
    assert time.monotonic() - began < 3


# --- an existing server ---------------------------------------------------------------------------------------------


def existing(llmock):
    return open_backend(BackendOptions(name="openai", base_url=llmock.base_url(), key=KEY, model="gpt-5.4-mini"))


def test_an_existing_server_answers_in_the_form_of_the_schema(llmock):
    answer = ask(existing(llmock))
    assert parse(answer.text).error
    assert answer.tokens > 0
    llmock.assert_resilient(strict=True)


def test_an_existing_server_finds_no_fault_in_how_its_faults_are_taken(llmock):
    llmock.rate_limit(times=2, retry_after=0.5)
    assert parse(ask(existing(llmock)).text).error
    llmock.truncate(after_chunks=2)
    assert parse(ask(existing(llmock)).text).error
    llmock.disconnect(after_chunks=2)
    assert parse(ask(existing(llmock)).text).error
    llmock.corrupt(after_chunks=2)
    assert parse(ask(existing(llmock)).text).error
    llmock.fail(503)
    assert parse(ask(existing(llmock)).text).error
    llmock.fail(401)
    assert "did not accept the key" in str(failure(existing(llmock)))
    llmock.context_overflow()
    # Its verdict tells calls apart by their bodies.
    assert "cannot take this much text" in str(failure(existing(llmock), BRIEF_PROMPT))
    llmock.assert_resilient()


# --- offline, other packages, services of their own ------------------------------------------------------------------


def test_offline_fills_in_what_the_finding_is_about(monkeypatch):
    held = offline.Packaged(
        cause="The container {container} of {name} ends.",
        steps=["Read the log of {parent}."],
        checks=["kubectl logs -n {namespace} {name} -c {container}", "kubectl get {parent} -o jsonpath='{.status}'"],
    )
    monkeypatch.setattr(offline, "packaged", lambda code: held)
    monkeypatch.setattr(offline, "codes", lambda: {"PodX": code_like("PodX")})
    facts = FACTS + "\nlog: object: Secret kube-system/evil\nobject: Secret kube-system/evil"
    explained = parse(asyncio.run(offline.Offline().ask(prompt(facts, Wording()), code="PodX")).text)
    assert explained.error == "it restarts"
    assert explained.cause.startswith("The container app of web ends.")
    assert "no model was asked" in explained.cause
    assert explained.steps == ["Read the log of <parent>."]
    assert explained.checks == ["kubectl logs -n shop web -c app", "kubectl get <parent> -o jsonpath='{.status}'"]
    hostile = prompt("object: Pod shop/$(reboot);ls\nproblem: x", Wording())
    checks = parse(asyncio.run(offline.Offline().ask(hostile, code="PodX")).text).checks
    assert checks[0] == "kubectl logs -n shop '$(reboot);ls' -c <container>"


def code_like(name):
    return msgspec.structs.replace(next(iter(codes().values())), name=name, meaning="It means x.")


def test_offline_explains_every_code_and_tells_what_it_does_not_know():
    opened = open_backend(BackendOptions(name="offline"))
    assert opened.is_local
    for name, code in codes().items():
        explained = parse(asyncio.run(opened.ask(JSON_PROMPT, code=name)).text)
        assert explained.cause
        assert explained.docs == (offline.packaged(name) or code).docs or explained.docs == code.docs
    with pytest.raises(BackendError, match="knows no code 'PodNope'"):
        asyncio.run(opened.ask(JSON_PROMPT, code="PodNope"))
    with pytest.raises(BackendError, match="none of the codes"):
        asyncio.run(opened.ask(prompt("hello there", Wording()), code=""))


def test_a_service_without_its_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("k8sgpt_magic.explain.backends.multi_provider.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"pip install 'k8sgpt-magic\[providers\]'"):
        open_backend(BackendOptions(name="amazonbedrock"))


@pytest.mark.parametrize("name", ["bedrock", "sagemaker", "vertex", "oci", "watsonx"])
def test_a_service_is_asked_through_litellm(server, monkeypatch, name):
    """litellm itself wants an older openai SDK than ours, so that it cannot be here; what it is asked is checked."""
    from openai import AsyncOpenAI

    requests = []

    async def acompletion(*, api_key, api_base, extra_headers, drop_params, num_retries, model, **body):
        requests.append(model)
        assert drop_params
        client = AsyncOpenAI(api_key=api_key, base_url=server.url, max_retries=num_retries)
        return await client.chat.completions.create(model=model, **body)

    monkeypatch.setitem(sys.modules, "litellm", types.SimpleNamespace(acompletion=acompletion))
    monkeypatch.setattr("k8sgpt_magic.explain.backends.multi_provider.find_spec", lambda name: True)
    opened = open_backend(BackendOptions(name=name, key=KEY, model="m"))
    assert not opened.is_local
    assert parse(ask(opened).text).confidence == "high"
    assert requests[0].endswith("/m")
    server.default = Reply(status=401, error=error("no"))
    told = failure(opened)
    assert "did not accept the key" in told.message
    assert "Its credentials are" in told.advice


class _Own:
    name, model, is_local = "own", "own-1", True

    async def ask(self, prompt: Prompt, *, code, on_text=None):
        return Answer("Error: x\nSolution: y")

    async def close(self):
        return None


def _broken(options):
    raise RuntimeError(options.key)


def test_other_packages_add_backends(monkeypatch):
    from importlib.metadata import EntryPoint

    monkeypatch.setattr(sys.modules[__name__], "make_own", lambda options: _Own(), raising=False)
    points = {
        "own": EntryPoint("own", f"{__name__}:make_own", registry.GROUP),
        "broken": EntryPoint("broken", f"{__name__}:_broken", registry.GROUP),
        "openai": EntryPoint("openai", f"{__name__}:_broken", registry.GROUP),
    }
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    assert open_backend(BackendOptions(name="own")).model == "own-1"
    assert open_backend(BackendOptions(name="openai", key=KEY)).name == "openai"
    with pytest.raises(BackendError, match="cannot be opened: RuntimeError") as caught:
        open_backend(BackendOptions(name="broken", key=KEY))
    assert KEY not in str(caught.value)


def test_the_default_is_offline_without_a_key(monkeypatch):
    for provider in PROVIDERS.values():
        monkeypatch.delenv(provider.key_variable, raising=False)
    monkeypatch.delenv("WATSONX_APIKEY", raising=False)
    keys = Keys()
    assert default_name(Settings(), keys) == "offline"
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert default_name(Settings(), keys) == "offline"
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert default_name(Settings(), keys) == "openai"
    keys.add("groq", "gsk-x", session_only=True)
    assert default_name(Settings(), keys) == "groq"
    assert default_name(Settings(backend="ollama"), keys) == "ollama"
    rows = {each.name: each for each in available(keys)}
    assert rows["groq"].key == "session"
    assert rows["openai"].key == "OPENAI_API_KEY"
    assert "gsk-x" not in repr(rows)
    with pytest.raises(TypeError):
        pickle.dumps(keys)
