"""The client half: OpenAI's Chat Completions as clients speak it to us."""

from __future__ import annotations

from llmauth.chat.messages import ChatRequest, ChatResponse
from llmauth.codecs.base import Answering, ClientCodec
from llmauth.codecs.openai.errors import REFUSALS
from llmauth.codecs.openai.request import parse_request
from llmauth.codecs.openai.response import render_response
from llmauth.codecs.openai.stream import ChatStreamEncoder


class OpenAIChat:
    """`POST /v1/chat/completions`."""

    name = "openai"
    shape = REFUSALS

    def parse_request(self, body: bytes) -> ChatRequest:
        """BadRequest, or UnsupportedParameter for what only OpenAI knows; both name the member."""
        return parse_request(body)

    def render_response(self, response: ChatResponse, answering: Answering) -> bytes:
        """The whole answer."""
        return render_response(response, answering)

    def stream_encoder(self, answering: Answering) -> ChatStreamEncoder:
        """One for each stream."""
        return ChatStreamEncoder(answering)


CHAT: ClientCodec = OpenAIChat()
