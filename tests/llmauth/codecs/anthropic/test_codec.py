"""The two halves put together: hosts, headers, decoders."""

import json

import pytest

from llmauth.chat.collecting import collect
from llmauth.codecs.anthropic.codec import MESSAGES, AnthropicProvider
from llmauth.codecs.anthropic.errors import REFUSALS
from llmauth.codecs.base import Answering, ClientCodec, ProviderCodec
from llmauth.http import Headers
from tests.golden.cases import cases
from tests.golden.streams import decoded
from tests.llmauth.codecs.anthropic.golden import MODEL, golden

CLIENT: ClientCodec = MESSAGES
PROVIDER: ProviderCodec = AnthropicProvider(MODEL)
ASKED = cases()["text"]


def sent(host, request=ASKED.request):
    return AnthropicProvider(MODEL, host).render_request(request)


def test_anthropic_itself():
    body = json.loads(sent("direct", ASKED.streamed).body)
    assert (body["model"], body["stream"]) == (MODEL, True)
    assert sent("direct").headers == ((b"anthropic-version", b"2023-06-01"),)
    assert "stream" not in json.loads(sent("direct").body)


def test_vertex():
    body = json.loads(sent("vertex", ASKED.streamed).body)
    assert (body["anthropic_version"], body["stream"]) == ("vertex-2023-10-16", True)
    assert "model" not in body
    assert "stream" not in json.loads(sent("vertex").body)


@pytest.mark.parametrize("host", ["direct", "vertex"])
def test_from_client_to_provider_and_back(host):
    provider = AnthropicProvider(MODEL, host)
    request = MESSAGES.parse_request(golden("one tool", "request.json"))
    assert json.loads(provider.render_request(request).body)["tools"][0]["name"] == "get_weather"
    answering = Answering(id="1", created=0, model="m", request=request)
    answer = json.loads(
        MESSAGES.render_response(provider.parse_response(golden("one tool", "response.json")), answering)
    )
    assert (answer["id"], answer["model"], answer["stop_reason"]) == ("msg_1", "m", "tool_use")


@pytest.mark.parametrize("host", ["direct", "vertex"])
def test_streams(host):
    stream = golden("one tool", "stream")
    events = decoded(AnthropicProvider(MODEL, host).stream_decoder(), [stream])
    assert collect(events).choices == cases()["one tool"].response.choices
    encoder = MESSAGES.stream_encoder(Answering(id="1", created=0, model="m", request=ASKED.request))
    assert (b"".join(map(encoder.encode, events)) + encoder.close()).endswith(b'{"type":"message_stop"}\n\n')


def test_refusals():
    assert MESSAGES.shape is REFUSALS
    assert PROVIDER.parse_error(529, Headers(), b"").cause == "overloaded"
