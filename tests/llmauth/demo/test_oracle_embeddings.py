"""Oracle's vectors: their types, their length, and what is told beside them."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.oracle_embeddings import answer
from llmauth.demo.shapes import Mismatch
from tests.llmauth.demo.test_oracle import ask, envelope

V4 = "cohere.embed-v4.0"
V3 = "cohere.embed-english-v3.0"


def told(model: str = V4, **more: Any) -> dict[str, Any]:
    return answer({"inputs": ["a", "b"], **more}, model, 9)


def test_a_vector_for_each_input_and_the_bill() -> None:
    one = told(isEcho=True)
    assert [len(values) for values in one["embeddings"]] == [1536, 1536]
    assert one["embeddings"][0] != one["embeddings"][1]
    assert one["inputs"] == ["a", "b"]
    assert one["usage"] == {"promptTokens": 9, "completionTokens": 0, "totalTokens": 9}


def test_by_type() -> None:
    one = told(embeddingTypes=["int8", "float"], outputDimensions=256)
    assert one["embeddings"] == one["embeddingsByType"]["float"]
    assert [len(values) for values in one["embeddingsByType"]["int8"]] == [256, 256]


def test_the_length_is_the_models() -> None:
    assert len(told(V3)["embeddings"][0]) == 1024
    for wrong in ({"model": V3, "outputDimensions": 256}, {"outputDimensions": 100}):
        with pytest.raises(Mismatch):
            told(**wrong)


def test_through_the_server(emulators: Emulators) -> None:
    asked = {**envelope(model=V4), "inputs": ["a"], "embeddingTypes": ["float"]}
    del asked["chatRequest"]
    path = "/20231130/actions/embedText"
    assert list(ask(emulators, asked, path).json()["embeddingsByType"]) == ["float"]
    for wrong in ({"embeddingTypes": ["FLOAT"]}, {"inputs": ["a"] * 97}, {"inputType": "search_query"}):
        assert ask(emulators, {**asked, **wrong}, path).status == 400
