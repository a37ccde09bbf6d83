"""A caller's own program: official SDKs that are told nothing but by environment variables, and a stopwatch.

Run as `python -I calls.py CALL...` by the Python that has the SDKs; it knows nothing of the gateway. It says
`{"ready": true}` when they are loaded, and then, for each line on standard input, makes the next of its calls and
prints one JSON line about it. A line may hold a JSON object of variables that are exported before.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

QUESTION = "Who are you, in one sentence?"
CHAT = {"messages": [{"role": "user", "content": QUESTION}]}
MESSAGE = {"max_tokens": 64, "messages": [{"role": "user", "content": QUESTION}]}
CLAUDE = "claude-sonnet-5"
BEDROCK_CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"
CONVERSATION = {"modelId": BEDROCK_CLAUDE, "messages": [{"role": "user", "content": [{"text": QUESTION}]}]}
INVOCATION = {
    "modelId": BEDROCK_CLAUDE,
    "body": json.dumps({"anthropic_version": "bedrock-2023-05-31", **MESSAGE}),
}
# An agent's errand: the model calls a tool, and is told what came of it.
ERRAND = "What is the weather in Paris?"
_CITY = {"type": "string", "enum": ["Paris", "Rome"]}
_WEATHER = {"type": "object", "properties": {"city": _CITY}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": _WEATHER}}
CALLED, RESULT = 'get_weather({"city":"Paris"})', "18 degrees"
LONGEST_SHOWN = 24
# What each client reads its credential from, beside the proxy's URL.
SLOTS = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "agent": ("OPENAI_API_KEY",),
    "bedrock": ("AWS_ACCESS_KEY_ID", "LLMAUTH_KEY"),
    "curl": ("OPENAI_API_KEY", "LLMAUTH_KEY"),
}


class Watch:
    """The times of one call, in milliseconds from its beginning."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.first_token: float | None = None

    def now(self) -> float:
        """How long it has taken so far."""
        return round((time.perf_counter() - self._began) * 1000, 2)

    def read(self, pieces: Iterable[str | None]) -> str:
        """The text of a stream; its first token is the first piece that says something."""
        text = ""
        for piece in pieces:
            if piece and self.first_token is None:
                self.first_token = self.now()
            text += piece or ""
        return text


Answer = tuple[int, "str | None", str]  # status, request id, what the model said

# Each of the following takes its client and the watch, and calls as the SDK's own documentation shows it.


# OpenAI


def _openai_client() -> Any:
    return importlib.import_module("openai").OpenAI(max_retries=0)


def _openai_model() -> str:
    return os.environ.get("OPENAI_MODEL", "gpt-4o")


def _chat(client: Any, watch: Watch) -> Answer:
    raw = client.chat.completions.with_raw_response.create(model=_openai_model(), **CHAT)
    return raw.status_code, raw.headers.get("x-request-id"), raw.parse().choices[0].message.content


def _chat_stream(client: Any, watch: Watch) -> Answer:
    raw = client.chat.completions.with_raw_response.create(model=_openai_model(), **CHAT, stream=True)
    text = watch.read(chunk.choices[0].delta.content for chunk in raw.parse() if chunk.choices)
    return raw.status_code, raw.headers.get("x-request-id"), text


def _responses(client: Any, watch: Watch) -> Answer:
    raw = client.responses.with_raw_response.create(model=_openai_model(), input=QUESTION)
    return raw.status_code, raw.headers.get("x-request-id"), raw.parse().output_text


def _models(client: Any, watch: Watch) -> Answer:
    raw = client.models.with_raw_response.list()
    return raw.status_code, raw.headers.get("x-request-id"), ", ".join(sorted(model.id for model in raw.parse()))


class Agent:
    """A conversation of OpenAI's SDK, with a tool, that takes two calls."""

    def __init__(self) -> None:
        self.completions = _openai_client().chat.completions.with_raw_response
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": ERRAND}]


def _tool_call(agent: Agent, watch: Watch) -> Answer:
    asked = {"messages": agent.messages, "tools": [TOOL], "tool_choice": "required"}
    raw = agent.completions.create(model=_openai_model(), **asked, stream=True)
    pieces = (one for chunk in raw.parse() for choice in chunk.choices for one in choice.delta.tool_calls or ())
    first = next(pieces, None)
    if first is None:
        raise RuntimeError("the model called no tool")
    arguments = watch.read(piece.function.arguments for piece in itertools.chain([first], pieces))
    function = {"name": first.function.name, "arguments": arguments}
    agent.messages.append(
        {"role": "assistant", "tool_calls": [{"id": first.id, "type": "function", "function": function}]}
    )
    return raw.status_code, raw.headers.get("x-request-id"), f"{first.function.name}({arguments})"


def _tool_result(agent: Agent, watch: Watch) -> Answer:
    called = agent.messages[-1]["tool_calls"][0]["id"]
    agent.messages.append({"role": "tool", "tool_call_id": called, "content": RESULT})
    raw = agent.completions.create(model=_openai_model(), messages=agent.messages, tools=[TOOL])
    return raw.status_code, raw.headers.get("x-request-id"), raw.parse().choices[0].message.content


# Anthropic


def _anthropic_client() -> Any:
    return importlib.import_module("anthropic").Anthropic(max_retries=0)


def _anthropic_model() -> str:
    return os.environ.get("ANTHROPIC_MODEL", CLAUDE)


def _messages(client: Any, watch: Watch) -> Answer:
    raw = client.messages.with_raw_response.create(model=_anthropic_model(), **MESSAGE)
    return raw.status_code, raw.headers.get("x-request-id"), raw.parse().content[0].text


def _messages_stream(client: Any, watch: Watch) -> Answer:
    with client.messages.stream(model=_anthropic_model(), **MESSAGE) as stream:
        text = watch.read(stream.text_stream)
        return stream.response.status_code, stream.response.headers.get("x-request-id"), text


# AWS


class Aws:
    """Both clients of Bedrock. Dummy AWS keys sign; with LLMAUTH_KEY set, an event hook adds that key as a header."""

    def __init__(self) -> None:
        session = importlib.import_module("boto3").Session()
        self.runtime = session.client("bedrock-runtime")
        self.control = session.client("bedrock")
        if os.environ.get("LLMAUTH_KEY"):
            for client in (self.runtime, self.control):
                client.meta.events.register("before-sign", _add_key)


def _add_key(request: Any, **_: Any) -> None:
    request.headers["X-API-Key"] = os.environ["LLMAUTH_KEY"]


def _aws_answer(answer: dict[str, Any], text: str) -> Answer:
    told = answer["ResponseMetadata"]
    return told["HTTPStatusCode"], told["HTTPHeaders"].get("x-request-id"), text


def _converse(aws: Aws, watch: Watch) -> Answer:
    answer = aws.runtime.converse(**CONVERSATION)
    return _aws_answer(answer, answer["output"]["message"]["content"][0]["text"])


def _converse_stream(aws: Aws, watch: Watch) -> Answer:
    answer = aws.runtime.converse_stream(**CONVERSATION)
    deltas = (event["contentBlockDelta"]["delta"] for event in answer["stream"] if "contentBlockDelta" in event)
    return _aws_answer(answer, watch.read(delta.get("text") for delta in deltas))


def _invoke_model(aws: Aws, watch: Watch) -> Answer:
    answer = aws.runtime.invoke_model(**INVOCATION)
    return _aws_answer(answer, json.load(answer["body"])["content"][0]["text"])


def _invoke_model_with_response_stream(aws: Aws, watch: Watch) -> Answer:
    answer = aws.runtime.invoke_model_with_response_stream(**INVOCATION)
    events = (json.loads(event["chunk"]["bytes"]) for event in answer["body"])
    return _aws_answer(answer, watch.read(event.get("delta", {}).get("text") for event in events))


def _list_foundation_models(aws: Aws, watch: Watch) -> Answer:
    answer = aws.control.list_foundation_models()
    return _aws_answer(answer, f"{len(answer['modelSummaries'])} models")


# curl


def _curl_chat(client: None, watch: Watch) -> Answer:
    base = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    asked = {"model": _openai_model(), **CHAT}
    status, told, body = _curl(
        f"{base}/chat/completions", f"Authorization: Bearer {os.environ['OPENAI_API_KEY']}", asked
    )
    return status, told, body["choices"][0]["message"]["content"] if status == 200 else ""


def _curl_invoke_model(client: None, watch: Watch) -> Answer:
    envelope = {"modelId": os.environ["BEDROCK_MODEL"], "contentType": "application/json", "accept": "application/json"}
    url = f"{os.environ['LLMAUTH_URL']}/v1/bedrock/invoke-model"
    key = f"X-API-Key: {os.environ['LLMAUTH_KEY']}"
    status, told, body = _curl(url, key, {**envelope, "body": INVOCATION["body"]})
    return status, told, body["content"][0]["text"] if status == 200 else ""


def _curl(url: str, credential: str, asked: dict[str, Any]) -> tuple[int, str | None, Any]:
    """The headers come by standard input: what stands on a command line is read by everybody on the machine."""
    headers = f"Content-Type: application/json\n{credential}\n"
    options = ["--silent", "--show-error", "--include", "--suppress-connect-headers", "--header", "@-"]
    command = ["curl", *options, "--data", json.dumps(asked), url]
    done = subprocess.run(command, input=headers, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    head, _, body = done.stdout.partition("\n\n")
    found = re.search(r"^x-request-id: *(\S+)", head, re.IGNORECASE | re.MULTILINE)
    status = int(head.split()[1])
    return status, found[1] if found else None, json.loads(body) if status == 200 else None


CLIENTS: dict[str, Callable[[], Any]] = {
    "openai": _openai_client,
    "agent": Agent,
    "anthropic": _anthropic_client,
    "bedrock": Aws,
    "curl": lambda: None,
}
MODULES = {"openai": "openai", "agent": "openai", "anthropic": "anthropic", "bedrock": "boto3"}
CALLS: dict[str, Callable[[Any, Watch], Answer]] = {
    "openai.chat": _chat,
    "openai.chat_stream": _chat_stream,
    "openai.responses": _responses,
    "openai.models": _models,
    "agent.tool_call": _tool_call,
    "agent.tool_result": _tool_result,
    "anthropic.messages": _messages,
    "anthropic.messages_stream": _messages_stream,
    "bedrock.converse": _converse,
    "bedrock.converse_stream": _converse_stream,
    "bedrock.invoke_model": _invoke_model,
    "bedrock.invoke_model_with_response_stream": _invoke_model_with_response_stream,
    "bedrock.list_foundation_models": _list_foundation_models,
    "curl.chat": _curl_chat,
    "curl.invoke_model": _curl_invoke_model,
}


def masked(value: str) -> str:
    """A placeholder as it is, a key without its secret part."""
    if len(value) <= LONGEST_SHOWN:
        return value
    return value[: value.rfind("_") + 1 or 8] + "…"


def _held(client: str) -> dict[str, str]:
    """What this process has in place of a provider's credential, by the variable that it stands in; not masked."""
    found = {name: os.environ[name] for name in SLOTS[client] if os.environ.get(name)}
    password = urlsplit(os.environ.get("HTTPS_PROXY", "")).password
    return found if password is None else {**found, "HTTPS_PROXY": password}


def _make(name: str, clients: dict[str, Any]) -> dict[str, Any]:
    """One call, whatever becomes of it, in the shape that is printed."""
    client = name.partition(".")[0]
    has = _held(client)
    if client not in clients:
        clients[client] = CLIENTS[client]()
    watch = Watch()
    status: int | None = None
    request_id: str | None = None
    text, error = "", ""
    try:
        status, request_id, text = CALLS[name](clients[client], watch)
    except Exception as problem:
        status, request_id = told_by(problem)
        error = f"{type(problem).__name__}: {problem}"[:500]
        for value in has.values():
            error = error.replace(value, masked(value))
    return {
        "call": name,
        "held": {variable: masked(value) for variable, value in has.items()},
        "status": status,
        "first_token_ms": watch.first_token,
        "total_ms": watch.now(),
        "request_id": request_id,
        "text": text,
        "error": error or None,
    }


def told_by(problem: BaseException | None) -> tuple[int | None, str | None]:
    """The HTTP status and the request id that an SDK's exception, or the one that caused it, tells of."""
    while problem is not None:
        response: Any = getattr(problem, "response", None)
        status: int | None = getattr(problem, "status_code", None)
        if isinstance(response, dict):  # botocore
            metadata = response.get("ResponseMetadata", {})
            return metadata.get("HTTPStatusCode"), metadata.get("HTTPHeaders", {}).get("x-request-id")
        if status:
            return status, response.headers.get("x-request-id") if response is not None else None
        refused = re.match(r"\d{3}(?= )", str(problem))  # a proxy's answer to CONNECT, told in words alone
        if refused and "Proxy" in type(problem).__name__:
            return int(refused[0]), None
        problem = problem.__cause__ or problem.__context__
    return None, None


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(names: list[str]) -> None:
    """Load what these calls need, and make one for each line that comes in."""
    try:
        for client, module in MODULES.items():
            if any(name.startswith(f"{client}.") for name in names):
                importlib.import_module(module)
    except ImportError as problem:
        _say({"missing": str(problem)})
        return
    _say({"ready": True})
    clients: dict[str, Any] = {}
    for name, line in zip(names, sys.stdin, strict=False):
        if exports := json.loads(line.strip() or "{}"):
            os.environ.update(exports)
            clients.clear()
        _say(_make(name, clients))


if __name__ == "__main__":
    main(sys.argv[1:])
