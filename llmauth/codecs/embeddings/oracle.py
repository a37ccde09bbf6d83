"""Embeddings of Oracle's Generative AI, which are Cohere's in Oracle's envelope."""

from __future__ import annotations

from typing import Any

from llmauth.codecs.base import to_json
from llmauth.codecs.embeddings.base import Piece, Vectors, batches, one_of, vector
from llmauth.codecs.embeddings.cohere import MOST, SIZES
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.reading import Node, parse_fast
from llmauth.http import Headers


class OracleEmbeddings:
    """`EmbedTextDetails` to `EmbedTextResult`, of a model that is served on demand."""

    takes_input_type = True

    def __init__(self, model: str, compartment: str, *, sized: bool) -> None:
        self._model = model
        serving = {"servingType": "ON_DEMAND", "modelId": model}
        self._envelope = {"compartmentId": compartment, "servingMode": serving}
        self._sizes = SIZES if sized else ()

    def render(self, request: EmbeddingRequest) -> tuple[Piece, ...]:
        size = one_of(request, self._sizes, self._model)
        kind = (request.input_type or "search_document").upper()
        more: dict[str, Any] = {**self._envelope, "inputType": kind, "truncate": "NONE"}
        if size is not None:
            more["outputDimensions"] = size
        return tuple(Piece(to_json({**more, "inputs": texts}), len(texts)) for texts in batches(request.inputs, MOST))

    def parse(self, body: bytes, headers: Headers) -> Vectors:
        top = Node(parse_fast(body))
        lists = top.get("embeddings") or top.need("embeddingsByType").need("float")
        usage = top.get("usage")
        tokens = None if usage is None else (usage.get("promptTokens") or usage.get("totalTokens"))
        return Vectors(tuple(map(vector, lists.items())), None if tokens is None else tokens.integer(0))
