"""OpenAI: one host, one bearer key."""

from __future__ import annotations

from typing import Literal

from llmauth.codecs.openai.errors import REFUSALS
from llmauth.http import Request
from llmauth.providers.base import BoundHandler, WebSocketOptions
from llmauth.secrets import ApiKey, BearerToken, Credential
from llmauth.signing import bearer


class OpenAIOptions(WebSocketOptions):
    """An OpenAI account. `base_url` also names a regional host, such as `https://eu.api.openai.com/v1`."""

    type: Literal["openai"] = "openai"


class OpenAIHandler(BoundHandler[OpenAIOptions]):
    """The native API of OpenAI."""

    provider = "openai"
    options_model = OpenAIOptions
    shape = REFUSALS

    @property
    def own_base_url(self) -> str:
        return "https://api.openai.com/v1"

    def _sign(self, request: Request, credential: Credential) -> Request:
        match credential:
            case ApiKey() | BearerToken():
                return bearer.sign(request, credential.value)
            case _:
                self._wrong_kind(credential)
