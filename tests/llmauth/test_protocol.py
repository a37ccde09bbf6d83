"""A request of protocol mode made ready: what passes byte for byte, what is written anew, and what never leaves."""

import json

import pytest

from llmauth import providers
from llmauth.chat.messages import Signature, Text, Thinking, ToolCall
from llmauth.chat.thoughts import Thoughts
from llmauth.chat.transforming import Transformation
from llmauth.chat.words import Word
from llmauth.clock import ManualClock
from llmauth.context import ProtocolRoute, Target, TransparentRoute
from llmauth.errors import BadRequest, MethodNotAllowed, NotFound, UnsupportedParameter
from llmauth.http import Door, Headers, Request, Url
from llmauth.protocol import Preparation, answered, asking, prepare
from llmauth.storage.key_text import PREFIX

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-pro-v1:0"
HELLO = [{"role": "user", "content": "hi"}]
FIELDS = (
    (b"Host", b"gateway"),
    (b"User-Agent", b"house/1"),
    (b"traceparent", b"00-1-2-01"),
    (b"Cookie", b"session=1"),
    (b"X-Stainless-Lang", b"python"),
    (b"OpenAI-Organization", b"org-of-the-client"),
    (b"anthropic-beta", b"of-the-client"),
    (b"Accept-Encoding", b"gzip"),
    (b"Content-Length", b"1"),
    (b"Digest", b"x"),
)


def handler(kind, **options):
    return providers.build("house", providers.options_model(kind)(type=kind, **options))


def request(body, method="POST", fields=FIELDS):
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = Url("http", "gateway", 80, "/v1/chat/completions")
    return Request(method=method, url=url, headers=Headers(fields), door=Door.GATEWAY, body=sent)


def chat(**more):
    return {"model": "fast", "messages": HELLO, **more}


def by(handler, model, operation="chat", **more):
    held = {
        "route": ProtocolRoute(protocol="openai", operation=operation, path="/v1/x"),
        "target": Target(instance="house", provider=handler.provider, model=model),
        "handler": handler,
        "stream": False,
        "id": "abc",
        "created": 1,
        "owner": "alice",
        "transformation": None,
        "thoughts": Thoughts(ManualClock()),
    }
    return Preparation(**{**held, **more})


def asked(body, **more):
    return asking(ProtocolRoute(protocol="openai", operation="chat", path="/v1/x"), request(body, **more))


# What is asked for


def test_model_and_stream_are_read():
    found = asked({"model": "gpt-4o", "stream": True})
    assert (found.model, found.stream) == ("gpt-4o", True)
    assert asked({"model": "gpt-4o", "stream": None}).stream is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model": ""}',
        b'{"model": 1}',
        b'{"model": "a", "model": "b"}',
        b'{"model": "a", "stream": 1}',
    ],
)
def test_a_body_that_names_no_one_model_is_refused(body):
    with pytest.raises(BadRequest):
        asked(body)


def test_only_a_post_asks():
    with pytest.raises(MethodNotAllowed):
        asked({"model": "a"}, method="GET")


def test_a_packed_body_is_refused_and_not_guessed_at():
    with pytest.raises(BadRequest, match="gzip"):
        asked({"model": "a"}, fields=((b"Content-Encoding", b"gzip"),))


def test_a_key_in_the_place_of_a_model_is_refused_and_not_repeated():
    """R1: the model is logged and sent on."""
    with pytest.raises(BadRequest) as caught:
        asked({"model": f"openai/{PREFIX}secret"})
    assert PREFIX not in caught.value.sentence


# What passes


def test_where_the_provider_speaks_the_protocol_only_the_model_changes():
    body = b'{"model": "fast",  "messages": [], "unheard_of": 1.0}'
    prepared = prepare(request(body), by(handler("openai"), "gpt-4o"))
    assert prepared.request.body == body.replace(b'"fast"', b'"gpt-4o"')
    assert prepared.route == TransparentRoute(instance="house", path="/v1/chat/completions", native=False)
    assert prepared.passes
    names = [name.lower() for name, _ in prepared.request.headers.fields]
    assert b"openai-organization" in names
    assert b"accept-encoding" in names
    assert not {b"content-length", b"digest"} & set(names)


def test_claude_on_bedrock_is_given_anthropic_s_own_body():
    body = {"model": "claude", "max_tokens": 9, "messages": HELLO, "stream": True, "top_k": 3}
    prepared = prepare(request(body), by(handler("bedrock"), CLAUDE, "messages", stream=True))
    assert prepared.route.path == f"/model/{CLAUDE.replace(':', '%3A')}/invoke-with-response-stream"
    sent = json.loads(prepared.request.body)
    assert (sent["top_k"], sent["messages"], sent["anthropic_version"]) == (3, HELLO, "bedrock-2023-05-31")
    assert "model" not in sent
    # Its frames are taken off here, so they must not be packed.
    assert prepared.request.headers.get("accept-encoding") is None
    assert prepared.passes


# What is translated


def test_a_translated_request_is_written_anew_head_and_body():
    """S9: of what the client wrote, a provider that it did not mean learns who calls and nothing else."""
    prepared = prepare(request(chat(max_tokens=7)), by(handler("bedrock"), NOVA))
    assert prepared.route.path == "/model/amazon.nova-pro-v1%3A0/converse"
    assert json.loads(prepared.request.body) == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 7},
    }
    assert {name.lower(): value for name, value in prepared.request.headers.fields} == {
        b"user-agent": b"house/1",
        b"traceparent": b"00-1-2-01",
        b"content-type": b"application/json",
        b"accept": b"application/json",
        b"accept-encoding": b"identity",
    }
    assert not prepared.passes


def test_a_stream_is_asked_for_at_its_own_place():
    prepared = prepare(request(chat(stream=True)), by(handler("bedrock"), NOVA, stream=True))
    assert prepared.route.path.endswith("/converse-stream")
    assert prepared.request.headers.get("accept") == "text/event-stream, application/vnd.amazon.eventstream"


def test_the_client_is_answered_by_its_own_name_of_the_model():
    translation = prepare(request(chat()), by(handler("bedrock"), NOVA)).translation
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    }
    told = json.loads(translation.response(json.dumps(answer).encode())[0])
    assert told["model"] == "fast"
    assert "abc" in told["id"]


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("chat", chat()),
        ("responses", {"model": "fast", "input": "hi"}),
        ("messages", {"model": "fast", "max_tokens": 5, "messages": HELLO}),
    ],
)
def test_every_client_protocol_becomes_the_same_question(operation, body):
    sent = json.loads(prepare(request(body), by(handler("bedrock"), NOVA, operation)).request.body)
    assert sent["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]


def test_what_the_provider_has_no_word_for_is_told_and_in_strict_mode_refused():
    prepared = prepare(request(chat(seed=1, unheard_of=2)), by(handler("bedrock"), NOVA))
    assert prepared.dropped == ("seed", "unheard_of")
    with pytest.raises(UnsupportedParameter) as caught:
        prepare(request(chat(seed=1)), by(handler("bedrock", strict=True), NOVA))
    assert caught.value.param == "seed"


def test_what_would_mean_something_else_is_refused_by_the_client_s_name():
    with pytest.raises(UnsupportedParameter) as caught:
        prepare(request(chat(n=2)), by(handler("bedrock"), NOVA))
    assert caught.value.param == "n"


def test_what_the_operator_wants_is_sent_and_what_not_is_told():
    wanted = Transformation(defaults={Word.MAX_TOKENS: 50, Word.TOP_P: 0.5}, drop=frozenset({Word.TEMPERATURE}))
    prepared = prepare(
        request(chat(temperature=1, max_completion_tokens=7)), by(handler("bedrock"), NOVA, transformation=wanted)
    )
    assert json.loads(prepared.request.body)["inferenceConfig"] == {"maxTokens": 7, "topP": 0.5}
    assert prepared.dropped == ("temperature",)


def test_lost_thinking_is_put_back_for_its_own_caller_alone():
    thoughts = Thoughts(ManualClock())
    thought = Thinking("why", Signature(origin="anthropic", value="c2lnbmVk"))
    thoughts.keep("alice", (thought, Text("so"), ToolCall("call_1", "look_up", "{}")))
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    messages = [
        *HELLO,
        {"role": "assistant", "content": "so", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18"},
    ]
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    body = chat(messages=messages, tools=[tool], reasoning_effort="high", max_tokens=9000)
    sent = {
        owner: prepare(request(body), by(handler("bedrock"), CLAUDE, thoughts=thoughts, owner=owner)).request.body
        for owner in ("alice", "bob")
    }
    assert b"c2lnbmVk" in sent["alice"]
    assert b"c2lnbmVk" not in sent["bob"]


# What nobody is asked


def test_what_an_instance_has_no_way_to_do_is_refused():
    with pytest.raises(NotFound, match="house"):
        prepare(request({"model": "x", "input": "hi"}), by(handler("anthropic"), "claude-sonnet-4-5", "embeddings"))


def test_tokens_are_estimated_where_no_provider_counts_them():
    body = {"model": "fast", "messages": [{"role": "user", "content": "word " * 100}]}
    ours = answered(request(body), by(handler("bedrock"), NOVA, "count_tokens"))
    assert 50 < json.loads(ours.body)["input_tokens"] < 300
    assert ours.headers.get("x-llmauth-estimate") == "true"
    assert answered(request(body), by(handler("anthropic"), "claude-sonnet-4-5", "count_tokens")) is None
    assert answered(request(chat()), by(handler("bedrock"), NOVA)) is None
