"""The look-up before a dial: `upstream.resolve` applies, and private addresses are refused before a packet leaves."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping
from typing import Any

from addons.wire.connection import dialling
from llmauth.addresses import HostPort, is_private

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class AddressRefused(OSError):
    """A name led to an address that the configuration does not allow."""

    def __init__(self, host: str) -> None:
        super().__init__(errno.EACCES, f"{host} resolves to a private or reserved address")


class Dialer:
    """Answers the event loop's `getaddrinfo` for upstream connections, and leaves every other look-up alone.

    mitmproxy dials by `asyncio.open_connection`, which asks the loop for addresses and connects to what it is told: so
    the address judged here is the address dialled, and a name that changes its mind in between gains nothing.
    """

    def __init__(self, resolve: Mapping[str, HostPort], allow_private: frozenset[str]) -> None:
        self._resolve = dict(resolve)
        self._allow_private = allow_private | frozenset(resolve)
        self._lookup: Callable[..., Any] | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the place of the loop's own look-up."""
        self._lookup = loop.getaddrinfo
        loop.getaddrinfo = self.getaddrinfo  # type: ignore[assignment]

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[AddressInfo]:
        """Addresses for a name; raises AddressRefused (an OSError, so that the dial fails) for a private one."""
        assert self._lookup is not None
        more = {"family": family, "type": type, "proto": proto, "flags": flags}
        if not dialling.get():
            found: list[AddressInfo] = await self._lookup(host, port, **more)
            return found
        instead = self._resolve.get(host)
        if instead is not None:
            found = await self._lookup(instead.host, instead.port, **more)
            return found
        found = await self._lookup(host, port, **more)
        if host not in self._allow_private and any(is_private(str(info[4][0])) for info in found):
            raise AddressRefused(host)
        return found
