"""B1: line ends and control characters that two readers could read in two ways are refused, and the connection ends."""

from __future__ import annotations

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving

ODD = {
    "a bare LF before a header": b"X-A: a\nX-B: b\r\n",
    "a bare LF before a framing header": b"X-A: a\nTransfer-Encoding: chunked\r\n",
    "a bare CR": b"X-A: a\rX-B: b\r\n",
    "a vertical tab before a value": b"Transfer-Encoding: \x0bchunked\r\n",
    "a form feed behind a value": b"X-A: a\x0c\r\n",
    "NUL": b"X-A: a\0b\r\n",
    "DEL": b"X-A: a\x7f\r\n",
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
def test_a_request_with_an_odd_line_is_refused(gateway: Serving, emulators: Emulators, line: bytes) -> None:
    with Wire(gateway.port) as wire:
        head = b"GET /transparent/openai/v1/models HTTP/1.1\r\nHost: gateway\r\n"
        wire.send(head + f"X-API-Key: {gateway.key()}\r\n".encode() + line + b"\r\n")
        answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (400, "close")
        assert wire.ended()
    assert emulators.requests() == ()


@pytest.mark.parametrize(
    "first", [b"GET\t/health HTTP/1.1\r\n", b"GET /health\tHTTP/1.1\r\n", b"GET /health HTTP/1.1\n"], ids=repr
)
def test_a_request_line_with_another_blank_or_end_is_refused(gateway: Serving, first: bytes) -> None:
    with Wire(gateway.port) as wire:
        answer = wire.send(first + b"Host: gateway\r\n\r\n").answer()
        assert answer.status == 400


def test_tabs_inside_values_and_obsolete_text_pass(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        fields = [("Host", "gateway"), ("X-API-Key", gateway.key()), ("X-Note", "a\tb é")]
        assert wire.request("GET", "/transparent/openai/v1/models", fields).status == 200
    assert emulators.requests()[0].values("x-note") == ["a\tb é".encode("latin-1")]


def test_an_answer_with_an_odd_line_is_a_broken_one(gateway: Serving, emulators: Emulators) -> None:
    odd = b"HTTP/1.1 200 OK\r\nX-A: a\nContent-Length: 2\r\n\r\nhi"
    emulators.behave("api.openai.com", Behaviour(raw=odd))
    with Wire(gateway.port) as wire:
        fields = [("Host", "gateway"), ("X-API-Key", gateway.key())]
        answer = wire.request("GET", "/transparent/openai/v1/models", fields)
    assert answer.status == 502
    assert answer.header("x-llmauth-fault") == "provider"
