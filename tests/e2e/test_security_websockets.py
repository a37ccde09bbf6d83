"""What an upgrade could be used for: other bytes past the chain, keys past the check, answers that are none."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from addons.chain import chain
from addons.websockets import WebSockets
from llmauth.authenticators.tokens import FORM
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.fixtures import master
from tests.fixtures.calls import OPENAI, call, code, eventually, get
from tests.fixtures.h2raw import head, in_tunnel
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import INSTANCES, Serving
from tests.fixtures.sockets import BINARY, KEY, TEXT, Fields, Socket, ask, frame, handshake, opened, proof
from tests.fixtures.upstreams import leading_to, read_request, serving

PATH = "/transparent/openai/v1/realtime?model=gpt-realtime"
_CONNECT_PROTOCOL = 0x8


def bearer(gateway: Serving, name: str = "test") -> tuple[str, str]:
    return "Authorization", f"Bearer {gateway.key(name)}"


def tried(gateway: Serving, fields: Fields, *, path: str = PATH, method: str = "GET", ahead: bytes = b"") -> Answer:
    with Wire(gateway.port) as wire:
        return ask(wire, path, fields, method=method, ahead=ahead)


# A handshake is one, to the letter, or it goes nowhere


def changed(name: str, value: str) -> Callable[[Fields], Fields]:
    return lambda fields: [(n, value if n == name else v) for n, v in fields]


def added(*more: tuple[str, str]) -> Callable[[Fields], Fields]:
    return lambda fields: [*fields, *more]


def without(name: str) -> Callable[[Fields], Fields]:
    return lambda fields: [field for field in fields if field[0] != name]


BROKEN: dict[str, tuple[Callable[[Fields], Fields], int]] = {
    "no Connection": (without("Connection"), 400),
    "a Connection that names no upgrade": (changed("Connection", "keep-alive"), 400),
    "a Connection that ends": (changed("Connection", "Upgrade, close"), 400),
    "a Connection that takes the proof away": (changed("Connection", "Upgrade, Sec-WebSocket-Key"), 400),
    "a Connection that takes Host away": (changed("Connection", "Upgrade, Host"), 400),
    "a second Connection that takes the key away": (added(("Connection", "Authorization")), 400),
    "h2c beside": (changed("Upgrade", "websocket, h2c"), 426),
    "h2c before": (changed("Upgrade", "h2c, websocket"), 426),
    "h2c in a field of its own": (added(("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")), 426),
    "two Upgrade fields": (added(("Upgrade", "websocket")), 426),
    "a version of the protocol": (changed("Upgrade", "websocket/13"), 426),
    "something else": (changed("Upgrade", "TLS/1.0"), 426),
    "an old version": (changed("Sec-WebSocket-Version", "8"), 426),
    "two versions in one": (changed("Sec-WebSocket-Version", "13, 8"), 426),
    "two versions": (added(("Sec-WebSocket-Version", "13")), 426),
    "no version": (without("Sec-WebSocket-Version"), 426),
    "no key": (without("Sec-WebSocket-Key"), 400),
    "two keys": (added(("Sec-WebSocket-Key", KEY)), 400),
    "a short key": (changed("Sec-WebSocket-Key", base64.b64encode(b"short").decode()), 400),
    "a key that is no base64": (changed("Sec-WebSocket-Key", "sixteen octets!!"), 400),
    "a body": (added(("Content-Length", "5")), 400),
    "a body in chunks": (added(("Transfer-Encoding", "chunked")), 400),
    "an empty protocol": (added(("Sec-WebSocket-Protocol", "realtime,")), 400),
    "a protocol twice": (added(("Sec-WebSocket-Protocol", "realtime, realtime")), 400),
    "a protocol that is no token": (added(("Sec-WebSocket-Protocol", "real time")), 400),
    "a protocol in quotes": (added(("Sec-WebSocket-Protocol", '"realtime"')), 400),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_handshake_goes_nowhere(gateway: Serving, emulators: Emulators, name: str) -> None:
    change, status = BROKEN[name]
    answer = tried(gateway, change(handshake(bearer(gateway))))
    assert answer.status == status
    assert answer.header("connection") == ("close" if b"websocket" in handshake_of(change) else None)
    assert emulators.requests() == ()


def handshake_of(change: Callable[[Fields], Fields]) -> list[bytes]:
    """What a changed handshake asks for."""
    return [item.strip().encode() for n, v in change(handshake()) if n == "Upgrade" for item in v.split(",")]


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
def test_only_get_opens_a_socket(gateway: Serving, emulators: Emulators, method: str) -> None:
    assert tried(gateway, handshake(bearer(gateway)), method=method).status == 400
    assert emulators.requests() == ()


def test_an_older_http_opens_none(gateway: Serving, emulators: Emulators) -> None:
    lines = [f"GET {PATH} HTTP/1.0", *(f"{n}: {v}" for n, v in handshake(bearer(gateway))), "", ""]
    with Wire(gateway.port) as wire:
        assert wire.send("\r\n".join(lines).encode()).answer().status == 400
    assert emulators.requests() == ()


def test_h2c_alone_is_still_not_taken_up(gateway: Serving, emulators: Emulators) -> None:
    offer = [("Host", "gateway"), ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")]
    path = "/transparent/openai/v1/models"
    assert tried(gateway, [*offer, ("HTTP2-Settings", "AAMAAABk"), bearer(gateway)], path=path).status == 200
    assert emulators.requests()[0].values("upgrade") == []


# Smuggling


def smuggled(gateway: Serving) -> bytes:
    lines = ["GET /transparent/openai/v1/models HTTP/1.1", "Host: g", f"Authorization: Bearer {gateway.key()}x", "", ""]
    return "\r\n".join(lines).encode()


def test_an_upgrade_answered_by_200_is_a_request_like_any(gateway: Serving, emulators: Emulators) -> None:
    """What was sent behind it is the next request, judged by itself, and nobody's frames."""
    emulators.behave(OPENAI, Behaviour(status=200, body=b"no socket"))
    with Wire(gateway.port) as wire:
        answer = ask(wire, PATH, handshake(bearer(gateway)), ahead=smuggled(gateway))
        assert (answer.status, answer.body) == (200, b"no socket")
        assert wire.answer().status == 401
    assert len(emulators.requests()) == 1


def test_what_is_sent_ahead_of_the_101_goes_into_the_socket_alone(gateway: Serving, emulators: Emulators) -> None:
    """A request that was put behind the handshake never meets the provider as one, and an early frame is not lost."""
    early = frame(TEXT, b"early")
    with Wire(gateway.port) as wire:
        assert ask(wire, PATH, handshake(bearer(gateway)), ahead=early).status == 101
        socket = Socket(wire)
        socket.event()
        echoed = socket.read()
        assert echoed is not None
        assert echoed.payload == b"early"
    with Wire(gateway.port) as wire:
        assert ask(wire, PATH, handshake(bearer(gateway)), ahead=smuggled(gateway)).status == 101
        socket = Socket(wire)
        while (said := socket.read()) is not None and said.opcode != 0x8:
            pass
        assert said is not None
        assert said.code == 1002, "the provider read it as a frame, and it is none"
    assert len(emulators.requests()) == 2


def test_a_refused_upgrade_reads_nothing_of_what_follows_as_its_body(gateway: Serving, emulators: Emulators) -> None:
    fields = [*handshake(bearer(gateway)), ("Content-Length", "200")]
    with Wire(gateway.port) as wire:
        assert ask(wire, PATH, fields, ahead=smuggled(gateway)).status == 400
        assert wire.read() == b""
    assert emulators.requests() == ()


def test_nothing_beyond_a_socket_is_a_request(gateway: Serving, emulators: Emulators) -> None:
    """Once it is a socket it stays one: a request in it is bytes, and no credential is put on it."""
    with opened(Wire(gateway.port), PATH, handshake(bearer(gateway)))[0] as socket:
        socket.event()
        socket.send(smuggled(gateway))
        said = socket.read()
        assert said is not None
        assert said.code == 1002
    assert len(emulators.requests()) == 1


# Answers that open none


def switching(*fields: tuple[str, str], drop: str = "") -> bytes:
    good = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", proof())]
    lines = [f"{n}: {v}" for n, v in [*(f for f in good if f[0] != drop), *fields]]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode() + b"\x81\x02hi"


GARBAGE = {
    "a wrong proof": switching(("Sec-WebSocket-Accept", proof("x")), drop="Sec-WebSocket-Accept"),
    "no proof": switching(drop="Sec-WebSocket-Accept"),
    "two proofs": switching(("Sec-WebSocket-Accept", proof())),
    "no Upgrade": switching(drop="Upgrade"),
    "another Upgrade": switching(("Upgrade", "h2c"), drop="Upgrade"),
    "two Upgrades": switching(("Upgrade", "h2c")),
    "no Connection": switching(drop="Connection"),
    "a protocol that was not offered": switching(("Sec-WebSocket-Protocol", "other")),
    "the key's own protocol": switching(("Sec-WebSocket-Protocol", "openai-insecure-api-key.x")),
    "two protocols": switching(("Sec-WebSocket-Protocol", "realtime"), ("Sec-WebSocket-Protocol", "realtime")),
    "an extension that was not offered": switching(("Sec-WebSocket-Extensions", "permessage-deflate")),
    "a length": switching(("Content-Length", "4")),
    "chunks": switching(("Transfer-Encoding", "chunked")),
    "a bare line feed": switching().replace(b"Upgrade: websocket\r\n", b"Upgrade: websocket\n"),
    "an older HTTP": switching().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no HTTP": b"\x81\x02hi",
    "half a head": switching()[:60],
    "nothing": b"",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_a_wrong_101_is_a_broken_answer(gateway: Serving, emulators: Emulators, name: str) -> None:
    """The client is told before it believes in a socket, in a shape it knows; and the next call works."""
    emulators.behave(OPENAI, Behaviour(raw=GARBAGE[name]))
    with Wire(gateway.port) as wire:
        fields = handshake(bearer(gateway), ("Sec-WebSocket-Protocol", "realtime"))
        answer = ask(wire, PATH, fields)
        assert (answer.status, code(answer)) == (502, "provider_unreachable")
        assert call(gateway, wire=wire).status == 200
    assert call(gateway).status == 200


def test_a_101_that_nobody_asked_for_is_a_broken_answer(gateway: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(raw=switching()))
    assert call(gateway).status == 502


def test_a_provider_that_refuses_our_credential_is_not_heard_as_refusing_the_callers(
    gateway: Serving, emulators: Emulators
) -> None:
    emulators.behave(OPENAI, Behaviour(status=401))
    answer = tried(gateway, handshake(bearer(gateway)))
    assert (answer.status, code(answer)) == (502, "credential_rejected")


@pytest.mark.parametrize("status", [403, 404, 426, 429, 503])
def test_other_refusals_of_the_provider_pass(gateway: Serving, emulators: Emulators, status: int) -> None:
    emulators.behave(OPENAI, Behaviour(status=status))
    answer = tried(gateway, handshake(bearer(gateway)))
    assert answer.status == status
    assert answer.header("x-llmauth-fault") is None


# Who may open one


def protocols(*items: str) -> tuple[str, str]:
    return "Sec-WebSocket-Protocol", ", ".join(items)


def slot(key: str) -> str:
    return f"openai-insecure-api-key.{key}"


def test_a1_nobody_opens_one_without_a_key(gateway: Serving, emulators: Emulators) -> None:
    connections = len(emulators.connections)
    for fields in (handshake(), handshake(protocols("realtime")), handshake(protocols(slot("sk-placeholder")))):
        answer = tried(gateway, fields)
        assert (answer.status, code(answer)) == (401, "invalid_api_key")
    assert len(emulators.connections) == connections


@pytest.mark.parametrize("spelled", ["{}x", "{}", "OpenAI-Insecure-API-Key.{}x", "bearer.{}x"])
def test_a8_a_wrong_key_in_the_slot_is_wrong_beside_a_right_one(
    gateway: Serving, emulators: Emulators, spelled: str
) -> None:
    wrong = spelled.format(gateway.key()[:-4] + "AAAA")
    answer = tried(gateway, handshake(bearer(gateway), protocols("realtime", wrong)))
    assert answer.status == 401
    assert emulators.requests() == ()


def test_a8_two_keys_are_refused_and_the_same_twice_is_none_too_many(gateway: Serving, emulators: Emulators) -> None:
    first, second = gateway.key(), gateway.key("second-socket")
    assert tried(gateway, handshake(bearer(gateway), protocols(slot(second)))).status == 403
    assert tried(gateway, handshake(protocols(slot(first), slot(second)))).status == 400
    assert tried(gateway, handshake(protocols("realtime"), protocols(slot(first)))).status == 400
    assert emulators.requests() == ()
    assert tried(gateway, handshake(bearer(gateway), protocols("realtime", slot(first)))).status == 101


def test_a5_a_key_that_is_revoked_while_the_provider_thinks_opens_no_socket(
    tmp_path: Path, serve: Callable[..., Serving]
) -> None:
    """A5: not for a quarter of a second either, and the provider's side is closed."""
    asked, revoked, ended = threading.Event(), threading.Event(), threading.Event()

    def think(tls: ssl.SSLSocket) -> None:
        read_request(tls)
        asked.set()
        revoked.wait(10)
        tls.sendall(switching())
        while tls.recv(100):
            pass
        ended.set()

    with serving(think, tmp_path) as (port, ca_file):
        gateway = serve(upstream=leading_to(port, ca_file))
        lines = [f"GET {PATH} HTTP/1.1", *(f"{n}: {v}" for n, v in handshake(bearer(gateway))), "", ""]
        with Wire(gateway.port) as wire:
            wire.send("\r\n".join(lines).encode())
            assert asked.wait(5)
            gateway.llmauth("keys", "revoke", "test")
            time.sleep(1.0)  # within which the gateway knows
            revoked.set()
            answer = wire.answer()
        assert (answer.status, code(answer)) == (401, "invalid_api_key")
        assert ended.wait(2)


def test_a8_a_key_of_another_user_than_the_tunnels_is_refused(gateway: Serving, emulators: Emulators) -> None:
    fields = handshake(protocols("realtime", slot(gateway.key("socket-user-a"))), host=OPENAI)
    with tunnel(gateway.port, OPENAI, gateway.key("socket-user-b"), gateway.ca_file) as wire:
        assert ask(wire, "/v1/realtime?model=x", fields).status == 403
    assert emulators.requests() == ()


def test_a2_a_socket_proves_nothing_for_the_next_one(gateway: Serving, emulators: Emulators) -> None:
    """Also on the very connection whose last request was proved by the subprotocol."""
    emulators.behave(OPENAI, Behaviour(status=403))
    with Wire(gateway.port) as wire:
        assert ask(wire, PATH, handshake(protocols(slot(gateway.key())))).status == 403
        assert ask(wire, PATH, handshake(protocols("realtime"))).status == 401
    assert len(emulators.requests()) == 1


def test_a_key_in_the_slot_of_a_plain_request_proves_nothing_and_goes_nowhere(
    gateway: Serving, emulators: Emulators
) -> None:
    field = protocols("realtime", slot(gateway.key()))
    assert get(gateway, "/transparent/openai/v1/models", field).status == 401
    assert get(gateway, "/transparent/openai/v1/models", field, bearer(gateway)).status == 200
    assert emulators.requests()[0].values("sec-websocket-protocol") == []


@pytest.mark.parametrize(
    "more",
    [
        ("X-API-Key", "{}"),
        ("api-key", "{}"),
        ("x-goog-api-key", "{}"),
        ("Proxy-Authorization", "Bearer {}"),
        ("Sec_WebSocket_Protocol", "openai-insecure-api-key.{}"),
        ("Sec-WebSocket-Protocol", "realtime, {}"),
        ("Sec-WebSocket-Protocol", "OPENAI-INSECURE-API-KEY.{},realtime"),
    ],
)
def test_s9_no_key_of_ours_goes_upstream_in_any_slot(
    gateway: Serving, emulators: Emulators, more: tuple[str, str]
) -> None:
    key = gateway.key()
    fields = handshake(bearer(gateway), (more[0], more[1].format(key)))
    assert tried(gateway, fields, path=f"{PATH}&key={key}").status == 101
    (seen,) = emulators.requests()
    assert key.encode() not in seen.head
    assert b"llmauth" not in seen.head
    assert seen.values("authorization") == [f"Bearer {emulators.credentials.openai_key}".encode()]


@pytest.mark.parametrize("spelled", ["{}", "bearer.{}", "openai-insecure-api-key.{}"])
def test_s9_no_placeholder_token_of_ours_goes_upstream_as_a_subprotocol(
    gateway: Serving, emulators: Emulators, spelled: str
) -> None:
    """It is taken as Bearer alone, so here it is wrong, whoever else proves the request."""
    item = spelled.format(f"{FORM}e30.c2ln")
    answer = tried(gateway, handshake(bearer(gateway), protocols("realtime", item)))
    assert (answer.status, code(answer)) == (401, "invalid_api_key")
    assert emulators.requests() == ()


def test_s9_the_providers_credential_is_never_shown(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        socket, answer = opened(wire, PATH, handshake(bearer(gateway)))
        assert emulators.credentials.openai_key not in str(answer)
        socket.event()
    assert emulators.credentials.openai_key not in gateway.log()
    assert gateway.key() not in gateway.log()


# Where policy has none


def off(serve: Callable[..., Serving]) -> Serving:
    return serve(instances={**INSTANCES, "openai": {"type": "openai", "websocket": False}})


def test_a_switch_turns_them_off(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """A 426 costs Codex nothing, and in the tunnel the next request goes on the same connection."""
    gateway = off(serve)
    with tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as wire:
        answer = ask(wire, "/v1/responses", handshake(host=OPENAI))
        assert (answer.status, code(answer)) == (426, "upgrade_refused")
        assert wire.request("GET", "/v1/models", [("Host", OPENAI)]).status == 200
    assert [seen.target for seen in emulators.requests()] == [b"/v1/models"]
    assert tried(gateway, handshake()).status == 401, "who proved nothing learns nothing"


@pytest.mark.parametrize("instance", ["anthropic", "bedrock_us1"])
def test_types_without_websockets_have_none(gateway: Serving, emulators: Emulators, instance: str) -> None:
    answer = tried(gateway, handshake(bearer(gateway)), path=f"/transparent/{instance}/v1/realtime")
    assert answer.status == 426
    shape: dict[str, Any] = json.loads(answer.body)
    assert ("error" in shape) is (instance == "anthropic")
    assert answer.header("x-llmauth-fault") == "caller"
    assert emulators.requests() == ()


def test_an_option_that_a_type_has_not_is_a_fault(tmp_path: Path, emulators: Emulators) -> None:
    from llmauth.config.problems import ConfigError
    from llmauth.config.settings import read_settings

    config = tmp_path / "gateway.yaml"
    config.write_text("instances: {a: {type: anthropic, websocket: true}}")
    with pytest.raises(ConfigError, match="websocket"):
        read_settings([config], {"LLMAUTH_HOME": str(tmp_path)})


class Broken:
    """An addon that fails where a socket would be let in."""

    name = "broken"

    def response(self, flow: Any) -> None:
        raise RuntimeError("a defect")


def unwatched(gateway: Any, exchanges: Any) -> list[Any]:
    return [each for each in chain(gateway, exchanges) if not isinstance(each, WebSockets)]


def failing(gateway: Any, exchanges: Any) -> list[Any]:
    return [Broken(), *chain(gateway, exchanges)]


@pytest.mark.parametrize("made", [unwatched, failing])
def test_f1_a_socket_that_nobody_watches_is_closed(
    tmp_path: Path, emulators: Emulators, made: Callable[..., list[Any]]
) -> None:
    """F1: an addon that is gone, or fails, lets nothing through."""
    running = master.run(tmp_path, emulators, chain=made)
    try:
        with Wire(running.port) as wire:
            lines = [f"{n}: {v}" for n, v in handshake(("Authorization", f"Bearer {running.key}"))]
            wire.send("\r\n".join([f"GET {PATH} HTTP/1.1", *lines, "", ""]).encode())
            wire.send(frame(TEXT, b"anybody?"))
            received = b""
            while data := wire.read():
                received += data
        assert b"session.created" not in received
        assert b"anybody?" not in received
    finally:
        running.stop()


def test_a_stopped_gateway_opens_none(serve: Callable[..., Serving]) -> None:
    gateway = serve()
    with Wire(gateway.port) as idle, opened(Wire(gateway.port), PATH, handshake(bearer(gateway)))[0] as socket:
        socket.event()
        gateway.process.terminate()
        eventually(lambda: "Draining" in gateway.log())
        assert ask(idle, PATH, handshake(bearer(gateway))).status == 503
        assert socket.send(frame(BINARY, b"still here")).read() is not None


def test_http2_offers_none(gateway: Serving) -> None:
    """RFC 8441 wants a setting of the server's, which is not sent; without it no honest client asks."""
    with in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as client:
        assert client.request(head("/v1/models", OPENAI)).status == 200
        assert client.settings.get(_CONNECT_PROTOCOL, 0) == 0
