"""A request is written as it stands, and an answer is read whole, within its size and its time, or not at all."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time

import pytest

from llmauth.outbound.wire import Answer, answer, first, left, rendered
from tests.fixtures.upstreams import full


def test_a_request_stands_as_it_was_signed() -> None:
    fields = [(b"Host", b"h"), (b"X-B", b"2"), (b"X-a", b"1")]
    assert rendered("PUT", "/a%2Fb?c=d", fields, b"body") == (
        b"PUT /a%2Fb?c=d HTTP/1.1\r\nHost: h\r\nX-B: 2\r\nX-a: 1\r\nConnection: close\r\n\r\nbody"
    )


@pytest.mark.parametrize(
    ("method", "target", "field"),
    [
        ("GET", "/", (b"X-A", b"1\r\nX-B: 2")),
        ("GET", "/ HTTP/1.1\r\nX: y", (b"X", b"")),
        ("GET\n", "/", (b"X", b"")),
        ("GET", "/\u00e9", (b"X", b"")),
        ("GET", "/ HTTP/1.0", (b"X", b"")),
        ("GET", "/\t", (b"X", b"")),
    ],
)
def test_no_line_of_it_becomes_two(method: str, target: str, field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError):
        rendered(method, target, [field], b"")


def read(raw: bytes, method: str = "GET", most: int = 100, seconds: float = 1.0) -> Answer:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(raw)
        theirs.shutdown(socket.SHUT_WR)
        return answer(ours, method, time.monotonic() + seconds, most)


def test_an_answer_with_its_head() -> None:
    got = read(b"HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: 2\r\n\r\n{}")
    assert (got.status, got.body, got.headers.get("x-a")) == (404, b"{}", "b")
    assert "{}" not in repr(got)


def test_a_head_alone_is_whole_where_only_that_was_asked_for() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", "HEAD").status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"\x00\x01garbage\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_whole_answer_of_its_size_is_none(raw: bytes) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        read(raw)


def test_a_peer_that_says_nothing_ends_with_the_time() -> None:
    ours, theirs = socket.socketpair()
    began = time.monotonic()
    with ours, theirs, pytest.raises(TimeoutError):
        answer(ours, "GET", time.monotonic() + 0.2, 100)
    assert time.monotonic() - began < 2


def test_no_time_is_left_after_the_end() -> None:
    assert 0 < left(time.monotonic() + 1) <= 1
    with pytest.raises(TimeoutError):
        left(time.monotonic())


def endless(begin: bytes) -> tuple[int, float]:
    """How much is taken of an answer that begins like this and never ends, and in how many seconds."""
    ours, theirs = socket.socketpair()
    taken = 0

    def serve() -> None:
        nonlocal taken
        with contextlib.suppress(OSError):
            theirs.sendall(begin)
            while taken < 256 * 2**20:
                theirs.sendall(b"X: y\r\n" * 10_000)
                taken += 60_000

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    began = time.monotonic()
    with ours, pytest.raises((OSError, http.client.HTTPException)):
        answer(ours, "GET", time.monotonic() + 2.0, 1000)
    theirs.close()
    thread.join(5)
    return taken, time.monotonic() - began


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-fff\r\n",
    ],
)
def test_no_answer_takes_more_memory_than_it_may(begin: bytes) -> None:
    """A chunk of a negative size makes http.client read all that comes."""
    taken, took = endless(begin)
    assert taken < 4 * 2**20
    assert took < 1.5


def test_chunks_of_a_single_byte_are_an_answer() -> None:
    body = b"1\r\nx\r\n" * 100
    got = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n")
    assert got.body == b"x" * 100


def test_an_address_that_is_silent_does_not_keep_from_the_next() -> None:
    with full() as silent, socket.create_server(("127.0.0.1", 0)) as good:
        with first([("127.0.0.1", silent), good.getsockname()], time.monotonic() + 1.0) as connection:
            assert connection.getpeername() == good.getsockname()
        with pytest.raises(TimeoutError):
            first([("127.0.0.1", silent)], time.monotonic() + 0.1)
