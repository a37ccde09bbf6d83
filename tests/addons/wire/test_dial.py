from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from addons.wire.connection import dialling
from addons.wire.dial import AddressRefused, Dialer
from llmauth.addresses import HostPort

Table = Mapping[str, list[str]]


def dialer(table: Table, resolve: Mapping[str, HostPort] | None = None, allow: frozenset[str] = frozenset()) -> Any:
    """A loop's look-up whose names are those of the table, with ours in its place."""

    async def lookup(host: str, port: int, **more: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in table[host]]

    class Loop:
        getaddrinfo = staticmethod(lookup)

    loop: Any = Loop()
    Dialer(resolve or {}, allow).install(loop)
    return loop


async def found(loop: Any, host: str, *, as_dial: bool = True) -> list[tuple[str, int]]:
    async def ask() -> list[tuple[str, int]]:
        dialling.set(as_dial)
        return [info[4] for info in await loop.getaddrinfo(host, 443)]

    return await asyncio.create_task(ask())


async def test_a_public_address_is_dialled() -> None:
    assert await found(dialer({"api.openai.com": ["104.18.7.192"]}), "api.openai.com") == [("104.18.7.192", 443)]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:10.0.0.1"], ["104.18.7.192", "192.168.1.1"]],
)
async def test_a_name_that_leads_inside_is_refused(addresses: list[str]) -> None:
    """S8: one private address among several is enough."""
    with pytest.raises(AddressRefused, match="private or reserved"):
        await found(dialer({"api.openai.com": addresses}), "api.openai.com")


async def test_a_refusal_is_an_oserror_so_that_the_dial_fails() -> None:
    assert issubclass(AddressRefused, OSError)


async def test_an_allowed_name_may_lead_inside() -> None:
    loop = dialer({"vpce.internal": ["10.0.0.1"]}, allow=frozenset({"vpce.internal"}))
    assert await found(loop, "vpce.internal") == [("10.0.0.1", 443)]


async def test_a_resolved_name_leads_where_the_configuration_says() -> None:
    loop = dialer({"127.0.0.1": ["127.0.0.1"]}, {"api.openai.com": HostPort("127.0.0.1", 8888)})
    assert await found(loop, "api.openai.com") == [("127.0.0.1", 8888)]


async def test_other_look_ups_of_the_process_are_left_alone() -> None:
    loop = dialer({"metadata": ["169.254.169.254"]}, {"metadata": HostPort("127.0.0.1", 1)})
    assert await found(loop, "metadata", as_dial=False) == [("169.254.169.254", 443)]


async def test_a_real_dial_asks_us() -> None:
    """asyncio connects to what it is told here, and to nothing else."""
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    Dialer({"api.openai.com": HostPort("127.0.0.1", port)}, frozenset()).install(loop)

    async def dial() -> tuple[str, int]:
        dialling.set(True)
        _, writer = await asyncio.open_connection("api.openai.com", 443)
        peer: tuple[str, int] = writer.get_extra_info("peername")
        writer.close()
        return peer

    assert await asyncio.create_task(dial()) == ("127.0.0.1", port)
    server.close()
