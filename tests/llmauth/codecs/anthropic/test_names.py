"""Names of tools that Anthropic does not take, there and back."""

import json
import re
from dataclasses import replace

import pytest

from llmauth.chat.messages import Choose, Message, Named, Text, ToolCall, ToolResult
from llmauth.codecs.anthropic.codec import AnthropicProvider
from llmauth.codecs.anthropic.names import renamed, sent
from tests.golden.cases import WEATHER, asked, assistant, user
from tests.golden.streams import decoded
from tests.llmauth.codecs.anthropic.golden import MODEL, golden

DOTTED = replace(WEATHER, name="weather.get")


def body_of(provider, request):
    return json.loads(provider.render_request(request).body)


@pytest.mark.parametrize("name", ["get_weather", "get-weather", "x" * 128])
def test_a_name_that_is_taken_stays(name):
    assert sent(name) == name


@pytest.mark.parametrize("name", ["weather.get", "a:b", "größe", "x" * 129, "", "\ud800"])
def test_another_becomes_one_that_is(name):
    assert re.fullmatch("[a-zA-Z0-9_-]{1,128}", sent(name))
    assert sent(name) != sent(f"{name}.")


def test_it_is_replaced_wherever_it_stands():
    call, result = ToolCall("c", "weather.get", "{}"), ToolResult("c", (Text("18"),))
    request = asked(
        user("Hi"),
        assistant(call),
        Message("tool", (result,)),
        tools=(DOTTED, WEATHER),
        tool_choice=Named("weather.get"),
    )
    body = body_of(AnthropicProvider(MODEL), request)
    name = sent("weather.get")
    assert [tool["name"] for tool in body["tools"]] == [name, "get_weather"]
    assert body["tool_choice"] == {"type": "tool", "name": name}
    assert body["messages"][1]["content"][0]["name"] == name
    assert "weather.get" not in json.dumps(body)


def test_a_request_that_needs_nothing_is_not_touched():
    request = asked(user("Hi"), tools=(WEATHER,), tool_choice=Choose.AUTO)
    assert renamed(request) == (request, {})


def test_the_answer_tells_the_client_s_name():
    provider = AnthropicProvider(MODEL)
    provider.render_request(asked(user("Hi"), tools=(DOTTED,)))
    whole = golden("one tool", "response.json").replace(b"get_weather", sent("weather.get").encode())
    told = [part for part in provider.parse_response(whole).choices[0].parts if isinstance(part, ToolCall)]
    assert [call.name for call in told] == ["weather.get"]


def test_a_stream_tells_it_too():
    provider = AnthropicProvider(MODEL)
    provider.render_request(asked(user("Hi"), tools=(DOTTED,)))
    stream = golden("one tool", "stream").replace(b"get_weather", sent("weather.get").encode())
    events = decoded(provider.stream_decoder(), [stream])
    assert [event.name for event in events if hasattr(event, "name")] == ["weather.get"]


def test_names_of_one_request_are_forgotten_with_the_next():
    provider = AnthropicProvider(MODEL)
    provider.render_request(asked(user("Hi"), tools=(DOTTED,)))
    provider.render_request(asked(user("Hi"), tools=(WEATHER,)))
    whole = golden("one tool", "response.json").replace(b"get_weather", sent("weather.get").encode())
    parts = provider.parse_response(whole).choices[0].parts
    assert sent("weather.get") in [part.name for part in parts if isinstance(part, ToolCall)]
