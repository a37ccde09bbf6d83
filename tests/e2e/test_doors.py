"""Every door on both ports: told apart by the first line, however slowly it comes, and never by a Host header."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import CHAT, CHAT_PATH, JSON, OPENAI, code, seconds
from tests.fixtures.certificates import HOST, listener
from tests.fixtures.nested import Nested, trusting
from tests.fixtures.raw import Answer, Wire, basic
from tests.fixtures.serving import Serving, start

GATEWAY_PATH = f"/transparent/openai{CHAT_PATH}"


class House:
    """A gateway with both ports and a gateway host, and what a client needs to enter it."""

    def __init__(self, gateway: Serving, ca_file: Path) -> None:
        self.gateway = gateway
        self.outer = trusting(ca_file)
        self.outer_without_name = trusting(ca_file, check_name=False)
        self.inner = trusting(gateway.ca_file)
        self.key = gateway.key()


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    server, ca_file = listener(folder)
    gateway = start(folder, shared_emulators, server={**server, "gateway_hosts": [HOST]})
    yield House(gateway, ca_file)
    gateway.stop()


@pytest.fixture
def house(own_house: House, emulators: Emulators) -> House:
    return own_house


# ---- the ways in ---------------------------------------------------------------------------------------------------

Entrance = Callable[[House], Nested]


def plain(house: House) -> Nested:
    return Nested(house.gateway.port)


def tls_port(house: House) -> Nested:
    assert house.gateway.tls_port is not None
    return Nested(house.gateway.tls_port)


ENTRANCES: dict[str, Entrance] = {
    "plain": plain,
    "tls": lambda house: tls_port(house).secure(house.outer, "localhost"),
    "tls without SNI": lambda house: tls_port(house).secure(house.outer_without_name, None),
    "tls by address": lambda house: tls_port(house).secure(house.outer_without_name, "127.0.0.1"),
    "tls by another name": lambda house: tls_port(house).secure(house.outer_without_name, "elsewhere.example"),
    "tls byte by byte": lambda house: tls_port(house).secure(house.outer, "localhost", step=1),
}


@pytest.fixture(params=ENTRANCES)
def entrance(request: pytest.FixtureRequest) -> Entrance:
    return ENTRANCES[request.param]


def head(first: str, *fields: tuple[str, str]) -> bytes:
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in fields), "", ""]).encode()


def chat_head(house: House, target: str, host: str = "gateway") -> bytes:
    fields = [("Host", host), ("X-API-Key", house.key), JSON, ("Content-Length", str(len(CHAT)))]
    return head(f"POST {target} HTTP/1.1", *fields)


def connect_head(house: House, target: str) -> bytes:
    return head(f"CONNECT {target} HTTP/1.1", ("Host", target), ("Proxy-Authorization", basic(house.key)))


def ask(wire: Nested, what: bytes, body: bytes = CHAT, *, slowly: bool = False) -> Answer:
    wire.dribble(what) if slowly else wire.send(what)
    return wire.send(body).answer() if body else wire.answer()


@pytest.mark.parametrize("slowly", [False, True], ids=["at once", "byte by byte"])
class TestDoors:
    """One port, three doors; the same over TLS."""

    def test_gateway_path(self, house: House, emulators: Emulators, entrance: Entrance, slowly: bool) -> None:
        with entrance(house) as wire:
            assert ask(wire, chat_head(house, GATEWAY_PATH), slowly=slowly).status == 200
            assert ask(wire, chat_head(house, GATEWAY_PATH)).status == 200
        assert [seen.body for seen in emulators.requests()] == [CHAT, CHAT]

    def test_tunnel(self, house: House, emulators: Emulators, entrance: Entrance, slowly: bool) -> None:
        """HTTPS_PROXY=http://proxy:8080, and =https://proxy:8443: the provider's TLS inside ours."""
        with entrance(house) as wire:
            assert ask(wire, connect_head(house, f"{OPENAI}:443"), b"", slowly=slowly).status == 200
            wire.secure(house.inner, OPENAI, step=1 if slowly else None)
            assert ask(wire, head(f"POST {CHAT_PATH} HTTP/1.1", *inner_fields(OPENAI)), slowly=slowly).status == 200
        assert [seen.host for seen in emulators.requests()] == [OPENAI]

    def test_tunnel_to_a_gateway_host(
        self, house: House, emulators: Emulators, entrance: Entrance, slowly: bool
    ) -> None:
        """Its certificate is one of our CA; inside are gateway paths."""
        with entrance(house) as wire:
            assert ask(wire, connect_head(house, f"{HOST}:443"), b"", slowly=slowly).status == 200
            wire.secure(house.inner, HOST, step=1 if slowly else None)
            assert wire.names == [HOST]
            assert ask(wire, head(f"POST {GATEWAY_PATH} HTTP/1.1", *inner_fields(HOST)), slowly=slowly).status == 200
        assert [seen.host for seen in emulators.requests()] == [OPENAI]

    def test_absolute_form_to_a_gateway_host(
        self, house: House, emulators: Emulators, entrance: Entrance, slowly: bool
    ) -> None:
        with entrance(house) as wire:
            what = chat_head(house, f"http://{HOST}{GATEWAY_PATH}", HOST)
            assert ask(wire, what, slowly=slowly).status == 200
        assert [seen.host for seen in emulators.requests()] == [OPENAI]


def inner_fields(host: str) -> list[tuple[str, str]]:
    return [("Host", host), ("Authorization", "Bearer sk-placeholder"), JSON, ("Content-Length", str(len(CHAT)))]


def test_the_tls_port_shows_the_operators_certificate(house: House) -> None:
    with ENTRANCES["tls"](house) as wire:
        assert wire.names == [HOST, "localhost"]


def test_empty_lines_before_a_request_are_skipped(house: House, emulators: Emulators) -> None:
    """RFC 9112, 2.2."""
    with plain(house) as wire:
        assert ask(wire, b"\r\n\r\n" + chat_head(house, GATEWAY_PATH)).status == 200
        assert ask(wire, b"\r\n" + chat_head(house, GATEWAY_PATH)).status == 200
    with plain(house) as wire:
        assert ask(wire, b"\r\n" + head("GET /health HTTP/1.1", ("Host", "x")), b"", slowly=True).status == 200


# ---- Host never chooses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [OPENAI, f"{OPENAI}:443", "localhost:1", "169.254.169.254", HOST])
def test_origin_form_leads_nowhere_by_its_host(
    house: House, emulators: Emulators, entrance: Entrance, host: str
) -> None:
    """A path of the provider's that is none of ours; where the path is ours, the model chooses, and never the host."""
    with entrance(house) as wire:
        answer = ask(wire, chat_head(house, "/v1/audio/speech", host))
    assert (answer.status, code(answer)) == (404, "not_found")
    assert emulators.connections == ()


def test_origin_form_on_a_proxy_connection_is_refused(house: House, emulators: Emulators, entrance: Entrance) -> None:
    with entrance(house) as wire:
        assert ask(wire, chat_head(house, f"http://{HOST}{GATEWAY_PATH}", HOST)).status == 200
        emulators.clear()
        answer = ask(wire, chat_head(house, CHAT_PATH, OPENAI))
        assert (answer.status, answer.header("connection")) == (400, "close")
    assert emulators.requests() == ()


@pytest.mark.parametrize("target", [OPENAI, HOST])
def test_a_gateway_connection_is_no_proxy_connection(house: House, emulators: Emulators, target: str) -> None:
    with plain(house) as wire:
        assert ask(wire, head("GET /health HTTP/1.1", ("Host", "x")), b"").status == 200
        answer = ask(wire, connect_head(house, f"{target}:443"), b"")
        assert answer.status in (400, 403, 405)
    assert emulators.connections == ()


def test_a_tunnel_holds_no_tunnel(house: House, emulators: Emulators) -> None:
    with plain(house) as wire:
        ask(wire, connect_head(house, f"{OPENAI}:443"), b"")
        wire.secure(house.inner, OPENAI)
        answer = ask(wire, connect_head(house, "api.anthropic.com:443"), b"")
        assert 400 <= answer.status < 500
    assert emulators.connections == ()


@pytest.mark.parametrize("first", ["PRI * HTTP/2.0", "GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/1.0", "GET /"])
def test_another_version_of_http_is_refused(house: House, first: str) -> None:
    with plain(house) as wire:
        assert ask(wire, head(first, ("Host", "x"), ("X-API-Key", house.key)), b"").status == 400
        assert wire.ended()


def test_health_answers_http_1_0(house: House) -> None:
    """The probes of old load balancers; some send no Host."""
    with plain(house) as wire:
        answer = ask(wire, b"GET /health HTTP/1.0\r\n\r\n", b"")
        assert (answer.status, answer.complete) == (200, True)
        assert wire.ended()


# ---- who asks for what is not there ----------------------------------------------------------------------------------

UNKNOWN = {
    "a tunnel to a host that is not served": ("CONNECT example.org:443", 403, "host_not_allowed"),
    "a tunnel to an address": ("CONNECT 169.254.169.254:443", 403, "host_not_allowed"),
    "another port of a provider": (f"CONNECT {OPENAI}:8443", 403, "host_not_allowed"),
    "plain http to a provider": (f"GET http://{OPENAI}/v1/models", 403, "forbidden"),
    "plain http to anybody": ("GET http://example.org/", 403, "host_not_allowed"),
    "https without a tunnel": (f"GET https://{OPENAI}/v1/models", 400, "bad_request"),
    "an instance that is not configured": ("GET /transparent/azure/v1/models", 404, "instance_not_found"),
    "a path that is none": ("GET /v2/nothing", 404, "not_found"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_served_is_refused_plainly(house: House, emulators: Emulators, what: str) -> None:
    first, status, name = UNKNOWN[what]
    method, target = first.split()
    host = target.removeprefix("http://").removeprefix("https://").partition("/")[0] or "gateway"
    fields = [("Host", host), ("Proxy-Authorization", basic(house.key)), ("X-API-Key", house.key)]
    with plain(house) as wire:
        answer = ask(wire, head(f"{method} {target} HTTP/1.1", *fields), b"")
    assert (answer.status, code(answer)) == (status, name)
    assert answer.header("x-request-id") is not None
    assert emulators.connections == ()


# ---- TLS where there is none, and none where there is ---------------------------------------------------------------


def hello(name: str = "localhost") -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_tls_on_the_plain_port_is_closed_at_once(house: House) -> None:
    with plain(house) as wire:
        assert seconds(lambda: wire.send(hello()).ended()) < 0.5


@pytest.mark.parametrize(
    "first", [b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT x:443 HTTP/1.1\r\n", b"\0", b"SSH"]
)
def test_anything_but_tls_on_the_tls_port_is_closed_at_once(house: House, first: bytes) -> None:
    with tls_port(house) as wire:
        wire.send(first)
        assert seconds(wire.ended) < 0.5
        assert wire.read() == b""


def test_tls_in_tls_without_a_tunnel_is_closed_at_once(house: House) -> None:
    with ENTRANCES["tls"](house) as wire:
        assert seconds(lambda: wire.send(hello()).ended()) < 0.5


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x16\x03\x01\xff\xff" + b"\0" * 70_000]
)
def test_a_broken_handshake_is_closed(house: House, noise: bytes) -> None:
    with tls_port(house) as wire:
        wire._sock.settimeout(3)
        try:
            wire.send(noise)
        except ConnectionError:
            return
        while wire.read():
            pass


def test_plain_http_inside_a_tunnel_is_refused(house: House, emulators: Emulators) -> None:
    with plain(house) as wire:
        ask(wire, connect_head(house, f"{OPENAI}:443"), b"")
        answer = ask(wire, head(f"POST {CHAT_PATH} HTTP/1.1", *inner_fields(OPENAI)))
        assert answer.status == 400
        assert wire.ended()
    assert emulators.connections == ()


def test_what_is_neither_in_a_tunnel_is_ended(house: House, emulators: Emulators) -> None:
    with plain(house) as wire:
        ask(wire, connect_head(house, f"{OPENAI}:443"), b"")
        wire.send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        wire.read()
        assert wire.ended()
    assert emulators.connections == ()


def test_a_client_that_does_not_trust_us_is_let_go(house: House) -> None:
    with plain(house) as wire:
        ask(wire, connect_head(house, f"{OPENAI}:443"), b"")
        with pytest.raises(ssl.SSLCertVerificationError):
            wire.secure(house.outer, OPENAI)
    with plain(house) as wire:
        assert ask(wire, head("GET /health HTTP/1.1", ("Host", "x")), b"").status == 200


def test_a_wrong_head_is_answered_in_our_own_words(house: House) -> None:
    with plain(house) as wire:
        answer = ask(wire, b"NONSENSE\r\n\r\n", b"")
    assert answer.status == 400
    assert b"mitmproxy" not in answer.body
    assert answer.header("server") is None


def test_a_head_without_end_is_refused(house: House) -> None:
    with plain(house) as wire:
        wire.send(b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000)
        assert wire.answer().status == 431
        assert wire.ended()


def test_a_first_line_without_end_is_refused(house: House) -> None:
    with plain(house) as wire:
        wire.send(b"\r\n" * 10 + b"a" * 70_000)
        assert wire.answer().status == 431


def test_nothing_at_all_disturbs_nobody(house: House) -> None:
    socket.create_connection(("127.0.0.1", house.gateway.port)).close()
    with Wire(house.gateway.port) as wire:
        wire.reset()
    with plain(house) as wire:
        assert ask(wire, head("GET /health HTTP/1.1", ("Host", "x")), b"").status == 200


def test_no_door_broke_a_layer(house: House) -> None:
    """Runs last: all of the above went the designed way, and none by closing everything."""
    assert house.gateway.lines("A protocol layer failed; its connections were closed") == []
