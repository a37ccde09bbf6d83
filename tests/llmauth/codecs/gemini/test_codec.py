"""Gemini's tables of words, and what becomes of each word."""

import json

import pytest

from llmauth.chat.collecting import collect
from llmauth.chat.messages import Finish
from llmauth.chat.words import Word
from llmauth.codecs.gemini.codec import LEVEL_TABLE, TABLE, TABLES, GeminiProvider
from llmauth.codecs.mapping import Dropped, Refused, Sent, complete, is_parameter
from llmauth.demo.behaviour import ORDINARY
from llmauth.demo.emulator import Call
from llmauth.demo.gemini import Reply
from llmauth.demo.http1 import Request, parse_head
from llmauth.errors import UnsupportedParameter
from tests.golden.cases import asked, cases, user
from tests.golden.streams import decoded

VALUES = {
    Word.MAX_TOKENS: (10, {"generationConfig": {"maxOutputTokens": 10}}),
    Word.TEMPERATURE: (1.5, {"generationConfig": {"temperature": 1.5}}),
    Word.TOP_P: (0.5, {"generationConfig": {"topP": 0.5}}),
    Word.TOP_K: (40, {"generationConfig": {"topK": 40}}),
    Word.STOP: (("a", "b"), {"generationConfig": {"stopSequences": ["a", "b"]}}),
    Word.SEED: (2**31 + 7, {"generationConfig": {"seed": 7}}),
    Word.N: (3, {"generationConfig": {"candidateCount": 3}}),
    Word.PRESENCE_PENALTY: (0.5, {"generationConfig": {"presencePenalty": 0.5}}),
    Word.FREQUENCY_PENALTY: (-0.5, {"generationConfig": {"frequencyPenalty": -0.5}}),
    Word.LOGPROBS: (True, {"generationConfig": {"responseLogprobs": True}}),
    Word.TOP_LOGPROBS: (5, {"generationConfig": {"logprobs": 5}}),
    Word.USER: ("Ada@Example.com", {"labels": {"user": "ada_example_com"}}),
    Word.SERVICE_TIER: ("default", {"serviceTier": "standard"}),
}


def rendered(model="gemini-2.5-flash", strict=False, **more):
    return GeminiProvider(model).render_request(asked(user("Hi"), **more), strict=strict)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_word_has_its_rule(table):
    assert complete(table)


def test_the_table_is_that_of_the_model():
    assert GeminiProvider("gemini-2.5-pro").table is TABLE
    assert GeminiProvider("publishers/google/models/Gemini-3-Pro").table is LEVEL_TABLE


@pytest.mark.parametrize("word", [word for word in Word if is_parameter(word) and isinstance(TABLE[word], Sent)])
def test_parameters_that_are_sent(word):
    value, wanted = VALUES[word]
    body = json.loads(rendered(parameters={word: value}).body)
    del body["contents"]
    assert body == wanted


@pytest.mark.parametrize("word", [word for word in Word if is_parameter(word) and isinstance(TABLE[word], Dropped)])
def test_parameters_that_are_dropped_are_told_and_refused_where_asked(word):
    asked_for = {"parameters": {word: "x"}, "spelling": {word: "its_own_name"}}
    answer = rendered(**asked_for)
    assert answer.dropped == ("its_own_name",)
    assert list(json.loads(answer.body)) == ["contents"]
    with pytest.raises(UnsupportedParameter) as caught:
        rendered(strict=True, **asked_for)
    assert caught.value.param == "its_own_name"


@pytest.mark.parametrize("word", [word for word in Word if isinstance(TABLE[word], Refused)])
def test_parameters_that_are_refused(word):
    with pytest.raises(UnsupportedParameter, match="not supported by Gemini") as caught:
        rendered(parameters={word: "x"})
    assert caught.value.param == word.value


@pytest.mark.parametrize("word", [Word.PRESENCE_PENALTY, Word.FREQUENCY_PENALTY])
def test_gemini_3_knows_no_penalties(word):
    answer = rendered("gemini-3-flash-preview", parameters={word: 0.5})
    assert answer.dropped == (word.value,)
    assert list(json.loads(answer.body)) == ["contents"]


def test_tiers_have_names_of_their_own():
    assert "serviceTier" not in json.loads(rendered(parameters={Word.SERVICE_TIER: "auto"}, strict=True).body)
    with pytest.raises(UnsupportedParameter, match="no service tier 'scale'"):
        rendered(parameters={Word.SERVICE_TIER: "scale"})


def test_a_label_is_no_longer_than_google_lets_it_be():
    body = json.loads(rendered(parameters={Word.USER: "Ü" * 100}).body)
    assert body["labels"]["user"] == "_" * 63


def test_members_nobody_knows_are_told():
    assert rendered(unknown=("new_thing",)).dropped == ("new_thing",)
    with pytest.raises(UnsupportedParameter, match="new_thing"):
        rendered(unknown=("new_thing",), strict=True)


@pytest.mark.parametrize("name", cases("gemini"))
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro-preview"])
def test_an_emulated_model_takes_what_is_asked_and_answers_the_same_whole_and_in_pieces(name, model, monkeypatch):
    monkeypatch.setattr("llmauth.demo.gemini._signature", lambda: "c2ln")  # drawn by lot for each answer
    provider = GeminiProvider(model)
    asked_for = provider.render_request(cases("gemini")[name].request).body
    head = parse_head(b"POST /x HTTP/1.1\r\nHost: h\r\n\r\n")
    reply = Reply(Call("h", Request(head, asked_for), ORDINARY, 5), json.loads(asked_for), model)
    whole = provider.parse_response(json.dumps(reply.whole()).encode())
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in reply.chunks())
    assert collect(decoded(provider.stream_decoder(), [stream])) == whole
    assert whole.model == model
    assert (whole.choices[0].finish is Finish.TOOL_CALLS) == (name in ("parallel tools", "named tool"))
