"""The strict reader: whatever h11 sends is read back whole under every cut, and what is ambiguous is refused."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.demo.http1 import (
    MAX_BODY,
    MAX_HEAD,
    Malformed,
    Parser,
    Request,
    render_chunk,
    render_head,
    render_last_chunk,
)

_token = st.text("abcXYZ019-_.!", min_size=1, max_size=12)  # too few letters to spell a header that h11 knows
_value = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
_target = st.text("abc/:%25?&=;.~", max_size=20).map(lambda rest: f"/{rest}")


def read(data: bytes) -> list[Request]:
    parser = Parser()
    parser.feed(data)
    found = []
    while (request := parser.next_request()) is not None:
        found.append(request)
    return found


def sent_by_h11(target: str, headers: list[tuple[str, str]], pieces: list[bytes], *, chunked: bool) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(sum(map(len, pieces))))
    wire = (
        connection.send(h11.Request(method="POST", target=target, headers=[("Host", "a.b"), framing, *headers])) or b""
    )
    for piece in pieces:
        wire += connection.send(h11.Data(piece)) or b""
    trailers = [("X-Sum", "1")] if chunked else []
    return wire + (connection.send(h11.EndOfMessage(headers=trailers)) or b"")


@given(
    target=_target,
    headers=st.lists(st.tuples(_token, _value), max_size=5),
    pieces=st.lists(st.binary(min_size=1, max_size=50), max_size=4),
    chunked=st.booleans(),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_reads_what_h11_writes_under_every_cut(
    target: str, headers: list[tuple[str, str]], pieces: list[bytes], chunked: bool, cuts: list[int]
) -> None:
    wire = sent_by_h11(target, headers, pieces, chunked=chunked) * 2
    parser, found, position, turn = Parser(), [], 0, 0
    while position < len(wire):
        step = cuts[turn % len(cuts)]
        parser.feed(wire[position : position + step])
        position, turn = position + step, turn + 1
        while (request := parser.next_request()) is not None:
            found.append(request)
    assert [request.head.target for request in found] == [target.encode()] * 2
    assert {request.body for request in found} == {b"".join(pieces)}
    assert found[0].head.fields[2:] == tuple((name.encode(), value.encode()) for name, value in headers)
    assert found[0].trailers == (((b"X-Sum", b"1"),) if chunked else ())


def test_keeps_case_order_repetition_and_the_raw_bytes() -> None:
    raw = b"POST /a%2Fb:c?d HTTP/1.1\r\nhOsT: x.y\r\nB:  two \r\na: 1\r\nb:\t3\r\n\r\n"
    (request,) = read(raw)
    assert request.head.raw == raw
    assert request.head.target == b"/a%2Fb:c?d"
    assert request.head.fields == ((b"hOsT", b"x.y"), (b"B", b"two"), (b"a", b"1"), (b"b", b"3"))
    assert request.head.index[b"b"] == b"two, 3"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET http://a.b/ HTTP/1.1", 400),  # absolute form: only a proxy is spoken to like that
        (b"CONNECT a.b:443 HTTP/1.1", 400),
        (b"GET / HTTP/1.0", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /a#b HTTP/1.1", 400),
        (b"GET /\xc3\xa9 HTTP/1.1", 400),
        (b"G(T / HTTP/1.1", 400),
        (b"", 400),
    ],
)
def test_refuses_other_request_lines(line: bytes, status: int) -> None:
    with pytest.raises(Malformed) as caught:
        read(line + b"\r\nHost: a.b\r\n\r\n")
    assert caught.value.status == status


@pytest.mark.parametrize(
    "lines",
    [
        b"",  # no Host
        b"Host:\r\n",
        b"Host: a.b\r\nHost: a.b\r\n",
        b"Host: a.b\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a.b\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        b"Host: a.b\r\nContent-Length: +1\r\n",
        b"Host: a.b\r\nContent-Length: 1, 1\r\n",
        b"Host: a.b\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a.b\r\nX : 1\r\n",
        b"Host: a.b\r\nX: a\r\n folded\r\n",
        b"Host: a.b\r\nX: a\x00b\r\n",
        b"Host: a.b\r\nX: a\nY: b\r\n",
        b"Host: a.b\r\nno colon\r\n",
    ],
)
def test_refuses_heads_that_two_readers_might_read_differently(lines: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        read(b"POST / HTTP/1.1\r\n" + lines + b"\r\n")
    assert caught.value.status == 400


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity", b"chunked, chunked", b"xchunked"])
def test_knows_one_transfer_coding(coding: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        read(b"POST / HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: " + coding + b"\r\n\r\n")
    assert caught.value.status == 501


@pytest.mark.parametrize(
    "body", [b"g\r\n", b"-1\r\n", b"1\n", b"2\r\nabc\r\n", b" 1\r\na\r\n", b"1" * 2000, b"0\r\nno colon\r\n\r\n"]
)
def test_refuses_broken_chunks(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(b"POST / HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"\r\n")


def test_refuses_what_is_too_long() -> None:
    start = b"POST / HTTP/1.1\r\nHost: a.b\r\n"
    for data, status in (
        (start + b"X: " + b"a" * MAX_HEAD, 431),
        (start + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (start + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (MAX_BODY + 1), 413),
        (start + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * MAX_HEAD, 431),
    ):
        with pytest.raises(Malformed) as caught:
            read(data)
        assert caught.value.status == status


def test_the_head_is_known_before_the_body() -> None:
    parser = Parser()
    parser.feed(b"POST /early HTTP/1.1\r\nHost: a.b\r\nContent-Length: 5\r\n\r\n12")
    assert parser.next_request() is None
    assert parser.head is not None
    assert parser.head.target == b"/early"
    assert parser.pending == 2


def test_writes_what_h11_reads() -> None:
    wire = render_head(200, [(b"transfer-encoding", b"chunked"), (b"X-a", b"b")])
    wire += render_chunk(b"x" * 300) + render_last_chunk(((b"X-Sum", b"1"),))
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "a.b")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(wire)
    response, data, end = reader.next_event(), reader.next_event(), reader.next_event()
    assert isinstance(response, h11.Response)
    assert isinstance(data, h11.Data)
    assert isinstance(end, h11.EndOfMessage)
    assert (response.status_code, bytes(data.data), list(end.headers)) == (200, b"x" * 300, [(b"x-sum", b"1")])


@pytest.mark.parametrize(
    ("status", "reason"), [(200, b"OK"), (421, b"Misdirected Request"), (529, b"Overloaded"), (799, b"Unknown")]
)
def test_every_status_has_a_reason(status: int, reason: bytes) -> None:
    assert render_head(status, []) == b"HTTP/1.1 %d %b\r\n\r\n" % (status, reason)
