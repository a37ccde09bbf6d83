"""The metrics' own port: it serves them and nothing else, brings the gauges up to date, and survives odd clients."""

import functools
import socket
import struct
import urllib.error
import urllib.request

import pytest

from llmauth.telemetry import scrape
from llmauth.telemetry.metrics import Metrics, Observation


def test_the_listener_serves_metrics_and_nothing_else():
    metrics = Metrics()
    metrics.client_connected()
    server = metrics.serve(0)
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{base}/metrics") as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=")
            assert b"connected_clients 1.0" in answer.read()
        for path in ("/", "/metrics/", "/favicon.ico", "/health"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                opener.open(base + path)
            assert caught.value.code == 404
            caught.value.close()
    finally:
        server.shutdown()
        server.server_close()


def test_the_listener_refreshes_the_gauges_and_survives_its_failing():
    metrics = Metrics()
    calls: list[bool] = []

    def refresh() -> None:
        metrics.health("ready", True)
        calls.append(True)
        raise ValueError("canary")

    server = metrics.serve(0, refresh=refresh)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            assert b'health_check_status{check="ready"} 1.0' in answer.read()
        assert calls == [True]
    finally:
        server.shutdown()
        server.server_close()


def test_a_client_that_leaves_prints_nothing(capfd):
    server = Metrics().serve(0)
    try:
        for data in (b"", b"GET", b"\x00\xff\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.server_port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(data)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{server.server_port}/metrics"
        ) as answer:
            assert answer.status == 200
    finally:
        server.shutdown()
        server.server_close()
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_an_os_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Metrics().serve(taken.getsockname()[1])


def test_what_was_seen_before_an_answer_is_in_it():
    metrics = Metrics()
    server = metrics.serve(0)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for number in (1, 2):
            metrics.observe(Observation(method="GET", status=200, seconds=0.1))
            with opener.open(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
                assert f'http_requests_total{{method="GET",status="200"}} {number}.0' in answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()


# ---- a socket that listens already ----------------------------------------------------------------------------------


def _named(name: bytes) -> tuple[bytes, str]:
    return name, "text/plain; version=0.0.4"


def asked(port: int, path: str = "/metrics") -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def test_a_socket_that_several_share_is_answered_by_one_of_them():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    servers = [scrape.serve_from(listener.dup(), functools.partial(_named, name)) for name in (b"one", b"other")]
    listener.close()
    try:
        seen = {asked(port) for _ in range(20)}
        assert seen <= {(200, b"one"), (200, b"other")}
        assert asked(port, "/health") == (404, b"Only /metrics is served here.\n")
    finally:
        # One that lost the race for a connection must not wait for the next, or it could not be shut down.
        for server in servers:
            server.shutdown()
            server.server_close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_what_cannot_be_had_is_a_refusal_and_no_part_of_it():
    def fail() -> tuple[bytes, str]:
        raise TimeoutError("canary")

    listener = socket.create_server(("127.0.0.1", 0))
    server = scrape.serve_from(listener, fail)
    try:
        status, body = asked(server.server_port)
        assert status == 503
        assert b"canary" not in body
    finally:
        server.shutdown()
        server.server_close()
