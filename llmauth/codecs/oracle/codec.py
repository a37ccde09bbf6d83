"""Oracle's chat: the envelope round every request, and the format that a model speaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llmauth.chat.messages import ChatRequest, ChatResponse, Choice, Usage
from llmauth.codecs.base import Asked, StreamDecoder, to_json
from llmauth.codecs.mapping import Admitted, Table, admit, apply
from llmauth.codecs.oracle import cohere, cohere_answers, cohere_v2, cohere_v2_answers, errors, generic, generic_answers
from llmauth.codecs.oracle.rules import without_foreign_thinking
from llmauth.codecs.oracle.stream import Chunks, OracleStream
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.errors import BrokenAnswer, UpstreamError
from llmauth.http import Headers

# command, command-light, command-r and their dates; "Prefer V2 for command-a and later".
_OLDER = re.compile(r"cohere\.command(-(r|light|nightly|text|xlarge|\d).*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """One of Oracle's ways to say a chat."""

    name: str
    table: Table
    body: Callable[[ChatRequest, Admitted], dict[str, Any]]
    parse: Callable[[Node], tuple[tuple[Choice, ...], Usage | None]]
    chunks: Callable[[], Chunks]


def _format(model: str) -> _Format:
    if not model.startswith("cohere."):
        return _generic(model)
    return _cohere() if _OLDER.fullmatch(model) else _cohere_v2(model)


def _generic(model: str) -> _Format:
    return _Format(
        name="GENERIC",
        table=generic.table(model),
        body=lambda request, admitted: generic.body(request, model),
        parse=generic_answers.parse,
        chunks=generic_answers.GenericChunks,
    )


def _cohere() -> _Format:
    return _Format(
        name="COHERE",
        table=cohere.TABLE,
        body=cohere.body,
        parse=cohere_answers.parse,
        chunks=cohere_answers.CohereChunks,
    )


def _cohere_v2(model: str) -> _Format:
    return _Format(
        name="COHEREV2",
        table=cohere_v2.table(model),
        body=cohere_v2.body,
        parse=cohere_v2_answers.parse,
        chunks=cohere_v2_answers.CohereV2Chunks,
    )


class OracleProvider:
    """The ProviderCodec of Oracle's Generative AI.

    The model's id tells the format, also where a dedicated endpoint (`ocid1.generativeaiendpoint…`) serves the model.
    """

    name = "oracle"

    def __init__(self, model: str, compartment: str, *, dedicated_endpoint: str | None = None) -> None:
        self._model = model
        self._compartment = compartment
        self._endpoint = dedicated_endpoint
        self._format = _format(model)

    @property
    def table(self) -> Table:
        """That of the model's format."""
        return self._format.table

    @property
    def api_format(self) -> str:
        """GENERIC, COHERE or COHEREV2."""
        return self._format.name

    def render_request(self, request: ChatRequest, *, strict: bool = False) -> Asked:
        """See ProviderCodec. Usage is asked for in every stream, since it is told to whoever wants it."""
        table = without_foreign_thinking(self.table, request.messages)
        admitted = admit(request, table, provider="Oracle", strict=strict)
        told = {"apiFormat": self.api_format, **self._format.body(request, admitted)}
        apply(told, admitted, table)
        generic.mended(told, admitted)
        if request.stream:
            told |= {"isStream": True, "streamOptions": {"isIncludeUsage": True}}
        return Asked(body=to_json(self._envelope(told)), dropped=admitted.dropped)

    def _envelope(self, told: dict[str, Any]) -> dict[str, Any]:
        mode = {"servingType": "ON_DEMAND", "modelId": self._model}
        if self._endpoint is not None:
            mode = {"servingType": "DEDICATED", "endpointId": self._endpoint}
        return {"compartmentId": self._compartment, "servingMode": mode, "chatRequest": told}

    def parse_response(self, body: bytes) -> ChatResponse:
        """See ProviderCodec."""
        try:
            whole = Node(parse_fast(body))
            answer = whole.need("chatResponse")
            choices, usage = self._format.parse(answer)
            return ChatResponse(id=answer.text_of("id"), model=whole.text_of("modelId"), choices=choices, usage=usage)
        except Malformed as malformed:
            raise BrokenAnswer(f"Oracle's answer is broken: {str(malformed)[:160]}.") from None

    def stream_decoder(self) -> StreamDecoder:
        """See ProviderCodec."""
        return OracleStream(self._format.chunks())

    def parse_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """See ProviderCodec."""
        return errors.parse_error(status, headers, body)
