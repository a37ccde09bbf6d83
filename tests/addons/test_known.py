"""A head is known when every byte of it stands where it stood, the value of Content-Length apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as some

from addons.known import Known, Line, Sent, line_of
from llmauth.addresses import HostPort
from tests.addons import flows

LINE: Line = (b"POST", b"http", "g", 80, b"/a", b"", b"HTTP/1.1", None, True, None)
FIELDS = ((b"Host", b"g"), (b"X-API-Key", b"k1"), (b"Content-Length", b"12"), (b"Accept", b"*/*"))
REST: dict[str, Any] = dict.fromkeys(("request", "proof", "allowance", "route", "handler", "sent"))
KNOWN = Known(line=LINE, fields=FIELDS, length_at=2, decisions=(), **REST)


def with_field(place: int, name: bytes, value: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (*FIELDS[:place], (name, value), *FIELDS[place + 1 :])


@pytest.mark.parametrize("length", [b"12", b"0", b"7", b"123456789", b"9" * 19])
def test_the_length_may_differ_and_is_told(length: bytes) -> None:
    assert KNOWN.announced(LINE, with_field(2, b"Content-Length", length)) == int(length)


@pytest.mark.parametrize(
    "fields",
    [
        FIELDS[:-1],
        (*FIELDS, (b"Accept", b"*/*")),
        (*FIELDS, (b"Content-Length", b"12")),
        (*FIELDS, (b"Transfer-Encoding", b"chunked")),
        (FIELDS[1], FIELDS[0], *FIELDS[2:]),
        (*FIELDS[:2], FIELDS[3], FIELDS[2]),
        with_field(0, b"Host", b"h"),
        with_field(0, b"host", b"g"),
        with_field(1, b"X-API-Key", b"k2"),
        with_field(1, b"X-API-Key", b"k1 "),
        with_field(3, b"Transfer-Encoding", b"chunked"),
        with_field(2, b"content-length", b"12"),
        with_field(2, b"Content_Length", b"12"),
        *(with_field(2, b"Content-Length", b) for b in (b"", b"+1", b"-1", b"0x5", b"1 ", b"1,1", b"\xb2", b"1" * 20)),
    ],
)
def test_any_other_difference_makes_another_head(fields: tuple[tuple[bytes, bytes], ...]) -> None:
    assert KNOWN.announced(LINE, fields) is None


@given(place=some.integers(0, 3), part=some.integers(0, 1), at=some.integers(0, 13), bit=some.integers(0, 7))
def test_a_single_bit_makes_another_head(place: int, part: int, at: int, bit: int) -> None:
    changed = bytearray(FIELDS[place][part])
    changed[at % len(changed)] ^= 1 << bit
    field = (bytes(changed), FIELDS[place][1]) if part == 0 else (FIELDS[place][0], bytes(changed))
    found = KNOWN.announced(LINE, with_field(place, *field))
    if found is not None:
        assert (place, part, found) == (2, 1, int(bytes(changed)))


@pytest.mark.parametrize("place", range(10))
def test_every_part_of_the_line_counts(place: int) -> None:
    other = list[Any](LINE)
    other[place] = HostPort("api.openai.com", 443) if place == 9 else not other[8] if place == 8 else "x"
    assert KNOWN.announced(cast(Line, tuple(other)), FIELDS) is None


def test_the_line_is_all_that_a_flow_says_beside_its_fields() -> None:
    flow = flows.made(b"GET", b"/p", FIELDS, host="h", port=1, scheme=b"https", authority=b"h:1")
    flow.client_conn.sni = "name"
    tunnel = HostPort("h", 1)
    assert line_of(flow, False, tunnel) == (b"GET", b"https", "h", 1, b"/p", b"h:1", b"HTTP/1.1", "name", False, tunnel)


def test_of_what_is_sent_again_two_fields_are_new_and_nothing_is_shown() -> None:
    fields = ((b"Host", b"p"), (b"content-length", b"12"), (b"X-Request-Id", b"one"), (b"Authorization", b"Bearer sk"))
    given: dict[str, Any] = dict.fromkeys(("leased", "target", "method", "path", "approved"))
    sent = Sent(fields=fields, length_at=1, id_at=2, secrets=(b"Bearer sk",), decisions=(), **given)
    assert sent.fields_for(b"7", "two") == (fields[0], (b"content-length", b"7"), (b"X-Request-Id", b"two"), fields[3])
    assert replace(sent, id_at=None).fields_for(b"7", "two")[2] == fields[2]
    assert "sk" not in repr(sent)
    assert "k1" not in repr(replace(KNOWN, sent=sent))
