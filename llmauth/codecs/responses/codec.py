"""The Responses API as clients speak it: a provider that speaks it too is given the bytes, and never this."""

from __future__ import annotations

from llmauth.chat.messages import ChatRequest, ChatResponse
from llmauth.codecs.base import Answering, RefusalShape
from llmauth.codecs.openai.errors import REFUSALS
from llmauth.codecs.responses.request import parse
from llmauth.codecs.responses.response import render
from llmauth.codecs.responses.stream import Encoder


class Responses:
    """`POST /v1/responses`, without what OpenAI keeps between two requests."""

    name = "responses"

    @property
    def shape(self) -> RefusalShape:
        """Refusals are those of OpenAI's other APIs."""
        return REFUSALS

    def parse_request(self, body: bytes) -> ChatRequest:
        """BadRequest, naming the member at fault; UnsupportedParameter for what only OpenAI can do."""
        return parse(body)

    def render_response(self, response: ChatResponse, answering: Answering) -> bytes:
        """The response object."""
        return render(response, answering)

    def stream_encoder(self, answering: Answering) -> Encoder:
        """One for each stream."""
        return Encoder(answering)


RESPONSES = Responses()
