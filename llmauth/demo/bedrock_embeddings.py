"""Bedrock's embedding models as InvokeModel asks them: Titan, one text at a time, and Cohere, many."""

from __future__ import annotations

import uuid
from typing import Any

from llmauth.demo import embeddings
from llmauth.demo.shapes import (
    Check,
    anything,
    filled,
    flag,
    integer,
    list_of,
    number_of,
    one_of,
    record,
    text,
)

_TITAN_V1 = record({"inputText": filled}, "inputText")
_TITAN_V2 = record(
    {
        "inputText": filled,
        "dimensions": number_of(256, 512, 1024),
        "normalize": flag,
        "embeddingTypes": list_of(one_of("float", "binary"), least=1),
    },
    "inputText",
)
_COHERE: dict[str, Check] = {
    "texts": list_of(text, least=1, most=96),
    "input_type": one_of("search_document", "search_query", "classification", "clustering"),
    "embedding_types": list_of(one_of("float", "int8", "uint8", "binary", "ubinary"), least=1),
}
_COHERE_V3 = record({**_COHERE, "truncate": one_of("NONE", "START", "END")}, "texts", "input_type")
_COHERE_V4 = record(
    {
        **_COHERE,
        "truncate": one_of("NONE", "LEFT", "RIGHT"),
        "output_dimension": number_of(256, 512, 1024, 1536),
        "max_tokens": integer(1, 128_000),
        "images": anything,
        "inputs": anything,
    },
    "texts",
    "input_type",
)


def titan(body: dict[str, Any], model: str, tokens: int) -> dict[str, Any]:
    """The answer of a Titan model; raises Mismatch."""
    if "-v1" in model:
        _TITAN_V1(body)
        return {"embedding": embeddings.vector(body["inputText"], 1536), "inputTextTokenCount": tokens}
    _TITAN_V2(body)
    values = embeddings.vector(body["inputText"], body.get("dimensions", 1024))
    if body.get("normalize") is False:
        values = [value * 2 for value in values]
    every: dict[str, Any] = {"float": values, "binary": embeddings.signs(values)}
    told = {"embeddingsByType": {name: every[name] for name in body.get("embeddingTypes", ["float"])}}
    embedding = {"embedding": values} if "float" in told["embeddingsByType"] else {}
    return {**embedding, **told, "inputTextTokenCount": tokens}


def cohere(body: dict[str, Any], model: str) -> dict[str, Any]:
    """The answer of a Cohere model, which does not count; raises Mismatch."""
    newer = "embed-v4" in model
    (_COHERE_V4 if newer else _COHERE_V3)(body)
    size = body.get("output_dimension", 1536) if newer else 1024
    vectors = [embeddings.vector(one, size) for one in body["texts"]]
    told = {"id": str(uuid.uuid4()), "texts": body["texts"]}
    kinds = body.get("embedding_types")
    if kinds is None:
        return {**told, "embeddings": vectors, "response_type": "embeddings_floats"}
    by_type = {kind: [embeddings.by_type(kind, values) for values in vectors] for kind in kinds}
    return {**told, "embeddings": by_type, "response_type": "embeddings_by_type"}
