"""Gemini's embeddings: a hundred texts a batch, or one."""

import pytest

from llmauth.codecs.embeddings.base import Vectors
from llmauth.codecs.embeddings.gemini import GeminiEmbeddings
from llmauth.errors import UnsupportedParameter
from llmauth.http import Headers
from tests.llmauth.codecs.embeddings.goldens import FIRST, SECOND, asked, bodies, read, request_of, survives

MANY, ONE = (
    GeminiEmbeddings("gemini-embedding-001", batched=True),
    GeminiEmbeddings("gemini-embedding-2", batched=False),
)


def test_the_golden_calls_and_answers():
    request = asked(input_type="search_query", dimensions=512)
    assert bodies(MANY, request) == request_of("gemini_batch")
    assert bodies(ONE, request) == request_of("gemini")
    assert read(MANY, "gemini_batch") == Vectors((FIRST, SECOND), 5)
    assert read(ONE, "gemini") == Vectors((FIRST,), 3)


def test_batches_of_a_hundred_and_one_by_one():
    assert [piece.count for piece in MANY.render(asked(*["a"] * 250))] == [100, 100, 50]
    assert [piece.count for piece in ONE.render(asked(*["a"] * 3))] == [1, 1, 1]


def test_an_answer_without_usage_tells_no_tokens():
    assert MANY.parse(b'{"embeddings":[{"values":[1]}]}', Headers()).tokens is None


def test_more_dimensions_than_it_has_are_refused():
    with pytest.raises(UnsupportedParameter):
        ONE.render(asked(dimensions=4096))


def test_hostile_answers():
    assert survives(MANY, "gemini_batch") > 20
    assert survives(ONE, "gemini") > 20
