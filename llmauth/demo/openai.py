"""The emulated api.openai.com: chat, responses, embeddings, models and files, with its bearer key and its errors."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

from llmauth.demo import embeddings, openai_chat, openai_embeddings, openai_shapes, sse, websocket, words
from llmauth.demo.emulator import JSON, Answer, Call, Emulator, Refusal, Switch, Unparsable, json_object
from llmauth.demo.http1 import Field
from llmauth.demo.openai_responses import Reply
from llmauth.demo.openai_shapes import Unsupported
from llmauth.demo.shapes import Fault, Mismatch

HOST = "api.openai.com"

_LISTED = (
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-5",
    "o3-mini",
    "text-embedding-3-small",
    "text-embedding-3-large",
)
_CHATS = re.compile(r"(gpt-|chatgpt-|codex-|o[0-9]|ft:)[A-Za-z0-9._:-]+")
_EMBEDS = re.compile(r"text-embedding-[A-Za-z0-9-]+")
_MULTIPART = re.compile(r'multipart/form-data;\s*boundary="?([^";]{1,70})"?', re.IGNORECASE)
_SOCKETS = ("/v1/realtime", "/v1/responses")

_CODES = {400: None, 401: "invalid_api_key", 404: None, 429: "rate_limit_exceeded", 500: None, 503: None}
_SENTENCES = {
    400: "The request was refused.",
    401: "The API key in this request is not a valid one.",
    403: "This key may not use this model.",
    404: "There is nothing here.",
    429: "Too many requests in this minute; try again shortly.",
    500: "The server had an error while it processed the request.",
    503: "The engine is overloaded; try again later.",
}


class OpenAI(Emulator):
    """Accepts its key as a bearer token and nothing else."""

    hosts = frozenset({HOST})

    def authenticate(self, call: Call) -> None:
        presented = call.header(b"authorization")
        if presented is None:
            raise self._unauthorized("No API key was given: send it as 'Authorization: Bearer KEY'.")
        scheme, _, key = presented.partition(" ")
        if scheme.lower() != "bearer" or key != self.setting.credentials.openai_key:
            raise self._unauthorized(f"The API key in this request is not a valid one: {_masked(key)}.")

    @staticmethod
    def _unauthorized(message: str) -> Refusal:
        return Refusal(401, "invalid_request_error", message, "invalid_api_key")

    def route(self, call: Call) -> Answer:
        return self.serve(call, call.path)

    def serve(self, call: Call, path: str) -> Answer:
        """The answer to a call of one of OpenAI's own paths."""
        if b"upgrade" in call.request.head.index:
            return self._socket(call, path)
        exact = {
            "/v1/chat/completions": ("POST", self._chat),
            "/v1/responses": ("POST", self._responses),
            "/v1/embeddings": ("POST", self._embeddings),
            "/v1/files": ("POST", self._files),
            "/v1/models": ("GET", self._models),
        }.get(path)
        if exact is None and path.startswith("/v1/models/"):
            exact = ("GET", self._model)
        if exact is None:
            raise Refusal(404, "invalid_request_error", f"Unknown request URL: {call.method} {path}.", "unknown_url")
        method, handler = exact
        if call.method != method:
            raise Refusal(
                405, "invalid_request_error", f"Not allowed to {call.method} on {path}.", "method_not_supported"
            )
        try:
            return handler(call)
        except Unparsable as problem:
            raise Refusal(400, "invalid_request_error", f"The JSON body could not be read: {problem}.") from None
        except Unsupported as problem:
            raise Refusal(400, "invalid_request_error", str(problem), "unsupported_parameter", problem.param) from None
        except Mismatch as mismatch:
            raise self._mismatched(mismatch) from None

    def _socket(self, call: Call, path: str) -> Answer:
        if path not in _SOCKETS:
            raise Refusal(426, "invalid_request_error", "No WebSocket is served here.")
        try:
            websocket.check(call.request.head)
        except websocket.BadHandshake as fault:
            raise Refusal(400, "invalid_request_error", f"This is no handshake: {fault}.", "bad_handshake") from None
        deflate = "emulator_deflate" in call.query
        return Switch(101, [*websocket.answer(call.request.head, deflate=deflate), _request_id()], b"", call)

    @staticmethod
    def _mismatched(mismatch: Mismatch) -> Refusal:
        code = {
            Fault.MISSING: "missing_required_parameter",
            Fault.UNKNOWN: "unknown_parameter",
            Fault.WRONG: "invalid_value",
        }[mismatch.fault]
        message = f"Parameter '{mismatch.path}' {mismatch.wanted}."
        return Refusal(400, "invalid_request_error", message, code, mismatch.path or None)

    def failure(self, status: int, error: str | None) -> Refusal:
        kind = {429: "requests"}.get(status, "server_error" if status >= 500 else "invalid_request_error")
        sentence = _SENTENCES.get(status, "The request failed.")
        retry: list[Field] = [(b"retry-after", b"1")] if status == 429 else []
        return Refusal(status, kind, sentence, error or _CODES.get(status), fields=retry)

    def render(self, refusal: Refusal) -> Answer:
        body = {
            "error": {
                "message": refusal.message,
                "type": refusal.kind,
                "param": refusal.param,
                "code": refusal.code,
            }
        }
        return Answer(refusal.status, [JSON, _request_id(), *refusal.fields], words.dumps(body))

    def fields(self, call: Call) -> list[Field]:
        return [
            _request_id(),
            (b"openai-organization", b"org-emulated"),
            (b"openai-processing-ms", b"12"),
            (b"openai-version", b"2020-10-01"),
            (b"x-ratelimit-limit-requests", b"10000"),
            (b"x-ratelimit-limit-tokens", b"2000000"),
            (b"x-ratelimit-remaining-requests", b"9999"),
            (b"x-ratelimit-remaining-tokens", b"1999900"),
            (b"x-ratelimit-reset-requests", b"6ms"),
            (b"x-ratelimit-reset-tokens", b"3ms"),
        ]

    def body(self, call: Call) -> dict[str, Any]:
        """The JSON body, with the model's own name in it."""
        return json_object(call)

    def require_model(self, name: str, known: re.Pattern[str]) -> None:
        """Raise Refusal unless it is a model that can do what is asked."""
        if not known.fullmatch(name):
            raise self.unknown_model(name)

    def unknown_model(self, name: str) -> Refusal:
        """The refusal of a model that is not there."""
        return Refusal(404, "invalid_request_error", f"There is no model '{name}' for this key.", "model_not_found")

    def completed(self, completion: dict[str, Any]) -> dict[str, Any]:
        """A chat's whole answer with what this provider adds to it."""
        return completion

    def streamed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """A chat's events with what this provider adds to them."""
        return chunks

    def _now(self) -> int:
        return int(self.setting.wall())

    def _chat(self, call: Call) -> Answer:
        body = self.body(call)
        openai_shapes.chat(body)
        self.require_model(body["model"], _CHATS)
        if not body.get("stream"):
            return self.json(call, self.completed(openai_chat.completion(call, body, self._now())))
        error = self.render(self.failure(500, None)).body
        assert isinstance(error, bytes)
        return self._stream(call, self.streamed(openai_chat.chunks(call, body, self._now(), error)))

    def _responses(self, call: Call) -> Answer:
        body = self.body(call)
        openai_shapes.responses(body)
        self.require_model(body["model"], _CHATS)
        reply = Reply(call, body, self._now())
        if not body.get("stream"):
            return self.json(call, reply.whole())
        return self._stream(call, reply.events({"code": "server_error", "message": _SENTENCES[500], "param": None}))

    def _stream(self, call: Call, events: Any) -> Answer:
        return Answer(200, [sse.EVENT_STREAM, *self.fields(call)], events)

    def _embeddings(self, call: Call) -> Answer:
        body = self.body(call)
        openai_shapes.embeddings(body)
        self.require_model(body["model"], _EMBEDS)
        texts = openai_embeddings.texts(body["input"])
        size = openai_embeddings.size(body)
        packed = body.get("encoding_format") == "base64"
        vectors = [embeddings.vector(text, size) for text in texts]
        data = [
            {"object": "embedding", "index": index, "embedding": embeddings.packed(vector) if packed else vector}
            for index, vector in enumerate(vectors)
        ]
        prompt = words.estimate(call.request.body)
        usage = {"prompt_tokens": prompt, "total_tokens": prompt}
        return self.json(call, {"object": "list", "data": data, "model": body["model"], "usage": usage})

    def _models(self, call: Call) -> Answer:
        return self.json(call, {"object": "list", "data": [_model(name) for name in _LISTED]})

    def _model(self, call: Call) -> Answer:
        name = call.path.rpartition("/models/")[2]
        if name not in _LISTED:
            raise self.unknown_model(name)
        return self.json(call, _model(name))

    def _files(self, call: Call) -> Answer:
        parts = _multipart(call)
        if "file" not in parts or "purpose" not in parts:
            missing = "file" if "file" not in parts else "purpose"
            raise Mismatch(Fault.MISSING, "is required", missing)
        filename, content = parts["file"]
        stored = {
            "id": f"file-{secrets.token_hex(12)}",
            "object": "file",
            "bytes": len(content),
            "created_at": self._now(),
            "filename": filename or "file",
            "purpose": parts["purpose"][1].decode("utf-8", "replace"),
            "status": "processed",
        }
        return self.json(call, stored)


def _request_id() -> Field:
    return b"x-request-id", b"req_" + secrets.token_hex(16).encode()


def _masked(key: str) -> str:
    """The provider names a wrong key by its ends; it is never the whole of it."""
    return f"{key[:8]}***{key[-4:]}" if len(key) > 24 else "***"


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1715367049, "owned_by": "system"}


def _multipart(call: Call) -> dict[str, tuple[str | None, bytes]]:
    """Part name to (file name, content); raises Unparsable."""
    match = _MULTIPART.fullmatch(call.header(b"content-type") or "")
    if match is None:
        raise Unparsable("the content type is not multipart/form-data with a boundary")
    boundary = b"\r\n--" + match[1].encode()
    first, *pieces = (b"\r\n" + call.request.body).split(boundary)
    if first or not pieces or not pieces[-1].startswith(b"--"):
        raise Unparsable("the multipart body does not open and close with its boundary")
    parts: dict[str, tuple[str | None, bytes]] = {}
    for piece in pieces[:-1]:
        head, separator, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'[; ]name="([^"]*)"', head)
        if not separator or name is None:
            raise Unparsable("a part of the multipart body has no name")
        filename = re.search(rb'filename="([^"]*)"', head)
        parts[name[1].decode("utf-8", "replace")] = (
            filename[1].decode("utf-8", "replace") if filename else None,
            content,
        )
    return parts
