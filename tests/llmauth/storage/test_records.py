"""A record comes back as it was written, in every field, and a name means one living key."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

import pytest
from sqlalchemy import text, true

from llmauth.rules import Budget, Rules
from llmauth.storage.databases import open_database
from llmauth.storage.records import (
    KeyNotFound,
    KeyRecord,
    advance,
    all_records,
    end,
    living,
    revision_of,
)
from llmauth.storage.records import store as write
from llmauth.storage.tables import KEYS


@pytest.fixture
def connection(tables):
    database = open_database(tables)
    with database.writing() as opened:
        yield opened
    database.close()


def record(**more):
    return KeyRecord(
        **{
            "id": "id",
            "name": "ci",
            "user": "alice",
            "groups": ("a", "ü"),
            "algorithm": "bcrypt-sha256",
            "hash": "h",
            "created": 1_800_000_000.123,
            "expires": None,
            "revoked": None,
            "last_used": None,
            **more,
        }
    )


FULL = record(
    expires=1.5,
    revoked=2.25,
    last_used=3.125,
    kind="session",
    parent="p",
    method="oidc",
    rules=Rules(models=("a",), rpm=3, budget=Budget(amount=Decimal("1.10"), per="week")),
    require_totp=True,
    enrolled=4.5,
    sealed="v1:x:y",
    second_factor=True,
)


@pytest.mark.parametrize("written", [record(), FULL], ids=["least", "full"])
def test_it_comes_back_as_it_was_written(connection, written):
    write(connection, advance(connection), written)
    assert list(all_records(connection, true())) == [written]


def test_every_field_is_a_column_and_every_column_but_the_revision_a_field():
    assert {each.name for each in fields(KeyRecord)} == {each.name for each in KEYS.columns} - {"revision"}


def test_revisions_go_up_one_by_one(connection):
    assert [revision_of(connection), advance(connection), advance(connection), revision_of(connection)] == [0, 1, 2, 2]


def test_rules_that_cannot_be_read_allow_nothing(connection, caplog):
    write(connection, advance(connection), record())
    connection.execute(text('UPDATE keys SET rules = \'{"rpm": "many"}\''))
    (found,) = all_records(connection, true())
    assert found.rules.models == found.rules.hosts == ()
    assert "may do nothing" in caplog.text


def test_a_name_means_the_key_that_lives(connection):
    write(connection, 1, record(id="old", revoked=5.0))
    write(connection, 1, record(id="new"))
    write(connection, 1, record(id="session", kind="session"))
    assert living(connection, "ci").id == living(connection, "new").id == "new"
    assert living(connection, "session").kind == "session"
    for gone in ("old", "", "CI", "ci ", "%", "a\0"):
        with pytest.raises(KeyNotFound):
            living(connection, gone)


def test_ending_ends_what_lives_and_forgets_what_was_sealed(connection):
    write(connection, 1, record(id="ended", name="a", revoked=5.0))
    write(connection, 1, record(id="lives", name="b", sealed="v1:x:y"))
    end(connection, 2, true(), 9.0)
    found = {each.id: each for each in all_records(connection, true())}
    assert (found["ended"].revoked, found["lives"].revoked, found["lives"].sealed) == (5.0, 9.0, None)
    assert [each.id for each in all_records(connection, KEYS.c.revision > 1)] == ["lives"]


def test_neither_hash_nor_sealed_text_is_shown():
    assert "'h'" not in repr(FULL)
    assert "v1:x:y" not in repr(FULL)
