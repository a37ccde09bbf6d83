"""The emulated provider's end of a WebSocket is strict: what RFC 6455 does not describe is refused."""

from __future__ import annotations

import pytest

from llmauth.demo.http1 import parse_head
from llmauth.demo.websocket import BINARY, TEXT, BadFrame, BadHandshake, Frame, Frames, answer, check, items, render
from tests.fixtures.sockets import KEY, frame, proof

GOOD = (
    "GET /v1/realtime HTTP/1.1\r\nHost: api.openai.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
)


def test_a_good_handshake_is_answered_with_its_proof() -> None:
    head = parse_head(f"{GOOD}Sec-WebSocket-Protocol: beta, realtime\r\n\r\n".encode())
    check(head)
    fields = dict(answer(head, deflate=True))
    assert fields[b"sec-websocket-accept"].decode() == proof()
    assert fields[b"sec-websocket-protocol"] == b"realtime"
    assert items(head, b"sec-websocket-protocol") == [b"beta", b"realtime"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("GET", "POST"),
        ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        ("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"),
        ("Version: 13", "Version: 8"),
        (KEY, "c2hvcnQ="),
        ("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\n"),
        ("\r\n\r\n", "\r\nX-Other: llmauth_abc\r\n\r\n"),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: openai-insecure-api-key.sk-x\r\n\r\n"),
    ],
)
def test_anything_else_is_none(old: str, new: str) -> None:
    with pytest.raises(BadHandshake):
        check(parse_head((GOOD + "\r\n").replace(old, new, 1).encode()))


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
@pytest.mark.parametrize("step", [1 << 20, 3])
def test_frames_are_read_however_they_come(size: int, step: int) -> None:
    data, frames = frame(BINARY, bytes(size)) + frame(TEXT, b"end"), Frames()
    step = step if size < 1000 else 1 << 20
    read = [found for start in range(0, len(data), step) for found in frames.feed(data[start : start + step])]
    assert read == [Frame(True, 0, BINARY, bytes(size)), Frame(True, 0, TEXT, b"end")]


@pytest.mark.parametrize(
    "data", [render(TEXT, b"unmasked"), frame(0x9, bytes(126)), frame(0x9, b"", final=False)], ids=range(3)
)
def test_what_no_client_may_send_is_no_frame(data: bytes) -> None:
    with pytest.raises(BadFrame):
        list(Frames().feed(data))


@pytest.mark.parametrize(("size", "head"), [(5, b"\x82\x05"), (126, b"\x82\x7e\x00\x7e"), (65536, None)])
def test_a_servers_frame_is_not_masked(size: int, head: bytes | None) -> None:
    head = head or b"\x82\x7f" + (65536).to_bytes(8)
    assert render(BINARY, bytes(size)) == head + bytes(size)
