"""Services with protocols and credentials of their own, through litellm: the extra ``k8sgpt-magic[providers]``."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from k8sgpt_magic.errors import BackendError, InvalidOption
from k8sgpt_magic.explain.backends import Answer, BackendOptions, OnText
from k8sgpt_magic.explain.backends.openai_compatible import OpenAICompatible, Provider
from k8sgpt_magic.explain.prompts import Prompt


class Service(Provider, frozen=True, kw_only=True):
    """A row of the table: ``prefix`` is what litellm calls it, ``credentials`` where those come from if not a key."""

    prefix: str
    credentials: str = ""


SERVICES = {
    each.name: each
    for each in (
        Service(name="bedrock", prefix="bedrock", model="amazon.nova-lite-v1:0", needs_key=False,
                credentials="those of AWS: profile, role or AWS_ACCESS_KEY_ID",
                key_page="https://docs.aws.amazon.com/bedrock/latest/userguide/getting-started.html"),
        Service(name="sagemaker", prefix="sagemaker_chat", needs_key=False,
                credentials="those of AWS; --model is the name of the endpoint",
                key_page="https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints.html"),
        Service(name="vertex", prefix="vertex_ai", model="gemini-3.8-flash", needs_key=False,
                credentials="those of gcloud auth application-default login, with VERTEXAI_PROJECT",
                key_page="https://cloud.google.com/vertex-ai/generative-ai/docs/start/quickstarts/quickstart"),
        Service(name="oci", prefix="oci", model="cohere.command-r-08-2024", needs_key=False,
                credentials="those of OCI: OCI_USER, OCI_FINGERPRINT, OCI_TENANCY, OCI_KEY_FILE, OCI_COMPARTMENT_ID",
                key_page="https://docs.oracle.com/iaas/Content/generative-ai/home.htm"),
        Service(name="watsonx", prefix="watsonx", model="ibm/granite-4-h-small", key_variable="WATSONX_APIKEY",
                credentials="a key, with WATSONX_URL and WATSONX_PROJECT_ID",
                key_page="https://cloud.ibm.com/iam/apikeys"),
    )
}  # fmt: skip


class MultiProvider(OpenAICompatible):
    """One service. litellm's errors are subclasses of the openai SDK's, so what is said of them is the same."""

    def __init__(self, service: Service, options: BackendOptions) -> None:
        self._prefix, self._credentials = service.prefix, service.credentials
        super().__init__(service, options)
        self.is_local = False
        self._host = self._host or service.prefix

    def _check(self) -> None:
        if find_spec("litellm") is None:
            raise BackendError(
                f"{self.name} needs a package that is not installed.",
                advice="pip install 'k8sgpt-magic[providers]'",
            )
        if not self.model:
            raise InvalidOption(f"backend {self.name!r} needs --model, the name of your endpoint")
        self._check_key()

    async def models(self) -> list[str]:
        return []

    async def close(self) -> None:
        return None

    async def _once(self, prompt: Prompt, on_text: OnText | None) -> Answer:
        body = {**self._body(prompt), "model": f"{self._prefix}/{self.model}"}
        stream = await _completion(
            **body,
            stream=True,
            # A service that does not know a part of the request is not sent it.
            drop_params=True,
            api_key=self._options.key.strip() or None,
            api_base=self._options.base_url or None,
            extra_headers=dict(self._options.headers) or None,
            timeout=self._options.timeout,
            num_retries=0,
        )
        return await self._streamed(_plain(stream), prompt, on_text)

    @property
    def _about_keys(self) -> str:
        return f"Its credentials are {self._credentials}."


async def _plain(stream: Any) -> AsyncIterator[Any]:
    async for chunk in stream:
        yield chunk.model_dump()


async def _completion(**request: Any) -> Any:
    # It would otherwise download its list of models when it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = import_module("litellm")
    # It prints what to do about an error, and where to report it, into the cell.
    litellm.suppress_debug_info = True
    return await litellm.acompletion(**request)
