"""Anthropic: one host, a key in `x-api-key` or a bearer token."""

from __future__ import annotations

from typing import Literal

from llmauth.codecs.anthropic.errors import REFUSALS
from llmauth.http import Request
from llmauth.providers.base import BoundHandler, ProviderOptions
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

    def _sign(self, request: Request, credential: Credential) -> Request:
        match credential:
            case ApiKey():
                # Both API versions take this header, and it wins where a bearer token stands beside it.
                return api_key.sign(request, credential.value, header=b"x-api-key")
            case BearerToken():
                return bearer.sign(request, credential.value)
            case _:
                self._wrong_kind(credential)
