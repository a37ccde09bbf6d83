"""What an operator may change of a request, and that its caller is told."""

from llmauth.chat.messages import ChatRequest
from llmauth.chat.transforming import Transformation, transformed
from llmauth.chat.words import Word

REQUEST = ChatRequest(
    model="m",
    messages=(),
    parameters={Word.MAX_TOKENS: 5, Word.USER: "ada"},
    spelling={Word.USER: "safety_identifier"},
)


def test_a_default_is_sent_where_the_caller_says_nothing():
    defaults = {Word.MAX_TOKENS: 100, Word.TEMPERATURE: 0.5, Word.STOP: ["END"]}
    request, dropped = transformed(REQUEST, Transformation(defaults=defaults))
    assert request.parameters == {
        Word.MAX_TOKENS: 5,
        Word.TEMPERATURE: 0.5,
        Word.STOP: ("END",),
        Word.USER: "ada",
    }
    assert dropped == ()


def test_what_is_never_sent_is_told_by_the_callers_name():
    request, dropped = transformed(REQUEST, Transformation(drop=frozenset({Word.USER, Word.SEED})))
    assert request.parameters == {Word.MAX_TOKENS: 5}
    assert dropped == ("safety_identifier",)
