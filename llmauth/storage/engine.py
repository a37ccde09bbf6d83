"""What every database of keys has in common: its transactions, its tables, and that its faults are sentences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from llmauth.storage import schema
from llmauth.storage.home import StateUnusable


class Database(ABC):
    """One database. What goes wrong is raised as StateUnsafe or StateUnusable, with a sentence.

    `generation` grows whenever another database was found in the place of the one that was read before.
    """

    shared: ClassVar[bool]
    """Whether other machines may use it too."""

    def __init__(self, reader: Engine, writer: Engine) -> None:
        self.generation = 0
        self._reader = reader
        self._writer = writer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database."""
        with self._explained():
            self._follow()
            with self._reader.begin() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is on the disk when this context has been left, or never was."""
        with self._explained():
            self._follow()
            with self._writer.begin() as connection:
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self._reader.dispose()

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, as a sentence may say it."""

    @abstractmethod
    def _sentence(self, error: DBAPIError) -> str: ...

    def _follow(self) -> None:  # noqa: B027
        """See to it that what is open is still what lies there."""

    def _alone(self, connection: Connection) -> None:  # noqa: B027
        """Wait until nobody else makes or changes the tables."""

    @contextmanager
    def _explained(self) -> Iterator[None]:
        # Never `from` the error: what drivers say may quote an address with the password in it.
        try:
            yield
        except DBAPIError as error:
            raise StateUnusable(self._sentence(error)) from None
        except PoolTimeout:
            raise StateUnusable(f"{self.place} is asked by too many at once. Try again.") from None

    def _prepare_tables(self) -> None:
        with self.reading() as connection:
            version = self._version(connection)
        if version != schema.VERSION:
            with self.writing() as connection:
                self._alone(connection)
                # Asked again: another process may have done it while this one waited for its turn.
                version = self._version(connection)
                if version != schema.VERSION:
                    schema.bring_up(connection, version)

    def _version(self, connection: Connection) -> int | None:
        try:
            return schema.found(connection)
        except schema.UnknownSchema as error:
            raise StateUnusable(
                f"{self.place} holds {error}, and this llmauth reads version {schema.VERSION}. "
                "Use the llmauth that wrote it, or another database."
            ) from None
