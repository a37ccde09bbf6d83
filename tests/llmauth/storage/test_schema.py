"""The tables of the first version become those of this one, and what was in them stays true."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from llmauth.clock import ManualClock
from llmauth.storage import schema
from llmauth.storage.home import StateUnusable
from llmauth.storage.key_text import key_id_of, matches
from llmauth.storage.keys import KeyNameTaken, KeyStore

WRITTEN = Path(__file__).with_name("version1.sql")
KEY = "llmauth_YBTGiH2MCh_R5BinfKMlHwkCbWsaYPevCXPRJ9nNlZ013RW3q"
NOW = 1_790_000_030.0


@pytest.fixture
def old(home: Path) -> Path:
    """A file that the first version wrote."""
    return first_version(home / "keys.db")


def first_version(path: Path) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(WRITTEN.read_text())
    return path


def version_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("SELECT version FROM llmauth_schema").fetchone()
    return int(version)


def test_keys_of_the_first_version_work_as_before(old):
    store = KeyStore(old, ManualClock(NOW))
    records = {each.id: each for each in store.list()}
    ci = records[key_id_of(KEY) or ""]
    assert matches(KEY, ci.algorithm, ci.hash)
    assert (ci.name, ci.user, ci.groups, ci.last_used) == ("ci", "alice", ("a", "ü"), 1_790_000_005.5)
    assert {(each.name, each.revoked is None) for each in records.values()} == {
        *(("ci", True), ("gone", False), ("until", True), ("turned", True), ("turned", False)),
    }
    assert {each.kind for each in records.values()} == {"key"}
    assert {(each.require_totp, each.second_factor, each.enrolled, each.sealed) for each in records.values()} == {
        (False, False, None, None)
    }
    assert store.snapshot().revision == 6
    assert len(store.snapshot(4).records) == 2
    store.close()


def test_and_they_can_do_what_is_new(old):
    clock = ManualClock(NOW)
    store = KeyStore(old, clock)
    ci = next(each for each in store.list() if each.name == "ci")
    store.enrol("ci")
    store.open_session(
        user="alice", groups=(), method="api_key", key_id=ci.id, key_name="ci", second_factor=True, ends_at=NOW + 9
    )
    with pytest.raises(KeyNameTaken):
        store.create_pair("until")
    store.create_pair("gone")
    assert store.snapshot().revision == 9
    store.close()


def test_once_brought_up_it_stays_so(old):
    KeyStore(old).close()
    assert version_in(old) == schema.VERSION
    before = old.read_bytes()
    KeyStore(old).close()
    assert old.read_bytes() == before


def test_the_tables_are_those_that_are_made_new(old, home, tmp_path):
    KeyStore(old).close()
    KeyStore(tmp_path / "new" / "keys.db").close()
    assert described(old) == described(tmp_path / "new" / "keys.db")


def described(path: Path) -> dict[str, object]:
    engine = create_engine(f"sqlite:///{path}")
    found = inspect(engine)
    shape: dict[str, object] = {}
    for table in found.get_table_names():
        columns = {
            each["name"]: (str(each["type"]), each["nullable"], each["default"]) for each in found.get_columns(table)
        }
        indexes = {
            (
                each["name"],
                tuple(each["column_names"]),
                bool(each["unique"]),
                str(each.get("dialect_options", {}).get("sqlite_where")),
            )
            for each in found.get_indexes(table)
        }
        shape[table] = (columns, indexes, found.get_pk_constraint(table)["constrained_columns"])
    engine.dispose()
    return shape


CREATE = """
import sys
from llmauth.storage.keys import KeyStore
def work(number, go):
    go()
    KeyStore(sys.argv[1]).create(f"k{number}")
"""


def test_many_processes_may_bring_them_up_at_once(old, at_once):
    at_once(5, CREATE, str(old))
    store = KeyStore(old)
    assert store.version()[1] == 11
    assert len(store.list()) == 10
    store.close()


def test_many_processes_may_make_the_tables_of_a_server_at_once(postgres_url, at_once):
    at_once(5, CREATE, postgres_url)
    store = KeyStore(postgres_url)
    assert store.version()[1] == len(store.list()) == 5
    store.close()


def test_a_change_that_fails_half_way_leaves_the_first_version(old, monkeypatch):
    broken = {1: (*schema._MIGRATIONS[1], "CREATE TABLE keys (id VARCHAR)")}
    monkeypatch.setattr(schema, "_MIGRATIONS", broken)
    with pytest.raises(StateUnusable):
        KeyStore(old)
    assert version_in(old) == 1
    with closing(sqlite3.connect(old)) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(keys)")}
    assert "kind" not in columns
    monkeypatch.undo()
    store = KeyStore(old)
    assert len(store.list()) == 5
    store.close()


def test_an_empty_database_of_the_first_version(home):
    """It made the row of the revision with its first key."""
    path = first_version(home / "keys.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM keys")
        connection.execute("DELETE FROM revision")
    store = KeyStore(path)
    store.create("ci")
    assert store.version()[1] == 1
    store.close()


@pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)
def test_what_it_cannot_be_read_is_refused_unchanged(store, raw, opened, location):
    raw("UPDATE llmauth_schema SET version = 7")
    with pytest.raises(StateUnusable, match="tables of version 7, and this llmauth reads version 2"):
        opened()
    raw("DELETE FROM llmauth_schema")
    with pytest.raises(StateUnusable, match="another program"):
        opened()
    assert raw("SELECT count(*) FROM llmauth_schema") == [(0,)]


def test_a_copy_before_the_change_is_still_the_first_version(old, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copy(old, copy)
    KeyStore(old).close()
    assert version_in(copy) == 1
