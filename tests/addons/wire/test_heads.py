from __future__ import annotations

import pytest
from mitmproxy import http

from addons.wire.heads import CONNECT_REFUSED, MalformedRequest, announced, read_request, response_fields

Fields = list[tuple[bytes, bytes]]
PSEUDO: Fields = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"api.openai.com"),
    (b":path", b"/v1/x?y"),
]


def fields_of(fields: Fields, *, ended: bool = False) -> Fields:
    request = read_request(fields, ended=ended)
    assert not isinstance(request, MalformedRequest), request.fault
    assert request.data.http_version == b"HTTP/1.1"
    assert request.data.authority == b""
    return list(request.headers.fields)


def test_a_request_is_what_http11_would_have_brought() -> None:
    request = read_request([*PSEUDO, (b"a", b"1"), (b"b", b""), (b"a", b"2")], ended=False)
    assert (request.data.method, request.data.path, request.data.scheme) == (b"POST", b"/v1/x?y", b"https")
    assert request.headers.fields == ((b"Host", b"api.openai.com"), (b"a", b"1"), (b"b", b""), (b"a", b"2"))


def test_crumbs_of_cookies_are_joined_where_the_first_one_stood() -> None:
    crumbs = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"), (b"cookie", b"c=3")]
    assert fields_of([*PSEUDO, *crumbs])[1:] == [(b"cookie", b"a=1; b=2; c=3"), (b"x", b"y")]


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"GET", b"DELETE"])
@pytest.mark.parametrize("ended", [True, False])
def test_a_post_without_a_body_says_so(method: bytes, ended: bool) -> None:
    fields = fields_of([(b":method", method), *PSEUDO[1:]], ended=ended)
    assert ((b"content-length", b"0") in fields) == (ended and method in (b"POST", b"PUT", b"PATCH"))


def test_host_may_stand_in_for_the_authority_or_repeat_it() -> None:
    host = (b"host", b"api.openai.com")
    alone = [field for field in PSEUDO if field[0] != b":authority"]
    for fields in ([*alone, host], [*PSEUDO, host]):
        assert fields_of(fields) == [(b"Host", b"api.openai.com")]
    assert fields_of(alone) == []  # which is for screening to refuse


@pytest.mark.parametrize(
    "fields",
    [
        [*PSEUDO, (b"host", b"evil.example")],
        [*PSEUDO, (b"X", b"y")],
        [*PSEUDO, (b"x", b"y\r\nz: 1")],
        [*PSEUDO, (b"connection", b"close")],
        [*PSEUDO, (b"te", b"gzip")],
        [*PSEUDO, (b"content-length", b"1"), (b"content-length", b"1")],
        [*PSEUDO, (b":path", b"/")],
        [(b"x", b"y"), *PSEUDO],
        PSEUDO[:3],
    ],
)
def test_a_malformed_one_holds_nothing_of_what_came(fields: Fields) -> None:
    request = read_request(fields, ended=True)
    assert isinstance(request, MalformedRequest)
    assert request.fault.endswith(".")
    assert (request.data.method, request.data.path, request.headers.fields) == (b"-", b"/", ())


def test_connect_is_told_where_it_belongs() -> None:
    request = read_request([(b":method", b"CONNECT"), (b":authority", b"api.openai.com:443")], ended=False)
    assert isinstance(request, MalformedRequest)
    assert request.fault == CONNECT_REFUSED


def test_the_length_that_is_announced() -> None:
    assert announced(read_request([*PSEUDO, (b"content-length", b"12")], ended=False)) == 12
    assert announced(read_request(PSEUDO, ended=False)) is None


def test_an_answer_says_nothing_of_its_connection() -> None:
    response = http.Response.make(
        201,
        b"",
        http.Headers(
            [
                (b"Content-Type", b" text/plain "),
                (b"Connection", b"close, X-Hop"),
                (b"X-Hop", b"1"),
                (b"Transfer-Encoding", b"chunked"),
                (b"Keep-Alive", b"timeout=5"),
                (b"Trailer", b"x"),
            ]
        ),
    )
    response.headers.fields = tuple(f for f in response.headers.fields if f[0].lower() != b"content-length")
    assert response_fields(response) == [(b":status", b"201"), (b"content-type", b"text/plain")]
