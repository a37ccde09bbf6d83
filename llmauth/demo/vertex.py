"""The emulated Vertex AI of one location: Gemini and Claude, behind a token of Google's or an API key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from llmauth.demo import anthropic, claude, claude_shapes, gemini, gemini_embeddings, sse, words
from llmauth.demo.claude_turns import check_thinking, check_turns
from llmauth.demo.emulator import (
    PAUSE,
    Answer,
    Call,
    Emulator,
    Refusal,
    Setting,
    Unparsable,
    json_object,
    refuse_gateway_keys,
)
from llmauth.demo.gemini_turns import check_signatures
from llmauth.demo.http1 import Field
from llmauth.demo.shapes import Fault, Mismatch, anything, filled, flag, list_of, one_of, record, text

PROJECT = "demo-project"
_JSON: Field = (b"content-type", b"application/json; charset=UTF-8")

_GEMINI = ("gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview")
_EMBEDS = tuple(gemini_embeddings.MODELS)
_CLAUDE = re.compile(r"claude-[a-z0-9-]+(@\d{8})?")
_VERSIONS = one_of("vertex-2023-10-16", "2026-10-21")

_SCOPE = r"/(?:v1|v1beta1)(?:/projects/([^/]+)/locations/([^/]+))?"
_MODELS = re.compile(_SCOPE + r"/publishers/([a-z]+)/models(?:/([^/:]+)(?::([A-Za-z]+))?)?")

_message = record(
    {**claude_shapes.MESSAGE, "anthropic_version": _VERSIONS, "anthropic_beta": list_of(text), "stream": flag},
    "anthropic_version",
    "max_tokens",
    "messages",
)
_tokens = record(
    {**claude_shapes.QUESTION, "anthropic_version": _VERSIONS, "model": filled, "betas": anything},
    "anthropic_version",
    "model",
    "messages",
)

_ERRORS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "Permission denied on resource (or it may not exist)."),
    404: ("NOT_FOUND", "The requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    500: ("INTERNAL", "Internal error encountered."),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_CHALLENGE: Field = (b"www-authenticate", b'Bearer realm="https://accounts.google.com/", error="invalid_token"')
# Refusals of Claude's own server have these types, and Anthropic's shape.
_ANTHROPIC = frozenset({"invalid_request_error", "not_found_error", "overloaded_error"})


def host_of(location: str) -> str:
    """The host of a location: a region, `global`, or a multi-region."""
    if location == "global":
        return "aiplatform.googleapis.com"
    if "-" in location:
        return f"{location}-aiplatform.googleapis.com"
    return f"aiplatform.{location}.rep.googleapis.com"


class Vertex(Emulator):
    """One location. Takes a bearer token, or in express mode (no project in the path) a key; never both."""

    may_carry = frozenset({b"x-goog-api-key"})

    def __init__(self, setting: Setting, location: str) -> None:
        super().__init__(setting)
        self.location = location
        self.hosts = frozenset({host_of(location)})

    # ---- who asks ----------------------------------------------------------------------------------------------------

    def authenticate(self, call: Call) -> None:
        refuse_gateway_keys(call, self)
        key, bearer = call.header(b"x-goog-api-key"), call.header(b"authorization")
        if key is not None and bearer is not None:
            raise self.refused_leftover("a client's leftover reached the provider: both x-goog-api-key and a bearer")
        if key is not None:
            self._check_key(call, key)
            return
        scheme, _, token = (bearer or "").partition(" ")
        if scheme.lower() != "bearer" or token != self.setting.credentials.google_token:
            reason = "CREDENTIALS_MISSING" if bearer is None else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
            raise self._refused(401, reason, _CHALLENGE)

    def _check_key(self, call: Call, key: str) -> None:
        if "/projects/" in call.path:
            raise self._refused(401, "CREDENTIALS_MISSING", _CHALLENGE)
        if key != self.setting.credentials.google_key:
            refusal = self._refused(400, "API_KEY_INVALID")
            refusal.message = "API key not valid. Please pass a valid API key."
            raise refusal

    def _refused(self, status: int, reason: str, *fields: Field) -> Refusal:
        refusal = self.failure(status, reason)
        refusal.fields += fields
        return refusal

    def failure(self, status: int, error: str | None) -> Refusal:
        """`error` is the reason in the error's details."""
        kind, sentence = _ERRORS.get(status, ("UNKNOWN", "The request failed."))
        return Refusal(status, kind, sentence, error)

    def render(self, refusal: Refusal) -> Answer:
        if refusal.kind in _ANTHROPIC:
            inner: Any = {"type": refusal.kind, "message": refusal.message}
            return Answer(refusal.status, [_JSON, *refusal.fields], words.dumps({"type": "error", "error": inner}))
        return Answer(refusal.status, [_JSON, *refusal.fields], words.dumps(_error(refusal)))

    def answer(self, call: Call) -> Answer:
        """A stream that is no event stream is a JSON array, and so is what is said instead of it."""
        answer = super().answer(call)
        if answer.status >= 400 and call.path.endswith(":streamGenerateContent") and not _wants_events(call):
            assert isinstance(answer.body, bytes)
            answer.body = b"[" + answer.body + b"\n]"
        return answer

    def fields(self, call: Call) -> list[Field]:
        return [(b"vary", b"Origin, X-Origin, Referer"), (b"server", b"scaffolding on HTTPServer2")]

    # ---- what is asked -----------------------------------------------------------------------------------------------

    def route(self, call: Call) -> Answer:
        found = _MODELS.fullmatch(call.path)
        if found is None:
            raise self.failure(404, None)
        project, location, publisher, model, operation = found.groups()
        self._check_place(project, location)
        if model is None or operation is None:
            return self._published(call, publisher, model)
        if call.method != "POST":
            raise self.failure(404, None)
        try:
            return self._perform(call, publisher, unquote(model), operation)
        except Unparsable as problem:
            raise self._invalid(publisher, f"The request body could not be read: {problem}.") from None
        except Mismatch as mismatch:
            raise self._invalid(publisher, _sentence(mismatch)) from None

    def _check_place(self, project: str | None, location: str | None) -> None:
        if project is None:
            return
        if unquote(project) != PROJECT:
            raise self.failure(403, "IAM_PERMISSION_DENIED")
        if location != self.location:
            refusal = self.failure(400, None)
            refusal.message = f"Location {location} is not served at this endpoint."
            raise refusal

    def _invalid(self, publisher: str, message: str) -> Refusal:
        kind = "invalid_request_error" if publisher == "anthropic" else _ERRORS[400][0]
        return Refusal(400, kind, message)

    def _perform(self, call: Call, publisher: str, model: str, operation: str) -> Answer:
        if publisher == "anthropic" and operation in ("rawPredict", "streamRawPredict"):
            return self._claude(call, model, streams=operation == "streamRawPredict")
        if publisher != "google" or model not in (*_GEMINI, *_EMBEDS):
            raise self.failure(404, None)
        speaks = model in _GEMINI
        if speaks and operation in ("generateContent", "streamGenerateContent"):
            return self._generate(call, model, streams=operation == "streamGenerateContent")
        if speaks and operation == "countTokens":
            return self._said(call, gemini.count(call, json_object(call)))
        if not speaks and gemini_embeddings.takes(model, operation):
            return self._said(call, gemini_embeddings.answer(call, operation, json_object(call), model))
        raise Refusal(400, _ERRORS[400][0], f"The model {model} does not support {operation}.")

    def _said(self, call: Call, value: object) -> Answer:
        return Answer(200, [_JSON, *self.fields(call)], words.dumps(value))

    def _published(self, call: Call, publisher: str, model: str | None) -> Answer:
        if call.method != "GET" or publisher != "google":
            raise self.failure(404, None)
        every = [_published(name) for name in (*_GEMINI, *_EMBEDS)]
        if model is None:
            return self._said(call, {"publisherModels": every})
        for one in every:
            if one["name"].endswith(f"/{model}"):
                return self._said(call, one)
        raise self.failure(404, None)

    # ---- Gemini ------------------------------------------------------------------------------------------------------

    def _generate(self, call: Call, model: str, *, streams: bool) -> Answer:
        body = json_object(call)
        reply = gemini.Reply(call, body, model)
        check_signatures(body, model)
        if not streams:
            return self._said(call, reply.whole())
        failure = _error(self.failure(503, None)) if reply.fails else None
        pieces = _with_end(reply.chunks(), failure)
        if _wants_events(call):
            return Answer(200, [sse.EVENT_STREAM, *self.fields(call)], _events(pieces))
        return Answer(200, [_JSON, *self.fields(call)], _array(pieces))

    # ---- Claude ------------------------------------------------------------------------------------------------------

    def _claude(self, call: Call, model: str, *, streams: bool) -> Answer:
        body = json_object(call)
        if model == "count-tokens":
            return self._count_tokens(call, body)
        _message(body)
        check_turns(body)
        check_thinking(body)
        self._require_claude(model)
        if bool(body.get("stream")) is not streams:
            raise Mismatch(Fault.WRONG, f"expected {'true' if streams else 'false'} for this operation", "stream")
        reply = claude.Reply(call, body, model.partition("@")[0])
        if streams:
            return Answer(200, [sse.EVENT_STREAM, *self.fields(call)], anthropic.stream(reply))
        return self._said(call, reply.whole())

    def _count_tokens(self, call: Call, body: dict[str, Any]) -> Answer:
        _tokens(body)
        check_turns(body)
        self._require_claude(body["model"])
        return self._said(call, {"input_tokens": words.estimate(call.request.body)})

    def _require_claude(self, model: str) -> None:
        if not _CLAUDE.fullmatch(model):
            raise Refusal(404, "not_found_error", f"model: {model}")


def _error(refusal: Refusal) -> dict[str, Any]:
    error: dict[str, Any] = {"code": refusal.status, "message": refusal.message, "status": refusal.kind}
    if refusal.code is not None:
        error["details"] = [{"@type": _INFO, "reason": refusal.code, "domain": "googleapis.com"}]
    return {"error": error}


def _wants_events(call: Call) -> bool:
    return "alt=sse" in call.query.split("&")


def _with_end(chunks: Iterator[dict[str, Any]], failure: dict[str, Any] | None) -> Iterator[bytes]:
    for chunk in chunks:
        yield words.dumps(chunk)
    if failure is not None:
        yield words.dumps(failure)


def _events(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Whole answers as events; there is no [DONE]."""
    for piece in pieces:
        yield b"data: " + piece + b"\r\n\r\n"
        yield PAUSE


def _array(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same as one JSON array, which grows while it is read."""
    joint = b"["
    for piece in pieces:
        yield joint + piece
        yield PAUSE
        joint = b"\n,\r\n"
    yield b"\n]"


def _published(name: str) -> dict[str, Any]:
    return {
        "name": f"publishers/google/models/{name}",
        "versionId": "default",
        "openSourceCategory": "PROPRIETARY",
        "launchStage": "GA",
        "publisherModelTemplate": f"projects/{{project}}/locations/{{location}}/publishers/google/models/{name}",
    }


def _sentence(mismatch: Mismatch) -> str:
    if mismatch.fault is Fault.UNKNOWN:
        return f'Invalid JSON payload received. Unknown name "{mismatch.path}": Cannot find field.'
    return f"Invalid value at '{mismatch.path}': {mismatch.wanted}."
