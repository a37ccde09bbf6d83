"""Embeddings of IBM watsonx.ai: many texts a call."""

from __future__ import annotations

from llmauth.codecs.base import to_json
from llmauth.codecs.embeddings.base import Piece, Vectors, batches, one_of, vector
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.reading import Node, parse_fast
from llmauth.http import Headers

# IBM takes up to a thousand, whose vectors would be more than is read of one answer.
_MOST = 300


class WatsonxEmbeddings:
    """`{"model_id", "project_id" or "space_id", "inputs"}` to `results[].embedding`."""

    takes_input_type = False

    def __init__(self, model: str, *, project_id: str | None, space_id: str | None) -> None:
        self._model = model
        self._scope = {"project_id": project_id} if project_id is not None else {"space_id": space_id}

    def render(self, request: EmbeddingRequest) -> tuple[Piece, ...]:
        one_of(request, (), self._model)
        asked = {"model_id": self._model, **self._scope}
        return tuple(Piece(to_json({**asked, "inputs": texts}), len(texts)) for texts in batches(request.inputs, _MOST))

    def parse(self, body: bytes, headers: Headers) -> Vectors:
        top = Node(parse_fast(body))
        tokens = top.get("input_token_count")
        vectors = tuple(vector(one.need("embedding")) for one in top.need("results").items())
        return Vectors(vectors, None if tokens is None else tokens.integer(0))
