"""Both halves of Anthropic's Messages: what clients speak to us, and what Anthropic and Vertex speak."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import ChatRequest, ChatResponse
from llmauth.codecs.anthropic import failures, parsing, response
from llmauth.codecs.anthropic.encoding import MessagesEncoder
from llmauth.codecs.anthropic.errors import REFUSALS
from llmauth.codecs.anthropic.names import Names, Restoring, renamed, restored
from llmauth.codecs.anthropic.native import VERTEX_VERSION
from llmauth.codecs.anthropic.request import encoded, render
from llmauth.codecs.anthropic.stream import MessagesDecoder
from llmauth.codecs.anthropic.table import Host, table_of
from llmauth.codecs.base import Answering, Asked, RefusalShape, StreamDecoder, StreamEncoder
from llmauth.codecs.claude_models import claude_traits
from llmauth.codecs.mapping import Table
from llmauth.errors import UpstreamError
from llmauth.http import Field, Headers

# The version that still has sampling parameters, for the models that take them.
VERSION: Field = (b"anthropic-version", b"2023-06-01")
_NAMES: dict[Host, str] = {"direct": "Anthropic", "vertex": "Claude at Vertex"}


class MessagesClients:
    """Clients that speak Messages: the anthropic SDKs, Claude Code."""

    name = "anthropic"

    @property
    def shape(self) -> RefusalShape:
        """How refusals are written."""
        return REFUSALS

    def parse_request(self, body: bytes) -> ChatRequest:
        """BadRequest names the member at fault."""
        return parsing.parse_request(body)

    def render_response(self, answer: ChatResponse, answering: Answering) -> bytes:
        """The whole answer."""
        return response.render(answer, answering)

    def stream_encoder(self, answering: Answering) -> StreamEncoder:
        """One for each stream."""
        return MessagesEncoder(answering)


MESSAGES = MessagesClients()


class AnthropicProvider:
    """One model of Claude's at one host: Anthropic itself, or Vertex's rawPredict. Bedrock is asked by Converse.

    After `render_request` the answer is read in the names of that request.
    """

    name = "anthropic"

    def __init__(self, model: str, host: Host = "direct") -> None:
        self._model = model
        self._host = host
        self._traits = claude_traits(model)
        self._table = table_of(self._traits, host)
        self._names: Names = {}

    @property
    def table(self) -> Table:
        """What becomes of every word."""
        return self._table

    def render_request(self, request: ChatRequest, *, strict: bool = False) -> Asked:
        """UnsupportedParameter for what must not be left out, and in strict mode for what would be."""
        body, dropped = self._rendered(request, strict=strict)
        headers = (VERSION,) if self._host == "direct" else ()
        return Asked(body=encoded(self._for_host(body, request.stream)), dropped=dropped, headers=headers)

    def parse_response(self, body: bytes) -> ChatResponse:
        """BrokenAnswer for what is no message; UpstreamError for an error object."""
        return restored(response.parse(body), self._names)

    def stream_decoder(self) -> StreamDecoder:
        """One for each stream."""
        decoder = MessagesDecoder()
        return Restoring(decoder, self._names) if self._names else decoder

    def parse_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Any refusal of the host's."""
        return failures.parse_error(status, headers, body)

    def _rendered(self, asked: ChatRequest, *, strict: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
        asked, self._names = renamed(asked)
        return render(asked, self._model, self._traits, self._table, provider=_NAMES[self._host], strict=strict)

    def _for_host(self, body: dict[str, Any], stream: bool) -> dict[str, Any]:
        """rawPredict says the model in its path, and wants `stream` here all the same."""
        if self._host == "vertex":
            del body["model"]
            body = {"anthropic_version": VERTEX_VERSION, **body}
        return {**body, "stream": True} if stream else body
