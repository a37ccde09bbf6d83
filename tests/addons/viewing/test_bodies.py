"""A body is shown where it is text of a known form; coded, cut and binary ones give nothing away."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import time
import zlib
from zlib import crc32

import pytest

from addons.viewing.bodies import KEPT, shown
from addons.viewing.masks import MASKED, Masks
from llmauth.authenticators.stripping import strip_also, strip_no_longer
from llmauth.http import Headers
from llmauth.secrets import Secret

JSON = "application/json"


def see(body: bytes, kind: str | None = JSON, *, coding: str | None = None, over: bool = True, total: int = 0) -> bytes:
    fields = [(b"content-type", kind.encode())] if kind else []
    fields += [(b"content-encoding", coding.encode())] if coding else []
    return shown(body[:KEPT], total or len(body), Headers(fields), Masks([b"canary-known"]), over=over)


@pytest.mark.parametrize(
    "kind", [JSON, "application/problem+json", "text/plain; charset=utf-8", None, "text/event-stream"]
)
def test_text_is_shown_as_it_came(kind: str | None) -> None:
    assert see(b'{ "a": 1 }\n\n', kind) == b'{ "a": 1 }\n\n'


@pytest.mark.parametrize("kind", [JSON, "text/plain", None, "text/event-stream", "application/x-ndjson"])
def test_what_is_secret_in_it_is_masked(kind: str | None) -> None:
    body = b'data: {"api_key": ["x9"], "b": "canary-known"}\n' if kind == "text/event-stream" else b'{"api_key": "x9"}'
    found = see(body, kind)
    assert b"x9" not in found
    assert b"canary" not in found


def test_a_form_is_read_as_one() -> None:
    body = b"grant_type=x&client%5Fsecret=a&note=llmauth%5Fabcdefghij%5Fklmnopqrstuv&code=1&q=canary%2Dknown&n=2"
    kept = b"grant_type=x&client%%5Fsecret=%s&note=%s&code=%s&q=%s&n=2" % ((MASKED,) * 4)
    assert see(body, "application/x-www-form-urlencoded") == kept


def test_parts_are_read_by_their_names() -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    body = part % (b"api_key", b"x9") + part % (b"n", b"1") + b"--b--"
    found = see(body, "multipart/form-data; boundary=b")
    assert b"x9" not in found
    assert b'name="n"\r\n\r\n1\r\n' in found


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "application/grpc", "application/msgpack"])
def test_of_anything_else_its_length_is_told(kind: str) -> None:
    assert see(b"\x89canary", kind) == f"[7 bytes of {kind}, not shown]".encode()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("canary".encode("utf-16"), "text/plain"),
        (b"canary\xff", "text/plain"),
        (b"ca+AG4-ary", "text/plain; charset=utf-7"),
    ],
)
def test_text_that_others_would_read_differently_is_not_shown(body: bytes, kind: str) -> None:
    assert b"ary" not in see(body, kind)


@pytest.mark.parametrize(("coding", "press"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_coded_body_is_decoded_and_masked(coding: str, press: object) -> None:
    assert callable(press)
    assert see(press(b'{"password": "x9", "n": 1}'), coding=coding) == b'{"password": "********", "n": 1}'


def test_a_bomb_is_read_up_to_what_is_kept() -> None:
    found = see(gzip.compress(b"word " * 4_000_000), "text/plain", coding="gzip")
    assert len(found) <= KEPT + 100
    assert found.endswith(b"this is their beginning]")


def test_an_unknown_coding_is_not_shown() -> None:
    assert see(b"canary", coding="rot13") == b"[6 bytes in a coding that is not shown]"


def test_the_end_of_what_is_cut_may_be_the_beginning_of_a_secret() -> None:
    body = b"word " * (KEPT // 5) + b"canary-known and more"
    assert len(body[:KEPT]) == KEPT
    found = see(body, "text/plain")
    assert b"can" not in found
    assert b"bytes in all" in found
    assert see(b"one two canary-kno", "text/plain", over=False) == b"one two "


def test_a_body_with_an_imported_key_is_not_shown() -> None:
    """It has no form, so nothing but its text tells it."""
    owner = object()
    strip_also(owner, [Secret("oatmeal")])
    try:
        assert b"oatmeal" not in see(b'{"note": "oatmeal"}')
    finally:
        strip_no_longer(owner)


@pytest.mark.parametrize(
    "body", [b'{"key": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"x": {"key": ["x9"]}, "x": 1, "key": [1]}']
)
def test_what_cannot_be_judged_is_not_shown(body: bytes) -> None:
    assert see(body).endswith(b"that cannot be judged, not shown]")


def frame(payload: bytes, kind: bytes = b"chunk") -> bytes:
    name = b"\x0b:event-type\x07" + struct.pack(">H", len(kind)) + kind
    prelude = struct.pack(">II", 16 + len(name) + len(payload), len(name))
    head = prelude + struct.pack(">I", crc32(prelude)) + name + payload
    return head + struct.pack(">I", crc32(head))


def test_binary_frames_become_lines() -> None:
    inner = json.dumps({"text": "hi", "api_key": "x9"}).encode()
    coded = json.dumps({"bytes": base64.b64encode(inner).decode()}).encode()
    found = see(frame(coded) + frame(b'{"a":1}', b"stop"), "application/vnd.amazon.eventstream")
    assert b'event: chunk\ndata: {"text": "hi", "api_key": "********"}\n' in found
    assert b'event: stop\ndata: {"a":1}' in found
    assert b"checksum" in see(b"\0" * 40, "application/vnd.amazon.eventstream")


EVIL = [
    b"eyJ" * 90_000,
    b"sk-" * 90_000,
    b"llmauth_" * 30_000,
    b"Bearer " + b" " * 250_000,
    b"name=" * 50_000,
    b"-----BEGIN " + b"A" * 100_000 + b"-----BEGIN PRIVATE KEY-----" * 5_000,
    b"?" + b"token" * 50_000,
    b"?token" * 40_000,
    b'"token' * 40_000,
    b'\\"token' * 30_000,
    b'"' + b"token" * 50_000,
    b"{" * 100_000,
    b'{"a":1,"key":[' + b'{"k":1},' * 30_000 + b"1]}",
    b"x" * 260_000,
    b"a=b&" * 60_000,
    b"a=b&" * 4_900 + b"c" * 230_000,
    b'data: {"key":[1]}\n' * 14_000,
    (b'data: {"key":[1]}' + b" " * 35 + b"\n") * 4_900,
]


@pytest.mark.parametrize("body", EVIL, ids=range(len(EVIL)))
@pytest.mark.parametrize(
    "kind", [JSON, "text/event-stream", "multipart/form-data", "application/x-www-form-urlencoded"]
)
def test_no_body_holds_the_loop_up(body: bytes, kind: str) -> None:
    """What a client can choose must not take longer than it is long."""
    began = time.process_time()
    see(body, kind)
    assert time.process_time() - began < 1.5
