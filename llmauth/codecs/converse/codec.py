"""Bedrock's Converse as a provider's format: one codec for each call, since it keeps the names that it replaced."""

from __future__ import annotations

from llmauth.chat.messages import ChatRequest, ChatResponse
from llmauth.codecs import aws_exceptions
from llmauth.codecs.base import Asked, StreamDecoder, to_json
from llmauth.codecs.converse.families import family_of
from llmauth.codecs.converse.names import ToolNames
from llmauth.codecs.converse.request import write
from llmauth.codecs.converse.response import Reader
from llmauth.codecs.converse.stream import ConverseStream
from llmauth.codecs.converse.table import table_for
from llmauth.codecs.converse.tools import names_of
from llmauth.codecs.mapping import Table
from llmauth.errors import UpstreamError
from llmauth.http import Headers


class ConverseProvider:
    """`model` is the id that stands in the path: of a model, of an inference profile, or an ARN.

    After `render_request` the answer is read in the names of that request.
    """

    name = "converse"

    def __init__(self, model: str) -> None:
        self._family = family_of(model)
        self._reader = Reader(self._family.origin, ToolNames())

    @property
    def table(self) -> Table:
        """The table of the model's family."""
        return table_for(self._family)

    def render_request(self, request: ChatRequest, *, strict: bool = False) -> Asked:
        """The same body for `converse` and `converse-stream`: the path says which."""
        body, dropped = write(request, self._family, strict=strict)
        self._reader = Reader(self._family.origin, names_of(request))
        return Asked(body=to_json(body), dropped=dropped)

    def parse_response(self, body: bytes) -> ChatResponse:
        """Bedrock tells neither id nor model in the body: both are empty."""
        return self._reader.read(body)

    def stream_decoder(self) -> StreamDecoder:
        """One for each stream of `application/vnd.amazon.eventstream`."""
        return ConverseStream(self._reader)

    def parse_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """By the exception's name, and by the status where there is none."""
        return aws_exceptions.of_answer(status, headers, body)
