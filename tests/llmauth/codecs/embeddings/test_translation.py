"""One request as several calls: all of their answers in order, or a refusal, and never a part."""

import json

import pytest

from llmauth.chat.messages import Usage
from llmauth.codecs.converse.codec import ConverseProvider
from llmauth.codecs.embeddings.base import Vectors
from llmauth.codecs.embeddings.cohere import CohereEmbeddings
from llmauth.codecs.embeddings.titan import TitanEmbeddings
from llmauth.codecs.embeddings.translation import MOST_PIECES, begin
from llmauth.errors import BadRequest, BrokenAnswer, UnsupportedParameter, UpstreamError
from llmauth.http import Headers
from tests.llmauth.codecs.embeddings.goldens import FIRST, SECOND, asked

TITAN, COHERE = TitanEmbeddings("v2", sized=True), CohereEmbeddings("v3", sized=False)
NONE = Headers()
ONE = b'{"embedding":[0.25,-0.5,1.0],"inputTextTokenCount":3}'


def begun(request, form=TITAN, *, strict=False):
    return begin(request, form, ConverseProvider("v2"), strict=strict)


def test_the_pieces_are_one_answer_in_their_order():
    said = begun(asked()).said(200, NONE, ONE, [Vectors((SECOND,), 4)])
    told = json.loads(said.body)
    assert [one["embedding"] for one in told["data"]] == [list(FIRST), list(SECOND)]
    assert [one["index"] for one in told["data"]] == [0, 1]
    assert (told["usage"], said.usage, said.headers) == ({"prompt_tokens": 7, "total_tokens": 7}, Usage(input=7), ())


def test_tokens_that_nobody_told_are_an_estimate_that_says_so_and_no_usage():
    said = begun(asked()).said(200, NONE, ONE, [Vectors((SECOND,), None)])
    assert json.loads(said.body)["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert (said.usage, said.headers) == (None, ((b"x-llmauth-estimate", b"true"),))


@pytest.mark.parametrize("beside", [(), (Vectors((SECOND,), 4), Vectors((SECOND,), 4))])
def test_a_part_is_no_answer(beside):
    with pytest.raises(BrokenAnswer):
        begun(asked()).said(200, NONE, ONE, beside)


def test_as_many_vectors_as_texts():
    one_of_two = b'{"embeddings":[[1.0]]}'
    with pytest.raises(BrokenAnswer, match="2 texts, and answered with 1"):
        begun(asked(), COHERE).said(200, NONE, one_of_two)


def test_a_refusal_is_the_providers_and_garbage_is_a_broken_answer():
    fields = Headers([(b"x-amzn-errortype", b"ThrottlingException")])
    with pytest.raises(UpstreamError) as refused:
        begun(asked()).read(1, 429, fields, b'{"message":"Too many"}')
    assert refused.value.cause == "rate_limited"
    with pytest.raises(BrokenAnswer):
        begun(asked()).read(1, 200, NONE, b"<html>")


def test_more_calls_than_are_made_for_one_request():
    assert len(begun(asked(*["a"] * MOST_PIECES)).pieces) == MOST_PIECES
    with pytest.raises(BadRequest) as refused:
        begun(asked(*["a"] * (MOST_PIECES + 1)))
    assert (refused.value.param, refused.value.code) == ("input", "invalid_request")


def test_what_is_left_out_is_told_or_refused_where_that_is_strict():
    request = asked(user="u", input_type="search_query", unknown=("x",))
    assert begun(request).dropped == ("x", "user", "input_type")
    assert begun(request, COHERE).dropped == ("x", "user")
    with pytest.raises(UnsupportedParameter) as refused:
        begun(request, strict=True)
    assert refused.value.param == "x"
    assert begun(asked(), strict=True).dropped == ()
