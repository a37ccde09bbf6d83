"""Titan's and Cohere's embeddings on Bedrock: each version's own fields, and where tokens are counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.bedrock_embeddings import cohere, titan
from llmauth.demo.emulators import Emulators
from llmauth.demo.shapes import Mismatch
from tests.llmauth.demo.test_bedrock import RUNTIME, ask

TEXTS = {"texts": ["a", "b"], "input_type": "search_document"}


def test_titan_takes_one_text() -> None:
    older = titan({"inputText": "a"}, "titan-embed-text-v1", 3)
    newer = titan({"inputText": "a"}, "titan-embed-text-v2:0", 3)
    assert (len(older["embedding"]), older["inputTextTokenCount"], set(older)) == (
        1536,
        3,
        {"embedding", "inputTextTokenCount"},
    )
    assert newer["embeddingsByType"] == {"float": newer["embedding"]}
    binary = titan({"inputText": "a", "dimensions": 256, "embeddingTypes": ["binary"]}, "titan-embed-text-v2:0", 3)
    assert set(binary["embeddingsByType"]["binary"]) == {0, 1}
    assert "embedding" not in binary


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ({"inputText": "a", "dimensions": 256}, "titan-embed-text-v1"),
        ({"inputText": "a", "dimensions": 300}, "titan-embed-text-v2:0"),
        ({"inputText": ["a"]}, "titan-embed-text-v2:0"),
        ({"inputText": ""}, "titan-embed-text-v2:0"),
    ],
)
def test_what_titan_refuses(body: dict[str, Any], model: str) -> None:
    with pytest.raises(Mismatch):
        titan(body, model, 1)


def test_cohere_takes_many_texts() -> None:
    plain = cohere(TEXTS, "embed-english-v3")
    assert [len(values) for values in plain["embeddings"]] == [1024, 1024]
    typed = cohere({**TEXTS, "embedding_types": ["float", "int8"], "output_dimension": 256}, "embed-v4:0")
    assert [len(values) for values in typed["embeddings"]["int8"]] == [256, 256]
    assert typed["embeddings"]["float"][0] != typed["embeddings"]["float"][1]


@pytest.mark.parametrize(
    ("more", "model"),
    [
        ({"input_type": "SEARCH_QUERY"}, "embed-v4:0"),
        ({"texts": ["a"] * 97}, "embed-v4:0"),
        ({"output_dimension": 256}, "embed-english-v3"),
        ({"output_dimension": 300}, "embed-v4:0"),
        ({"truncate": "END"}, "embed-v4:0"),
    ],
)
def test_what_cohere_refuses(more: dict[str, Any], model: str) -> None:
    with pytest.raises(Mismatch):
        cohere({**TEXTS, **more}, model)


def test_coheres_tokens_are_told_in_a_header(emulators: Emulators) -> None:
    reply = ask(emulators, "POST", RUNTIME, "/model/cohere.embed-multilingual-v3/invoke", json.dumps(TEXTS).encode())
    assert reply.status == 200
    assert reply.header("x-amzn-bedrock-input-token-count") == str(len(json.dumps(TEXTS)) // 4)
    assert "usage" not in reply.json()
