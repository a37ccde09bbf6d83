"""The emulated api.anthropic.com: messages, token counts and models, with its key, its versions and its errors."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

from llmauth.demo import claude, claude_shapes, sse, words
from llmauth.demo.claude_turns import check_thinking, check_turns
from llmauth.demo.emulator import JSON, PAUSE, Answer, Call, Emulator, Refusal, Unparsable, json_object
from llmauth.demo.http1 import Field
from llmauth.demo.shapes import Fault, Mismatch, anything, filled, flag, record

HOST = "api.anthropic.com"
_NEWEST = "2026-10-21"
_VERSIONS = ("2023-06-01", _NEWEST)

_LISTED = ("claude-opus-4-8", "claude-sonnet-5", "claude-sonnet-4-5", "claude-haiku-4-5")
_MODEL = re.compile(r"claude-[a-z0-9-]+")

_message = record(
    {**claude_shapes.MESSAGE, "model": filled, "stream": flag, "fallbacks": anything, "betas": anything},
    "model",
    "max_tokens",
    "messages",
)
_count = record({**claude_shapes.QUESTION, "model": filled}, "model", "messages")

_ERRORS = {
    400: ("invalid_request_error", "The request was refused."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is something wrong with the billing of this organisation."),
    403: ("permission_error", "This key may not use this resource."),
    404: ("not_found_error", "There is nothing here."),
    413: ("request_too_large", "The request is larger than the limit."),
    429: ("rate_limit_error", "The limit of requests per minute is reached."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request took too long."),
    529: ("overloaded_error", "Overloaded"),
}


class Anthropic(Emulator):
    """Accepts its key as `x-api-key` or as a bearer token, never both.

    The real server takes both and lets `x-api-key` win, so that a leftover in one spoils the key in the other.
    """

    hosts = frozenset({HOST})
    may_carry = frozenset({b"x-api-key"})

    def authenticate(self, call: Call) -> None:
        key, bearer = call.header(b"x-api-key"), call.header(b"authorization")
        if key is not None and bearer is not None:
            raise self.refused_leftover("a client's leftover reached the provider: both x-api-key and Authorization")
        if key is None and bearer is not None:
            scheme, _, key = bearer.partition(" ")
            if scheme.lower() != "bearer":
                key = None
        if key is None:
            raise self.failure(401, None, "The request carries no x-api-key header.")
        if key != self.setting.credentials.anthropic_key:
            raise self.failure(401, None)

    def route(self, call: Call) -> Answer:
        path = call.path
        exact = {
            "/v1/messages": ("POST", self._messages),
            "/v1/messages/count_tokens": ("POST", self._count_tokens),
            "/v1/models": ("GET", self._models),
        }.get(path)
        if exact is None and path.startswith("/v1/models/"):
            exact = ("GET", self._model)
        if exact is None:
            raise self.failure(404, None, f"There is nothing at {path}.")
        method, handler = exact
        if call.method != method:
            raise Refusal(405, "invalid_request_error", f"{path} takes {method}, not {call.method}.")
        version = call.header(b"anthropic-version")
        if version not in _VERSIONS:
            said = "is missing" if version is None else f"has an unknown value: {version!r}"
            raise self.failure(400, None, f"The anthropic-version header {said}; known are {', '.join(_VERSIONS)}.")
        try:
            return handler(call)
        except Unparsable as problem:
            raise self.failure(400, None, f"The request body could not be read: {problem}.") from None
        except Mismatch as mismatch:
            said = "extra inputs are not permitted" if mismatch.fault is Fault.UNKNOWN else mismatch.wanted
            raise self.failure(400, None, f"{mismatch.path}: {said}") from None

    def failure(self, status: int, error: str | None, message: str | None = None) -> Refusal:
        kind, sentence = _ERRORS.get(status, ("api_error", "The request failed."))
        retry: list[Field] = [(b"retry-after", b"1")] if status == 429 else []
        return Refusal(status, error or kind, message or sentence, fields=retry)

    def render(self, refusal: Refusal) -> Answer:
        request_id = _request_id()
        body = {
            "type": "error",
            "error": {"type": refusal.kind, "message": refusal.message},
            "request_id": request_id[1].decode(),
        }
        return Answer(refusal.status, [JSON, request_id, *refusal.fields], words.dumps(body))

    def fields(self, call: Call) -> list[Field]:
        return [
            _request_id(),
            (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
            (b"anthropic-ratelimit-requests-limit", b"4000"),
            (b"anthropic-ratelimit-requests-remaining", b"3999"),
            (b"anthropic-ratelimit-requests-reset", b"2030-01-01T00:00:00Z"),
            (b"anthropic-ratelimit-tokens-limit", b"400000"),
            (b"anthropic-ratelimit-tokens-remaining", b"399000"),
            (b"anthropic-ratelimit-tokens-reset", b"2030-01-01T00:00:00Z"),
        ]

    def _messages(self, call: Call) -> Answer:
        body = json_object(call)
        _message(body)
        check_turns(body)
        check_thinking(body)
        if call.header(b"anthropic-version") == _NEWEST:
            for name in claude_shapes.SAMPLING:
                if name in body:
                    raise Mismatch(Fault.UNKNOWN, "is not known here", name)
        self._require_model(body["model"])
        reply = claude.Reply(call, body, body["model"])
        if body.get("stream"):
            return Answer(200, [sse.EVENT_STREAM, (b"cache-control", b"no-cache"), *self.fields(call)], stream(reply))
        return self.json(call, reply.whole())

    def _count_tokens(self, call: Call) -> Answer:
        body = json_object(call)
        _count(body)
        check_turns(body)
        self._require_model(body["model"])
        return self.json(call, {"input_tokens": words.estimate(call.request.body)})

    def _require_model(self, name: str) -> None:
        if not _MODEL.fullmatch(name):
            raise self.failure(404, None, f"model: {name}")

    def _models(self, call: Call) -> Answer:
        data = [_model(name) for name in _LISTED]
        return self.json(call, {"data": data, "has_more": False, "first_id": _LISTED[0], "last_id": _LISTED[-1]})

    def _model(self, call: Call) -> Answer:
        name = call.path.removeprefix("/v1/models/")
        if name not in _LISTED:
            raise self.failure(404, None, f"model: {name}")
        return self.json(call, _model(name))


def stream(reply: claude.Reply) -> Iterator[bytes]:
    """A message as server-sent events, or as much of it as the behaviour allows."""
    for event in reply.events():
        yield sse.named(event.name, event.data)
        if event.pause:
            yield PAUSE
    if reply.fails:
        kind, sentence = _ERRORS[529]
        yield sse.named("error", words.dumps({"type": "error", "error": {"type": kind, "message": sentence}}))


def _request_id() -> Field:
    return b"request-id", b"req_" + secrets.token_hex(12).encode()


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": "2026-01-15T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200000,
        "max_tokens": 64000,
    }
