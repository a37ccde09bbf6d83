"""One id for a request on all its way: the client's own where it is a plain one, and never two in a head."""

from __future__ import annotations

import time

import pytest

from tests.e2e.fidelity.calls import CONTROL, OPENAI, Call, Heard, Roads
from tests.fixtures.raw import Wire

ECHO = {OPENAI: "/v1/echo/id", CONTROL: "/echo/id"}
PLAIN = ["a", "A-b_c.9", "0" * 128, "req_f00"]
ODD = ["", " ", "a b", "a" * 129, "a/b", "a:b", "caf\xe9", "<b>", "a,b", '"a"', "a;b", "$(id)", "..%0d%0aX: y"]


def call(roads: Roads, host: str, *values: str, name: str = "X-Request-Id") -> tuple[list[bytes], Heard]:
    """The ids that arrived at the provider, and the answer."""
    headers = tuple((name, value) for value in values)
    recorded, heard = roads.call_in_tunnel(host, Call(target=ECHO[host], headers=headers, body=b"{}"))
    return recorded.values("x-request-id"), heard


@pytest.mark.parametrize("value", PLAIN)
@pytest.mark.parametrize("name", ["X-Request-Id", "x-request-id", "X-REQUEST-ID"])
def test_a_plain_id_of_the_clients_is_kept(roads: Roads, value: str, name: str) -> None:
    arrived, heard = call(roads, CONTROL, value, name=name)
    assert arrived == [value.encode()]
    assert heard.values("x-request-id") == [value.encode()]


@pytest.mark.parametrize("value", ODD)
def test_any_other_is_replaced(roads: Roads, value: str) -> None:
    ours, heard = call(roads, CONTROL, value)
    assert len(ours) == 1
    assert ours[0].startswith(b"req_")
    assert heard.values("x-request-id") == ours


def test_without_one_there_is_a_new_one_each_time(roads: Roads) -> None:
    ids = {call(roads, CONTROL)[0][0] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("values", [("one", "two"), ("one", "one"), ("not plain", "two")])
def test_several_become_one(roads: Roads, values: tuple[str, ...]) -> None:
    arrived, heard = call(roads, CONTROL, *values)
    assert len(arrived) == 1
    assert heard.values("x-request-id") == arrived
    assert arrived[0] == b"one" or arrived[0].startswith(b"req_")


@pytest.mark.parametrize("name", ["X_Request_Id", "x_request-id", "X-Request_Id"])
def test_another_spelling_is_none(roads: Roads, name: str) -> None:
    """Some servers read an underscore as a hyphen, and would then see two."""
    recorded, _ = roads.call_in_tunnel(CONTROL, Call(target=ECHO[CONTROL], headers=((name, "theirs"),), body=b"{}"))
    assert [field.lower() for field, _ in recorded.headers].count(b"x-request-id") == 1
    assert b"theirs" not in recorded.head


def test_the_providers_own_value_stays(roads: Roads) -> None:
    """SDKs show it to support; the log knows the request by both."""
    arrived, heard = call(roads, OPENAI, "mine-1")
    (theirs,) = heard.values("x-request-id")
    sent = dict(roads.emulators.requests()[-1].sent_headers)
    assert arrived == [b"mine-1"]
    assert theirs == sent[b"x-request-id"] != b"mine-1"


def test_the_log_knows_a_request_by_both_ids(roads: Roads) -> None:
    _, heard = call(roads, OPENAI, "mine-2")
    (theirs,) = heard.values("x-request-id")
    assert [line["provider_request_id"] for line in access_lines(roads, "mine-2")] == [theirs.decode()]


def access_lines(roads: Roads, request_id: str) -> list[dict[str, object]]:
    """The access lines of a request; they are written in batches, a moment late."""
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        lines = [line for line in roads.gateway.lines("request") if line.get("request_id") == request_id]
        if lines:
            return lines
        time.sleep(0.01)
    return []


@pytest.mark.parametrize(
    ("target", "status"),
    [("/health", 200), ("/transparent/openai/v1/models", 401), ("/nothing", 401)],
)
def test_our_own_answers_have_it_once(roads: Roads, target: str, status: int) -> None:
    with Wire(roads.gateway.port) as wire:
        answer = wire.request("GET", target, [("Host", "gateway"), ("X-Request-Id", "mine-3")])
        other = wire if answer.header("connection") != "close" else Wire(roads.gateway.port)
        with other:
            odd = other.request("GET", target, [("Host", "gateway"), ("X-Request-Id", "not plain")])
    assert (answer.status, answer.header("x-request-id")) == (status, "mine-3")
    assert (odd.header("x-request-id") or "").startswith("req_")


def test_a_refused_tunnel_has_it_too(roads: Roads) -> None:
    with Wire(roads.gateway.port) as wire:
        answer = wire.connect("api.openai.com:443", "llmauth_wrong_key")
    assert answer.status == 407
    assert (answer.header("x-request-id") or "").startswith("req_")
