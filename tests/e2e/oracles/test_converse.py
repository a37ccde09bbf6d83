"""botocore judges Converse: its schema of what we send, and its readers of the answers that we read."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import get_session
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.collecting import collect
from llmauth.chat.events import Failed
from llmauth.chat.features import features
from llmauth.chat.messages import ChatRequest, Reasoning
from llmauth.chat.words import PARAMETERS, Word
from llmauth.codecs.converse.codec import ConverseProvider
from llmauth.codecs.mapping import Refused
from llmauth.demo import bedrock_converse
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.errors import UnsupportedParameter, UpstreamError
from llmauth.http import Headers
from tests.golden.cases import asked, user
from tests.golden.streams import decoded
from tests.golden.values import VALUES, Scope, chat_requests
from tests.llmauth.codecs.converse.goldens import CASES, MODEL, events_of, provider, request_of, response_of, stream_of

SERVICE = get_session().get_service_model("bedrock-runtime")
CONVERSE, STREAM = SERVICE.operation_model("Converse"), SERVICE.operation_model("ConverseStream")
MODELS = [
    MODEL,
    "anthropic.claude-3-haiku-20240307-v1:0",
    "anthropic.claude-opus-4-8",
    "global.anthropic.claude-fable-5-2",
    "amazon.nova-pro-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-120b-1:0",
    "meta.llama3-70b-instruct-v1:0",
]


def faults(shape: Shape, value: Any, place: str = "") -> Iterator[str]:
    """What ParamValidator does not look at: closed sets, patterns, greatest values and lengths."""
    if getattr(shape, "is_document_type", False):
        return
    if isinstance(shape, StructureShape):
        for name, inner in value.items():
            yield from faults(shape.members[name], inner, f"{place}.{name}")
    elif isinstance(shape, ListShape):
        yield from _beyond(shape, len(value), place)
        for number, inner in enumerate(value):
            yield from faults(shape.member, inner, f"{place}[{number}]")
    elif isinstance(shape, MapShape):
        yield from _beyond(shape, len(value), place)
        for name, inner in value.items():
            yield from faults(shape.key, name, f"{place} (a name)")
            yield from faults(shape.value, inner, f"{place}.{name}")
    elif shape.type_name == "string":
        yield from _beyond(shape, len(value), place)
        if getattr(shape, "enum", None) and value not in shape.enum:
            yield f"{place}: {value} is none of {shape.enum}"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            yield f"{place}: {value} does not match {pattern}"
    elif shape.type_name in ("integer", "float", "long", "double"):
        yield from _beyond(shape, value, place)


def _beyond(shape: Shape, value: float, place: str) -> Iterator[str]:
    if value > shape.metadata.get("max", value) or value < shape.metadata.get("min", value):
        yield f"{place}: {value} is beyond {shape.metadata}"


def with_bytes(shape: Shape, value: Any, change: Any = base64.b64decode) -> Any:
    """As boto3 is given it: `bytes` as bytes, which it writes in base64 itself."""
    if shape.type_name == "blob":
        return change(value)
    if getattr(shape, "is_document_type", False):
        return value
    if isinstance(shape, StructureShape):
        return {name: with_bytes(shape.members[name], inner, change) for name, inner in value.items()}
    if isinstance(shape, ListShape):
        return [with_bytes(shape.member, inner, change) for inner in value]
    return value


def judged(body: dict[str, Any], model: str = MODEL) -> list[str]:
    """Every fault of a body; none at all where boto3 would send the same for what it says."""
    shape = CONVERSE.input_shape
    report = ParamValidator().validate({"modelId": model, **body}, shape)
    if report.has_errors():
        return [report.generate_report()]
    found = list(faults(shape, body))
    params = with_bytes(shape, {"modelId": model, **body})
    sent = create_serializer("rest-json").serialize_to_request(params, CONVERSE)
    return found if json.loads(sent["body"]) == body else [*found, "boto3 sends something else"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("surprise", 1),
        ("messages", [{"role": "tool", "content": []}]),
        ("messages", [{"role": "user", "content": [{"text": "a", "cachePoint": {"type": "default"}}]}]),
        ("messages", [{"role": "user", "content": [{"image": {"format": "jpg", "source": {"bytes": "QQ=="}}}]}]),
        ("inferenceConfig", {"temperature": 1.9}),
        ("inferenceConfig", {"maxTokens": 0}),
        ("toolConfig", {"tools": []}),
        ("toolConfig", {"tools": [{"toolSpec": {"name": "a b", "inputSchema": {"json": {}}}}]}),
        ("toolConfig", {"tools": [{"toolSpec": {"name": "a", "description": "", "inputSchema": {"json": {}}}}]}),
        ("requestMetadata", {"a": "<"}),
        ("requestMetadata", {str(number): "a" for number in range(17)}),
        ("serviceTier", {"type": "auto"}),
        ("system", [{"text": ""}]),
    ],
)
def test_the_judge_finds_what_is_wrong(member, value):
    assert judged(request_of("text")) == []
    assert judged({**request_of("text"), member: value})


@pytest.mark.parametrize("case", CASES)
def test_a_golden_request_is_what_boto3_sends(case):
    assert judged(request_of(case)) == []
    bedrock_converse.check(request_of(case))


def told_or_refused(request: ChatRequest, model: str) -> None:
    """What the table refuses is refused, and everything else is what boto3 sends."""
    codec = ConverseProvider(model)
    if any(isinstance(codec.table[word], Refused) for word in features(request)):
        with pytest.raises(UnsupportedParameter):
            codec.render_request(request)
    else:
        body = json.loads(codec.render_request(request).body)
        assert judged(body, model) == []
        bedrock_converse.check(body)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("case", CASES)
def test_every_family_is_asked_in_the_same_form(case, model):
    told_or_refused(CASES[case].request, model)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("word", PARAMETERS)
def test_every_parameter_has_a_place_or_is_refused(word, model):
    codec = ConverseProvider(model)
    several: dict[Word, list[object]] = {Word.STOP: [("a", "")], Word.TEMPERATURE: [2, 0.5]}
    for value in several.get(word) or [_example(word)]:
        request = asked(user("a"), parameters={word: value})
        if isinstance(codec.table[word], Refused):
            with pytest.raises(UnsupportedParameter):
                codec.render_request(request)
        else:
            assert judged(json.loads(codec.render_request(request).body), model) == []


def _example(word: Word) -> Any:
    """A value that says something; those of spoken answers are in no strategy, since no text format takes them."""
    spoken: dict[Word, Any] = {Word.MODALITIES: ("audio",), Word.AUDIO: {"voice": "alloy"}}
    several: dict[Word, Any] = {
        Word.METADATA: {"työ": "a|b"},
        Word.USER: "Ada <ada@example.com>",
        Word.SERVICE_TIER: "auto",
    }
    plain: dict[Word, Any] = {Word.MAX_TOKENS: 5, Word.TOP_P: 0.5, Word.TOP_K: 5, Word.PARALLEL_TOOL_CALLS: False}
    return {**spoken, **several, **plain}.get(word, 2)


SCOPE = Scope(
    parameters=frozenset(VALUES) - {Word.N, Word.LOGPROBS, Word.TOP_LOGPROBS, Word.WEB_SEARCH},
    origin="anthropic",
    thinking=True,
    redacted=True,
    developer=True,
    system_later=True,
    caches=True,
    documents=True,
    audio=True,
    refusals=True,
    tool_errors=True,
    result_images=True,
    strict=True,
    outputs=True,
    efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
)


@settings(max_examples=60, deadline=None)
@given(chat_requests(SCOPE), st.sampled_from(MODELS))
def test_whatever_is_asked_is_what_boto3_sends(request_, model):
    told_or_refused(request_, model)


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
@pytest.mark.parametrize("model", MODELS)
def test_every_effort(effort, model):
    body = json.loads(
        ConverseProvider(model).render_request(replace(asked(user("a")), reasoning=Reasoning(effort))).body
    )
    assert judged(body, model) == []


def parsed(body: bytes) -> dict[str, Any]:
    """What boto3 gives for an answer, `bytes` in base64 again."""
    raw = {"status_code": 200, "headers": {}, "body": body}
    told = create_parser("rest-json").parse(raw, CONVERSE.output_shape)
    del told["ResponseMetadata"]
    return with_bytes(CONVERSE.output_shape, told, lambda data: base64.b64encode(data).decode())


def test_the_reader_loses_what_is_no_member():
    assert parsed(b'{"stopReason":"end_turn","surprise":1}') == {"stopReason": "end_turn"}


@pytest.mark.parametrize("case", CASES)
def test_a_golden_answer_is_one_that_boto3_reads(case):
    told = parsed(response_of(case))
    assert told == json.loads(response_of(case))
    assert list(faults(CONVERSE.output_shape, told)) == []


class _Body:
    """A body that comes in pieces of 37 bytes, as botocore reads one."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield from (self._data[at : at + 37] for at in range(0, len(self._data), 37))

    def close(self) -> None:
        """botocore asks for it."""


def streamed(data: bytes) -> list[dict[str, Any]]:
    """What boto3 gives for a stream, event by event."""
    raw = {"status_code": 200, "headers": {}, "body": _Body(data), "context": {"operation_name": "ConverseStream"}}
    told = create_parser("rest-json").parse(raw, STREAM.output_shape)
    shape = STREAM.output_shape.members["stream"]
    return [with_bytes(shape, event, lambda inner: base64.b64encode(inner).decode()) for event in told["stream"]]


@pytest.mark.parametrize("case", CASES)
def test_a_golden_stream_is_one_that_boto3_reads(case):
    events = streamed(stream_of(case))
    golden = [{kind: {name: inner for name, inner in told.items() if name != "p"}} for kind, told in events_of(case)]
    assert events == golden
    shape = STREAM.output_shape.members["stream"]
    assert [fault for event in events for fault in faults(shape, event)] == []


def test_boto3_finds_a_wrong_checksum_too():
    data = bytearray(stream_of("text"))
    data[-1] ^= 1
    with pytest.raises(Exception, match=r"[Cc]hecksum"):
        streamed(bytes(data))
    assert "checksum" in provider().stream_decoder().feed(bytes(data))[-1].error.message


RUNTIME = "bedrock-runtime.us-east-1.amazonaws.com"


class Bedrock:
    """The emulated runtime over a real socket, as a codec meets it."""

    def __init__(self, emulators: Emulators) -> None:
        self._emulators = emulators
        tls = ssl.create_default_context(cafile=str(emulators.ca_file))
        self.client = httpx.Client(verify=tls, trust_env=False)

    def post(self, operation: str, body: bytes, model: str = MODEL) -> httpx.Response:
        headers = {
            "host": RUNTIME,
            "authorization": f"Bearer {self._emulators.credentials.bedrock_api_key}",
            "content-type": "application/json",
        }
        url = f"https://127.0.0.1:{self._emulators.port}/model/{quote(model, safe='')}/{operation}"
        told = {"sni_hostname": RUNTIME}
        return self.client.post(url, content=body, headers=headers, extensions=told)


@pytest.fixture
def bedrock(emulators: Emulators) -> Iterator[Bedrock]:
    bedrock = Bedrock(emulators)
    yield bedrock
    bedrock.client.close()


@pytest.mark.parametrize("case", ["text", "named tool", "thinking", "tool results", "cache"])
def test_the_emulator_takes_what_is_asked_and_its_answer_is_read(bedrock, case):
    codec = provider()
    body = codec.render_request(CASES[case].request).body
    whole = bedrock.post("converse", body)
    assert whole.status_code == 200, whole.text
    response = codec.parse_response(whole.content)
    bedrock._emulators.clear()  # what the first call put into the cache
    stream = bedrock.post("converse-stream", body)
    assert stream.headers["content-type"] == "application/vnd.amazon.eventstream"
    events = decoded(codec.stream_decoder(), [stream.content])
    assert not [event for event in events if isinstance(event, Failed)]
    told = collect(events)
    assert told.choices[0].finish is response.choices[0].finish
    assert told.usage == response.usage
    kinds = [[type(part) for part in answer.choices[0].parts] for answer in (response, told)]
    assert kinds[0] == kinds[1] != []


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (Behaviour(status=429), "rate_limited"),
        (Behaviour(status=503), "overloaded"),
        (Behaviour(status=400), "invalid_request"),
        (Behaviour(status=403, error="ExpiredTokenException"), "server"),
    ],
)
def test_a_refusal_of_the_emulator_is_read(bedrock, emulators, behaviour, cause):
    emulators.behave(RUNTIME, behaviour)
    refused = bedrock.post("converse", provider().render_request(CASES["text"].request).body)
    assert provider().parse_error(refused.status_code, Headers(refused.headers.raw), refused.content).cause == cause


def test_a_stream_that_the_emulator_breaks_off_is_a_failure(bedrock, emulators):
    emulators.behave(RUNTIME, Behaviour(fail_after=2))
    stream = bedrock.post("converse-stream", provider().render_request(CASES["text"].request).body)
    failed = decoded(provider().stream_decoder(), [stream.content])[-1]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UpstreamError)
    assert failed.error.message == "The model did not finish."
