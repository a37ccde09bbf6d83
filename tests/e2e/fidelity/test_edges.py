"""What is rare and legal: forms of a request and of an answer that few clients and few providers use."""

from __future__ import annotations

import time

import pytest

from llmauth.demo.behaviour import Behaviour, Cut
from tests.e2e.fidelity.calls import CONTROL, OPENAI, Call, Roads, hear, hear_head, reader
from tests.e2e.fidelity.comparison import differences
from tests.fixtures.raw import Wire, tunnel

MODELS = Call(method="GET", target="/v1/models")


def opened(roads: Roads, host: str = OPENAI) -> Wire:
    return tunnel(roads.gateway.port, host, roads.gateway.key(), roads.gateway.ca_file)


def test_a_body_that_waits_for_100_continue(roads: Roads) -> None:
    """The interim answer comes at once, the body is sent after it, and `Expect` ends here."""
    call = Call(target="/v1/echo/wait", headers=(("Expect", "100-continue"),), body=b"w" * 100_000)
    with opened(roads) as wire:
        wire.send(call.head(call.target, ("Host", OPENAI)))
        stream = reader(wire)
        begun = time.monotonic()
        assert hear_head(stream)[0].startswith(b"HTTP/1.1 100")
        assert time.monotonic() - begun < 0.5
        wire.send(call.sent_body())
        assert hear(stream).body == call.sent_body()
    (seen,) = roads.emulators.requests()
    assert seen.values("expect") == []


def test_absolute_form_inside_a_tunnel(roads: Roads) -> None:
    """Legal, and the same as origin form, which is what the provider gets."""
    direct, _ = roads.call_directly(OPENAI, MODELS)
    with opened(roads) as wire:
        wire.send(MODELS.head(f"https://{OPENAI}/v1/models", ("Host", OPENAI)))
        assert hear(reader(wire)).status == 200
    assert differences(direct, roads.emulators.requests()[-1]) == []


@pytest.mark.parametrize("host", ["api.openai.com:443", "API.OpenAI.com", "api.openai.com.", "API.openai.com.:443"])
def test_another_spelling_of_the_host(roads: Roads, host: str) -> None:
    """One of the two headers that may be written anew: the provider gets its name as everybody writes it."""
    with opened(roads) as wire:
        wire.send(MODELS.head("/v1/models", ("Host", host)))
        assert hear(reader(wire)).status == 200
    assert roads.emulators.requests()[-1].values("host") == [OPENAI.encode()]


def test_a_host_that_is_not_first_stays_where_it_is(roads: Roads) -> None:
    with opened(roads) as wire:
        wire.send(MODELS.head("/v1/models", ("X-First", "1"), ("Host", OPENAI), ("X-Last", "2")))
        assert hear(reader(wire)).status == 200
    names = [name for name, _ in roads.emulators.requests()[-1].headers]
    assert names[:3] == [b"X-First", b"Host", b"X-Last"]


def test_a_key_in_the_query_of_a_native_host(roads: Roads) -> None:
    key = roads.gateway.key()
    call = Call(method="GET", target=f"/v1/models?a=%2F&key={key}&b")
    arrived, answer = roads.call_in_tunnel(OPENAI, call, proof=("Accept", "*/*"), at_connect=False)
    assert (arrived.target, answer.status) == (b"/v1/models?a=%2F&b", 200)
    assert key.encode() not in arrived.head


def test_a_presigned_url_loses_its_signature(roads: Roads) -> None:
    """What proves the client to AWS goes, wherever it stands; ours is a header."""
    presigned = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F1&X-Amz-Date=1&X-Amz-Signature=ab"
    call = Call(method="GET", target=f"/foundation-models?byProvider=Amazon&{presigned}")
    arrived, answer = roads.call_in_tunnel(CONTROL, call)
    assert (arrived.target, answer.status) == (b"/foundation-models?byProvider=Amazon", 200)


def test_connection_may_name_what_it_likes(roads: Roads) -> None:
    """What `Connection` names goes, and what must be there is there all the same."""
    named = ("Connection", "close, Content-Length, Host, Authorization, X-Request-Id, X-Mine")
    call = Call(target="/v1/echo/named", headers=(named, ("X-Mine", "1"), ("X-Other", "2")), body=b"body")
    arrived, answer = roads.call_in_tunnel(OPENAI, call)
    assert (answer.status, answer.body) == (200, b"body")
    assert arrived.values("content-length") == [b"4"]
    assert arrived.values("host") == [OPENAI.encode()]
    assert arrived.values("authorization") == [b"Bearer " + roads.emulators.credentials.openai_key.encode()]
    assert (len(arrived.values("x-request-id")), arrived.values("x-mine"), arrived.values("x-other")) == (1, [], [b"2"])


def test_a_client_that_closes_is_closed_to(roads: Roads) -> None:
    with opened(roads) as wire:
        wire.send(MODELS.head("/v1/models", ("Host", OPENAI), ("Connection", "close")))
        assert hear(reader(wire)).status == 200
        assert wire.read() == b""


def test_a_provider_that_hangs_up_after_each_answer(roads: Roads) -> None:
    """It promised to keep the connection; the client keeps its own, and the next call gets a new one behind us."""
    roads.emulators.behave(OPENAI, Behaviour(hang_up=True), times=None)
    with opened(roads) as wire:
        stream = reader(wire)
        for number in range(1, 6):
            wire.send(MODELS.head("/v1/models", ("Host", OPENAI)))
            assert hear(stream).status == 200
            wait_for_hang_up(roads, number)
    assert len(roads.emulators.connections) == 5


def wait_for_hang_up(roads: Roads, number: int) -> None:
    """Until the provider's side of so many connections is closed, and the gateway has had a moment to notice."""
    ends = time.monotonic() + 5
    while sum(link.closed_at is not None for link in roads.emulators.connections) < number:
        assert time.monotonic() < ends, "the emulator did not hang up"
        time.sleep(0.002)
    time.sleep(0.02)


RAW = {
    "a 204 that tells a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, b""),
    "a 304 that tells a length": (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 1234\r\n\r\n", 304, b""),
    "a 304 that tells a long one": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99999\r\n\r\n", 304, b""),
    "no headers but a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
    "no headers at all": (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nold", 200, b"old"),
    "blanks round a value": (b"HTTP/1.1 200 OK\r\nX-A:   1  \r\nContent-Length:2\r\n\r\nok", 200, b"ok"),
    "chunk extensions": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0;x\r\n\r\n",
        200,
        b"abc",
    ),
    "coding in capitals": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, b"abc"),
}


@pytest.mark.parametrize(("raw", "status", "body"), RAW.values(), ids=RAW)
def test_an_answer_as_others_write_it(roads: Roads, raw: bytes, status: int, body: bytes) -> None:
    roads.emulators.behave(OPENAI, Behaviour(raw=raw, cut=Cut.CLOSE))
    _, heard = roads.call_in_tunnel(OPENAI, MODELS)
    assert (heard.status, heard.body) == (status, body)


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Content-Length: 5000", b"Content-Length: 500000"])
def test_a_head_is_answered_by_a_head_alone(roads: Roads, framing: bytes) -> None:
    """However the provider frames the body that it does not send; both connections serve the next request."""
    roads.emulators.behave(OPENAI, Behaviour(raw=b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n", stays=True))
    with opened(roads) as wire:
        stream = reader(wire)
        wire.send(Call(method="HEAD", target="/v1/models").head("/v1/models", ("Host", OPENAI)))
        heard = hear(stream, "HEAD")
        name, _, value = framing.partition(b": ")
        assert (heard.status, heard.values(name.decode())) == (200, [value])
        wire.send(MODELS.head("/v1/models", ("Host", OPENAI)))
        assert hear(stream).status == 200
