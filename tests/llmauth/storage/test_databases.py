"""Which database a location means, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.storage.databases import is_file, is_server, may_be_read_on_the_way, open_database
from llmauth.storage.home import StateUnusable
from llmauth.storage.postgres import PostgresDatabase
from llmauth.storage.sqlite import SqliteDatabase


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}", Path])
def test_a_file_by_path_and_by_url(tmp_path, form):
    path = tmp_path / "state" / "keys.db"
    database = open_database(form(path) if form is Path else form.format(path))
    assert isinstance(database, SqliteDatabase)
    assert database.path == path
    assert not database.shared
    database.close()


def test_a_server_by_both_names(postgres_url):
    for url in (postgres_url, postgres_url.replace("postgresql:", "postgres:")):
        database = open_database(url)
        assert isinstance(database, PostgresDatabase)
        assert database.shared
        database.close()


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///:memory:", "://", "redis://u:hunter2@h", "mysql://u:hunter2@h/d", "sqlite+x:///a"),
        *("postgresql://u:hunter2@h:port/d", "postgresql+pg8000://u:hunter2@h/d", "postgresql://u:hunter2@[::1/d"),
    ],
)
def test_other_storage_is_refused_without_telling_its_password(url):
    with pytest.raises(StateUnusable) as error:
        open_database(url)
    assert "sqlite:///" in str(error.value)
    assert "postgresql://" in str(error.value)
    assert "hunter2" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_urls_are_told_apart_without_opening_anything():
    assert is_file("sqlite:///keys.db")
    assert not is_file("sqlite:///:memory:")
    assert is_server("postgres://u:p@h/d")
    assert is_server("postgresql://u:p@h:5432/d?sslmode=verify-full")
    for url in ("sqlite:///keys.db", "postgresql+psycopg2://h/d", "postgresql://h:port/d", "redis://h", "postgresql"):
        assert not is_server(url)


@pytest.mark.parametrize(
    ("url", "open_"),
    [
        ("sqlite:///keys.db", False),
        ("postgresql://u:p@localhost/d", False),
        ("postgresql://u:p@127.0.0.1/d", False),
        ("postgresql:///d", False),
        ("postgresql:///d?host=/run/postgresql", False),
        ("postgresql://u:p@db.corp/d", True),
        ("postgresql://u:p@db.corp/d?sslmode=require", True),
        ("postgresql://u:p@db.corp/d?sslmode=verify-ca", True),
        ("postgresql://u:p@db.corp/d?sslmode=verify-full", False),
        ("postgresql://u:p@/d?host=one.corp,127.0.0.1", True),
        ("postgresql://u:p@/d?host=127.0.0.1:5432&host=two.corp:5432", True),
    ],
)
def test_whether_a_server_is_reached_without_being_known(url, open_):
    assert may_be_read_on_the_way(url) is open_
