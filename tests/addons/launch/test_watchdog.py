from __future__ import annotations

import asyncio
import threading
import time

import pytest

from addons.launch.watchdog import Watchdog

BEAT = 0.02


def watched(ended: list[int]) -> Watchdog:
    return Watchdog(stuck_after=5 * BEAT, end=ended.append, beat=BEAT)


async def test_a_loop_that_stands_still_ends_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    ended: list[int] = []
    watchdog = watched(ended)
    watchdog.running()
    await asyncio.sleep(2 * BEAT)
    began = time.monotonic()
    while not ended and time.monotonic() - began < 5:
        time.sleep(BEAT)  # what no hook may do
    watchdog.done()
    assert ended == [70]
    assert time.monotonic() - began < 2
    assert "test_watchdog.py" in capfd.readouterr().err  # where it stood


async def test_a_loop_that_runs_does_not() -> None:
    ended: list[int] = []
    watchdog = watched(ended)
    watchdog.running()
    await asyncio.sleep(20 * BEAT)
    watchdog.done()
    assert ended == []


async def test_after_the_end_nobody_watches() -> None:
    ended: list[int] = []
    watchdog = watched(ended)
    watchdog.running()
    watchdog.done()
    time.sleep(20 * BEAT)
    assert ended == []


class Frozen(threading.Event):
    """Waits longer than it is told, as everything does in a process that is stopped and goes on."""

    def wait(self, timeout: float | None = None) -> bool:
        time.sleep(6 * BEAT)
        return self.is_set()


async def test_a_process_that_was_frozen_is_not_ended() -> None:
    """The watching thread slept as long as the loop did: one round, however long."""
    ended: list[int] = []
    watchdog = watched(ended)
    watchdog._stopped = Frozen()
    watchdog.running()
    await asyncio.sleep(15 * BEAT)
    watchdog.done()
    assert ended == []
