"""Which sessions end with what: those of a key, those that would be too many, those that are long over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select, true

from llmauth.storage import sessions
from llmauth.storage.databases import open_database
from llmauth.storage.drafts import draft
from llmauth.storage.records import KeyNotFound, all_records
from llmauth.storage.records import store as write
from llmauth.storage.tables import KEYS

NOW = 1000.0


@pytest.fixture
def connection(tables, monkeypatch):
    monkeypatch.setattr(sessions, "EACH", 3)
    database = open_database(tables)
    with database.writing() as opened:
        yield opened
    database.close()


def kept(connection, kind="session", *, created=NOW, expires=NOW + 60, **more):
    record, _ = draft(kind, name="alice", user="alice", groups=(), created=created, expires=expires)
    record = replace(record, **more)
    write(connection, 1, record)
    return record


def living_ids(connection):
    return {each.id for each in all_records(connection, true()) if each.revoked is None}


def test_a_key_and_what_came_from_it(connection):
    key = kept(connection, "key")
    mine, other = kept(connection, parent=key.id), kept(connection, parent="another")
    found = set(connection.execute(select(KEYS.c.id).where(sessions.with_those_of(key.id))).scalars())
    assert found == {key.id, mine.id}
    assert other.id not in found


@pytest.mark.parametrize(("asked", "given"), [(NOW + 30, NOW + 30), (NOW + 90, NOW + 60)])
def test_a_session_ends_no_later_than_its_key(connection, asked, given):
    key = kept(connection, "key")
    assert sessions.end_within(connection, key.id, asked, NOW) == given


def test_a_key_without_an_end_sets_none(connection):
    assert sessions.end_within(connection, kept(connection, "key", expires=None).id, 5000.0, NOW) == 5000.0


@pytest.mark.parametrize("kind", ["key", "aws"])
@pytest.mark.parametrize("more", [{"revoked": NOW - 1}, {"expires": NOW}])
def test_what_has_ended_opens_none(connection, kind, more):
    with pytest.raises(KeyNotFound):
        sessions.end_within(connection, kept(connection, kind, **more).id, NOW + 5, NOW)


def test_a_session_opens_no_other(connection):
    with pytest.raises(KeyNotFound, match="opens no session"):
        sessions.end_within(connection, kept(connection).id, NOW + 5, NOW)


def room_for(connection, **more):
    new, _ = draft("session", name="alice", user="alice", groups=(), created=NOW, expires=NOW + 60)
    sessions.make_room(connection, 2, replace(new, **more), NOW)


def test_the_oldest_of_a_key_make_room(connection):
    mine = [kept(connection, created=NOW - age, parent="k") for age in (40, 30, 20, 10)]
    theirs = kept(connection, created=NOW - 50, parent="other")
    room_for(connection, parent="k")
    assert living_ids(connection) == {mine[2].id, mine[3].id, theirs.id}


def test_without_a_key_it_is_user_and_method_that_count(connection):
    mine = [kept(connection, created=NOW - age, method="oidc") for age in (30, 20, 10)]
    others = [kept(connection, method="alb"), kept(connection, method="oidc", user="bob")]
    of_a_key = kept(connection, method="oidc", parent="k")
    room_for(connection, method="oidc")
    assert living_ids(connection) == {mine[1].id, mine[2].id, of_a_key.id, *(each.id for each in others)}


def test_those_that_are_over_take_no_room_and_keys_are_not_counted(connection):
    lives = [kept(connection, created=NOW - 9, parent="k") for _ in range(2)]
    for _ in range(5):
        kept(connection, parent="k", expires=NOW)
        kept(connection, parent="k", revoked=NOW - 1)
    room_for(connection, parent="k")
    assert {each.id for each in lives} <= living_ids(connection)


def test_which_are_long_over(connection):
    gone = {
        kept(connection, expires=NOW - 1).id,
        kept(connection, expires=NOW + 9, revoked=NOW - 1).id,
    }
    kept(connection, expires=NOW)
    kept(connection, "key", revoked=NOW - 1)
    kept(connection, "key", expires=NOW - 1, id="expired")
    found = set(connection.execute(select(KEYS.c.id).where(sessions.ended_before(NOW))).scalars())
    assert found == gone
