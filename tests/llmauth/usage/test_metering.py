"""Every answer of every emulated provider: what was counted there is what is read here, to the token."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from llmauth.chat.messages import Usage
from llmauth.context import ProviderType
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.vertex import PROJECT
from llmauth.http import Headers
from llmauth.usage.meter import Reading, Reason
from llmauth.usage.metering import meter_for
from tests.llmauth.usage.answers import SAID, Passing, ask, head, read, splits, tokens

USER = [{"role": "user", "content": "hello"}]
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": USER}
TOLD = {"stream": True, "stream_options": {"include_usage": True}}
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 1024, "messages": USER}
CLAUDE: dict[str, Any] = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1024, "messages": USER}
CONVERSE: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
CONTENTS: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
WATSONX: dict[str, Any] = {"model_id": "ibm/granite-4-h-small", "project_id": "p", "messages": USER}
HELLO = {"role": "USER", "content": [{"type": "TEXT", "text": "hello"}]}
COHERE = {"apiFormat": "COHERE", "message": "hello"}

SONNET = "/model/anthropic.claude-3-sonnet-20240229-v1:0"
PLACE = f"/v1/projects/{PROJECT}/locations/us-central1/publishers"
FLASH, VERTEX_CLAUDE = f"{PLACE}/google/models/gemini-2.5-flash", f"{PLACE}/anthropic/models/claude-sonnet-4-5@20250929"
VERSION = "?version=2026-10-14"


def oracle(request: dict[str, Any]) -> dict[str, Any]:
    model = "cohere.command-a-03-2025" if request["apiFormat"] == "COHERE" else "meta.llama-3.3-70b-instruct"
    serving = {"servingType": "ON_DEMAND", "modelId": model}
    return {"compartmentId": "ocid1.tenancy.oc1..a", "servingMode": serving, "chatRequest": request}


def generic(**more: Any) -> dict[str, Any]:
    return oracle({"apiFormat": "GENERIC", "messages": [HELLO], **more})


WHOLE: dict[str, tuple[ProviderType, str, dict[str, Any]]] = {
    "openai chat": ("openai", "/v1/chat/completions", CHAT),
    "openai responses": ("openai", "/v1/responses", {"model": "gpt-4o", "input": "hello"}),
    "azure deployment": ("azure", "/openai/deployments/chat-4o/chat/completions?api-version=2024-10-21", CHAT),
    "anthropic": ("anthropic", "/v1/messages?beta=true", MESSAGE),
    "converse": ("bedrock", f"{SONNET}/converse", CONVERSE),
    "invoke, claude": ("bedrock", f"{SONNET}/invoke", CLAUDE),
    "invoke, titan": ("bedrock", "/model/amazon.titan-text-express-v1/invoke", {"inputText": "hello"}),
    "gemini": ("vertex", f"{FLASH}:generateContent", CONTENTS),
    "vertex claude": ("vertex", f"{VERTEX_CLAUDE}:rawPredict", {**CLAUDE, "anthropic_version": "vertex-2023-10-16"}),
    "watsonx": ("ibm", f"/ml/v1/text/chat{VERSION}", WATSONX),
    "watsonx deployment": ("ibm", f"/ml/v1/deployments/mine/text/chat{VERSION}", {"messages": USER}),
    "oracle generic": ("oracle", "/20231130/actions/chat", generic()),
    "oracle cohere": ("oracle", "/20231130/actions/chat", oracle(COHERE)),
    "oracle openai": ("oracle", "/openai/v1/chat/completions", CHAT),
}
STREAMED: dict[str, tuple[ProviderType, str, dict[str, Any]]] = {
    "openai chat": ("openai", "/v1/chat/completions", {**CHAT, **TOLD}),
    "openai responses": ("openai", "/v1/responses", {"model": "gpt-4o", "input": "hello", "stream": True}),
    "azure": ("azure", "/openai/v1/chat/completions", {**CHAT, "model": "chat-4o", **TOLD}),
    "anthropic": ("anthropic", "/v1/messages", {**MESSAGE, "stream": True}),
    "converse": ("bedrock", f"{SONNET}/converse-stream", CONVERSE),
    "invoke, claude": ("bedrock", f"{SONNET}/invoke-with-response-stream", CLAUDE),
    "invoke, titan": (
        "bedrock",
        "/model/amazon.titan-text-express-v1/invoke-with-response-stream",
        {"inputText": "hello"},
    ),
    "gemini": ("vertex", f"{FLASH}:streamGenerateContent?alt=sse", CONTENTS),
    "gemini array": ("vertex", f"{FLASH}:streamGenerateContent", CONTENTS),
    "vertex claude": (
        "vertex",
        f"{VERTEX_CLAUDE}:streamRawPredict",
        {**CLAUDE, "anthropic_version": "vertex-2023-10-16", "stream": True},
    ),
    "watsonx": ("ibm", f"/ml/v1/text/chat_stream{VERSION}", WATSONX),
    "oracle generic": (
        "oracle",
        "/20231130/actions/chat",
        generic(isStream=True, streamOptions={"isIncludeUsage": True}),
    ),
    "oracle cohere": ("oracle", "/20231130/actions/chat", oracle({**COHERE, "isStream": True})),
    "oracle openai": ("oracle", "/openai/v1/chat/completions", {**CHAT, **TOLD}),
}
each_whole = pytest.mark.parametrize("name", WHOLE)
each_stream = pytest.mark.parametrize("name", STREAMED)
each = pytest.mark.parametrize("case", [*WHOLE.values(), *STREAMED.values()], ids=lambda case: case[1][-40:])


def counted(passing: Passing) -> Usage:
    """What the emulator counted."""
    return tokens(passing.prompt, SAID)


@each
def test_what_was_counted_is_read(case: tuple[ProviderType, str, dict[str, Any]]) -> None:
    passing = ask(*case)
    assert passing.read() == Reading(counted(passing), None)


@each
def test_however_the_bytes_come(case: tuple[ProviderType, str, dict[str, Any]]) -> None:
    passing = ask(*case)
    for pieces in splits(passing.body):
        assert passing.read(pieces) == Reading(counted(passing), None), [len(piece) for piece in pieces][:20]


@each
@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-gzip"])
def test_compressed_answers_are_read_from_a_copy(case: tuple[ProviderType, str, dict[str, Any]], coding: str) -> None:
    passing = ask(*case)
    body = zlib.compress(passing.body) if coding == "deflate" else gzip.compress(passing.body)
    headers = passing.headers.adding((b"Content-Encoding", coding.encode()))
    for pieces in ([body], [body[i : i + 7] for i in range(0, len(body), 7)]):
        meter = meter_for(passing.provider, method="POST", path=passing.path, status=200, headers=headers)
        assert meter is not None
        assert read(meter, pieces) == Reading(counted(passing), None)


@each
def test_an_answer_that_is_cut_tells_what_it_had_told(case: tuple[ProviderType, str, dict[str, Any]]) -> None:
    passing = ask(*case)
    body, full = passing.body, counted(passing)
    before: Usage | None = None
    for end in range(0, len(body) + 1, max(1, len(body) // 200)):
        reading = passing.read([body[:end]], cut=True)
        assert reading.usage is not None or reading.lacks is Reason.CUT
        if before is not None:
            assert reading.usage is not None
            assert reading.usage.prompt >= before.prompt
            assert reading.usage.output >= before.output
        before = reading.usage
        assert before is None or (before.prompt <= full.prompt and before.output <= full.output)


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("openai chat", None),
        ("openai responses", None),
        ("anthropic", (1,)),
        ("converse", None),
        ("invoke, claude", (1,)),
        ("invoke, titan", (0,)),
        ("gemini", (0,)),
        ("gemini array", (0,)),
        ("vertex claude", (1,)),
        ("watsonx", None),
        ("oracle generic", None),
    ],
)
def test_a_stream_that_fails_half_way(name: str, usage: tuple[int] | None) -> None:
    provider, path, body = STREAMED[name]
    passing = ask(provider, path, body, Behaviour(fail_after=9))
    wanted = None if usage is None else tokens(passing.prompt, usage[0])
    # No format says in its error how far it had come; those that told of the prompt first, told that.
    assert passing.read(cut=True) == Reading(wanted, Reason.CUT)


def test_some_streams_tell_nothing_unless_they_are_asked() -> None:
    passing = ask("openai", "/v1/chat/completions", {**CHAT, "stream": True})
    assert passing.read() == Reading(None, Reason.NOT_TOLD)
    unasked = ask("oracle", "/20231130/actions/chat", generic(isStream=True))
    assert unasked.read() == Reading(None, Reason.NOT_TOLD)


def test_several_choices_and_thoughts_are_counted() -> None:
    passing = ask("openai", "/v1/chat/completions", {**CHAT, **TOLD, "n": 3})
    assert passing.read() == Reading(tokens(passing.prompt, 3 * SAID), None)
    thinking = {**CONTENTS, "generationConfig": {"thinkingConfig": {"includeThoughts": True}, "candidateCount": 2}}
    for operation in (":generateContent", ":streamGenerateContent?alt=sse", ":streamGenerateContent"):
        passing = ask("vertex", FLASH + operation, thinking)
        assert passing.read() == Reading(tokens(passing.prompt, 2 * SAID + 7, reasoning=7), None)


def test_embeddings() -> None:
    cases: list[tuple[ProviderType, str, dict[str, Any], int]] = [
        ("openai", "/v1/embeddings", {"model": "text-embedding-3-large", "input": ["a", "b"]}, 1),
        ("bedrock", "/model/amazon.titan-embed-text-v2:0/invoke", {"inputText": "a"}, 1),
        (
            "vertex",
            f"{PLACE}/google/models/gemini-embedding-2:embedContent",
            {"content": {"parts": [{"text": "a"}]}},
            1,
        ),
        ("vertex", f"{PLACE}/google/models/text-embedding-005:predict", {"instances": [{"content": "a"}] * 7}, 7),
        (
            "ibm",
            f"/ml/v1/text/embeddings{VERSION}",
            {"model_id": "ibm/slate-30m-english-rtrvr-v2", "project_id": "p", "inputs": ["a"] * 40},
            1,
        ),
    ]
    for provider, path, body, times in cases:
        passing = ask(provider, path, body)
        assert passing.read() == Reading(tokens(times * passing.prompt, 0), None), path
        bytewise = [passing.body[i : i + 997] for i in range(0, len(passing.body), 997)]
        assert passing.read(bytewise) == Reading(tokens(times * passing.prompt, 0), None), path


def test_counts_of_tokens_are_no_usage() -> None:
    for provider, path, body in [
        ("anthropic", "/v1/messages/count_tokens", {"model": "claude-sonnet-5", "messages": USER}),
        ("bedrock", f"{SONNET}/count-tokens", {"input": {"converse": CONVERSE}}),
        ("vertex", f"{FLASH}:countTokens", CONTENTS),
        ("ibm", f"/ml/v1/text/tokenization{VERSION}", {"model_id": "a", "project_id": "p", "input": "a"}),
    ]:
        passing = ask(provider, path, body)  # type: ignore[arg-type]
        headers = passing.headers
        assert meter_for(passing.provider, method="POST", path=path, status=200, headers=headers) is None


JSON = head("application/json")


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 200), ("HEAD", 200), ("DELETE", 200), ("POST", 204), ("POST", 302), ("POST", 400), ("POST", 503)],
)
def test_what_no_model_answered_has_no_meter(method: str, status: int) -> None:
    assert meter_for("openai", method=method, path="/v1/chat/completions", status=status, headers=JSON) is None


@pytest.mark.parametrize(
    ("path", "status", "headers", "reason"),
    [
        ("/v1/chat/completions", 200, head("application/json", ("Content-Encoding", "compress")), Reason.ENCODING),
        ("/v1/chat/completions", 200, head("application/json", ("Content-Encoding", "gzip, gzip")), Reason.ENCODING),
        ("/v1/chat/completions", 200, head("application/json", ("Content-Encoding", "br, gzip")), Reason.ENCODING),
        ("/v1/audio/speech", 200, head("audio/mpeg"), Reason.CONTENT),
        ("/v1/audio/transcriptions", 200, head("text/plain; charset=utf-8"), Reason.CONTENT),
        ("/v1/videos", 200, JSON, Reason.OPERATION),
        ("/v1/realtime", 101, Headers(), Reason.WEBSOCKET),
    ],
)
def test_what_cannot_be_read_says_why(path: str, status: int, headers: Headers, reason: Reason) -> None:
    method = "GET" if status == 101 else "POST"
    meter = meter_for("openai", method=method, path=path, status=status, headers=headers)
    assert meter is not None
    assert read(meter, [b'{"usage":{"prompt_tokens":1}}']) == Reading(None, reason)


def test_bedrock_counts_in_the_head_what_its_models_do_not_tell() -> None:
    counts = (
        ("x-amzn-bedrock-input-token-count", "11"),
        ("X-Amzn-Bedrock-Output-Token-Count", "7"),
        ("x-amzn-bedrock-cache-read-input-token-count", "٣"),  # a digit, and none of HTTP's
    )
    path = "/model/cohere.command-r-v1:0/invoke"
    for headers in (head("application/json", *counts), head("application/json", ("Content-Encoding", "br"), *counts)):
        meter = meter_for("bedrock", method="POST", path=path, status=200, headers=headers)
        assert meter is not None
        assert read(meter, [b'{"text":"hello"}']) == Reading(tokens(11, 7), None)
    meter = meter_for("bedrock", method="POST", path=path, status=200, headers=head("application/json", *counts))
    assert meter is not None
    body = b'{"usage":{"input_tokens":5,"cache_read_input_tokens":6,"output_tokens":8}}'
    assert read(meter, [body]) == Reading(tokens(5, 8, read=6), None)
