"""Both halves of Anthropic's Messages: what clients speak to us, and what three hosts of Claude speak."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import ChatRequest, ChatResponse
from llmauth.codecs.anthropic import counting, failures, parsing, response
from llmauth.codecs.anthropic.encoding import MessagesEncoder
from llmauth.codecs.anthropic.errors import REFUSALS
from llmauth.codecs.anthropic.names import Names, Restoring, renamed, restored
from llmauth.codecs.anthropic.native import BEDROCK_VERSION, VERTEX_VERSION
from llmauth.codecs.anthropic.request import encoded, render
from llmauth.codecs.anthropic.stream import ChunksDecoder, MessagesDecoder
from llmauth.codecs.anthropic.table import Host, table_of
from llmauth.codecs.base import Answering, Asked, RefusalShape, StreamDecoder, StreamEncoder
from llmauth.codecs.claude_models import claude_traits
from llmauth.codecs.mapping import Table
from llmauth.errors import UpstreamError
from llmauth.http import Field, Headers

# The version that still has sampling parameters, for the models that take them.
VERSION: Field = (b"anthropic-version", b"2023-06-01")
_NAMES: dict[Host, str] = {"direct": "Anthropic", "bedrock": "Claude at Bedrock", "vertex": "Claude at Vertex"}


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

    def parse_count_request(self, body: bytes) -> ChatRequest:
        """A request of `count_tokens`, which is one without its limit."""
        return parsing.parse_request(body, counting=True)

    def render_response(self, answer: ChatResponse, answering: Answering) -> bytes:
        """The whole answer."""
        return response.render(answer, answering)

    def render_count(self, tokens: int) -> bytes:
        """The answer of `count_tokens`."""
        return counting.render_count(tokens)

    def stream_encoder(self, answering: Answering) -> StreamEncoder:
        """One for each stream."""
        return MessagesEncoder(answering)


MESSAGES = MessagesClients()


class AnthropicProvider:
    """One model of Claude's at one host: Anthropic itself, Bedrock's InvokeModel or Vertex's rawPredict.

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

    def render_count_request(self, request: ChatRequest) -> Asked:
        """The same prompt, to be counted by `count_tokens` or what its host has in its place."""
        body, dropped = self._rendered(request, strict=False)
        headers = (VERSION,) if self._host == "direct" else ()
        return Asked(body=counting.count_body(body, self._host), dropped=dropped, headers=headers)

    def parse_response(self, body: bytes) -> ChatResponse:
        """BrokenAnswer for what is no message; UpstreamError for an error object."""
        return restored(response.parse(body), self._names)

    def parse_count(self, body: bytes) -> int:
        """BrokenAnswer for what holds no count."""
        return counting.parse_count(body)

    def stream_decoder(self) -> StreamDecoder:
        """One for each stream."""
        decoder = ChunksDecoder() if self._host == "bedrock" else MessagesDecoder()
        return Restoring(decoder, self._names) if self._names else decoder

    def parse_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Any refusal of the host's."""
        return failures.parse_error(status, headers, body)

    def _rendered(self, asked: ChatRequest, *, strict: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
        asked, self._names = renamed(asked)
        return render(asked, self._model, self._traits, self._table, provider=_NAMES[self._host], strict=strict)

    def _for_host(self, body: dict[str, Any], stream: bool) -> dict[str, Any]:
        """InvokeModel says in its path what it is asked for; rawPredict says the model there, and wants `stream`."""
        if self._host != "direct":
            del body["model"]
            version = BEDROCK_VERSION if self._host == "bedrock" else VERTEX_VERSION
            body = {"anthropic_version": version, **body}
        return {**body, "stream": True} if stream and self._host != "bedrock" else body
