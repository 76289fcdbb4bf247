"""Every server that speaks OpenAI's chat completions: one table of providers, one client."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tenacity
from msgspec import Struct

from k8sgpt_magic.cluster.names import nearest
from k8sgpt_magic.errors import BackendError, InvalidOption
from k8sgpt_magic.explain.backends import Answer, BackendOptions, OnText
from k8sgpt_magic.explain.explanation import schema
from k8sgpt_magic.explain.prompts import Prompt
from k8sgpt_magic.wording import quote

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI


class Provider(Struct, frozen=True, kw_only=True):
    """A row of the table: where a provider's server is, what it is asked for by default, and where keys are had.

    ``url_variable`` names the environment variable that its own tools read the base URL from. ``forwards`` marks a
    server that passes everything on to others, so that nothing stays here wherever it runs itself.
    """

    name: str
    base_url: str = ""
    model: str = ""
    key_variable: str = ""
    key_page: str = ""
    url_variable: str = ""
    needs_key: bool = True
    forwards: bool = False
    limit: str = "max_tokens"
    """What the provider calls the most tokens that an answer may have."""


PROVIDERS = {
    each.name: each
    for each in (
        Provider(name="openai", base_url="https://api.openai.com/v1", model="gpt-5.4-mini",
                 key_variable="OPENAI_API_KEY", key_page="https://platform.openai.com/api-keys",
                 url_variable="OPENAI_BASE_URL", limit="max_completion_tokens"),
        Provider(name="azureopenai", key_variable="AZURE_OPENAI_API_KEY", key_page="https://ai.azure.com",
                 url_variable="AZURE_OPENAI_ENDPOINT", limit="max_completion_tokens"),
        Provider(name="ollama", base_url="http://localhost:11434/v1", model="llama3.2", needs_key=False,
                 key_variable="OLLAMA_API_KEY", key_page="https://ollama.com/download"),
        Provider(name="localai", base_url="http://localhost:8080/v1", needs_key=False,
                 key_variable="LOCALAI_API_KEY", key_page="https://localai.io/basics/getting_started/"),
        Provider(name="litellm", base_url="http://localhost:4000/v1", needs_key=False, forwards=True,
                 key_variable="LITELLM_API_KEY", key_page="https://docs.litellm.ai/docs/proxy/virtual_keys"),
        Provider(name="groq", base_url="https://api.groq.com/openai/v1", model="openai/gpt-oss-20b",
                 key_variable="GROQ_API_KEY", key_page="https://console.groq.com/keys"),
        Provider(name="google", base_url="https://generativelanguage.googleapis.com/v1beta/openai",
                 model="gemini-flash-latest", key_variable="GEMINI_API_KEY",
                 key_page="https://aistudio.google.com/apikey"),
        Provider(name="anthropic", base_url="https://api.anthropic.com/v1", model="claude-haiku-4-5",
                 key_variable="ANTHROPIC_API_KEY", key_page="https://platform.claude.com/settings/keys"),
        Provider(name="cohere", base_url="https://api.cohere.ai/compatibility/v1", model="command-a-03-2025",
                 key_variable="COHERE_API_KEY", key_page="https://dashboard.cohere.com/api-keys"),
        Provider(name="huggingface", base_url="https://router.huggingface.co/v1", model="openai/gpt-oss-20b",
                 key_variable="HF_TOKEN", key_page="https://huggingface.co/settings/tokens"),
        Provider(name="openrouter", base_url="https://openrouter.ai/api/v1", model="openrouter/auto",
                 key_variable="OPENROUTER_API_KEY", key_page="https://openrouter.ai/settings/keys"),
        Provider(name="watsonxgateway", base_url="https://us-south.ml.cloud.ibm.com/ml/gateway/v1",
                 key_variable="WATSONX_APIKEY", key_page="https://cloud.ibm.com/iam/apikeys"),
        Provider(name="customrest", key_variable="CUSTOMREST_API_KEY", needs_key=False),
    )
}  # fmt: skip

_AZURE_VERSION = "2024-10-21"

_ATTEMPTS = 5
_LONGEST_RETRY = 180.0
# A server that asks for more than this is not waited for: the row says how long, and the next %explain asks again.
_LONGEST_WAIT = 60.0
_CONNECT_TIMEOUT = 10.0
_LISTING_TIMEOUT = 5.0
_ANSWER_LIMIT = 200_000
_SAID_LIMIT = 200

# How servers call what they do not know about structured outputs.
_ABOUT_FORMAT = ("response_format", "json_schema", "json_object", "json mode", "structured output", "schema")
_SCHEMA = json.dumps(schema())
_FORMATS: tuple[dict[str, Any], ...] = (
    {"type": "json_schema", "json_schema": {"name": "explanation", "strict": True, "schema": json.loads(_SCHEMA)}},
    {"type": "json_object"},
)


def load_ahead() -> None:
    """Load what the first request would have to wait for. Sends nothing."""
    options = BackendOptions(name="customrest", base_url="http://localhost/v1", model="none")
    client = OpenAICompatible(PROVIDERS["customrest"], options)._connected()
    # The SDK finds out about this machine once, to say so in a header.
    dict(client.default_headers)


class OpenAICompatible:
    """A server of a provider's. What it refuses of a request is left out from then on."""

    def __init__(self, provider: Provider, options: BackendOptions) -> None:
        self.name = provider.name
        self.model = options.model or provider.model
        self._provider = provider
        self._options = options
        self._base_url = (options.base_url or os.environ.get(provider.url_variable) or provider.base_url).rstrip("/")
        self._check()
        self.is_local = stays_here(self._base_url) and not provider.forwards and not _is_cloud_model(self.model)
        self._host = urlsplit(self._base_url).netloc.rpartition("@")[2]
        # A server that asks for no key gets a text that is none.
        self._key = options.key.strip() or "none"
        self._secrets = _secrets(options)
        # When the server is ready for the next request, on the loop's clock.
        self._ready_at = 0.0
        self._refused: set[str] = set()
        self._client: AsyncOpenAI | None = None
        self._served: list[str] | None = None

    def __repr__(self) -> str:
        return f"<{self.name}: {self.model} at {self._host}>"

    async def ask(self, prompt: Prompt, *, code: str, on_text: OnText | None = None) -> Answer:  # noqa: ARG002
        import openai

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=_wait,
            stop=tenacity.stop_any(tenacity.stop_after_attempt(_ATTEMPTS), tenacity.stop_after_delay(_LONGEST_RETRY)),
            reraise=True,
        )
        # The SDK's errors hold the request and with it the key. Ours is raised outside of the except clause, so that
        # not even its context leads there.
        try:
            return await retrying(self._once, prompt, on_text)
        except openai.OpenAIError as error:
            said = error
        except json.JSONDecodeError:
            raise self._failed("sent a part of its answer that is not JSON", "Try again.") from None
        except (AttributeError, KeyError, TypeError, ValueError):
            # JSON of shapes that no chat completion has, bytes that are no text.
            raise self._failed(
                "sent a part of its answer that is no chat completion", "Is --base-url right? It often ends in /v1."
            ) from None
        raise await self._not_found(said) if isinstance(said, openai.NotFoundError) else self._failure(said)

    async def models(self) -> list[str]:
        """The names of the models that the server offers, or none where it does not say in time."""
        if self._served is None:
            served: list[str] = []
            # A list that cannot be had costs only a part of an error message.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_LISTING_TIMEOUT):
                    page = await self._connected().models.list()
                served = [str(each.id) for each in page.data or ()]
            self._served = served
        return self._served

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _check(self) -> None:
        if not self._base_url:
            variable = f", or set {self._provider.url_variable}" if self._provider.url_variable else ""
            raise InvalidOption(f"backend {self.name!r} needs --base-url, the address of its server{variable}")
        check_address(self._base_url)
        if not self.model:
            what = "the name of your deployment" if self.name == "azureopenai" else "one that its server has"
            raise InvalidOption(f"backend {self.name!r} needs --model, {what}")
        self._check_key()

    def _check_key(self) -> None:
        for what, value in (("key", self._options.key.strip()), *(self._options.headers.items())):
            # HTTP libraries quote the whole value in what they say of one that no header can hold.
            if not (value.isascii() and value.isprintable()):
                raise InvalidOption(f"backend {self.name!r}: {what} has a character that no key or header may have")
        if self._provider.needs_key and not self._options.key and not stays_here(self._base_url):
            raise BackendError(
                f"{self.name}: no key.",
                advice=f"Run %k8sgpt auth add {self.name}, or set {self._provider.key_variable}; "
                f"%k8sgpt generate {self.name} says where to get one.",
            )

    def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            import openai

            seconds = self._options.timeout
            common: dict[str, Any] = {
                "timeout": openai.Timeout(seconds, connect=min(_CONNECT_TIMEOUT, seconds)),
                "max_retries": 0,
                "default_headers": dict(self._options.headers),
                # What is sent goes where the user said and nowhere else: no redirects, and from this machine to
                # itself no proxy.
                "http_client": openai.DefaultAsyncHttpxClient(
                    follow_redirects=False,
                    trust_env=not stays_here(self._base_url),
                    # Loading the certificate authorities takes time, and plain HTTP has no use for them.
                    verify=self._base_url.startswith("https:"),
                ),
            }
            if self.name == "azureopenai" and "/openai/v1" not in self._base_url:
                version = os.environ.get("OPENAI_API_VERSION", _AZURE_VERSION)
                self._client = openai.AsyncAzureOpenAI(
                    azure_endpoint=self._base_url, api_version=version, api_key=self._key, **common
                )
            else:
                self._client = openai.AsyncOpenAI(base_url=self._base_url, api_key=self._key, **common)
            if self.name != "openai":
                # The SDK reads these from the environment for whatever server it talks to.
                self._client.organization = self._client.project = None
        return self._client

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        body: dict[str, Any] = {"model": self.model, "messages": [each for each in messages if each["content"]]}
        if _asks_for_json(prompt):
            formats = [each for each in _FORMATS if each["type"] not in self._refused]
            if formats:
                body["response_format"] = formats[0]
        if "stream_options" not in self._refused:
            body["stream_options"] = {"include_usage": True}
        if self._options.temperature is not None:
            body["temperature"] = self._options.temperature
        if self._options.max_tokens is not None:
            names = sorted(("max_tokens", "max_completion_tokens"), key=lambda name: name != self._provider.limit)
            body[next((name for name in names if name not in self._refused), names[0])] = self._options.max_tokens
        return body

    async def _once(self, prompt: Prompt, on_text: OnText | None) -> Answer:
        import openai

        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._ready_at - clock()))
        body = self._body(prompt)
        try:
            # By the path, for plain dicts: checking and copying each message and each part of an answer into models
            # of the SDK takes it longer than all the rest together.
            stream = await self._connected().post(
                "/chat/completions",
                body={**body, "stream": True},
                cast_to=object,
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            part = _refused_part(error, body)
            self._refused.add(part)
            # Where leaving out more changes nothing, that was not it.
            if not part or self._body(prompt) == body:
                raise
        except openai.RateLimitError as error:
            # One that is told to wait tells all others.
            self._ready_at = clock() + min(_retry_after(error) or 0, _LONGEST_WAIT)
            raise
        else:
            async with stream:
                sort = str(stream.response.headers.get("content-type", ""))
                if "json" in sort or "html" in sort:
                    # A server that does not stream answers all at once, and a web page is no answer.
                    return self._whole(await stream.response.aread(), sort, prompt)
                return await self._streamed(stream, prompt, on_text)
        return await self._once(prompt, on_text)

    async def _streamed(self, stream: Any, prompt: Prompt, on_text: OnText | None) -> Answer:
        text, reason, refusal, model, tokens = "", "", "", "", 0
        async for chunk in stream:
            if not isinstance(chunk, dict):
                continue
            model = str(chunk.get("model") or model)
            tokens = _counted(chunk) or tokens
            for choice in (chunk.get("choices") or ())[:1]:
                delta = choice.get("delta") or {}
                reason = choice.get("finish_reason") or reason
                refusal += delta.get("refusal") or ""
                if isinstance(content := delta.get("content"), str) and content:
                    text += content
                    if on_text:
                        on_text(text)
            if len(text) > _ANSWER_LIMIT:
                raise self._failed(f"did not stop after {_ANSWER_LIMIT:,} characters", "Set --max-tokens.")
        if not reason and not _is_complete(text):
            # The SDK takes a stream that just ends for a whole one.
            raise _Cut(f"{self._where}: the answer was cut off in the middle.", advice="Try again.")
        return self._judged(text, reason, refusal, Answer(text, tokens, model), prompt)

    def _whole(self, raw: bytes, sort: str, prompt: Prompt) -> Answer:
        advice = "Is --base-url right? It often ends in /v1."
        try:
            said = json.loads(raw)
        except ValueError:
            what = "a web page" if "html" in sort else "text that is not JSON"
            raise self._failed(f"answered with {what}", advice) from None
        if isinstance(said, dict) and said.get("error"):
            error = said["error"]
            text = error.get("message", "") if isinstance(error, dict) else error
            raise self._failed(f"answered with an error: {self._quoted(text)}", "Try again.")
        try:
            choice = said["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            answer = Answer(text, _counted(said), str(said.get("model") or ""))
            return self._judged(text, choice.get("finish_reason") or "", message.get("refusal") or "", answer, prompt)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            raise self._failed("answered with JSON that is no chat completion", advice) from None

    def _judged(self, text: str, reason: str, refusal: str, answer: Answer, prompt: Prompt) -> Answer:
        """The answer, or what is wrong with it. A bad answer is better asked for again than kept."""
        if reason == "content_filter":
            raise self._failed("withheld the answer (content filter)", _FILTER_ADVICE)
        if refusal and not text:
            raise self._failed(f"refused to answer: {self._quoted(refusal)}", _FILTER_ADVICE)
        advice = "Raise --max-tokens: models that think first spend tokens on it."
        if not text.strip():
            if reason == "length":
                raise self._failed("used up its tokens before it answered", advice)
            raise self._failed("gave an empty answer", "Try again, or with another --model.")
        if reason == "length" and _asks_for_json(prompt) and not _is_complete(text):
            raise self._failed("had no tokens left to finish its answer", advice)
        return answer

    @property
    def _about_keys(self) -> str:
        return f"Give it another one with %k8sgpt auth update {self.name}."

    @property
    def _where(self) -> str:
        return f"{self.name} ({self._host})"

    def _failed(self, what: str, advice: str) -> BackendError:
        return BackendError(f"{self._where} {what}.", advice=advice)

    def _quoted(self, said: object) -> str:
        """What a server said, in one short line and without anything secret that it says back."""
        text = str(said)
        for secret in self._secrets:
            text = text.replace(secret, "(key)")
        return quote(text, _SAID_LIMIT)

    async def _not_found(self, error: APIStatusError) -> BackendError:
        served = await self.models()
        if not served:
            return self._failed(
                f"knows no model {self.model!r}, or no chat completions at this address (404)",
                "Check --model and --base-url, which often ends in /v1.",
            )
        if self.model in served:
            return self._failed(f"answered 404: {self._quoted(_message(error))}", "Check --base-url.")
        hint = nearest(self.model, served)
        some = ", ".join(sorted(served)[:6]) + (", …" if len(served) > 6 else "")
        return self._failed(f"has no model {self.model!r} (404){hint}", f"Choose with --model; it has {some}.")

    def _failure(self, error: Exception) -> BackendError:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return self._failed(
                f"did not answer within {self._options.timeout:g} s",
                "Try again, with a longer --timeout or a faster --model.",
            )
        if isinstance(error, openai.APIConnectionError):
            return self._unreachable(error)
        if isinstance(error, openai.APIStatusError):
            return self._refusal(error)
        # An error that came as a part of a stream, and whatever the SDK itself finds wrong.
        return self._failed(f"stopped with an error: {self._quoted(_message(error))}", "Try again.")

    def _unreachable(self, error: Exception) -> BackendError:
        causes = list(_causes(error))
        if any(isinstance(each, ConnectionRefusedError) for each in causes) or _mentions(causes, "refused"):
            advice = (
                f"Start {self.name}, or say with --base-url where it runs."
                if stays_here(self._base_url)
                else "Check --base-url and its port."
            )
            return self._failed("refused the connection", advice)
        if any(isinstance(each, socket.gaierror) for each in causes) or _mentions(causes, "name or service"):
            advice = "Is this machine online? --backend offline explains without a network."
            return BackendError(f"{self._where}: no such host.", advice=advice)
        if any(isinstance(each, ssl.SSLError) for each in causes) or _mentions(causes, "certificate"):
            return self._failed(
                "has a TLS certificate that is not trusted here",
                "Set SSL_CERT_FILE to your organisation's CA bundle.",
            )
        for each in causes:
            if isinstance(each, ModuleNotFoundError):
                return self._failed(f"needs the package {each.name}", "Install it, and restart the kernel.")
        if _mentions(causes, "all connection attempts failed"):
            return self._failed("cannot be reached", "Is it running, and --base-url right?")
        return BackendError(
            f"{self._where}: the connection broke ({type(causes[-1]).__name__}).",
            advice="Try again; only what is missing is asked for.",
        )

    def _refusal(self, error: APIStatusError) -> BackendError:
        status, said = error.status_code, _message(error)
        if status == 401:
            # The message is left out: servers quote parts of the key in it.
            what = "did not accept the key (401)" if self._options.key else "wants a key (401)"
            return self._failed(what, self._about_keys)
        if status == 402 or _is_exhausted(error):
            return self._failed(
                f"says that this key has an exhausted API quota ({status})",
                "Add credit or raise the limit of the account, or use another --backend.",
            )
        if status == 403:
            return self._failed(
                f"does not let this key use {self.model!r} (403): {self._quoted(said)}",
                "Check the rights of the key, the region, or choose another --model.",
            )
        if status == 429:
            wait = _retry_after(error)
            when = f"in {wait:.0f} s" if wait else "in a while"
            what = "is asked too often" if wait is not None else "is asked too often, or has an exhausted API quota"
            return self._failed(
                f"{what} (429): {self._quoted(said)}",
                f"Try again {when}, or with a lower --max-concurrency; only what is missing is asked for.",
            )
        if status in (400, 422) and _is_filtered(error):
            return self._failed("withheld the answer (content filter)", _FILTER_ADVICE)
        if status in (400, 413, 422) and (status == 413 or _is_too_long(said, getattr(error, "code", None))):
            return self._failed(
                f"cannot take this much text with {self.model!r} ({status})",
                "Explain without --logs, or choose a --model with a larger context.",
            )
        if status in (400, 422):
            what = f"refused the request ({status}): {self._quoted(said)}"
            return self._failed(what, "Check --model and the other options.")
        if status >= 500:
            return self._failed(f"has a problem of its own ({status}): {self._quoted(said)}", "Try again later.")
        if 300 <= status < 400:
            return self._failed(
                f"redirects to another address ({status})",
                "Give that address as --base-url; redirects are not followed.",
            )
        return self._failed(f"answered {status}: {self._quoted(said)}", "Check --base-url and --model.")


_FILTER_ADVICE = "Try another --model or --backend; --backend offline explains every code."


class _Cut(BackendError):
    """A stream that ended before the answer did."""


def check_address(base_url: str) -> None:
    """Raise ``InvalidOption`` for what is no address of a server. It is not quoted: it may hold a password."""
    expected = "expected https://HOST/v1 or http://localhost:PORT/v1"
    try:
        parts = urlsplit(base_url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        # Brackets that do not close, a port that is no number or too large.
        raise InvalidOption(f"--base-url has a host or a port that none can have: {expected}") from None
    if not is_one:
        raise InvalidOption(f"--base-url does not begin with http:// or https:// and a host: {expected}")


def stays_here(base_url: str) -> bool:
    """Whether an address is this machine's own.

    By the address alone: a name that resolves to this machine now may resolve to another one a moment later.
    """
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_cloud_model(model: str) -> bool:
    """Whether this is one of the models that an Ollama on this machine has its maker's servers run."""
    return model.endswith(("-cloud", ":cloud"))


def _secrets(options: BackendOptions) -> list[str]:
    parts = urlsplit(options.base_url)
    values = [options.key, parts.password or "", parts.query, *options.headers.values()]
    bare = [value.removeprefix("Bearer ") for value in values]
    return sorted({each for each in (*values, *bare) if len(each) >= 4}, key=len, reverse=True)


def _asks_for_json(prompt: Prompt) -> bool:
    """Whether the prompt asks for the JSON of an explanation, as the brief style and templates do not."""
    return _SCHEMA in prompt.user


def _is_complete(text: str) -> bool:
    """Whether a text holds a whole JSON object."""
    try:
        return isinstance(json.loads(text[text.index("{") : text.rindex("}") + 1], strict=False), dict)
    except (ValueError, RecursionError):
        return False


def _counted(said: dict[str, Any]) -> int:
    """The tokens that a server says it used, or 0 where it does not say."""
    usage = said.get("usage")
    return int(usage.get("total_tokens") or 0) if isinstance(usage, dict) else 0


def _refused_part(error: APIStatusError, body: dict[str, Any]) -> str:
    """Which part of a request the server does not know, or "" where it refuses something else."""
    said = f"{_message(error)} {getattr(error, 'param', '') or ''}".lower()
    if "stream_options" in body and ("stream_options" in said or "include_usage" in said):
        return "stream_options"
    for name, other in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
        # Which of the two names it takes, not which numbers.
        if name in body and (other in said or f"'{name}'" in said or ("unsupported" in said and name in said)):
            return name
    if "response_format" in body and any(word in said for word in _ABOUT_FORMAT):
        return str(body["response_format"]["type"])
    return ""


def _message(error: Exception) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        # Servers nest it as they like: {"error": {"message": ...}}, {"error": "..."}, {"detail": ...}.
        inner = body.get("error", body)
        inner = inner.get("message") or inner.get("detail") or inner if isinstance(inner, dict) else inner
        return inner if isinstance(inner, str) else json.dumps(inner, default=str)
    return str(getattr(error, "message", "") or error)


def _is_exhausted(error: APIStatusError) -> bool:
    said = f"{getattr(error, 'code', '')} {getattr(error, 'type', '')} {_message(error)}".lower()
    if "insufficient_quota" in said:
        return True
    words = ("exceeded your current quota", "credit balance", "billing", "out of credits")
    # Some say the same of a limit a minute; those tell when it ends.
    return error.status_code in (400, 403, 429) and any(each in said for each in words) and not _retry_after(error)


def _is_filtered(error: APIStatusError) -> bool:
    said = f"{getattr(error, 'code', '')} {_message(error)}".lower()
    return "content_filter" in said or "content management policy" in said or "content_policy" in said


def _is_too_long(said: str, code: object) -> bool:
    folded = said.lower()
    words = ("context length", "context window", "context size", "too many tokens", "prompt is too long")
    return code == "context_length_exceeded" or any(word in folded for word in words)


def _passes(error: BaseException) -> bool:
    """Whether asking the same again has a chance: a busy or stumbling server, a broken connection, a cut stream."""
    import openai

    if isinstance(error, (_Cut, json.JSONDecodeError)):
        return True
    if isinstance(error, openai.APITimeoutError):
        # One that has let us wait for so long once would only do so again.
        return False
    if isinstance(error, openai.APIConnectionError):
        causes = list(_causes(error))
        lasting = (ConnectionRefusedError, socket.gaierror, ssl.SSLError, ModuleNotFoundError)
        return not any(isinstance(each, lasting) for each in causes) and not _mentions(causes, "connection attempts")
    if isinstance(error, openai.APIStatusError):
        if error.response.headers.get("x-should-retry") == "false" or _is_exhausted(error):
            return False
        busy = error.status_code in (408, 409, 429) or error.status_code >= 500
        return busy and (_retry_after(error) or 0) <= _LONGEST_WAIT
    # An error event in the middle of a stream.
    return isinstance(error, openai.APIError)


_back_off = tenacity.wait_exponential_jitter(multiplier=0.5, max=8, jitter=0.5)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wait = _retry_after(error) if error is not None else None
    # Those who wait for the same moment would all come back in it.
    return _back_off(state) if wait is None else wait + 0.02 * (id(state) % 10)


def _retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait: a number, or a date."""
    headers: Any = getattr(getattr(error, "response", None), "headers", {})
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with contextlib.suppress(TypeError, ValueError):
            return max(0.0, float(headers.get(name)) / unit)
    with contextlib.suppress(TypeError, ValueError):
        from datetime import UTC, datetime

        return max(0.0, (parsedate_to_datetime(headers.get("retry-after")) - datetime.now(UTC)).total_seconds())
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it, outermost first."""
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions
        pending += [cause for cause in (each.__cause__, each.__context__) if cause is not None]


def _mentions(errors: Sequence[BaseException], words: str) -> bool:
    return any(words in str(each).lower() for each in errors)
