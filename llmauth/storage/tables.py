"""The tables of the key database, as this version reads them."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, MetaData, String, Table, false

METADATA = MetaData()

SCHEMA = Table("llmauth_schema", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))
# One row. Every change of a key takes the next number, and whoever holds the row is the only writer of keys.
REVISION = Table(
    "revision",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
)
KEYS = Table(
    "keys",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("user", String, nullable=False),
    Column("groups", JSON, nullable=False),
    Column("algorithm", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("last_used", Float),
    # That of the last change, `last_used` apart, so that what changed is read without reading all.
    Column("revision", Integer, nullable=False, index=True),
    Column("kind", String, nullable=False, server_default="key"),
    Column("parent", String, index=True),
    Column("method", String),
    Column("rules", JSON, nullable=False, server_default="{}"),
    Column("require_totp", Boolean, nullable=False, server_default=false()),
    Column("enrolled", Float),
    Column("sealed", String),
    Column("second_factor", Boolean, nullable=False, server_default=false()),
)
LIVING = KEYS.c.revoked.is_(None)
NAMED = KEYS.c.kind != "session"
"""Sessions are called as their key is, and known by their ids alone."""
Index("living_names", KEYS.c.name, unique=True, sqlite_where=LIVING & NAMED, postgresql_where=LIVING & NAMED)

FACTORS = Table(
    "factors",
    METADATA,
    Column("key_id", String, primary_key=True),
    Column("seed", String, nullable=False),  # sealed
    Column("last_step", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Float),
)
BACKUP_CODES = Table(
    "backup_codes",
    METADATA,
    Column("key_id", String, primary_key=True),
    Column("hash", String, primary_key=True),
    Column("used", Float),
)
