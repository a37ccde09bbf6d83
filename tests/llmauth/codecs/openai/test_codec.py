"""The client half against hand-written bodies, and both halves against each other: what one writes the other reads."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from llmauth.chat.collecting import collect
from llmauth.chat.events import Started, UsageTold
from llmauth.chat.messages import Finish, ToolResult
from llmauth.chat.words import Word
from llmauth.codecs.mapping import Sent
from llmauth.codecs.openai.codec import CHAT
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.openai.table import EXTENDED, OPENAI_TABLE, Dialect
from tests.golden.cases import MODEL, cases
from tests.golden.streams import decoded
from tests.golden.values import Scope, chat_requests, chat_responses, streams
from tests.llmauth.codecs.openai.samples import CASES, GOLDEN, answering, chunks

ALL = Dialect(
    name="all", provider="all", table={**OPENAI_TABLE, **EXTENDED.table, **{word: Sent(word.value) for word in Word}}
)
SCOPE = Scope(
    parameters=frozenset(
        set(Word) - {Word.MODALITIES, Word.AUDIO, Word.TRUNCATION}  # the first two hold what no model answers here
    ),
    origin="openai",
    thinking=True,
    redacted=True,
    developer=True,
    system_later=True,
    speakers=True,
    caches=True,
    links=True,
    details=True,
    documents=True,
    audio=True,
    refusals=True,
    strict=True,
    outputs=True,
    efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    citations=True,
    logprobs=True,
    choices=3,
    tiers=True,
    finishes=(Finish.STOP, Finish.LENGTH, Finish.CONTENT_FILTER),
)
FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def without_errors(message):
    parts = tuple(replace(part, error=False) if isinstance(part, ToolResult) else part for part in message.parts)
    return replace(message, parts=parts)


@pytest.mark.parametrize("name", CASES)
def test_golden_request(name):
    request = CASES[name].request
    expected = replace(request, messages=tuple(map(without_errors, request.messages)), include_usage=False)
    assert CHAT.parse_request((GOLDEN / f"{name}.request.json").read_bytes()) == expected


@pytest.mark.parametrize("name", CASES)
def test_golden_response(name):
    body = CHAT.render_response(CASES[name].response, answering())
    assert json.loads(body) == json.loads((GOLDEN / f"{name}.response.json").read_bytes())


@pytest.mark.parametrize("name", CASES)
def test_golden_stream(name):
    golden = (GOLDEN / f"{name}.stream").read_bytes()
    encoder = CHAT.stream_encoder(answering())
    events = decoded(OpenAIProvider(MODEL).stream_decoder(), [golden])
    written = b"".join(map(encoder.encode, events)) + encoder.close()
    assert chunks(written) == chunks(golden)


def as_parsed(request):
    return replace(
        request, include_usage=request.stream, model="a-model", spelling={}, parameters=dict(request.parameters)
    )


@FEW
@given(chat_requests(SCOPE))
def test_a_request_comes_back_as_it_was(request):
    for asked in (request, replace(request, stream=True)):
        rendered = OpenAIProvider("a-model", ALL).render_request(asked)
        assert rendered.dropped == ()
        assert CHAT.parse_request(rendered.body) == as_parsed(asked)


@FEW
@given(chat_requests(Scope(call_origin="gemini")))
def test_signatures_of_calls_come_back(request):
    google = replace(ALL, family="gemini")
    assert CHAT.parse_request(OpenAIProvider("a-model", google).render_request(request).body) == as_parsed(request)


@FEW
@given(chat_responses(SCOPE))
def test_a_response_comes_back_as_it_was(response):
    body = CHAT.render_response(response, answering())
    expected = replace(response, id="chatcmpl-golden", model=MODEL)
    assert OpenAIProvider("a-model", ALL).parse_response(body) == expected


@FEW
@given(streams(SCOPE))
def test_a_stream_comes_back_as_it_was(events):
    encoder = CHAT.stream_encoder(answering())
    written = b"".join(map(encoder.encode, events)) + encoder.close()
    found = decoded(OpenAIProvider("a-model", ALL).stream_decoder(), [written])
    assert [event for event in found if not isinstance(event, Started | UsageTold)] == [
        event for event in events if not isinstance(event, Started | UsageTold)
    ]
    assert collect(found) == replace(collect(events), id="chatcmpl-golden", model=MODEL)


def test_whose_a_signature_is_stays_known_on_the_way_through_a_client():
    for name in ("thinking", "redacted_thinking"):
        response = cases("anthropic")[name.replace("_", " ")].response
        message = json.loads(CHAT.render_response(response, answering()))["choices"][0]["message"]
        told = {"role": "user", "content": "And?"}
        body = json.dumps({"model": "m", "messages": [told, message, told]}).encode()
        assert CHAT.parse_request(body).messages[1].parts == response.choices[0].parts
