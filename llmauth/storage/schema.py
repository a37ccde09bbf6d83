"""The version of the tables: made where there are none, and brought up to this one where they are older."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, insert, inspect, select, text, update

from llmauth.storage.tables import METADATA, REVISION, SCHEMA

VERSION = 2

# What stands here is history: it says what was to do then, whatever the tables have become since.
_MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE keys ADD COLUMN kind VARCHAR DEFAULT 'key' NOT NULL",
        "ALTER TABLE keys ADD COLUMN parent VARCHAR",
        "ALTER TABLE keys ADD COLUMN method VARCHAR",
        "ALTER TABLE keys ADD COLUMN rules JSON DEFAULT '{}' NOT NULL",
        "ALTER TABLE keys ADD COLUMN require_totp BOOLEAN DEFAULT 0 NOT NULL",
        "ALTER TABLE keys ADD COLUMN enrolled FLOAT",
        "ALTER TABLE keys ADD COLUMN sealed VARCHAR",
        "ALTER TABLE keys ADD COLUMN second_factor BOOLEAN DEFAULT 0 NOT NULL",
        "CREATE INDEX ix_keys_parent ON keys (parent)",
        "DROP INDEX living_names",
        "CREATE UNIQUE INDEX living_names ON keys (name) WHERE revoked IS NULL AND kind != 'session'",
        "CREATE TABLE factors (key_id VARCHAR NOT NULL, seed VARCHAR NOT NULL, last_step INTEGER NOT NULL, "
        "failures INTEGER NOT NULL, locked_until FLOAT, PRIMARY KEY (key_id))",
        "CREATE TABLE backup_codes (key_id VARCHAR NOT NULL, hash VARCHAR NOT NULL, used FLOAT, "
        "PRIMARY KEY (key_id, hash))",
        # The first version made this row with its first key.
        "INSERT INTO revision (id, value) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM revision)",
    ),
}


class UnknownSchema(Exception):
    """Tables that this version cannot use; the text says what was found."""


def found(connection: Connection) -> int | None:
    """The version of the tables, `None` in an empty database; UnknownSchema for tables that are not ours, or later."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    version = connection.execute(select(SCHEMA.c.version)).scalar() if SCHEMA.name in tables else None
    if version is None:
        raise UnknownSchema("tables of another program")
    if version != VERSION and version not in _MIGRATIONS:
        raise UnknownSchema(f"tables of version {version}")
    return int(version)


def bring_up(connection: Connection, version: int | None) -> None:
    """Make the tables, or change those of an earlier version; all within the transaction of this connection."""
    if version is None:
        METADATA.create_all(connection)
        connection.execute(insert(SCHEMA).values(version=VERSION))
        connection.execute(insert(REVISION).values(id=1, value=0))
        return
    for step in range(version, VERSION):
        for statement in _MIGRATIONS[step]:
            connection.execute(text(statement))
    connection.execute(update(SCHEMA).values(version=VERSION))
