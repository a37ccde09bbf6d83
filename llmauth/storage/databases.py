"""Which database a location means: a file of SQLite, or one of a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from llmauth.addresses import is_loopback
from llmauth.storage.engine import Database
from llmauth.storage.home import StateUnusable
from llmauth.storage.sqlite import SqliteDatabase

_POSTGRES = ("postgresql", "postgres")
_FORMS = "sqlite:///path/to/keys.db or postgresql://user:password@host/database"


def open_database(location: str | Path) -> Database:
    """The database at a path or URL, its tables made or brought up to date; StateError for what cannot be used."""
    if isinstance(location, Path) or "://" not in location:
        return SqliteDatabase(Path(location).expanduser().absolute())
    url = _parsed(location)
    if url.drivername in _POSTGRES:
        # The driver takes its time to load, and most commands are about a file.
        from llmauth.storage.postgres import PostgresDatabase

        return PostgresDatabase(url)
    if url.drivername != "sqlite" or not url.database or url.database == ":memory:":
        raise StateUnusable(f"Keys cannot be kept in '{url.get_backend_name()}' as written; write {_FORMS}.")
    return SqliteDatabase(Path(url.database).expanduser().absolute())


def is_file(location: str) -> bool:
    """Whether a URL means a file of SQLite."""
    return location.startswith("sqlite:///") and location.removeprefix("sqlite:///") not in ("", ":memory:")


def is_server(location: str) -> bool:
    """Whether a URL means a database of PostgreSQL, and can be read."""
    return location.partition("://")[0] in _POSTGRES and _parsed_or_none(location) is not None


def may_be_read_on_the_way(location: str) -> bool:
    """Whether the client library may speak to this server without TLS, or without knowing whom it speaks to."""
    url = _parsed_or_none(location)
    if url is None or url.drivername not in _POSTGRES:
        return False
    hosts = [url.host or "", *url.normalized_query.get("host", ())]
    away = [host for host in ",".join(hosts).split(",") if host and not host.startswith("/") and not is_loopback(host)]
    return bool(away) and url.normalized_query.get("sslmode", ("prefer",))[-1] != "verify-full"


def _parsed(location: str) -> URL:
    url = _parsed_or_none(location)
    if url is None:
        raise StateUnusable(f"The storage URL cannot be read; write {_FORMS}.")
    return url


def _parsed_or_none(location: str) -> URL | None:
    try:
        return make_url(location)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        return None
