"""HTTP/2 towards clients, over real sockets: what holds for HTTP/1.1 holds for each stream, and for no other."""

from __future__ import annotations

import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hyperframe.frame import GoAwayFrame, RstStreamFrame

from llmauth.demo.behaviour import Behaviour, Cut, Framing
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import CHAT, STREAM, eventually
from tests.fixtures.certificates import HOST, listener
from tests.fixtures.h2raw import Client, Stream, head, in_tunnel, over_tls
from tests.fixtures.raw import Wire, basic, tunnel
from tests.fixtures.serving import Serving
from tests.fixtures.upstreams import leading_to, read_request, serving

OPENAI = "api.openai.com"
MODELS = head("/v1/models", OPENAI)
POST = head("/v1/chat/completions", OPENAI, ("content-type", "application/json"), method="POST")
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, CANCEL = 0, 1, 2, 8


@pytest.fixture
def client(gateway: Serving) -> Iterator[Client]:
    """A connection inside a tunnel, as a client of a proxy has it."""
    with in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as made:
        yield made


def error(stream: Stream) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stream.body)["error"]
    return found


# ---- where it is spoken --------------------------------------------------------------------------------------------


def _agreed(wire: Wire, name: str, offered: list[str]) -> str | None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(offered)
    with context.wrap_socket(wire.sock, server_hostname=name) as sock:
        return sock.selected_alpn_protocol()


def test_it_is_agreed_on_where_tls_ends_here(serve: Callable[..., Serving], tmp_path: Path) -> None:
    options, _ = listener(tmp_path)
    on = serve(server=options)
    off = serve(server={**listener(tmp_path)[0], "http2": False})
    for gateway, expected in ((on, "h2"), (off, "http/1.1")):
        assert gateway.tls_port is not None
        for offered in (["h2"], ["h2", "http/1.1"]):
            with Wire(gateway.port) as wire:
                assert wire.connect(f"{OPENAI}:443", gateway.key()).status == 200
                if expected in offered:
                    assert _agreed(wire, OPENAI, offered) == expected
            with Wire(gateway.tls_port) as wire:
                if expected in offered:
                    assert _agreed(wire, HOST, offered) == expected
        with Wire(gateway.tls_port) as wire:
            assert _agreed(wire, HOST, ["http/1.1", "h2"]) == expected


def test_a_proxy_client_that_offers_it_and_means_http11(serve: Callable[..., Serving], tmp_path: Path) -> None:
    """Go offers it to a proxy with an `https://` URL as well, and then writes its CONNECT in HTTP/1.1."""
    options, ca_file = listener(tmp_path)
    gateway = serve(server=options)
    assert gateway.tls_port is not None
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    lines = (f"CONNECT {OPENAI}:443 HTTP/1.1", f"Host: {OPENAI}:443", f"Proxy-Authorization: {basic(gateway.key())}")
    data = "\r\n".join((*lines, "", "")).encode()
    with Wire(gateway.tls_port) as wire:
        wire._sock = context.wrap_socket(wire.sock, server_hostname=HOST)
        for at in range(0, len(data), 7):
            wire.send(data[at : at + 7])
        assert wire.answer().status == 200


def test_gateway_paths_and_our_own(serve: Callable[..., Serving], tmp_path: Path, emulators: Emulators) -> None:
    options, ca_file = listener(tmp_path)
    gateway = serve(server=options)
    assert gateway.tls_port is not None
    key = ("authorization", f"Bearer {gateway.key()}")
    with over_tls(Wire(gateway.tls_port), HOST, ca_file) as client:
        assert client.request(head("/health", HOST)).status == 200
        assert client.request(head("/health", HOST, method="HEAD")).body == b""
        assert client.request(head("/metrics", HOST)).status == 401
        assert client.request(head("/metrics", HOST, key)).status == 200
        assert client.request(head("/transparent/openai/v1/models", HOST)).status == 401
        assert client.request(head("/transparent/openai/v1/models", HOST, key)).status == 200
        assert client.request(head("/transparent/nobody/v1/models", HOST, key)).status == 404
        refused = client.request([(":method", "CONNECT"), (":authority", f"{OPENAI}:443"), key])
        assert refused.status == 400
        assert "HTTP/1.1" in error(refused)["message"]
    assert len(emulators.requests()) == 1


# ---- many at once --------------------------------------------------------------------------------------------------


def _echo(tls: ssl.SSLSocket) -> None:
    """Answers each request with its body, in pieces and with pauses."""
    shaky = random.Random(time.monotonic_ns())
    while data := read_request(tls):
        top, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in top.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        while len(body) < length:
            body += tls.recv(65536)
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 400):
            piece = body[at : at + 400]
            tls.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(shaky.random() / 50)
        tls.sendall(b"0\r\n\r\n")


def test_fifty_at_once_are_not_mixed_up(tmp_path: Path, serve: Callable[..., Serving]) -> None:
    """Three rounds, so that connections towards the provider are used again by other streams than before."""
    with serving(_echo, tmp_path) as (port, ca_file):
        gateway = serve(upstream=leading_to(port, ca_file))
        with in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as client:
            for round_ in range(3):
                bodies: dict[int, bytes] = {}
                for number in range(50):
                    text = f"{round_}-{number};" * 600
                    stream = client.open(POST, end=False)
                    bodies[stream] = json.dumps({"model": "gpt-4o", "text": text}).encode()
                    client.body(stream, bodies[stream][:100], end=False)
                for stream, body in bodies.items():
                    client.body(stream, body[100:])
                for stream, body in bodies.items():
                    answer = client.answer(stream, 30.0)
                    assert answer.status == 200
                    assert answer.body == body
                    assert answer.ended
        assert "A protocol layer failed" not in gateway.log()


def test_one_connection_serves_one_request_after_the_other(client: Client, emulators: Emulators) -> None:
    for _ in range(20):
        assert client.request(MODELS).status == 200
    assert len({seen.connection for seen in emulators.requests()}) == 1


def test_a_connection_whose_answer_was_cut_is_not_used_again(client: Client, emulators: Emulators) -> None:
    """B6: nor one on which something came after the end."""
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers"
    emulators.behave(OPENAI, Behaviour(raw=stray))
    assert client.request(MODELS).body == b"hi"
    assert b"others" not in client.request(MODELS).body
    emulators.behave(OPENAI, Behaviour(cut_after=50))
    client.request(MODELS)
    assert client.request(MODELS).status == 200


def test_a_stream_that_is_taken_back_cancels_its_own_upstream(client: Client, emulators: Emulators) -> None:
    """B4: within two seconds, and the one beside it goes on to its end."""
    emulators.behave(OPENAI, Behaviour(stall_after=200, framing=Framing.CHUNKED))
    emulators.behave(OPENAI, Behaviour(chunk_delay=0.05))
    left, stays = client.open(POST, end=False), client.open(POST, end=False)
    client.body(left, STREAM)
    client.read_until(lambda: bool(client.streams[left].body))
    client.body(stays, STREAM)
    client.read_until(lambda: bool(client.streams[stays].body))
    client.send(RstStreamFrame(left, error_code=CANCEL))
    assert eventually(lambda: emulators.requests()[0].client_gone) < 2
    assert client.answer(stays).body.endswith(b"data: [DONE]\n\n")


def test_a_stream_taken_back_while_its_dial_lasts(client: Client, emulators: Emulators) -> None:
    for _ in range(30):
        stream = client.open(MODELS)
        client.send(RstStreamFrame(stream, error_code=CANCEL))
    assert client.request(MODELS).status == 200
    assert client.request(MODELS).status == 200


def test_leaving_cancels_everything(gateway: Serving, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(hang=True), times=5)
    client = in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file)
    for _ in range(5):
        client.open(MODELS)
    emulators.wait(lambda seen: len(seen) == 5)
    client.close()
    assert eventually(lambda: all(seen.client_gone for seen in emulators.requests())) < 2


# ---- refusals end a stream, and no more ----------------------------------------------------------------------------


def test_a_refusal_before_the_body(gateway: Serving, emulators: Emulators) -> None:
    """A1: the answer comes at the head, then the rest of the request is called off without an error."""
    with in_tunnel(gateway.port, OPENAI, None, gateway.ca_file) as client:
        stream = client.open([*POST, ("content-length", "1000000000")], end=False)
        refused = client.answer(stream)
        assert refused.status == 401
        assert refused.header("connection") is None
        assert refused.ended
        client.read_until(lambda: client.streams[stream].reset is not None)
        assert refused.reset == NO_ERROR
        client.body(stream, b"x" * 300_000, end=False)  # what was on its way
        other = client.request([*MODELS, ("authorization", f"Bearer {gateway.key()}")])
        assert other.status == 200
        assert client.goaway is None
    assert len(emulators.requests()) == 1


def test_a_body_that_is_announced_too_long(client: Client, emulators: Emulators) -> None:
    refused = client.answer(client.open([*POST, ("content-length", str(33 * 1024 * 1024))], end=False))
    assert refused.status == 413
    assert client.request(MODELS).status == 200
    assert len(emulators.requests()) == 1


def test_a_body_that_grows_too_long(client: Client, emulators: Emulators) -> None:
    stream = client.open(POST, end=False)
    for _ in range(33):
        client.body(stream, b"x" * (1024 * 1024), end=False)
        while client.read(0.001):
            pass
    assert client.answer(stream).status == 413
    assert client.request(MODELS).status == 200


def test_a_key_that_is_revoked_in_an_open_connection(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """A5: within a second the next stream is refused; the one that runs goes on."""
    gateway = serve()
    with in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as client:
        assert client.request(MODELS).status == 200
        emulators.behave(OPENAI, Behaviour(chunk_delay=0.15))
        running = client.open(POST, end=False)
        client.body(running, STREAM)
        client.read_until(lambda: bool(client.streams[running].body))
        gateway.llmauth("keys", "revoke", "test")
        time.sleep(1.0)
        assert client.request(MODELS).status == 401
        assert client.answer(running).body.endswith(b"data: [DONE]\n\n")


def test_two_callers_on_one_connection_stay_two(gateway: Serving, emulators: Emulators) -> None:
    """Each stream proves itself, whatever another has just proved."""
    keys = [("authorization", f"Bearer {gateway.key(name)}") for name in ("test", "second")]
    with in_tunnel(gateway.port, OPENAI, None, gateway.ca_file) as client:
        streams = [client.open([*MODELS, *([keys[n % 3]] if n % 3 < 2 else [])]) for n in range(60)]
        assert [client.answer(stream).status for stream in streams] == [200, 200, 401] * 20
        wrong = client.request([*MODELS, ("authorization", "Bearer llmauth_not-one")])
        assert wrong.status == 401
    assert len(emulators.requests()) == 40


# ---- what goes wrong at the provider -------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.LENGTH])
def test_a_cut_is_seen(client: Client, emulators: Emulators, cut: Cut, framing: Framing) -> None:
    """B5: never END_STREAM."""
    body = b"x" * 60_000
    emulators.behave(OPENAI, Behaviour(body=body, framing=framing, chunk_size=1000, cut_after=30_000, cut=cut))
    stream = client.request(MODELS)
    assert stream.status == 200
    assert not stream.ended
    assert stream.reset == INTERNAL_ERROR
    assert client.request(MODELS).status == 200


def test_a_provider_that_breaks_off_before_it_answers(client: Client, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(raw=b""))
    broken = client.request(MODELS)
    assert broken.status == 502
    assert broken.ended
    assert broken.header("x-llmauth-fault") == "provider"
    assert client.request(MODELS).status == 200


def test_a_provider_that_says_nothing_ends_its_own_stream_alone(
    serve: Callable[..., Serving], emulators: Emulators
) -> None:
    gateway = serve(upstream={"first_byte_timeout": "1s"})
    emulators.behave(OPENAI, Behaviour(hang=True))
    emulators.behave(OPENAI, Behaviour(chunk_delay=0.1))
    with in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as client:
        mute = client.open(MODELS)
        emulators.wait(lambda seen: len(seen) == 1)
        running = client.open(POST, end=False)
        client.body(running, STREAM)
        assert client.answer(mute).status == 504
        assert client.answer(running).body.endswith(b"data: [DONE]\n\n")


def test_a_dial_that_fails_ends_its_own_stream_alone(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """Of two that are dialled at once, the one that leads nowhere is given up, and not the other."""
    gateway = serve(
        upstream={
            "connect_timeout": "1s",
            "resolve": {**emulators.resolve, "api.anthropic.com": "127.0.0.1:1"},
        },
    )
    with in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as client:
        assert client.request(MODELS).status == 200
    with in_tunnel(gateway.port, "api.anthropic.com", gateway.key(), gateway.ca_file) as client:
        streams = [client.open(head("/v1/models", "api.anthropic.com")) for _ in range(10)]
        assert [client.answer(stream).status for stream in streams] == [502] * 10


def test_interim_answers_are_passed_on_and_trailers_are_not(client: Client, emulators: Emulators) -> None:
    emulators.behave(OPENAI, Behaviour(interim=(103, 102), trailers=((b"x-end", b"1"),)))
    stream = client.request(MODELS)
    assert [dict(one)[":status"] for one in stream.heads] == ["103", "102", "200"]
    assert stream.ended
    assert all("x-end" not in dict(one) for one in stream.heads)


def test_expect_is_answered(client: Client, emulators: Emulators) -> None:
    stream = client.open([*POST, ("expect", "100-continue")], end=False)
    client.read_until(lambda: bool(client.streams[stream].heads))
    assert dict(client.streams[stream].heads[0])[":status"] == "100"
    client.body(stream, CHAT)
    assert client.answer(stream).status == 200
    assert emulators.requests()[0].values("expect") == []


@pytest.mark.parametrize("named", [b"close", b"x-secret, close"])
def test_what_a_provider_says_of_its_connection_stays_there(client: Client, emulators: Emulators, named: bytes) -> None:
    fields = ((b"Connection", named), (b"Keep-Alive", b"timeout=5"), (b"X-Secret", b"1"), (b"Upgrade", b"h2"))
    emulators.behave(OPENAI, Behaviour(fields=fields))
    names = {name for name, _ in client.request(MODELS).heads[-1]}
    assert names.isdisjoint({"connection", "keep-alive", "upgrade", "transfer-encoding"})
    assert ("x-secret" in names) == (b"x-secret" not in named)
    assert all(name == name.lower() for name in names)


# ---- the end of a connection ---------------------------------------------------------------------------------------


def test_a_goaway_right_after_the_head_keeps_the_answer_coming(client: Client, emulators: Emulators) -> None:
    """As the AWS SDK for JavaScript does it; stock, the stream ends there without an error."""
    emulators.behave(OPENAI, Behaviour(chunk_delay=0.02))
    stream = client.open(POST, end=False)
    client.body(stream, STREAM)
    client.read_until(lambda: bool(client.streams[stream].heads))
    client.send(GoAwayFrame(0, last_stream_id=0, error_code=NO_ERROR))
    answer = client.answer(stream)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.ended
    client.read_until(lambda: client.closed)
    assert client.goaway is not None
    assert client.goaway.error_code == NO_ERROR


def test_a_goaway_before_anything_closes(client: Client) -> None:
    client.send(GoAwayFrame(0, last_stream_id=0, error_code=NO_ERROR))
    client.read_until(lambda: client.closed)


def test_the_drain_says_goaway_and_lets_answers_end(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """F4: the idle connection is closed, the answer that runs comes to its end, and the process ends well."""
    gateway = serve()
    idle = in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file)
    assert idle.request(MODELS).status == 200
    emulators.behave(OPENAI, Behaviour(chunk_delay=0.2))
    with in_tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as client:
        stream = client.open(POST, end=False)
        client.body(stream, STREAM)
        client.read_until(lambda: bool(client.streams[stream].body))
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        idle.read_until(lambda: idle.goaway is not None)
        idle.close()
        assert idle.goaway is not None
        assert idle.goaway.error_code == NO_ERROR
        assert client.request(MODELS).status == 503
        assert client.goaway is None
        assert client.answer(stream).body.endswith(b"data: [DONE]\n\n")
        client.read_until(lambda: client.closed)
        assert client.goaway is not None
        assert client.goaway.error_code == NO_ERROR
    stopping.join()
    assert gateway.process.wait() == 0


def test_http11_beside_it_is_what_it_was(gateway: Serving, client: Client, emulators: Emulators) -> None:
    assert client.request(MODELS).status == 200
    with tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as wire:
        assert wire.request("GET", "/v1/models", [("Host", OPENAI)]).status == 200
