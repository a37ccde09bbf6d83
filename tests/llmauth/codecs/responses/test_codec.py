"""The codec keeps the shape that every client codec has."""

from __future__ import annotations

import json

from llmauth.chat import events
from llmauth.chat.messages import Finish
from llmauth.codecs.base import ClientCodec
from llmauth.codecs.openai.errors import REFUSALS
from llmauth.codecs.responses.codec import RESPONSES
from tests.golden.responses import golden


def test_it_is_a_client_codec() -> None:
    codec: ClientCodec = RESPONSES
    assert codec.name == "responses"
    assert codec.shape is REFUSALS


def test_request_answer_and_stream() -> None:
    request = RESPONSES.parse_request(golden.asked("text"))
    answering = golden.answering(request)
    whole = json.loads(RESPONSES.render_response(golden.CASES["text"].response, answering))
    encoder = RESPONSES.stream_encoder(answering)
    stream = encoder.encode(events.TextDelta("Hello there.")) + encoder.encode(events.Finished(Finish.STOP))
    last = golden.parsed(stream + encoder.close())[-1]["response"]
    assert last["output"] == whole["output"]


def test_each_stream_is_its_own() -> None:
    answering = golden.answering(golden.CASES["text"].request)
    first, second = RESPONSES.stream_encoder(answering), RESPONSES.stream_encoder(answering)
    assert first.encode(events.TextDelta("a")) == second.encode(events.TextDelta("a"))
