"""Counting in PostgreSQL: one transaction for each question, in threads of its own, every one bounded in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError

from llmauth.governance import postgres_tables as tables
from llmauth.governance.backends import LEASE_SECONDS, PATIENCE_SECONDS, Answer, BackendFailed
from llmauth.governance.demands import Demand, Reading, Settlement
from llmauth.governance.periods import span_of
from llmauth.secrets import Secret

_THREADS = 8
# What is lost with the server's power are some tenths of a second of counting; a wait for its disk would be paid by
# every request.
_SETTINGS = b"SET synchronous_commit = off; SET statement_timeout = 1000; SET lock_timeout = 1000"

_Value = TypeVar("_Value")


class PostgresBackend:
    """As many connections as threads."""

    width = _THREADS - 1  # one is left for what ended

    def __init__(self, url: Secret, place: str, *, lease: float = LEASE_SECONDS) -> None:
        self.place = place
        self.lease = lease
        self._lease = int(lease * 1000)
        given = make_url(url.reveal()).set(drivername="postgresql+psycopg")
        arguments = {"connect_timeout": 2, "application_name": "llmauth limits"}
        arguments |= given.get_dialect()().create_connect_args(given)[1]
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: _connected(arguments),
            pool_size=_THREADS,
            max_overflow=0,
            pool_timeout=PATIENCE_SECONDS,
            hide_parameters=True,
            use_native_hstore=False,
            isolation_level="READ COMMITTED",
        )
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="limits")

    async def enter(self, holder: str, former: str | None, running: Mapping[str, int]) -> None:
        """Begin a lease; the tables are made where they are not there: a server that crashed may have lost them."""

        def entered(connection: Connection) -> None:
            tables.prepare(connection)
            tables.enter(connection, holder, former, running)

        await self._asked(entered)

    async def beat(self, holder: str) -> bool:
        """Renew the lease; False where it has ended."""
        return await self._asked(partial(tables.beat, holder=holder, lease=self._lease))

    async def admit(self, holder: str, demand: Demand) -> Answer:
        """Take all of it or nothing: all states are locked before one is looked at."""
        return await self._asked(partial(_admitted, holder=holder, lease=self._lease, demand=demand))

    async def settle(self, holder: str, settlement: Settlement, *, ends: bool) -> None:
        """Add what a request used beyond its reserve; `ends` where this holder counted it as running."""
        await self._asked(partial(_settled, holder=holder, settlement=settlement, ends=ends))

    async def leave(self, holder: str) -> None:
        """End the lease."""
        await self._asked(partial(tables.leave, holder=holder))

    async def close(self) -> None:
        """Close all connections; what is still being asked is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._engine.dispose)

    async def _asked(self, question: Callable[[Connection], _Value]) -> _Value:
        given_up = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._transaction, question, given_up
            )
        except asyncio.CancelledError:
            given_up.set()
            raise

    def _transaction(self, question: Callable[[Connection], _Value], given_up: threading.Event) -> _Value:
        if given_up.is_set():  # it waited for a thread, and nobody waits for it any longer
            raise BackendFailed("has no connection free")
        try:
            with self._engine.begin() as connection:
                driver = connection.connection.driver_connection
                assert isinstance(driver, _Connection)
                driver.deadline = time.monotonic() + PATIENCE_SECONDS
                return question(connection)
        except DBAPIError as error:
            raise BackendFailed(_why(error)) from None
        except TimeoutError:
            raise BackendFailed("has no connection free") from None
        except (SQLAlchemyError, psycopg.Error, OSError):
            raise BackendFailed("cannot be reached, or does not answer") from None


def _admitted(connection: Connection, holder: str, lease: int, demand: Demand) -> Answer:
    scopes, tokens, nanos = demand.scopes, demand.reserved, demand.nanos
    states = tables.locked(connection, scopes)
    now, alive = tables.clock(connection, holder, lease)
    if not alive:
        return Answer(admitted=False, wall=now / 1000, known=False)
    running = tables.counted(connection, scopes, now - lease)
    fits = True
    for scope in scopes:
        state = states[scope.key]
        state.running = running.get(scope.key, 0)
        state.follow(scope, now, None if scope.budget is None else span_of(scope.per, now / 1000))
        fits = fits and state.has_room(scope, tokens, nanos)
    if fits:
        for scope in scopes:
            states[scope.key].take(scope, tokens, nanos)
            tables.save(connection, scope.key, states[scope.key])
        tables.count(connection, scopes, holder, 1)
    readings: list[Reading] = [states[scope.key].reading() for scope in scopes]
    return Answer(admitted=fits, readings=tuple(readings), wall=now / 1000)


def _settled(connection: Connection, holder: str, settlement: Settlement, *, ends: bool) -> None:
    states = tables.locked(connection, settlement.scopes)
    now, _ = tables.clock(connection, holder, 0)
    for scope, began in zip(settlement.scopes, settlement.began, strict=True):
        state = states[scope.key]
        state.follow(scope, now, None if scope.budget is None else span_of(scope.per, now / 1000))
        state.settle(scope, settlement.tokens, settlement.nanos, began)
        tables.save(connection, scope.key, state)
    if ends:
        tables.count(connection, settlement.scopes, holder, -1)


class _Connection(psycopg.Connection[Any]):
    """A connection that waits for no answer beyond a moment, and is of no use afterwards."""

    deadline = 0.0

    def wait(self, gen: PQGen[_Value], interval: float = 0.1, timeout: float | None = None) -> _Value:
        left = max(0.001, self.deadline - time.monotonic()) if self.deadline else PATIENCE_SECONDS
        try:
            return super().wait(gen, interval, left if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


def _connected(arguments: Mapping[str, Any]) -> psycopg.Connection[Any]:
    # Nothing is prepared: behind a pooler of transactions the next one may be at another server process.
    connection = _Connection.connect(**arguments, autocommit=True, prepare_threshold=None)
    try:
        connection.execute(_SETTINGS)
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def _why(error: DBAPIError) -> str:
    state = getattr(error.orig, "sqlstate", None) or ""
    said = str(error.orig)
    for word, why in _WORDS.items():
        if word in said:
            return why
    if not state and said.rstrip().endswith("does not exist"):  # the library keeps no state of a refused connection
        state = "3D"
    return _STATES.get(state[:2], "cannot be reached, or does not answer")


_REFUSED = "refuses the user or password of storage.limits_url"
_WORDS: Mapping[str, str] = {
    "password authentication failed": _REFUSED,
    "no password supplied": _REFUSED,
    "no pg_hba.conf entry": _REFUSED,
    "permission denied": f"denies our user the schema {tables.SCHEMA}: it needs CREATE on the database once",
    "starting up": "is starting",
    "shutting down": "is shutting down",
    "too many": "has no connection left for us",
    "remaining connection slots": "has no connection left for us",
    "SSL": "cannot be reached by TLS as storage.limits_url asks for it",
    "certificate": "cannot be reached by TLS as storage.limits_url asks for it",
    "read-only": "is read-only (a standby?), and cannot count",
}
_STATES: Mapping[str, str] = {
    "28": _REFUSED,
    "3D": "has no database of that name",
    "42": f"has something else in its schema {tables.SCHEMA}",
    "57": "took too long, or is shutting down",
    "55": "took too long",
    "53": "has no room left",
}
