"""S10: a provider that repeats our credential in the head of its answer tells it to nobody; bodies pass."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import DOORS, Door, begin, call
from tests.fixtures.hosts import head_of
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving, start
from tests.fixtures.upstreams import leading_to, serving

MASK = "[redacted]"


@dataclass
class Mirror:
    """A gateway before a provider that answers with `written(key)`, the credential being the one that it was sent."""

    gateway: Serving
    key: str
    written: Callable[[bytes], bytes] = lambda key: b""


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Mirror]:
    folder = tmp_path_factory.mktemp("mirror")

    def answer(tls: ssl.SSLSocket) -> None:
        while head := head_of(tls):
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            for _ in range(int(length[1]) if length else 0):
                tls.recv(1)
            sent = re.search(rb"(?i)\r\nauthorization: Bearer ([^\r]*)", head)
            assert sent is not None
            tls.sendall(made.written(sent[1]))

    with serving(answer, folder) as (port, ca_file):
        gateway = start(folder, shared_emulators, upstream=leading_to(port, ca_file))
        made = Mirror(gateway, shared_emulators.credentials.openai_key)
        yield made
        gateway.stop()


def head_with(line: bytes, *, reason: bytes = b"OK", body: bytes = b"{}") -> bytes:
    extra = line + b"\r\n" if line else b""
    return b"HTTP/1.1 200 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (reason, extra, len(body), body)


def raw_head(mirror: Mirror, door: Door) -> bytes:
    """All that the client gets of an answer, as it stands on the wire."""
    with door.open(mirror.gateway) as wire:
        begin(mirror.gateway, wire, door=door)
        received = b""
        while b"{}" not in received and (data := wire.read()):
            received += data
    return received


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize(
    "written",
    [
        lambda key: head_with(b"X-Echo: " + key),
        lambda key: head_with(b"X-Echo: Bearer " + key),
        lambda key: head_with(b"X-Echo: a" + key + b"b" + key),
        lambda key: head_with(b"Location: https://evil.example/?k=" + key),
        lambda key: head_with(b"Location: https://evil.example/?k=" + key.replace(b"-", b"%2d")),
        lambda key: head_with(b"Set-Cookie: k=" + key + b"; Path=/"),
        lambda key: head_with(b"X-Request-Id: " + key),
        lambda key: head_with(b"X-" + key + b": 1"),
        lambda key: head_with(b"X-" + key.lower() + b": 1"),
        lambda key: head_with(b"", reason=b"Seen " + key),
        lambda key: b"HTTP/1.1 103 Early Hints\r\nLink: <https://evil.example/" + key + b">\r\n\r\n" + head_with(b""),
    ],
)
def test_the_head_of_an_answer_shows_no_credential(
    mirror: Mirror, door: Door, written: Callable[[bytes], bytes]
) -> None:
    mirror.written = written
    received = raw_head(mirror, door)
    assert received.startswith((b"HTTP/1.1 200", b"HTTP/1.1 103"))
    assert mirror.key.lower().encode() not in unquote_to_bytes(received).lower()
    assert mirror.key not in mirror.gateway.log()


def test_what_stands_beside_it_stays(mirror: Mirror) -> None:
    mirror.written = lambda key: head_with(b"Set-Cookie: a=b; HttpOnly\r\nX-Echo: <" + key + b">\r\nset-cookie: c=d")
    answer = call(mirror.gateway)
    assert answer.header("x-echo") == f"<{MASK}>"
    assert answer.values("set-cookie") == ["a=b; HttpOnly", "c=d"]
    assert mirror.gateway.lines("The head of an answer repeated our credential; it was masked")


def test_the_error_that_repeats_it_is_ours(mirror: Mirror) -> None:
    """A refusal of our credential becomes a 502 of ours, of which no byte is the provider's."""
    mirror.written = lambda key: b"HTTP/1.1 401 no %s\r\nX-Echo: %s\r\nContent-Length: 0\r\n\r\n" % (key, key)
    answer = call(mirror.gateway)
    assert answer.status == 502
    assert mirror.key not in str(answer)
    assert mirror.key not in mirror.gateway.log()


def test_a_body_passes_as_it_came(mirror: Mirror) -> None:
    """Bytes are promised to be the provider's, and streams and codings could hide it anyway."""
    mirror.written = lambda key: head_with(b"", body=b"you sent " + key)
    assert call(mirror.gateway).body == b"you sent " + mirror.key.encode()
    assert mirror.key not in mirror.gateway.log()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("method", ["TRACE", "TRACK", "trace", "Trace", "DEBUG", "PROPFIND", "LINK", "CONNECT", "X"])
def test_methods_that_echo_or_that_nobody_needs_are_refused(mirror: Mirror, door: Door, method: str) -> None:
    asked: list[bytes] = []
    mirror.written = lambda key: asked.append(key) or head_with(b"")  # type: ignore[func-returns-value]
    with door.open(mirror.gateway) as wire:
        answer = refused(wire, f"{method} {door.path}/v1/models", mirror, door)
    assert answer.status in (400, 405)
    assert asked == []


def refused(wire: Wire, line: str, mirror: Mirror, door: Door) -> Answer:
    method, path = line.split(" ")
    return wire.request(method, path, [*door.headers(mirror.gateway), ("Max-Forwards", "0")])
