"""The record: frozen, bounded, in order, with what was answered and when, and a way to wait for it."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.http1 import Parser, Request
from llmauth.demo.openai import HOST
from llmauth.demo.recorder import Recorder
from tests.llmauth.demo.wire import call


def request(target: str = "/") -> Request:
    parser = Parser()
    parser.feed(f"GET {target} HTTP/1.1\r\nHost: a.b\r\nX-A: 1\r\nx-a: 2\r\n\r\n".encode())
    found = parser.next_request()
    assert found is not None
    return found


def test_a_record_is_frozen_and_tells_all_values() -> None:
    recorder = Recorder(10)
    recorder.received(request(), recorder.connected(), "a.b")
    (seen,) = recorder.requests()
    assert seen.values("X-a") == [b"1", b"2"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.status = 200  # type: ignore[misc]


def test_the_record_is_bounded_and_in_order() -> None:
    recorder = Recorder(2)
    for target in ("/1", "/2", "/3"):
        recorder.received(request(target), recorder.connected(), "a.b")
    assert [seen.target for seen in recorder.requests()] == [b"/2", b"/3"]
    assert recorder.requests("c.d") == ()


def test_an_answer_is_told_step_by_step() -> None:
    recorder = Recorder(1)
    entry = recorder.received(request(), recorder.connected(), "a.b")
    assert recorder.requests()[0].status is None
    entry.begun(200, [(b"a", b"b")])
    entry.sent_pieces.append(b"body")
    entry.answered()
    entry.gone()
    (seen,) = recorder.requests()
    assert (seen.status, seen.sent_headers, seen.sent_body, seen.client_gone) == (200, ((b"a", b"b"),), b"body", False)
    assert seen.received_at <= (seen.first_byte_at or 0) <= (seen.answered_at or 0)


def test_waiting_ends_with_the_change_and_not_without_it() -> None:
    recorder = Recorder(5)
    link = recorder.connected()
    later = threading.Timer(0.05, lambda: recorder.received(request(), link, "a.b"))
    later.start()
    assert recorder.wait(lambda: len(recorder.requests()) == 1, 5)
    later.join()
    assert not recorder.wait(lambda: len(recorder.requests()) == 2, 0.01)


def test_requests_are_told_by_host_and_what_was_sent_is_kept(emulators: Emulators) -> None:
    reply = call(emulators, HOST, "GET", "/v1/models")
    call(emulators, "unheard-of.example", "GET", "/")
    (seen,) = emulators.requests(HOST)
    assert seen.sent_body == reply.body
    assert [(name.decode(), value.decode()) for name, value in seen.sent_headers] == reply.headers
    assert len(emulators.requests()) == 2
