"""What may be embedded, and in how many numbers; through the server, in the order of the texts."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.openai_embeddings import size, texts
from llmauth.demo.openai_shapes import Unsupported
from llmauth.demo.shapes import Mismatch
from tests.llmauth.demo.test_openai import ask


@pytest.mark.parametrize(
    ("given", "found"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], ["1 2"]), ([[1], [2, 3]], ["1", "2 3"])],
)
def test_texts_and_tokens(given: Any, found: list[str]) -> None:
    assert texts(given) == found


@pytest.mark.parametrize("given", ["", [""], ["a", 1], [["a"]], [[]], [None], [True]])
def test_what_is_neither_is_refused(given: Any) -> None:
    with pytest.raises(Mismatch):
        texts(given)


def test_how_long_a_vector_is() -> None:
    assert [size({"model": f"text-embedding-3-{name}"}) for name in ("small", "large")] == [1536, 3072]
    assert size({"model": "text-embedding-3-small", "dimensions": 64}) == 64
    with pytest.raises(Mismatch):
        size({"model": "text-embedding-3-small", "dimensions": 1537})
    with pytest.raises(Unsupported):
        size({"model": "text-embedding-ada-002", "dimensions": 64})


def test_the_order_is_that_of_the_texts(emulators: Emulators) -> None:
    asked = {"model": "text-embedding-3-small", "dimensions": 4}
    both = ask(emulators, "/v1/embeddings", {**asked, "input": ["a", "b"]}).json()["data"]
    alone = [ask(emulators, "/v1/embeddings", {**asked, "input": one}).json()["data"][0] for one in ("a", "b")]
    assert [one["embedding"] for one in both] == [one["embedding"] for one in alone]
    assert [one["index"] for one in both] == [0, 1]
