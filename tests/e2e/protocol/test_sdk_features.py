"""What the official Python SDKs do beyond plain calls, against providers of other formats: their helpers, and curl."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.certificates import Authority
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_curl import JSON, curl
from tests.e2e.protocol.calls import HELLO, chat, message
from tests.e2e.protocol.providers import INSTANCES, MODELS, PROVIDERS, Provider, variables
from tests.e2e.protocol.test_agent_loops import by_path
from tests.fixtures.serving import Serving, free_port, start

SAYS = "Hello from the emulated"
# Whom a client of OpenAI's is translated to, and whom one of Anthropic's.
FROM_OPENAI = ("claude on bedrock", "nova on bedrock", "gemini on vertex", "llama on oracle", "watsonx", "anthropic")
FROM_ANTHROPIC = ("openai", "nova on bedrock", "gemini on vertex", "llama on oracle", "watsonx")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_HEAD = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", _HEAD) + _chunk(b"IDAT", zlib.compress(bytes(4))) + _chunk(b"IEND", b"")
).decode()
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer<<>>\n%%EOF").decode()

# What every snippet begins with: models of pydantic, and `attempt`, so that one fault does not hide the others.
COMMON = '''
import asyncio, json
from typing import Literal, Optional
from pydantic import BaseModel

class Step(BaseModel):
    explanation: str
    number: int

class Answer(BaseModel):
    """An answer with everything."""
    city: str
    steps: list[Step]
    mood: Literal["good", "bad"]
    note: Optional[str]
    warm: bool

class GetWeather(BaseModel):
    """The weather of a city."""
    city: str
    unit: Literal["c", "f"]

said = [{"role": "user", "content": "hello"}]
result = {}

def attempt(function):
    try:
        result[function.__name__] = function()
    except Exception as problem:
        result[function.__name__] = f"{type(problem).__name__}: {problem}"

def runs(events):
    """The kinds of events, each run of the same once."""
    kinds = []
    for event in events:
        if not kinds or kinds[-1] != event.type:
            kinds.append(event.type)
    return kinds
'''
PARSED = {
    "city": "example",
    "steps": [{"explanation": "example", "number": 1}],
    "mood": "good",
    "note": "example",
    "warm": True,
}
SUNNY = [["GetWeather", {"city": "example", "unit": "c"}], ["GetWeather", {"city": "example 2", "unit": "c"}]]


def ran(sdks: Sdks, client: str, provider: Provider, gateway: Serving, code: str, **names: Any) -> dict[str, Any]:
    """What each `attempt` of a snippet gave."""
    environ, model = by_path(client, provider, gateway)
    gave: dict[str, Any] = sdks.run(COMMON + code, environ, model=model, **names)
    return gave


STRUCTURED = """
client = openai.OpenAI(max_retries=0)

@attempt
def parse():
    return client.chat.completions.parse(model=model, messages=said, response_format=Answer).choices[0].message.parsed.model_dump()

@attempt
def stream():
    with client.chat.completions.stream(model=model, messages=said, response_format=Answer) as events:
        kinds = {event.type for event in events}
        final = events.get_final_completion()
    return sorted(kinds), final.choices[0].message.parsed.model_dump(), final.choices[0].finish_reason

@attempt
def responses_parse():
    return client.responses.parse(model=model, input="hello", text_format=Answer).output_parsed.model_dump()

@attempt
def responses_stream():
    with client.responses.stream(model=model, input="hello", text_format=Answer) as events:
        kinds = runs(events)
        final = events.get_final_response()
    return kinds, final.output_parsed.model_dump()

@attempt
def raw():
    answer = client.chat.completions.with_raw_response.create(model=model, messages=said)
    parsed = answer.parse()
    same = answer.headers["x-request-id"] == answer.request_id == parsed._request_id
    return same, answer.headers["content-type"], answer.headers["x-llmauth-served-by"], parsed.choices[0].message.content

@attempt
def streaming_raw():
    asked = client.chat.completions.with_streaming_response.create(model=model, messages=said, stream=True)
    with asked as answer:
        return [line for line in answer.iter_lines() if line][-1]
"""


@pytest.mark.parametrize("name", [*FROM_OPENAI, "command a on oracle", "command r on oracle"])
def test_openai_structured_answers(every: Serving, emulators: Emulators, sdks: Sdks, name: str) -> None:
    one = PROVIDERS[name]
    gave = ran(sdks, "chat", one, every, STRUCTURED)
    assert gave["parse"] == PARSED
    assert gave["stream"] == [["chunk", "content.delta", "content.done"], PARSED, "stop"]
    assert gave["responses_parse"] == PARSED
    kinds, parsed = gave["responses_stream"]
    assert parsed == PARSED
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    same, kind, served, text = gave["raw"]
    assert (same, kind, served, text.startswith(SAYS)) == (True, "application/json", one.instance, True)
    assert gave["streaming_raw"] == "data: [DONE]"


TOOLS = """
client = openai.OpenAI(max_retries=0)
tool = openai.pydantic_function_tool(GetWeather)

def of_chat(completion):
    message = completion.choices[0].message
    called = [[call.function.name, call.function.parsed_arguments.model_dump()] for call in message.tool_calls]
    return completion.choices[0].finish_reason, called, len({call.id for call in message.tool_calls}), message.content or None

@attempt
def parse():
    return of_chat(client.chat.completions.parse(model=model, messages=said, tools=[tool]))

@attempt
def stream():
    with client.chat.completions.stream(model=model, messages=said, tools=[tool]) as events:
        done = [[e.name, e.parsed_arguments.model_dump()] for e in events if e.type == "tool_calls.function.arguments.done"]
        return done, of_chat(events.get_final_completion())

@attempt
def responses_stream():
    tools = [openai.pydantic_responses_function_tool(GetWeather)] if hasattr(openai, "pydantic_responses_function_tool") else [
        {"type": "function", **tool["function"]}]
    with client.responses.stream(model=model, input="hello", tools=tools) as events:
        kinds = runs(events)
        final = events.get_final_response()
    return kinds, [[item.name, item.parsed_arguments.model_dump()] for item in final.output if item.type == "function_call"]
"""
_CALL_EVENTS = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]


@pytest.mark.parametrize("name", [*FROM_OPENAI, "command a on oracle"])
def test_openai_tools_out_of_pydantic_models(every: Serving, emulators: Emulators, sdks: Sdks, name: str) -> None:
    """Two calls in one turn, each with arguments that the model parses."""
    one = PROVIDERS[name]
    emulators.behave(one.host, Behaviour(call_tool=True, calls=2), times=None)
    gave = ran(sdks, "chat", one, every, TOOLS)
    assert gave["parse"] == ["tool_calls", SUNNY, 2, None]
    assert gave["stream"] == [SUNNY, ["tool_calls", SUNNY, 2, None]]
    kinds, called = gave["responses_stream"]
    assert called == SUNNY
    assert kinds == ["response.created", "response.in_progress", *_CALL_EVENTS, *_CALL_EVENTS, "response.completed"]


def test_command_r_has_no_word_for_the_values_of_an_enum(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    """Cohere's `parameterDefinitions` have a type and a description: what may be said is told in words, and not held."""
    one = PROVIDERS["command r on oracle"]
    emulators.behave(one.host, Behaviour(call_tool=True), times=None)
    gave = ran(sdks, "chat", one, every, TOOLS)
    assert gave["parse"].startswith("ValidationError")
    unit = json.loads(emulators.requests(one.host)[0].body)["chatRequest"]["tools"][0]["parameterDefinitions"]["unit"]
    assert unit["type"] == "str"
    assert '"c"' in unit["description"]
    assert '"f"' in unit["description"]


PARALLEL = """
client = openai.OpenAI(max_retries=0)
parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
functions = [{"name": name, "description": name, "parameters": parameters} for name in ("get_weather", "get-time")]

@attempt
def chat():
    tools = [{"type": "function", "function": function} for function in functions]
    messages = [*said]
    turn = client.chat.completions.create(model=model, messages=messages, tools=tools, parallel_tool_calls=True)
    messages.append(turn.choices[0].message)
    for call in reversed(turn.choices[0].message.tool_calls):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"result of {call.function.name}"})
    answer = client.chat.completions.create(model=model, messages=messages, tools=tools)
    return [call.function.name for call in turn.choices[0].message.tool_calls], answer.choices[0].message.content

@attempt
def responses():
    tools = [{"type": "function", "strict": False, **function} for function in functions]
    items = [*said]
    turn = client.responses.create(model=model, input=items, tools=tools)
    items += turn.output
    for call in reversed([item for item in turn.output if item.type == "function_call"]):
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": f"result of {call.name}"})
    answer = client.responses.create(model=model, input=items, tools=tools)
    return [item.name for item in turn.output if item.type == "function_call"], answer.output_text
"""


def _of_converse(body: Any) -> Iterator[tuple[str, str]]:
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    names = {use["toolUseId"]: use["name"] for block in blocks if (use := block.get("toolUse"))}
    for block in blocks:
        if (given := block.get("toolResult")) is not None:
            yield names[given["toolUseId"]], given["content"][0]["text"]


def _of_gemini(body: Any) -> Iterator[tuple[str, str]]:
    for turn in body["contents"]:
        for part in turn["parts"]:
            if (given := part.get("functionResponse")) is not None:
                yield given["name"], json.dumps(given["response"])


def _of_oracle(body: Any) -> Iterator[tuple[str, str]]:
    messages = body["chatRequest"]["messages"]
    names = {call["id"]: call["name"] for turn in messages for call in turn.get("toolCalls") or ()}
    return ((names[turn["toolCallId"]], turn["content"][0]["text"]) for turn in messages if turn["role"] == "TOOL")


def _of_watsonx(body: Any) -> Iterator[tuple[str, str]]:
    turns = body["messages"]
    names = {call["id"]: call["function"]["name"] for turn in turns for call in turn.get("tool_calls") or ()}
    return ((names[turn["tool_call_id"]], turn["content"]) for turn in turns if turn["role"] == "tool")


RESULTS: Mapping[str, Callable[[Any], Iterator[tuple[str, str]]]] = {
    "claude on bedrock": _of_converse,
    "nova on bedrock": _of_converse,
    "gemini on vertex": _of_gemini,
    "llama on oracle": _of_oracle,
    "watsonx": _of_watsonx,
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_that_come_in_another_order_find_their_calls(
    every: Serving, emulators: Emulators, sdks: Sdks, name: str
) -> None:
    one = PROVIDERS[name]
    for behaviour in (Behaviour(call_tool=True, calls=2), Behaviour()) * 2:
        emulators.behave(one.host, behaviour, times=1)
    gave = ran(sdks, "chat", one, every, PARALLEL)
    for names, text in gave.values():
        assert names == ["get_weather", "get-time"]
        assert text.startswith(SAYS)
    for seen in emulators.requests(one.host)[1::2]:
        told = sorted(RESULTS[name](json.loads(seen.body)))
        assert len(told) == 2
        for called, text in told:
            plain = called.replace("_", "-")
            assert f"result of {plain}" in text.replace("_", "-"), told


CONTENTS = """
client = openai.OpenAI(max_retries=0)
picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + png, "detail": "low"}}
words = {"type": "text", "text": "what is it?"}

def create(**more):
    answer = client.chat.completions.create(**{"model": model, "messages": said, **more})
    return answer.choices[0].message.content

@attempt
def image():
    return create(messages=[{"role": "user", "content": [words, picture]}])

@attempt
def image_in_responses():
    content = [{"type": "input_text", "text": "what?"}, {"type": "input_image", "image_url": picture["image_url"]["url"], "detail": "auto"}]
    answer = client.responses.create(
        model=model, input=[{"role": "user", "content": content}], instructions="Be brief.", max_output_tokens=300,
        metadata={"a": "b"}, temperature=0.2,
    )
    assert (answer.instructions, answer.max_output_tokens, answer.metadata) == ("Be brief.", 300, {"a": "b"})
    return answer.output_text

@attempt
def pdf():
    file = {"filename": "my report (1).pdf", "file_data": "data:application/pdf;base64," + paper}
    return create(messages=[{"role": "user", "content": [words, {"type": "file", "file": file}]}])

@attempt
def roles():
    return create(messages=[
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "user", "name": "bob", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": [words, words]},
    ])

@attempt
def limit():
    answer = client.chat.completions.create(model=model, messages=said, max_completion_tokens=5, stop=["END", "STOP"])
    return answer.choices[0].finish_reason, answer.usage.completion_tokens

@attempt
def stop():
    return create(stop="END")

@attempt
def usage_in_a_stream():
    chunks = list(client.chat.completions.create(
        model=model, messages=said, stream=True, stream_options={"include_usage": True}
    ))
    told = [chunk.usage is not None for chunk in chunks]
    return told.count(True), told[-1], chunks[-1].choices, len({(chunk.id, chunk.created) for chunk in chunks}), (
        chunks[0].choices[0].delta.role)

@attempt
def no_usage_in_a_stream():
    chunks = list(client.chat.completions.create(
        model=model, messages=said, stream=True, stream_options={"include_usage": False, "include_obfuscation": False}
    ))
    return any(chunk.usage for chunk in chunks)

@attempt
def two():
    return len(client.chat.completions.create(model=model, messages=said, n=2).choices)

@attempt
def twenty_at_once():
    async def all_of_them():
        several = openai.AsyncOpenAI(max_retries=0)
        async def one(number):
            asked = {"model": model, "messages": [{"role": "user", "content": f"question {number}"}]}
            if number % 2:
                return (await several.chat.completions.create(**asked)).choices[0].message.content
            text = ""
            async for chunk in await several.chat.completions.create(**asked, stream=True):
                text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            return text
        texts = await asyncio.gather(*(one(number) for number in range(20)))
        await several.close()
        return texts
    texts = asyncio.run(all_of_them())
    return len(texts), list(set(texts))
"""
# Formats that have no place for a file.
NO_FILES = {"watsonx", "command a on oracle"}
# Formats that give one answer to a question.
ONE_ANSWER = {"anthropic", "claude on bedrock", "nova on bedrock", "command a on oracle"}


@pytest.mark.parametrize("name", [*FROM_OPENAI, "command a on oracle"])
def test_openai_contents_and_parameters(every: Serving, emulators: Emulators, sdks: Sdks, name: str) -> None:
    one = PROVIDERS[name]
    gave = ran(sdks, "chat", one, every, CONTENTS, png=PNG, paper=PDF)
    for attempt in ("image", "image_in_responses", "roles", "stop"):
        assert gave[attempt].startswith(SAYS), (attempt, gave[attempt])
    if name in NO_FILES:
        assert gave["pdf"].startswith("BadRequestError")
        assert "'document' is not supported" in gave["pdf"]
    else:
        assert gave["pdf"].startswith(SAYS)
    assert gave["limit"] == ["length", 5]
    assert gave["usage_in_a_stream"] == [1, True, [], 1, "assistant"]
    assert gave["no_usage_in_a_stream"] is False
    if name in ONE_ANSWER:
        assert gave["two"].startswith("BadRequestError")
        assert "'n' is not supported" in gave["two"]
    count, texts = gave["twenty_at_once"]
    assert (count, len(texts), texts[0].startswith(SAYS)) == (20, 1, True)
    seen = emulators.requests(one.host)
    assert [PNG.encode() in request.body for request in seen[:2]] == [True, True]
    assert {f"question {number}".encode() in request.body for number in range(20) for request in seen} == {True, False}
    assert all(sum(f"question {number}\"".encode() in request.body for request in seen) == 1 for number in range(20))


def test_two_answers_where_the_provider_gives_them(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    code = 'attempt(lambda: [c.message.content[:5] for c in openai.OpenAI(max_retries=0).chat.completions.create(model=model, messages=said, n=2).choices])'
    gave = ran(sdks, "chat", PROVIDERS["gemini on vertex"], every, code)
    assert gave["<lambda>"] == ["Hello", "Hello"]


OPENAI_FAULTS = """
client = openai.OpenAI(max_retries=0)

def told(problem):
    return {"kind": type(problem).__name__, "status": problem.status_code, "body": problem.body, "code": problem.code,
            "param": problem.param, "type": problem.type, "id": problem.request_id,
            "header": problem.response.headers["x-request-id"]}

@attempt
def refused():
    try:
        client.chat.completions.create(model=model, messages=said)
    except openai.APIStatusError as problem:
        return told(problem)

@attempt
def slow():
    try:
        client.with_options(timeout=0.2).chat.completions.create(model=model, messages=said)
    except openai.APITimeoutError:
        return "APITimeoutError"

@attempt
def wrong():
    try:
        client.chat.completions.create(model=model, messages=said, temperature="hot")
    except openai.APIStatusError as problem:
        return told(problem)

@attempt
def tried_again():
    return client.with_options(max_retries=1).chat.completions.create(model=model, messages=said).choices[0].message.content

@attempt
def in_the_stream():
    text = ""
    try:
        for chunk in client.chat.completions.create(model=model, messages=said, stream=True):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    except openai.APIError as problem:
        return type(problem).__name__, text, problem.body["message"]
"""


@pytest.mark.parametrize("name", ["nova on bedrock", "gemini on vertex", "llama on oracle", "watsonx"])
def test_openai_faults(every: Serving, emulators: Emulators, sdks: Sdks, name: str) -> None:
    one = PROVIDERS[name]
    scenes = (
        Behaviour(status=429),
        Behaviour(first_byte_delay=1.0),
        Behaviour(status=503),
        Behaviour(),
        Behaviour(fail_after=4),
    )
    for scene in scenes:
        emulators.behave(one.host, scene, times=1)
    gave = ran(sdks, "chat", one, every, OPENAI_FAULTS)
    refused = gave["refused"]
    assert (refused["kind"], refused["status"], refused["type"]) == ("RateLimitError", 429, "rate_limit_error")
    assert refused["body"]["message"]
    assert refused["id"] == refused["header"] == refused["body"]["request_id"]
    assert gave["slow"] == "APITimeoutError"
    wrong = gave["wrong"]
    assert (wrong["kind"], wrong["param"], wrong["code"]) == ("BadRequestError", "temperature", "invalid_request")
    assert gave["tried_again"].startswith(SAYS)
    kind, text, _ = gave["in_the_stream"]
    assert kind == "APIError"
    assert text.startswith("Hello")


ANTHROPIC = """
client = anthropic.Anthropic(max_retries=0)
words = {"type": "text", "text": "what is it?"}

def create(content="hello", **more):
    return client.messages.create(**{"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": content}], **more})

@attempt
def text_stream():
    with client.messages.stream(model=model, max_tokens=100, messages=said) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
        return text == final.content[0].text, text, final.stop_reason, final.model, final.usage.output_tokens, events.request_id

@attempt
def kinds():
    with client.messages.stream(model=model, max_tokens=100, messages=said) as events:
        seen = runs(events)
    return seen[:4], seen[-4:]

@attempt
def parse():
    answer = client.messages.parse(model=model, max_tokens=1000, messages=said, output_format=Answer)
    return answer.parsed_output.model_dump(), answer.stop_reason

@attempt
def parse_stream():
    with client.messages.stream(model=model, max_tokens=1000, messages=said, output_format=Answer) as events:
        return events.get_final_message().parsed_output.model_dump()

@attempt
def image():
    return create([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png}}, words]).content[0].text

@attempt
def pdf():
    source = {"type": "base64", "media_type": "application/pdf", "data": paper}
    return create([{"type": "document", "title": "My report: 1.0 (final)", "source": source}, words]).content[0].text

@attempt
def text_document():
    source = {"type": "text", "media_type": "text/plain", "data": "the words of the document"}
    return create([{"type": "document", "title": "Notes", "source": source}, words]).content[0].text

@attempt
def count():
    answer = client.messages.with_raw_response.count_tokens(model=model, messages=said, system="Be brief.")
    return answer.parse().input_tokens > 0, answer.headers["x-llmauth-estimate"]

@attempt
def cached():
    system = [{"type": "text", "text": "one"}, {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}}]
    usages = [create(system=system).usage for _ in range(2)]
    return [[usage.cache_creation_input_tokens, usage.cache_read_input_tokens, usage.input_tokens > 0] for usage in usages]

@attempt
def stops():
    answer = create(stop_sequences=["END"], metadata={"user_id": "somebody"})
    return answer.stop_reason, answer.stop_sequence

@attempt
def short():
    answer = create(max_tokens=5)
    return answer.stop_reason, answer.usage.output_tokens

@attempt
def raw():
    answer = client.messages.with_raw_response.create(model=model, max_tokens=50, messages=said)
    return answer.headers["request-id"] == answer.headers["x-request-id"] == answer.parse()._request_id

@attempt
def beta():
    return client.beta.messages.create(model=model, max_tokens=50, messages=said, betas=["context-1m-2025-08-07"]).content[0].text

@attempt
def ten_at_once():
    async def all_of_them():
        several = anthropic.AsyncAnthropic(max_retries=0)
        async def one(number):
            if number % 2:
                return (await several.messages.create(model=model, max_tokens=100, messages=said)).content[0].text
            async with several.messages.stream(model=model, max_tokens=100, messages=said) as events:
                return await events.get_final_text()
        texts = await asyncio.gather(*(one(number) for number in range(10)))
        await several.close()
        return texts
    texts = asyncio.run(all_of_them())
    return len(texts), len(set(texts))
"""


@pytest.mark.parametrize("name", [*FROM_ANTHROPIC, "azure", "command a on oracle"])
def test_anthropic_helpers(every: Serving, emulators: Emulators, sdks: Sdks, name: str) -> None:
    one = PROVIDERS[name]
    gave = ran(sdks, "messages", one, every, ANTHROPIC, png=PNG, paper=PDF)
    same, text, reason, model, output, request_id = gave["text_stream"]
    assert (same, reason, model) == (True, "end_turn", one.model)
    assert text.startswith(SAYS)
    assert output > 5
    assert request_id.startswith("req_")
    assert gave["kinds"] == [
        ["message_start", "content_block_start", "content_block_delta", "text"],
        ["text", "content_block_stop", "message_delta", "message_stop"],
    ]
    assert gave["parse"] == [PARSED, "end_turn"]
    assert gave["parse_stream"] == PARSED
    for attempt in ("image", "beta"):
        assert gave[attempt].startswith(SAYS), (attempt, gave[attempt])
    for attempt in ("pdf", "text_document"):
        if name in NO_FILES:
            assert gave[attempt].startswith("BadRequestError")
        else:
            assert gave[attempt].startswith(SAYS), (attempt, gave[attempt])
    assert gave["count"] == [True, "true"]
    if name == "nova on bedrock":  # the one of these that is told what to keep
        (written, read, _), (written_later, read_later, _) = gave["cached"]
        assert written == read_later > 0
        assert read == written_later == 0
    else:
        assert gave["cached"] == [[0, 0, True]] * 2
    assert gave["stops"] == ["end_turn", None]
    assert gave["short"] == ["max_tokens", 5]
    assert gave["raw"] is True
    assert gave["ten_at_once"] == [10, 1]
    assert PNG.encode() in b"".join(seen.body for seen in emulators.requests(one.host))


def test_which_sequence_stopped_it_is_told_where_the_provider_tells(
    every: Serving, emulators: Emulators, sdks: Sdks
) -> None:
    """Converse says that one of them did, and for Nova not which; OpenAI and Gemini call it a plain end."""
    answer = {"message": {"role": "assistant", "content": [{"text": "up to the"}]}}
    usage = {"inputTokens": 1, "outputTokens": 3, "totalTokens": 4}
    body = json.dumps({"output": answer, "stopReason": "stop_sequence", "usage": usage, "metrics": {"latencyMs": 1}})
    one = PROVIDERS["nova on bedrock"]
    emulators.behave(one.host, Behaviour(body=body.encode()))
    code = """
answer = anthropic.Anthropic(max_retries=0).messages.create(model=model, max_tokens=9, messages=said, stop_sequences=["END"])
result = {"told": [answer.content[0].text, answer.stop_reason, answer.stop_sequence]}
"""
    assert ran(sdks, "messages", one, every, code)["told"] == ["up to the", "stop_sequence", None]


RUNNER = '''
import anthropic
client = anthropic.Anthropic(max_retries=0)
called = []

@anthropic.beta_tool
def get_weather(city: str, unit: Literal["c", "f"] = "c") -> str:
    """The weather of a city.

    Args:
        city: which one
        unit: of the degrees
    """
    called.append([city, unit])
    return "18 degrees"

asked = {"model": model, "max_tokens": 500, "tools": [get_weather], "messages": said}

@attempt
def whole():
    final = client.beta.messages.tool_runner(**asked).until_done()
    return [called.pop(0) for _ in called[:]], final.content[-1].text, final.stop_reason

@attempt
def streamed():
    kinds = set()
    for events in client.beta.messages.tool_runner(**asked, stream=True):
        kinds |= {event.type for event in events}
        final = events.get_final_message()
    return [called.pop(0) for _ in called[:]], final.content[-1].text, final.stop_reason, "input_json" in kinds

@attempt
def pieces():
    tool = {"name": "get_weather", "input_schema": get_weather.input_schema}
    with client.messages.stream(model=model, max_tokens=500, tools=[tool], messages=said) as events:
        told = [(event.partial_json, event.snapshot) for event in events if event.type == "input_json"]
        (block,) = [block for block in events.get_final_message().content if block.type == "tool_use"]
    return json.loads("".join(piece for piece, _ in told)) == told[-1][1] == block.input, block.input
'''


@pytest.mark.parametrize("name", [*FROM_ANTHROPIC, "claude on bedrock", "claude on vertex", "command a on oracle"])
def test_anthropics_tool_runner(every: Serving, emulators: Emulators, sdks: Sdks, name: str) -> None:
    """It asks for a thread first, of which Anthropic would keep the messages: refused, it sends them all."""
    one = PROVIDERS[name]
    for behaviour in (*(Behaviour(call_tool=True, calls=2), Behaviour()) * 2, Behaviour(call_tool=True)):
        emulators.behave(one.host, behaviour, times=1)
    gave = ran(sdks, "messages", one, every, RUNNER)
    called, text, reason = gave["whole"]
    assert called == [["example", "c"], ["example 2", "c"]]
    assert (text.startswith(SAYS), reason) == (True, "end_turn")
    called, text, reason, in_pieces = gave["streamed"]
    assert called == [["example", "c"], ["example 2", "c"]]
    assert (text.startswith(SAYS), reason, in_pieces) == (True, "end_turn", True)
    assert gave["pieces"] == [True, {"city": "example"}]
    seen = emulators.requests(one.host)
    assert len(seen) == 5
    assert not any(b'"thread"' in request.body for request in seen)


ANTHROPIC_FAULTS = """
client = anthropic.Anthropic(max_retries=0)

def told(**more):
    try:
        client.messages.create(**{"model": model, "max_tokens": 50, "messages": said, **more})
    except anthropic.APIStatusError as problem:
        return {"kind": type(problem).__name__, "status": problem.status_code, "type": problem.body["error"]["type"],
                "message": problem.body["error"]["message"], "ids": [problem.request_id, problem.body["request_id"]]}

@attempt
def limited():
    return told()

@attempt
def overloaded():
    return told()

@attempt
def forbidden():
    return told()

@attempt
def unknown_model():
    return told()

@attempt
def wrong():
    return told(temperature=2) if has_temperature else told(max_tokens=0)

@attempt
def in_the_stream():
    text = ""
    try:
        with client.messages.stream(model=model, max_tokens=50, messages=said) as events:
            for piece in events.text_stream:
                text += piece
    except anthropic.APIStatusError as problem:
        return type(problem).__name__, text, problem.body["type"]
"""


@pytest.mark.parametrize(
    "name", ["openai", "nova on bedrock", "gemini on vertex", "watsonx", "claude on bedrock", "claude on vertex"]
)
def test_anthropic_faults(every: Serving, emulators: Emulators, sdks: Sdks, name: str) -> None:
    """Also where Claude's own format is spoken by a host that refuses in its own words."""
    one = PROVIDERS[name]
    for status in (429, 503, 403, 404):
        emulators.behave(one.host, Behaviour(status=status), times=1)
    passes = name.startswith("claude")
    if passes:
        emulators.behave(one.host, Behaviour(status=400), times=1)
    emulators.behave(one.host, Behaviour(fail_after=4), times=1)
    gave = ran(sdks, "messages", one, every, ANTHROPIC_FAULTS, has_temperature=False)
    expected = {
        "limited": ("RateLimitError", 429, "rate_limit_error"),
        "overloaded": ("OverloadedError", 529, "overloaded_error"),
        "forbidden": ("PermissionDeniedError", 403, "permission_error"),
        "unknown_model": ("NotFoundError", 404, "not_found_error"),
        "wrong": ("BadRequestError", 400, "invalid_request_error"),
    }
    for attempt, wanted in expected.items():
        fault = gave[attempt]
        assert (fault["kind"], fault["status"], fault["type"]) == wanted, (attempt, fault)
        assert fault["message"]
        first, second = fault["ids"]
        assert first == second
        assert first.startswith("req_")
    kind, text, type_ = gave["in_the_stream"]
    assert (text.startswith("Hello"), type_) == (True, "error"), kind


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """A gateway with a TLS port, whose CA is in the clients' bundle."""
    folder: Path = tmp_path_factory.mktemp("tls")
    authority = Authority.create()
    pem = folder / "listener.pem"
    pem.write_bytes(authority.issue(["localhost"]))
    pem.chmod(0o600)
    tls = {"tls_port": free_port(), "tls_cert_file": str(pem), "tls_key_file": str(pem)}
    environ = variables(shared_emulators)
    serving = start(folder, shared_emulators, environ=environ, instances=INSTANCES, models=MODELS, server=tls)
    serving.bundle.write_bytes(serving.bundle.read_bytes() + authority.pem)
    yield serving
    serving.stop()


WIRES = {"HTTP/1.1": ("--http1.1",), "HTTP/2 over TLS": ("--http2",)}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", ["nova on bedrock", "gemini on vertex", "llama on oracle", "openai"])
def test_curl_reads_answers_and_streams(over_tls: Serving, emulators: Emulators, name: str, wire: str) -> None:
    one = PROVIDERS[name]
    base = ways.secure(over_tls, "") if "TLS" in wire else ways.plain(over_tls, "")
    urls = {"messages": f"{base}/anthropic/{one.instance}/v1/messages"}
    if name != "openai":
        urls["chat"] = f"{base}/openai/{one.instance}/chat/completions"
    for protocol, url in urls.items():
        body = message(one.model) if protocol == "messages" else chat(one.model)
        proof = (*WIRES[wire], "-H", f"X-API-Key: {over_tls.key()}", *JSON)
        version = ("--write-out", "\n%{http_version} %{response_code}")
        whole, _, told = curl(ways.trust(over_tls), *proof, *version, "-d", json.dumps(body), url).rpartition(b"\n")
        answer = json.loads(whole)
        text = answer["content"][0]["text"] if protocol == "messages" else answer["choices"][0]["message"]["content"]
        assert text.startswith(SAYS)
        assert told == (b"2 200" if "TLS" in wire else b"1.1 200")
        asked = json.dumps({**body, "stream": True})
        streamed = curl(ways.trust(over_tls), "-N", *proof, "-d", asked, url).decode()
        end = 'event: message_stop\ndata: {"type":"message_stop"}\n\n' if protocol == "messages" else "data: [DONE]\n\n"
        assert streamed.endswith(end), streamed[-200:]
        assert _text_of(protocol, streamed) == text


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_http_1_0_is_refused_in_the_shape_of_the_protocol(every: Serving, emulators: Emulators, path: str) -> None:
    """Its framing is open to smuggling; every client of this century speaks 1.1."""
    words = ("--http1.0", "-H", f"X-API-Key: {every.key()}", *JSON, "--write-out", "\n%{response_code}")
    body = json.dumps(message("nova"))
    said, _, status = curl({}, *words, "-d", body, ways.plain(every, path)).rpartition(b"\n")
    assert (status, json.loads(said)["error"]["type"]) == (b"400", "invalid_request_error")
    assert "only HTTP/1.1 is served" in json.loads(said)["error"]["message"]
    assert emulators.requests() == ()


def _text_of(protocol: str, streamed: str) -> str:
    """What the events of a stream say, read as a program without an SDK reads them."""
    data = [line.removeprefix("data: ") for line in streamed.splitlines() if line.startswith("data: {")]
    events = [json.loads(one) for one in data]
    if protocol == "messages":
        return "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    return "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])


def test_what_was_said_is_what_was_asked(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    """A client that names no provider of ours: the model alone leads there."""
    environ = {"OPENAI_BASE_URL": ways.plain(every, "/v1"), "OPENAI_API_KEY": every.key()}
    code = """
client = openai.OpenAI(max_retries=0)
result = [client.responses.create(model=name, input=said[0]["content"]).output_text for name in names]
"""
    texts = sdks.run(code, environ, said=HELLO, names=["nova", "granite-4", "command", "claude"])
    assert all(text.startswith(SAYS) for text in texts)
    assert all(b"hello" in seen.body for seen in emulators.requests() if seen.host != "iam.cloud.ibm.com")
