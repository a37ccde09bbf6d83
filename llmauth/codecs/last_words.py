"""The error event that ends a stream of a provider's own format, where we end it and know how that format says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from llmauth.codecs.anthropic.errors import error_fields as of_anthropic
from llmauth.codecs.openai.errors import error_fields as of_openai
from llmauth.codecs.responses.failing import told as of_responses
from llmauth.errors import GatewayError

# "Each event stream message is terminated by a pair of newline characters", in any of the three spellings.
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


def ends_an_event(tail: bytes) -> bool:
    """Whether what has passed so far ends with a whole event, so that another one may follow."""
    return tail.endswith(_ENDS)


def is_known(path: str) -> bool:
    """Whether the streams of this path, a provider's own, have an error event that its clients read."""
    return _writer_of(path) is not None


def last_word(path: str, error: GatewayError) -> bytes:
    """The event, nothing where the path is of no format that we know."""
    write = _writer_of(path)
    return b"" if write is None else write(error)


def _chat(error: GatewayError) -> bytes:
    return _event("", {"error": of_openai(error)})


def _responses(error: GatewayError) -> bytes:
    return _event("error", {"type": "error", **of_responses(error)})


def _messages(error: GatewayError) -> bytes:
    return _event("error", {"type": "error", "error": of_anthropic(error)})


_WRITERS: tuple[tuple[str, Callable[[GatewayError], bytes]], ...] = (
    ("/completions", _chat),
    ("/responses", _responses),
    ("/messages", _messages),
)


def _writer_of(path: str) -> Callable[[GatewayError], bytes] | None:
    route = path.partition("?")[0]
    return next((write for ending, write in _WRITERS if route.endswith(ending)), None)


def _event(name: str, data: dict[str, Any]) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
