"""Messages to Messages: only what the host wants otherwise is changed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.codecs.anthropic.native import (
    BEDROCK_BETAS,
    ChunkUnwrapper,
    bedrock_betas,
    betas_in,
    for_bedrock,
    for_vertex,
)
from llmauth.demo import eventstream
from llmauth.errors import BadRequest, BrokenAnswer, UnsupportedParameter, UpstreamError
from tests.golden.streams import splits
from tests.llmauth.codecs.anthropic.golden import chunk, events, golden, in_chunks

BODY = b'{"model": "claude-opus-4-8", "max_tokens": 1.50e1,\n "messages": [{"model":"x","stream":1}], "stream": true}'
REST = b'"max_tokens": 1.50e1,\n "messages": [{"model":"x","stream":1}]'


def test_bedrock_finds_model_and_stream_in_the_path():
    assert for_bedrock(BODY) == b'{"anthropic_version":"bedrock-2023-05-31",' + REST + b"}"


def test_vertex_wants_the_stream_in_the_body():
    assert for_vertex(BODY) == b'{"anthropic_version":"vertex-2023-10-16",' + REST + b', "stream": true}'


@pytest.mark.parametrize("change", [for_bedrock, for_vertex])
def test_a_version_of_the_clients_stays(change):
    assert change(b'{"model":"m","anthropic_version":"2026-10-21"}') == b'{"anthropic_version":"2026-10-21"}'


def test_betas_that_bedrock_knows_go_into_the_body():
    betas = ("context-1m-2025-08-07", "claude-code-20250219", "advanced-tool-use-2025-11-20", "context-1m-2025-08-07")
    sent = json.loads(for_bedrock(BODY, betas))
    assert sent["anthropic_beta"] == ["context-1m-2025-08-07", "tool-search-tool-2025-10-19"]
    assert "anthropic_beta" not in json.loads(for_bedrock(BODY, ("oauth-2025-04-20",)))


def test_betas_of_the_body_stay():
    sent = for_bedrock(b'{"model":"m","anthropic_beta":["mine"]}', ("context-1m-2025-08-07",))
    assert json.loads(sent)["anthropic_beta"] == ["mine"]


def test_betas_of_headers():
    assert betas_in(["a, b", "c,,"]) == ("a", "b", "c")
    assert set(bedrock_betas(BEDROCK_BETAS)) == BEDROCK_BETAS


@pytest.mark.parametrize("change", [for_bedrock, for_vertex])
def test_a_thread_is_refused_by_us_in_words_that_the_sdk_knows(change):
    with pytest.raises(UnsupportedParameter) as refused:
        change(b'{"model":"m","thread":{"type":"create"}}')
    assert refused.value.code == "thread_unsupported_request"
    assert b"thread" in change(b'{"model":"m","thread":null}')


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":"a","model":"b"}', b'{"stream":true,"\\u0073tream":false}'])
def test_what_is_no_object_is_refused(body):
    for change in (for_bedrock, for_vertex):
        with pytest.raises(BadRequest):
            change(body)


def unwrapped(pieces):
    unwrapper = ChunkUnwrapper()
    data = b"".join(map(unwrapper.feed, pieces))
    return data + unwrapper.close(), unwrapper.failure


@pytest.mark.parametrize("name", ["text", "one tool", "thinking", "refusal"])
def test_a_stream_comes_out_as_anthropic_writes_it(name):
    data, failed = unwrapped([in_chunks(golden(name, "stream"))])
    assert events(data) == events(golden(name, "stream"))
    assert failed is None
    assert b"invocationMetrics" not in data


def test_every_split_gives_the_same():
    whole = in_chunks(golden("text", "stream"))
    assert {unwrapped(pieces)[0] for pieces in splits(whole)} == {unwrapped([whole])[0]}


@pytest.mark.parametrize("at", [0, 10, 400, 900])
def test_a_cut_ends_with_an_error_and_no_stop(at):
    data, failed = unwrapped([in_chunks(golden("text", "stream"))[:at]])
    assert events(data)[-1]["type"] == "error"
    assert b"message_stop" not in data
    assert isinstance(failed, BrokenAnswer)


def test_an_exception_ends_with_the_error_that_it_is():
    frames = [chunk({"type": "ping"}), eventstream.exception("throttlingException", b'{"message":"Slow"}')]
    data, failed = unwrapped([*frames, chunk({"type": "message_stop"})])
    assert [event["type"] for event in events(data)] == ["ping", "error"]
    assert events(data)[-1]["error"]["type"] == "rate_limit_error"
    assert isinstance(failed, UpstreamError)


@pytest.mark.parametrize("payload", [b"{}", b'{"bytes":7}', b'{"bytes":"*"}', b'{"bytes":"bm8="}'])
def test_a_chunk_that_holds_no_event_ends_with_an_error(payload):
    data, failed = unwrapped([eventstream.event("chunk", payload)])
    assert [event["type"] for event in events(data)] == ["error"]
    assert isinstance(failed, BrokenAnswer)


def test_a_broken_frame_ends_with_an_error():
    data, failed = unwrapped([b"x" * 64, b"more"])
    assert [event["type"] for event in events(data)] == ["error"]
    assert "checksum" in failed.message


def test_an_error_in_a_chunk_is_the_last_word():
    error = {"type": "error", "error": {"type": "api_error", "message": "x"}}
    data, failed = unwrapped([chunk(error), chunk({"type": "message_stop"})])
    assert events(data) == [error]
    assert failed is not None


@pytest.mark.parametrize("kind", ["ping\n\ndata: {}", "Ping", "", 7, None, "x" * 99])
def test_a_type_cannot_write_events_of_its_own(kind):
    data, _ = unwrapped([chunk({"type": kind}), chunk({"type": "message_stop"})])
    assert [event["type"] for event in events(data)] == ["message_stop"]


def test_an_event_of_several_lines_is_written_in_one():
    payload = json.dumps({"bytes": "eyJ0eXBlIjoKInBpbmcifQ=="}).encode()  # {"type":\n"ping"}
    data, _ = unwrapped([eventstream.event("chunk", payload)])
    assert data.startswith(b'event: ping\ndata: {"type":"ping"}\n\n')


def test_other_events_are_skipped():
    data, _ = unwrapped([eventstream.event("news", b"x"), chunk({"type": "message_stop"})])
    assert [event["type"] for event in events(data)] == ["message_stop"]


def test_a_provider_that_breaks_off_is_told_unless_the_answer_was_complete():
    whole = in_chunks(golden("text", "stream"))
    broken_off = ChunkUnwrapper()
    broken_off.feed(whole[:600])
    told = events(broken_off.cut(BrokenAnswer("Gone.")))
    assert told[0]["error"]["message"] == "Gone."
    assert broken_off.close() == b""
    complete = ChunkUnwrapper()
    complete.feed(whole)
    assert complete.cut(BrokenAnswer("Gone.")) + complete.close() == b""
    assert complete.failure is None


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["one tool", "thinking", "refusal", "cache"]), st.data())
def test_hostile_bytes_end_with_one_error_or_none(name, data):
    stream = bytearray(in_chunks(golden(name, "stream")))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        new = data.draw(st.sampled_from([b"", b"null", b'"', b"{", b"-1", b"\xff", b"\n\n", b'"type":"error"']))
        stream[at : at + data.draw(st.integers(0, 8))] = new
    unwrapper = ChunkUnwrapper()
    told = unwrapper.feed(bytes(stream)) + unwrapper.close()
    assert told.count(b"event: error\n") == (unwrapper.failure is not None)
    assert told.count(b"event: error\n") + told.count(b"event: message_stop\n") == 1
