"""A drain waits for what runs, up to its limit, and a second stop does not wait at all."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.test import tflow

from addons.exchange import Exchanges
from addons.launch.drain import Drain


class Master:
    def __init__(self) -> None:
        self.should_exit = asyncio.Event()
        self.changed: list[dict[str, Any]] = []
        self.options = SimpleNamespace(update=lambda **values: self.changed.append(values))


def made(exchanges: Exchanges, limit: float = 5.0) -> tuple[Drain, Master]:
    master: Any = Master()
    proxyserver: Any = SimpleNamespace(connections={})
    return Drain(master, proxyserver, exchanges, lambda: limit), master


async def test_nothing_to_wait_for(exchanges: Exchanges) -> None:
    drain, master = made(exchanges)
    await drain.run()
    assert master.should_exit.is_set()
    assert exchanges.draining
    assert master.changed == [{"server": False}]


async def test_what_runs_is_waited_for(exchanges: Exchanges) -> None:
    drain, master = made(exchanges)
    exchanges.open.add(flow := tflow.tflow())
    drain.stop()
    await asyncio.sleep(0.1)
    assert not master.should_exit.is_set()
    exchanges.open.discard(flow)
    await asyncio.wait_for(master.should_exit.wait(), 1)


async def test_the_limit_ends_the_wait(exchanges: Exchanges, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    drain, _ = made(exchanges, limit=0.1)
    exchanges.open.add(tflow.tflow())
    began = time.monotonic()
    await drain.run()
    assert time.monotonic() - began < 1
    assert exchanges.parting
    assert "The drain limit is over" in caplog.text


async def test_a_second_stop_ends_at_once(exchanges: Exchanges) -> None:
    drain, master = made(exchanges)
    exchanges.open.add(tflow.tflow())
    drain.stop()
    drain.stop()
    assert master.should_exit.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_drain(exchanges: Exchanges, number: int) -> None:
    drain, master = made(exchanges)
    drain.obey_signals()
    try:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(master.should_exit.wait(), 1)
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(each)


async def test_a_drain_that_is_asked_for_twice_is_one_drain(exchanges: Exchanges) -> None:
    drain, master = made(exchanges)
    exchanges.open.add(flow := tflow.tflow())
    for _ in range(3):
        drain.begin()
    await asyncio.sleep(0.1)
    assert not master.should_exit.is_set()
    assert len(master.changed) == 1
    exchanges.open.discard(flow)
    await asyncio.wait_for(master.should_exit.wait(), 1)
