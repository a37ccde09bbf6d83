"""A4: one computation a value, however many wait; a bounded queue; and an answer of its own for each who waited."""

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from llmauth.authenticators.base import Presented, Slot, wrong
from llmauth.authenticators.flights import Flights
from llmauth.context import Identity
from llmauth.errors import Unauthenticated, Unavailable
from tests.fixtures.methods import Slow


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def flights(slow):
    made = Flights(workers=1, queue_limit=2)
    yield made
    slow.go.set()
    made.close()


def value(text, slot=Slot.API_KEY):
    return Presented(slot=slot, value=text)


def waiting(flights, slow, *values):
    return [asyncio.ensure_future(flights.identity(slow, each)) for each in values]


async def begun(slow, calls=1):
    while len(slow.calls) < calls:
        await asyncio.sleep(0.001)


async def test_one_computation_for_all_who_wait_whichever_slot_it_stood_in(flights, slow):
    asked = waiting(flights, slow, value("a"), value("a"), value("a", Slot.AUTHORIZATION))
    await begun(slow)
    slow.go.set()
    first, *others = await asyncio.gather(*asked)
    assert first == Identity(user="a", method="slow")
    assert all(other is first for other in others)
    assert slow.calls == ["a"]


async def test_who_leaves_takes_the_answer_from_nobody(flights, slow):
    leaves, stays = waiting(flights, slow, value("a"), value("a"))
    await begun(slow)
    leaves.cancel()
    slow.go.set()
    assert (await stays).user == "a"
    assert slow.calls == ["a"]


async def test_a_refusal_is_copied_for_each(flights, slow):
    slow.error = wrong("bad_key", "why")
    slow.go.set()
    found = await asyncio.gather(*waiting(flights, slow, value("a"), value("a")), return_exceptions=True)
    assert [type(error) for error in found] == [Unauthenticated, Unauthenticated]
    assert len({id(error) for error in (*found, slow.error)}) == 3
    assert {(error.reason, error.detail) for error in found} == {("bad_key", "why")}


async def test_beyond_the_queue_a_new_value_is_refused_and_a_known_one_is_not(flights, slow):
    asked = waiting(flights, slow, value("a"), value("b"), value("c"))
    await begun(slow)
    with pytest.raises(Unavailable) as caught:
        await flights.identity(slow, value("d"))
    assert caught.value.retry_after == 1
    asked += waiting(flights, slow, value("c"))
    slow.go.set()
    assert [identity.user for identity in await asyncio.gather(*asked)] == ["a", "b", "c", "c"]
    assert (await flights.identity(slow, value("d"))).user == "d"


async def test_methods_do_not_share_their_answers(flights, slow):
    other = Slow()
    other.name = "other"
    slow.go.set()
    other.go.set()
    pair = await asyncio.gather(flights.identity(slow, value("a")), flights.identity(other, value("a")))
    assert [identity.method for identity in pair] == ["slow", "other"]


async def test_nothing_is_remembered(flights, slow):
    slow.go.set()
    for _ in range(2):
        await flights.identity(slow, value("a"))
    assert slow.calls == ["a", "a"]


async def test_at_the_end_what_waits_is_cancelled(slow):
    flights = Flights(workers=1, queue_limit=2)
    runs, waits = waiting(flights, slow, value("a"), value("b"))
    await begun(slow)
    ending = threading.Thread(target=flights.close)
    ending.start()
    with pytest.raises((asyncio.CancelledError, CancelledError)):
        await waits
    slow.go.set()
    assert (await runs).user == "a"
    ending.join(10)
    assert slow.calls == ["a"]
