"""Titan: one text a call, sizes in the second version alone."""

import pytest

from llmauth.codecs.embeddings.base import Vectors
from llmauth.codecs.embeddings.titan import TitanEmbeddings
from llmauth.errors import UnsupportedParameter
from tests.llmauth.codecs.embeddings.goldens import FIRST, asked, bodies, read, request_of, survives

V2, V1 = TitanEmbeddings("v2", sized=True), TitanEmbeddings("v1", sized=False)


def test_the_golden_calls_and_answers():
    assert bodies(V2, asked(dimensions=512)) == request_of("titan")
    assert bodies(V1, asked()) == request_of("titan_v1")
    assert read(V2, "titan") == read(V1, "titan_v1") == Vectors((FIRST,), 3)
    assert [piece.count for piece in V2.render(asked())] == [1, 1]


def test_sizes_that_it_has_not_are_refused():
    for form, size in ((V2, 300), (V1, 512)):
        with pytest.raises(UnsupportedParameter):
            form.render(asked(dimensions=size))


def test_hostile_answers():
    assert survives(V2, "titan") > 20
