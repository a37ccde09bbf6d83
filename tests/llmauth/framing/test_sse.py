"""Server-sent events by the rules of the HTML standard, under every split, and within limits."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmauth.framing.sse import Decoder, ServerEvent, encode

LIMIT = 64


def decoded(pieces, **options):
    decoder = Decoder(**options)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close(), decoder.fault


def under_every_split(data, **options):
    """What comes of the whole, after it was shown to come of any two pieces and of single bytes."""
    expected = decoded([data], **options)
    assert decoded([data[i : i + 1] for i in range(len(data))], **options) == expected
    for cut in range(len(data)):
        assert decoded([data[:cut], data[cut:]], **options) == expected, cut
    return expected[0]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\n", [("", "a")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", [("", "a"), ("", "b"), ("", "c")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [("x", "a"), ("", "b")]),
        (b"data: a\nevent: x\n\n", [("x", "a")]),
        (b"data: a\ndata:b\ndata\n\n", [("", "a\nb\n")]),
        (b"data:  a\n\n", [("", " a")]),
        (b"data:\n\n", [("", "")]),
        (b": ping\n\nid: 1\nretry: 5\ndata: a\nunknown: b\n\n", [("", "a")]),
        (b"event: x\n\ndata: a\n\n", [("", "a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("", "b")]),
        (b"\n\n\ndata: a\n\n\n\n", [("", "a")]),
        ("data: ä€😀\n\n".encode(), [("", "ä€😀")]),
        (b"data: \xff\xc3\ndata: \xa4\n\n", [("", "��\n�")]),
        (b"data: a:b: c\n\n", [("", "a:b: c")]),
        (b"Data: a\n\n", []),
        ("data: a\u2028b\x0bc\x85\n\n".encode(), [("", "a\u2028b\x0bc\x85")]),
        (b"data: [DONE]", [("", "[DONE]")]),
        (b"data: a\n", [("", "a")]),
        (b"data: a\r", [("", "a")]),
        (b"", []),
        (b"\xef", []),
    ],
)
def test_events(data, events):
    assert under_every_split(data) == events


def test_two_events_without_an_empty_line_between_them_where_a_provider_writes_so():
    data = b"data: a\ndata: b\nevent: x\ndata: c\n\n"
    assert under_every_split(data, lines=True) == [("", "a"), ("", "b"), ("x", "c")]
    assert under_every_split(data) == [("x", "a\nb\nc")]


@pytest.mark.parametrize(
    "long",
    [
        b"data: " + b"a" * (LIMIT + 1) + b"\n\n",
        b"data: " + b"a" * LIMIT + b"\ndata: b\n\n",
        b"data:" + b"\ndata:" * (LIMIT + 1) + b"\n\n",
        b": " + b"a" * (LIMIT + 5) + b"\n\n",
        b"event: " + b"a" * LIMIT + b"\n\n",
        b"data: " + b"a" * 10 * LIMIT,
    ],
    ids=["one line", "two lines", "empty lines", "comment", "name", "no end"],
)
def test_what_grows_beyond_the_limit_is_a_fault_and_then_it_is_deaf(long):
    data = b"data: before\n\n" + long + b"data: after\n\n"
    assert under_every_split(data, limit=LIMIT) == [("", "before")]
    assert "longer than 64 bytes" in decoded([data], limit=LIMIT)[1]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n", b"\r", b""])
def test_what_is_as_long_as_the_limit_is_none(end):
    assert under_every_split(b"data: " + b"a" * LIMIT + end, limit=LIMIT) == [("", "a" * LIMIT)]
    assert decoded([b"data: " + b"a" * LIMIT + end], limit=LIMIT)[1] == ""


def test_a_long_line_in_many_pieces_is_looked_through_once():
    """A provider that sends an image in small pieces, or means ill, must not cost the square of its length."""
    decoder = Decoder()
    started = time.process_time()
    decoder.feed(b"data: ")
    for _ in range(40_000):
        decoder.feed(b"a" * 100)
    [event] = decoder.feed(b"\n\n")
    assert len(event.data) == 4_000_000
    assert time.process_time() - started < 2


def test_written_and_read_again():
    data = encode(b'{"a":1}') + encode(b"[DONE]", "end")
    assert data == b'data: {"a":1}\n\nevent: end\ndata: [DONE]\n\n'
    assert under_every_split(data) == [ServerEvent("", '{"a":1}'), ServerEvent("end", "[DONE]")]


PIECES = st.sampled_from(
    [b"data", b": ", b":", b"event", b"\n", b"\r", b"\r\n", b"a", b"\xef\xbb\xbf", b"\xff", b"x" * 9]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(), st.sampled_from([8, 20, 10_000]), st.booleans())
def test_any_bytes_give_the_same_events_however_they_are_split(data, seed, limit, lines):
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(len(data) + 1), min(len(data), 5)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert decoded(pieces, limit=limit, lines=lines) == decoded([data], limit=limit, lines=lines)
