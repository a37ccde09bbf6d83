"""What workers and the process that counts say to each other."""

import asyncio
import json
import os
import socket
from decimal import Decimal

import pytest

from llmauth.governance.broker_wire import (
    LONGEST,
    Broken,
    demand_from_words,
    packed,
    received,
    scopes_as_words,
    settlement_from_words,
    short,
)
from llmauth.governance.demands import NANOS, Scope

SCOPES = (Scope(key="user:ålice", rpm=1, budget=5 * NANOS, per="month"), Scope(key="key:k", tpm=2, concurrent=3))


async def read(data: bytes):
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await received(reader)


async def test_what_is_packed_is_received():
    words = [7, "admit", scopes_as_words(SCOPES), 10, 20, None, True]
    assert await read(packed(*words)) == words


def test_scopes_come_back_the_same():
    words = json.loads(json.dumps(scopes_as_words(SCOPES)))
    demand = demand_from_words(words, 10, 3)
    assert (demand.scopes, demand.reserved, demand.nanos) == (SCOPES, 10, 3)
    assert demand.cost == Decimal(3) / NANOS
    assert settlement_from_words(words, -5, -6, [1, 2]) == (SCOPES, -5, -6, (1, 2))


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"5", b"[" * 100_000, b"\xff"])
async def test_what_is_no_message_is_broken(body):
    with pytest.raises(Broken):
        await read(len(body).to_bytes(4) + body)


async def test_what_is_too_long_is_not_even_read():
    with pytest.raises(Broken):
        await read((LONGEST + 1).to_bytes(4))


async def test_what_is_cut_is_an_end():
    with pytest.raises(EOFError):
        await read(packed(1, "beat")[:-1])


def test_a_socket_in_a_deep_folder_can_be_reached(tmp_path):
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    assert len(os.fsencode(folder)) > 108
    with short(folder / "limits.sock") as address, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
    assert (folder / "limits.sock").is_socket()


def test_a_short_path_stays_as_it_is(tmp_path):
    with short(tmp_path.parent / "x") as address:
        assert address == str(tmp_path.parent / "x")
