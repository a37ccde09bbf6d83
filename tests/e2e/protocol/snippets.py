"""What programs do with the helpers of the official Python SDKs; each snippet tells what every attempt of it gave."""

from __future__ import annotations

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

STRUCTURED = """
client = openai.OpenAI(max_retries=0)

@attempt
def parse():
    answer = client.chat.completions.parse(model=model, messages=said, response_format=Answer)
    return answer.choices[0].message.parsed.model_dump()

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
    told = [answer.headers[name] for name in ("content-type", "x-llmauth-served-by")]
    return same, *told, parsed.choices[0].message.content

@attempt
def streaming_raw():
    asked = client.chat.completions.with_streaming_response.create(model=model, messages=said, stream=True)
    with asked as answer:
        return [line for line in answer.iter_lines() if line][-1]
"""

TOOLS = """
client = openai.OpenAI(max_retries=0)
tool = openai.pydantic_function_tool(GetWeather)

def of_chat(completion):
    (choice,) = completion.choices
    calls = choice.message.tool_calls
    called = [[call.function.name, call.function.parsed_arguments.model_dump()] for call in calls]
    return choice.finish_reason, called, len({call.id for call in calls}), choice.message.content or None

@attempt
def parse():
    return of_chat(client.chat.completions.parse(model=model, messages=said, tools=[tool]))

@attempt
def stream():
    with client.chat.completions.stream(model=model, messages=said, tools=[tool]) as events:
        ended = [event for event in events if event.type == "tool_calls.function.arguments.done"]
        done = [[event.name, event.parsed_arguments.model_dump()] for event in ended]
        return done, of_chat(events.get_final_completion())

@attempt
def responses_stream():
    tools = [openai.pydantic_responses_function_tool(GetWeather)]
    with client.responses.stream(model=model, input="hello", tools=tools) as events:
        kinds = runs(events)
        calls = [item for item in events.get_final_response().output if item.type == "function_call"]
    return kinds, [[call.name, call.parsed_arguments.model_dump()] for call in calls]
"""

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
    shown = {"type": "input_image", "image_url": picture["image_url"]["url"], "detail": "auto"}
    content = [{"type": "input_text", "text": "what is it?"}, shown]
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
    answer = client.with_options(max_retries=1).chat.completions.create(model=model, messages=said)
    return answer.choices[0].message.content

@attempt
def in_the_stream():
    text = ""
    try:
        for chunk in client.chat.completions.create(model=model, messages=said, stream=True):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    except openai.APIError as problem:
        return type(problem).__name__, text, problem.body["message"]
"""

ANTHROPIC = """
client = anthropic.Anthropic(max_retries=0)
words = {"type": "text", "text": "what is it?"}

def create(content="hello", **more):
    messages = [{"role": "user", "content": content}]
    return client.messages.create(**{"model": model, "max_tokens": 100, "messages": messages, **more})

@attempt
def text_stream():
    with client.messages.stream(model=model, max_tokens=100, messages=said) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
    output = final.usage.output_tokens
    return text == final.content[0].text, text, final.stop_reason, final.model, output, events.request_id

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
    source = {"type": "base64", "media_type": "image/png", "data": png}
    return create([{"type": "image", "source": source}, words]).content[0].text

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
    return [[one.cache_creation_input_tokens, one.cache_read_input_tokens, one.input_tokens > 0] for one in usages]

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
    betas = ["context-1m-2025-08-07"]
    return client.beta.messages.create(model=model, max_tokens=50, messages=said, betas=betas).content[0].text

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
    return told(max_tokens=0)

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
