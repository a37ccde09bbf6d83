"""One connection: many requests, early answers, invitations, refusals, and peers that leave."""

from __future__ import annotations

import ssl

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.llmauth.demo.wire import connect, head, read_all, read_reply


def models(emulators: Emulators, *fields: str) -> bytes:
    return head(
        "GET", "/v1/models", f"Host: {HOST}", f"Authorization: Bearer {emulators.credentials.openai_key}", *fields
    )


def upload(emulators: Emulators, *fields: str) -> bytes:
    key = f"Authorization: Bearer {emulators.credentials.openai_key}"
    return head("POST", "/v1/echo/x", f"Host: {HOST}", key, *fields)


def test_a_connection_is_used_again(emulators: Emulators) -> None:
    with connect(emulators, HOST) as connection:
        for _ in range(3):
            connection.sendall(models(emulators))
            assert read_reply(connection).status == 200
    assert len({seen.connection for seen in emulators.requests()}) == 1
    assert len(emulators.requests()) == 3


def test_requests_may_be_pipelined(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(first_byte_delay=0.05))
    with connect(emulators, HOST) as connection:
        connection.sendall(models(emulators) + upload(emulators, "Content-Length: 3", "Connection: close") + b"abc")
        seen = read_all(connection)
    assert seen.count(b"HTTP/1.1 200 OK") == 2
    assert seen.endswith(b"abc")


def test_a_body_may_come_in_chunks_with_trailers(emulators: Emulators) -> None:
    with connect(emulators, HOST) as connection:
        connection.sendall(upload(emulators, "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        connection.sendall(b"2;note=x\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
        assert read_reply(connection).body == b"abcde"
    (seen,) = emulators.requests()
    assert (seen.body, seen.chunked, seen.trailers) == (b"abcde", True, ((b"X-Sum", b"5"),))


def test_a_client_that_asks_to_close_is_closed(emulators: Emulators) -> None:
    with connect(emulators, HOST) as connection:
        connection.sendall(models(emulators, "Connection: close"))
        assert b"\r\nconnection: close\r\n" in read_all(connection)


def test_the_body_is_invited(emulators: Emulators) -> None:
    with connect(emulators, HOST) as connection:
        connection.sendall(upload(emulators, "Content-Length: 3", "Expect: 100-continue"))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert read_reply(connection).body == b"abc"


def test_an_early_answer_comes_before_the_body_and_survives_it(emulators: Emulators) -> None:
    """A peer that is still sending must be able to read the answer: no reset overtakes it."""
    emulators.behave(HOST, Behaviour(early=True, status=413))
    with connect(emulators, HOST) as connection:
        connection.sendall(upload(emulators, "Content-Length: 10000000"))
        reply = read_reply(connection)
        connection.sendall(b"x" * 1_000_000)
    assert (reply.status, reply.header("connection")) == (413, "close")


@pytest.mark.parametrize(
    "data", [b"GET http://api.openai.com/ HTTP/1.1\r\nHost: api.openai.com\r\n\r\n", b"\x16\x03\x01\r\n\r\n"]
)
def test_what_is_malformed_is_refused_and_told(emulators: Emulators, data: bytes) -> None:
    with connect(emulators, HOST) as connection:
        connection.sendall(data)
        assert read_reply(connection).status == 400
    assert emulators.requests() == ()
    assert (emulators.connections[-1].fault or "").startswith("HTTP: ")


def test_a_peer_that_leaves_in_mid_answer_is_noticed(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(body=b"x" * 50_000_000))
    with connect(emulators, HOST) as connection:
        connection.sendall(models(emulators))
        connection.recv(1000)
    (seen,) = emulators.wait(lambda requests: requests[0].client_gone, timeout=2)
    assert len(seen.sent_body) < 50_000_000


def test_a_peer_that_leaves_after_the_answer_is_not_counted_as_gone(emulators: Emulators) -> None:
    with connect(emulators, HOST) as connection:
        connection.sendall(models(emulators))
        read_reply(connection)
    emulators.wait(lambda _: all(link.closed_at for link in emulators.connections))
    assert not emulators.requests()[0].client_gone


def test_a_slow_reader_gets_all_of_it(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(body=b"x" * 5_000_000))
    with connect(emulators, HOST) as connection:
        connection.sendall(models(emulators))
        emulators.wait(lambda requests: bool(requests) and requests[0].first_byte_at is not None)
        assert len(read_reply(connection).body) == 5_000_000


def test_a_failed_handshake_is_told(emulators: Emulators) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(emulators, "nobody.example")
    emulators.wait(lambda _: any(link.fault for link in emulators.connections))
    assert emulators.requests() == ()
