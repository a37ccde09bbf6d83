"""Anthropic: one host, a key in `x-api-key` or a bearer token."""

from __future__ import annotations

from typing import Literal

from llmauth.codecs.anthropic.codec import AnthropicProvider
from llmauth.codecs.anthropic.errors import REFUSALS
from llmauth.codecs.base import ProviderCodec
from llmauth.context import ClientProtocol, Operation
from llmauth.http import Request
from llmauth.providers.base import BoundHandler, ProviderOptions
from llmauth.providers.speaking import ANTHROPIC_PATHS, Native, under_its_name
from llmauth.secrets import ApiKey, BearerToken, Credential
from llmauth.signing import api_key, bearer


class AnthropicOptions(ProviderOptions):
    """An Anthropic account."""

    type: Literal["anthropic"] = "anthropic"


class AnthropicHandler(BoundHandler[AnthropicOptions]):
    """The native API of Anthropic."""

    provider = "anthropic"
    options_model = AnthropicOptions
    shape = REFUSALS

    @property
    def own_base_url(self) -> str:
        return "https://api.anthropic.com"

    def at_home(self, protocol: ClientProtocol, path: str) -> str | None:
        return f"/v1/{path}" if protocol == "anthropic" else None

    def natively(self, operation: Operation, model: str, *, stream: bool) -> Native | None:
        path = ANTHROPIC_PATHS.get(operation)
        return None if path is None else Native(path=path, rewrite=under_its_name(model))

    def codec(self, model: str) -> ProviderCodec:
        return AnthropicProvider(model, "direct")

    def locate(self, model: str, *, stream: bool) -> str:
        return ANTHROPIC_PATHS["messages"]

    def _sign(self, request: Request, credential: Credential) -> Request:
        match credential:
            case ApiKey():
                # Both API versions take this header, and it wins where a bearer token stands beside it.
                return api_key.sign(request, credential.value, header=b"x-api-key")
            case BearerToken():
                return bearer.sign(request, credential.value)
            case _:
                self._wrong_kind(credential)
