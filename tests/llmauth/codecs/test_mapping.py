"""Tables judged: what is sent, left out and told, refused by the client's own name."""

from dataclasses import replace
from typing import Any

import pytest

from llmauth.chat.messages import Image, Link, Reasoning
from llmauth.chat.words import FEATURES, PARAMETERS, Word
from llmauth.codecs.mapping import (
    Dropped,
    Ignored,
    Refused,
    Sent,
    Table,
    admit,
    apply,
    complete,
    is_parameter,
    place,
    unsupported,
)
from llmauth.errors import UnsupportedParameter
from tests.golden.cases import asked, user

TABLE: Table = {
    Word.MAX_TOKENS: Sent("config.maxTokens"),
    Word.TEMPERATURE: Sent("config.temperature", lambda value: min(value, 1)),
    Word.STOP: Sent("stop"),
    Word.SEED: Dropped("there is none"),
    Word.N: Refused("one answer"),
    Word.STORE: Ignored(),
    Word.REASONING: Dropped(),
    Word.IMAGE_URL: Sent("messages"),
}


def judged(request, *, strict=False, table=TABLE):
    return admit(request, table, provider="Acme", strict=strict)


def saying(**parameters):
    return asked(user("a"), parameters={Word[name.upper()]: value for name, value in parameters.items()})


def test_each_rule_does_its_part():
    request = replace(
        saying(max_tokens=5, seed=1, store=True),
        messages=(user(Image(Link("https://example.com"))),),
        reasoning=Reasoning(),
        unknown=("surprise",),
        spelling={Word.REASONING: "thinking"},
    )
    admitted = judged(request)
    assert admitted.parameters == {Word.MAX_TOKENS: 5}
    assert admitted.features == {Word.MAX_TOKENS, Word.IMAGE_URL}
    assert admitted.dropped == ("seed", "thinking", "surprise")


@pytest.mark.parametrize("strict", [True, False])
def test_what_must_not_be_left_out_is_refused(strict):
    request = replace(saying(n=2), spelling={Word.N: "candidate_count"})
    with pytest.raises(UnsupportedParameter) as caught:
        judged(request, strict=strict)
    assert caught.value.message == "'candidate_count' is not supported by Acme (one answer)."
    assert (caught.value.param, caught.value.status, caught.value.code) == (
        "candidate_count",
        400,
        "unsupported_parameter",
    )


def test_a_word_that_a_table_does_not_know_is_refused():
    with pytest.raises(UnsupportedParameter, match="'logprobs' is not supported by Acme"):
        judged(saying(logprobs=True))
    assert "'tool_choice none' is not" in unsupported(saying(), Word.TOOL_CHOICE_NONE, "Acme").message


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (saying(seed=1), "seed"),
        (replace(saying(), reasoning=Reasoning()), "reasoning_effort"),
        (replace(saying(), unknown=("surprise",)), "surprise"),
    ],
)
def test_strict_refuses_what_would_be_left_out(request_, named):
    with pytest.raises(UnsupportedParameter, match=named) as caught:
        judged(request_, strict=True)
    assert caught.value.param == named


def test_strict_does_not_mind_what_is_done_unasked():
    assert judged(saying(store=True, max_tokens=1), strict=True).dropped == ()


def test_parameters_go_where_the_table_says():
    body = {"config": {"other": 1}}
    apply(body, judged(saying(max_tokens=5, temperature=1.5, stop=("a", "b"))), TABLE)
    assert body == {"config": {"other": 1, "maxTokens": 5, "temperature": 1}, "stop": ["a", "b"]}


def test_a_conversion_may_refuse():
    def refuse(value):
        raise UnsupportedParameter(f"not {value}")

    table = {Word.STOP: Sent("stop", refuse)}
    with pytest.raises(UnsupportedParameter, match="not x"):
        apply({}, judged(saying(stop="x"), table=table), table)


def test_places():
    body: dict[str, Any] = {}
    place(body, "a.b.c", 1)
    place(body, "a.b.d", ("x",))
    place(body, "e", None)
    assert body == {"a": {"b": {"c": 1, "d": ["x"]}}, "e": None}


def test_a_table_is_complete_with_every_word():
    whole = {word: Dropped() for word in Word}
    assert complete(whole)
    assert not complete({word: rule for word, rule in whole.items() if word is not Word.N})


def test_words_are_parameters_or_features():
    assert all(map(is_parameter, PARAMETERS))
    assert not any(map(is_parameter, FEATURES))
