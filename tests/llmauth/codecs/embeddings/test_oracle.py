"""Oracle: Cohere's models in an envelope, words in upper case, tokens where they are told."""

import pytest

from llmauth.codecs.embeddings.base import Vectors
from llmauth.codecs.embeddings.oracle import OracleEmbeddings
from llmauth.errors import UnsupportedParameter
from llmauth.http import Headers
from tests.llmauth.codecs.embeddings.goldens import FIRST, SECOND, asked, bodies, read, request_of, survives

PLACE = "ocid1.compartment.oc1..a"
V4 = OracleEmbeddings("cohere.embed-v4.0", PLACE, sized=True)
V3 = OracleEmbeddings("cohere.embed-english-v3.0", PLACE, sized=False)


def test_the_golden_call_and_answer():
    assert bodies(V4, asked(input_type="search_query", dimensions=512)) == request_of("oracle")
    assert read(V4, "oracle") == Vectors((FIRST, SECOND), 5)


def test_other_forms_of_its_answer():
    assert V3.parse(b'{"embeddingsByType":{"float":[[1.0]]}}', Headers()).tokens is None
    assert V3.parse(b'{"embeddings":[[1.0]],"usage":{"totalTokens":9}}', Headers()).tokens == 9


def test_batches_of_96_and_stored_texts():
    told = bodies(V3, asked(*["a"] * 100))
    assert [len(one["inputs"]) for one in told] == [96, 4]
    assert told[0]["inputType"] == "SEARCH_DOCUMENT"


def test_sizes_are_the_fourth_versions():
    for form, size in ((V4, 300), (V3, 512)):
        with pytest.raises(UnsupportedParameter):
            form.render(asked(dimensions=size))


def test_hostile_answers():
    assert survives(V4, "oracle") > 20
