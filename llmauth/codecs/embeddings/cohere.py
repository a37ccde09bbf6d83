"""Cohere's embeddings at Bedrock: up to 96 texts a call, and their number of tokens in a header."""

from __future__ import annotations

from typing import Any

from llmauth.codecs.base import to_json
from llmauth.codecs.embeddings.base import Piece, Vectors, batches, one_of, vector
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.reading import Node, parse_fast
from llmauth.http import Headers

# "Maximum number of texts per call is 96."
MOST = 96
# Of the fourth version; earlier ones have no choice.
SIZES = (256, 512, 1024, 1536)
_TOKENS = "x-amzn-bedrock-input-token-count"


class CohereEmbeddings:
    """`{"texts", "input_type", "embedding_types", "output_dimension"?}`; what is too long is refused, never cut."""

    takes_input_type = True

    def __init__(self, model: str, *, sized: bool) -> None:
        self._model = model
        self._sizes = SIZES if sized else ()

    def render(self, request: EmbeddingRequest) -> tuple[Piece, ...]:
        size = one_of(request, self._sizes, self._model)
        # The API wants to be told, and what is stored is asked for more often than what is searched for.
        more: dict[str, Any] = {"input_type": request.input_type or "search_document", "embedding_types": ["float"]}
        if size is not None:
            more["output_dimension"] = size
        return tuple(Piece(to_json({"texts": texts, **more}), len(texts)) for texts in batches(request.inputs, MOST))

    def parse(self, body: bytes, headers: Headers) -> Vectors:
        """With `embedding_types` the lists stand below their type; without it, as some versions answer, they do not."""
        told = Node(parse_fast(body)).need("embeddings")
        lists = told.need("float") if isinstance(told.value, dict) else told
        return Vectors(tuple(map(vector, lists.items())), _counted(headers.get(_TOKENS)))


def _counted(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
