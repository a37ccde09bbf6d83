"""Streams of events: golden ones byte for byte, and every other through a client that believes nothing."""

import copy
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.chat import events as e
from llmauth.chat.collecting import collect
from llmauth.chat.messages import (
    ChatResponse,
    Choice,
    Citation,
    Finish,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from llmauth.codecs.responses.response import render
from llmauth.codecs.responses.stream import Encoder
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.responses import golden
from tests.golden.responses.order import Client, Json, followed

REQUEST = golden.CASES["one tool"].request


def encoded(*told, close=True):
    encoder = Encoder(golden.answering(REQUEST))
    data = b"".join(encoder.encode(event) for event in told)
    return data + encoder.close() if close else data


def client(*told):
    return followed(golden.parsed(encoded(*told)))


def failure(found: Client) -> tuple[Json, Json]:
    """The response as it stood in the end, and the error behind it."""
    assert found.response is not None
    assert found.error is not None
    return found.response, found.error


def whole(told):
    return json.loads(render(collect(told), golden.answering(REQUEST)))


@pytest.mark.parametrize("name", ["one tool", "thinking"])
def test_golden_streams(name):
    case = golden.CASES[name]
    encoder = Encoder(golden.answering(case.request))
    data = b"".join(encoder.encode(event) for event in golden.streamed(case.response)) + encoder.close()
    found = [{**event, "response": "…"} if "response" in event else event for event in golden.parsed(data)]
    expected = (golden.FOLDER / f"{name.replace(' ', '_')}.stream").read_bytes()
    assert found == golden.parsed(expected)


@pytest.mark.parametrize("name", golden.CASES)
def test_a_stream_comes_to_the_same_as_a_whole_answer(name):
    case = golden.CASES[name]
    encoder = Encoder(golden.answering(case.request))
    data = b"".join(encoder.encode(event) for event in golden.streamed(case.response)) + encoder.close()
    expected = json.loads(render(case.response, golden.answering(case.request)))
    assert followed(golden.parsed(data)).response == expected


def _whole_stream(name):
    case = golden.CASES[name]
    encoder = Encoder(golden.answering(case.request))
    told = [encoder.encode(event) for event in golden.streamed(case.response)]
    return golden.parsed(b"".join(told) + encoder.close())


def _renumbered(told):
    return [{**event, "sequence_number": number} for number, event in enumerate(told)]


@pytest.mark.parametrize("name", ["one tool", "thinking", "refusal"])
def test_the_client_notices_what_is_missing_doubled_or_too_early(name):
    """The judge of all other tests here: a stream without any one of its events, or with two in another order."""
    good = _whole_stream(name)
    followed(copy.deepcopy(good))
    for place in range(len(good)):
        for bad in (
            good[:place] + good[place + 1 :],
            good[: place + 1] + good[place:],
            good[:place] + good[place : place + 2][::-1] + good[place + 2 :],
        ):
            if bad != good:
                with pytest.raises((AssertionError, LookupError)):
                    followed(copy.deepcopy(_renumbered(bad)))


def test_begins_with_the_first_event_whatever_it_is():
    assert golden.parsed(encoded(e.UsageTold(Usage()), close=False))[0]["type"] == "response.created"


def test_usage_is_waited_for():
    before = encoded(e.TextDelta("a"), e.Finished(Finish.STOP), close=False)
    assert b"response.output_item.done" in before, "the item itself does not wait"
    assert b"response.completed" not in before
    found = client(e.TextDelta("a"), e.UsageTold(Usage(input=1)), e.Finished(Finish.STOP), e.UsageTold(Usage(input=3)))
    assert golden.usage(found.response) == Usage(input=3)


def test_arguments_that_interleave():
    found = client(
        e.CallStarted(0, "a", "f"),
        e.ArgumentsDelta(0, '{"x":'),
        e.CallStarted(1, "b", "g"),
        e.ArgumentsDelta(1, '{"y":'),
        e.ArgumentsDelta(0, "1}"),
        e.ArgumentsDelta(1, "2}"),
        e.Finished(Finish.TOOL_CALLS),
    )
    assert golden.content(found.response)[0] == (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}'))


def test_a_call_is_done_as_soon_as_it_is_complete_and_another_begins():
    """A client may run it while the model asks for the next."""
    data = encoded(e.CallStarted(0, "a", "f"), e.ArgumentsDelta(0, '{"x":1}'), e.CallStarted(1, "b", "g"), close=False)
    kinds = [event["type"] for event in golden.parsed(data)]
    assert kinds[-2:] == ["response.output_item.done", "response.output_item.added"]


def test_going_to_and_fro_beside_an_open_call_costs_no_more():
    """A provider could make us look through one long call as often as it likes."""
    long = e.ArgumentsDelta(0, '{"x":"' + "y" * 500_000 + '"}}')
    turns: list[e.Event] = [e.TextDelta("a"), e.ThinkingDelta("b")] * 500
    encoder = Encoder(golden.answering(REQUEST))
    begun = time.process_time()
    for event in (e.CallStarted(0, "a", "f"), long, *turns):
        encoder.encode(event)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("late", ["  ", ""])
def test_blanks_behind_a_call_change_nothing(late):
    found = client(
        e.CallStarted(0, "a", "f"),
        e.ArgumentsDelta(0, "{}"),
        e.CallStarted(1, "b", "g"),
        e.ArgumentsDelta(0, late),
        e.Finished(Finish.TOOL_CALLS),
    )
    assert [item["arguments"] for item in found.output] == ["{}", "{}"]


@pytest.mark.parametrize(
    "told",
    [
        (e.CallStarted(0, "a", "f"), e.ArgumentsDelta(0, "{}"), e.TextDelta("x"), e.ArgumentsDelta(0, "{}")),
        (e.TextDelta("x"), e.ArgumentsDelta(3, "{}")),
        (e.TextDelta("x"),),
        (),
    ],
    ids=["more than one object", "a call that never began", "no end", "nothing"],
)
def test_what_is_broken_never_looks_complete(told):
    response, error = failure(client(*told))
    assert response["status"] == "failed"
    assert error["error"]["code"] == "provider_answer_broken"


def test_a_failure_is_told_twice_and_nothing_follows():
    encoder = Encoder(golden.answering(REQUEST))
    failed = e.Failed(UpstreamError("Too busy.", cause="overloaded"))
    data = encoder.encode(e.TextDelta("He")) + encoder.encode(e.CallStarted(0, "a", "f")) + encoder.encode(failed)
    response, error = failure(followed(golden.parsed(data)))
    assert response["error"] == {"code": "server_error", "message": "Too busy."}
    assert error["error"]["code"] == "overloaded"
    assert [item["type"] for item in response["output"]] == ["message"], "half a call is no call"
    assert encoder.encode(e.TextDelta("llo")) == b""
    assert encoder.encode(failed) == b""
    assert encoder.close() == b""
    assert b"[DONE]" not in data
    assert b"response.completed" not in data


def test_a_failure_may_come_first():
    assert client(e.Failed(BrokenAnswer("m"))).response["status"] == "failed"


def test_the_end_is_told_once():
    encoder = Encoder(golden.answering(REQUEST))
    encoder.encode(e.Finished(Finish.STOP))
    assert encoder.close()
    assert encoder.close() == b""


@pytest.mark.parametrize("finish", [Finish.LENGTH, Finish.CONTENT_FILTER])
def test_incomplete_answers(finish):
    told = (e.TextDelta("a"), e.CallStarted(0, "c", "f"), e.ArgumentsDelta(0, '{"x'), e.Finished(finish))
    found = client(*told)
    assert found.response == whole(told)
    assert [item["status"] for item in found.output] == ["completed", "incomplete"]


def test_refusals():
    told = (e.RefusalDelta("No"), e.RefusalDelta("."), e.Finished(Finish.REFUSAL))
    assert golden.content(client(*told).response) == ((Refusal("No."),), Finish.REFUSAL)


def test_an_answer_without_a_word_is_one_empty_message():
    told = (e.Started(), e.TextDelta(""), e.ThinkingDelta(""), e.Finished(Finish.STOP))
    found = client(*told)
    assert found.response["output"] == whole(told)["output"]
    assert client(e.Finished(Finish.CONTENT_FILTER)).response["output"] == []


def test_signatures_end_their_thought():
    signature = Signature("anthropic", "a")
    found = client(
        e.ThinkingDelta("one"),
        e.ThinkingSigned(signature),
        e.ThinkingDelta("two"),
        e.RedactedThinking(signature),
        e.ThinkingSigned(signature),
        e.TextSigned(signature),
        e.TextDelta("x"),
        e.Finished(Finish.STOP),
    )
    assert golden.content(found.response)[0] == (
        Thinking("one", signature),
        Thinking("two"),
        Redacted(signature),
        Thinking("", signature),
        Text("x"),
    )


def test_sources_belong_to_the_text_so_far():
    found = client(
        e.Cited(Citation("https://none.example")),
        e.TextDelta("abc"),
        e.Cited(Citation("https://e.com", "E")),
        e.TextDelta("def"),
        e.Cited(Citation("https://f.com", "F", 1, 2)),
        e.Finished(Finish.STOP),
    )
    assert golden.content(found.response)[0] == (
        Text("abcdef", citations=(Citation("https://e.com", "E", 0, 3), Citation("https://f.com", "F", 1, 2))),
    )


@pytest.mark.parametrize("first", [True, False])
def test_log_probabilities_before_and_behind_their_words(first):
    entry = {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -1, "bytes": [98]}],
    }
    pair = (e.LogprobsDelta((entry,)), e.TextDelta("a"))
    found = client(*(pair if first else pair[::-1]), e.Finished(Finish.STOP))
    assert found.output[0]["content"][0]["logprobs"] == [entry]


def test_log_probabilities_without_words_are_left_out():
    found = client(
        e.CallStarted(0, "a", "f"), e.LogprobsDelta(({"token": "a", "logprob": 0},)), e.Finished(Finish.STOP)
    )
    assert [item["type"] for item in found.output] == ["function_call"]


def test_one_answer_has_a_place():
    found = client(
        e.TextDelta("a"), e.TextDelta("b", choice=1), e.Finished(Finish.STOP), e.Finished(Finish.LENGTH, choice=1)
    )
    assert golden.content(found.response) == ((Text("a"),), Finish.STOP)


def test_any_text_is_one_line():
    odd = "\ud800\u2028\x85\r\n\x00 ü 😀"
    found = client(e.TextDelta(odd), e.Finished(Finish.STOP))
    assert golden.content(found.response)[0] == (Text(odd),)


_TEXT = st.text(max_size=6)
_MARK = st.builds(Signature, st.sampled_from(["anthropic", "gemini", "openai"]), st.text(min_size=1, max_size=6))
_EVENT = st.one_of(
    st.builds(e.TextDelta, _TEXT),
    st.builds(e.ThinkingDelta, _TEXT),
    st.builds(e.RefusalDelta, _TEXT),
    st.builds(e.ThinkingSigned, _MARK),
    st.builds(e.RedactedThinking, _MARK),
    st.builds(e.TextSigned, _MARK),
    st.builds(e.Cited, st.builds(Citation, _TEXT)),
    st.builds(e.CallStarted, st.integers(0, 3), _TEXT, _TEXT),
    st.builds(e.ArgumentsDelta, st.integers(0, 3), st.sampled_from(["{", "}", '"a":1', "{}", " ", ""])),
    st.builds(e.LogprobsDelta, st.tuples(st.sampled_from([{"token": "a", "logprob": 0.5, "top_logprobs": []}, 5]))),
    st.builds(e.UsageTold, st.builds(Usage, input=st.integers(0, 9), output=st.integers(0, 9))),
    st.builds(e.Finished, st.sampled_from(Finish)),
    st.just(e.Failed(BrokenAnswer("m"))),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_EVENT, max_size=15))
def test_whatever_happens_the_stream_is_in_order(told):
    """Also for events in an order that no decoder should give."""
    client(*told)


_PART = st.one_of(
    st.builds(Text, st.text(min_size=2, max_size=9)),
    st.builds(Refusal, st.text(min_size=2, max_size=9)),
    st.builds(Thinking, st.text(min_size=2, max_size=9), _MARK),
    st.builds(Redacted, _MARK),
    st.builds(ToolCall, _TEXT, _TEXT, st.sampled_from(['{"a": 1}', "{}", '{"b": [2]}'])),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_PART, min_size=1, max_size=6), st.sampled_from(Finish))
def test_stream_and_whole_answer_say_the_same(parts, finish):
    told = list(golden.streamed(_response(parts, finish)))
    assert client(*told).response == whole(told)


def _response(parts, finish):
    return ChatResponse(id="", model="", choices=(Choice(parts=tuple(parts), finish=finish),), usage=Usage(input=1))


def test_a_hundred_words_cost_little():
    """Generous: it takes a fifth of a millisecond."""
    told = [e.Started(), *[e.TextDelta("hello ")] * 100, e.Finished(Finish.STOP)]
    encoded(*told)
    begun = time.process_time()
    for _ in range(20):
        encoded(*told)
    assert (time.process_time() - begun) / 20 < 0.005
