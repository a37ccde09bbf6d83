"""watsonx's streams: named events, no [DONE], and failures."""

import json

import pytest

from llmauth.chat.events import Failed, Finished, Started, TextDelta
from llmauth.chat.messages import Finish
from llmauth.codecs.watsonx.stream import WatsonxStream
from llmauth.errors import BrokenAnswer, UpstreamError
from tests.golden.streams import decoded, same_under_every_split


def event(value: object, name: str = "message") -> bytes:
    return b"id: 1\nevent: " + name.encode() + b"\ndata: " + json.dumps(value).encode() + b"\n\n"


def chunk(reason: str | None = None, **delta: str) -> bytes:
    choice = {"index": 0, "finish_reason": reason, "delta": delta}
    return event({"id": "c1", "model_id": "m", "model": "other", "choices": [choice]})


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("eos_token", Finish.STOP),
        ("something_new", Finish.STOP),
        ("stop_sequence", Finish.STOP_SEQUENCE),
        ("length", Finish.LENGTH),
        ("max_tokens", Finish.LENGTH),
        ("time_limit", Finish.LENGTH),
        ("content_filter", Finish.CONTENT_FILTER),
    ],
)
def test_reasons(reason, finish):
    found = same_under_every_split(WatsonxStream, chunk(content="Hi") + chunk(reason, content=""))
    assert found == [Started("c1", "m"), TextDelta("Hi"), Finished(finish)]


@pytest.mark.parametrize("reason", ["error", "cancelled"])
def test_an_end_that_is_a_failure_fails_and_nothing_follows(reason):
    decoder = WatsonxStream()
    events = decoder.feed(chunk(content="Hi") + chunk(reason, content="") + chunk(content="more"))
    assert [type(one) for one in events] == [Started, TextDelta, Failed]
    assert isinstance(events[-1].error, UpstreamError)
    assert decoder.feed(chunk(content="more")) == decoder.close() == []


def test_an_error_event_is_the_providers():
    told = {"errors": [{"code": "consumption_limit_reached", "message": "slow down"}], "status_code": 429}
    decoder = WatsonxStream()
    *_, failed = decoder.feed(chunk(content="Hi") + event(told, "error") + chunk("stop"))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UpstreamError)
    assert (failed.error.cause, failed.error.message) == ("rate_limited", "slow down")
    assert decoder.close() == []


@pytest.mark.parametrize("body", [b"", chunk(content="Hi"), chunk(content="Hi") + b"data: [DONE]\n\n", event([])])
def test_a_stream_without_its_end_failed(body):
    *_, last = decoded(WatsonxStream(), [body])
    assert isinstance(last, Failed)
    assert isinstance(last.error, BrokenAnswer)
