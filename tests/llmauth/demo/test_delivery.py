"""How an answer is framed, paced, cut and ended: each behaviour as the peer sees it on the wire."""

from __future__ import annotations

import gzip
import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from llmauth.demo.behaviour import Behaviour, Cut, Framing
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.llmauth.demo.wire import connect, head, read_all, read_reply

CHAT = b'{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hello"}]}'


@contextmanager
def asked(emulators: Emulators, behaviour: Behaviour, body: bytes = b"", method: str = "") -> Iterator[ssl.SSLSocket]:
    """A connection on which a request has been sent: for the models, or with a body a streamed chat."""
    emulators.behave(HOST, behaviour)
    key = f"Authorization: Bearer {emulators.credentials.openai_key}"
    target = "/v1/chat/completions" if body else "/v1/models"
    more = ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    with connect(emulators, HOST) as connection:
        connection.sendall(head(method or ("POST" if body else "GET"), target, f"Host: {HOST}", key, *more) + body)
        yield connection


def test_any_body_of_any_size(emulators: Emulators) -> None:
    for body in (b"", b"x", bytes(range(256)) * 80_000):  # up to 20 MB
        with asked(emulators, Behaviour(body=body, fields=((b"X-Odd", b"1"),))) as connection:
            reply = read_reply(connection)
        assert reply.body == body
        assert reply.header("content-length") == str(len(body))
        assert reply.header("X-Odd") == "1"
        assert emulators.requests(HOST)[-1].sent_body == body


@pytest.mark.parametrize("framing", list(Framing))
def test_every_framing_of_a_stream_carries_the_same_bytes(emulators: Emulators, framing: Framing) -> None:
    with asked(emulators, Behaviour(framing=framing), CHAT) as connection:
        reply = read_reply(connection)
    assert reply.body.endswith(b"data: [DONE]\n\n")
    told = {name.lower() for name, _ in reply.headers} & {"content-length", "transfer-encoding"}
    assert (
        told
        == {
            Framing.AUTO: {"transfer-encoding"},
            Framing.CHUNKED: {"transfer-encoding"},
            Framing.LENGTH: {"content-length"},
            Framing.CLOSE: set(),
        }[framing]
    )


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(emulators: Emulators, status: int) -> None:
    with asked(emulators, Behaviour(status=status)) as connection:
        reply = read_reply(connection)
    assert (reply.status, reply.body, reply.header("content-length")) == (status, b"", None)


def test_head_is_a_get_without_the_body(emulators: Emulators) -> None:
    with asked(emulators, Behaviour(), method="HEAD") as connection:
        reply = read_reply(connection, "HEAD")
    assert reply.body == b""
    assert int(reply.header("content-length") or 0) > 100


def test_interim_answers_come_before_the_final_one(emulators: Emulators) -> None:
    with asked(emulators, Behaviour(interim=(103, 102), hang_up=True)) as connection:
        seen = read_all(connection)
    assert seen.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: ")
    assert seen.index(b"HTTP/1.1 102") < seen.index(b"HTTP/1.1 200")


def test_trailers_follow_a_chunked_body(emulators: Emulators) -> None:
    with asked(emulators, Behaviour(trailers=((b"X-Sum", b"42"),), hang_up=True)) as connection:
        seen = read_all(connection)
    assert b"transfer-encoding: chunked" in seen
    assert seen.endswith(b"0\r\nX-Sum: 42\r\n\r\n")


def test_pieces_have_the_size_asked_for(emulators: Emulators) -> None:
    with asked(
        emulators, Behaviour(chunk_size=7, framing=Framing.CHUNKED, body=b"0123456789", hang_up=True)
    ) as connection:
        assert read_all(connection).endswith(b"\r\n\r\n7\r\n0123456\r\n3\r\n789\r\n0\r\n\r\n")


@pytest.mark.parametrize("body", [b"", CHAT])
def test_gzip(emulators: Emulators, body: bytes) -> None:
    with asked(emulators, Behaviour(gzip=True), body) as connection:
        reply = read_reply(connection)
    assert reply.header("content-encoding") == "gzip"
    assert b"gpt-4o" in gzip.decompress(reply.body)


@pytest.mark.parametrize("after", [0, 1, 500])
def test_a_cut_comes_after_exactly_so_many_bytes(emulators: Emulators, after: int) -> None:
    with (
        asked(emulators, Behaviour(cut_after=after, cut=Cut.CLOSE), CHAT) as connection,
        pytest.raises(http.client.IncompleteRead),
    ):
        read_reply(connection)
    (seen,) = emulators.requests(HOST)
    assert len(seen.sent_body) == after
    assert (seen.status, seen.answered_at, seen.client_gone) == (200, None, False)


def test_a_polite_end_is_told_from_a_torn_one(emulators: Emulators) -> None:
    with asked(emulators, Behaviour(cut_after=10, cut=Cut.CLOSE)) as connection:
        assert len(read_all(connection).partition(b"\r\n\r\n")[2]) == 10
    with asked(emulators, Behaviour(cut_after=10, cut=Cut.FIN)) as connection, pytest.raises(ssl.SSLEOFError):
        read_all(connection)


def test_an_end_is_told_from_a_reset() -> None:
    """On plain TCP, where Python names a reset by its name in every version."""
    with Emulators(tls=False, echo_hosts=("a.example",)) as emulators:
        for cut in (Cut.FIN, Cut.RST):
            emulators.behave("a.example", Behaviour(cut_after=10, cut=cut))
            with socket.create_connection(("127.0.0.1", emulators.port), timeout=5) as connection:
                connection.sendall(head("GET", "/", "Host: a.example"))
                if cut is Cut.FIN:
                    assert len(read_all(connection).partition(b"\r\n\r\n")[2]) == 10
                else:
                    with pytest.raises(ConnectionResetError):
                        read_all(connection)


def test_garbage_is_written_as_it_is(emulators: Emulators) -> None:
    with asked(emulators, Behaviour(raw=b"SSH-2.0-nothing\r\n", cut=Cut.CLOSE)) as connection:
        assert read_all(connection) == b"SSH-2.0-nothing\r\n"


def test_bytes_of_ones_own_may_be_followed_by_another_answer(emulators: Emulators) -> None:
    raw = b"HTTP/1.1 204 No Content\r\n\r\n"
    with asked(emulators, Behaviour(raw=raw, stays=True)) as connection:
        assert connection.recv(len(raw)) == raw
        connection.sendall(
            head("GET", "/v1/models", f"Host: {HOST}", f"Authorization: Bearer {emulators.credentials.openai_key}")
        )
        assert read_reply(connection).status == 200


def test_a_delay_holds_the_first_byte_back(emulators: Emulators) -> None:
    started = time.monotonic()
    with asked(emulators, Behaviour(first_byte_delay=0.2)) as connection:
        connection.recv(1)
    assert 0.2 <= time.monotonic() - started < 2


def test_a_stream_comes_at_its_pace(emulators: Emulators) -> None:
    with asked(emulators, Behaviour(chunk_delay=0.02, tokens=6), CHAT) as connection:
        read_reply(connection)
    (seen,) = emulators.wait(lambda requests: requests[0].answered_at is not None)
    assert seen.first_byte_at is not None
    assert seen.answered_at is not None
    assert 0.12 <= seen.answered_at - seen.first_byte_at < 2


@pytest.mark.parametrize("behaviour", [Behaviour(hang=True), Behaviour(stall_after=0), Behaviour(stall_after=100)])
def test_silence_lasts_until_the_peer_goes_and_its_going_is_told(emulators: Emulators, behaviour: Behaviour) -> None:
    with asked(emulators, behaviour, CHAT) as connection:
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            read_all(connection)
        assert not emulators.requests(HOST)[0].client_gone
    (seen,) = emulators.wait(lambda requests: requests[0].client_gone, timeout=2)
    assert seen.answered_at is None


def test_hanging_up_keeps_no_promise(emulators: Emulators) -> None:
    """The head promises keep-alive, and the connection ends: what a pooled client must live with."""
    with asked(emulators, Behaviour(hang_up=True)) as connection:
        seen = read_all(connection)
    assert b"connection: keep-alive" in seen
    assert seen.endswith(b"]}")
