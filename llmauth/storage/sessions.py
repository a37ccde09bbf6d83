"""Sessions among the records: they end with their key, and of one key there are never too many."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, select

from llmauth.storage.records import KeyNotFound, KeyRecord, end, living
from llmauth.storage.tables import KEYS, LIVING, NAMED

EACH = 20
"""So many sessions of one key live at once."""


def with_those_of(key_id: str) -> ColumnElement[bool]:
    """A key, and the sessions that came from it."""
    return (KEYS.c.id == key_id) | (KEYS.c.parent == key_id)


def end_within(connection: Connection, key_id: str, ends_at: float, now: float) -> float:
    """When a session of this key ends at the latest."""
    key = living(connection, key_id)
    if key.id != key_id or key.kind == "session" or key.ended(now):
        raise KeyNotFound(f"The key {key_id} has ended, and opens no session.")
    return ends_at if key.expires is None else min(ends_at, key.expires)


def make_room(connection: Connection, revision: int, new: KeyRecord, now: float) -> None:
    """End the oldest sessions that would be too many beside the new one."""
    kin = KEYS.c.parent == new.parent
    if new.parent is None:
        kin = KEYS.c.parent.is_(None) & (KEYS.c.user == new.user) & (KEYS.c.method == new.method)
    living_ones = ~NAMED & kin & LIVING & (KEYS.c.expires > now)
    latest = select(KEYS.c.id).where(living_ones).order_by(KEYS.c.created.desc(), KEYS.c.id)
    too_many = connection.execute(latest.offset(EACH - 1)).scalars().all()
    if too_many:
        end(connection, revision, KEYS.c.id.in_(too_many), now)


def ended_before(moment: float) -> ColumnElement[bool]:
    """Which sessions have ended before this moment."""
    return (KEYS.c.kind == "session") & ((KEYS.c.expires < moment) | (KEYS.c.revoked < moment))
