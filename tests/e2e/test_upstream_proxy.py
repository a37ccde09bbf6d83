"""A company's proxy before the outside: asked once a connection, told nothing of ours, blamed when it fails."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import STREAM, begin, call, error, seconds
from tests.fixtures.corporate import Corporate, corporate, hangs, says, slowly
from tests.fixtures.hosts import Host, echo, head_of, host
from tests.fixtures.raw import Wire, basic, tunnel
from tests.fixtures.serving import Serving, free_port, provider_environment, start
from tests.fixtures.upstreams import serving

GIT, INTERNAL = "git.example", "git.corp.example"
OPENAI = "api.openai.com"


@pytest.fixture(scope="module")
def git() -> Iterator[Host]:
    with host(echo) as listening:
        yield listening


@pytest.fixture(scope="module")
def shared_proxy(shared_emulators: Emulators, git: Host) -> Iterator[Corporate]:
    with corporate({**shared_emulators.resolve, GIT: git.place}) as running:
        yield running


@pytest.fixture
def proxy(shared_proxy: Corporate) -> Iterator[Corporate]:
    shared_proxy.heads.clear()
    yield shared_proxy
    shared_proxy.behave = None


def _upstream(emulators: Emulators, url: str, **more: Any) -> dict[str, Any]:
    """Providers have names that only the proxy knows."""
    return {"ca_file": str(emulators.ca_file), "resolve": {}, "proxy": {"url": url, **more}}


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators, shared_proxy: Corporate, git: Host
) -> Iterator[Serving]:
    upstream = _upstream(shared_emulators, shared_proxy.url, no_proxy="localhost, .corp.example 10.0.0.0/8")
    upstream["connect_timeout"] = "1s"
    egress = {"allow": [GIT, INTERNAL], "drain_timeout": "1s"}
    running = start(tmp_path_factory.mktemp("corp"), shared_emulators, upstream=upstream, egress=egress)
    running.key()
    yield running
    running.stop()


def test_a_provider_is_reached_through_it_and_verified_behind_it(
    gateway: Serving, proxy: Corporate, emulators: Emulators
) -> None:
    assert call(gateway).status == 200
    (head,) = proxy.heads
    pair = base64.b64encode(f"{proxy.user}:{proxy.password}".encode())
    assert head == b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n" + (
        b"Proxy-Authorization: Basic " + pair + b"\r\n\r\n"
    )
    (seen,) = emulators.requests()
    assert seen.sni == OPENAI
    assert pair not in seen.head


def test_one_way_serves_all_requests_of_a_connection(gateway: Serving, proxy: Corporate, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        for _ in range(5):
            assert call(gateway, wire=wire).status == 200
    assert len(proxy.heads) == 1
    with tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as wire:
        assert wire.request("GET", "/v1/models", [("Host", OPENAI)]).status == 200
    assert proxy.targets() == [f"{OPENAI}:443"] * 2


def test_tunnels_go_through_it_too(gateway: Serving, proxy: Corporate) -> None:
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{GIT}:443", gateway.key()).status == 200
        assert wire._exactly(11) == (b"220 ready\r\n", True)
        assert wire.send(b"hello")._exactly(5) == (b"hello", True)
    assert proxy.targets() == [f"{GIT}:443"]
    assert gateway.key().encode() not in proxy.heads[0]


def test_plain_http_goes_through_it_by_a_way_of_its_own(tmp_path: Path, emulators: Emulators, proxy: Corporate) -> None:
    def speak(sock: socket.socket) -> None:
        site.heads.append(head_of(sock))
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    with host(speak) as site:
        proxy.ways["plain.example"] = site.place
        upstream = _upstream(emulators, proxy.url)
        gateway = start(tmp_path, emulators, upstream=upstream, egress={"allow": ["plain.example:80"]})
        with Wire(gateway.port) as wire:
            proof = ("Proxy-Authorization", basic(gateway.key()))
            assert wire.request("GET", "http://plain.example/", [("Host", "plain.example"), proof]).body == b"ok"
        gateway.stop()
    assert proxy.targets() == ["plain.example:80"]
    assert site.heads == [b"GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n"]


def test_who_needs_no_proxy_is_dialled(gateway: Serving, proxy: Corporate) -> None:
    """The name does not exist; what counts is who was asked."""
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{INTERNAL}:443", gateway.key()).status == 502
    assert proxy.heads == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "169.254.169.254", "[::1]", "2130706433"),
        *("LocalHost.", "x.localhost", "metadata", "metadata.google.internal", "printer.local"),
    ],
)
def test_an_address_inside_is_not_asked_of_the_proxy_either(
    tmp_path: Path, emulators: Emulators, proxy: Corporate, address: str
) -> None:
    """S8: of a name the proxy judges the address; an address, and a name that can only be inside, is judged here."""
    upstream = _upstream(emulators, proxy.url)
    gateway = start(tmp_path, emulators, upstream=upstream, egress={"default": "tunnel"})
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{address}:443", gateway.key()).status == 403
    assert proxy.heads == []
    gateway.stop()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", "wants other credentials"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnever", "does not allow"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "(502)"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://evil.example\r\n\r\n", "(302)"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "(101)"),
        (b"HTTP/1.1 099 x\r\n\r\n", "(99)"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP"),
        (b"\0\xff garbage \r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\n\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nX: y", "broke off"),
        (b"", "broke off"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", "without an end"),
    ],
)
def test_its_failure_is_a_502_that_names_it(
    gateway: Serving, proxy: Corporate, emulators: Emulators, answer: bytes, words: str
) -> None:
    proxy.behave = says(answer)
    told = call(gateway)
    assert (told.status, told.header("x-llmauth-fault")) == (502, "proxy")
    assert error(told)["code"] == "upstream_proxy_failed"
    assert f"127.0.0.1:{proxy.port}" in error(told)["message"]
    assert words in error(told)["message"]
    assert "never" not in told.body.decode()
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{GIT}:443", gateway.key()).status == 502
    assert list(emulators.requests()) == []
    proxy.behave = None
    assert call(gateway).status == 200


def test_one_that_hangs_is_given_up_in_time(gateway: Serving, proxy: Corporate) -> None:
    proxy.behave = hangs
    assert seconds(lambda: call(gateway)) < 3
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{GIT}:443", gateway.key()).status == 504
    proxy.behave = slowly(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100 + b"\r\n", 0.1)
    assert call(gateway).status == 504


def test_one_that_is_not_there_is_named(tmp_path: Path, emulators: Emulators) -> None:
    gateway = start(tmp_path, emulators, upstream=_upstream(emulators, f"http://127.0.0.1:{free_port()}"))
    told = call(gateway)
    assert (told.status, error(told)["code"]) == (502, "upstream_proxy_failed")
    assert "cannot be reached" in error(told)["message"]
    gateway.stop()


def test_one_that_would_be_ourselves_is_not_asked(tmp_path: Path, emulators: Emulators) -> None:
    port = free_port()
    upstream = _upstream(emulators, f"http://u:p@127.0.0.1:{port}")
    gateway = start(tmp_path, emulators, upstream=upstream, server={"port": port})
    gateway.port = port
    told = call(gateway)
    assert told.status == 502
    assert "this server itself" in error(told)["message"]
    gateway.stop()


def test_another_certificate_behind_it_is_noticed(
    tmp_path: Path, gateway: Serving, proxy: Corporate, emulators: Emulators
) -> None:
    """S5: a proxy that ends the TLS itself, under an authority of its own that nobody configured."""
    before = proxy.ways[OPENAI]
    with serving(lambda tls: None, tmp_path) as (port, _):
        proxy.ways[OPENAI] = f"127.0.0.1:{port}"
        try:
            told = call(gateway)
        finally:
            proxy.ways[OPENAI] = before
    assert told.status == 502
    assert "certificate" in error(told)["message"]
    assert list(emulators.requests()) == []


def test_neither_log_nor_answer_shows_its_password(gateway: Serving, proxy: Corporate) -> None:
    """R1, at debug level."""
    proxy.behave = says(b"HTTP/1.1 407 " + proxy.password.encode() + b"\r\n\r\n")
    assert proxy.password not in call(gateway).body.decode()
    pair = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
    assert proxy.password not in gateway.log()
    assert pair not in gateway.log()


def test_variables_of_the_servers_own_environment_change_nothing(
    tmp_path: Path, emulators: Emulators, proxy: Corporate
) -> None:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    environ = {**provider_environment(emulators), **dict.fromkeys(names, proxy.url)}
    gateway = start(tmp_path, emulators, environ=environ)
    assert call(gateway).status == 200
    assert proxy.heads == []
    gateway.stop()


def test_the_configuration_may_take_them_over(tmp_path: Path, emulators: Emulators, proxy: Corporate) -> None:
    environ = {**provider_environment(emulators), "HTTPS_PROXY": proxy.url, "NO_PROXY": "localhost,.corp.example"}
    upstream = _upstream(emulators, "${HTTPS_PROXY}", no_proxy="${NO_PROXY:-}")
    gateway = start(tmp_path, emulators, environ=environ, upstream=upstream)
    assert call(gateway).status == 200
    assert proxy.targets() == [f"{OPENAI}:443"]
    gateway.stop()


def test_streams_pass_through_it(gateway: Serving, proxy: Corporate) -> None:
    with Wire(gateway.port) as wire:
        answer = begin(gateway, wire, STREAM).answer()
    assert answer.complete
    assert answer.body.endswith(b"data: [DONE]\n\n")
