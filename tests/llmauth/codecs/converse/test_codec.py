"""The codec as a whole: every golden case there and back, and a table that forgets no word."""

import json
from dataclasses import replace

import pytest

from llmauth.chat.collecting import collect
from llmauth.chat.messages import Message, Tool, ToolCall
from llmauth.codecs.mapping import complete
from tests.golden.cases import asked, cases, user
from tests.golden.streams import same_under_every_split
from tests.llmauth.codecs.converse.goldens import (
    CASES,
    FOLDER,
    UNSAYABLE,
    frames,
    provider,
    request_of,
    response_of,
    stream_of,
)

MODELS = [
    "anthropic.claude-3-haiku-20240307-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-opus-4-8",
    "global.anthropic.claude-fable-5-2",
    "amazon.nova-pro-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-120b-1:0",
    "meta.llama3-70b-instruct-v1:0",
]


def test_there_is_a_golden_of_every_case_that_can_be_said():
    told = {path.name.partition(".")[0].replace("_", " ") for path in FOLDER.iterdir()}
    assert told == set(CASES) == set(cases()) - set(UNSAYABLE)


@pytest.mark.parametrize("case", CASES)
def test_the_request_is_the_golden_one(case):
    codec = provider()
    assert json.loads(codec.render_request(CASES[case].request).body) == request_of(case)
    assert codec.render_request(CASES[case].streamed).body == codec.render_request(CASES[case].request).body


@pytest.mark.parametrize("case", CASES)
def test_the_golden_answer_is_the_response(case):
    assert provider().parse_response(response_of(case)) == CASES[case].response


@pytest.mark.parametrize("case", CASES)
def test_the_golden_stream_is_the_response_however_it_is_split(case):
    assert collect(same_under_every_split(provider().stream_decoder, stream_of(case))) == CASES[case].response


@pytest.mark.parametrize("model", MODELS)
def test_every_word_has_a_rule_in_every_family(model):
    assert complete(provider(model).table)


def test_names_that_were_replaced_come_back_in_answer_and_stream():
    codec = provider()
    tool = Tool("files.read", "Reads.")
    history = Message("assistant", (ToolCall("call_1", "files.list", "{}"),))
    request = replace(asked(user("Read."), history, user("Now.")), tools=(tool,))
    body = json.loads(codec.render_request(request).body)
    wire = body["toolConfig"]["tools"][0]["toolSpec"]["name"]
    assert wire.startswith("files_read_")
    listed = body["messages"][1]["content"][0]["toolUse"]["name"]

    use = {"toolUseId": "t1", "name": wire, "input": {}}
    answer = {"output": {"message": {"content": [{"toolUse": use}]}}, "stopReason": "tool_use"}
    [choice] = codec.parse_response(json.dumps(answer).encode()).choices
    assert choice.parts == (ToolCall("t1", "files.read", "{}"),)
    stream = frames(
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t1", "name": listed}}}),
        ("messageStop", {"stopReason": "tool_use"}),
    )
    decoder = codec.stream_decoder()
    [choice] = collect(decoder.feed(stream) + decoder.close()).choices
    assert choice.parts == (ToolCall("t1", "files.list", ""),)


def test_two_codecs_do_not_know_each_others_names():
    one, other = provider(), provider()
    one.render_request(replace(asked(user("Read.")), tools=(Tool("files.read"),)))
    wire = json.loads(one.render_request(replace(asked(user("Read.")), tools=(Tool("files.read"),))).body)
    name = wire["toolConfig"]["tools"][0]["toolSpec"]["name"]
    answer = {"output": {"message": {"content": [{"toolUse": {"toolUseId": "t", "name": name, "input": {}}}]}}}
    [choice] = other.parse_response(json.dumps({**answer, "stopReason": "tool_use"}).encode()).choices
    assert choice.parts == (ToolCall("t", name, "{}"),)
