"""Heads that HTTP/2 can carry and HTTP/1.1 cannot, or would read in another way: none of them reaches a provider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.certificates import HOST, listener
from tests.fixtures.h2raw import Client, head, in_tunnel, over_tls
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving, start

OPENAI = "api.openai.com"
PATH = "/v1/models"
Fields = list[tuple[str | bytes, str | bytes]]


def _without(name: str) -> Fields:
    return [field for field in head(PATH, OPENAI) if field[0] != name]


def _with(name: str, value: str | bytes) -> Fields:
    return [(n, value if n == name else v) for n, v in head(PATH, OPENAI)]


def _and(*more: tuple[str | bytes, str | bytes], method: str = "GET") -> Fields:
    return head(PATH, OPENAI, *more, method=method)


SMUGGLED = b"x\r\n\r\nGET /v1/files HTTP/1.1\r\nHost: api.openai.com\r\n\r\n"

# By name: the fields, and the statuses that say it was refused.
HEADS: dict[str, tuple[Fields, set[int]]] = {
    # ---- pseudo-headers: missing, repeated, unknown, out of place
    "no :method": (_without(":method"), {400}),
    "no :scheme": (_without(":scheme"), {400}),
    "no :path": (_without(":path"), {400}),
    "no :authority, no host": (_without(":authority"), {400}),
    "two :method": ([(":method", "GET"), *_and()], {400}),
    "two :path": ([(":path", PATH), *_and()], {400}),
    "two :path, two values": ([(":path", "/v1/files"), *_and()], {400}),
    "two :scheme": ([(":scheme", "https"), *_and()], {400}),
    "two :authority": ([(":authority", OPENAI), *_and()], {400}),
    "two :authority, two hosts": ([(":authority", "evil.example"), *_and()], {400}),
    ":protocol": ([*_and()[:1], (":protocol", "websocket"), *_and()[1:]], {400}),
    ":status": ([*_and()[:1], (":status", "200"), *_and()[1:]], {400}),
    ":foo": ([*_and()[:1], (":foo", "bar"), *_and()[1:]], {400}),
    "a colon alone": ([*_and()[:1], (":", "bar"), *_and()[1:]], {400}),
    ":METHOD": ([(":METHOD", "GET"), *_without(":method")], {400}),
    ":method after a header": ([*_without(":method"), ("a", "b"), (":method", "GET")], {400}),
    ":authority after a header": ([*_without(":authority"), ("a", "b"), (":authority", OPENAI)], {400}),
    ":path after a header": ([*_without(":path"), ("a", "b"), (":path", PATH)], {400}),
    # ---- their values
    "CONNECT": ([(":method", "CONNECT"), (":authority", f"{OPENAI}:443")], {400}),
    "CONNECT with a path": (_with(":method", "CONNECT"), {400}),
    "TRACE": (_with(":method", "TRACE"), {405}),
    "PRI": (_with(":method", "PRI"), {405}),
    "a method in lower case": (_with(":method", "get"), {400}),
    "no word as method": (_with(":method", ""), {400}),
    "a method with a blank": (_with(":method", "GET /v1/files"), {400}),
    "a method with CRLF": (_with(":method", b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\nGET"), {400}),
    "scheme http": (_with(":scheme", "http"), {400}),
    "scheme HTTPS": (_with(":scheme", "HTTPS"), {400}),
    "scheme with CRLF": (_with(":scheme", b"https\r\nx: y"), {400}),
    "scheme that is a URL": (_with(":scheme", "https://evil.example/?"), {400}),
    "no scheme in it": (_with(":scheme", ""), {400}),
    "empty path": (_with(":path", ""), {400}),
    "path *": (_with(":path", "*"), {400}),
    "path without a slash": (_with(":path", "v1/models"), {400}),
    "path that is a URL": (_with(":path", "https://evil.example/v1/models"), {400}),
    "path with a blank": (_with(":path", "/v1/models HTTP/1.1"), {400}),
    "path with CRLF": (_with(":path", b"/v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n"), {400}),
    "path with LF": (_with(":path", b"/v1/models\nx: y"), {400}),
    "path with NUL": (_with(":path", b"/v1/models\0"), {400}),
    "path with a tab": (_with(":path", b"/v1/models\tx"), {400}),
    "path beyond ASCII": (_with(":path", "/v1/models/é".encode()), {400}),
    "path with a fragment": (_with(":path", "/v1/models#x"), {400}),
    "path with dot segments": (_with(":path", "/v1/../v1/models"), {400}),
    "path too long": (_with(":path", "/v1/models?" + "a" * 17_000), {400}),
    "another authority": (_with(":authority", "api.anthropic.com"), {421}),
    "an authority outside": (_with(":authority", "evil.example"), {421}),
    "authority with another port": (_with(":authority", f"{OPENAI}:8443"), {421}),
    "authority with user-info": (_with(":authority", f"x@{OPENAI}"), {400}),
    "authority with user-info before another": (_with(":authority", f"{OPENAI}@evil.example"), {400}),
    "authority with CRLF": (_with(":authority", b"api.openai.com\r\nx: y"), {400}),
    "authority with a path": (_with(":authority", f"{OPENAI}/v1"), {400}),
    "authority with a blank before": (_with(":authority", f" {OPENAI}"), {400}),
    "authority with two names": (_with(":authority", f"{OPENAI},evil.example"), {400}),
    "empty authority": (_with(":authority", ""), {400}),
    # ---- Host beside it
    "host that differs": (_and(("host", "evil.example")), {400}),
    "host alone that differs": ([*_without(":authority"), ("host", "evil.example")], {421}),
    "two hosts": (_and(("host", OPENAI), ("host", OPENAI)), {400}),
    "two hosts, one wrong": (_and(("host", OPENAI), ("host", "evil.example")), {400}),
    "two hosts, no authority": ([*_without(":authority"), ("host", OPENAI), ("host", OPENAI)], {400}),
    "empty host": (_and(("host", "")), {400}),
    "host with the port that authority lacks": (_and(("host", f"{OPENAI}:443")), {400}),
    # ---- names
    "upper case name": (_and(("X-Test", "y")), {400}),
    "upper case Host": (_and(("Host", OPENAI)), {400}),
    "empty name": (_and(("", "y")), {400}),
    "name with a colon": (_and(("x: y", "z")), {400}),
    "name with a colon that ends another": (_and((b"transfer-encoding: chunked\r\nx", b"y")), {400}),
    "name with CRLF": (_and((b"x\r\nhost: evil.example", b"y")), {400}),
    "name with LF": (_and((b"x\ny", b"z")), {400}),
    "name with NUL": (_and((b"x\0", b"y")), {400}),
    "name with a blank": (_and((b"transfer-encoding ", b"chunked")), {400}),
    "name with a blank before": (_and((b" transfer-encoding", b"chunked")), {400}),
    "name with a tab": (_and((b"content-length\t", b"5")), {400}),
    "name beyond ASCII": (_and((b"x\xc3\xa9", b"y")), {400}),
    "name with DEL": (_and((b"x\x7f", b"y")), {400}),
    "name with brackets": (_and((b"x(y)", b"z")), {400}),
    # ---- values
    "value with CRLF": (_and((b"x", b"y\r\nauthorization: Bearer z")), {400}),
    "value with a whole request": (_and((b"x", SMUGGLED)), {400}),
    "value with CR": (_and((b"x", b"y\rz")), {400}),
    "value with LF": (_and((b"x", b"y\nz")), {400}),
    "value with NUL": (_and((b"x", b"y\0z")), {400}),
    "value with BEL": (_and((b"x", b"y\x07z")), {400}),
    "value with DEL": (_and((b"x", b"y\x7fz")), {400}),
    "value with a blank before": (_and((b"x", b" y")), {400}),
    "value with a blank behind": (_and((b"x", b"y ")), {400}),
    "value with a tab before": (_and((b"x", b"\ty")), {400}),
    "value that is folded": (_and((b"x", b"y\r\n z")), {400}),
    # ---- what is said of one connection
    "connection": (_and(("connection", "close")), {400}),
    "connection that names authorization": (_and(("connection", "authorization")), {400}),
    "keep-alive": (_and(("keep-alive", "timeout=5")), {400}),
    "proxy-connection": (_and(("proxy-connection", "keep-alive")), {400}),
    "transfer-encoding": (_and(("transfer-encoding", "chunked"), method="POST"), {400}),
    "transfer-encoding identity": (_and(("transfer-encoding", "identity"), method="POST"), {400}),
    "transfer_encoding": (_and(("transfer_encoding", "chunked"), method="POST"), {400}),
    "upgrade websocket": (_and(("upgrade", "websocket")), {400}),
    "upgrade h2c": (_and(("upgrade", "h2c")), {400}),
    "http2-settings": (_and(("http2-settings", "AAMAAABkAAQAAP__")), {400}),
    "te gzip": (_and(("te", "gzip")), {400}),
    "te trailers, gzip": (_and(("te", "trailers, gzip")), {400}),
    # ---- lengths
    "two lengths": (_and(("content-length", "0"), ("content-length", "0")), {400}),
    "two lengths that differ": (_and(("content-length", "0"), ("content-length", "5")), {400}),
    "a list of lengths": (_and(("content-length", "0, 0")), {400}),
    "a length with a sign": (_and(("content-length", "+0")), {400}),
    "a length with a zero before": (_and(("content-length", "00")), {400}),
    "a length in hexadecimal": (_and(("content-length", "0x0")), {400}),
    "a length that is none": (_and(("content-length", "nan")), {400}),
    "an empty length": (_and(("content-length", "")), {400}),
    "content_length": (_and(("content_length", "5"), method="POST"), {400}),
    "201 fields": (_and(*((f"x-{number}", "y") for number in range(201))), {431}),
    "a head of 70 KB": (_and(*((f"x-{number}", "y" * 700) for number in range(100))), {431}),
}

GOOD = head(PATH, OPENAI)


@pytest.fixture(scope="module")
def tunnel(shared_gateway: Serving, shared_emulators: Emulators) -> Iterator[Client]:
    with in_tunnel(shared_gateway.port, OPENAI, shared_gateway.key(), shared_gateway.ca_file) as client:
        yield client


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_is_none_ends_its_stream_alone(tunnel: Client, emulators: Emulators, name: str) -> None:
    """B1, S2: nothing of it is sent, and the next request of the same connection is answered as if it had not been."""
    fields, statuses = HEADS[name]
    refused = tunnel.request(fields)
    assert refused.status in statuses
    assert b'"request_id"' in refused.body
    assert refused.header("connection") is None
    assert not emulators.requests()
    assert tunnel.request(GOOD).status == 200
    (seen,) = emulators.requests()
    assert seen.target == PATH.encode()
    assert seen.values("host") == [OPENAI.encode()]


BODIES: dict[str, tuple[str, bytes]] = {
    "longer than announced": ("3", b"hello"),
    "shorter than announced": ("7", b"hello"),
    "none where some was announced": ("7", b""),
    "some where none was announced": ("0", SMUGGLED),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_another_length_ends_its_stream_alone(tunnel: Client, emulators: Emulators, name: str) -> None:
    """B1: RFC 9113, 8.1.1, makes it malformed; it is taken back before a byte of it is sent."""
    length, body = BODIES[name]
    stream = tunnel.open(head("/v1/chat/completions", OPENAI, ("content-length", length), method="POST"), end=False)
    tunnel.body(stream, body)
    refused = tunnel.answer(stream)
    assert refused.status is None
    assert refused.reset == 1  # PROTOCOL_ERROR
    assert not emulators.requests()
    assert tunnel.request(GOOD).status == 200


def test_what_is_sent_on_is_http11_and_what_came(tunnel: Client, emulators: Emulators) -> None:
    """Lower-case names in their order, Host first, crumbs of cookies joined, no field made up, trailers dropped."""
    fields = head(
        "/v1/chat/completions?x=1",
        OPENAI,
        ("content-type", "application/json"),
        ("cookie", "a=1"),
        ("te", "trailers"),
        ("x-test", "a b\tc"),
        ("cookie", "b=2"),
        (b"x-latin", b"\xe9"),
        method="POST",
    )
    stream = tunnel.open(fields, end=False)
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}'
    tunnel.body(stream, body, end=False)
    tunnel.open([("x-trailer", "authorization")], stream=stream)
    assert tunnel.answer(stream).status == 200
    (seen,) = emulators.requests()
    lines = seen.head.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions?x=1 HTTP/1.1"
    ours = (b"authorization", b"x-request-id")
    assert [line for line in lines[1:] if line and not line.lower().startswith(ours)] == [
        b"Host: api.openai.com",
        b"content-type: application/json",
        b"cookie: a=1; b=2",
        b"x-test: a b\tc",
        b"x-latin: \xe9",
        b"Content-Length: %d" % len(body),
    ]
    assert seen.body == body
    assert not seen.trailers


@pytest.fixture(scope="module")
def behind_tls(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[tuple[Serving, Path]]:
    folder = tmp_path_factory.mktemp("behind-tls")
    options, ca_file = listener(folder)
    serving = start(folder, shared_emulators, server=options)
    yield serving, ca_file
    serving.stop()


@pytest.mark.parametrize("authority", [HOST, "api.anthropic.com", "evil.example:1", "169.254.169.254", f"{HOST}:8443"])
def test_on_the_gateway_no_authority_chooses_a_host(
    behind_tls: tuple[Serving, Path], emulators: Emulators, authority: str
) -> None:
    """S4: a gateway path goes where its path says, whatever name stands beside it."""
    serving, ca_file = behind_tls
    assert serving.tls_port is not None
    key = ("authorization", f"Bearer {serving.key()}")
    with over_tls(Wire(serving.tls_port), HOST, ca_file) as client:
        assert client.request(head("/transparent/openai/v1/models", authority, key)).status == 200
        assert client.request(head("https://api.openai.com/v1/models", authority, key)).status == 400
        assert client.request([(":method", "CONNECT"), (":authority", f"{OPENAI}:443"), key]).status == 400
    (seen,) = emulators.requests()
    assert seen.host == OPENAI
    assert serving.key().encode() not in seen.head
