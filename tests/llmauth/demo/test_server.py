"""The listener: TLS of a provider's kind, plain HTTP when asked for, and an end that leaves nothing behind."""

from __future__ import annotations

import socket

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.llmauth.demo.wire import connect, head, read_reply


def test_offers_http1_over_tls_1_3(emulators: Emulators) -> None:
    with connect(emulators, HOST) as connection:
        assert connection.version() == "TLSv1.3"


def test_hears_a_request_that_comes_with_the_handshake(emulators: Emulators) -> None:
    """Bytes that arrive in the same read as the client's last handshake message are not lost."""
    for _ in range(20):
        with connect(emulators, HOST) as connection:
            connection.sendall(head("GET", "/v1/models", f"Host: {HOST}"))
            assert read_reply(connection).status == 401


def test_plain_http_when_asked_for() -> None:
    with (
        Emulators(tls=False, pace=0) as emulators,
        socket.create_connection(("127.0.0.1", emulators.port), timeout=5) as connection,
    ):
        key = f"Authorization: Bearer {emulators.credentials.openai_key}"
        connection.sendall(head("GET", "/v1/models", f"Host: {HOST}:80", key))
        assert read_reply(connection).status == 200
        assert emulators.requests()[0].sni is None


def test_plain_bytes_to_a_tls_port_are_no_request(emulators: Emulators) -> None:
    with socket.create_connection(("127.0.0.1", emulators.port), timeout=5) as connection:
        connection.sendall(head("GET", "/", f"Host: {HOST}"))
        emulators.wait(lambda _: any(link.fault for link in emulators.connections))
    assert (emulators.connections[-1].fault or "").startswith("TLS: ")
    assert emulators.requests() == ()


def test_a_port_scan_is_a_connection_without_a_request(emulators: Emulators) -> None:
    with socket.create_connection(("127.0.0.1", emulators.port), timeout=5):
        emulators.wait(lambda _: len(emulators.connections) == 1)
    assert emulators.requests() == ()


def test_the_end_closes_every_connection() -> None:
    with Emulators(pace=0) as emulators:
        port = emulators.port
        with connect(emulators, HOST) as connection:
            connection.sendall(head("GET", "/v1/models", f"Host: {HOST}"))
            read_reply(connection)
            emulators.stop()
            with pytest.raises(OSError):
                connection.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
