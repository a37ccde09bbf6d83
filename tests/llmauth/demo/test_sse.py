"""Server-sent events, byte for byte."""

from __future__ import annotations

from llmauth.demo import sse


def test_events_end_with_an_empty_line() -> None:
    assert sse.data(b"{}") == b"data: {}\n\n"
    assert sse.named("ping", b"{}") == b"event: ping\ndata: {}\n\n"
