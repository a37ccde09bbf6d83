"""Gemini's embeddings at Vertex AI: many texts by `:batchEmbedContents`, or one by `:embedContent`."""

from __future__ import annotations

from typing import Any

from llmauth.codecs.base import to_json
from llmauth.codecs.embeddings.base import Piece, Vectors, at_most, vector
from llmauth.codecs.embeddings.predict import TASKS
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.reading import Node, parse_fast
from llmauth.http import Headers

# "At most 100 requests can be in one batch."
_MOST = 100
_LARGEST = 3072


class GeminiEmbeddings:
    """`batched` models take a list of requests, the others one request at a time."""

    takes_input_type = True

    def __init__(self, model: str, *, batched: bool) -> None:
        self._model = model
        self._batched = batched

    def render(self, request: EmbeddingRequest) -> tuple[Piece, ...]:
        config: dict[str, Any] = {"autoTruncate": False}
        if request.input_type is not None:
            config["taskType"] = TASKS[request.input_type]
        size = at_most(request, _LARGEST, self._model)
        if size is not None:
            config["outputDimensionality"] = size
        asked = [{"content": {"parts": [{"text": text}]}, "embedContentConfig": config} for text in request.inputs]
        if not self._batched:
            return tuple(Piece(to_json(one), 1) for one in asked)
        starts = range(0, len(asked), _MOST)
        return tuple(_batch(asked[start : start + _MOST]) for start in starts)

    def parse(self, body: bytes, headers: Headers) -> Vectors:
        top = Node(parse_fast(body))
        told = list(top.need("embeddings").items()) if self._batched else [top.need("embedding")]
        usage = top.get("usageMetadata")
        count = None if usage is None else usage.get("promptTokenCount")
        return Vectors(tuple(vector(one.need("values")) for one in told), None if count is None else count.integer(0))


def _batch(asked: list[dict[str, Any]]) -> Piece:
    return Piece(to_json({"requests": asked}), len(asked))
