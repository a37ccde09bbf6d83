"""watsonx's codec as a whole: golden cases there and back, whose call it is, and hostile answers."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat.collecting import collect
from llmauth.chat.events import Failed
from llmauth.chat.messages import ChatResponse, Message, Reasoning, Text, Tool, ToolCall
from llmauth.chat.words import Word
from llmauth.codecs.watsonx.codec import WatsonxProvider
from llmauth.demo import watsonx as emulated
from llmauth.demo import watsonx_chat, watsonx_shapes
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulator import Call, Setting
from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.iam import Tokens
from llmauth.errors import BrokenAnswer, UnsupportedParameter, UpstreamError
from llmauth.http import Headers
from tests.golden.cases import asked, user
from tests.golden.streams import decoded, same_under_every_split
from tests.llmauth.codecs.watsonx.goldens import (
    ALL,
    ANSWERED,
    CASES,
    FOLDER,
    MODEL,
    REFUSED,
    expected,
    provider,
    text_of,
)

HEAD = parse_head(b"POST /ml/v1/text/chat HTTP/1.1\r\nHost: x\r\n\r\n")


def test_there_is_a_golden_of_every_case_that_can_be_said():
    told = {path.name for path in FOLDER.iterdir()}
    requests = {f"{case.replace(' ', '_')}.request.json" for case in CASES}
    answers = {f"{case.replace(' ', '_')}.{kind}" for case in ANSWERED for kind in ("response.json", "stream")}
    assert told == requests | answers


@pytest.mark.parametrize("case", CASES)
def test_the_request_is_the_golden_one_streamed_or_not(case):
    golden = json.loads(text_of(case, "request.json"))
    assert json.loads(provider().render_request(ALL[case].request).body) == golden
    assert json.loads(provider().render_request(ALL[case].streamed).body) == golden


@pytest.mark.parametrize("case", ANSWERED)
def test_the_golden_answer_is_the_response(case):
    assert provider().parse_response(text_of(case, "response.json")) == expected(case)


@pytest.mark.parametrize("case", ANSWERED)
def test_the_golden_stream_is_the_response_however_it_is_split(case):
    assert collect(same_under_every_split(provider().stream_decoder, text_of(case, "stream"))) == expected(case)


@pytest.mark.parametrize(("case", "word"), REFUSED.items())
def test_what_cannot_be_said_is_refused_by_name(case, word):
    with pytest.raises(UnsupportedParameter, match="not supported by watsonx") as caught:
        provider().render_request(ALL[case].request)
    assert caught.value.param == word


@pytest.mark.parametrize("case", CASES)
def test_the_emulated_watsonx_accepts_what_we_send(case):
    body = json.loads(provider().render_request(ALL[case].request).body)
    watsonx_shapes.chat(body)
    watsonx_shapes.require_scope(body)
    emulated._require_model(body["model_id"], "text_chat")
    watsonx_shapes.check_choice(body)


@pytest.fixture(scope="module")
def server() -> emulated.Watsonx:
    """Its credentials have a key of RSA, which takes too long to be made for every case."""
    setting = Setting(credentials=DemoCredentials.random(), wall=lambda: 1_800_000_000.0)
    return emulated.Watsonx(setting, Tokens(setting.wall), "us-south")


def emulation(server: emulated.Watsonx, case: str, behaviour: Behaviour) -> tuple[bytes, list[bytes]]:
    """What the emulated watsonx answers to a golden request, whole and in pieces."""
    body = json.loads(provider().render_request(ALL[case].request).body)
    call = Call("x", Request(HEAD, b"{}"), behaviour, 9)
    chunks = server._chunks(call, body, watsonx_chat.speak(call, body))
    return json.dumps(server._whole(call, body)).encode(), list(emulated._numbered(chunks))


@pytest.mark.parametrize("case", CASES)
def test_the_emulated_watsonx_says_the_same_whole_and_streamed(server, case):
    body, pieces = emulation(server, case, Behaviour())
    whole = provider().parse_response(body)
    streamed = collect(decoded(provider().stream_decoder(), pieces))
    assert streamed.model == whole.model == MODEL
    assert without_ids(streamed) == without_ids(whole)
    assert streamed.usage == whole.usage


def without_ids(response: ChatResponse) -> list[object]:
    """The emulated watsonx gives its calls other ids each time."""
    parts = (part for choice in response.choices for part in choice.parts)
    told = [replace(part, id="") if isinstance(part, ToolCall) else part for part in parts]
    return [*told, *(choice.finish for choice in response.choices)]


def test_a_stream_that_the_emulated_watsonx_breaks_off_failed(server):
    _, pieces = emulation(server, "text", Behaviour(fail_after=2))
    *_, last = decoded(provider().stream_decoder(), pieces)
    assert isinstance(last, Failed)
    assert isinstance(last.error, UpstreamError)
    assert last.error.message == "The stream failed."


def test_a_call_is_a_projects_or_a_spaces():
    told = json.loads(WatsonxProvider("m", space_id="s").render_request(ALL["text"].request).body)
    assert told == {"model_id": "m", "space_id": "s", "messages": [{"role": "user", "content": "Say hello."}]}
    assert "project_id" not in json.loads(WatsonxProvider("m").render_request(ALL["text"].request).body)
    with pytest.raises(ValueError, match="not to both"):
        WatsonxProvider("m", "p", "s")


@pytest.mark.parametrize(
    ("reasoning", "told"),
    [
        (Reasoning("none"), {"include_reasoning": False}),
        (Reasoning("minimal"), {"reasoning_effort": "low"}),
        (Reasoning("xhigh"), {"reasoning_effort": "high"}),
        (Reasoning("max"), {"reasoning_effort": "high"}),
        (Reasoning("low", shown=False), {"reasoning_effort": "low", "include_reasoning": False}),
        (Reasoning(budget=30_000), {"reasoning_effort": "high"}),
        (Reasoning(budget=1024, shown=True), {"reasoning_effort": "low"}),
        (Reasoning(), {}),
    ],
)
def test_effort(reasoning, told):
    body = json.loads(provider().render_request(asked(user("Hi"), reasoning=reasoning)).body)
    assert {name: body[name] for name in ("reasoning_effort", "include_reasoning") if name in body} == told
    watsonx_shapes.chat(body)


def test_what_is_left_out_is_told_and_refused_where_the_instance_is_strict():
    strict = Tool("f", schema={"type": "object", "additionalProperties": False}, strict=True)
    request = asked(user("Hi"), tools=(strict,), parameters={Word.USER: "u1", Word.SEED: 1}, unknown=("x",))
    asked_for = provider().render_request(request)
    assert asked_for.dropped == ("user", "strict", "x")
    assert json.loads(asked_for.body)["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    ]
    with pytest.raises(UnsupportedParameter):
        provider().render_request(request, strict=True)


def test_several_texts_are_one_but_in_the_users_turn():
    parts = (Text("A."), Text("B."))
    turns = (Message("developer", parts), Message("user", parts), Message("assistant", parts), user("?"))
    told = json.loads(provider().render_request(asked(*turns)).body)["messages"]
    assert told[0] == {"role": "system", "content": "A.\n\nB."}
    assert told[1]["content"] == [{"type": "text", "text": "A."}, {"type": "text", "text": "B."}]
    assert told[2]["content"] == "A.\n\nB."


@pytest.mark.parametrize("reason", ["error", "cancelled"])
def test_an_answer_that_was_stopped_is_a_failure(reason):
    body = text_of("text", "response.json").replace(b'"stop"', f'"{reason}"'.encode())
    with pytest.raises(UpstreamError, match="stopped before"):
        provider().parse_response(body)


def test_errors_with_status_200_are_errors():
    with pytest.raises(UpstreamError, match="too fast") as caught:
        provider().parse_response(b'{"errors":[{"code":"rate_limit_reached_requests","message":"too fast"}]}')
    assert caught.value.cause == "rate_limited"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{"message":5}]}'])
def test_what_is_no_answer_is_broken(body):
    with pytest.raises(BrokenAnswer, match="watsonx"):
        provider().parse_response(body)


MUTATIONS = st.tuples(
    st.integers(0, 2**16), st.sampled_from([b"null", b"1", b'"x"', b"[]", b"{}", b"true", b"\xff", b""])
)


@settings(max_examples=100, deadline=None)
@given(case=st.sampled_from(ANSWERED), mutation=MUTATIONS)
def test_mutilated_answers_are_answers_or_broken(case, mutation):
    with suppress(BrokenAnswer, UpstreamError):
        assert isinstance(provider().parse_response(_mutilated(text_of(case, "response.json"), mutation)), ChatResponse)


@settings(max_examples=100, deadline=None)
@given(case=st.sampled_from(ANSWERED), mutation=MUTATIONS, cut=st.integers(0, 2**16))
def test_mutilated_streams_fail_once_and_stay_deaf(case, mutation, cut):
    body = _mutilated(text_of(case, "stream"), mutation)
    cut %= len(body) + 1
    events = decoded(provider().stream_decoder(), [body[:cut], body[cut:]])
    failures = [place for place, event in enumerate(events) if isinstance(event, Failed)]
    assert failures in ([], [len(events) - 1])
    collect(events)


def _mutilated(body: bytes, mutation: tuple[int, bytes]) -> bytes:
    """One value, or what stands between two marks, replaced."""
    place, value = mutation
    place %= len(body)
    end = min([found for mark in b",}]\n" if (found := body.find(bytes([mark]), place)) >= 0], default=len(body))
    start = max(body.rfind(bytes([mark]), 0, place) for mark in b":[,{")
    return body[: start + 1] + value + body[end:]


@settings(max_examples=50, deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_any_refusal_is_an_error_of_the_provider(status, body):
    assert isinstance(provider().parse_error(status, Headers(), body), UpstreamError)
