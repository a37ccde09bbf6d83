"""What every database has in common: whole transactions, tables made once, and faults without the driver's words."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from llmauth.storage.databases import open_database
from llmauth.storage.home import StateUnusable


@pytest.fixture
def database(tables):
    opened = open_database(tables)
    yield opened
    opened.close()


def revision(database):
    with database.reading() as connection:
        return connection.execute(text("SELECT value FROM revision")).scalar()


def test_what_was_written_is_there_when_the_context_is_left(database, tables):
    with database.writing() as connection:
        connection.execute(text("UPDATE revision SET value = 7"))
        assert revision(database) == 0
    assert revision(database) == 7
    again = open_database(tables)
    assert revision(again) == 7
    again.close()


def test_what_fails_leaves_nothing_and_is_passed_on(database):
    with pytest.raises(LookupError):
        write_and_fail(database)
    assert revision(database) == 0


def write_and_fail(database):
    with database.writing() as connection:
        connection.execute(text("UPDATE revision SET value = 7"))
        raise LookupError


def test_who_reads_cannot_write_a_server(database):
    """A file has no such thing: there it is the lock that a reader does not take."""
    if database.shared:
        with pytest.raises(StateUnusable, match="read-only"), database.reading() as connection:
            connection.execute(text("UPDATE revision SET value = 7"))
    assert revision(database) == 0


def test_a_fault_is_a_sentence_without_statement_values_or_cause(database):
    with pytest.raises(StateUnusable) as error, database.writing() as connection:
        connection.execute(text("SELECT * FROM nowhere WHERE x = :canary"), {"canary": "canary"})
    assert "The key database" in str(error.value)
    assert "canary" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_the_tables_are_made_once(database, tables):
    with database.writing() as connection:
        connection.execute(text("UPDATE revision SET value = 7"))
    open_database(tables).close()
    assert revision(database) == 7
