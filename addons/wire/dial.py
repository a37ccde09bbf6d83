"""How an upstream is reached: `upstream.resolve`, addresses refused before a packet leaves, the company's own proxy."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from addons.wire.connection import dialling, going
from llmauth.addresses import HostPort, is_inner_name, is_ip_literal, is_private
from llmauth.gateway.plan import Way
from llmauth.upstream_proxy import HEAD_LIMIT, PROXY_FAILED, UpstreamProxy, UpstreamProxyError

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class AddressRefused(OSError):
    """A name led to an address that the configuration does not allow."""

    def __init__(self, host: str) -> None:
        super().__init__(errno.EACCES, f"{host} resolves to a private or reserved address")


class Dialer:
    """Answers the event loop's `getaddrinfo` for upstream connections, and leaves every other look-up alone.

    mitmproxy dials by `asyncio.open_connection`, which asks the loop for addresses and connects to what it is told: so
    the address judged here is the address dialled, and a name that changes its mind in between gains nothing. Addresses
    that are no name are not looked up, and are judged as the connection is asked for. `own_ports` are those that this
    process listens on: nobody is led back to them, whatever the configuration allows. A request goes out as it was
    configured at its arrival, and whoever has no such way as `follow` was told last.
    """

    def __init__(
        self,
        resolve: Mapping[str, HostPort] = MappingProxyType({}),
        allow_private: frozenset[str] = frozenset(),
        own_ports: Collection[int] = (),
        proxy: UpstreamProxy | None = None,
    ) -> None:
        self._now = Way(resolve=dict(resolve), allow_private=allow_private, proxy=proxy)
        self._own_ports = frozenset(own_ports)
        self._lookup: Callable[..., Any] | None = None
        self._connect: Callable[..., Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the place of the loop's own look-up and of its way to connect."""
        self._loop = loop
        self._lookup, self._connect = loop.getaddrinfo, loop.create_connection
        loop.getaddrinfo = self.getaddrinfo  # type: ignore[assignment]
        loop.create_connection = self.create_connection  # type: ignore[assignment]

    def follow(self, way: Way) -> None:
        """The configuration is another one now."""
        self._now = way

    @property
    def _way(self) -> Way:
        return going.get() or self._now

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[AddressInfo]:
        """Addresses for a name; raises AddressRefused (an OSError, so that the dial fails) for a private one."""
        assert self._lookup is not None
        more = {"family": family, "type": type, "proto": proto, "flags": flags}
        if not dialling.get():
            found: list[AddressInfo] = await self._lookup(host, port, **more)
            return found
        instead = self._way.resolve.get(host)
        found = await self._lookup(*(instead or (host, port)), **more)
        for info in found:
            self._judge(host, str(info[4][0]), int(info[4][1]))
        return found

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        """A connection to a host and port, through the company's proxy where that serves the host.

        Raises AddressRefused and UpstreamProxyError, both OSErrors.
        """
        assert self._connect is not None
        if not dialling.get() or not isinstance(host, str):
            return await self._connect(factory, host, port, **more)
        if is_ip_literal(host):
            self._judge(host, host, int(port))
        way = self._way
        if way.proxy is None or host in way.resolve or not way.proxy.serves(host):
            return await self._connect(factory, host, port, **more)
        if is_inner_name(host) and host not in way.allow_private:
            raise AddressRefused(host)
        # Of every other name, the address is looked up by the proxy and judged by it alone.
        sock = await self._through(way.proxy, HostPort(host, int(port)))
        try:
            return await self._connect(factory, sock=sock)
        except BaseException:
            sock.close()
            raise

    def _judge(self, host: str, address: str, port: int) -> None:
        if port in self._own_ports and _is_here(address):
            raise AddressRefused(host)
        if not self._way.may_be_private(host) and is_private(address):
            raise AddressRefused(host)

    async def _through(self, proxy: UpstreamProxy, target: HostPort) -> socket.socket:
        """A socket on whose other end, behind the proxy, is the target."""
        sock = await self._reach(proxy)
        try:
            await self._running.sock_sendall(sock, proxy.question(target))
            proxy.check(await self._head(sock, proxy), target)
        except UpstreamProxyError:
            sock.close()
            raise
        except OSError as error:
            sock.close()
            raise UpstreamProxyError(f"{PROXY_FAILED}{proxy.address.place} broke off") from error
        except BaseException:
            sock.close()
            raise
        return sock

    async def _reach(self, proxy: UpstreamProxy) -> socket.socket:
        assert self._lookup is not None
        place, last = proxy.address.place, ""
        try:
            found = await self._lookup(place.host, place.port, type=socket.SOCK_STREAM)
        except OSError:
            raise UpstreamProxyError(f"{PROXY_FAILED}{place} has a name that cannot be looked up") from None
        for family, kind, protocol, _, address in found:
            if address[1] in self._own_ports and _is_here(str(address[0])):
                raise UpstreamProxyError(f"{PROXY_FAILED}{place} is this server itself")
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            try:
                await self._running.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                last = type(error).__name__
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise UpstreamProxyError(f"{PROXY_FAILED}{place} cannot be reached ({last})")

    async def _head(self, sock: socket.socket, proxy: UpstreamProxy) -> bytes:
        """The head of its answer, byte by byte: what follows is the target's, and must stay where it is."""
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            byte = await self._running.sock_recv(sock, 1)
            if not byte or len(head) > HEAD_LIMIT:
                what = "broke off" if not byte else "gave an answer without an end"
                raise UpstreamProxyError(f"{PROXY_FAILED}{proxy.address.place} {what}")
            head += byte
        return bytes(head)

    @property
    def _running(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None
        return self._loop


def _is_here(address: str) -> bool:
    """Whether an address is one of this machine: only such an address can be bound to."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    carried = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    ip = carried or ip
    if ip.is_loopback or ip.is_unspecified:
        return True
    try:
        with socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True
