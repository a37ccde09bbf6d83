"""An answer reaches the client as the provider gave it: status line, headers in order, every byte of the body."""

from __future__ import annotations

import gzip
import random

import pytest

from llmauth.demo.behaviour import Behaviour, Cut, Framing
from llmauth.demo.http1 import Field
from llmauth.demo.recorder import Recorded
from tests.e2e.fidelity.calls import ANTHROPIC, CONTROL, OPENAI, RUNTIME, Call, Heard, Roads, hear, hear_head, reader
from tests.fixtures.raw import tunnel

NOISE = random.Random(2).randbytes(1 << 20)
# What ends at one hop is the next hop's own to say.
HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"proxy-connection", b"trailer"})
GET = {
    OPENAI: Call(method="GET", target="/v1/models"),
    ANTHROPIC: Call(method="GET", target="/v1/models", headers=(("anthropic-version", "2023-06-01"),)),
    CONTROL: Call(method="GET", target="/foundation-models"),
}
everywhere = pytest.mark.parametrize("host", GET)


def end_to_end(fields: tuple[Field, ...]) -> list[Field]:
    return [(name, value) for name, value in fields if name.lower() not in HOP_BY_HOP]


def changes(sent: Recorded, heard: Heard) -> list[str]:
    """Every difference between what the provider sent and what the client heard, but for our X-Request-Id."""
    expected, got = end_to_end(sent.sent_headers), end_to_end(heard.fields)
    if not any(name.lower() == b"x-request-id" for name, _ in expected):
        expected.append((b"X-Request-Id", sent.values("x-request-id")[0]))
    found = [] if got == expected else [f"headers {expected!r} became {got!r}"]
    if heard.status != sent.status:
        found.append(f"status {sent.status} became {heard.status}")
    if heard.body != sent.sent_body:
        found.append(f"{len(sent.sent_body)} bytes of body became {len(heard.body)}")
    return found if heard.complete else [*found, "the body is not complete"]


def check(roads: Roads, host: str, call: Call, behaviour: Behaviour) -> Heard:
    """The call in a tunnel and by path, answered in that way; what the client heard in the tunnel."""
    roads.emulators.behave(host, behaviour, times=3)
    _, direct = roads.call_directly(host, call)
    sent, inside = roads.call_in_tunnel(host, call)
    assert changes(sent, inside) == []
    assert inside.status_line == direct.status_line
    assert len(inside.values("x-request-id")) == 1
    sent, by_path = roads.call_by_path(host, call)
    assert changes(sent, by_path) == []
    assert by_path.status_line == direct.status_line
    return inside


@everywhere
def test_an_ordinary_answer(roads: Roads, host: str) -> None:
    assert check(roads, host, GET[host], Behaviour()).status == 200


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 300_000, 20_000_000])
def test_bodies_of_every_size(roads: Roads, size: int, framing: Framing) -> None:
    """On both sides of the size up to which an answer is sent in one write."""
    body = (NOISE * (size // len(NOISE) + 1))[:size]
    roads.emulators.behave(OPENAI, Behaviour(body=body, framing=framing))
    sent, heard = roads.call_in_tunnel(OPENAI, GET[OPENAI])
    assert changes(sent, heard) == []
    assert heard.body == body
    told = heard.values("content-length"), heard.values("transfer-encoding")
    assert told == (([b"%d" % size], []) if framing is Framing.LENGTH else ([], [b"chunked"]))


@everywhere
def test_an_answer_whose_end_is_the_connections(roads: Roads, host: str) -> None:
    behaviour = Behaviour(body=NOISE[:40_000], framing=Framing.CLOSE, cut=Cut.CLOSE)
    assert check(roads, host, GET[host], behaviour).values("content-length") == []


@everywhere
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED], ids=["length", "chunked"])
def test_a_packed_answer_stays_packed(roads: Roads, host: str, framing: Framing) -> None:
    heard = check(roads, host, GET[host], Behaviour(body=b"text " * 9000, gzip=True, framing=framing))
    assert gzip.decompress(heard.body) == b"text " * 9000
    assert heard.values("content-encoding") == [b"gzip"]


def test_packed_bytes_that_are_none(roads: Roads) -> None:
    """Nobody looks inside: what claims to be gzip and is not passes like everything else."""
    behaviour = Behaviour(body=b"not gzip", fields=((b"content-encoding", b"gzip"),))
    assert check(roads, OPENAI, GET[OPENAI], behaviour).body == b"not gzip"


@everywhere
@pytest.mark.parametrize("status", [201, 202, 204, 206, 304])
def test_other_good_statuses(roads: Roads, host: str, status: int) -> None:
    heard = check(roads, host, GET[host], Behaviour(status=status, body=b"" if status in (204, 304) else b"{}"))
    assert heard.status == status


@everywhere
def test_a_head_has_the_headers_of_a_get(roads: Roads, host: str) -> None:
    """Its Content-Length is that of the body that a GET would have brought, and no body follows."""
    call = Call(method="HEAD", target=GET[host].target, headers=GET[host].headers)
    heard = check(roads, host, call, Behaviour())
    assert int(heard.values("content-length")[0]) > 100
    assert heard.body == b""


def test_a_request_after_a_bodiless_answer(roads: Roads) -> None:
    """204, 304 and HEAD leave the connection where the next answer begins."""
    calls = [GET[OPENAI], Call(method="HEAD", target="/v1/models"), GET[OPENAI], GET[OPENAI]]
    for status in (204, None, 304):
        roads.emulators.behave(OPENAI, Behaviour(status=status))
    with tunnel(roads.gateway.port, OPENAI, roads.gateway.key(), roads.gateway.ca_file) as wire:
        stream = reader(wire)
        statuses = []
        for call in calls:
            wire.send(call.head(call.target, ("Host", OPENAI)))
            statuses.append(hear(stream, call.method).status)
    assert statuses == [204, 200, 304, 200]


FIELDS: dict[str, tuple[Field, ...]] = {
    "repeated": (
        (b"Set-Cookie", b"a=1; Path=/"),
        (b"x-between", b"1"),
        (b"Set-Cookie", b"b=2"),
        (b"set-cookie", b"a=1"),
    ),
    "odd": (
        (b"X-Empty", b""),
        (b"x_under", b"1"),
        (b"X-UPPER", b"A: b"),
        (b"x-latin", b"caf\xe9"),
        (b"x-utf", b"\xe2\x82\xac"),
    ),
    "a provider's": (
        (b"retry-after-ms", b"100"),
        (b"x-should-retry", b"true"),
        (b"x-amzn-bedrock-trace", b"t"),
        (b"cf-ray", b"1-FRA"),
    ),
    "links": ((b"Alt-Svc", b'h3=":443"'), (b"Link", b"</x>; rel=preload"), (b"Refresh", b"1; url=https://x.example")),
    "ours by name": ((b"x-llmauth-fault", b"theirs"), (b"WWW-Authenticate", b"Bearer"), (b"Vary", b"*")),
}


@everywhere
@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_headers_keep_order_and_spelling(roads: Roads, host: str, fields: tuple[Field, ...]) -> None:
    heard = check(roads, host, GET[host], Behaviour(fields=fields))
    assert [field for field in heard.fields if field in fields] == list(fields)


@pytest.mark.parametrize("reason", [b"", b"All is well, so far", b"Caf\xe9", b"200 OK 200"])
def test_an_odd_reason(roads: Roads, reason: bytes) -> None:
    raw = b"HTTP/1.1 200 " + reason + b"\r\nx-a: 1\r\nContent-Length: 2\r\n\r\n{}"
    roads.emulators.behave(OPENAI, Behaviour(raw=raw))
    _, heard = roads.call_in_tunnel(OPENAI, GET[OPENAI])
    assert heard.status_line == b"HTTP/1.1 200 " + reason
    assert (heard.body, heard.values("x-a")) == (b"{}", [b"1"])


@pytest.mark.parametrize("status", [299, 499, 520, 599])
def test_a_status_that_no_standard_names(roads: Roads, status: int) -> None:
    raw = b"HTTP/1.1 %d Odd\r\nContent-Length: 2\r\n\r\n{}" % status
    roads.emulators.behave(OPENAI, Behaviour(raw=raw))
    _, heard = roads.call_in_tunnel(OPENAI, GET[OPENAI])
    assert (heard.status_line, heard.body) == (b"HTTP/1.1 %d Odd" % status, b"{}")


ERRORS = [
    *((OPENAI, status) for status in (400, 403, 404, 408, 409, 422, 429, 500, 503)),
    *((ANTHROPIC, status) for status in (400, 402, 403, 404, 413, 429, 500, 504, 529)),
    *((CONTROL, status) for status in (400, 403, 404, 408, 424, 429, 500, 503)),
]


@pytest.mark.parametrize(("host", "status"), ERRORS)
def test_a_providers_error_is_the_providers(roads: Roads, host: str, status: int) -> None:
    """Status, Retry-After, error type and body as they are: nothing of ours is added, and nothing is tried again."""
    heard = check(roads, host, GET[host], Behaviour(status=status))
    assert heard.status == status
    assert heard.values("x-llmauth-fault") == []
    assert heard.values("retry-after") == ([b"1"] if status == 429 and host != CONTROL else [])
    assert len(roads.emulators.requests()) == 3


def test_bedrocks_own_error_types_pass(roads: Roads) -> None:
    """403 with a name that is about permission, and not about our credential."""
    call = Call(target="/model/anthropic.claude-3-sonnet-20240229-v1:0/converse", body=b"{}")
    heard = check(roads, RUNTIME, call, Behaviour(status=403, error="AccessDeniedException"))
    assert heard.values("x-amzn-errortype") == [b"AccessDeniedException"]


@everywhere
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_passed_back(roads: Roads, host: str, status: int) -> None:
    """Not followed: wherever it leads, our credential does not go with it."""
    behaviour = Behaviour(status=status, fields=((b"Location", b"https://elsewhere.example/v1/models"),))
    heard = check(roads, host, GET[host], behaviour)
    assert heard.status == status
    assert heard.values("location") == [b"https://elsewhere.example/v1/models"]
    assert {one.host for one in roads.emulators.requests()} == {host}
    assert len(roads.emulators.requests()) == 3


def test_our_own_hop_is_ours(roads: Roads) -> None:
    """What the provider says of its own connection ends here."""
    fields = ((b"Keep-Alive", b"timeout=5"), (b"Proxy-Authenticate", b"Basic"), (b"Proxy-Connection", b"close"))
    roads.emulators.behave(OPENAI, Behaviour(fields=fields))
    _, heard = roads.call_in_tunnel(OPENAI, GET[OPENAI])
    assert not {b"keep-alive", b"proxy-authenticate", b"proxy-connection"} & {name.lower() for name, _ in heard.fields}


@pytest.mark.parametrize("interim", [(100,), (103,), (103, 103)])
def test_an_interim_answer_does_not_end_the_call(roads: Roads, interim: tuple[int, ...]) -> None:
    roads.emulators.behave(OPENAI, Behaviour(interim=interim))
    with tunnel(roads.gateway.port, OPENAI, roads.gateway.key(), roads.gateway.ca_file) as wire:
        wire.send(GET[OPENAI].head("/v1/models", ("Host", OPENAI)))
        stream = reader(wire)
        statuses: list[int] = []
        while not statuses or statuses[-1] < 200:
            statuses.append(int(hear_head(stream)[0].split(b" ")[1]))
    assert statuses == [*interim, 200]


def test_trailers_are_dropped_and_nothing_hangs(roads: Roads) -> None:
    roads.emulators.behave(OPENAI, Behaviour(trailers=((b"x-checksum", b"1"),), body=b"abc"))
    _, heard = roads.call_in_tunnel(OPENAI, GET[OPENAI])
    assert (heard.body, heard.complete, heard.values("x-checksum")) == (b"abc", True, [])
