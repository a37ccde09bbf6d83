"""The load of the benchmark: raw keep-alive connections that ask, and read whole answers, at little cost."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A proxy under load. `tunnel` is the CONNECT target, `None` for plain requests to `path` on the proxy itself."""

    name: str
    pid: int
    port: int
    host: str
    path: str
    key: str
    tunnel: str | None = None
    ca_file: str | None = None


class Line:
    """One client connection through a contender."""

    def __init__(self, contender: Contender) -> None:
        self._to = contender
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Connect, and open the tunnel where there is one."""
        to = self._to
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", to.port)
        if to.tunnel is None:
            return
        basic = base64.b64encode(f"bench:{to.key}".encode()).decode()
        head = f"CONNECT {to.tunnel} HTTP/1.1\r\nHost: {to.tunnel}\r\nProxy-Authorization: Basic {basic}\r\n\r\n"
        self._writer.write(head.encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200" not in answer.partition(b"\r\n")[0]:
            raise RuntimeError(f"{to.name}: {answer!r}")
        await self._writer.start_tls(ssl.create_default_context(cafile=to.ca_file), server_hostname=to.host)

    async def ask(self, body: bytes) -> tuple[float, float]:
        """Seconds to the first byte and to the whole of one answer; RuntimeError when it is not a 200."""
        to = self._to
        head = (
            f"POST {to.path} HTTP/1.1\r\nHost: {to.host}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n"
            f"User-Agent: bench/1\r\nX-Stainless-Lang: python\r\nX-Stainless-Retry-Count: 0\r\n"
            f"X-Stainless-Runtime: CPython\r\nAuthorization: Bearer {to.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        started = time.perf_counter()
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        first = time.perf_counter() - started
        if not answer.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{to.name}: {answer!r}")
        await self._rest(answer)
        return first, time.perf_counter() - started

    async def _rest(self, head: bytes) -> None:
        if b"transfer-encoding: chunked" not in head:
            await self._reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            return
        size = 1
        while size:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            await self._reader.readexactly(size + 2)

    def close(self) -> None:
        """End the connection without waiting."""
        self._writer.close()


async def load(contender: Contender, body: bytes, requests: int, lines: int) -> list[tuple[float, float]]:
    """`requests` in all over `lines` connections at once; first-byte and whole seconds of each."""
    opened = [Line(contender) for _ in range(lines)]
    for line in opened:
        await line.open()

    async def work(line: Line) -> list[tuple[float, float]]:
        return [await line.ask(body) for _ in range(requests // lines)]

    spent = await asyncio.gather(*map(work, opened))
    for line in opened:
        line.close()
    return [each for one in spent for each in one]
