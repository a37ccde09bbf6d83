"""Client connections: how many there may be, and how long each may say nothing, or take nothing."""

from __future__ import annotations

import logging
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import ctx
from mitmproxy.connection import Client
from mitmproxy.utils import asyncio_utils

from addons.exchange import Awaited, Exchanges, Peer, peer_of
from addons.wire.reading import SteadyConnection
from addons.wire.signals import Overdue
from llmauth.config.limits import Limits
from llmauth.gateway import Gateway

logger = logging.getLogger(__name__)

# Who has only just come is not too many: in a burst of honest clients nobody has had the time yet to prove anything.
_GRACE = 1.0
# What a layer may take to close a connection that it was told to, before that is closed under it.
_LAST_WORD = 1.0
# Descriptors for everything but clients and their providers: the database, credentials, listeners, the log.
_RESERVED = 128
_MOST = 10_000
_DESCRIPTORS = 65_536

_LAZY = frozenset({Awaited.FIRST_HEAD, Awaited.HEAD, Awaited.IDLE})
_CONNECTED = (Awaited.FIRST_HEAD, 1)


@dataclass(slots=True)
class _Watched:
    """One connection, and since when (monotonic seconds) it stands where it stands."""

    client: Client
    peer: Peer
    came: float
    awaited: tuple[Awaited, int]
    since: float
    taken: int = 0
    taken_at: float = 0.0
    told_at: float | None = None


class Connections:
    """Lets clients in as long as there is room for them, and ends those that hold a connection for nothing.

    It looks at where each connection stands a few times a second; a connection itself does nothing for that.
    """

    name = "connections"

    def __init__(self, gateway: Gateway, exchanges: Exchanges, tell: Callable[[str], None]) -> None:
        self.gateway = gateway
        self.exchanges = exchanges
        self._tell = tell
        self._limits = gateway.plan.limits
        self._room = _MOST
        self._most = self._limits.connections or _MOST
        self._open: dict[str, _Watched] = {}

    def running(self) -> None:
        """Take as many file descriptors as the system lets us have: a client needs two."""
        self._room = max(1, (_raise_descriptors() - _RESERVED) // 2)
        self._follow(self._limits)

    def _follow(self, limits: Limits) -> None:
        """Go by these from now on, also for connections that are open; a layer that reads heads keeps its own."""
        self._limits, self._most = limits, min(limits.connections or _MOST, self._room)
        for one in self._open.values():
            one.peer.limits = limits
        if limits.connections is not None and self._most < limits.connections:
            facts = {"connections": self._most}
            logger.warning("The limit of open files allows fewer connections than configured", extra=facts)

    def client_connected(self, client: Client) -> None:
        if len(self._open) >= self._most and not self._make_room():
            client.error = "too many connections"
            self._tell("connections")
            return
        now, peer = time.monotonic(), peer_of(client)
        peer.limits = self._limits
        self._open[client.id] = _Watched(client, peer, now, _CONNECTED, now)

    def client_disconnected(self, client: Client) -> None:
        self._open.pop(client.id, None)

    def look(self, now: float) -> None:
        """End what has taken too long by now, and who are too many."""
        if self.gateway.plan.limits is not self._limits:
            self._follow(self.gateway.plan.limits)
        for one in list(self._open.values()):
            handler = _handler_of(one.client)
            if handler is not None:
                self._judge(one, handler, now)
        self._thin_out(now)

    # ---- time ------------------------------------------------------------------------------------------------------

    def _judge(self, one: _Watched, handler: SteadyConnection, now: float) -> None:
        if self._takes_nothing(one, handler, now):
            self._abort(one, handler)
            return
        awaited = _awaited(one)
        if awaited != one.awaited or handler.unwritten(one.client):
            # Who has not taken its answers is not read, and so not waited for.
            one.awaited, one.since, one.told_at = awaited, now, None
        limit, seconds = self._limit_of(one)
        if now - one.since > seconds:
            self._end(one, handler, limit, now)

    def _limit_of(self, one: _Watched) -> tuple[str, float]:
        what = one.awaited[0]
        if what in (Awaited.FIRST_HEAD, Awaited.HEAD):
            return "head_timeout", self._limits.head_timeout
        if what is Awaited.IDLE:
            # Who has proved nothing keeps a connection no longer than it takes to ask something.
            longest = self._limits.idle_timeout
            return "idle_timeout", longest if one.peer.proved else min(longest, self._limits.head_timeout)
        return "", float("inf")  # the deadlines of its exchange count

    def _takes_nothing(self, one: _Watched, handler: SteadyConnection, now: float) -> bool:
        """Whether bytes wait for the client of which it has taken none for too long."""
        waiting = handler.unwritten(one.client)
        taken = handler.handed_to_client - waiting
        if not waiting or taken != one.taken:
            one.taken, one.taken_at = taken, now
            return False
        return now - one.taken_at > self._limits.write_timeout

    def _abort(self, one: _Watched, handler: SteadyConnection) -> None:
        for flow in self.exchanges.open:
            exchange = self.exchanges.of(flow)
            if exchange is not None and flow.client_conn is one.client:
                exchange.limit = "write_timeout"
        self._closed("write_timeout", one)
        handler.abort_client()

    def _end(self, one: _Watched, handler: SteadyConnection, limit: str, now: float) -> None:
        """Through the layers, which may have a word to say; or at once, when they have had their time."""
        if one.told_at is not None:
            if now - one.told_at > _LAST_WORD:
                _close(handler)
            return
        one.told_at = now
        self._closed(limit, one)
        if one.peer.http is None:
            _close(handler)
        else:
            asyncio_utils.create_task(handler.server_event(Overdue()), name="overdue", keep_ref=True)

    # ---- number ----------------------------------------------------------------------------------------------------

    def _make_room(self) -> bool:
        """Close the oldest connection that nobody has proved anything on; False where there is none."""
        for one in self._open.values():
            if not one.peer.proved and _awaited(one)[0] in _LAZY:
                return self._evict(one, "connections")
        return False

    def _thin_out(self, now: float) -> None:
        """The oldest of those that have proved nothing go, when they are too many: of one address, or all together."""
        lazy = [one for one in self._open.values() if not one.peer.proved and one.awaited[0] in _LAZY]
        too_many = len(lazy) - self._limits.unproved_connections
        by_source = Counter(_source(one.client) for one in lazy)
        for one in lazy:
            if now - one.came < _GRACE:
                return  # in the order in which they came
            source = _source(one.client)
            if too_many > 0 or by_source[source] > self._limits.unproved_per_source:
                limit = "unproved_connections" if too_many > 0 else "unproved_per_source"
                self._evict(one, limit)
                too_many -= 1
                by_source[source] -= 1

    def _evict(self, one: _Watched, limit: str) -> bool:
        handler = _handler_of(one.client)
        if handler is None:
            return False
        del self._open[one.client.id]
        self._closed(limit, one)
        _close(handler)
        return True

    def _closed(self, limit: str, one: _Watched) -> None:
        self._tell(limit)
        facts = {"limit": limit, "source": _source(one.client), "awaited": one.awaited[0].name.lower()}
        logger.debug("A client's connection is ended", extra=facts)


def _awaited(one: _Watched) -> tuple[Awaited, int]:
    return one.peer.http.awaited() if one.peer.http is not None else _CONNECTED


def _source(client: Client) -> str:
    return client.peername[0] if client.peername else ""


def _handler_of(client: Client) -> SteadyConnection | None:
    handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
    return handler if isinstance(handler, SteadyConnection) else None


def _close(handler: SteadyConnection) -> None:
    io = handler.transports.get(handler.client)
    if io is not None and io.handler is not None:
        handler.close_connection(handler.client)


def _raise_descriptors() -> int:
    """How many files this process may have open, after it asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
