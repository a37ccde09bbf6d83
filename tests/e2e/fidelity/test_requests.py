"""A request arrives as it was sent: the line, every header in its order and spelling, every byte of the body."""

from __future__ import annotations

import gzip
import random

import pytest

from tests.e2e.fidelity.calls import ANTHROPIC, CONTROL, OPENAI, RUNTIME, Call, Roads, hear, reader
from tests.e2e.fidelity.comparison import differences
from tests.fixtures.raw import tunnel

# Where each gives a body back as it came; Bedrock's runtime, by path, is known by its first segments.
ECHO = {OPENAI: "/v1/echo", ANTHROPIC: "/v1/echo", CONTROL: "/echo"}
everywhere = pytest.mark.parametrize("host", ECHO)
NOISE = random.Random(1).randbytes(1 << 20)


def body_of(size: int) -> bytes:
    """Binary, and different at every position."""
    return (NOISE * (size // len(NOISE) + 1))[:size]


def check(roads: Roads, host: str, call: Call) -> None:
    """The call on all three roads: no difference that is not allowed, and the provider says the same."""
    direct, wanted = roads.call_directly(host, call)
    inside, answer = roads.call_in_tunnel(host, call)
    assert differences(direct, inside) == []
    assert answer.status == wanted.status
    by_path, answer = roads.call_by_path(host, call)
    assert differences(direct, by_path, by_path=True) == []
    assert answer.status == wanted.status


ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2c3d4e5f6"
BARE_ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
TARGETS = [
    (OPENAI, "/v1/echo/plain"),
    (OPENAI, "/v1/echo/odd?a=1&&b=%20%2F;c"),
    (OPENAI, "/v1/echo/twice?x=1&x=2&x=1&X=3&=&&y"),
    (OPENAI, "/v1/echo/empty-query?"),
    (OPENAI, "/v1/echo/plus?q=a+b%2Bc&r=%E2%82%AC&s=%e2%82%ac&t=%00%0a"),
    (OPENAI, "/v1/echo/marks?url=https://a.example:1/b?c=d&e='(f)*!~@[g]{h}|^`\"<>"),
    (OPENAI, "/v1/echo/" + "long/" * 200 + "?" + "n=v&" * 2000),
    (OPENAI, "/v1/echo//two///slashes/"),
    (OPENAI, "/v1/echo/semicolon;v=1/colon:a/at@b/comma,c/dollar$d/tilde~e/percent%25f/space%20g/dot%2Eh"),
    (OPENAI, "/v1/echo/case/%2f%2F/%3a%3A/%c3%a9/%C3%A9"),
    (OPENAI, "/v1/echo/key?key=abc&api=1&KEY=2"),
    (ANTHROPIC, "/v1/echo/beta?beta=true"),
    (RUNTIME, "/model/anthropic.claude-3-sonnet-20240229-v1:0/converse"),
    (RUNTIME, "/model/anthropic.claude-3-sonnet-20240229-v1%3A0/converse"),
    (RUNTIME, f"/model/{ARN}/converse"),
    (RUNTIME, f"/model/{ARN.replace('%3A', ':')}/converse"),
    (RUNTIME, f"/model/{ARN.replace('%2F', '%2f')}/invoke-with-response-stream"),
    (RUNTIME, f"/model/{BARE_ARN}/converse"),
    (RUNTIME, "/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/converse?a=%3A:&b=%2F/"),
    (CONTROL, "/foundation-models/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Famazon.nova-pro-v1%3A0"),
    (CONTROL, "/foundation-models?byProvider=Amazon&byOutputModality=TEXT"),
    (CONTROL, "/echo/odd?a=1&b=%20%2F;c&c&d=&e=="),
    (CONTROL, "/echo/twice?x=2&x=1&X=3&x-y=1&x%2Dy=0&xa=1"),
    (CONTROL, "/echo/plus?q=a+b%2Bc&r=%E2%82%AC&s=%e2%82%ac&t=%00%0a"),
    (CONTROL, "/echo/marks?url=https://a.example:1/b?c=d&e='(f)*!~@[g]{h}|^`\"<>"),
    (CONTROL, "/echo//two///slashes/"),
    (CONTROL, "/echo/semicolon;v=1/colon:a/at@b/comma,c/tilde~e/percent%25f/space%20g/case%2f%2F/%3a%3A/%C3%A9"),
    (CONTROL, "/echo/empty-name?=1&b=2"),
    (CONTROL, "/echo/empty-query?"),
]


@pytest.mark.parametrize(("host", "target"), TARGETS, ids=[target[:60] for _, target in TARGETS])
def test_the_target_keeps_every_byte(roads: Roads, host: str, target: str) -> None:
    """Also where the provider refuses it: to be right or wrong is between the client and the provider."""
    call = Call(method="GET", target=target) if host == CONTROL else Call(target=target, body=b"{}")
    check(roads, host, call)


@everywhere
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method(roads: Roads, host: str, method: str) -> None:
    check(roads, host, Call(method=method, target=f"{ECHO[host]}/method"))
    check(roads, host, Call(method=method, target=f"{ECHO[host]}/method", body=b"a body"))


HEADERS: dict[str, tuple[tuple[str, str], ...]] = {
    "an SDK's own": (
        ("User-Agent", "OpenAI/Python 3.57.0"),
        ("X-Stainless-Lang", "python"),
        ("x-stainless-retry-count", "0"),
        ("Idempotency-Key", "stainless-python-retry-1"),
        ("OpenAI-Beta", "assistants=v2"),
        ("OpenAI-Organization", "org-1"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "a-1,b-2"),
        ("x-amzn-bedrock-guardrailidentifier", "g1"),
        ("X-Amzn-Bedrock-Trace", "ENABLED"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=1,b=2"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ),
    "repeated": (
        ("X-Many", "1"),
        ("x-other", "o"),
        ("X-Many", "2"),
        ("x-many", "1"),
        ("Cookie", "a=1"),
        ("Cookie", "b=2"),
    ),
    "odd values": (
        ("X-Empty", ""),
        ("X-Quoted", 'a "quoted, string"; q=1'),
        ("X-Latin", "caf\xe9"),
        ("X-Utf8", "caf\xc3\xa9 \xe2\x82\xac"),
        ("X-Tab", "a\tb"),
        ("X-Colon", "a: b: c"),
        ("X-Long", "v" * 8000),
    ),
    "signed by AWS's own SDKs": (
        ("x-amz-user-agent", "aws-sdk-js/3.1164.0  lang/js"),
        ("X-Amz-Target", "Service.Operation"),
        ("amz-sdk-invocation-id", "1"),
        ("X-Amzn-Trace-Id", "Root=1-2-3"),
        ("Content-Type", "application/json;  charset=utf-8"),
    ),
    "twice the same": (("X-Twice", "1"), ("X-Between", "2"), ("X-Twice", "1")),
    "odd names": (("x", "1"), ("X-UPPER", "2"), ("x_under_score", "3"), ("X!#$%&'*+.^`|~9", "4"), ("Dnt", "1")),
    "forwarded by others": (("X-Forwarded-For", "10.1.2.3"), ("Forwarded", "for=10.1.2.3"), ("Via", "1.1 corp")),
    "hop by hop": (
        ("Connection", "keep-alive, X-Mine"),
        ("Keep-Alive", "timeout=5"),
        ("X-Mine", "gone"),
        ("TE", "trailers"),
        ("X-Stays", "here"),
    ),
    "conditional": (("If-None-Match", '"abc"'), ("Range", "bytes=0-9"), ("Date", "Thu, 26 Nov 2026 10:00:00 GMT")),
}


@everywhere
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_headers_keep_order_and_spelling(roads: Roads, host: str, headers: tuple[tuple[str, str], ...]) -> None:
    check(roads, host, Call(target=f"{ECHO[host]}/headers", headers=headers, body=b"{}"))


@everywhere
def test_what_is_meant_for_a_proxy_ends_at_one(roads: Roads, host: str) -> None:
    """The emulators refuse a `Proxy-…` header, so that the call to compare with has none."""
    stays = ("X-Stays", "here")
    direct, _ = roads.call_directly(host, Call(target=f"{ECHO[host]}/proxy", headers=(stays,)))
    call = Call(target=f"{ECHO[host]}/proxy", headers=(("Proxy-Connection", "keep-alive"), stays, ("Proxy-X", "1")))
    arrived, answer = roads.call_in_tunnel(host, call)
    assert differences(direct, arrived) == []
    assert answer.status == 200


def test_two_hundred_headers(roads: Roads) -> None:
    headers = tuple((f"X-Header-{number}", str(number)) for number in range(190))
    check(roads, OPENAI, Call(target="/v1/echo/many", headers=headers))


SIZES = [0, 1, 16_383, 16_385, 65_536, 1_000_003, 20_000_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("host", [OPENAI, CONTROL])
def test_bodies_of_every_size(roads: Roads, host: str, size: int) -> None:
    """Binary, and answered with itself: the same bytes come back."""
    body = body_of(size)
    call = Call(target=f"{ECHO[host]}/body", headers=(("Content-Type", "application/octet-stream"),), body=body)
    direct, _ = roads.call_directly(host, call)
    inside, answer = roads.call_in_tunnel(host, call)
    assert differences(direct, inside) == []
    assert (inside.body == body, answer.body == body, answer.complete) == (True, True, True)


def test_a_large_body_by_path(roads: Roads) -> None:
    body = body_of(5_000_000)
    arrived, answer = roads.call_by_path(OPENAI, Call(target="/v1/echo/body", body=body))
    assert (arrived.body == body, answer.body == body) == (True, True)


def test_a_packed_body_stays_packed(roads: Roads) -> None:
    packed = gzip.compress(b'{"model": "gpt-4o"}' * 1000, mtime=0)
    headers = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    for host, path in ECHO.items():
        check(roads, host, Call(target=f"{path}/gzip", headers=headers, body=packed))


@pytest.mark.parametrize(
    "pieces",
    [(), (b"one",), (b"a" * 10, b"b" * 70_000, b"\r\n0\r\n\r\n", b"c"), (b"x",) * 3000],
    ids=["empty", "one", "several", "thousands"],
)
@everywhere
def test_a_chunked_body_leaves_with_its_length(roads: Roads, host: str, pieces: tuple[bytes, ...]) -> None:
    check(roads, host, Call(target=f"{ECHO[host]}/chunked", body=pieces))


def test_a_multipart_body_is_not_touched(roads: Roads) -> None:
    parts = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="r\xc3\xa4.jsonl"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + body_of(70_000) + b"\r\n--b--\r\n",
    )
    headers = (("Content-Type", "multipart/form-data; boundary=b"),)
    check(roads, OPENAI, Call(target="/v1/files", headers=headers, body=b"".join(parts)))


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("?key={key}", ""),
        ("?key={key}&a=1", "?a=1"),
        ("?a=1&key={key}", "?a=1"),
        ("?a=%20%2F;c&&key={key}&b=", "?a=%20%2F;c&&b="),
        ("?a=1&%6Bey={key}&b=2", "?a=1&b=2"),
        ("?key={key}&monkey=1&key2=2&KEY=3", "?monkey=1&key2=2&KEY=3"),
    ],
)
def test_a_key_in_the_query_is_cut_out_and_nothing_else(roads: Roads, written: str, left: str) -> None:
    key = roads.gateway.key()
    target = "/echo/query" + written.format(key=key)
    arrived, _ = roads.call_by_path(CONTROL, Call(target=target), proof=("Accept", "*/*"))
    assert arrived.target == f"/echo/query{left}".encode()
    assert key.encode() not in arrived.head


SLOTS = ["Authorization", "X-API-Key", "x-api-key", "api-key", "x-goog-api-key"]


@pytest.mark.parametrize("slot", SLOTS)
@everywhere
def test_a_key_in_any_slot_ends_here(roads: Roads, host: str, slot: str) -> None:
    """And every other client spelling beside it is gone too."""
    key = roads.gateway.key()
    proof = (slot, f"Bearer {key}" if slot == "Authorization" else key)
    leftovers = (("X_Api_Key", "x"), ("X-TOTP-Code", "123456"), ("x-amz-content-sha256", "00"), ("Date", "x"))
    call = Call(target=f"{ECHO[host]}/slot", headers=leftovers, body=b"{}")
    direct, _ = roads.call_directly(host, Call(target=f"{ECHO[host]}/slot", headers=(("Date", "x"),), body=b"{}"))
    arrived, answer = roads.call_by_path(host, call, proof=proof)
    assert differences(direct, arrived, by_path=True) == []
    assert answer.status == 200
    assert key.encode() not in arrived.head


@pytest.mark.parametrize("slot", SLOTS)
def test_a_key_in_a_tunnel_that_was_opened_without_one(roads: Roads, slot: str) -> None:
    key = roads.gateway.key()
    proof = (slot, f"Bearer {key}" if slot == "Authorization" else key)
    call = Call(target="/v1/echo/slot", body=b"{}")
    direct, _ = roads.call_directly(OPENAI, call)
    arrived, answer = roads.call_in_tunnel(OPENAI, call, proof=proof, at_connect=False)
    assert differences(direct, arrived) == []
    assert answer.status == 200


def test_many_requests_on_one_connection_do_not_mix(roads: Roads) -> None:
    with tunnel(roads.gateway.port, OPENAI, roads.gateway.key(), roads.gateway.ca_file) as wire:
        stream = reader(wire)
        for number in range(20):
            body = b"%d" % number * (number * 997)
            call = Call(target=f"/echo/{number}?n={number}", headers=(("X-Number", str(number)),), body=body)
            wire.send(call.head(call.target, ("Host", OPENAI)) + body)
            assert hear(stream).body == body
    seen = roads.emulators.requests()
    assert [one.values("x-number") for one in seen] == [[b"%d" % number] for number in range(20)]
    assert {one.connection for one in seen} == {seen[0].connection}


def test_pipelined_requests_are_answered_in_order(roads: Roads) -> None:
    calls = [Call(target=f"/echo/{number}", body=b"body %d" % number) for number in range(5)]
    with tunnel(roads.gateway.port, OPENAI, roads.gateway.key(), roads.gateway.ca_file) as wire:
        wire.send(b"".join(call.head(call.target, ("Host", OPENAI)) + call.sent_body() for call in calls))
        stream = reader(wire)
        assert [hear(stream).body for _ in calls] == [call.body for call in calls]
