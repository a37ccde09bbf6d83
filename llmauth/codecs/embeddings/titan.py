"""Amazon's Titan text embeddings at Bedrock: one text a call."""

from __future__ import annotations

from llmauth.codecs.base import to_json
from llmauth.codecs.embeddings.base import Piece, Vectors, one_of, vector
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.reading import Node, parse_fast
from llmauth.http import Headers

# Of the second version; the first has no choice.
_SIZES = (256, 512, 1024)


class TitanEmbeddings:
    """`{"inputText", "dimensions"?}` to `{"embedding", "inputTextTokenCount"}`."""

    takes_input_type = False

    def __init__(self, model: str, *, sized: bool) -> None:
        self._model = model
        self._sizes = _SIZES if sized else ()

    def render(self, request: EmbeddingRequest) -> tuple[Piece, ...]:
        size = one_of(request, self._sizes, self._model)
        more = {} if size is None else {"dimensions": size}
        return tuple(Piece(to_json({"inputText": text, **more}), 1) for text in request.inputs)

    def parse(self, body: bytes, headers: Headers) -> Vectors:
        top = Node(parse_fast(body))
        tokens = top.get("inputTextTokenCount")
        return Vectors((vector(top.need("embedding")),), None if tokens is None else tokens.integer(0))
