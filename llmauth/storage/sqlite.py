"""The database of keys in a file: its rights, its writers in turn, and a file that was changed behind our back."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import ClassVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from llmauth.durable import sync_folder
from llmauth.storage.engine import Database
from llmauth.storage.home import StateUnusable, prepare, require_private

BUSY_SECONDS = 5.0


class SqliteDatabase(Database):
    """One SQLite file, made where there is none."""

    shared: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opening = threading.Lock()
        self._age = 0
        _create_private(path)
        self._stamp, self._log = _stamp(path), _inode_of_log(path)
        engine = create_engine("sqlite://", creator=self._connect, poolclass=QueuePool, hide_parameters=True)
        event.listen(engine, "begin", _begin)
        event.listen(engine, "connect", self._made)
        event.listen(engine, "checkin", self._returned)
        super().__init__(engine, engine.execution_options(writes=True))
        try:
            self._prepare_tables()
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> str:
        return f"The key database {self.path}"

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
            # What was sealed or hashed and is no more leaves no copy in pages that are free.
            connection.execute("PRAGMA secure_delete=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _made(self, connection: object, record: ConnectionPoolEntry) -> None:
        record.info["age"] = self._age

    def _returned(self, connection: object, record: ConnectionPoolEntry) -> None:
        """Close a connection that was in use when the others were closed: it comes back to a pool that is no more."""
        if record.info.get("age") != self._age:
            record.invalidate()

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
                self._age += 1
                self._reader.dispose()
            self.generation += replaced
            self._stamp, self._log = stamp, log

    def _sentence(self, error: DBAPIError) -> str:
        return _sentence(self.path, str(error.orig))


def _begin(connection: Connection) -> None:
    """The driver begins no transaction by itself; a writer takes its turn at once, so it is never refused half-way."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


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
    sync_folder(path.parent)


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


def _sentence(path: Path, cause: str) -> str:
    if "locked" in cause:
        return f"The key database {path} is in use by another program ({cause}). Try again."
    if "not a database" in cause or "malformed" in cause or "no such" in cause:
        return (
            f"The key database {path} is damaged or something else ({cause}). "
            "Restore it from a backup, or move it away to begin with an empty one."
        )
    return f"The key database {path} cannot be used: {cause}."
