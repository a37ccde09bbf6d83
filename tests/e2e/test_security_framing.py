"""A1 and the bytes of a request: who proved nothing is refused at the head, and no head is read in two ways."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import time

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving

PATH = "/transparent/openai/v1/chat/completions"
TUNNEL = "api.openai.com"
MIB = 1024 * 1024
CHAT = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()
JSON = "Content-Type: application/json"


def head(target: str, *fields: str, host: str = "gateway", method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode("latin-1")


def everything(wire: Wire) -> bytes:
    """All bytes until the gateway closes its side."""
    received = b""
    while data := wire.read():
        received += data
    return received


# ---- refused at the head (A1) --------------------------------------------------------------------------------------

LONG_BODIES = {
    "a gigabyte announced": ("Content-Length: 1000000000",),
    "the most that can be announced": ("Content-Length: 9999999999999999999",),
    "without an end": ("Transfer-Encoding: chunked",),
    "waiting to be asked": ("Content-Length: 1000", "Expect: 100-continue"),
    "waiting to be asked, chunked": ("Transfer-Encoding: chunked", "Expect: 100-Continue"),
}


@pytest.mark.parametrize("body", LONG_BODIES)
@pytest.mark.parametrize("path", [PATH, "/nowhere", "/metrics", "/transparent/nobody/x"])
def test_who_has_no_key_is_refused_before_the_body(
    gateway: Serving, emulators: Emulators, body: str, path: str
) -> None:
    with Wire(gateway.port) as wire:
        began = time.monotonic()
        answer = wire.send(head(path, JSON, *LONG_BODIES[body])).answer()
        assert time.monotonic() - began < 0.5
        assert wire.ended()  # and a client that sends on does not keep the connection
    assert answer.status == 401
    assert answer.header("connection") == "close"
    assert emulators.connections == ()


@pytest.mark.parametrize("body", LONG_BODIES)
def test_no_100_comes_before_a_refusal(gateway: Serving, emulators: Emulators, body: str) -> None:
    with Wire(gateway.port) as wire:
        received = everything(wire.send(head(PATH, JSON, *LONG_BODIES[body])))
    assert received.startswith(b"HTTP/1.1 401 ")
    assert received.count(b"HTTP/1.1") == 1
    with tunnel(gateway.port, TUNNEL, None, gateway.ca_file) as wire:
        wire.send(head("/v1/chat/completions", JSON, *LONG_BODIES[body], host=TUNNEL))
        assert wire.answer().status == 401


def test_an_endless_body_without_a_key_is_cut_off(gateway: Serving, emulators: Emulators) -> None:
    """The refusal is there at once; who goes on sending is closed in seconds, however fast the bytes come."""
    with Wire(gateway.port) as wire:
        wire.send(head(PATH, "Transfer-Encoding: chunked"))
        assert wire.answer().status == 401
        began, sent = time.monotonic(), 0
        piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 6:
                wire.send(piece)
                sent += len(piece)
        assert time.monotonic() - began < 5
    assert emulators.connections == ()


def test_who_has_a_key_is_asked_to_go_on(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        wire.send(
            head(PATH, JSON, f"X-API-Key: {gateway.key()}", f"Content-Length: {len(CHAT)}", "Expect: 100-continue")
        )
        assert wire.read().startswith(b"HTTP/1.1 100 ")
        assert wire.send(CHAT).answer().status == 200
    assert emulators.requests()[0].values("expect") == []


# ---- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [32 * MIB + 1, 10**9, 10**18])
def test_a_body_over_the_limit_is_refused_at_the_head(gateway: Serving, emulators: Emulators, length: int) -> None:
    with Wire(gateway.port) as wire:
        began = time.monotonic()
        wire.send(head(PATH, JSON, f"X-API-Key: {gateway.key()}", f"Content-Length: {length}", "Expect: 100-continue"))
        answer = wire.answer()
        assert time.monotonic() - began < 0.5
    assert answer.status == 413
    assert json.loads(answer.body)["error"]["code"] == "request_too_large"
    assert emulators.connections == ()


def test_a_chunked_body_over_the_limit_is_refused_as_it_grows(gateway: Serving, emulators: Emulators) -> None:
    with Wire(gateway.port) as wire:
        wire.send(head(PATH, JSON, f"X-API-Key: {gateway.key()}", "Transfer-Encoding: chunked"))
        piece = b"100000\r\n" + bytes(MIB) + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(40):
                wire.send(piece)
        assert wire.answer().status == 413
    assert emulators.connections == ()


@pytest.mark.parametrize("with_key", [False, True])
def test_a_head_over_the_limit_is_refused(gateway: Serving, emulators: Emulators, with_key: bool) -> None:
    proof = (f"X-API-Key: {gateway.key()}",) if with_key else ()
    heads = {
        "one long field": head(PATH, *proof, f"X-Long: {'x' * 70_000}"),
        "many fields": head(PATH, *proof, *(f"X-{n}: x" for n in range(300))),
        "very many fields": head(PATH, *proof, *(f"X-{n}: x" for n in range(12_000))),
        "a long name": head(PATH, *proof, f"X-{'x' * 70_000}: x"),
        "a long target": head(f"{PATH}?{'x' * 20_000}", *proof),
        "a very long target": head(f"{PATH}?{'x' * 70_000}", *proof),
        "without an end": head(PATH, *proof, f"X-Long: {'x' * 200_000}")[:-4],
        "a long host": head(PATH, *proof, host="a." * 30_000),
        "a long host of another script": head(PATH, *proof, host="\xe9." * 30_000),
        "a long host in absolute form": head(f"http://{'a.' * 7_000}/", *proof),
        "no blank": b"x" * 200_000,
        "no line": b"\x01" * 200_000,
    }
    for name, bytes_ in heads.items():
        began = time.monotonic()
        answer = _answer(gateway, bytes_)
        assert answer is None or answer.status in (400, 431), name
        assert time.monotonic() - began < 1.0, name
    assert _answer(gateway, heads["one long field"]).status == 431
    assert _answer(gateway, heads["many fields"]).status == 431
    assert emulators.connections == ()


def _answer(gateway: Serving, *pieces: bytes) -> Answer | None:
    with Wire(gateway.port, timeout=3) as wire:
        try:
            for piece in pieces:
                wire.send(piece)
            return wire.answer()
        except (EOFError, ConnectionError, ssl.SSLError):
            return None


# ---- one head, two readings ----------------------------------------------------------------------------------------

HIDDEN = "/transparent/openai/v1/hidden"
INNER = f"GET {HIDDEN} HTTP/1.1\r\nHost: gateway\r\nX-API-Key: KEY\r\n\r\n"
ENDED = "0\r\n\r\n"

# Head fields and what follows the head; KEY stands for a good key, SIZE for the length of the hidden request in hex.
# None may be answered as if it were in order.
AMBIGUOUS = {
    "CL.TE": ("Content-Length: 6\r\nTransfer-Encoding: chunked", f"{ENDED}X"),
    "TE.CL": ("Transfer-Encoding: chunked\r\nContent-Length: 4", f"SIZE\r\n{INNER}\r\n{ENDED}"),
    "CL twice": ("Content-Length: 0\r\nContent-Length: 44", INNER),
    "CL twice, equal": ("Content-Length: 5\r\nContent-Length: 5", "hello"),
    "CL list": ("Content-Length: 5, 5", "hello"),
    "CL plus": ("Content-Length: +5", "hello"),
    "CL minus": ("Content-Length: -5", "hello"),
    "CL leading zero": ("Content-Length: 05", "hello"),
    "CL hex": ("Content-Length: 0x5", "hello"),
    "CL blank": ("Content-Length: 5 5", "hello"),
    "CL exponent": ("Content-Length: 5e0", "hello"),
    "CL empty": ("Content-Length: ", INNER),
    "CL digits of another script": ("Content-Length: ٥", "hello"),
    "CL underscore": ("Content-Length: 1_0", "hellohello"),
    "CL too long": ("Content-Length: 99999999999999999999999", "hello"),
    "CL blank before colon": ("Content-Length : 5", "hello"),
    "CL tab before colon": ("Content-Length\t: 5", "hello"),
    "CL by underscore": ("Content_Length: 5", INNER),
    "TE twice": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", ENDED),
    "TE twice, one odd": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", ENDED),
    "TE list": ("Transfer-Encoding: chunked, chunked", ENDED),
    "TE identity": ("Transfer-Encoding: identity", INNER),
    "TE identity list": ("Transfer-Encoding: identity, chunked", ENDED),
    "TE gzip": ("Transfer-Encoding: gzip", INNER),
    "TE gzip, chunked": ("Transfer-Encoding: gzip, chunked", ENDED),
    "TE chunked, gzip": ("Transfer-Encoding: chunked, gzip", ENDED),
    "TE unknown": ("Transfer-Encoding: xchunked", INNER),
    "TE parameter": ("Transfer-Encoding: chunked;q=1", ENDED),
    "TE quoted": ('Transfer-Encoding: "chunked"', ENDED),
    "TE comma": ("Transfer-Encoding: chunked,", ENDED),
    "TE leading comma": ("Transfer-Encoding: ,chunked", ENDED),
    "TE empty": ("Transfer-Encoding: ", INNER),
    "TE NUL": ("Transfer-Encoding: chunked\0", ENDED),
    "TE blank before colon": ("Transfer-Encoding : chunked", ENDED),
    "TE by underscore": ("Transfer_Encoding: chunked", ENDED),
    "TE folded": ("Transfer-Encoding:\r\n chunked", ENDED),
    "TE folded in a value": ("X: a\r\n Transfer-Encoding: chunked", ENDED),
    "TE behind a bare CR": ("X: a\rTransfer-Encoding: chunked", ENDED),
    "TE in HTTP/1.0": ("Transfer-Encoding: chunked", ENDED),
    "folded": ("X: a\r\n b\r\nContent-Length: 0", ""),
    "folded by tab": ("X: a\r\n\tb\r\nContent-Length: 0", ""),
    "folded first": (" X: a\r\nContent-Length: 0", ""),
    "NUL in a value": ("X: a\0b\r\nContent-Length: 0", ""),
    "NUL in a name": ("X\0: a\r\nContent-Length: 0", ""),
    "bare CR in a value": ("X: a\rb\r\nContent-Length: 0", ""),
    "bare CR in a name": ("X\r: a\r\nContent-Length: 0", ""),
    "no colon": ("X\r\nContent-Length: 0", ""),
    "no name": (": x\r\nContent-Length: 0", ""),
    "blank in a name": ("X Y: a\r\nContent-Length: 0", ""),
    "slash in a name": ("X/Y: a\r\nContent-Length: 0", ""),
    "no ASCII in a name": ("X\xe9: a\r\nContent-Length: 0", ""),
    "colon in front": (":path: /x\r\nContent-Length: 0", ""),
    "Host twice": ("Host: gateway\r\nContent-Length: 0", ""),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_head_that_can_be_read_in_two_ways_is_refused(gateway: Serving, emulators: Emulators, name: str) -> None:
    fields, rest = AMBIGUOUS[name]
    version = "HTTP/1.0" if "1.0" in name else "HTTP/1.1"
    for proof in (f"X-API-Key: {gateway.key()}\r\n", ""):
        text = f"POST {PATH} {version}\r\nHost: gateway\r\n{proof}{fields}\r\n\r\n{_filled(rest, gateway.key())}"
        with Wire(gateway.port, timeout=4) as wire:
            received = everything(wire.send(text.encode("utf-8" if "script" in name else "latin-1")))
        assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"400"], received[:300]
    assert emulators.connections == ()


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_head_that_can_be_read_in_two_ways_is_refused_in_a_tunnel(
    gateway: Serving, emulators: Emulators, name: str
) -> None:
    fields, rest = AMBIGUOUS[name]
    version = "HTTP/1.0" if "1.0" in name else "HTTP/1.1"
    host = "api.openai.com" if name == "Host twice" else "gateway"
    fields = fields.replace("gateway", host)
    rest = _filled(rest, gateway.key())
    text = f"POST /v1/chat/completions {version}\r\nHost: {TUNNEL}\r\n{fields}\r\n\r\n{rest}"
    with tunnel(gateway.port, TUNNEL, gateway.key(), gateway.ca_file) as wire:
        received = everything(wire.send(text.encode("utf-8" if "script" in name else "latin-1")))
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"400"], received[:300]
    assert emulators.connections == ()


def _filled(rest: str, key: str) -> str:
    hidden = INNER.replace("KEY", key)
    return rest.replace(INNER, hidden).replace("SIZE", f"{len(hidden):x}")


BAD_CHUNKS = {
    "no end of a chunk": f"5\r\nhelloXX{ENDED}",
    "a length that is none": f"x\r\nhello\r\n{ENDED}",
    "a negative length": f"-5\r\nhello\r\n{ENDED}",
    "a length with a plus": f"+5\r\nhello\r\n{ENDED}",
    "a length in C": f"0x5\r\nhello\r\n{ENDED}",
    "an underscore": f"1_0\r\n{'h' * 16}\r\n{ENDED}",
    "a blank": f"\r\n5\r\nhello\r\n{ENDED}",
    "a huge length": f"ffffffffffffffffffffffff\r\nhello\r\n{ENDED}",
    "a chunk that is shorter": f"6\r\nhello\r\n{ENDED}{ENDED}",
    "a chunk that is longer": f"4\r\nhello\r\n{ENDED}",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_chunk_that_is_none_ends_the_connection(gateway: Serving, emulators: Emulators, name: str) -> None:
    text = head(PATH, JSON, f"X-API-Key: {gateway.key()}", "Transfer-Encoding: chunked") + BAD_CHUNKS[name].encode()
    with Wire(gateway.port, timeout=4) as wire:
        received = everything(wire.send(text + INNER.replace("KEY", gateway.key()).encode()))
    assert b"HTTP/1.1 2" not in received
    assert emulators.requests() == ()


@pytest.mark.parametrize("line", ["\n", "\r\n"])
@pytest.mark.parametrize("trailer", ["", "X-API-Key: smuggled", "Authorization: Bearer smuggled", "Host: evil.example"])
def test_trailers_never_become_headers(gateway: Serving, emulators: Emulators, trailer: str, line: str) -> None:
    body = f"{len(CHAT):x};ext=1\r\n{CHAT.decode()}\r\n0\r\n" + (f"{trailer}\r\n" if trailer else "") + "\r\n"
    with Wire(gateway.port, timeout=4) as wire:
        wire.send(head(PATH, JSON, f"X-API-Key: {gateway.key()}", "Transfer-Encoding: chunked") + body.encode())
        assert wire.answer().status == 200
    (seen,) = emulators.requests()
    assert seen.body == CHAT
    assert b"smuggled" not in seen.head
    assert seen.values("host") == [b"api.openai.com"]
    assert seen.trailers == ()


def test_a_body_that_looks_like_a_request_stays_a_body(gateway: Serving, emulators: Emulators) -> None:
    body = INNER.replace("KEY", gateway.key()).encode()
    with Wire(gateway.port) as wire:
        answer = wire.send(head(PATH, f"X-API-Key: {gateway.key()}", f"Content-Length: {len(body)}") + body).answer()
        assert 400 <= answer.status < 500  # the provider's own word about such a body
    assert [seen.target for seen in emulators.requests()] == [b"/v1/chat/completions"]


@pytest.mark.parametrize("line_end", ["\n", "\n\n", "\r", "\r\r\n", "\x0b", "\x0c", "\x85", "\0", "\t\n"])
def test_whatever_ends_a_line_a_hidden_request_must_prove_itself(
    gateway: Serving, emulators: Emulators, line_end: str
) -> None:
    """Two readers may see one request or two; the one that only one of them sees has no key, and gets nowhere."""
    hidden = INNER.replace("X-API-Key: KEY\r\n", "")
    for framing, rest in (("Transfer-Encoding: chunked", ENDED + hidden), ("Content-Length: 0", hidden)):
        text = head(PATH, JSON, f"X-API-Key: {gateway.key()}", f"X: a{line_end}{framing}") + rest.encode()
        with Wire(gateway.port, timeout=1) as wire, contextlib.suppress(TimeoutError):
            everything(wire.send(text))
    assert all(b"hidden" not in seen.target + seen.body for seen in emulators.requests())


def test_pipelined_requests_are_each_their_own(gateway: Serving, emulators: Emulators) -> None:
    good = head("/transparent/openai/v1/models", f"X-API-Key: {gateway.key()}", method="GET")
    bad = head("/transparent/openai/v1/models", method="GET")
    with Wire(gateway.port) as wire:
        wire.send(good + bad + good)
        assert [wire.answer().status, wire.answer().status] == [200, 401]
        assert wire.ended()
    assert len(emulators.requests()) == 1


@pytest.mark.parametrize(
    "version", ["HTTP/0.9", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9", "http/1.1", "HTTP/1.10"]
)
def test_no_other_version_is_sent_on(gateway: Serving, emulators: Emulators, version: str) -> None:
    text = f"GET /transparent/openai/v1/models {version}\r\nHost: gateway\r\nX-API-Key: {gateway.key()}\r\n\r\n"
    assert _answer(gateway, text.encode()).status == 400
    with tunnel(gateway.port, TUNNEL, gateway.key(), gateway.ca_file) as wire:
        wire.send(f"GET /v1/models {version}\r\nHost: {TUNNEL}\r\n\r\n".encode())
        assert wire.answer().status == 400
    assert emulators.connections == ()


@pytest.mark.parametrize(
    "fields", ["Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 0\r\nContent-Length: 0"]
)
def test_a_connect_has_no_body(gateway: Serving, emulators: Emulators, fields: str) -> None:
    text = f"CONNECT {TUNNEL}:443 HTTP/1.1\r\nHost: {TUNNEL}:443\r\n{fields}\r\n\r\n0\r\n\r\n"
    assert _answer(gateway, text.encode()).status == 400
    assert emulators.connections == ()


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_connect_of_an_older_client_is_taken(gateway: Serving, version: str) -> None:
    text = f"CONNECT {TUNNEL}:443 {version}\r\nContent-Length: 0\r\n\r\n"
    assert _answer(gateway, text.encode()).status == 200
    assert _answer(gateway, f"CONNECT {TUNNEL}:443 HTTP/2.0\r\n\r\n".encode()).status == 400


# ---- Connection ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [
        "host",
        "content-length",
        "authorization",
        "x-api-key",
        "content-type, content-length",
        "close, host, authorization, x-api-key, content-length, transfer-encoding, x-request-id",
        "Host,,Content_Length , AUTHORIZATION",
        "keep-alive\r\nConnection: host",
    ],
)
def test_a_header_that_connection_names_is_still_what_it_must_be(
    gateway: Serving, emulators: Emulators, named: str
) -> None:
    with Wire(gateway.port) as wire:
        proof = f"Authorization: Bearer {gateway.key()}"
        wire.send(head(PATH, proof, f"Content-Length: {len(CHAT)}", f"Connection: {named}") + CHAT)
        wire.answer()
    (seen,) = emulators.requests()
    assert seen.values("host") == [b"api.openai.com"]
    assert seen.values("content-length") == [str(len(CHAT)).encode()]
    assert seen.values("authorization") == [b"Bearer " + emulators.credentials.openai_key.encode()]
    assert seen.body == CHAT
    assert gateway.key().encode() not in seen.head
