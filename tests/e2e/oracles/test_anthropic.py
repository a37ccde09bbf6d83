"""Anthropic's own client as the judge of what we write in its protocol: its types, strictly, and its parsers.

Two blind spots of its types are made up for: lists in requests are checked only when they are read, and members that
it does not know pass, so what it read is compared with what it was given.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from llmauth.chat.events import CallStarted, Cited, Failed, Finished, RefusalDelta, TextDelta, UsageTold
from llmauth.chat.messages import Citation, Finish, JsonSchema, Reasoning, Signature, Text, ToolCall, Usage
from llmauth.codecs.anthropic.codec import MESSAGES, AnthropicProvider
from llmauth.codecs.anthropic.counting import render_count
from llmauth.codecs.anthropic.errors import REFUSALS
from llmauth.codecs.anthropic.native import ChunkUnwrapper
from llmauth.codecs.base import Answering, refuse
from llmauth.errors import Cause, UpstreamError
from tests.e2e.clients.sdks import Sdks
from tests.golden.cases import PERSON, answered, asked, cases, user
from tests.golden.streams import decoded
from tests.llmauth.codecs.anthropic.golden import golden, in_chunks

_CASES = [name for name in cases() if name != "content filter"]

_JUDGE = """
import httpx2
from pydantic import TypeAdapter, ValidationError
from anthropic.types import Message, MessageCountTokensParams, MessageTokensCount, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming

EVENTS = TypeAdapter(RawMessageStreamEvent)
ASKED = {True: TypeAdapter(MessageCreateParamsStreaming), False: TypeAdapter(MessageCreateParamsNonStreaming)}

def forced(value):
    if isinstance(value, dict):
        return {name: forced(inner) for name, inner in value.items()}
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return value
    return [forced(inner) for inner in value]

def request_faults(body):
    sampling = ("temperature", "top_p", "top_k")  # of the older version, which these types no longer have
    body = {name: value for name, value in body.items() if name not in sampling}
    return same(forced(ASKED[bool(body.get("stream"))].validate_python(body)), body)

def extras(value, place=""):
    found = [f"{place}.{name}" for name in getattr(value, "model_extra", None) or ()]
    fields = getattr(type(value), "model_fields", {})
    inner = [(name, getattr(value, name)) for name in fields]
    inner += list(enumerate(value)) if isinstance(value, list) else []
    return found + [extra for name, part in inner for extra in extras(part, f"{place}.{name}")]

def message_faults(body):
    return extras(Message.model_validate(body, strict=True))

def event_faults(event):
    return extras(EVENTS.validate_python(event, strict=True))

def same(read, given):
    return [] if read == given else [f"read {read}", f"given {given}"]

def judged(judge, values):
    faults = {}
    for name, value in values.items():
        try:
            told = judge(value)
        except ValidationError as error:
            told = [str(error)]
        if told:
            faults[name] = told
    return faults

def client(body, status=200, headers=None, kind="text/event-stream"):
    answer = lambda request: httpx2.Response(status, headers={"content-type": kind, **(headers or {})}, content=body)
    transport = httpx2.MockTransport(answer)
    return anthropic.Anthropic(api_key="x", max_retries=0, http_client=httpx2.Client(transport=transport))
"""


@pytest.fixture(scope="module")
def sdk() -> Iterator[Sdks]:
    sdk = Sdks(None, "anthropic")
    yield sdk
    sdk.close()


def judged(sdk: Sdks, code: str, **names: Any) -> Any:
    return sdk.run(_JUDGE + code, {}, **names)


def _answering() -> Answering:
    return Answering(id="1", created=0, model="m", request=asked(user("Hi")))


def _encoded(*events: Any) -> bytes:
    encoder = MESSAGES.stream_encoder(_answering())
    return b"".join(map(encoder.encode, events)) + encoder.close()


def _requests() -> dict[str, Any]:
    """Every case for a model of each age, as it is sent to Anthropic itself."""
    found: dict[str, Any] = {}
    for model in ("claude-3-5-haiku-20241022", "claude-opus-4-1", "claude-sonnet-4-5", "claude-opus-4-8"):
        for name, case in cases().items():
            for request in (case.request, case.streamed):
                body = AnthropicProvider(model).render_request(request).body
                found[f"{model} {name} {request.stream}"] = json.loads(body)
    shown = asked(user("Hi"), reasoning=Reasoning("xhigh", shown=True), output=JsonSchema(PERSON))
    found["shown"] = json.loads(AnthropicProvider("claude-opus-4-8").render_request(shown).body)
    return found


def _responses() -> dict[str, Any]:
    found = {name: case.response for name, case in cases().items()}
    found |= {finish.value: answered("x", finish=finish) for finish in Finish}
    foreign = Signature("gemini", "Zw==")
    cited = Text("a", citations=(Citation("https://a.example", "A"), Citation("https://b.example")), signature=foreign)
    found["foreign"] = replace(answered(cited, ToolCall("c", "f", "broken", foreign)), service_tier="default")
    return {name: json.loads(MESSAGES.render_response(response, _answering())) for name, response in found.items()}


def _streams() -> dict[str, bytes]:
    found = {}
    for name in _CASES:
        decoder = AnthropicProvider("claude-sonnet-4-5").stream_decoder()
        found[name] = _encoded(*decoded(decoder, [golden(name, "stream")]))
    found["refused"] = _encoded(RefusalDelta("No."), UsageTold(Usage(input=1)), Finished(Finish.REFUSAL))
    cited = Cited(Citation("https://a.example"))
    call = CallStarted(0, "c", "f", Signature("gemini", "Zw=="))
    found["foreign"] = _encoded(TextDelta("a"), cited, call, Finished(Finish.TOOL_CALLS))
    return found


def _events(stream: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in stream.decode().split("\n") if line.startswith("data: ")]


def test_requests(sdk: Sdks) -> None:
    requests = _requests()
    assert judged(sdk, "result = judged(request_faults, requests)", requests=requests) == {}
    assert len(requests) > 150


def test_bad_requests_are_seen(sdk: Sdks) -> None:
    good = json.loads(golden("tool results", "request.json"))
    bad = {
        "no limit": {name: value for name, value in good.items() if name != "max_tokens"},
        "role": {**good, "messages": [{"role": "tool", "content": "x"}]},
        "member": {**good, "frequency_penalty": 1},
        "block": {**good, "messages": [{"role": "user", "content": [{"type": "text", "txt": "x"}]}]},
        "choice": {**good, "tool_choice": {"type": "required"}},
    }
    assert set(judged(sdk, "result = judged(request_faults, requests)", requests=bad)) == set(bad)


def test_counts(sdk: Sdks) -> None:
    count = json.loads(render_count(7))
    told = judged(sdk, "result = extras(MessageTokensCount.model_validate(count, strict=True))", count=count)
    assert told == []


def test_responses(sdk: Sdks) -> None:
    assert judged(sdk, "result = judged(message_faults, responses)", responses=_responses()) == {}


def test_bad_responses_are_seen(sdk: Sdks) -> None:
    good = json.loads(golden("text", "response.json"))
    bad = {
        "stop reason": {**good, "stop_reason": "stop"},
        "counts": {**good, "usage": {"input_tokens": 1}},
        "member": {**good, "choices": []},
        "number": {**good, "usage": {"input_tokens": "1", "output_tokens": 1}},
    }
    assert set(judged(sdk, "result = judged(message_faults, responses)", responses=bad)) == set(bad)


def test_golden_files_are_anthropics(sdk: Sdks) -> None:
    requests = {name: json.loads(golden(name, "request.json")) for name in cases()}
    responses = {name: json.loads(golden(name, "response.json")) for name in _CASES}
    events = {
        f"{name} {number}": event
        for name in _CASES
        for number, event in enumerate(_events(golden(name, "stream")))
        if event["type"] != "ping"
    }
    code = """
    result = [judged(request_faults, requests), judged(message_faults, responses), judged(event_faults, events)]
    """
    assert judged(sdk, code.strip(), requests=requests, responses=responses, events=events) == [{}, {}, {}]


def test_events_of_streams(sdk: Sdks) -> None:
    events = {f"{name} {i}": event for name, stream in _streams().items() for i, event in enumerate(_events(stream))}
    assert judged(sdk, "result = judged(event_faults, events)", events=events) == {}
    assert len(events) > 150


def test_bad_events_are_seen(sdk: Sdks) -> None:
    bad = {
        "delta": {"type": "content_block_delta", "index": 0, "delta": {"type": "text", "text": "x"}},
        "index": {"type": "content_block_stop"},
        "member": {"type": "message_stop", "choices": []},
        "usage": {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
    }
    assert set(judged(sdk, "result = judged(event_faults, events)", events=bad)) == set(bad)


_GATHER = """
result = {}
for name, text in streams.items():
    with client(text.encode()).messages.stream(model="m", max_tokens=9, messages=[]) as stream:
        result[name] = stream.get_final_message().model_dump(exclude_none=True, mode="json")
"""


def test_the_client_gathers_our_streams_to_the_answer_that_they_are(sdk: Sdks) -> None:
    streams = {name: stream.decode() for name, stream in _streams().items()}
    found = judged(sdk, _GATHER, streams=streams)
    for name in _CASES:
        case = json.loads(MESSAGES.render_response(cases()[name].response, _answering()))
        expected = {member: value for member, value in case.items() if value is not None}
        for details in (expected.get("stop_details", {}), found[name].get("stop_details", {})):
            details.pop("category", None)
        assert found[name] == expected, name


def test_the_client_reads_bedrocks_frames_as_our_tests_build_them(sdk: Sdks) -> None:
    """And unwrapped by us they are what it reads from Anthropic itself."""
    frames = in_chunks(golden("one tool", "stream"))
    unwrapper = ChunkUnwrapper()
    plain = (unwrapper.feed(frames) + unwrapper.close()).decode()
    code = """
import base64
from anthropic import AnthropicBedrock

transport = httpx2.MockTransport(
    lambda request: httpx2.Response(
        200, headers={"content-type": "application/vnd.amazon.eventstream"}, content=base64.b64decode(frames)
    )
)
bedrock = AnthropicBedrock(
    aws_access_key="a", aws_secret_key="b", aws_region="us-east-1", http_client=httpx2.Client(transport=transport)
)
asked = dict(model="m", max_tokens=9, messages=[], stream=True)
theirs = [event.model_dump(mode="json", exclude_none=True) for event in bedrock.messages.create(**asked)]
ours = [event.model_dump(mode="json", exclude_none=True) for event in client(plain.encode()).messages.create(**asked)]
theirs[-1].pop("amazon-bedrock-invocationMetrics", None)
result = [theirs, ours]
"""
    theirs, ours = judged(sdk, code, frames=b64encode(frames).decode(), plain=plain)
    theirs = [event for event in theirs if event["type"] != "ping"]
    assert theirs == [event for event in ours if event["type"] != "ping"]
    assert len(ours) > 5


_CLASSES: dict[Cause, str] = {
    "invalid_request": "BadRequestError",
    "permission": "PermissionDeniedError",
    "not_found": "NotFoundError",
    "conflict": "ConflictError",
    "too_large": "ContentTooLargeError",
    "rate_limited": "RateLimitError",
    "quota": "RateLimitError",
    "overloaded": "OverloadedError",
    "timeout": "GatewayTimeoutError",
    "server": "InternalServerError",
}


def test_refusals_raise_the_clients_own_exceptions(sdk: Sdks) -> None:
    refusals = {cause: refuse(UpstreamError("Why", cause=cause), REFUSALS, "r1") for cause in _CLASSES}
    told = {cause: (refusal.status, refusal.body.decode()) for cause, refusal in refusals.items()}
    code = """
result = {}
for cause, (status, body) in refusals.items():
    try:
        client(body.encode(), status, {"request-id": "r1"}, "application/json").messages.create(
            model="m", max_tokens=9, messages=[]
        )
    except anthropic.APIStatusError as error:
        result[cause] = [type(error).__name__, error.type, error.request_id, "Why" in str(error)]
"""
    found = judged(sdk, code, refusals=told)
    assert {cause: kind for cause, (kind, *_) in found.items()} == _CLASSES
    assert found["overloaded"] == ["OverloadedError", "overloaded_error", "r1", True]


def test_a_failure_in_a_stream_raises(sdk: Sdks) -> None:
    stream = _encoded(TextDelta("a"), Failed(UpstreamError("Busy", cause="overloaded")))
    code = """
try:
    for event in client(stream.encode()).messages.create(model="m", max_tokens=9, messages=[], stream=True):
        pass
    result = "nothing"
except anthropic.APIStatusError as error:
    result = [error.type, str(error.body)]
"""
    kind, body = judged(sdk, code, stream=stream.decode())
    assert kind == "overloaded_error"
    assert "Busy" in body
