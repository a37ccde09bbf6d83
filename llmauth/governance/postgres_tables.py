"""The tables of limits in PostgreSQL, in a schema of their own, so that they share no database's name with keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    and_,
    cast,
    delete,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from llmauth.governance.buckets import State
from llmauth.governance.demands import Scope

SCHEMA = "llmauth_limits"
METADATA = MetaData(schema=SCHEMA)
# Times are milliseconds of Unix time, but for `began` and `ends`, the seconds between which `spent` counts.
STATES = Table(
    "states",
    METADATA,
    Column("scope", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in ("at", "rpm", "tpm", "spent", "began", "ends")),
    *(Column(name, BigInteger) for name in ("requests", "tokens")),
)
HOLDERS = Table(
    "holders",
    METADATA,
    Column("holder", Text, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
)
RUNNING = Table(
    "running",
    METADATA,
    Column("scope", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("count", Integer, nullable=False),
)
_FIELDS = ("at", "rpm", "tpm", "spent", "began", "ends", "requests", "tokens")
# Any number does, as long as all who make the tables wait for the same.
_LOCK = 7_237_018_551_220
_NOW = cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
_FORGOTTEN = 3_600_000


def prepare(connection: Connection) -> None:
    """Make the tables where they are not there."""
    there = select(func.to_regclass(f"{SCHEMA}.{RUNNING.name}"))
    if connection.execute(there).scalar() is None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if connection.execute(there).scalar() is None:
            connection.execute(text("SET LOCAL synchronous_commit = on"))
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            METADATA.create_all(connection)


def clock(connection: Connection, holder: str, lease: int) -> tuple[int, bool]:
    """The server's time, and whether this holder's lease goes on."""
    alive = exists().where(HOLDERS.c.holder == holder, HOLDERS.c.seen_at > _NOW - lease)
    now, held = connection.execute(select(_NOW, alive)).one()
    return now, held


def locked(connection: Connection, scopes: Sequence[Scope]) -> dict[str, State]:
    """The states of these scopes, of which nobody else changes any until this transaction ends."""
    keys = sorted({scope.key for scope in scopes})  # in one order for all, so that no two wait for each other
    rows = _lock(connection, keys)
    if len(rows) < len(keys):
        fresh = {"at": _NOW, "rpm": 0, "tpm": 0, "spent": 0, "began": 0, "ends": 0}
        for key in keys:
            connection.execute(insert(STATES).values(scope=key, **fresh).on_conflict_do_nothing())
        rows = _lock(connection, keys)
    return {row.scope: _state(row) for row in rows}


def _lock(connection: Connection, keys: Sequence[str]) -> Sequence[Row[Any]]:
    chosen = select(STATES).where(STATES.c.scope.in_(keys)).order_by(STATES.c.scope).with_for_update()
    return connection.execute(chosen).all()


def _state(row: Row[Any]) -> State:
    state = State(row.at)
    for name in _FIELDS:
        setattr(state, name, getattr(row, name))
    return state


def save(connection: Connection, key: str, state: State) -> None:
    """Write a state that is locked."""
    values = {name: getattr(state, name) for name in _FIELDS}
    connection.execute(update(STATES).where(STATES.c.scope == key).values(values))


def counted(connection: Connection, scopes: Sequence[Scope], since: int) -> Mapping[str, int]:
    """How many requests of each scope run, at all holders that were seen since then (milliseconds)."""
    keys = [scope.key for scope in scopes if scope.concurrent is not None]
    if not keys:
        return {}
    alive = RUNNING.join(HOLDERS, and_(HOLDERS.c.holder == RUNNING.c.holder, HOLDERS.c.seen_at > since))
    sums = select(RUNNING.c.scope, func.sum(RUNNING.c.count)).select_from(alive)
    chosen = sums.where(RUNNING.c.scope.in_(keys)).group_by(RUNNING.c.scope)
    return {key: int(found) for key, found in connection.execute(chosen)}


def count(connection: Connection, scopes: Sequence[Scope], holder: str, change: int) -> None:
    """Add to what a holder has running; a holder that is not there has nothing."""
    for key in sorted({scope.key for scope in scopes if scope.concurrent is not None}):
        there = select(literal(key), HOLDERS.c.holder, literal(max(0, change))).where(HOLDERS.c.holder == holder)
        added = insert(RUNNING).from_select(["scope", "holder", "count"], there)
        new = func.greatest(0, RUNNING.c.count + change)
        connection.execute(added.on_conflict_do_update(index_elements=["scope", "holder"], set_={"count": new}))


def enter(connection: Connection, holder: str, former: str | None, running: Mapping[str, int]) -> None:
    """Begin a lease, and end the former one with those that ended by themselves."""
    connection.execute(insert(HOLDERS).values(holder=holder, seen_at=_NOW))
    for key in sorted(running):
        connection.execute(insert(RUNNING).values(scope=key, holder=holder, count=running[key]))
    _end(connection, (HOLDERS.c.seen_at < _NOW - _FORGOTTEN) | (HOLDERS.c.holder == (former or "")))
    idle = and_(STATES.c.at < _NOW - _FORGOTTEN, func.coalesce(STATES.c.tokens, 0) >= 0)
    paid = (STATES.c.spent == 0) | (STATES.c.ends * 1000 < _NOW)
    # Whoever asks for one of them right now keeps it.
    forgotten = select(STATES.c.scope).where(idle, paid).with_for_update(skip_locked=True)
    connection.execute(delete(STATES).where(STATES.c.scope.in_(forgotten)))


def _end(connection: Connection, which: ColumnElement[bool]) -> None:
    ended = connection.execute(delete(HOLDERS).where(which).returning(HOLDERS.c.holder)).scalars().all()
    if ended:
        connection.execute(delete(RUNNING).where(RUNNING.c.holder.in_(ended)))


def beat(connection: Connection, holder: str, lease: int) -> bool:
    """Renew a lease that goes on."""
    goes_on = and_(HOLDERS.c.holder == holder, HOLDERS.c.seen_at > _NOW - lease)
    return connection.execute(update(HOLDERS).where(goes_on).values(seen_at=_NOW)).rowcount == 1


def leave(connection: Connection, holder: str) -> None:
    """End a lease, with all that its holder has running."""
    _end(connection, HOLDERS.c.holder == holder)
