"""Tickets, as those who wait for them see them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from llmauth.audit.tickets import Ticket, not_recorded, settle
from llmauth.errors import Unavailable
from tests.fixtures.audits import decided

LOCK = threading.Lock()


def ticket() -> Ticket:
    return Ticket(decided(), 1.0, False, LOCK, threading.Event())


async def test_many_may_wait_for_one() -> None:
    one = ticket()
    waiting = [asyncio.ensure_future(one.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    threading.Thread(target=settle, args=([one], LOCK), kwargs={"written": True}).start()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_what_failed_is_refused_then_and_later() -> None:
    one = ticket()
    waiting = asyncio.ensure_future(one.wait())
    await asyncio.sleep(0)
    settle([one], LOCK, written=False)
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await one.wait()
    with pytest.raises(Unavailable):
        one.wait_blocking()


async def test_who_stops_waiting_harms_nobody() -> None:
    one = ticket()
    left, stays = asyncio.ensure_future(one.wait()), asyncio.ensure_future(one.wait())
    await asyncio.sleep(0)
    left.cancel()
    settle([one], LOCK, written=True)
    await stays


def test_a_loop_that_is_closed_is_no_fault() -> None:
    one, loop = ticket(), asyncio.new_event_loop()
    task = loop.create_task(one.wait())
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    settle([one], LOCK, written=True)
    assert one.written


def test_a_thread_waits_so_long_and_no_longer() -> None:
    with pytest.raises(Unavailable):
        ticket().wait_blocking(0.01)


def test_the_refusal_tells_the_client_nothing_of_the_disk() -> None:
    refusal = not_recorded("No space left on device")
    assert "space" not in refusal.sentence
    assert refusal.status == 503
