"""The official openai client as the judge of our Responses: of golden requests, answers, streams and failures.

Bytes come to it through its own HTTP client, with an answer in place of a network. It validates strictly; members that
its types do not know are looked for apart. It is blind for much of the order of events: that is judged by
tests/golden/responses/order.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmauth.chat import events
from llmauth.chat.messages import ChatRequest, Citation, Finish, Message, Text
from llmauth.codecs.responses.codec import RESPONSES
from llmauth.errors import UpstreamError
from tests.e2e.clients.sdks import Sdks
from tests.golden.responses import golden
from tests.llmauth.demo.clients import EXTRAS, ClientProblem

# `store: false` says that nothing is kept; OpenAI sends it too, and its types lack it. `error` is why clients raise.
_BESIDE = {".store", ".response.store", ".error"}

_CLIENT = (
    EXTRAS
    + """
import httpx2
sent = []

def reply(request):
    sent.append(request.read().decode())
    body = bodies.pop(0)
    kind = "text/event-stream" if body.startswith("event:") else "application/json"
    return httpx2.Response(200, headers={"content-type": kind}, content=body.encode())

client = openai.OpenAI(
    api_key="k",
    base_url="http://127.0.0.1:9/v1",
    max_retries=0,
    _strict_response_validation=strict,
    http_client=openai.DefaultHttpxClient(transport=httpx2.MockTransport(reply)),
)
"""
)

# A TypedDict forgets what it does not know, and looks into an iterable only when somebody does.
_REQUESTS = """
from pydantic import TypeAdapter
from openai.types.responses import response_create_params as params

adapter = TypeAdapter(params.ResponseCreateParamsNonStreaming)

def forced(value):
    if isinstance(value, dict):
        return {name: forced(inner) for name, inner in value.items()}
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return value
    return [forced(inner) for inner in value]

result = {}
for name, text in requests.items():
    try:
        result[name] = forced(adapter.validate_python(json.loads(text))) == json.loads(text)
    except Exception as problem:
        result[name] = f"{type(problem).__name__}: {problem}"[:400]
"""


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[..., Any]]:
    sdks = Sdks(None, "openai")

    def snippet(code: str, *, strict: bool = True, **names: Any) -> Any:
        return sdks.run("import json\n" + code, {}, strict=strict, **names)

    yield snippet
    sdks.close()


def whole(name: str) -> str:
    case = golden.CASES[name]
    return RESPONSES.render_response(case.response, golden.answering(case.request)).decode()


def stream(*told: events.Event, request: ChatRequest | None = None) -> str:
    encoder = RESPONSES.stream_encoder(golden.answering(request or golden.CASES["one tool"].request))
    return (b"".join(encoder.encode(event) for event in told) + encoder.close()).decode()


def streamed(name: str) -> str:
    case = golden.CASES[name]
    return stream(*golden.streamed(case.response), request=case.request)


# Requests


def test_golden_requests_are_what_the_client_s_types_allow(run: Callable[..., Any]) -> None:
    requests = {name: golden.asked(name).decode() for name in golden.CASES}
    assert run(_REQUESTS, requests=requests) == dict.fromkeys(requests, True)


def test_the_types_notice_bad_requests(run: Callable[..., Any]) -> None:
    bad = {
        "a bad role": {"model": "m", "input": [{"role": "robot", "content": "a"}]},
        "a bad part": {"model": "m", "input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        "an unknown member": {"model": "m", "input": "a", "made_up": 1},
        "a tool of chat": {"model": "m", "tools": [{"type": "function", "function": {"name": "f"}}]},
    }
    found = run(_REQUESTS, requests={name: json.dumps(body) for name, body in bad.items()})
    assert [name for name, verdict in found.items() if verdict is True] == []


# Whole answers

_ANSWERS = (
    _CLIENT
    + """
result = {}
for name, body in answers.items():
    bodies = [body]
    try:
        response = client.responses.create(model="m", input="hi")
        result[name] = {"extras": extras(response), "text": response.output_text, "same": same(response, body)}
    except Exception as problem:
        result[name] = f"{type(problem).__name__}: {problem}"[:400]
"""
)
_SAME = """
def same(response, body):
    told = {name: value for name, value in json.loads(body).items() if name != "store"}
    found = json.loads(response.to_json(exclude_unset=True))
    return {name: value for name, value in found.items() if name != "store"} == told
"""


def test_the_client_reads_whole_answers(run: Callable[..., Any]) -> None:
    answers = {name: whole(name) for name in golden.CASES}
    found = run(_SAME + _ANSWERS, answers=answers, bodies=[])
    for name, verdict in found.items():
        said = golden.CASES[name].response.choices[0].parts
        text = "".join(part.text for part in said if isinstance(part, Text))
        assert verdict == {"extras": [".store"], "text": text, "same": True}, name


def test_the_client_notices_bad_answers(run: Callable[..., Any]) -> None:
    good = whole("one tool")
    changes: dict[str, tuple[str, str]] = {
        "a finish of chat": ('"status":"completed"', '"status":"stop"'),
        "another object": ('"object":"response"', '"object":"chat.completion"'),
        "arguments as an object": ('"{\\"city\\":\\"Paris\\"}"', "{}"),
        "no tools": ('"tools":', '"tools_":'),
        "usage of chat": ('"input_tokens":', '"prompt_tokens":'),
        "a part of chat": ('"output_text"', '"text"'),
    }
    for old, _ in changes.values():
        assert old in good
    answers = {name: good.replace(old, new) for name, (old, new) in changes.items()}
    found = run(_SAME + _ANSWERS, answers=answers, bodies=[])
    judged = [name for name, verdict in found.items() if isinstance(verdict, dict) and verdict["extras"] == [".store"]]
    assert judged == []


# Streams

_STREAMS = (
    _CLIENT
    + """
result = {}
for name, body in streams.items():
    bodies = [body, body]
    try:
        raw = list(client.responses.create(model="m", input="hi", stream=True))
        with client.responses.stream(model="m", input="hi") as told:
            seen = list(told)
        result[name] = {
            "extras": sorted({extra for event in raw for extra in extras(event)}),
            "last": json.loads(raw[-1].response.to_json(exclude_unset=True)),
            "kinds": [event.type for event in raw] == [event.type for event in seen],
            "texts": [event.text for event in seen if event.type == "response.output_text.done"],
            "snapshots": [event.snapshot for event in seen if event.type == "response.function_call_arguments.delta"],
        }
        if raw[-1].type == "response.completed":
            final = told.get_final_response()
            result[name]["final"] = [item.id for item in final.output]
    except Exception as problem:
        result[name] = f"{type(problem).__name__}: {problem}"[:400]
"""
)


def test_the_client_adds_a_stream_up_to_the_whole_answer(run: Callable[..., Any]) -> None:
    found = run(_STREAMS, streams={name: streamed(name) for name in golden.CASES}, bodies=[])
    for name, verdict in found.items():
        assert isinstance(verdict, dict), f"{name}: {verdict}"
        expected = json.loads(whole(name))
        assert verdict["last"] == expected, name
        assert set(verdict["extras"]) <= _BESIDE, name
        assert verdict["kinds"], name
        texts = [part.text for part in golden.CASES[name].response.choices[0].parts if isinstance(part, Text)]
        assert verdict["texts"] == texts, name
        if expected["status"] == "completed":
            assert verdict["final"] == [item["id"] for item in expected["output"]], name


def test_interleaved_calls_sources_and_log_probabilities(run: Callable[..., Any]) -> None:
    entry = {
        "token": "a",
        "logprob": -0.5,
        "bytes": None,
        "top_logprobs": [{"token": "b", "logprob": -1, "bytes": None}],
    }
    told = (
        events.TextDelta("a"),
        events.LogprobsDelta((entry,)),
        events.Cited(Citation("https://e.com", "E")),
        events.CallStarted(0, "a", "get_weather"),
        events.ArgumentsDelta(0, '{"x":'),
        events.CallStarted(1, "b", "get_weather"),
        events.ArgumentsDelta(1, '{"y":'),
        events.ArgumentsDelta(0, "1}"),
        events.ArgumentsDelta(1, "2}"),
        events.Finished(Finish.TOOL_CALLS),
    )
    found = run(_STREAMS, streams={"x": stream(*told)}, bodies=[])["x"]
    assert isinstance(found, dict), found
    assert found["snapshots"] == ['{"x":', '{"y":', '{"x":1}', '{"y":2}']
    assert set(found["extras"]) <= _BESIDE
    assert len(found["final"]) == 3


def test_the_client_notices_bad_streams(run: Callable[..., Any]) -> None:
    good = streamed("one tool")
    blocks = good.split("\n\n")
    bad = {
        "no number": good.replace('"sequence_number":4,', ""),
        "a delta of nothing": "\n\n".join(block for block in blocks if "output_item.added" not in block),
        "no beginning": "\n\n".join(blocks[1:]),
        "a piece that is no text": good.replace('"delta":"Let me"', '"delta":5'),
        "another response at the end": good.replace(
            '"sequence_number":14,"response":{"id":"resp_golden"', '"sequence_number":14,"response":{"id":"resp_other"'
        ),
        "an item twice": good.replace(
            '"output_index":1,"item":{"id":"fc_golden_1"', '"output_index":0,"item":{"id":"fc_x"'
        ),
    }
    assert all(body != good for body in bad.values())
    found = run(_STREAMS, streams=bad, bodies=[])
    assert "identity changed" in found["another response at the end"]
    assert [name for name, verdict in found.items() if isinstance(verdict, dict)] == []


# Failures

_FAILING = (
    _CLIENT
    + """
bodies = [body, body]
seen, raised = [], []
for helper in (False, True):
    try:
        if helper:
            with client.responses.stream(model="m", input="hi") as told:
                seen.append([event.type for event in told])
        else:
            for event in client.responses.create(model="m", input="hi", stream=True):
                seen.append(event.type)
    except openai.APIError as problem:
        raised.append({"message": problem.message, "code": problem.code, "type": problem.type})
result = {"seen": seen, "raised": raised}
"""
)
_FAILED = events.Failed(UpstreamError("Too busy.", cause="overloaded", hint="Later."))


@pytest.mark.parametrize("before", [(), (events.TextDelta("He"),)], ids=["at once", "in the middle"])
def test_the_client_raises_when_a_stream_fails(run: Callable[..., Any], before: tuple[events.Event, ...]) -> None:
    """`response.failed` alone is an event among others to it: it raises on an event with an object `error`."""
    found = run(_FAILING, body=stream(*before, _FAILED), bodies=[])
    assert found["raised"] == [{"message": "Too busy. Later.", "code": "overloaded", "type": "server_error"}] * 2
    assert found["seen"][-1] == "response.failed"
    assert "response.completed" not in found["seen"]


def test_without_the_object_nobody_would_notice(run: Callable[..., Any]) -> None:
    """The flat form, which the types describe, raises nothing: this is why both stand in our event."""
    lines = stream(_FAILED).split("\n")
    data = json.loads(lines[-3].removeprefix("data: "))
    del data["error"]
    found = run(_FAILING, body="\n".join([*lines[:-3], f"data: {json.dumps(data)}", "", ""]), bodies=[])
    assert found["raised"] == []


# Agents

_AGENT = (
    _CLIENT
    + """
asked = [{"role": "user", "content": "Weather in Paris?"}]
options = {"model": "golden-model", "reasoning": {"effort": "medium"}, "store": False, "tools": tools}
options["include"] = ["reasoning.encrypted_content"]
if streaming:
    with client.responses.stream(input=asked, **options) as told:
        first = told.get_final_response()
else:
    first = client.responses.create(input=asked, **options)
asked += [item for item in first.output] if objects else [item.model_dump(exclude_none=True) for item in first.output]
calls = [item for item in first.output if item.type == "function_call"]
asked += [{"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"} for call in calls]
last = client.responses.create(input=asked, **options)
result = {"sent": sent, "text": last.output_text}
"""
)


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("objects", [False, True], ids=["dumped", "objects"])
def test_an_agent_s_loop_keeps_the_signature(run: Callable[..., Any], streaming: bool, objects: bool) -> None:
    """The answer's items go back as the client holds them, and come to the provider as it made them."""
    case = golden.CASES["thinking back"]
    turn = case.request.messages[1]
    told = golden.streamed(_answer(turn))
    first = stream(*told) if streaming else _whole_of(turn)
    tools = json.loads(golden.asked("thinking back"))["tools"]
    found = run(_AGENT, bodies=[first, whole("thinking back")], tools=tools, streaming=streaming, objects=objects)
    request = RESPONSES.parse_request(found["sent"][1].encode())
    assert request.messages == case.request.messages
    assert request.tools == case.request.tools
    assert request.unknown == ()
    assert found["text"] == "18 degrees."


def _answer(turn: Message) -> Any:
    case = golden.CASES["parallel tools"]
    (choice,) = case.response.choices
    return type(case.response)(id="x", model="y", choices=(type(choice)(parts=turn.parts, finish=Finish.TOOL_CALLS),))


def _whole_of(turn: Message) -> str:
    return RESPONSES.render_response(_answer(turn), golden.answering(golden.CASES["one tool"].request)).decode()


_PARSING = (
    _CLIENT
    + """
from pydantic import BaseModel

class Person(BaseModel):
    name: str
    age: int

response = client.responses.parse(model="m", input="Who?", text_format=Person, instructions="Be brief.")
result = {"sent": sent, "age": response.output_parsed.age}
"""
)


def test_parsed_answers(run: Callable[..., Any]) -> None:
    found = run(_PARSING, bodies=[whole("json schema")])
    request = RESPONSES.parse_request(found["sent"][0].encode())
    assert (request.output.name, request.output.strict) == ("Person", True)
    assert found["age"] == 36


def test_a_snippet_that_fails_is_noticed(run: Callable[..., Any]) -> None:
    with pytest.raises(ClientProblem, match=r"list index|pop from empty"):
        run(_CLIENT + "client.responses.create(model='m', input='x')", bodies=[])
