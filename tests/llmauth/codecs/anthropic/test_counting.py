"""Counting at each host, and the estimate where there is none."""

import json
from base64 import b64decode

import pytest

from llmauth.chat.messages import Data, Document, Image, JsonSchema, Link, ToolCall, ToolResult
from llmauth.codecs.anthropic.counting import asking_bedrock, asking_vertex, estimate_tokens, parse_count, render_count
from llmauth.errors import BrokenAnswer
from tests.golden.cases import PERSON, PNG, WEATHER, asked, cases, user

OWN = b'{"model":"m", "messages":[ ]}'


def test_a_clients_own_body_is_changed_only_where_it_must():
    assert asking_vertex(OWN) == b'{"anthropic_version":"vertex-2023-10-16",' + OWN[1:]
    whole = json.loads(asking_bedrock(OWN, ("context-1m-2025-08-07",)))
    assert json.loads(b64decode(whole["input"]["invokeModel"]["body"])) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["context-1m-2025-08-07"],
        "max_tokens": 1,
        "messages": [],
    }


@pytest.mark.parametrize("body", [b'{"input_tokens":7}', b'{"inputTokens":7}', b'{"inputTokens":7,"x":null}'])
def test_counts_are_read(body):
    assert parse_count(body) == 7


@pytest.mark.parametrize("body", [b"", b"{}", b'{"input_tokens":"7"}', b'{"input_tokens":-1}', b"[]"])
def test_what_is_no_count_is_broken(body):
    with pytest.raises(BrokenAnswer):
        parse_count(body)


def test_a_count_is_written():
    assert json.loads(render_count(7)) == {"input_tokens": 7}
    assert parse_count(render_count(7)) == 7


def test_the_estimate_grows_with_everything_that_is_asked():
    hello = estimate_tokens(asked(user("Hello, how are you?")))
    assert 5 <= hello <= 15
    more = [
        asked(user("Hello, how are you?", "And you?")),
        asked(user("Hello, how are you?"), tools=(WEATHER,)),
        asked(user("Hello, how are you?"), output=JsonSchema(PERSON)),
        asked(user("Hello, how are you?", Image(Data("image/png", PNG)))),
        asked(user("Hello, how are you?", Document(Data("application/pdf", PNG)))),
        asked(user("Hello, how are you?", Document(Link("https://a.example")))),
        asked(user("Hello, how are you?", ToolCall("1", "f", "{}"), ToolResult("1", ()))),
    ]
    assert all(estimate_tokens(request) > hello for request in more)


def test_the_estimate_of_other_scripts():
    assert estimate_tokens(asked(user("東京" * 50))) >= 100
    assert estimate_tokens(asked(user("word " * 1000))) == pytest.approx(1250, rel=0.05)


@pytest.mark.parametrize("name", cases())
def test_every_request_can_be_estimated(name):
    assert estimate_tokens(cases()[name].request) > 0
