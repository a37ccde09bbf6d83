"""Oracle's embeddings: vectors of one model, in the types that are asked for."""

from __future__ import annotations

from typing import Any

from llmauth.demo import embeddings
from llmauth.demo.shapes import Fault, Mismatch

_OLDER = 1024
_SIZES = (256, 512, 1024, 1536)


def answer(body: dict[str, Any], model: str, tokens: int) -> dict[str, Any]:
    """What is told of the inputs; raises Mismatch."""
    size = _size(body, model)
    vectors = [embeddings.vector(text, size) for text in body["inputs"]]
    usage = {"promptTokens": tokens, "completionTokens": 0, "totalTokens": tokens}
    told: dict[str, Any] = {"usage": usage, **({"inputs": body["inputs"]} if body.get("isEcho") else {})}
    kinds = body.get("embeddingTypes")
    if kinds is None:
        return {**told, "embeddings": vectors}
    by_type = {kind: [embeddings.by_type(kind, values) for values in vectors] for kind in kinds}
    return {**told, "embeddings": vectors if "float" in kinds else [], "embeddingsByType": by_type}


def _size(body: dict[str, Any], model: str) -> int:
    asked = body.get("outputDimensions")
    if "-v3" in model:
        if asked is not None:
            raise Mismatch(Fault.WRONG, f"is not supported by {model}", "outputDimensions")
        return _OLDER
    if asked is not None and asked not in _SIZES:
        raise Mismatch(Fault.WRONG, f"expected one of {', '.join(map(str, _SIZES))}", "outputDimensions")
    return asked or _SIZES[-1]
