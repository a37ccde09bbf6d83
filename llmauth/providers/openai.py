"""OpenAI: one host, one bearer key."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from llmauth.codecs.base import ProviderCodec
from llmauth.codecs.openai.errors import REFUSALS
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.openai.table import OPENAI, Dialect
from llmauth.context import ClientProtocol, Operation
from llmauth.http import Request
from llmauth.providers.base import BoundHandler, WebSocketOptions
from llmauth.providers.named import NOTHING, Call, Named, named
from llmauth.providers.speaking import OPENAI_PATHS, Native, under_its_name
from llmauth.secrets import ApiKey, BearerToken, Credential
from llmauth.signing import bearer

# Servers that speak OpenAI's API beside another have paths in which a model stands behind one of these.
_IN_PATH = frozenset({"models", "deployments", "run", "pipeline"})


class OpenAIOptions(WebSocketOptions):
    """An OpenAI account. `base_url` also names a regional host, such as `https://eu.api.openai.com/v1`."""

    type: Literal["openai"] = "openai"


class OpenAIHandler(BoundHandler[OpenAIOptions]):
    """The native API of OpenAI."""

    provider = "openai"
    options_model = OpenAIOptions
    dialect: ClassVar[Dialect] = OPENAI
    shape = REFUSALS

    @property
    def own_base_url(self) -> str:
        return "https://api.openai.com/v1"

    def at_home(self, protocol: ClientProtocol, path: str) -> str | None:
        return f"/v1/{path}" if protocol == "openai" else None

    def named(self, call: Call) -> Named:
        """A Realtime session keeps the model that it was opened with; Responses name theirs in each message."""
        if not call.websocket:
            told = named(call)
            is_known = call.only_reads or _IN_PATH.isdisjoint(call.folded.split("/"))
            return told if is_known else replace(told, certain=False)
        return call.by_query("model") if call.folded.endswith("/realtime") else NOTHING

    def natively(self, operation: Operation, model: str, *, stream: bool) -> Native | None:
        path = OPENAI_PATHS.get(operation)
        return None if path is None else Native(path=path, rewrite=under_its_name(model))

    def codec(self, model: str) -> ProviderCodec:
        return OpenAIProvider(model, self.dialect)

    def locate(self, model: str, *, stream: bool) -> str:
        return OPENAI_PATHS["chat"]

    def _sign(self, request: Request, credential: Credential) -> Request:
        match credential:
            case ApiKey() | BearerToken():
                return bearer.sign(request, credential.value)
            case _:
                self._wrong_kind(credential)
