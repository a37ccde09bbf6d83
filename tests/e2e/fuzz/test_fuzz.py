"""Hostile bytes by the thousand: nothing leaks, nothing breaks, and nothing is sent on that nobody asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections import Counter
from collections.abc import Iterable

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.recorder import Recorded
from tests.e2e.fuzz import oracle
from tests.e2e.fuzz.hostile import Hostile
from tests.fixtures.calls import OPENAI, call
from tests.fixtures.serving import Serving

_AT_ONCE = 40
_BATCH = 2_000
_IDLE, _LONGEST = 0.4, 8.0
# What is logged when a layer or a hook of ours met something that it cannot deal with.
BROKEN = ("A protocol layer failed", "A hook failed", "A stage failed", "A request skipped a stage", "Traceback")


class Gate:
    """The gateway door."""

    base, host = b"/transparent/openai", b"gateway"

    async def speak(self, gateway: Serving, data: bytes) -> bytes:
        """Send it all, read until nothing comes, end this side, and read until the gateway ends its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        received = b""
        with contextlib.suppress(OSError):
            writer.write(data)
            received = await _read(reader, _IDLE)
            writer.write_eof()
            received += await _read(reader, _LONGEST)
        writer.close()
        return received


class Tunnel:
    """The forward door: TLS in a tunnel, where one side alone cannot end."""

    base, host = b"", OPENAI.encode()

    async def speak(self, gateway: Serving, data: bytes) -> bytes:
        """Send it all, and read until nothing comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        received = b""
        with contextlib.suppress(OSError):
            writer.write(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await writer.start_tls(ssl.create_default_context(cafile=str(gateway.ca_file)), server_hostname=OPENAI)
            writer.write(data)
            received = await _read(reader, _IDLE)
        writer.close()
        return received


Door = Gate | Tunnel


async def _read(reader: asyncio.StreamReader, patience: float) -> bytes:
    received = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65536), patience):
            received += piece
    except TimeoutError:
        if patience == _LONGEST:
            raise
    return received


def run(gateway: Serving, door: Door, cases: dict[int, bytes]) -> dict[int, bytes]:
    """What came back for each case."""

    async def all_of_them() -> dict[int, bytes]:
        free = asyncio.Semaphore(_AT_ONCE)

        async def one(data: bytes) -> bytes:
            async with free:
                return await door.speak(gateway, data)

        answers = await asyncio.gather(*(one(data) for data in cases.values()))
        return dict(zip(cases, answers, strict=True))

    return asyncio.run(all_of_them())


def unasked(door: Door, cases: Iterable[bytes], arrived: Iterable[Recorded]) -> list[tuple[bytes, bytes, bytes]]:
    """What was sent on, though an independent reader finds no such request in what was sent here, or not so often."""
    asked = Counter(
        (one.method, _native(door, one.target), one.body) for data in cases for one in oracle.requests(data)
    )
    sent_on = Counter((seen.method, seen.target, seen.body) for seen in arrived)
    return sorted((sent_on - asked).elements())


def _native(door: Door, target: bytes) -> bytes:
    """As it is sent on: on a gateway path after the instance's base URL, whose `/v1` is written once."""
    if not door.base:
        return target.removeprefix(b"https://" + door.host)
    path = target.rpartition(door.base)[2]
    return path if path.startswith(b"/v1/") else b"/v1" + path


def attack(gateway: Serving, emulators: Emulators, door: Door, first: int, count: int) -> None:
    hostile = Hostile(gateway.key(), door.base, door.host)
    secrets = (emulators.credentials.openai_key.encode(), b"BEGIN")
    answered = 0
    for start in range(first, first + count, _BATCH):
        emulators.clear()
        cases = {number: hostile.connection(number) for number in range(start, min(start + _BATCH, first + count))}
        answers = run(gateway, door, cases)
        arrived = emulators.requests()
        leaks = [number for number, answer in answers.items() if any(secret in answer for secret in secrets)]
        assert leaks == []
        assert not [seen for seen in arrived if gateway.key().encode() in seen.head]
        assert unasked(door, cases.values(), arrived) == []
        assert all(seen.host == OPENAI for seen in arrived)
        answered += len(arrived)
    assert answered > count / 20  # enough of them are honest that this tests something
    assert not [line for line in gateway.log().splitlines() if any(sign in line for sign in BROKEN)]
    assert gateway.process.poll() is None
    assert call(gateway).status == 200


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("door", "count"), [(Gate(), 2_000), (Tunnel(), 500)], ids=["gateway", "tunnel"])
def test_thousands_of_connections(gateway: Serving, emulators: Emulators, door: Door, count: int) -> None:
    """The seed changes with the day, so that tomorrow other cases are tried; LLMAUTH_FUZZ_SEED brings a day back."""
    first = int(os.environ.get("LLMAUTH_FUZZ_SEED") or time.strftime("%Y%m%d")) * 10_000
    attack(gateway, emulators, door, first, count)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("door", "count"), [(Gate(), 80_000), (Tunnel(), 20_000)], ids=["gateway", "tunnel"])
def test_a_hundred_thousand_connections(gateway: Serving, emulators: Emulators, door: Door, count: int) -> None:
    attack(gateway, emulators, door, 1, count)
