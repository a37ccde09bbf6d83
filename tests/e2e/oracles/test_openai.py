"""What we write is what OpenAI's own types say: requests, whole answers and chunks, held against the official SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from llmauth.chat.events import Cited, Event, Failed, Finished, LogprobsDelta, Started, TextDelta
from llmauth.chat.messages import (
    Audio,
    ChatRequest,
    Citation,
    Data,
    Document,
    Finish,
    Image,
    Message,
    Refusal,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from llmauth.chat.words import Word
from llmauth.codecs.base import Answering
from llmauth.codecs.openai.codec import CHAT
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.openai.table import EXTENDED, OPENAI
from llmauth.errors import UpstreamError
from tests.e2e.clients.sdks import Sdks
from tests.golden.cases import MODEL, PDF, PNG, WEATHER, answered, asked, assistant, cases, user
from tests.golden.streams import decoded

# Members that OpenAI's types do not know, each for a reason that the documentation gives.
EXTENSIONS = {
    "request": {"reasoning_content", "thinking_blocks", "extra_content", "cache_control", "top_k"},
    "answer": {"reasoning_content", "thinking_blocks", "extra_content"},
    "chunk": {"reasoning_content", "thinking_blocks", "extra_content", "annotations", "url_citation", "type"},
}

JUDGE = """
import json
from typing import get_args, get_origin
from pydantic import TypeAdapter
from openai.types.chat import ChatCompletion, ChatCompletionChunk, CompletionCreateParams
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming as Whole, CompletionCreateParamsStreaming as Stream)

def extras(value, path=""):
    if isinstance(value, (list, tuple)):
        return [name for item in value for name in extras(item)]
    if not hasattr(value, "model_extra"):
        return []
    return list(value.model_extra or ()) + [
        name for field in type(value).model_fields for name in extras(getattr(value, field))]

def forced(value):
    if isinstance(value, dict):
        return {name: forced(inner) for name, inner in value.items()}
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return [forced(item) for item in value]  # the types are lazy: a list is judged only while it is walked

def lost(given, kept, path=""):
    if isinstance(given, dict):
        return [name for name in given if name not in kept] + [
            name for key in given if key in kept for name in lost(given[key], kept[key])]
    if isinstance(given, list):
        return [name for one, other in zip(given, kept) for name in lost(one, other)]
    return []

def judged(kind, text):
    try:
        if kind == "request":
            given = json.loads(text)
            adapter = TypeAdapter(Stream if given.get("stream") else Whole)
            return sorted(set(lost(given, forced(adapter.validate_python(given)))))
        model = ChatCompletion if kind == "answer" else ChatCompletionChunk
        return sorted(set(extras(model.model_validate_json(text, strict=True))))
    except Exception as problem:
        return f"{type(problem).__name__}: {str(problem)[:2000]}"

result = [judged(kind, text) for kind, text in samples]
"""


def _answering(**more: Any) -> Answering:
    request = ChatRequest(model=MODEL, messages=(user("Hi"),), **more)
    return Answering(id="1", created=1760000000, model=MODEL, request=request)


def _more_requests() -> dict[str, ChatRequest]:
    picture = Image(Data("image/png", PNG), "high")
    everything: dict[Word, Any] = {
        Word.MAX_TOKENS: 5,
        Word.SEED: 1,
        Word.N: 2,
        Word.PRESENCE_PENALTY: 0.5,
        Word.FREQUENCY_PENALTY: 0.5,
        Word.LOGIT_BIAS: {"1": 2},
        Word.LOGPROBS: True,
        Word.TOP_LOGPROBS: 2,
        Word.USER: "u",
        Word.METADATA: {"a": "b"},
        Word.SERVICE_TIER: "flex",
        Word.VERBOSITY: "low",
        Word.PREDICTION: {"type": "content", "content": "x"},
        Word.WEB_SEARCH: {"search_context_size": "low"},
        Word.STORE: True,
        Word.PROMPT_CACHE_KEY: "k",
        Word.PROMPT_CACHE_RETENTION: "24h",
    }
    return {
        "everything": asked(Message("user", (Text("Hi"),), "ann"), parameters=everything),
        "speech": asked(user(Audio(Data("audio/wav", "YWJj")), Document(Data("application/pdf", PDF)), picture)),
        "refused before": asked(user("Hi"), assistant("I", Refusal("No.")), assistant(Refusal("No.")), user("Why?")),
        "picture of a tool": asked(
            user("Hi"),
            assistant(ToolCall("c", "f", "", Signature("openai", "s"))),
            Message("tool", (ToolResult("c", (Text("a"), Text("b"), picture)),)),
            tools=(replace(WEATHER, strict=True), Tool("f")),
        ),
    }


def _requests() -> Iterator[tuple[str, str]]:
    all_cases = {name: case.request for name, case in cases("openai").items()} | _more_requests()
    for name, request in all_cases.items():
        for dialect in (OPENAI, EXTENDED):
            if dialect is EXTENDED and name == "everything":
                continue  # it asks for what only OpenAI has
            for model in ("gpt-4o", "o3"):
                for stream in (False, True):
                    told = OpenAIProvider(model, dialect).render_request(replace(request, stream=stream))
                    yield f"{name}, {dialect.name}, {model}, {'stream' if stream else 'whole'}", told.body.decode()


_TOKEN = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []}


def _answers() -> Iterator[tuple[str, str]]:
    cited = Text("abc", citations=(Citation("https://e.com", "t"),))
    responses = {name: case.response for name, case in cases().items()}
    responses["sources"] = answered(cited)
    responses["signed call"] = answered(ToolCall("c", "f", "", Signature("gemini", "s")), finish=Finish.TOOL_CALLS)
    plain = answered("a")
    told = replace(
        plain.choices[0],
        logprobs={"content": [{**_TOKEN, "top_logprobs": [{"token": "b", "logprob": -2.0, "bytes": [98]}]}]},
    )
    responses["log probabilities"] = replace(plain, choices=(told, replace(told, index=1)), service_tier="priority")
    for finish in Finish:
        responses[f"end: {finish.value}"] = answered("a", finish=finish)
    for name, response in responses.items():
        yield name, CHAT.render_response(response, _answering()).decode()
    old = _answering(spelling={Word.TOOLS: "functions"})
    yield "words of 2023", CHAT.render_response(responses["one tool"], old).decode()


def _chunks() -> Iterator[tuple[str, str]]:
    for asked_for in (True, False):
        for name, stream in _streams(asked_for):
            *frames, last, rest = stream.decode().split("\n\n")
            assert (last, rest) == ("data: [DONE]", "")
            for number, frame in enumerate(frames):
                yield f"{name} {asked_for} {number}", frame.removeprefix("data: ")


def _streams(asked_for: bool) -> Iterator[tuple[str, bytes]]:
    for name, case in cases().items():
        # A whole answer in one piece, as an OpenAI provider streams it, and then once more as a client reads it.
        encoder = CHAT.stream_encoder(_answering(include_usage=asked_for))
        events = decoded(OpenAIProvider(MODEL).stream_decoder(), [_stream_of(case.response)])
        assert not any(isinstance(event, Failed) for event in events)
        yield name, b"".join(map(encoder.encode, events)) + encoder.close()
    encoder = CHAT.stream_encoder(_answering(include_usage=asked_for))
    marks = (Cited(Citation("https://e.com", "t")), LogprobsDelta((_TOKEN,)), Finished(Finish.PAUSE))
    told: tuple[Event, ...] = (Started(), TextDelta("a"), *marks)
    yield "marks", b"".join(map(encoder.encode, told)) + encoder.close()


def _stream_of(response: Any) -> bytes:
    """The chunks of a provider that says each message in one delta."""
    body = json.loads(CHAT.render_response(response, _answering()))
    choice = body["choices"][0]
    delta = choice.pop("message")
    calls = [{"index": number, **call} for number, call in enumerate(delta.get("tool_calls", ()))]
    told = {**choice, "delta": {**delta, "tool_calls": calls}}
    return f"data: {json.dumps({**body, 'choices': [told]})}\n\ndata: [DONE]\n\n".encode()


SAMPLES = {
    **{("request", name): text for name, text in _requests()},
    **{("answer", name): text for name, text in _answers()},
    **{("chunk", name): text for name, text in _chunks()},
}

_CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
_ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
_HI = [{"role": "user", "content": "Hi"}]
BAD: dict[tuple[str, str], Any] = {
    ("request", "no model"): {"messages": _HI},
    ("request", "a role"): {"model": "m", "messages": [{"role": "robot", "content": "Hi"}]},
    ("request", "a part"): {"model": "m", "messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
    ("request", "a tool"): {"model": "m", "messages": _HI, "tools": [{"type": "function"}]},
    ("answer", "an end"): {
        **_ANSWER,
        "choices": [{"index": 0, "finish_reason": "end_turn", "message": {"role": "assistant", "content": "a"}}],
    },
    ("answer", "an object"): {**_ANSWER, "object": "completion", "choices": []},
    ("answer", "a bill in words"): {
        **_ANSWER,
        "choices": [],
        "usage": {"prompt_tokens": "1", "completion_tokens": 1, "total_tokens": 2},
    },
    ("chunk", "an end"): {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "end_turn"}]},
    ("chunk", "no index"): {**_CHUNK, "choices": [{"delta": {"content": "a"}, "finish_reason": None}]},
    ("chunk", "a call without an index"): {
        **_CHUNK,
        "choices": [{"index": 0, "delta": {"tool_calls": [{"id": "c"}]}, "finish_reason": None}],
    },
}
STRAY: dict[tuple[str, str], Any] = {
    ("request", "stray"): {"model": "m", "messages": [{"role": "user", "content": "Hi", "frob": 1}]},
    ("answer", "stray"): {**_ANSWER, "choices": [], "frob": 1},
    ("chunk", "stray"): {**_CHUNK, "choices": [{"index": 0, "delta": {"frob": 1}, "finish_reason": None}]},
}


@pytest.fixture(scope="module")
def openai_sdk() -> Iterator[Sdks]:
    sdks = Sdks(None, "openai")
    yield sdks
    sdks.close()


@pytest.fixture(scope="module")
def verdicts(openai_sdk: Sdks) -> dict[tuple[str, str], Any]:
    """Of each sample the members that the types do not know, or what they say against it."""
    told = SAMPLES | {key: json.dumps(body) for key, body in (BAD | STRAY).items()}
    samples = [[kind, text] for (kind, _), text in told.items()]
    return dict(zip(told, openai_sdk.run(JUDGE, {}, samples=samples), strict=True))


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_what_we_write_is_what_the_types_say(verdicts, kind):
    faults = {
        name: verdict
        for (one, name), verdict in verdicts.items()
        if one == kind
        and (one, name) in SAMPLES
        and not (isinstance(verdict, list) and set(verdict) <= EXTENSIONS[kind])
    }
    assert faults == {}
    assert sum(one == kind for one, _ in SAMPLES) > 30


def test_nothing_that_openai_does_not_know_is_sent_to_it(verdicts):
    sent = {name: verdict for (kind, name), verdict in verdicts.items() if kind == "request" and ", openai, " in name}
    assert {name: verdict for name, verdict in sent.items() if verdict} == {
        name: ["extra_content"] for name in sent if name.startswith("picture of a tool")
    }


@pytest.mark.parametrize("sample", BAD, ids=": ".join)
def test_the_oracle_sees_what_is_wrong(verdicts, sample):
    assert isinstance(verdicts[sample], str)


@pytest.mark.parametrize("sample", STRAY, ids=lambda sample: sample[0])
def test_the_oracle_sees_what_is_not_known(verdicts, sample):
    assert verdicts[sample] == ["frob"]


def test_the_client_raises_what_a_stream_fails_with(openai_sdk):
    """Read by the SDK's own stream parser, from our bytes."""
    encoder = CHAT.stream_encoder(_answering())
    events: tuple[Event, ...] = (Started(), TextDelta("a"), Failed(UpstreamError("No room.", cause="overloaded")))
    stream = b"".join(map(encoder.encode, events)) + encoder.close()
    result = openai_sdk.run(
        """
        import threading
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                self.wfile.write(stream.encode())

            def log_message(self, *args):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = openai.OpenAI(
            api_key="k", base_url=f"http://127.0.0.1:{server.server_port}/v1", _strict_response_validation=True)
        texts, problem = [], None
        try:
            for chunk in client.chat.completions.create(
                model="m", stream=True, messages=[{"role": "user", "content": "Hi"}]):
                texts.append(chunk.choices[0].delta.content)
        except openai.APIError as error:
            problem = [error.message, error.code, error.type]
        result = [texts, problem]
        """,
        {},
        stream=stream.decode(),
    )
    assert result == [["", "a"], ["No room.", "overloaded", "server_error"]]


def test_the_bill_adds_up():
    body = json.loads(CHAT.render_response(answered("a", usage=Usage(input=1, cache_read=2, output=3)), _answering()))
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"] == 6
