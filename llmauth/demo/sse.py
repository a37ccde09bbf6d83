"""Server-sent events as the providers write them."""

from __future__ import annotations

from llmauth.demo.http1 import Field

EVENT_STREAM: Field = (b"content-type", b"text/event-stream; charset=utf-8")


def data(payload: bytes) -> bytes:
    """An event without a name."""
    return b"data: " + payload + b"\n\n"


def named(name: str, payload: bytes) -> bytes:
    """An event with a name."""
    return b"event: " + name.encode() + b"\ndata: " + payload + b"\n\n"
