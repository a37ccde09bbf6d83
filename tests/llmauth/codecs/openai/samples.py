"""Bodies of requests and what is told of answers, made short."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from llmauth.chat.messages import ChatRequest, Message, Text
from llmauth.codecs.base import Answering
from llmauth.codecs.openai.request import parse_request
from llmauth.errors import BadRequest
from tests.golden.cases import MODEL, cases

GOLDEN = Path(__file__).parents[3] / "golden/openai"
CASES = {name.replace(" ", "_"): case for name, case in cases("openai").items()}


def answering(**more):
    """What a codec is told of an answer; `more` are members of the request."""
    request = ChatRequest(model=MODEL, messages=(Message("user", (Text("Hi"),)),))
    return Answering(id="golden", created=1760000000, model=MODEL, request=replace(request, **more))


def chunks(stream):
    """The chunks of a stream, and `[DONE]`."""
    *frames, rest = stream.decode().split("\n\n")
    assert rest == ""
    told = [frame.removeprefix("data: ") for frame in frames]
    return [text if text == "[DONE]" else json.loads(text) for text in told]


def parsed(**members):
    """A request of these members; model and messages where they are not among them."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **members}
    return parse_request(json.dumps(body).encode())


def refused(**members):
    """The refusal of a request."""
    with pytest.raises(BadRequest) as caught:
        parsed(**members)
    assert caught.value.status == 400
    return caught.value


def messages(*told):
    """The neutral messages of these."""
    return parsed(messages=list(told)).messages


def parts(*content, role="user"):
    """The neutral parts of one message with this content."""
    return messages({"role": role, "content": list(content)})[0].parts
