"""watsonx: many texts a call, for a project or a space, and vectors of one length."""

import pytest

from llmauth.codecs.embeddings.base import Vectors
from llmauth.codecs.embeddings.watsonx import WatsonxEmbeddings
from llmauth.errors import UnsupportedParameter
from tests.llmauth.codecs.embeddings.goldens import FIRST, SECOND, asked, bodies, read, request_of, survives

FORM = WatsonxEmbeddings("ibm/slate-125m-english-rtrvr", project_id="p1", space_id=None)


def test_the_golden_call_and_answer():
    assert bodies(FORM, asked(input_type="search_query")) == request_of("watsonx")
    assert read(FORM, "watsonx") == Vectors((FIRST, SECOND), 5)


def test_a_space_instead():
    told = bodies(WatsonxEmbeddings("m", project_id=None, space_id="s1"), asked("a"))
    assert told == [{"model_id": "m", "space_id": "s1", "inputs": ["a"]}]


def test_three_hundred_a_call():
    assert [piece.count for piece in FORM.render(asked(*["a"] * 700))] == [300, 300, 100]


def test_no_dimensions():
    with pytest.raises(UnsupportedParameter):
        FORM.render(asked(dimensions=384))


def test_hostile_answers():
    assert survives(FORM, "watsonx") > 20
