"""Opens the database of keys: its file and rights, its transactions, the version of its tables; all SQLite is here."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, event, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from llmauth.storage.home import StateUnusable, prepare, require_private

METADATA = MetaData()
SCHEMA = Table("llmauth_schema", METADATA, Column("version", Integer, primary_key=True))
VERSION = 1

BUSY_SECONDS = 5.0


class Database:
    """One SQLite file. What goes wrong is raised as StateUnsafe or StateUnusable, with a sentence.

    `generation` grows whenever another file was found in the place of the one that was read before.
    """

    def __init__(self, location: str | Path) -> None:
        self.path = _file_of(location)
        self.generation = 0
        self._opening = threading.Lock()
        _create_private(self.path)
        self._stamp, self._log = _stamp(self.path), _inode_of_log(self.path)
        self._engine = create_engine("sqlite://", creator=self._connect, poolclass=QueuePool, hide_parameters=True)
        self._writer = self._engine.execution_options(writes=True)
        event.listen(self._engine, "begin", _begin)
        try:
            self._prepare_tables()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database."""
        with self._explained():
            self._follow()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is alone in writing; it is on the disk when this context has been left."""
        with self._explained():
            self._follow()
            with self._writer.begin() as connection:
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a file that was taken away is an error, where the default would put an empty one in its place.
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            # In WAL mode the weaker NORMAL syncs at checkpoints only: the last commits could be lost with the power.
            connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _follow(self) -> None:
        """Open anew when the file is another one, or was touched by others: an open connection would not notice."""
        with self._opening:
            stamp, log = _stamp(self.path), _inode_of_log(self.path)
            replaced = stamp[:2] != self._stamp[:2]
            if replaced and log is not None and log == self._log:
                # SQLite would play the changes that wait in the old file's log into the new file.
                raise StateUnusable(
                    f"The key database {self.path} was replaced while it was in use, beside the log of the old one. "
                    f"Remove {self.path}-wal and {self.path}-shm."
                )
            if stamp != self._stamp:
                self._engine.dispose()
            self.generation += replaced
            self._stamp, self._log = stamp, log

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StateUnusable(_sentence(self.path, str(error.orig))) from error

    def _prepare_tables(self) -> None:
        with self.reading() as connection:
            version = self._version(connection)
        if version is None:
            with self.writing() as connection:
                # Asked again: another process may have made the tables while this one waited for its turn to write.
                if self._version(connection) is None:
                    METADATA.create_all(connection)
                    connection.execute(insert(SCHEMA).values(version=VERSION))

    def _version(self, connection: Connection) -> int | None:
        """The version of the tables, `None` for an empty file; StateUnusable for tables that are not ours."""
        tables = inspect(connection).get_table_names()
        if not tables:
            return None
        version: int | None = None
        if SCHEMA.name in tables:
            version = connection.execute(select(SCHEMA.c.version)).scalar()
        if version != VERSION:
            found = "tables of another program" if version is None else f"tables of version {version}"
            raise StateUnusable(
                f"The key database {self.path} holds {found}, and this llmauth reads version {VERSION}. "
                "Use the llmauth that wrote it, or another file."
            )
        return version


def _begin(connection: Connection) -> None:
    """The driver begins no transaction by itself; a writer takes its turn at once, so it is never refused half-way."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _file_of(location: str | Path) -> Path:
    if isinstance(location, Path) or "://" not in location:
        return Path(location).expanduser().absolute()
    try:
        url = make_url(location)
    except ArgumentError:
        raise StateUnusable("The storage URL cannot be read; write sqlite:///path/to/keys.db.") from None
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise StateUnusable(
            f"Keys cannot be kept in '{url.get_backend_name()}' as written; write sqlite:///path/to/keys.db."
        )
    return Path(url.database).expanduser().absolute()


def _create_private(path: Path) -> None:
    """Make the file as 0600 before SQLite would make it wider; its -wal and -shm take the rights of the file."""
    prepare(path.parent)
    if path.exists() and not path.is_file():
        raise StateUnusable(f"{path} should be the key database, and is no file (a folder?). Move it away.")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StateUnusable(f"The key database {path} cannot be opened: {error.strerror}.") from None
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if each.exists():
            require_private(each)
    _sync_folder(path.parent)


def _stamp(path: Path) -> tuple[int, int, int, int]:
    """What changes when a file is replaced (the first two), or written or denied by others."""
    try:
        found = path.stat()
    except OSError as error:
        raise StateUnusable(f"The key database {path} cannot be read: {error.strerror}.") from None
    return found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size


def _inode_of_log(path: Path) -> int | None:
    try:
        return os.stat(f"{path}-wal").st_ino
    except OSError:
        return None


def _sync_folder(folder: Path) -> None:
    """A new file is only sure to be found after a power cut when its folder was synced."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sentence(path: Path, cause: str) -> str:
    if "locked" in cause:
        return f"The key database {path} is in use by another program ({cause}). Try again."
    if "not a database" in cause or "malformed" in cause or "no such" in cause:
        return (
            f"The key database {path} is damaged or something else ({cause}). "
            "Restore it from a backup, or move it away to begin with an empty one."
        )
    return f"The key database {path} cannot be used: {cause}."
