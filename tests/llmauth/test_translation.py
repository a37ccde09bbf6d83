"""A chat between two formats: whole, streamed in any pieces, failing at any moment; never complete when it is not."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.chat.events import Finished, Started, TextDelta
from llmauth.chat.messages import ChatRequest, Finish, Message, Text, Tool, ToolCall
from llmauth.chat.words import Word
from llmauth.codecs.anthropic.codec import MESSAGES, AnthropicProvider
from llmauth.codecs.base import Answering
from llmauth.codecs.openai.codec import CHAT
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.responses.codec import RESPONSES
from llmauth.errors import BrokenAnswer, InternalError, UnsupportedParameter, UpstreamError, UpstreamUnreachable
from llmauth.http import Headers
from llmauth.translation import begin

LOOK_UP = Tool("look_up", "", {"type": "object", "properties": {}})
# The last words of a complete stream: none of them may follow a failure.
ENDS = (b"[DONE]", b"message_stop", b"response.completed")
PROMPT = "what the client asked"
CLIENTS = [pytest.param(one, id=one.name) for one in (CHAT, RESPONSES, MESSAGES)]


def request(**more):
    return ChatRequest(model="llama", messages=(Message("user", (Text("hi"),)),), **more)


def translation(client=MESSAGES, provider=None, asked=None, **more):
    asked = asked or request(stream=True)
    answering = Answering(id="a1", created=1, model="the-client's-name", request=asked)
    return begin(client, provider or OpenAIProvider("llama"), asked, answering, strict=False, **more)


def chunk(choices, **more):
    return b"data: " + json.dumps({"id": "c", "model": "llama-70b", "choices": choices, **more}).encode() + b"\n\n"


def delta(finish=None, **fields):
    return chunk([{"index": 0, "delta": fields, "finish_reason": finish}])


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
TEXT = [delta(role="assistant", content="Grü"), delta(content="ße"), delta("stop")]
USAGE = chunk([], usage={"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14})
DONE = b"data: [DONE]\n\n"
WHOLE = b"".join([*TEXT, USAGE, DONE])


def run(stream, *pieces):
    return b"".join(map(stream.feed, pieces))


def test_the_client_hears_its_own_protocol_and_its_own_name_of_the_model():
    stream = translation().stream()
    told = (run(stream, WHOLE) + stream.close()).decode()
    assert "event: message_start" in told
    assert '"model":"the-client\'s-name"' in told
    assert "llama" not in told
    assert told.rstrip().endswith('data: {"type":"message_stop"}')
    assert stream.failure is None
    assert (stream.usage.prompt, stream.usage.output) == (11, 3)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_how_the_bytes_were_split_does_not_matter(cuts):
    ends = sorted({0, *cuts, len(WHOLE)})
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise(ends)]
    split, at_once = translation().stream(), translation().stream()
    assert run(split, *pieces) + split.close() == run(at_once, WHOLE) + at_once.close()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("how", ["ended early", "cut", "provider's error", "garbage"])
def test_a_stream_that_failed_is_never_complete(client, how):
    stream = translation(client).stream()
    told = run(stream, *TEXT[:2])
    if how == "cut":
        told += stream.cut(UpstreamUnreachable("The provider broke off."))
    elif how == "provider's error":
        told += stream.feed(b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n')
    elif how == "garbage":
        told += stream.feed(b"data: {not json\n\n")
    else:
        told += stream.close()
    assert stream.failure is not None
    assert b'"error"' in told
    # Whatever comes now, and however it ends, the client hears nothing more.
    late = stream.feed(WHOLE) + stream.close() + stream.cut(BrokenAnswer("late"))
    assert late == b""
    assert [end for end in ENDS if end in told] == []


def test_what_a_provider_says_of_a_failure_is_told():
    stream = translation(CHAT).stream()
    told = stream.feed(b'data: {"error": {"message": "no capacity", "type": "server_error"}}\n\n')
    assert b"no capacity" in told
    assert isinstance(stream.failure, UpstreamError)


class Broken:
    """A codec with a defect, which must not become a stream that looks well."""

    def __init__(self, fails):
        self._fails = fails

    def __getattr__(self, name):
        return getattr(MESSAGES, name)

    def stream_encoder(self, answering):
        encoder, fails = MESSAGES.stream_encoder(answering), self._fails

        class Encoder:
            def encode(self, event):
                if isinstance(event, fails):
                    raise KeyError(PROMPT)
                return encoder.encode(event)

            close = encoder.close

        return Encoder()


@pytest.mark.parametrize("fails", [TextDelta, Finished, (Started, TextDelta)])
def test_a_defect_of_ours_ends_the_stream_with_an_error_and_tells_nothing_of_it(fails, caplog):
    stream = translation(Broken(fails)).stream()
    told = run(stream, WHOLE) + stream.close()
    assert isinstance(stream.failure, InternalError)
    assert b'"error"' in told
    assert b"message_stop" not in told
    assert PROMPT.encode() not in told
    assert "KeyError" in caplog.text
    assert PROMPT not in caplog.text


class Hasty:
    """A codec whose last words come whatever was before them."""

    def __getattr__(self, name):
        return getattr(CHAT, name)

    def stream_encoder(self, answering):
        encoder = CHAT.stream_encoder(answering)

        class Encoder:
            encode = encoder.encode

            def close(self):
                return DONE

        return Encoder()


def test_no_last_words_are_asked_for_after_a_failure():
    stream = translation(Hasty()).stream()
    assert DONE not in run(stream, *TEXT[:2]) + stream.close()
    assert translation(Hasty()).stream().close() != DONE


def test_a_defect_in_telling_of_a_failure_is_silence():
    stream = translation(Broken(object)).stream()
    assert run(stream, WHOLE) + stream.close() == b""
    assert isinstance(stream.failure, InternalError)


def test_tool_calls_are_gathered_where_tools_were_offered():
    pieces = [delta(role="assistant", tool_calls=[CALL]), delta("tool_calls"), DONE]
    stream = translation(asked=request(stream=True, tools=(LOOK_UP,))).stream()
    run(stream, *pieces)
    (choice,) = stream.thoughts.response().choices
    assert [part.id for part in choice.parts if isinstance(part, ToolCall)] == ["call_1"]
    assert translation().stream().thoughts is None


def test_a_whole_answer():
    asked = translation(CHAT, AnthropicProvider("claude-sonnet-4-5"), request())
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "max_tokens",
        "usage": {"input_tokens": 5, "output_tokens": 2},
    }
    rendered, said = asked.response(json.dumps(body).encode())
    told = json.loads(rendered)
    assert (told["object"], told["model"]) == ("chat.completion", "the-client's-name")
    assert told["choices"][0]["finish_reason"] == "length"
    assert said.choices[0].finish is Finish.LENGTH
    with pytest.raises(BrokenAnswer):
        asked.response(b"<html>")


def test_a_refusal_keeps_its_cause_and_when_to_come_again():
    told = translation(CHAT, AnthropicProvider("claude-sonnet-4-5")).error(
        429,
        Headers([(b"retry-after", b"7"), (b"set-cookie", b"a=b")]),
        b'{"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}',
    )
    assert (told.cause, told.status) == ("rate_limited", 429)
    assert "slow down" in told.message
    assert told.kept == ((b"retry-after", b"7"),)


def test_all_that_was_left_out_is_told_whoever_left_it_out():
    asked = request(parameters={Word.METADATA: {"a": "b"}}, unknown=("service",))
    assert translation(asked=asked, dropped=("seed",)).asked.dropped == ("seed", "metadata", "service")


def test_what_must_not_be_left_out_is_refused():
    with pytest.raises(UnsupportedParameter) as caught:
        translation(CHAT, AnthropicProvider("claude-sonnet-4-5"), request(parameters={Word.N: 2}))
    assert caught.value.param == "n"
