from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from typing import Any

import pytest

from addons.wire import dial
from addons.wire.connection import dialling
from addons.wire.dial import AddressRefused, Dialer
from llmauth.addresses import HostPort
from llmauth.upstream_proxy import NoProxy, ProxyAddress, UpstreamProxy, UpstreamProxyError

Table = Mapping[str, list[str]]


def dialer(table: Table, resolve: Mapping[str, HostPort] | None = None, allow: frozenset[str] = frozenset()) -> Any:
    """A loop's look-up whose names are those of the table, with ours in its place."""

    async def lookup(host: str, port: int, **more: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in table[host]]

    class Loop:
        getaddrinfo = staticmethod(lookup)
        create_connection = staticmethod(lookup)

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


async def dialled(place: tuple[str, int], dialer: Dialer) -> tuple[str, int]:
    """The address at the other end of a real connection that this dialer made."""
    dialer.install(asyncio.get_running_loop())

    async def dial() -> tuple[str, int]:
        dialling.set(True)
        _, writer = await asyncio.open_connection(*place)
        peer: tuple[str, int] = writer.get_extra_info("peername")
        writer.close()
        return peer

    return await asyncio.create_task(dial())


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "0.0.0.0"])
async def test_an_address_that_needs_no_look_up_is_judged_too(address: str) -> None:
    """S8: asyncio asks nobody about these."""
    with pytest.raises(AddressRefused):
        await dialled((address, 443), Dialer({}, frozenset()))


@pytest.mark.parametrize("allow", [frozenset[str](), frozenset({"127.0.0.1", "self.example", "localhost"})])
@pytest.mark.parametrize("name", ["127.0.0.1", "self.example", "localhost"])
async def test_our_own_ports_are_dialled_by_no_name(name: str, allow: frozenset[str]) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(AddressRefused):
        await dialled((name, port), Dialer({"self.example": HostPort("127.0.0.1", port)}, allow, {port}))
    server.close()


@pytest.mark.parametrize(
    ("address", "here"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", True), ("::ffff:127.0.0.1", True)]
)
def test_addresses_of_this_machine_are_known(address: str, here: bool) -> None:
    assert dial._is_here(address) is here
    assert not dial._is_here("93.184.216.34")
    assert not dial._is_here("2606:4700::1111")
    assert dial._is_here("what is this")


def through(port: int, *exempt: str) -> Dialer:
    """A dialer with a company's proxy on this port."""
    proxy = UpstreamProxy(ProxyAddress(place=HostPort("127.0.0.1", port)), NoProxy(exempt))
    return Dialer({"direct.example": HostPort("127.0.0.1", port)}, frozenset(), (), proxy)


async def test_a_proxy_is_asked_and_what_follows_its_answer_is_the_hosts() -> None:
    """Not one byte beyond the head may be taken: hosts that speak first are behind proxies too."""
    asked: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n220 the host speaks first\r\n")

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    through(server.sockets[0].getsockname()[1]).install(asyncio.get_running_loop())

    async def greeting() -> bytes:
        dialling.set(True)
        reader, writer = await asyncio.open_connection("api.openai.com", 443)
        line = await reader.readline()
        writer.close()
        return line

    assert await asyncio.create_task(greeting()) == b"220 the host speaks first\r\n"
    assert asked == [b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n"]
    server.close()


async def test_a_resolved_name_is_dialled_without_the_proxy() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await dialled(("direct.example", 443), through(port)) == ("127.0.0.1", port)
    server.close()


async def test_a_proxy_that_is_not_there_is_named() -> None:
    with pytest.raises(UpstreamProxyError, match=r"the upstream proxy 127\.0\.0\.1:1 cannot be reached"):
        await dialled(("api.openai.com", 443), through(1))


async def test_an_abandoned_question_leaves_no_socket(recwarn: pytest.WarningsRecorder) -> None:
    """A proxy that hangs is given up by cancelling the dial."""
    gc.collect()
    recwarn.clear()  # what other tests left behind
    kept: list[Any] = []
    server = await asyncio.start_server(lambda *both: kept.append(both), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    task = asyncio.create_task(dialled(("api.openai.com", 443), through(port)))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    assert [str(one.message) for one in recwarn if issubclass(one.category, ResourceWarning)] == []
    server.close()


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
