"""The comparer itself: it finds every difference that is not allowed, or the tests that trust it prove nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.recorder import Recorded
from tests.e2e.fidelity.calls import OPENAI, Call, Roads
from tests.e2e.fidelity.comparison import differences
from tests.fixtures.serving import Serving

CALL = Call(target="/v1/echo/a?b=1", headers=(("X-One", "1"), ("X-Two", "2"), ("x-one", "3")), body=b"body")


@pytest.fixture(scope="module")
def pair(shared_gateway: Serving, shared_emulators: Emulators) -> tuple[Recorded, Recorded]:
    """A call as it arrived directly and through us."""
    roads = Roads(gateway=shared_gateway, emulators=shared_emulators)
    return roads.call_directly(OPENAI, CALL)[0], roads.call_in_tunnel(OPENAI, CALL)[0]


def with_headers(via: Recorded, change: Any) -> Recorded:
    return replace(via, headers=tuple(change(list(via.headers))))


def without(name: bytes) -> Any:
    return lambda fields: [field for field in fields if field[0].lower() != name]


def swapped(fields: list[Any]) -> list[Any]:
    places = [index for index, field in enumerate(fields) if field[0].lower().startswith(b"x-") and field[1] in b"123"]
    fields[places[0]], fields[places[1]] = fields[places[1]], fields[places[0]]
    return fields


CHANGES = {
    "method": lambda via: replace(via, method=b"PUT"),
    "target": lambda via: replace(via, target=b"/v1/echo/a?b=%31"),
    "host": lambda via: replace(via, host="api.anthropic.com"),
    "a byte of the body": lambda via: replace(via, body=b"bodY"),
    "the body's end": lambda via: replace(via, body=b"bod"),
    "a header's value": lambda via: with_headers(via, lambda f: [(n, b"9" if v == b"2" else v) for n, v in f]),
    "a header's spelling": lambda via: with_headers(via, lambda f: [(n.upper(), v) for n, v in f]),
    "a header lost": lambda via: with_headers(via, without(b"x-two")),
    "one of two lost": lambda via: with_headers(via, lambda f: [x for x in f if x != (b"x-one", b"3")]),
    "a header gained": lambda via: with_headers(via, lambda f: [*f, (b"Via", b"1.1 us")]),
    "a header doubled": lambda via: with_headers(via, lambda f: [*f, (b"X-Two", b"2")]),
    "another order": lambda via: with_headers(via, swapped),
    "no request id": lambda via: with_headers(via, without(b"x-request-id")),
    "two request ids": lambda via: with_headers(via, lambda f: [*f, (b"x-request-id", b"r")]),
    "no credential": lambda via: with_headers(via, without(b"authorization")),
    "a credential left": lambda via: with_headers(via, lambda f: [*f, (b"x-api-key", b"k")]),
    "a second credential": lambda via: with_headers(via, lambda f: [*f, (b"Authorization", b"Bearer k")]),
    "hop by hop": lambda via: with_headers(via, lambda f: [*f, (b"TE", b"trailers")]),
    "a proxy's": lambda via: with_headers(via, lambda f: [*f, (b"Proxy-Connection", b"close")]),
    "two hosts": lambda via: with_headers(via, lambda f: [*f, (b"Host", b"other")]),
}


def test_a_call_through_us_differs_in_nothing(pair: tuple[Recorded, Recorded]) -> None:
    assert differences(*pair) == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_is_found(pair: tuple[Recorded, Recorded], change: Any) -> None:
    direct, via = pair
    assert differences(direct, change(via)) != []


def test_a_header_that_varies_must_still_be_there(pair: tuple[Recorded, Recorded]) -> None:
    direct, via = pair
    other = with_headers(via, lambda f: [(n, b"9" if v == b"2" else v) for n, v in f])
    assert differences(direct, other, varying=[b"x-two"]) == []
    assert differences(direct, with_headers(via, without(b"x-two")), varying=[b"x-two"]) != []
