"""The embedding models of Vertex, and the operation that each of them takes."""

from __future__ import annotations

from typing import Any

from llmauth.demo import embeddings, gemini_shapes, words
from llmauth.demo.emulator import Call
from llmauth.demo.shapes import Fault, Mismatch

# By model: what it is asked by, and the most numbers of a vector.
MODELS = {
    "text-embedding-005": ("predict", 768),
    "text-multilingual-embedding-002": ("predict", 768),
    "gemini-embedding-001": ("batchEmbedContents", 3072),
    "gemini-embedding-2": ("embedContent", 3072),
}
# The older ways are still served where a newer one is.
_TAKEN = {
    "predict": ("predict",),
    "batchEmbedContents": ("batchEmbedContents", "embedContent", "predict"),
    "embedContent": ("embedContent", "batchEmbedContents"),
}


def takes(model: str, operation: str) -> bool:
    """Whether a model is asked in this way."""
    return operation in _TAKEN[MODELS[model][0]]


def answer(call: Call, operation: str, body: dict[str, Any], model: str) -> dict[str, Any]:
    """The answer to one of the operations; raises Mismatch. Tokens are counted for all texts, or for each the same."""
    tokens = words.estimate(call.request.body)
    if operation == "predict":
        return _predict(body, model, tokens)
    told = _embed(body, model) if operation == "embedContent" else _batch(body, model)
    return {**told, "usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens}}


def _embed(body: dict[str, Any], model: str) -> dict[str, Any]:
    body = gemini_shapes.embed(body)
    return {"embedding": {"values": _vector(_text(body), _asked(body), model)}, "truncated": False}


def _batch(body: dict[str, Any], model: str) -> dict[str, Any]:
    requests = gemini_shapes.embed_batch(body)["requests"]
    return {"embeddings": [{"values": _vector(_text(one), _asked(one), model)} for one in requests]}


def _predict(body: dict[str, Any], model: str, tokens: int) -> dict[str, Any]:
    gemini_shapes.predict(body)
    texts = [one["content"] for one in body["instances"]]
    if model.startswith("gemini-") and len(texts) > 1:
        raise Mismatch(Fault.WRONG, "expected a list of one item", "instances")
    size = (body.get("parameters") or {}).get("outputDimensionality")
    statistics = {"token_count": tokens, "truncated": False}
    told = [{"embeddings": {"values": _vector(text, size, model), "statistics": statistics}} for text in texts]
    return {"predictions": told, "metadata": {"billableCharacterCount": sum(map(len, texts))}}


def _text(request: dict[str, Any]) -> str:
    return "".join(part.get("text", "") for part in request["content"]["parts"])


def _asked(body: dict[str, Any]) -> int | None:
    config = body.get("embedContentConfig") or {}
    asked: int | None = body.get("outputDimensionality") or config.get("outputDimensionality")
    return asked


def _vector(text: str, size: int | None, model: str) -> list[float]:
    most = MODELS[model][1]
    if size is not None and size > most:
        raise Mismatch(Fault.WRONG, f"expected at most {most}", "outputDimensionality")
    return embeddings.vector(text, size or most)
