"""Vertex's embedding models: by `predict`, one by one, and in batches, as the official client asks each."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.gemini_embeddings import takes
from tests.llmauth.demo.clients import Clients
from tests.llmauth.demo.test_vertex import FLASH, ask, genai

MODELS = FLASH.rpartition("/")[0]
CONTENT: dict[str, Any] = {"content": {"parts": [{"text": "a"}]}}


def test_the_official_client_gets_its_vectors_in_order(cloud_clients: Clients, emulators: Emulators) -> None:
    code = """
    asked = lambda model, texts: [
        one.values for one in client.models.embed_content(
            model=model, contents=texts, config={"output_dimensionality": 4, "task_type": "RETRIEVAL_QUERY"}
        ).embeddings
    ]
    result = {model: [asked(model, ["a", "b"]), asked(model, ["a"])] for model in models}
    """
    models = ["text-embedding-005", "gemini-embedding-001"]  # the client makes one content of texts for the newest
    for pair, one in genai(cloud_clients, emulators, code, models=models).values():
        assert pair[0] == one[0] != pair[1]
        assert [len(values) for values in pair] == [4, 4]
    targets = [one.target.decode().rpartition(":")[2] for one in emulators.requests()]
    assert targets == ["predict", "predict", "batchEmbedContents", "embedContent"]


def test_which_model_takes_what() -> None:
    assert takes("text-embedding-005", "predict")
    assert not takes("text-embedding-005", "embedContent")
    assert not takes("gemini-embedding-2", "predict")


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("gemini-embedding-2:predict", {"instances": [{"content": "a"}]}),
        ("text-embedding-005:batchEmbedContents", {"requests": [CONTENT]}),
        ("gemini-embedding-001:predict", {"instances": [{"content": "a"}] * 2}),
        ("gemini-embedding-001:batchEmbedContents", {"requests": [{**CONTENT, "outputDimensionality": 4}]}),
        ("gemini-embedding-001:embedContent", {**CONTENT, "embedContentConfig": {"outputDimensionality": 4000}}),
        ("gemini-embedding-001:embedContent", {**CONTENT, "embedContentConfig": {"unheardOf": 1}}),
        ("text-embedding-005:predict", {"instances": [{"content": "a"}], "parameters": {"outputDimensionality": 999}}),
    ],
)
def test_what_is_refused(emulators: Emulators, target: str, body: dict[str, Any]) -> None:
    assert ask(emulators, f"{MODELS}/{target}", body).status == 400


def test_what_each_counts(emulators: Emulators) -> None:
    batch = ask(emulators, f"{MODELS}/gemini-embedding-001:batchEmbedContents", {"requests": [CONTENT] * 2}).json()
    older = ask(emulators, f"{MODELS}/text-embedding-005:predict", {"instances": [{"content": "a"}] * 2}).json()
    assert (len(batch["embeddings"]), batch["usageMetadata"]["promptTokenCount"] > 1) == (2, True)
    assert [one["embeddings"]["statistics"]["token_count"] > 1 for one in older["predictions"]] == [True, True]
