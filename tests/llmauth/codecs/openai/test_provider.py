"""The provider half, held against hand-written requests, answers and streams of OpenAI's format."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from llmauth.chat.collecting import collect
from llmauth.chat.messages import Message, Reasoning, Signature, Text, Thinking
from llmauth.chat.words import Word
from llmauth.codecs.mapping import complete
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.openai.table import AZURE, COMPATIBLE, DIALECTS, EXTENDED, OPENAI
from llmauth.errors import BrokenAnswer, UnsupportedParameter, UpstreamError
from tests.golden.cases import MODEL, WEATHER, asked, assistant, user
from tests.golden.streams import same_under_every_split
from tests.llmauth.codecs.openai.samples import CASES, GOLDEN


def provider(model=MODEL, dialect=EXTENDED):
    return OpenAIProvider(model, dialect)


def body_of(request, model=MODEL, dialect=EXTENDED, **more):
    return json.loads(provider(model, dialect).render_request(request, **more).body)


@pytest.mark.parametrize("name", CASES)
def test_golden_request(name):
    assert body_of(CASES[name].request) == json.loads((GOLDEN / f"{name}.request.json").read_bytes())


@pytest.mark.parametrize("name", CASES)
def test_golden_response(name):
    response = provider().parse_response((GOLDEN / f"{name}.response.json").read_bytes())
    assert response == replace(CASES[name].response, id="chatcmpl-golden", model=MODEL)


@pytest.mark.parametrize("name", CASES)
def test_golden_stream(name):
    stream = (GOLDEN / f"{name}.stream").read_bytes()
    events = same_under_every_split(provider().stream_decoder, stream)
    assert collect(events) == replace(CASES[name].response, id="chatcmpl-golden", model=MODEL)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("model", ["gpt-4o", "o3-mini"])
def test_every_word_has_a_rule(dialect, model):
    assert complete(provider(model, dialect).table)


def test_a_stream_is_asked_for_with_its_usage():
    body = body_of(CASES["text"].streamed)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "stream" not in body_of(CASES["text"].request)


@pytest.mark.parametrize("model", ["o1", "o3-mini", "gpt-5", "gpt-5.6-mini", "openai/gpt-5", "gpt-10"])
def test_models_that_think_take_the_later_name_of_max_tokens(model):
    request = asked(user("Hi"), parameters={Word.MAX_TOKENS: 7})
    assert body_of(request, model, OPENAI)["max_completion_tokens"] == 7
    assert "max_tokens" not in body_of(request, model, OPENAI)


@pytest.mark.parametrize("model", ["gpt-4o", "llama-3", "ollama", "gpt-4.1"])
def test_other_models_take_the_old_name(model):
    assert body_of(asked(user("Hi"), parameters={Word.MAX_TOKENS: 7}), model)["max_tokens"] == 7


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(effort="xhigh"), "xhigh"),
        (Reasoning(budget=0), "none"),
        (Reasoning(budget=1024), "low"),
        (Reasoning(budget=2048), "medium"),
        (Reasoning(budget=31999), "high"),
        (Reasoning(shown=True), None),
    ],
)
def test_a_budget_becomes_an_effort(reasoning, effort):
    assert body_of(asked(user("Hi"), reasoning=reasoning)).get("reasoning_effort") == effort


@pytest.mark.parametrize(
    ("model", "least"),
    [
        ("gpt-4o", None),
        ("chatgpt-4o-latest", None),
        ("o3-mini", "low"),
        ("gpt-5", "minimal"),
        ("openai/gpt-5-nano-2025-08-07", "minimal"),
        ("gpt-5.1", "none"),
        ("gpt-5-pro", "none"),
        ("llama-3", "none"),
    ],
)
def test_not_to_think_is_told_in_the_words_of_the_model(model, least):
    """OpenAI: "Unsupported value: 'reasoning_effort' does not support 'none' with this model"."""
    assert body_of(asked(user("Hi"), reasoning=Reasoning("none")), model, OPENAI).get("reasoning_effort") == least
    high = None if least is None else "high"
    assert body_of(asked(user("Hi"), reasoning=Reasoning("high")), model, OPENAI).get("reasoning_effort") == high


def test_an_effort_is_left_out_and_told_where_a_model_does_not_think():
    """Claude Code asks every model for one; OpenAI: "Unrecognized request argument supplied: reasoning_effort"."""
    for reasoning, dropped in ((Reasoning("high"), 1), (Reasoning("none"), 0), (Reasoning(shown=True), 0)):
        told = provider("gpt-4o", OPENAI).render_request(asked(user("Hi"), reasoning=reasoning))
        assert (len(told.dropped), b"reasoning_effort" in told.body) == (dropped, False)


def test_thinking_and_marks_of_a_cache_are_not_sent_to_openai():
    for name in ("thinking_back", "cache"):
        body = json.dumps(body_of(CASES[name].request, dialect=OPENAI))
        assert not [word for word in ("thinking", "reasoning_content", "cache_control") if word in body]
    assert provider(dialect=OPENAI).render_request(CASES["thinking_back"].request).dropped == (
        "thinking of earlier turns",
    )


def test_a_developer_speaks_as_system_where_there_is_no_such_role():
    roles = [message["role"] for message in body_of(CASES["system"].request, dialect=COMPATIBLE)["messages"]]
    assert roles == ["system", "system", "user", "assistant", "user"]


@pytest.mark.parametrize("word", [Word.MODALITIES, Word.AUDIO])
def test_what_changes_the_answer_is_refused_by_name(word):
    with pytest.raises(UnsupportedParameter) as caught:
        provider().render_request(asked(user("Hi"), parameters={word: {}}))
    assert caught.value.param == word.value


def test_five_stops_are_refused():
    with pytest.raises(UnsupportedParameter) as caught:
        body_of(asked(user("Hi"), parameters={Word.STOP: tuple("abcde")}))
    assert caught.value.param == "stop"


def test_strict_mode_refuses_what_would_be_left_out():
    request = asked(user("Hi"), parameters={Word.TOP_K: 3})
    assert provider(dialect=OPENAI).render_request(request).dropped == ("top_k",)
    with pytest.raises(UnsupportedParameter):
        provider(dialect=OPENAI).render_request(request, strict=True)


def test_strictness_of_tools_is_told():
    body = body_of(asked(user("Hi"), tools=(replace(WEATHER, strict=True),)), dialect=AZURE)
    assert body["tools"][0]["function"]["strict"] is True


def test_thinking_of_another_family_is_never_sent():
    foreign = Thinking("Two and two.", Signature("anthropic", "c2ln"))
    body = body_of(asked(user("Hi"), assistant(foreign, "Four."), user("And?")))
    assert body["messages"][1] == {"role": "assistant", "content": "Four."}


def test_a_speaker_has_a_name():
    request = asked(Message("user", (Text("Hi"),), name="ann"))
    assert body_of(request)["messages"] == [{"role": "user", "content": "Hi", "name": "ann"}]


def test_a_failure_with_status_200_is_a_failure():
    with pytest.raises(UpstreamError) as caught:
        provider().parse_response(b'{"error": {"message": "No room.", "code": 503}}')
    assert (caught.value.cause, caught.value.message) == ("overloaded", "No room.")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"nonsense", b'{"choices": []}', b'{"choices": [{"index": 0}]}', b"[" * 100_000]
)
def test_what_is_no_answer_is_broken(body):
    with pytest.raises(BrokenAnswer):
        provider().parse_response(body)
