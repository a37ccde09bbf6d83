"""The door in front of a proxy: it notes what a client shows, and changes nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from llmauth.demo.certificates import Authority, Certificate, server_context
from llmauth.doctor.stacks.witness import Witness

PROXY = b"HTTP/1.1 %d Said\r\n\r\n"


@pytest.fixture
def proxy() -> Iterator[tuple[int, list[bytes]]]:
    """One that reads a head, answers by what stands in it, and echoes what follows."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    head = client.recv(4096)
                    heard.append(head)
                    client.sendall(PROXY % (200 if b"roxy-Authorization" in head else 407))
                    client.sendall(client.recv(4096))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], heard


def said(port: int, head: bytes, more: bytes = b"hello") -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(head)
        got = client.recv(4096)
        client.sendall(more)
        return got + client.recv(4096)


def test_it_notes_the_target_the_credential_and_the_answer(proxy: tuple[int, list[bytes]]) -> None:
    port, heard = proxy
    head = b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n"
    with Witness("127.0.0.1", port) as witness:
        assert said(witness.port, head + b"Proxy-Authorization: Basic x\r\n\r\n").endswith(b"hello")
        assert said(witness.port, head + b"\r\n").startswith(b"HTTP/1.1 407")
    first, second = witness.seen
    assert (first.target, first.credential, first.status) == ("api.openai.com:443", True, 200)
    assert (second.credential, second.status, witness.connections) == (False, 407, 2)
    assert heard[0] == head + b"Proxy-Authorization: Basic x\r\n\r\n"


def test_what_is_no_tunnel_is_passed_on_and_not_noted(proxy: tuple[int, list[bytes]]) -> None:
    port, _ = proxy
    with Witness("127.0.0.1", port) as witness:
        said(witness.port, b"GET / HTTP/1.1\r\n\r\n")
        assert (witness.seen, witness.connections) == ([], 1)


def test_one_that_came_and_left_at_once_is_counted(proxy: tuple[int, list[bytes]]) -> None:
    port, _ = proxy
    for _ in range(10):
        with Witness("127.0.0.1", port) as witness:
            socket.create_connection(("127.0.0.1", witness.port), 5).close()
            witness.settle()
            assert witness.connections == 1


def test_it_stops_listening_when_it_is_over() -> None:
    with Witness("127.0.0.1", 1) as witness:
        port = witness.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)


def test_a_proxy_that_speaks_tls_is_spoken_to_by_tls_and_its_certificate_is_checked() -> None:
    authority = Authority.create()
    with tls_server(authority) as port:
        good, bad = ssl.create_default_context(cadata=authority.pem.decode()), ssl.create_default_context()
        with Witness("localhost", port, good) as witness:
            assert said(witness.port, b"CONNECT a.test:443 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
            assert [one.status for one in witness.seen] == [200]
        with Witness("localhost", port, bad) as witness, socket.create_connection(("127.0.0.1", witness.port), 5) as c:
            assert c.recv(1) == b""
            assert witness.seen == []


@contextlib.contextmanager
def tls_server(authority: Authority) -> Iterator[int]:
    """Answers a CONNECT, and echoes once."""
    context = server_context(authority, ["localhost"], Certificate.VALID)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = server.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as client:
                        client.recv(4096)
                        client.sendall(PROXY % 200)
                        client.sendall(client.recv(4096))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
