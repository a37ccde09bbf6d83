"""Oracle's codec as a whole: golden cases there and back in three formats, the envelope, and hostile answers."""

import json
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.collecting import collect
from llmauth.chat.events import Failed
from llmauth.chat.messages import ChatResponse, Choice, Message, Reasoning, Text, Thinking, ToolCall
from llmauth.chat.words import Word
from llmauth.codecs.mapping import complete
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.demo import oracle_chat
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulator import Call
from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.oracle_shapes import chat as emulated_chat
from llmauth.errors import BrokenAnswer, UnsupportedParameter, UpstreamError
from llmauth.http import Headers
from tests.golden.cases import asked, user
from tests.golden.streams import decoded, same_under_every_split
from tests.llmauth.codecs.oracle.goldens import CASES, COMPARTMENT, FOLDER, GOLDENS, each, ids

HEAD = parse_head(b"POST /20231130/actions/chat HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
def test_there_is_a_golden_of_every_case_that_can_be_said(golden):
    told = {path.name for path in (FOLDER / golden.folder).iterdir()}
    sayable = {case.replace(" ", "_") for case in CASES if case not in golden.refused}
    answered = {case.replace(" ", "_") for case in CASES if golden.has(case)}
    assert {name.removesuffix(".request.json") for name in told if name.endswith(".request.json")} == sayable
    assert {name.removesuffix(".response.json") for name in told if name.endswith(".response.json")} == answered
    assert {name.removesuffix(".stream") for name in told if name.endswith(".stream")} == answered


@pytest.mark.parametrize(("golden", "case"), each(), ids=ids)
def test_the_request_is_the_golden_one(golden, case):
    rendered = json.loads(golden.provider.render_request(CASES[case].request).body)
    assert rendered == json.loads(golden.text_of(case, "request.json"))


@pytest.mark.parametrize(("golden", "case"), each(), ids=ids)
def test_a_stream_is_asked_for_with_its_usage(golden, case):
    rendered = json.loads(golden.provider.render_request(CASES[case].streamed).body)
    whole = json.loads(golden.text_of(case, "request.json"))
    whole["chatRequest"] |= {"isStream": True, "streamOptions": {"isIncludeUsage": True}}
    assert rendered == whole


@pytest.mark.parametrize(("golden", "case"), each(answered=True), ids=ids)
def test_the_golden_answer_is_the_response(golden, case):
    assert golden.provider.parse_response(golden.text_of(case, "response.json")) == golden.expected(case)


@pytest.mark.parametrize(("golden", "case"), each(answered=True), ids=ids)
def test_the_golden_stream_is_the_response_however_it_is_split(golden, case):
    events = same_under_every_split(golden.provider.stream_decoder, golden.text_of(case, "stream"))
    assert collect(events) == golden.expected(case, streamed=True)


@pytest.mark.parametrize(
    ("golden", "case", "word"),
    [(golden, case, word) for golden in GOLDENS for case, word in golden.refused.items()],
    ids=ids,
)
def test_what_a_format_cannot_say_is_refused_by_name(golden, case, word):
    with pytest.raises(UnsupportedParameter, match="not supported by Oracle") as caught:
        golden.provider.render_request(CASES[case].request)
    assert caught.value.param == word


@pytest.mark.parametrize(("golden", "case"), [pair for pair in each() if pair[0].folder != "cohere_v2"], ids=ids)
def test_the_emulated_oracle_accepts_what_we_send(golden, case):
    emulated_chat(json.loads(golden.provider.render_request(CASES[case].streamed).body))


@pytest.mark.parametrize(("golden", "case"), [pair for pair in each() if pair[0].folder != "cohere_v2"], ids=ids)
def test_the_emulated_oracle_says_the_same_whole_and_streamed(golden, case):
    codec = golden.provider
    request = json.loads(codec.render_request(CASES[case].streamed).body)["chatRequest"]
    said = oracle_chat.reply(Call("x", Request(HEAD, b"{}"), Behaviour(), 9), request, 1_800_000_000.0)
    whole = codec.parse_response(json.dumps({"modelId": "m", "chatResponse": said.whole()}).encode())
    streamed = collect(decoded(codec.stream_decoder(), list(said.events())))
    assert [without_ids(choice) for choice in streamed.choices] == [without_ids(choice) for choice in whole.choices]
    assert streamed.usage == whole.usage


def without_ids(choice: Choice) -> Choice:
    """The emulated Oracle gives its calls other ids each time."""
    parts = tuple(replace(part, id="") if isinstance(part, ToolCall) else part for part in choice.parts)
    return replace(choice, parts=parts)


def test_a_stream_that_the_emulated_oracle_breaks_off_failed():
    failing = Call("x", Request(HEAD, b"{}"), Behaviour(fail_after=2), 9)
    said = oracle_chat.reply(failing, {"apiFormat": "GENERIC", "messages": []}, 1_800_000_000.0)
    *_, last = decoded(OracleProvider("xai.grok-4", COMPARTMENT).stream_decoder(), list(said.events()))
    assert isinstance(last, Failed)
    assert isinstance(last.error, UpstreamError)


@pytest.mark.parametrize(
    ("model", "api_format"),
    [
        ("meta.llama-3.3-70b-instruct", "GENERIC"),
        ("google.gemini-2.5-pro", "GENERIC"),
        ("openai.gpt-oss-120b", "GENERIC"),
        ("ocid1.generativeaimodel.oc1.us-chicago-1.aaaa", "GENERIC"),
        ("cohere.command-r-08-2024", "COHERE"),
        ("cohere.command-r-plus-08-2024", "COHERE"),
        ("cohere.command-light", "COHERE"),
        ("cohere.command", "COHERE"),
        ("cohere.command-a-03-2025", "COHEREV2"),
        ("cohere.command-a-vision-07-2025", "COHEREV2"),
        ("cohere.command-b", "COHEREV2"),
        ("cohere.north-1", "COHEREV2"),
    ],
)
def test_the_model_tells_the_format(model, api_format):
    codec = OracleProvider(model, COMPARTMENT)
    told = json.loads(codec.render_request(CASES["text"].request).body)
    assert codec.api_format == told["chatRequest"]["apiFormat"] == api_format
    assert complete(codec.table)


def test_a_dedicated_endpoint_serves_in_place_of_the_model():
    codec = OracleProvider("cohere.command-r-08-2024", COMPARTMENT, dedicated_endpoint="ocid1.generativeaiendpoint.x")
    told = json.loads(codec.render_request(CASES["text"].request).body)
    assert told["servingMode"] == {"servingType": "DEDICATED", "endpointId": "ocid1.generativeaiendpoint.x"}
    assert told["chatRequest"]["apiFormat"] == "COHERE"
    emulated_chat(told)


def test_what_is_left_out_is_told_and_refused_where_the_instance_is_strict():
    request = asked(user("Hi"), parameters={Word.USER: "u1", Word.SEED: 1}, unknown=("moderation",))
    codec = OracleProvider("xai.grok-4", COMPARTMENT)
    asked_for = codec.render_request(request)
    assert asked_for.dropped == ("user", "moderation")
    assert json.loads(asked_for.body)["chatRequest"]["seed"] == 1
    with pytest.raises(UnsupportedParameter) as caught:
        codec.render_request(request, strict=True)
    assert caught.value.param == "user"


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("xai.grok-4", {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "4"}], "reasoningContent": "2+2"}),
        (
            "cohere.command-a-reasoning-08-2025",
            {
                "role": "ASSISTANT",
                "content": [{"type": "THINKING", "thinking": "2+2"}, {"type": "TEXT", "text": "4"}],
            },
        ),
    ],
)
def test_thinking_goes_back_to_where_it_came_from(model, sent):
    own = asked(user("2+2?"), Message("assistant", (Thinking("2+2"), Text("4"))), user("Sure?"))
    asked_for = OracleProvider(model, COMPARTMENT).render_request(own)
    assert json.loads(asked_for.body)["chatRequest"]["messages"][1] == sent
    assert asked_for.dropped == ()


def test_what_another_family_signed_is_left_out_and_told():
    asked_for = OracleProvider("xai.grok-4", COMPARTMENT).render_request(CASES["thinking back"].request)
    assert asked_for.dropped == ("thinking of earlier turns",)
    assert b"Two and two" not in asked_for.body


def test_an_answer_that_tells_of_a_failure_is_one():
    answer = {"apiFormat": "COHERE", "text": "", "finishReason": "ERROR_LIMIT", "errorMessage": "too long"}
    codec = OracleProvider("cohere.command-r-08-2024", COMPARTMENT)
    with pytest.raises(UpstreamError, match="too long"):
        codec.parse_response(json.dumps({"modelId": "m", "modelVersion": "1", "chatResponse": answer}).encode())


@pytest.mark.parametrize("golden", GOLDENS, ids=ids)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"chatResponse": null}',
        b'{"chatResponse": []}',
        b'{"chatResponse": {}}',
        b'{"chatResponse": {"choices": [{"index": 0}], "text": "", "message": {"content": []}}}',
        b'{"chatResponse": {"choices": [], "message": 1, "text": 2}}',
        b'{"chatResponse": {"choices": [{}], "text": {}}}',
        b'{"chatResponse": ' + b"[" * 100_000,
    ],
    ids=lambda body: body[:40].decode(),
)
def test_what_is_no_answer_is_broken(golden, body):
    with pytest.raises(BrokenAnswer, match="Oracle's answer is broken"):
        golden.provider.parse_response(body)


MUTATIONS = st.tuples(
    st.integers(0, 2**16), st.sampled_from([b"null", b"1", b'"x"', b"[]", b"{}", b"true", b"\xff", b""])
)


@settings(max_examples=150, deadline=None)
@given(pair=st.sampled_from(each(answered=True)), mutation=MUTATIONS)
def test_mutilated_answers_are_answers_or_broken(pair, mutation):
    golden, case = pair
    body = _mutilated(golden.text_of(case, "response.json"), mutation)
    with suppress(BrokenAnswer, UpstreamError):
        assert isinstance(golden.provider.parse_response(body), ChatResponse)


@settings(max_examples=150, deadline=None)
@given(pair=st.sampled_from(each(answered=True)), mutation=MUTATIONS, cut=st.integers(0, 2**16))
def test_mutilated_streams_fail_once_and_stay_deaf(pair, mutation, cut):
    golden, case = pair
    body = _mutilated(golden.text_of(case, "stream"), mutation)
    cut %= len(body) + 1
    events = decoded(golden.provider.stream_decoder(), [body[:cut], body[cut:]])
    failures = [place for place, event in enumerate(events) if isinstance(event, Failed)]
    assert failures in ([], [len(events) - 1])
    collect(events)


@settings(max_examples=50, deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_any_refusal_is_an_error_of_the_provider(status, body):
    assert isinstance(GOLDENS[0].provider.parse_error(status, Headers(), body), UpstreamError)


def _mutilated(body: bytes, mutation: tuple[int, bytes]) -> bytes:
    """One value, or one byte, replaced."""
    place, value = mutation
    place %= len(body)
    end = min([found for mark in b",}]\n" if (found := body.find(bytes([mark]), place)) >= 0], default=len(body))
    start = max(body.rfind(bytes([mark]), 0, place) for mark in b":[,{")
    return body[: start + 1] + value + body[end:]


def test_a_hundred_events_take_a_few_milliseconds_at_most():
    chunk = (
        b'data: {"index":0,"message":{"role":"ASSISTANT","content":[{"type":"TEXT","text":"token "}]},"pad":"aaaa"}\n\n'
    )
    end = b'data: {"message":{"role":"ASSISTANT"},"finishReason":"stop"}\n\n'
    best = min(_seconds([chunk] * 100 + [end]) for _ in range(5))
    assert best < 0.01


def _seconds(pieces: list[bytes]) -> float:
    decoder = OracleProvider("xai.grok-4", COMPARTMENT).stream_decoder()
    begun = time.perf_counter()
    events = decoded(decoder, pieces)
    assert len(events) == 102
    return time.perf_counter() - begun


def test_reasoning_that_is_left_to_the_model_is_not_spoken_of():
    request = replace(CASES["text"].request, reasoning=Reasoning())
    told = json.loads(OracleProvider("xai.grok-4", COMPARTMENT).render_request(request).body)["chatRequest"]
    assert told == json.loads(GOLDENS[0].text_of("text", "request.json"))["chatRequest"]
