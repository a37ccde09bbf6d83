"""Cohere at Bedrock: batches of 96, both forms of an answer, tokens by a header."""

import pytest

from llmauth.codecs.embeddings.base import Vectors
from llmauth.codecs.embeddings.cohere import CohereEmbeddings
from llmauth.errors import UnsupportedParameter
from tests.llmauth.codecs.embeddings.goldens import FIRST, SECOND, asked, bodies, read, request_of, survives

V3, V4 = CohereEmbeddings("v3", sized=False), CohereEmbeddings("v4", sized=True)
COUNTED = (b"X-Amzn-Bedrock-Input-Token-Count", b"7")


def test_the_golden_calls_and_answers():
    assert bodies(V3, asked(input_type="search_query")) == request_of("cohere")
    assert bodies(V4, asked(input_type="search_query", dimensions=512)) == request_of("cohere_v4")
    assert read(V3, "cohere", COUNTED) == read(V4, "cohere_v4", COUNTED) == Vectors((FIRST, SECOND), 7)


def test_texts_are_stored_ones_unless_it_is_said_otherwise():
    assert bodies(V3, asked())[0]["input_type"] == "search_document"


@pytest.mark.parametrize("count", [b"", b"-1", b"x", "²".encode(), b"9" * 5000])
def test_a_header_that_is_no_number_tells_nothing(count):
    assert read(V3, "cohere", (COUNTED[0], count)).tokens is None
    assert read(V3, "cohere").tokens is None


def test_batches_of_96_in_order():
    told = bodies(V3, asked(*(f"t{number}" for number in range(200))))
    assert [len(one["texts"]) for one in told] == [96, 96, 8]
    assert [text for one in told for text in one["texts"]] == [f"t{number}" for number in range(200)]


def test_sizes_are_the_fourth_versions():
    for form, size in ((V4, 300), (V3, 512)):
        with pytest.raises(UnsupportedParameter):
            form.render(asked(dimensions=size))


def test_hostile_answers():
    assert survives(V3, "cohere") > 20
