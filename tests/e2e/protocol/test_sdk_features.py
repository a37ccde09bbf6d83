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
from tests.e2e.protocol.snippets import (
    ANTHROPIC,
    ANTHROPIC_FAULTS,
    COMMON,
    CONTENTS,
    OPENAI_FAULTS,
    PARALLEL,
    RUNNER,
    STRUCTURED,
    TOOLS,
)
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
    """Cohere's `parameterDefinitions` have a type and a description: values are told in words, and not held."""
    one = PROVIDERS["command r on oracle"]
    emulators.behave(one.host, Behaviour(call_tool=True), times=None)
    gave = ran(sdks, "chat", one, every, TOOLS)
    assert gave["parse"].startswith("ValidationError")
    unit = json.loads(emulators.requests(one.host)[0].body)["chatRequest"]["tools"][0]["parameterDefinitions"]["unit"]
    assert unit["type"] == "str"
    assert '"c"' in unit["description"]
    assert '"f"' in unit["description"]


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
    assert all(sum(f'question {number}"'.encode() in request.body for request in seen) == 1 for number in range(20))


def test_two_answers_where_the_provider_gives_them(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    code = """
answer = openai.OpenAI(max_retries=0).chat.completions.create(model=model, messages=said, n=2)
result = {"said": [choice.message.content[:5] for choice in answer.choices]}
"""
    assert ran(sdks, "chat", PROVIDERS["gemini on vertex"], every, code) == {"said": ["Hello", "Hello"]}


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
client = anthropic.Anthropic(max_retries=0)
answer = client.messages.create(model=model, max_tokens=9, messages=said, stop_sequences=["END"])
result = {"told": [answer.content[0].text, answer.stop_reason, answer.stop_sequence]}
"""
    assert ran(sdks, "messages", one, every, code)["told"] == ["up to the", "stop_sequence", None]


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
    gave = ran(sdks, "messages", one, every, ANTHROPIC_FAULTS)
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
