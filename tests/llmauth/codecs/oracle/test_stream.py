"""Oracle's streams apart from what their chunks say."""

import json

import pytest

from llmauth.chat.events import Failed, Finished, Started, TextDelta
from llmauth.chat.messages import Finish
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.streams import decoded, same_under_every_split

CODEC = OracleProvider("xai.grok-4", "ocid1.compartment.oc1..a")
TEXT = b'data: {"index":0,"message":{"content":[{"type":"TEXT","text":"Hi"}]}}'
END = b'data: {"finishReason":"stop"}'
WHOLE = [Started(), TextDelta("Hi"), Finished(Finish.STOP)]


@pytest.mark.parametrize(
    "body",
    [
        TEXT + b"\n\n" + END + b"\n\n",
        TEXT + b"\n" + END + b"\n",
        TEXT + b"\r\n" + END,
        TEXT + b"\n" + END + b"\n\ndata: [DONE]\n\n",
        b": hello\n\n" + TEXT + b"\n\ndata: [DONE]\n" + END + b"\n",
    ],
)
def test_events_with_and_without_a_line_between_them(body):
    assert same_under_every_split(CODEC.stream_decoder, body) == WHOLE


@pytest.mark.parametrize("body", [b"", TEXT + b"\n\n", TEXT + b"\n\ndata: [DONE]\n\n", TEXT + b"\n" + END[:20]])
def test_a_stream_without_its_end_failed(body):
    *_, last = decoded(CODEC.stream_decoder(), [body])
    assert isinstance(last, Failed)
    assert isinstance(last.error, BrokenAnswer)


def test_an_error_in_the_middle_is_the_providers():
    error = b'data: {"code":"TooManyRequests","message":"slow down"}\n\n'
    decoder = CODEC.stream_decoder()
    *_, failed = decoder.feed(TEXT + b"\n\n" + error + END + b"\n\n")
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UpstreamError)
    assert (failed.error.message, failed.error.cause) == ("slow down", "rate_limited")
    assert decoder.feed(TEXT + b"\n\n") == decoder.close() == []


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"null", b'"text"', b"5", b"\xff", b'{"index":-1,"finishReason":"stop"}']
)
def test_a_chunk_that_cannot_be_read_breaks_the_stream(data):
    events = decoded(CODEC.stream_decoder(), [b"data: " + data + b"\n\n" + TEXT + b"\n\n" + END])
    assert [type(event) for event in events] == [Failed]
    assert isinstance(events[0].error, BrokenAnswer)


def test_an_event_beyond_the_limit_breaks_the_stream():
    decoder = CODEC.stream_decoder()
    piece = b"data: " + b"x" * 1024 * 1024
    events = [event for _ in range(26) for event in decoder.feed(piece)]
    assert [type(event) for event in events] == [Failed]
    assert decoder.close() == []


def test_unknown_members_and_chunks_are_skipped():
    unknown = json.dumps({"somethingNew": {"a": 1}, "index": 0}).encode()
    assert decoded(CODEC.stream_decoder(), [b"data: " + unknown + b"\n\n" + TEXT + b"\n\n" + END]) == WHOLE
