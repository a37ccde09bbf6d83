"""Google's text-embedding models at Vertex AI, by `:predict`."""

from __future__ import annotations

from typing import Any

from llmauth.codecs.base import to_json
from llmauth.codecs.embeddings.base import Piece, Vectors, at_most, batches, vector
from llmauth.codecs.embeddings.request import EmbeddingRequest, InputType
from llmauth.codecs.reading import Node, parse_fast
from llmauth.http import Headers

TASKS: dict[InputType, str] = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
# "Up to 250 input texts" a request, with "a maximum of 20,000 tokens": ours is an estimate, and stays below.
_MOST = 250
_TOKENS = 14_000
_LARGEST = 768


class PredictEmbeddings:
    """`{"instances": [{"content", "task_type"?}], "parameters"}` to `predictions[].embeddings.values`."""

    takes_input_type = True

    def __init__(self, model: str) -> None:
        self._model = model

    def render(self, request: EmbeddingRequest) -> tuple[Piece, ...]:
        # By default texts are cut in silence, where OpenAI would refuse them.
        parameters: dict[str, Any] = {"autoTruncate": False}
        size = at_most(request, _LARGEST, self._model)
        if size is not None:
            parameters["outputDimensionality"] = size
        more = {} if request.input_type is None else {"task_type": TASKS[request.input_type]}
        return tuple(
            Piece(
                to_json({"instances": [{"content": text, **more} for text in texts], "parameters": parameters}),
                len(texts),
            )
            for texts in batches(request.inputs, _MOST, _TOKENS)
        )

    def parse(self, body: bytes, headers: Headers) -> Vectors:
        told = [one.need("embeddings") for one in Node(parse_fast(body)).need("predictions").items()]
        counts = [_count(one.get("statistics")) for one in told]
        tokens = sum(count for count in counts if count is not None) if None not in counts else None
        return Vectors(tuple(vector(one.need("values")) for one in told), tokens)


def _count(statistics: Node | None) -> int | None:
    """A number that Google writes as `3.0` at times."""
    count = None if statistics is None else statistics.get("token_count")
    return None if count is None else count.integer(0)
